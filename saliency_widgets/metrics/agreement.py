"""How two maps of one picture agree: their difference, pixel by pixel, and the correlation of their ranks."""
from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from ..saliency_map import SaliencyMap

SHARES = "‰ of the map"  # the unit of maps that only their shares make comparable


def together(first: SaliencyMap, second: SaliencyMap) -> tuple[np.ndarray, np.ndarray]:
    """Both maps at the size of the first one's picture, each in the sign it is shown with: two float64 `(H, W)`."""
    size = first.size
    return tuple(m.heatmap(size=size, sign=m.default_sign).astype(np.float64) for m in (first, second))


def difference(first: SaliencyMap, second: SaliencyMap) -> tuple[np.ndarray, str]:
    """The first map minus the second: float64 `(H, W)` and its unit.

    Maps of one method and unit are subtracted as they are. Others have no common scale: each pixel then counts as its share
    of the sum of its map's absolute values, in thousandths.
    """
    a, b = together(first, second)
    if (first.method, first.unit) == (second.method, second.unit):
        return a - b, first.unit
    return 1000 * (_shares(a) - _shares(b)), SHARES


def _shares(values: np.ndarray) -> np.ndarray:
    total = np.abs(values).sum()
    return values / total if total else values


def rank_correlation(first: SaliencyMap, second: SaliencyMap, absolute: bool = False) -> float | None:
    """Spearman's correlation of two maps over the pixels, −1 to 1, of their absolute values with `absolute`.

    None where one of them is the same everywhere.
    """
    a, b = (np.abs(m) if absolute else m for m in together(first, second))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a.ravel(), b.ravel()).statistic)
