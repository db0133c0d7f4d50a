"""Copies of a picture without sets of regions, from the label map itself: no mask is ever in memory.

Reads labels (8·H·W bytes, and both pictures, out of the cache from the second copy on) and one byte of `sets` a pixel, writes
N·C·H·W. torch makes a mask of N·H·W bytes, and goes over the batch once more where the model wants channels last.
"""
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from .launch import KINDS, batch_like, fits, indices, launch

BLOCK = 512


@triton.jit
def _masked(image, fill, labels, sets, out, plane, regions, channels, LAST: tl.constexpr, INDEX: tl.constexpr,
            BLOCK: tl.constexpr):
    blocks = tl.cdiv(plane, BLOCK)
    program = tl.program_id(0).to(tl.int64)
    n = program // blocks
    p = ((program % blocks) * BLOCK).to(INDEX) + tl.arange(0, BLOCK)
    inside = p < plane
    label = tl.load(labels + p, mask=inside, other=0)
    # A label beyond the sets would read foreign memory: it is left as it is, where torch stops the device.
    off = tl.load(sets + n * regions + label, mask=inside & (label >= 0) & (label < regions), other=0) != 0
    to = out + n * plane * channels
    at, last = p, p * channels
    for _ in range(channels):
        value = tl.load(fill + at, mask=inside & off, other=0)
        kept = tl.load(image + at, mask=inside & (off == 0), other=0)
        tl.store(to + (last if LAST else at), tl.where(off, value, kept), mask=inside)
        at, last = at + plane, last + 1


def without_regions(image: Tensor, fill: Tensor, labels: Tensor, sets: Tensor, channels_last: bool = False) -> Tensor:
    """`reference.without_regions`, bit for bit for labels of 0..R−1, float64 too."""
    kinds = image.dtype, torch.int64, torch.bool
    if image.dtype not in KINDS or fill.dtype != image.dtype or not fits(image, fill, labels, sets, dtypes=kinds):
        return reference.without_regions(image, fill, labels, sets, channels_last)
    out, plane = batch_like(image, len(sets), channels_last), labels.numel()
    launch(_masked, len(sets) * triton.cdiv(plane, BLOCK), image, image.contiguous(), fill.expand(image.shape).contiguous(),
           labels.contiguous(), sets.contiguous().view(torch.uint8), out, plane, sets.shape[1], len(image),
           LAST=channels_last, INDEX=indices(image.numel()), BLOCK=BLOCK)
    return out
