"""The trust panel: one row of tabs below the Explorer, a card each, made when it is first looked at."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from .controls import named
from .face import close_tree
from .status import flag
from .trust_card import Card, TrustHands
from .trust_cards import CurveCard, ForecastCard, RegionCard, SlopeCard, SumCard
from .trust_layers import AgreementCard, ChangeCard, SanityCard
from .trust_words import TABS
from .words import stop

if TYPE_CHECKING:
    from ..metrics import Measure
    from ..saliency_map import SaliencyMap

__all__ = ["TrustHands", "TrustPanel"]
CARDS: tuple[type[Card], ...] = (SumCard, CurveCard, ForecastCard, RegionCard, SanityCard, ChangeCard, AgreementCard, SlopeCard)


class TrustPanel(ipywidgets.VBox):
    """Title, tabs and one card. Nothing here computes; the `show…` never call the hands."""

    def __init__(self, hands: TrustHands):
        self.hands, self.cards, self.tab, self._offered = hands, {}, "", False
        self._words = ""
        self.title = ipywidgets.HTML()
        self.said = ipywidgets.HTML()
        self.said.add_class("sw-m")
        self.report = named(ipywidgets.Button(description="report…"), "report",
                            "a page with all of this for the shown maps, saved as a file")
        self.report.on_click(lambda _: hands.report(self._offered))
        self.leave = named(ipywidgets.Button(description="close"), "close the trust panel", "T on the picture")
        self.leave.on_click(lambda _: hands.close())
        for button in (self.report, self.leave):
            button.add_class("sw-link")
        head = ipywidgets.HBox([self.title, self.said, self.report, self.leave])
        head.add_class("sw-head")
        self.tabs = {}
        for tab, (word, question, _) in TABS.items():
            button = self.tabs[tab] = ipywidgets.Button(description=word, tooltip=question)
            button.on_click(lambda _, tab=tab: hands.choose(tab))
        tabs = ipywidgets.HBox(list(self.tabs.values()))
        for name in ("sw-families", "sw-trust-tabs"):
            tabs.add_class(name)
        self.body = ipywidgets.Box()
        self.body.add_class("sw-trust-body")
        super().__init__([head, tabs, self.body])
        self.add_class("sw-trust")
        self.add_class("sw-section")

    @property
    def card(self) -> Card:
        """The card that is shown."""
        return self.cards[self.tab]

    def metrics(self) -> tuple[str, ...]:
        """The metrics of the card that is shown."""
        return self.card.metrics if self.tab else ()

    def choose(self, tab: str) -> None:
        """Show a tab's card."""
        if tab not in self.cards:
            self.cards[tab] = next(kind for kind in CARDS if kind.tab == tab)(self.hands)
        self.tab = tab
        if self._offered:
            self._offer(False)
            self.said.value = ""
        for name, button in self.tabs.items():
            flag(button, "sw-on", name == tab)
        if self.body.children != (self.card,):
            self.body.children = (self.card,)

    def picture(self, photograph: np.ndarray, map: SaliencyMap | None) -> None:
        """Another photograph or map is shown."""
        words = "no finished map" if map is None else f"<b>{escape(map.title)}</b> of {escape(map.label)}"
        if words != self._words:
            self._words = words
            self.title.value = f"<span>can I trust this map? <span class=sw-m>{words}</span></span>"
        self.card.picture(photograph, map)

    def warn(self, title: str, warning: str | None) -> None:
        """Say what is known of the method, whatever the numbers are."""
        self.card.warning.value = f"<i class=sw-warn></i>{escape(stop(f'{title} {warning}'))}" if warning else ""

    def settings(self, settings: Mapping[str, Any], mask: np.ndarray | None) -> None:
        """Show what is set."""
        self.card.settings(settings, mask)

    def show(self, measure: Measure, stale: str) -> None:
        """Show a measure of the shown card; `stale` says what else it is of."""
        self.card.show(measure, stale)

    def empty(self, metric: str) -> None:
        """Nothing is known of a metric."""
        self.card.empty(metric)

    def price(self, metric: str, words: str) -> None:
        """Say what a measure costs."""
        self.card._of(metric).priced(metric, words)

    def refuse(self, metric: str, why: str) -> None:
        """Say why a measure cannot be taken; empty where it can."""
        self.card._of(metric).refuse(why)

    def offer_report(self, price: str) -> None:
        """Say what a report costs; the next click is for writing it."""
        self._offer(True)
        self.said.value = escape(price)

    def _offer(self, on: bool) -> None:
        self._offered = on
        self.report.description = "write it" if on else "report…"

    def busy(self, queue: Collection[str]) -> None:
        """Which metrics are being measured, or wait for it."""
        for card in self.cards.values():
            for reading in card.readings:
                reading.busy(any(metric in queue for metric in reading.metrics))
        self.report.disabled = "report" in queue
        if "report" in queue:
            self._offer(False)
            self.said.value = "the report is being made …"
        elif self.said.value.endswith("…"):
            self.said.value = ""

    def say(self, metrics: Sequence[str], words: str) -> None:
        """Say what went wrong with some metrics, or how it ended."""
        for card in self.cards.values():
            for reading in card.readings:
                if any(metric in metrics for metric in reading.metrics):
                    reading.say(words)
        if "report" in metrics:
            self._offer(False)
            self.said.value = escape(words)

    def dispose(self) -> None:
        """Close every widget of the panel, shown or hidden."""
        seen: set[int] = set()
        for root in (self, *self.cards.values()):
            close_tree(root, seen)
