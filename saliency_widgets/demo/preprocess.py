"""From a picture to a demo network's input, with Pillow and torch only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

SIZE = 224
RESIZED = 256


@dataclass(frozen=True)
class CropAndNormalise:
    """Callable PIL image → float32 (3, 224, 224); TypeError for anything else.

    A 224 × 224 picture is taken as it is, others are resized so that the shorter side is 256 (bicubic) and
    cropped in the middle; then (pixel − mean) / std with pixels in 0..1. Transparency is flattened on white.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    description: str

    def __call__(self, image: Image.Image) -> torch.Tensor:
        if not isinstance(image, Image.Image):
            raise TypeError(
                f"preprocess takes a PIL image, got {type(image).__name__}; try PIL.Image.fromarray(array)"
            )
        pixels = np.array(_crop(_opaque(image)), dtype=np.float32) / 255
        x = torch.from_numpy(pixels).permute(2, 0, 1)
        mean, std = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in (self.mean, self.std))
        return ((x - mean) / std).contiguous()


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _crop(image: Image.Image) -> Image.Image:
    if image.size == (SIZE, SIZE):
        return image
    width, height = image.size
    scale = RESIZED / min(width, height)
    # The longer side is cut, not rounded, and the crop's corner rounded, as by torchvision's transforms.
    width, height = (RESIZED if side == min(image.size) else int(side * scale) for side in (width, height))
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - SIZE) / 2), round((height - SIZE) / 2)
    return image.crop((left, top, left + SIZE, top + SIZE))
