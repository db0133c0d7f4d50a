"""The sanity check: what it randomises, that it touches nothing else, and whom it lets pass."""
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from torch import nn

import saliency_widgets as sw
from saliency_widgets import Session
from saliency_widgets.metrics import randomisable, randomised, sanity_check, sanity_steps
from saliency_widgets.metrics.sanity import similarity
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
    whole = randomised(session, "conv1")
    assert changed(session, whole) == {*two, "conv1.weight", "conv1.bias", "norm.weight", "norm.bias"} - {
        k for k, v in weights(session).items() if k.startswith("norm") and torch.equal(v, weights(whole)[k])}
    assert changed(session, randomised(session, "conv2", order="independent")) == {"conv2.weight", "conv2.bias"}
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
    assert got.value == d["signed"][0] and d["passes"] == (got.value < 0.7)  # the upper half of two layers
    assert all(len(d[k]) == 2 for k in ("signed", "absolute", "ssim", "hog"))
    alike = similarity(d["maps"][0], d["maps"][0])
    assert all(v == pytest.approx(1) for v in alike.values())


def test_one_step_at_a_time(session):
    told = []
    steps = list(sanity_steps(session, "grad_cam", on_progress=lambda *a: told.append(a)))
    whole = sanity_check(session, "grad_cam")
    assert [s.n for s in steps] == [1, 2, 3] and told[-1][0] == told[-1][1]
    np.testing.assert_array_equal(steps[-1].details["signed"], whole.details["signed"])
    assert steps[-1].value == whole.value == pytest.approx(np.mean(whole.details["signed"][:2]))
    alone = sanity_check(session, "grad_cam", order="independent")
    assert alone.value == pytest.approx(np.mean(alone.details["signed"])) and alone.details["order"] == "independent"


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
