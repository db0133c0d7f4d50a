"""Cards of the trust panel that make the map again: with random layers, of changed pictures, and by other methods."""
from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from .controls import named
from .pictures import Pictured
from .trust_card import Card, Choice, Reading, TrustHands
from .trust_cards import grid, painted
from .trust_plot import Plot
from .trust_words import CHANGES, amount
from .words import number, plain

if TYPE_CHECKING:
    from ..metrics import Measure


class Stepped(Card):
    """A plot over steps with a slider below it, and two pictures of the chosen step; pointing at the plot looks ahead."""

    def __init__(self, hands: TrustHands, label: str, pictures: tuple[Pictured, Pictured], slider: str, tip: str, **rest: Any):
        self.plot = Plot(label, self._point, height=126)
        self.slider = named(ipywidgets.IntSlider(value=0, min=0, max=1, readout=False, layout={"width": "auto"}), slider, tip)
        self.slider.add_class("sw-trust-slider")
        self.slider.observe(lambda _: self._step(self.slider.value), "value")
        self.pictures = pictures
        self.last: Measure | None = None
        left = ipywidgets.VBox([self.plot, self.slider])
        left.add_class("sw-trust-stepped")
        super().__init__(hands, [grid(left, *pictures, columns=4)], [Reading([self.tab], hands.measure)], **rest)

    def draw(self, measure: Measure) -> None:
        fresh = self.last is None or self.last.details["maps"][0] is not measure.details["maps"][0]
        self.last = measure
        self.curves(measure)
        count = self.steps(measure)
        at_end = self.slider.value == self.slider.max
        self.slider.max = max(1, count - 1)
        if fresh:
            self.slider.value = self.first(measure)
        elif at_end:
            self.slider.value = self.slider.max  # a growing measure is followed
        self._step(self.slider.value)

    def clear(self, metric: str) -> None:
        self.last = None

    def _point(self, at: float | None) -> None:
        if self.last is not None:
            self._step(self.slider.value if at is None else round(at * self.slider.max))

    def _step(self, number: int) -> None:
        if self.last is not None:
            self.step(self.last, min(number, self.steps(self.last) - 1))

    def curves(self, measure: Measure) -> None:
        """Draw the lines of a measure."""
        raise NotImplementedError

    def steps(self, measure: Measure) -> int:
        """How many steps there are."""
        raise NotImplementedError

    def first(self, measure: Measure) -> int:
        """The step that is shown to begin with."""
        return self.steps(measure) - 1

    def step(self, measure: Measure, number: int) -> None:
        """Show a step."""
        raise NotImplementedError


class SanityCard(Stepped):
    """The trained network's map, and the map with the layers above the slider random."""

    tab = "sanity_check"

    def __init__(self, hands: TrustHands):
        super().__init__(hands, "how like the trained map it stays, over the layers from the top",
                         (Pictured("trained", "the trained network's map"), Pictured("random", "the map with random layers")),
                         "random layers", "counted from the top of the network")

    def steps(self, measure: Measure) -> int:
        return len(measure.details["maps"])

    def curves(self, measure: Measure) -> None:
        d = measure.details
        ranks = sorted([("absolute", "rank, absolute"), ("signed", "rank, signed")], key=lambda one: one[0] != d["of"])
        lines = [(words, np.concatenate([[1.0], np.asarray(d[name], np.float64)]))
                 for name, words in (*ranks, ("ssim", "SSIM"), ("hog", "HOG"))]
        count = len(d["layers"])
        low = min(-0.1, *(float(np.nanmin(y)) for _, y in lines)) if count else -0.1
        self.plot.draw(np.arange(count + 1), lines, "", [(0, "trained"), (count, f"{count} layers random")],
                       limits=(max(-1.05, low - 0.05), 1.05))

    def step(self, measure: Measure, number: int) -> None:
        d = measure.details
        self.pictures[0].show(painted(d["maps"][0]), "<b>trained</b>")
        layer = "trained" if number == 0 else f"random down to <b>{escape(str(d['layers'][number - 1]))}</b>"
        self.pictures[1].show(painted(d["maps"][number]), layer)
        words = "trained" if number == 0 else (
            f"{number} layers random: rank correlation {plain(float(d['absolute'][number - 1]))} absolute, "
            f"{plain(float(d['signed'][number - 1]))} signed, SSIM {plain(float(d['ssim'][number - 1]))}, "
            f"HOG {plain(float(d['hog'][number - 1]))}")
        self.plot.mark(number, words)
        self.pictures[1].image.tooltip = words


class ChangeCard(Stepped):
    """The picture changed by the slider's amount, and its map."""

    tab = "invariance"

    def __init__(self, hands: TrustHands):
        self.change = Choice("change", CHANGES, "what is done to the picture", lambda value: hands.set("change", value))
        super().__init__(hands, "score and likeness of the map over the amount of change",
                         (Pictured("changed", "the changed picture"), Pictured("its map", "the map of the changed picture")),
                         "amount of change", "of what is done to the picture", controls=[self.change])

    def steps(self, measure: Measure) -> int:
        return len(measure.details["amounts"])

    def first(self, measure: Measure) -> int:
        amounts = np.asarray(measure.details["amounts"], np.float64)
        return int(np.abs(np.abs(amounts) - float(measure.value)).argmin())

    @staticmethod
    def _amount(measure: Measure, number: int) -> str:
        return amount(float(measure.details["amounts"][number]), measure)

    @staticmethod
    def _scores(measure: Measure) -> tuple[str, np.ndarray]:
        """Probabilities, which have one axis with a correlation, or else the scores as they are, with their word."""
        chances = measure.details.get("probabilities")
        if chances is not None:
            return "probability", np.asarray(chances, np.float64)
        map = measure.details["maps"][0]
        words = map.label if map.score == "function" else map.score
        return escape(f"score, {words}"), np.asarray(measure.details["scores"], np.float64)

    def curves(self, measure: Measure) -> None:
        d = measure.details
        words, scores = self._scores(measure)
        at = np.arange(len(scores), dtype=float)
        first = float(np.asarray(d["amounts"], np.float64)[0])
        lines = [(words, scores), ("map's rank correlation", np.asarray(d["correlations"], np.float64))]
        ticks = [(0, plain(first, 0)), (len(at) - 1, self._amount(measure, len(at) - 1))]
        self.plot.draw(at, lines, "", ticks)

    def step(self, measure: Measure, number_: int) -> None:
        d, amount = measure.details, self._amount(measure, number_)
        self.pictures[0].show(d["pictures"][number_], f"{escape(d['change'])} <b>{amount}</b>")
        map = d["maps"][number_]
        like = plain(float(d["correlations"][number_]))
        self.pictures[1].show(painted(map), f"its map: rank <b>{like}</b>")
        words, scores = self._scores(measure)
        self.plot.mark(number_, f"{amount}: {words} {number(float(scores[number_]))}, rank correlation {like}")

    def settings(self, settings: Mapping[str, Any], mask: np.ndarray | None) -> None:
        self.change.put(settings["change"])


class AgreementCard(Card):
    """A small table: the rank correlation of every pair of shown maps."""

    tab = "agreement"

    def __init__(self, hands: TrustHands):
        self.table = ipywidgets.HTML()
        self.table.add_class("sw-trust-table")
        super().__init__(hands, [self.table], [Reading(["agreement"], hands.measure)])

    def draw(self, measure: Measure) -> None:
        names, values = list(measure.details["names"]), np.asarray(measure.details["signed"], np.float64)
        head = "".join(f"<th scope=col><span>{escape(name)}</span></th>" for name in names)
        rows = []
        for row, name in enumerate(names):
            cells = "".join(_cell(float(v), row == column) for column, v in enumerate(values[row]))
            rows.append(f"<tr><th scope=row>{escape(name)}</th>{cells}</tr>")
        self.table.value = (f"<table aria-label='rank correlation of every pair of maps'><tr><td></td>{head}</tr>"
                            f"{''.join(rows)}</table>")

    def clear(self, metric: str) -> None:
        self.table.value = ""


def _cell(value: float, same: bool) -> str:
    if same or not np.isfinite(value):
        return f"<td class=sw-m>{'' if same else '–'}</td>"
    colour, much = "#cf2a34" if value > 0 else "#2069b4", min(70, round(70 * abs(value)))
    return f"<td style='background:color-mix(in srgb,{colour} {much}%,transparent)'>{plain(value)}</td>"
