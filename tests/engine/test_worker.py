"""One thread, the newest wish wins, a running job has its grace, errors do not end the thread."""
import contextvars
import threading
import time

import pytest

from saliency_widgets.engine.worker import Worker


@pytest.fixture
def worker():
    worker = Worker(max_grace=0.05)
    yield worker
    worker.close()


def test_the_newest_wish_wins_and_nothing_queues_up(worker):
    gate, started, ran = threading.Event(), threading.Event(), []
    worker.submit(lambda ticket: (started.set(), gate.wait(5)))
    assert started.wait(5)
    for number in range(20):
        worker.submit(lambda ticket, number=number: ran.append(number))
    gate.set()
    assert worker.wait(5) and ran == [19]


def test_a_superseded_job_stops_after_its_grace(worker):
    steps, done = [], threading.Event()

    def long(ticket):
        for step in range(1000):
            ticket.check()
            steps.append(step)
            time.sleep(0.005)

    worker.submit(long)
    time.sleep(0.03)
    before = len(steps)
    worker.submit(lambda ticket: done.set())
    assert done.wait(5)
    assert before < len(steps) < 200  # it went on for a while, and not to its end


def test_cancel_stops_at_the_next_check(worker):
    reached = threading.Event()

    def long(ticket):
        while True:
            ticket.check()
            reached.set()
            time.sleep(0.002)

    worker.submit(long)
    assert reached.wait(5)
    worker.cancel()
    assert worker.wait(2) and not worker.busy


def test_errors_are_told_and_the_thread_lives_on(worker):
    errors, ran = [], threading.Event()
    worker.on_error = errors.append

    def broken(ticket):
        raise ValueError("broken")

    worker.submit(broken)
    assert worker.wait(5) and [str(e) for e in errors] == ["broken"]
    worker.submit(lambda ticket: ran.set())
    assert ran.wait(5)


def test_a_job_runs_in_the_context_of_who_asked(worker):
    variable, seen = contextvars.ContextVar("v", default="none"), []
    variable.set("asked")
    worker.submit(lambda ticket: seen.append((variable.get(), threading.current_thread().name, ticket.newest)))
    assert worker.wait(5) and seen == [("asked", "saliency-widgets", True)]


def test_closing_ends_the_thread():
    worker = Worker(name="ends")
    worker.submit(lambda ticket: None)
    worker.wait(5)
    worker.close()
    assert not any(t.name == "ends" for t in threading.enumerate())
    with pytest.raises(ValueError, match="closed"):
        worker.submit(lambda ticket: None)
