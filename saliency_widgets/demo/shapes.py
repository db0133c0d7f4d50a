"""The ten outlines of the rendered pictures, as signed distances: negative inside, radius about one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Field = np.ndarray
Outline = Callable[[Field, Field], Field]


def disc(x: Field, y: Field) -> Field:
    return np.hypot(x, y) - 0.92


def square(x: Field, y: Field) -> Field:
    return _box(x, y, 0.72, 0.72) - 0.08


def triangle(x: Field, y: Field) -> Field:
    return _polygon(x, y + 0.16, sides=3, apothem=0.5) - 0.08


def star(x: Field, y: Field) -> Field:
    """Five points; the inner radius is 0.52 of the outer one."""
    sector = np.pi / 5
    angle = np.abs((np.arctan2(x, -y) + sector) % (2 * sector) - sector)
    px, py = np.hypot(x, y) * np.cos(angle), np.hypot(x, y) * np.sin(angle)
    # The edge from the tip (1, 0) to the notch at radius 0.52, whose normal points outwards.
    tip, notch = np.array([1.0, 0.0]), 0.52 * np.array([np.cos(sector), np.sin(sector)])
    edge = notch - tip
    normal = np.array([edge[1], -edge[0]]) / np.hypot(*edge)
    return (px - tip[0]) * normal[0] + (py - tip[1]) * normal[1] - 0.03


def drop(x: Field, y: Field) -> Field:
    """A teardrop: a big circle below, tapering to a point above."""
    low, small, span = 0.62, 0.06, 1.15
    ax, along = np.abs(x), -(y - 0.32)
    b = (low - small) / span
    a = np.sqrt(1 - b * b)
    k = -ax * b + along * a
    below, above = np.hypot(ax, along) - low, np.hypot(ax, along - span) - small
    return np.where(k < 0, below, np.where(k > a * span, above, ax * a + along * b - low))


def heart(x: Field, y: Field) -> Field:
    px, py = np.abs(x) / 1.55, -y / 1.55 + 0.58
    upper = np.hypot(px - 0.25, py - 0.75) - np.sqrt(2) / 4
    fold = 0.5 * np.maximum(px + py, 0)
    lower = np.sqrt(np.minimum(px**2 + (py - 1) ** 2, (px - fold) ** 2 + (py - fold) ** 2)) * np.sign(px - py)
    return 1.55 * np.where(px + py > 1, upper, lower)


def crescent(x: Field, y: Field) -> Field:
    return np.maximum(np.hypot(x - 0.12, y) - 0.96, 0.62 - np.hypot(x - 0.72, y))


def hexagon(x: Field, y: Field) -> Field:
    return _polygon(x, y, sides=6, apothem=0.78) - 0.04


def cross(x: Field, y: Field) -> Field:
    return np.minimum(_box(x, y, 0.9, 0.28), _box(x, y, 0.28, 0.9)) - 0.05


def flower(x: Field, y: Field) -> Field:
    return (np.hypot(x, y) - 0.78 - 0.15 * np.cos(6 * np.arctan2(y, x))) * 0.75


def _box(x: Field, y: Field, half_width: float, half_height: float) -> Field:
    dx, dy = np.abs(x) - half_width, np.abs(y) - half_height
    return np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0)


def _polygon(x: Field, y: Field, sides: int, apothem: float) -> Field:
    """A regular polygon with a flat side below."""
    angles = np.pi / 2 + 2 * np.pi * np.arange(sides) / sides
    return np.max([np.cos(a) * x + np.sin(a) * y for a in angles], axis=0) - apothem
