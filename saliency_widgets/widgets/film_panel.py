"""The body of methods that go step by step: the course of the score, and what stood there at each stage."""
from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from .controls import Control
from .curve import HEIGHT, Curve, player
from .pictures import Pictured, paint_size
from .words import number, percent

if TYPE_CHECKING:
    from ..saliency_map import SaliencyMap


class FilmPanel(ipywidgets.VBox):
    """Plot of 76 px over the iterations, the picture and the mask at the playhead, the numbers, parameters.

    The map's details hold `film`, a list of dicts of iteration, score, picture uint8 `(H, W, 3)` and, where there are such,
    mask uint8 `(H, W)`, objective, probability and region. `on_point(iteration)` hears the playhead; `show_stage` answers it.
    `course` is the parameter that counts the stages, by whose name they are called.
    """

    hint = ""

    def __init__(self, controls: dict[str, Control], on_point: Callable[[float], None],
                 course: str = "iterations"):
        self.course, one = course, course.removesuffix("s")
        self.plot = Curve(one, on_point, at=100)
        self.seen = Pictured("as the model sees it", f"what the model is given at this {one}")
        self.mask = Pictured("mask", f"the mask at this {one}")
        self.first = Pictured("the picture", "the photograph")
        self.numbers = ipywidgets.HTML()
        self.numbers.add_class("sw-what")
        self.pictures = ipywidgets.HBox([self.seen, self.mask, self.numbers])
        self.pictures.add_class("sw-trip")
        self.play, self.link = player(self.plot, f"the {course}")
        row = ipywidgets.HBox([*(c.widget for c in controls.values()), self.play])
        row.add_class("sw-params")
        super().__init__([self.plot, self.pictures, row])
        self.film: list[dict[str, Any]] = []
        self._map: SaliencyMap | None = None

    @property
    def point(self) -> float:
        """The iteration at the playhead."""
        return self.plot.point

    @property
    def parts(self) -> list[ipywidgets.Widget]:
        """Pictures that are shown for some maps only, and must be closed with the panel."""
        return [self.mask, self.first]

    def set_picture(self, picture: np.ndarray) -> None:
        self.first.show(picture)

    def show(self, map: SaliencyMap) -> None:
        """Draw the course so far; a growing map shows its newest stage."""
        film = map.details.get("film")
        if not film:
            return
        self._map, self.film = map, film
        # A picture may have fewer regions than steps were asked for.
        self.plot.end = float(max(1, film[-1]["iteration"] if map.final else map.params[self.course]))
        at = np.array([stage["iteration"] for stage in film], np.float64)
        scores = np.array([stage["score"] for stage in film], np.float64)
        objective = None
        if "objective" in film[0]:
            objective = at, np.array([stage["objective"] for stage in film], np.float64)
        self.plot.draw(whole=None, dashed=objective, strong=(at, scores))
        # The words keep clear of the end of the curve.
        words, low = self.plot.words, self.plot.top(float(scores[-1])) > HEIGHT / 2
        (words.add_class if low else words.remove_class)("sw-above")
        unit = map.details.get("objective_score", "")
        self.plot.words.value = (f"{escape(unit) or 'activation'} {number(scores[0])} → {number(scores[-1])}"
                                 + ("" if objective is None else "<br>dashed: the objective"))
        self.plot.ticks([(0.0, "0", False), (self.plot.end, f"{self.plot.end:.0f} {self.course}", False)])
        self.pictures.children = (self.seen, self.mask if "mask" in film[0] else self.first, self.numbers)
        self.show_stage(self.plot.point if map.final else float(at[-1]))

    def show_stage(self, iteration: float) -> dict[str, Any] | None:
        """Show the stage nearest to an iteration, and return it."""
        if self._map is None:
            return None
        stage = min(self.film, key=lambda s: abs(s["iteration"] - iteration))
        self.seen.show(stage["picture"], f"at {self.course.removesuffix('s')} <b>{stage['iteration']}</b>")
        if "mask" in stage:
            self.mask.show(paint_size(stage["mask"]), "what was taken" if "region" in stage else escape(self._map.unit))
        details, lines = self._map.details, [f"<div class=sw-m>{escape(self._subject())}</div>"]
        before = details.get("before")
        now = stage["score"]
        lines.append(f"<div class=sw-big>{'' if before is None else number(before) + ' → '}{number(now)}</div>")
        lines.append(f"<div class=sw-m>{escape(details.get('objective_score', 'activation'))}</div>")
        if "objective" in stage:
            lines.append(f"<div class=sw-m>objective {number(stage['objective'])}</div>")
        if stage.get("probability") is not None:
            lines.append(f"<div class=sw-m>probability {number(stage['probability'])}</div>")
        if "mask" in stage:
            lines.append(f"<div class=sw-m>mask {percent(stage['mask'].mean() / 255)}</div>")
        if stage.get("region") is not None:
            lines.append(f"<div class=sw-m>last: region {stage['region']}</div>")
        self.numbers.value = "".join(lines)
        return stage

    def _subject(self) -> str:
        """What is steered: a class, or a unit inside the network."""
        layer, channel = (self._map.details.get(key) for key in ("layer", "channel"))
        return self._map.label if layer is None else f"{layer}, channel {channel}"
