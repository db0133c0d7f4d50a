"""How a map goes onto a heat layer: what is drawn, in which colours, and what its signs mean in words."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .layers import HeatLayer, default_limits

if TYPE_CHECKING:
    from ..saliency_map import SaliencyMap

OPACITY = {"path": 0.9, "cam": 0.7, "cut": 0.75}  # what each family looks best with; a hand's choice stays
SIGNED_VIEWS = ("signed", "shap")
STANDARD_COLOURS = {True: "signed", False: "magma"}


def is_signed(map: SaliencyMap) -> bool:
    """Whether values below zero are shown."""
    return map.signed and map.default_sign == "both"


def meaning(map: SaliencyMap, subject: str) -> list[str]:
    """What a positive and a negative value say, or the one phrase for an unsigned map."""
    own = map.unit == "input unit" or (map.unit == "activation" and "scores" not in map.details)
    if not is_signed(map):
        return [f"evidence for {subject}" if map.signed and not own else map.unit]
    if own:
        return [f"{map.unit} above zero", f"{map.unit} below zero"]
    if "order" in map.details and "game" in map.details:
        moves = ("falls", "rises") if map.details["game"] == "deletion" else ("rises", "falls")
        return [f"in its turn {subject} {move}" for move in moves]
    if "pair_drops" in map.details:
        together = f"together with region {map.details['region']}"
        return [f"costs more {together}", f"costs less {together}"]
    if map.region_scores is not None and "after" in map.details:
        return [f"without it {subject} falls", f"without it {subject} rises"]
    return [f"raises {subject}", f"lowers {subject}"]


def region_word(map: SaliencyMap) -> str:
    """What the value of a region of a map is, as it is said after the region's name."""
    if "pair_drops" in map.details:
        return f"with region {map.details['region']}"
    if "order" in map.details and "game" in map.details:
        return "in its turn"
    if "after" in map.details:
        return "drop"
    return "coefficient" if "intercept" in map.details else "density" if "regions_order" in map.details else "share"


def put(layer: HeatLayer, map: SaliencyMap, subject: str = "", words: list[str] | None = None, name: str = "") -> None:
    """Show a map on a layer, as its `view` says, in the standard colours of its kind unless others were chosen.

    `subject` is what it speaks of, by default the map's class; `words` says outright what the signs mean; `name` is what
    the layer is called, by default as its method.
    """
    drawn = drawing(map, layer.view, subject, words, name)
    if layer.signed != drawn["signed"] and layer.cmap == STANDARD_COLOURS[layer.signed]:
        layer.cmap = STANDARD_COLOURS[drawn["signed"]]
    layer.show(**drawn)


def drawing(map: SaliencyMap, view: str = "", subject: str = "", words: list[str] | None = None,
            name: str = "") -> dict[str, Any]:
    """What `HeatLayer.show` takes to show a map."""
    signed = view in SIGNED_VIEWS if view else is_signed(map)
    regions = {}
    if map.region_scores is not None and map.regions is not None:
        after = () if "film" in map.details else map.details.get("after", ())  # a film's is one number
        regions = {"regions": map.regions, "region_word": region_word(map), "before": map.details.get("before"),
                   "after": after}
    subject, how = subject or map.label, {"view": view} if view else {"sign": map.default_sign}
    heat, limits = map.heatmap(size=map.size, **how), None
    if map.crop is not None:  # what the model does not see does not stretch the colours
        limits = default_limits(map.unplaced.heatmap(size=map.input_size, **how), signed)
    return dict(heatmap=heat, name=name or map.title, method=map.method, unit=map.unit if signed else "of max", signed=signed,
                limits=limits, words=viewed(view, map, subject) if view else words or meaning(map, subject), **regions)


def viewed(view: str, map: SaliencyMap, subject: str) -> list[str]:
    """What the values of a preset say."""
    if view in SIGNED_VIEWS:
        return [f"raises {subject}", f"lowers {subject}"] if map.signed else [f"more {map.unit}", f"less {map.unit}"]
    sizes = {"simonyan": "size in the largest channel", "pair": "sum of the channels' sizes"}
    return [sizes.get(view, f"evidence for {subject}")]


def clear(layer: HeatLayer, size: tuple[int, int]) -> None:
    """Show nothing until the first map of another picture `(H, W)` is there."""
    layer.show(np.zeros(size, np.float32), name=layer.name, method=layer.method, unit=layer.unit, signed=layer.signed,
               words=layer.words)
    layer.stale = True


def begin(layer: HeatLayer, family: str, map: SaliencyMap) -> None:
    """Prepare the upper layer for the first map of another method.

    What is a picture of its own, not a map of this one, starts hidden: the panel shows it.
    """
    layer.opacity = OPACITY.get(family, 0.9)
    layer.contour = False
    layer.fixed, layer.view = None, ""  # another method has other units
    layer.visible = not ("picture" in map.details and map.signed)


def keep_below(layer: HeatLayer, map: SaliencyMap, family: str, subject: str) -> None:
    """Keep the last map of another method, of its `subject`: as a contour over a path's map, else hidden."""
    layer.view = ""
    put(layer, map, subject)
    layer.opacity = 1.0
    layer.contour = not is_signed(map) and family != "cam"
    layer.visible = family == "path" and not is_signed(map)


def colour(layer: HeatLayer, view: str) -> None:
    """The colours that people know a preset by; the standard ones for the method's own view."""
    if view or layer.cmap in ("grey", *STANDARD_COLOURS.values()):
        layer.cmap = "grey" if view == "pair" else STANDARD_COLOURS[layer.signed]
