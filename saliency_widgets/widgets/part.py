"""What all parts that our own bundle draws have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets as t
from ipywidgets import widget_serialization

from ..colormaps import COLORMAPS, luts

STATIC = Path(__file__).parent.parent / "static"


class Bundle(ipywidgets.Widget):
    """Script and style of all our parts, once for a kernel: a page never lets go of a module that it loaded."""

    _model_name = t.Unicode("WidgetModel").tag(sync=True)
    script = t.Unicode(help="the bundle as an ES module").tag(sync=True)
    style = t.Unicode(help="its style sheet").tag(sync=True)

    _shared: Bundle | None = None

    @classmethod
    def shared(cls) -> Bundle:
        """The one of this process; made anew where somebody closed all widgets."""
        if cls._shared is None or cls._shared.comm is None:
            cls._shared = cls(script=(STATIC / "explorer.js").read_text("utf-8"),
                              style=(STATIC / "explorer.css").read_text("utf-8"))
        return cls._shared


class Part(anywidget.AnyWidget):
    """A part of the face: `role` tells the bundle what to draw, `layers` what it speaks of.

    Parts inside one element of class `sw-explorer` find each other there: while the pointer moves, the stage
    tells the others in the browser, and no message goes to the kernel.
    """

    _esm = STATIC / "loader.js"

    bundle = t.Instance(Bundle, help="what draws it, shared by all").tag(sync=True, **widget_serialization)
    role = t.Unicode("", help="what to draw: stage, tools, legend, readout, film").tag(sync=True)
    layers = t.List(help="`HeatLayer`s, in any order; their `order` counts").tag(
        sync=True, **widget_serialization
    )
    colormaps = t.List(t.Unicode(), default_value=list(COLORMAPS), help="names, in order").tag(sync=True)
    luts = t.Bytes(help="the colours of all maps, 768 bytes each").tag(sync=True)

    @t.default("bundle")
    def _default_bundle(self) -> Bundle:
        return Bundle.shared()

    @t.default("luts")
    def _default_luts(self) -> bytes:
        return luts()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_class("sw-part")
        # The stage is the box around picture and overlay.
        self.add_class("sw-picture" if self.role == "stage" else f"sw-{self.role}")
