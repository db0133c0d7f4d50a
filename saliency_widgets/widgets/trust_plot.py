"""Plots of the trust panel: up to four lines with a band, or points, with axes in words and a pointer along them."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import bqplot
import ipywidgets
import numpy as np
import traitlets as t

from .part import Part

HEIGHT = 150  # pixels of the plot itself
LINES = 4
PAD = 0.06    # of the range, above and below what is drawn


class Along(Part):
    """Lies over a plot: `on_point(place)` hears 0 … 1 while somebody points there, by hand or with the arrow keys, else None."""

    role = t.Unicode("along").tag(sync=True)
    at = t.Float(-1.0, help="where, from 0 to 1; −1 while nobody points").tag(sync=True)
    steps = t.Int(24, help="places along the axis, less one").tag(sync=True)
    label = t.Unicode("", help="accessible name").tag(sync=True)
    text = t.Unicode("", help="what stands there, in words").tag(sync=True)

    def __init__(self, on_point: Callable[[float | None], None], **kwargs: Any):
        super().__init__(**kwargs)
        self.observe(lambda change: on_point(change["new"] if 0 <= change["new"] <= 1 else None), "at")


class Box(Part):
    """Lies over a picture: a rectangle (top, left, bottom, right) in shares of it, drawn by hand or with the arrow keys."""

    role = t.Unicode("box").tag(sync=True)
    box = t.List(t.Float(), help="empty: none").tag(sync=True)
    label = t.Unicode("", help="accessible name").tag(sync=True)


def ends(*values: np.ndarray) -> tuple[float, float]:
    """The range of what is finite among the values, with a little room; 0 and 1 where there is nothing."""
    found = np.concatenate([np.asarray(v, np.float64).ravel() for v in values]) if values else np.zeros(0)
    found = found[np.isfinite(found)]
    low, high = (float(found.min()), float(found.max())) if found.size else (0.0, 1.0)
    room = PAD * ((high - low) or abs(high) or 1.0)
    return low - room, high + room


class Plot(ipywidgets.Box):
    """Lines over an axis, the first in the accent colour, the rest told apart by their strokes; a band for a spread.

    `on_point(place)` hears 0 … 1 along the axis, or None when the pointer leaves; `draw` and `scatter` never call it.
    """

    def __init__(self, label: str, on_point: Callable[[float | None], None] | None = None, dots: bool = False,
                 height: int = HEIGHT):
        self.height = height
        scales = {"x": bqplot.LinearScale(min=0.0, max=1.0), "y": bqplot.LinearScale(min=0.0, max=1.0)}
        empty = {"scales": scales, "x": [0.0, 1.0], "y": [0.0, 0.0]}
        self.scales = scales
        count = 1 if dots else LINES  # with dots, the line at zero
        self.lines = [bqplot.Lines(colors=["#888"], stroke_width=1.5, visible=False, **empty) for _ in range(count)]
        if dots:
            self.dots = bqplot.Scatter(scales=scales, x=[], y=[], colors=["#1976d2"], default_size=14, opacities=[0.55])
            marks = [*self.lines, self.dots]
        else:
            self.band = bqplot.Lines(scales=scales, x=[0.0, 1.0], y=[[0.0, 0.0], [0.0, 0.0]], fill="between", colors=["#888"],
                                     fill_colors=["#888"], fill_opacities=[0.2], opacities=[0.0], visible=False)
            marks = [self.band, *self.lines]
        self.figure = bqplot.Figure(
            marks=marks, padding_x=0, padding_y=0, fig_margin={"top": 0, "bottom": 0, "left": 0, "right": 0},
            min_aspect_ratio=0.01, max_aspect_ratio=100, display_toolbar=False, animation_duration=0,
            layout={"height": f"{height}px", "width": "auto", "min_width": "0"})
        for name in ("sw-trust-figure", *(["sw-trust-dots"] if dots else [])):
            self.figure.add_class(name)
        self.legend, self.across, self.up, self.note = (ipywidgets.HTML() for _ in range(4))
        for part, name in ((self.legend, "legend"), (self.across, "across"), (self.up, "up"), (self.note, "mark")):
            part.add_class(f"sw-trust-{name}")
        self.along = None if on_point is None else Along(on_point, label=label)
        super().__init__([part for part in (self.legend, self.up, self.figure, self.note, self.along, self.across) if part])
        self.add_class("sw-trust-plot")

    def draw(self, x: np.ndarray, lines: Sequence[tuple[str, np.ndarray]], unit: str, ticks: Sequence[tuple[float, str]],
             band: tuple[np.ndarray, np.ndarray] | None = None, limits: tuple[float, float] | None = None) -> None:
        """Draw lines (words of the legend, y) over x, which may be anything increasing; `ticks` are (x, words)."""
        x = np.asarray(x, np.float64)
        self.start, self.width = float(x[0]), float(x[-1] - x[0]) or 1.0
        at = (x - self.start) / self.width
        low, high = limits or ends(*(y for _, y in lines), *(band or ()))
        with self.figure.hold_sync():
            self.scales["y"].min, self.scales["y"].max = low, high
        for number, mark in enumerate(self.lines):
            mark.visible = number < len(lines)
            if mark.visible:
                with mark.hold_sync():
                    mark.x, mark.y = at, np.asarray(lines[number][1], np.float64)
        self.band.visible = band is not None
        if band is not None:
            with self.band.hold_sync():
                self.band.x, self.band.y = at, np.stack([np.asarray(edge, np.float64) for edge in band])
        self._words([words for words, _ in lines], unit, (low, high),
                    [((v - self.start) / self.width, words) for v, words in ticks])
        if self.along is not None:
            self.along.steps = max(1, len(x) - 1)

    def scatter(self, x: np.ndarray, y: np.ndarray, across: str, unit: str) -> None:
        """Draw points with the zero of y as a line."""
        (left, right), (low, high) = ends(x, [0.0]), ends(y, [0.0])
        self.scales["x"].min, self.scales["x"].max, self.scales["y"].min, self.scales["y"].max = left, right, low, high
        with self.dots.hold_sync():
            self.dots.x, self.dots.y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        zero = self.lines[0]
        zero.visible = True
        with zero.hold_sync():
            zero.x, zero.y = [left, right], [0.0, 0.0]
        place = (0 - left) / (right - left)
        self._words([], unit, (low, high), [(place, "0"), (1.0, across)])

    def _words(self, names: Sequence[str], unit: str, limits: tuple[float, float], ticks: Sequence[tuple[float, str]]) -> None:
        low, high = limits
        self.legend.value = "".join(f"<span><i class='sw-stroke sw-stroke-{n}'></i>{words}</span>"
                                    for n, words in enumerate(names)) or f"<span>{escape(unit)}</span>"
        # A round number at either end of what is seen, and nothing between them but the line at zero.
        marks = nice(low, high)
        self.up.value = "".join(
            f"<span style='top:{100 * (high - v) / (high - low):.2f}%'>{words}</span>" for v, words in marks)
        self.across.value = "".join(
            f"<span style='left:{100 * v:.2f}%;transform:translateX({-100 * min(1, max(0, v)):.0f}%)'>{escape(words)}</span>"
            for v, words in ticks)

    def mark(self, at: float | None, words: str = "") -> None:
        """A line at a value of x, for what is shown beside; None takes it away."""
        place = None if at is None else 100 * (at - self.start) / self.width
        self.note.value = "" if place is None else f"<i style='left:{place:.2f}%'></i>"
        if self.along is not None:
            self.along.text = words


def nice(low: float, high: float) -> list[tuple[float, str]]:
    """Up to six round values between two ends, with their words."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next((c for c in (1, 2, 5, 10) if c * power >= rough), 10)
    digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    values = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    return [(float(v), f"{v + 0.0:.{digits}f}".replace("-", "−")) for v in values]
