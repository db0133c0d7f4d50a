"""The face of a comparison: cells side by side, the difference of two of them, a swipe, and one cell's panel below."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets
import numpy as np
import traitlets as t

from .controls import named
from .face import Face, close_tree
from .layers import HeatLayer
from .legend import Legend
from .part import Part
from .readout import Readout
from .stage import Stage, Tools
from .status import flag

SIDE, DIFFERENCE, SWIPE = "side by side", "difference", "swipe"
VIEWS = {SIDE: "one cell for each", DIFFERENCE: "and the first map minus the second",
         SWIPE: "two maps on one picture, with a line that follows the pointer"}


class Link(Part):
    """Passes pointer, zoom and the held bare picture between the cells, in the browser."""

    role = t.Unicode("link").tag(sync=True)
    crosshair = t.Bool(True, help="pointing at one picture points at all").tag(sync=True)
    zoom = t.Bool(True, help="zooming and panning one picture zooms all").tag(sync=True)
    chosen = t.Int(0, help="number of the cell whose panel is shown").tag(sync=True)


def _box(kind: type[ipywidgets.Box], children: Sequence[Any], *names: str) -> ipywidgets.Box:
    box = kind(list(children))
    for name in names:
        box.add_class(name)
    return box


class Cell(ipywidgets.VBox):
    """One explorer's stage with its title, legend, values and progress; a click on the title calls `on_choose()`."""

    def __init__(self, face: Face, on_choose: Callable[[], None]):
        self.title = ipywidgets.Button(tooltip="show its classes, method and layers below")
        self.title.add_class("sw-cell-title")
        self.title.on_click(lambda _: on_choose())
        head = _box(ipywidgets.HBox, [self.title, face.status.text], "sw-cell-head")
        foot = _box(ipywidgets.Box, [face.readout, face.progress], "sw-foot")
        super().__init__([head, face.stage, face.legend, foot])
        for name in ("sw-explorer", "sw-cell"):
            self.add_class(name)

    def name(self, words: str, chosen: bool) -> None:
        """Write what is shown, and whether its panel is the one below."""
        self.title.description = words
        flag(self, "sw-on", chosen)


class PairCell(ipywidgets.VBox):
    """A stage of the comparison's own: the difference of two maps, or both with a line that follows the pointer."""

    def __init__(self, layers: Sequence[HeatLayer], swipe: bool = False):
        self.layers = list(layers)
        self.title, self.fact = ipywidgets.HTML(), ipywidgets.HTML()
        self.title.add_class("sw-cell-title")
        self.stage = Stage(layers=self.layers)
        self.stage.canvas.swipe = swipe
        self.legend, self.readout = Legend(layers=self.layers), Readout(layers=self.layers)
        super().__init__([_box(ipywidgets.HBox, [self.title, self.fact], "sw-cell-head"), self.stage, self.legend,
                          _box(ipywidgets.Box, [self.readout], "sw-foot")])
        for name in ("sw-explorer", "sw-cell", "sw-pair"):
            self.add_class(name)

    def show(self, title: str, fact: str, photograph: np.ndarray, crop: Sequence[float] | None = None) -> None:
        """Write title and fact, and show the photograph uint8 `(H, W, 3)` under the maps, its `crop` outlined."""
        self.title.value, self.fact.value = f"<b>{escape(title)}</b>", f"<span class=sw-m>{escape(fact)}</span>"
        self.stage.set_picture(photograph, crop)


class CompareFace:
    """Header with links and views, the cells, and the panel of the chosen one.

    `on_link(name, on)` hears the toggles, `on_view(name)` the views, `on_pair(first, second)` which two cells they compare,
    `on_choose(number)` a click on a title. The `show…` never call them.
    """

    def __init__(self, faces: Sequence[Face], links: Sequence[tuple[str, str, str]], on_link: Callable[[str, bool], None],
                 on_view: Callable[[str], None], on_pair: Callable[[int, int], None], on_choose: Callable[[int], None]):
        self.faces, self._syncing = list(faces), False
        self.link = Link()
        self.cells = [Cell(face, lambda number=number: on_choose(number)) for number, face in enumerate(faces)]
        self.difference = PairCell([HeatLayer(order=0, opacity=0.9)])
        self.swipe = PairCell([HeatLayer(order=0, opacity=0.9), HeatLayer(order=1, opacity=0.9)], swipe=True)
        self.toggles = {}
        for name, words, tip in links:
            toggle = self.toggles[name] = named(ipywidgets.ToggleButton(description=words), f"link {words}", tip)
            toggle.add_class("sw-link-toggle")
            toggle.observe(lambda change, name=name: self._told(on_link, name, change["new"]), "value")
        self.views = {view: ipywidgets.Button(description=view, tooltip=tip) for view, tip in VIEWS.items()}
        for view, button in self.views.items():
            button.on_click(lambda _, view=view: on_view(view))
        self.pair = [named(ipywidgets.Dropdown(options=[str(n) for n in range(len(faces))], description=words), words, tip)
                     for words, tip in (("of", "the map that is compared"), ("and", "the map it is compared with"))]
        for menu in self.pair:
            menu.add_class("sw-param")
            menu.observe(lambda _: self._told(on_pair, *(m.index for m in self.pair)), "index")
        self.pairs = _box(ipywidgets.HBox, self.pair, "sw-pair-menus")
        self.tools = Tools()
        what = ipywidgets.HTML("<span class=sw-m>linked</span>")
        views = _box(ipywidgets.HBox, list(self.views.values()), "sw-views")
        head = _box(ipywidgets.HBox, [views, self.pairs, what, *self.toggles.values(), self.link], "sw-compare-head")
        self.grid = _box(ipywidgets.Box, self.cells, "sw-grid")
        self.panel = _box(ipywidgets.Box, [], "sw-explorer", "sw-chosen")
        self._trusted = [face.rows.trust for face in faces]
        for face in faces:
            face.rows.trust = ""  # its panel belongs below an explorer of its own
        self.children = (head, self.grid, _box(ipywidgets.Box, [self.tools], "sw-compare-tools"), self.panel)

    def _told(self, callback: Callable, *values: Any) -> None:
        if not self._syncing:
            callback(*values)

    def show(self, view: str, pair: tuple[int, int], chosen: int, links: dict[str, bool], titles: Sequence[str],
             dull: Sequence[str] = ()) -> None:
        """Show a view, the pair it compares, the chosen cell's panel, and which links are on; `dull` ones cannot be."""
        self._syncing = True
        try:
            for name, button in self.views.items():
                flag(button, "sw-on", name == view)
            for menu, number in zip(self.pair, pair):
                if list(menu.options) != list(titles):
                    menu.options = titles
                menu.index = number
            for name, toggle in self.toggles.items():
                toggle.value, toggle.disabled = links[name], name in dull
        finally:
            self._syncing = False
        self.pairs.layout.display = "none" if view == SIDE else ""
        self.link.crosshair, self.link.zoom, self.link.chosen = links["crosshair"], links["zoom"], chosen
        for number, (cell, title) in enumerate(zip(self.cells, titles)):
            cell.name(title, number == chosen)
        shown = {SIDE: self.cells, DIFFERENCE: [*self.cells, self.difference], SWIPE: [self.swipe]}[view]
        if list(self.grid.children) != list(shown):
            self.grid.children = shown
        face = self.faces[chosen]
        parts = (face.classes, face.method, face.rows)
        if self.panel.children != parts:
            self.panel.children = parts

    def close(self) -> None:
        """Close what is the comparison's own; the explorers' parts stay."""
        theirs: set[int] = set()
        for face, trusted in zip(self.faces, self._trusted):
            face.rows.trust = trusted
            _collect((*face.children, *face.layers), theirs)
        for root in (*self.children, *self.cells, self.difference, self.swipe, *self.difference.layers, *self.swipe.layers):
            close_tree(root, theirs)


def _collect(value: Any, found: set[int]) -> None:
    """The identities of the widgets in `value` and of all that their traits hold."""
    if isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, found)
    elif isinstance(value, dict):
        _collect(list(value.values()), found)
    elif isinstance(value, ipywidgets.Widget) and id(value) not in found:
        found.add(id(value))
        _collect(list(value._trait_values.values()), found)
