"""Time and memory: contenders one after the other in rounds, medians, and the peak of what the process held."""
from __future__ import annotations

import ctypes
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

MIB = 1 << 20
LEAST, MOST = 3, 7  # rounds


@dataclass
class Contender:
    """One of those that do the same work; `run(turn)` is timed and gives a map, `before(turn)` and `after(turn)` are not.

    `settle()` waits for a device and is timed with it. One that runs `once` sits out all rounds but the first.
    """

    name: str
    run: Callable[[int], Any]
    before: Callable[[int], None] = lambda turn: None
    after: Callable[[int], None] = lambda turn: None
    settle: Callable[[], None] = lambda: None
    once: bool = False
    seconds: list[float] = field(default_factory=list)
    peak: float | None = None
    results: dict[int, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Median seconds of its rounds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Patience:
    """How long to measure: 3 to 7 rounds in about `spend` seconds.

    With a `deadline` (of `time.monotonic`) one round has to do where it takes longer than that, or the deadline is near.
    """

    spend: float = 60.0
    deadline: float | None = None

    def goes_on(self, rounds: int, taken: float, each: float) -> bool:
        """Whether another round is worth it after `rounds` that took `taken` seconds, if it takes `each`."""
        if self.deadline is not None and rounds and (each > self.spend or time.monotonic() + each > self.deadline):
            return False
        return rounds < LEAST or (rounds < MOST and taken + each < self.spend)


def interleave(contenders: Sequence[Contender], patience: Patience) -> None:
    """Let every contender run once a round; the first round also measures each one's peak."""
    rounds, taken, each = 0, 0.0, 0.0
    while patience.goes_on(rounds, taken, each):
        started = time.monotonic()
        gc.collect()
        for contender in contenders:
            if rounds and contender.once:
                continue
            contender.before(rounds)
            with nullcontext() if rounds else peak() as memory:
                begun = time.perf_counter()
                contender.results[rounds] = contender.run(rounds)
                contender.settle()
                contender.seconds.append(time.perf_counter() - begun)
            if memory is not None:
                contender.peak = memory.mib
            contender.after(rounds)
        each = time.monotonic() - started - (0 if rounds else sum(c.seconds[0] for c in contenders if c.once))
        rounds, taken = rounds + 1, taken + each


def told(contender: Contender) -> dict[str, Any]:
    """What is kept of a contender."""
    return {"seconds": contender.seconds, "median": contender.median, "rounds": len(contender.seconds), "peak": contender.peak}


@dataclass
class Memory:
    """What a piece of work added to the process's memory at its peak; None where that cannot be known."""

    mib: float | None = None


@contextmanager
def peak() -> Iterator[Memory]:
    """Measure what the work inside adds at its peak, after unused blocks have gone back to the system."""
    memory = Memory()
    _trim()
    before = _status("VmRSS") if _reset_peak() else None
    yield memory
    if before is not None:
        memory.mib = round((_status("VmHWM") - before) / MIB, 1)


def _trim() -> None:
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _reset_peak() -> bool:
    """Set the kernel's high-water mark to what is held now; False where it cannot be."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return True
    except OSError:
        return False


def _status(word: str) -> float:
    """Bytes that a line of /proc/self/status names."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(word + ":"):
            return float(line.split()[1]) * 1024
    raise LookupError(f"no {word} in /proc/self/status")


def available() -> float:
    """Bytes that can still be had, infinite where that cannot be known."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    return float("inf")


def array(values: Any) -> np.ndarray:
    """Numbers from wherever they are."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def cosine(a: Any, b: Any) -> float:
    """Of two maps of one shape: 1 where they are the same up to a factor."""
    a, b = (array(m).astype(np.float64).ravel() for m in (a, b))
    if a.shape != b.shape:
        raise ValueError(f"maps of {a.size} and {b.size} values cannot be compared")
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / lengths) if lengths else float(not a.any() and not b.any())
