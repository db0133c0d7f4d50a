"""Seeded noise: the Philox words of the reference, made where they are used.

Reads nothing (a noisy copy: its picture) and writes the draw. torch's own operations hold the words as int64 and write some
forty arrays of that size on the way: ten rounds of products by halves.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from .launch import FLOATS, INTERPRETED, KINDS, batch_like, fits, launch, narrowed

BLOCK = 256  # counters; each makes four words
M0, M1 = tl.constexpr(0xD2511F53), tl.constexpr(0xCD9E8D57)
W0, W1 = tl.constexpr(0x9E3779B9), tl.constexpr(0xBB67AE85)
# Numbers that change from call to call: without this each one that is 1 or divisible by 16 would be compiled for.
VARYING = ["seed_low", "seed_high", "number_low", "number_high"]


@triton.jit
def _words(i, number, seed_low, seed_high):
    """Four words for counters i int64 of a draw uint64."""
    c0, c1 = (i & 0xFFFFFFFF).to(tl.uint32), (i >> 32).to(tl.uint32)
    c2, c3 = tl.zeros_like(c0) + (number & 0xFFFFFFFF).to(tl.uint32), tl.zeros_like(c0) + (number >> 32).to(tl.uint32)
    k0, k1 = tl.zeros_like(c0) + seed_low.to(tl.uint32, bitcast=True), tl.zeros_like(c0) + seed_high.to(tl.uint32, bitcast=True)
    m0, m1 = tl.full(c0.shape, M0, tl.uint32), tl.full(c0.shape, M1, tl.uint32)
    w0, w1 = tl.full(c0.shape, W0, tl.uint32), tl.full(c0.shape, W1, tl.uint32)
    for _ in tl.static_range(10):
        high0, low0 = tl.umulhi(c0, m0), c0 * m0
        high1, low1 = tl.umulhi(c2, m1), c2 * m1
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + w0, k1 + w1
    return c0, c1, c2, c3


@triton.jit
def _unit(word):
    return (word.to(tl.float64) + 0.5) * 2.3283064365386963e-10  # 2⁻³², exactly


@triton.jit
def _pair(first, second):
    """Box–Muller, in float64 as the reference."""
    radius, angle = tl.sqrt(-2.0 * tl.log(_unit(first))), 6.283185307179586 * _unit(second)
    return radius * tl.cos(angle), radius * tl.sin(angle)


@triton.jit
def _in_order(a, b, c, d):
    return tl.interleave(tl.interleave(a, c), tl.interleave(b, d))


@triton.jit(do_not_specialize=VARYING)
def _draw(out, count, number_low, number_high, seed_low, seed_high, FORM: tl.constexpr, KIND: tl.constexpr, BLOCK: tl.constexpr):
    block = tl.program_id(0).to(tl.int64) * BLOCK
    number = _whole(number_low, number_high)
    a, b, c, d = _words(block + tl.arange(0, BLOCK), number, seed_low, seed_high)
    at = 4 * block + tl.arange(0, 4 * BLOCK)
    if FORM == "words":
        tl.store(out + at, _in_order(a, b, c, d).to(tl.int64), mask=at < count)
    else:
        if FORM == "normal":
            first, second = _pair(a, b)
            third, fourth = _pair(c, d)
            values = _in_order(first, second, third, fourth)
        else:
            values = _in_order(_unit(a), _unit(b), _unit(c), _unit(d))
        tl.store(out + at, values if FORM == "uniform" else narrowed(values.to(tl.float32), KIND), mask=at < count)


@triton.jit
def _whole(low, high):
    """A number uint64 from its halves, which are passed as int32 so that their size never asks for another compilation."""
    return low.to(tl.uint32, bitcast=True).to(tl.uint64) | (high.to(tl.uint32, bitcast=True).to(tl.uint64) << 32)


@triton.jit(do_not_specialize=VARYING)
def _noisy(base, out, deviation, size, plane, number_low, number_high, seed_low, seed_high, CHANNELS: tl.constexpr,
           LAST: tl.constexpr, KIND: tl.constexpr, BLOCK: tl.constexpr):
    blocks = tl.cdiv(size, 4 * BLOCK)
    program = tl.program_id(0).to(tl.int64)
    n, block = program // blocks, (program % blocks) * BLOCK
    number = _whole(number_low, number_high) + n.to(tl.uint64)
    a, b, c, d = _words(block + tl.arange(0, BLOCK), number, seed_low, seed_high)
    first, second = _pair(a, b)
    third, fourth = _pair(c, d)
    i = 4 * block + tl.arange(0, 4 * BLOCK)
    inside = i < size
    # As torch rounds: the draw, its product and the sum each in the dtype.
    draw = narrowed(_in_order(first, second, third, fourth).to(tl.float32), KIND).to(tl.float32)
    shift = narrowed(draw * deviation, KIND).to(tl.float32)
    value = tl.load(base + i, mask=inside, other=0).to(tl.float32) + shift
    to = (i % plane) * CHANNELS + i // plane if LAST else i
    tl.store(out + n * size + to, narrowed(value, KIND), mask=inside)


def _halves(number: int) -> tuple[int, int]:
    """A number modulo 2⁶⁴ as two int32."""
    return tuple((half + 0x80000000) % (1 << 32) - 0x80000000 for half in (number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF))


def _runs(device: torch.device | str, count: int) -> bool:
    return count > 0 and (torch.device(device).type == "cuda" or INTERPRETED)


def _drawn(form: str, out: Tensor, seed: int, number: int) -> Tensor:
    launch(_draw, triton.cdiv(out.numel(), 4 * BLOCK), out, out, out.numel(), *_halves(number), *_halves(seed), FORM=form,
           KIND=KINDS.get(out.dtype), BLOCK=BLOCK)
    return out


def philox(seed: int, number: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """`reference.philox`, bit for bit."""
    if not _runs(device, count):
        return reference.philox(seed, number, count, device)
    return _drawn("words", torch.empty(count, 4, dtype=torch.int64, device=device), seed, number)


def uniform(seed: int, number: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """`reference.uniform`, bit for bit."""
    if not _runs(device, count):
        return reference.uniform(seed, number, count, device)
    return _drawn("uniform", torch.empty(count, dtype=torch.float64, device=device), seed, number)


def normal(seed: int, number: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32,
           device: torch.device | str = "cpu") -> Tensor:
    """`reference.normal` to 1e-14, rounded to the dtype: in float32 and narrower at most a step of the dtype apart."""
    if dtype not in FLOATS or not _runs(device, math.prod(shape)):
        return reference.normal(seed, number, shape, dtype, device)
    return _drawn("normal", torch.empty(shape, dtype=dtype, device=device), seed, number)


def noisy(base: Tensor, deviation: float, seed: int, numbers: Sequence[int], channels_last: bool = False) -> Tensor:
    """`reference.noisy`, at most two steps of the dtype at the size of the largest term apart."""
    if not fits(base) or not len(numbers):
        return reference.noisy(base, deviation, seed, numbers, channels_last)
    out, size, first = batch_like(base, len(numbers), channels_last), base.numel(), 0
    base = base.contiguous()
    for end in range(1, len(numbers) + 1):  # draws of one run of numbers go in one launch, and need no table
        if end < len(numbers) and numbers[end] == numbers[end - 1] + 1:
            continue
        launch(_noisy, (end - first) * triton.cdiv(size, 4 * BLOCK), base, base, out[first:end], float(deviation), size,
               size // len(base), *_halves(numbers[first]), *_halves(seed), CHANNELS=len(base), LAST=channels_last,
               KIND=KINDS[base.dtype], BLOCK=BLOCK)
        first = end
    return out
