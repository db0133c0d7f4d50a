"""DeepLIFT's multipliers: every operation hands on the whole difference, or is named as one that does not."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from saliency_widgets.model.backward_rules import Rewriting

torch.manual_seed(0)
X, X0 = torch.randn(2, 2, 4, 6, 6, dtype=torch.float64)
TABLE = torch.randn(6, 6, dtype=torch.float64)
attention = nn.MultiheadAttention(6, 2, batch_first=True).double().eval().requires_grad_(False)
encoder = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, activation="gelu").double().eval().requires_grad_(False)
prelu = nn.PReLU(4).double().requires_grad_(False)


def in_place(x):
    y = x * 2
    y.relu_()
    z = F.relu(y - 0.5, inplace=True) * 1.0
    z += y
    z *= y
    z.clamp_(min=0.1, max=3).sub_(1)
    return z.sigmoid_()


# operation → how many nonlinear calls there are in it
OPERATIONS = {
    "relu": (F.relu, 1), "relu6": (lambda x: F.relu6(x * 5), 1), "gelu": (F.gelu, 1), "prelu": (prelu, 1),
    "silu in place": (lambda x: F.silu(x + 0, True), 1), "softsign": (F.softsign, 2), "tanhshrink": (F.tanhshrink, 1),
    "glu": (lambda x: F.glu(x, 1), 1), "threshold": (lambda x: F.threshold(x, 0.1, -3), 1), "hardswish": (F.hardswish, 1),
    "logsigmoid": (F.logsigmoid, 1), "abs": (abs, 1), "exp": (torch.exp, 1), "log": (lambda x: (x.abs() + 0.1).log(), 2),
    "sign": (torch.sign, 1), "clamp": (lambda x: x.clamp(-0.5, 0.5), 1), "square": (lambda x: x ** 2, 1),
    "power of": (lambda x: 2 ** x, 1), "softmax": (lambda x: F.softmax(3 * x, 1), 1), "softmin": (lambda x: F.softmin(x, 1), 1),
    "log_softmax": (lambda x: F.log_softmax(3 * x, 1), 1), "logsumexp": (lambda x: x.logsumexp((1, 2)), 1),
    "layer_norm": (lambda x: F.layer_norm(x, (6, 6), TABLE, TABLE), 1), "rms_norm": (lambda x: F.rms_norm(x, (6,), TABLE[0]), 1),
    "group_norm": (lambda x: F.group_norm(x, 2, TABLE[0, :4], TABLE[1, :4]), 1), "instance_norm": (F.instance_norm, 1),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3), 3), "normalize": (F.normalize, 3),
    "norm of 1": (lambda x: x.norm(p=1, dim=1), 1), "std": (lambda x: x.std((2, 3)), 1), "std of all": (torch.std, 1),
    "var": (lambda x: x.var(1, unbiased=False), 1), "var, correction": (lambda x: torch.var(x, dim=1, correction=2), 1),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), 1), "overlapping, padded": (lambda x: F.max_pool2d(x, 3, 2, 1), 1),
    "ceil_mode": (lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True), 1), "unbatched": (lambda x: F.max_pool2d(x[0], 3, 2), 1),
    "dilated": (lambda x: F.max_pool2d(x, 2, 1, dilation=2), 1), "max_pool3d": (lambda x: F.max_pool3d(x, 2, 1), 1),
    "with indices": (lambda x: F.max_pool2d(x, 3, 1, 1, return_indices=True)[0], 1),
    "max_pool1d": (lambda x: F.max_pool1d(x.flatten(1, 2), 3, 2), 1), "max of all": (torch.max, 1),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (4, 3)), 1), "amin": (lambda x: x.amin(2), 1),
    "adaptive_max_pool1d": (lambda x: F.adaptive_max_pool1d(x.flatten(1, 2), 4), 1),
    "max over an axis": (lambda x: x.max(1)[0], 1), "min, kept": (lambda x: x.min(2, keepdim=True).values, 1),
    "amax": (lambda x: x.amax((1, 3)), 1), "max of two": (lambda x: torch.max(x, x.flip(-1)), 1),
    "minimum with a number": (lambda x: torch.minimum(x, torch.ones((), dtype=x.dtype)), 1),
    "product": (lambda x: x * x.flip(-1), 1), "quotient": (lambda x: x / (x.abs() + 1), 2), "matmul": (lambda x: x @ x.mT, 1),
    "1 / x": (lambda x: 1 / (2 + x.sigmoid()), 2), "bmm": (lambda x: torch.bmm(x.flatten(0, 1), x.flip(1).flatten(0, 1)), 1),
    "einsum": (lambda x: torch.einsum("bchw,bcxw->bhx", x, x), 1),
    "addcmul": (lambda x: torch.addcmul(x, x, x.flip(1), value=3), 1),
    "baddbmm": (lambda x: torch.baddbmm(x[0], x[0], x[1], beta=0.5, alpha=2), 1),
    "addmm": (lambda x: torch.addmm(x[0, 0], x[0, 1], x[0, 2], beta=0.3, alpha=0.7), 1),
    "dynamic linear": (lambda x: F.linear(x, x[0, 0], x[0, 0, 0]), 1),
    "dynamic convolution": (lambda x: F.conv2d(x, x[:1, :, :3, :3].expand(4, 4, 3, 3)), 1),
    "x·[x > 0]": (lambda x: x * (x > 0), 1), "x·float": (lambda x: x * (x > 0).to(x.dtype), 1),
    "where": (lambda x: torch.where(x > 0, x, 0.0), 1), "where, both": (lambda x: torch.where(x > 0, x, x * 0.1), 1),
    "masked_fill": (lambda x: x.masked_fill(x < 0, 0), 1), "in place": (in_place, 5),
    "attention": (lambda x: F.scaled_dot_product_attention(x, x.flip(2), x * 2), 1),
    "causal attention": (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), 1),
    "multi-head": (lambda x: attention(x[:, 0], x[:, 0], x[:, 0])[0], 3), "encoder": (lambda x: encoder(x[:, 0]), 4),
    "linear": (lambda x: F.linear(x, TABLE), 0), "interpolate": (lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), 0),
}


def weighted(function):
    def score(x):
        out = function(x)
        weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        return (out * weights.to(out.dtype)).sum()
    return score


def lifted(score, x=X, x0=X0):
    """(contributions, rise of the score, coverage, the score's own value)"""
    with Rewriting("deeplift") as active:
        with active.recording():
            reference = score(x0.clone())
        leaf = x.clone().requires_grad_(True)
        value = score(leaf.clone())
        multipliers, = torch.autograd.grad(value, leaf)
    return multipliers * (x - x0), float(value.detach() - reference), active.coverage, value.detach()


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_whole_difference_is_handed_on(name):
    function, calls = OPERATIONS[name]
    contributions, rise, coverage, value = lifted(weighted(function))
    assert abs(float(contributions.sum()) - rise) < 1e-12 * max(1, contributions.abs().sum())
    assert (coverage.rewritten, coverage.calls, coverage.missed) == (calls, calls, ())
    assert torch.equal(value, weighted(function)(X.clone().requires_grad_(True)).detach())


@pytest.mark.parametrize("name", OPERATIONS)
def test_between_equal_pictures_the_multiplier_is_the_gradient(name):
    if name in ("sign", "where", "where, both", "x·[x > 0]", "x·float", "masked_fill"):
        return  # choices: the same, tested by their values below
    score = weighted(OPERATIONS[name][0])
    with Rewriting("deeplift") as active:
        with active.recording():
            score(X.clone())
        leaf = X.clone().requires_grad_(True)
        got, = torch.autograd.grad(score(leaf.clone()), leaf)
    leaf = X.clone().requires_grad_(True)
    wanted, = torch.autograd.grad(score(leaf.clone()), leaf)
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))


@pytest.mark.parametrize("name", ["x·[x > 0]", "x·float", "where", "masked_fill", "clamp(min=0)", "maximum", "max with zeros"])
def test_a_rectifier_by_any_name_is_the_same(name):
    """Implementation invariance of the ways to write a ReLU by hand."""
    more = {"clamp(min=0)": lambda x: x.clamp(min=0), "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
            "max with zeros": lambda x: torch.max(torch.zeros(1, dtype=x.dtype), x)}
    function = more[name] if name in more else OPERATIONS[name][0]
    torch.testing.assert_close(lifted(weighted(function))[0], lifted(weighted(F.relu))[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name, function", [
    ("cumprod", lambda x: x.cumprod(1)), ("topk", lambda x: x.topk(2, 1).values), ("sort", lambda x: x.sort(1).values),
    ("prod", lambda x: x.prod(1)), ("gather", lambda x: x.gather(1, x.argmax(1, keepdim=True))), ("add", lambda x: x + (x > 0)),
    ("mul with a detached value", lambda x: x * x.detach())])
def test_what_has_no_rule_is_named(name, function):
    coverage = lifted(lambda x: weighted(function)(x) + F.relu(x).sum())[2]
    assert (coverage.rewritten, coverage.calls, coverage.missed) == (1, 2, (name,))
    with pytest.raises(ValueError, match=f"none of the 1 activation calls \\({name}\\) could be rewritten"):
        lifted(weighted(function))


def pooled(x, x0):
    return lifted(lambda x: F.max_pool1d(x, 4).sum(), *(torch.tensor([[v]], dtype=torch.float64) for v in (x, x0)))[0].tolist()


def test_values_that_must_be_reproduced():
    """captum's LinearMaxPool and its two ReLUs."""
    assert pooled([1, 1, 1, 1], [1, 2, 3, 9]) == [[[0, 0, 0, -8]]] and pooled([1, 1, 1, 1], [4, 8, 6, 7]) == [[[0, -7, 0, 0]]]
    x = torch.tensor([3.0, 1.0], dtype=torch.float64)
    assert lifted(lambda x: F.relu(F.relu(x[0] - 1) - F.relu(x[1])), x, x * 0)[0].tolist() == [2, -1]
    x = torch.ones(2, dtype=torch.float64)
    for saturating in (lambda x: torch.minimum(x.sum(), torch.ones_like(x[0])), lambda x: 1 - F.relu(1 - x.sum()),
                       lambda x: x.sum().clamp(max=1)):
        assert lifted(saturating, x, x * 0)[0].tolist() == [0.5, 0.5]


def test_overlapping_windows_add_up():
    """Two windows whose maxima are one number: its share is that of both (a plain scatter would keep one)."""
    x, x0 = torch.tensor([[[0.0, 5.0, 0.0]]]).double(), torch.zeros(1, 1, 3).double()
    assert lifted(lambda x: (F.max_pool1d(x, 2, 1) * torch.tensor([1.0, 10.0])).sum(), x, x0)[0].tolist() == [[[0, 55, 0]]]


def test_a_softmax_far_from_the_reference_keeps_its_sum():
    """Rows whose exponents lie hundreds apart: no common shift in float32 would do."""
    x, x0 = torch.tensor([[0.0, 300.0, -300.0]]), torch.tensor([[200.0, -100.0, 0.0]])
    contributions, rise, _, _ = lifted(lambda x: F.softmax(x, 1)[0, 1], x, x0)
    assert contributions.isfinite().all() and float(contributions.sum()) == pytest.approx(rise, abs=1e-6)


def test_near_values_take_the_derivative_at_the_midpoint_in_float32():
    x0 = torch.linspace(0.5, 3, 50)
    x = x0 * (1 + 1e-5)
    with Rewriting("deeplift") as active:
        with active.recording():
            torch.sigmoid(x0)
        leaf = x.clone().requires_grad_(True)
        got, = torch.autograd.grad(torch.sigmoid(leaf).sum(), leaf)
    wide = ((x.double() + x0.double()) / 2).sigmoid()
    torch.testing.assert_close(got.double(), wide * (1 - wide), rtol=1e-6, atol=0)


def test_rows_may_lie_along_any_axis():
    """A time-major net: two pictures with two references, each as if alone."""
    def net(x):
        return torch.tanh(x.movedim(0, 2) * 2).softmax(1)[..., 1].sum((0, 1))

    both = lifted(lambda x: net(x).sum())[0]
    for row in range(2):
        torch.testing.assert_close(lifted(lambda x: net(x).sum(), X[row:row + 1], X0[row:row + 1])[0][0], both[row])


@pytest.mark.parametrize("branch, words", [
    (lambda x: F.relu(x) if x.sum() > 0 else torch.tanh(x), "called tanh .* for the reference and relu"),
    (lambda x: F.relu(F.relu(x) if x.sum() > 0 else x), "called relu once more for the input"),
    (lambda x: F.relu(x if x.sum() > 0 else F.relu(x)), "made 1 call more for the reference"),
    (lambda x: F.relu(x[:1] if x.sum() > 0 else x), "same operations on the same shapes")])
def test_runs_that_differ_are_refused(branch, words):
    with pytest.raises(ValueError, match=words):
        lifted(lambda x: branch(x).sum(), X.abs(), -X.abs())


def test_a_missing_reference_and_a_checkpoint_are_refused():
    with pytest.raises(ValueError, match="run the reference inside recording"):
        with Rewriting("deeplift"):
            F.relu(X.clone().requires_grad_(True))
    with pytest.raises(ValueError, match="repeats calls in its backward pass.*memory_efficient=False"):
        lifted(lambda x: checkpoint(F.relu, x, use_reentrant=False).sum())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), depth=st.integers(1, 3), data=st.data())
def test_random_networks_add_up(seed, depth, data):
    """Random stacks of layers of every kind: Σ contributions = rise of the score, within 1e-6 of it (METHODS)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    kinds = {
        "conv": lambda: lambda x, w=draw(4, 4, 3, 3) / 6, b=draw(4): F.conv2d(x, w, b, padding=1), "relu": lambda: F.relu,
        "relu6": lambda: F.relu6, "gelu": lambda: F.gelu, "silu": lambda: lambda x: F.silu(x, inplace=False),
        "pool": lambda: lambda x: F.max_pool2d(x, 3, 1, 1), "norm": lambda: lambda x: F.group_norm(x, 2),
        "gate": lambda: lambda x, w=draw(4, 4) / 2: x * torch.sigmoid(x.mean((2, 3)) @ w)[..., None, None],
        "residual": lambda: lambda x: x + torch.tanh(x), "attend": lambda: lambda x: (x @ x.mT).softmax(-1) @ x,
        "layer_norm": lambda: lambda x: F.layer_norm(x, x.shape[2:])}
    layers = [kinds[data.draw(st.sampled_from(sorted(kinds)))]() for _ in range(2 * depth)]
    head = draw(4)

    def score(x):
        for layer in layers:
            x = layer(x)
        return (x.amax((2, 3)) @ head).sum()

    contributions, rise, coverage, _ = lifted(score, draw(1, 4, 6, 6), draw(1, 4, 6, 6))
    assert abs(float(contributions.sum()) - rise) < 1e-6 * max(abs(rise), 1e-3) and coverage.complete
