"""Points and weights on a path, shared by the methods that integrate along one."""
from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def even(steps: int) -> list[float]:
    """The grid i/steps; doubling `steps` keeps every point to the last bit."""
    return [i / steps for i in range(steps + 1)]


def shown(stages: Sequence[Any], watched: bool) -> range:
    """Numbers of the stages that are summed: all, or, where nobody watches the map grow, what its last change needs."""
    return range(0 if watched else max(0, len(stages) - 2), len(stages))


def covering(grid: Sequence[float], start: float, end: float) -> tuple[int, int]:
    """Indices in the rising `grid` of the last point at or below `start` and the first at or above `end`."""
    low, high = max(0, bisect_right(grid, start) - 1), min(len(grid) - 1, bisect_left(grid, end))
    if low >= high:  # a window without width still needs an interval to lie in
        low, high = (high - 1, high) if high == len(grid) - 1 else (low, low + 1)
    return low, high


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


def interval_weights(grid: Sequence[float], start: float, end: float) -> list[tuple[float, float]]:
    """For each interval of `grid`, the weights of its two ends in the mean over the part that lies in [start, end].

    What lies between the ends counts as linear; the two add up to the part's share of the interval.
    """
    weights = []
    for left, right in zip(grid, grid[1:]):
        low, high = max(left, start), min(right, end)
        share = max(0.0, high - low) / (right - left)
        middle = ((low + high) / 2 - left) / (right - left)
        weights.append((share * (1 - middle), share * middle) if share else (0.0, 0.0))
    return weights


def window_weights(grid: Sequence[float], start: float, end: float) -> list[float]:
    """Weights of the values at `grid` in the integral over [start, end] of their piecewise linear interpolant.

    They sum to the part of the window that the grid covers, for windows on and off the grid alike.
    """
    weights = [0.0] * len(grid)
    for j, (left, right) in enumerate(interval_weights(grid, start, end)):
        weights[j] += left * (grid[j + 1] - grid[j])
        weights[j + 1] += right * (grid[j + 1] - grid[j])
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


def change(new: Tensor, old: Tensor | None) -> float | None:
    """How far a map moved since the last refinement: Σ|new − old| / Σ|new|; None before the second."""
    if old is None:
        return None
    return float((new - old).abs().sum() / new.abs().sum().clamp_min(torch.finfo(new.dtype).tiny))


def residual(total: float, rise: float) -> float | None:
    """(sum of the map − rise of the score) / |rise|; None where the score does not rise."""
    return (total - rise) / abs(rise) if rise else None
