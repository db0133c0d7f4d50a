"""d ← f(z + d) − f(z) of incremental masked forwards: gather, add, activate and subtract in one pass.

Reads d and the rows of z that its positions name (n·C·h·w each, and 8 bytes a position) and writes n·C·h·w, over d where it may.
torch gathers, adds, activates twice and subtracts: five to seven times that, in as many launches.
"""
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from .launch import FLOATS, KINDS, fits, launch, narrowed

ROWS, COLUMNS = 16, 64


@triton.jit
def _between(v, low, high):
    v = tl.maximum(v, low, propagate_nan=tl.PropagateNan.ALL)
    return tl.minimum(v, high, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _f(v, WORD: tl.constexpr):
    if WORD == "relu6":
        return _between(v, 0.0, 6.0)
    elif WORD == "silu":
        return v / (1 + tl.exp(-v))
    elif WORD == "hardswish":
        return v * _between(v + 3, 0.0, 6.0) / 6
    elif WORD == "hardsigmoid":
        return _between(v + 3, 0.0, 6.0) / 6
    elif WORD == "sigmoid":
        return 1 / (1 + tl.exp(-v))
    else:
        small = tl.exp(-2 * tl.abs(v))
        size = (1 - small) / (1 + small)
        return tl.where(v < 0, -size, size)


@triton.jit
def _delta(d, table, index, out, positions, channels, WORD: tl.constexpr, KIND: tl.constexpr, ROWS: tl.constexpr,
           COLUMNS: tl.constexpr):
    columns = tl.cdiv(channels, COLUMNS)
    program = tl.program_id(0).to(tl.int64)
    row = (program // columns) * ROWS + tl.arange(0, ROWS)
    c = (program % columns) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row < positions)[:, None] & (c < channels)[None, :]
    from_row = tl.load(index + row, mask=row < positions, other=0)
    z = tl.load(table + from_row[:, None] * channels + c[None, :], mask=inside, other=0).to(tl.float32)
    at = row[:, None] * channels + c[None, :]
    v = tl.load(d + at, mask=inside, other=0).to(tl.float32)
    if WORD == "relu":  # the table holds −z: max(d, −z) − max(−z, 0)
        result = tl.maximum(v, z, propagate_nan=tl.PropagateNan.ALL) - tl.maximum(z, 0.0, propagate_nan=tl.PropagateNan.ALL)
    else:
        result = _f(v + z, WORD) - _f(z, WORD)
    tl.store(out + at, narrowed(result, KIND), mask=inside)


def activation_delta(d: Tensor, table: Tensor, index: Tensor, word: str, own: bool = False) -> Tensor:
    """`reference.activation_delta`: bit for bit for "relu"; else, in float32, to 2e-6 of the larger of 1, |z| and |z + d|.

    bf16 and fp16 are rounded once, at the end: to the reference's in float32, a step of the dtype.
    """
    rows = d.permute(0, 2, 3, 1)
    if word not in reference.ACTIVATIONS or not fits(d, table, dtypes=FLOATS) or table.dtype != d.dtype or d.ndim != 4 \
            or not fits(d, index, dtypes=(d.dtype, torch.int64)) or not table.is_contiguous():
        return reference.activation_delta(d, table, index, word, own)
    given = rows.contiguous()
    out = rows if own and rows.is_contiguous() else torch.empty_like(given)
    positions, channels = index.numel(), d.shape[1]
    launch(_delta, triton.cdiv(positions, ROWS) * triton.cdiv(channels, COLUMNS), d, given, table, index.contiguous(), out,
           positions, channels, WORD=word, KIND=KINDS[d.dtype], ROWS=ROWS, COLUMNS=COLUMNS)
    if own and out is not rows:
        return d.copy_(out.permute(0, 3, 1, 2))
    return out.permute(0, 3, 1, 2)
