"""The layers of a model in execution order, the one that Grad-CAM takes by default, and their view as grids."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from .capture import Capture, nearest
from .grids import Layout, Layouts
from .outputs import call_model, read_scores

_PREFIXES = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before a name


@dataclass(frozen=True)
class Layer:
    """One output that can be looked at.

    `name` is dotted as in `named_modules()`, `aliases` name the same output. `kind` is the class name,
    `shape` the output's shape without the batch. `channels_last` marks `(h, w, C)`, `grid` the patches (h, w)
    of token rows `(prefix + h·w, D)`, `pooling` a pooling module's output, `apart` positions that are not the
    picture's (windows), `idle` positions that the scores no longer depend on, `linear` the output of a linear
    layer without positions.
    """

    name: str
    aliases: tuple[str, ...]
    kind: str
    shape: tuple[int, ...]
    channels_last: bool = False
    pooling: bool = False
    grid: tuple[int, int] | None = None
    prefix: int = 0
    apart: bool = False
    idle: bool = False
    linear: bool = False

    @property
    def positions(self) -> tuple[int, int] | None:
        """The grid (h, w) that the output lays over the picture, or None where it has none."""
        if self.grid is not None or len(self.shape) != 3 or self.apart:
            return self.grid
        return tuple(self.shape[:2] if self.channels_last else self.shape[1:])

    @property
    def channels(self) -> int:
        """How many channels the output has; the width D of token rows."""
        last = self.channels_last or self.grid is not None
        return (self.shape[-1] if last else self.shape[0]) if self.shape else 1

    @property
    def spatial(self) -> bool:
        """Whether the output has more than one position of the picture."""
        return self.positions is not None and self.positions[0] * self.positions[1] > 1


def to_grid(tensor: Tensor, layer: Layer) -> Tensor:
    """A layer's output, or anything of its shape, as channels on positions: `(N, …)` to `(N, K, h, w)`.

    Tokens before the patches are left out. An output without positions comes back as it is.
    """
    if layer.grid is not None:
        return tensor[:, layer.prefix :].transpose(1, 2).unflatten(2, layer.grid)
    return tensor.movedim(-1, 1) if layer.channels_last and tensor.dim() == 4 else tensor


@dataclass
class _Output:
    """What a module was seen to return: a tensor at one version of its content."""

    tensor: weakref.ref
    version: int
    shape: torch.Size
    layout: Layout
    names: list[str] = field(default_factory=list)

    def same(self, tensor: Tensor) -> bool:
        return self.tensor() is tensor and self.version == tensor._version


def trace_layers(
    clone: nn.Module, x: Tensor, select: Callable | str | int | None = None
) -> tuple[tuple[Layer, ...], Any]:
    """Run the clone once on `x` `(1, C, H, W)`; returns its layers as they ran, and the output.

    Modules that give the same tensor are one layer, named after the outermost of those that merely pass it
    on: squeezenet's `features` has the alias `features.12`. An in-place operation makes another tensor of
    it. A module used twice stands where it ran last. Modules that return no single tensor are left out; a
    ScriptModule has no layers. Where class tokens stand before the patches, a second run with a backward pass
    finds the layers behind which the scores (read by `select`) depend on these tokens alone.
    """
    if not isinstance(clone, nn.Module) or isinstance(clone, torch.jit.ScriptModule):
        with torch.inference_mode(False), torch.no_grad():
            return (), call_model(clone, x)
    names = _names(clone)
    modules = {found[0]: module for module, found in names.items()}
    layouts, seen = Layouts(x.shape), {}
    order: list[_Output] = []

    def record(module: nn.Module, inputs: tuple, output: Any) -> None:
        if not isinstance(output, Tensor) or output.dim() < 1:
            return
        name = names[module][0]
        for entry in order:
            if name in entry.names:  # used before: the last use is the one to look at
                entry.names.remove(name)
        entry = seen.get(id(output))
        if entry is None or not entry.same(output):
            before = seen.get(id(inputs[0])) if inputs else None
            known = before is not None and before.same(inputs[0])
            layout = layouts.of(module, output, (before.shape, before.layout) if known else None)
            entry = _Output(weakref.ref(output), output._version, output.shape, layout)
            seen[id(output)] = entry
            order.append(entry)
        entry.names.append(name)

    handles = [
        module.register_forward_hook(record)
        for name, module in modules.items()
        if name and not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        with torch.inference_mode(False), torch.no_grad():
            output = call_model(clone, x.clone())
    finally:
        for handle in handles:
            handle.remove()
    layers = tuple(_layer(entry, modules, names) for entry in order if entry.names)
    return (_mark_idle(clone, x, layers, output, select) if two_runs(layers) else layers), output


def two_runs(layers: Iterable[Layer]) -> bool:
    """Whether tracing these layers took a second run: there are tokens before the patches."""
    return any(layer.prefix for layer in layers)


class _Found(Exception):
    pass


def _mark_idle(
    clone: nn.Module, x: Tensor, layers: tuple[Layer, ...], output: Any, select: Callable | str | int | None
) -> tuple[Layer, ...]:
    """Mark the layers whose positions get no gradient, behind the last one that does."""
    named, last = {layer.name: layer for layer in layers if layer.spatial}, []

    def look(name: str, value: Tensor, gradient: Tensor) -> None:
        if bool(to_grid(gradient, named[name]).any()):
            last.append(name)
            raise _Found  # what lies before it is of no interest

    try:
        read_scores(output, select)
    except ValueError:  # said by whoever wants the scores
        return layers
    with torch.inference_mode(False), torch.enable_grad(), Capture(clone, named, look):
        leaf = x.detach().clone().requires_grad_(True)
        scores = read_scores(call_model(clone, leaf.clone()), select)
        if scores.requires_grad:
            # No class's score alone, and not their sum, which softmax makes constant.
            mixed = (scores * torch.arange(1, scores.shape[1] + 1).to(scores).cos()).sum()
            with contextlib.suppress(_Found):
                torch.autograd.grad(mixed, leaf, allow_unused=True)
    names = [layer.name for layer in layers]
    behind = names[names.index(last[0]) + 1 :] if last else ()
    return tuple(replace(la, idle=la.name in behind) if la.name in named else la for la in layers)


def _names(clone: nn.Module) -> dict[nn.Module, list[str]]:
    """Every module with all its names, a shared one having several."""
    names: dict[nn.Module, list[str]] = {}
    for name, module in clone.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)
    return names


def _layer(entry: _Output, modules: dict[str, nn.Module], names: dict[nn.Module, list[str]]) -> Layer:
    first = entry.names[0]
    around = [name for name in entry.names if first == name or first.startswith(name + ".")]
    name = min(around, key=lambda n: n.count("."))
    aliases = [alias for member in entry.names for alias in names[modules[member]] if alias != name]
    return Layer(
        name,
        tuple(aliases),
        type(modules[name]).__name__,
        tuple(entry.shape[1:]),
        entry.layout.channels_last,
        "Pool" in type(modules[first]).__name__,
        entry.layout.grid,
        entry.layout.prefix,
        entry.layout.apart,
        linear=isinstance(modules[first], (nn.Linear, nn.Conv2d)) and entry.shape.numel() == entry.shape[:2].numel(),
    )


def default_cam_layer(layers: Iterable[Layer], classes: int) -> str | None:
    """The layer that CAM methods take by themselves, or None where no layer has positions.

    It is the last output with more than one position, leaving out pooling layers, maps with one channel per
    class that no linear layer follows (unless there are no others), and token rows behind which the scores
    depend on the class token alone. None, too, where that is only the patch embedding in front of a
    transformer: its map would say nothing of the rest.
    """
    layers = tuple(layers)
    fit = [i for i, la in enumerate(layers) if la.spatial and not la.pooling and not la.idle]
    follows = max((i for i, la in enumerate(layers) if la.linear), default=-1)
    fit = [i for i in fit if layers[i].grid or layers[i].channels != classes or i < follows] or fit
    if not fit:
        return None
    tokens = sum(len(la.shape) == 2 and la.shape[0] > 1 and la.grid is None for la in layers[fit[-1] :])
    return None if tokens > len(fit) else layers[fit[-1]].name


def find_layer(layers: Sequence[Layer], name: str) -> Layer:
    """The layer of that name or alias; LookupError with close names when there is none."""
    if not isinstance(name, str):
        raise TypeError(f"layer must be a dotted name of model.named_modules(), got {type(name).__name__}")
    wanted = name
    while wanted.startswith(_PREFIXES) and not any(wanted in (la.name, *la.aliases) for la in layers):
        wanted = wanted.split(".", 1)[1]
    for layer in layers:
        if wanted == layer.name or wanted in layer.aliases:
            return layer
    known = [n for layer in layers for n in (layer.name, *layer.aliases)]
    raise LookupError(f"no layer {name!r} with one output tensor ran in this model; {nearest(wanted, known)}")
