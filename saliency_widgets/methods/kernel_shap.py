"""KernelSHAP: Shapley values of the regions, by least squares over coalitions."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import comb
from typing import Any

import numpy as np

from ..engine.inputs import FILLS
from .coalitions import Coalitions, Fit, different, draws, shapley
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .quadrature import change, residual
from .region_parameters import COUNT, SUPERPIXELS
from .registry import method
from .sampling import doubling


def _evaluations(context: Context, params: dict) -> int:
    game, n = Coalitions(context, params["regions"], params["count"], params["fill"], params["seed"]), params["n"]
    return 2 ** game.count if _all(game.count, n) else 2 + different(paired(context, params["seed"], (n - 2) // 2, game.count)[0])


def _all(count: int, n: int) -> bool:
    """Whether n samples pay for every coalition."""
    return count <= 20 and 2 ** count <= n


@method("kernel_shap", title="KernelSHAP", family="cut", rank=4, cost="1 evaluation a sample", evaluations=_evaluations,
        paper="Lundberg, Lee: A Unified Approach to Interpreting Model Predictions, arXiv 1705.07874",
        parameters=(
            Parameter("n", "int", 1000, "how many samples, picture and bare fill among them", minimum=2, maximum=100_000,
                      choices=(250, 500, 1000, 2000, 4000)),
            SUPERPIXELS,
            Parameter("fill", "fill", "mean", "what a region shows that is off", choices=FILLS),
            COUNT,
            Parameter("seed", "int", 0, "names the draws of coalitions and noise", minimum=0)))
def kernel_shap(context: Context, *, n: int, regions: Any, count: int, fill: Any, seed: int) -> Iterator[Round | Draft]:
    """The Shapley value of each region, painted over it: `(1, H, W)`; they sum to score(x) − score(bare fill) exactly.

    Least squares under the Shapley kernel (theorem 2) with that sum as a constraint. Where n pays for all 2ᴿ coalitions
    the values are exact; else coalitions are drawn with their complements, and a larger n adds samples (`paired`). The error
    of n samples falls as 1/√n and is told. `region_scores` are the values; `details` hold
    `r2` (of the additive model), `exact`, `score` and `bare`, `before` and `bare_probability`, `standard_error` and
    `region_errors`. ValueError for fewer samples than regions + 2, more than 2000 regions, or an infinite score.
    """
    game = Coalitions(context, regions, count, fill, seed)
    total, exact = game.count, _all(game.count, n)
    if not exact and n < total + 2:
        raise ValueError(f"n={n} samples are too few for {total} regions: take n of at least {total + 2} (twice as many "
                         f"determine the values), or fewer regions")
    ends = np.array([[True], [False]]).repeat(total, 1)
    chances = [context.chance(evaluation) for _, evaluation in (yield Round([game.probe(end) for end in ends]))]
    full, empty = yield from game.scores(ends)
    shown, weights = every(total) if exact else paired(context, seed, (n - 2) // 2, total)
    scores, before = np.empty(0), None
    for stage in doubling(len(shown) // 2, 2 * total):
        scores = np.append(scores, (yield from game.scores(shown[2 * stage.start:2 * stage.stop])))
        known = len(scores)
        fit = shapley(shown[:known], scores, weights[:known], empty, full, None if exact else np.arange(known) // 2)
        if exact and known == len(shown):
            fit = replace(fit, errors=np.zeros(total))
        values, (error, errors) = game.paint(fit.values), game.errors(fit)
        yield Draft(values, residual=residual(float(fit.values.sum()), full - empty), last_change=change(values, before),
                    standard_error=error, regions=game.labels, region_scores=fit.values,
                    warnings=tuple(_doubts(fit, known + 2, total)),
                    details={"r2": fit.r2, "exact": exact, "samples": known + 2, "score": float(full), "bare": float(empty),
                             "before": chances[0], "bare_probability": chances[1], **errors})
        before = values


def every(count: int) -> tuple[np.ndarray, np.ndarray]:
    """All coalitions but the empty and the full one, bool `(2ᴿ − 2, R)`, and their Shapley kernel weights.

    Each is followed by its complement, those of the largest weights first.
    """
    half = (np.arange(1, 2 ** (count - 1))[:, None] >> np.arange(count) & 1).astype(bool)  # the last region is off
    size = half.sum(1)
    half = half[np.argsort(np.minimum(size, count - size), kind="stable")]
    shown = np.stack((half, ~half), 1).reshape(-1, count)
    size = shown.sum(1)
    return shown, np.array([(count - 1) / (comb(count, k) * k * (count - k)) for k in size.tolist()])


def paired(context: Context, seed: int, pairs: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random coalitions, each followed by its complement: bool `(2·pairs, R)`, and the weights that make them the kernel's.

    Every size k from 1 to R − 1 is as likely, and its members are any k: drawing by leverage (Musco, Witter: arXiv
    2410.01917) needs a quarter fewer samples (30 superpixels, measured). The weight 1/(k (R − k)) makes up for it.
    Pairs: Covert, Lee, arXiv 2012.01536.
    """
    uniforms = draws(context, seed, pairs, count + 1)
    size = 1 + (uniforms[:, 0] * (count - 1)).astype(int)  # a uniform is below 1
    shown = uniforms[:, 1:].argsort(1, kind="stable").argsort(1, kind="stable") < size[:, None]
    return np.stack((shown, ~shown), 1).reshape(2 * pairs, count), (1 / (size * (count - size))).repeat(2)


def _doubts(fit: Fit, samples: int, regions: int) -> Iterator[str]:
    if not fit.values.any():
        yield "the map is zero everywhere: no region changes the score with this fill, or the picture looks like it"
    if not fit.determined:
        yield f"{samples} samples leave the values of {regions} regions open: the smallest are shown, take more"
