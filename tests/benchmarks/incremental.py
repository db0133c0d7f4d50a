"""Masked forwards: ours beside full forwards and captum's Occlusion, as ratios of interleaved medians.

    python -m tests.benchmarks.incremental                          the six networks and the imagenet demo
    python -m tests.benchmarks.incremental resnet18 --work occlusion --rounds 7 --clock cpu

A quick look while the engine is tuned; nothing is kept. Everything runs in one process, one after the other in each round; a
ratio is the other's median over ours. `--clock cpu` counts the processor time of one thread: steadier on a machine that
others use. Captum makes the whole map; full forwards are timed on a share of the pictures, and count in proportion.
"""
from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from saliency_widgets.model.folded import folded

from .cases import NETWORKS, Case
from .masked import BATCHES, WORK, Masked, cut
from .peers import captum_occlusion

Calls = dict[str, tuple[Callable, float]]


def ways(case: Case, masked: Masked, captum: bool, batches: tuple[int, ...] = BATCHES) -> Calls:
    """What is timed: name to (call, how often it goes into the whole)."""
    times = len(masked.sets) / len(masked.pictures)
    made: Calls = {"ours": (masked.ours, 1.0)}
    for size in batches:
        if size <= len(masked.pictures):
            made[f"folded, {size}"] = partial(masked.full, size), times
            made[f"plain, {size}"] = partial(masked.full, size, case.model), times
        if captum:
            made[f"captum, {size}"] = partial(captum_occlusion, case, size, "", 0), 1.0
    return made


def measured(calls: Calls, rounds: int, clock: Callable[[], float]) -> dict[str, float]:
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
    parser.add_argument("--work", nargs="+", choices=list(WORK), default=list(WORK))
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
    for name in chosen.networks:
        case = Case(name)
        fast, reason = folded(case.model, case.x)
        if fast is None:
            raise SystemExit(f"there is no fast copy of {name}: {reason}")
        for work in chosen.work:
            masked = Masked(fast, case.x, *cut(work))
            calls = ways(case, masked, work == "occlusion" and not chosen.no_captum, tuple(chosen.batches))
            seconds = measured(calls, chosen.rounds, clock)
            cells = []
            for other in ("folded", "plain", "captum"):
                best = min(((s, n) for n, s in seconds.items() if n.startswith(other)), default=None)
                cells.append(f"{best[0] / seconds['ours']:.2f}× ({best[1].split()[-1]})" if best else "")
            print(f"{name:<14} {work:<14} {seconds['ours']:7.2f}  {cells[0]:>14} {cells[1]:>14} {cells[2]:>14}  "
                  f"{masked.estimate}", flush=True)


if __name__ == "__main__":
    main()
