"""From the user's picture to the model's input, and back to the pixels that are shown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .clone import unwrap
from .outputs import describe, input_channels
from .photograph import Photograph, photograph, reduced
from .pictures import open_picture
from .pipelines import IMAGENET_MEAN, IMAGENET_STD, Pipeline, Statistics, find_pipeline


@dataclass(frozen=True)
class PixelSpace:
    """How the model's input follows from pixels in 0..1: (pixel − mean) / std by channel; None: identity."""

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def to_input(self, pixels: Tensor) -> Tensor:
        """Pixels `(…, C, H, W)` in 0..1 as the model's input; dtype and device are kept."""
        if self.mean is None:
            return pixels
        mean, std = self._constants(pixels)
        return (pixels - mean) / std

    def to_pixels(self, x: Tensor) -> Tensor:
        """The model's input `(…, C, H, W)` as pixels, not clipped to 0..1; dtype and device are kept."""
        if self.mean is None:
            return x
        mean, std = self._constants(x)
        return x * std + mean

    def _constants(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return tuple(
            torch.tensor(v, dtype=like.dtype, device=like.device).view(-1, 1, 1)
            for v in (self.mean, self.std)
        )


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as the model receives it, and as it is shown.

    `x` `(1, C, H, W)` on the CPU in the model's dtype; `seen` uint8 `(H, W, 3)`, what the model saw with
    normalisation undone; `description` says how it was prepared, `assumed` that this was a guess; `content`
    names it in store keys; `photo` is the photograph before all that, where the session works on it.
    """

    x: Tensor
    seen: np.ndarray
    space: PixelSpace
    description: str
    assumed: bool
    notes: tuple[str, ...]
    content: str
    photo: Photograph | None = None

    @property
    def shown(self) -> np.ndarray:
        """What the stage shows and regions cut, uint8 `(H, W, 3)`: the photograph, or else what the model saw."""
        return self.seen if self.photo is None else self.photo.pixels


def load_picture(
    img: Any,
    model: Any = None,
    *,
    preprocess: Any = "auto",
    mean: Any = None,
    std: Any = None,
    background: Any = "white",
    dtype: torch.dtype = torch.float32,
    photo: bool = False,
) -> Picture:
    """Prepare a picture for a model.

    `img` is a PIL image, a path, the bytes of a file, a uint8 array `(H, W, 3)`, or the model's input
    tensor `(C, H, W)` or `(1, C, H, W)`, which is used as it is. `preprocess="auto"` takes
    `model.preprocess`, timm's `pretrained_cfg`, else ImageNet's and says so; None only scales to 0..1;
    or any callable from a PIL image to a tensor, such as `weights.transforms()`. `mean` and `std` (for
    pixels in 0..1) replace what its inverse for display would be. `photo` keeps the photograph, too.
    FileNotFoundError, ValueError or TypeError say what is wrong and what to do.
    """
    model = unwrap(model)
    given = _given(mean, std)
    pipeline = find_pipeline(model, preprocess)
    if isinstance(img, Tensor):
        if photo:
            raise ValueError(
                'space="photo" works on the photograph before preprocessing, and a tensor is what comes after: '
                'give the picture itself (a path, a PIL image or a uint8 array), or use space="input"'
            )
        return _from_tensor(img, pipeline, preprocess == "auto", given, dtype)
    image, notes = open_picture(img, background, grey=input_channels(model) == 1)
    if not photo:
        return _from_image(image, pipeline, given, notes, dtype)
    image, more = reduced(image)
    picture = _from_image(image, pipeline, given, (*notes, *more), dtype)

    def prepare(other: Image.Image) -> Tensor:
        return _stored(_input(other, pipeline, picture.space), dtype)

    kept = photograph(image, prepare)
    content = hashlib.sha256(f"{picture.content} {kept.size}".encode() + kept.pixels.tobytes()).hexdigest()[:32]
    return replace(picture, photo=kept, content=content)


def _from_image(
    image: Image.Image, pipeline: Pipeline, given: Statistics | None, notes: Sequence[str], dtype: torch.dtype
) -> Picture:
    if pipeline.apply is None:
        space = _space(given or pipeline.statistics, len(image.getbands()))
        x = _input(image, pipeline, space)
        return _picture(x, space, pipeline.described(given, x), pipeline.assumed, notes, dtype)
    x = _input(image, pipeline, None)
    if given or pipeline.statistics is not None:
        space = _space(given or pipeline.statistics, x.shape[1])
        return _picture(x, space, pipeline.described(given, x), False, notes, dtype)
    space, assumed, more = _guessed(x)
    return _picture(x, space, pipeline.described(None, x), assumed, (*notes, *more), dtype)


def _input(image: Image.Image, pipeline: Pipeline, space: PixelSpace | None) -> Tensor:
    """The model's input `(1, C, H, W)` of an opened image; our own resize and crop is normalised into `space`."""
    if pipeline.apply is None:
        image = pipeline.crop(image)
        pixels = torch.from_numpy(np.array(image)).view(image.height, image.width, len(image.getbands()))
        return space.to_input(pixels.permute(2, 0, 1)[None].to(torch.float64) / 255)
    x = pipeline.run(image)
    _check(x, f"preprocess={pipeline.name} gave")
    return x if x.dim() == 4 else x[None]


def _from_tensor(
    x: Tensor, pipeline: Pipeline, auto: bool, given: Statistics | None, dtype: torch.dtype
) -> Picture:
    _check(
        x,
        "the picture is",
        "; pixels as integers are wanted as a uint8 numpy array (H, W, 3), a model's input as x.float()",
    )
    x = x if x.dim() == 4 else x[None]
    channels, known = x.shape[1], None if pipeline.assumed or (auto and _within(x)) else pipeline.statistics
    if given is None and known is not None and len(known[0]) not in (1, channels):
        known = None  # a configuration for pictures says nothing of so many channels
    if given or known:
        return _picture(x, _space(given or known, channels), "tensor as given", False, (), dtype)
    space, assumed, notes = _guessed(x)
    said = (
        "tensor as given, ImageNet mean/std for display"
        if assumed
        else "tensor as given" + ", pixels 0..1" * _within(x)
    )
    return _picture(x, space, said, assumed, notes, dtype)


def _guessed(x: Tensor) -> tuple[PixelSpace, bool, tuple[str, ...]]:
    """The pixel space of an input of which nothing is known."""
    channels = x.shape[1]
    if _within(x):
        return PixelSpace(), False, ()
    if channels not in (1, 3):
        note = f"{channels} channels without mean and std: the input's own numbers count as pixels"
        return PixelSpace(), False, (note,)
    return _space((IMAGENET_MEAN, IMAGENET_STD), channels), True, ()


def _within(x: Tensor) -> bool:
    low, high = x.aminmax()
    return bool(low >= 0 and high <= 1)


def _given(mean: Any, std: Any) -> Statistics | None:
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise ValueError("mean= and std= belong together: give both, per channel, for pixels in 0..1")
    try:
        pair = tuple(
            tuple(float(v) for v in np.atleast_1d(np.asarray(values, dtype=float)).ravel())
            for values in (mean, std)
        )
    except (TypeError, ValueError) as error:
        raise TypeError(f"mean={mean!r}, std={std!r}: a number or one number a channel is wanted") from error
    if not np.isfinite(pair[0] + pair[1]).all() or min(pair[1]) <= 0:
        raise ValueError(f"mean={mean!r}, std={std!r}: finite numbers are wanted, and std above 0")
    if max(map(abs, pair[0])) > 2:
        raise ValueError(
            f"mean={mean!r}: statistics of pixels in 0..1 are wanted; "
            f"divide those for 0..255 by 255, mean and std"
        )
    return pair


def _space(statistics: Statistics | None, channels: int) -> PixelSpace:
    """Statistics for so many channels; RGB ones are averaged for a grey input."""
    if statistics is None:
        return PixelSpace()
    mean, std = (tuple(map(float, v)) for v in statistics)
    if len(mean) == len(std) == 3 and channels == 1:
        return PixelSpace((sum(mean) / 3,), (sum(std) / 3,))
    mean, std = (v * channels if len(v) == 1 else v for v in (mean, std))
    if not len(mean) == len(std) == channels:
        raise ValueError(
            f"mean has {len(mean)} and std {len(std)} numbers, the model's input has {channels} channels: "
            f"give one number a channel"
        )
    return PixelSpace(mean, std)


def _check(x: Any, said: str, integers: str = "") -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{said} {describe(x)}, a tensor (C, H, W) is wanted")
    if not x.is_floating_point():
        raise ValueError(f"{said} {describe(x)}, a floating-point tensor (C, H, W) is wanted{integers}")
    if x.dim() == 4 and len(x) != 1:
        raise ValueError(
            f"{said} a batch of {len(x)} (shape {tuple(x.shape)}), one picture is wanted: give x[0]"
        )
    if x.dim() not in (3, 4):
        hint = ": use x[None] for one channel" if x.dim() == 2 else ""
        raise ValueError(
            f"{said} a tensor of shape {tuple(x.shape)}, (C, H, W) or (1, C, H, W) is wanted{hint}"
        )
    if x.numel() == 0:
        raise ValueError(f"{said} an empty tensor of shape {tuple(x.shape)}, (C, H, W) is wanted")
    wrong = int((~torch.isfinite(x)).sum())
    if wrong:
        raise ValueError(
            f"{said} a tensor with {wrong} of {x.numel()} values NaN or infinite: clean it first, for "
            f"example with torch.nan_to_num, and look for a division by zero in its preprocessing"
        )


def _picture(
    x: Tensor, space: PixelSpace, description: str, assumed: bool, notes: Sequence[str], dtype: torch.dtype
) -> Picture:
    x = _stored(x, dtype)
    seen, more = _seen(x, space)
    data = x.view(torch.uint8).numpy().tobytes()
    content = hashlib.sha256(f"{tuple(x.shape)} {x.dtype} {space}".encode() + data).hexdigest()[:32]
    return Picture(x, seen, space, description, assumed, (*notes, *more), content)


def _stored(x: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of our own on the CPU, whatever mode the caller is in."""
    with torch.inference_mode(False), torch.no_grad():
        return x.detach().to(device="cpu", dtype=dtype, copy=True, memory_format=torch.contiguous_format)


def _seen(x: Tensor, space: PixelSpace) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pixels uint8 `(H, W, 3)` behind an input, and a note where they are no picture."""
    pixels, notes = space.to_pixels(x[0].to(torch.float64)), ()
    channels = len(pixels)
    if channels not in (1, 3):
        low, high = pixels.amin((1, 2), keepdim=True), pixels.amax((1, 2), keepdim=True)
        pixels = ((pixels - low) / (high - low).clamp_min(1e-12)).mean(0, keepdim=True)
        notes = (f"{channels} channels shown as their grey mean, each scaled to 0..1",)
    if float(pixels.min()) < -0.1 or float(pixels.max()) > 1.1:
        notes = (
            *notes,
            f"pixels reach {float(pixels.min()):.2g}..{float(pixels.max()):.2g} and are shown clipped "
            f"to 0..1: mean= and std= say how the input was normalised",
        )
    shown = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    return np.ascontiguousarray(shown.expand(-1, -1, 3).numpy()), notes
