"""Copies of a map with a difference added in a box of each: where incremental masked forwards go on with whole maps.

Reads the map (C·H·W, out of the cache but for the first copy) and the differences, writes n·C·H·W once. torch copies the map n
times, waits for the device to learn where the boxes lie, and adds each of them in a launch of its own.
"""
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from .launch import KINDS, batch_like, fits, launch, narrowed

ROWS, COLUMNS = 16, 64


@triton.jit
def _paste(value, d, top, left, out, positions, width, channels, rows, columns, WIDE: tl.constexpr, KIND: tl.constexpr,
           ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    across, down = tl.cdiv(channels, COLUMNS), tl.cdiv(positions, ROWS)
    program = tl.program_id(0).to(tl.int64)
    n = program // (across * down)
    p = ((program // across) % down) * ROWS + tl.arange(0, ROWS)
    c = (program % across) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (p < positions)[:, None] & (c < channels)[None, :]
    y, x = p // width - tl.load(top + n), p % width - tl.load(left + n)  # in the box
    within = inside & ((y >= 0) & (y < rows) & (x >= 0) & (x < columns))[:, None]
    at = p[:, None] * channels + c[None, :]
    base = tl.load(value + at, mask=inside, other=0).to(WIDE)
    box = (n * rows * columns + y * columns + x)[:, None] * channels + c[None, :]
    base += tl.load(d + box, mask=within, other=0).to(WIDE)
    tl.store(out + n * positions * channels + at, narrowed(base, KIND), mask=inside)


def pasted(value: Tensor, d: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """`reference.pasted`, bit for bit (but for the sign of zeros), float64 too."""
    if not fits(value, d, dtypes=tuple(KINDS)) or value.dtype != d.dtype or value.shape[0] != 1 or value.shape[1] != d.shape[1] \
            or not fits(value, top, left, dtypes=(value.dtype, torch.int64)):
        return reference.pasted(value, d, top, left)
    channels, height, width = value.shape[1:]
    out, kind = batch_like(value[0], len(d), True), KINDS[value.dtype]
    programs = len(d) * triton.cdiv(height * width, ROWS) * triton.cdiv(channels, COLUMNS)
    launch(_paste, programs, value, value.permute(0, 2, 3, 1).contiguous(), d.permute(0, 2, 3, 1).contiguous(), top.contiguous(),
           left.contiguous(), out, height * width, width, channels, d.shape[2], d.shape[3],
           WIDE=tl.float64 if kind == tl.float64 else tl.float32, KIND=kind, ROWS=ROWS, COLUMNS=COLUMNS)
    return out
