"""Points on a path: one pass that writes the batch in the model's dtype and order of memory.

Reads both ends (2·C·H·W, from the second point on out of the cache) and writes N·C·H·W once. torch's own operations write two
products and read them again, and go over the batch once more where the model wants channels last.
"""
from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from .launch import FLOATS, KINDS, batch_like, fits, indices, launch, narrowed

BLOCK = 1024


@triton.jit
def _points(start, end, alphas, out, size, plane, CHANNELS: tl.constexpr, LAST: tl.constexpr, INDEX: tl.constexpr,
            KIND: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    blocks = tl.cdiv(size, BLOCK)
    program = tl.program_id(0).to(tl.int64)
    n = program // blocks
    i = ((program % blocks) * BLOCK).to(INDEX) + tl.arange(0, BLOCK)  # in the order of the batch's memory
    inside = i < size
    at = (i % CHANNELS) * plane + i // CHANNELS if LAST else i
    alpha = tl.load(alphas + n).to(WIDE)
    # As torch rounds: every step in the dtype, so that the points are the reference's to the last bit.
    rest = narrowed(1 - alpha, KIND).to(WIDE)
    first = narrowed(tl.load(start + at, mask=inside, other=0).to(WIDE) * rest, KIND).to(WIDE)
    second = narrowed(tl.load(end + at, mask=inside, other=0).to(WIDE) * alpha, KIND).to(WIDE)
    tl.store(out + n * size + i, narrowed(first + second, KIND), mask=inside)


def lerp(start: Tensor, end: Tensor, alphas: Tensor, channels_last: bool = False) -> Tensor:
    """`reference.lerp`, bit for bit, float64 too."""
    if not fits(start, end, alphas, dtypes=(*FLOATS, *KINDS)) or not start.dtype == end.dtype == alphas.dtype \
            or start.shape != end.shape:
        return reference.lerp(start, end, alphas, channels_last)
    out, size = batch_like(start, len(alphas), channels_last), start.numel()
    kind = KINDS[start.dtype]
    launch(_points, len(alphas) * triton.cdiv(size, BLOCK), start, start.contiguous(), end.contiguous(), alphas.contiguous(), out,
           size, size // len(start), CHANNELS=len(start), LAST=channels_last, INDEX=indices(size), KIND=kind,
           WIDE=tl.float64 if kind == tl.float64 else tl.float32, BLOCK=BLOCK)
    return out
