"""Occlusion sensitivity: how far the score falls while a window slides over the picture."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from .. import regions as R
from ..engine.inputs import FILLS
from .leave_one_out import drops
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .quadrature import change
from .registry import method


def _evaluations(context: Context, params: dict) -> int:
    return len(R.windows(context.size, *_within(context.size, params["window"], params["stride"]))[0]) + 1


def _within(size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """A window no larger than the picture, and a stride no larger than what is left of it."""
    if any(step > extent for step, extent in zip(stride, window)):
        return window, stride  # leaves gaps, which is refused in words
    window = tuple(map(min, window, size))
    return window, tuple(map(min, stride, window))


@method("occlusion", title="Occlusion", family="cut", rank=1, cost="1 evaluation a window", cuts=True, evaluations=_evaluations,
        paper="Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, arXiv 1311.2901",
        parameters=(
            Parameter("window", "grid", 32, "size of the window, or (height, width)", minimum=1, maximum=4096,
                      choices=(8, 16, 32, 48, 64), unit="px"),
            Parameter("stride", "grid", 16, "how far it moves, or (down, right); at most its size", minimum=1, maximum=4096,
                      choices=(4, 8, 16, 32), unit="px"),
            Parameter("fill", "fill", "black", "what the window shows", choices=FILLS),
            Parameter("seed", "int", 0, "names the draw of a noise fill", minimum=0)))
def occlusion(context: Context, *, window: tuple[int, int], stride: tuple[int, int], fill: Any,
              seed: int) -> Iterator[Round | Draft]:
    """score(x) − score(x with the window filled), averaged over the windows that cover a pixel: `(1, H, W)`.

    Windows start at the top left corner; the last of a row or column is clipped at the edge, so that every pixel is
    covered; without overlap this is leave-one-out. Every 2nd, 4th, … window that still covers the picture comes first.
    `details` hold `boxes` (top, left, bottom, right), `drops` (one a window), `before` and `after`. A window larger than
    the picture is cut to it, and said so. ValueError for a stride that leaves gaps.
    """
    size, given = context.size, window
    window, stride = _within(size, window, stride)
    said = ()
    if window != given:
        said = (f"the window of {given[0]} × {given[1]} px is cut to the picture's {window[0]} × {window[1]}",)
    boxes, places = R.windows(size, window, stride)
    labels, sets = R.cells(size, boxes)
    map_name, filled = context.inputs.add_labels(labels), context.fill(fill, seed)
    probes = [context.forward(context.without(map_name, cells, filled)) for cells in sets]
    stages = list(_coarse_to_fine(places, window, stride))
    first = stages[0 if context.watched else -1]  # one round of all costs least, where nobody waits for the first stage
    (_, whole), *reply = yield Round([context.forward(context.image), *(probes[i] for i in first)])
    known = dict(zip(first, (evaluation for _, evaluation in reply)))
    before = None
    for chosen in stages:
        new = [i for i in chosen if i not in known]
        if new:
            known |= {i: evaluation for i, (_, evaluation) in zip(new, (yield Round([probes[i] for i in new])))}
        scores, details, warnings = drops(context, whole, ((probes[i], known[i]) for i in chosen))
        values = torch.from_numpy(R.averaged(boxes[chosen], scores, size))
        yield Draft(values[None], last_change=change(values, before), warnings=(*said, *warnings),
                    details={**details, "boxes": boxes[chosen], "drops": scores})
        before = values


def _coarse_to_fine(places: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> Iterator[list[int]]:
    """Numbers of the windows of each stage, the last one all: steps of 2ᵏ places that leave no gap, always with the ends."""
    skips = [1 << k for k in range(16) if all(s << k <= w for s, w in zip(stride, window))]
    numbers = np.arange(places[0] * places[1]).reshape(places)
    counts = set()
    for skip in reversed(skips):
        rows, columns = (sorted({*range(0, n, skip), n - 1}) for n in places)
        if len(rows) * len(columns) not in counts:  # a small picture has no coarser stage
            counts.add(len(rows) * len(columns))
            yield numbers[np.ix_(rows, columns)].ravel().tolist()
