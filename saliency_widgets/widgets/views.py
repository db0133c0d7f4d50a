"""The body of methods that give one map and no more: the views that papers and libraries take of it, and its source."""
from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from .controls import Control
from .curve import Curve
from .pictures import Pictured, paint_grey, paint_signed, paint_size
from .words import FAMILIES, plain

if TYPE_CHECKING:
    from ..saliency_map import SaliencyMap


class ViewsPanel(ipywidgets.VBox):
    """Where the map comes from, or the score along its path; three views of it; parameters."""

    hint = ""

    def __init__(self, controls: dict[str, Control], method: Any):
        self.curve: Curve | None = None  # made for the first map that knows scores along a path
        first = FAMILIES[method.family][1] if not method.warning else f"⚠ {method.title} {method.warning}"
        self._first, self._paper = first, method.paper
        self.source = ipywidgets.HTML()
        self._tell(first)
        self.source.add_class("sw-source")
        self.source.add_class("sw-plot")
        self.views = [Pictured("", "the map") for _ in range(3)]
        pictures = ipywidgets.HBox(self.views)
        pictures.add_class("sw-trip")
        row = ipywidgets.HBox([c.widget for c in controls.values()])
        row.add_class("sw-params")
        super().__init__([self.source, pictures, row])

    def _tell(self, first: str) -> None:
        self.source.value = f"<p>{escape(first)}</p><p>{escape(self._paper)}</p>"

    @property
    def parts(self) -> list[ipywidgets.Widget]:
        """What is shown for some maps only, and must be closed with the panel."""
        return [part for part in (self.curve, self.source) if part]

    def show(self, map: SaliencyMap) -> None:
        """Draw the views, and the score along the path where the map knows one."""
        for view, (caption, pixels) in zip(self.views, _views(map)):
            view.show(pixels, caption)
        details = map.details
        self._tell(noise(map) or self._first)
        if "alphas" not in details or "scores" not in details:
            self.children = (self.source, *self.children[1:])
            return
        alphas, scores = (np.asarray(details[key], np.float64) for key in ("alphas", "scores"))
        self.curve = self.curve or Curve("α")
        summed = details.get("accumulated")
        dashed = None if summed is None else (alphas, scores[0] + np.asarray(summed, np.float64))
        self.curve.draw(whole=None, dashed=dashed, strong=(alphas, scores))
        self.curve.words.value = f"score {plain(scores[0], 1)} → {plain(scores[-1], 1)} {escape(map.unit)}"
        self.curve.ticks([(0.0, "baseline", False), (1.0, "picture", False)])
        self.children = (self.curve, *self.children[1:])


def noise(map: SaliencyMap) -> str:
    """How strong the noise of a smoothed map was, in input units and pixel values; empty where there was none."""
    if "sigma_pixels" not in map.details:
        return ""
    pixels = map.details["sigma_pixels"]
    return (f"{map.details['n']} noisy copies, σ {map.details['sigma']:.3g} input units: {plain(pixels, 3)} of the pixel range, "
            f"or {255 * pixels:.0f} of 255")


def _views(map: SaliencyMap) -> list[tuple[str, np.ndarray]]:
    """Three views with their captions: by channel reductions where there are channels, else by sign."""
    map = map.unplaced
    if len(map.values) > 1:
        return [("signed sum", paint_signed(map.heatmap(view="signed"))),
                ("largest channel", paint_size(map.heatmap(view="simonyan"))),
                ("sum of sizes, 99 %", paint_grey(map.heatmap(view="pair")))]
    return [("signed", paint_signed(map.heatmap())), ("above zero", paint_size(map.heatmap(sign="positive"))),
            ("below zero", paint_size(map.heatmap(sign="negative")))]
