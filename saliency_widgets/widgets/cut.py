"""The body of the Cut family: the drops of all regions, ranked, and what the model says without those that are off."""
from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

import bqplot
import ipywidgets
import numpy as np

from .controls import Control, named
from .edits import Edit
from .pictures import Pictured, faded
from .showing import region_word
from .stage import Ranks
from .words import percent, plain, signed

if TYPE_CHECKING:
    from ..model.preprocessing import Picture
    from ..saliency_map import SaliencyMap
    from ..what_if import WhatIf

# What the menu of a region offers: edit, words, tooltip.
ACTS = (("toggle", "off / on", "switch the region off or on (Enter)"),
        ("grow", "grow", "take a rim of 2 px from those beside it (>)"),
        ("shrink", "shrink", "give a rim of 2 px to those beside it (<)"), ("finer", "finer", "cut it into four superpixels (F)"),
        ("coarser", "coarser", "join it with the neighbour that it looks most like (Shift F)"),
        ("remove", "remove", "give its pixels to those beside it (Delete)"),
        ("interactions", "interactions", "what it costs together with each other region, beyond what they cost one by one (I)"))
HEIGHT, MARGIN = 68, 4  # of the plot, in pixels


class CutPanel(ipywidgets.VBox):
    """Ranked drops of 76 px, two pictures and numbers of what is off, and the menu of the chosen region.

    `on_edit(edit)` hears what a hand does here; `show`, `show_off` and `choose` never call it.
    """

    hint = "any class: no further evaluation"

    def __init__(self, controls: dict[str, Control], on_edit: Callable[[Edit], None]):
        self._on_edit = on_edit
        scales = {"x": bqplot.OrdinalScale(domain=[0]), "y": bqplot.LinearScale()}
        bars = {"scales": scales, "padding": 0.25, "x": [0], "y": [0.0]}
        self.marks = {name: bqplot.Bars(colors=[colour], **bars) for name, colour in
                      (("raises", "#dd6a5c"), ("lowers", "#5b9bd0"))}
        self.figure = bqplot.Figure(
            marks=list(self.marks.values()), padding_x=0, padding_y=0, min_aspect_ratio=0.01, max_aspect_ratio=100,
            fig_margin={"top": MARGIN, "bottom": MARGIN, "left": 0, "right": 0}, display_toolbar=False,
            layout={"height": f"{HEIGHT}px", "width": "auto", "min_width": "0"})
        self.figure.add_class("sw-drops")
        self.words, self.numbers = ipywidgets.HTML(), ipywidgets.HTML()
        self.words.add_class("sw-plot-words")
        self.strip = Ranks(lambda region: self._on_edit(Edit("toggle", region=region)))
        plot = ipywidgets.Box([self.figure, self.words, self.strip])
        plot.add_class("sw-plot")
        self.seen = Pictured("as the model sees it", "the picture with the regions that are off filled")
        self.off = Pictured("what is off", "the regions that are off alone")
        self.all_on = named(ipywidgets.Button(description="switch all on"), "switch all on")
        self.all_on.add_class("sw-link")
        self.all_on.on_click(lambda _: self._on_edit(Edit("on")))
        what = ipywidgets.VBox([self.numbers, self.all_on])
        what.add_class("sw-what")
        pictures = ipywidgets.HBox([self.seen, self.off, what])
        pictures.add_class("sw-trip")
        row = ipywidgets.HBox([*(c.widget for c in controls.values()), self._region_menu()])
        row.add_class("sw-params")
        super().__init__([plot, pictures, row])
        self.ranks = np.zeros(0, int)  # region numbers, the largest drop first
        self.region: int | None = None
        self._syncing = False
        self._map: SaliencyMap | None = None

    # ---- the chosen region

    def _region_menu(self) -> ipywidgets.HBox:
        self.which = ipywidgets.HTML()
        self.menu = named(ipywidgets.ToggleButton(), "the chosen region", "name it, edit it, see its interactions")
        self.menu.add_class("sw-menu")
        self.name = named(ipywidgets.Text(description="name", continuous_update=False), "name of the region")
        self.name.add_class("sw-param")
        self.name.observe(self._named, "value")
        self.acts = {}
        for op, words, tip in ACTS:
            self.acts[op] = named(ipywidgets.Button(description=words), words, tip)
            self.acts[op].on_click(lambda _, op=op: self._act(op))
        pop = ipywidgets.VBox([self.name, *self.acts.values()])
        pop.add_class("sw-pop")
        menu = ipywidgets.HBox([self.which, self.menu, pop])
        menu.add_class("sw-region-menu")
        menu.layout.visibility = "hidden"
        self._menu_box = menu
        return menu

    def _act(self, op: str) -> None:
        if self.region is not None:
            self._on_edit(Edit(op, region=self.region))

    def _named(self, change: dict) -> None:
        if self.region is not None and not self._syncing:
            self._on_edit(Edit("name", region=self.region, name=change["new"].strip()))

    def choose(self, region: int | None, name: str = "") -> None:
        """Let the menu speak of a region, or of none."""
        self.region, self._syncing = region, True
        try:
            self.name.value = name
        finally:
            self._syncing = False
        self._menu_box.layout.visibility = "hidden" if region is None else "visible"
        if region is None:
            self.menu.value = False
        else:
            self.which.value = f"<span class=sw-m title='{escape(name)}'>{escape(name) or f'region {region}'}</span>"

    # ---- the map

    def show(self, map: SaliencyMap) -> None:
        """Draw the ranked drops of a map, finished or growing."""
        if map.region_scores is None or map is self._map:
            return
        scores = np.asarray(map.region_scores, np.float64)
        self._map, self.ranks = map, np.argsort(-scores, kind="stable")
        ranked, x = scores[self.ranks], np.arange(len(scores))
        with self.figure.hold_sync():
            across, up = self.marks["raises"].scales["x"], self.marks["raises"].scales["y"]
            across.domain = x.tolist()
            up.min, up.max = min(0.0, float(ranked.min())), max(0.0, float(ranked.max())) or 1.0
        for name, mine in (("raises", ranked >= 0), ("lowers", ranked < 0)):
            with self.marks[name].hold_sync():
                self.marks[name].x, self.marks[name].y = x, np.where(mine, ranked, 0.0)
        ends = np.sort(np.column_stack((np.zeros(len(x)), ranked)), 1)[:, ::-1]
        with self.strip.hold_sync():  # what is off turns to ink there: bqplot takes its time for hundreds of bars
            self.strip.bars = (MARGIN + (HEIGHT - 2 * MARGIN) * (up.max - ends) / (up.max - up.min)).astype("<f4").tobytes()
            self.strip.order, self.strip.off = self.ranks.tolist(), []
        # The words keep clear of the bars: right of the tall ones, or, where those are small, under them on the left.
        below = up.max / (up.max - up.min or 1.0) < 0.5
        (self.words.add_class if below else self.words.remove_class)("sw-below")
        pairs = "pair_drops" in map.details
        what = region_word(map)
        self.words.value = (f"{what}{': ' if pairs else ' of '}{len(scores) - pairs} regions, ranked<br>"
                            f"{signed(ranked[0])} to {signed(ranked[-1])} {escape(map.unit)}")

    # ---- what is off

    def show_off(self, labels: np.ndarray, off: frozenset[int], found: WhatIf | None, mask: np.ndarray,
                 picture: Picture) -> None:
        """Mark what is off of label map `(H, W)`, and write what the model says without it; `found` None: not evaluated yet.

        `mask` are its pixels bool `(H, W)`, of the size of the whole `picture` as it is shown.
        """
        map = self._map
        if map is None:
            return
        fits = map.regions is not None and np.array_equal(map.regions, labels)
        chosen = np.isin(self.ranks, list(off)) & fits
        with self.strip.hold_sync():
            self.strip.order, self.strip.off = (self.ranks.tolist(), sorted(off)) if fits else ([], [])
        self.all_on.layout.visibility = "visible" if off else "hidden"
        alone = np.asarray(map.details.get("drops", map.region_scores), np.float64)[self.ranks][chosen]
        predicted = -float(alone.sum()) if fits and np.isfinite(alone).all() else None
        self.numbers.value = "".join(self._lines(map, len(off), float(mask.mean()), found, predicted))
        if found is not None or not off:
            self.off.show(faded(picture.shown, mask))
            self.seen.show(picture.seen if found is None else found.seen)

    @staticmethod
    def _lines(map: SaliencyMap, count: int, share: float, found: WhatIf | None, predicted: float | None) -> list[str]:
        if not count:
            how = ("click a region on the picture to pair it with all others, a bar above to take one away"
                   if "pair_drops" in map.details else "click a region on the picture or a bar above to take it away")
            return ["<div class=sw-m>nothing is off</div>", f"<div class='sw-m sw-hint'>{how}</div>"]
        unit = f" <span class=sw-m>{escape(map.unit if found is None else found.unit)}</span>"
        lines = [f"<div class=sw-m>{escape(map.label)}</div>"]
        if found is not None and found.before is not None:
            lines.append(f"<div class=sw-big>{plain(found.before, 3)} → {plain(found.after, 3)}</div>")
        elif "before" in map.details:
            lines.append(f"<div class=sw-big>{plain(map.details['before'], 3)} → …</div>")
        change = predicted if found is None else found.change
        lines += ["<div>…</div>" if change is None else f"<div>{'≈ ' if found is None else ''}{signed(change)}{unit}</div>",
                  f"<div class=sw-m>{count} region{'s' if count > 1 else ''} off, {percent(share)}</div>"]
        drops = "after" in map.details
        how = "✓ evaluated" if found is not None else "≈ sum of drops" if drops else "≈ by the map"
        lines.append(f"<div class=sw-m>{how}</div>")
        if found is not None and predicted is not None and (count > 1 or not drops):
            lines.append(f"<div class=sw-m>{'one by one' if drops else 'by the map'}: {signed(predicted)}</div>")
        return lines
