"""Meaningful Perturbation: the smallest smooth part of the picture whose loss takes the class away, learned by descent."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..engine.inputs import FILL_BLUR, FILLS
from ..engine.probe import Score
from ..model.pictures import to_uint8
from ..model.preprocessing import PixelSpace
from .descent import Descent
from .parameters import Parameter
from .perturbation_mask import Crossfade, Enlarging, VaryingBlur, disc, penalty
from .protocol import Context, Draft, Round
from .registry import method

DISCS = 16       # radii tried for the start
SUPPRESSED = 0.99
STAGES = 30      # of the film
NOTHING = 1e-6   # a fall of the score, relative, that is rounding
FAINT = 0.01     # a probability below which there is nothing worth taking away


def _evaluations(context: Context, params: dict) -> int:
    return DISCS + 2 + params["iterations"]


@method("meaningful_perturbation", title="Meaningful Perturbation", family="cut", rank=5, cost="1 evaluation an iteration",
        gradients=True, signed=False, default_sign="positive", course="iterations", evaluations=_evaluations,
        paper="Fong, Vedaldi: Interpretable Explanations of Black Boxes by Meaningful Perturbation, arXiv 1704.03296",
        parameters=(
            Parameter("game", "choice", "deletion", "take away as little as destroys the class, or keep as little as holds it",
                      choices=("deletion", "preservation")),
            Parameter("fill", "fill", "blur", "what a removed place shows", choices=FILLS),
            Parameter("iterations", "int", 300, "steps of Adam", minimum=1, maximum=5000),
            Parameter("mask_size", "grid", 28, "cells of the mask along each side, or (rows, columns)", minimum=1,
                      maximum=2048, choices=(7, 14, 28, 56, 112, 224)),
            Parameter("l1", "float", 1e-4, "price of each cell that is taken away (kept, in the preservation game)",
                      minimum=0, maximum=1),
            Parameter("tv", "float", 1e-2, "price of the mask's roughness", minimum=0, maximum=10),
            Parameter("beta", "float", 3.0, "power of the mask's differences in the roughness", minimum=1, maximum=8),
            Parameter("jitter", "int", 3, "range of the picture's shifts under the mask", minimum=0, maximum=32, unit="px"),
            Parameter("lr", "float", 0.1, "step size of Adam", minimum=1e-4, maximum=1),
            Parameter("mask_blur", "float", 5.0, "blur of the enlarged mask", minimum=0, maximum=50, unit="px"),
            Parameter("fill_blur", "float", FILL_BLUR, "blur of the fill", minimum=0.5, maximum=100, unit="px"),
            Parameter("blur", "choice", "crossfade", "fade into one blurred picture, or blur each place by its own amount",
                      choices=("crossfade", "varying")),
            Parameter("seed", "int", 0, "names the draws of shifts and noise", minimum=0)))
def meaningful_perturbation(context: Context, *, game: str, fill: Any, iterations: int, mask_size: tuple[int, int], l1: float,
                            tv: float, beta: float, jitter: int, lr: float, mask_blur: float, fill_blur: float, blur: str,
                            seed: int) -> Iterator[Round | Draft]:
    """What was taken away, 1 − m (deletion), or kept, m (preservation): `(1, H, W)` in 0..1, unsigned.

    Deletion minimises λ1·Σ|1 − m| + λ2·Σ|∇m|^β + p(Φ(x; m)), preservation λ1·Σ|m| + λ2·Σ|∇m|^β − p(Φ(x; m)), by Adam on
    the mask's cells (sections 4.2 and 4.3). p is the class's probability whatever the session's score is, but a margin or a
    function of one's own stays what it is. Each iteration shifts the picture under the mask by 0 to `jitter` pixels along
    each axis, counted from the middle. `details` holds `before` and `after` (p of the picture and of Φ at the end), `picture`
    (that Φ, uint8), `film` (dicts of iteration, mask uint8 `(H, W)`, picture, score, objective), `scores`, `objectives` (one an
    iteration, with its shift), `mask` (the cells). ValueError for a varying blur of another fill than "blur".
    """
    if blur == "varying" and not (isinstance(fill, str) and fill == "blur"):
        raise ValueError(f'blur="varying" blurs each place by its own amount, which fill={fill!r} has not: '
                         f'use fill="blur", or blur="crossfade"')
    context = context.scored(objective(context))
    x, kernels, space = context.picture_tensor, context.kernels, context.inputs.picture.space
    size = tuple(x.shape[1:])
    cells = tuple(min(c, s) for c, s in zip(mask_size, size))
    if blur == "varying":
        perturbed = VaryingBlur(x, fill_blur, space, kernels)
    elif isinstance(fill, str) and fill == "blur":
        perturbed = Crossfade(x, space.to_input(kernels.gaussian_blur(space.to_pixels(x), fill_blur)), jitter)
    else:
        perturbed = Crossfade(x, context.inputs.filled(context.fill(fill, seed)), jitter)
    enlarged = Enlarging(cells, size, mask_blur, x, kernels)
    course, sign = Course(game, iterations, space), 1 if game == "deletion" else -1

    (_, whole), = yield Round([context.forward(context.image)])
    before = _finite(context.score_of(whole))
    mask, reached = yield from _start(context, game, cells, before, lambda m: perturbed(enlarged(m)))
    mask.requires_grad_(True)
    descent = Descent(mask.detach(), lr)
    # Draw 0 is the noise fill's. One long draw: more iterations begin with the same shifts.
    shifts = (kernels.uniform(seed, 1, 2 * iterations, x.device) * (jitter + 1)).long() - jitter // 2
    for step, shift in enumerate(shifts.view(-1, 2).tolist()):
        with torch.enable_grad():
            shown = enlarged(mask)
            phi = perturbed(shown, shift)
            price = penalty(mask, game, l1, tv, beta)
        (_, found), = yield Round([context.gradient(context.given(phi))], keep=False)
        if not bool(torch.isfinite(found.gradient).all()):
            raise ValueError(f"the gradient became infinite or NaN at iteration {step}: try another fill or a smaller lr")
        if course.add(step, shown, lambda m=shown: perturbed(m), found.score, float(price) + sign * found.score):
            yield course.draft(before=before, objective_score=context.score.unit)
        with torch.enable_grad():
            slope, = torch.autograd.grad((phi * (sign * found.gradient)).sum() + price, mask)
        descent.step(slope)
        with torch.no_grad():
            mask.clamp_(0, 1)
    mask = mask.detach()
    shown = enlarged(mask)
    phi = perturbed(shown)
    (_, last), = yield Round([context.forward(context.given(phi))], keep=False)
    after = _finite(context.score_of(last))
    course.add(iterations, shown, lambda: phi, after, float(penalty(mask, game, l1, tv, beta)) + sign * after)
    warnings = [*_doubts(context.score, game, before, after, reached)]
    if cells != tuple(mask_size):
        warnings.append(f"the picture is smaller than {mask_size[0]} × {mask_size[1]} cells: "
                        f"the mask has {cells[0]} × {cells[1]}, none smaller than a pixel")
    yield course.draft(warnings=tuple(warnings), before=before, after=after, picture=course.film[-1]["picture"],
                       mask=mask.cpu().numpy(), objective_score=context.score.unit)


def objective(context: Context) -> Score:
    """The class's probability; a margin or a function of the user's own stays what it is."""
    if context.score.name or context.score.kind == "margin":
        return context.score
    return replace(context.score, kind="probability", contrast=None)


@dataclass
class Course:
    """How the mask came about: score and objective of each iteration, and a film of `STAGES` masks."""

    game: str
    iterations: int
    space: PixelSpace
    film: list[dict] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    objectives: list[float] = field(default_factory=list)
    values: Tensor | None = None
    change: float | None = None

    def add(self, step: int, shown: Tensor, phi: Callable[[], Tensor], score: float, objective: float) -> bool:
        """Note one iteration, whose Φ without shift is `phi()`; True where it is a stage of the film."""
        if step < self.iterations:
            self.scores.append(score)
            self.objectives.append(objective)
        if step % max(1, self.iterations // STAGES) and step < self.iterations:
            return False
        shown = shown.detach().clamp(0, 1)
        values = 1 - shown if self.game == "deletion" else shown
        if self.values is not None:
            self.change = float((values - self.values).abs().sum() / values.abs().sum().clamp_min(1e-12))
        self.values = values
        self.film.append({"iteration": step, "mask": values.mul(255).round().byte().cpu().numpy(),
                          "picture": to_uint8(self.space.to_pixels(phi().detach())), "score": score, "objective": objective})
        return True

    def draft(self, warnings: tuple[str, ...] = (), **details: Any) -> Draft:
        """The map as it is now: each stage is shown while the mask is learned."""
        return Draft(self.values[None], last_change=self.change, warnings=warnings,
                     unit="share taken away" if self.game == "deletion" else "share kept",
                     details={"film": list(self.film), "scores": np.array(self.scores),
                              "objectives": np.array(self.objectives), **details})


def _finite(value: float) -> float:
    if not np.isfinite(value):
        raise ValueError("the score became infinite or NaN for a perturbed picture: try another fill")
    return value


def _start(context: Context, game: str, cells: tuple[int, int], before: float, perturbed) -> Iterator:
    """The smallest centred disc that suppresses 99 % of what the whole fill does (shown alone: that keeps 99 % of it).

    Returns the mask `(h, w)`, and whether covering the picture lowers the score at all; where it does not, the disc of
    the lowest (preservation: highest) score is the start.
    """
    like, size = context.picture_tensor, context.shape[1:]
    discs = [disc(cells, size, (k + 1) / DISCS, like) for k in range(DISCS)]
    if game == "deletion":
        discs = [1 - d for d in discs]
    bare = torch.zeros(cells, dtype=like.dtype, device=like.device)
    names = [context.given(perturbed(mask)) for mask in [bare, *discs[:-1]]]
    # The last disc covers everything, or shows everything: in either game one of the two ends is known.
    scores = []
    for _, found in (yield Round([context.forward(name) for name in names], keep=False)):
        scores.append(_finite(context.score_of(found)))
    covered, scores = scores[0], [*scores[1:], scores[0] if game == "deletion" else before]
    fall = before - covered
    if fall <= NOTHING * abs(before):
        best = int(np.argmin(scores) if game == "deletion" else np.argmax(scores))
        return discs[best].clone(), False
    done = [before - s if game == "deletion" else s - covered for s in scores]
    return discs[next(k for k, d in enumerate(done) if d >= SUPPRESSED * fall)].clone(), True


def _doubts(score: Score, game: str, before: float, after: float, reached: bool) -> Iterator[str]:
    """What makes the map doubtful, in words."""
    if score.unit == "probability" and before < FAINT:
        yield f"the class has a probability of {before:.2g} to begin with: there is little to take away"
    if not reached:
        yield "covering the whole picture does not lower the score: with this fill the game has no answer"
    elif game == "deletion" and after > before / 2 and before > 0:
        yield f"the {score.unit} only fell from {before:.3g} to {after:.3g}: lower l1 and tv, or take more iterations"
    elif game == "preservation" and after < before / 2:
        yield f"the {score.unit} did not hold: {before:.3g} fell to {after:.3g}: lower l1 and tv, or take more iterations"
