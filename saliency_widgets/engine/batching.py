"""How many probes go into one batch: found on the work itself, by trying larger ones while they pay."""
from __future__ import annotations

import threading
from collections.abc import Hashable

import torch

START = 4      # measured: batches of 4 to 8 beat 1 and 50 almost everywhere on a CPU
LARGEST = 64
START_AWAY, LARGEST_AWAY = 8, 256  # a device other than the CPU is filled by larger ones only
LARGEST_CPU = 8  # more only takes memory, which the system gives page by page
GAIN = 0.95    # a larger batch must cost under this share per picture to be kept
PATIENCE = 0.2  # seconds: between batches a newer wish is heard, so a batch that takes longer is not doubled
TWICE = 2      # batches of a size before it is judged: the first one pays for allocation and thread start
AGAIN = 16     # batches after which the next smaller size is looked at once more: something else may have run back then
FULL = "out of memory", "can't allocate memory", "alloc_failed"  # the last as cuBLAS and cuDNN say it
NEVER_FITS = "out of memory with a single picture: use a smaller picture, another device, or free memory"


class BatchSizes:
    """Batch sizes by key (model, shape, device, kind of work), learnt from the time of real batches.

    No evaluation is spent on measuring: the next doubling is tried until it stops paying, or until a batch takes so long
    that a drag would feel it. A size is as good as its best batch, for the machine may have been busy with others.
    """

    def __init__(self):
        self._seconds: dict[Hashable, dict[int, float]] = {}  # the best time a picture, by size
        self._counts: dict[Hashable, dict[int, int]] = {}
        self._limit: dict[Hashable, int] = {}                 # what memory allows
        self._start: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def size(self, key: Hashable) -> int:
        """The size to use now."""
        with self._lock:
            return self._size(key)

    def _size(self, key: Hashable) -> int:
        times, counts, limit = self._seconds.get(key, {}), self._counts.get(key, {}), self._limit.get(key, LARGEST)
        size = min(self._start.get(key, START), limit)
        while counts.get(size, 0) >= TWICE and size * 2 <= limit and size * times[size] <= PATIENCE:
            larger = size * 2
            if counts.get(larger, 0) >= TWICE and times[larger] > GAIN * times[size]:
                break
            size = larger
        # Every now and then the next smaller one, whose times may be those of a busy machine.
        turn = sum(counts.values())
        return size // 2 if turn and turn % AGAIN == 0 and size // 2 in counts else size

    def on(self, key: Hashable, kind: str) -> None:
        """Say where this work runs: "cpu" or another kind of device; what memory allows stays as it was found."""
        with self._lock:
            if kind == "cpu":
                self._limit.setdefault(key, LARGEST_CPU)
            else:
                self._limit.setdefault(key, LARGEST_AWAY)
                self._start.setdefault(key, START_AWAY)

    def seconds(self, key: Hashable) -> float | None:
        """Measured seconds a picture at the best size, or None before the first batch."""
        with self._lock:
            times = self._seconds.get(key)
            return min(times.values()) if times else None

    def measured(self, key: Hashable, size: int, seconds: float) -> None:
        """Learn from a batch of `size` that took `seconds`."""
        with self._lock:
            times, counts = self._seconds.setdefault(key, {}), self._counts.setdefault(key, {})
            times[size] = min(times.get(size, float("inf")), seconds / size)
            counts[size] = counts.get(size, 0) + 1

    def too_large(self, key: Hashable, size: int) -> int:
        """Halve after running out of memory; returns the new size, ValueError when even one picture does not fit."""
        if size <= 1:
            raise ValueError(NEVER_FITS)
        with self._lock:
            self._limit[key] = size // 2
            return size // 2


SIZES = BatchSizes()


def out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out here or, since the model's own errors are chained, below."""
    while error is not None:
        text = str(error).lower()
        if isinstance(error, torch.OutOfMemoryError) or any(word in text for word in FULL):
            return True
        error = error.__cause__
    return False
