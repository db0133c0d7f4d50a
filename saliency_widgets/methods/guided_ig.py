"""Guided Integrated Gradients: a path that changes first what the score minds least."""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ..engine.devices import has_double
from ..engine.inputs import FILLS
from ..engine.probe import Evaluation, Fill
from .integrated_gradients import baselines
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .quadrature import residual
from .registry import method

CLOSE = 1e-9  # how near the wanted distance to the picture counts as there, relative and absolute
SHOWN = 8     # steps between drafts


def _evaluations(context: Context, params: dict[str, Any]) -> int:
    several = isinstance(params["baseline"], (list, tuple))
    return params["steps"] * (len(params["baseline"]) if several else 1) + 1


@method("guided_ig", title="Guided IG", family="path", rank=2, cost="1 evaluation a step, one after the other", gradients=True,
        evaluations=_evaluations,
        paper="Kapishnikov et al.: Guided Integrated Gradients, arXiv 2106.09788",
        warning="multiplies by the picture, which so shows through",
        parameters=(
            Parameter("steps", "int", 64, "steps of the path", minimum=1, maximum=1024, choices=(16, 32, 64, 128, 256)),
            Parameter("baseline", "fill", "black", "where the path starts", choices=FILLS),
            Parameter("fraction", "float", 0.25, "the share of values that may change at a time, least gradient first",
                      minimum=0.01, maximum=1.0, step=0.05),
            Parameter("max_dist", "float", 0.02, "how far a value may leave the straight path: 0 is Integrated Gradients",
                      minimum=0.0, maximum=1.0, step=0.01),
            Parameter("seed", "int", 0, "which noise a noise baseline shows", minimum=0)))
def guided_ig(context: Context, *, steps: int, baseline: Any, fraction: float, max_dist: float,
              seed: int) -> Iterator[Round | Draft]:
    """∫ ∂score/∂x ⊙ dx along the guided path (algorithm 1, bounded by `max_dist`), `(C, H, W)` in score units.

    Each step shortens the L1 distance to the picture by the same amount, moving the values with the smallest absolute
    gradients; the sum takes the gradient at the step's start. A list of baselines is averaged.
    """
    paths = [_Path(context, fill, steps, fraction, max_dist) for fill in baselines(context, baseline, seed)]
    (_, whole), = yield Round([context.forward(context.image)])
    final = context.score_of(whole)
    for step in range(steps):
        reply = yield Round([context.gradient(context.given(path.x)) for path in paths], keep=False)
        for (_, evaluation), path in zip(reply, paths):
            path.move(step, evaluation)
        if (step + 1) % SHOWN == 0 and step + 1 < steps:
            yield Draft(sum(path.total for path in paths) / len(paths))
    total = sum(path.total for path in paths) / len(paths)
    rise = final - sum(path.scores[0] for path in paths) / len(paths)
    warnings = ()
    if not bool(total.any()):
        warnings = ("the map is zero everywhere: the baseline equals the picture, or the score does not change on the path",)
    first = paths[0]
    yield Draft(total, residual=residual(float(total.sum()), rise), warnings=warnings,
                details={"alphas": np.arange(steps + 1) / steps, "scores": np.array([*first.scores, final]),
                         "accumulated": np.array([0.0, *first.sums]), "rise": rise})


class _Path:
    """A point on its way from a baseline to the picture, in float64, and the attributions collected so far."""

    def __init__(self, context: Context, fill: Fill, steps: int, fraction: float, max_dist: float):
        image = context.picture_tensor
        device = image.device if has_double(image.device) else "cpu"
        self.start = context.inputs.filled(fill).to(device, torch.float64)
        self.change = image.to(device, torch.float64) - self.start
        self.x = self.start.clone()
        self.steps, self.fraction, self.max_dist = steps, fraction, max_dist
        self.total = torch.zeros_like(self.x)
        self.scores: list[float] = []
        self.sums: list[float] = []

    def at(self, alpha: float) -> torch.Tensor:
        """The straight path's point α."""
        return self.start + alpha * self.change

    def move(self, step: int, evaluation: Evaluation) -> None:
        """Go on until the distance left is that of the straight path; ValueError where the gradient is not finite."""
        gradient = evaluation.gradient.to(self.x)
        if not math.isfinite(evaluation.score) or not bool(torch.isfinite(gradient).all()):
            raise ValueError(f"a value became infinite or NaN at step {step} of {self.steps}: move the baseline "
                             f"(the path starts where the score or its gradient is not finite)")
        self.scores.append(evaluation.score)
        alpha = (step + 1) / self.steps
        low, high = max(alpha - self.max_dist, 0.0), min(alpha + self.max_dist, 1.0)
        slowest, fastest, end = self.at(low), self.at(high), self.start + self.change
        wanted, before = float(self.change.abs().sum()) * (1 - alpha), self.x.clone()
        size = gradient.abs()
        while True:
            behind = (self.x - self.start) / self.change < low  # never where nothing is to change: 0/0 is NaN
            self.x = torch.where(behind, slowest, self.x)
            left = float((self.x - end).abs().sum())
            if left <= wanted or math.isclose(left, wanted, rel_tol=CLOSE, abs_tol=CLOSE):
                break
            size = torch.where(self.x == fastest, math.inf, size)  # arrived: no longer to be chosen
            place = math.floor(self.fraction * (size.numel() - 1)) + 1
            chosen = (size <= size.flatten().kthvalue(place).values) & (size != math.inf)
            reach = float(((self.x - fastest).abs() * chosen).sum())
            if not reach:  # rounding alone keeps the distance from what is wanted
                break
            share = (left - wanted) / reach
            target = fastest if share > 1 else self.x + share * (fastest - self.x)
            self.x = torch.where(chosen, target, self.x)
            if share <= 1:
                break
        self.total += (self.x - before) * gradient
        self.sums.append(float(self.total.sum()))
