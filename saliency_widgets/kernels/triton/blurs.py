"""Many Gaussian blurs of one picture: one launch along each axis for all σ.

Along the rows: reads the picture (out of the cache but for the first σ) and writes N·C·H·W in float32; along the columns: reads
that and writes N·C·H·W in the picture's dtype. Each number is taken 8σ + 1 times from the cache, so wide blurs are bound by that
and not by memory: there torch's matrix products, which the reference uses, may well be faster (they are N·C·H·W·(H + W)
multiply-adds whatever σ is, and one matrix for each σ and axis).
Until that is measured on a device, sets of blurs with a σ above `WIDE` go to the reference.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from .launch import FLOATS, KINDS, batch_like, capturing, fits, indices, launch, narrowed, table, taken

BLOCK = 256
WIDE = 8.0  # pixels


@triton.jit
def _blur(given, out, weights, radii, size, length, inner, reach, plane, SHARED: tl.constexpr, CHANNELS: tl.constexpr,
          LAST: tl.constexpr, KIND: tl.constexpr, INDEX: tl.constexpr, BLOCK: tl.constexpr):
    """Along an axis of `length` whose neighbours lie `inner` apart; `reach` is the width of the table of weights."""
    blocks = tl.cdiv(size, BLOCK)
    program = tl.program_id(0).to(tl.int64)
    n = program // blocks
    i = ((program % blocks) * BLOCK).to(INDEX) + tl.arange(0, BLOCK)
    inside = i < size
    place = (i // inner) % length
    line = given + i - place * inner
    if not SHARED:
        line += n * size
    radius = tl.load(radii + n)
    # Where the first weight falls, in the picture and its reflection, one behind the other and again and again.
    m = (place - radius % (2 * length) + 2 * length) % (2 * length)
    total = tl.zeros([BLOCK], tl.float32)
    for k in range(2 * radius + 1):
        folded = tl.where(m < length, m, 2 * length - 1 - m)
        total += tl.load(weights + n * reach + k) * tl.load(line + folded * inner, mask=inside, other=0).to(tl.float32)
        m = tl.where(m + 1 == 2 * length, 0, m + 1)
    to = (i % plane) * CHANNELS + i // plane if LAST else i
    tl.store(out + n * size + to, narrowed(total, KIND), mask=inside)


def gaussian_blurs(image: Tensor, sigmas: Sequence[float], channels_last: bool = False) -> Tensor:
    """`reference.gaussian_blurs` but for the order of sums: float32 to 2e-6 of the picture's largest size, narrower dtypes to
    one step of theirs."""
    if not fits(image, dtypes=FLOATS) or image.ndim != 3 or not len(sigmas) or capturing(image.device) \
            or not taken(max(sigmas) <= WIDE):
        return reference.gaussian_blurs(image, sigmas, channels_last)
    weights, radii, reach = _weights(tuple(map(float, sigmas)), image.device)
    channels, height, width = image.shape
    rows = batch_like(image, len(sigmas), False, torch.float32)
    out, size = batch_like(image, len(sigmas), channels_last), image.numel()
    programs = len(sigmas) * triton.cdiv(size, BLOCK)
    fixed = dict(CHANNELS=channels, INDEX=indices(size), BLOCK=BLOCK, enable_fp_fusion=True)
    launch(_blur, programs, image, image.contiguous(), rows, weights, radii, size, width, 1, reach, height * width, SHARED=True,
           LAST=False, KIND=tl.float32, **fixed)
    launch(_blur, programs, image, rows, out, weights, radii, size, height, width, reach, height * width, SHARED=False,
           LAST=channels_last, KIND=KINDS[image.dtype], **fixed)
    return out


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """`reference.gaussian_blur`, as `gaussian_blurs`."""
    return gaussian_blurs(image, [sigma])[0]


def _weights(sigmas: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor, int]:
    """One row of weights for each σ, float32 `(N · reach,)`, their radii int32 `(N,)`, and the rows' width."""
    rows = [reference.gaussian_weights(s) if s > 0 else torch.ones(1, dtype=torch.float64) for s in sigmas]
    reach = max(map(len, rows))
    padded = torch.stack([torch.nn.functional.pad(row, (0, reach - len(row))) for row in rows]).flatten()
    return (table(tuple(padded.tolist()), torch.float32, device),
            table(tuple(len(row) // 2 for row in rows), torch.int32, device), reach)
