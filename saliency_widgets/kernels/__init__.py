"""Kernels by backend: `reference` (torch) defines each operation; other backends replace what they make faster.

A backend is a module with the functions of `reference`. `triton` replaces those it has kernels for and hands on the rest; it
runs on CUDA devices, or under Triton's interpreter (`TRITON_INTERPRET=1`), and is imported by whoever takes it only.
"""
from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from types import ModuleType

import torch

from . import reference


def _refusal(device: torch.device) -> str:
    """Why Triton's kernels cannot run on a device and what to do, or nothing where they can."""
    if importlib.util.find_spec("triton") is None:
        return 'the package triton is not installed: pip install triton (Linux), or use backend="torch"'
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return (f'it cannot run on {device}: use a CUDA device, backend="auto" or backend="torch", or set TRITON_INTERPRET=1 '
                f"before Python starts, for Triton's (slow) interpreter")
    from . import triton
    return triton.refusal(device)


def _pays(device: torch.device) -> bool:
    """Whether Triton is worth trying unasked: on CUDA devices, and not under its interpreter."""
    return device.type == "cuda" and os.environ.get("TRITON_INTERPRET") != "1" and not _refusal(device)


# Module; why it cannot run on a device; whether "auto" takes it there.
BACKENDS: dict[str, tuple[str, Callable[[torch.device], str], Callable[[torch.device], bool]]] = {
    "torch": ("saliency_widgets.kernels.reference", lambda device: "", lambda device: True),
    "triton": ("saliency_widgets.kernels.triton", _refusal, _pays),
}


def choose(backend: str, device: torch.device) -> tuple[str, ModuleType]:
    """The name and module of the backend for a device; "auto" takes the last registered one that pays there.

    ValueError when the backend is unknown, or was asked for by name and cannot run on that device.
    """
    if backend == "auto":
        backend = [name for name, (_, _, pays) in BACKENDS.items() if pays(device)][-1]
    elif backend not in BACKENDS:
        raise ValueError(f"there is no backend {backend!r}: choose one of {', '.join(['auto', *BACKENDS])}")
    elif refusal := BACKENDS[backend][1](device):
        raise ValueError(f"backend={backend!r} was asked for, but {refusal}")
    return backend, importlib.import_module(BACKENDS[backend][0])


__all__ = ["BACKENDS", "choose", "reference"]
