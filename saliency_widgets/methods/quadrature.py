"""Points and weights on the α path, shared by the methods that integrate along one."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def covering(steps: int, start: float, end: float) -> tuple[int, int]:
    """Indices of the grid points i/steps from the last at or below `start` to the first at or above `end`."""
    low, high = math.floor(start * steps), math.ceil(end * steps)
    # i / steps may round past the bound it was made from; one step outwards mends it.
    low -= low / steps > start
    high += high / steps < end
    if low == high:  # a window without width still needs an interval to lie in
        low, high = (low - 1, high) if high == steps else (low, high + 1)
    return max(0, low), min(steps, high)


def coarse_to_fine(low: int, high: int) -> list[list[int]]:
    """Nested stages of the indices low..high: every 8th, 4th, 2nd, then all, each with both ends.

    Indices count from the whole path's start, so stages of different windows share their points.
    """
    stages: list[list[int]] = []
    for stride in (8, 4, 2, 1):
        stage = sorted({low, high, *(i for i in range(low, high + 1) if i % stride == 0)})
        if stride == 1 or (len(stage) > 2 and len(stage) < high - low + 1 and stage not in stages):
            stages.append(stage)
    return stages


def window_weights(grid: Sequence[float], start: float, end: float) -> list[float]:
    """Weights of the values at `grid` in the integral over [start, end] of their piecewise linear interpolant.

    They sum to the part of the window that the grid covers, for windows on and off the grid alike.
    """
    weights = [0.0] * len(grid)
    for j, (left, right) in enumerate(zip(grid, grid[1:])):
        low, high = max(left, start), min(right, end)
        if high > low:
            share = ((low + high) / 2 - left) / (right - left)
            weights[j] += (high - low) * (1 - share)
            weights[j + 1] += (high - low) * share
    return weights


def one_shot(rule: str, steps: int, start: float, end: float) -> tuple[list[float], list[float]]:
    """Points and weights on [start, end] of the rules that do not nest; weights sum to end − start.

    gauss_legendre, midpoint and right use `steps` points; endpoints spreads them evenly with both ends and gives all
    the same weight, as some libraries do.
    """
    length = end - start
    equal = [length / steps] * steps
    if rule == "gauss_legendre":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return [float(start + length * (x + 1) / 2) for x in nodes], [float(length * w / 2) for w in weights]
    if rule == "midpoint":
        return [start + length * (i + 0.5) / steps for i in range(steps)], equal
    if rule == "right":
        return [start + length * (i + 1) / steps for i in range(steps)], equal
    if rule == "endpoints":
        return [float(a) for a in np.linspace(start, end, steps)], equal
    raise ValueError(f"unknown rule {rule!r}: choose gauss_legendre, midpoint, right or endpoints")
