"""The array operations that the engine and the methods share, in torch: their definition on every device."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .cam import REDUCTIONS as REDUCTIONS  # part of every backend
from .cam import cam as cam

_PHILOX_M = (0xD2511F53, 0xCD9E8D57)
_PHILOX_W = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF


def lerp(start: Tensor, end: Tensor, alphas: Tensor) -> Tensor:
    """Points on the straight path: `start + α (end − start)`.

    `start`, `end` `(C, H, W)`, `alphas` `(N,)` in the same dtype; returns `(N, C, H, W)`. Exact at α = 0 and 1.
    """
    a = alphas.view(-1, 1, 1, 1)
    return start * (1 - a) + end * a


def without_regions(image: Tensor, fill: Tensor, labels: Tensor, sets: Tensor) -> Tensor:
    """Masked copies: copy n shows `fill` where region `labels[y, x]` is in its set.

    `image`, `fill` `(C, H, W)`, `labels` int64 `(H, W)`, `sets` bool `(N, R)`; returns `(N, C, H, W)`.
    """
    off = sets[:, labels][:, None]
    return torch.where(off, fill, image)


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian blur with reflected borders, for any σ in pixels on any size.

    `(C, H, W)` to `(C, H, W)`. The kernel is cut at 4σ; the border is reflected about the edge (…ba|abc…|cb…) by
    folding indices, because padding by reflection fails when 4σ exceeds the picture.
    """
    if sigma <= 0:
        return image.clone()
    return _blur_axis(_blur_axis(image, sigma, -1), sigma, -2)


def _blur_axis(image: Tensor, sigma: float, axis: int) -> Tensor:
    length, radius = image.shape[axis], max(1, int(math.ceil(4 * sigma)))
    offsets = torch.arange(-radius, radius + 1, device=image.device)
    weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
    weights = (weights / weights.sum()).to(image.dtype)
    folded = (torch.arange(length, device=image.device)[:, None] + offsets) % (2 * length)
    folded = torch.where(folded < length, folded, 2 * length - 1 - folded)
    matrix = torch.zeros(length, length, dtype=image.dtype, device=image.device)
    matrix.scatter_add_(1, folded, weights.expand(length, -1).contiguous())
    return (image.movedim(axis, -1) @ matrix.T).movedim(-1, axis)


def philox(seed: int, number: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """Philox 4×32-10 words for draw `number` of `seed`: int64 `(count, 4)` of unsigned 32-bit values.

    Element i's counter is (i low, i high, number low, number high), its key the seed's two words, so the words are
    the same on every device and however the draw is cut up (Salmon et al., SC 2011).
    """
    index = torch.arange(count, dtype=torch.int64, device=device)
    counter = [index & _MASK, index >> 32, torch.full_like(index, number & _MASK), torch.full_like(index, number >> 32 & _MASK)]
    key = [seed & _MASK, seed >> 32 & _MASK]
    for _ in range(10):
        high0, low0 = _multiply(counter[0], _PHILOX_M[0])
        high1, low1 = _multiply(counter[2], _PHILOX_M[1])
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0]
        key = [(key[0] + _PHILOX_W[0]) & _MASK, (key[1] + _PHILOX_W[1]) & _MASK]
    return torch.stack(counter, 1)


def _multiply(a: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """32 × 32 → 64-bit product as (high, low) words, by 16-bit halves since int64 would overflow."""
    lo = (a & 0xFFFF) * b
    hi = (a >> 16) * b + (lo >> 16)
    return hi >> 16, (hi & 0xFFFF) << 16 | lo & 0xFFFF


def uniform(seed: int, number: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """`count` uniforms in (0, 1), float64: (word + ½) / 2³² of the Philox words in order."""
    words = philox(seed, number, (count + 3) // 4, device).reshape(-1)[:count]
    return (words.double() + 0.5) / 4294967296.0


def normal(seed: int, number: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32,
           device: torch.device | str = "cpu") -> Tensor:
    """Standard normal draw `number` of `seed` in `shape`, by Box–Muller in float64 from Philox uniforms."""
    count = math.prod(shape)
    u = uniform(seed, number, count + count % 2, device).view(-1, 2)
    radius, angle = torch.sqrt(-2 * torch.log(u[:, 0])), 2 * math.pi * u[:, 1]
    pairs = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), 1)
    return pairs.reshape(-1)[:count].view(shape).to(dtype)


def random_mask(seed: int, number: int, cells: int, share: float, size: tuple[int, int],
                dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Tensor:
    """Mask `number` of `seed` `(H, W)` in 0..1: cells × cells on with chance `share`, enlarged bilinearly and shifted.

    The enlarged grid has one cell more along each side than fits, and a shift within it (Petsiuk et al., 1806.07421, 3.2).
    """
    draw = uniform(seed, number, cells * cells + 2, device)
    on = (draw[2:] < share).to(dtype).view(1, 1, cells, cells)
    cell = [math.ceil(length / cells) for length in size]
    large = F.interpolate(on, [(cells + 1) * c for c in cell], mode="bilinear", align_corners=False)[0, 0]
    top, left = (int(u * c) for u, c in zip(draw[:2].tolist(), cell))
    return large[top:top + size[0], left:left + size[1]]


def weighted_sum(frames: list[Tensor], weights: list[float]) -> Tensor:
    """Σ wᵢ frameᵢ over same-shaped frames, accumulated in at least float32 (float64 stays float64)."""
    wide = torch.promote_types(frames[0].dtype, torch.float32)
    total = torch.zeros_like(frames[0], dtype=wide)
    for frame, weight in zip(frames, weights):
        total.add_(frame.to(wide), alpha=weight)
    return total


def paint_regions(labels: Tensor, scores: Tensor) -> Tensor:
    """Region scores to pixels: `labels` int64 `(H, W)`, `scores` `(R,)`, returns `(H, W)`."""
    return scores[labels]
