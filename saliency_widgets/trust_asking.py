"""What a measure of the trust panel is of: the map, the class and the settings as they are at one moment."""
from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torch import Tensor

from .engine.inputs import digest
from .saliency_map import SaliencyMap
from .trust_plans import PICTURES

if TYPE_CHECKING:
    from .explorer import Explorer
    from .metrics import Measure

FREE = ("pointing_game", "energy")  # cost nothing, and are taken together


@dataclass(frozen=True, eq=False)
class Found:
    """A measure with what it is of: `key` tells whether that is still shown, `subject` says it."""

    measure: Measure
    key: tuple
    subject: str


@dataclass(frozen=True, eq=False)
class Asked:
    """A metric with all that it is measured with, taken together: what changes later is another measure's."""

    metric: str
    key: tuple | None
    subject: str
    settings: Mapping[str, Any]
    mask: np.ndarray | None
    map: SaliencyMap | None
    target: int | None
    maps: Mapping[str, SaliencyMap]
    images: Sequence[Any]

    def measure(self, session: Any, **hearing: Any) -> Measure:
        """Take it; `hearing` are ticket and callbacks, of which a metric hears those that it knows."""
        from . import metrics

        name, map, function, settings = self.metric, self.map, getattr(metrics, self.metric), self.settings
        heard = {k: v for k, v in hearing.items() if k in inspect.signature(function).parameters}
        if name in ("deletion", "insertion"):
            return function(session, map, fill=settings["fill"], **heard)
        if name in FREE:
            if self.mask is None:
                raise ValueError("no region yet: drag a rectangle on the picture, or take a region of the cut")
            return function(map, self.mask)
        if name in ("infidelity", "road"):
            return function(session, map, **heard)
        if name == "agreement":
            return function(self.maps, **heard)
        if name == "linear_estimate":
            return function(session, fill=settings["missing"], target=self.target, **heard)
        if name == "invariance":
            measure = function(session, map.method, settings["change"], target=self.target, params=map.params, **heard)
            if len(self.images) == 1:
                return measure
            heard.pop("on_draft", None)
            over = metrics.change_rule(session, self.images[:PICTURES], settings["change"], measure.details["theta"], **heard)
            return replace(measure, details={**measure.details, "over": over})
        if name in ("sensitivity_max", "sanity_check"):
            return function(session, map.method, target=self.target, params=map.params, **heard)
        return function(session, map.method, target=self.target, **heard, **map.params)


class Asking:
    """What is shown, and what is known of it. Everything here is read under the Explorer's lock."""

    def __init__(self, explorer: Explorer):
        self._ex = explorer
        self._settings: dict[str, Any] = {"fill": "blur", "missing": "black", "change": "rotate"}
        self._mask: np.ndarray | None = None
        self._found: dict[str, list[Found]] = {}

    def _shown(self) -> SaliencyMap | None:
        map = self._ex._shown[0]
        return map if map is not None and map.final and map.method == self._ex.method else None

    def _about(self, map: SaliencyMap) -> tuple:
        """Target and contrast of a shown map."""
        return next((about for shown, about in zip(self._ex._shown, self._ex._about) if shown is map), None) or (map.target, None)

    def _asked(self, metric: str) -> Asked:
        """A metric of what is shown now, with the settings as they are now."""
        ex, map = self._ex, self._shown()
        with ex._lock:
            target = ex.target if map is None or metric == "linear_estimate" else self._about(map)[0]
            return Asked(metric, self._key(metric), self._subject(metric), dict(self._settings), self._mask, map, target,
                         self._maps(), list(ex.images))

    def _key(self, metric: str) -> tuple | None:
        """What a measure depends on; None while there is nothing to measure."""
        ex, map = self._ex, self._shown()
        picture = (ex.session.subject.key, ex.session.picture.content)
        if metric == "linear_estimate":
            return (*picture, ex.target, ex.contrast, self._settings["missing"])
        if metric == "agreement":
            shown = tuple((name, m.method, self._about(m), m.score, frozen(m.params)) for name, m in sorted(ex.maps.items()))
            return (*picture, *shown) if len(shown) > 1 else None
        if map is None:
            return None
        key = (*picture, self._about(map), map.method, frozen(map.params))
        if metric in ("deletion", "insertion"):
            key += (self._settings["fill"],)
        elif metric in FREE:
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

    def _maps(self) -> dict[str, SaliencyMap]:
        """The shown maps by titles that tell them apart."""
        maps, named = list(self._ex.maps.values()), {}
        for number, map in enumerate(maps):
            same = [m for m in maps if m.title == map.title]
            words = map.title if len(same) == 1 else f"{map.title}, {map.label}"
            named[words if words not in named else f"{words} ({number + 1})"] = map
        return named

    # ---- what a report is of

    def _reported(self) -> tuple[dict[str, SaliencyMap], list[str]]:
        """The shown maps that a report is of, by method, the explored one first, and the names of those that it leaves out.

        A report is of one class, and has a method once.
        """
        named, first = self._maps(), self._shown()
        taken: dict[str, SaliencyMap] = {}
        left: list[str] = []
        for words, map in sorted(named.items(), key=lambda one: one[1] is not first):
            about = self._about(next(iter(taken.values()), map))
            known = taken.get(map.method) if self._about(map) == about else None
            if self._about(map) == about and known is None:
                taken[map.method] = map
            elif known is None or frozen(known.params) != frozen(map.params):
                left.append(words)
        return taken, left

    def _report_of(self, names: Sequence[str] | None = None) -> tuple[dict[str, Mapping[str, Any]], dict[str, Any]]:
        """Methods with the parameters of their shown maps, or, of those that are not shown, of the Explorer; and the keywords."""
        ex = self._ex
        with ex._lock:
            maps = self._reported()[0]
            wanted = list(names or maps or [ex.method])
            methods = {name: dict(maps[name].params) if name in maps else ex.params[name].values() for name in wanted}
            target = next((self._about(map)[0] for map in maps.values()), ex.target)
            fill = {"fill": self._settings["fill"]}
            return methods, dict(mask=self._mask, target=target, settings={
                "deletion": fill, "insertion": fill, "linear_estimate": {"fill": self._settings["missing"]}})


def frozen(value: Any) -> Any:
    """A parameter's value, or a mapping of them, as something that can be compared: arrays and pictures by their content."""
    if isinstance(value, (Tensor, np.ndarray)):
        return digest(value)
    if isinstance(value, Image.Image):
        return value.mode, digest(np.asarray(value)), tuple(value.getpalette() or ())
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), frozen(one)) for name, one in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(frozen(one) for one in value)
    return repr(value)
