"""RISE: the mean of random masks, each weighted by the score of what it shows."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..engine.devices import has_double
from ..engine.inputs import FILLS
from ..engine.probe import RandomMask
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .quadrature import change
from .registry import method
from .sampling import doubling

FIRST = 32  # masks before the first draft


@method("rise", title="RISE", family="cut", rank=2, cost="1 evaluation a mask", evaluations=lambda context, params: params["n"],
        paper="Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models, arXiv 1806.07421",
        parameters=(
            Parameter("n", "int", 1000, "how many masks", minimum=2, maximum=100_000, choices=(250, 500, 1000, 2000, 4000)),
            Parameter("grid", "int", 7, "cells of a mask along each side", minimum=2, maximum=64, choices=(4, 7, 10, 14)),
            Parameter("share", "float", 0.5, "chance of a cell to be shown", minimum=0.01, maximum=0.99),
            Parameter("centred", "bool", False, "take the scores' mean away, which only adds an offset to the map"),
            Parameter("fill", "fill", "mean", "what is shown where a mask hides", choices=FILLS),
            Parameter("seed", "int", 0, "names the draws of masks and noise", minimum=0)))
def rise(context: Context, *, n: int, grid: int, share: float, centred: bool, fill: Any, seed: int) -> Iterator[Round | Draft]:
    """1/(n·p) Σᵢ score(x seen through Mᵢ)·Mᵢ with p the share: `(1, H, W)`, forward passes only (equation 6).

    In expectation a pixel holds the mean score of the masks that show it. The paper's score is a probability; a logit may
    have a large mean, which lies under the map as an offset and as noise: `centred` puts score − mean score in its place
    and changes nothing else. A larger n adds masks. `details` holds `scores` (one a mask), `mean_score`,
    `standard_error` `(1, H, W)` and `sum_standard_error`. ValueError where the score becomes infinite.
    """
    name, sums, before = context.fill(fill, seed), Sums(), None
    for stage in doubling(n, min(n, FIRST)):
        masks = [RandomMask(seed, number, grid, share) for number in stage]
        for mask, (_, evaluation) in zip(masks, (yield Round([context.forward(context.revealed(m, name)) for m in masks]))):
            sums.add(context.score_of(evaluation), context.inputs.mask(mask))
        mean = float(np.mean(sums.scores))
        values, errors, sum_error = sums.map(share, mean if centred else 0.0)
        size = float(values.abs().sum())
        yield Draft(values[None], last_change=change(values, before),
                    standard_error=float(errors.sum()) / size if size else None,
                    warnings=tuple(_doubts(sums.scores, values, mean, centred)),
                    details={"scores": np.array(sums.scores), "mean_score": mean, "standard_error": errors[None].cpu().numpy(),
                             "sum_standard_error": sum_error})
        before = values


class Sums:
    """What the mean of (score − c)·mask and its error need for any c, in float64."""

    def __init__(self):
        self.scores: list[float] = []
        self._areas: list[float] = []
        self._sums: Tensor | None = None  # Σ sM, ΣM, Σ s²M², Σ sM², ΣM²

    def add(self, score: float, mask: Tensor) -> None:
        """Fold one mask `(H, W)` and the score of what it shows in."""
        if not np.isfinite(score):
            raise ValueError("the score became infinite or NaN for a masked picture: try another fill")
        mask = (mask if has_double(mask.device) else mask.cpu()).double()
        square = mask * mask
        if self._sums is None:
            self._sums = mask.new_zeros(5, *mask.shape)
        for total, term, factor in zip(self._sums, (mask, mask, square, square, square),
                                       (score, 1.0, score * score, score, 1.0)):
            total.add_(term, alpha=factor)
        self.scores.append(score)
        self._areas.append(float(mask.sum()))

    def map(self, share: float, level: float) -> tuple[Tensor, Tensor, float]:
        """The mean of (score − level)·mask / share, the standard error of each value, and that of their sum."""
        n, (weighted, shown, squared, mixed, area) = len(self.scores), self._sums
        mean = (weighted - level * shown) / n
        second = (squared - 2 * level * mixed + level * level * area) / n
        errors = ((second - mean * mean).clamp_min(0) / (n - 1)).sqrt()
        sums = (np.array(self.scores) - level) * np.array(self._areas)
        return mean / share, errors / share, float(sums.std(ddof=1)) / n ** 0.5 / share


def _doubts(scores: list[float], values: Tensor, mean: float, centred: bool) -> Iterator[str]:
    if not bool(torch.any(values)):
        yield "the map is zero everywhere: the score of every masked picture is " + ("the same" if centred else "zero")
    elif not centred and abs(mean) > float(values.max() - values.min()):
        yield f"the mean score {mean:+.3g} lies under the map as an offset: centred=True takes it away"
