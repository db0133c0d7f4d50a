"""Grad-CAM of one layer, or of all layers at once: two launches, whatever their number.

The first reads the gradients (K·h·w each; with `positive_gradients` the activations as well) and writes K weights, the second
reads the activations and the weights and writes h·w. Layers of all sizes go together by a table of where they lie. torch needs
three launches a layer, and for bf16 and fp16 writes and reads float32 copies of both. For a single layer in float32 both move
the same bytes: there the kernel is likely to gain nothing, and until that is measured on a device the reference computes it.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from .launch import FLOATS, KINDS, capturing, fits, launch, table, taken

COLUMNS = 5  # of the table of layers: activations, gradients, channels, positions, where its channels begin
# Of a tile, its channels and positions: for the weights, which are taken over positions, and for the map.
WEIGHTS, MAP = (16, 128), (128, 16)
WEIGHTS_LAST, MAP_LAST = (64, 32), (128, 16)


@triton.jit
def _tile(values, n, channels, positions, k, p, LAST: tl.constexpr):
    """A tile in float32, positions along the axis that lies in memory one behind the other: (k, p), or (p, k)."""
    if LAST:
        at = (n * positions + p[:, None]) * channels + k[None, :]
        inside = (p[:, None] < positions) & (k[None, :] < channels)
    else:
        at = (n * channels + k[:, None]) * positions + p[None, :]
        inside = (k[:, None] < channels) & (p[None, :] < positions)
    return tl.load(values + at, mask=inside, other=0).to(tl.float32)


@triton.jit
def _weights(a, g, weights, n, block, channels, positions, POSITIVE: tl.constexpr, LAST: tl.constexpr, K: tl.constexpr,
             P: tl.constexpr):
    k = block * K + tl.arange(0, K)
    total = tl.zeros([P, K] if LAST else [K, P], tl.float32)
    for start in range(0, positions, P):
        p = start + tl.arange(0, P)
        slope = _tile(g, n, channels, positions, k, p, LAST)
        if POSITIVE:
            slope *= (_tile(a, n, channels, positions, k, p, LAST) > 0).to(tl.float32)
            slope *= (slope > 0).to(tl.float32)
        total += slope
    tl.store(weights + n * channels + k, tl.sum(total, 0 if LAST else 1) / positions, mask=k < channels)


@triton.jit
def _map(a, weights, out, n, block, channels, positions, LAST: tl.constexpr, K: tl.constexpr, P: tl.constexpr):
    p = block * P + tl.arange(0, P)
    total = tl.zeros([P, K] if LAST else [K, P], tl.float32)
    for start in range(0, channels, K):
        k = start + tl.arange(0, K)
        weight = tl.load(weights + n * channels + k, mask=k < channels, other=0)
        total += _tile(a, n, channels, positions, k, p, LAST) * (weight[None, :] if LAST else weight[:, None])
    tl.store(out + n * positions + p, tl.sum(total, 1 if LAST else 0), mask=p < positions)


@triton.jit
def _one(a, g, weights, out, channels, positions, STEP: tl.constexpr, POSITIVE: tl.constexpr, LAST: tl.constexpr,
         K: tl.constexpr, P: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    blocks = tl.cdiv(channels, K) if STEP == 0 else tl.cdiv(positions, P)
    n, block = program // blocks, program % blocks
    if STEP == 0:
        _weights(a, g, weights, n, block, channels, positions, POSITIVE, LAST, K, P)
    else:
        _map(a, weights, out, n, block, channels, positions, LAST, K, P)


@triton.jit
def _many(layers, starts, weights, out, count, most, STEP: tl.constexpr, POSITIVE: tl.constexpr, LAST: tl.constexpr,
          KIND: tl.constexpr, COLUMNS: tl.constexpr, K: tl.constexpr, P: tl.constexpr):
    """Of `most` blocks for each picture of each layer those that the layer has."""
    program = tl.program_id(0).to(tl.int64)
    layer, n, block = program // (most * count), (program // most) % count, program % most
    row = layers + layer * COLUMNS
    a = tl.load(row).to(tl.pointer_type(KIND))
    g = tl.load(row + 1).to(tl.pointer_type(KIND))
    channels, positions = tl.load(row + 2), tl.load(row + 3)
    to = weights + tl.load(row + 4)
    if STEP == 0:
        if block * K < channels:
            _weights(a, g, to, n, block, channels, positions, POSITIVE, LAST, K, P)
    else:
        if block * P < positions:
            _map(a, to, out + tl.load(starts + layer), n, block, channels, positions, LAST, K, P)


def cam(activations: Tensor, gradients: Tensor, positive_gradients: bool = False) -> Tensor:
    """`reference.cam` but for the order of sums: to 1e-5 of Σₖ mean|gₖ| |Aₖ|."""
    pair = activations, gradients
    if not _alike(*pair) or not taken(activations.dtype != torch.float32):
        return reference.cam(*pair, positive_gradients)
    last, (a, g) = _ordered(*pair)
    n, channels, height, width = a.shape
    weights = torch.empty(n, channels, dtype=torch.float32, device=a.device)
    out = torch.empty(n, height, width, dtype=torch.float32, device=a.device)
    for step, (k, p) in enumerate((WEIGHTS_LAST, MAP_LAST) if last else (WEIGHTS, MAP)):
        blocks = triton.cdiv(height * width, p) if step else triton.cdiv(channels, k)
        launch(_one, n * blocks, a, a, g, weights, out, channels, height * width, STEP=step, POSITIVE=positive_gradients,
               LAST=last, K=k, P=p, enable_fp_fusion=True)
    return out


def cams(activations: Sequence[Tensor], gradients: Sequence[Tensor], positive_gradients: bool = False) -> list[Tensor]:
    """`reference.cams`, each as `cam`; the maps lie in one piece of memory."""
    pairs = list(zip(activations, gradients, strict=True))
    if not pairs or not all(_alike(*pair) for pair in pairs) or capturing(pairs[0][0].device) \
            or len({(len(a), a.device) for a, _ in pairs}) > 1:
        return reference.cams(activations, gradients, positive_gradients)
    results: list[Tensor | None] = [None] * len(pairs)
    groups: dict[tuple, list[tuple[int, Tensor, Tensor]]] = {}
    for i, (a, g) in enumerate(pairs):
        last, ordered = _ordered(a, g)
        groups.setdefault((a.dtype, last), []).append((i, *ordered))
    for (dtype, last), group in groups.items():
        for (i, a, _), heat in zip(group, _together(group, dtype, last, positive_gradients)):
            results[i] = heat.view(len(a), *a.shape[2:])
    return results


def _together(group: list[tuple[int, Tensor, Tensor]], dtype: torch.dtype, last: bool, positive: bool) -> list[Tensor]:
    first = group[0][1]
    count, rows, starts, channels, positions = len(first), [], [0], [], []
    for _, a, g in group:
        rows += [a.data_ptr(), g.data_ptr(), a.shape[1], a.shape[2] * a.shape[3], count * sum(channels)]
        channels.append(a.shape[1])
        positions.append(a.shape[2] * a.shape[3])
        starts.append(starts[-1] + count * positions[-1])
    layers, ends = (table(tuple(numbers), torch.int64, first.device) for numbers in (rows, starts))
    weights = torch.empty(count * sum(channels), dtype=torch.float32, device=first.device)
    out = torch.empty(starts[-1], dtype=torch.float32, device=first.device)
    for step, (k, p) in enumerate((WEIGHTS_LAST, MAP_LAST) if last else (WEIGHTS, MAP)):
        most = triton.cdiv(max(positions), p) if step else triton.cdiv(max(channels), k)
        launch(_many, len(group) * count * most, first, layers, ends, weights, out, count, most, STEP=step, POSITIVE=positive,
               LAST=last, KIND=KINDS[dtype], COLUMNS=COLUMNS, K=k, P=p, enable_fp_fusion=True)
    return list(out.split([b - a for a, b in zip(starts, starts[1:])]))


def _alike(a: Tensor, g: Tensor) -> bool:
    return fits(a, g, dtypes=FLOATS) and a.ndim == 4 and a.shape == g.shape and a.dtype == g.dtype


def _ordered(a: Tensor, g: Tensor) -> tuple[bool, tuple[Tensor, Tensor]]:
    """Whether channels lie last, and both in one of the two orders."""
    last = a.is_contiguous(memory_format=torch.channels_last) and not a.is_contiguous()
    order = torch.channels_last if last else torch.contiguous_format
    return last, (a.contiguous(memory_format=order), g.contiguous(memory_format=order))


REDUCTIONS = reference.REDUCTIONS | {"cam": cam, "cam_guided": lambda a, g: cam(a, g, positive_gradients=True)}
