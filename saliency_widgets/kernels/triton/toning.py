"""What a map becomes for the face: the ends of its colours by rank, and its values as steps between them.

Ends: one program a map reads it four times (the last three out of the cache) and writes 16 bytes; it finds the value of a rank
digit by digit, where torch sorts, and nobody waits for the number. Steps: reads the map and writes one or two bytes a value,
where torch holds seven arrays of float64 on the way. Only these steps have to cross to the host.
"""
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from .launch import FLOATS, KINDS, fits, indices, launch

BLOCK, SCAN = 512, 4096
OUT = {torch.uint8: (tl.uint8, 255), torch.uint16: (tl.uint16, 65535)}


@triton.jit
def _rank(maps, ends, size, permille, INDEX: tl.constexpr, BLOCK: tl.constexpr):
    """The bits of a size |v| in float32, taken as a whole number, are in its order: 8 of them are settled at a time."""
    row = tl.program_id(0).to(tl.int64)
    maps += row * size
    bins = tl.arange(0, 256)
    found, rank, most = tl.zeros((), tl.int32), tl.zeros((), tl.int64), tl.zeros((), tl.int32)
    for digit in tl.static_range(4):
        shift = 24 - 8 * digit
        counts = tl.zeros([256], tl.int64)
        for start in range(0, size, BLOCK):
            i = start + tl.arange(0, BLOCK).to(INDEX)
            bits = tl.abs(tl.load(maps + i, mask=i < size, other=float("inf")).to(tl.float32)).to(tl.int32, bitcast=True)
            of = bits < 0x7F800000  # finite, and in the picture
            if digit == 0:
                most = tl.maximum(most, tl.max(tl.where(of, bits, 0), 0))
            else:
                of = of & ((bits >> (shift + 8)) == found)
            counts += tl.histogram(tl.where(of, (bits >> shift) & 255, 0), 256).to(tl.int64)
            counts -= tl.where(bins == 0, BLOCK - tl.sum(of.to(tl.int32), 0), 0)  # those that only stood there
        if digit == 0:
            known = tl.sum(counts, 0)
            rank = tl.maximum(tl.minimum(known - 1, known * permille // 1000), 0)
        upto = tl.cumsum(counts, 0)
        byte = tl.minimum(tl.sum((upto <= rank).to(tl.int32), 0), 255)
        rank -= tl.sum(tl.where(bins < byte, counts, 0), 0)
        found = found * 256 + byte
    # Without a finite value every digit came out as 255.
    bits = tl.where((found > 0) & (found < 0x7F800000), found, most)
    end = tl.where(bits > 0, bits.to(tl.float32, bitcast=True), 1.0).to(tl.float64)
    tl.store(ends + 2 * row, -end)
    tl.store(ends + 2 * row + 1, end)


@triton.jit
def _steps(maps, limits, out, size, STEPS: tl.constexpr, KIND: tl.constexpr, INDEX: tl.constexpr, BLOCK: tl.constexpr):
    blocks = tl.cdiv(size, BLOCK)
    program = tl.program_id(0).to(tl.int64)
    row = program // blocks
    i = ((program % blocks) * BLOCK).to(INDEX) + tl.arange(0, BLOCK)
    low, high = tl.load(limits + 2 * row), tl.load(limits + 2 * row + 1)
    value = tl.load(maps + row * size + i, mask=i < size, other=0).to(tl.float64)
    known = (value == value) & (tl.zeros_like(value) + low < high)  # the interpreter cannot join a block's and a number's truth
    value = tl.where(value < low, low, tl.where(value > high, high, value))
    share = (value - low) / tl.where(high > low, high - low, 1.0)
    # Adding and taking away 2⁵² rounds to the nearest whole number, halves to the even one, as rounding in float64 does.
    step = (tl.where(known, share, 0.0) * STEPS + 4503599627370496.0) - 4503599627370496.0
    tl.store(out + row * size + i, step.to(tl.int32).to(KIND), mask=i < size)


def tone_limits(maps: Tensor, permille: int) -> Tensor:
    """`reference.tone_limits`, exactly."""
    if not fits(maps, dtypes=FLOATS):
        return reference.tone_limits(maps, permille)
    maps = maps.flatten(1).contiguous()
    ends, size = torch.empty(len(maps), 2, dtype=torch.float64, device=maps.device), maps.shape[1]
    launch(_rank, len(maps), maps, maps, ends, size, permille, INDEX=indices(size), BLOCK=SCAN, num_warps=16)
    return ends


def tones(maps: Tensor, limits: Tensor, dtype: torch.dtype = torch.uint16) -> Tensor:
    """`reference.tones`, exactly, for float64 too."""
    if dtype not in OUT or not fits(maps, limits, dtypes=tuple(KINDS)):
        return reference.tones(maps, limits, dtype)
    out, size = torch.empty(maps.shape, dtype=dtype, device=maps.device), maps[0].numel()
    kind, steps = OUT[dtype]
    launch(_steps, len(maps) * triton.cdiv(size, BLOCK), maps, maps.contiguous(), limits.double().contiguous(), out, size,
           STEPS=steps, KIND=kind, INDEX=indices(size), BLOCK=BLOCK)
    return out
