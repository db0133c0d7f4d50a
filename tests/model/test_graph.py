"""The traced graph: the clone's own scores, kinds that are known, and reasons in words."""
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from saliency_widgets.model.clone import working_model
from saliency_widgets.model.graph import NotTraced
from saliency_widgets.model.tracing import trace
from tests.small import small, tensor


def traced(model, x=None, select=None):
    return trace(working_model(model.double().eval(), own=True), tensor()[None] if x is None else x, select)


def kinds(graph):
    return [node.kind for node in graph.nodes]


class Around(nn.Module):
    """A body between a convolution and a head."""

    def __init__(self, body, width=8):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.body, self.head = nn.Conv2d(3, 8, 3, padding=1), body, nn.Linear(width, 4)

    def forward(self, x):
        return self.head(self.body(self.first(x)).mean((2, 3)))


def test_scores_and_shapes():
    graph = traced(small())
    assert torch.allclose(graph(tensor()[None]), small()(tensor()[None]), rtol=1e-12)
    assert kinds(graph) == ["input", "conv", "affine", "pointwise", "conv", "pointwise", "mean", "linear"]
    assert graph.nodes[4].shape == (12, 16, 16)
    assert graph.cuts() == list(range(8))


@pytest.mark.parametrize("body, kind", [
    (nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.AvgPool2d(3, 2, ceil_mode=True)), "avg_pool"),
    (nn.AdaptiveMaxPool2d(8), "max_pool"), (nn.AdaptiveAvgPool2d(8), "avg_pool"), (nn.AdaptiveAvgPool2d(1), "mean"),
    (nn.PReLU(8), "pointwise"), (nn.Conv2d(8, 8, 3, padding="same", groups=8), "conv"), (nn.ChannelShuffle(2), "whole"),
    (nn.LocalResponseNorm(2), "whole"), (nn.MultiheadAttention(32, 2, batch_first=True), None)])
def test_modules(body, kind):
    if kind is None:
        class Attend(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = body

            def forward(self, x):
                flat = x.flatten(2).transpose(1, 2)
                flat = flat.reshape(len(flat), -1, 32)
                return x + self.inner(flat, flat, flat)[0].reshape(x.shape)
        body, kind = Attend(), "whole"
    assert kind in kinds(traced(Around(body)))


@pytest.mark.parametrize("function, kind", [
    (lambda x: 2 - x / 3 + 1, "affine"), (lambda x: -x, "pointwise"), (lambda x: x * 2 - x, "add"),
    (lambda x: F.relu6(x, inplace=True), "pointwise"), (lambda x: x.clamp(min=0.1), "pointwise"),
    (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), "channels"), (lambda x: torch.cat((x[:, 2:], x[:, :2]), dim=-3), "cat"),
    (lambda x: x[:, 3].unsqueeze(1).expand(-1, 8, -1, -1), "channels"), (lambda x: F.pad(x, (1, 0, 2, -1)), "pad"),
    (lambda x: x.view(x.size(0), 2, 4, 32, x.shape[-1]).transpose(1, 2).contiguous().view(x.size(0), -1, 32, 32), "shuffle"),
    (lambda x: F.dropout(x, 0.5, False), "mean"), (lambda x: x * x.mean((2, 3), keepdim=True), "whole"),
    (lambda x: F.interpolate(x, scale_factor=2), "whole"), (lambda x: F.leaky_relu(x, 0.3), "pointwise"),
    (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), "max_pool"), (lambda x: x.sub(1).mul_(3).relu_(), "affine")])
def test_functions(function, kind):
    class Function(nn.Module):
        def forward(self, x):
            return function(x)
    model = Around(Function())
    graph = traced(model)
    assert kind in kinds(graph) or kind == "channels" and "whole" in kinds(graph)
    x = torch.cat((tensor()[None], tensor(seed=5)[None], tensor(seed=6)[None]))
    assert torch.allclose(graph(x), model(x), rtol=1e-10, atol=1e-12)


def test_a_value_changed_in_place_is_changed_for_later_readers():
    class Written(nn.Module):
        def forward(self, x):
            y = x * 1
            z = torch.relu_(y)
            return z + y
    graph = traced(Around(Written()))
    add = next(node for node in graph.nodes if node.kind == "add")
    assert add.inputs[0] == add.inputs[1]


def test_a_module_with_control_flow_stays_whole():
    class Deciding(nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x * 3
    graph = traced(Around(nn.Sequential(nn.ReLU(), Deciding())))
    assert graph.opaque == ("body.1",) and "whole" in kinds(graph)


class Random(nn.Module):
    def forward(self, x):
        return x + torch.rand(1, dtype=x.dtype)


class Deciding(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


class Mixing(nn.Module):
    def forward(self, x):
        return (x - x.mean(0)).mean((2, 3)) + x.amax((2, 3))


def hooked():
    model = small()
    model.conv2.register_forward_hook(lambda module, inputs, output: output * 2)
    return model


@pytest.mark.parametrize("model, words", [
    (Around(Random()), "random"), (Deciding(), "cannot be traced"), (Mixing(), "own scores"), (hooked(), "hooks"),
    (torch.jit.trace(small(), tensor()[None]), "scripted")])
def test_reasons(model, words):
    with pytest.raises(NotTraced, match=words):
        trace(model.double().eval(), tensor()[None])


def test_old_style_weight_norm_is_baked_in():
    model = small()
    with pytest.warns(FutureWarning):
        nn.utils.weight_norm(model.conv2)
    nn.utils.spectral_norm(model.conv1)
    model.eval()
    assert torch.allclose(traced(model)(tensor()[None]), model(tensor()[None]))


def test_scores_are_picked_from_what_the_model_returns():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = small()

        def forward(self, x, extra=None):
            scores = self.inner(x if extra is None else extra)
            return {"logits": scores, "features": (scores * 2, x.mean((2, 3)))}
    x = torch.cat((tensor()[None], tensor(seed=3)[None]))
    assert torch.equal(traced(Two())(x), small()(x))
    assert torch.equal(traced(Two(), select=lambda out: out["features"][0])(x), 2 * small()(x))


def test_other_threads_run_their_modules_meanwhile():
    import threading

    other, done, stop = small(seed=4), [], threading.Event()

    def run():
        while not stop.is_set():
            done.append(other(tensor()[None]))
    thread = threading.Thread(target=run)
    thread.start()
    try:
        for _ in range(5):
            traced(small())
    finally:
        stop.set()
        thread.join()
    assert len(done) > 0 and all(torch.equal(d, done[0]) for d in done)
