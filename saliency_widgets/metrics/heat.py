"""One signed number a pixel of whatever map a metric is given, and the order in which these say that pixels matter."""
from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ..saliency_map import SaliencyMap, upsample


def heat_of(given: SaliencyMap | np.ndarray | Tensor, size: tuple[int, int], sign: str | None = None) -> np.ndarray:
    """The map as float64 `(H, W)` of `size`: channels summed, resized bilinearly, signed unless its method speaks of sizes only.

    Arrays may be `(H, W)`, `(h, w)` or `(C, h, w)`. TypeError for another kind, ValueError for a shape that is none or for NaN
    and infinity.
    """
    if isinstance(given, SaliencyMap):
        heat = given.heatmap(size=size, sign=sign or ("absolute" if given.default_sign == "absolute" else "both"))
    elif isinstance(given, (np.ndarray, Tensor)):
        heat = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given, dtype=np.float64)
        if heat.ndim not in (2, 3) or heat.size == 0:
            raise ValueError(f"a map is an array (H, W) or (C, H, W), got shape {heat.shape}")
        heat = heat.sum(0) if heat.ndim == 3 else heat
        heat = heat if heat.shape == tuple(size) else upsample(heat, tuple(size))
    else:
        raise TypeError(f"a metric judges a SaliencyMap or an array (H, W), got {type(given).__name__}")
    if not np.isfinite(heat).all():
        raise ValueError("the map holds NaN or infinity: it has no order of pixels")
    return heat.astype(np.float64)


def ranks(heat: np.ndarray, regions: np.ndarray | None = None) -> np.ndarray:
    """The place of each pixel when the hottest comes first: int32 `(H, W)`, a permutation of 0..H·W−1.

    Of equal pixels those of the region with the lower number come first, and then row by row.
    """
    second = np.zeros(heat.size, np.int64) if regions is None else regions.ravel()
    order = np.lexsort((second, -heat.ravel()))  # stable, so that rows are the last word
    places = np.empty(heat.size, np.int32)
    places[order] = np.arange(heat.size, dtype=np.int32)
    return places.reshape(heat.shape)


def mask_of(mask: Any, size: tuple[int, int] | None = None) -> np.ndarray:
    """A mask as bool `(H, W)`; TypeError or ValueError for anything else, for an empty one, and for one of another size."""
    array = np.asarray(mask)
    if array.dtype != bool:
        raise TypeError(f"mask is a bool array (H, W), True inside the object, got {array.dtype}")
    if array.ndim != 2 or (size is not None and array.shape != tuple(size)):
        raise ValueError(f"mask is a bool array {tuple(size) if size else '(H, W)'}, got shape {array.shape}")
    if not array.any():
        raise ValueError("the mask is empty: there is no inside to point at")
    return array
