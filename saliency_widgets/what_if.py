"""What the model says of the picture without some regions: one evaluation, none where it is kept."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .engine.inputs import FILL_BLUR
from .engine.probe import Evaluation
from .engine.runner import Stopping
from .methods.protocol import Context, Round
from .model.pictures import to_uint8
from .regions import resolve

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True, eq=False)
class WhatIf:
    """The model's answer to the picture without some regions.

    `logits` and `probabilities` `(K,)` (None for a score of one's own or outputs too large to keep), the explained `score`,
    its `change` from the whole picture in `unit`s, the target's probability `before` and `after`, the `picture` that was cut,
    uint8 `(H, W, 3)`, its pixels that are `off`, bool `(H, W)`, and what the model has `seen` of it, uint8 `(h, w, 3)`: the same,
    unless the photograph is cut and prepared afterwards.
    """

    logits: np.ndarray | None
    probabilities: np.ndarray | None
    score: float
    change: float
    unit: str
    before: float | None
    after: float | None
    picture: np.ndarray
    off: np.ndarray
    seen: np.ndarray

    @property
    def drop(self) -> float:
        """How far the score falls: what leave-one-out calls the drop of a region."""
        return -self.change


@contextmanager
def against(session: Session, contrast: int | None) -> Iterator[None]:
    """Explain against another class for a while; what else asks the session meanwhile waits for the subject's lock."""
    with session.subject.lock:
        before, session.contrast = session.contrast, contrast
        try:
            yield
        finally:
            session.contrast = before


def without(session: Session, off: np.ndarray, fill: Any = "black", seed: int = 0,
            sigma: float = FILL_BLUR, *, target: int | str | None = None, ticket: Stopping | None = None) -> WhatIf:
    """Evaluate the picture with the pixels bool `(H, W)` that are `off` replaced by a fill.

    ValueError for a mask of another size, a wrong fill, or a score that becomes infinite.
    """
    return session.drive(lambda context: _run(context, session, np.asarray(off), fill, seed, sigma), target=target, ticket=ticket)


def off_pixels(labels: Any, regions: Iterable[int], picture: np.ndarray) -> np.ndarray:
    """The pixels bool `(H, W)` of regions of a label map, or of a segmentation by name; LookupError for an unknown region."""
    numbers = list(regions)
    if not isinstance(labels, str):
        resolve(labels, picture)  # checks type and size; the numbers stay the user's own
    labels = resolve(labels, picture) if isinstance(labels, str) else np.asarray(labels)
    unknown = sorted(set(numbers) - set(np.unique(labels).tolist()))
    if unknown:
        raise LookupError(f"there is no region {', '.join(map(str, unknown))} in this label map: "
                          f"it goes from {labels.min()} to {labels.max()}")
    return np.isin(labels, numbers)


def _run(context: Context, session: Session, off: np.ndarray, fill: Any, seed: int,
         sigma: float) -> Iterator[Round | WhatIf]:
    shown, inputs = session.picture.shown, context.inputs
    if off.shape != shown.shape[:2] or off.dtype != bool:
        raise ValueError(f"the pixels that are off must be bool of the picture's size {shown.shape[:2]}, "
                         f"got {off.dtype} of {off.shape}")
    whole = Evaluation(torch.from_numpy(session.logits))
    name, found, cut, seen = context.fill(fill, seed, sigma), whole, shown, session.picture.seen
    if off.any():
        labels = inputs.add_labels(off.astype(np.int32))
        masked = context.without(labels, (1,), name)
        ((_, found),) = yield Round([context.forward(masked)])
        cut = inputs.cut(masked)
        seen = cut if inputs.cutout is None else to_uint8(session.picture.space.to_pixels(inputs.tensor(masked)))
        inputs.forget_labels(labels)  # the evaluation is known by its pixels
    score, before = context.score_of(found), context.score_of(whole)
    if not np.isfinite(score):
        raise ValueError("the score became infinite or NaN without these regions: try another fill")
    logits = None if found.logits is None else found.logits.detach().cpu()
    yield WhatIf(
        None if logits is None else logits.numpy(), None if logits is None else session.chances(logits), score,
        score - before, context.score.unit, context.chance(whole), context.chance(found),
        cut, off, seen)
