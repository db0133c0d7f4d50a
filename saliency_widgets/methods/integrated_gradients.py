"""Integrated Gradients: what built the score up along the straight path from a baseline to the picture."""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ..engine.inputs import FILLS
from ..engine.probe import Fill, Probe
from ..model.outputs import wide
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .quadrature import change, coarse_to_fine, covering, even, one_shot, residual, shown, window_weights
from .registry import method

RULES = ("trapezoid", "gauss_legendre", "midpoint", "right", "endpoints", "adaptive")
SPLITS = 4  # intervals the adaptive rule splits at a time: one batch of gradients


def evaluations(context: Context, params: dict[str, Any]) -> int:
    """How many evaluations a map needs."""
    baselines = len(params["baseline"]) if isinstance(params["baseline"], (list, tuple)) else 1
    if params["rule"] == "trapezoid":
        low, high = covering(even(params["steps"]), *params["alpha"])
        return baselines * (high - low + 1)
    return baselines * (params["steps"] + (1 if params["rule"] == "adaptive" else 2))


@method("integrated_gradients", title="Integrated Gradients", family="path", rank=0, cost="1 evaluation a step, and 1",
        gradients=True, evaluations=evaluations,
        paper="Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, arXiv 1703.01365",
        warning="multiplies by the picture, which so shows through; multiply=False leaves it out",
        parameters=(
            Parameter("steps", "int", 64, "intervals on the path; doubling reuses every point",
                      minimum=1, maximum=1024, choices=(8, 16, 32, 64, 128, 256, 512, 1024)),
            Parameter("alpha", "window", (0.0, 1.0), "the part of the path that is summed, 0 the baseline, 1 the picture",
                      minimum=0.0, maximum=1.0, step=0.01),
            Parameter("baseline", "fill", "black", "where the path starts", choices=FILLS),
            Parameter("rule", "choice", "trapezoid", "how the integral is summed", choices=RULES),
            Parameter("multiply", "bool", True, "multiply by the change from baseline to picture"),
            Parameter("seed", "int", 0, "which noise a noise baseline shows", minimum=0)))
def integrated_gradients(context: Context, *, steps: int, alpha: tuple[float, float], baseline: Any, rule: str,
                         multiply: bool, seed: int) -> Iterator[Round | Draft]:
    """(x − x0) ⊙ ∫ₐᵇ ∂score/∂x(x0 + α(x − x0)) dα, `(C, H, W)` in score units (equation 1).

    The gradient counts as linear between grid points, so windows add up and any window of a kept path costs nothing.
    `residual` compares the map's sum with the score's rise over the window; a list of baselines is averaged.
    """
    paths = [_Path(context, fill, alpha, multiply) for fill in baselines(context, baseline, seed)]
    if rule == "trapezoid":
        stages = _nested(paths, steps, alpha)
    elif rule == "adaptive":
        stages = _adaptive(paths, steps, alpha)
    else:
        stages = _anew(paths, steps, alpha, rule)
    previous = None
    for draft_ready in stages:
        if isinstance(draft_ready, _Ask):
            draft_ready.reply = yield draft_ready.round
            continue
        total = sum(path.map() for path in paths) / len(paths)
        yield _judged(paths, total, change(total, previous), alpha, multiply)
        previous = total


def baselines(context: Context, baseline: Any, seed: int) -> list[Fill]:
    """Name one baseline or several of a list; ValueError for an empty list."""
    given = list(baseline) if isinstance(baseline, (list, tuple)) else [baseline]
    if not given:
        raise ValueError("baseline=[] holds no baseline: give at least one")
    return [context.fill(b, seed) for b in given]


class _Ask:
    """A round that a stage generator wants; the method's own generator sends the reply into it."""

    def __init__(self, probes: Sequence[Probe]):
        self.round, self.reply = Round(probes), None


class _Path:
    """What has been folded of one baseline's path: weighted gradients, scores, and the change of input along it."""

    def __init__(self, context: Context, fill: Fill, alpha: tuple[float, float], multiply: bool):
        self.context, self.fill, self.alpha, self.multiply = context, fill, alpha, multiply
        self.delta = context.picture_tensor - context.inputs.filled(fill)
        self.slope = wide(self.delta).flatten()
        self.points: dict[float, tuple[float, float]] = {}  # α → (score, ⟨x − x0, gradient⟩)
        self.total: torch.Tensor | None = None

    def probe(self, alpha: float) -> Probe:
        return self.context.gradient(self.context.on_path(self.fill, alpha))

    def accumulator(self) -> torch.Tensor:
        wide = torch.promote_types(self.delta.dtype, torch.float32)
        return torch.zeros_like(self.delta, dtype=wide)

    def note(self, alpha: float, evaluation) -> torch.Tensor:
        """Record a point of the path; ValueError where its gradient is not finite."""
        slope = float(torch.dot(evaluation.gradient.flatten(), self.slope))
        if not math.isfinite(slope) or not math.isfinite(evaluation.score):
            raise ValueError(f"a value became infinite or NaN at α = {alpha:g}: move the baseline "
                             f"(baseline={str(self.fill)!r} starts where the score or its gradient is not finite)")
        self.points[alpha] = evaluation.score, slope
        return evaluation.gradient

    def map(self) -> torch.Tensor:
        return self.total * self.delta if self.multiply else self.total

    def rise(self) -> float:
        """The score's rise over the window, linear between the points known."""
        alphas = sorted(self.points)
        scores = [self.points[a][0] for a in alphas]
        return float(np.interp(self.alpha[1], alphas, scores) - np.interp(self.alpha[0], alphas, scores))


def _nested(paths: list[_Path], steps: int, alpha: tuple[float, float]):
    """Trapezoid on nested grids: every 8th, 4th, 2nd, then every point of the grid that the window needs.

    A gradient is folded into the sums of its own and all finer stages as it arrives, so none has to be held.
    """
    stages = coarse_to_fine(*covering(even(steps), *alpha))
    grids = [[i / steps for i in stage] for stage in stages]
    summed = shown(grids, paths[0].context.watched)
    weights = {number: dict(zip(grids[number], window_weights(grids[number], *alpha))) for number in summed}
    sums = {number: [path.accumulator() for path in paths] for number in summed}
    seen: set[float] = set()
    for number, grid in enumerate(grids):
        new = [a for a in grid if a not in seen]
        seen.update(new)
        ask = _Ask([path.probe(a) for path in paths for a in new])
        yield ask
        names = [(p, a) for p in range(len(paths)) for a in new]
        for (p, a), (_, evaluation) in zip(names, ask.reply):
            gradient = paths[p].note(a, evaluation)
            for later in range(max(number, summed.start), summed.stop):
                sums[later][p].add_(gradient, alpha=weights[later][a])
        if number in summed:
            for path, total in zip(paths, sums[number]):
                path.total = total
            yield True


def _adaptive(paths: list[_Path], steps: int, alpha: tuple[float, float]):
    """Dyadic points, always splitting the intervals over which the gradient changes most.

    The change is the L1 norm of the gradients' difference, weighted with the input's change and the length.
    """
    start = 2 ** min(3, int(math.log2(steps)))
    low, high = covering(even(start), *alpha)
    frames: list[dict[float, torch.Tensor]] = [{} for _ in paths]
    new, changes = [i / start for i in range(low, high + 1)], {}
    while new:
        ask = _Ask([path.probe(a) for path in paths for a in new])
        yield ask
        names = [(p, a) for p in range(len(paths)) for a in new]
        for (p, a), (_, evaluation) in zip(names, ask.reply):
            frames[p][a] = paths[p].note(a, evaluation)
        grid = sorted(frames[0])
        weights = window_weights(grid, *alpha)
        for path, kept in zip(paths, frames):
            path.total = path.context.kernels.weighted_sum([kept[a] for a in grid], weights)
        yield True
        for pair in zip(grid, grid[1:]):
            if pair not in changes:
                changes[pair] = (pair[1] - pair[0]) * sum(
                    float(((kept[pair[1]] - kept[pair[0]]) * path.delta).abs().sum()) for path, kept in zip(paths, frames))
        pairs = sorted(zip(grid, grid[1:]), key=changes.__getitem__, reverse=True)
        new = [(a + b) / 2 for a, b in pairs[:max(0, min(SPLITS, steps + 1 - len(grid)))]]


def _anew(paths: list[_Path], steps: int, alpha: tuple[float, float], rule: str):
    """The rules that place their points inside the window anew; the two ends are evaluated forward for the residual."""
    points, weights = one_shot(rule, steps, *alpha)
    ask = _Ask([path.probe(a) for path in paths for a in points])
    yield ask
    sums = [path.accumulator() for path in paths]
    names = [(p, a, w) for p in range(len(paths)) for a, w in zip(points, weights)]
    for (p, a, w), (_, evaluation) in zip(names, ask.reply):
        sums[p].add_(paths[p].note(a, evaluation), alpha=w)
    ends = [(p, a) for p in range(len(paths)) for a in dict.fromkeys(alpha)]
    ask = _Ask([paths[p].context.forward(paths[p].context.on_path(paths[p].fill, a)) for p, a in ends])
    yield ask
    for (p, a), (_, evaluation) in zip(ends, ask.reply):
        slope = paths[p].points.get(a, (0.0, math.nan))[1]
        paths[p].points[a] = paths[p].context.score_of(evaluation), slope
    for path, total in zip(paths, sums):
        path.total = total
    yield True


def _judged(paths: list[_Path], total: torch.Tensor, moved: float | None, alpha: tuple[float, float],
            multiply: bool) -> Draft:
    rise = sum(path.rise() for path in paths) / len(paths)
    warnings = ()
    if alpha[0] == alpha[1]:
        warnings = ("the α window is empty, so the map is zero: widen it",)
    elif not bool(total.any()):
        warnings = ("the map is zero everywhere: the baseline equals the picture, or the score does not change on the path",)
    first = paths[0]
    alphas = np.array(sorted(a for a, (_, slope) in first.points.items() if not math.isnan(slope)))
    scores = np.array([first.points[a][0] for a in alphas])
    slopes = np.array([first.points[a][1] for a in alphas])
    accumulated = np.concatenate([[0.0], np.cumsum(np.diff(alphas) * (slopes[1:] + slopes[:-1]) / 2)])
    return Draft(total, residual=residual(float(total.sum()), rise) if multiply else None, last_change=moved,
                 warnings=warnings, unit=None if multiply else f"{first.context.score.unit} per input unit",
                 details={"alphas": alphas, "scores": scores, "accumulated": accumulated, "rise": rise})
