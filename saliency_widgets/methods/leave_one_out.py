"""Leave-one-out: how far the score falls without each region."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from .. import regions as R
from ..engine.inputs import FILLS
from ..engine.probe import Evaluation, Fill, Probe
from .parameters import Parameter
from .protocol import Context, Draft, Reply, Round
from .registry import method

COARSE = 7  # an exact coarse grid is the preview that works: rank correlation 0.5–0.7 with the fine drops


def _label_map(context: Context, grid: tuple[int, int], regions: Any) -> np.ndarray:
    return R.grid(context.shape[1:], *grid) if regions is None else R.resolve(regions, context.inputs.picture.shown)


def _evaluations(context: Context, params: dict) -> int:
    count = int(_label_map(context, params["grid"], params["regions"]).max()) + 2
    return count + (COARSE ** 2 if _previews(context, params["regions"], count - 1) else 0)


def _previews(context: Context, regions: Any, count: int) -> bool:
    return context.watched and regions is None and count > 2 * COARSE ** 2


@method("leave_one_out", title="Leave-one-out", family="cut", rank=0, cost="1 evaluation a region",
        paper="Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, arXiv 1311.2901",
        evaluations=_evaluations,
        parameters=(
            Parameter("grid", "grid", 14, "cells along each side, or (rows, columns)", minimum=1, maximum=64,
                      choices=(4, 7, 10, 14, 20, 28)),
            Parameter("regions", "regions", None, "superpixels, or a label map of your own, instead of the grid",
                      choices=R.SEGMENTATIONS),
            Parameter("fill", "fill", "black", "what a removed region shows", choices=FILLS),
            Parameter("seed", "int", 0, "names the draw of a noise fill", minimum=0)))
def leave_one_out(context: Context, *, grid: tuple[int, int], regions: Any, fill: Any, seed: int) -> Iterator[Round | Draft]:
    """score(x) − score(x with region r replaced), painted over region r: `(1, H, W)`, forward passes only.

    All logits are kept, so another class needs no evaluation. `regions` and `region_scores` list the drops, `details` the
    class's probability `before` and `after` (one a region). ValueError where the score becomes infinite.
    """
    name = context.fill(fill, seed)
    (_, whole), = yield Round([context.forward(context.image)])
    labels = _label_map(context, grid, regions)
    if _previews(context, regions, int(labels.max()) + 1):
        coarse = R.grid(context.shape[1:], COARSE, COARSE)
        reply = yield Round(_probes(context, coarse, name))
        yield _draft(context, coarse, reply, whole, (f"preview on a {COARSE} × {COARSE} grid",))
    reply = yield Round(_probes(context, labels, name))
    yield _draft(context, labels, reply, whole)


def _probes(context: Context, labels: np.ndarray, fill: Fill) -> list[Probe]:
    name = context.inputs.add_labels(labels)
    return [context.forward(context.without(name, (r,), fill)) for r in range(int(labels.max()) + 1)]


def _draft(context: Context, labels: np.ndarray, reply: Reply, whole: Evaluation, warnings: tuple[str, ...] = ()) -> Draft:
    scores, details, doubts = drops(context, whole, reply)
    values = context.kernels.paint_regions(torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(scores))
    return Draft(values[None], warnings=(*warnings, *doubts), regions=labels, region_scores=scores, details=details)


def drops(context: Context, whole: Evaluation, reply: Reply) -> tuple[np.ndarray, dict[str, Any], tuple[str, ...]]:
    """How far the score falls for each masked picture `(N,)`, the probability before and after, and what to doubt."""
    before, scores, after = context.score_of(whole), [], []
    for _, evaluation in reply:
        scores.append(before - context.score_of(evaluation))
        after.append(context.chance(evaluation))
    scores, details, warnings = np.array(scores), {}, ()
    if not np.isfinite(scores).all():
        raise ValueError("the score became infinite or NaN for a masked picture: try another fill")
    if not scores.any():
        warnings = ("the map is zero everywhere: no part changes the score, or the picture looks like the fill",)
    if None not in after:
        details = {"before": context.chance(whole), "after": np.array(after)}
    return scores, details, warnings
