"""CAM: the first of its family, exact for networks that end in global average pooling and one linear layer."""
from __future__ import annotations

from collections.abc import Iterator

from ..model.layers import find_layer
from .grad_cam import LAYER, layer_map
from .protocol import Context, Draft, Round
from .registry import method


@method("cam", title="CAM", family="cam", rank=7, cost="1 forward pass", positions=True, parameters=(LAYER,),
        paper="Zhou et al.: Learning Deep Features for Discriminative Localization, arXiv 1512.04150")
def cam(context: Context, *, layer: str | None) -> Iterator[Round | Draft]:
    """Σₖ wₖ Aₖ, `(1, h, w)` in logits: the mean over the positions is the class's logit but for the bias (equation 2).

    w are the class's weights in the one linear layer behind global average pooling; where a map per class is averaged
    (SqueezeNet) it is that map. A margin takes the difference of two classes. ValueError, naming Grad-CAM, for any other
    model, another layer than the pooled one, or a score that is a function of the user's.
    """
    score = context.score
    if score.name:
        raise ValueError("CAM explains a class's own score, not a function of the output: use grad_cam")
    head = context.head()
    if layer is not None and find_layer(context.layers, layer).name != head.layer:
        raise ValueError(f"CAM exists at layer {head.layer!r} only, whose mean is what the last layer reads, not at {layer!r}: "
                         f"leave layer out, or use grad_cam, which works at any layer with positions")
    (_, evaluation), = yield Round([context.read(("activation",), (head.layer,), gradients=False)])
    activations = evaluation.layers[head.layer]["activation"]
    values = head.map(activations, score.target)
    if score.kind == "margin":
        values = values - head.map(activations, score.contrast)
    yield layer_map(context, head.layer, {head.layer: values}, unit="logit", gradients=False)
