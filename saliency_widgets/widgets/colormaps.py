"""The colour maps, where widgets look for them."""

from ..colormaps import COLORMAPS, DIVERGING, lut, luts

__all__ = ["COLORMAPS", "DIVERGING", "lut", "luts"]
