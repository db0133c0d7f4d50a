"""The photograph with parts of it filled in its own pixels, prepared for the model afterwards."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..inpainting import inpainted
from ..model.photograph import Photograph
from .probe import Fill

GROWN = "inpaint"  # a fill of regions alone: what surrounds them, grown into them
FILL_BLUR = 10.0  # σ in pixels at which a picture counts as blurred out (METHODS: fill blur)


class Cutout:
    """Fills of one photograph as pixels uint8 `(H, W, 3)`, each made once, and the pictures that they make of it."""

    def __init__(self, photo: Photograph, kernels: Any, channels: int):
        self.photo, self.kernels = photo, kernels
        self._channels = 1 if channels == 1 else 3
        self._given: dict[str, np.ndarray] = {}
        self._made: dict[Fill, np.ndarray] = {}

    def give(self, name: str, pixels: np.ndarray) -> Tensor:
        """Register pixels uint8 `(H, W, 3)` as the fill of this name; returns them as the model's input `(C, h, w)`."""
        self._given[name] = pixels
        return self.photo.prepare(pixels)[0]

    def pixels(self, picture: Image.Image | np.ndarray) -> np.ndarray:
        """A given picture as uint8 `(H, W, 3)` of the photograph's size; ValueError for an array of another size."""
        height, width = self.photo.size
        if isinstance(picture, Image.Image):
            return np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))
        if picture.shape[:2] != (height, width):
            raise ValueError(f"a baseline or fill picture must have the photograph's size {(height, width)}, "
                             f"got {picture.shape[:2]}: resize it first")
        array = np.atleast_3d(picture)
        if array.shape[2] != 3:
            array = np.rint(array.mean(2, keepdims=True)).astype(np.uint8).repeat(3, 2)
        return array

    def fill(self, fill: Fill) -> np.ndarray:
        """The whole photograph of a fill, uint8 `(H, W, 3)`; ValueError for one that is no picture of its size."""
        if fill.kind == GROWN:
            raise ValueError("inpainting fills regions of a picture and is no picture of its own: use another fill here")
        if fill.kind == "given" and fill.content not in self._given:
            raise ValueError("this fill is a tensor of the model's input, and regions of the photograph are filled before "
                             "preprocessing: give a picture (PIL, or a uint8 array of the photograph's size), a word or a number")
        if fill.kind == "given":
            return self._given[fill.content]
        if fill not in self._made:
            self._made[fill] = self._fill(fill)
        return self._made[fill]

    def _fill(self, fill: Fill) -> np.ndarray:
        pixels = self.photo.pixels
        if fill.kind in ("black", "white", "value"):
            level = {"black": 0.0, "white": 1.0}.get(fill.kind, fill.value)
            return np.full_like(pixels, np.rint(255 * level))
        if fill.kind == "mean":
            return np.broadcast_to(np.rint(pixels.mean((0, 1))).astype(np.uint8), pixels.shape)
        if fill.kind == "blur":
            sharp = torch.from_numpy(pixels.astype(np.float64)).movedim(2, 0)
            made = self.kernels.gaussian_blur(sharp, FILL_BLUR if fill.value is None else fill.value)
        else:
            shape = (self._channels, *self.photo.size)
            made = 255 * self.kernels.uniform(fill.seed, 0, shape[0] * shape[1] * shape[2]).view(shape).expand(3, -1, -1)
        return np.ascontiguousarray(made.clamp(0, 255).round().to(torch.uint8).movedim(0, 2).numpy())

    def without(self, off: np.ndarray, fill: Fill) -> np.ndarray:
        """The photograph with the pixels bool `(H, W)` that are off replaced: uint8 `(H, W, 3)`."""
        pixels = self.photo.pixels
        if fill.kind == GROWN:
            return np.rint(255 * inpainted(pixels / 255.0, off)).astype(np.uint8)
        result, filled = pixels.copy(), self.fill(fill)
        y, x = np.flatnonzero(off.any(1)), np.flatnonzero(off.any(0))
        if len(y):
            box = np.s_[y[0]:y[-1] + 1, x[0]:x[-1] + 1]  # most of a large photograph stays
            np.copyto(result[box], filled[box], where=off[box][..., None])
        return result

    def prepared(self, pictures: Iterable[np.ndarray], like: Tensor) -> Tensor:
        """Pictures of the photograph's size as inputs `(N, C, h, w)`, with dtype and device of `like`."""
        return torch.cat([self.photo.prepare(pixels) for pixels in pictures]).to(like)
