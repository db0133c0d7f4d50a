"""Pictures that are turned, moved, blurred or brightened by an amount, and maps brought back from there."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..engine.inputs import digest
from ..kernels.reference import gaussian_blur
from ..model.pictures import to_uint8
from ..model.preprocessing import Picture

WHOLE = 0.999  # how much of a pixel must come from inside the picture for it to count


@dataclass(frozen=True)
class Change:
    """A kind of change: its words, the unit of its amounts, the same behind a number, usual ones, and whether they go both ways.

    `moves` says that pixels change their place.
    """

    name: str
    done: str
    unit: str
    behind: str
    amounts: tuple[float, ...]
    both: bool
    moves: bool


CHANGES = {c.name: c for c in (
    Change("rotate", "turned", "°", "°", (2, 5, 10, 15, 20, 30, 45), True, True),
    Change("shift", "moved", "px", " px", (1, 2, 4, 8, 16, 24, 32), True, True),
    Change("blur", "blurred", "px (σ)", " px (σ)", (0.5, 1, 1.5, 2, 3, 4, 6), False, False),
    Change("brighten", "brightened", "pixel value", " in pixel value", (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5), True, False))}


def find_change(name: str) -> Change:
    """The change of that name; ValueError with those that there are."""
    if name not in CHANGES:
        raise ValueError(f"change={name!r} does not fit: choose one of {', '.join(map(repr, CHANGES))}")
    return CHANGES[name]


def amounts_of(change: Change, given: Sequence[float] | None) -> list[float]:
    """The amounts to try, by size, with 0 first; ValueError for none, or one that the change cannot have."""
    amounts = [float(a) for a in (change.amounts if given is None else given)]
    if not amounts or not np.isfinite(amounts).all():
        raise ValueError(f"amounts={given!r} does not fit: finite numbers in {change.unit}, at least one")
    if not change.both and min(amounts) < 0:
        raise ValueError(f"amounts={given!r} does not fit: a picture is {change.done} by 0{change.behind} or more")
    return [0.0, *sorted((a for a in dict.fromkeys(amounts) if a), key=abs)]


def changed_picture(session: Any, change: Change, amount: float) -> Picture:
    """The session's picture changed by an amount: the photograph where the session works on it, else what the model saw.

    Turned counter-clockwise and moved to the right, with what is beyond the edge mirrored; blurred with σ; brightened by adding
    to pixels in 0..1, clipped there. 0 is the picture itself.
    """
    picture = session.picture
    if not amount:
        return picture
    if picture.photo is not None:
        from PIL import Image

        pixels = torch.from_numpy(picture.photo.pixels.copy()).permute(2, 0, 1).double() / 255
        return session.load(Image.fromarray(to_uint8(changed(pixels, change, amount))))
    pixels = changed(picture.space.to_pixels(picture.x[0].double()), change, amount)
    x = picture.space.to_input(pixels)[None].to(picture.x.dtype)
    seen = to_uint8(pixels) if len(pixels) in (1, 3) else picture.seen
    return replace(picture, x=x, seen=seen, content=f"{picture.content} {digest(x)}")


def changed(pixels: torch.Tensor, change: Change, amount: float) -> torch.Tensor:
    """Pixels float64 `(C, H, W)` in 0..1 changed by an amount."""
    if change.name == "blur":
        return gaussian_blur(pixels, amount)
    if change.name == "brighten":
        return (pixels + amount).clamp(0, 1)
    moved = _moved(pixels.permute(1, 2, 0).numpy(), change, amount, "symmetric")
    return torch.from_numpy(np.ascontiguousarray(moved)).permute(2, 0, 1)


def brought_back(heat: np.ndarray, change: Change, amount: float) -> tuple[np.ndarray, np.ndarray]:
    """A map `(H, W)` of a changed picture where the picture was before, and where both lie inside it: bool `(H, W)`."""
    if not change.moves or not amount:
        return heat, np.ones(heat.shape, bool)
    inside = _moved(_moved(np.ones(heat.shape), change, amount, "constant"), change, -amount, "constant")
    return _moved(heat, change, -amount, "constant"), inside > WHOLE


def _moved(array: np.ndarray, change: Change, amount: float, beyond: str) -> np.ndarray:
    from skimage.transform import AffineTransform, rotate, warp

    if change.name == "rotate":
        return rotate(array, amount, order=1, mode=beyond, preserve_range=True)
    return warp(array, AffineTransform(translation=(-amount, 0)), order=1, mode=beyond, preserve_range=True)
