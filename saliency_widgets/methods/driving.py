"""Runs a method's generator: answers its rounds, passes on its drafts, and foresees what it would cost."""
from __future__ import annotations

from collections.abc import Callable, Iterator

from ..engine.probe import Evaluation, Probe
from .protocol import Draft, Reply, Round


def drive(generator: Iterator[Round | Draft], evaluate: Callable[[Round], Reply],
          on_draft: Callable[[Draft], None] = lambda draft: None) -> Draft:
    """Run a method to its end; every draft goes to `on_draft`, and the last one is returned."""
    reply, last = None, None
    try:
        while True:
            asked = generator.send(reply)
            reply = None
            if isinstance(asked, Round):
                reply = evaluate(asked)
            else:
                last = asked
                on_draft(asked)
    except StopIteration:
        return last
    finally:
        generator.close()


class _Missing(Exception):
    """Raised with the first probe that is not stored."""


def foresee(generator: Iterator[Round | Draft], planned: int,
            stored: Callable[[Probe], Evaluation | None]) -> tuple[int, int, Draft | Probe]:
    """Replay a method on what is stored: (evaluations missing of those planned, probes found, map or first missing probe)."""
    found = 0

    def replay(asked: Round) -> Reply:
        nonlocal found
        held = [stored(probe) for probe in asked.probes]
        found += sum(e is not None for e in held)
        for probe, evaluation in zip(asked.probes, held):
            if evaluation is None:
                raise _Missing(probe)
            yield probe, evaluation

    try:
        draft = drive(generator, replay)
        return 0, found, draft
    except _Missing as missing:
        return max(1, planned - found), found, missing.args[0]
