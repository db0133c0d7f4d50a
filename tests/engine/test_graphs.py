"""What is recorded, replayed, made anew and left alone: the logic, on a CPU, with a recorder that does the work again."""
import gc
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session
from saliency_widgets.engine import graphs as G
from saliency_widgets.engine import subject as subject_module
from saliency_widgets.engine.batching import SIZES
from saliency_widgets.engine.passes import recordable
from saliency_widgets.engine.probe import Image, OnPath, Pair, Probe, Score, Unit
from saliency_widgets.engine.store import STORE
from tests.small import Small, small, tensor


class Again:
    """Records on a CPU: the work is done again and its results written where they lay, as a graph does."""

    def __init__(self):
        self.recorded, self.replayed, self.broken = 0, 0, None

    def warm(self, work):
        work()

    def record(self, work):
        if self.broken is not None:
            raise self.broken
        self.recorded += 1
        results = work()

        def again():
            self.replayed += 1
            for old, new in zip(torch.utils._pytree.tree_leaves(results), torch.utils._pytree.tree_leaves(work())):
                old.copy_(new)

        return again, results


def recording(model, recorder=None, size=(16, 16), **keywords):
    session = Session(model, tensor(size), **keywords)
    recorder = recorder or Again()
    session.subject.graphs = G.Graphs(session.device, recorder)
    return session, recorder


def forget():
    budget, STORE.budget = STORE.budget, 0
    STORE.budget = budget


def maps(session, count, name, **params):
    """The same map `count` times, each computed anew."""
    found = []
    for _ in range(count):
        forget()
        found.append(session.map(name, **params).values)
    return found


@pytest.mark.parametrize("name", ["gradient", "grad_cam", "layer_cam"])
def test_a_shape_is_recorded_the_second_time_and_replayed_from_then_on(name):
    plain = Session(small(), tensor((16, 16))).map(name)
    session, recorder = recording(small())
    first, second, third = maps(session, 3, name)
    assert (len(session.subject.graphs), session.subject.graphs.count) == (1, 1)
    assert (recorder.recorded, recorder.replayed) == (2, 4)  # forward and backward: replayed once to be checked
    for values in (first, second, third):
        np.testing.assert_allclose(values, plain.values, atol=1e-12 * abs(plain.values).max())
    assert session.subject.notes == []


def test_another_class_and_another_score_need_no_new_recording():
    session, recorder = recording(small())
    maps(session, 2, "grad_cam")
    for target in {0, 1, 2} - {session.target}:
        wanted = Session(small(), tensor((16, 16))).map("grad_cam", target=target)
        found = session.map("grad_cam", target=target)
        np.testing.assert_allclose(found.values, wanted.values, atol=1e-12)
        for layer, values in wanted.details["maps"].items():
            np.testing.assert_allclose(found.details["maps"][layer], values, atol=1e-12)
    assert recorder.recorded == 2 and session.subject.graphs.count >= 2
    probable, recorder = recording(small(), score="probability")
    wanted = Session(small(), tensor((16, 16)), score="probability").map("gradient").values
    np.testing.assert_allclose(maps(probable, 3, "gradient")[-1], wanted, atol=1e-12)


def test_forward_passes_are_recorded_without_a_backward_one():
    session, recorder = recording(small())
    wanted = Session(small(), tensor((16, 16))).map("rise", n=24, seed=1).values
    found = maps(session, 3, "rise", n=24, seed=1)
    assert recorder.recorded == len(session.subject.graphs) >= 1
    np.testing.assert_allclose(found[-1], wanted, atol=1e-12 * abs(wanted).max())


def test_results_are_not_the_recording_s_memory():
    session, _ = recording(small())
    maps(session, 2, "gradient")
    runner = session._opened.runner
    probe = session._context(None, False).gradient(Image())
    forget()
    kept = dict(runner.evaluate([probe]))[probe]
    before = kept.gradient.clone()
    forget()
    session.map("gradient", target=(session.target + 1) % 5)
    assert torch.equal(kept.gradient, before)


class Choosing(nn.Module):
    """A network whose way depends on its numbers."""

    def __init__(self):
        super().__init__()
        self.inner = small()

    def forward(self, x):
        return self.inner(x) if x.mean() > 0 else self.inner(-x)


class Masking(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = small()

    def forward(self, x):
        scores = self.inner(x)
        return scores + x[x > 0.5].sum() * 0


@pytest.mark.parametrize("model, words", [(Choosing, "reads numbers back"), (Masking, "by a mask")])
def test_a_model_that_looks_at_its_numbers_is_not_recorded_and_says_so(model, words):
    session, recorder = recording(model())
    wanted = Session(model(), tensor((16, 16))).map("gradient").values
    for values in maps(session, 3, "gradient"):
        np.testing.assert_allclose(values, wanted, atol=1e-12)
    assert recorder.recorded == 0 and any("no CUDA graphs" in note and words in note for note in session.notes)


def test_a_device_that_refuses_to_record_is_told_and_left():
    session, recorder = recording(small())
    recorder.broken = RuntimeError("operation not permitted when stream is capturing\nmore words")
    wanted = Session(small(), tensor((16, 16))).map("gradient").values
    np.testing.assert_allclose(maps(session, 3, "gradient")[-1], wanted, atol=1e-12)
    assert session.subject.notes == ["no CUDA graphs: operation not permitted when stream is capturing"]
    assert not session.subject.graphs.possible(1) and not len(session.subject.graphs)


def test_memory_that_does_not_suffice_for_a_recording_costs_no_smaller_batches(monkeypatch):
    monkeypatch.setattr(G, "AGAIN", 4)
    session, recorder = recording(small())
    recorder.broken = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    maps(session, 3, "gradient")
    assert session.subject.notes == ["no CUDA graphs: memory does not suffice"]
    recorder.broken = None
    while session.subject.notes:  # for a while only
        maps(session, 1, "gradient")
    maps(session, 2, "gradient")
    assert recorder.recorded == 2 and session.subject.graphs.count > 0
    work = session._opened.runner._work(session._context(None, False).gradient(Image()), "plain")
    assert SIZES.size(work) == 4


def test_a_recording_that_gives_other_numbers_is_thrown_away():
    class Stale(Again):
        def record(self, work):
            _, results = super().record(work)
            return (lambda: [leaf.add_(1) for leaf in torch.utils._pytree.tree_leaves(results)]), results

    session, _ = recording(small(), Stale())
    wanted = Session(small(), tensor((16, 16))).map("gradient").values
    for values in maps(session, 3, "gradient"):
        np.testing.assert_allclose(values, wanted, atol=1e-12)
    assert "other numbers" in session.subject.graphs.reason and not len(session.subject.graphs)


def test_tensors_that_lie_elsewhere_make_a_recording_anew():
    session, recorder = recording(small())
    maps(session, 3, "gradient")
    clone = session.subject.clone
    clone.norm.running_mean = clone.norm.running_mean.clone()
    maps(session, 2, "gradient")
    assert recorder.recorded == 4 and len(session.subject.graphs) == 1


def test_a_model_that_changes_forgets_its_recordings():
    model = small()
    session, recorder = recording(model)
    before = maps(session, 3, "gradient")[-1]
    with torch.no_grad():
        model.head.weight.mul_(2)
    after = maps(session, 1, "gradient")[0]
    assert not len(session.subject.graphs) and abs(after - before).max() > 1e-3
    maps(session, 2, "gradient")
    assert recorder.recorded == 4
    session.close()
    assert not len(session.subject.graphs)


def test_only_so_many_recordings_are_kept(monkeypatch):
    monkeypatch.setattr(G, "KEPT", 2)
    session, recorder = recording(small())
    for method in ("gradient", "grad_cam", "hires_cam", "gradient"):
        maps(session, 3, method)
    assert len(session.subject.graphs) == 2 and recorder.recorded == 8  # the gradient's had to go, and came again


def test_large_batches_run_as_usual():
    graphs = G.Graphs(torch.device("cpu"), Again())
    assert graphs.possible(G.LARGEST) and not graphs.possible(G.LARGEST + 1)
    assert not G.Graphs(torch.device("cpu")).possible(1)


def test_hooks_of_the_user_and_rules_and_pairs_are_never_recorded():
    model = small()
    seen = []
    model.conv1.register_forward_hook(lambda *_: seen.append(1))
    session, recorder = recording(model)
    maps(session, 3, "gradient")
    assert not recorder.recorded and len(seen) > 3
    score = Score("logit", 0)
    image = Image()
    for probe in (Probe(image, "gradient", score, rule="guided_backprop"), Probe(Pair(image, image), "gradient", score),
                  Probe(image, "gradient", Unit("conv1", 0)), Probe(image, "attention", score, ("attention_mean",)),
                  Probe(image, "layers", score, ("eigen_cam",)), Probe(image, "layers", None, ("activation",))):
        assert not recordable(probe), probe
    assert recordable(Probe(image)) and recordable(Probe(image, "layers", score, ("cam",)))


def test_hooks_of_ours_are_gone_after_a_recording_and_after_an_error():
    for broken in (None, RuntimeError("no")):
        session, recorder = recording(small())
        recorder.broken = broken
        maps(session, 3, "grad_cam")
        assert not any(module._forward_hooks for module in session.subject.clone.modules())


def test_a_network_in_half_precision_is_compared_with_more_patience():
    session, _ = recording(Small().bfloat16().eval())
    wanted = Session(Small().bfloat16().eval(), tensor((16, 16))).map("gradient").values
    found = maps(session, 3, "gradient")[-1]
    assert session.subject.graphs.count == 1 and session.subject.graphs.reason == ""
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_there_is_no_recorder_where_nothing_records(monkeypatch):
    assert G.recorder_for(torch.device("cpu")) is None and G.recorder_for(torch.device("mps")) is None
    monkeypatch.setattr(G, "ENABLED", False)
    assert G.recorder_for(torch.device("cuda", 0)) is None
    assert subject_module.Graphs is G.Graphs


def test_memory_that_runs_out_in_a_replay_is_given_back_before_the_blocks_are_freed(monkeypatch):
    session, recorder = recording(small())
    wanted = maps(session, 3, "gradient")[-1]
    graphs, alive = session.subject.graphs, []
    held = weakref.ref(next(iter(graphs._kept.values())))
    monkeypatch.setattr(G.Recording, "replay", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")))
    # What is recorded on a CPU is a circle of references, which a graph is not.
    monkeypatch.setattr(G, "free_blocks", lambda device: (gc.collect(), alive.append(held() is not None)))
    np.testing.assert_allclose(maps(session, 1, "gradient")[0], wanted, atol=1e-12)
    assert alive == [False] and not len(graphs)


def test_the_settings_of_arithmetic_are_part_of_what_is_recorded_and_kept(monkeypatch):
    session, recorder = recording(small())
    maps(session, 3, "gradient")
    for module in (G, subject_module):
        monkeypatch.setattr(module, "arithmetic", lambda device: ("tf32",))
    before = session.subject.key
    session.map("gradient")  # kept by the other settings: asked anew
    assert session.subject.key != before and recorder.recorded == 2
    maps(session, 2, "gradient")
    assert recorder.recorded == 4 and len(session.subject.graphs) == 2


def test_a_recorded_map_does_not_load_torch_s_compiler():
    code = """
import sys
from tests.engine.test_graphs import maps, recording, small
before = "torch._dynamo" in sys.modules
session, recorder = recording(small())
maps(session, 3, "gradient")
assert recorder.recorded == 2
assert before or "torch._dynamo" not in sys.modules
print("loaded" if before else "not loaded")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout.strip()) == (0, "not loaded"), done.stderr


def test_what_is_kept_wider_than_the_model_computes_is_compared_by_the_model_s_dtype():
    wanted = G.Result(torch.ones(1, 2), {"gradient": torch.ones(1, 3)})
    found = G.Result(torch.ones(1, 2) * 1.01, {"gradient": torch.ones(1, 3) * 0.99})
    assert G._close(found, wanted, torch.bfloat16) and not G._close(found, wanted, torch.float32)


def test_a_recording_counts_where_another_one_had_to_go_for_it(monkeypatch):
    monkeypatch.setattr(G, "KEPT", 1)
    session, _ = recording(small())
    maps(session, 2, "gradient")
    maps(session, 2, "grad_cam")
    assert len(session.subject.graphs) == 1 and session.subject.graphs.recorded == 2


def test_a_pool_of_our_own_is_left_with_its_last_recording(monkeypatch):
    made = []
    monkeypatch.setattr(G, "recorder_for", lambda device: made.append(Again()) or made[-1])
    model = small()
    session = Session(model, tensor((16, 16)))
    maps(session, 3, "gradient")
    first = len(made)
    maps(session, 3, "grad_cam")
    assert len(made) == first  # beside a recording: the same pool
    with torch.no_grad():
        model.head.weight.mul_(2)
    maps(session, 3, "gradient")
    assert len(made) == first + 1 and made[-1].recorded == 2


def test_a_closed_subject_records_no_more_and_a_session_beside_closes_only_itself():
    session, recorder = recording(small())
    maps(session, 3, "gradient")
    beside = session.beside(picture=session.load(tensor((16, 16), seed=4)))
    beside.close()
    assert len(session.subject.graphs) == 1 and maps(session, 1, "gradient")[0].any()
    session.close()
    graphs = session.subject.graphs
    assert session.subject.clone is None and not session.subject._fast
    assert not len(graphs) and not graphs.possible(1)


def in_turn(session, usual, share):
    """Gradients and Grad-CAM of one picture and of three by recordings that are asked for in turn, beside another session's."""
    usual.subject.graphs.close()

    def asked(of, keep, count):
        alphas = [0.25 * (i + 1) for i in range(count)]
        probes = [Probe(OnPath(of.inputs.fill("black"), alpha), keep, of._score(0), ("cam",) if keep == "layers" else ())
                  for alpha in alphas]
        found = of._opened.runner._batch(probes, None)
        return [kept for one in found for kept in
                ([one.gradient] if keep == "gradient" else [terms["cam"] for terms in one.layers.values()])]

    works = [(keep, count) for count in (1, 3) for keep in ("gradient", "layers")]
    wanted = {work: asked(usual, *work) for work in works}
    for order in (works, works, works, works[::-1], works[1::2] + works[::2]):
        for work in order:
            found = asked(session, *work)
            assert len(found) == len(wanted[work]) > 0
            for values, right in zip(found, wanted[work]):
                most = float(right.abs().max())
                torch.testing.assert_close(values, right, rtol=0, atol=share * most)
    graphs = session.subject.graphs
    assert (graphs.reason, len(graphs), graphs.count) == ("", 4, 12)


def test_several_recordings_are_replayed_in_turn():
    session, _ = recording(small())
    in_turn(session, Session(small(), tensor((16, 16))), 1e-12)
