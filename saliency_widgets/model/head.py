"""The head that CAM reads: global average pooling followed by one linear layer, or by nothing (a map per class)."""
from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .capture import Capture
from .layers import Layer, to_grid
from .outputs import call_model, read_scores

_REFUSAL = ("CAM needs global average pooling followed by one linear layer, or a map per class followed by global average "
            "pooling; {}: use grad_cam, which works at any layer with positions")


@dataclass(frozen=True)
class Head:
    """Scores that are means over the positions of `layer`: `weight · mean(A) + bias`, or mean(A) itself.

    A is the layer's output `(C, h, w)`, after a functional ReLU where `rectified`. `weight` is `(K, C)`, None for a map per
    class.
    """

    layer: str
    rectified: bool = False
    weight: Tensor | None = None

    def seen(self, activations: Tensor) -> Tensor:
        """What is averaged: the layer's output `(…, C, h, w)`, rectified where the model does so."""
        return activations.relu() if self.rectified else activations

    def map(self, activations: Tensor, target: int) -> Tensor:
        """Σₖ wₖ Aₖ of a class, `(h, w)` from `(C, h, w)`: its mean is the class's score but for the bias."""
        activations = self.seen(activations)
        if self.weight is None:
            return activations[target]
        return torch.einsum("k,khw->hw", self.weight[target].to(activations), activations)


# By working copy: its head for an input shape, or the words of the refusal. A changed model gets a new copy.
_known: weakref.WeakKeyDictionary[nn.Module, dict[tuple, Head | str]] = weakref.WeakKeyDictionary()


def find_head(clone: nn.Module, layers: Sequence[Layer], x: Tensor, select: Callable | str | int | None = None) -> Head:
    """The head of a model, found by inspection and checked by the numbers of one forward pass on `x` `(1, C, H, W)`.

    Remembered for each clone and input shape. ValueError, with what stands in the way, where there is none.
    """
    known = _known.setdefault(clone, {}) if isinstance(clone, nn.Module) else {}
    place = (tuple(x.shape), select)
    if place not in known:
        try:
            known[place] = _search(clone, layers, x, select)
        except LookupError as error:
            known[place] = _REFUSAL.format(error.args[0])
    if isinstance(known[place], str):
        raise ValueError(known[place])
    return known[place]


def _search(clone: nn.Module, layers: Sequence[Layer], x: Tensor, select: Callable | str | int | None) -> Head:
    spatial = [layer for layer in layers if layer.spatial]
    if not spatial:
        raise LookupError("this model has no layer with positions, nor such pooling")
    linear = _last_linear(clone, layers)
    inputs: list[Tensor] = []
    handle = linear[1].register_forward_pre_hook(lambda module, args: inputs.append(args[0].detach())) if linear else None
    try:
        with torch.no_grad(), Capture(clone, [layer.name for layer in _candidates(spatial, linear)]) as seen:
            scores = read_scores(call_model(clone, x.clone()), select)
            result = None if linear is None else linear[1](inputs[-1]).flatten(1)
    finally:
        if handle is not None:
            handle.remove()
    grids = [(layer, to_grid(seen.values[layer.name], layer)) for layer in spatial if layer.name in seen.values]
    if linear is not None and _is_score(result, scores):
        pooled = inputs[-1].flatten(1)
        for layer, grid in reversed(grids):
            for rectified in (False, True):
                if _mean_is(grid.relu() if rectified else grid, pooled):
                    return Head(layer.name, rectified, linear[1].weight.detach().flatten(1).clone())
    for layer, grid in reversed(grids):
        for rectified in (False, True):
            if _mean_is(grid.relu() if rectified else grid, scores):
                return Head(layer.name, rectified)
    if linear is None or not _is_score(result, scores):
        raise LookupError("this model's scores are not the output of one linear layer")
    raise LookupError(f"what goes into its last linear layer {linear[0]!r} is no mean over the positions of a layer")


def _last_linear(clone: nn.Module, layers: Sequence[Layer]) -> tuple[str, nn.Module] | None:
    """The linear layer, or convolution of single positions, that ran last."""
    for layer in reversed(layers):
        for name in (layer.name, *layer.aliases):
            module = clone.get_submodule(name)
            if isinstance(module, nn.Linear) and len(layer.shape) == 1:
                return name, module
            if isinstance(module, nn.Conv2d) and layer.shape[1:] == (1, 1) and _pointwise(module):
                return name, module
    return None


def _pointwise(module: nn.Conv2d) -> bool:
    return module.kernel_size == (1, 1) and module.groups == 1


def _candidates(spatial: Sequence[Layer], linear: tuple[str, nn.Module] | None) -> list[Layer]:
    """Layers that may be what is averaged: as many channels as the linear layer takes, or the last three."""
    wanted = linear[1].weight.shape[1] if linear is not None else None
    return [layer for i, layer in enumerate(spatial) if layer.channels == wanted or i >= len(spatial) - 3]


def _is_score(result: Tensor, scores: Tensor) -> bool:
    """Whether the linear layer's output is the scores, or softmax of it is."""
    return result.shape == scores.shape and (_close(result, scores) or _close(result.softmax(1), scores))


def _mean_is(grid: Tensor, wanted: Tensor) -> bool:
    return grid.shape[:2] == wanted.shape and _close(grid.mean((2, 3)), wanted)


def _close(a: Tensor, b: Any) -> bool:
    scale, kinds = float(b.abs().max()), {a.dtype, b.dtype}  # the coarser of the two decides
    tolerance = 1e-8 if kinds == {torch.float64} else 1e-4 if kinds <= {torch.float32, torch.float64} else 2e-2
    return scale > 0 and float((a - b).abs().max()) <= tolerance * scale
