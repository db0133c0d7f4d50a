"""What all parts that our own bundle draws have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets as t
from ipywidgets import widget_serialization

from ..colormaps import COLORMAPS, luts

STATIC = Path(__file__).parent.parent / "static"


class Part(anywidget.AnyWidget):
    """A part of the face: `role` tells the bundle what to draw, `layers` what it speaks of.

    Parts inside one element of class `sw-explorer` find each other there: while the pointer moves, the stage
    tells the others in the browser, and no message goes to the kernel.
    """

    _esm = STATIC / "explorer.js"
    _css = STATIC / "explorer.css"

    role = t.Unicode("", help="what to draw: stage, tools, legend, readout, film").tag(sync=True)
    layers = t.List(help="`HeatLayer`s, in any order; their `order` counts").tag(
        sync=True, **widget_serialization
    )
    colormaps = t.List(t.Unicode(), default_value=list(COLORMAPS), help="names, in order").tag(sync=True)
    luts = t.Bytes(help="the colours of all maps, 768 bytes each").tag(sync=True)

    @t.default("luts")
    def _default_luts(self) -> bytes:
        return luts()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_class("sw-part")
        # The stage is the box around picture and overlay.
        self.add_class("sw-picture" if self.role == "stage" else f"sw-{self.role}")
