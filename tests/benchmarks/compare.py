"""One work on one network: ours and every peer's, interleaved, with peaks and how far the maps agree."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .cases import Case, forget
from .measure import MIB, Contender, Patience, array, available, cosine, interleave, peak, told
from .peers import Peer
from .suite import Work

BATCHES = (1, 4, 8, 16, 50)
SAME = 0.999     # cosine from which two maps in float32 count as the same
HOPELESS = 1.5   # times the best so far from which larger batches are not tried
SPARE = 0.7      # share of the memory at hand that a batch may be expected to take
Facts = dict[str, Any]


def compare(case: Case, work: Work, patience: Patience) -> list[Facts]:
    """Measure a work; one entry a row: ours, and by name the peers, with reasons where one could not take part."""
    counts: dict[str, Facts] = {}
    contenders = _ours(case, work, counts)
    for contender in contenders:  # fast copies, batch sizes and caches are there when a person asks for a second map
        contender.before(0)
        contender.run(0)
    case.renew()
    refused: dict[str, str] = {}
    sizes: dict[str, Facts] = {}
    theirs: list[tuple[Contender, Peer]] = []
    for peer in work.peers:
        try:
            found = _contenders(case, work, peer, sizes, patience)
        except Exception as error:  # a peer's failure is a finding
            refused[peer.name] = _words(error)
            case.renew()
            continue
        refused.update((name, reason) for name, reason in found.items() if isinstance(reason, str))
        theirs += [(contender, peer) for contender in found.values() if isinstance(contender, Contender)]
    interleave([*contenders, *(contender for contender, _ in theirs)], patience)
    return [_row(case, work, number, contenders, theirs, refused, counts, sizes) for number in range(len(work.rows))]


def _ours(case: Case, work: Work, counts: dict[str, Facts]) -> list[Contender]:
    def before(first: bool) -> None:
        if first and work.fresh:
            forget()
        if first and work.before is not None:
            work.before(case)
        case.session.stats.reset()

    def after(name: str) -> None:
        stats = case.session.stats
        counts[name] = {"forward": stats.forward_samples, "backward": stats.backward_samples, "masked": stats.masked_samples}
        estimate = getattr(stats, "estimate", None)
        if estimate is not None:
            counts[name]["estimate"] = str(estimate)

    return [Contender("ours", lambda turn, row=row: row.run(case, turn), lambda turn, first=not number: before(first),
                      lambda turn, row=row: after(row.name), case.settle) for number, row in enumerate(work.rows)]


def _contenders(case: Case, work: Work, peer: Peer, sizes: dict[str, Facts],
                patience: Patience) -> dict[str, Contender | str]:
    """A peer at its best batch size and at its default, or reasons in words."""
    if peer.missing:
        return {peer.name: peer.missing}

    def at(batch: Any, name: str = peer.name, once: bool = False) -> Contender:
        return Contender(name, lambda turn: peer.call(case, batch, work.rows[turn % len(work.rows)].name, turn),
                         settle=case.settle, once=once)

    if peer.pilot is None:
        (peer.warm or peer.call)(case, None, work.rows[0].name, 0)  # warms up, and fails here where it must
        return {peer.name: at(None)}
    if peer.pilot not in case.searches:  # works that differ in number only share their search
        case.searches[peer.pilot] = _search(case, peer)
    seconds, refused, growth = case.searches[peer.pilot]
    best = min(seconds, key=seconds.get)
    sizes[peer.name] = {"batch": best, "searched": seconds, "left_out": refused}
    made: dict[str, Contender | str] = {peer.name: at(best)}
    if peer.default is not None:
        name, whole = f"{peer.name}, default", growth * 51
        sizes[name] = {"batch": peer.default}
        made[name] = at(peer.default, name, patience.deadline is not None)
        if whole > SPARE * available():
            made[name] = f"everything in one batch would take about {whole / 2**30:.0f} GiB"
    return made


def _search(case: Case, peer: Peer) -> tuple[dict[int, float], dict[int, str], float]:
    """Seconds an evaluation at each batch size, reasons why one was not tried, and bytes a picture."""
    seconds: dict[int, float] = {}
    refused: dict[int, str] = {}
    growth = 0.0
    peer.pilot(case, BATCHES[1])  # warms up
    for batch in BATCHES:
        if growth * batch > SPARE * available():
            refused[batch] = f"would take about {growth * batch / 2**30:.0f} GiB"
            continue
        if seconds and seconds[max(seconds)] > HOPELESS * min(seconds.values()):
            refused[batch] = f"{max(seconds)} are much slower than {min(seconds, key=seconds.get)} already"
            continue
        with peak() as memory:
            seconds[batch] = _each(case, peer, batch)
        if seconds[batch] > HOPELESS * min(seconds.values()):  # once more: something else may have run meanwhile
            seconds[batch] = min(seconds[batch], _each(case, peer, batch))
        growth = max(growth, (memory.mib or 0) * MIB / batch) if batch > 1 else growth
    return seconds, refused, growth


def _each(case: Case, peer: Peer, batch: int) -> float:
    """Seconds an evaluation, by a pilot."""
    started = time.perf_counter()
    count = peer.pilot(case, batch)
    case.settle()
    return (time.perf_counter() - started) / count


def _row(case: Case, work: Work, number: int, contenders: list[Contender], theirs: list[tuple[Contender, Peer]],
         refused: dict[str, str], counts: dict[str, Facts], sizes: dict[str, Facts]) -> Facts:
    row, mine = work.rows[number], contenders[number]
    others: dict[str, Facts] = {name: {"skipped": reason} for name, reason in refused.items()}
    for contender, peer in theirs:
        facts = {**told(contender), **sizes.get(contender.name, {})}
        facts["ratio"] = contender.median / mine.median
        turns = [turn for turn in contender.results if turn % len(work.rows) == number]
        if peer.check is not None:
            forget()
            facts["cosine"] = cosine(*peer.check(case))
        elif turns:
            facts |= _agreement(mine.results[turns[0]], contender.results[turns[0]], peer.view)
        if "cosine" in facts:
            facts["same"] = facts["cosine"] > SAME
            if not facts["same"] and peer.remark:
                facts["remark"] = peer.remark
        others[contender.name] = facts
    return {"row": row.name, "title": row.title, "what": work.what, "ours": {**told(mine), **counts[row.name]}, "others": others}


def _agreement(ours: Any, theirs: Any, view: Callable[[Any], Any]) -> Facts:
    """The cosine of two maps; of maps by layer the median, and on how many layers they are the same."""
    if not isinstance(ours, dict):
        return {"cosine": cosine(view(ours), array(theirs))}
    each = [cosine(view(ours[name]), theirs[name]) for name in ours if name in theirs]
    return {"cosine": float(np.median(each)), "layers": len(each), "layers_same": sum(c > SAME for c in each)}


def _words(error: Exception) -> str:
    """An error's kind and first sentence."""
    return f"{type(error).__name__}: {str(error).strip().partition('. ')[0].partition(chr(10))[0]}"
