"""By which method? Families, the method's name with its evidence, and the body that the family wants."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from .cam import CamPanel
from .controls import Control, Params, named
from .cut import CutPanel
from .path import PathPanel
from .words import FAMILIES, Evidence, cost, evidence

if TYPE_CHECKING:
    from ..saliency_map import SaliencyMap

MOST_DOUBLED = 1024  # steps; doubling on request stops here
ROW_KINDS = ("int", "choice", "fill", "grid", "float", "layer")  # shown in the row; the rest hides in the menu


class MethodRows(ipywidgets.VBox):
    """The methods of a family as rows of name, question and cost; a click asks for the map. `on_pick(name)`."""

    def __init__(self, methods: Sequence[Any], on_pick: Callable[[str], None]):
        self.buttons, self.costs, rows = {}, {}, []
        for method in methods:
            button = ipywidgets.Button(description=method.title, tooltip=method.paper)
            button.on_click(lambda _, name=method.name: on_pick(name))
            button.add_class("sw-row-button")
            source = ipywidgets.HTML(f"<span class=sw-m>{escape(FAMILIES[method.family][1])}</span>")
            price = ipywidgets.HTML()
            row = ipywidgets.Box([button, source, price])
            row.add_class("sw-wait-row")
            self.buttons[method.name], self.costs[method.name] = button, price
            rows.append(row)
            self.price(method.name, method.cost)
        super().__init__(rows)
        self.add_class("sw-wait")

    def price(self, name: str, words: str) -> None:
        """Write what a method's map costs."""
        if name in self.costs:
            self.costs[name].value = f"<span class=sw-m>{escape(words)}</span>"


class MethodPanel(ipywidgets.VBox):
    """The second question, with a body that is 240 px high whatever the family.

    Callbacks: `on_method(name)`, `on_run(name)` (a click on a row that names its cost), `on_param(method, name,
    value)`, `on_point(alpha)` and `on_region(number)` of the bodies. `select` and the `show…` never call them.
    """

    def __init__(self, methods: Mapping[str, Any], params: Params, *, on_method: Callable[[str], None],
                 on_run: Callable[[str], None], on_param: Callable[[str, str, Any], None],
                 on_point: Callable[[float], None], on_region: Callable[[int], None],
                 layers: Sequence[Any] = (), default_layer: str | None = None, absent: Mapping[str, str] | None = None):
        self.methods, self._on_method, self._on_param, self._syncing = methods, on_method, on_param, False
        self.by_family = {f: [m for m in methods.values() if m.family == f] for f in FAMILIES}
        self._last = {f: members[0].name for f, members in self.by_family.items() if members}
        self.price = ipywidgets.HTML()
        self.price.add_class("sw-cost")
        head = ipywidgets.HBox([ipywidgets.HTML("by which method?"), self.price])
        head.add_class("sw-head")
        self.pills = {}
        for family, (title, question) in FAMILIES.items():
            why = (absent or {}).get(family) or ("" if self.by_family[family] else "no method of this kind yet")
            pill = ipywidgets.Button(description=title, tooltip=why or question, disabled=bool(why))
            pill.on_click(lambda _, family=family: self._on_method(self._last[family]))
            self.pills[family] = pill
        families = ipywidgets.HBox(list(self.pills.values()))
        families.add_class("sw-families")
        self.choice = named(ipywidgets.Dropdown(), "method")
        self.choice.add_class("sw-param")
        self.choice.add_class("sw-method")
        self.choice.observe(self._chosen, "index")
        self.mark = ipywidgets.Button()
        self.mark.add_class("sw-mark")
        self.sentence = ipywidgets.HTML()
        self.remedy = ipywidgets.Button()
        self.remedy.add_class("sw-link")
        self.remedy.on_click(self._double)
        tip = ipywidgets.VBox([self.sentence, self.remedy])
        tip.add_class("sw-tip")
        self.evidence = ipywidgets.Box([self.mark, tip])
        self.evidence.add_class("sw-evidence")
        self.menu = named(ipywidgets.ToggleButton(), "more parameters")
        self.menu.add_class("sw-menu")
        self.more = ipywidgets.VBox()
        self.more.add_class("sw-pop")
        name_row = ipywidgets.HBox([self.choice, self.evidence, self.menu, self.more])
        name_row.add_class("sw-name-row")
        self._prices: dict[str, str] = {}
        self.params, self.controls, self.bodies, self.menus, self.rows = params, {}, {}, {}, {}
        for name, method in methods.items():
            controls = {p.name: Control(p, params[name], lambda n, v, m=name: on_param(m, n, v),
                                        tuple(layer.name for layer in layers), default_layer)
                        for p in method.parameters if p.kind != "regions"}
            self.controls[name] = controls
            row = {n: c for n, c in controls.items() if c.parameter.kind in ROW_KINDS or n == "alpha"}
            self.menus[name] = [c.widget for n, c in controls.items() if n not in row]
            rows = self.rows[name] = MethodRows(self.by_family[method.family], on_run)
            if method.family == "path":
                self.bodies[name] = PathPanel(row, on_point)
            elif method.family == "cam":
                self.bodies[name] = CamPanel(row, layers, default_layer, lambda layer, m=name: on_param(m, "layer", layer))
            elif method.family == "cut":
                self.bodies[name] = CutPanel(row, on_region)
            else:
                source = ipywidgets.HTML(f"<p>{escape(method.paper)}</p>")
                source.add_class("sw-source")
                self.bodies[name] = ipywidgets.VBox([rows, source])
                if row:
                    line = ipywidgets.HBox([c.widget for c in row.values()])
                    line.add_class("sw-params")
                    self.bodies[name].children = (rows, line, source)
        self.body = ipywidgets.Box()
        self.body.add_class("sw-body")
        super().__init__([head, families, name_row, self.body])
        self.add_class("sw-section")
        self.add_class("sw-method-section")

    def hidden(self) -> list[ipywidgets.Widget]:
        """Widgets that belong to the panel but are not shown now; they must be closed with it."""
        return [*self.bodies.values(), *self.rows.values(), *(w for menu in self.menus.values() for w in menu)]

    def select(self, name: str, waiting: str = "") -> None:
        """Show the controls of a method; `waiting` names a cost, and asks for a click before paying it."""
        method = self.methods[name]
        self._last[method.family] = name
        self._syncing = True
        try:
            for family, pill in self.pills.items():
                (pill.add_class if family == method.family else pill.remove_class)("sw-on")
            members = self.by_family[method.family]
            titles = [m.title for m in members]
            if list(self.choice.options) != titles:
                self.choice.options = titles
            self.choice.index = titles.index(method.title)
        finally:
            self._syncing = False
        if waiting:
            self.rows[name].price(name, waiting)
        self.price.value = "waits for a click" if waiting else escape(self._prices.get(name, ""))
        self.body.children = (self.rows[name] if waiting else self.bodies[name],)
        self.more.children = tuple(self.menus[name])
        self.menu.layout.visibility = "visible" if self.menus[name] else "hidden"
        self.menu.value = False

    def show(self, map: SaliencyMap) -> None:
        """Show what a finished or growing map says about itself."""
        body = self.bodies[map.method]
        if hasattr(body, "show"):
            body.show(map)
        self.show_evidence(evidence(map, self.methods[map.method].family), map)
        if map.evaluations:
            start = "all layers from " if self.methods[map.method].family == "cam" else ""
            self._prices[map.method] = start + cost(map.evaluations, map.seconds if map.final else None)
        self.price.value = escape(self._prices.get(map.method, "0 evaluations: all is kept"))

    def show_evidence(self, found: Evidence | None, map: SaliencyMap | None = None) -> None:
        """Write ✓ or ⚠ with a few words; the sentence behind them opens on hover and focus."""
        self.evidence.layout.visibility = "visible" if found else "hidden"
        if found is None:
            return
        self.mark.description = found.text
        (self.mark.add_class if found.ok else self.mark.remove_class)("sw-ok")
        self.sentence.value = f"<p>{escape(found.sentence)}</p>"
        steps = map.params.get("steps") if map is not None else None
        possible = bool(found.remedy) and isinstance(steps, int) and 2 * steps <= MOST_DOUBLED
        self.remedy.layout.display = "" if possible else "none"
        self.remedy.description = f"{found.remedy} to {2 * steps}" if possible else ""

    def _double(self, _: object) -> None:
        name = self.by_title(self.choice.index)
        self._on_param(name, "steps", min(MOST_DOUBLED, 2 * self.params[name].steps))

    def by_title(self, index: int) -> str:
        """The name of the method at `index` in the shown family."""
        family = next(f for f, pill in self.pills.items() if "sw-on" in pill._dom_classes)
        return self.by_family[family][index].name

    def _chosen(self, change: dict) -> None:
        if not self._syncing and change["new"] is not None:
            self._on_method(self.by_title(change["new"]))
