"""Devices by name, what they hold, and what happens where memory runs out: as far as a CPU can tell."""
import gc
import types

import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session
from saliency_widgets.engine import batching, devices, store
from saliency_widgets.engine import runner as runner_module
from saliency_widgets.engine import subject as subject_module
from saliency_widgets.engine.batching import BatchSizes, out_of_memory
from saliency_widgets.engine.probe import Evaluation
from tests.small import small, tensor

CUDA = torch.device("cuda", 0)


@pytest.fixture
def one_cuda(monkeypatch):
    """As on a machine with one CUDA device, as far as names go."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)


@pytest.mark.parametrize("name, words", [("gpu", "no name of a device"), (3.5, "no name of a device"), ("meta", "no numbers"),
                                         ("cuda", "no such device"), ("cuda:1", "no such device"), ("mps", "no Apple GPU"),
                                         ("xpu", "no such device")])
def test_a_device_that_is_not_there_is_told_in_words(monkeypatch, name, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=words):
        Session(small(), tensor((16, 16)), device=name)


def test_devices_are_named_as_tensors_name_them(one_cuda):
    assert devices.usable("cuda") == CUDA == devices.usable(0) and devices.usable("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="only cuda:0"):
        devices.usable("cuda:1")


def test_a_network_in_float64_is_refused_where_there_is_no_float64(monkeypatch):
    monkeypatch.setattr(subject_module, "usable", torch.device)
    with pytest.raises(ValueError, match=r"model\.float\(\)"):
        subject_module.Subject(small(), device="mps")


def test_the_store_counts_devices_apart(monkeypatch):
    asked = []
    monkeypatch.setattr(store, "lent", lambda device: asked.append(device) or {"cpu": 100, "cuda": 60}[device.type])
    kept = store.Store()
    assert asked == [] and kept.budget == 100 and asked == [torch.device("cpu")]

    def item(nbytes, device="cpu"):
        return types.SimpleNamespace(nbytes=nbytes, device=torch.device(device))

    for number in range(3):
        kept.put(("here", number), item(40))
    assert kept.nbytes == 80 and kept.get(("here", 0)) is None
    for number in range(3):
        kept.put(("there", number), item(30, "cuda"))
    assert kept.nbytes == 140 and len(kept) == 4 and kept.get(("there", 0)) is None
    kept.put(("there", 9), item(61, "cuda"))  # more than lies there at most
    assert kept.get(("there", 9)) is None and kept.budget == 160
    assert asked.count(CUDA) <= 1 and asked.count(torch.device("cuda")) == 1  # once, when something first lies there
    kept.budget = 70  # one for all, as it was asked for
    assert kept.nbytes <= 70 and kept.share(torch.device("cuda")) == 70
    kept.forget("there")
    kept.forget("here")
    assert kept.nbytes == 0 and len(kept) == 0


def test_evaluations_say_where_they_lie():
    assert Evaluation(None, 1.0).device == torch.device("cpu") and Evaluation(None, 1.0).nbytes == 0
    assert Evaluation(torch.empty(3, device="meta")).device.type == "meta"


def test_a_quarter_of_the_free_memory_of_the_very_device_is_lent(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8000 + 800 * device.index, 100000))
    assert devices.lent(CUDA) == 2000 and devices.lent(torch.device("cuda", 1)) == 2200
    assert devices.lent(torch.device("cpu")) == 1 << 30


class Limited(nn.Module):
    """Takes no more than `most` pictures at a time, as a device would."""

    def __init__(self, most):
        super().__init__()
        self.inner, self.most, self.sizes = small(), most, []

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return self.inner(x)


@pytest.mark.parametrize("most", [1, 3, 5])
@pytest.mark.parametrize("name", ["rise", "smoothgrad"])
def test_batches_shrink_until_they_fit_and_every_picture_is_evaluated_once(monkeypatch, name, most):
    sizes = BatchSizes()
    monkeypatch.setattr(runner_module, "SIZES", sizes)
    monkeypatch.setattr(batching, "PATIENCE", 10.0)
    params = {"n": 40, "grid": 3} if name == "rise" else {"n": 20}
    wanted = Session(small(), tensor((16, 16))).map(name, **params).values
    session = Session(Limited(most), tensor((16, 16)))
    count = session.stats.forward_samples
    found = session.map(name, **params)
    np.testing.assert_allclose(found.values, wanted, atol=1e-10 * abs(wanted).max())
    assert session.stats.forward_samples - count == {"rise": 40, "smoothgrad": 20}[name]
    tried = session.subject.clone.sizes
    assert sum(size > most for size in tried) <= 4  # learnt, not tried again and again
    assert tried[-1] <= most


def test_a_failed_batch_is_let_go_before_the_next_one(monkeypatch):
    """Blocks are given back when the error, whose frames hold the tensors of the batch, is gone."""
    alive = []

    class Holding(Limited):
        def forward(self, x):
            alive.append(x)
            return super().forward(x)

    monkeypatch.setattr(runner_module, "SIZES", BatchSizes())
    seen = []
    monkeypatch.setattr(runner_module, "free_blocks", lambda device: seen.append((device, __import__("sys").exc_info()[0])))
    Session(Holding(2), tensor((16, 16))).map("rise", n=16, grid=3)
    gc.collect()
    assert seen and all(found == (torch.device("cpu"), None) for found in seen)


def test_memory_is_short_in_many_words():
    for words in ("CUDA out of memory. Tried", "MPS backend out of memory", "DefaultCPUAllocator: can't allocate memory",
                  "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"):
        assert out_of_memory(RuntimeError(words)), words
    assert out_of_memory(torch.OutOfMemoryError("x")) and not out_of_memory(RuntimeError("shapes differ"))


def test_devices_other_than_the_cpu_take_larger_batches():
    def grown(kind):
        sizes = BatchSizes()
        sizes.on("k", kind)
        asked = []
        for _ in range(60):
            asked.append(sizes.size("k"))
            sizes.measured("k", asked[-1], 0.001 * asked[-1] ** 0.5)
        return asked

    assert grown("cpu")[0] == 4 and max(grown("cpu")) == 8
    assert grown("cuda")[0] == 8 and max(grown("cuda")) == 256
    sizes = BatchSizes()
    sizes.too_large("k", 4)
    sizes.on("k", "cuda")
    assert sizes.size("k") == 2  # memory was asked first


def test_the_arithmetic_of_a_device_is_known_by_its_settings():
    assert devices.arithmetic(torch.device("cpu")) == ()
    device, before = torch.device("cuda", 0), torch.backends.cudnn.allow_tf32
    try:
        found = []
        for torch.backends.cudnn.allow_tf32 in (False, True):
            found.append(devices.arithmetic(device))
    finally:
        torch.backends.cudnn.allow_tf32 = before
    assert found[0] != found[1] and devices.arithmetic(device) == found[before]
