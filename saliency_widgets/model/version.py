"""The version of a model: a value that differs when the model may compute something else than before."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .clone import unwrap

_SAMPLES = 64  # numbers looked at per tensor; small tensors are looked at whole
_PLAIN = (bool, int, float, str, type(None))


class Version:
    """What was seen of a model at one time; hashable, and equal to another where nothing changed in
    between.
    """

    __slots__ = ("_hash", "_state")

    def __init__(self, state: tuple):
        self._state = state
        self._hash = hash(state)  # kept: a version is part of every store key

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Version) and self._hash == other._hash and self._state == other._state

    def __repr__(self) -> str:
        return f"Version({self._hash & 0xFFFFFFFF:08x})"


def version_of(model: Any, content: bool = True, views: dict | None = None) -> Version:
    """The version of the user's model now.

    For each parameter and buffer: identity, address and `_version`. With `content`, too, their dtype, device and
    layout, a checksum over a strided sample of about 64 numbers per tensor (`_version` alone misses training
    through `.data` or with `fused=True`), the modules, their hooks and their plain attributes (a changed
    `temperature` counts). `views`, a dictionary of the caller's, keeps what is looked at from one time to the next: making
    the views takes longer than reading through them. They hold on to the tensors' memory.
    """
    model = unwrap(model)
    if not isinstance(model, nn.Module):
        return Version((id(model),))
    if not content:
        return Version(_watched(model))
    modules = list(model.modules())
    tensors = list(_tensors(modules))
    state = tuple(_identity(*entry) for entry in tensors)
    return Version((state, _structure(modules), _checksum(_samples({} if views is None else views, state, tensors))))


def _watched(model: nn.Module) -> tuple:
    """Identity, address and `_version` of each tensor, as fast as can be: this runs after every batch."""
    state, stack, seen = [], [model], {model}
    while stack:
        module = stack.pop()
        if isinstance(module, torch.jit.ScriptModule):
            state += (_quick(0, tensor) for _, _, tensor in _tensors(list(module.modules())))
            continue
        for group in (module._parameters, module._buffers):
            state += (_quick(id(tensor), tensor) for tensor in group.values() if tensor is not None)
        for child in module._modules.values():
            if child is not None and child not in seen:
                seen.add(child)
                stack.append(child)
    return tuple(state)


def _quick(identity: int, tensor: Tensor) -> tuple:
    return (identity, tensor.data_ptr() if tensor.layout is torch.strided else 0,
            None if tensor.is_inference() else tensor._version)


def _tensors(modules: list[nn.Module]) -> Iterator[tuple[str, int, Tensor]]:
    for module in modules:
        # parameters() and buffers() would do, at a price: this runs before and after every batch.
        if isinstance(module, torch.jit.ScriptModule):
            # It hands out new Python objects for the same tensors: there the address stands for identity.
            for name, tensor in [
                *module.named_parameters(recurse=False),
                *module.named_buffers(recurse=False),
            ]:
                yield name, 0, tensor
            continue
        for group in (module._parameters, module._buffers):
            for name, tensor in group.items():
                if tensor is not None:
                    yield name, id(tensor), tensor


def _identity(name: str, identity: int, tensor: Tensor) -> tuple:
    strided = tensor.layout is torch.strided
    count = None if tensor.is_inference() else tensor._version
    return (
        name,
        identity,
        tensor.data_ptr() if strided else 0,
        count,
        tensor.dtype,
        tensor.device,
        tensor.shape,
        tensor.stride() if strided else None,
    )


def _structure(modules: list[nn.Module]) -> tuple:
    return tuple(_module_state(module) for module in modules)


def _module_state(module: nn.Module) -> tuple:
    if isinstance(module, torch.jit.ScriptModule):
        return (id(module),)
    attributes = module.__dict__
    hooks = tuple(
        (key, id(hook))
        for name in ("_forward_pre_hooks", "_forward_hooks")
        for key, hook in attributes[name].items()
    )
    plain = tuple(
        (k, v if v == v else "nan") for k, v in attributes.items() if type(v) in _PLAIN and k != "training"
    )
    return id(module), type(module), hooks, plain, id(attributes.get("forward"))


def _samples(views: dict, state: tuple, tensors: list[tuple[str, int, Tensor]]) -> list[list[Tensor]]:
    """Views of what is looked at, by device and dtype: those of last time where every tensor lies where it did."""
    places = [entry[1:3] + entry[4:] for entry in state]
    if views.get("places") != places:
        groups: dict[tuple, list[Tensor]] = {}
        with torch.inference_mode(False), torch.no_grad():
            for _, _, tensor in tensors:
                sample = _sample(tensor.detach())
                if sample is not None:
                    groups.setdefault((tensor.device, tensor.dtype), []).append(sample)
        views["places"], views["groups"] = places, list(groups.values())
    return views["groups"]


def _checksum(groups: list[list[Tensor]]) -> bytes:
    total = hashlib.blake2b(digest_size=16)
    with torch.inference_mode(False), torch.no_grad():
        for samples in groups:
            # One transfer per device and dtype: on CUDA each one waits for the device.
            total.update(torch.cat(samples).view(torch.uint8).cpu().numpy().tobytes())
    return total.digest()


def _sample(tensor: Tensor) -> Tensor | None:
    """A strided sample over the memory of a tensor, in the order it lies there; None where it has none."""
    if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized or tensor.numel() == 0:
        return None
    extent = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    step = max(1, extent // _SAMPLES)
    while math.gcd(step, extent) != 1:  # else the same position of each filter would be all that is seen
        step -= 1
    try:
        return tensor.as_strided((1 + (extent - 1) // step,), (step,))
    except (RuntimeError, NotImplementedError):  # tensor subclasses without strides: identity must do
        return None
