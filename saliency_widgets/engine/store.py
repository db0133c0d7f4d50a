"""What was evaluated: one store per process, with a byte budget, forgetting the least recently used first."""
from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Any

import torch


class Store:
    """Keep evaluations by name up to `budget` bytes; values are never changed, only forgotten.

    An item larger than the whole budget is not kept. Thread-safe.
    """

    def __init__(self, budget: int | None = None):
        self._budget = budget
        self._items: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()  # with the bytes counted for each
        self._lock = threading.Lock()
        self._gone: deque[Hashable] = deque()
        self.nbytes = 0

    @property
    def budget(self) -> int:
        """Bytes it may hold: a quarter of the free device memory, or 1 GiB on a CPU, unless set."""
        if self._budget is None:
            self._budget = torch.cuda.mem_get_info()[0] // 4 if torch.cuda.is_available() else 1 << 30
        return self._budget

    @budget.setter
    def budget(self, value: int) -> None:
        with self._lock:
            self._budget = int(value)
            self._shrink()

    def get(self, key: Hashable) -> Any | None:
        """The kept value, or None."""
        with self._lock:
            self._sweep()
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][0]

    def put(self, key: Hashable, value: Any) -> None:
        """Keep `value` (anything with `nbytes`) under `key`; put it again where it has grown."""
        with self._lock:
            self._sweep()
            self._drop(key)
            nbytes = value.nbytes
            if nbytes > self.budget:
                return
            self._items[key] = value, nbytes
            self.nbytes += nbytes
            self._shrink()

    def _drop(self, key: Hashable) -> None:
        self.nbytes -= self._items.pop(key, (None, 0))[1]

    def forget(self, prefix: Hashable) -> None:
        """Drop everything whose key starts with `prefix` (a model that is gone)."""
        # The garbage collector may call this for a dead model in the middle of `put`, on the thread that holds the lock:
        # so it never waits, and whoever holds the lock sweeps at the next call.
        self._gone.append(prefix)
        if self._lock.acquire(blocking=False):
            try:
                self._sweep()
            finally:
                self._lock.release()

    def _sweep(self) -> None:
        while self._gone:
            prefix = self._gone.popleft()
            for key in [k for k in self._items if k[0] == prefix]:
                self._drop(key)

    def __len__(self) -> int:
        return len(self._items)

    def _shrink(self) -> None:
        while self.nbytes > self.budget and self._items:
            self._drop(next(iter(self._items)))


STORE = Store()
