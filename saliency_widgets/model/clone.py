"""A structural clone of a model: own objects, shared parameters, and the user's model never touched.

`copy.deepcopy` raises for old-style `weight_norm` after a forward, for a cached activation and for a lock,
and it copies what should be shared. Here each module becomes a new object of the same class with its own
dictionaries.
"""

from __future__ import annotations

import copy
import functools
import random
import types
import weakref
from collections import OrderedDict, defaultdict, deque
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
_COPIED = (
    random.Random,
    np.random.Generator,
    np.random.RandomState,
    np.ndarray,
)  # a forward may change these
_PLAIN = (bool, int, float, str, bytes, type(None), type)


def is_script(model: Any) -> bool:
    """Whether the model is scripted or traced: it has no Python to clone, hook or rewrite."""
    return isinstance(model, (torch.jit.ScriptModule, torch.jit.ScriptFunction))


def unwrap(model: Any) -> Any:
    """The module inside `torch.compile` and data-parallel wrappers."""
    while isinstance(model, nn.Module) and not is_script(model):
        if "_orig_mod" in model._modules:
            model = model._modules["_orig_mod"]
        elif isinstance(model, _PARALLEL):
            model = model.module
        else:
            break
    return model


def structural_clone(model: nn.Module) -> nn.Module:
    """A clone that computes what the user's model computes in `eval()`, and may be hooked and run.

    It shares the memory of the parameters (as aliases that need no gradient) and owns copies of the buffers
    and of tensors kept as plain attributes, since a forward may write to those. Never train it or change
    its parameters in place. The user's own forward hooks stay on it. Wrappers of `torch.compile` and
    `DataParallel` are taken off. TypeError for anything but a `torch.nn.Module`, and for a ScriptModule,
    which has no such clone; ValueError for a lazy module that has not run yet.
    """
    return _clone(model, None, own=False)


def working_model(model: nn.Module, device: torch.device | str | None = None, own: bool = False) -> nn.Module:
    """A structural clone on `device`, which owns copies of the tensors where it cannot share them.

    Copies are made where the device differs, where a parameter is an inference tensor (autograd cannot save
    those), or of everything with `own=True`; tied tensors stay tied. A ScriptModule is copied whole, in
    `eval()`.
    """
    if is_script(model):
        script = copy.deepcopy(model)
        if isinstance(script, torch.jit.ScriptModule):
            script.eval()
            if device is not None:
                script.to(device)
        return script
    return _clone(model, device, own)


def _clone(model: nn.Module, device: torch.device | str | None, own: bool) -> nn.Module:
    if is_script(model):
        raise TypeError(
            "a scripted or traced model has no structural clone: use working_model for forward-only methods, "
            "or give the eager model"
        )
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    model = unwrap(model)
    # Normal tensors come out whatever mode the caller is in: autograd cannot save inference tensors.
    with torch.inference_mode(False), torch.no_grad():
        cloner = _Cloner(model, device, own)
        clone = cloner.convert(model)
    for module in clone.modules():
        # The flag itself, not .eval(): an overridden train() may merge weights in place, as LoRA's does.
        if not isinstance(module, torch.jit.ScriptModule):
            module.training = False
            if isinstance(module, nn.RNNBase) and cloner.moving:
                module.flatten_parameters()  # copies lie apart, cuDNN wants one chunk
    return clone


class _Cloner:
    """One pass over a model; the memo by id keeps shared modules, tied tensors and cycles as they are."""

    def __init__(self, model: nn.Module, device: torch.device | str | None, own: bool):
        # id → (original, kept alive so that ids stay unique; what it became)
        self.memo: dict[int, tuple[Any, Any]] = {}
        self.own = own
        tensors = [*model.parameters(), *model.buffers()]
        self.sources = {t.device for t in tensors}
        self.device = None if device is None else _present(torch.device(device))
        self.moving = self.device is not None and self.sources != {self.device} and bool(tensors)

    def convert(self, value: Any) -> Any:
        """The clone's counterpart of a value found in the user's model, or the value itself."""
        if type(value) in _PLAIN:
            return value
        if id(value) in self.memo:
            return self.memo[id(value)][1]
        match value:
            case nn.Module():
                return self._module(value)
            case nn.Parameter():
                return self._remember(value, self._parameter(value))
            case Tensor():
                return self._remember(value, self._copy(value))
            case list() | tuple() | dict() | set() | deque():
                return self._container(value)
            case types.MethodType():
                owner = self.convert(value.__self__)
                if owner is value.__self__:
                    return value
                return types.MethodType(self.convert(value.__func__), owner)
            case functools.partial():
                new = functools.partial(
                    self.convert(value.func),
                    *map(self.convert, value.args),
                    **{k: self.convert(v) for k, v in value.keywords.items()},
                )
                new.__dict__.update(value.__dict__)
                return new
            case types.FunctionType():
                return self._function(value)
            case weakref.ReferenceType():
                target = value()
                return weakref.ref(self.convert(target)) if isinstance(target, (nn.Module, Tensor)) else value
            case torch.Generator():
                return self._remember(value, value.clone_state())
            case torch.device() if self.moving and _indexed(value) in self.sources:
                return self.device
        return self._remember(value, copy.deepcopy(value)) if isinstance(value, _COPIED) else value

    def _remember(self, original: Any, new: Any) -> Any:
        self.memo[id(original)] = original, new
        return new

    def _module(self, module: nn.Module) -> nn.Module:
        if isinstance(module, torch.jit.ScriptModule):
            return self._remember(module, working_model(module, self.device if self.moving else None))
        inner = unwrap(module)
        if inner is not module:
            return self._remember(module, self.convert(inner))
        clone = self._remember(module, object.__new__(type(module)))
        for name, value in module.__dict__.items():
            if name == "_compiled_call_impl":  # compiled for the user's object
                continue
            if name in ("_parameters", "_buffers", "_modules"):
                value = type(value)((key, self.convert(entry)) for key, entry in value.items())
            elif name.endswith("_hooks") and isinstance(value, dict):
                # The user's handles must not reach the clone's hooks, nor ours the user's.
                value = OrderedDict((key, self.convert(hook)) for key, hook in value.items())
            else:
                value = self.convert(value)
            clone.__dict__[name] = value
        for name in _slots(type(module)):
            if hasattr(module, name):
                object.__setattr__(clone, name, self.convert(getattr(module, name)))
        return clone

    def _parameter(self, parameter: nn.Parameter) -> nn.Parameter:
        if isinstance(parameter, nn.parameter.UninitializedTensorMixin):
            raise ValueError(
                "the model has lazy parameters that are not initialised yet: run it once on an input first"
            )
        share = not (self.own or self.moving or parameter.is_inference())
        tensor = parameter.detach() if share else self._copy(parameter)
        # An alias that needs no gradient: .grad, .requires_grad and .data of the user's parameter are out
        # of reach, and convolutions need not save their inputs for a weight gradient that nobody wants.
        alias = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, requires_grad=False)
        alias.__dict__.update({k: v for k, v in parameter.__dict__.items() if not isinstance(v, Tensor)})
        return alias

    def _copy(self, tensor: Tensor) -> Tensor:
        if isinstance(tensor, nn.parameter.UninitializedTensorMixin):
            raise ValueError(
                "the model has lazy buffers that are not initialised yet: run it once on an input first"
            )
        new = tensor.detach()
        return new.to(self.device, copy=True) if self.moving else new.clone()

    def _container(self, value: Any) -> Any:
        kind = type(value)
        if kind in (list, deque):
            new = self._remember(value, [] if kind is list else deque(maxlen=value.maxlen))
            new.extend(map(self.convert, value))
        elif kind in (dict, OrderedDict, defaultdict):
            new = self._remember(value, defaultdict(value.default_factory) if kind is defaultdict else kind())
            new.update((self.convert(k), self.convert(v)) for k, v in value.items())
        elif kind is set:
            new = self._remember(value, set(map(self.convert, value)))
        elif isinstance(value, tuple):
            items = [self.convert(item) for item in value]
            if all(a is b for a, b in zip(items, value, strict=True)):
                return value
            new = self._remember(value, kind._make(items) if hasattr(kind, "_make") else kind(items))
        else:
            return value  # a subclass with rules of its own
        return new

    def _function(self, function: types.FunctionType) -> Any:
        """A function whose closure holds a module of this model, with the clone's module in its place."""
        inner = getattr(function, "_torchdynamo_orig_callable", None)
        if inner is not None:  # model.forward = torch.compile(model.forward)
            return self.convert(inner)
        changed, cells = False, []
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # not filled yet
                content = None
            new = self.convert(content) if isinstance(content, (nn.Module, types.MethodType)) else content
            changed |= new is not content
            cells.append(cell if new is content else types.CellType(new))
        if not changed:
            return function
        new = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, tuple(cells)
        )
        new.__kwdefaults__ = function.__kwdefaults__
        new.__dict__.update(function.__dict__)
        return self._remember(function, new)


def has_own_hooks(model: Any) -> bool:
    """Whether somebody hung forward hooks on the model; those of torch's own reparametrisations do not count."""
    if not isinstance(model, nn.Module):
        return False
    hooks = [h for m in model.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    return any(not type(hook).__module__.startswith("torch.nn.utils") for hook in hooks)


def _present(device: torch.device) -> torch.device:
    for kind, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)):
        if device.type == kind and not backend.is_available():
            raise ValueError(f"device={str(device)!r}: torch finds no such device here, use device='cpu'")
    return _indexed(device)


def _indexed(device: torch.device) -> torch.device:
    """`cuda` as `cuda:0`, as tensors name it."""
    if device.type == "cuda" and device.index is None and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if device.type == "mps" and device.index is None:
        return torch.device("mps", 0)
    return device


def _slots(kind: type) -> list[str]:
    names: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if name not in ("__dict__", "__weakref__")]
