"""Score-CAM: each channel is weighed by the score of the picture seen through it, without any gradient."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from ..engine.inputs import FILLS
from ..model.layers import find_layer
from .grad_cam import LAYER, choose_layer, layer_map
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .registry import method

STAGE = 64  # channels before the first draft; each later one has twice as many


def _evaluations(context: Context, params: Mapping[str, Any]) -> int:
    channels = find_layer(context.layers, choose_layer(context, params["layer"])).channels
    return 1 + min(channels, params["limit"] or channels)


@method("score_cam", title="Score-CAM", family="cam", rank=6, cost="1 forward pass a channel", positions=True,
        default_sign="positive", evaluations=_evaluations,
        paper="Wang et al.: Score-CAM, arXiv 1910.01279",
        parameters=(
            LAYER,
            Parameter("limit", "int", 0, "how many channels to weigh, those that vary most; 0 takes all", minimum=0,
                      maximum=4096),
            Parameter("fill", "fill", "zero", "what a channel hides; zero is that of the input space, as in the paper",
                      choices=("zero", *FILLS)),
            Parameter("seed", "int", 0, "which noise a noise fill shows", minimum=0)))
def score_cam(context: Context, *, layer: str | None, limit: int, fill: Any, seed: int) -> Iterator[Round | Draft]:
    """Σₖ wₖ Aₖ before its ReLU, `(1, h, w)`; w is softmax over the channels of score(x ⊙ Hₖ) (equations 4 to 7).

    Hₖ is Aₖ enlarged bilinearly and normalised to 0..1. The paper takes softmax of the increase over a baseline, the same
    since the baseline is one number for all channels. Channels that are constant hide nothing and are left out. All
    logits are kept, so another class needs no evaluation; channels that vary most come first, and drafts use the channels
    so far. `details` holds `channels`, `weights` and `scores`.
    """
    name = choose_layer(context, layer)
    (_, evaluation), = yield Round([context.read(("activation",), (name,), gradients=False)])
    activations = evaluation.layers[name]["activation"]
    if not bool(torch.isfinite(activations).all()):
        raise ValueError(f"the output at layer {name!r} became infinite or NaN: try another picture or layer")
    masks, varies = _masks(activations, context.shape[1:])
    order = [k for k in varies.argsort(descending=True, stable=True).tolist() if varies[k] > 0]
    if not order:
        values = torch.zeros_like(activations[0])
        yield Draft(values[None], details={"layer": name},
                    warnings=("the map is zero everywhere: every channel of this layer is constant over the picture",))
        return
    order = order[:limit or None]
    zero = isinstance(fill, str) and fill == "zero"
    behind = context.fill(torch.zeros(1, 1, 1) if zero else fill, seed)
    # Registered one by one as they are asked for: a mask is small, its picture is made in the batch.
    probes = [context.forward(context.revealed(context.mask(masks[k]), behind)) for k in order]
    reply, scores, stage = (yield Round(probes)), [], STAGE
    for _, evaluation in reply:
        scores.append(context.score_of(evaluation))
        if len(scores) == stage and stage < len(order):
            yield _draft(context, name, activations, order, scores)
            stage *= 2
    yield _draft(context, name, activations, order, scores)


def _masks(activations: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Channels `(K, h, w)` such that they run from 0 to 1 when enlarged to `size`, and by how much they vary `(K,)`.

    Enlarging is linear with weights that sum to one, so normalising by the enlarged extremes may come before it.
    """
    low, high = [], []
    for part in activations.split(64):
        large = F.interpolate(part[None], size, mode="bilinear", align_corners=False)[0].flatten(1)
        low.append(large.amin(1))
        high.append(large.amax(1))
    low, high = torch.cat(low), torch.cat(high)
    varies = high - low
    return (activations - low[:, None, None]) / varies.clamp(min=torch.finfo(varies.dtype).tiny)[:, None, None], varies


def _draft(context: Context, name: str, activations: torch.Tensor, order: list[int], scores: list[float]) -> Draft:
    channels = torch.tensor(order[:len(scores)], device=activations.device)
    gained = torch.tensor(scores, dtype=torch.float64)
    if not bool(torch.isfinite(gained).all()):
        raise ValueError("the score became infinite or NaN for a masked picture: try another fill")
    weights = gained.softmax(0)
    values = torch.einsum("k,khw->hw", weights.to(activations), activations[channels])
    drawn = layer_map(context, name, {name: values}, unit="activation", gradients=False)
    details = {**drawn.details, "channels": channels.cpu().numpy(), "weights": weights.numpy(), "scores": gained.numpy()}
    return replace(drawn, details=details)
