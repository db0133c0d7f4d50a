"""Gradient, alone and times the input: which pixels, changed a little, would change the score most."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ..engine.inputs import FILLS
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .registry import method


@method("gradient", title="Gradient", family="gradient", rank=0, cost="1 evaluation", gradients=True,
        paper="Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, arXiv 1312.6034")
def gradient(context: Context) -> Iterator[Round | Draft]:
    """∂score/∂x, `(C, H, W)`, in score units per unit of input; per unit of pixel value where `space="pixel"`."""
    (_, evaluation), = yield Round([context.gradient(context.image)])
    values, unit = per_value(context, evaluation.gradient)
    yield Draft(values, unit=unit, warnings=reason_for_zero(values))


def per_value(context: Context, gradient: torch.Tensor) -> tuple[torch.Tensor, str]:
    """A gradient `(C, H, W)` with respect to the input per unit of what the context asks for, and that unit."""
    if context.space != "pixel":
        return gradient, f"{context.score.unit} per input unit"
    # x = (pixel − mean)/std, so ∂/∂pixel = ∂/∂x · ∂x/∂pixel, the slope of `to_input`.
    one = torch.ones_like(gradient)
    slope = context.inputs.picture.space.to_input(one) - context.inputs.picture.space.to_input(0 * one)
    return gradient * slope, f"{context.score.unit} per pixel value"


@method("gradient_x_input", title="Gradient × input", family="gradient", rank=1, cost="1 evaluation", gradients=True,
        paper="Shrikumar, Greenside, Shcherbina, Kundaje: Not Just a Black Box, arXiv 1605.01713",
        warning="multiplies by the picture, which so shows through; gradient leaves it out",
        parameters=(
            Parameter("baseline", "fill", "zero", "what the picture's values count from; zero is that of the input space",
                      choices=("zero", *FILLS)),
            Parameter("seed", "int", 0, "which noise a noise baseline shows", minimum=0)))
def gradient_x_input(context: Context, *, baseline: Any, seed: int) -> Iterator[Round | Draft]:
    """∂score/∂x ⊙ (x − baseline), `(C, H, W)` in score units: the score's fall to the baseline, were it linear.

    "zero" is a tensor of zeros in the input space; the sum then is the score for ReLU networks without biases.
    """
    zero = isinstance(baseline, str) and baseline == "zero"
    fill = context.fill(torch.zeros(1, 1, 1) if zero else baseline, seed)
    (_, evaluation), = yield Round([context.gradient(context.image)])
    change = context.picture_tensor - context.inputs.filled(fill)
    warnings = reason_for_zero(evaluation.gradient)
    if not warnings and not bool((evaluation.gradient * change).any()):
        warnings = ("the map is zero everywhere: where the score has a gradient the picture equals the baseline",)
    yield Draft(evaluation.gradient * change, warnings=warnings)


def reason_for_zero(values: torch.Tensor) -> tuple[str, ...]:
    """Say why a gradient map is empty or broken: ValueError where it is not finite."""
    if not bool(torch.isfinite(values).all()):
        raise ValueError("the gradient became infinite or NaN at this picture: try another picture or score")
    if not bool(values.any()):
        return ("the map is zero everywhere: the score does not change with the picture near here "
                "(a saturated or dead output)",)
    return ()
