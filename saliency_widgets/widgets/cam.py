"""The body of the CAM family: a film strip of layers, all from one evaluation, and any other layer by name."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from .controls import Control
from .film import Film

if TYPE_CHECKING:
    from ..saliency_map import SaliencyMap

FRAMES = 8


def choose_frames(names: Sequence[str], last: str | None, chosen: str | None = None, count: int = FRAMES) -> list[str]:
    """At most `count` layer names in order, spread evenly, blocks before the layers inside them; `last` is kept.

    `chosen`, where it is one of the names and not among the frames, takes the place of its nearest neighbour.
    """
    frames = _spread(names, last, count)
    if chosen in names and chosen not in frames:
        places = {name: place for place, name in enumerate(names)}
        frames[int(np.argmin([abs(places[frame] - places[chosen]) for frame in frames]))] = chosen
    return frames


def layer_title(layer: Any, field: int | None = None, width: int = 0) -> str:
    """A layer in words: its name, kind, the shape of its output, and how many of the picture's `width` pixels a position sees."""
    sees = "" if field is None else "; a position sees the whole picture" if field >= width else f"; a position sees {field} px"
    return f"{layer.name}: {layer.kind}, {' × '.join(map(str, layer.shape))}{sees}"


def _spread(names: Sequence[str], last: str | None, count: int) -> list[str]:
    blocks = [n for n in names if any(other.startswith(n + ".") for other in names)]
    pool = blocks if len(blocks) >= count else list(names)
    if last in names:
        pool = [n for n in names if n in pool or n == last]
        pool = pool[: pool.index(last) + 1]
    if len(pool) <= count:
        return pool
    return [pool[round(i * (len(pool) - 1) / (count - 1))] for i in range(count)]


class CamPanel(ipywidgets.VBox):
    """Eight thumbnails, then the parameters. `on_layer(name)` hears a click on a thumbnail."""

    def __init__(self, controls: dict[str, Control], layers: Sequence[Any], default: str | None,
                 on_layer: Callable[[str], None]):
        self._on_layer, self._syncing, self.hint = on_layer, False, ""
        self.layers = {layer.name: layer for layer in layers}
        self.default = default
        self._fields: Mapping[str, int | None] = {}
        self._width = 0
        self.choice = controls.get("layer")
        self.film = Film()
        self.film.observe(self._chosen, "selected")
        self.sees = ipywidgets.HTML()
        self.sees.add_class("sw-sees")
        row = ipywidgets.HBox([*(c.widget for c in controls.values()), self.sees])
        row.add_class("sw-params")
        super().__init__([self.film, row])

    def set_picture(self, picture: np.ndarray) -> None:
        self.film.set_picture(picture)

    def show(self, map: SaliencyMap) -> None:
        """Show the maps of all layers; one that is not among the eight takes the place of its neighbour."""
        maps = map.details.get("maps") or {}
        # In the order of the layers; attention has places of its own, in the order in which the map lists them.
        names = [name for name in self.layers if name in maps] or list(maps)
        if not names:
            return
        if self.choice is not None and not set(names) <= set(self.layers):
            self.choice.offer(names)
        self.hint = "any layer: no further evaluation" if len(names) > 1 else ""
        chosen = map.details.get("layer") or map.params.get("layer") or self.default
        if self.choice is not None:  # a hand may be further on already than the map that arrives
            wanted = getattr(self.choice.params, self.choice.parameter.name) or self.default
            chosen = wanted if wanted in names else chosen
        frames = choose_frames(names, self.default, chosen)
        titles = self._titles(frames)
        self._syncing = True
        try:
            self.film.show({name: np.maximum(np.asarray(maps[name]), 0) for name in frames}, titles)
            self.film.selected = frames.index(chosen) if chosen in frames else -1
        finally:
            self._syncing = False
        self._say_field()

    def _say_field(self) -> None:
        """How much of the picture one position of the chosen layer sees, once it was measured."""
        names, at = self.film.names, self.film.selected
        field = self._fields.get(names[at]) if 0 <= at < len(names) else None
        self.sees.value = "" if field is None else "sees the whole picture" if field >= self._width else f"sees {field} px"

    def _titles(self, names: Sequence[str]) -> dict[str, str]:
        return {name: layer_title(self.layers[name], self._fields.get(name), self._width)
                for name in names if name in self.layers}

    def tell_fields(self, fields: Mapping[str, int | None], width: int) -> None:
        """How many of the picture's `width` pixels a position of each layer sees."""
        if fields != self._fields or width != self._width:
            self._fields, self._width = fields, width
            self.film.retitle(self._titles(self.film.names))
            self._say_field()

    def _chosen(self, change: dict) -> None:
        names = self.film.names
        if not self._syncing and 0 <= change["new"] < len(names):
            self._on_layer(names[change["new"]])
