"""A device that is not there: tensors on "meta" that keep their numbers, so that what runs on a GPU can be run on a CPU.

Numbers lie in ordinary tensors of the CPU; who mixes the two devices, or reads numbers without bringing them over, meets the
errors that a GPU would raise. It says nothing about speed, nor about a GPU's own kernels.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

AWAY = torch.device("meta")
# What takes tensors of two devices: copies, and tables of whole numbers that say where.
CROSSING = ("_to_copy", "copy_", "copy")
INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put")


class Away(Tensor):
    """A tensor on the device that is not there."""

    kept: Tensor

    @staticmethod
    def __new__(cls, kept: Tensor) -> Away:
        made = Tensor._make_wrapper_subclass(
            cls, kept.shape, kept.stride(), kept.storage_offset(), dtype=kept.dtype, layout=kept.layout, device=AWAY)
        made.kept = kept
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return carried_out(func, args, kwargs or {}, False)

    def __repr__(self) -> str:
        return f"Away({tuple(self.shape)}, {self.dtype})"

    def tolist(self) -> Any:
        """As of any tensor: torch refuses it of those of a class of their own."""
        return self.kept.tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl


class Single(TypeError):
    """What a device without float64 says."""


def carried_out(func: Any, args: tuple, kwargs: dict, single: bool) -> Any:
    """Run an operation on the numbers, after looking at where its tensors lie."""
    name = func.overloadpacket.__name__
    flat, _ = tree_flatten((args, kwargs))
    tensors = [value for value in flat if isinstance(value, Tensor)]
    away = any(isinstance(value, Away) for value in tensors)
    asked = kwargs.get("device")
    to = None if asked is None else torch.device(asked)
    if away and name not in CROSSING:
        looked = [args[0]] if name in INDEXED else tensors
        strange = [value for value in looked if not isinstance(value, Away) and value.dim()]
        if strange or (name in INDEXED and not isinstance(args[0], Away)):
            raise RuntimeError(f"Expected all tensors to be on the same device, but found two: {name}")
    if not away and to != AWAY:
        return func(*args, **kwargs)
    plain = tree_map(lambda value: value.kept if isinstance(value, Away) else value, (args, kwargs))
    args_, kwargs_ = plain
    if to is not None:
        kwargs_["device"] = torch.device("cpu")
    if kwargs_.pop("pin_memory", None):
        raise RuntimeError("only dense CPU tensors can be pinned")
    result = func(*args_, **kwargs_)
    stays = to == AWAY if to is not None else isinstance(args[0], Away) if name in CROSSING and args else away
    if not stays or name == "_local_scalar_dense":
        return result

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        for before in tensors:  # in place
            if isinstance(before, Away) and before.kept is value:
                return before
        if single and value.dtype == torch.float64:
            raise Single(f"this device has no float64: {name}")
        return Away(value)

    return tree_map(wrapped, result)


class _Factories(TorchDispatchMode):
    def __init__(self, single: bool):
        super().__init__()
        self.single = single

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return carried_out(func, args, kwargs or {}, self.single)


class _Written(TorchFunctionMode):
    """Numbers written down in Python: torch makes them on "meta" without asking anybody, and so without the numbers."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is Tensor.new_tensor:
            kwargs = {"dtype": args[0].dtype, "device": args[0].device} | kwargs
            args, func = args[1:], torch.tensor
        if func in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu") == AWAY:
            return torch.tensor(*args, **kwargs | {"device": "cpu"}).to(AWAY)
        return func(*args, **kwargs)


@contextmanager
def elsewhere(single: bool = False) -> Iterator[torch.device]:
    """Have the device while the block runs; `single`: it knows no float64, as Apple's does not."""
    with _Written(), _Factories(single):
        yield AWAY
