"""What was evaluated: one store per process, with a byte budget, forgetting the least recently used first."""
from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Hashable
from typing import Any

import torch

from .devices import lent

CPU = torch.device("cpu")


class Store:
    """Keep evaluations by name up to `budget` bytes; values are never changed, only forgotten.

    What nobody set is counted by device, each with its own share: a quarter of the memory that is free there when
    something first lies on it, 1 GiB on a CPU. An item larger than what it may take is not kept. Thread-safe.
    """

    def __init__(self, budget: int | None = None):
        self._budget = budget
        self._shares: dict[torch.device, int] = {}
        self._held: Counter[torch.device] = Counter()
        self._items: OrderedDict[Hashable, tuple[Any, int, torch.device]] = OrderedDict()  # bytes counted for each, and where
        self._lock = threading.Lock()
        self._gone: deque[Hashable] = deque()
        self.nbytes = 0

    @property
    def budget(self) -> int:
        """Bytes it may hold: what was set, or the shares of the devices in use (of a CPU where there are none yet)."""
        if self._budget is not None:
            return self._budget
        return sum(self._shares.values()) or lent(CPU)

    @budget.setter
    def budget(self, value: int) -> None:
        with self._lock:
            self._budget = int(value)
            for device in list(self._held):
                self._shrink(device)

    def share(self, device: torch.device) -> int:
        """Bytes that may lie on a device; asked of the device once, when it is first used."""
        if self._budget is not None:
            return self._budget
        if device not in self._shares:
            self._shares[device] = lent(device)
        return self._shares[device]

    def get(self, key: Hashable) -> Any | None:
        """The kept value, or None."""
        with self._lock:
            self._sweep()
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][0]

    def put(self, key: Hashable, value: Any) -> None:
        """Keep `value` (anything with `nbytes`, and `device` where that is not the CPU) under `key`; again where it has grown."""
        with self._lock:
            self._sweep()
            self._drop(key)
            nbytes, device = value.nbytes, getattr(value, "device", CPU)
            if nbytes > self.share(device):
                return
            self._items[key] = value, nbytes, device
            self.nbytes += nbytes
            self._held[device] += nbytes
            self._shrink(device)

    def _drop(self, key: Hashable) -> None:
        _, nbytes, device = self._items.pop(key, (None, 0, CPU))
        self.nbytes -= nbytes
        self._held[device] -= nbytes

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

    def _shrink(self, device: torch.device) -> None:
        """Forget the least recently used: what lies on one device where devices are counted apart, else anything."""
        while self._items and (self.nbytes if self._budget is not None else self._held[device]) > self.share(device):
            anywhere = self._budget is not None
            self._drop(next(key for key, item in self._items.items() if anywhere or item[2] == device))


STORE = Store()
