"""The photograph behind a model's input, in its own pixels, and where in it the model looks."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor

LONGEST = 2000  # pixels of the longer side; what is larger only takes time
RUNS = 8  # of the same picture: a coin that mirrors it shows itself in all but 1 of 128 cases
SLANT = 0.1  # of a ramp, along the other axis
MARGIN = 2.0  # support of the widest usual filter (bicubic), in pixels of the coarser side

Crop = tuple[float, float, float, float]
NO_CROP = "the preprocessing is no plain resize and crop"


@dataclass(frozen=True, eq=False)
class Photograph:
    """A picture before preprocessing: `pixels` uint8 `(H, W, 3)`.

    `prepare(pixels)` is the model's input `(1, C, h, w)` of any pixels of this size, as the picture's own was made.
    """

    pixels: np.ndarray
    prepare: Callable[[np.ndarray], Tensor]

    @cached_property
    def _found(self) -> tuple[Crop | None, str]:
        return find_crop(self.prepare, self.size)

    @property
    def crop(self) -> Crop | None:
        """What the model sees of it, (top, left, bottom, right) in pixels; None where that cannot be told.

        It may reach beyond the photograph where the preprocessing pads. Measured when it is first asked for.
        """
        return self._found[0]

    @property
    def unknown(self) -> str:
        """Why the crop cannot be told; empty where it is known."""
        return self._found[1]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def removed(self) -> float | None:
        """The share of the photograph that the model does not see; None where the crop is unknown."""
        return None if self.crop is None else removed(self.crop, self.size)

    @property
    def note(self) -> str:
        """What preprocessing does to the photograph, for the status line."""
        height, width = self.size
        said = f"photograph {width} × {height}"
        if self.crop is None:
            return f"{said}, where the model looks in it is unknown: {self.unknown}"
        share = 100 * self.removed
        return f"{said}, crop removes {share:.0f} % of the photograph" if share >= 0.5 else f"{said}, all of it is seen"


def removed(crop: Crop, size: tuple[int, int]) -> float:
    """The share of a picture of `size` (H, W) that lies outside a crop (top, left, bottom, right): 0 to 1."""
    height, width = size
    top, left, bottom, right = crop
    rows = max(0.0, min(bottom, height) - max(top, 0.0))
    columns = max(0.0, min(right, width) - max(left, 0.0))
    return max(0.0, 1 - rows * columns / (height * width))


def photograph(image: Image.Image, prepare: Callable[[Image.Image], Tensor]) -> Photograph:
    """The photograph of an opened image in mode RGB or L, whose input `prepare` makes."""
    grey = image.mode == "L"

    def prepared(pixels: np.ndarray) -> Tensor:
        picture = Image.fromarray(pixels)
        return prepare(picture.convert("L") if grey else picture)

    return Photograph(np.array(image.convert("RGB")), prepared)


def reduced(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The image with its longer side at most 2000 pixels, and a note where that made it smaller."""
    if max(image.size) <= LONGEST:
        return image, ()
    scale = LONGEST / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    note = f"{image.width} × {image.height} pixels, worked on at {size[0]} × {size[1]}"
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0), (note,)


# ---- where the model looks, measured: reading transforms would know only those that we know


def find_crop(prepare: Callable[[np.ndarray], Tensor], size: tuple[int, int]) -> tuple[Crop | None, str]:
    """What a preprocessing shows of pictures of `size` (H, W): (top, left, bottom, right) and "", or None and why not.

    Ramps that tell each pixel its place go through it, with black and white pictures that tell their ends; an affine fit of
    the places that come out says where the corners of the input lie.
    """
    try:
        with _draws_kept():
            dark, light = (prepare(np.full((*size, 3), level, np.uint8))[0].double() for level in (0, 255))
            runs = [prepare(_ramp(size, 1))[0].double() for _ in range(RUNS)]
            down = prepare(_ramp(size, 0))[0].double()
    except ValueError:  # it has no answer to pictures without content
        return None, NO_CROP
    shapes = {tuple(x.shape) for x in (dark, light, down, *runs)}
    if len(shapes) > 1 or any(not torch.equal(runs[0], other) for other in runs[1:]):
        return None, "the preprocessing draws at random"
    contrast = (light - dark).mean(0)
    seen = contrast.abs() > 0.99 * contrast.abs().max()  # padding is as dark in the white picture as in the black one
    if not float(contrast.abs().max()) > 0 or int(seen.sum()) < 4:
        return None, NO_CROP
    u, v = (((ramp - dark).mean(0) / contrast)[seen].numpy() for ramp in (runs[0], down))
    y, x = (size[i] * ((1 - SLANT) * own - SLANT * other) / (1 - 2 * SLANT) for i, (own, other) in enumerate(((v, u), (u, v))))
    rows, columns = (index.numpy() + 0.5 for index in seen.nonzero(as_tuple=True))
    return _fitted(rows, columns, y, x, size, tuple(contrast.shape))


def _fitted(rows: np.ndarray, columns: np.ndarray, y: np.ndarray, x: np.ndarray, size: tuple[int, int],
            shape: tuple[int, int]) -> tuple[Crop | None, str]:
    """The crop from places (y, x) of the photograph that were seen at (rows, columns) of an input of `shape`."""
    design = np.stack((rows, columns, np.ones_like(rows)), 1)
    inner = np.ones(len(rows), bool)
    for _ in range(2):  # at the photograph's own edges a filter sees one side only: the second fit does without them
        places = np.stack((y, x), 1)[inner]
        if np.linalg.matrix_rank(design[inner]) < 3:
            return None, NO_CROP
        fit = np.linalg.lstsq(design[inner], places, rcond=None)[0]
        (down, aside), (slant, across), (top, left) = fit
        guess = design @ fit
        margins = [MARGIN * max(1.0, abs(step)) for step in (down, across)]
        kept = np.all([(m < guess[:, i]) & (guess[:, i] < size[i] - m) for i, m in enumerate(margins)], axis=0)
        missed = np.sqrt(((places - guess[inner]) ** 2).mean(0))
        if kept.sum() < 9 or np.linalg.matrix_rank(design[kept]) < 3:
            break
        inner = kept
    steps = np.abs((down, across))
    # Half a pixel of the input, and what eight bits of a ramp leave open, are no bend; nor is a turn of less than a pixel.
    allowed = 0.75 * steps + 0.5 * np.array(size) / 255
    turned = np.abs((slant, aside)) * (shape[1], shape[0])
    if (steps < 1e-6).any() or (missed > allowed).any() or (turned > np.maximum(steps, 1.0)).any():
        return None, NO_CROP
    if min(down, across) < 0:
        return None, "the preprocessing mirrors the picture"
    edges = [top, left, top + down * shape[0], left + across * shape[1]]
    for i, edge in enumerate(edges):
        for end in (0.0, float(size[i % 2])):
            if abs(edge - end) < 0.1 * max(1.0, steps[i % 2]):
                edges[i] = end
    return tuple(float(edge) for edge in edges), ""


def _ramp(size: tuple[int, int], axis: int) -> np.ndarray:
    """A grey picture uint8 `(H, W, 3)` that grows along an axis, and a little along the other.

    So that what rounding to eight bits does to one row is not what it does to all of them.
    """
    down, across = ((np.arange(extent) + 0.5) * 255 / extent for extent in size)
    shares = (1 - SLANT, SLANT) if axis == 0 else (SLANT, 1 - SLANT)
    values = np.rint(shares[0] * down[:, None] + shares[1] * across).astype(np.uint8)
    return np.ascontiguousarray(values[..., None].repeat(3, 2))


@contextmanager
def _draws_kept() -> Iterator[None]:
    """What is tried out here draws from nobody's random numbers."""
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
