"""Shown how? One row per heat layer and one for the photograph, linked to the layer in the browser itself."""
from __future__ import annotations

from collections.abc import Sequence

import ipywidgets
import traitlets
from ipywidgets import jsdlink, jslink

from ..colormaps import COLORMAPS, DIVERGING, lut
from .controls import named
from .layers import HeatLayer

SATURATIONS = (("colour", 1.0), ("muted", 0.4), ("grey", 0.0))


def ramp(name: str) -> str:
    """A colour map as a CSS gradient, clear where a layer is clear: at zero."""
    table, stops = lut(name), []
    for i in range(0, 256, 17):
        size = abs(2 * i / 255 - 1) ** 0.45 if name in DIVERGING else (i / 255) ** 0.6
        stops.append(f"rgb({table[3 * i]} {table[3 * i + 1]} {table[3 * i + 2]} / {size:.2f})")
    return f"linear-gradient(90deg,{','.join(stops)})"


def opacity_slider(name: str) -> ipywidgets.FloatSlider:
    slider = ipywidgets.FloatSlider(value=1.0, min=0.0, max=1.0, step=0.01, readout_format=".2f")
    slider.add_class("sw-opacity")
    return named(slider, f"opacity of {name}")


def dot(name: str) -> ipywidgets.ToggleButton:
    button = named(ipywidgets.ToggleButton(value=True), f"show {name}", "V on the picture")
    button.add_class("sw-dot")
    return button


class LayerRow(ipywidgets.Box):
    """One heat layer: visible, name, opacity, colours, fill or contour, and a menu for colour map and threshold.

    All links are made in the browser, so they work while the kernel is busy and in a page without one.
    """

    def __init__(self, layer: HeatLayer, title: str):
        self.layer, self._title = layer, title
        self.visible, self.opacity = dot(title), opacity_slider(title)
        self.name = ipywidgets.Label(layer.name or title)
        self.name.add_class("sw-layer-name")
        self.ramp = ipywidgets.HTML()
        self.ramp.add_class("sw-ramp")
        self.contour = named(ipywidgets.ToggleButton(), f"contour of {title}", "a line at half of the maximum")
        self.contour.add_class("sw-contour")
        self.menu = named(ipywidgets.ToggleButton(), f"more about {title}", "colour map, threshold")
        self.menu.add_class("sw-menu")
        self.colours = named(ipywidgets.Dropdown(options=list(COLORMAPS), index=layer.cmap_index,
                                                 description="colours"), f"colour map of {title}")
        self.colours.add_class("sw-param")
        self.threshold = named(ipywidgets.FloatSlider(value=layer.threshold, min=0.0, max=1.0, step=0.01,
                                                      description="threshold", readout_format=".2f"),
                               f"threshold of {title}", "share of the limit below which nothing is drawn")
        pop = ipywidgets.VBox([self.colours, self.threshold])
        pop.add_class("sw-pop")
        self.links = [
            jslink((layer, "visible"), (self.visible, "value")), jslink((layer, "opacity"), (self.opacity, "value")),
            jslink((layer, "contour"), (self.contour, "value")),
            jslink((layer, "cmap_index"), (self.colours, "index")),  # Dropdown.value is not synced
            jslink((layer, "threshold"), (self.threshold, "value")), jsdlink((layer, "name"), (self.name, "value")),
        ]
        layer.observe(self._paint, "cmap_index")
        self._paint(None)
        super().__init__([self.visible, self.name, self.opacity, self.ramp, self.contour, self.menu, pop])
        self.add_class("sw-layer")
        layer.observe(self._appear, "seq")
        layer.observe(self._rename, "name")
        self._appear(None)

    def _rename(self, change: dict) -> None:
        """The controls are called after the map they change."""
        for widget in (self.visible, self.opacity, self.contour, self.menu, self.colours, self.threshold):
            widget.tooltip = widget.tooltip.replace(self._title, change["new"])
        self._title = change["new"]

    def _appear(self, _: object) -> None:
        self.layout.visibility, self.layout.order = ("visible", "0") if self.layer.seq else ("hidden", "1")

    def leave(self) -> None:
        """Hide layer and row until the layer's next map; the row's place is kept, at the end."""
        self.layer.visible = False
        self.layout.visibility, self.layout.order = "hidden", "1"

    def _paint(self, _: object) -> None:
        name = COLORMAPS[self.layer.cmap_index]
        self.ramp.value = f'<div title="{name}" style="background:{ramp(name)}"></div>'


class PhotoRow(ipywidgets.Box):
    """The photograph: visible, opacity and how much of its colour stays."""

    def __init__(self, picture: traitlets.HasTraits):
        self.visible, self.opacity = dot("photograph"), opacity_slider("photograph")
        name = ipywidgets.Label("photograph")
        name.add_class("sw-layer-name")
        self.colour = named(ipywidgets.Dropdown(options=[words for words, _ in SATURATIONS], index=0),
                            "colour of the photograph")
        self.colour.add_class("sw-param")
        self.picture = picture
        self.links = [jslink((picture, "photo_visible"), (self.visible, "value")),
                      jslink((picture, "photo_opacity"), (self.opacity, "value"))]
        self.colour.observe(self._saturate, "index")
        super().__init__([self.visible, name, self.opacity, self.colour])
        self.add_class("sw-layer")
        self.add_class("sw-photo")

    def _saturate(self, change: dict) -> None:
        self.picture.photo_saturation = SATURATIONS[change["new"]][1]


class LayerPanel(ipywidgets.VBox):
    """The rows of all layers, the uppermost first, and the photograph last."""

    def __init__(self, layers: Sequence[HeatLayer], titles: Sequence[str], picture: traitlets.HasTraits):
        self.rows = [LayerRow(layer, title) for layer, title in zip(layers, titles)]
        self.photo = PhotoRow(picture)
        head = ipywidgets.HBox([ipywidgets.HTML("shown how?")])
        head.add_class("sw-head")
        super().__init__([head, *self.rows, self.photo])
        self.add_class("sw-section")
