"""The array operations that the engine and the methods share, in torch: their definition on every device."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .cam import REDUCTIONS as REDUCTIONS  # part of every backend
from .cam import cam as cam

_PHILOX_M = (0xD2511F53, 0xCD9E8D57)
_PHILOX_W = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF


def _laid(batch: Tensor, channels_last: bool) -> Tensor:
    return batch.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def lerp(start: Tensor, end: Tensor, alphas: Tensor, channels_last: bool = False) -> Tensor:
    """Points on the straight path: `start + α (end − start)`.

    `start`, `end` `(C, H, W)`, `alphas` `(N,)` in the same dtype; returns `(N, C, H, W)`. Exact at α = 0 and 1.
    """
    a = alphas.view(-1, 1, 1, 1)
    return _laid(start * (1 - a) + end * a, channels_last)


def without_regions(image: Tensor, fill: Tensor, labels: Tensor, sets: Tensor, channels_last: bool = False) -> Tensor:
    """Masked copies: copy n shows `fill` where region `labels[y, x]` is in its set.

    `image`, `fill` `(C, H, W)`, `labels` int64 `(H, W)` of 0..R−1, `sets` bool `(N, R)`; returns `(N, C, H, W)`.
    """
    off = sets[:, labels][:, None]
    return _laid(torch.where(off, fill, image), channels_last)


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian blur with reflected borders, for any σ in pixels on any size.

    `(C, H, W)` to `(C, H, W)`. The kernel is cut at 4σ; the border is reflected about the edge (…ba|abc…|cb…) by
    folding indices, because padding by reflection fails when 4σ exceeds the picture.
    """
    if sigma <= 0:
        return image.clone()
    wide = image.to(torch.promote_types(image.dtype, torch.float32))
    return _blur_axis(_blur_axis(wide, sigma, -1), sigma, -2).to(image.dtype)


def gaussian_blurs(image: Tensor, sigmas: Sequence[float], channels_last: bool = False) -> Tensor:
    """`gaussian_blur` for each σ: `(C, H, W)` to `(N, C, H, W)`."""
    return _laid(torch.stack([gaussian_blur(image, sigma) for sigma in sigmas]), channels_last)


def gaussian_weights(sigma: float) -> Tensor:
    """The kernel of `gaussian_blur` along an axis, float64 `(2r + 1,)` with r = ⌈4σ⌉, at least 1; its sum is 1."""
    radius = max(1, int(math.ceil(4 * sigma)))
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2)
    return weights / weights.sum()


def _blur_axis(image: Tensor, sigma: float, axis: int) -> Tensor:
    length, weights = image.shape[axis], gaussian_weights(sigma).to(image.dtype).to(image.device)
    offsets = torch.arange(len(weights), device=image.device) - len(weights) // 2
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
    """`count` uniforms in (0, 1), float64: (word + ½) / 2³² of the Philox words in order.

    On "mps", which has no float64, the same numbers rounded to float32.
    """
    if _single(device):
        return uniform(seed, number, count).float().to(device)
    words = philox(seed, number, (count + 3) // 4, device).reshape(-1)[:count]
    return (words.double() + 0.5) / 4294967296.0


def _single(device: torch.device | str) -> bool:
    """Whether a device has no float64."""
    return torch.device(device).type == "mps"


def normal(seed: int, number: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32,
           device: torch.device | str = "cpu") -> Tensor:
    """Standard normal draw `number` of `seed` in `shape`, by Box–Muller in float64 from Philox uniforms."""
    if _single(device):
        return normal(seed, number, shape, dtype).to(device)
    count = math.prod(shape)
    u = uniform(seed, number, count + count % 2, device).view(-1, 2)
    radius, angle = torch.sqrt(-2 * torch.log(u[:, 0])), 2 * math.pi * u[:, 1]
    pairs = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), 1)
    return pairs.reshape(-1)[:count].view(shape).to(dtype)


def noisy(base: Tensor, deviation: float, seed: int, numbers: Sequence[int], channels_last: bool = False) -> Tensor:
    """Noisy copies `base + deviation · ε` with ε the normal draws `numbers` of `seed`: `(C, H, W)` to `(N, C, H, W)`."""
    draws = (normal(seed, number, tuple(base.shape), base.dtype, base.device) for number in numbers)
    return _laid(torch.stack([base + deviation * draw for draw in draws]), channels_last)


def random_mask(seed: int, number: int, cells: int, share: float, size: tuple[int, int],
                dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Tensor:
    """Mask `number` of `seed` `(H, W)` in 0..1: cells × cells on with chance `share`, enlarged bilinearly and shifted.

    The enlarged grid has one cell more along each side than fits, and a shift within it (Petsiuk et al., 1806.07421, 3.2).
    """
    draw = uniform(seed, number, cells * cells + 2)  # on the CPU, which has to know the shift
    on = (draw[2:] < share).to(device, dtype).view(1, 1, cells, cells)
    cell = [math.ceil(length / cells) for length in size]
    large = F.interpolate(on, [(cells + 1) * c for c in cell], mode="bilinear", align_corners=False)[0, 0]
    top, left = (int(u * c) for u, c in zip(draw[:2].tolist(), cell))
    return large[top:top + size[0], left:left + size[1]]


def weighted_sum(frames: Sequence[Tensor] | Tensor, weights: Sequence[float], change: Tensor | None = None,
                 reduce: str | None = None) -> Tensor:
    """Σ wᵢ frameᵢ over same-shaped frames, accumulated in at least float32 (float64 stays float64).

    With `change`, of a frame's shape, the sum is multiplied by it; `reduce` takes the channels (the first axis of a frame)
    together by "sum", "abs_sum" or "abs_max".
    """
    wide = torch.promote_types(frames[0].dtype, torch.float32)
    total = torch.zeros_like(frames[0], dtype=wide)
    for frame, weight in zip(frames, weights, strict=True):
        total.add_(frame.to(wide), alpha=weight)
    if change is not None:
        total *= change
    return total if reduce is None else CHANNELS[reduce](total)


# How channels are taken together: `(C, H, W)` to `(H, W)`.
CHANNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda values: values.sum(0),
    "abs_sum": lambda values: values.abs().sum(0),
    "abs_max": lambda values: values.abs().amax(0),
}


def slopes(frames: Sequence[Tensor] | Tensor, change: Tensor) -> Tensor:
    """⟨frameᵢ, change⟩ for each frame, `(N,)` in at least float32: how fast the score moves along the path at its points."""
    wide = torch.promote_types(frames[0].dtype, torch.float32)
    return torch.stack([(frame.to(wide) * change).sum() for frame in frames])


def prefix_sums(frames: Sequence[Tensor] | Tensor, points: Sequence[float]) -> Tensor:
    """Trapezoid integrals of frames at rising `points`, from the first point to each: `(N, …)` in at least float32.

    The first is zero, and the integral between any two points is the difference of theirs.
    """
    wide = torch.promote_types(frames[0].dtype, torch.float32)
    sums = torch.zeros(len(frames), *frames[0].shape, dtype=wide, device=frames[0].device)
    for i in range(1, len(frames)):
        pair = frames[i - 1].to(wide) + frames[i].to(wide)
        torch.add(sums[i - 1], pair, alpha=(points[i] - points[i - 1]) / 2, out=sums[i])
    return sums


def cams(activations: Sequence[Tensor], gradients: Sequence[Tensor], positive_gradients: bool = False) -> list[Tensor]:
    """`cam` of several layers, each activation with its gradient `(N, K, h, w)` of any size: a list of `(N, h, w)`."""
    return [cam(a, g, positive_gradients) for a, g in zip(activations, gradients, strict=True)]


def paint_regions(labels: Tensor, scores: Tensor) -> Tensor:
    """Region scores to pixels: `labels` int64 `(H, W)`, `scores` `(R,)`, returns `(H, W)`."""
    return scores[labels]


# Activations that `activation_delta` knows by name; none has parameters.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu, "relu6": F.relu6, "silu": F.silu, "hardswish": F.hardswish, "hardsigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid, "tanh": torch.tanh,
}


def activation_delta(d: Tensor, table: Tensor, index: Tensor, word: str, own: bool = False) -> Tensor:
    """How an activation answers to a difference, f(z + d) − f(z), with z taken from a table of the base picture's rows.

    `d` `(n, C, h, w)`, channels last; `table` `(rows, C)`, for "relu" of −z, else of z; `index` int64 `(n·h·w,)`, the rows
    of d's positions; `word` names f in `ACTIVATIONS`. With `own` the result is written over d.
    """
    n, channels, height, width = d.shape
    z = table.index_select(0, index).view(n, height, width, channels).permute(0, 3, 1, 2)
    if word == "relu":  # max(z + d, 0) − max(z, 0) = max(d, −z) − max(−z, 0): nothing is rounded twice
        return torch.maximum(d, z, out=d if own else None).sub_(z.clamp_min_(0))
    f = ACTIVATIONS[word]
    changed = f(d + z).sub_(f(z))
    return d.copy_(changed) if own else changed


def pasted(value: Tensor, d: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Copies of a map, each with a difference added in a box of its own: `(n, C, H, W)`, channels last.

    `value` `(1, C, H, W)`, `d` `(n, C, h, w)`, `top` and `left` int64 `(n,)`, where the boxes lie; what of a box hangs over the
    edge is left out.
    """
    full = value.expand(len(d), -1, -1, -1).clone(memory_format=torch.channels_last)
    for target, part, *corner in zip(full, d, top.tolist(), left.tolist()):
        for axis, start in enumerate(corner, 1):
            low = min(max(start, 0), target.shape[axis])
            length = max(0, min(start + part.shape[axis], target.shape[axis]) - low)
            target, part = target.narrow(axis, low, length), part.narrow(axis, low - start if length else 0, length)
        target += part
    return full


def tone_limits(maps: Tensor, permille: int) -> Tensor:
    """Ends ±e of the colour scale of signed maps: float64 `(N, 2)` for `(N, …)`.

    e is the size |v| of rank ⌊n·permille/1000⌋ among a map's n finite values; where that is 0 the largest one, else 1.
    """
    maps = maps.cpu() if _single(maps.device) else maps
    ends = []
    for sizes in maps.detach().flatten(1).abs():
        sizes = sizes[sizes.isfinite()].sort().values
        if not len(sizes):
            ends.append(torch.ones((), dtype=torch.float64, device=maps.device))
            continue
        end, most = sizes[min(len(sizes) - 1, len(sizes) * permille // 1000)].double(), sizes[-1].double()
        ends.append(torch.where(end > 0, end, torch.where(most > 0, most, 1.0)))
    return torch.stack(ends)[:, None] * torch.tensor([-1.0, 1.0], dtype=torch.float64, device=maps.device)


def tones(maps: Tensor, limits: Tensor, dtype: torch.dtype = torch.uint16) -> Tensor:
    """Maps `(N, …)` as steps from `limits` `(N, 2)`, low and high: uint8 or uint16, values beyond the ends clipped.

    Rounded to the nearest step in float64 as the face does it; 0 for NaN, and where low is not below high.
    """
    maps, limits = (t.cpu() if _single(t.device) else t for t in (maps, limits))
    low, high = limits.double().view(len(maps), 2, *[1] * (maps.ndim - 1)).unbind(1)
    values = maps.double().nan_to_num(nan=0.0, posinf=math.inf, neginf=-math.inf).clamp(low, high)
    share = torch.where(maps.isnan() | ~(low < high), 0, (values - low) / (high - low))
    return (share * torch.iinfo(dtype).max).round().to(torch.int32).to(dtype)
