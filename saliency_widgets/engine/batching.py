"""How many probes go into one batch: found on the work itself, by trying larger ones while they pay."""
from __future__ import annotations

import threading
from collections.abc import Hashable

START = 4      # measured: batches of 4 to 8 beat 1 and 50 almost everywhere on a CPU
LARGEST = 64
GAIN = 0.95    # a larger batch must cost under this share per picture to be kept
PATIENCE = 0.2  # seconds: between batches a newer wish is heard, so a batch that takes longer is not doubled


class BatchSizes:
    """Batch sizes by key (model, shape, device, kind of work), learnt from the time of real batches.

    No evaluation is spent on measuring: after a full batch the next doubling is tried until it stops paying, or until
    a batch takes so long that a drag would feel it.
    """

    def __init__(self):
        self._best: dict[Hashable, int] = {}
        self._seconds: dict[Hashable, dict[int, float]] = {}
        self._settled: set[Hashable] = set()
        self._lock = threading.Lock()

    def size(self, key: Hashable) -> int:
        """The size to use now."""
        with self._lock:
            return self._best.get(key, START)

    def seconds(self, key: Hashable) -> float | None:
        """Measured seconds a picture at the best size, or None before the first batch."""
        with self._lock:
            times = self._seconds.get(key)
            return min(times.values()) if times else None

    def measured(self, key: Hashable, size: int, seconds: float) -> None:
        """Learn from a batch of `size` that took `seconds`."""
        with self._lock:
            times = self._seconds.setdefault(key, {})
            each = seconds / size
            # The first call pays for allocation and thread start, so a size's best time counts.
            times[size] = min(times.get(size, each), each)
            best = self._best.get(key, START)
            if key in self._settled or size != best:
                return
            smaller = times.get(best // 2)
            if smaller is not None and times[best] > GAIN * smaller:
                self._best[key] = best // 2
                self._settled.add(key)
            elif best * 2 <= LARGEST and seconds <= PATIENCE:
                self._best[key] = best * 2
            else:
                self._settled.add(key)

    def too_large(self, key: Hashable, size: int) -> int:
        """Halve after running out of memory; returns the new size, ValueError when even one picture does not fit."""
        if size <= 1:
            raise ValueError("out of memory with a single picture: use a smaller picture, another device, or free memory")
        with self._lock:
            self._best[key] = size // 2
            self._settled.add(key)
            return size // 2


SIZES = BatchSizes()
