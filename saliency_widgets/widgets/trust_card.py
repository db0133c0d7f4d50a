"""A card of the trust panel: the number and how to read it on the left, what is seen on the right."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from .controls import named, say
from .status import flag
from .trust_words import TABS, TITLES, read, value_of

if TYPE_CHECKING:
    from ..metrics import Measure
    from ..saliency_map import SaliencyMap


@dataclass(frozen=True)
class TrustHands:
    """What the person asks of the trust panel."""

    choose: Callable[[str], None]
    measure: Callable[..., None]
    set: Callable[[str, Any], None]
    report: Callable[[bool], None]
    close: Callable[[], None]
    picture_at: Callable[[Any, float], np.ndarray | None]
    box: Callable[[list[float]], None]
    region: Callable[[str], None]


class Reading(ipywidgets.VBox):
    """One number with its unit, how to read it, the button that measures it and what that costs."""

    def __init__(self, metrics: Sequence[str], on_measure: Callable[..., None], word: str = "measure"):
        self.metrics = tuple(metrics)
        self.word, self._prices, self._said, self._why = word, {}, {}, ""
        self.number, self.words, self.note = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.number.add_class("sw-trust-number")
        self.words.add_class("sw-trust-words")
        self.note.add_class("sw-trust-note")
        titles = " and ".join(TITLES[m] for m in metrics)
        self.button = named(ipywidgets.Button(description=word), f"measure {titles}")
        self.button.add_class("sw-link")
        self.button.on_click(lambda _: on_measure(*self.metrics))
        self.price = ipywidgets.HTML()
        self.price.add_class("sw-m")
        self.row = ipywidgets.HBox([self.button, self.price])
        self.row.add_class("sw-trust-row")
        super().__init__([self.number, self.words, self.row, self.note])
        self.add_class("sw-trust-reading")
        self.measures: dict[str, Measure] = {}
        self._stale: dict[str, str] = {}
        self.empty(*metrics)

    def show(self, measure: Measure, stale: str = "") -> None:
        """Write a measure; `stale` says what else it is of."""
        self.measures[measure.metric], self._stale[measure.metric] = measure, stale
        self._write()

    def empty(self, *metrics: str) -> None:
        """Nothing is known of these."""
        for metric in metrics:
            self.measures.pop(metric, None)
            self._stale.pop(metric, None)
        self._write()

    def _write(self) -> None:
        there = [self.measures[m] for m in self.metrics if m in self.measures]
        titles = " · ".join(TITLES[m] for m in self.metrics)
        self.number.value = "".join(
            f"<span><b>{escape(value_of(m))}</b> {escape(TITLES[m.metric])}</span>" for m in there) or \
            f"<span class=sw-m>{escape(titles)}: not {'for this map' if self._why else 'measured'}</span>"
        self.words.value = "".join(f"<p>{escape(words)}</p>" for words in [read(m) for m in there] or [self._why] if words)
        stale = next((s for s in self._stale.values() if s), "")
        flag(self, "sw-stale", bool(stale))
        self._said["stale"] = f"of {stale}. {self._why or 'Measure again for what is shown now.'}" if stale else ""
        done = len(there) == len(self.metrics) and not stale
        self.row.layout.display = "none" if done or self._why else ""
        self.button.description = f"{self.word} again" if stale else self.word
        self._note()

    def priced(self, metric: str, words: str) -> None:
        """Say what a measure costs."""
        self._prices[metric] = words
        wanted = list(dict.fromkeys(w for w in self._prices.values() if w))
        self.price.value = escape(wanted[0] + (" each" if len(self.metrics) > 1 and "evaluations" in wanted[0] else "")) \
            if wanted else ""

    def refuse(self, why: str) -> None:
        """Say why it cannot be measured of what is shown now; empty where it can."""
        if why != self._why:
            self._why = why
            self._write()

    def say(self, words: str) -> None:
        """Say what went wrong, or how it ended; empty takes it away."""
        self._said["said"] = words
        self._note()

    def busy(self, on: bool) -> None:
        """Whether one of them is being measured, or waits for it."""
        self.button.disabled = on
        self._said["busy"] = "being measured; Esc on the picture stops it" if on else ""
        if on:
            self._said["said"] = ""
        self._note()

    def _note(self) -> None:
        kinds = ("stale",) if self._why else ("busy", "said", "stale")
        words = next((self._said[kind] for kind in kinds if self._said.get(kind)), "")
        self.note.value = escape(words)


class Card(ipywidgets.Box):
    """One tab: `self.readings` on the left, `self.visual` on the right. A subclass draws in `draw(measure)`."""

    tab = ""

    def __init__(self, hands: TrustHands, visual: Sequence[ipywidgets.Widget], readings: Sequence[Reading],
                 controls: Sequence[ipywidgets.Widget] = ()):
        self.hands, self.readings, self.shown = hands, list(readings), {}
        self.visual = ipywidgets.VBox(list(visual))
        self.visual.add_class("sw-trust-visual")
        question = ipywidgets.HTML(f"<p class=sw-m>{escape(TABS[self.tab][1])}</p>")
        self.warning = ipywidgets.HTML()
        self.warning.add_class("sw-trust-warning")
        text = ipywidgets.VBox([question, *self.readings, self.warning])
        if controls:
            row = ipywidgets.HBox(list(controls))
            row.add_class("sw-params")
            text.children = (*text.children, row)
        text.add_class("sw-trust-text")
        super().__init__([text, self.visual])
        self.add_class("sw-trust-card")
        self.add_class(f"sw-trust-{self.tab.replace('_', '-')}")
        flag(self, "sw-unmeasured", True)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that it shows."""
        return tuple(m for reading in self.readings for m in reading.metrics)

    def _of(self, metric: str) -> Reading:
        return next(reading for reading in self.readings if metric in reading.metrics)

    def show(self, measure: Measure, stale: str) -> None:
        """Show a measure; what is the same as before is not drawn again."""
        if self.shown.get(measure.metric) != (measure, stale):
            self.shown[measure.metric] = measure, stale
            self._of(measure.metric).show(measure, stale)
            self.draw(measure)
            self._dim()

    def empty(self, metric: str) -> None:
        """Nothing is known of a metric."""
        if self.shown.pop(metric, None) is not None:
            self._of(metric).empty(metric)
            self.clear(metric)
        self._dim()

    def _dim(self) -> None:
        flag(self.visual, "sw-stale", any(stale for _, stale in self.shown.values()))
        flag(self, "sw-unmeasured", not self.shown)

    def draw(self, measure: Measure) -> None:
        """Draw what belongs to a measure."""

    def clear(self, metric: str) -> None:
        """Take away what belongs to a measure."""

    def picture(self, photograph: np.ndarray, map: SaliencyMap | None) -> None:
        """Another photograph uint8 `(H, W, 3)` is shown, or another map."""

    def settings(self, settings: Mapping[str, Any], mask: np.ndarray | None) -> None:
        """Show what is set."""


class Choice(ipywidgets.Dropdown):
    """A setting of several words, in the look of the parameters; `on_hand(value)` hears what a hand chooses."""

    def __init__(self, word: str, values: Sequence[str], tip: str, on_hand: Callable[[str], None]):
        super().__init__(options=[(say(v), v) for v in values], description=word)
        named(self, word, tip)
        self.add_class("sw-param")
        self._on_hand, self._syncing = on_hand, False
        self.observe(self._chosen, "index")

    def _chosen(self, change: dict) -> None:
        if not self._syncing and change["new"] is not None:
            self._on_hand(self.options[change["new"]][1])

    def put(self, value: str) -> None:
        """Show a value without anybody hearing of it."""
        values = [v for _, v in self.options]
        self._syncing = True
        try:
            self.index = values.index(value) if value in values else None
        finally:
            self._syncing = False
