"""Guided Grad-CAM: Grad-CAM says where, guided backprop says which pixels."""
from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from .grad_cam import LAYER, choose_layer, gradients_at_layers, layer_map
from .gradient import per_value
from .guided import RANDOMISED, rectified
from .protocol import Context, Draft, Round
from .registry import method


@method("guided_grad_cam", title="Guided Grad-CAM", family="cam", rank=8, cost="2 evaluations", gradients=True, positions=True,
        parameters=(LAYER,), evaluations=lambda context, params: 2,
        warning=RANDOMISED,
        paper="Selvaraju et al.: Grad-CAM, arXiv 1610.02391, section 3.2; Springenberg et al., arXiv 1412.6806")
def guided_grad_cam(context: Context, *, layer: str | None) -> Iterator[Round | Draft]:
    """relu(Grad-CAM) at the layer, enlarged bilinearly, ⊙ the guided gradient: `(C, H, W)`, in the product of their units.

    The rule of guided backprop rewrites activation calls; `coverage` says how many, a warning which it missed or where it
    is a heuristic.
    """
    name = choose_layer(context, layer)
    reply = yield Round([gradients_at_layers(context), context.gradient(context.image, rule="guided")])
    (_, plain), (_, guided) = reply
    where = layer_map(context, name, {n: terms["cam"] for n, terms in plain.layers.items()})
    large = F.interpolate(torch.as_tensor(where.values)[None].relu(), context.shape[1:], mode="bilinear", align_corners=False)[0]
    gradient, unit = per_value(context, guided.gradient)
    values = large.to(gradient) * gradient
    if not bool(torch.isfinite(values).all()):
        raise ValueError("the guided gradient became infinite or NaN at this picture: try another picture or score")
    warnings = (*where.warnings, *rectified(guided.coverage))
    if not bool(values.any()) and not any("zero everywhere" in warning for warning in warnings):
        warnings = ("the map is zero everywhere: where Grad-CAM is positive no guided gradient arrives", *warnings)
    yield Draft(values, unit=f"{context.score.unit} × {unit}", coverage=str(guided.coverage), warnings=warnings,
                details=where.details)
