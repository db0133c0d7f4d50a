"""How far the slope at the picture foretells what taking a region away does: gradient · change against the exact drop."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from .. import regions as R
from ..engine.inputs import FILLS
from ..engine.runner import Stopping
from ..methods import find
from ..methods.parameters import Parameter
from ..methods.protocol import Context, Round
from ..methods.region_parameters import left
from .measure import Measure, checked
from .watching import Tell, driven

PARAMETERS = (
    Parameter("regions", "regions", "grid", "a grid of 14 × 14, superpixels, or a label map of your own",
              choices=("grid", *R.SEGMENTATIONS)),
    Parameter("fill", "fill", "black", "what a removed region shows", choices=FILLS),
    Parameter("seed", "int", 0, "names the draw of a noise fill", minimum=0))


def linear_estimate(session: Any, *, regions: Any = "grid", fill: Any = "black", target: int | str | None = None, seed: int = 0,
                    ticket: Stopping | None = None, on_progress: Tell | None = None,
                    on_draft: Callable[[Measure], None] | None = None) -> Measure:
    """Pearson's correlation over regions of gradient · (x − x without the region) with the exact drop of the score.

    1 on a linear model; what a network's is says how far one gradient stands for leave-one-out. `regions` is "grid" (14 × 14),
    "slic", "felzenszwalb" or a label map. `details`: `estimates` and `drops` `(R,)` in the score's unit, `rank`, Spearman's
    correlation, `error`, the mean size of estimate − drop as a share of the drops' mean size, `regions`, the label map int32
    `(H, W)`, `fill`. It costs one gradient and a forward pass a region, shared with leave-one-out. ValueError for a model
    without gradients, a wrong setting, or an infinite score.
    """
    settings = checked(PARAMETERS, dict(regions=regions, fill=fill, seed=seed))
    counted = [2]

    def start(context: Context) -> Iterator[Round | Measure]:
        labels = _labels(context, settings["regions"])
        counted[0] = int(labels.max()) + 2
        return rounds(context, labels, settings["fill"], settings["seed"])

    return driven(session, start, lambda: counted[0], target=target, uses=find("gradient"), ticket=ticket,
                  on_progress=on_progress, on_draft=on_draft)


def _labels(context: Context, regions: Any) -> np.ndarray:
    if isinstance(regions, str) and regions == "grid":
        return R.grid(context.size, *R.usual(context.size, (R.USUAL, R.USUAL)))
    return R.resolve(regions, context.shown)


def rounds(context: Context, labels: np.ndarray, fill: Any, seed: int) -> Iterator[Round | Measure]:
    """The same as a generator of rounds."""
    count, name, of = int(labels.max()) + 1, context.fill(fill, seed), context.inputs.add_labels(labels)
    (_, slope), = yield Round([context.gradient(context.image)])
    x, gradient, before = context.picture_tensor, slope.gradient.cpu().double(), context.score_of(slope)
    inputs = [left(context, of, (region,), count, name) for region in range(count)]
    reply = yield Round([context.forward(each) for each in inputs])
    estimates, found = np.zeros(count), []
    for region, (probe, evaluation) in enumerate(reply):
        estimates[region] = float((gradient * (x - context.inputs.tensor(probe.input)).cpu().double()).sum())
        found.append(evaluation)
    drops = before - context.scores_of(found)
    if not (np.isfinite(drops).all() and np.isfinite(estimates).all()):
        raise ValueError("the score or its gradient became infinite or NaN without a region: try another fill")
    enough = count > 1 and np.ptp(drops) > 0 and np.ptp(estimates) > 0
    value = float(pearsonr(estimates, drops).statistic) if enough else float("nan")
    size = float(np.abs(drops).mean())
    warnings = () if enough else ("every region has the same drop or the same estimate: there is nothing to correlate",)
    yield Measure("linear_estimate", value, "correlation", count, None, warnings, {
        "estimates": estimates, "drops": drops, "rank": float(spearmanr(estimates, drops).statistic) if enough else None,
        "error": float(np.abs(estimates - drops).mean()) / size if size else None, "regions": labels, "fill": str(name),
        "unit": context.score.unit})
