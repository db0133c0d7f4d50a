"""How maps of one picture agree: their difference, pixel by pixel, and the correlation of their ranks."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata, spearmanr

from ..saliency_map import SaliencyMap
from .measure import Measure

SHARES = "‰ of the map"  # the unit of maps that only their shares make comparable


def together(first: SaliencyMap, second: SaliencyMap) -> tuple[np.ndarray, np.ndarray]:
    """Both maps at the size of the first one's picture, each in the sign it is shown with: two float64 `(H, W)`."""
    size = first.size
    return tuple(m.heatmap(size=size, sign=m.default_sign).astype(np.float64) for m in (first, second))


def compared(first: SaliencyMap, second: SaliencyMap) -> tuple[np.ndarray, np.ndarray]:
    """What a correlation is of: `together`, but of two maps of one crop of a photograph only what lies in it.

    The zeros around the crop are no values of either map, and would count as agreement.
    """
    if first.crop is not None and first.crop == second.crop and first.size == second.size:
        first, second = first.unplaced, second.unplaced
    return together(first, second)


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

    Two maps of one crop of a photograph are compared inside it. None where one of them is the same everywhere.
    """
    return spearman(*(np.abs(m) if absolute else m for m in compared(first, second)))


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's correlation of two arrays of one shape; None where one of them is the same everywhere, or there are not two."""
    if a.size < 2 or not np.ptp(a) or not np.ptp(b):
        return None
    return float(spearmanr(a.ravel(), b.ravel()).statistic)


def agreement(maps: Sequence[SaliencyMap] | Mapping[str, SaliencyMap]) -> Measure:
    """Spearman's correlation over the pixels of every pair of maps of one picture, −1 to 1.

    `maps` are at least two, in a list, or by the names to call them. Those that lie in one crop of the photograph are compared
    inside it. The value is the mean over pairs. `details`: `names`, the matrices `signed` and `absolute` float64 `(n, n)`, of the
    values as they are shown and of their sizes; NaN beside a map that is the same everywhere, which agrees with nothing.
    TypeError or ValueError for anything else.
    """
    named = dict(maps) if isinstance(maps, Mapping) else dict(zip(_names(list(maps)), maps))
    if len(named) < 2:
        raise ValueError(f"agreement compares two maps or more, got {len(named)}")
    for m in named.values():
        if not isinstance(m, SaliencyMap):
            raise TypeError(f"agreement compares maps as session.map gives them, got {type(m).__name__}")
    shown = list(named.values())
    sizes = sorted({m.size for m in shown})
    if len(sizes) > 1:
        raise ValueError(f"the maps are of pictures of different sizes: {', '.join(map(str, sizes))}")
    signed, absolute = _matrices(shown)
    pairs = signed[np.triu_indices(len(shown), 1)]
    known = pairs[np.isfinite(pairs)]
    even = [name for name, of_itself in zip(named, signed.diagonal()) if np.isnan(of_itself)]
    warnings = (f"the same everywhere, and so in agreement with nothing: {', '.join(even)}",) if even else ()
    value = float(known.mean()) if len(known) else float("nan")
    return Measure("agreement", value, "rank correlation", len(known), None, warnings,
                   {"names": list(named), "signed": signed, "absolute": absolute})


def _names(maps: list[SaliencyMap]) -> list[str]:
    """The maps' methods, numbered where one comes twice."""
    methods = [getattr(m, "method", "") for m in maps]
    return [name if methods.count(name) == 1 else f"{name} {methods[:i + 1].count(name)}" for i, name in enumerate(methods)]


def _matrices(maps: list[SaliencyMap]) -> tuple[np.ndarray, np.ndarray]:
    """The correlations of all pairs, signed and of sizes; of those in one crop inside it, as `compared` has it."""
    crops = {m.crop for m in maps}
    if len(crops) == 1:
        maps = [m.unplaced for m in maps]
    flat = np.stack([m.heatmap(size=maps[0].size, sign=m.default_sign).astype(np.float64).ravel() for m in maps])
    found = _correlations(flat), _correlations(np.abs(flat))
    for crop in crops - {None} if len(crops) > 1 else ():
        at = [i for i, m in enumerate(maps) if m.crop == crop]
        for whole, inside in zip(found, _matrices([maps[i] for i in at])):
            whole[np.ix_(at, at)] = inside
    return found


def _correlations(rows: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the ranks of rows `(n, pixels)`: `(n, n)`, NaN for a row without differences."""
    ranked = np.stack([rankdata(row) for row in rows])
    ranked -= ranked.mean(1, keepdims=True)
    norms = np.sqrt((ranked ** 2).sum(1))
    products = np.outer(norms, norms)
    return ranked @ ranked.T / np.where(products > 0, products, np.nan)
