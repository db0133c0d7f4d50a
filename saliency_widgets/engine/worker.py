"""One thread that computes: the newest wish wins, and nothing queues up."""
from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable


class Cancelled(Exception):
    """Raised from `Ticket.check` in a job that is no longer wanted."""


class Ticket:
    """What a running job holds: it asks between batches whether to go on."""

    def __init__(self, worker: "Worker"):
        self._worker = worker
        self.stop_at: float | None = None

    @property
    def newest(self) -> bool:
        """Whether no newer wish exists."""
        return self._worker.is_newest(self)

    def check(self) -> None:
        """Raise Cancelled once the job was cancelled, or was superseded and its grace is over."""
        if self.stop_at is not None and time.monotonic() >= self.stop_at:
            raise Cancelled


class Worker:
    """Runs jobs on one daemon thread, each in the context of the handler that asked for it.

    A new job replaces the waiting one. The running one goes on for a grace of about one job time, because a drag that
    cancelled at every event would never show anything. Errors of a job go to `on_error`.
    """

    def __init__(self, name: str = "saliency-widgets", on_error: Callable[[BaseException], None] | None = None,
                 max_grace: float = 1.0):
        self.on_error, self.max_grace = on_error, max_grace
        self._changed = threading.Condition()
        self._waiting: tuple[Ticket, Callable, contextvars.Context] | None = None
        self._running: Ticket | None = None
        self._newest: Ticket | None = None
        self._closed = False
        self._job_time = 0.2
        self._name = name
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[Ticket], None]) -> Ticket:
        """Ask for `job(ticket)`; it runs as soon as the running one ends or its grace is over."""
        with self._changed:
            if self._closed:
                raise ValueError("this worker is closed: make a new Explorer")
            ticket = Ticket(self)
            self._waiting = ticket, job, contextvars.copy_context()
            self._newest = ticket
            if self._running is not None and self._running.stop_at is None:
                self._running.stop_at = time.monotonic() + min(self._job_time, self.max_grace)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
            return ticket

    def cancel(self) -> None:
        """Drop the waiting job and stop the running one at its next check."""
        with self._changed:
            self._waiting = None
            if self._running is not None:
                self._running.stop_at = 0.0
            self._changed.notify_all()

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        with self._changed:
            return self._running is not None or self._waiting is not None

    def is_newest(self, ticket: Ticket) -> bool:
        """Whether `ticket` is the last one submitted."""
        return ticket is self._newest

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs or waits; False when the time was up first."""
        if threading.current_thread() is self._thread:
            raise ValueError("a job cannot wait for itself: call wait from another thread")
        with self._changed:
            return self._changed.wait_for(lambda: self._running is None and self._waiting is None, timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Stop the running job and end the thread."""
        self.cancel()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._closed)
                if self._closed:
                    return
                ticket, job, context = self._waiting
                self._waiting, self._running = None, ticket
            started = time.monotonic()
            try:
                context.run(job, ticket)
                self._job_time = time.monotonic() - started
            except Cancelled:
                pass
            except BaseException as error:  # the thread must outlive any job's error
                if self.on_error is not None:
                    self.on_error(error)
            finally:
                del job, context
                with self._changed:
                    self._running = None
                    self._changed.notify_all()
