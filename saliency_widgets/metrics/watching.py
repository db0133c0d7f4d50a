"""What every metric that asks the model takes besides its settings: who may stop it, and who is told how far it is."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..engine.runner import Stopping
from ..methods import Method
from ..methods.protocol import Context
from .measure import Measure

Tell = Callable[[int, int], None]


def driven(session: Any, rounds: Callable[[Context], Iterator[Any]], planned: int | Callable[[], int], *,
           target: int | str | None = None, uses: Method | None = None, ticket: Stopping | None = None,
           on_progress: Tell | None = None, on_draft: Callable[[Measure], None] | None = None) -> Measure:
    """`session.drive`, telling (done, planned) evaluations; at the end all are done, since some may have been kept.

    `planned` may be a function, for what is known only while the rounds run.
    """
    count = planned if callable(planned) else lambda: planned
    tell = None if on_progress is None else lambda done, known: on_progress(done, max(count(), known))
    result = session.drive(rounds, target=target, uses=uses, ticket=ticket, on_progress=tell,
                           on_draft=on_draft or (lambda draft: None))
    if on_progress is not None:
        on_progress(count(), count())
    return result


class Steps:
    """Progress of a metric that makes maps one after the other: `within(i)` is what the i-th map's run is told with."""

    def __init__(self, count: int, tell: Tell | None, ticket: Stopping | None, parts: int = 100):
        self.count, self.tell, self.ticket, self.parts = count, tell, ticket, parts

    def within(self, number: int) -> Tell | None:
        """Tells (done, planned) hundredths of a map within the whole."""
        if self.tell is None:
            return None
        start, whole = self.parts * number, self.parts * self.count
        return lambda done, planned: self.tell(start + self.parts * done // max(planned, 1), whole)

    def next(self, number: int) -> None:
        """Say that `number` maps are made, and stop here where somebody wants that."""
        if self.tell is not None:
            self.tell(self.parts * number, self.parts * self.count)
        if self.ticket is not None:
            self.ticket.check()
