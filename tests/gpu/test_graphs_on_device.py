"""Recorded batches on a CUDA device: the same numbers, other threads beside them, memory that comes back."""
import gc
import threading

import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session
from saliency_widgets.engine import graphs as G
from saliency_widgets.engine import runner as runner_module
from saliency_widgets.engine.batching import BatchSizes
from tests.engine.test_graphs import Choosing, Masking, forget, in_turn, maps
from tests.small import small, tensor

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["gradient", "grad_cam", "layer_cam", "rise"])
def test_replays_are_what_the_model_gives(cuda, monkeypatch, name, kind):
    params = {"n": 16} if name == "rise" else {}
    session = Session(small().to(kind), tensor(dtype=kind), device=cuda)
    found = maps(session, 4, name, **params)
    assert session.subject.graphs.reason == "" and session.subject.graphs.count > 0
    monkeypatch.setattr(G, "ENABLED", False)
    usual = Session(small().to(kind), tensor(dtype=kind), device=cuda)
    wanted = usual.map(name, **params).values
    assert not len(usual.subject.graphs)
    for values in found:
        np.testing.assert_allclose(values, wanted, atol=(1e-9 if kind == torch.float64 else 1e-4) * abs(wanted).max())


def test_other_classes_and_pictures_go_by_the_same_recording(cuda):
    session = Session(small(), tensor(), device=cuda)
    maps(session, 2, "grad_cam")
    count = len(session.subject.graphs)
    for target in range(5):
        wanted = Session(small(), tensor()).map("grad_cam", target=target).values
        np.testing.assert_allclose(session.map("grad_cam", target=target).values, wanted, atol=1e-8)
    session.image = tensor(seed=4)
    wanted = Session(small(), tensor(seed=4)).map("grad_cam").values
    np.testing.assert_allclose(session.map("grad_cam").values, wanted, atol=1e-8)
    assert len(session.subject.graphs) == count


@pytest.mark.parametrize("model", [Choosing, Masking])
def test_what_cannot_be_recorded_runs_as_usual_and_the_device_goes_on(cuda, model):
    session = Session(model(), tensor((16, 16)), device=cuda)
    wanted = Session(model(), tensor((16, 16))).map("gradient").values
    for values in maps(session, 3, "gradient"):
        np.testing.assert_allclose(values, wanted, atol=1e-8)
    assert any("no CUDA graphs" in note for note in session.notes)
    other = Session(small(), tensor(), device=cuda)
    maps(other, 3, "gradient")
    assert other.subject.graphs.count > 0


def test_a_recording_that_fails_half_way_leaves_the_device_usable(cuda, monkeypatch):
    monkeypatch.setattr(G, "_refusal", lambda func, given, result: "")  # so that nothing is foreseen
    session = Session(Choosing(), tensor((16, 16)), device=cuda)
    wanted = Session(Choosing(), tensor((16, 16))).map("gradient").values
    for values in maps(session, 3, "gradient"):
        np.testing.assert_allclose(values, wanted, atol=1e-8)
    assert session.subject.graphs.reason and float(torch.ones(3, device=cuda).sum()) == 3


def test_another_thread_may_allocate_meanwhile(cuda):
    stop, errors = threading.Event(), []

    def busy():
        try:
            sizes = 1
            while not stop.is_set():
                sizes = sizes * 7 % 4093 + 1
                torch.ones(sizes * 1000, device=cuda).mul_(2).sum().item()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        wanted = Session(small(), tensor()).map("gradient").values
        for _ in range(5):
            session = Session(small(), tensor(), device=cuda)
            np.testing.assert_allclose(maps(session, 4, "gradient")[-1], wanted, atol=1e-8)
            assert session.subject.graphs.reason == ""
    finally:
        stop.set()
        thread.join()
    assert errors == []


def test_memory_comes_back_with_the_session(cuda):
    def once():
        session = Session(small(), tensor(), device=cuda)
        for name in ("gradient", "grad_cam"):
            maps(session, 3, name)
        forget()
        session.close()

    once()
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved(cuda)
    for _ in range(3):
        once()
    gc.collect()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved(cuda) <= before + (4 << 20)


def test_training_on_is_seen(cuda):
    model = small().to(cuda)
    session = Session(model, tensor())
    before = maps(session, 3, "gradient")[-1]
    with torch.no_grad():
        model.head.weight.mul_(2)
    np.testing.assert_allclose(maps(session, 1, "gradient")[0], 2 * before, atol=1e-8 * abs(before).max())


class Broad(nn.Module):
    """A network that needs 64 MiB for each picture."""

    def __init__(self):
        super().__init__()
        self.inner = small()

    def forward(self, x):
        room = torch.ones(len(x), 16 << 20, device=x.device, dtype=torch.float32)
        return self.inner(x) * room[:, :1].to(x)


def test_memory_that_runs_out_halves_the_batches(cuda, monkeypatch):
    monkeypatch.setattr(runner_module, "SIZES", BatchSizes())
    monkeypatch.setattr(BatchSizes, "size", lambda self, key: min(32, self._limit.get(key, 32)))
    wanted = Session(small(), tensor((16, 16))).map("leave_one_out", grid=6).values
    session = Session(Broad(), tensor((16, 16)), device=cuda)
    forget()
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(cuda).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(cuda) + (700 << 20)) / total, cuda)
        found = session.map("leave_one_out", grid=6)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, cuda)
    np.testing.assert_allclose(found.values, wanted, atol=1e-8)
    assert session.stats.forward_samples == 37 and session.stats.batches >= 37 // 16


@pytest.mark.parametrize("kind, share", [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_several_recordings_share_a_pool_and_are_replayed_in_turn(cuda, kind, share):
    session, usual = (Session(small().to(kind), tensor(dtype=kind), device=cuda) for _ in range(2))
    in_turn(session, usual, share)


def test_another_arithmetic_is_another_recording(cuda):
    session = Session(small().float(), tensor(dtype=torch.float32), device=cuda)
    exact = maps(session, 3, "gradient")[-1]
    graphs, most = session.subject.graphs, abs(exact).max()
    assert graphs.recorded == len(graphs) == 1
    torch.backends.cudnn.allow_tf32 = True
    rounded = maps(session, 3, "gradient")[-1]
    assert graphs.recorded == len(graphs) == 2 and graphs.reason == ""
    usual = Session(small().float(), tensor(dtype=torch.float32), device=cuda)
    usual.subject.graphs.close()
    np.testing.assert_allclose(rounded, maps(usual, 1, "gradient")[0], atol=1e-3 * most)
    torch.backends.cudnn.allow_tf32 = False
    np.testing.assert_allclose(maps(session, 1, "gradient")[0], exact, atol=1e-4 * most)
    assert graphs.recorded == 2


class Holding(nn.Module):
    """A network that holds on to what went in, which lies in the pool of the recordings."""

    held: list = []

    def __init__(self):
        super().__init__()
        self.inner = small()

    def forward(self, x):
        self.seen = x
        self.held.append(x.detach() * 1)
        return self.inner(x)


def test_a_block_that_outlives_all_recordings_does_not_stop_the_next_one(cuda):
    model = Holding()
    session = Session(model, tensor(), device=cuda)
    try:
        maps(session, 3, "gradient")
        graphs = session.subject.graphs
        assert (graphs.reason, graphs.recorded) == ("", 1)
        with torch.no_grad():
            model.inner.head.weight.mul_(2)
        found = maps(session, 3, "gradient")[-1]
        assert (graphs.reason, graphs.recorded, len(graphs)) == ("", 2, 1)
        np.testing.assert_allclose(found, maps(Session(model, tensor()), 1, "gradient")[0], atol=1e-8 * abs(found).max())
    finally:
        Holding.held.clear()


def test_one_lack_of_memory_ends_no_recording_for_good(cuda, monkeypatch):
    monkeypatch.setattr(G, "AGAIN", 2)
    session = Session(small(), tensor(), device=cuda)
    wanted = maps(session, 3, "gradient")[-1]
    graphs = session.subject.graphs
    with monkeypatch.context() as patch:
        patch.setattr(G.Recording, "replay", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")))
        np.testing.assert_allclose(maps(session, 1, "gradient")[0], wanted, atol=1e-8)
    assert graphs.reason and not len(graphs)
    for values in maps(session, 4, "gradient"):
        np.testing.assert_allclose(values, wanted, atol=1e-8)
    assert (graphs.reason, len(graphs)) == ("", 1)
