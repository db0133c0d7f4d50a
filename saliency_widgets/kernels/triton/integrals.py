"""Integrals along a path from its start to each of its points: what makes every window a difference of two.

Reads N·C·H·W once and writes N·C·H·W once. torch reads each frame twice, writes and reads their sum, and writes the integral,
in two launches a point.
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


@triton.jit
def _integrals(frames, halves, out, count, size, STACKED: tl.constexpr, KIND: tl.constexpr, INDEX: tl.constexpr,
               BLOCK: tl.constexpr):
    at = (tl.program_id(0).to(tl.int64) * BLOCK).to(INDEX) + tl.arange(0, BLOCK)
    inside = at < size
    total, before = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    for n in range(count):
        if STACKED:
            frame = frames
            frames += size
        else:
            frame = tl.load(frames + n).to(tl.pointer_type(KIND))
        value = tl.load(frame + at, mask=inside, other=0).to(tl.float32)
        if n > 0:  # the first is zero whatever its frame holds: 0 · inf would not be
            total += tl.load(halves + n) * (before + value)
        before = value
        tl.store(out + at, total, mask=inside)
        out += size


def prefix_sums(frames: Sequence[Tensor] | Tensor, points: Sequence[float]) -> Tensor:
    """`reference.prefix_sums` in float32, in the same order but rounded with its products: to 1e-6 of the sum of sizes."""
    first = frames[0]
    given = (frames,) if isinstance(frames, Tensor) else tuple(frames)
    if not fits(*given, dtypes=FLOATS) or len(points) != len(frames) or capturing(first.device) \
            or any(f.dtype != first.dtype or f.shape != first.shape for f in given if f is not frames):
        return reference.prefix_sums(frames, points)
    held, where, stacked = frames_at(frames)
    first = held[0]
    halves = [0.0, *((b - a) / 2 for a, b in zip(points, points[1:]))]
    out = torch.empty(len(frames) * first.numel(), dtype=torch.float32, device=first.device)
    launch(_integrals, triton.cdiv(first.numel(), BLOCK), first, where, sent(halves, torch.float32, first.device), out,
           len(frames), first.numel(), STACKED=stacked, KIND=KINDS[first.dtype], INDEX=indices(first.numel()), BLOCK=BLOCK,
           enable_fp_fusion=True)
    return out.as_strided((len(frames), *first.shape), (first.numel(), *first.stride()))
