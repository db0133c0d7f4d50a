"""Label maps: which region each pixel belongs to, as pure functions on arrays."""
from __future__ import annotations

import numpy as np


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
    _, labels = np.unique(array, return_inverse=True)
    return labels.reshape(size).astype(np.int32)


def areas(labels: np.ndarray) -> np.ndarray:
    """Count each region's pixels: int64 `(R,)`."""
    return np.bincount(labels.ravel(), minlength=int(labels.max()) + 1)
