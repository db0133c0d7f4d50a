"""The headless face: targets, labels, counts, the untouched model, training noticed, and bad input."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session, explain
from saliency_widgets.engine.worker import Cancelled
from tests.small import Small, pixels, small, tensor

NAMES = ["cat", "dog", "cup", "car", "tree"]


def state(model):
    """Everything about a model that must not change: objects, memory, bytes, modes, hooks, gradients."""
    tensors = {
        n: (id(t), t.data_ptr(), t._version, t.dtype, t.stride(), t.requires_grad, t.grad, t.detach().clone())
        for n, t in [*model.named_parameters(), *model.named_buffers()]
    }
    modules = {
        n: (id(m), m.training, list(m._forward_hooks), list(m._forward_pre_hooks), sorted(m.__dict__))
        for n, m in model.named_modules()
    }
    return tensors, modules, torch.get_rng_state()


def same(a, b):
    assert a[1] == b[1] and torch.equal(a[2], b[2])
    for name in a[0]:
        assert a[0][name][:7] == b[0][name][:7] and torch.equal(a[0][name][7], b[0][name][7]), name


def test_the_model_comes_back_untouched_after_an_error_and_after_cancellation():
    class Fails(Small):
        calls = 0

        def forward(self, x):
            Fails.calls += 1
            if Fails.calls in (2, 3):  # while it is traced, and in the first batch
                raise RuntimeError("the disk is on fire")
            return super().forward(x)

    model = Fails().double()
    before = state(model)
    with pytest.raises(ValueError, match="the disk is on fire") as caught:
        explain(model, tensor(), "leave_one_out")
    assert isinstance(caught.value.__cause__, RuntimeError)
    same(before, state(model))

    class Stop:
        def check(self):
            raise Cancelled

    session = Session(model, tensor())
    with pytest.raises(Cancelled):
        session.run("integrated_gradients", {}, ticket=Stop())
    same(before, state(model))
    assert session.map("gradient").values.any()


def test_training_on_is_noticed():
    model, x = Small().eval(), tensor(dtype=torch.float32)
    session = Session(model, x)

    def moved(change):
        before = session.map("gradient", target=0).values
        change()
        after = session.map("gradient", target=0).values
        np.testing.assert_allclose(after, Session(model, x).map("gradient", target=0).values, atol=1e-6)
        assert not np.array_equal(before, after), change

    def step():
        optimiser = torch.optim.Adam(model.parameters(), lr=0.05, fused=True)
        model(x[None]).sum().backward()
        optimiser.step()
        optimiser.zero_grad()

    moved(step)
    moved(lambda: model.conv1.weight.data.add_(0.1))
    moved(lambda: setattr(model.conv1.weight, "data", model.conv1.weight.data * 1.5))
    moved(lambda: model.load_state_dict({k: v * 1.1 for k, v in model.state_dict().items()}, assign=True))
    moved(lambda: model.norm.running_var.mul_(2))


def test_a_model_trained_while_its_map_is_computed_gives_the_map_of_one_version():
    model, x = small(), tensor()
    session, once = Session(model, x), []

    def train(done, planned):
        if not once:
            once.append(True)
            model.head.weight.data.mul_(2)

    got = session.run("integrated_gradients", {"steps": 16}, on_progress=train)
    np.testing.assert_allclose(got.values, Session(model, x).map("integrated_gradients", steps=16).values, atol=1e-12)
    with pytest.raises(ValueError, match="kept changing"):
        session.run("leave_one_out", {"grid": 14}, on_progress=lambda d, p: model.head.weight.data.mul_(1.01))


def test_set_up_counts_once_and_apart():
    session = Session(small(), tensor())
    assert session.stats.setup_samples == 1 and session.stats.forward_samples == 0
    session.map("grad_cam")
    session.map("integrated_gradients", steps=8)
    assert session.stats.setup_samples == 1
    assert session.stats.plan == 9
    session.stats.reset()
    assert session.estimate("integrated_gradients", {"steps": 16})[0] == 8
    assert session.estimate("integrated_gradients", {"steps": 8}) == (0, 0.0)
    session.map("integrated_gradients", steps=8)
    assert session.stats.store_hits == 9
    assert session.stats.forward_samples == 0


def test_targets_by_index_label_and_default():
    session = Session(small(), tensor(), NAMES)
    assert session.target == int(session.logits.argmax())
    assert session.map("gradient", target="cup").target == 2
    session.target = "DOG"
    assert session.target == 1 and session.map("gradient").label == "dog"
    assert session.top(2)[0][1] == NAMES[int(session.logits.argmax())]
    assert sum(p for *_, p in session.top(5)) == pytest.approx(1)
    for wrong, error in ((5, LookupError), ("kat", LookupError), (1.0, TypeError), (True, TypeError)):
        with pytest.raises(error):
            session.resolve_target(wrong)
    with pytest.raises(LookupError, match="'cat'"):
        session.resolve_target("kat")
    assert session.resolve_target(-1) == 4


def test_another_picture():
    session = Session(small(), pixels(), preprocess=None)
    before = session.map("gradient").values
    session.image = pixels(seed=3)
    after = session.map("gradient").values
    assert not np.array_equal(before, after) and session.stats.setup_samples == 2
    session.image = pixels()
    session.stats.reset()
    np.testing.assert_array_equal(session.map("gradient", target=None).values, before)
    assert session.stats.forward_samples == 0


def test_outputs_of_every_kind():
    class Wraps(nn.Module):
        def __init__(self, wrap):
            super().__init__()
            self.inner, self.wrap = small(), wrap

        def forward(self, x):
            return self.wrap(self.inner(x))

    wanted = explain(small(), tensor(), "gradient").values
    output = type("Output", (), {})

    def with_logits(y):
        o = output()
        o.logits = y
        return o

    for wrap in (lambda y: (y, None), lambda y: {"logits": y}, with_logits):
        np.testing.assert_array_equal(explain(Wraps(wrap), tensor(), "gradient").values, wanted)
    np.testing.assert_array_equal(
        explain(Wraps(lambda y: {"a": 0, "b": [y]}), tensor(), "gradient", output=lambda o: o["b"][0]).values, wanted
    )
    with pytest.raises((ValueError, TypeError), match="output="):
        Session(Wraps(lambda y: "nothing"), tensor())
    softmax = Session(Wraps(lambda y: y.softmax(1)), tensor())
    assert any("softmax" in note for note in softmax.notes) and softmax.map("gradient").unit.startswith("probability")


def test_scripted_models_and_plain_callables():
    scripted = torch.jit.trace(small(), tensor()[None])
    session = Session(scripted, tensor())
    np.testing.assert_allclose(
        session.map("leave_one_out", grid=3).values, explain(small(), tensor(), "leave_one_out", grid=3).values, atol=1e-12
    )
    with pytest.raises(ValueError, match="scripted"):
        session.map("gradient")
    model = small()
    np.testing.assert_allclose(
        explain(lambda x: model(x.double()), tensor(dtype=torch.float32), "leave_one_out", grid=2, target=0).values,
        explain(model, tensor(), "leave_one_out", grid=2, target=0).values,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: Session(small(), "no/such/photo.jpg"), FileNotFoundError, "photo.jpg"),
        (lambda: Session(small(), torch.zeros(3)), (ValueError, TypeError), "C, H, W"),
        (lambda: Session(small(), torch.full((3, 8, 8), float("nan"), dtype=torch.float64)), ValueError, "NaN"),
        (lambda: Session(small(), torch.zeros(1, 8, 8, dtype=torch.float64)), ValueError, "channel"),
        (lambda: Session("resnet18", tensor()), TypeError, "callable"),
        (lambda: Session(small(), tensor(), ["a", "b"]), ValueError, "2 names"),
        (lambda: Session(small(), tensor(), "cat"), TypeError, "labels"),
        (lambda: Session(small(), tensor(), target=99), LookupError, "out of range"),
        (lambda: Session(small(), tensor(), score="loss"), ValueError, "log_probability"),
        (lambda: Session(small(), tensor(), score="margin"), ValueError, "contrast="),
        (lambda: Session(small(), tensor(), backend="triton-9"), ValueError, "auto, torch"),
        (lambda: Session(small(), tensor(), space="lab"), ValueError, "input, pixel"),
        (lambda: Session(small(), tensor()).map("gradcam"), LookupError, "'grad_cam'"),
        (lambda: Session(small(), tensor()).map("integrated_gradients", step=3), TypeError, "'steps'"),
        (lambda: explain(small(), tensor(), "gradient", colour=3), TypeError, "colour"),
        (lambda: Session(small(), tensor()).map("integrated_gradients", alpha=(0.5, 2)), ValueError, "from 0 to 1"),
    ],
)
def test_bad_input_is_one_clear_error(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_two_threads_on_one_model_take_turns():
    model, x, results = small(), tensor(), {}
    sessions = [Session(model, x), Session(model, x)]

    def work(number):
        results[number] = sessions[number].map("leave_one_out", grid=10).values

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    np.testing.assert_array_equal(results[0], results[1])
    assert sum(s.stats.forward_samples for s in sessions) == 101


def test_explain_and_session_agree_and_importing_needs_no_widgets():
    np.testing.assert_array_equal(
        explain(small(), tensor(), "integrated_gradients", target=1, steps=8).values,
        Session(small(), tensor(), target=1).map("integrated_gradients", steps=8).values,
    )
    import subprocess
    import sys

    code = (
        "import sys; import saliency_widgets as sw; sw.Session; sw.methods(); "
        "assert not {'ipywidgets', 'bqplot', 'torchvision'} & set(sys.modules), 'imported too much'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_model_that_rewrites_its_own_weights_as_it_runs_is_explained_on_a_copy():
    class Restless(Small):
        def forward(self, x):
            out = super().forward(x)
            with torch.no_grad():
                self.head.bias.add_(1.0)
            return out

    model = Restless().double().eval()
    session = Session(model, tensor(), target=0)
    session.map("gradient")
    settled = model.head.bias.detach().clone()
    session.map("leave_one_out", grid=4)
    assert torch.equal(model.head.bias, settled)


def test_hooks_of_the_user_are_named_and_torchs_own_are_not():
    model = small()
    model.conv1 = torch.nn.utils.weight_norm(model.conv1)
    assert not any("hooks" in note for note in Session(model, tensor()).notes)
    model.register_forward_hook(lambda module, inputs, output: None)
    assert any("hooks" in note for note in Session(model, tensor()).notes)


def test_receptive_fields_are_measured_once_and_forgotten_with_the_model():
    model = small()
    session = Session(model, tensor((64, 64)))
    before = session.stats.setup_samples
    fields = session.receptive_fields()
    assert fields["conv1"] == 3 and fields["conv2"] == 5 and session.stats.setup_samples == before + 16
    assert session.receptive_fields() == fields and session.stats.setup_samples == before + 16
    session.refresh()
    with torch.no_grad():
        model.conv1.weight.mul_(2)
    session.map("grad_cam")
    assert session.receptive_fields() == fields and session.stats.setup_samples > before + 32
    assert Session(lambda x: x.mean((2, 3)), tensor()).receptive_fields() == {}
