"""Leave-one-out: how far the score falls without each region."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .. import regions as R
from ..engine.inputs import FILLS
from ..engine.probe import Image, Without
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .registry import method

COARSE = 7  # an exact coarse grid is the preview that works: rank correlation 0.5–0.7 with the fine drops


def _label_map(context: Context, grid: tuple[int, int], regions: Any) -> np.ndarray:
    size = context.shape[1:]
    return R.grid(size, *grid) if regions is None else R.as_labels(regions, size)


def _evaluations(context: Context, params: dict) -> int:
    count = int(_label_map(context, params["grid"], params["regions"]).max()) + 2
    return count + (COARSE ** 2 if _previews(context, params["regions"], count - 1) else 0)


def _previews(context: Context, regions: Any, count: int) -> bool:
    return context.watched and regions is None and count > 2 * COARSE ** 2


@method("leave_one_out", title="Leave-one-out", family="cut", cost="1 evaluation a region",
        paper="Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, arXiv 1311.2901",
        evaluations=_evaluations,
        parameters=(
            Parameter("grid", "grid", 14, "cells along each side, or (rows, columns)", minimum=1, maximum=64,
                      choices=(4, 7, 10, 14, 20, 28)),
            Parameter("regions", "regions", None, "a label map of your own instead of the grid"),
            Parameter("fill", "fill", "black", "what a removed region shows", choices=FILLS)))
def leave_one_out(context: Context, *, grid: tuple[int, int], regions: Any, fill: Any) -> Iterator[Round | Draft]:
    """score(x) − score(x with region r replaced), painted over region r: `(1, H, W)`, forward passes only.

    All logits are kept, so another class needs no evaluation. `regions` and `region_scores` list the drops.
    """
    name = context.fill(fill)
    whole = context.forward(Image())
    (_, evaluation), = yield Round([whole])
    before = context.score_of(evaluation)
    labels = _label_map(context, grid, regions)
    count = int(labels.max()) + 1
    if _previews(context, regions, count):
        coarse = R.grid(context.shape[1:], COARSE, COARSE)
        reply = yield Round(_probes(context, coarse, name))
        scores, after = _drops(context, reply, before)
        yield _draft(context, coarse, scores, after, evaluation, (f"preview on a {COARSE} × {COARSE} grid",))
    reply = yield Round(_probes(context, labels, name))
    scores, after = _drops(context, reply, before)
    yield _draft(context, labels, scores, after, evaluation)


def _probes(context: Context, labels: np.ndarray, fill) -> list:
    name = context.inputs.add_labels(labels)
    return [context.forward(Without(name, (r,), fill)) for r in range(int(labels.max()) + 1)]


def _drops(context: Context, reply, before: float) -> tuple[np.ndarray, list[torch.Tensor | None]]:
    scores, logits = [], []
    for _, evaluation in reply:
        scores.append(before - context.score_of(evaluation))
        logits.append(evaluation.logits)
    return np.array(scores), logits


def _draft(context: Context, labels: np.ndarray, scores: np.ndarray, after: list, whole, warnings=()) -> Draft:
    if not np.isfinite(scores).all():
        raise ValueError("the score became infinite or NaN for a masked picture: try another fill")
    if not scores.any():
        warnings = (*warnings, "the map is zero everywhere: no region changes the score, or the picture looks like the fill")
    dtype = context.inputs.image.dtype
    values = context.kernels.paint_regions(torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(scores).to(dtype))
    details = {}
    if not context.score.name and whole.logits is not None:
        chance = replace(context.score, kind="probability", contrast=None).of
        details = {"before": float(chance(whole.logits[None])[0]), "after": chance(torch.stack(after)).cpu().numpy()}
    return Draft(values[None], warnings=tuple(warnings), regions=labels, region_scores=scores, details=details)
