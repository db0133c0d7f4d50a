"""The rules of LRP against their formulas written out, conservation, and what is refused."""
import gc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import Function
from torch.utils.checkpoint import checkpoint

from saliency_widgets.model.backward_rules import Rewriting
from saliency_widgets.model.lrp_rules import KINDS, rule_name
from tests.small import small, tensor

LOW, HIGH = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def propagate(model, x, kind="epsilon", target=0, **numbers):
    """Relevance of `x` `(N, …)`, the explained scores `(N,)` and the coverage, as the engine gets them."""
    name, leaf = rule_name(kind, **numbers), x.clone().requires_grad_(True)
    with Rewriting(name, model) as rewriting:
        scores = model(rewriting.enter(leaf))
        rewriting.leave(scores)
        relevance, = torch.autograd.grad(scores[:, target].sum(), leaf)
    return relevance, scores[:, target].detach(), rewriting.coverage


def seeded(module, seed=0):
    """A module in float64 with seeded weights that need no gradient, as those of a working copy."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.double().parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 2
    return module.requires_grad_(False).eval()


def signed(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Of(nn.Module):
    """A function as a model; modules given by name are its own."""

    def __init__(self, function, **modules):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def shared(contributions, relevance, bias=0.0):
    """R_j = Σ_k contributions_jk / (Σ_j contributions_jk + bias_k) R_k; columns that sum to nothing give nothing."""
    total = contributions.sum(0) + bias
    return (contributions * np.where(total == 0, 0, relevance / np.where(total == 0, 1, total))).sum(1)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("positive", [False, True])
def test_one_layer_is_each_rules_formula(bias, positive):
    layer, head = seeded(nn.Linear(6, 5, bias=bias)), signed(5, seed=3)
    x = signed(1, 6).abs() if positive else signed(1, 6)
    model = Of(lambda self, x: (self.layer(x) * head).sum(1, keepdim=True), layer=layer)
    a, w = x[0].numpy(), layer.weight.numpy().T
    b = layer.bias.numpy() if bias else np.zeros(5)
    z, contributions = a @ w + b, a[:, None] * w
    relevance = z * head.numpy()
    got, *_ = propagate(model, x, "epsilon", epsilon=0.05)
    np.testing.assert_allclose(got[0], (contributions * relevance / (z + 0.05 * np.sign(z))).sum(1), rtol=1e-6)

    def favoured(v):  # outputs above zero favour what excites, those below what inhibits
        return v + 0.25 * np.where(z > 0, np.maximum(v, 0), np.minimum(v, 0))

    got, *_ = propagate(model, x, "gamma", gamma=0.25)
    np.testing.assert_allclose(got[0], shared(favoured(contributions), relevance, favoured(b)), rtol=1e-6)


@pytest.mark.parametrize("kind", ["zplus", "alpha2beta1", "composite"])
def test_one_convolution_is_each_rules_formula(kind):
    layer, head = seeded(nn.Conv2d(3, 5, 1)), signed(5, seed=3).view(-1, 1, 1)
    x = tensor((1, 1))[None]
    x[0, 1] = 0  # a black value, whose relevance zᴮ still tells
    model = Of(lambda self, x: (self.layer(x) * head).sum((1, 2, 3))[:, None], layer=layer)
    a, w, b = x.view(-1).numpy(), layer.weight.view(5, 3).numpy().T, layer.bias.numpy()
    contributions, relevance = a[:, None] * w, (a @ w + b) * head.view(-1).numpy()
    up, down = (lambda v: np.maximum(v, 0)), (lambda v: np.minimum(v, 0))
    for_, against = shared(up(contributions), relevance, up(b)), shared(down(contributions), relevance, down(b))
    wanted = {"zplus": for_, "alpha2beta1": 2 * for_ - against, "composite": shared(contributions - down(w), relevance)}[kind]
    got, score, _ = propagate(model, x, kind, low=LOW, high=HIGH)
    np.testing.assert_allclose(got.view(-1), wanted, rtol=1e-6)
    if kind == "composite":
        assert got[0, 1].abs() > 0
        torch.testing.assert_close(got.sum(), score.sum(), rtol=1e-6, atol=0)


class Varied(nn.Module):
    """A bias-free ReLU network of module, functional and in-place calls, pooling that overlaps, a residual, a concatenation."""

    def __init__(self, seed, width, stride):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width, affine=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(2 * width * 4, 3, bias=False)
        seeded(self, seed)
        self.norm.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(seed))

    def forward(self, x):
        x = self.act(self.norm(self.first(x)))
        y = self.second(x)
        y += x
        y = F.max_pool2d(F.relu(y), 3, 2, padding=1, ceil_mode=True)
        y = torch.cat([F.avg_pool2d(y, 2), F.adaptive_avg_pool2d(y, 2).clamp(min=0)[..., :2, :2]], 1) \
            if y.shape[-1] == 4 else y.repeat(1, 2, 1, 1)
        return self.head(F.dropout(F.adaptive_avg_pool2d(y, 2), training=self.training).flatten(1))


networks = st.builds(Varied, st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([1, 2]))


@settings(max_examples=25, deadline=None)
@given(networks, st.integers(0, 1000))
def test_epsilon_to_zero_on_bias_free_relu_networks_is_gradient_x_input_and_sums_to_the_score(model, seed):
    x = signed(2, 3, 8, 8, seed=seed)
    got, score, coverage = propagate(model, x, "epsilon", epsilon=0.0)
    leaf = x.clone().requires_grad_(True)
    gradient, = torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)
    torch.testing.assert_close(got, gradient * x, rtol=0, atol=1e-6 * float((gradient * x).abs().max() + 1e-9))
    torch.testing.assert_close(got.sum((1, 2, 3)), score, rtol=1e-6, atol=1e-9)
    assert coverage.complete


@settings(max_examples=15, deadline=None)
@given(networks, st.integers(0, 1000), st.sampled_from(["gamma", "composite"]), st.floats(0, 2))
def test_every_rule_keeps_the_sum_on_bias_free_relu_networks(model, seed, kind, gamma):
    x = signed(1, 3, 8, 8, seed=seed).abs()
    got, score, _ = propagate(model, x, kind, epsilon=0.0, gamma=gamma, low=LOW, high=HIGH)
    torch.testing.assert_close(got.sum((1, 2, 3)), score, rtol=1e-5, atol=1e-7)
    assert torch.isfinite(got).all()


@pytest.mark.parametrize("kind", KINDS)
def test_batch_norm_folded_or_not_gives_the_same(kind):
    first, norm, head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8 * 36, 4)
    model = seeded(nn.Sequential(first, norm, nn.ReLU(inplace=True), nn.Flatten(), head, nn.BatchNorm1d(4)))
    norm.running_mean.normal_(generator=torch.Generator().manual_seed(5))
    folded = nn.Sequential(torch.nn.utils.fusion.fuse_conv_bn_eval(first, norm), nn.ReLU(), nn.Flatten(),
                           torch.nn.utils.fusion.fuse_linear_bn_eval(head, model[5])).requires_grad_(False)
    x = signed(2, 3, 8, 8)
    ours, theirs = (propagate(m, x, kind, low=LOW, high=HIGH)[0] for m in (model, folded))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9 * float(theirs.abs().max()))


def test_a_batch_norm_behind_an_in_place_activation_is_not_folded():
    class Behind(nn.Module):
        def __init__(self, in_place):
            super().__init__()
            self.first, self.act, self.norm = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=in_place), nn.BatchNorm2d(4)
            seeded(self)

        def forward(self, x):
            x = self.first(x)
            y = self.act(x)
            return self.norm(x if self.act.inplace else y).mean((2, 3))

    x = signed(1, 3, 6, 6)
    maps = [propagate(Behind(in_place), x, "gamma")[0] for in_place in (True, False)]
    torch.testing.assert_close(*maps)


SIGNAL = {
    "squeeze and excitation": (Of(lambda s, x: (x * torch.sigmoid(s.gate(x.mean((2, 3), keepdim=True)))).flatten(1),
                                  gate=nn.Conv2d(3, 3, 1)), True),
    "gate of one number by position": (Of(lambda s, x: (s.gate(x) * x).flatten(1), gate=nn.Conv2d(3, 1, 1)), True),
    "two signals": (Of(lambda s, x: (s.one(x) * s.two(x)).flatten(1), one=nn.Conv2d(3, 2, 1, bias=False),
                       two=nn.Conv2d(3, 2, 1, bias=False)), True),
    "a square": (Of(lambda s, x: (x * x).flatten(1) + (x ** 2).flatten(1)), True),
    "products of matrices": (Of(lambda s, x: (x @ x.transpose(-1, -2) @ x).flatten(1)), True),
    "einsum": (Of(lambda s, x: torch.einsum("nchw,ndhw->ncd", x, x).flatten(1)), True),
    "GLU": (Of(lambda s, x: F.glu(x, 2).flatten(1)), True),
    "layer norm": (Of(lambda s, x: s.norm(x).flatten(1), norm=nn.LayerNorm(4, bias=False)), True),
    "group norm": (Of(lambda s, x: s.norm(x).flatten(1), norm=nn.GroupNorm(3, 3)), False),
    "instance norm": (Of(lambda s, x: F.instance_norm(x).flatten(1)), True),
    "RMS norm": (Of(lambda s, x: F.rms_norm(x, (4, 4)).flatten(1)), True),
    "local response norm": (Of(lambda s, x: F.local_response_norm(x, 3).flatten(1)), True),
    "norm by hand": (Of(lambda s, x: ((x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-5).sqrt()).flatten(1)), True),
    "normalise": (Of(lambda s, x: F.normalize(x, dim=1).flatten(1)), True),
    "smooth activations": (Of(lambda s, x: (F.silu(x) + F.gelu(x) + F.hardswish(x) + F.mish(x)).tanh().flatten(1)), True),
    "leaky and clipped": (Of(lambda s, x: (F.leaky_relu(x) + F.relu6(x) + s.p(x) + F.elu(x)).flatten(1), p=nn.PReLU(3)), True),
    "transposed convolution": (Of(lambda s, x: s.up(x).flatten(1), up=nn.ConvTranspose2d(3, 2, 3, stride=2, bias=False)), True),
    "a constant factor from the left": (Of(lambda s, x: (s.w.weight @ x).flatten(1), w=nn.Linear(4, 4)), True),
    "an average": (Of(lambda s, x: F.interpolate(x.mean(1, keepdim=True), (8, 8), mode="bilinear").flatten(1)), True),
}


@pytest.mark.parametrize("name", SIGNAL)
def test_without_biases_each_call_keeps_the_sum(name):
    model, keeps = SIGNAL[name]
    x = signed(2, 3, 4, 4)
    relevance, score, coverage = propagate(seeded(model), x, "epsilon", target=3, epsilon=0.0)
    assert coverage.complete, coverage.missed
    same = torch.allclose(relevance.sum((1, 2, 3)), score, rtol=1e-6, atol=1e-12)
    assert same == keeps  # the group norm has a bias, which keeps its share


def test_what_an_activation_is_at_zero_counts_as_a_bias():
    x = signed(1, 6)
    relevance, *_ = propagate(Of(lambda s, x: torch.sigmoid(x).sum(1, keepdim=True)), x)
    torch.testing.assert_close(relevance, torch.sigmoid(x) - 0.5, rtol=1e-6, atol=1e-9)


def test_softmax_is_its_first_order_expansion_and_attention_is_taken_apart():
    x = signed(1, 5)
    relevance, *_ = propagate(Of(lambda s, x: torch.softmax(x, 1)), x, target=2)
    p = torch.softmax(x, 1)
    torch.testing.assert_close(relevance, x * p[:, 2] * (torch.eye(5, dtype=x.dtype)[2] - p))
    tokens = signed(2, 3, 4)
    attend = nn.MultiheadAttention(4, 2, bias=False, batch_first=True)
    by_module = Of(lambda s, x: s.attend(x, x, x, need_weights=False)[0].flatten(1), attend=attend)

    def steps(s, x):
        q, k, v = (part.view(2, 3, 2, 2).transpose(1, 2) for part in (x @ s.attend.in_proj_weight.T).chunk(3, -1))
        weights = torch.softmax(q @ k.transpose(-1, -2) / 2 ** 0.5, -1)
        return s.attend.out_proj((weights @ v).transpose(1, 2).reshape(2, 3, 4)).flatten(1)

    maps = [propagate(seeded(model), tokens) for model in (by_module, Of(steps, attend=attend))]
    torch.testing.assert_close(maps[0][0], maps[1][0], rtol=1e-6, atol=1e-9)
    assert maps[0][2].complete and maps[1][2].complete


class Foreign(Function):
    @staticmethod
    def forward(ctx, x):
        return x.relu()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


@pytest.mark.parametrize("function, named", [
    (lambda s, x: torch.sin(x) + torch.exp(x), "sin.*exp|exp.*sin"),
    (lambda s, x: s.layer(Foreign.apply(x)), "foreign"),
    (lambda s, x: s.layer(torch.relu(x)) / x[:, :4] + 1 / x[:, :4], "reciprocal"),
    (lambda s, x: torch.maximum(x, -x), "maximum"),
    (lambda s, x: torch.relu(x) ** 1.5, "pow"),
    (lambda s, x: F.batch_norm(torch.relu(x), None, None, training=True), "batch_norm"),
    (lambda s, x: F.linear(torch.relu(x), x[:, :4] * s.layer.weight), "linear|addmm|mm"),
])
def test_what_has_no_rule_is_refused_by_name(function, named):
    model = seeded(Of(function, layer=nn.Linear(4, 4)))
    with pytest.raises(ValueError, match=f"no rule for.*({named}).*deeplift"):
        propagate(model, signed(4, 4))


def parts():
    convolutions = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.ReLU()
    return seeded(nn.Sequential(*convolutions, nn.Flatten())), seeded(nn.Linear(64, 3)), signed(1, 3, 8, 8)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_the_rules_cannot_reach_is_refused():
    inner, head, x = parts()
    for hidden in (torch.jit.trace(inner, x), lambda x: checkpoint(inner, x, use_reentrant=True)):
        model = Of(lambda s, x, hidden=hidden: s.head(torch.relu(hidden(x))), head=head)
        with pytest.raises(ValueError, match="no rule for.*(convolution|checkpoint_function).*scripted"):
            propagate(model, x)


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_that_repeats_calls_changes_nothing(kind):
    inner, head, x = parts()
    plain = Of(lambda s, x: s.head(s.inner(x)), inner=inner, head=head)
    repeated = Of(lambda s, x: s.head(checkpoint(s.inner, x, use_reentrant=False)), inner=inner, head=head)
    maps, _, coverages = zip(*(propagate(model, x, kind, low=LOW, high=HIGH) for model in (plain, repeated)))
    torch.testing.assert_close(*maps, rtol=0, atol=0)
    assert str(coverages[0]) == str(coverages[1]) == "6 of 6 activation calls rewritten"


def test_the_graph_is_let_go_of_without_the_garbage_collector():
    inner, head, x = parts()
    model = Of(lambda s, x: s.head(s.inner(x)), inner=inner, head=head)

    def alive():
        return sum(type(thing) is torch.Tensor and thing.numel() == 4 * 36 for thing in gc.get_objects())  # the ReLU's

    gc.collect()
    gc.disable()
    try:
        before = alive()
        propagate(model, x, "composite", low=LOW, high=HIGH)
        assert alive() == before
    finally:
        gc.enable()


def test_what_the_score_does_not_depend_on_is_nobodys_business():
    model = seeded(Of(lambda s, x: (s.layer(torch.relu(x)), torch.sin(x))[0], layer=nn.Linear(4, 4)))
    relevance, *_ = propagate(model, signed(1, 4))
    assert relevance.abs().sum() > 0


def test_a_parameter_that_wants_a_gradient_is_no_activation():
    scale = nn.Parameter(signed(4))
    model = Of(lambda s, x: F.relu(x) * scale)
    x = signed(1, 4)
    relevance, score, _ = propagate(model, x, target=1)
    torch.testing.assert_close(relevance.sum(), score.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_coverage_is_complete_and_maps_do_not_depend_on_the_batch(kind):
    model, x = small().requires_grad_(False), torch.stack([tensor(seed=seed) for seed in range(3)])
    together, _, coverage = propagate(model, x, kind, low=LOW, high=HIGH)
    assert str(coverage) == "6 of 6 activation calls rewritten"
    alone = torch.cat([propagate(model, x[i:i + 1], kind, low=LOW, high=HIGH)[0] for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-8 * float(alone.abs().max()))


def test_half_precision_stays_finite():
    model, x = small().half().requires_grad_(False), tensor(dtype=torch.float16)[None]
    for kind in KINDS:
        assert torch.isfinite(propagate(model, x, kind, low=LOW, high=HIGH)[0]).all(), kind


def test_numbers_and_names():
    assert rule_name("gamma", gamma=0.25) == rule_name("gamma") != rule_name("gamma", gamma=0.2500001)
    with pytest.raises(ValueError, match="'flat'.*composite, epsilon"):
        rule_name("flat")
    with pytest.raises(ValueError, match="gamma=-1"):
        rule_name("gamma", gamma=-1)
