"""Grad-CAM, and what the whole family shares: the choice of the layer, and one pass that serves every relative."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from ..engine.devices import all_to_host
from ..engine.probe import Probe
from ..model.layers import Layer, find_layer
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .registry import method

# Kept together of every layer, so that stepping from one relative to the next evaluates nothing. Grad-CAM itself, which
# opens the picture, does not wait for them: together they take longer than the pass itself.
REDUCTIONS = ("cam", "cam_guided", "cam_plus_plus", "hires_cam", "layer_cam", "xgrad_cam")

LAYER = Parameter("layer", "layer", None, "whose activations are shown; by default the last with positions")


@method("grad_cam", title="Grad-CAM", family="cam", rank=0, cost="1 evaluation for all layers", gradients=True, positions=True,
        default_sign="positive",
        paper="Selvaraju et al.: Grad-CAM, arXiv 1610.02391",
        parameters=(LAYER, Parameter("gradients", "choice", "all",
                                     "average all gradients, or only positive ones at active positions",
                                     choices=("all", "guided"))))
def grad_cam(context: Context, *, layer: str | None, gradients: str) -> Iterator[Round | Draft]:
    """Σₖ mean_xy(∂y/∂Aₖ) Aₖ before its ReLU, `(1, h, w)` at the layer's resolution (equations 1 and 2).

    ReLU and upsampling are views (no ReLU follows guided gradients); `details["maps"]` holds the map of every layer.
    ValueError for a model or layer without positions, LookupError for an unknown layer.
    """
    name = choose_layer(context, layer)
    reduction, sign = {"all": ("cam", None), "guided": ("cam_guided", "both")}[gradients]
    (_, evaluation), = yield Round([gradients_at_layers(context, reduction)])
    draft = layer_map(context, name, {n: terms[reduction] for n, terms in evaluation.layers.items()})
    yield replace(draft, default_sign=sign)


def gradients_at_layers(context: Context, reduction: str = "cam") -> Probe:
    """The forward and backward pass that a gradient CAM reads, at every layer with positions."""
    return context.read(("cam",) if reduction == "cam" else REDUCTIONS)


def choose_layer(context: Context, layer: str | None) -> str:
    """The layer's own name for a given name, alias or None; it must have positions.

    LookupError for an unknown layer, ValueError for one without positions, with those that have them.
    """
    if layer is None:
        if context.default_layer is None:
            raise ValueError("this model has no layer with positions (channels × height × width, or patches): "
                             "use gradient, integrated_gradients or leave_one_out")
        return context.default_layer
    found = find_layer(context.layers, layer)
    if not found.spatial:
        fit = [la.name for la in context.layers if la.spatial]
        raise ValueError(f"layer {layer!r} gives shape {found.shape}, {_lack(found)}: choose one of "
                         f"{', '.join(fit) or 'another model'}")
    return found.name


def _lack(layer: Layer) -> str:
    return "in windows or rows that are not the picture's positions" if layer.apart else "without positions"


def layer_map(context: Context, name: str, maps: Mapping[str, torch.Tensor], unit: str | None = None,
              gradients: bool = True) -> Draft:
    """The map of one layer, with those of all `(h, w)` beside it; ValueError where it is not finite.

    `gradients` says that the values come from gradients, for the words where there is nothing to see.
    """
    values = maps[name]
    if not bool(torch.isfinite(values).all()):
        what = "gradient" if gradients else "output"
        raise ValueError(f"the {what} at layer {name!r} became infinite or NaN: try another picture or score")
    return Draft(values[None], warnings=_remarks(context, name, values, gradients), unit=unit,
                 details={"layer": name, "maps": all_to_host(maps)})


def _remarks(context: Context, name: str, values: torch.Tensor, gradients: bool) -> tuple[str, ...]:
    if not bool(values.any()):
        if not gradients:
            return ("the map is zero everywhere: what this layer gives for this picture is zero or the same at all positions",)
        if find_layer(context.layers, name).idle:
            return (f"the map is zero everywhere: behind this layer the model reads its class token alone; the last layer "
                    f"whose patches matter is {context.default_layer}",)
        return ("the map is zero everywhere: the score has no gradient at this layer (a saturated or dead output)",)
    if not bool((values > 0).any()):
        return ("every value is negative: this layer speaks against the class, and a view of what is positive (ReLU) is empty",)
    return ()
