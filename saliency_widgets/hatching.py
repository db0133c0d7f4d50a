"""Regions in a saved picture: their borders, and what is switched off, filled, hatched and outlined as on the stage."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STAGE = 505  # CSS pixels of the stage that line widths are drawn for
HATCH = 6  # CSS pixels between the lines over what is off


@dataclass(frozen=True)
class Off:
    """What is switched off: its pixels, bool `(h, w)`, and the whole picture of the fill, uint8 `(h, w, 3)`."""

    mask: np.ndarray
    fill: np.ndarray


def spread(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Each pixel of an array (h, w, …) as a block of one at `size` (H, W)."""
    height, width = size
    return values[np.arange(height) * values.shape[0] // height][:, np.arange(width) * values.shape[1] // width]


def hatched(base: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Hatch and outline what is off, bool `(h, w)`, in white over an opaque picture (H, W, 3)."""
    height, width = base.shape[:2]
    inside, k = spread(mask, (height, width)), max(1.0, width / STAGE)
    y, x = np.mgrid[:height, :width]
    gap = HATCH * k
    away = np.abs((x + y + 1 - height + gap / 2) % gap - gap / 2) / np.sqrt(2)  # from the middle of the nearest line
    lines = np.clip(k / 2 + 0.5 - away, 0, 1) * inside * 0.55
    base = base + lines[..., None] * (1 - base)
    edge = np.zeros((height + 1, width + 1), bool)  # corners of pixels where inside meets outside
    padded = np.pad(inside, 1)
    for dy, dx in ((0, 1), (1, 0), (1, 1)):
        edge |= padded[:-1, :-1] != padded[dy:dy + height + 1, dx:dx + width + 1]
    reach = max(1, round(1.25 * k / 2))
    near = np.zeros((height, width), bool)
    for dy in range(1 - reach, reach + 1):
        for dx in range(1 - reach, reach + 1):
            rows, columns = np.arange(height) + dy, np.arange(width) + dx
            near |= edge[np.clip(rows, 0, height)][:, np.clip(columns, 0, width)]
    return np.where(near[..., None], base + 0.9 * (1 - base), base)


def bordered(base: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw the borders between regions of a label map (h, w) as faint white lines, over an opaque picture (H, W, 3)."""
    height, width = base.shape[:2]
    large = spread(labels, (height, width))
    edge = np.zeros((height, width), bool)
    edge[:, 1:] |= large[:, 1:] != large[:, :-1]
    edge[1:] |= large[1:] != large[:-1]
    return np.where(edge[..., None], base + 0.28 * (1 - base), base)
