"""The fast copy: same scores and gradients, own memory, and the reason where there is none."""
import pytest
import torch
from torch import nn

from saliency_widgets.model.clone import structural_clone
from saliency_widgets.model.folded import folded
from tests.small import small, tensor


def x(count=2):
    return torch.stack([tensor(seed=s) for s in range(count)])


def kinds(fast):
    return [node.kind for node in fast.graph.nodes]


def test_scores_and_gradients_are_the_models():
    model = small(smooth=True)
    fast, reason = folded(structural_clone(model), x(1))
    assert reason == "" and "affine" not in kinds(fast)
    inputs = x().requires_grad_()
    wanted, = torch.autograd.grad(model(inputs)[:, 1].sum(), inputs)
    got, = torch.autograd.grad(fast(inputs)[:, 1].sum(), inputs)
    assert torch.allclose(fast(inputs), model(inputs), rtol=1e-12)
    assert torch.allclose(got, wanted, rtol=1e-10, atol=1e-14)


def test_nothing_is_shared():
    model = small()
    clone = structural_clone(model)
    state = {k: v.clone() for k, v in clone.state_dict().items()}
    fast, _ = folded(clone, x(1))
    own = {t.untyped_storage().data_ptr() for node in fast.graph.nodes for t in (node.weight, node.bias) if t is not None}
    assert own.isdisjoint(t.untyped_storage().data_ptr() for t in model.state_dict().values())
    before = fast(x())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    assert torch.equal(fast(x()), before)
    for parameter in model.parameters():
        parameter.data /= 3
    assert all(torch.allclose(v, state[k]) for k, v in clone.state_dict().items())
    assert clone(x()).shape == before.shape


def test_forwards_write_over_nothing_of_the_callers():
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients):
            fast, _ = folded(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(),
                                           nn.Linear(4 * 900, 2)).double().eval(), x(1))
            given = x() - 0.5
            kept = given.clone()
            fast(given)
            assert torch.equal(given, kept)


class Order(nn.Module):
    """Modules listed in another order than they run in; a norm whose convolution is read twice; one before any."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.last = nn.BatchNorm1d(4)
        self.head = nn.Linear(6, 4)
        self.norm = nn.BatchNorm2d(6)
        self.twice = nn.BatchNorm2d(6)
        self.first = nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 6, 3, bias=False)
        self.conv2 = nn.Conv2d(6, 6, 3, groups=3)
        for norm in (self.last, self.norm, self.twice, self.first):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)

    def forward(self, x):
        y = self.conv(self.first(x))
        y = self.twice(y) + y
        y = self.norm(self.conv2(y)) * 2 + 1
        y = torch.relu(torch.nn.functional.max_pool2d(torch.tanh(y), 2))
        return self.last(self.head(nn.functional.dropout(y.mean((2, 3)), 0.5, self.training)))


def test_norms_fold_where_the_graph_says():
    model = Order().double().eval()
    fast, reason = folded(model, x(1))
    assert reason == "" and kinds(fast).count("affine") == 2  # before the first convolution, and beside one read twice
    assert torch.allclose(fast(x()), model(x()), rtol=1e-11)
    pool = kinds(fast).index("max_pool")
    assert "pointwise" not in kinds(fast)[:pool]  # tanh moved behind the pooling


def test_padding_becomes_the_convolutions_own():
    model = nn.Sequential(nn.ZeroPad2d(2), nn.Conv2d(3, 4, 5, stride=2, padding=(0, 1)), nn.ZeroPad2d((0, 1, 0, 1)),
                          nn.Conv2d(4, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double().eval()
    fast, _ = folded(model, x(1))
    assert kinds(fast).count("pad") == 1
    assert torch.allclose(fast(x()), model(x()))


@pytest.mark.parametrize("break_it, words", [
    (lambda m: m.act.register_forward_pre_hook(lambda module, inputs: None), "hooks"),
    (lambda m: m.head.register_full_backward_hook(lambda module, i, o: None), "hooks")])
def test_hooks_mean_no_folding(break_it, words):
    model = small()
    break_it(model)
    fast, reason = folded(structural_clone(model), x(1))
    assert fast is None and words in reason


def test_no_module_no_folding():
    fast, reason = folded(lambda x: x.mean((2, 3)), x(1))
    assert fast is None and "callable" in reason


@pytest.mark.parametrize("activation", (nn.ReLU(), nn.ReLU6(), nn.Hardswish(), nn.SiLU(), nn.Sigmoid(), nn.Tanh(), nn.GELU()),
                         ids=lambda module: type(module).__name__)
def test_activations_joined_to_convolutions(activation):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), activation, nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8),
                          activation, nn.MaxPool2d(2), activation, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    fast, reason = folded(model, x(1).float())
    assert reason == ""
    with torch.no_grad():
        assert torch.allclose(fast(x().float()), model(x().float()), rtol=1e-5, atol=1e-6)
    assert torch.allclose(fast(x().float()), model(x().float()), rtol=1e-5, atol=1e-6)


class Residual(nn.Module):
    """Sums in either order, with and without a ReLU behind, and one whose other term is read again or looked into."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convs = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, groups=g) for g in (1, 1, 8, 2, 1, 1))
        self.first, self.down = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x):
        a, b, c, d, e, f = self.convs
        x = torch.relu(self.first(x))
        x = torch.relu(b(torch.relu(a(x))) + x)
        x = torch.relu(self.down(x) + c(x))
        y = d(x) + x
        y = e(y) + y * 2 + x.chunk(2, 1)[0].repeat(1, 2, 1, 1)
        z = torch.relu(y)
        return (f(z) + z + (y - z)).mean((2, 3))


def test_sums_joined_to_convolutions():
    model = Residual().eval()
    fast, reason = folded(model, x(1).float())
    joined = [node.options["joined"] for node in fast.graph.nodes if "joined" in node.options]
    assert reason == "" and sum(other is not None for _, other, _ in joined) == 2
    pictures = x(3).float()
    given = pictures.clone()
    wanted = model(pictures)
    with torch.no_grad():
        for _ in range(2):
            assert torch.allclose(fast(pictures), wanted, rtol=1e-4, atol=1e-5)
        for number, node in enumerate(fast.graph.nodes):  # stopped and taken up again anywhere
            if number in fast.graph.cuts() and node.depends:
                value = fast.graph.resume({0: pictures.clone()}, 0, 3, number)
                assert torch.allclose(fast.graph.resume({number: value}, number, 3), wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(pictures, given)
    assert torch.allclose(fast(pictures), wanted, rtol=1e-4, atol=1e-5)
