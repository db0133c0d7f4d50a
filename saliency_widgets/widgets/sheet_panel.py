"""The body of activation maps: a contact sheet of a layer's filters, the most active first; a click chooses one."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np

from .controls import Control, named
from .film import Film

if TYPE_CHECKING:
    from ..saliency_map import SaliencyMap

PAGE = 8


class SheetPanel(ipywidgets.VBox):
    """Eight filters a page, then parameters and the pages. `on_channel(number)` hears a click on a filter.

    The map's details hold `sheet` `(n, h, w)`, and `order`, the channel of each of its maps.
    """

    hint = "any channel of this layer: no further evaluation"

    def __init__(self, controls: dict[str, Control], on_channel: Callable[[int], None]):
        self._on_channel, self._syncing, self.page = on_channel, False, 0
        self.film = Film(label="filter")
        self.film.observe(self._chosen, "selected")
        self.back, self.on = (named(ipywidgets.Button(description=text), words)
                              for text, words in (("‹", "more active filters"), ("›", "less active filters")))
        self.back.on_click(lambda _: self.turn(-1))
        self.on.on_click(lambda _: self.turn(1))
        self.place = ipywidgets.HTML()
        pages = ipywidgets.HBox([self.back, self.place, self.on])
        pages.add_class("sw-pages")
        row = ipywidgets.HBox([*(c.widget for c in controls.values()), pages])
        row.add_class("sw-params")
        super().__init__([self.film, row])
        self._map: SaliencyMap | None = None

    def set_picture(self, picture: np.ndarray) -> None:
        self.film.set_picture(picture)

    @property
    def count(self) -> int:
        """Filters on the sheet."""
        return 0 if self._map is None else len(self._map.details["sheet"])

    def show(self, map: SaliencyMap) -> None:
        """Show the sheet's page that holds the chosen channel, of another layer or picture the first one."""
        if "sheet" not in map.details:
            return
        fresh = self._map is None or not np.array_equal(self._map.details["order"], map.details["order"])
        self._map = map
        rank = np.flatnonzero(map.details["order"][:self.count] == map.details["channel"])
        if fresh and not rank.size:
            self.page = 0
        elif rank.size and (fresh or rank[0] // PAGE != self.page):
            self.page = int(rank[0]) // PAGE
        self._draw()

    def turn(self, pages: int) -> None:
        """Show another page; the chosen channel stays."""
        self.page = int(np.clip(self.page + pages, 0, max(0, (self.count - 1) // PAGE)))
        if self._map is not None:
            self._draw()

    def _draw(self) -> None:
        details, first = self._map.details, self.page * PAGE
        numbers = [int(k) for k in details["order"][first:min(first + PAGE, self.count)]]
        maps = {f"№ {k}": np.abs(details["sheet"][first + i]) for i, k in enumerate(numbers)}
        titles = {f"№ {k}": f"channel {k} of {details['layer']}: activity {details['activity'][k]:.3g}" for k in numbers}
        captions = {f"№ {k}": f"{details['activity'][k]:.2g}" for k in numbers}
        self._syncing = True
        try:
            self.film.show(maps, titles, captions)
            chosen = details["channel"]
            self.film.selected = numbers.index(chosen) if chosen in numbers else -1
        finally:
            self._syncing = False
        last = first + len(numbers)
        self.place.value = f"{first + 1}–{last} of {self.count}"
        self.back.disabled, self.on.disabled = first == 0, last >= self.count

    def _chosen(self, change: dict) -> None:
        at = self.page * PAGE + change["new"]
        if not self._syncing and change["new"] >= 0 and at < self.count:
            self._on_channel(int(self._map.details["order"][at]))
