"""The body of the Cut family: the drops of all regions, ranked, and one region taken away."""
from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

import bqplot
import ipywidgets
import numpy as np

from .controls import Control
from .pictures import Pictured, faded
from .words import percent, plain, signed

if TYPE_CHECKING:
    from ..saliency_map import SaliencyMap


class CutPanel(ipywidgets.VBox):
    """Ranked drops of 76 px, two pictures and the numbers of one region; a click on a bar chooses the region.

    `on_region(number)` hears the click; `choose` shows a region without calling it.
    """

    hint = "any class: no further evaluation"

    def __init__(self, controls: dict[str, Control], on_region: Callable[[int], None]):
        self._on_region = on_region
        scales = {"x": bqplot.OrdinalScale(domain=[0]), "y": bqplot.LinearScale()}
        bars = {"scales": scales, "padding": 0.25, "x": [0], "y": [0.0]}
        self.marks = {name: bqplot.Bars(colors=[colour], **bars) for name, colour in
                      (("raises", "#dd6a5c"), ("lowers", "#5b9bd0"), ("chosen", "#888"))}
        for mark in self.marks.values():
            mark.on_element_click(lambda _, event, mark=mark: self._clicked(mark, event))
        self.figure = bqplot.Figure(
            marks=list(self.marks.values()), padding_x=0, padding_y=0, min_aspect_ratio=0.01, max_aspect_ratio=100,
            fig_margin={"top": 4, "bottom": 4, "left": 0, "right": 0}, display_toolbar=False,
            layout={"height": "68px", "width": "auto", "min_width": "0"})
        self.figure.add_class("sw-drops")
        self.words, self.numbers = ipywidgets.HTML(), ipywidgets.HTML()
        self.words.add_class("sw-plot-words")
        self.numbers.add_class("sw-what")
        plot = ipywidgets.Box([self.figure, self.words])
        plot.add_class("sw-plot")
        self.seen = Pictured("as the model sees it", "the picture without the region")
        self.off = Pictured("what is off", "the region alone")
        pictures = ipywidgets.HBox([self.seen, self.off, self.numbers])
        pictures.add_class("sw-trip")
        row = ipywidgets.HBox([c.widget for c in controls.values()])
        row.add_class("sw-params")
        super().__init__([plot, pictures, row])
        self.ranks = np.zeros(0, int)  # region numbers, the largest drop first
        self.region = -1
        self._map: SaliencyMap | None = None

    def _clicked(self, mark: bqplot.Bars, event: dict) -> None:
        rank = int(np.asarray(mark.x)[int(event["data"].get("index", 0))])
        if 0 <= rank < len(self.ranks):
            self._on_region(int(self.ranks[rank]))

    def show(self, map: SaliencyMap) -> None:
        """Draw the ranked drops; the largest is chosen unless the old choice still exists."""
        if map.region_scores is None:
            return
        scores = np.asarray(map.region_scores, np.float64)
        again = self._map is not None and len(self._map.region_scores) == len(scores) and self.region >= 0
        self._map, self.ranks = map, np.argsort(-scores, kind="stable")
        ranked = scores[self.ranks]
        with self.figure.hold_sync():
            x, y = self.marks["raises"].scales["x"], self.marks["raises"].scales["y"]
            x.domain = list(range(len(scores)))
            y.min, y.max = min(0.0, float(ranked.min())), max(0.0, float(ranked.max())) or 1.0
        # The words keep clear of the bars: right of the tall ones, or, where those are small, under them on the left.
        below = y.max / (y.max - y.min or 1.0) < 0.5
        (self.words.add_class if below else self.words.remove_class)("sw-below")
        what = "drop" if "after" in map.details else "share"
        self.words.value = (f"{what} of {len(scores)} regions, ranked<br>"
                            f"{signed(ranked[0])} to {signed(ranked[-1])} {escape(map.unit)}")
        self.choose(self.region if again else int(self.ranks[0]))

    def choose(self, region: int, filled: np.ndarray | None = None, photograph: np.ndarray | None = None) -> None:
        """Mark one region and write what the model thinks without it; the pictures, where given, are uint8."""
        map = self._map
        if map is None or not 0 <= region < len(map.region_scores):
            return
        self.region = region
        ranked = np.asarray(map.region_scores, np.float64)[self.ranks]
        place = int(np.flatnonzero(self.ranks == region)[0])
        x = np.arange(len(ranked))
        for name, mine in (("raises", (ranked >= 0) & (x != place)), ("lowers", (ranked < 0) & (x != place)),
                           ("chosen", x == place)):
            mark = self.marks[name]
            with mark.hold_sync():
                mark.x, mark.y = x, np.where(mine, ranked, 0.0)
        share = float((np.asarray(map.regions) == region).mean()) if map.regions is not None else 0.0
        before, after = map.details.get("before"), map.details.get("after")
        lines = [f"<div class=sw-m>{escape(map.label)}</div>"]
        score = float(map.region_scores[region])
        evaluated = after is not None and np.isfinite(after[region])
        if evaluated and before is not None:
            lines.append(f"<div class=sw-big>{plain(before, 3)} → {plain(float(after[region]), 3)}</div>")
        if after is not None:  # taken away; else its share was estimated from many pictures
            score = -score
        lines += [f"<div>{signed(score)} <span class=sw-m>{escape(map.unit)}</span></div>",
                  f"<div class=sw-m>region {region}, {percent(share)}</div>",
                  f"<div class=sw-m>{'✓ evaluated' if evaluated else 'estimated'}</div>"]
        self.numbers.value = "".join(lines)
        if photograph is not None and map.regions is not None and np.shape(photograph)[:2] == map.regions.shape:
            off = np.asarray(map.regions) == region
            self.off.show(faded(photograph, off))
            if filled is not None:
                self.seen.show(np.where(off[..., None], filled, photograph).astype(np.uint8))
