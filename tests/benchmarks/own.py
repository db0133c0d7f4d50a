"""Ours against ourselves: full forwards with every other lever on, the first preview, opening, and memory by steps."""
from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import saliency_widgets as sw
from saliency_widgets.engine.store import STORE
from saliency_widgets.model.folded import folded

from .cases import LEVEL, Case, forget
from .masked import WORK, Masked, cut
from .measure import MIB, Patience, peak, told

Facts = dict[str, Any]
TIMES = 3  # how often a short figure is taken


def full_forwards(case: Case, patience: Patience) -> list[Facts]:
    """Incremental forwards beside full ones, both folded and channels-last, without gradients, at the best batch size.

    Full forwards are timed on a share of the pictures and count in proportion; needs pictures of 224 px.
    """
    fast, reason = folded(case.model, case.x)
    if fast is None:
        raise ValueError(f"there is no fast copy of {case.name}: {reason}")
    rows = []
    for work, title in WORK.items():
        masked = Masked(fast, case.x, *cut(work))
        mine, full = masked.against_full(masked.ours, patience)
        rows.append({"row": work, "title": title, "what": full_forwards.__doc__.splitlines()[0].rstrip("."),
                     "ours": {**told(mine), "estimate": str(masked.estimate)}, "others": {"full forwards": full}})
    return rows


def previews(case: Case, patience: Patience) -> Facts:
    """When the first preview is there, as a share of the whole time."""
    found = {}
    for words, name, params in (
            ("Integrated Gradients, 50 steps", "integrated_gradients", {"steps": 50}),
            ("Integrated Gradients, 64 steps", "integrated_gradients", {"steps": 64}),
            ("SmoothGrad, 50 copies", "smoothgrad", {"n": 50, "level": LEVEL}),
            ("leave-one-out, 14 × 14", "leave_one_out", {"grid": 14}),
            ("occlusion, window 32, stride 16", "occlusion", {"window": 32, "stride": 16})):
        shares, firsts = [], []
        for turn in range(TIMES + 1):
            forget()
            seen: list[float] = []
            started = time.perf_counter()
            case.session.run(name, params, on_map=lambda found, seen=seen: seen.append(time.perf_counter()))
            if turn:  # the first one warms up
                firsts.append(seen[0] - started)
                shares.append(firsts[-1] / (seen[-1] - started))
        found[words] = {"share": statistics.median(shares), "seconds": statistics.median(firsts), "maps": len(seen)}
    return {"previews": found}


def opening(case: Case, patience: Patience) -> Facts:
    """What is paid once: opening a session, and what the first maps take beyond the second ones like them.

    The first map of many gradients makes the fast copy, the first occlusion plans its groups.
    """
    asked = {"Integrated Gradients, 16 steps": ("integrated_gradients", {"steps": 16}),
             WORK["occlusion"]: ("occlusion", {"window": 32, "stride": 16})}
    opens, beyond = [], {words: [] for words in asked}
    for _ in range(TIMES):
        model = copy.deepcopy(case.model)
        started = time.perf_counter()
        session = sw.Session(model, case.x)
        opens.append(time.perf_counter() - started)
        for words, (name, params) in asked.items():
            times = []
            for _ in range(2):
                forget()
                started = time.perf_counter()
                session.map(name, **params)
                times.append(time.perf_counter() - started)
            beyond[words].append(times[0] - times[1])
    return {"opening": {"opening a session": statistics.median(opens),
                        **{f"first {words}": statistics.median(found) for words, found in beyond.items()}}}


def memory(case: Case, patience: Patience) -> Facts:
    """The peak of Integrated Gradients with 20 and with 200 steps: what grows is the stored frames."""
    peaks = {}
    case.map("integrated_gradients", steps=200)  # batch sizes grow until they are settled
    for steps in (20, 200):
        forget()
        with peak() as found:
            case.map("integrated_gradients", steps=steps)
        peaks[f"{steps} steps"] = found.mib
    forget()
    return {"memory": {**peaks, "budget of the store": STORE.budget / MIB}}


OWN: dict[str, Callable[[Case, Patience], Any]] = {
    "full_forwards": full_forwards, "previews": previews, "opening": opening, "memory": memory}
