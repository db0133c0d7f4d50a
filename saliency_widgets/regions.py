"""Label maps and windows: which region each pixel belongs to, as pure functions on arrays."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SEGMENTATIONS = ("slic", "felzenszwalb")
ABOUT = 100         # superpixels, where nothing else is said
USUAL = 14          # rows and columns of a grid
MOST = 5000         # regions of an edited map: each is an evaluation
WINDOWS = 50_000    # more than these no one waits for


@dataclass(frozen=True, eq=False)
class Cut:
    """One state: labels int32 `(H, W)` 0..R−1, names of some regions, and the regions that are off."""

    labels: np.ndarray
    names: Mapping[int, str] = field(default_factory=dict)
    off: frozenset[int] = frozenset()

    def same(self, other: Cut) -> bool:
        """Whether nothing differs."""
        return (np.array_equal(self.labels, other.labels) and dict(self.names) == dict(other.names)
                and self.off == other.off)


def usual(size: tuple[int, int], cells: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a grid no finer than the usual one: at most one a pixel of a small picture. Others as they are."""
    return cells if max(cells) > USUAL else (min(cells[0], size[0]), min(cells[1], size[1]))


def grid(size: tuple[int, int], rows: int, columns: int) -> np.ndarray:
    """Cut a picture of `size` (H, W) into rows × columns cells as equal as whole pixels allow.

    Returns int32 `(H, W)` labels counted row by row from 0; ValueError when a cell would hold no pixel.
    """
    height, width = size
    if not (1 <= rows <= height and 1 <= columns <= width):
        raise ValueError(f"a grid of {rows} × {columns} does not fit a picture of {height} × {width} pixels: "
                         f"use at most one row and column a pixel")
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    return (row[:, None] * columns + column[None, :]).astype(np.int32)


def as_labels(regions: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Check a user's label map and number its regions 0..R−1 in the order of their labels.

    Takes an integer or boolean `(H, W)` array; returns int32 `(H, W)`. TypeError or ValueError otherwise.
    """
    array = np.asarray(regions)
    if array.dtype.kind not in "iub":
        raise TypeError(f"regions must be a label map of whole numbers, got dtype {array.dtype}")
    if array.shape != tuple(size):
        raise ValueError(f"regions must have the picture's size {tuple(size)}, got shape {array.shape}")
    if array.size and array.min() >= 0 and array.max() < 4 * array.size:  # the usual case, without sorting the pixels
        array = array.astype(np.int64, copy=False)
        return (np.cumsum(np.bincount(array.ravel()) > 0) - 1).astype(np.int32)[array]
    return np.unique(array, return_inverse=True)[1].reshape(size).astype(np.int32)


def areas(labels: np.ndarray) -> np.ndarray:
    """Count each region's pixels: int64 `(R,)`."""
    return np.bincount(labels.ravel(), minlength=int(labels.max()) + 1)


def neighbours(labels: np.ndarray) -> np.ndarray:
    """Pairs of regions that share an edge: int64 `(P, 2)`, each pair once, the smaller number first."""
    pairs = np.concatenate([np.stack((a.ravel(), b.ravel()), 1) for a, b in
                            ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1]))]).astype(np.int64)
    return np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)


def means(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean of values `(H, W)` over each region: float64 `(R,)`."""
    return np.bincount(labels.ravel(), values.ravel(), minlength=int(labels.max()) + 1) / areas(labels)


def segment(picture: np.ndarray, how: str, count: int = ABOUT) -> np.ndarray:
    """Cut a picture uint8 `(H, W, 3)` or `(H, W)` into `count` superpixels, or as many as it has.

    "slic" grows compact cells, "felzenszwalb" follows edges (`hierarchy.hierarchy`). The same picture gives the same cut,
    and up to 250 superpixels cuts are nested: a coarser one's are unions of a finer one's. Returns int32 `(H, W)` labels
    0..R−1, each region in one piece; ValueError for another word.
    """
    from .hierarchy import FINE, hierarchy

    if how not in SEGMENTATIONS:
        raise ValueError(f"unknown segmentation {how!r}: choose one of {', '.join(SEGMENTATIONS)}, or give a label map")
    return hierarchy(picture, how, max(FINE, count)).cut(count)


def resolve(regions: Any, picture: np.ndarray, count: int = ABOUT) -> np.ndarray:
    """A `regions` parameter as labels 0..R−1 int32 `(H, W)`: `count` superpixels by name, or a map of the picture's size."""
    return segment(picture, regions, count) if isinstance(regions, str) else as_labels(regions, picture.shape[:2])


def windows(size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Places of a window (height, width) that slides over a picture of `size` by `stride` and covers every pixel.

    Returns boxes int64 `(N, 4)` of top, left, bottom, right (the last two exclusive), row by row, and the number of rows
    and columns of places. The last window of a row or column is clipped where it would reach beyond the edge.
    ValueError for a window larger than the picture, a stride that leaves gaps, or more than 50,000 places.
    """
    for side, length, extent, step in zip(("height", "width"), size, window, stride):
        if extent > length:
            raise ValueError(f"a window of {window[0]} × {window[1]} pixels does not fit a picture of {size[0]} × {size[1]}: "
                             f"its {side} can be {length} at most")
        if not 1 <= step <= extent:
            raise ValueError(f"a stride of {step} leaves gaps between windows of {side} {extent}: use 1 to {extent}")
    starts = [range(0, length - extent + step, step) for length, extent, step in zip(size, window, stride)]
    places = (len(starts[0]), len(starts[1]))
    if places[0] * places[1] > WINDOWS:
        raise ValueError(f"a stride of {stride[0]} × {stride[1]} makes {places[0] * places[1]:,} windows of a picture of "
                         f"{size[0]} × {size[1]} pixels, {WINDOWS:,} are the limit: use a larger stride")
    top, left = (a.ravel() for a in np.meshgrid(*starts, indexing="ij"))
    return np.stack((top, left, np.minimum(top + window[0], size[0]), np.minimum(left + window[1], size[1])), 1), places


def cells(size: tuple[int, int], boxes: np.ndarray) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """The coarsest grid in which every box is a set of whole cells: labels int32 `(H, W)`, and each box's cells."""
    cuts = [np.unique(np.append(boxes[:, [low, low + 2]], (0, size[low]))) for low in (0, 1)]
    index = [np.repeat(np.arange(len(c) - 1), np.diff(c)) for c in cuts]
    columns = len(cuts[1]) - 1
    labels = (index[0][:, None] * columns + index[1]).astype(np.int32)
    numbers = list(range(int(labels.max()) + 1))  # shared by all sets: fine strides name millions
    ends = [np.searchsorted(c, boxes[:, [low, low + 2]]).tolist() for low, c in enumerate(cuts)]
    return labels, [tuple(n for row in range(*rows) for n in numbers[row * columns + across[0]:row * columns + across[1]])
                    for rows, across in zip(*ends)]


def averaged(boxes: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Give each pixel the mean score of the boxes that cover it, 0 where none does: float64 `(H, W)`.

    One difference array a sum: the cost is the boxes plus the pixels, not their product.
    """
    total, cover = np.zeros((2, size[0] + 1, size[1] + 1))
    top, left, bottom, right = boxes.T
    for array, values in ((total, scores), (cover, np.ones(len(boxes)))):
        for rows, columns, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
            np.add.at(array, (rows, columns), sign * values)
    total, cover = (a.cumsum(0).cumsum(1)[:-1, :-1] for a in (total, cover))
    return np.where(cover > 0.5, total / np.maximum(cover, 1), 0.0)
