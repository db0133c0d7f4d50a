"""Small pictures for the panels: maps and photographs as PNG bytes."""
from __future__ import annotations

import base64
import io

import ipywidgets
import numpy as np
from PIL import Image

from ..colormaps import table


def png(pixels: np.ndarray) -> bytes:
    """uint8 `(H, W, 3)` or `(H, W, 4)` as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def limit(heat: np.ndarray, percentile: float = 99.2) -> float:
    """The end of a scale that a few extreme pixels do not set."""
    return float(np.percentile(np.abs(heat), percentile)) or float(np.abs(heat).max()) or 1.0


def paint_signed(heat: np.ndarray, end: float | None = None) -> np.ndarray:
    """A signed map `(H, W)` as RGBA: our diverging ramp, clear where little happens."""
    share = np.clip(np.asarray(heat, np.float64) / (end or limit(heat)), -1, 1)
    size = np.abs(share)
    alpha = np.where(size < 0.14, 0.0, np.clip((size - 0.14) / 0.86, 0, 1) ** 0.7)
    rgb = table("signed")[np.rint(127.5 + 127.5 * share).astype(int)]
    return np.dstack([rgb, np.rint(255 * alpha).astype(np.uint8)])


def paint_size(heat: np.ndarray) -> np.ndarray:
    """The magnitude of a map `(H, W)` as RGB in magma."""
    size = np.abs(np.asarray(heat, np.float64))
    return table("magma")[np.rint(255 * np.clip(size / limit(size), 0, 1)).astype(int)]


def paint_grey(heat: np.ndarray) -> np.ndarray:
    """The magnitude of a map `(H, W)` as RGB in grey, up to its maximum."""
    size = np.abs(np.asarray(heat, np.float64))
    return np.rint(255 * size / (size.max() or 1.0)).astype(np.uint8)[..., None].repeat(3, 2)


def faded(picture: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """A photograph as RGBA, grey and faint outside the mask `keep` `(H, W)`."""
    grey = picture.astype(np.float64).mean(2, keepdims=True).repeat(3, 2)
    rgb = np.where(keep[..., None], picture, grey).astype(np.uint8)
    return np.dstack([rgb, np.where(keep, 255, 36).astype(np.uint8)])


class Pictured(ipywidgets.VBox):
    """One square picture with a caption below; `alt` says to those who do not see it what it is."""

    def __init__(self, caption: str, alt: str):
        self.alt = alt
        self.image, self.caption = ipywidgets.HTML(), ipywidgets.HTML(caption)
        self.image.add_class("sw-square")
        super().__init__([self.image, self.caption])
        self.add_class("sw-pictured")

    def show(self, pixels: np.ndarray, caption: str | None = None) -> None:
        """Show uint8 pixels; the caption may hold `<b>`."""
        data = base64.b64encode(png(pixels)).decode()
        self.image.value = f'<img alt="{self.alt}" src="data:image/png;base64,{data}">'
        if caption is not None:
            self.caption.value = caption
