"""How fast the score moves at each point of a path: the products of all gradients with the change of input.

Reads N·C·H·W and the change once (the change out of the cache after the first) and writes a few numbers a gradient, which torch
adds up. torch's own way is a launch, and with a float for each a wait, a gradient, or a stack of them first.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from .launch import FLOATS, KINDS, capturing, fits, frames_at, indices, launch

BLOCK, TURNS = 1024, 8  # each program adds up so many blocks


@triton.jit
def _slopes(frames, change, out, parts, size, STACKED: tl.constexpr, KIND: tl.constexpr, INDEX: tl.constexpr,
            BLOCK: tl.constexpr, TURNS: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    n, part = program // parts, program % parts
    if STACKED:
        frame = frames + n * size
    else:
        frame = tl.load(frames + n).to(tl.pointer_type(KIND))
    total = tl.zeros([BLOCK], tl.float32)
    for turn in tl.static_range(TURNS):
        at = ((part * TURNS + turn) * BLOCK).to(INDEX) + tl.arange(0, BLOCK)
        inside = at < size
        value = tl.load(frame + at, mask=inside, other=0).to(tl.float32)
        total += value * tl.load(change + at, mask=inside, other=0).to(tl.float32)
    tl.store(out + program, tl.sum(total, 0))


def slopes(frames: Sequence[Tensor] | Tensor, change: Tensor) -> Tensor:
    """`reference.slopes` but for the order of sums: float32 to 1e-5 of Σ|frame · change|; the same in every run."""
    first = frames[0]
    given = (frames,) if isinstance(frames, Tensor) else tuple(frames)
    if not fits(*given, dtypes=FLOATS) or not fits(first, change) or change.shape != first.shape or capturing(first.device) \
            or any(f.dtype != first.dtype or f.shape != first.shape for f in given if f is not frames):
        return reference.slopes(frames, change)
    held, where, stacked = frames_at(frames)
    first = held[0]
    if change.stride() != first.stride():
        change = torch.empty_like(first, dtype=change.dtype).copy_(change)
    parts = triton.cdiv(first.numel(), BLOCK * TURNS)
    out = torch.empty(len(frames), parts, dtype=torch.float32, device=first.device)
    launch(_slopes, out.numel(), first, where, change, out, parts, first.numel(), STACKED=stacked, KIND=KINDS[first.dtype],
           INDEX=indices(first.numel()), BLOCK=BLOCK, TURNS=TURNS, enable_fp_fusion=True)
    return out.sum(1)
