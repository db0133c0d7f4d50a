"""The Explorer's face: all parts composed as one column of status, stage and panel, and readout."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets

from .classes import ClassPanel
from .controls import Params
from .edits import Edit
from .layer_rows import LayerRows
from .layers import HeatLayer
from .legend import Legend
from .method import MethodPanel
from .readout import Readout
from .sheet_view import SheetView
from .stage import Stage, Tools
from .status import ProgressLine, StatusLine
from .strip import Strip

SHARED = ("_CanvasManager", "Bundle")


@dataclass(frozen=True)
class Hands:
    """What the person did, told to whoever decides: see the panels for the arguments."""

    pick: Callable[[int], None]
    search: Callable[[str], None]
    contrast: Callable[[int | None], None]
    method: Callable[[str], None]
    run: Callable[[str], None]
    param: Callable[[str, str, Any], None]
    point: Callable[[float], None]
    edit: Callable[[Edit], None]
    file: Callable[[str, bytes], None]
    pin: Callable[[], None]
    unpin: Callable[[HeatLayer], None]
    save: Callable[[str], tuple[str, bytes] | str]
    sheet: Callable[[], None]
    picture: Callable[[int], None]
    turn: Callable[[int], None]
    fill: Callable[[str, str, str, bytes], None]
    refresh: Callable[[], None]
    cancel: Callable[[], None]
    undo: Callable[[], bool]
    redo: Callable[[], bool]
    trust: Callable[[], None]


class Face:
    """Builds the parts, holds them by name, and closes them all.

    `children` are the blocks for the root. `layers[0]` is the map being explored, `layers[1]` the last map of
    another method; pinned ones follow.
    """

    def __init__(self, hands: Hands, methods: Mapping[str, Any], params: Params, *, classes: int,
                 labels: Sequence[str] | None, layers: Sequence[Any] = (), default_layer: str | None = None,
                 absent: Mapping[str, str] | None = None):
        self.layers = [HeatLayer(order=0, opacity=0.7), HeatLayer(order=1, opacity=1.0, visible=False)]
        self.stage = Stage(layers=self.layers)
        # Each part has a list of its own: one that all share would change without any of them being told.
        self.legend, self.tools, self.readout = (part(layers=list(self.layers)) for part in (Legend, Tools, Readout))
        self.status = StatusLine(hands.file, hands.refresh, hands.save, hands.undo)
        self.strip, self.sheet = Strip(hands.picture), SheetView(hands.sheet)
        self.classes = ClassPanel(hands.pick, hands.search, hands.contrast, classes, labels)
        self.method = MethodPanel(methods, params, on_method=hands.method, on_run=hands.run, on_param=hands.param,
                                  on_point=hands.point, on_edit=hands.edit, on_sheet=hands.sheet, on_fill=hands.fill,
                                  layers=layers, default_layer=default_layer, absent=absent)
        self.rows = LayerRows(self.stage.canvas, hands.pin, hands.unpin, hands.trust, layers=list(self.layers))
        self.progress = ProgressLine(hands.cancel)
        self.link = ipywidgets.jslink((self.stage.canvas, "help"), (self.status.help, "value"))
        self.stage.canvas.on_drop(hands.file)
        self.stage.canvas.on_fill(self.method.fill_with)
        self.stage.canvas.on_edit(hands.edit)
        keys = {"Escape": hands.cancel, "PageUp": lambda: hands.turn(-1), "PageDown": lambda: hands.turn(1),
                "undo": hands.undo, "redo": hands.redo, "trust": hands.trust}
        self.stage.canvas.on_key(lambda key: keys[key]() if key in keys else None)
        left = ipywidgets.VBox([self.stage, self.legend, self.tools, self.sheet])
        left.add_class("sw-left")
        panel = ipywidgets.VBox([self.classes, self.method, self.rows])
        panel.add_class("sw-panel")
        main = ipywidgets.Box([left, panel])
        main.add_class("sw-main")
        foot = ipywidgets.Box([self.readout, self.progress])
        foot.add_class("sw-foot")
        self.children = (self.status, self.strip, main, foot)

    def show_layers(self) -> None:
        """Let every part speak of the layers that there are now."""
        for part in (self.stage.canvas, self.legend, self.tools, self.readout, self.rows):
            part.layers = list(self.layers)

    def set_picture(self, shown: Any, seen: Any, crop: Sequence[float] | None = None) -> None:
        """Show another photograph: `shown` uint8 `(H, W, 3)` on the stage, with the crop that the model sees of it.

        `seen` uint8 `(h, w, 3)`, what it saw, is for the panels.
        """
        self.stage.set_picture(shown, crop)
        self.method.set_picture(seen)

    def close(self) -> None:
        """Close every widget of ours, shown or hidden, with layouts, styles, links and plots."""
        links = [self.link, *self.rows.links]
        links += [body.link for body in self.method.bodies.values() if hasattr(body, "link")]
        seen: set[int] = set()
        for root in (*links, *self.children, *self.layers, *self.method.hidden()):
            close_tree(root, seen)


def close_tree(value: Any, seen: set[int]) -> None:
    """Close the widgets in `value` and whatever their traits hold, depth first.

    What all of a process share is left alone: the manager of ipycanvas, and our bundle.
    """
    if isinstance(value, (list, tuple)):
        for item in value:
            close_tree(item, seen)
    elif isinstance(value, dict):
        close_tree(list(value.values()), seen)
    elif isinstance(value, ipywidgets.Widget) and id(value) not in seen and value.comm is not None:
        if type(value).__name__ in SHARED:
            return
        seen.add(id(value))
        held = list(value._trait_values.values())  # only what exists: reading a default would make a new widget
        value.close()
        close_tree([h for h in held if isinstance(h, (ipywidgets.Widget, list, tuple, dict))], seen)
