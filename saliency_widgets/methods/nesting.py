"""Methods inside methods: run several generators side by side as if they were one."""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice

from .protocol import Draft, Reply, Round


def together(generators: Sequence[Iterator[Round | Draft]], keep: bool = True) -> Generator[Round, Reply, list[Draft]]:
    """Run methods in lock-step: yields one joint round for the next round of each, and returns their last drafts.

    Batches fill with the probes of all. Each method is fed its slice of the lazy reply, in order, so nothing is held
    for it. Results are kept where `keep` and every round asks for it.
    """
    drafts: list[Draft | None] = [None] * len(generators)

    def advance(number: int, reply: Reply | None) -> Round | None:
        """Send a reply in and collect drafts until the next round; None at the end."""
        try:
            asked = generators[number].send(reply)
            while isinstance(asked, Draft):
                drafts[number] = asked
                asked = next(generators[number])
            return asked
        except StopIteration:
            return None

    try:
        rounds = [advance(number, None) for number in range(len(generators))]
        while any(rounds):
            asked = [r for r in rounds if r is not None]
            reply = iter((yield Round([p for r in asked for p in r.probes], keep and all(r.keep for r in asked))))
            for number, one in enumerate(rounds):
                if one is not None:
                    share = islice(reply, len(one.probes))
                    rounds[number] = advance(number, share)
                    deque(share, maxlen=0)  # what a method left unread must not reach the next one
            deque(reply, maxlen=0)  # the end of a reply lets go of what was made for it
        return drafts
    finally:
        for generator in generators:
            generator.close()


def converted(generator: Iterator[Round | Draft], convert: Callable[[Draft], Draft]) -> Iterator[Round | Draft]:
    """Run a method inside another that makes each of its drafts into one of its own."""
    reply = None
    try:
        while True:
            asked = generator.send(reply)
            reply = yield convert(asked) if isinstance(asked, Draft) else asked
    except StopIteration:
        return
    finally:
        generator.close()
