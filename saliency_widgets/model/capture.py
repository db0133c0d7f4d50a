"""Values and gradients at named modules, read while a model runs."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from .calls import in_backward


def nearest(name: str, known: Sequence[str]) -> str:
    """What to say of an unknown layer: names close to it, and where all of them are."""
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
                    f"the model has no module {name!r}; {nearest(name, [n for n in modules if n])}"
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
            if in_backward():  # a checkpoint repeats its forward there
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
