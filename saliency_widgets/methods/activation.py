"""Activation maps: what the filters of a layer see in the picture."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from .grad_cam import LAYER, choose_layer
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .registry import method

SHEET = 256  # channels on the contact sheet


@method("activation", title="Activation maps", family="inside", rank=0, cost="1 forward pass", positions=True,
        paper="Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, arXiv 1311.2901",
        parameters=(LAYER, Parameter("channel", "index", None, "which filter; by default the most active")))
def activation(context: Context, *, layer: str | None, channel: int | None) -> Iterator[Round | Draft]:
    """The activations of one channel of a layer, `(1, h, w)`: of a channel, not of a class.

    `details` holds `sheet` float32 `(n, h, w)`, the channels' maps with the most active first and 256 at most; `order`, all
    channels by activity; `activity`, the mean of |A| over the positions by channel; `weights`, the filter itself where the
    layer is a convolution or linear. The most active channel is the default. LookupError for a channel that the layer
    has not, ValueError for a layer without positions.
    """
    name = choose_layer(context, layer)
    (_, evaluation), = yield Round([context.read(("activation",), (name,), gradients=False)])
    maps = evaluation.layers[name]["activation"]
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
    if channel is not None and channel >= len(maps):
        raise LookupError(f"layer {name!r} has no channel {channel}: it has {len(maps)}, counted from 0 to {len(maps) - 1}")
    activity = wide.abs().mean((1, 2))
    order = torch.nan_to_num(activity, nan=torch.inf).argsort(descending=True, stable=True)
    channel = int(order[0]) if channel is None else channel
    values, warnings = wide[channel], ()
    if not bool(torch.isfinite(values).all()):
        raise ValueError(f"channel {channel} of layer {name!r} is infinite or NaN at this picture: try another picture")
    if not bool(values.any()):
        warnings = (f"channel {channel} is zero everywhere: this filter finds nothing in the picture",)
    details = {"layer": name, "channel": channel, "sheet": wide[order[:SHEET]].float().cpu().numpy(),
               "order": order.cpu().numpy(), "activity": activity.cpu().numpy(),
               "weights": _filter(context, name, channel, len(maps))}
    yield Draft(values[None], unit="activation", warnings=warnings, details=details)


def _filter(context: Context, layer: str, channel: int, channels: int) -> np.ndarray | None:
    """The weights of the filter behind a channel: of a convolution or linear layer, which have one row a channel."""
    weights = context.weights(layer)
    if weights is None or weights.ndim < 2 or len(weights) != channels:
        return None
    return weights[channel].float().cpu().numpy()
