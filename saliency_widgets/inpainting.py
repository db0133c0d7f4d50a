"""Filling in what is switched off from what surrounds it."""
from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

MOST = 0.25  # share of the picture that may be filled in: what surrounds a larger hole says little of it, and it takes seconds
MARGIN = 8   # pixels around a hole that can matter; the equations reach two
KEPT = 16    # holes that are asked for again right away: for the model, and for the eye

_lock = threading.Lock()  # every Explorer has a thread of its own
_kept: OrderedDict[tuple, np.ndarray] = OrderedDict()


def inpainted(picture: np.ndarray, off: np.ndarray) -> np.ndarray:
    """A picture of floats `(H, W, C)` with the pixels bool `(H, W)` that are off grown in from around them.

    Biharmonic (Damelin, Hoang 2018), by scikit-image. ValueError where more than a quarter is off.
    """
    if off.mean() > MOST:
        raise ValueError(f"inpainting grows what is around into at most {MOST:.0%} of the picture, {off.mean():.0%} would be "
                         f"off: use smaller regions or another fill")
    if not off.any():
        return picture
    y, x = np.nonzero(off)
    box = np.s_[max(0, y.min() - MARGIN):y.max() + MARGIN + 1, max(0, x.min() - MARGIN):x.max() + MARGIN + 1]
    part, hole, ends = picture[box], off[box], (float(picture.min()), float(picture.max()))
    key = (part.shape, part.tobytes(), np.packbits(hole).tobytes(), ends)
    with _lock:
        grown = _kept.get(key)
    if grown is None:
        from skimage.restoration import inpaint_biharmonic

        grown = np.clip(inpaint_biharmonic(part, hole, channel_axis=-1), *ends)[hole]
        with _lock:
            _kept[key] = grown
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
    result = picture.copy()
    result[box][hole] = grown
    return result
