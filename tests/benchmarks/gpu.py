"""What a hand waits for on a device: latencies of a drag, at batch one, the peers on the same device, and the kernels.

    python -m tests.benchmarks.gpu                          resnet50, vgg16, efficientnet_b0, vit_b_16 on "cuda"
    python -m tests.benchmarks.gpu resnet50 --device cuda:1
    python -m tests.benchmarks.gpu --no-peers               the latencies alone
    python -m tests.benchmarks.gpu --device cpu --quick     a tiny network, to try the code out

Medians and 95th percentiles by CUDA events (a clock elsewhere), into build/bench-gpu.md.
"""
from __future__ import annotations

import argparse
import contextlib
import gc
import io
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .cases import GRID, Case, forget
from .compare import compare
from .measure import Patience
from .record import FOLDER
from .report import agreement, ratio, seconds
from .suite import WORKS

NETWORKS = ("resnet50", "vgg16", "efficientnet_b0", "vit_b_16")
ROUNDS, WARM = 50, 6  # batch sizes and recordings settle while warming up
STEPS, COPIES = 64, 50
# Milliseconds to aim for with resnet50 at 224 × 224 on an H200.
TARGETS = {"another α window": 1.0, "one edited region": 3.0, "gradient": 3.0, "Grad-CAM of all layers": 4.0,
           "Integrated Gradients, 64 steps": 40.0, "leave-one-out, 14 × 14": 40.0}
PEERS = ("gradient", "integrated_gradients", "alpha_window", "smoothgrad", "grad_cam_layers", "leave_one_out", "occlusion")
SPEND = 10.0  # seconds for the rounds of one comparison


@dataclass(frozen=True)
class Drag:
    """One thing that a hand does again and again: `before(turn)` is not timed, `run(turn)` is."""

    name: str
    run: Callable[[int], Any]
    before: Callable[[int], Any] = lambda turn: None
    slow: bool = False  # a whole map: fewer rounds


@dataclass(frozen=True)
class Latency:
    """Milliseconds of the rounds, and pictures that went through the network in the last one."""

    name: str
    milliseconds: tuple[float, ...]
    forward: int
    backward: int

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def high(self) -> float:
        """The 95th percentile."""
        return float(np.percentile(self.milliseconds, 95))


def drags(case: Case) -> Iterator[Drag]:
    """What is timed on a network; what has no positions leaves the CAMs out."""
    session = case.session

    def path(turn: int) -> None:
        session.map("integrated_gradients", steps=STEPS)

    def window(turn: int) -> Any:
        low = turn % (STEPS // 2)
        return session.map("integrated_gradients", steps=STEPS, alpha=(low / STEPS, (low + STEPS // 2) / STEPS))

    def scale(turn: int) -> Any:
        return session.map("blur_ig", steps=STEPS, sigma=(0.0, 10.0 + turn % 40))

    def whole(turn: int) -> None:
        session.map("leave_one_out", grid=GRID)

    yield Drag("another α window", window, path)
    yield Drag("another blur scale", scale, lambda turn: session.map("blur_ig", steps=STEPS))
    yield Drag("another class", lambda turn: session.map("gradient", target=(turn + 1) % session.logits.size),
               lambda turn: (forget(), session.map("gradient", target=turn % session.logits.size)))
    yield Drag("one edited region", lambda turn: session.map("leave_one_out", regions=edited(case, turn)), whole)
    yield Drag("gradient", lambda turn: session.map("gradient"), lambda turn: forget())
    if session.default_layer is not None:
        layers = [layer.name for layer in session.cam_layers]
        yield Drag("another layer", lambda turn: session.map("grad_cam", layer=layers[turn % len(layers)]),
                   lambda turn: session.map("grad_cam"))
        yield Drag("Grad-CAM of all layers", lambda turn: session.map("grad_cam"), lambda turn: forget())
    yield Drag("Integrated Gradients, 64 steps", path, lambda turn: forget(), slow=True)
    yield Drag(f"SmoothGrad, {COPIES} copies", lambda turn: session.map("smoothgrad", n=COPIES), lambda turn: forget(), slow=True)
    yield Drag("leave-one-out, 14 × 14", whole, lambda turn: forget(), slow=True)


def edited(case: Case, turn: int) -> np.ndarray:
    """The grid after an edit that no other of the first 180 turns makes: a cell takes a strip from its right neighbour."""
    cell = turn * 11 % (GRID * GRID)
    last = cell % GRID == GRID - 1  # of its row, without a neighbour: the one before takes a broader strip
    cell, labels = cell - last, case.labels.copy()
    rows, columns = np.nonzero(labels == cell)
    width = 1 + last + turn // (GRID * GRID)
    labels[rows.min():rows.max() + 1, columns.max() + 1:columns.max() + 1 + width] = cell
    return labels


def timed(device: torch.device, work: Callable[[], Any]) -> float:
    """Milliseconds that a piece of work takes, from its asking until the device is done."""
    if device.type != "cuda":
        started = time.perf_counter()
        work()
        return 1000 * (time.perf_counter() - started)
    stream = torch.cuda.current_stream(device)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record(stream)
    work()
    end.record(stream)
    end.synchronize()
    return begin.elapsed_time(end)


def latency(case: Case, drag: Drag, rounds: int, warm: int) -> Latency:
    """Do it again and again."""
    found = []
    if drag.slow:
        rounds = max(3, rounds // 5)
    for turn in range(warm + rounds):
        drag.before(turn)
        case.settle()
        case.session.stats.reset()
        taken = timed(case.device, lambda turn=turn: drag.run(turn))
        if turn >= warm:
            found.append(taken)
    stats = case.session.stats
    return Latency(drag.name, tuple(found), stats.forward_samples, stats.backward_samples)


def missing(device: str) -> str:
    """Why a device cannot be measured, or nothing."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        return (f"no benchmark of {device!r}: torch finds no CUDA device here (it needs an NVIDIA GPU, its driver, and a torch "
                f"built for CUDA; this one is {torch.__version__})")
    return ""


def told(name: str, case: Case, found: Sequence[Latency]) -> list[str]:
    """A network's table."""
    notes = "; ".join(case.session.notes) or "none"
    lines = [f"## {name}, {case.size[0]} × {case.size[1]}, batch one", "",
             f"Kernels: {case.session.backend_name}. Batches replayed as CUDA graphs: {case.session.subject.graphs.count}. "
             f"Notes: {notes}.", "",
             "| | median | 95 % | pictures forward / backward | to aim for |", "| --- | ---: | ---: | ---: | ---: |"]
    for each in found:
        aim = f"{TARGETS[each.name]:g} ms" if name == "resnet50" and each.name in TARGETS else ""
        lines.append(f"| {each.name} | {each.median:.2f} ms | {each.high:.2f} ms | {each.forward} / {each.backward} | {aim} |")
    return [*lines, ""]


def beside(case: Case, works: Sequence[str], patience: Patience) -> list[str]:
    """The peers' table: the same maps, on the same device."""
    lines = ["| | ours | peer | | ratio | cosine |", "| --- | ---: | --- | ---: | ---: | ---: |"]
    for work in works:
        if work == "grad_cam_layers" and case.session.default_layer is None:
            continue
        try:
            rows = compare(case, WORKS[work], patience)
        except Exception as error:  # a comparison that fails is told, and the others go on
            lines.append(f"| {work} | | failed: {type(error).__name__}: {str(error)[:80]} | | | |")
            continue
        for row in rows:
            for peer, facts in row["others"].items():
                if "ratio" not in facts:
                    lines.append(f"| {row['title']} | {seconds(row['ours']['median'])} | {peer}: {facts['skipped']} | | | |")
                    continue
                lines.append(f"| {row['title']} | {seconds(row['ours']['median'])} | {peer} | {seconds(facts['median'])} | "
                             f"{ratio(facts['ratio'])} | {agreement(facts)} |")
    return [*lines, ""]


def head(device: torch.device) -> list[str]:
    """What was measured on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    precision = (f"TF32 in convolutions: {torch.backends.cudnn.allow_tf32}, in matrix products: "
                 f"{torch.backends.cuda.matmul.allow_tf32}")
    return ["# On a device", "", f"{name}, torch {torch.__version__}, float32. {precision}.", ""]


def kernels(device: torch.device) -> list[str]:
    """The table of the kernels' own benchmark."""
    from . import gpu_kernels

    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        gpu_kernels.main(["--device", str(device)])
    return ["## Kernels", "", written.getvalue()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write build/bench-gpu.md."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=None)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="a tiny network, a few rounds, one comparison")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    asked = parser.parse_args(arguments)
    if words := missing(asked.device):
        print(words)
        return 0
    warnings.filterwarnings("ignore", module=r"captum|shap|saliency|pytorch_grad_cam|torch\.nn\.modules")
    device = torch.device(asked.device)
    networks = asked.networks or (("small",) if asked.quick else NETWORKS)
    rounds, warm, works = (3, 1, PEERS[:1]) if asked.quick else (asked.rounds, WARM, PEERS)
    patience = Patience(0.0, float("inf")) if asked.quick else Patience(SPEND)
    asked.folder.mkdir(parents=True, exist_ok=True)
    lines = head(device)
    print("\n".join(lines))
    for name in networks:
        gc.collect()
        case = Case(name, 32 if asked.quick else 224, device)
        found = [latency(case, drag, rounds, warm) for drag in drags(case)]
        part = told(name, case, found) + (beside(case, works, patience) if asked.peers else [])
        print("\n".join(part), flush=True)
        lines += part
        (asked.folder / "bench-gpu.md").write_text("\n".join(lines))  # after each: a run that is cut short keeps what it has
    if device.type == "cuda":
        part = kernels(device)
        print("\n".join(part))
        (asked.folder / "bench-gpu.md").write_text("\n".join([*lines, *part]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
