"""Blur Integrated Gradients: at which scales the score arises, along a path that sharpens the picture."""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..engine.probe import Evaluation
from ..model.outputs import wide
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .quadrature import change, coarse_to_fine, covering, even, interval_weights, residual, shown
from .registry import method

PAIR_STEPS, PAIR_SIGMA, PAIR_DIFFERENCE, PAIR_CUT = 100, 50.0, 0.01, 4.0
CHUNK = 10  # steps of the pair rule whose blurred pictures are held at a time


def sigmas(spacing: str, steps: int, sigma_max: float) -> list[float]:
    """The grid 0..`sigma_max` in pixels: log (1 + σmax)^u − 1, quadratic σmax u², linear σmax u, for u on i/steps."""
    curve = {"log": lambda u: (1 + sigma_max) ** u - 1, "quadratic": lambda u: sigma_max * u * u,
             "linear": lambda u: sigma_max * u}[spacing]
    return [*(curve(u) for u in even(steps)[:-1]), sigma_max]


def _window(params: dict) -> tuple[list[float], float, float]:
    start, end = params["sigma"][0], min(params["sigma"][1], params["sigma_max"])
    if start > end:
        raise ValueError(f"sigma={params['sigma']!r} does not fit: the window starts above sigma_max={params['sigma_max']:g}")
    return sigmas(params["spacing"], params["steps"], params["sigma_max"]), start, end


def _evaluations(context: Context, params: dict) -> int:
    if params["rule"] == "pair":
        return PAIR_STEPS + 1
    low, high = covering(*_window(params))
    return high - low + 1


@method("blur_ig", title="Blur IG", family="path", rank=1, cost="1 evaluation a step, and 1", gradients=True,
        evaluations=_evaluations,
        paper="Xu, Venugopalan, Sundararajan: Attribution in Scale and Space, arXiv 2004.03383",
        parameters=(
            Parameter("steps", "int", 64, "intervals from sharp to blurred; doubling reuses every point",
                      minimum=1, maximum=1024, choices=(8, 16, 32, 64, 128, 256, 512, 1024)),
            Parameter("sigma", "window", (0.0, 50.0), "the blurs that are summed, 0 the picture itself",
                      minimum=0.0, maximum=500.0, step=0.1, unit="px"),
            Parameter("sigma_max", "float", 50.0, "the blur at which the path starts", minimum=0.1, maximum=500.0, unit="px"),
            Parameter("spacing", "choice", "log", "how the blurs are spaced", choices=("log", "quadratic", "linear")),
            Parameter("rule", "choice", "secant", "secant, or pair: as PAIR's saliency library sums it",
                      choices=("secant", "pair"))))
def blur_ig(context: Context, *, steps: int, sigma: tuple[float, float], sigma_max: float, spacing: str,
            rule: str) -> Iterator[Round | Draft]:
    """−∫ ∂score/∂x(L_σ) ⊙ ∂L_σ/∂σ dσ with L_σ the picture under a Gaussian blur, `(C, H, W)` in score units.

    Each interval adds ½(gᵢ + gᵢ₊₁) ⊙ (Lᵢ − Lᵢ₊₁); between grid points gradient and picture count as linear, so windows
    add up and any window of a kept path costs nothing. `residual` compares the sum with the score's rise from the
    window's blurred end to its sharp one.
    """
    if rule == "pair":
        if sigma != (0.0, 50.0):
            raise ValueError(f"sigma={sigma!r} does not fit: rule=\"pair\" has no windows, use rule=\"secant\"")
        yield from _pair(context)
        return
    grid, start, end = _window({"sigma": sigma, "sigma_max": sigma_max, "spacing": spacing, "steps": steps})
    path, previous = _Path(context, grid, start, end), None
    for number, stage in enumerate(path.stages):
        new = [i for i in stage if i not in path.scores]
        reply = yield Round([context.gradient(context.blurred(grid[i])) for i in new])
        for (_, evaluation), i in zip(reply, new):
            path.fold(number, i, evaluation)
        if number in path.shown:
            total = path.totals[number]
            yield path.judged(number, change(total, previous))
            previous = total


class _Path:
    """What has been folded of the blur path: for every stage the sum of gradients, each times its change of picture."""

    def __init__(self, context: Context, grid: Sequence[float], start: float, end: float):
        self.context, self.grid, self.start, self.end = context, grid, start, end
        self.stages = coarse_to_fine(*covering(grid, start, end))
        self.shown = shown(self.stages, context.watched)
        self.weights = [interval_weights([grid[i] for i in stage], start, end) for stage in self.stages]
        self.sharp = context.picture_tensor
        self.totals = [torch.zeros_like(self.sharp) for _ in self.stages]
        self.scores: dict[int, float] = {}
        extremes = self.sharp.aminmax(dim=-1)
        self.flat = bool((extremes.max.amax(-1) == extremes.min.amin(-1)).all())  # a blur changes it by rounding only
        # By stage and point: ⟨g, L − L of the interval's other end⟩ for the interval to the left and to the right.
        self.products: list[dict[int, tuple[float, float]]] = [{} for _ in self.stages]
        self._pictures: dict[int, Tensor] = {}

    def picture(self, i: int) -> Tensor:
        """The blurred picture at grid point i, made once."""
        if i not in self._pictures:
            name = self.context.image if self.flat else self.context.blurred(self.grid[i])
            self._pictures[i] = wide(self.context.inputs.tensor(name))
        return self._pictures[i]

    def fold(self, number: int, i: int, evaluation: Evaluation) -> None:
        """Add a gradient to the sums of its own and all finer stages; ValueError where it is not finite."""
        if not math.isfinite(evaluation.score) or not bool(torch.isfinite(evaluation.gradient).all()):
            raise ValueError(f"the score or its gradient became infinite or NaN at σ = {self.grid[i]:g} px: "
                             f"choose a sigma window without it, or another picture")
        self.scores[i] = evaluation.score
        for later in range(max(number, self.shown.start), self.shown.stop):
            stage, weights, products = self.stages[later], self.weights[later], [0.0, 0.0]
            at = stage.index(i)
            for side, (j, k) in enumerate(((at - 1, at), (at, at + 1))):
                if j < 0 or k == len(stage):
                    continue
                step = self.picture(stage[j]) - self.picture(stage[k])
                products[side] = float(torch.dot(evaluation.gradient.flatten(), step.flatten()))
                # The left interval knows this point as its right end.
                self.totals[later].addcmul_(evaluation.gradient, step, value=weights[j][1 - side])
            self.products[later][i] = tuple(products)

    def judged(self, number: int, moved: float | None) -> Draft:
        """The map of a stage with its residual, score curve and accumulated sum from σ = 0 outwards."""
        stage, total = self.stages[number], self.totals[number]
        at = [self.grid[i] for i in stage]
        scores = np.array([self.scores[i] for i in stage])
        rise = float(np.interp(self.start, at, scores) - np.interp(self.end, at, scores))
        products = [self.products[number][i] for i in stage]
        steps = [(left[1] + right[0]) / 2 for left, right in zip(products, products[1:])]
        warnings = ()
        if self.start == self.end:
            warnings = ("the σ window is empty, so the map is zero: widen it",)
        elif not bool(total.any()):
            warnings = (_ZERO,)
        return Draft(total, residual=None if self.flat else residual(float(total.sum()), rise), last_change=moved,
                     warnings=warnings, details={"sigmas": np.array(at), "scores": scores, "rise": rise,
                                                 "accumulated": np.concatenate([[0.0], np.cumsum(steps)])})


_ZERO = "the map is zero everywhere: blurring does not change the picture, or the score does not change on the path"


def _pair(context: Context) -> Iterator[Round | Draft]:
    """PAIR's rule: left ends of equal steps of σ, a forward difference in σ, zero borders, blurred in float64."""
    x = context.picture_tensor.to("cpu", torch.float64)
    grid = sigmas("linear", PAIR_STEPS, PAIR_SIGMA)
    total, scores, steps = torch.zeros_like(x), [], []
    for first in range(0, PAIR_STEPS, CHUNK):
        chunk = grid[first:first + CHUNK]
        blurred = [zero_border_blur(x, s) for s in chunk]
        reply = yield Round([context.gradient(context.given(picture)) for picture in blurred], keep=False)
        for (_, evaluation), s, picture in zip(reply, chunk, blurred):
            if not bool(torch.isfinite(evaluation.gradient).all()):
                raise ValueError(f"the gradient became infinite or NaN at σ = {s:g} px: try another picture or rule")
            slope = (zero_border_blur(x, s + PAIR_DIFFERENCE) - picture) / PAIR_DIFFERENCE
            step = slope * evaluation.gradient.to(x) * (-PAIR_SIGMA / PAIR_STEPS)
            total += step
            scores.append(evaluation.score)
            steps.append(float(step.sum()))
    (_, last), = yield Round([context.forward(context.given(zero_border_blur(x, PAIR_SIGMA)))], keep=False)
    scores.append(context.score_of(last))
    rise = scores[0] - scores[-1]
    note = f'rule="pair" always takes {PAIR_STEPS} equal steps to σ = {PAIR_SIGMA:g} px, with black borders of the input space'
    yield Draft(total, residual=residual(float(total.sum()), rise), warnings=(note,) if total.any() else (note, _ZERO),
                details={"sigmas": np.array(grid), "scores": np.array(scores), "rise": rise,
                         "accumulated": np.concatenate([[0.0], np.cumsum(steps)])})


def zero_border_blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of `(C, H, W)` with zeros around it, the kernel cut at 4σ, as `scipy.ndimage` does it."""
    for axis in (-1, -2) if sigma > 0 else ():
        length = image.shape[axis]
        distance = (torch.arange(length)[:, None] - torch.arange(length)).abs().to(image)
        radius = int(PAIR_CUT * sigma + 0.5)
        whole = torch.exp(-0.5 * (torch.arange(-radius, radius + 1).to(image) / sigma) ** 2).sum()
        matrix = torch.exp(-0.5 * (distance / sigma) ** 2) * (distance <= radius) / whole
        image = (image.movedim(axis, -1) @ matrix).movedim(-1, axis)
    return image
