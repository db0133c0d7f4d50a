"""What the Explorer's worker does with a wish: open the picture, compute the map, show it, look closer."""
from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .contact_sheet import contact_sheet, has_sheet
from .engine.worker import Cancelled, Ticket
from .methods.registry import find
from .path_points import WINDOWED, PathPoints
from .regions import Cut
from .saliency_map import SaliencyMap
from .widgets import showing
from .widgets.controls import same
from .widgets.film_panel import FilmPanel
from .widgets.path import PathPanel
from .widgets.words import duration

EXPENSIVE = 3.0  # seconds; what a hand asks for and costs more waits for a click that knows the price
SAME = object()  # the picture stays


class TooLong(Exception):
    """A map that nobody agreed to pay for: evaluations missing and their seconds."""


@dataclass(frozen=True)
class Wish:
    """What is wanted, as it was when it was wanted. `paid`: no question about the cost; `cut`: regions and what is off."""

    image: Any
    target: int | None
    contrast: int | None
    method: str
    params: dict[str, Any]
    paid: bool
    refresh: bool = False
    point: float = 0.5
    cut: Cut | None = None

    def same_map(self, other: "Wish | None") -> bool:
        """Whether the other wish has the same map, whatever point of the path is looked at."""
        return (other is not None and self.image is SAME and not self.refresh
                and (self.target, self.contrast, self.method) == (other.target, other.contrast, other.method)
                and all(same(v, other.params.get(k)) for k, v in self.params.items()))

    def only_moved(self, other: "Wish") -> bool:
        """Whether the two differ in parameters alone: in a drag the map before the last is worth showing."""
        return self.image is SAME and (self.target, self.contrast, self.method) == (other.target, other.contrast, other.method)


class Granting:
    """The Explorer's work on its own thread. Everything shown is set under the lock, so that handlers see a whole."""

    def _work(self, wish: Wish, ticket: Ticket) -> None:
        self.add_class("sw-busy")
        try:
            self._grant(wish, ticket)
            self._refresh_pins(ticket)
        finally:
            self.remove_class("sw-busy")
            if ticket.newest:
                self.face.progress.rest(self.face.method.hint)
            self.trust.follow()

    def _grant(self, wish: Wish, ticket: Ticket) -> None:
        try:
            if wish.refresh:
                self.session.refresh()
            if wish.image is not SAME:
                wish = self._open(wish)
            self._what_if(wish, ticket)  # first: one evaluation, and a click must answer at once
            if not wish.same_map(self._last):
                self._compute(wish, ticket)
                self._what_if(wish, ticket)  # again, where the model was seen to change meanwhile
            elif self._shown[0] is not None:
                with self._publishing():
                    self.face.layers[0].stale = False
                    self.face.method.show(self._shown[0])
            if ticket.newest:
                self._look_closer(wish)
                self._show_sheet(wish)
                self._tell_fields(wish, ticket)
        except TooLong as price:
            if self._wanted(wish):
                self._ask_first(wish, *price.args)
        except Cancelled:
            if ticket.newest and wish.image is SAME and not wish.same_map(self._last):
                self._ask_first(wish, *self.session.estimate(wish.method, wish.params, wish.target))
            raise
        except Exception as error:
            if self._wanted(wish):
                self._fail(error)

    def _ask_first(self, wish: Wish, missing: int, seconds: float | None) -> None:
        """Offer the map at its price: it was too dear to begin with, or was stopped."""
        with self._publishing():
            self._paid_for, self.face.layers[0].stale = None, False
            price = str(missing) if seconds is None else f"{missing} · ≈ {duration(seconds)}"
            self.face.method.select(wish.method, waiting=price)
            self.face.method.show_evidence(None)

    def _open(self, wish: Wish) -> Wish:
        """Take the new picture; where the model refuses it the old one stays."""
        if wish.image is not self._kept_image:
            self.face.layers[0].stale = True
            try:
                self.session.image = wish.image
            except Exception:
                with self._publishing():
                    if self._pending is wish.image:
                        self._pending, self._follow, self.image = SAME, False, self._kept_image
                        self._newest = replace(self._newest, image=SAME)
                raise
        with self._publishing():
            self._kept_image = wish.image
            if self._pending is wish.image:
                self._pending, self._last, self._paid_for = SAME, None, None
                if self._follow:  # no class was chosen since: a new picture starts at its most probable one
                    self.target, self._follow = self.session.target, False
                self._drop_other()
                self._empty_pins()
                self._show_picture()
                self._forget_cuts()
                self.face.stage.canvas.show_cut(None)
                showing.clear(self.face.layers[0], self.session.picture.shown.shape[:2])
                self._show_classes(self.target)
            if self._newest is not None and self._newest.image is wish.image:
                self._newest = replace(self._newest, image=SAME, target=self.target)
            return replace(wish, image=SAME, target=self.target, cut=self._cut_of(wish.method),
                           params=self.params[wish.method].values())

    def _compute(self, wish: Wish, ticket: Ticket) -> None:
        session, started = self.session, time.monotonic()
        with session.subject.lock:
            session.contrast = wish.contrast

        def progress(done: int, planned: int) -> None:
            # The first batch tells the price; nothing it evaluated is lost when the person must agree first.
            each = (time.monotonic() - started) / max(done, 1)
            if not wish.paid and each * planned > EXPENSIVE and planned - done > 1:
                raise TooLong(planned - done, each * (planned - done))
            if not grown and planned > done:
                self.face.layers[0].stale = True
            self.face.progress.advance(done, planned, each * (planned - done))

        def grow(map: SaliencyMap) -> None:
            if not map.final:
                grown.append(map)
                self._show_map(wish, map)

        inputs, grown = session.inputs, []
        map = session.run(wish.method, wish.params, target=wish.target, ticket=ticket, on_map=grow, on_progress=progress)
        if session.inputs is not inputs:  # the session saw that the model was trained on, and began anew
            with self._publishing():
                self._shown[0] = None
                self._drop_other()
                self._show_classes(self.target)
                self._show_facts("the model changed: evaluated anew")
        elif session.notes != self._noted:  # what was learnt of the model meanwhile
            with self._publishing():
                self._show_facts()
        self._show_map(wish, map)
        if self._wanted(wish):
            self._last = wish
            for callback in self._callbacks:
                callback(map)
        self._refresh_other(wish, ticket)

    def _look_closer(self, wish: Wish) -> None:
        """What there is at the playhead: one point of a path, or one stage of a film, all from what is kept."""
        body = self.face.method.bodies[wish.method]
        if not self._wanted(wish) or self._shown[0] is None:
            return
        if hasattr(body, "show_point"):
            self._show_point(wish, body)
        elif hasattr(body, "show_stage"):
            with self._publishing():
                self._show_stage(wish, body)

    def _show_point(self, wish: Wish, body: PathPanel) -> None:
        """The picture, the gradient and the sum so far at one point of a path."""
        session, params, axis = self.session, wish.params, body.axis
        low, high = params[axis]
        at = float(np.clip(body.point, low, high))
        path = PathPoints(session, params, axis)
        known = body.alphas if body.alphas.size else np.array([at])
        gradient = path.gradient(float(known[np.abs(known - at).argmin()]), wish.target)
        total = None
        if params.get("rule") in WINDOWED and at > low:
            part = {**params, axis: (low, at)}  # a part of the window: no evaluation
            total = session.run(wish.method, part, target=wish.target).unplaced.heatmap()
        with self._publishing():
            body.show_point(at, low, path.picture(at), gradient, total)

    def _show_stage(self, wish: Wish, body: FilmPanel) -> None:
        """The stage of a film at the playhead, on the stage, too, where it is a map of the picture."""
        map = self._shown[0]
        if map.method != wish.method or not map.final:
            return
        stage = body.show_stage(body.point)
        if stage is not None and "mask" in stage:
            last = stage is body.film[-1]
            there = stage["mask"][None].astype(np.float32) / 255
            # What the map tells of regions it tells of those that were taken so far.
            shown = map if last else replace(map, values=there if map.region_scores is None else map.values * (there > 0))
            showing.put(self.face.layers[0], shown, self._subject(wish.target, wish.contrast))

    def _show_sheet(self, wish: Wish) -> None:
        """Bring the contact sheet up to the map that is shown, while it is open; a map without one closes it."""
        map, view = self._shown[0], self.face.sheet
        offered = map is not None and map.final and map.method == wish.method and has_sheet(map)
        with self._publishing():
            self.face.method.offer_sheet(offered)
        if self._sheet_open and not offered:
            self._sheet_open = False
        if not self._sheet_open:
            view.close_sheet()
        elif map is not self._on_sheet or not view.opened:
            view.show(contact_sheet(self.session, map), find(map.method).family)
            self._on_sheet = map

    def _tell_fields(self, wish: Wish, ticket: Ticket) -> None:
        """Say how much of the picture the layers see, once, when there is nothing else to do."""
        body = self.face.method.bodies[wish.method]
        if hasattr(body, "tell_fields") and self._wanted(wish):
            fields = self.session.receptive_fields(ticket)
            with self._publishing():
                body.tell_fields(fields, self.session.inputs.image.shape[-1])

    # ---- what is shown of it

    def _wanted(self, wish: Wish) -> bool:
        """Whether nothing was wished since that makes this wish's result misleading."""
        with self._lock:
            return self._ready and self._newest is not None and self._newest.only_moved(replace(wish, image=SAME))

    def _show_map(self, wish: Wish, map: SaliencyMap) -> None:
        """Show a map, finished or growing; the last one of another method moves to the second layer."""
        if not self._wanted(wish):
            return
        family, upper = find(map.method).family, self.face.layers[0]
        with self._publishing():
            before = self._shown[0]
            if before is None or before.method != map.method:
                if before is not None and before.final:
                    self._keep_other(before, family)
                showing.begin(upper, family, map)
            self._shown[0], self._about[0] = map, (wish.target, wish.contrast)
            showing.put(upper, map, self._subject(wish.target, wish.contrast))
            self._dress(map.method)
            self._list_maps()
            self.face.method.show(map)
            self._show_cut()
            self._show_off()

    def _fail(self, error: BaseException) -> None:
        """Say what went wrong; the last map stays."""
        with self._publishing():
            self._say(error)
            self.face.layers[0].stale = False
