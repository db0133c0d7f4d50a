"""Takes the measures of the trust panel: what each is of, what is known, and the work on the Explorer's own thread."""
from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import trust_plans
from .engine.inputs import digest
from .engine.worker import Cancelled, Ticket
from .saliency_map import SaliencyMap
from .widgets.words import sentence

if TYPE_CHECKING:
    from .explorer import Explorer
    from .metrics import Measure
    from .widgets.trust import TrustPanel

PICTURES = 50  # of a long list, that a rule is checked on
KEPT = 4       # measures of other maps that are still there, by metric
FREE = ("pointing_game", "energy")  # cost nothing, and are taken together
EVERY = 0.3    # seconds between the drafts of a measure that are shown


@dataclass(frozen=True, eq=False)
class Found:
    """A measure with what it is of: `key` tells whether that is still shown, `subject` says it."""

    measure: Measure
    key: tuple
    subject: str


@dataclass(frozen=True)
class Stop:
    """Stops a measure at once when something newer is wished: unlike a map in a drag it is worth nothing then."""

    ticket: Ticket

    def check(self) -> None:
        """Raise Cancelled once nobody waits for it."""
        self.ticket.check()
        if not self.ticket.newest:
            raise Cancelled


class Taking:
    """What is measured, and when: one measure after the other, and none once something newer is wished."""

    panel: TrustPanel | None

    def __init__(self, explorer: Explorer):
        self._ex = explorer
        self._settings: dict[str, Any] = {"fill": "blur", "missing": "black", "change": "rotate"}
        self._mask: np.ndarray | None = None
        self._found: dict[str, list[Found]] = {}
        self._queue: list[str] = []
        self._ticket: Ticket | None = None
        self._drafts: dict[str, Measure] = {}

    def follow(self) -> None:
        """Bring what is seen up to what is known."""
        raise NotImplementedError

    def measure(self, *wanted: str) -> None:
        """Take measures of the shown map, one after the other; what is known is not computed again."""
        ex = self._ex
        with ex._lock:
            if not ex._ready:
                return
            if self._ticket is None or not self._ticket.newest:
                self._queue.clear()
            running = bool(self._queue)
            if set(wanted) & set(FREE):
                wanted = (*FREE, *(name for name in wanted if name not in FREE))
            new = [name for name in wanted if self._fresh(name) is None and name not in self._queue]
            self._queue.extend(new)
            if self.panel is not None:
                self.panel.busy(self._queue)
            if new and not running:
                self._ticket = ex._worker.submit(self._work)

    def stop(self) -> None:
        """Forget what waits to be measured."""
        with self._ex._lock:
            if self._queue:
                stopped, self._queue = self._queue, []
                self._drafts.clear()
                if self.panel is not None:
                    self.panel.busy(())
                    self.panel.say(stopped, "stopped: nothing of it is lost, ask again to go on")
                    self.follow()

    # ---- what is measured, and of what

    def _shown(self) -> SaliencyMap | None:
        map = self._ex._shown[0]
        return map if map is not None and map.final and map.method == self._ex.method else None

    def _key(self, metric: str) -> tuple | None:
        """What a measure depends on; None while there is nothing to measure."""
        ex, map = self._ex, self._shown()
        picture = (ex.session.subject.key, ex.session.picture.content)
        about = ex._about[0]
        if metric == "linear_estimate":
            return (*picture, ex.target, ex.contrast, self._settings["missing"])
        if metric == "agreement":
            shown = tuple((name, m.method, m.target, frozen(m.params)) for name, m in sorted(ex.maps.items()))
            return (*picture, *shown) if len(shown) > 1 else None
        if map is None:
            return None
        key = (*picture, about, map.method, frozen(map.params))
        if metric in ("deletion", "insertion"):
            key += (self._settings["fill"],)
        elif metric in ("pointing_game", "energy"):
            key += (None if self._mask is None else digest(self._mask),)
        elif metric == "invariance":
            key += (self._settings["change"],)
        return key

    def _fresh(self, metric: str) -> Found | None:
        key = self._key(metric)
        return next((f for f in reversed(self._found.get(metric, ())) if f.key == key), None) if key is not None else None

    def _subject(self, metric: str) -> str:
        ex, map = self._ex, self._shown()
        if metric == "agreement":
            return "maps shown before"
        words = ex.session.label(ex.target) if map is None or metric == "linear_estimate" else f"{map.title} of {map.label}"
        if metric in FREE:
            return f"{words}, another region or map"
        own = {"deletion": "fill", "insertion": "fill", "linear_estimate": "missing", "invariance": "change"}.get(metric)
        return words + (f", {self._settings[own]}" if own else "")

    def _methods(self, names: Sequence[str] | None = None) -> dict[str, Mapping[str, Any]]:
        """The shown methods, or those named, with the parameters that they have in the Explorer."""
        ex = self._ex
        shown = names or [map.method for map in ex.maps.values()] or [ex.method]
        return {name: ex.params[name].values() for name in dict.fromkeys(shown)}

    def _reported(self) -> dict[str, dict[str, Any]]:
        """The settings as a report takes them."""
        fill = {"fill": self._settings["fill"]}
        return {"deletion": fill, "insertion": fill, "linear_estimate": {"fill": self._settings["missing"]}}

    def _maps(self) -> dict[str, SaliencyMap]:
        """The shown maps by titles that tell them apart."""
        maps, named = list(self._ex.maps.values()), {}
        for number, map in enumerate(maps):
            same = [m for m in maps if m.title == map.title]
            words = map.title if len(same) == 1 else f"{map.title}, {map.label}"
            named[words if words not in named else f"{words} ({number + 1})"] = map
        return named

    # ---- on the Explorer's thread

    def _work(self, ticket: Ticket) -> None:
        ex = self._ex
        try:
            ex._work(ex._newest, ticket)  # what this job took the place of, and the map that is to be measured
            ex.add_class("sw-busy")
            while ex._ready:
                with ex._lock:
                    name = next(iter(self._queue), None)
                    if name is None:
                        return
                self._take(name, ticket)
                with ex._lock:
                    self._drafts.pop(name, None)
                    if name in self._queue:
                        self._queue.remove(name)
                    self.follow()
        except Cancelled:
            self.stop()
            raise
        finally:
            ex.remove_class("sw-busy")
            if ex._ready and ticket.newest:
                ex.face.progress.rest(ex.face.method.hint)

    def _take(self, name: str, ticket: Ticket) -> None:
        """Take one measure; what is wrong with it is said on its own card."""
        ex, started, told, total = self._ex, time.monotonic(), 0.0, self._planned(name)

        def progress(done: int, planned: int) -> None:
            if total and planned:  # some count in shares of maps
                done, planned = round(done * total / planned), total
            each = (time.monotonic() - started) / max(done, 1)
            ex.face.progress.advance(done, planned, each * (planned - done) if done else None)

        def draft(measure: Measure) -> None:
            nonlocal told
            if time.monotonic() - told < EVERY:
                return
            told = time.monotonic()
            with ex._lock:
                if name in self._queue:
                    self._drafts[name] = measure
                    self.follow()

        try:
            Stop(ticket).check()
            if name == "report":
                return self._write(Stop(ticket), progress)
            key, subject = self._key(name), self._subject(name)
            if key is None:
                raise ValueError("two maps must be shown: pin this one, or choose another method" if name == "agreement" else
                                 "there is no finished map: let it be computed first")
            measure = self._taken(name, ticket=Stop(ticket), on_progress=progress, on_draft=draft)
        except Cancelled:
            raise
        except Exception as error:
            if self.panel is not None:
                self.panel.say([name], sentence(error))
            else:
                ex._fail(error)
            return
        with ex._lock:
            kept = [f for f in self._found.get(name, ()) if f.key != key]
            self._found[name] = [*kept[1 - KEPT:], Found(measure, key, subject)]
            if self.panel is not None:
                self.panel.say([name], "")

    def _planned(self, name: str) -> int:
        """Evaluations that a measure or the report takes where nothing is kept, 0 where nobody knows."""
        map = self._shown()
        if name == "report":
            return trust_plans.report_plan(self._ex, list(self._maps().values()))[0]
        planned = trust_plans.plan(self._ex, name, map)
        return 0 if planned is None else planned[0]

    def _taken(self, name: str, **hearing: Any) -> Measure:
        from . import metrics

        ex, function = self._ex, getattr(metrics, name)
        map, (target, _) = self._shown(), ex._about[0] or (ex.target, None)
        heard = {k: v for k, v in hearing.items() if k in inspect.signature(function).parameters}
        settings = self._settings
        if name in ("deletion", "insertion"):
            return function(ex.session, map, fill=settings["fill"], **heard)
        if name in ("pointing_game", "energy"):
            if self._mask is None:
                raise ValueError("no region yet: drag a rectangle on the picture, or take a region of the cut")
            return function(map, self._mask)
        if name in ("infidelity", "road"):
            return function(ex.session, map, **heard)
        if name == "agreement":
            return function(self._maps(), **heard)
        if name == "linear_estimate":
            return function(ex.session, fill=settings["missing"], target=ex.target, **heard)
        if name == "invariance":
            measure = function(ex.session, map.method, settings["change"], target=target, params=map.params, **heard)
            if len(ex.images) == 1:
                return measure
            heard.pop("on_draft", None)
            over = metrics.change_rule(ex.session, ex.images[:PICTURES], settings["change"], measure.details["theta"], **heard)
            return replace(measure, details={**measure.details, "over": over})
        if name in ("sensitivity_max", "sanity_check"):
            return function(ex.session, map.method, target=target, params=map.params, **heard)
        return function(ex.session, map.method, target=target, **heard, **map.params)

    def _write(self, stop: Stop, progress: Callable[[int, int], None]) -> None:
        """The report as a file that the browser puts where it puts what it loads."""
        import tempfile

        from . import metrics

        ex = self._ex
        name = f"{ex.session.name}-trust.html".replace("/", "-")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            metrics.report(ex.session, self._methods(), path, mask=self._mask, target=ex.target, ticket=stop,
                           on_progress=progress, settings=self._reported())
            ex.face.status.save.send({"kind": "file", "name": name, "type": "text/html"}, [path.read_bytes()])
        if self.panel is not None:
            self.panel.say(["report"], f"saved as {name}")


def frozen(params: Mapping[str, Any]) -> tuple:
    """Parameters as something that can be compared: arrays by their content."""
    return tuple(sorted((name, digest(np.asarray(value)) if isinstance(value, np.ndarray) else repr(value))
                        for name, value in params.items()))
