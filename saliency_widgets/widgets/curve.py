"""A plot of 76 px with a playhead, as the bodies of several families carry it: a score along a path or a course."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import bqplot
import ipywidgets
import numpy as np

from .controls import named

HEIGHT, TOP, BOTTOM = 54, 6, 4  # pixels of the plot above its axis, and its margins


class Curve(ipywidgets.Box):
    """Three lines over 0..`end` (thin, dashed, strong), words in a corner, an axis, and a playhead in per cent of the axis.

    `on_move(value)` hears the playhead in units of the axis; `draw` and `place` never call it. `window` is a slider whose
    handles stand on the axis.
    """

    def __init__(self, what: str, on_move: Callable[[float], None] | None = None,
                 window: ipywidgets.DOMWidget | None = None, at: int = 50):
        self._on_move, self._syncing, self.end = on_move, False, 1.0
        scales = {"x": bqplot.LinearScale(min=0.0, max=1.0), "y": bqplot.LinearScale()}
        line = {"scales": scales, "x": [0.0, 1.0], "y": [0.0, 0.0]}
        self.whole = bqplot.Lines(colors=["#888"], stroke_width=1, **line)
        self.dashed = bqplot.Lines(colors=["#888"], stroke_width=1, line_style="dashed", **line)
        self.strong = bqplot.Lines(colors=["#1976d2"], stroke_width=2, **line)
        self.figure = bqplot.Figure(
            marks=[self.whole, self.dashed, self.strong], padding_x=0, padding_y=0,
            fig_margin={"top": TOP, "bottom": BOTTOM, "left": 0, "right": 0}, min_aspect_ratio=0.01, max_aspect_ratio=100,
            display_toolbar=False, layout={"height": f"{HEIGHT}px", "width": "auto", "min_width": "0"})
        self.figure.add_class("sw-curve")
        self.playhead = None
        if on_move is not None:
            self.playhead = named(ipywidgets.IntSlider(value=at, min=0, max=100, readout=False, layout={"width": "auto"}),
                                  f"{what} shown below", "per cent of the axis")
            self.playhead.add_class("sw-playhead")
            self.playhead.observe(self._moved, "value")
        # The dot on the curve is not a bqplot mark: those pad the axis by their size.
        self.axis, self.words, self.here, self.gap = (ipywidgets.HTML() for _ in range(4))
        self.here.add_class("sw-here")
        self.gap.add_class("sw-path-gap")
        self.axis.add_class("sw-axis")
        self.words.add_class("sw-plot-words")
        parts = (self.figure, self.words, self.gap, window, self.playhead, self.here, self.axis)
        super().__init__([part for part in parts if part is not None])
        self.add_class("sw-plot")

    @property
    def point(self) -> float:
        """Where the playhead stands, in units of the axis."""
        return self.playhead.value / 100 * self.end

    def place(self, low: float, high: float) -> None:
        """Keep the playhead between two values of the axis."""
        self._syncing = True
        try:
            self.playhead.value = int(np.clip(self.playhead.value, round(100 * low / self.end), round(100 * high / self.end)))
        finally:
            self._syncing = False
        self.mark()

    def _moved(self, change: dict) -> None:
        if not self._syncing:
            self.mark()
            self._on_move(self.point)

    def draw(self, **lines: tuple[np.ndarray, np.ndarray] | None) -> None:
        """Draw `whole`, `dashed`, `strong` as (x, y) with x in units of the axis; None hides a line."""
        self.lines = {name: xy for name, xy in lines.items() if xy is not None}
        for name in ("whole", "dashed", "strong"):
            mark, xy = getattr(self, name), self.lines.get(name)
            mark.visible = xy is not None
            if xy is not None:
                with mark.hold_sync():
                    mark.x, mark.y = np.asarray(xy[0], np.float64) / self.end, np.asarray(xy[1], np.float64)
        values = np.concatenate([np.asarray(y, np.float64) for _, y in self.lines.values()])
        values = values[np.isfinite(values)]
        with self.figure.hold_sync():
            scale = self.strong.scales["y"]
            scale.min, scale.max = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
            if scale.max <= scale.min:
                scale.max = scale.min + 1.0
        self.mark()

    def mark(self) -> None:
        """Put the dot on the curve where the playhead stands."""
        x, y = getattr(self, "lines", {}).get("whole" if self.whole.visible else "strong", ((), ()))
        if self.playhead is None or not len(x):
            self.here.value = ""
            return
        top = self.top(float(np.interp(self.point, x, y)))
        self.here.value = f"<i style='left:{100 * self.point / self.end:.2f}%;top:{top:.1f}px'></i>"

    def top(self, score: float) -> float:
        """Pixels from the plot's upper edge to a score."""
        scale = self.strong.scales["y"]
        return TOP + (1 - (score - scale.min) / ((scale.max - scale.min) or 1.0)) * (HEIGHT - TOP - BOTTOM)

    def ticks(self, spans: Sequence[tuple[float, str, bool]]) -> None:
        """Write the axis: (value, words, whether it is read), each kept inside the plot."""
        self.axis.value = "".join(
            f"<span{' class=sw-on' if on else ''} style='left:{100 * v / self.end:.2f}%;"
            f"transform:translateX({-100 * v / self.end:.0f}%)'>{words}</span>" for v, words, on in spans)


def player(curve: Curve, what: str) -> tuple[ipywidgets.Play, ipywidgets.Widget]:
    """A play button that moves the playhead in the browser, and the link that does it."""
    play = named(ipywidgets.Play(value=curve.playhead.value, min=0, max=100, step=2, interval=64, show_repeat=False),
                 f"play {what}")
    play.add_class("sw-play")
    return play, ipywidgets.jslink((play, "value"), (curve.playhead, "value"))
