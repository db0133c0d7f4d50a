"""Grad-CAM: where a layer's activations speak for the class, for every layer from one forward and backward."""
from __future__ import annotations

from collections.abc import Iterator

import torch

from ..engine.probe import Image, Probe
from ..model.layers import find_layer
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .registry import method

_REDUCTIONS = {"all": "cam", "guided": "cam_guided"}


@method("grad_cam", title="Grad-CAM", family="cam", cost="1 evaluation for all layers", gradients=True, positions=True,
        default_sign="positive",
        paper="Selvaraju et al.: Grad-CAM, arXiv 1610.02391",
        parameters=(
            Parameter("layer", "layer", None, "whose activations are shown; by default the last with positions"),
            Parameter("gradients", "choice", "all", "average all gradients, or only positive ones at active positions",
                      choices=("all", "guided"))))
def grad_cam(context: Context, *, layer: str | None, gradients: str) -> Iterator[Round | Draft]:
    """Σₖ mean_xy(∂y/∂Aₖ) Aₖ before its ReLU, `(1, h, w)` at the layer's resolution (equations 1 and 2).

    ReLU and upsampling are views; `details["maps"]` holds the map of every layer. ValueError for a model or layer
    without positions, LookupError for an unknown layer.
    """
    name = choose_layer(context, layer)
    reductions = tuple(_REDUCTIONS.values())
    (_, evaluation), = yield Round([Probe(Image(), "layers", context.score, reductions)])
    maps = {n: terms[_REDUCTIONS[gradients]] for n, terms in evaluation.layers.items()}
    values = maps[name]
    if not bool(torch.isfinite(values).all()):
        raise ValueError(f"the gradient at layer {name!r} became infinite or NaN: try another picture or score")
    warnings = ()
    if not bool(values.any()):
        warnings = ("the map is zero everywhere: the score has no gradient at this layer (a saturated or dead output)",)
    elif not bool((values > 0).any()):
        warnings = ("every value is negative, so the usual view (ReLU) is empty: this layer speaks against the class",)
    yield Draft(values[None], warnings=warnings,
                details={"layer": name, "maps": {n: v.detach().cpu().numpy() for n, v in maps.items()}})


def choose_layer(context: Context, layer: str | None) -> str:
    """The layer's own name for a given name, alias or None; it must have positions."""
    if layer is None:
        if context.default_layer is None:
            raise ValueError("this model has no layer with positions (channels × height × width) for Grad-CAM: "
                             "use gradient, integrated_gradients or leave_one_out")
        return context.default_layer
    found = find_layer(context.layers, layer)
    if not found.spatial:
        raise ValueError(f"layer {layer!r} gives shape {found.shape}, without positions: choose one of "
                         f"{', '.join(l.name for l in context.layers if l.spatial)}")
    return found.name
