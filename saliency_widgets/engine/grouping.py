"""Regions into groups whose boxes share their shapes all the way through the network."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .reach import Start

REFINED = 3      # ways to align that are worked out, the cheapest first
SIZES = 12       # more kinds of box than this are rounded up before groups are merged
CLASSES = 64     # more classes of alignment than this are not tried
FEW = 8          # members a class should have on average: each one is a chunk at least


@dataclass(frozen=True)
class Group:
    """Members (row numbers of the boxes) whose boxes begin at `start + step · k` along both axes."""

    members: np.ndarray
    rows: Start
    columns: Start
    k: tuple[np.ndarray, np.ndarray]


Cost = Callable[[Start, Start, int], float]


def grouped(boxes: np.ndarray, size: tuple[int, int], stride: int, cost: Cost) -> tuple[list[Group], float]:
    """Groups of the boxes int64 `(N, 4)` (top, left, bottom, right, exclusive) that cost least, and their cost.

    `stride` is the network's total stride. A group's corners agree modulo an alignment A; boxes are first rounded out to
    multiples of a grain g: fewer groups, larger boxes. Every A and g that divide the stride are tried.
    """
    if len(boxes) == 1:  # nothing to align with: the exact box
        group = _group(np.zeros(1, dtype=np.int64), boxes[:, :2], boxes[:, 2:] - boxes[:, :2], 1)
        return [group], cost(group.rows, group.columns, 1)
    best: tuple[list[Group], float] = [], float("inf")
    ways = []
    for align in _divisors(stride):
        for grain in _divisors(align):
            low, extent, classes = _rounded(boxes, size, align, grain)
            if classes is not None:
                ways.append((sum(_price(c, low, extent, align, cost) for c in classes), align, low, extent, classes))
    for _, align, low, extent, classes in sorted(ways, key=lambda way: way[0])[:REFINED]:
        groups = [g for members in classes for cluster in _merged(members, low, extent, align, cost)
                  for g in _split(cluster, low, extent, align, cost)]
        total = sum(cost(g.rows, g.columns, len(g.members)) for g in groups)
        if total < best[1]:
            best = groups, total
    return best


def _divisors(stride: int) -> list[int]:
    return [d for d in range(stride, 0, -1) if stride % d == 0 and (d & d - 1 == 0 or d == stride)]


def _rounded(boxes: np.ndarray, size: tuple[int, int], align: int,
             grain: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray] | None]:
    """Corners and sizes on the grain, and the classes of members whose corners agree modulo `align` (None: too many)."""
    low = boxes[:, :2] // grain * grain
    extent = -(-(boxes[:, 2:] - low) // grain) * grain
    extent = np.minimum(extent, np.array(size) - low)  # nothing lies beyond the edge
    kinds, which = np.unique(low % align, axis=0, return_inverse=True)
    if len(kinds) > min(CLASSES, max(1, len(boxes) // FEW)):
        return low, extent, None
    return low, extent, [np.flatnonzero(which.reshape(-1) == number) for number in range(len(kinds))]


def _group(members: np.ndarray, low: np.ndarray, extent: np.ndarray, align: int) -> Group:
    """The group of some members: its boxes are as large as its largest one."""
    corner, large = low[members].min(0), extent[members].max(0)
    k = (low[members] - corner) // align
    starts = [Start(int(corner[a]), int(large[a]), align if k[:, a].any() else 0, int(k[:, a].max())) for a in (0, 1)]
    return Group(members, *starts, (k[:, 0], k[:, 1]))


def _price(members: np.ndarray, low: np.ndarray, extent: np.ndarray, align: int, cost: Cost) -> float:
    group = _group(members, low, extent, align)
    return cost(group.rows, group.columns, len(members))


def _merged(members: np.ndarray, low: np.ndarray, extent: np.ndarray, align: int, cost: Cost) -> Iterable[np.ndarray]:
    """Members with boxes of nearly the same size, together where that is cheaper."""
    for coarse in (1, align, 2 * align, max(extent.max(), 1)):
        kinds, which = np.unique(-(-extent[members] // coarse), axis=0, return_inverse=True)
        if len(kinds) <= SIZES:
            break
    clusters = {number: members[which.reshape(-1) == number] for number in range(len(kinds))}
    everywhere = _group(members, low, extent, align)

    def price_of(cluster: np.ndarray) -> float:  # by size alone: as if its members lay wherever the class has some
        height, width = (int(side) for side in extent[cluster].max(0))
        return cost(everywhere.rows._replace(size=height), everywhere.columns._replace(size=width), len(cluster))

    prices = {number: price_of(cluster) for number, cluster in clusters.items()}
    gains: dict[tuple[int, int], tuple[float, float]] = {}
    while len(clusters) > 1:
        for i in clusters:
            for j in clusters:
                if j < i and (i, j) not in gains:
                    price = price_of(np.concatenate((clusters[j], clusters[i])))
                    gains[i, j] = prices[i] + prices[j] - price, price
        (i, j), (gain, price) = max(gains.items(), key=lambda entry: entry[1])
        if gain <= 0:
            break
        clusters[j] = np.concatenate((clusters[j], clusters.pop(i)))
        prices[j] = price
        gains = {pair: known for pair, known in gains.items() if not {i, j} & set(pair)}
    return clusters.values()


def _split(members: np.ndarray, low: np.ndarray, extent: np.ndarray, align: int, cost: Cost) -> list[Group]:
    """A group cut along an axis wherever its parts cost less: those at an edge have smaller boxes."""
    whole = _price(members, low, extent, align, cost)
    best, cut = whole, None
    for axis in (0, 1):
        places = np.unique(low[members, axis])
        tried = places[[1, len(places) // 2, -1]] if len(places) > 3 else places[1:]
        for place in tried:
            side = low[members, axis] < place
            price = sum(_price(members[s], low, extent, align, cost) for s in (side, ~side))
            if price < best:
                best, cut = price, side
    if cut is None:
        return [_group(members, low, extent, align)]
    return [g for side in (cut, ~cut) for g in _split(members[side], low, extent, align, cost)]
