"""Saliency maps of PyTorch image models in the notebook, to be asked by touching.

`Explorer(model, img)` opens a picture with heat-map layers; `Session` and `explain` are the same without a face.
"""
from __future__ import annotations

import importlib
from typing import Any

# Functions that share their folder's name are bound now: importing the folder later must not hide them again.
from .demo import DemoPicture, demo, demo_pictures
from .methods.registry import methods

__version__ = "0.1.0"

# The rest is imported when first used: a session without a face needs no widgets.
_HOMES = {"Compare": "compare", "Explorer": "explorer", "SaliencyMap": "saliency_map", "Session": "session",
          "explain": "explaining"}
_ROOMS = ("metrics",)
__all__ = ["Compare", "DemoPicture", "Explorer", "SaliencyMap", "Session", "demo", "demo_pictures", "explain", "methods",
           "metrics"]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_ROOMS})
