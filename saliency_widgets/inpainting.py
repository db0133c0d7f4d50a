"""Filling in what is switched off from what surrounds it."""
from __future__ import annotations

from collections import OrderedDict

import numpy as np

MOST = 0.25  # share of the picture that may be filled in: what surrounds a larger hole says little of it
_kept: OrderedDict[bytes, np.ndarray] = OrderedDict()
KEPT = 8


def inpainted(picture: np.ndarray, off: np.ndarray) -> np.ndarray:
    """The picture uint8 `(H, W, 3)` with the pixels bool `(H, W)` that are off grown in from around them.

    Biharmonic (Damelin, Hoang 2018), by scikit-image. ValueError where more than a quarter is off.
    """
    if off.mean() > MOST:
        raise ValueError(f"inpainting grows what is around into at most {MOST:.0%} of the picture, {off.mean():.0%} are off: "
                         f"use another fill")
    key = np.packbits(off).tobytes() + picture.tobytes()
    if key not in _kept:
        from skimage.restoration import inpaint_biharmonic

        found = inpaint_biharmonic(picture, off, channel_axis=-1, split_into_regions=True)
        _kept[key] = np.rint(np.clip(found, 0, 1) * 255).astype(np.uint8)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return _kept[key]
