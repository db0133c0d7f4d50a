"""Masked forwards against our own full ones: both folded and channels-last, without gradients, exact."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saliency_widgets import Session
from saliency_widgets import regions as R
from saliency_widgets.demo.imagenet import cat
from saliency_widgets.engine.fast import SHARE
from saliency_widgets.engine.incremental import Incremental, Regions
from saliency_widgets.engine.plan import Estimate
from saliency_widgets.engine.store import STORE
from saliency_widgets.methods.protocol import Context, Round
from saliency_widgets.model.folded import Folded

from .cases import forget
from .measure import Contender, Patience, cosine, interleave

BATCHES = (1, 4, 8, 16)
WORK = {"occlusion": "occlusion, window 32, stride 16", "leave_one_out": "leave-one-out, 14 × 14",
        "superpixels": "100 superpixels", "one_region": "one region of 16 px"}
TIMED = 24  # pictures of full forwards: a share of all


def cut(work: str) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """For one of `WORK`, labels `(224, 224)` and the sets of regions that are left out."""
    if work == "occlusion":
        return R.cells((224, 224), R.windows((224, 224), (32, 32), (16, 16))[0])
    if work == "superpixels":
        labels = R.segment(np.asarray(cat()), "slic")
        return labels, [(r,) for r in range(int(labels.max()) + 1)]
    labels = R.grid((224, 224), 14, 14)
    return labels, [(90,)] if work == "one_region" else [(r,) for r in range(196)]


class Masked:
    """Copies of a picture `(1, C, H, W)` without sets of regions of a label map `(H, W)`, which show zeros."""

    def __init__(self, fast: Folded, x: Tensor, labels: np.ndarray, sets: Sequence[Sequence[int]]):
        self.fast, self.x, self.sets = fast, x[0], sets
        self.names, self.fill = torch.from_numpy(labels.astype(np.int64)), torch.zeros_like(self.x)
        self.engine = Incremental(fast, self.x, int(STORE.budget * SHARE))
        chosen = torch.zeros(min(len(sets), TIMED), int(labels.max()) + 1, dtype=torch.bool)
        for row in range(len(chosen)):
            chosen[row, list(sets[row])] = True
        self.pictures = torch.where(chosen[:, self.names][:, None], self.fill, x)

    def change(self) -> Regions:
        """What is asked for."""
        return Regions(self.x, self.fill, self.names, self.sets)

    @property
    def estimate(self) -> Estimate:
        """What was decided for all of them together, and why."""
        return self.engine.plan(self.change().boxes).estimate

    @property
    def chosen(self) -> bool:
        """Whether a session would take the incremental way for any of them."""
        boxes = self.change().boxes
        pays = self.engine.worthwhile(boxes)
        return bool(pays.any()) and self.engine.plan(boxes[pays]).estimate.incremental

    @torch.no_grad()
    def ours(self) -> Tensor:
        """Scores `(N, K)` of all copies by way of patches, whatever was decided."""
        return self.engine.logits(self.change())

    @torch.no_grad()
    def full(self, batch: int, model: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Scores of the first copies, a share of all, each as a whole picture; of another model where one is given."""
        return torch.cat([(model or self.fast)(part) for part in self.pictures.split(batch)])

    def through(self, session: Session) -> Tensor:
        """Scores `(N, K)` of all copies as a session on the same model and picture evaluates them, by its own choice."""
        def start(context: Context) -> Iterator[Any]:
            name, fill = context.inputs.add_labels(self.names.numpy()), context.fill(self.fill)
            reply = yield Round([context.forward(context.without(name, tuple(s), fill)) for s in self.sets], keep=False)
            yield torch.stack([evaluation.logits for _, evaluation in reply])

        forget()
        return session.drive(start)

    def against_full(self, ours: Callable[[], Tensor], patience: Patience) -> tuple[Contender, dict[str, Any]]:
        """Ours, and full forwards at the batch size that suits them best, in proportion to all copies."""
        times, sizes = len(self.sets) / len(self.pictures), [b for b in BATCHES if b <= len(self.pictures)]
        ours()
        seconds = {}
        self.full(sizes[-1])
        for batch in sizes:
            started = time.perf_counter()
            self.full(batch)
            seconds[batch] = time.perf_counter() - started
        best = min(seconds, key=seconds.get)
        mine = Contender("ours", lambda turn: ours())
        full = Contender("full forwards", lambda turn: self.full(best))
        interleave([mine, full], patience)
        found = cosine(mine.results[0][:len(self.pictures)], full.results[0])
        return mine, {"median": full.median * times, "seconds": [s * times for s in full.seconds], "rounds": len(full.seconds),
                      "batch": best, "ratio": full.median * times / mine.median, "cosine": found}
