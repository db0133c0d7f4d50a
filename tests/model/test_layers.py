"""Layers in execution order with their aliases, the default one, and values and gradients captured beside
in-place operations.
"""

import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from saliency_widgets.model.clone import structural_clone
from saliency_widgets.model.layers import Capture, Layer, default_cam_layer, find_layer, to_grid, trace_layers
from tests.networks import calibrated as build

calibrated = functools.lru_cache(maxsize=3)(build)  # only clones run here, so tests may share a network

# name of the network, size, default layer, aliases among others, channels
DEFAULTS = [
    ("resnet18", 64, "layer4", ("layer4.1.relu", "layer4.1"), 512),
    ("vgg16", 64, "features.29", (), 512),
    ("squeezenet1_0", 64, "features", ("features.12", "classifier.0"), 512),
    ("mobilenet_v2", 64, "features", ("features.18.2", "features.18"), 1280),
    ("densenet121", 64, "features", ("features.norm5",), 1024),
    ("googlenet", 64, "inception5b", (), 1024),
    ("inception_v3", 128, "Mixed_7c", (), 2048),
    ("efficientnet_b0", 64, "features", ("features.8.2", "features.8"), 1280),
    ("convnext_tiny", 64, "features", ("features.7.2", "features.7"), 768),
    ("alexnet", 96, "features.11", (), 256),
    ("swin_t", 64, "permute", (), 768),
]


@pytest.mark.parametrize("name, size, layer, aliases, channels", DEFAULTS, ids=[d[0] for d in DEFAULTS])
def test_default_layer(name, size, layer, aliases, channels):
    model, x, _ = calibrated(name, size, dtype=torch.float32)
    clone = structural_clone(model)
    layers, output = trace_layers(clone, x)
    torch.testing.assert_close(output, model(x))
    assert default_cam_layer(layers, output.shape[1]) == layer
    found = find_layer(layers, layer)
    assert set(aliases) <= set(found.aliases) and found.shape[0] == channels and found.spatial
    assert all(find_layer(layers, alias) is found for alias in found.aliases)
    names = [n for la in layers for n in (la.name, *la.aliases)]
    assert len(names) == len(set(names))
    assert not any(m._forward_hooks for m in clone.modules())


class Ways(nn.Module):
    """One of everything that makes naming outputs hard."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Identity())
        self.late = nn.Conv2d(4, 4, 1)  # registered before what runs before it
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.same = self.relu
        self.pair = Pair()
        self.rnn = nn.GRU(4, 4, batch_first=True)
        self.unused = nn.Linear(2, 2)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.relu(self.norm(self.stem(x)))
        x, _ = self.pair(self.relu(self.late(x)))
        rows, _ = self.rnn(x.flatten(2).transpose(1, 2))
        return self.head(rows.mean(1))


class Pair(nn.Module):
    def forward(self, x):
        return x * 2, x


def test_order_aliases_reuse_and_what_is_left_out():
    layers, output = trace_layers(structural_clone(Ways()), torch.randn(1, 3, 6, 5))
    by_name = {layer.name: layer for layer in layers}
    assert list(by_name) == [
        "stem",
        "norm",
        "late",
        "relu",
        "head",
    ]  # relu where it ran last; no pair, rnn, unused
    assert by_name["stem"] == Layer("stem", ("stem.0", "stem.1"), "Sequential", (4, 6, 5))
    assert (
        by_name["relu"].aliases == ("same",) and by_name["head"].shape == (3,) and not by_name["head"].spatial
    )
    assert output.shape == (1, 3) and default_cam_layer(layers, 3) == "relu"


def test_names_from_wrapped_models_and_unknown_ones():
    layers, _ = trace_layers(structural_clone(torch.compile(Ways())), torch.randn(1, 3, 6, 5))
    assert find_layer(layers, "_orig_mod.stem").name == "stem" == find_layer(layers, "module.stem.0").name
    with pytest.raises(LookupError, match="'norm'"):
        find_layer(layers, "nrom")
    with pytest.raises(TypeError, match="dotted name"):
        find_layer(layers, nn.ReLU())


def test_maps_with_a_channel_per_class_are_the_default_where_there_are_no_others():
    per_class = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    layers, _ = trace_layers(structural_clone(per_class), torch.randn(1, 3, 6, 6))
    assert default_cam_layer(layers, 4) == "1" == default_cam_layer(layers, 5)


def test_as_many_channels_as_classes_are_no_maps_of_classes_before_a_linear_layer():
    parts = [nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.AdaptiveAvgPool2d(1)]
    weighed = [nn.Flatten(), nn.Linear(4, 4)], [nn.Conv2d(4, 4, 1), nn.Flatten()]
    for end, default in ((weighed[0], "2"), (weighed[1], "2"), ([nn.Flatten()], "1")):
        layers, _ = trace_layers(structural_clone(nn.Sequential(*parts, *end)), torch.randn(1, 3, 9, 9))
        assert default_cam_layer(layers, 4) == default


def test_models_without_spatial_layers():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 3))
    layers, _ = trace_layers(structural_clone(flat), torch.randn(1, 3, 2, 2))
    assert len(layers) == 4 and default_cam_layer(layers, 3) is None
    scripted = torch.jit.script(flat)
    layers, output = trace_layers(scripted, torch.randn(1, 3, 2, 2))
    assert layers == () and output.shape == (1, 3)


def test_channels_last_outputs_are_viewed_with_channels_first():
    model, x, _ = calibrated("convnext_tiny", 64, dtype=torch.float32)
    layers, _ = trace_layers(structural_clone(model), x)
    block = [find_layer(layers, f"features.1.0.block.{i}") for i in range(7)]
    assert [la.channels_last for la in block] == [False, True, True, True, True, True, False]
    assert [la.channels for la in block] == [96, 96, 96, 384, 384, 96, 96]
    assert all(la.spatial and la.positions == (16, 16) for la in block)
    values = torch.arange(2 * 16 * 16 * 96.0).view(2, 16, 16, 96)
    assert torch.equal(to_grid(values, block[1])[1, 5], values[1, ..., 5])
    assert to_grid(values.movedim(3, 1), block[0]).shape == (2, 96, 16, 16)


class OutOfPlace(TorchFunctionMode):
    """Every in-place activation and addition made out of place: the same function, with nothing
    overwritten.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if kwargs.get("inplace"):
            kwargs["inplace"] = False
        function = {
            torch.relu_: torch.relu,
            torch.Tensor.add_: torch.add,
            torch.Tensor.__iadd__: torch.add,
        }.get(function, function)
        return function(*args, **kwargs)


def into(arrived):
    """A callback for Capture that keeps everything."""
    return lambda name, value, gradient: arrived.__setitem__(name, (value, gradient))


def reference(model, x, target, names):
    """Values and gradients at the named modules, of the model with out-of-place activations."""
    outputs, modules = {}, dict(model.named_modules())
    handles = [
        modules[n].register_forward_hook(lambda m, i, o, n=n: outputs.__setitem__(n, o)) for n in names
    ]
    with OutOfPlace():
        score = model(x)[0, target]
    for handle in handles:
        handle.remove()
    return outputs, dict(zip(names, torch.autograd.grad(score, [outputs[n] for n in names]), strict=True))


@pytest.mark.parametrize(
    "name, names",
    [
        (
            "densenet121",
            ("features", "features.norm0", "features.denseblock1.denselayer1.conv1", "features.pool0"),
        ),
        ("resnet18", ("bn1", "relu", "layer1.0.bn2", "layer4", "layer4.1.relu", "conv1")),
        ("vgg11", ("features.0", "features.1", "features.18", "classifier.0")),
        ("squeezenet1_0", ("features", "features.3.squeeze", "features.12.expand1x1")),
        ("googlenet", ("inception4a.branch1.bn", "inception5b")),
    ],
)
def test_values_and_gradients_beside_in_place_operations(name, names):
    model, x, target = calibrated(name, 64)
    clone = structural_clone(model)
    # Where a module runs twice (resnet's relu) the reference keeps the last call, too.
    values, gradients = reference(clone, x.clone().requires_grad_(True), target, names)
    for by_callback in (True, False):
        arrived, leaf = {}, x.clone().requires_grad_(True)
        with Capture(clone, names, into(arrived) if by_callback else None) as seen:
            score = clone(leaf.clone())[0, target]
            assert set(seen.values) == set(names)
            torch.autograd.grad(score, leaf)
        if by_callback:
            assert not seen.values and not seen.outputs
        else:
            arrived = {n: (seen.values[n], seen.gradients[n]) for n in names}
        for n in names:
            for got, wanted in zip(arrived[n], (values[n].detach(), gradients[n]), strict=True):
                assert gradients[n].abs().max() > 0
                torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10 * float(wanted.abs().max()))
    assert not any(m._forward_hooks for m in clone.modules())


def test_all_layers_from_one_backward():
    model, x, target = calibrated("densenet121", 64, dtype=torch.float32)
    clone = structural_clone(model)
    layers, _ = trace_layers(clone, x)
    names = [la.name for la in layers if la.spatial]
    order, leaf = [], x.clone().requires_grad_(True)
    with Capture(clone, names, lambda n, v, g: order.append(n)):
        torch.autograd.grad(clone(leaf)[0, target], leaf)
    assert sorted(order) == sorted(names) and order.index("features") < order.index("features.conv0")


def test_a_layer_that_the_score_does_not_use_is_left_in_values():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)

        def forward(self, x):
            self.spare(x)
            return self.used(x).mean((2, 3))

    clone, leaf, arrived = structural_clone(Spare()), torch.randn(1, 3, 4, 4, requires_grad=True), []
    with Capture(clone, ("used", "spare"), lambda n, v, g: arrived.append(n)) as seen:
        torch.autograd.grad(clone(leaf)[0, 0], leaf)
    assert arrived == ["used"] and set(seen.values) == {"spare"}


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.conv(torch.tanh(self.conv(x))).square().mean((2, 3))


def test_of_a_reused_module_the_last_call_counts():
    clone = structural_clone(Twice().double())
    leaf = torch.randn(1, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    with Capture(clone, ["conv"]) as seen:
        torch.autograd.grad(clone(leaf)[0, 1], leaf)
    wanted = torch.zeros(1, 3, 5, 5, dtype=torch.float64)
    wanted[:, 1] = 2 * seen.values["conv"][:, 1] / 25  # of mean(o²) at the last convolution's output
    torch.testing.assert_close(seen.values["conv"], clone.conv(torch.tanh(clone.conv(leaf))).detach())
    torch.testing.assert_close(seen.gradients["conv"], wanted)


def test_checkpointed_blocks():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(
                nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.Tanh()
            )
            self.saves = True

        def forward(self, x):
            x = checkpoint(self.block, x, use_reentrant=False) if self.saves else self.block(x)
            return (x**2).mean((2, 3))

    torch.manual_seed(0)
    clone, x = structural_clone(Checkpointed().double()), torch.randn(1, 3, 9, 9, dtype=torch.float64)
    names, results = ("block", "block.0", "block.1", "block.3"), []
    for saves in (True, False):
        clone.saves, leaf, arrived = saves, x.clone().requires_grad_(True), {}
        with Capture(clone, names, into(arrived)):
            torch.autograd.grad(clone(leaf)[0, 2], leaf)
        results.append(arrived)
    for n in names:
        torch.testing.assert_close(results[0][n], results[1][n], rtol=1e-12, atol=0)
    assert {la.name for la in trace_layers(clone, x)[0]} >= {"block", "block.1"}


def test_a_discarded_in_place_result():
    class Discards(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)

        def forward(self, x):
            x = self.conv(x)
            self.relu(x)  # for its effect only
            return x.square().mean((2, 3))

    clone, leaf = structural_clone(Discards()), torch.randn(1, 3, 6, 6, requires_grad=True)
    with Capture(clone, ("conv", "relu")) as seen:
        torch.autograd.grad(clone(leaf)[0, 0], leaf)
    assert (seen.values["conv"] < 0).any() and torch.equal(seen.values["relu"], F.relu(seen.values["conv"]))
    torch.testing.assert_close(seen.gradients["relu"][:, 0], 2 * seen.values["relu"][:, 0] / 16)
    torch.testing.assert_close(seen.gradients["conv"], seen.gradients["relu"] * (seen.values["conv"] > 0))


def test_hooks_are_removed_after_an_error():
    clone = structural_clone(Ways())
    with pytest.raises(KeyboardInterrupt), Capture(clone, ["norm", "late"]):
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="shape"):
        trace_layers(clone, torch.randn(1, 3, 6))
    with pytest.raises(ValueError, match="tuple"), Capture(clone, ["pair"]):
        clone(torch.randn(1, 3, 6, 6))
    with pytest.raises(LookupError, match="'norm'"):
        Capture(clone, ["nrm"])
    assert not any(m._forward_hooks for m in clone.modules())


def test_tracing_leaves_the_input_and_the_callers_mode_alone():
    x = torch.randn(1, 3, 6, 5)
    before = x.clone()
    clone = structural_clone(
        nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    )
    with torch.inference_mode():
        layers, _ = trace_layers(clone, x)
        assert torch.is_inference_mode_enabled()
    assert torch.equal(x, before) and len(layers) == 4 and default_cam_layer(layers, 7) == "1"
