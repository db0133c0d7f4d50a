"""By which method? Families, the method's name with its evidence, and the body that the family wants."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from .cam import CamPanel
from .controls import Control, Params, named, slides
from .cut import CutPanel
from .edits import Edit
from .film_panel import FilmPanel
from .path import PathPanel
from .sheet_panel import SheetPanel
from .views import ViewsPanel
from .words import FAMILIES, Evidence, cost, duration, evidence, short

if TYPE_CHECKING:
    from ..saliency_map import SaliencyMap

MOST_DOUBLED = {"steps": 1024, "n": 4096}  # doubling on request stops here
ROW_KINDS = ("int", "choice", "fill", "grid", "layer", "regions", "method", "index")
LETTERS = {"layer": 12, "regions": 10, "method": 18, "int": 4, "index": 4}  # that a value of a kind takes, else 8
ROW = 42  # letters that fit in the row of parameters, names and values; what is beyond, and sliders, hide in the menu
BESIDE_MENU = 34  # the same where the menu of the chosen region stands at its end


class MethodRows(ipywidgets.VBox):
    """The methods of a family as rows of name, cost in words, and price where known; a click asks. `on_pick(name)`."""

    def __init__(self, methods: Sequence[Any], on_pick: Callable[[str], None]):
        self.buttons, self.costs, rows = {}, {}, []
        for method in methods:
            button = ipywidgets.Button(description=method.title, tooltip=method.paper)
            button.on_click(lambda _, name=method.name: on_pick(name))
            button.add_class("sw-row-button")
            source = ipywidgets.HTML(f"<span class=sw-m>{escape(method.cost)}</span>")
            price = ipywidgets.HTML()
            row = ipywidgets.Box([button, source, price])
            row.add_class("sw-wait-row")
            self.buttons[method.name], self.costs[method.name] = button, price
            rows.append(row)
        super().__init__(rows)
        self.add_class("sw-wait")
        if len(rows) > 7:
            self.add_class("sw-many")

    def price(self, name: str, words: str) -> None:
        """Write what a method's map costs: evaluations and time."""
        if name in self.costs:
            self.costs[name].value = f"<span>{escape(words)}</span>"


class Lazy(dict):
    """Values made when they are first asked for: forty methods have a thousand widgets, of which a person sees few."""

    def __init__(self, make: Callable[[str], Any]):
        super().__init__()
        self._make = make

    def __missing__(self, key: str) -> Any:
        value = self[key] = self._make(key)
        return value


class MethodPanel(ipywidgets.VBox):
    """The second question, with a body that is 240 px high whatever the family.

    Callbacks: `on_method(name)`, `on_run(name)` (a click on a row that names its cost), `on_param(method, name,
    value)`, `on_fill(method, parameter, file, bytes)`, `on_sheet()`, `on_point(alpha)` and `on_edit(edit)` of the bodies.
    `select` and the `show…` never call them.
    """

    def __init__(self, methods: Mapping[str, Any], params: Params, *, on_method: Callable[[str], None],
                 on_run: Callable[[str], None], on_param: Callable[[str, str, Any], None],
                 on_point: Callable[[float], None], on_edit: Callable[[Edit], None], on_sheet: Callable[[], None] = lambda: None,
                 on_fill: Callable[[str, str, str, bytes], None] | None = None,
                 layers: Sequence[Any] = (), default_layer: str | None = None, absent: Mapping[str, str] | None = None):
        absent = absent or {}
        self.methods, self._on_method, self._on_param, self._syncing = methods, on_method, on_param, False
        self.by_family = {f: [m for m in methods.values() if m.family == f] for f in FAMILIES}
        able = {f: [m.name for m in members if m.name not in absent] for f, members in self.by_family.items()}
        self._last = {f: names[0] for f, names in able.items() if names}
        self.price = ipywidgets.HTML()
        self.price.add_class("sw-cost")
        head = ipywidgets.HBox([ipywidgets.HTML("by which method?"), self.price])
        head.add_class("sw-head")
        self.pills = {}
        for family, (title, question) in FAMILIES.items():
            members = self.by_family[family]
            why = "" if able[family] else absent[members[0].name] if members else "no method of this kind yet"
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
        self.remedy_price = ipywidgets.HTML()
        self.remedy_price.add_class("sw-m")
        way_out = ipywidgets.HBox([self.remedy, self.remedy_price])
        way_out.add_class("sw-way-out")
        tip = ipywidgets.VBox([self.sentence, way_out])
        tip.add_class("sw-tip")
        self.evidence = ipywidgets.Box([self.mark, tip])
        self.evidence.add_class("sw-evidence")
        self.menu = named(ipywidgets.ToggleButton(), "more parameters")
        self.menu.add_class("sw-menu")
        self.more = ipywidgets.VBox()
        self.more.add_class("sw-pop")
        self.sheet = named(ipywidgets.Button(layout={"visibility": "hidden"}), "contact sheet",
                           "all that lies behind this map, on one page")
        self.sheet.add_class("sw-icon")
        self.sheet.add_class("sw-sheet-button")
        self.sheet.on_click(lambda _: on_sheet())
        self.upload = named(ipywidgets.FileUpload(accept="image/*", multiple=False, description="choose a file"),
                            "picture to fill with", "any picture; it takes the size of this one")
        self.upload.add_class("sw-fill-upload")
        self.upload.observe(self._uploaded, "value")
        self._filling: tuple[str, str] | None = None  # the method and parameter that wait for a file
        name_row = ipywidgets.HBox([self.choice, self.evidence, self.upload, self.sheet, self.menu, self.more])
        name_row.add_class("sw-name-row")
        self._prices: dict[str, str] = {}  # as HTML
        self._each: dict[str, float] = {}  # seconds an evaluation took
        self._told: str | None = None  # whose map the evidence speaks of
        self.params, self._layers, self._default_layer = params, tuple(layers), default_layer
        self._on_point, self._on_edit, self._on_fill, self._picture = on_point, on_edit, on_fill, None
        self.controls, self.bodies = Lazy(self._controls_of), Lazy(self._body_of)
        self.menus = Lazy(lambda name: [c.widget for n, c in self.controls[name].items()
                                        if n not in self._row(name) and c.parameter.kind != "window"])
        self.rows = Lazy(lambda family: MethodRows(self.by_family[family], on_run))
        self.body = ipywidgets.Box()
        self.body.add_class("sw-body")
        super().__init__([head, families, name_row, self.body])
        self.add_class("sw-section")
        self.add_class("sw-method-section")

    def _controls_of(self, name: str) -> dict[str, Control]:
        method, layers = self.methods[name], self._layers
        own = tuple(layer.name for layer in layers if layer.spatial or not method.positions)
        inside = [p.name for p in method.parameters if p.kind == "index"]

        def by_hand(parameter: str, value: Any) -> None:
            for index in inside if parameter == "layer" else ():  # numbers that counted inside the old layer
                self._on_param(name, index, None)
            self._on_param(name, parameter, value)

        ask = None if self._on_fill is None else (lambda parameter: self._ask_file(name, parameter))
        return {p.name: Control(p, self.params[name], by_hand, own, self._default_layer if method.positions else None, ask)
                for p in method.parameters}

    def _ask_file(self, method: str, parameter: str) -> None:
        """A menu asks for a picture: the page opens its file chooser, and the button stays for browsers that forbid that."""
        self._filling = method, parameter
        self.upload.add_class("sw-asking")

    def fill_with(self, file: str, data: bytes) -> None:
        """Fill with a picture that was chosen or dropped: what the menu asked for, else the first fill of the method."""
        method = self.by_title(self.choice.index)
        fills = [p.name for p in self.methods[method].parameters if p.kind == "fill" and p.choices]
        asked = self._filling if self._filling is not None and self._filling[0] == method else None
        self._filling = None
        self.upload.remove_class("sw-asking")
        if asked is None and fills:
            asked = method, fills[0]
        if asked is not None and self._on_fill is not None:
            self._on_fill(*asked, file, data)

    def _uploaded(self, change: dict) -> None:
        for file in change["new"]:
            self.fill_with(file["name"], bytes(file["content"]))
            self.upload.value = ()

    def _row(self, name: str) -> dict[str, Control]:
        method = self.methods[name]
        edited = method.family == "cut" and not method.course and any(p.kind == "regions" for p in method.parameters)
        return _in_row(self.controls[name], BESIDE_MENU if edited else ROW)

    def _body_of(self, name: str) -> ipywidgets.VBox:
        """The body that what a method declares asks for, so that a new method has one without a line here."""
        method, controls = self.methods[name], self.controls[name]
        row, kinds = self._row(name), {p.name: p.kind for p in method.parameters}
        window = next((n for n, kind in kinds.items() if kind == "window"), None)
        if method.course:
            body = FilmPanel(row, self._on_point, method.course)
        elif kinds.get("channel") == "index":
            body = SheetPanel(row, lambda channel: self._on_param(name, "channel", channel))
        elif window is not None:
            body = PathPanel({window: controls[window], **row}, self._on_point, window)
        elif method.family in ("cam", "inside") and kinds.get("layer") == "layer":
            spatial = [layer for layer in self._layers if layer.spatial]
            body = CamPanel(row, spatial, self._default_layer, lambda layer: self._on_param(name, "layer", layer))
        elif method.family == "cut" and "regions" in kinds:
            body = CutPanel(row, self._on_edit)
        else:
            body = ViewsPanel(row, method)
        if self._picture is not None and hasattr(body, "set_picture"):
            body.set_picture(self._picture)
        return body

    def offer_sheet(self, there: bool) -> None:
        """Show the button of the contact sheet, where there is one."""
        self.sheet.layout.visibility = "visible" if there else "hidden"

    def set_picture(self, picture: Any) -> None:
        """Show another photograph, uint8 `(H, W, 3)`, in every body that shows it."""
        self._picture = picture
        for body in self.bodies.values():
            if hasattr(body, "set_picture"):
                body.set_picture(picture)

    @property
    def hint(self) -> str:
        """What costs nothing more with the body that is shown, in words."""
        return getattr(self.body.children[0], "hint", "") if self.body.children else ""

    def hidden(self) -> list[ipywidgets.Widget]:
        """Widgets that belong to the panel but are not shown now; they must be closed with it."""
        parts = [part for body in self.bodies.values() for part in getattr(body, "parts", ())]
        return [*self.bodies.values(), *parts, *self.rows.values(), *(w for menu in self.menus.values() for w in menu)]

    def select(self, name: str, waiting: str = "") -> None:
        """Show the controls of a method; `waiting` names a cost, and asks for a click before paying it."""
        method = self.methods[name]
        self._last[method.family] = name
        if self._filling is not None and self._filling[0] != name:
            self._filling = None
            self.upload.remove_class("sw-asking")
        if name != self._told:  # what another method's map said of itself is not said of this one
            self.show_evidence(None)
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
            self.rows[method.family].price(name, waiting)
        self.price.value = "waits for a click" if waiting else self._prices.get(name, "")
        self.body.children = (self.rows[method.family] if waiting else self.bodies[name],)
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
            start = "all layers from " if len(map.details.get("maps") or ()) > 1 else ""
            price = escape(start + cost(map.evaluations, map.seconds if map.final else None))
            self._prices[map.method] = f"<span title='{escape(map.estimate)}'>{price}</span>" if map.estimate else price
        self.price.value = self._prices.get(map.method, "0 evaluations: all is kept")

    def show_evidence(self, found: Evidence | None, map: SaliencyMap | None = None) -> None:
        """Write ✓ or ⚠ with a few words; the sentence behind them opens on hover and focus."""
        self._told = map.method if map is not None else None
        self.evidence.layout.visibility = "visible" if found else "hidden"
        if found is None:
            return
        # What is left of the row beside the method's name; the whole stands in the tooltip.
        room = 46 - round(1.2 * len(self.choice.label or ""))
        self.mark.description = short(found.text, room)
        (self.mark.add_class if found.ok else self.mark.remove_class)("sw-ok")
        self.sentence.value = f"<p>{escape(found.sentence)}</p>"
        name = self._doubled(map.params) if map is not None else None
        possible = bool(found.remedy) and name is not None and 2 * map.params[name] <= MOST_DOUBLED[name]
        self.remedy.layout.display = "" if possible else "none"
        self.remedy.description = f"{found.remedy} to {2 * map.params[name]}" if possible else ""
        if map is not None and map.evaluations and map.seconds:  # a map of what is kept does not tell what one costs
            self._each[map.method] = map.seconds / map.evaluations
        each = self._each.get(map.method) if possible and name == "steps" else None
        self.remedy_price.value = "" if each is None else f"{map.params[name]} more, ≈ {duration(map.params[name] * each)}"

    @staticmethod
    def _doubled(params: Mapping[str, Any]) -> str | None:
        """The parameter that a remedy doubles."""
        return next((name for name in MOST_DOUBLED if isinstance(params.get(name), int)), None)

    def _double(self, _: object) -> None:
        method = self.by_title(self.choice.index)
        values = self.params[method].values()
        name = self._doubled(values)
        self._on_param(method, name, min(MOST_DOUBLED[name], 2 * values[name]))

    def by_title(self, index: int) -> str:
        """The name of the method at `index` in the shown family."""
        family = next(f for f, pill in self.pills.items() if "sw-on" in pill._dom_classes)
        return self.by_family[family][index].name

    def _chosen(self, change: dict) -> None:
        if not self._syncing and change["new"] is not None:
            self._on_method(self.by_title(change["new"]))


def _in_row(controls: Mapping[str, Control], room: int) -> dict[str, Control]:
    """The first parameters that fit in `room` letters, in the order in which they are declared; never the seed."""
    row = {}
    merged = any(control.parameter.kind == "regions" for control in controls.values())  # its menu holds the grids, too
    for name, control in controls.items():
        if merged and control.parameter.kind == "grid":
            continue
        if control.parameter.kind not in ROW_KINDS or slides(control.parameter) or name == "seed":
            continue
        room -= len(name) + LETTERS.get(control.parameter.kind, 8)
        if room < 0 and row:
            break
        row[name] = control
    return row
