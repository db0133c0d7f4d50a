"""The calls of a forward pass as a function mode meets them: one spelling for each, composites opened, places named."""
from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

_NEVER = {name: lambda *given: False
          for name in ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")}
_SAME = {"multiply": "mul", "divide": "div", "true_divide": "div", "clip": "clamp", "absolute": "abs", "special_expit": "sigmoid",
         "special_exp2": "exp2", "special_expm1": "expm1", "special_log1p": "log1p", "special_erf": "erf",
         "special_log_softmax": "log_softmax", "special_softmax": "softmax", "special_logsumexp": "logsumexp", "negative": "neg",
         "linalg_matmul": "matmul", "arctan": "atan", "mm": "matmul", "bmm": "matmul", "mv": "matmul", "dot": "matmul"}
# Private, but the only way to tell a checkpoint's repeated forward from a real one.
_in_backward_id = getattr(torch._C, "_current_graph_task_id", None)


class RuleError(ValueError):
    """A backward rule cannot be applied to what the model does."""


def in_backward() -> bool:
    """Whether a backward pass runs on this thread: `torch.utils.checkpoint` repeats forward calls there."""
    return _in_backward_id is not None and _in_backward_id() != -1


def opened(function: Callable) -> Callable | None:
    """A composite written in Python (`F.layer_norm`, `F.multi_head_attention_forward`, …) that asks no mode as a whole.

    A mode that calls a composite runs its inside with the mode off, and calling it with the mode on comes back to the
    mode at once. This twin shares the code and answers the composite's own question "is anybody overriding?" with no,
    so run with the mode on it shows the mode each call inside. None for anything not written that way.
    """
    if not isinstance(function, types.FunctionType):
        return None
    if not any(name in _NEVER and name in function.__globals__ for name in function.__code__.co_names):
        return None
    twin = types.FunctionType(function.__code__, {**function.__globals__, **_NEVER}, function.__name__,
                              function.__defaults__, function.__closure__)
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def spelling(function: Callable) -> tuple[str, bool]:
    """The one name of a call, and whether it changes its first argument in place: `torch.relu_` is ("relu", True)."""
    name = getattr(function, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    name = name[:-1] if in_place else name
    return _SAME.get(name, name), in_place


def out_of_place(function: Callable) -> Callable | None:
    """The twin of an in-place function that returns a new tensor, with the same arguments."""
    name = function.__name__[:-1]
    for owner in (getattr(function, "__self__", None), getattr(function, "__objclass__", None), torch._C._nn, torch, Tensor):
        if owner is not None and hasattr(owner, name):
            return getattr(owner, name)
    return None


@contextmanager
def differentiating() -> Iterator[None]:
    """Take a derivative of one's own in here, out of sight of a checkpoint that watches what autograd keeps."""
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(lambda kept: kept, lambda kept: kept):
        yield


def tensors_of(value: Any) -> list[Tensor]:
    """All tensors in arguments, however nested."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def with_tensors(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """The same arguments with each tensor changed."""
    return tree_map(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, value)


class CallMode(TorchFunctionMode):
    """A function mode that meets every call at the level of torch's own operations: composites are opened.

    Subclasses say in `call` what a call gives; it runs with the mode off, and `with self:` turns it on again.
    """

    def __init__(self):
        super().__init__()
        self.open: list[tuple[Callable, tuple]] = []  # the composites that are running, with their arguments

    def call(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        raise NotImplementedError

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # Some methods of Tensor call torch's operation of the same name, which comes here under the method's name.
        inside = None if self.open and self.open[-1][0] is function else opened(function)
        if inside is None:
            return self.call(function, args, kwargs)
        self.open.append((function, args))
        try:
            with self:
                return inside(*args, **kwargs)
        finally:
            self.open.pop()


class Places:
    """Knows inside its `with` block which modules of a clone are running, innermost last, and the batch that came in."""

    def __init__(self, clone: Any = None):
        self.modules = clone if isinstance(clone, nn.Module) and not isinstance(clone, torch.jit.ScriptModule) else None
        self.running: list[str] = []
        self.batch: int | None = None
        self._handles: list[Any] = []

    def __enter__(self) -> Places:
        for name, module in self.modules.named_modules() if self.modules is not None else ():
            if not isinstance(module, torch.jit.ScriptModule):
                self._handles.append(module.register_forward_pre_hook(self._entering(name)))
                self._handles.append(module.register_forward_hook(self._left, always_call=True))
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.running.clear()

    def _entering(self, name: str) -> Callable[[nn.Module, tuple], None]:
        def enter(module: nn.Module, inputs: tuple) -> None:
            self.running.append(name)
            if not name and inputs and isinstance(inputs[0], Tensor) and inputs[0].dim():
                self.batch = len(inputs[0])
        return enter

    def _left(self, *given: object) -> None:
        if self.running:
            self.running.pop()

    @property
    def here(self) -> str:
        """The dotted name of the innermost module that is running; empty outside of all or without a clone."""
        return self.running[-1] if self.running else ""
