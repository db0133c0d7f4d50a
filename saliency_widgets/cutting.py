"""The Explorer's regions: edited by hand and in code, evaluated on the worker, followed by the Cut methods' parameters."""
from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .editing import Regions
from .engine.inputs import FILL_BLUR, GROWN, digest
from .engine.probe import Fill
from .engine.worker import Ticket
from .methods.registry import find
from .regions import Cut, grid, resolve, usual
from .what_if import WhatIf, against, without
from .widgets.controls import same
from .widgets.edits import Edit
from .widgets.words import signed

if TYPE_CHECKING:
    from .granting import Wish

PAIRED = "interactions"  # the method, and the edit that asks for it; there a click on the stage chooses the region


class LiveRegions(Regions):
    """The regions that a Cut method of an Explorer evaluates: every edit shows there, and what a hand edits shows here."""

    def __init__(self, labels: np.ndarray, on_change: Callable[[], None], lock: threading.RLock,
                 drop: Callable[[np.ndarray], float]):
        self._lock, self._drop = lock, drop
        super().__init__(labels, on_change)
        self.before = self.labels  # the label map before the last change

    def drop(self, *regions: int | str) -> float:
        """How far the score falls without these regions together: exact, one evaluation at most, none where it is kept."""
        with self._lock:
            off = np.isin(self.labels, [self._number(r) for r in regions])
        return self._drop(off)

    def interaction(self, a: int | str, b: int | str) -> float:
        """What two regions cost together beyond what they cost one by one: drop(a, b) − drop(a) − drop(b)."""
        if self._number(a) == self._number(b):
            raise ValueError(f"an interaction takes two different regions, got {a!r} twice")
        return self.drop(a, b) - self.drop(a) - self.drop(b)

    def take(self, other: Regions) -> None:
        """Take labels, names and switches of other regions of the picture: one edit."""
        self._push(other.state)

    def _push(self, cut: Cut) -> None:
        with self._lock:
            self.before = self.labels
            super()._push(cut)

    def _go(self, to: int) -> bool:
        with self._lock:
            self.before = self.labels
            return super()._go(to)


class Cutting:
    """What the Explorer does with regions. Each Cut method has its own, made of its parameters `regions` and `grid`."""

    def _begin_cutting(self) -> None:
        self._cuts: dict[str, LiveRegions] = {}  # by method
        self._sources: dict[str, dict[str, dict[str, Any]]] = {}  # what a menu or code asked for, by the labels it gave
        self._chosen: int | None = None  # the region that the menu and the brush speak of, in the method that was shown then
        self._chosen_in: str | None = None
        self._found: WhatIf | None = None
        self._found_of: tuple | None = None
        self._fill_shown: Any = None
        self._editing = False  # a hand's edit is being done
        self._sketched = -1  # the last drag's number that is over

    # ---- the public face

    @property
    def regions(self) -> LiveRegions:
        """The regions that the chosen method cuts along (leave-one-out's, where it cuts along none).

        Assign a label map int `(H, W)`, "slic" or "felzenszwalb" to cut anew; ValueError or TypeError for what is none.
        """
        return self._regions_of(self._cut_method)

    @regions.setter
    def regions(self, value: Any) -> None:
        with self._told():
            if isinstance(value, str):  # the menu says its name
                self.params[self._cut_method].regions = value
            else:
                self.regions.cut(np.asarray(value))

    @property
    def _cut_method(self) -> str:
        return self.method if self.params[self.method].has_trait("regions") else "leave_one_out"

    # ---- regions and parameters follow one another

    def _regions_of(self, method: str) -> LiveRegions:
        with self._lock:
            if method not in self._cuts:
                labels = self._labels_of(method)
                self._cuts[method] = LiveRegions(labels, lambda: self._edited(method), self._lock,
                                                 lambda off: self._evaluate(off, method).drop)
                self._remember(method, labels)
            return self._cuts[method]

    def _labels_of(self, method: str) -> np.ndarray:
        params, shown = self.params[method], self.session.picture.shown
        if params.regions is None:
            return grid(shown.shape[:2], *usual(shown.shape[:2], tuple(np.broadcast_to(params.grid, 2).tolist())))
        return resolve(params.regions, shown, params.count)

    def _remember(self, method: str, labels: np.ndarray) -> None:
        names = [name for name in ("grid", "regions", "count") if self.params[method].has_trait(name)]
        self._sources.setdefault(method, {})[digest(labels)] = {name: getattr(self.params[method], name) for name in names}

    def _recut(self, method: str) -> None:
        """The method's parameters ask for other regions: an edit like any other."""
        with self._lock:
            if not self._ready or self._quiet or method not in self._cuts:
                return
            try:
                labels = self._labels_of(method)
                self._remember(method, labels)
                with self._publishing():
                    self._cuts[method].labels = labels
            except (ValueError, TypeError):
                del self._cuts[method]  # the map says what is wrong with them

    def _edited(self, method: str) -> None:
        """Regions changed: the method evaluates along them, and the face shows them at once."""
        with self._lock:
            if not self._ready or method not in self._cuts:
                return
            regions, params = self._cuts[method], self.params[method]
            asked = self._sources[method].get(digest(regions.labels), {"regions": np.array(regions.labels)})
            with self._publishing():
                for name, value in asked.items():
                    if not same(getattr(params, name), value):
                        setattr(params, name, value)
                if params.has_trait("region") and params.region is not None:  # what lies there now
                    there = regions.labels[regions.before == params.region]
                    params.region = int(np.bincount(there).argmax()) if there.size else None
                if not self._editing:  # numbers may have changed; a hand's edit is shown with the region that it chooses
                    self._chosen = None
                    self._show_cut()
                self._show_off()
            if method == self.method:
                self._ask()

    def _forget_cuts(self) -> None:
        """Another picture: what was drawn on the old one is gone, what its parameters say is cut anew."""
        for method, regions in self._cuts.items():
            if digest(regions.labels) not in self._sources[method]:
                self.params[method].regions = self.params[method].traits()["regions"].default_value
            if self.params[method].has_trait("region"):
                self.params[method].region = None
        self._cuts, self._sources, self._chosen, self._found, self._found_of = {}, {}, None, None, None
        self._fill_shown = None

    # ---- hands

    def _edit(self, edit: Edit) -> None:
        """Do what a hand did to the regions that are shown; what cannot be done is said."""
        with self._lock:
            method = self._shown_cut
            if method is None:
                return
            regions = self._regions_of(method)
            if edit.sketch is not None:
                return self._try(edit, method) if edit.sketch > self._sketched else None
            self._sketched = self._sketched if edit.after is None else edit.after
            self._hand = True
            if edit.op == PAIRED or (method == PAIRED and edit.op == "toggle" and edit.points):
                return self._pair(edit.place(regions), method)
            if method == self.method:
                self._paid_for = method  # an edit changes few regions of a map that is there: no question about the cost
            try:
                told, self._editing = self._newest, True
                self._chosen = edit.apply(regions, self.session.picture.shown, self._chosen)
                with self._publishing():
                    self._show_cut()
                    if edit.op == "choose":
                        self.face.method.bodies[method].menu.value = True
                if self._newest is told:  # nothing changed: go on with what a drag may have interrupted
                    self._ask()
            except (ValueError, LookupError, TypeError) as error:
                self._ask()
                self._say(error)
            finally:
                self._hand = self._editing = False

    def _pair(self, region: int, method: str) -> None:
        """Ask what a region of a method's map costs together with each other one: the same regions, the same fill."""
        try:
            with self._publishing():
                if method != PAIRED:
                    shown, params = self._regions_of(method), self.params[PAIRED]
                    for name, value in self.params[method].values().items():
                        if name != "region" and params.has_trait(name):
                            setattr(params, name, value)
                    self._remember(PAIRED, shown.labels)
                    self._regions_of(PAIRED).take(shown)
                    self.method = PAIRED
                self.params[PAIRED].region, self._chosen = region, region
                self._show_cut()
            self._ask()
        except (ValueError, LookupError, TypeError) as error:
            self._say(error)
        finally:
            self._hand = False

    def _try(self, edit: Edit, method: str) -> None:
        """A drag goes on: say what the region drawn so far would drop. Only the newest one is evaluated."""
        size = self._regions_of(method).size

        def work(ticket: Ticket) -> None:
            try:
                found = self._evaluate(edit.mask(size), method, ticket)
                text = f"{signed(found.change)} {found.unit}" if found.off.any() else ""
            except (ValueError, LookupError):
                text = ""  # too short so far
            self.face.stage.canvas.sketch = {"number": edit.sketch, "text": text}

        self._worker.submit(work)

    # ---- work on the worker

    def _evaluate(self, off: np.ndarray, method: str, ticket: Ticket | None = None) -> WhatIf:
        with against(self.session, self.contrast):
            return without(self.session, off, self._fill(self.params[method].values()), target=self.target, ticket=ticket)

    def _fill(self, values: Mapping[str, Any]) -> Fill:
        """Name the fill of a method's parameters; of several the first."""
        fill = values["fill"]
        fill = fill[0] if isinstance(fill, (list, tuple)) else fill
        return self.session.inputs.fill(fill, values.get("seed", 0), values.get("sigma", FILL_BLUR))

    def _what_if(self, wish: Wish, ticket: Ticket) -> None:
        """Evaluate the picture without what is switched off, and show it; nothing to do where it is shown already."""
        cut = wish.cut
        if cut is None or not cut.off:
            return
        try:
            off, fill = np.isin(cut.labels, list(cut.off)), self._fill(wish.params)
            if self._asked(off, fill, wish.target, wish.contrast) == self._found_of:
                return
            with against(self.session, wish.contrast):
                found = without(self.session, off, fill, target=wish.target, ticket=ticket)
            with self._lock:  # the model may have been seen to change: its inputs are others then
                self._found, self._found_of = found, self._asked(off, fill, wish.target, wish.contrast)
        except (ValueError, TypeError) as error:
            with self._publishing():  # what was found before speaks of other regions
                self._found = self._found_of = None
                self._show_off()
            return self._say(error)
        with self._publishing():
            self._show_off()

    def _asked(self, off: np.ndarray, fill: Fill, target: int, contrast: int | None) -> tuple:
        return self.session.inputs, off.tobytes(), fill, target, contrast

    # ---- what is shown

    @property
    def _shown_cut(self) -> str | None:
        """The method whose map is shown, where its regions can be edited."""
        map = self._shown[0]
        return map.method if map is not None and self.params[map.method].has_trait("regions") and \
            hasattr(self.face.method.bodies[map.method], "show_off") else None

    def _cut_of(self, method: str) -> Cut | None:
        """What a wish for a method's map knows of its regions; None where it has none, or they do not fit the picture."""
        if not self.params[method].has_trait("regions"):
            return None
        try:
            return self._regions_of(method).state
        except (ValueError, TypeError):
            return None

    def _show_cut(self) -> None:
        """Outlines, switches and history on the stage, and the chosen region in the panel."""
        canvas, method = self.face.stage.canvas, self._shown_cut
        if method != self._chosen_in:
            self._chosen, self._chosen_in = None, method
        if method is None:
            map, self.face.layers[0].region_names = self._shown[0], {}
            canvas.show_cut(map.regions if map is not None and find(map.method).family == "cut" else None)
            return
        try:
            regions = self._regions_of(method)
            self._show_fill(method, regions)
        except (ValueError, TypeError):
            canvas.show_cut(None)
            return
        self.face.layers[0].region_names = {str(number): name for number, name in regions.names.items()}
        chosen = self._chosen if self._chosen is not None else self._shown[0].details.get("region")
        if chosen is not None and chosen >= len(regions):  # of a map of other regions
            chosen = None
        canvas.show_cut(regions.labels, regions.off, (regions.undoable, regions.redoable), chosen,
                        "choose" if method == PAIRED else "off / on")
        self.face.method.bodies[method].choose(chosen, regions.names.get(chosen, ""))

    def _show_fill(self, method: str, regions: LiveRegions) -> None:
        """What the stage shows where a region is off. What is inpainted is known once it is evaluated."""
        if not regions.off:
            return
        inputs, fill = self.session.inputs, self._fill(self.params[method].values())
        grown = fill.kind == GROWN
        about = (inputs, fill, self._found if grown else None)
        if grown and self._found is None:  # what stood there is of other regions or another fill
            self._fill_shown, self.face.stage.canvas.fill = None, b""
            return
        if about == self._fill_shown:
            return
        self._fill_shown = about
        self.face.stage.canvas.set_fill(self._found.picture if grown else inputs.fill_shown(fill))

    def _show_off(self) -> None:
        """What the model says without what is off: bars, numbers, pictures and marks, as far as it is evaluated."""
        method = self._shown_cut
        if method is None:
            return
        try:
            regions, fill = self._regions_of(method), self._fill(self.params[method].values())
        except (ValueError, TypeError):
            return  # the map says what is wrong with them
        off, found = np.isin(regions.labels, list(regions.off)), None
        if not regions.off:
            self._found = self._found_of = None
        elif self._found_of == self._asked(off, fill, self.target, self.contrast):
            found = self._found
            self._show_fill(method, regions)
        self._show_classes(self.target)
        self.face.method.bodies[method].show_off(regions.labels, regions.off, found, off, self.session.picture)
