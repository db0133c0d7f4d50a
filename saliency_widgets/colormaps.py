"""The colour maps of the stage: their names in one order, and their 256 colours as bytes for the browser."""

from __future__ import annotations

from functools import cache

import numpy as np

COLORMAPS: tuple[str, ...] = (
    "signed", "magma", "viridis", "inferno", "cividis", "grey", "RdBu_r", "PuOr_r", "jet",
)  # fmt: skip
"""Names in the order that the menus, the trait `HeatLayer.cmap_index` and the browser share. `signed` is ours
(blue, light grey, red, zero in the middle); `jet` exists only for people who must match a paper's figure."""

DIVERGING = frozenset({"signed", "RdBu_r", "PuOr_r"})
"""Maps with a middle: they suit signed values centred at zero."""

SIGNED_STOPS = "0b4a94 2069b4 3f8fcb 62aede 8fc8e8 f2f2f2 fbb79b f58a6c e85a48 cf2a34 a30f26"

# The registry of colours that we use writes some of our names differently.
_REGISTRY_NAMES = {"grey": "matlab:gray", "RdBu_r": "colorbrewer:RdBu_r", "PuOr_r": "colorbrewer:PuOr_r"}


@cache
def lut(name: str) -> bytes:
    """The 256 colours of a map, as 768 bytes R G B R G B …; LookupError for a name not in `COLORMAPS`."""
    if name not in COLORMAPS:
        raise LookupError(f"unknown colour map {name!r}: choose one of {', '.join(COLORMAPS)}")
    if name == "signed":
        stops = np.array([[int(s[i : i + 2], 16) for i in (0, 2, 4)] for s in SIGNED_STOPS.split()], float)
        at = np.linspace(0, len(stops) - 1, 256)
        colours = np.stack([np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)], axis=1)
    else:
        from cmap import Colormap

        colours = np.asarray(Colormap(_REGISTRY_NAMES.get(name, name)).lut(256))[:, :3] * 255.0
    return np.round(colours).astype(np.uint8).tobytes()


def table(name: str) -> np.ndarray:
    """The same colours as a read-only uint8 array `(256, 3)`."""
    return np.frombuffer(lut(name), np.uint8).reshape(256, 3)


@cache
def luts() -> bytes:
    """All maps one after the other in the order of `COLORMAPS`: what the browser colours with."""
    return b"".join(lut(name) for name in COLORMAPS)
