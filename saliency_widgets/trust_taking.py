"""Takes the measures of the trust panel: when each is taken, on the Explorer's own thread, and what stops it."""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import trust_plans
from .engine.worker import Cancelled, Ticket
from .trust_asking import FREE, Asked, Asking, Found
from .widgets.words import sentence

if TYPE_CHECKING:
    from .explorer import Explorer
    from .metrics import Measure
    from .widgets.trust import TrustPanel

KEPT = 4       # measures of other maps that are still there, by metric
EVERY = 0.3    # seconds between the drafts of a measure that are shown
WHOLE = ("sanity_check", "report")  # begin anew when they are asked for again: their networks are gone
STOPPED = "stopped: nothing of it is lost, ask again to go on"


@dataclass(frozen=True)
class Stop:
    """Stops a measure at once when something newer is wished: unlike a map in a drag it is worth nothing then."""

    ticket: Ticket

    def check(self) -> None:
        """Raise Cancelled once nobody waits for it."""
        self.ticket.check()
        if not self.ticket.newest:
            raise Cancelled


class Taking(Asking):
    """One measure after the other, and none once something newer is wished.

    The queue belongs to the job of `_ticket` alone: one that was stopped may run on for a while, and must not touch what was
    asked for since.
    """

    panel: TrustPanel | None

    def __init__(self, explorer: Explorer):
        super().__init__(explorer)
        self._queue: list[str] = []
        self._running: Asked | None = None  # what the first of the queue is measured with, once it is
        self._ticket: Ticket | None = None
        self._drafts: dict[str, Found] = {}

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
                self._forget()
            running = bool(self._queue)
            if set(wanted) & set(FREE):
                wanted = (*FREE, *(name for name in wanted if name not in FREE))
            new = [name for name in dict.fromkeys(wanted) if self._fresh(name) is None and not self._waits(name)]
            self._queue.extend(new)
            self._tell_busy()
            if new and not running:
                self._ticket = ex._worker.submit(self._work)

    def stop(self) -> None:
        """Forget what waits to be measured."""
        with self._ex._lock:
            stopped = self._forget()
            if stopped and self.panel is not None:
                self.panel.busy(())
                for name in stopped:
                    word = "write" if name == "report" else "measure"
                    self.panel.say([name], f"stopped; ask again to {word} it" if name in WHOLE else STOPPED)
                self.follow()

    def _forget(self) -> list[str]:
        """Empty the queue, which no job owns then; what was in it."""
        queue, self._queue, self._running, self._ticket = self._queue, [], None, None
        self._drafts.clear()
        return queue

    def _waits(self, name: str) -> bool:
        """Whether a measure of what is set now is being taken, or waits for its turn."""
        running = self._running
        if name in (self._queue if running is None else self._queue[1:]):
            return True
        return running is not None and running.metric == name and (name == "report" or running.key == self._key(name))

    def _tell_busy(self) -> None:
        if self.panel is not None:
            self.panel.busy([name for name in dict.fromkeys(self._queue) if self._waits(name)])

    # ---- on the Explorer's thread

    def _work(self, ticket: Ticket) -> None:
        ex = self._ex
        try:
            ex._work(ex._newest, ticket)  # what this job took the place of, and the map that is to be measured
            ex.add_class("sw-busy")
            while ex._ready:
                with ex._lock:
                    if self._ticket is not ticket or not self._queue:
                        return
                    asked = self._running = self._asked(self._queue[0])
                self._take(asked, ticket)
                with ex._lock:
                    if self._ticket is not ticket:
                        return
                    self._queue.pop(0)
                    self._running = None
                    self._drafts.pop(asked.metric, None)
                    self.follow()
        except BaseException as error:
            with ex._lock:
                if self._ticket is ticket:
                    names = list(self._queue)
                    self.stop()
                    if names and self.panel is not None and not isinstance(error, Cancelled):
                        self.panel.say(names, sentence(error))
            raise
        finally:
            ex.remove_class("sw-busy")
            if ex._ready and ticket.newest:
                ex.face.progress.rest(ex.face.method.hint)

    def _take(self, asked: Asked, ticket: Ticket) -> None:
        """Take one measure; what is wrong with it is said on its own card."""
        ex, name, started, told, total = self._ex, asked.metric, time.monotonic(), 0.0, 0

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
                if self._ticket is ticket:
                    self._drafts[name] = Found(measure, asked.key, asked.subject)
                    self.follow()

        try:
            Stop(ticket).check()
            total = self._planned(asked)
            if name == "report":
                return self._write(Stop(ticket), progress)
            if asked.key is None:
                raise ValueError("two maps must be shown: pin this one, or choose another method" if name == "agreement" else
                                 "there is no finished map: let it be computed first")
            if any(found.key == asked.key for found in self._found.get(name, ())):
                return  # its settings went back to what was measured while it waited
            measure = asked.measure(ex.session, ticket=Stop(ticket), on_progress=progress, on_draft=draft)
        except Cancelled:
            raise
        except Exception as error:
            with ex._lock:
                if self._ticket is ticket:
                    self._say(name, error)
            return
        with ex._lock:
            kept = [f for f in self._found.get(name, ()) if f.key != asked.key]
            self._found[name] = [*kept[1 - KEPT:], Found(measure, asked.key, asked.subject)]
            if self._ticket is ticket and self.panel is not None:
                self.panel.say([name], "")

    def _say(self, name: str, error: Exception) -> None:
        if self.panel is not None:
            self.panel.say([name], sentence(error))
        else:
            self._ex._fail(error)

    def _planned(self, asked: Asked) -> int:
        """Evaluations that a measure or the report takes where nothing is kept, 0 where nobody knows."""
        if asked.metric == "report":
            return trust_plans.report_plan(self._ex, self._to_report())[0]
        planned = trust_plans.plan(self._ex, asked.metric, asked.map)
        return 0 if planned is None else planned[0]

    def _to_report(self) -> Sequence:
        """The maps that a report is of."""
        with self._ex._lock:
            return list(self._reported()[0].values())

    def _write(self, stop: Stop, progress: Callable[[int, int], None]) -> None:
        """The report as a file that the browser puts where it puts what it loads."""
        import tempfile

        from . import metrics

        ex = self._ex
        name = f"{ex.session.name}-trust.html".replace("/", "-")
        methods, settings = self._report_of()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            metrics.report(ex.session, methods, path, ticket=stop, on_progress=progress, **settings)
            ex.face.status.save.send({"kind": "file", "name": name, "type": "text/html"}, [path.read_bytes()])
        if self.panel is not None:
            self.panel.say(["report"], f"saved as {name}")
