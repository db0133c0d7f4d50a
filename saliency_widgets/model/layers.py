"""The layers of a model in execution order, the one that Grad-CAM takes by default, and their capture."""

from __future__ import annotations

import difflib
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .outputs import call_model

_PREFIXES = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before a name


@dataclass(frozen=True)
class Layer:
    """One output that can be looked at.

    `name` is dotted as in `named_modules()`, `aliases` name the same output. `kind` is the class name,
    `shape` the output's shape without the batch. `channels_last` marks `(h, w, C)`, `pooling` a pooling
    module's output.
    """

    name: str
    aliases: tuple[str, ...]
    kind: str
    shape: tuple[int, ...]
    channels_last: bool = False
    pooling: bool = False

    @property
    def spatial(self) -> bool:
        """Whether the output is `(C, h, w)` with more than one position."""
        return len(self.shape) == 3 and not self.channels_last and self.shape[1] * self.shape[2] > 1


@dataclass
class _Output:
    """What a module was seen to return: a tensor at one version of its content."""

    tensor: weakref.ref
    version: int
    shape: tuple[int, ...]
    channels_last: bool
    names: list[str] = field(default_factory=list)

    def same(self, tensor: Tensor) -> bool:
        return self.tensor() is tensor and self.version == tensor._version


def trace_layers(clone: nn.Module, x: Tensor) -> tuple[tuple[Layer, ...], Any]:
    """Run the clone once on `x` `(1, C, H, W)`; returns its layers as they ran, and the output.

    Modules that give the same tensor are one layer, named after the outermost of those that merely pass it
    on: squeezenet's `features` has the alias `features.12`. An in-place operation makes another tensor of
    it. A module used twice stands where it ran last. Modules that return no single tensor are left out; a
    ScriptModule has no layers.
    """
    if not isinstance(clone, nn.Module) or isinstance(clone, torch.jit.ScriptModule):
        with torch.inference_mode(False), torch.no_grad():
            return (), call_model(clone, x)
    names = _names(clone)
    modules = {found[0]: module for module, found in names.items()}
    seen: dict[int, _Output] = {}
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
            last = _channels_last(module, inputs, output, seen)
            entry = _Output(weakref.ref(output), output._version, tuple(output.shape[1:]), last)
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
    return tuple(_layer(entry, modules, names) for entry in order if entry.names), output


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
        entry.shape,
        entry.channels_last,
        pooling="Pool" in type(modules[first]).__name__,
    )


def _channels_last(module: nn.Module, inputs: tuple, output: Tensor, seen: dict[int, _Output]) -> bool:
    """Whether a 4-D output is `(N, h, w, C)`, as inside ConvNeXt and Swin: it has no CAM."""
    if output.dim() != 4:
        return False
    if isinstance(module, nn.Linear) or type(module).forward is nn.LayerNorm.forward:
        return True
    if tuple(getattr(module, "dims", ())) == (0, 2, 3, 1):  # torchvision's Permute
        return True
    source = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
    before = seen.get(id(source)) if source is not None else None
    return (
        before is not None and before.same(source) and before.channels_last and source.shape == output.shape
    )


def default_cam_layer(layers: Iterable[Layer], classes: int) -> str | None:
    """The layer that CAM methods take by themselves, or None where no layer has positions.

    It is the last output with more than one position, leaving out pooling layers and maps with one channel
    per class. None, too, where that is only the patch embedding in front of a transformer: its map would
    say nothing of the rest.
    """
    layers = tuple(layers)
    fit = [
        i
        for i, layer in enumerate(layers)
        if layer.spatial and not layer.pooling and layer.shape[0] != classes
    ]
    if not fit:
        return None
    tokens = sum(len(layer.shape) == 2 and layer.shape[0] > 1 for layer in layers[fit[-1] :])
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
    raise LookupError(f"no layer {name!r} with one output tensor ran in this model; {_near(wanted, known)}")


def _near(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or list(known[-3:])
    return ("did you mean " + ", ".join(map(repr, close)) + "? ") * bool(close) + "session.layers lists them"


class Capture:
    """Reads outputs of named modules, and their gradients, while the clone runs inside the `with` block.

    `outputs[name]` is the live output tensor and `values[name]` a detached copy taken at once, since an
    in-place operation that follows would overwrite it. In a backward pass the gradient with respect to that
    very value goes to `on_gradient(name, value, gradient)` as it arrives, and the value is let go; without
    `on_gradient` it is kept in `gradients[name]`. What is left in `values` after a backward pass with
    `on_gradient`, no gradient reached: zero. Of a module that runs twice the last call counts. A call that
    `torch.utils.checkpoint` repeats inside a backward pass is not a new one. Hooks are gone after the
    block, also after an error. LookupError for an unknown name, ValueError where a named module returned no
    single tensor.
    """

    def __init__(
        self,
        clone: nn.Module,
        names: Iterable[str],
        on_gradient: Callable[[str, Tensor, Tensor], None] | None = None,
    ):
        modules = dict(clone.named_modules(remove_duplicate=False))
        names = tuple(dict.fromkeys(names))
        for name in names:
            if name not in modules:
                raise LookupError(
                    f"the model has no module {name!r}; {_near(name, [n for n in modules if n])}"
                )
        self.outputs: dict[str, Tensor] = {}
        self.values: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] = {}
        self._modules = {name: modules[name] for name in names}
        self._on_gradient = on_gradient
        self._calls: dict[str, int] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> Capture:
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._reader(name)))
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _reader(self, name: str) -> Callable[[nn.Module, tuple, Any], None]:
        def read(module: nn.Module, inputs: tuple, output: Any) -> None:
            if _in_backward():
                return
            if not isinstance(output, Tensor):
                raise ValueError(
                    f"layer {name!r} returned a {type(output).__name__}, one tensor is wanted: "
                    f"take a layer inside it"
                )
            call = self._calls[name] = self._calls.get(name, 0) + 1
            self.outputs[name] = output
            self.values[name] = output.detach().clone()
            if output.requires_grad:
                # On the tensor as it is now: the hook keeps meaning this value when relu_ rewrites the
                # tensor next.
                output.register_hook(lambda gradient: self._arrived(name, call, gradient))

        return read

    def _arrived(self, name: str, call: int, gradient: Tensor) -> None:
        if call != self._calls[name] or not self._handles:
            return
        if self._on_gradient is None:
            self.gradients[name] = gradient.detach().clone()
        else:
            self.outputs.pop(name, None)
            self._on_gradient(name, self.values.pop(name), gradient.detach())


# Private, but the only way to tell a checkpoint's repeated forward from a real one.
_in_backward_id = getattr(torch._C, "_current_graph_task_id", None)


def _in_backward() -> bool:
    return _in_backward_id is not None and _in_backward_id() != -1
