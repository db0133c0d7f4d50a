"""The mask of Meaningful Perturbation: how it is enlarged, what it does to the picture, what it costs, where it starts."""
from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 10  # steps between no blur and the full one; between two of them the picture is linear in the blur's variance


class Enlarging:
    """Mask cells `(h, w)` to pixels `(H, W)`: bilinear (align_corners=False), then blurred by σ pixels.

    Both are linear and separable, so each axis is one small matrix and the way back is its transpose.
    """

    def __init__(self, cells: tuple[int, int], size: tuple[int, int], sigma: float, like: Tensor, kernels: Any):
        self.rows, self.columns = (self._axis(c, s, sigma, like, kernels) for c, s in zip(cells, size))

    @staticmethod
    def _axis(cells: int, length: int, sigma: float, like: Tensor, kernels: Any) -> Tensor:
        each = torch.eye(cells, dtype=like.dtype, device=like.device)[:, None, :, None]
        large = F.interpolate(each, (length, 1), mode="bilinear", align_corners=False)[:, 0]
        return kernels.gaussian_blur(large, sigma)[:, :, 0].T

    def __call__(self, mask: Tensor) -> Tensor:
        return self.rows @ mask @ self.columns.T


class Crossfade:
    """Φ(x; m) = m·x + (1 − m)·fill, with picture and fill shifted under the mask by up to `reach` whole pixels.

    Beyond the edge the edge is repeated: both are kept with such a border, so that a shift is a window into them.
    """

    def __init__(self, picture: Tensor, fill: Tensor, reach: int = 0):
        self._reach = reach
        self._both = [F.pad(t[None], 4 * (reach,), mode="replicate")[0] if reach else t for t in (picture, fill)]

    def __call__(self, mask: Tensor, shift: tuple[int, int] = (0, 0)) -> Tensor:
        top, left = (self._reach - s for s in shift)
        rows, columns = slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])
        picture, fill = (t[:, rows, columns] for t in self._both)
        return mask * picture + (1 - mask) * fill


class VaryingBlur:
    """Φ(x; m)(u) = the picture blurred by σ(u) = σ₀(1 − m(u)) at u (1704.03296, section 4.1).

    Read off a stack of `LEVELS` + 1 blurred pictures, linear in σ² between two of them: blurring is diffusion, whose
    first-order change is linear in the variance. The blur is made in pixel space.
    """

    def __init__(self, picture: Tensor, sigma: float, space: Any, kernels: Any):
        pixels = space.to_pixels(picture)
        steps = [sigma * k / LEVELS for k in range(LEVELS + 1)]
        stack = torch.stack([picture, *(space.to_input(kernels.gaussian_blur(pixels, s)) for s in steps[1:])], 1)
        self._flat = stack.flatten(1)

    def __call__(self, mask: Tensor, shift: tuple[int, int] = (0, 0)) -> Tensor:
        level = LEVELS * (1 - mask)  # σ in steps of the stack
        below = level.detach().floor().clamp(0, LEVELS - 1)
        share = (level ** 2 - below ** 2) / (2 * below + 1)
        place = places(mask.shape, shift, mask.device) + below.long() * mask.numel()
        return (1 - share) * self._flat[:, place] + share * self._flat[:, place + mask.numel()]


def places(size: tuple[int, int], shift: tuple[int, int], device: torch.device) -> Tensor:
    """Where each pixel `(H, W)` of a shifted picture is read, as flat indices; beyond the edge the edge is repeated."""
    rows, columns = ((torch.arange(n, device=device) - s).clamp(0, n - 1) for n, s in zip(size, shift))
    return rows[:, None] * size[1] + columns


def penalty(mask: Tensor, game: str, l1: float, tv: float, beta: float) -> Tensor:
    """λ1·Σ|1 − m| (deletion) or λ1·Σ|m| (preservation) + λ2·Σ(|∂ᵧm|^β + |∂ₓm|^β) over the mask's cells (sections 4.2, 4.3)."""
    amount = (1 - mask if game == "deletion" else mask).abs().sum()
    roughness = mask.diff(dim=0).abs().pow(beta).sum() + mask.diff(dim=1).abs().pow(beta).sum()
    return l1 * amount + tv * roughness


def disc(cells: tuple[int, int], size: tuple[int, int], share: float, like: Tensor) -> Tensor:
    """A centred disc as a mask `(h, w)` of ones on zeros; its radius is `share` of half the picture's diagonal, in pixels."""
    (h, w), (height, width) = cells, size
    y = (torch.arange(h, device=like.device) + 0.5) * (height / h) - height / 2
    x = (torch.arange(w, device=like.device) + 0.5) * (width / w) - width / 2
    return (y[:, None] ** 2 + x ** 2 <= (share * math.hypot(height, width) / 2) ** 2).to(like.dtype)
