"""The body of the Path family: the score along the path, its window, and what happens at one point of it."""
from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

import bqplot
import ipywidgets
import numpy as np

from .controls import Control, named
from .pictures import Pictured, paint_signed, paint_size
from .words import plain

if TYPE_CHECKING:
    from ..saliency_map import SaliencyMap

TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
HEIGHT, TOP, BOTTOM = 54, 6, 4  # pixels of the plot above its axis, and its margins


class PathPanel(ipywidgets.VBox):
    """Plot of 76 px, three pictures, parameters; the α window's handles stand on the plot's axis.

    `on_point(alpha)` hears the playhead; `show` and `show_point` never call it.
    """

    def __init__(self, controls: dict[str, Control], on_point: Callable[[float], None]):
        self._on_point, self._syncing, self._label = on_point, False, ""
        scales = {"x": bqplot.LinearScale(min=0.0, max=1.0), "y": bqplot.LinearScale()}
        line = {"scales": scales, "x": [0.0, 1.0], "y": [0.0, 0.0]}
        self.whole = bqplot.Lines(colors=["#888"], stroke_width=1, **line)
        self.summed = bqplot.Lines(colors=["#888"], stroke_width=1, line_style="dashed", **line)
        self.inside = bqplot.Lines(colors=["#1976d2"], stroke_width=2, **line)
        self.figure = bqplot.Figure(
            marks=[self.whole, self.summed, self.inside], padding_x=0, padding_y=0,
            fig_margin={"top": TOP, "bottom": BOTTOM, "left": 0, "right": 0}, min_aspect_ratio=0.01, max_aspect_ratio=100,
            display_toolbar=False, layout={"height": f"{HEIGHT}px", "width": "auto", "min_width": "0"})
        self.figure.add_class("sw-curve")
        self.window = controls["alpha"].widget if "alpha" in controls else None
        self.playhead = named(ipywidgets.IntSlider(value=50, min=0, max=100, readout=False, layout={"width": "auto"}),
                              "α shown below", "per cent of the path")
        self.playhead.add_class("sw-playhead")
        self.playhead.observe(self._moved, "value")
        # The dot on the curve is not a bqplot mark: those pad the axis by their size.
        self.axis, self.words, self.here, self.gap = (ipywidgets.HTML() for _ in range(4))
        self.here.add_class("sw-here")
        self.gap.add_class("sw-path-gap")
        self.axis.add_class("sw-axis")
        self.words.add_class("sw-plot-words")
        parts = (self.figure, self.words, self.gap, self.window, self.playhead, self.here, self.axis)
        plot = ipywidgets.Box([part for part in parts if part])
        plot.add_class("sw-plot")
        self.at = Pictured("picture at α", "the picture on the path")
        self.gradient = Pictured("gradient there", "size of the gradient at this point")
        self.total = Pictured("sum", "the map summed up to this point")
        pictures = ipywidgets.HBox([self.at, self.gradient, self.total])
        pictures.add_class("sw-trip")
        self.play = named(ipywidgets.Play(value=50, min=0, max=100, step=2, interval=64, show_repeat=False), "play α")
        self.play.add_class("sw-play")
        self.link = ipywidgets.jslink((self.play, "value"), (self.playhead, "value"))
        row = ipywidgets.HBox([c.widget for name, c in controls.items() if name != "alpha"] + [self.play])
        row.add_class("sw-params")
        super().__init__([plot, pictures, row])
        self.alphas = self.scores = np.zeros(0)
        self._known: dict[float, float] = {}  # the score at every α seen: a narrow window knows only its own part
        self._axis((0.0, 1.0))

    @property
    def point(self) -> float:
        """α of the playhead, 0 to 1."""
        return self.playhead.value / 100

    def _moved(self, change: dict) -> None:
        if not self._syncing:
            self._mark(change["new"] / 100)
            self._on_point(change["new"] / 100)

    def _axis(self, window: tuple[float, float]) -> None:
        low, high = window
        quiet = [t for t in TICKS if min(abs(t - low), abs(t - high)) > 0.09]
        spans = [(t, f"{t:g}", "") for t in quiet] + [(t, f"{t:.2f}", " class=sw-on") for t in (low, high)]
        if high - low < 0.1:  # two numbers would overlap
            spans = spans[:-2] + [((low + high) / 2, f"{low:.2f} – {high:.2f}", " class=sw-on")]
        self.axis.value = "".join(
            f"<span{flag} style='left:{100 * t:.2f}%;transform:translateX({-100 * t:.0f}%)'>{words}</span>"
            for t, words, flag in spans)

    def _mark(self, alpha: float) -> None:
        if self.alphas.size:
            top = self._top(np.interp(alpha, self.alphas, self.scores))
            self.here.value = f"<i style='left:{100 * alpha:.2f}%;top:{top:.1f}px'></i>"

    def _top(self, score: float) -> float:
        """Pixels from the plot's upper edge to a score."""
        scale = self.inside.scales["y"]
        return TOP + (1 - (score - scale.min) / ((scale.max - scale.min) or 1.0)) * (HEIGHT - TOP - BOTTOM)

    def _say_gap(self, end: float, score: float, summed: float) -> None:
        """Mark where the map's sum and the score part by more than can be overlooked."""
        upper, lower = sorted((self._top(score), self._top(summed)))
        if lower - upper <= 5 or end >= 0.7:
            self.gap.value = ""
            return
        words = f"map sums to {plain(abs(summed - score))} too {'much' if summed > score else 'little'}"
        place = f"left:{100 * end:.2f}%;top:"
        self.gap.value = (f"<i style='{place}{upper:.1f}px;height:{lower - upper:.1f}px'></i>"
                          f"<span style='{place}{max(0.0, (upper + lower) / 2 - 7):.1f}px'>{words}</span>")

    def show(self, map: SaliencyMap) -> None:
        """Draw the score along the path and what the map sums to inside its window."""
        details = map.details
        if "alphas" not in details or "scores" not in details:
            return
        alphas, scores = (np.asarray(details[key], np.float64) for key in ("alphas", "scores"))
        seen = dict(zip(alphas.tolist(), scores.tolist()))
        if not seen.items() >= {a: v for a, v in self._known.items() if a in seen}.items() or self._label != map.label:
            self._known = {}  # another class, picture, baseline or model: what was known is of another path
        self._known, self._label = {**self._known, **seen}, map.label
        self.alphas = np.array(sorted(self._known))
        self.scores = np.array([self._known[a] for a in self.alphas])
        low, high = map.params.get("alpha", (0.0, 1.0))
        at = np.unique(np.concatenate([[low], self.alphas[(self.alphas > low) & (self.alphas < high)], [high]]))
        inside = np.interp(at, self.alphas, self.scores)
        everything, ends = [self.scores], None
        with self.inside.hold_sync():
            self.inside.x, self.inside.y = at, inside
        with self.whole.hold_sync():
            self.whole.x, self.whole.y = self.alphas, self.scores
        accumulated = details.get("accumulated")
        if accumulated is not None and len(accumulated) == len(alphas) > 1:
            order = np.argsort(alphas)
            own, path = alphas[order], np.asarray(accumulated, np.float64)[order]
            summed = inside[0] + np.interp(at, own, path) - np.interp(low, own, path)
            everything.append(summed)
            ends = float(inside[-1]), float(summed[-1])
            with self.summed.hold_sync():
                self.summed.x, self.summed.y = at, summed
        self.summed.visible = accumulated is not None
        values = np.concatenate(everything)
        with self.figure.hold_sync():
            scale = self.inside.scales["y"]
            scale.min, scale.max = float(values.min()), float(values.max()) or 1.0
        known = (self.alphas[0], self.alphas[-1])
        where = "" if known == (0.0, 1.0) else f" at α {known[0]:.2f} and {known[1]:.2f}"
        self.words.value = f"score {plain(self.scores[0], 1)} → {plain(self.scores[-1], 1)} {escape(map.unit)}{where}"
        self.gap.value = ""
        if ends is not None:
            self._say_gap(high, *ends)
        self._axis((low, high))
        self._syncing = True
        try:
            self.play.min, self.play.max = round(100 * low), max(round(100 * high), round(100 * low) + 1)
            self.playhead.value = int(np.clip(self.playhead.value, round(100 * low), round(100 * high)))
        finally:
            self._syncing = False
        self._mark(self.point)

    def show_point(self, alpha: float, start: float, picture: np.ndarray | None, gradient: np.ndarray | None,
                   total: np.ndarray | None) -> None:
        """Show the picture at α (uint8), the gradient's map there and the map summed from `start` to α."""
        if picture is not None:
            self.at.show(picture, f"picture at α <b>{alpha:.2f}</b>")
        if gradient is not None:
            self.gradient.show(paint_size(gradient), "gradient there")
        if total is not None:
            self.total.show(paint_signed(total), f"sum <b>{start:.2f} – {alpha:.2f}</b>")
