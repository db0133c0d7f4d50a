"""Backward rules against hand-written backward passes: every spelling of an activation is reached, and what is not is named."""
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from saliency_widgets.model.backward_rules import RULES, Rewriting, detour
from tests.gate import Gate

torch.manual_seed(0)
X = torch.randn(2, 3, 9, 9, dtype=torch.float64)


def statement(x):
    """In place, and whoever calls it goes on with `x` itself."""
    x.relu_()
    return x


SPELLINGS = {
    "F.relu": F.relu, "torch.relu": torch.relu, "method": lambda x: x.relu(), "module": nn.ReLU(), "x.relu_()": statement,
    "in place": nn.ReLU(inplace=True), "F.relu in place": lambda x: F.relu(x, inplace=True), "torch.relu_": torch.relu_,
    "F.relu_": F.relu_, "clamp": lambda x: x.clamp(min=0), "clamp_min_": lambda x: x.clamp_min_(0),
    "threshold": lambda x: F.threshold(x, 0, 0), "hardtanh": lambda x: F.hardtanh(x, 0, 1e9, inplace=True),
}


class Net(nn.Module):
    """A residual net that calls one activation three times; the sum is in place, as ResNet's."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.a, self.b, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)
        self.double().eval().requires_grad_(False)

    def forward(self, x):
        x = self.act(self.a(x))
        y = self.b(self.act(self.b(x)))
        y += x
        return self.head(self.act(y).mean((2, 3)))


def ruled(model, rule, x=X, target=1, clone=None):
    with Rewriting(rule, clone) as active:
        leaf = x.clone().requires_grad_(True)
        out = model(leaf.clone())
        gradient, = torch.autograd.grad(out[:, target].sum(), leaf)
    return out.detach(), gradient, active.coverage


def by_hand(guided, x=X, target=1):
    leaf = x.clone().requires_grad_(True)
    return torch.autograd.grad(Net(lambda t: Gate.apply(t, guided))(leaf)[:, target].sum(), leaf)[0]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_every_spelling_is_reached(spelling, rule):
    model = Net(SPELLINGS[spelling])
    out, gradient, coverage = ruled(model, rule)
    assert torch.equal(out, model(X.clone()))
    torch.testing.assert_close(gradient, by_hand(rule == "guided"), rtol=0, atol=1e-12)
    assert str(coverage) == "3 of 3 activation calls rewritten" and coverage.complete and not coverage.heuristic
    leaf = X.clone().requires_grad_(True)
    plain, = torch.autograd.grad(model(leaf.clone())[:, 1].sum(), leaf)
    assert (gradient - plain).abs().max() > 1e-3


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_relu6_also_asks_for_less_than_six(rule):
    x = torch.tensor([-1.0, 2, 5, 7], dtype=torch.float64, requires_grad=True)
    with Rewriting(rule) as active:
        gradient, = torch.autograd.grad((F.relu6(x) * torch.tensor([1.0, 1, -1, 1])).sum(), x)
    assert gradient.tolist() == ([0, 1, 0, 0] if rule == "guided" else [1, 1, 0, 1])
    assert active.coverage.calls == 1


@pytest.mark.parametrize("name", ["silu", "gelu", "hardswish", "hardsigmoid", "leaky_relu", "elu", "selu", "celu", "mish",
                                  "softplus", "sigmoid", "tanh", "logsigmoid", "softshrink", "hardshrink"])
@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_smooth_activations_pass_the_positive_part_of_their_own_gradient(name, rule):
    function = getattr(F, name)
    x, weight = X[0, 0].clone().requires_grad_(True), X[1, 1]
    plain, = torch.autograd.grad((function(x) * weight).sum(), x)
    with Rewriting(rule) as active:
        got, = torch.autograd.grad((function(x) * weight).sum(), x)
    torch.testing.assert_close(got, plain.clamp(min=0))
    assert active.coverage.complete and active.coverage.calls == 1
    assert active.coverage.heuristic == ({"logsigmoid": "log_sigmoid"}.get(name, name),)


def test_an_activation_inside_a_composite_of_torch_is_reached():
    layer = nn.TransformerEncoderLayer(9, 3, 16, batch_first=True, activation="relu").double().eval().requires_grad_(False)
    x = X[:, 0].clone()
    _, gradient, coverage = ruled(layer, "guided", x, target=0)
    assert str(coverage) == "1 of 1 activation calls rewritten"
    layer.activation, layer.activation_relu_or_gelu = lambda t: Gate.apply(t, True), 0
    leaf = x.clone().requires_grad_(True)
    wanted, = torch.autograd.grad(layer(leaf)[:, 0].sum(), leaf)
    torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-12)
    assert ruled(lambda t: F.tanhshrink(t).flatten(1), "guided")[2].calls == 1


ZERO = torch.zeros((), dtype=torch.float64)
OTHERS = {
    "where": lambda x: torch.where(x > 0, x, ZERO), "masked_fill": lambda x: x.masked_fill(x < 0, 0),
    "index_put": lambda x: x.index_put((x < 0,), ZERO), "mul": lambda x: x * (x > 0),
    "maximum": lambda x: torch.max(x, ZERO), "clamp": lambda x: x.clamp(min=ZERO),
    "glu": lambda x: F.glu(torch.cat((x, x), 1), 1), "abs": F.softsign, "sin": torch.sin, "exp": lambda x: x.exp() / 9,
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_what_the_rule_does_not_speak_of_is_named_and_never_the_plain_gradient_in_silence(name, rule):
    with pytest.raises(ValueError, match=f"none of the 3 activation calls .{name}. could be rewritten"):
        ruled(Net(OTHERS[name]), rule)
    coverage = ruled(nn.Sequential(nn.Conv2d(3, 3, 3).double(), nn.ReLU(), Net(OTHERS[name])), rule)[2]
    assert (coverage.rewritten, coverage.calls, coverage.missed) == (1, 4, (name,))


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_a_clamp_between_numbers_is_a_hardtanh_and_a_floor_under_a_denominator_is_nothing(rule):
    clamped, spelled = (ruled(Net(act), rule) for act in (lambda x: x.clamp(-0.1, 0.2), lambda x: F.hardtanh(x, -0.1, 0.2)))
    assert torch.equal(clamped[1], spelled[1]) and clamped[2] == spelled[2] and clamped[2].complete
    assert ruled(Net(lambda x: x.clamp(max=0.3)), rule)[2].complete
    coverage = ruled(lambda x: F.normalize(torch.relu(x), dim=1).flatten(1), rule)[2]
    assert str(coverage) == "1 of 1 activation calls rewritten" and coverage.complete


def test_an_activation_in_place_on_a_part_changes_the_whole():
    """`x[:, :2].relu_()`: the rectified part is seen, and differentiated, through the tensor that it is a part of."""
    def model(x):
        x = x * 1.0
        x[:, :2].relu_()
        return (x * X.flip(-1)).sum((2, 3))

    out, gradient, coverage = ruled(model, "guided", target=1)
    assert torch.equal(out, model(X)) and coverage.complete and coverage.calls == 1
    weight = X.flip(-1)[:, 1]
    assert torch.equal(gradient[:, 1], weight * (weight > 0) * (X[:, 1] > 0)) and not gradient[:, [0, 2]].any()


def test_what_does_not_depend_on_the_picture_counts_in_neither():
    table = torch.randn(3, dtype=torch.float64)

    def model(x):
        return F.relu(x).mean((2, 3)) * torch.sigmoid(F.relu(table))

    assert str(ruled(model, "guided")[2]) == "1 of 1 activation calls rewritten"


class Opaque(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.relu(x * 1.0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (ctx.saved_tensors[0] > 0)


class Aside(nn.Module):
    def forward(self, x):
        return Opaque.apply(x)


def test_calls_inside_a_custom_function_are_missed_and_named():
    model = nn.Sequential(nn.ReLU(), Aside(), nn.Flatten())
    coverage = ruled(model, "guided", clone=model)[2]
    assert (coverage.rewritten, coverage.calls, coverage.missed) == (1, 2, ("relu in 1",)) and not coverage.complete
    assert ruled(model, "guided")[2].missed == ("relu",)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("make", [
    pytest.param(torch.jit.script, id="scripted"), pytest.param(lambda m: torch.jit.trace(m, X), id="traced"),
    pytest.param(lambda m: torch.export.export(m, (X,)).module(), id="exported")])
@pytest.mark.parametrize("rule", ["guided", "deconvnet", "deeplift"])
def test_code_without_calls_of_python_is_refused_not_answered_with_the_plain_gradient(make, rule):
    model = make(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()).double().eval().requires_grad_(False))
    with pytest.raises(ValueError, match="none of the 1 activation calls .*relu.* could be rewritten.*scripted"):
        with Rewriting(rule) as active:
            with active.recording():
                model(X * 0)
            model(X.clone().requires_grad_(True))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_scripted_part_of_an_eager_model_is_named():
    model = nn.Sequential(nn.ReLU(), torch.jit.script(nn.Sequential(nn.Sigmoid())), nn.Flatten())
    coverage = ruled(model, "guided", clone=model)[2]
    assert (coverage.rewritten, coverage.calls) == (1, 2) and coverage.missed[0].startswith("sigmoid")


def test_a_linear_model_keeps_its_gradient_and_counts_nothing():
    model = nn.Sequential(nn.Flatten(), nn.Linear(243, 3)).double().requires_grad_(False)
    _, gradient, coverage = ruled(model, "deconvnet")
    torch.testing.assert_close(gradient, model[1].weight[1].view(1, 3, 9, 9).expand_as(gradient))
    assert str(coverage) == "0 of 0 activation calls rewritten" and coverage.complete


def test_checkpointed_calls_are_rewritten_when_they_are_repeated_and_count_once():
    model = Net(F.relu)
    _, gradient, coverage = ruled(lambda x: checkpoint(model, x, use_reentrant=False), "guided")
    torch.testing.assert_close(gradient, by_hand(True), rtol=0, atol=1e-12)
    assert str(coverage) == "3 of 3 activation calls rewritten"


def test_another_thread_computes_its_own_gradient():
    model, found = Net(F.relu), []

    def elsewhere():
        leaf = X.clone().requires_grad_(True)
        found.append(torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)[0])

    elsewhere()
    with Rewriting("guided") as active:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert torch.equal(*found) and active.coverage.calls == 0


def test_hooks_and_modes_are_gone_after_an_error():
    model = Net(F.relu)
    with pytest.raises(RuntimeError, match="stop"):
        with Rewriting("guided", model):
            raise RuntimeError("stop")
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert ruled(model, "guided")[2].complete


def test_an_unknown_rule_is_named_with_those_that_exist():
    assert {"guided", "deconvnet", "deeplift"} <= set(RULES)
    with pytest.raises(LookupError, match="no backward rule 'gided'.*guided"):
        Rewriting("gided")


def test_a_detour_shows_one_number_and_differentiates_another():
    x = torch.tensor([2.0, -3.0], requires_grad=True)
    out = detour(torch.tensor([1.0, 1.0]), x * 5)
    out += 1
    assert out.tolist() == [2, 2] and torch.autograd.grad(out.sum(), x)[0].tolist() == [5, 5]
