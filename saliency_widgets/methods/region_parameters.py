"""The parameters of methods that cut the picture into regions, declared once, and the label map that they ask for."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import regions as R
from ..engine.inputs import FILL_BLUR, FILLS, GROWN
from ..engine.probe import Fill, Input
from .parameters import Parameter
from .protocol import Context

REGIONS = Parameter("regions", "regions", None, "superpixels, or a label map of your own, instead of the grid",
                    choices=R.SEGMENTATIONS)
SUPERPIXELS = Parameter("regions", "regions", "slic", "superpixels, or a label map of your own", choices=R.SEGMENTATIONS)
COUNT = Parameter("count", "int", R.ABOUT, "superpixels, where regions names a way to cut them; coarser ones are unions of "
                                           "finer ones", minimum=4, maximum=200, choices=(4, 8, 15, 30, 50, 70, 100, 140, 200),
                  words="superpixels", where="regions")
FILL = Parameter("fill", "fill", "black", "what a removed region shows; inpaint: what surrounds it, grown in",
                 choices=(*FILLS, GROWN))
SIGMA = Parameter("sigma", "float", FILL_BLUR, "σ of a blurred fill", minimum=0.5, maximum=50.0, step=0.5, unit="px")
SEED = Parameter("seed", "int", 0, "names the draw of a noise fill", minimum=0)


def grid(default: int) -> Parameter:
    """Rows and columns of a grid."""
    return Parameter("grid", "grid", default, "cells along each side, or (rows, columns)", minimum=1, maximum=64,
                     choices=(4, 7, 10, 14, 20, 28))


def label_map(context: Context, grid: tuple[int, int], regions: Any, count: int) -> np.ndarray:
    """The labels int32 `(H, W)` that a method's parameters name: a grid where there are no `regions`.

    A usual grid has one cell a pixel where the picture is smaller.
    """
    return R.grid(context.size, *R.usual(context.size, grid)) if regions is None else R.resolve(regions, context.shown, count)


def left(context: Context, labels: str, off: Iterable[int], count: int, fill: Fill) -> Input:
    """The picture without the regions that are `off`, of the `count` regions of a registered label map."""
    off = tuple(sorted(off))
    if not off:
        return context.image
    return context.bare(fill) if len(off) == count else context.without(labels, off, fill)
