"""Which preprocessing a model wants: its own, timm's, a callable's, or ImageNet's as an assumption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}


@dataclass(frozen=True)
class Pipeline:
    """A way from a PIL image to the model's input: a callable (`apply`), or our own resize and crop.

    `resize` is the length of the shorter side, or (height, width) to cover, exactly with `squash`; None
    leaves the size.
    """

    name: str
    apply: Callable[[Image.Image], Any] | None = None
    statistics: Statistics | None = None
    resize: int | tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    squash: bool = False
    filter: Image.Resampling = Image.Resampling.BILINEAR
    assumed: bool = False
    description: str | None = None

    def run(self, image: Image.Image) -> Tensor:
        """The callable's input tensor; ValueError, chained, where it fails."""
        try:
            x = self.apply(image)
        except Exception as error:
            raise ValueError(
                f"preprocess={self.name} failed on a PIL image ({image.mode}, {image.width} × "
                f"{image.height}): {type(error).__name__}: {error}; "
                f"a callable from a PIL image to a tensor (C, H, W) is wanted"
            ) from error
        if isinstance(x, Mapping) and "pixel_values" in x:  # image processors of transformers
            x = x["pixel_values"]
            x = x[0] if isinstance(x, (list, tuple)) else x
        return torch.from_numpy(np.array(x)) if isinstance(x, np.ndarray) else x

    def crop(self, image: Image.Image) -> Image.Image:
        """Resize and crop the middle, pixel for pixel as torchvision does."""
        if self.resize is None or self.size is None:
            return image
        if isinstance(self.resize, tuple):
            height, width = self.resize
            if not self.squash:  # timm's ResizeKeepRatio: as small as covers both
                scale = min(image.height / height, image.width / width)
                height, width = round(image.height / scale), round(image.width / scale)
        else:
            image = _less_narrow(image)
            short, long = sorted(image.size)
            other = int(self.resize * long / short)
            width, height = (self.resize, other) if image.width <= image.height else (other, self.resize)
        if image.size != (width, height):
            image = image.resize((width, height), self.filter)
        rows, columns = self.size
        top, left = int(round((height - rows) / 2.0)), int(round((width - columns) / 2.0))
        return image.crop((left, top, left + columns, top + rows))

    def described(self, given: Statistics | None, x: Tensor) -> str:
        """The line about preprocessing for the status line."""
        if self.description is not None and given is None:
            return self.description
        if self.resize is None and not hasattr(self.apply, "crop_size"):
            where = "size as it is" if self.apply is None else f"{self.name} to {_size(x.shape[-2:])}"
        else:
            where = f"crop {_size(x.shape[-2:])}"
        statistics = given or self.statistics
        return (
            f"{where}, {_called(statistics)}"
            if statistics
            else where
            if self.apply
            else f"{where}, pixels 0..1"
        )


def _size(shape: Iterable[int]) -> str:
    rows, columns = shape
    return str(rows) if rows == columns else f"{rows} × {columns}"


def _called(statistics: Statistics) -> str:
    mean, std = (np.asarray(v) for v in statistics)
    if mean.shape == (3,) and np.allclose(mean, IMAGENET_MEAN) and np.allclose(std, IMAGENET_STD):
        return "ImageNet mean/std"
    return "mean " + "/".join(f"{v:.3g}" for v in mean) + ", std " + "/".join(f"{v:.3g}" for v in std)


def _less_narrow(image: Image.Image) -> Image.Image:
    """The middle of a strip: resizing all of a 1 × 10,000 picture would take gigabytes."""
    short, long = sorted(image.size)
    if long <= 20 * short:
        return image
    start = (long - 4 * short) // 2
    box = (
        (start, 0, start + 4 * short, short)
        if image.width > image.height
        else (0, start, short, start + 4 * short)
    )
    return image.crop(box)


def find_pipeline(model: Any, preprocess: Any) -> Pipeline:
    """The pipeline that `preprocess` means for a model.

    ValueError or TypeError for anything but "auto", None or a callable, and where the model's own
    configuration is not usable.
    """
    if preprocess is None:
        return Pipeline("None")
    if isinstance(preprocess, str):
        if preprocess != "auto":
            raise ValueError(
                f'preprocess={preprocess!r}: "auto", None or a callable from a PIL image to a tensor '
                f"is wanted"
            )
        return _automatic(model)
    if not callable(preprocess) and callable(getattr(preprocess, "transforms", None)):
        preprocess = preprocess.transforms()  # torchvision's weights themselves, not weights.transforms()
    if not callable(preprocess):
        raise TypeError(
            f'preprocess must be "auto", None or a callable from a PIL image to a tensor, '
            f"got {type(preprocess).__name__}"
        )
    return _from_callable(preprocess)


def _automatic(model: Any) -> Pipeline:
    own = getattr(model, "preprocess", None)
    if callable(own):
        return _from_callable(own, "model.preprocess")
    for name in ("pretrained_cfg", "default_cfg"):
        config = getattr(model, name, None)
        if config:
            return _from_timm(config)
    return Pipeline(
        "auto", statistics=(IMAGENET_MEAN, IMAGENET_STD), resize=256, size=(224, 224), assumed=True
    )


def _from_callable(apply: Callable, name: str | None = None) -> Pipeline:
    description = getattr(apply, "description", None)
    name = name or getattr(apply, "__name__", type(apply).__name__)
    return Pipeline(
        name, apply, statistics_of(apply), description=description if isinstance(description, str) else None
    )


def _from_timm(config: Any) -> Pipeline:
    """The evaluation transform that timm makes of a `pretrained_cfg`, a dictionary or an object."""

    def read(key: str, default: Any) -> Any:
        value = config.get(key) if isinstance(config, Mapping) else getattr(config, key, None)
        return default if value is None else value

    rows, columns = (int(v) for v in read("input_size", (3, 224, 224))[-2:])
    mean, std = (
        tuple(float(v) for v in read(key, default))
        for key, default in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD))
    )
    share, mode, filter_name = (
        float(read("crop_pct", 0.875)),
        read("crop_mode", "center"),
        read("interpolation", "bicubic"),
    )
    if filter_name == "random":
        filter_name = "bilinear"
    if filter_name not in _FILTERS:
        raise ValueError(
            f"the model's pretrained_cfg asks for interpolation {filter_name!r}; "
            f"known are {', '.join(_FILTERS)}: give preprocess= yourself"
        )
    scaled = int(rows / share), int(columns / share)
    if mode not in ("center", "squash"):
        raise ValueError(
            f"the model's pretrained_cfg asks for crop_mode {mode!r}; known are center and squash: "
            f"give preprocess= yourself"
        )
    squash = mode == "squash"
    resize = scaled[0] if rows == columns and not squash else scaled
    return Pipeline(
        "pretrained_cfg",
        statistics=(mean, std),
        resize=resize,
        size=(rows, columns),
        squash=squash,
        filter=_FILTERS[filter_name],
    )


def statistics_of(transform: Any) -> Statistics | None:
    """Mean and deviation for pixels in 0..1 of a transform's last normalisation step, if there is one."""
    for mean, std in (("mean", "std"), ("image_mean", "image_std")):
        found = _numbers(getattr(transform, mean, None)), _numbers(getattr(transform, std, None))
        if found[0] and found[1]:
            # Statistics above 1 are those of pixels in 0..255 (Caffe's means, or ToDtype without scale).
            unit = 255.0 if max(map(abs, found[0])) > 2 else 1.0
            return tuple(tuple(v / unit for v in values) for values in found)
    steps = (
        list(transform)
        if isinstance(transform, (nn.Sequential, list, tuple))
        else getattr(transform, "transforms", None)
    )
    if isinstance(steps, (list, tuple, nn.ModuleList)):
        for step in reversed(list(steps)):
            found = statistics_of(step)
            if found is not None:
                return found
    return None


def _numbers(values: Any) -> tuple[float, ...] | None:
    """Statistics as numbers; None for a method named `mean`, as arrays and tensors have, or anything else."""
    if values is None or callable(values):
        return None
    try:
        numbers = tuple(float(v) for v in np.atleast_1d(np.asarray(values, dtype=float)).ravel())
    except (TypeError, ValueError):
        return None
    return numbers if numbers and np.isfinite(numbers).all() else None
