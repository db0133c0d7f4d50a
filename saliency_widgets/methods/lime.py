"""LIME: a linear model of the score around the picture, with superpixels on or off as its features."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..engine.inputs import FILLS
from .coalitions import Coalitions, Fit, different, draws, ridge
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .quadrature import change
from .region_parameters import COUNT, SUPERPIXELS
from .registry import method
from .sampling import doubling

FIRST = 125   # samples before the first draft
POOR = 0.5    # a fit that explains less than this share of the variance is warned of


def _evaluations(context: Context, params: dict) -> int:
    game = Coalitions(context, params["regions"], params["count"], params["fill"], params["seed"])
    return different(_samples(game, params["n"], params["seed"]))


def _samples(game: Coalitions, n: int, seed: int) -> np.ndarray:
    """On-off vectors bool `(n, R)`, the picture first."""
    shown = draws(game.context, seed, n, game.count) < 0.5
    shown[0] = True
    return shown


@method("lime", title="LIME", family="cut", rank=3, cost="1 evaluation a sample", evaluations=_evaluations,
        paper="Ribeiro, Singh, Guestrin: “Why Should I Trust You?”: Explaining the Predictions of Any Classifier, "
              "arXiv 1602.04938",
        parameters=(
            Parameter("n", "int", 1000, "how many samples, the picture itself among them", minimum=2, maximum=100_000,
                      choices=(250, 500, 1000, 2000, 4000)),
            SUPERPIXELS,
            Parameter("fill", "fill", "mean", "what a region shows that is off", choices=FILLS),
            COUNT,
            Parameter("kernel_width", "float", 0.25, "how fast a sample counts less the more of the picture is off",
                      minimum=0.01, maximum=10),
            Parameter("alpha", "float", 1.0, "strength of the ridge penalty", minimum=1e-6, maximum=1000),
            Parameter("seed", "int", 0, "names the draws of samples and noise", minimum=0)))
def lime(context: Context, *, n: int, regions: Any, count: int, fill: Any, kernel_width: float, alpha: float,
         seed: int) -> Iterator[Round | Draft]:
    """The coefficient of each region in a weighted ridge regression of the score, painted over it: `(1, H, W)`.

    Each region is on or off with even chance, and the first sample is the whole picture. A sample's weight is
    √exp(−d²/width²) with d the cosine distance of its on-off vector to all on, the intercept is not penalised: the paper's
    equation 1 as its authors' library solves it for pictures, with every region kept. All logits are kept: another class,
    width or penalty needs no evaluation. `region_scores` are the coefficients; `details` hold `r2` (weighted),
    `intercept`, `predicted` (the linear model at the picture), `score`, `before`, `standard_error` and `region_errors`.
    ValueError where the score becomes infinite, or for more than 2000 regions.
    """
    game = Coalitions(context, regions, count, fill, seed)
    shown = _samples(game, n, seed)
    weights = kernel(shown, kernel_width)
    (_, whole), = yield Round([context.forward(context.image)])
    scores, before = np.empty(0), None
    for stage in doubling(n, min(n, FIRST)):
        scores = np.append(scores, (yield from game.scores(shown[stage.start:stage.stop])))
        known = len(scores)
        fit = ridge(shown[:known], scores, weights[:known], alpha)
        values, (error, errors) = game.paint(fit.values), game.errors(fit)
        yield Draft(values, last_change=change(values, before), standard_error=error, regions=game.labels,
                    region_scores=fit.values, warnings=tuple(_doubts(fit, known, game.count)),
                    details={"r2": fit.r2, "intercept": fit.intercept, "predicted": fit.intercept + float(fit.values.sum()),
                             "score": float(scores[0]), "samples": known, "before": context.chance(whole), **errors})
        before = values


def kernel(shown: np.ndarray, width: float) -> np.ndarray:
    """Weights `(N,)` of on-off vectors `(N, R)`: √exp(−d²/width²) of the cosine distance d to all on, 1 for all off."""
    distance = 1 - np.sqrt(shown.mean(1))
    return np.sqrt(np.exp(-(distance / width) ** 2))


def _doubts(fit: Fit, samples: int, regions: int) -> Iterator[str]:
    if fit.r2 is None:
        yield "the score of every sample is the same: no region matters with this fill, or the picture looks like it"
        return
    if samples < regions + 2:
        yield f"{samples} samples do not determine {regions} regions, and R² says nothing: take n of {regions + 2} or more"
    elif fit.r2 < POOR:
        yield f"R² {fit.r2:.2f}: the linear model explains little of how the score varies around the picture"
