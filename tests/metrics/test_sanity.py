"""The sanity check: what it randomises, that it touches nothing else, and whom it lets pass."""
import threading
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from torch import nn

import saliency_widgets as sw
from saliency_widgets import Session
from saliency_widgets.metrics import randomisable, randomised, sanity_check, sanity_steps
from saliency_widgets.metrics.randomised import _Drawing
from saliency_widgets.metrics.sanity import _State, similarity
from tests.small import Small, small, tensor


def state(model):
    return [(name, t.data_ptr(), t._version, t.dtype, t.requires_grad, t.clone())
            for name, t in model.state_dict(keep_vars=True).items()]


def same(before, after):
    return all(a[:5] == b[:5] and torch.equal(a[5], b[5]) for a, b in zip(before, after, strict=True))


def weights(session):
    return {k: v.clone() for k, v in session.subject.model.state_dict().items()}


def changed(session, other):
    """The parameters of another session's model that differ."""
    a, b = weights(session), weights(other)
    return {k for k in a if not torch.equal(a[k], b[k]) and "running" not in k and "tracked" not in k}


@pytest.fixture(scope="module")
def session():
    return Session(small(), tensor(), target=2, mean=(0,) * 3, std=(1,) * 3)


def test_layers_come_from_the_top_and_norms_go_along(session):
    assert randomisable(session) == ("head", "conv2", "conv1")
    assert changed(session, randomised(session, "head")) == {"head.weight", "head.bias"}
    two = {"head.weight", "head.bias", "conv2.weight", "conv2.bias"}
    assert changed(session, randomised(session, "conv2")) == two
    assert changed(session, randomised(session, "conv2", order="independent")) == {"conv2.weight", "conv2.bias"}
    model = small()
    with torch.no_grad():
        model.norm.weight.add_(0.5), model.norm.bias.add_(0.5), model.norm.running_mean.add_(0.5)  # no longer as it is drawn
    learned = Session(model, tensor(), target=2, mean=(0,) * 3, std=(1,) * 3)
    whole, upper = randomised(learned, "conv1"), randomised(learned, "conv2")
    assert changed(learned, whole) == {*two, "conv1.weight", "conv1.bias", "norm.weight", "norm.bias"}
    assert changed(learned, upper) == two
    assert (weights(whole)["norm.running_mean"] == 0).all()  # the norm's own reset


def test_deeper_ones_contain_shallower_ones_and_seeds_differ(session):
    upper, whole, again, other = (weights(randomised(session, *a, **k)) for a, k in (
        (("conv2",), {}), ((), {}), ((), {}), ((), {"seed": 1})))
    assert torch.equal(upper["conv2.weight"], whole["conv2.weight"])
    assert not torch.equal(upper["conv1.weight"], whole["conv1.weight"])
    assert all(torch.equal(whole[k], again[k]) for k in whole)
    assert not torch.equal(whole["head.weight"], other["head.weight"])


@pytest.mark.parametrize("grad", [True, False])
def test_the_users_model_and_random_state_stay_untouched(grad):
    model = Small().double().train()
    for p in model.parameters():
        p.requires_grad_(grad)
    own = Session(model, tensor(), target=1)
    before, rng, numpy_rng = state(model), torch.get_rng_state(), np.random.get_state()[1].copy()
    logits = own.logits.copy()
    sanity_check(own, "gradient")
    assert same(before, state(model)) and model.training and all(p.grad is None for p in model.parameters())
    assert torch.equal(rng, torch.get_rng_state()) and np.array_equal(numpy_rng, np.random.get_state()[1])
    with pytest.raises(KeyboardInterrupt):
        sanity_check(own, "gradient", seed=3, on_draft=lambda m: (_ for _ in ()).throw(KeyboardInterrupt))
    assert same(before, state(model)) and not any(m._forward_pre_hooks for m in model.modules())
    own.refresh()
    np.testing.assert_array_equal(own.logits, logits)


class Heard(nn.Linear):
    """A layer during whose drawing another thread draws, too."""

    drawn: list = []

    def reset_parameters(self):
        super().reset_parameters()
        other = threading.Thread(target=lambda: Heard.drawn.append(torch.rand(3)))
        other.start()
        other.join()
        self.weight.data.mul_(torch.rand(()))  # torch's functions are heard, too, not only the tensors'


def test_a_thread_that_draws_at_the_same_time_is_left_alone():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.noise = Heard(3, 4), Heard(4, 3), nn.Parameter(torch.rand(3, 1, 1))

        def forward(self, x):
            return self.two(self.one((x + self.noise).mean((2, 3))).relu())

    with torch.random.fork_rng(devices=[]):
        own = Session(Net().eval(), tensor((8, 8)).float())
        Heard.drawn.clear()
        torch.manual_seed(3)
        wanted = [torch.rand(3) for _ in range(3)]
        torch.manual_seed(3)
        got = randomised(own)
        Heard.drawn.append(torch.rand(3))
        assert all(torch.equal(a, b) for a, b in zip(Heard.drawn, wanted, strict=True))
        for name in ("one", "two"):  # what torch itself draws with that seed
            plain = nn.Linear(*((3, 4) if name == "one" else (4, 3)))
            torch.manual_seed(zlib.crc32(f"0 {name}".encode()))
            plain.reset_parameters()
            assert torch.equal(weights(got)[f"{name}.bias"], plain.bias)
            assert torch.equal(weights(got)[f"{name}.weight"], plain.weight * torch.rand(()))


def test_a_drawing_is_what_the_seed_gives():
    def draw():
        x = torch.full((50,), 0.5)
        return [torch.randn(40), torch.randperm(9), torch.rand_like(x), torch.randint(0, 9, (5,)), torch.bernoulli(x),
                nn.init.trunc_normal_(torch.empty(8)), nn.init.orthogonal_(torch.empty(4, 4)), nn.init.kaiming_normal_(x[None])]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(77)
        wanted = draw()
    before = torch.get_rng_state()
    with _Drawing(77):
        got = [*draw(), torch.poisson(torch.ones(5))]  # the last one has no form with a generator by keyword
    with _Drawing(77):
        again = [*draw(), torch.poisson(torch.ones(5))]
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(got, wanted)) and all(torch.equal(a, b) for a, b in zip(got, again, strict=True))


def test_correlations_of_both_signs_do_not_cancel(session):
    m = session.map("gradient")
    state = _State("gradient", m, ("d", "c", "b", "a"))
    for sign in (1, -1, 1, -1):
        state.add(replace(m, values=sign * m.values))
    got = state.measure({"order": "independent"})
    np.testing.assert_allclose(got.details["signed"], [1, -1, 1, -1])
    assert got.value == pytest.approx(1) and not got.details["passes"] and "hardly changes" in got.warnings[0]


def test_numbers_are_what_they_are_called(session):
    got = sanity_check(session, "gradient", layers=["head", "conv1"])
    d = got.details
    first, last = (np.asarray(m.heatmap(), float) for m in (d["maps"][0], d["maps"][-1]))
    assert d["layers"] == ("head", "conv1") and len(d["maps"]) == 3 and got.n == 2
    np.testing.assert_array_equal(d["maps"][0].values, session.map("gradient").values)
    np.testing.assert_array_equal(d["maps"][2].values, randomised(session).map("gradient", target=2).values)
    assert d["signed"][1] == pytest.approx(spearmanr(first.ravel(), last.ravel()).statistic)
    assert d["absolute"][1] == d["final"] == pytest.approx(spearmanr(np.abs(first).ravel(), np.abs(last).ravel()).statistic)
    scaled = [(np.abs(h) - np.abs(h).min()) / np.ptp(np.abs(h)) for h in (first, last)]
    assert d["ssim"][1] == pytest.approx(structural_similarity(*scaled, win_size=5, data_range=1.0))
    assert got.value == abs(d["signed"][0]) and d["passes"] == (got.value < 0.7)  # the upper half of two layers
    assert all(len(d[k]) == 2 for k in ("signed", "absolute", "ssim", "hog"))
    alike = similarity(d["maps"][0], d["maps"][0])
    assert all(v == pytest.approx(1) for v in alike.values())


def test_one_step_at_a_time(session):
    told = []
    steps = list(sanity_steps(session, "grad_cam", on_progress=lambda *a: told.append(a)))
    whole = sanity_check(session, "grad_cam")
    assert [s.n for s in steps] == [1, 2, 3] and told[-1][0] == told[-1][1]
    np.testing.assert_array_equal(steps[-1].details["signed"], whole.details["signed"])
    assert steps[-1].value == whole.value == pytest.approx(np.abs(whole.details["signed"][:2]).mean())
    alone = sanity_check(session, "grad_cam", order="independent")
    assert alone.value == pytest.approx(np.abs(alone.details["signed"]).mean()) and alone.details["order"] == "independent"


def test_shared_reparametrised_and_homeless_weights_are_drawn():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.scale = nn.Parameter(torch.randn(3, 1, 1))  # has no layer of its own
            self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
            self.twice = nn.Conv2d(4, 4, 1)
            self.head = nn.Linear(4, 3)
            self.tied = nn.Linear(4, 3)
            self.tied.weight = self.head.weight

        def forward(self, x):
            x = self.twice(self.twice(self.conv(x * self.scale)).relu())
            return self.head(x.mean((2, 3))) + self.tied(x.mean((2, 3)))

    torch_state = torch.get_rng_state()
    own = Session(Odd().eval(), tensor((8, 8)).float())
    torch.set_rng_state(torch_state)
    whole = randomised(own)
    moved = {k for k, v in weights(own).items() if not torch.equal(v, weights(whole)[k])}
    assert moved >= {"scale", "conv.bias", "conv.parametrizations.weight.original1", "twice.weight", "head.weight"}
    after = weights(whole)
    assert torch.equal(after["head.weight"], after["tied.weight"])  # still tied
    assert sorted(after["scale"].ravel()) == sorted(weights(own)["scale"].ravel())  # shuffled


def test_refusals_say_what_to_do(session):
    with pytest.raises(LookupError, match="no layer 'top'.*head, conv2, conv1"):
        randomised(session, "top")
    with pytest.raises(ValueError, match="'cascading', 'independent'"):
        randomised(session, order="upwards")
    with pytest.raises(ValueError, match="a list of layers"):
        sanity_check(session, "gradient", layers="head")
    with pytest.raises(LookupError, match="no method"):
        sanity_check(session, "gradients")
    with pytest.raises(ValueError, match="give the network itself"):
        sanity_check(Session(lambda x: x.mean((2, 3)), tensor()), "leave_one_out")


@pytest.fixture(scope="module")
def demo():
    return Session(*sw.demo())


@pytest.mark.parametrize("method, passes", [("gradient", True), ("grad_cam", True), ("guided_backprop", False)])
def test_it_tells_guided_backprop_from_gradient_and_grad_cam(demo, method, passes):
    upper = randomisable(demo)[:5]
    found = [sanity_check(demo, method, layers=upper, seed=seed) for seed in (0, 1)]
    values = [f.value for f in found]
    print(method, values)
    assert all(f.details["passes"] is passes and bool(f.warnings) is not passes for f in found)
    assert (max(values) < 0.6) if passes else (min(values) > 0.8)
