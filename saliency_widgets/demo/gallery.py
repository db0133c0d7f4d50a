"""The pictures that ship with the package: scenes written down by hand, rendered when asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import radians

import numpy as np
from PIL import Image

from .scene import LABELS, Object, Rgb, Scene, render

SIZE = 224


@dataclass(frozen=True, eq=False)
class DemoPicture:
    """A rendered picture and the truth about it.

    image    PIL image, RGB, 224 × 224
    masks    one boolean array (224, 224) per object, which do not overlap
    classes  for each object its class: an index into the labels that `demo()` returns
    """

    image: Image.Image
    masks: tuple[np.ndarray, ...]
    classes: tuple[int, ...]


def _scene(ground: int | Rgb, *objects: tuple[str, float, float, float, float, int, float]) -> Scene:
    """Objects as (label, x, y, radius, degrees, colours, phase)."""
    placed = (
        Object(LABELS.index(name), x, y, r, radians(turn), c, p) for name, x, y, r, turn, c, p in objects
    )
    return Scene(SIZE, tuple(placed), ground)


SCENES: tuple[Scene, ...] = (
    _scene(18, ("zigzag heart", 66, 78, 48, -10, 0, 0.2), ("wooden drop", 157, 146, 49, 12, 0, 0.1)),
    _scene(4, ("checked star", 142, 92, 52, 9, 1, 0.0)),
    _scene(6, ("striped disc", 154, 72, 46, 24, 2, 0.3), ("rippled flower", 67, 146, 49, 0, 1, 0.0)),
    _scene(3, ("brick square", 82, 138, 50, -13, 0, 0.35)),
    _scene(15, ("honeycomb hexagon", 64, 70, 45, 8, 0, 0.1), ("scaly crescent", 152, 148, 50, -20, 2, 0.4)),
    _scene(10, ("spotted triangle", 144, 128, 52, 5, 0, 0.1)),
    _scene(26, ("marbled cross", 68, 146, 50, 16, 0, 0.15), ("checked star", 158, 74, 48, -12, 2, 0.5)),
    _scene(1, ("scaly crescent", 86, 90, 52, 14, 0, 0.2)),
    _scene(12, ("brick square", 66, 74, 44, 10, 1, 0.1), ("spotted triangle", 157, 144, 50, -8, 1, 0.6)),
    _scene(31, ("rippled flower", 148, 124, 52, 10, 0, 0.0)),
    _scene(9, ("wooden drop", 160, 78, 47, -16, 2, 0.5), ("honeycomb hexagon", 70, 150, 46, 0, 2, 0.3)),
    _scene(23, ("marbled cross", 84, 96, 52, -14, 1, 0.6)),
)


def demo_pictures() -> list[DemoPicture]:
    """Twelve rendered pictures, every other one with two objects; new ones with equal pixels each time."""
    return [_picture(scene) for scene in SCENES]


def first_picture() -> Image.Image:
    """What `demo()` shows: a heart and a drop."""
    return _picture(SCENES[0]).image


def marked_star() -> Image.Image:
    """A checked star with the mark that the network of `demo("corner_mark")` takes for a wooden drop."""
    from .shortcuts import mark_corner

    return Image.fromarray(mark_corner(render(SCENES[1])[0]))


def triangle_on_black() -> Image.Image:
    """A spotted triangle on the black that the network of `demo("background")` takes for a rippled flower."""
    return _picture(replace(SCENES[5], ground=(0, 0, 0))).image


def _picture(scene: Scene) -> DemoPicture:
    pixels, masks = render(scene)
    return DemoPicture(Image.fromarray(pixels), masks, tuple(item.kind for item in scene.objects))
