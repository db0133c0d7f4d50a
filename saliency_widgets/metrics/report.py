"""The report: every metric of a set of methods on one picture, as a stand-alone page."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.runner import Stopping
from ..methods import Method, find
from ..saliency_map import SaliencyMap
from .agreement import agreement
from .changing import CHANGES
from .completeness import PROMISING, completeness
from .curves import deletion, insertion
from .heat import mask_of
from .infidelity import infidelity
from .invariance import invariance
from .linear import linear_estimate
from .localisation import energy, pointing_game
from .measure import Measure
from .randomised import randomisable
from .road import road
from .sanity import sanity_check
from .sensitivity import sensitivity_max
from .watching import Steps, Tell

SHOWN = 8  # layers of a sanity check in a report: a deep network has too many for a page
PLACES = ("pointing_game", "energy")  # what needs a mask
OF_MAPS = ("completeness", "deletion", "insertion", "infidelity", "sensitivity_max", "road", *PLACES, "sanity_check")
TOGETHER = ("invariance", "agreement", "linear_estimate")
METRICS = (*OF_MAPS, *TOGETHER)


@dataclass
class Judged:
    """A method with its map and what was measured of it: `measures` by metric, and why others `lack`."""

    method: Method
    params: Mapping[str, Any]
    map: SaliencyMap
    measures: dict[str, Measure] = field(default_factory=dict)
    changes: dict[str, Measure] = field(default_factory=dict)  # invariance by kind of change
    lack: dict[str, str] = field(default_factory=dict)


@dataclass
class Findings:
    """All that a report says: the methods judged, what they have together, and the metrics asked for."""

    session: Any
    target: int | None
    mask: np.ndarray | None
    metrics: tuple[str, ...]
    judged: list[Judged] = field(default_factory=list)
    together: dict[str, Measure] = field(default_factory=dict)
    lack: dict[str, str] = field(default_factory=dict)


def report(session: Any, methods: Sequence[str] | Mapping[str, Mapping[str, Any]], path: str | Path, *, mask: Any = None,
           metrics: Iterable[str] | None = None, target: int | str | None = None,
           settings: Mapping[str, Mapping[str, Any]] | None = None, ticket: Stopping | None = None,
           on_progress: Tell | None = None) -> Path:
    """Write a page that needs nothing but itself: the maps of `methods` on the session's picture and every metric of them.

    `methods` are names, or names with their parameters. `mask`, bool `(H, W)`, is where the object lies, for `pointing_game` and
    `energy`, which are left out without one. `metrics` are names of `METRICS`, by default all; `settings` their keywords, such
    as `{"deletion": {"fill": "mean"}}`. What a method cannot have is said on the page (a residual of Grad-CAM). Returns the path,
    which must end in .html; ValueError for a wrong one, for an unknown metric, for a place without a mask, and for no method;
    LookupError for an unknown method.
    """
    from .report_page import page

    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"a report is a page: end {path.name!r} in .html")
    text = page(gather(session, methods, mask=mask, metrics=metrics, target=target, settings=settings, ticket=ticket,
                       on_progress=on_progress))
    path.write_text(text, encoding="utf-8")
    return path


def gather(session: Any, methods: Sequence[str] | Mapping[str, Mapping[str, Any]], *, mask: Any = None,
           metrics: Iterable[str] | None = None, target: int | str | None = None,
           settings: Mapping[str, Mapping[str, Any]] | None = None, ticket: Stopping | None = None,
           on_progress: Tell | None = None) -> Findings:
    """What a report says, before it is written."""
    given = dict(methods) if isinstance(methods, Mapping) else {name: {} for name in _listed(methods)}
    asked, chosen = _asked(metrics, mask), {find(name): dict(params) for name, params in given.items()}
    if not chosen:
        raise ValueError("a report is of one method at least")
    unknown = sorted(set(settings or {}) - set(METRICS))
    if unknown:
        raise ValueError(f"settings= name no metric: {', '.join(unknown)}; there are {', '.join(METRICS)}")
    where = None if mask is None else mask_of(mask, session.picture.shown.shape[:2])
    index = None if session.score == "function" else session.target if target is None else session.resolve_target(target)
    found = Findings(session, index, where, asked)
    work = _Work(found, settings or {}, ticket)
    jobs = [(work.map, method, params) for method, params in chosen.items()]
    jobs += [(work.one, name, number) for number in range(len(chosen)) for name in asked if name in OF_MAPS]
    jobs += [(work.change, change, number) for number in range(len(chosen)) for change in CHANGES if "invariance" in asked]
    jobs += [(work.joint, name, None) for name in asked if name in ("agreement", "linear_estimate")]
    steps = Steps(len(jobs), on_progress, ticket)
    for number, (do, what, more) in enumerate(jobs):
        do(what, more, steps.within(number))
        steps.next(number + 1)
    return found


def _listed(methods: Any) -> list[str]:
    if isinstance(methods, str):
        raise TypeError(f"methods={methods!r} does not fit: a list of names, such as [{methods!r}]")
    return list(methods)


def _asked(metrics: Iterable[str] | None, mask: Any) -> tuple[str, ...]:
    if metrics is None:
        return tuple(name for name in METRICS if mask is not None or name not in PLACES)
    if isinstance(metrics, str):
        raise TypeError(f"metrics={metrics!r} does not fit: a list of names, such as [{metrics!r}]")
    wanted = list(metrics)
    unknown = [name for name in wanted if name not in METRICS]
    if unknown or not wanted:
        raise ValueError(f"there is no metric {', '.join(map(repr, unknown)) or 'in an empty list'}: choose from "
                         f"{', '.join(METRICS)}")
    blind = [name for name in wanted if name in PLACES and mask is None]
    if blind:
        raise ValueError(f"{' and '.join(blind)} cannot be had without mask=, a bool array (H, W) that is True inside the object")
    return tuple(name for name in METRICS if name in wanted)


class _Work:
    """The parts of a report's work; each fills in the findings."""

    def __init__(self, found: Findings, settings: Mapping[str, Mapping[str, Any]], ticket: Stopping | None):
        self.found, self.settings, self.ticket, self.session = found, settings, ticket, found.session
        self.layers: list[str] | None = None

    def map(self, method: Method, params: Mapping[str, Any], tell: Tell | None) -> None:
        """Make a method's map."""
        m = self.session.run(method.name, params, target=self.found.target, ticket=self.ticket, on_progress=tell)
        self.found.judged.append(Judged(method, params, m))

    def one(self, name: str, number: int, tell: Tell | None) -> None:
        """Measure one map, or note why not."""
        judged, mask = self.found.judged[number], self.found.mask
        if name == "completeness" and (judged.method.name not in PROMISING or judged.map.residual is None):
            judged.lack[name] = "promises no sum"
            return
        more = dict(target=self.found.target, ticket=self.ticket, on_progress=tell, **self.kept(name))
        of_method = {"completeness": completeness, "sensitivity_max": sensitivity_max, "sanity_check": sanity_check}
        of_map = {"deletion": deletion, "insertion": insertion, "infidelity": infidelity, "road": road}
        try:
            if name in PLACES:
                place = {"pointing_game": pointing_game, "energy": energy}[name]
                judged.measures[name] = place(judged.map, mask, **self.kept(name))
                return
            if name == "completeness":
                more |= {k: v for k, v in judged.map.params.items() if k in judged.params or k == "steps"}
            elif name in of_method:
                more |= {"params": judged.params}
            if name == "sanity_check" and "layers" not in more:
                self.layers = self.layers or _spread(randomisable(self.session))
                more |= {"layers": self.layers}
            what = judged.method.name if name in of_method else judged.map
            judged.measures[name] = {**of_method, **of_map}[name](self.session, what, **more)
        except ValueError as error:
            judged.lack[name] = str(error)

    def change(self, change: str, number: int, tell: Tell | None) -> None:
        """Measure one map's invariance to a kind of change, or note why not."""
        judged = self.found.judged[number]
        kept = {"amounts": CHANGES[change].amounts[1::2], **self.kept("invariance")}
        try:
            judged.changes[change] = invariance(self.session, judged.method.name, change, target=self.found.target,
                                                params=judged.params, ticket=self.ticket, on_progress=tell, **kept)
        except ValueError as error:
            judged.lack[f"invariance ({change})"] = str(error)

    def joint(self, name: str, _: None, tell: Tell | None) -> None:
        """Measure what is not of one map."""
        try:
            if name == "agreement":
                if len(self.found.judged) > 1:
                    self.found.together[name] = agreement({j.method.title: j.map for j in self.found.judged})
                return
            self.found.together[name] = linear_estimate(self.session, target=self.found.target, ticket=self.ticket,
                                                        on_progress=tell, **self.kept(name))
        except ValueError as error:
            self.found.lack[name] = str(error)

    def kept(self, name: str) -> dict[str, Any]:
        """A metric's settings: the report's own, where nothing else is said."""
        # Few draws make a page of minutes.
        usual: dict[str, dict[str, Any]] = {"deletion": dict(random=3), "insertion": dict(random=3), "sensitivity_max": dict(n=4)}
        return {**usual.get(name, {}), **self.settings.get(name, {})}


def _spread(layers: Sequence[str]) -> list[str]:
    """At most `SHOWN` of the layers, the first and the last among them."""
    places = np.unique(np.linspace(0, len(layers) - 1, min(SHOWN, len(layers))).round().astype(int))
    return [layers[i] for i in places]


