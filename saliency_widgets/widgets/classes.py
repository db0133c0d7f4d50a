"""Which class? Five bars, a search box for any other class, and the class to compare with."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import bqplot
import ipywidgets
import numpy as np

from .controls import named
from .words import plain, signed

ROWS = 5
ROW = 20  # pixels
EASE = 160  # milliseconds


class ClassPanel(ipywidgets.VBox):
    """Five classes with their probabilities: the most probable ones, and the explained one wherever it ranks.

    `on_pick(index)` hears a click on a bar or a name, `on_search(text)` what was typed, `on_contrast(index | None)`
    the class to explain against. `show` never calls them.
    """

    def __init__(self, on_pick: Callable[[int], None], on_search: Callable[[str], None],
                 on_contrast: Callable[[int | None], None], count: int, labels: Sequence[str] | None):
        self._on_pick, self._on_search, self._on_contrast = on_pick, on_search, on_contrast
        self.indices: list[int] = []
        self._contrasts: list[int | None] = [None]
        self._syncing = False
        self.search = named(
            ipywidgets.Combobox(placeholder=f"search {count}", options=list(dict.fromkeys(map(str, labels or ()))),
                                ensure_option=False, continuous_update=False), "search a class")
        self.search.add_class("sw-search")
        self.search.observe(self._searched, "value")
        self.contrast = named(ipywidgets.Dropdown(options=[("none", 0)], description="rather than"),
                              "rather than", "explain the difference to another class")
        self.contrast.add_class("sw-param")
        self.contrast.observe(self._contrasted, "index")
        head = ipywidgets.HBox([ipywidgets.HTML("which class?"), self.search, self.contrast])
        head.add_class("sw-head")
        self.names = [ipywidgets.Button() for _ in range(ROWS)]
        for row, button in enumerate(self.names):
            button.add_class("sw-class")
            button.on_click(lambda _, row=row: self._pick(row))
        self.bars = bqplot.Bars(
            x=np.arange(ROWS), y=np.zeros(ROWS), orientation="horizontal", padding=0.6, colors=["#888"],
            scales={"x": bqplot.OrdinalScale(domain=list(range(ROWS)), reverse=True),
                    "y": bqplot.LinearScale(min=0.0, max=1.0)})
        self.bars.on_element_click(lambda _, event: self._pick(int(event["data"].get("index", -1))))
        self.figure = bqplot.Figure(
            marks=[self.bars], fig_margin={"top": 0, "bottom": 0, "left": 0, "right": 0}, padding_x=0, padding_y=0,
            min_aspect_ratio=0.01, max_aspect_ratio=100, animation_duration=EASE, display_toolbar=False,
            layout={"height": f"{ROWS * ROW}px", "width": "auto", "min_width": "0"})
        self.figure.add_class("sw-bars")
        self.numbers = ipywidgets.HTML()
        self.numbers.add_class("sw-numbers")
        self.ticks = ipywidgets.HTML()
        self.ticks.add_class("sw-ticks")
        names = ipywidgets.VBox(self.names)
        names.add_class("sw-names")
        self.body = ipywidgets.Box([names, self.figure, self.numbers, self.ticks])
        self.body.add_class("sw-classes")
        super().__init__([head, self.body])
        self.add_class("sw-section")

    def show(self, rows: Sequence[tuple[int, str, float]], target: int, contrast: int | None = None,
             exact: Sequence[str] = (), without: Sequence[float] | None = None, truth: int | None = None,
             room: bool = False) -> None:
        """Show `(index, label, probability)` rows with the one called `target` in the accent colour.

        `exact` gives one sentence per row for its tooltip (logit and full probability); `without` the probabilities while
        regions are off: the bars show these, a tick the earlier ones, and a second column the difference, for which there
        is `room` before anything is off, so that no bar changes its scale with a click. `truth` is ticked off.
        """
        rows = list(rows)[:ROWS]
        self._syncing = True
        try:
            self.indices = [index for index, _, _ in rows]
            chosen = self.indices.index(target) if target in self.indices else -1
            for row, button in enumerate(self.names):
                button.layout.visibility = "visible" if row < len(rows) else "hidden"
                if row < len(rows):
                    true = self.indices[row] == truth
                    button.description = f"✓ {rows[row][1]}" if true else rows[row][1]
                    tip = exact[row] if row < len(exact) else f"explain {rows[row][1]}"
                    button.tooltip = f"{tip}; the true class" if true else tip
                (button.add_class if row == chosen else button.remove_class)("sw-on")
            for row in range(ROWS):
                (self.figure.add_class if row == chosen else self.figure.remove_class)(f"sw-pick-{row}")
            whole = np.array([p for *_, p in rows])
            shares = whole if without is None else np.array(without[:ROWS], float)
            largest = float(max(whole.max(), shares.max())) or 1.0
            # A click is answered at once; only what was never there eases in.
            self.figure.animation_duration = EASE if without is None and not self.ticks.value else 0
            self.bars.scales["y"].max = largest
            lengths = np.concatenate((shares, np.zeros(ROWS - len(rows))))
            if not np.array_equal(lengths, self.bars.y):
                self.bars.y = lengths
            (self.body.add_class if room or without is not None else self.body.remove_class)("sw-changed")
            self.ticks.value = "" if without is None else "".join(
                f"<i style='left:{100 * p / largest:.2f}%;top:{ROW * row + 4}px'></i>" for row, p in enumerate(whole))
            self.numbers.value = "".join(
                f"<div{' class=sw-on' if row == chosen else ''}>{plain(p)}</div>" if without is None else
                f"<div{' class=sw-on' if row == chosen else ''}>{plain(p, 3)}"
                f"<span class=sw-m>{signed(p - before, 3)}</span></div>"
                for row, (p, before) in enumerate(zip(shares.tolist(), whole.tolist())))
            contrasts = [None] + self.indices
            if contrast is not None and contrast not in contrasts:
                contrasts.append(contrast)
            options = ["none"] + [label for _, label, _ in rows]
            options += [f"class {contrast}"] * (len(contrasts) - len(options))
            if list(self.contrast.options) != options:
                self.contrast.options = options
            self._contrasts = contrasts
            self.contrast.index = contrasts.index(contrast)
        finally:
            self._syncing = False

    def _pick(self, row: int) -> None:
        if 0 <= row < len(self.indices):
            self._on_pick(self.indices[row])

    def _searched(self, change: dict) -> None:
        text = change["new"].strip()
        if text and not self._syncing:
            self._on_search(text)
            self._syncing = True
            try:
                self.search.value = ""
            finally:
                self._syncing = False

    def _contrasted(self, change: dict) -> None:
        if not self._syncing and change["new"] is not None:
            self._on_contrast(self._contrasts[change["new"]])
