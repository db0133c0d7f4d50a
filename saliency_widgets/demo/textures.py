"""The ten surface patterns of the rendered pictures: each mixes two colours over the plane of its object."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Field = np.ndarray
Texture = Callable[[Field, Field, float], Field]
# A texture takes u, v in units of the radius and a phase in 0..1; 0 is the first colour, 1 the second.


def stripes(u: Field, v: Field, phase: float) -> Field:
    return _step(np.sin(2 * np.pi * (2.1 * u + phase)), 3)


def bricks(u: Field, v: Field, phase: float) -> Field:
    row = v * 3 + phase
    column = u * 1.6 + 0.5 * (np.floor(row) % 2) + phase
    joint = np.minimum(_to_edge(row), _to_edge(column) * 1.6)
    tint = 0.22 * np.sin(7 * np.floor(row) + 5 * np.floor(column))
    return np.clip(_step(0.11 - joint, 30) + np.maximum(tint, 0), 0, 1)


def spots(u: Field, v: Field, phase: float) -> Field:
    return _step(0.33 - _hexagonal(u * 2.4 + phase, v * 2.4)[0], 12)


def checks(u: Field, v: Field, phase: float) -> Field:
    return _step(np.sin(np.pi * (2.3 * u + phase)) * np.sin(np.pi * (2.3 * v + phase)), 6)


def wood(u: Field, v: Field, phase: float) -> Field:
    """Grain that runs along v and bends around a knot."""
    knot = 0.6 * np.exp(-6 * (u - 0.15) ** 2 - 3 * (v - 0.3) ** 2)
    ring = 2.6 * u + 0.25 * np.sin(2.1 * v + 6 * phase) + knot + phase
    return 0.85 * (ring % 1) ** 1.6 + 0.12 * np.sin(37 * u + 3 * np.sin(2 * v))


def zigzag(u: Field, v: Field, phase: float) -> Field:
    tooth = np.abs((u * 1.7 + phase) % 1 - 0.5)
    return _step(np.sin(2 * np.pi * (1.9 * v + 1.1 * tooth + phase)), 3)


def scales(u: Field, v: Field, phase: float) -> Field:
    """Overlapping rows of half discs, pale in the middle and dark at the rim."""
    out = np.zeros_like(u)
    covered = np.zeros(u.shape, dtype=bool)
    rows = v * 3.2 + phase
    for back in (1, 0):  # each row hangs over the one below it
        row = np.floor(rows) - back
        x = (u * 2.0 + 0.5 * (row % 2) + phase) % 1 - 0.5
        away = np.hypot(x * 2, (rows - row) * 0.72)
        inside = (away < 1) & ~covered
        out = np.where(inside, np.clip(away, 0, 1) ** 3, out)
        covered |= inside
    return np.where(covered, out, 1.0)


def honeycomb(u: Field, v: Field, phase: float) -> Field:
    near, second = _hexagonal(u * 2.1 + phase, v * 2.1 + phase)
    return _step(0.13 - (second - near), 14)


def marble(u: Field, v: Field, phase: float) -> Field:
    t = 6.28 * phase
    warp = (
        u
        + 0.45 * np.sin(1.9 * v + t)
        + 0.22 * np.sin(4.3 * u - 3.1 * v + 2 * t)
        + 0.1 * np.sin(9 * v + 6 * u)
    )
    return np.clip(1.25 - 3.4 * np.abs(np.sin(3.6 * warp + t)), 0, 1) ** 1.2 + 0.10 * np.abs(np.sin(5 * warp))


def ripples(u: Field, v: Field, phase: float) -> Field:
    return _step(np.sin(2 * np.pi * (2.7 * np.hypot(u, v) - 0.25)), 3)


def _step(field: Field, sharpness: float) -> Field:
    return 0.5 + 0.5 * np.tanh(sharpness * field)


def _to_edge(field: Field) -> Field:
    """Distance to the nearest whole number."""
    return np.abs(field - np.round(field))


def _hexagonal(u: Field, v: Field) -> tuple[Field, Field]:
    """Distances to the nearest and the second nearest point of a hexagonal lattice with unit spacing."""
    height = np.sqrt(3) / 2
    distances = []
    base = np.floor(v / height)
    for dr in (-1, 0, 1, 2):
        row = base + dr
        shift = 0.5 * (row % 2)
        nearest = np.round(u - shift)
        for dc in (-1, 0, 1) if dr in (0, 1) else (0,):
            distances.append(np.hypot(u - shift - nearest - dc, v - row * height))
    ordered = np.partition(np.stack(distances), 1, axis=0)
    return ordered[0], ordered[1]
