"""Each of Triton's kernels beside torch's own operations on a CUDA device: bytes moved, and how fast against a plain copy.

    python -m tests.benchmarks.gpu_kernels                  the table, as markdown
    python -m tests.benchmarks.gpu_kernels blur cam         only what has one of these words in its name

Bytes are those that have to cross the memory at least: what goes in once and what comes out once. Times are the device's, by CUDA
events, each round with a cache that was overwritten; while that goes on the host has time to start the work, so that waiting for
Python is in them only where the host takes longer than that (many launches); its own time stands in a column. The roofline is the
bandwidth that a copy of a quarter of a gigabyte reaches.
A kernel is worth keeping where it is faster than torch, or saves memory or launches; that is for whoever reads the table.
"""
from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saliency_widgets import kernels
from saliency_widgets.kernels import reference

ROUNDS, WARM = 100, 10
FLUSH = 1 << 29  # bytes written between rounds: several times any cache
RESNET50 = [(64, 112), *[(64, 56)] * 6, *[(256, 56)] * 4, *[(128, 28)] * 8, *[(512, 28)] * 5, *[(256, 14)] * 12,
            *[(1024, 14)] * 7, *[(512, 7)] * 6, *[(2048, 7)] * 4]  # about its activations at 224 × 224: channels, side


@dataclass(frozen=True)
class Work:
    """One thing that both ways do: `call(backend)` with a backend's functions, and the bytes that have to move."""

    name: str
    bytes: int
    call: Callable[[Any], Any]


@dataclass(frozen=True)
class Times:
    """Milliseconds of the device, each round's, and the host's median to start the work."""

    device: tuple[float, ...]
    host: float

    @property
    def median(self) -> float:
        return statistics.median(self.device)

    @property
    def p95(self) -> float:
        return float(np.percentile(self.device, 95))


def works(device: torch.device, side: int = 224, count: int = 64,
          layers: Sequence[tuple[int, int]] = tuple(RESNET50)) -> Iterator[Work]:
    """What sessions ask of the kernels, on pictures of 3 × side × side, `count` points and `layers` (channels, side)."""
    generator = torch.Generator(device).manual_seed(0)
    drawn = lambda *shape: torch.randn(shape, generator=generator, device=device)
    image, fill = drawn(3, side, side), drawn(3, side, side)
    picture = image.numel() * 4
    alphas = torch.linspace(0, 1, count, device=device)
    labels = (torch.arange(side, device=device) * 14 // side)[:, None] * 14 + torch.arange(side, device=device) * 14 // side
    sets = torch.eye(196, dtype=torch.bool, device=device)[:count]
    frames, weights = [drawn(3, side, side) for _ in range(count)], [1 / count] * count
    for last in (False, True):
        order = ", channels last" if last else ""
        yield Work(f"{count} path points{order}", (count + 2) * picture, lambda k, last=last: k.lerp(fill, image, alphas, last))
        yield Work(f"{count} masked copies{order}", (count + 2) * picture + labels.numel() * 8,
                   lambda k, last=last: k.without_regions(image, fill, labels, sets, last))
    half, half_fill, half_alphas = image.bfloat16(), fill.bfloat16(), alphas.bfloat16()
    yield Work(f"{count} path points, bf16, channels last", (count + 2) * picture // 2,
               lambda k: k.lerp(half_fill, half, half_alphas, True))
    yield Work("a draw of normal noise", picture, lambda k: k.normal(0, 1, tuple(image.shape), torch.float32, device))
    yield Work("8 noisy copies, channels last", 9 * picture, lambda k: k.noisy(image, 0.3, 0, range(8), True))
    for widest in (3.0, 50.0):
        sigmas = [widest * (i / 7) ** 2 for i in range(8)]
        yield Work(f"8 blurs up to σ = {widest:g}", 25 * picture, lambda k, sigmas=sigmas: k.gaussian_blurs(image, sigmas))
    yield Work(f"weighted sum of {count} gradients × change", (count + 2) * picture,
               lambda k: k.weighted_sum(frames, weights, image))
    yield Work(f"the same, channels summed up: {count} → a map", (count + 1) * picture + picture // 3,
               lambda k: k.weighted_sum(frames, weights, image, "sum"))
    yield Work(f"slopes of {count} gradients", (count + 1) * picture, lambda k: k.slopes(frames, image))
    yield Work(f"integrals along {count} gradients", 2 * count * picture,
               lambda k: k.prefix_sums(frames, [i / (count - 1) for i in range(count)]))
    yield from _layers(drawn, layers)
    yield from _shown(drawn, device, side)


def _layers(drawn: Callable[..., Tensor], layers: Sequence[tuple[int, int]]) -> Iterator[Work]:
    for name, change in (("", lambda t: t), (", channels last", lambda t: t.contiguous(memory_format=torch.channels_last)),
                         (", bf16", lambda t: t.bfloat16())):
        activations, gradients = ([change(drawn(1, channels, size, size)) for channels, size in layers] for _ in range(2))
        moved = sum(2 * a.numel() * a.element_size() + 4 * a.shape[2] * a.shape[3] for a in activations)
        yield Work(f"Grad-CAM of {len(layers)} layers{name}", moved,
                   lambda k, a=activations, g=gradients: k.cams(a, g))
        a, g = activations[-1], gradients[-1]
        yield Work(f"Grad-CAM of the last layer{name}", 2 * a.numel() * a.element_size(), lambda k, a=a, g=g: k.cam(a, g))
    channels, size = layers[len(layers) // 3]
    box = max(1, size // 2)
    value = drawn(1, channels, size, size).contiguous(memory_format=torch.channels_last)
    d = drawn(16, channels, box, box).contiguous(memory_format=torch.channels_last)
    table = value[0].permute(1, 2, 0).reshape(-1, channels).contiguous()
    index = torch.arange(16 * box * box, device=d.device) % len(table)
    corner = torch.arange(16, device=d.device) % (size - box + 1)
    moved = 2 * d.numel() * 4 + min(table.numel(), d.numel()) * 4 + 8 * len(index)
    for word in ("relu", "silu"):
        yield Work(f"d ← {word}(z + d) − {word}(z) of 16 patches", moved,
                   lambda k, word=word: k.activation_delta(d, table, index, word))
    yield Work("16 patches pasted into whole maps", (16 * value.numel() + value.numel() + d.numel()) * 4,
               lambda k: k.pasted(value, d, corner, corner))


def _shown(drawn: Callable[..., Tensor], device: torch.device, side: int) -> Iterator[Work]:
    for count in (1, 16):
        maps = drawn(count, side, side)
        limits = reference.tone_limits(maps, 992)
        yield Work(f"ends of the colours of {count} maps", maps.numel() * 4, lambda k, maps=maps: k.tone_limits(maps, 992))
        yield Work(f"{count} maps to u2", maps.numel() * 6, lambda k, maps=maps, limits=limits: k.tones(maps, limits))


def difference(own: Any, wanted: Any) -> float:
    """The largest difference between results, as a share of the largest value."""
    if isinstance(own, list):
        return max(map(difference, own, wanted))
    own, wanted = own.double(), wanted.double()
    return float((own - wanted).abs().max()) / (float(wanted.abs().max()) or 1.0)


def times(run: Callable[[], Any], flush: Tensor, rounds: int) -> Times:
    """Time work on the device, each round behind a write that empties the cache and gives the host a head start."""
    for _ in range(WARM):
        run()
    device, host = [], []
    for _ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        flush.zero_()
        start.record()
        begun = time.perf_counter()
        run()
        host.append(1000 * (time.perf_counter() - begun))
        end.record()
        end.synchronize()
        device.append(start.elapsed_time(end))
    return Times(tuple(device), statistics.median(host))


def copy_bandwidth(flush: Tensor, rounds: int) -> float:
    """Bytes a second that a copy reads and writes."""
    half = flush.numel() // 2
    measured = times(lambda: flush[:half].copy_(flush[half:]), flush, rounds)
    return 2 * half * flush.element_size() / (measured.median / 1000)


def row(work: Work, own: Times, torchs: Times, copy: float, apart: float) -> str:
    """One line of the table."""
    speed = work.bytes / (own.median / 1000)
    return (f"| {work.name} | {work.bytes / 1e6:.1f} | {own.median:.3f} ({own.p95:.3f}) | {speed / 1e9:.0f} | {speed / copy:.0%} "
            f"| {torchs.median:.3f} ({torchs.p95:.3f}) | {torchs.median / own.median:.2f} | {own.host:.3f} / {torchs.host:.3f} "
            f"| {apart:.0e} |")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table for the device that is there, or say that there is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only kernels with one of these words in their names")
    parser.add_argument("--device", default="cuda", help='such as "cuda:1"')
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("no CUDA device: Triton's kernels cannot be timed here")
        return
    device = torch.device(given.device)
    _, own = kernels.choose("triton", device)
    from saliency_widgets.kernels.triton import launch
    launch.take_every(True)  # those of which no gain is expected are what is to be measured
    flush = torch.empty(FLUSH // 4, device=device)
    with torch.cuda.device(device), torch.no_grad():
        copy = copy_bandwidth(flush, given.rounds)
        print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}: a copy reaches {copy / 1e9:.0f} GB/s; "
              f"medians of {given.rounds} rounds (95th percentile)\n")
        print("| kernel | MB | own, ms | GB/s | of a copy | torch, ms | torch / own | host, ms: own / torch | apart |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        for work in works(device):
            if given.words and not any(word in work.name for word in given.words):
                continue
            apart = difference(work.call(own), work.call(reference))
            print(row(work, times(lambda work=work: work.call(own), flush, given.rounds),
                      times(lambda work=work: work.call(reference), flush, given.rounds), copy, apart), flush=True)


if __name__ == "__main__":
    main()
