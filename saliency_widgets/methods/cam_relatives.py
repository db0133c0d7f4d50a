"""Grad-CAM's relatives, which weigh the same activations otherwise: all from one forward and backward."""
from __future__ import annotations

from collections.abc import Iterator

from .grad_cam import LAYER, choose_layer, gradients_at_layers, layer_map
from .protocol import Context, Draft, Round
from .registry import method


def _from_one_pass(context: Context, layer: str | None, reduction: str) -> Iterator[Round | Draft]:
    name = choose_layer(context, layer)
    (_, evaluation), = yield Round([gradients_at_layers(context, reduction)])
    yield layer_map(context, name, {n: terms[reduction] for n, terms in evaluation.layers.items()})


@method("grad_cam_plus_plus", title="Grad-CAM++", family="cam", rank=1, cost="1 evaluation for all layers and CAMs",
        gradients=True,
        positions=True, default_sign="positive", parameters=(LAYER,),
        paper="Chattopadhay et al.: Grad-CAM++, arXiv 1710.11063")
def grad_cam_plus_plus(context: Context, *, layer: str | None) -> Iterator[Round | Draft]:
    """Σₖ wₖ Aₖ, wₖ = Σ_xy relu(gₖ) gₖ² / (2gₖ² + ΣAₖ gₖ³), before its ReLU: `(1, h, w)` (equation 19).

    It weighs positive gradients only, each position for itself, so that several objects of a class all count.
    """
    return _from_one_pass(context, layer, "cam_plus_plus")


@method("hires_cam", title="HiResCAM", family="cam", rank=2, cost="1 evaluation for all layers and CAMs", gradients=True,
        positions=True, parameters=(LAYER,),
        paper="Draelos, Carin: Use HiResCAM instead of Grad-CAM, arXiv 2011.08891")
def hires_cam(context: Context, *, layer: str | None) -> Iterator[Round | Draft]:
    """Σₖ gₖ ⊙ Aₖ, `(1, h, w)`: gradients are not averaged, so that only positions the model used show.

    Where one linear layer follows, pooled or not, the values sum to the logit but for the bias; where pooling lies
    between, it is Grad-CAM.
    """
    return _from_one_pass(context, layer, "hires_cam")


@method("layer_cam", title="LayerCAM", family="cam", rank=3, cost="1 evaluation for all layers and CAMs", gradients=True,
        positions=True, default_sign="positive", parameters=(LAYER,),
        paper="Jiang et al.: LayerCAM, IEEE Transactions on Image Processing 2021")
def layer_cam(context: Context, *, layer: str | None) -> Iterator[Round | Draft]:
    """Σₖ relu(gₖ) ⊙ Aₖ before its ReLU, `(1, h, w)`: made for early layers, where an averaged gradient says little."""
    return _from_one_pass(context, layer, "layer_cam")


@method("xgrad_cam", title="XGrad-CAM", family="cam", rank=4, cost="1 evaluation for all layers and CAMs", gradients=True,
        positions=True, default_sign="positive", parameters=(LAYER,),
        paper="Fu et al.: Axiom-based Grad-CAM, arXiv 2008.02312")
def xgrad_cam(context: Context, *, layer: str | None) -> Iterator[Round | Draft]:
    """Σₖ wₖ Aₖ, wₖ = Σ gₖ Aₖ / Σ Aₖ, before its ReLU: `(1, h, w)`.

    Its sum is that of gradient times activation. It is made for layers behind a ReLU: where a channel's positive and
    negative values cancel, its weight is anything.
    """
    return _from_one_pass(context, layer, "xgrad_cam")


@method("eigen_cam", title="EigenCAM", family="cam", rank=5, cost="1 forward pass for all layers", positions=True,
        default_sign="positive", parameters=(LAYER,),
        warning="the same for every class: it shows where the layer is active, not what speaks for the class",
        paper="Muhammad, Yeasin: Eigen-CAM, arXiv 2008.00299")
def eigen_cam(context: Context, *, layer: str | None) -> Iterator[Round | Draft]:
    """The activations on their first right-singular vector, `(1, h, w)`, centred over the positions; no class, no gradient.

    The sign, which a singular vector has not, is the one with which the map rises with Σₖ|Aₖ|.
    """
    name = choose_layer(context, layer)
    (_, evaluation), = yield Round([context.read(("eigen_cam",), gradients=False)])
    yield layer_map(context, name, {n: terms["eigen_cam"] for n, terms in evaluation.layers.items()},
                    unit="activation", gradients=False)
