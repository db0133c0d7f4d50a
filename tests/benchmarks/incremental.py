"""Masked forwards: ours beside full forwards and captum's Occlusion, as ratios of interleaved medians.

    python -m tests.benchmarks.incremental                          the six networks and the imagenet demo
    python -m tests.benchmarks.incremental resnet18 --work occlusion --rounds 7 --clock cpu

Everything runs in one process, one after the other in each round; a ratio is the other's median over ours. `--clock cpu`
counts the processor time of one thread: steadier on a machine that others use. Captum makes the whole map; full forwards
are timed on a share of the pictures, and count in proportion.
"""
from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

import saliency_widgets as sw
from saliency_widgets import regions as R
from saliency_widgets.engine.incremental import Incremental, Regions
from saliency_widgets.model.folded import folded
from tests.networks import calibrated

NETWORKS = ("squeezenet1_0", "vgg16", "mobilenet_v2", "resnet18", "resnet50", "densenet121", "imagenet")
WORK = ("occlusion", "leave_one_out", "superpixels", "one_region")
BATCHES = (1, 4, 8, 16)
SHARE = 24  # pictures of full forwards that are timed at each batch size


def network(name: str) -> tuple[torch.nn.Module, Tensor]:
    """A network in float32 and a picture `(1, 3, 224, 224)`."""
    if name == "imagenet":
        model, picture, _ = sw.demo("imagenet")
        return model, sw.Session(model, picture).picture.x.float()
    model, x, _ = calibrated(name, dtype=torch.float32)
    return model, x


def cut(work: str) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Labels `(224, 224)` and the sets of regions that are left out."""
    if work == "occlusion":
        return R.cells((224, 224), R.windows((224, 224), (32, 32), (16, 16))[0])
    if work == "superpixels":
        from saliency_widgets.demo.imagenet import cat
        labels = R.segment(np.asarray(cat()), "slic")
        return labels, [(r,) for r in range(int(labels.max()) + 1)]
    labels = R.grid((224, 224), 14, 14)
    return labels, [(90,)] if work == "one_region" else [(r,) for r in range(196)]


def ways(model: torch.nn.Module, x: Tensor, work: str, captum: bool, batches: tuple[int, ...] = BATCHES) -> tuple[
        dict[str, tuple[Callable, float]], str]:
    """What is timed: name to (call, how often it goes into the whole), and what the plan says."""
    labels, sets = cut(work)
    names, fill = torch.from_numpy(labels.astype(np.int64)), torch.zeros_like(x[0])
    fast, _ = folded(model, x)
    engine = Incremental(fast, x[0])
    change = Regions(x[0], fill, names, sets)
    chosen = torch.zeros(min(len(sets), SHARE), int(labels.max()) + 1, dtype=torch.bool)
    for row in range(len(chosen)):
        chosen[row, list(sets[row])] = True
    pictures = torch.where(chosen[:, names][:, None], fill, x)
    times = len(sets) / len(pictures)
    made = {"ours": (lambda: engine.logits(Regions(x[0], fill, names, sets)), 1.0)}
    for size in batches:
        if size <= len(pictures):
            made[f"folded, {size}"] = (lambda size=size: [fast(part) for part in pictures.split(size)], times)
            made[f"plain, {size}"] = (lambda size=size: [model(part) for part in pictures.split(size)], times)
    if captum and work == "occlusion":
        from captum.attr import Occlusion
        target = int(model(x)[0].argmax())
        for size in batches:
            made[f"captum, {size}"] = (lambda size=size: Occlusion(model).attribute(
                x, target=target, sliding_window_shapes=(3, 32, 32), strides=(3, 16, 16), baselines=0,
                perturbations_per_eval=size), 1.0)
    return made, str(engine.plan(change.boxes).estimate)


def measured(calls: dict[str, tuple[Callable, float]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median seconds of each, interleaved."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, (call, times) in calls.items():
            started = clock()
            call()
            if turn or name.startswith("captum"):  # the first turn warms up; captum's is long enough to count
                seconds[name].append((clock() - started) * times)
    return {name: statistics.median(each) for name, each in seconds.items()}


def main() -> None:
    """Print a row for each network and piece of work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--work", nargs="+", choices=WORK, default=WORK)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--no-captum", action="store_true")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    chosen = parser.parse_args()
    if chosen.clock == "cpu":
        torch.set_num_threads(1)
    clock = time.thread_time if chosen.clock == "cpu" else time.perf_counter
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; ratios: the other's median over ours")
    print(f"{'network':<14} {'work':<14} {'ours s':>7}  {'folded':>14} {'plain':>14} {'captum':>14}  plan")
    with torch.no_grad():
        for name in chosen.networks:
            with torch.enable_grad():
                model, x = network(name)
            for work in chosen.work:
                calls, plan = ways(model, x, work, not chosen.no_captum, tuple(chosen.batches))
                seconds = measured(calls, chosen.rounds, clock)
                cells = []
                for other in ("folded", "plain", "captum"):
                    best = min(((s, n) for n, s in seconds.items() if n.startswith(other)), default=None)
                    cells.append(f"{best[0] / seconds['ours']:.2f}× ({best[1].split()[-1]})" if best else "")
                print(f"{name:<14} {work:<14} {seconds['ours']:7.2f}  {cells[0]:>14} {cells[1]:>14} {cells[2]:>14}  {plan}",
                      flush=True)


if __name__ == "__main__":
    main()
