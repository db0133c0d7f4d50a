"""Back-pressure: the newest frame waits, the last one always goes out, nothing waits for a browser."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from saliency_widgets.widgets import HeatLayer
from saliency_widgets.widgets.gate import FrameGate


class Wire:
    """Counts like a layer: `make` is a new frame, `send` puts the newest on the wire."""

    def __init__(self, patience=30.0):
        self.seq = 0
        self.sent = []
        self.gate = FrameGate(self.send, patience=patience)

    def make(self):
        self.seq += 1
        return self.gate.offer()

    def send(self):
        self.sent.append(self.seq)
        return self.seq


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_without_a_view_everything_goes_out_at_once():
    wire = Wire()
    for _ in range(5):
        assert wire.make()
    assert wire.sent == [1, 2, 3, 4, 5]


def test_with_a_view_only_the_newest_waits():
    wire = Wire()
    wire.make()
    wire.gate.acknowledge(1)
    for _ in range(60):
        wire.make()
    assert wire.sent == [1, 2] and wire.gate.waiting
    wire.gate.acknowledge(2)
    assert wire.sent == [1, 2, 61]
    wire.gate.acknowledge(61)
    assert wire.sent == [1, 2, 61] and not wire.gate.waiting


def test_late_acknowledgement_of_an_old_frame_releases_nothing():
    wire = Wire()
    wire.make()
    wire.gate.acknowledge(1)
    wire.make()
    wire.make()
    wire.gate.acknowledge(1)  # the second view of the same widget, or a reloaded page
    assert wire.sent == [1, 2]
    wire.gate.acknowledge(2)
    assert wire.sent == [1, 2, 3]


def test_last_frame_goes_out_when_nobody_answers():
    wire = Wire(patience=0.1)
    wire.make()
    wire.gate.acknowledge(1)
    wire.make()
    wire.make()
    wire.make()
    assert wire.sent == [1, 2]
    assert wait_until(lambda: wire.sent == [1, 2, 4])
    began = time.monotonic()
    for _ in range(20):
        assert not wire.make(), "a page that is only slow is not buried"
    assert wait_until(lambda: wire.sent == [1, 2, 4, 24])
    assert time.monotonic() - began > 0.1, "who was silent gets more time"
    wire.make()
    wire.gate.acknowledge(24)
    assert wire.sent == [1, 2, 4, 24, 25], "and an answer restores the patience"
    wire.make()
    assert wait_until(lambda: wire.sent[-1] == 26)


def test_closed_gate_sends_nothing():
    wire = Wire(patience=0.05)
    wire.make()
    wire.gate.acknowledge(1)
    wire.make()
    wire.make()
    wire.gate.close()
    time.sleep(0.15)
    assert wire.sent == [1, 2] and not wire.make()


def test_many_threads_end_on_the_last_frame():
    wire = Wire(patience=0.05)
    wire.make()
    wire.gate.acknowledge(1)
    lock = threading.Lock()

    def work():
        for _ in range(200):
            with lock:
                wire.make()
            wire.gate.acknowledge(wire.sent[-1])

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join(10) for thread in threads]
    assert wait_until(lambda: wire.sent[-1] == wire.seq == 801)
    assert wire.sent == sorted(wire.sent)


@pytest.fixture
def layer(monkeypatch):
    """A layer whose messages are recorded instead of sent."""
    layer = HeatLayer()
    layer.messages = []

    class Comm:
        kernel = True
        comm_id = "layer"

        def send(self, data=None, buffers=None, **_):
            layer.messages.append((data["state"], buffers))

        def close(self, *_, **__):
            pass

        def on_msg(self, *_):
            pass

    layer.comm = Comm()
    return layer


def frames(layer):
    return [state for state, _ in layer.messages if "seq" in state]


def test_a_map_is_one_message(layer):
    layer.show(np.arange(12.0).reshape(3, 4), name="ig", words=["up", "down"])
    (state,) = frames(layer)
    assert state["shape"] == (3, 4) or state["shape"] == [3, 4]
    assert {"vmin", "vmax", "limits", "name", "unit", "signed", "words", "stale"} <= set(state)
    assert [b for _, buffers in layer.messages for b in buffers if len(b)] != []


def test_traits_are_set_while_the_message_waits(layer):
    layer.show(np.zeros((2, 2)), name="a")
    layer.acknowledge(1)
    for i in range(2, 8):
        layer.show(np.full((2, 2), i), name=f"map {i}")
    assert layer.seq == 7 and layer.name == "map 7" and layer.decode().max() == 7
    assert [state["seq"] for state in frames(layer)] == [1, 2]
    layer.acknowledge(2)
    last = frames(layer)[-1]
    assert (last["seq"], last["name"], last["vmin"]) == (7, "map 7", 7.0)
    layer.close()


def test_looking_is_never_held_back(layer):
    layer.show(np.zeros((2, 2)), name="a")
    layer.acknowledge(1)
    layer.show(np.zeros((2, 2)), name="b")
    layer.opacity = 0.25
    layer.stale = True
    sent = [key for state, _ in layer.messages for key in state]
    assert "opacity" in sent and layer.messages[-1][0] == {"stale": True}
    layer.close()
