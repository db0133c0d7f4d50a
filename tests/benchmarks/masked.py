"""Masked forwards against our own full ones: both folded and channels-last, without gradients, exact."""
from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saliency_widgets.engine.incremental import Incremental, Regions
from saliency_widgets.engine.plan import Estimate
from saliency_widgets.model.folded import Folded

from .measure import Contender, Patience, cosine, interleave

BATCHES = (1, 4, 8, 16)
SHARE = 24  # pictures of full forwards that are timed


class Masked:
    """Copies of a picture `(1, C, H, W)` without sets of regions of a label map `(H, W)`, which show zeros."""

    def __init__(self, fast: Folded, x: Tensor, labels: np.ndarray, sets: Sequence[Sequence[int]]):
        self.fast, self.x, self.sets = fast, x[0], sets
        self.names, self.fill = torch.from_numpy(labels.astype(np.int64)), torch.zeros_like(self.x)
        self.engine = Incremental(fast, self.x)
        chosen = torch.zeros(min(len(sets), SHARE), int(labels.max()) + 1, dtype=torch.bool)
        for row in range(len(chosen)):
            chosen[row, list(sets[row])] = True
        self.pictures = torch.where(chosen[:, self.names][:, None], self.fill, x)

    def change(self) -> Regions:
        """What is asked for."""
        return Regions(self.x, self.fill, self.names, self.sets)

    @property
    def estimate(self) -> Estimate:
        """What was decided, and why."""
        return self.engine.plan(self.change().boxes).estimate

    @torch.no_grad()
    def ours(self) -> Tensor:
        """Scores `(N, K)` of all copies by way of patches, whatever was decided."""
        return self.engine.logits(self.change())

    @torch.no_grad()
    def full(self, batch: int) -> Tensor:
        """Scores of the first copies, a share of all, each as a whole picture."""
        return torch.cat([self.fast(part) for part in self.pictures.split(batch)])

    def against_full(self, patience: Patience) -> tuple[Contender, dict[str, Any]]:
        """Ours, and full forwards at the batch size that suits them best, in proportion to all copies."""
        times, sizes = len(self.sets) / len(self.pictures), [b for b in BATCHES if b <= len(self.pictures)]
        self.ours()
        seconds = {}
        self.full(sizes[-1])
        for batch in sizes:
            started = time.perf_counter()
            self.full(batch)
            seconds[batch] = time.perf_counter() - started
        best = min(seconds, key=seconds.get)
        mine = Contender("ours", lambda turn: self.ours())
        full = Contender("full forwards", lambda turn: self.full(best))
        interleave([mine, full], patience)
        found = cosine(mine.results[0][:len(self.pictures)], full.results[0])
        return mine, {"median": full.median * times, "seconds": [s * times for s in full.seconds], "rounds": len(full.seconds),
                      "batch": best, "ratio": full.median * times / mine.median, "cosine": found}
