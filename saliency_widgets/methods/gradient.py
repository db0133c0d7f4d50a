"""Gradient: which pixels, changed a little, would change the score most."""
from __future__ import annotations

from collections.abc import Iterator

import torch

from ..engine.probe import Image
from .protocol import Context, Draft, Round
from .registry import method


@method("gradient", title="Gradient", family="gradient", cost="1 evaluation", gradients=True,
        paper="Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, arXiv 1312.6034")
def gradient(context: Context) -> Iterator[Round | Draft]:
    """∂score/∂x, `(C, H, W)`, in score units per unit of input; per unit of pixel value where `space="pixel"`."""
    (_, evaluation), = yield Round([context.gradient(Image())])
    values = evaluation.gradient
    if context.space == "pixel":
        # x = (pixel − mean)/std, so ∂/∂pixel = ∂/∂x · ∂x/∂pixel, the slope of `to_input`.
        one = torch.ones_like(values)
        values = values * (context.inputs.picture.space.to_input(one) - context.inputs.picture.space.to_input(0 * one))
    per = "pixel value" if context.space == "pixel" else "input unit"
    yield Draft(values, unit=f"{context.score.unit} per {per}", warnings=reason_for_zero(values))


def reason_for_zero(values: torch.Tensor) -> tuple[str, ...]:
    """Say why a gradient map is empty or broken: ValueError where it is not finite."""
    if not bool(torch.isfinite(values).all()):
        raise ValueError("the gradient became infinite or NaN at this picture: try another picture or score")
    if not bool(values.any()):
        return ("the map is zero everywhere: the score does not change with the picture near here "
                "(a saturated or dead output)",)
    return ()
