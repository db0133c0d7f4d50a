"""The weighted sum of many gradients, times the change of input, channels taken together: one pass, one launch.

Reads N·C·H·W and the change, writes C·H·W (or H·W). The gradients stay where they lie: the kernel takes a table of their
addresses. torch reads and writes the sum once for every gradient (3·N·C·H·W, N launches), and again for the product and the
channels.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from .launch import FLOATS, KINDS, capturing, fits, frames_at, indices, launch, sent

BLOCK = 256
WAYS = {None: 0, "sum": 1, "abs_sum": 2, "abs_max": 3}


@triton.jit
def _total(frames, weights, at, inside, count, size, STACKED: tl.constexpr, KIND: tl.constexpr, BLOCK: tl.constexpr):
    total = tl.zeros([BLOCK], tl.float32)
    for n in range(count):
        if STACKED:
            frame = frames
            frames += size
        else:
            frame = tl.load(frames + n).to(tl.pointer_type(KIND))
        total += tl.load(weights + n) * tl.load(frame + at, mask=inside, other=0).to(tl.float32)
    return total


@triton.jit
def _weigh(frames, weights, change, out, count, size, STACKED: tl.constexpr, CHANGED: tl.constexpr, KIND: tl.constexpr,
           INDEX: tl.constexpr, BLOCK: tl.constexpr):
    at = (tl.program_id(0).to(tl.int64) * BLOCK).to(INDEX) + tl.arange(0, BLOCK)
    inside = at < size
    total = _total(frames, weights, at, inside, count, size, STACKED, KIND, BLOCK)
    if CHANGED:
        total *= tl.load(change + at, mask=inside, other=0).to(tl.float32)
    tl.store(out + at, total, mask=inside)


@triton.jit
def _weigh_pixels(frames, weights, change, out, count, size, channels, plane, step_channel, step_pixel, STACKED: tl.constexpr,
                  CHANGED: tl.constexpr, WAY: tl.constexpr, KIND: tl.constexpr, INDEX: tl.constexpr, BLOCK: tl.constexpr):
    p = (tl.program_id(0).to(tl.int64) * BLOCK).to(INDEX) + tl.arange(0, BLOCK)
    inside = p < plane
    result, at = tl.zeros([BLOCK], tl.float32), p * step_pixel
    for _ in range(channels):
        total = _total(frames, weights, at, inside, count, size, STACKED, KIND, BLOCK)
        if CHANGED:
            total *= tl.load(change + at, mask=inside, other=0).to(tl.float32)
        if WAY == 1:
            result += total
        elif WAY == 2:
            result += tl.abs(total)
        else:
            result = tl.maximum(result, tl.abs(total), propagate_nan=tl.PropagateNan.ALL)
        at += step_channel
    tl.store(out + p, result, mask=inside)


def weighted_sum(frames: Sequence[Tensor] | Tensor, weights: Sequence[float], change: Tensor | None = None,
                 reduce: str | None = None) -> Tensor:
    """`reference.weighted_sum` in float32, sums in the same order but rounded with their products: to 1e-6 of Σ|wᵢ frameᵢ|
    (times |change|, summed over the channels)."""
    first = frames[0]
    given = (frames,) if isinstance(frames, Tensor) else tuple(frames)
    if not fits(*given, dtypes=FLOATS) or reduce not in WAYS or len(frames) != len(weights) \
            or any(f.dtype != first.dtype or f.shape != first.shape for f in given if f is not frames) \
            or (change is not None and (not fits(first, change) or change.shape != first.shape)) or capturing(first.device):
        return reference.weighted_sum(frames, weights, change, reduce)
    held, where, stacked = frames_at(frames)
    first = held[0]
    apart = None if reduce is None else _apart(first)
    if reduce is not None and apart is None:  # an order of memory in which pixels are not evenly apart
        return reference.weighted_sum(frames, weights, change, reduce)
    out = torch.empty_like(first, dtype=torch.float32) if reduce is None else \
        torch.empty(first.shape[1:], dtype=torch.float32, device=first.device)
    if change is not None and change.stride() != first.stride():
        change = torch.empty_like(first, dtype=change.dtype).copy_(change)
    many = sent([float(w) for w in weights], torch.float32, first.device)
    size = first.numel()
    fixed = dict(STACKED=stacked, CHANGED=change is not None, KIND=KINDS[first.dtype], INDEX=indices(size), BLOCK=BLOCK,
                 enable_fp_fusion=True)
    where_change = first if change is None else change
    if reduce is None:
        launch(_weigh, triton.cdiv(size, BLOCK), first, where, many, where_change, out, len(frames), size, **fixed)
    else:
        launch(_weigh_pixels, triton.cdiv(out.numel(), BLOCK), first, where, many, where_change, out, len(frames), size,
               len(first), out.numel(), *apart, WAY=WAYS[reduce], **fixed)
    return out


def _apart(frame: Tensor) -> tuple[int, int] | None:
    """How far channels, and pixels one after the other, are apart in memory; None where pixels are not evenly."""
    if frame.ndim < 2:
        return None
    strides, expected = [], None
    for stride, size in reversed(list(zip(frame.stride()[1:], frame.shape[1:]))):
        if size == 1:
            continue
        if expected is not None and stride != expected:
            return None
        strides.append(stride)
        expected = stride * size
    return frame.stride(0), strides[0] if strides else 1
