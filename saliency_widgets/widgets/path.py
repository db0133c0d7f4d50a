"""The body of methods with a path: the score along it, its window, and what happens at one point of it."""
from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np

from .controls import Control
from .curve import HEIGHT, Curve, player
from .pictures import Pictured, paint_signed, paint_size
from .words import plain

if TYPE_CHECKING:
    from ..saliency_map import SaliencyMap

SYMBOLS = {"alpha": "α", "sigma": "σ"}


class PathPanel(ipywidgets.VBox):
    """Plot of 76 px, three pictures, parameters; the handles of the window `axis` stand on the plot's axis.

    The map's details hold `axis` + "s" (the points), their scores, and the accumulated sum. `on_point(value)` hears the
    playhead in units of the axis; `show` and `show_point` never call it.
    """

    def __init__(self, controls: dict[str, Control], on_point: Callable[[float], None], axis: str = "alpha"):
        self.axis, self.symbol, self._label = axis, SYMBOLS.get(axis, axis), ""
        self.hint = f"any {self.symbol} window: no further evaluation"
        self.control = controls[axis]
        # What is summed from the sharp end of a blur path falls with the score, what is summed from a baseline rises with it.
        self._direction = 1 if axis == "alpha" else -1
        self.plot = Curve(self.symbol, on_point, self.control.widget)
        self.words, self.gap = self.plot.words, self.plot.gap
        self.at = Pictured(f"picture at {self.symbol}", "the picture on the path")
        self.gradient = Pictured("gradient there", "size of the gradient at this point")
        self.total = Pictured("sum", "the map summed up to this point")
        pictures = ipywidgets.HBox([self.at, self.gradient, self.total])
        pictures.add_class("sw-trip")
        self.play, self.link = player(self.plot, self.symbol)
        row = ipywidgets.HBox([c.widget for name, c in controls.items() if name != axis] + [self.play])
        row.add_class("sw-params")
        super().__init__([self.plot, pictures, row])
        self.alphas = self.scores = np.zeros(0)  # every point seen, in units of the axis
        self._known: dict[float, float] = {}  # the score at every point seen: a narrow window knows only its own part
        self._axis((0.0, 1.0))

    @property
    def point(self) -> float:
        """The playhead, in units of the axis."""
        return self.plot.point

    def _axis(self, window: tuple[float, float]) -> None:
        end, (low, high) = self.plot.end, window
        number = (lambda v: f"{v:.2f}") if end == 1 else (lambda v: f"{v:.1f}")
        quiet = [t for t in np.linspace(0, end, 5) if min(abs(t - low), abs(t - high)) > 0.09 * end]
        spans = [(t, f"{t:g}", False) for t in quiet] + [(t, number(t), True) for t in (low, high)]
        if high - low < 0.1 * end:  # two numbers would overlap
            spans = spans[:-2] + [((low + high) / 2, f"{number(low)} – {number(high)}", True)]
        self.plot.ticks(spans)

    def _say_gap(self, end: float, score: float, summed: float) -> None:
        """Mark where the map's sum and the score part by more than can be overlooked."""
        upper, lower = sorted((self.plot.top(score), self.plot.top(summed)))
        share = end / self.plot.end
        if lower - upper <= 5 or share >= 0.7:
            self.gap.value = ""
            return
        much = (summed > score) == (self._direction > 0)
        words = f"map sums to {plain(abs(summed - score))} too {'much' if much else 'little'}"
        place = f"left:{100 * share:.2f}%;top:"
        # Below the line, or above one that runs low: never across it, nor over the score's words or the right edge.
        words_top = lower + 3 if lower + 17 <= HEIGHT - 18 else max(0.0, upper - 17)
        words_place = f"left:{100 * min(share, 0.52):.2f}%;top:"
        self.gap.value = (f"<i style='{place}{upper:.1f}px;height:{lower - upper:.1f}px'></i>"
                          f"<span style='{words_place}{words_top:.1f}px'>{words}</span>")

    def show(self, map: SaliencyMap) -> None:
        """Draw the score along the path and what the map sums to inside its window."""
        details, key = map.details, self.axis + "s"
        if key not in details or "scores" not in details:
            return
        points, scores = (np.asarray(details[k], np.float64) for k in (key, "scores"))
        self.plot.end = float(map.params.get(f"{self.axis}_max", self.control.parameter.maximum))
        seen = dict(zip(points.tolist(), scores.tolist()))
        if not seen.items() >= {a: v for a, v in self._known.items() if a in seen}.items() or self._label != map.label:
            self._known = {}  # another class, picture, baseline or model: what was known is of another path
        self._known, self._label = {**self._known, **seen}, map.label
        self.alphas = np.array(sorted(self._known))
        self.scores = np.array([self._known[a] for a in self.alphas])
        low, high = (min(v, self.plot.end) for v in map.params[self.axis])
        at = np.unique(np.concatenate([[low], self.alphas[(self.alphas > low) & (self.alphas < high)], [high]]))
        inside, dashed, ends = np.interp(at, self.alphas, self.scores), None, None
        accumulated = details.get("accumulated")
        if accumulated is not None and len(accumulated) == len(points) > 1:
            order = np.argsort(points)
            own, path = points[order], np.asarray(accumulated, np.float64)[order]
            summed = inside[0] + self._direction * (np.interp(at, own, path) - np.interp(low, own, path))
            dashed, ends = (at, summed), (float(inside[-1]), float(summed[-1]))
        self.plot.draw(whole=(self.alphas, self.scores), dashed=dashed, strong=(at, inside))
        known = (self.alphas[0], self.alphas[-1])
        where = "" if known == (0.0, self.plot.end) else f" at {self.symbol} {known[0]:.2f} and {known[1]:.2f}"
        self.words.value = f"score {plain(self.scores[0], 1)} → {plain(self.scores[-1], 1)} {escape(map.unit)}{where}"
        self.gap.value = ""
        if ends is not None:
            self._say_gap(high, *ends)
        self._axis((low, high))
        shares = [round(100 * v / self.plot.end) for v in (low, high)]
        self.play.min, self.play.max = shares[0], max(shares[1], shares[0] + 1)
        self.plot.place(low, high)

    def show_point(self, value: float, start: float, picture: np.ndarray | None, gradient: np.ndarray | None,
                   total: np.ndarray | None) -> None:
        """Show the picture at a point (uint8), the gradient's map there and the map summed from `start` to it."""
        number = f"{value:.2f}" if self.plot.end == 1 else f"{value:.1f}"
        if picture is not None:
            self.at.show(picture, f"picture at {self.symbol} <b>{number}</b>")
        if gradient is not None:
            self.gradient.show(paint_size(gradient), "gradient there")
        if total is None and picture is None:
            return
        first = f"{start:.2f}" if self.plot.end == 1 else f"{start:.1f}"
        words = f"sum <b>{first} – {number}</b>" if total is not None or value <= start else "no sum: this rule has no parts"
        self.total.show(paint_signed(np.zeros(picture.shape[:2]) if total is None else total), words)
