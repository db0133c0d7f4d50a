"""`ex.trust`: the panel below the Explorer for code and for hands."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from . import trust_plans
from .engine.inputs import FILLS
from .trust_taking import Taking

if TYPE_CHECKING:
    from .explorer import Explorer
    from .metrics import Measure
    from .widgets.trust import TrustPanel

FILL_CHOICES = tuple(fill for fill in ("black", "mean", "blur", "noise") if fill in FILLS)
CHANGES = ("rotate", "shift", "blur", "brighten")
CHOICES = {"fill": FILL_CHOICES, "missing": FILL_CHOICES, "change": CHANGES}


class Trust(Taking):
    """The Explorer's trust panel for code: `open` it, `show("deletion")` and read `results`.

    Nothing is computed before it is asked for. Its widgets are made when it is opened for the first time.
    """

    def __init__(self, explorer: Explorer):
        super().__init__(explorer)
        self.panel: TrustPanel | None = None
        self._open, self._tab = False, "deletion"

    # ---- the public face

    @property
    def open(self) -> bool:
        """Whether the panel is there; assign it."""
        return self._open

    @open.setter
    def open(self, value: bool) -> None:
        ex = self._ex
        with ex._lock:
            if bool(value) == self._open or not ex._ready:
                return
            self._open = bool(value)
            if self._open:
                self._panel().choose(self._tab)
                self.follow()
            blocks = [block for block in ex.children if block is not self.panel]
            ex.children = (*blocks, self.panel) if self._open else tuple(blocks)
            self._tell_button()

    @property
    def results(self) -> Mapping[str, Measure]:
        """The measures of what is shown now, by the name of the metric; what was found of another map is not among them."""
        with self._ex._lock:
            return MappingProxyType({name: found.measure for name in self._found if (found := self._fresh(name)) is not None})

    @property
    def fill(self) -> str:
        """What a pixel shows that is not there, on the curves: black, mean, blur or noise."""
        return self._settings["fill"]

    @fill.setter
    def fill(self, value: str) -> None:
        self.set("fill", value)

    @property
    def change(self) -> str:
        """What is done to the picture for the invariance: rotate, shift, blur or brighten."""
        return self._settings["change"]

    @change.setter
    def change(self, value: str) -> None:
        self.set("change", value)

    @property
    def mask(self) -> np.ndarray | None:
        """The region that the map should lie on, bool `(H, W)` of the shown picture, or None; assign it, or draw it."""
        return self._mask

    @mask.setter
    def mask(self, value: Any) -> None:
        size = self._ex.session.picture.shown.shape[:2]
        array = None if value is None else np.array(value)
        if array is not None and (array.dtype != bool or array.shape != size or not array.any()):
            raise ValueError(f"mask is a bool array of the picture's {size[0]} × {size[1]} pixels with some of them True, got "
                             f"{array.dtype} {array.shape}: ex.regions.mask(number) gives one")
        with self._ex._lock:
            self._mask = array
            self.follow()

    def show(self, metric: str, **settings: Any) -> None:
        """Open the panel at a metric and measure it, unless that is known of the shown map; `ex.wait()` waits for it.

        `settings` are fill (of the curves), missing (what a region shows for the linear estimate), change (for the invariance)
        or mask. LookupError for an unknown metric, ValueError for a setting that cannot be.
        """
        from .widgets.trust_words import OF, TABS

        if metric not in OF and metric not in TABS:
            raise LookupError(f"there is no metric {metric!r}: choose one of {', '.join(OF)}")
        for name, value in settings.items():
            if name == "mask":
                self.mask = value
            else:
                self.set(name, value)
        with self._ex._lock:
            self.choose(OF.get(metric, metric))
            self.open = True
            self.measure(*(TABS[metric][2] if metric not in OF else [metric]))

    def report(self, path: str | Path, methods: tuple[str, ...] | None = None) -> Path:
        """Write a stand-alone page with all of it for the shown methods (or those named), and return its path.

        It is written on this thread; ValueError names what cannot be had.
        """
        ex = self._ex
        if not ex.wait(None):
            raise ValueError("the map is still being computed")
        from .metrics import report

        chosen, settings = self._report_of(methods)
        return Path(report(ex.session, chosen, path, **settings))

    # ---- what the panel and the Explorer ask

    def toggle(self) -> None:
        """Open or close the panel; in a comparison, where nobody would see it, do nothing."""
        if self._ex.face.rows.trust:
            self.open = not self._open

    def _tell_button(self, _: Any = None) -> None:
        """The button says whether the panel is open, unless a comparison took it away."""
        rows = self._ex.face.rows
        if rows.trust:
            rows.trust = "open" if self._open else "closed"

    def choose(self, tab: str) -> None:
        """Show one of the tabs; nothing is computed."""
        with self._ex._lock:
            self._tab = tab
            if self.panel is not None:
                self.panel.choose(tab)
                self.follow()

    def set(self, name: str, value: Any) -> None:
        """Set `fill`, `missing` or `change`; ValueError for another value than those."""
        if name not in CHOICES:
            raise TypeError(f"the trust panel has no setting {name!r}: it has {', '.join(CHOICES)} and mask")
        if value not in CHOICES[name]:
            raise ValueError(f"{name} cannot be {value!r}: choose one of {', '.join(CHOICES[name])}")
        with self._ex._lock:
            self._settings[name] = value
            self.follow()

    def follow(self) -> None:
        """Bring the panel up to what is shown now: results of another map are dimmed, prices are told anew."""
        ex = self._ex
        with ex._lock:
            if self._queue and self._ticket is not None and not self._ticket.newest:
                self.stop()
            if self._mask is not None and self._mask.shape != ex.session.picture.shown.shape[:2]:
                self._mask = None
            if self.panel is None or not self._open:
                return
            self.panel.picture(ex.session.picture.shown, self._shown())
            self.panel.settings(self._settings, self._mask)
            for name in self.panel.metrics():
                key, known = self._key(name), [*self._found.get(name, ()), self._drafts.get(name)]
                known = [found for found in known if found is not None]
                found = next((f for f in reversed(known) if key is not None and f.key == key), known[-1] if known else None)
                if found is None:
                    self.panel.empty(name)
                else:
                    self.panel.show(found.measure, "" if key is not None and found.key == key else found.subject)
                self.panel.refuse(name, trust_plans.refusal(ex, name, self._shown(), self._mask))
                self.panel.price(name, trust_plans.price(ex, name, self._shown()))
            map = self._shown()
            if map is not None and self._tab == "sanity_check":
                self.panel.warn(map.title, map.caution)
            self._tell_busy()

    def close(self) -> None:
        """Close the panel's widgets."""
        self._forget()
        if self.panel is not None:
            self.panel.dispose()
            self.panel = None

    # ---- for `state`

    @property
    def state(self) -> dict[str, Any]:
        """What a person set, for the Explorer's `state`: open, the tab, and the settings."""
        return {"open": self._open, "tab": self._tab, **self._settings}

    @staticmethod
    def checked(given: Mapping[str, Any], said: list[str] | None = None) -> dict[str, Any]:
        """What of a state's trust panel is known and can be; the rest is left out, with words added to `said`."""
        from .widgets.trust_words import TABS

        allowed = {"open": (True, False), "tab": tuple(TABS), **CHOICES}
        if said is not None:
            unknown = sorted(map(repr, set(given) - set(allowed)))
            said += [f"trust {', '.join(unknown)}: not known here"] if unknown else []
            said += [f"trust {name} cannot be {given[name]!r}" for name in allowed if name in given
                     and given[name] not in allowed[name]]
        return {name: given[name] for name, values in allowed.items() if name in given and given[name] in values}

    def restore(self, wanted: Mapping[str, Any]) -> None:
        """Be as a checked state says; what it does not say stays."""
        self._settings.update({name: wanted[name] for name in CHOICES if name in wanted})
        self.choose(wanted.get("tab", self._tab))
        self.open = wanted.get("open", self._open)

    # ---- by hand

    def _panel(self) -> TrustPanel:
        if self.panel is None:
            from .widgets.trust import TrustHands, TrustPanel

            self.panel = TrustPanel(TrustHands(
                choose=self.choose, measure=self.measure, set=self.set, report=self._report_by_hand, close=self.toggle,
                picture_at=self._picture_at, box=self._box, region=self._region))
            self._ex.face.rows.observe(lambda _: self.follow(), "layers")  # pinned maps come and go
            self._ex.face.rows.observe(self._tell_button, "trust")  # a comparison gives the button back
        return self.panel

    def _picture_at(self, measure: Measure, fraction: float) -> np.ndarray | None:
        """The picture of a curve at a fraction, where it is still the shown one."""
        from .metrics import picture_at

        try:
            return picture_at(self._ex.session, measure, fraction)
        except ValueError:
            return None

    def _box(self, box: list[float]) -> None:
        """A rectangle was drawn, in shares of the picture; an empty one takes the region away."""
        rows, columns = self._ex.session.picture.shown.shape[:2]
        mask = np.zeros((rows, columns), bool)
        if len(box) == 4:
            # Edges halfway between pixels all go the same way, so that what is moved keeps its size.
            edges = np.floor(np.clip(box, 0, 1) * (rows, columns, rows, columns) + 0.5 + 1e-6).astype(int)
            top, left = np.minimum(edges[:2], (rows - 1, columns - 1))
            mask[top:max(edges[2], top + 1), left:max(edges[3], left + 1)] = True
        self.mask = mask if mask.any() else None
        if self._mask is not None:
            self.measure("pointing_game", "energy")  # nothing is evaluated for them

    def _region(self, which: str) -> None:
        """Take a region of the cut: the chosen one, or what is off."""
        ex = self._ex
        regions = ex.regions
        numbers = sorted(regions.off) if which == "off" else [ex._chosen] if ex._chosen is not None else []
        if not numbers:
            words = "no region is off: click one in a Cut method" if which == "off" else \
                "no region is chosen: click or draw one in a Cut method"
            return self.panel.say(["pointing_game"], words)
        self.mask = np.isin(regions.labels, numbers)
        self.measure("pointing_game", "energy")

    def _report_by_hand(self, agreed: bool) -> None:
        """Say what a report costs, and write it once that is agreed to."""
        with self._ex._lock:
            if agreed:
                return self.measure("report")
            map = self._shown()
            if map is None:
                return self.panel.say(["report"], "there is no finished map to report on")
            maps, left = self._reported()
            self.panel.offer_report(trust_plans.report_price(self._ex, list(maps.values()) or [map], left))
