"""The Explorer's layers: the explored map, the last map of another method, and pinned maps that stay."""
from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .engine.worker import Cancelled, Ticket
from .methods.registry import find
from .saliency_map import SaliencyMap
from .what_if import against
from .widgets import showing
from .widgets.layers import LOOKS, HeatLayer
from .widgets.words import duration, evaluations, sentence

if TYPE_CHECKING:
    from .granting import Wish

MOST = 8       # pinned maps: more rows than that nobody compares, and each costs the page a map
CHEAP = 3.0    # seconds; a pinned map that costs more is not computed anew without being asked for
FIXED = 2      # layers that are always there: the explored map, and the last one of another method


@dataclass(eq=False)
class Pin:
    """A pinned map: what it was made with, and `inputs`, the picture and model version that it is of."""

    key: str
    layer: HeatLayer
    map: SaliencyMap | None
    method: str
    params: dict[str, Any]
    about: tuple[int, int | None]  # target and contrast
    inputs: Any
    paid: bool = False  # whatever it costs: code asked for it
    looks: dict[str, Any] | None = None  # for the first map, where it is still to come


class Layering:
    """What the Explorer does with its layers. `_shown` and `_about` run beside `face.layers`."""

    def _begin_layering(self) -> None:
        self._pins: list[Pin] = []
        self._numbered = 0  # pins so far: a key is never used twice

    def _watch(self, layer: HeatLayer) -> None:
        layer.observe(self._view_changed, "view")
        layer.observe(self._only_one, ["solo", "selected"])
        layer.observe(lambda change: change["new"] and self._ask(hand=True), "follow")

    # ---- the public face

    @property
    def layers(self) -> list[HeatLayer]:
        """The heat layers that hold a map, the explored one first, then the last one of another method, then pinned ones.

        Each has its looks as traits (`visible`, `solo`, `selected`, `opacity`, `cmap`, `sign`, `threshold`, `mass`,
        `fixed`, `shared`, `blend`, `mode`, `view`, `order`, `follow`), to be set, observed and linked, with `jslink`,
        too: `ipywidgets.jslink((a.layers[0], "opacity"), (b.layers[0], "opacity"))`. `layers[0]` is the same always.
        """
        with self._lock:
            return [layer for i, layer in enumerate(self.face.layers) if not (i and layer.empty)]

    def pin(self, method: str | None = None) -> HeatLayer:
        """Keep the explored map, or the last one of another `method`, while others are explored; returns its layer.

        It keeps its class, contrast and parameters, and is `maps["<method>@<number>"]`. With `follow` its layer is computed
        anew for every class; for another picture or a trained model it is where that takes up to 3 seconds, else it goes,
        which the status line says. Waits for what is being computed. ValueError without a finished map, or above 8.
        """
        if threading.current_thread() is not self._worker._thread:
            self.wait()
        with self._lock:
            names = [None if map is None else map.method for map in self._shown[:FIXED]]
            if method is not None and find(method).name not in names:
                raise ValueError(f"no map of {method} is shown: there are {', '.join(filter(None, names)) or 'none'}")
            return self._pin(0 if method is None else names.index(method))

    def unpin(self, which: str | HeatLayer | None = None) -> None:
        """Let go of a pinned map: its key in `maps`, its layer, or, for None, the one pinned last.

        LookupError where there is none.
        """
        with self._lock:
            found = [pin for pin in self._pins if which is None or which in (pin.key, pin.layer)]
            if not found:
                known = ", ".join(pin.key for pin in self._pins) or "nothing is"
                raise LookupError(f"{which if isinstance(which, str) else 'this layer'} is not pinned: {known}")
            self._unpin(found[-1])

    # ---- pins

    def _why_not(self, index: int = 0) -> str:
        """Why a map cannot be pinned now; empty where it can."""
        map = self._shown[index]
        if map is None or not map.final:
            return "there is no finished map to pin: wait for it"
        if any(pin.map is map for pin in self._pins):
            return "this map is pinned"
        return f"{MOST} maps are pinned, which is the most: unpin one first" if len(self._pins) >= MOST else ""

    def _pin(self, index: int) -> HeatLayer:
        map, source = self._shown[index], self.face.layers[index]
        for pin in self._pins:
            if pin.map is not None and pin.map is map:
                return pin.layer
        if self._why_not(index):
            raise ValueError(self._why_not(index))
        looks = {name: getattr(source, name) for name in LOOKS if name not in ("solo", "selected")}
        if source.kind == "heat" and not source.signed and not source.contour:
            looks.update(mode="contour", opacity=1.0)  # a line round it, so that it does not count twice
        for layer in self.face.layers:
            if layer.order > source.order:
                layer.order += 1
        looks["order"] = source.order + 1
        self._numbered += 1
        return self._add_pin(f"{map.method}@{self._numbered}", map, dict(map.params), self._about[index], looks)

    def _add_pin(self, key: str, map: SaliencyMap | None, params: dict[str, Any], about: tuple, looks: dict[str, Any],
                 method: str | None = None, follow: bool = False, paid: bool = False) -> HeatLayer:
        """A layer for a pinned map; without one it is computed when the worker comes to it."""
        method = method or map.method
        layer = HeatLayer(pinned=True, view=looks.get("view", ""), follow=follow)
        with self._publishing():
            self._pins.append(Pin(key, layer, map, method, params, about, None if map is None else self.session.inputs, paid,
                                  looks if map is None else None))
            self.face.layers.append(layer)
            self._shown.append(map)
            self._about.append(about)
            if map is None:
                layer.name, layer.method = f"{find(method).title} · {self._subject(*about)}", method
            else:
                self._put(len(self._shown) - 1)
            self._apply(layer, looks)
            self._note_looks(layer)
            self._watch(layer)
            self._list_maps()
            self.face.show_layers()
        return layer

    def _unpin(self, pin: Pin) -> None:
        index = FIXED + self._pins.index(pin)
        with self._publishing():
            del self._pins[index - FIXED], self._shown[index], self._about[index], self.face.layers[index]
            self._list_maps()
            self.face.show_layers()
            pin.layer.close()

    def _pin_by_hand(self) -> None:
        with self._lock:
            try:
                self._pin(0)
            except ValueError as error:
                self._say(error)

    def _unpin_by_hand(self, layer: HeatLayer) -> None:
        with self._lock:
            for pin in self._pins:
                if pin.layer is layer:
                    return self._unpin(pin)

    def _refresh_pins(self, ticket: Ticket) -> None:
        """Compute pinned maps anew that are of another picture, model version or class than they should be."""
        said = []
        self._restore_other(ticket)
        for pin in list(self._pins):
            with self._lock:
                if not ticket.newest or not self._ready:
                    return
                about = (self.target, self.contrast) if pin.layer.follow else pin.about
            session = self.session
            if pin not in self._pins or (pin.inputs is session.inputs and about == pin.about):
                continue
            inputs, why = session.inputs, ""
            try:
                with against(session, about[1]):
                    count, seconds = session.estimate(pin.method, pin.params, about[0])
                    if not pin.paid and count > 2 and (seconds is None or seconds > CHEAP):
                        why = evaluations(count) + ("" if seconds is None else f", ≈ {duration(seconds)}")
                    else:
                        map = session.run(pin.method, pin.params, target=about[0], ticket=ticket,
                                          on_progress=lambda done, planned: self.face.progress.advance(done, planned, None))
            except Cancelled:
                raise
            except Exception as error:
                why = sentence(error)
            with self._publishing():
                if pin not in self._pins:
                    continue
                if not why:
                    index = FIXED + self._pins.index(pin)
                    pin.map, pin.about, pin.inputs, pin.paid = map, about, inputs, False
                    self._shown[index], self._about[index] = map, about
                    self._put(index)
                    self._apply(pin.layer, pin.looks or {})
                    pin.looks = None
                    self._list_maps()
                elif pin.inputs is inputs:  # of another class only: what it shows is still true
                    pin.layer.follow = False
                    said.append(f"{pin.layer.name} follows no longer: {why}")
                else:
                    said.append(f"{pin.layer.name} unpinned: {why}")
                    self._unpin(pin)
        if said:
            with self._publishing():
                self._show_facts(*said)

    def _empty_pins(self) -> None:
        """Another picture: no pinned map is of it before it is computed anew."""
        for i, pin in enumerate(self._pins):
            pin.map = self._shown[FIXED + i] = None
            pin.inputs, pin.layer.stale, pin.layer.empty = None, True, True
        self._list_maps()

    # ---- the last map of another method

    def _keep_other(self, before: SaliencyMap, family: str) -> None:
        """The explored map gives way to one of another method: it stays below, unless it is pinned."""
        if any(pin.map is before for pin in self._pins):
            return self._drop_other()
        self._shown[1], self._about[1] = before, self._about[0]
        showing.keep_below(self.face.layers[1], before, family, self._subject(*self._about[1]))

    def _refresh_other(self, wish: "Wish", ticket: Ticket) -> None:
        """The second layer follows the class where that costs next to nothing; else it goes."""
        other = self._shown[1]
        if other is None or self._about[1] == (wish.target, wish.contrast) or not ticket.newest:
            return
        if self.session.estimate(other.method, other.params, wish.target)[0] <= 2:
            other = self.session.run(other.method, other.params, target=wish.target, ticket=ticket)
            with self._publishing():
                self._shown[1], self._about[1] = other, (wish.target, wish.contrast)
                self._put(1)
                self._list_maps()
        else:
            self._drop_other()

    def _restore_other(self, ticket: Ticket) -> None:
        """Compute the last map of another method that a restored state speaks of."""
        wanted = self._wanted_other
        if wanted is None:
            return
        try:
            with against(self.session, wanted["about"][1]):
                map = self.session.run(wanted["method"], wanted["params"], target=wanted["about"][0], ticket=ticket)
        except Cancelled:
            raise
        except Exception as error:
            self._wanted_other = None
            return self._say(error)
        with self._publishing():
            if self._wanted_other is wanted:
                self._shown[1], self._about[1], self._wanted_other = map, wanted["about"], None
                self.face.layers[1].view = wanted["looks"].get("view", "")
                self._put(1)
                self._apply(self.face.layers[1], wanted["looks"])
                self._list_maps()

    def _drop_other(self) -> None:
        """Take the second layer away: its map is of another picture or class."""
        with self._publishing():
            self._shown[1] = None
            self._list_maps()
            self.face.layers[1].leave()

    # ---- what is shown

    def _subject(self, target: int, contrast: int | None) -> str:
        """What a map speaks of: a class, or a class rather than another."""
        label = self.session.label(target)
        return label if contrast is None else f"{label} over {self.session.label(contrast)}"

    def _put(self, index: int) -> None:
        """Show the map of a layer as its view says."""
        map, layer, about = self._shown[index], self.face.layers[index], self._about[index]
        subject = self._subject(*about)
        showing.put(layer, map, subject, name=f"{map.title} · {subject}" if layer.pinned else "")

    def _list_maps(self) -> None:
        """`maps`: by method what is explored and the last of another method; pinned ones by their keys."""
        found = {map.method: map for map in reversed(self._shown[:FIXED]) if map is not None}
        self.maps = {**found, **{pin.key: pin.map for pin in self._pins if pin.map is not None}}
        self.face.rows.pinnable = self._why_not()

    def _view_changed(self, change: Any) -> None:
        with self._lock:
            if not self._ready or change["owner"] not in self.face.layers:
                return
            index = self.face.layers.index(change["owner"])
            if self._shown[index] is not None:
                with self._publishing():
                    self._put(index)
                    showing.colour(change["owner"], change["new"])

    def _only_one(self, change: Any) -> None:
        """One layer alone is solo, and one is spoken of."""
        if change["new"]:
            with self._lock:
                for layer in self.face.layers:
                    if layer is not change["owner"]:
                        setattr(layer, change["name"], False)
