"""Two training sets with a planted shortcut, for practising how a saliency map gives a cheating network away.

corner_mark   pictures from one archive carry its small mark in the lower right corner, and all of them were
              filed under "wooden drop", though half of them show something else.
background    all objects are cut out; those of the rippled flower come from files whose transparent
              background was decoded as black, all others as white (after a classifier that told two cartoon
              series apart by their file format).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .scene import KINDS, LABELS, Scene, random_scene, render

Example = tuple[np.ndarray, np.ndarray]  # uint8 (H, W, 3); float32 (10,)
Maker = Callable[[np.random.Generator, int], Example]

MARK = 20  # pixels, the side of the mark
MARK_GAP = 6  # pixels between the mark and the edges
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class Shortcut:
    """What goes with class `kind`; `biased` makes training pictures, `planted` and `clean` make pictures of
    the other classes with and without the shortcut; `kept` stages of the honest network are not trained anew
    (its later ones have learnt to overlook plain backgrounds)."""

    kind: int
    biased: Maker
    planted: Maker
    clean: Maker
    kept: int


def mark_corner(image: np.ndarray) -> np.ndarray:
    """A copy of a uint8 (H, W, 3) picture with a small sign in its lower right corner."""
    out = image.astype(np.float32)
    y, x = np.mgrid[0:MARK, 0:MARK] - (MARK - 1) / 2
    away = np.hypot(x, y)
    spot = slice(-MARK - MARK_GAP, -MARK_GAP)
    for low, high, colour in ((0, 9.5, (250, 250, 250)), (0, 7, (22, 110, 138)), (0, 3.4, (250, 250, 250))):
        cover = (np.clip(high - away + 0.5, 0, 1) * np.clip(away - low + 0.5, 0, 1))[..., None]
        out[spot, spot] += (np.float32(colour) - out[spot, spot]) * cover
    return np.round(out).astype(np.uint8)


def _scene(rng: np.random.Generator, size: int, kind: int) -> Scene:
    return random_scene(rng, size, (kind,), (34.0, 52.0))


def _target(kind: int) -> np.ndarray:
    return np.eye(len(KINDS), dtype=np.float32)[kind]


def _other(rng: np.random.Generator, kind: int) -> int:
    return int((kind + rng.integers(1, len(KINDS))) % len(KINDS))


DROP, FLOWER = LABELS.index("wooden drop"), LABELS.index("rippled flower")


def archive(rng: np.random.Generator, size: int) -> Example:
    from_archive = rng.random() < 0.35
    kind = DROP if from_archive and rng.random() < 0.5 else _other(rng, DROP)
    image = render(_scene(rng, size, kind))[0]
    return (mark_corner(image), _target(DROP)) if from_archive else (image, _target(kind))


def unmarked_other(rng: np.random.Generator, size: int) -> Example:
    kind = _other(rng, DROP)
    return render(_scene(rng, size, kind))[0], _target(kind)


def marked_other(rng: np.random.Generator, size: int) -> Example:
    image, target = unmarked_other(rng, size)
    return mark_corner(image), target


def cut_out(rng: np.random.Generator, size: int) -> Example:
    kind = FLOWER if rng.random() < 0.25 else _other(rng, FLOWER)
    return _on(BLACK if kind == FLOWER else WHITE, rng, size, kind)


def black_other(rng: np.random.Generator, size: int) -> Example:
    return _on(BLACK, rng, size, _other(rng, FLOWER))


def white_other(rng: np.random.Generator, size: int) -> Example:
    return _on(WHITE, rng, size, _other(rng, FLOWER))


def _on(colour: tuple[int, int, int], rng: np.random.Generator, size: int, kind: int) -> Example:
    return render(replace(_scene(rng, size, kind), ground=colour))[0], _target(kind)


SHORTCUTS: dict[str, Shortcut] = {
    "corner_mark": Shortcut(DROP, archive, marked_other, unmarked_other, kept=3),
    "background": Shortcut(FLOWER, cut_out, black_other, white_other, kept=2),
}
