"""Kernels by backend: `reference` (torch) defines each operation; other backends replace what they make faster.

A backend is a module with the functions of `reference`; a CUDA backend registers itself under its own name and is
taken only where `available()` says so.
"""
from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import torch

from . import reference

BACKENDS: dict[str, tuple[str, Callable[[torch.device], bool]]] = {
    "torch": ("saliency_widgets.kernels.reference", lambda device: True),
}


def choose(backend: str, device: torch.device) -> tuple[str, ModuleType]:
    """The name and module of the backend for a device; "auto" takes the last registered one that is available.

    ValueError when the backend is unknown, or was asked for by name and cannot run on that device.
    """
    if backend == "auto":
        backend = [name for name, (_, available) in BACKENDS.items() if available(device)][-1]
    if backend not in BACKENDS:
        known = ", ".join(["auto", *BACKENDS])
        raise ValueError(f"backend {backend!r} is not installed: choose one of {known}")
    module, available = BACKENDS[backend]
    if not available(device):
        raise ValueError(f"backend {backend!r} cannot run on {device}: use backend=\"auto\" or another device")
    return backend, importlib.import_module(module)


__all__ = ["BACKENDS", "choose", "reference"]
