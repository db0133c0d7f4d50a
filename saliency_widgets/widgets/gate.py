"""Back-pressure between the kernel and the browser: only the newest frame waits, and it always gets sent."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable


class FrameGate:
    """Lets one frame be under way to the browser at a time and keeps only the newest behind it.

    `send()` must put the current state on the wire and return its sequence number; since it reads the state
    when it is called, a frame that waited is the newest by construction.

    Nothing waits for a browser: until somebody acknowledges, every frame goes out at once (scripts, nbconvert), and
    `patience` seconds after one that nobody acknowledged the newest follows it (a closed page, a front end that
    cannot answer while the main thread is busy). What is silent again gets twice the time, up to eight times, so that
    a slow page is not buried. The acknowledgement of any one view releases and restores the patience.
    """

    def __init__(
        self, send: Callable[[], int], patience: float = 1.0, lock: threading.RLock | None = None
    ) -> None:
        self._send = send
        self.patience = patience
        self._lock = lock or threading.RLock()
        self._listening = False
        self._under_way: int | None = None
        self._sent_at = 0.0
        self._missed = 0  # frames in a row that nobody acknowledged in time
        self._waiting = False
        self._timer: threading.Timer | None = None
        self._closed = False

    @property
    def waiting(self) -> bool:
        """Whether a frame is being held back."""
        return self._waiting

    def offer(self) -> bool:
        """Sends the current frame now, or keeps it until the last one is acknowledged; True when sent."""
        with self._lock:
            if self._closed:
                return False
            if self._listening and self._under_way is not None:
                if time.monotonic() < self._due():
                    self._waiting = True
                    self._start_timer()
                    return False
                self._missed += 1
            self._flush()
            return True

    def acknowledge(self, seq: int) -> None:
        """A view has painted frame `seq`: whoever waits may go."""
        with self._lock:
            self._listening, self._missed = True, 0
            # A reloaded page may acknowledge something older; only the frame under way (or a later one) frees.
            if self._under_way is not None and seq >= self._under_way:
                self._under_way = None
                if self._waiting:
                    self._flush()

    def close(self) -> None:
        """Forgets what waits; nothing is sent any more."""
        with self._lock:
            self._closed = True
            self._stop_timer()

    def _due(self) -> float:
        """When the next frame may go though the last one was not acknowledged."""
        return self._sent_at + self.patience * 2 ** min(self._missed, 3)

    def _flush(self) -> None:
        self._stop_timer()
        self._waiting = False
        self._sent_at = time.monotonic()
        self._under_way = self._send()

    def _start_timer(self) -> None:
        if self._timer is not None:
            return
        # The message must carry the parent of the cell or handler that asked, so the timer keeps its context.
        context = contextvars.copy_context()
        wait = max(0.0, self._due() - time.monotonic())
        self._timer = threading.Timer(wait, context.run, args=(self._expire,))
        self._timer.daemon = True
        self._timer.start()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        with self._lock:
            self._timer = None
            if self._waiting and not self._closed:
                self._missed += 1
                self._flush()
