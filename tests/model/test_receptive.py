"""Receptive fields against the arithmetic of kernels and strides, and against gradients."""
import pytest
import torch
from torch import nn

from saliency_widgets.model.layers import trace_layers
from saliency_widgets.model.receptive import receptive_fields


def fields(model, size=96):
    x = torch.rand(1, 3, size, size)
    model = model.eval()
    layers, _ = trace_layers(model, x)
    return receptive_fields(model, layers, x)


def by_arithmetic(stack):
    """Field and stride after each (kernel, stride) of a chain."""
    field, stride, found = 1, 1, []
    for kernel, step in stack:
        field, stride = field + (kernel - 1) * stride, stride * step
        found.append((field, stride))
    return found


@pytest.mark.parametrize("stack", [[(3, 1), (3, 1), (5, 1)], [(7, 2), (3, 2), (3, 1), (1, 1), (3, 2)], [(4, 4), (3, 1), (2, 2)],
                                   [(3, 2), (3, 2), (3, 2), (3, 1)]])
@pytest.mark.parametrize("padded", [True, False])
def test_chains_have_the_fields_of_arithmetic(stack, padded):
    model = nn.Sequential(*(nn.Conv2d(3, 3, k, s, padding=(k - 1) // 2 if padded else 0) for k, s in stack),
                          nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = fields(model, 128)
    for number, (field, stride) in enumerate(by_arithmetic(stack)):
        assert found[str(number)] == field, (number, stride)


def test_long_strides_are_at_most_ten_pixels_too_small():
    stack = [(3, 2)] * 5
    model = nn.Sequential(*(nn.Conv2d(3, 3, k, s, padding=1) for k, s in stack), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found, (field, stride) = fields(model, 256)["4"], by_arithmetic(stack)[-1]
    assert stride == 32 and field - 10 <= found <= field


def test_resnet_is_known_from_its_gradients():
    import torchvision
    model, size = torchvision.models.resnet18(weights=None).eval(), 160
    x = torch.rand(1, 3, size, size)
    layers, _ = trace_layers(model, x)
    found = receptive_fields(model, layers, x)
    assert (found["conv1"], found["maxpool"], found["layer1.0.conv1"], found["layer1.0.conv2"]) == (7, 11, 19, 27)
    kept = {}
    hook = model.layer1[1].conv2.register_forward_hook(lambda m, i, o: kept.update(out=o))
    leaf = torch.rand(1, 3, size, size, requires_grad=True)
    model.double()(leaf.double())
    hook.remove()
    gradient, = torch.autograd.grad(kept["out"][0, :, 20, 20].sum(), leaf)
    columns = torch.nonzero(gradient.abs().sum((0, 1, 2))).ravel()
    assert found["layer1.1.conv2"] == columns.max() - columns.min() + 1 == 43


def test_what_sees_everything_says_the_whole_width():
    class Squeezed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            x = self.first(x)
            return self.last(x * x.mean((2, 3), keepdim=True).sigmoid()).mean((2, 3))

    found = fields(Squeezed(), 64)
    assert found == {"first": 3, "last": 64}


def test_what_stops_nan_or_refuses_it_says_nothing():
    class Blind(nn.Module):
        def __init__(self, refuse):
            super().__init__()
            self.first, self.last, self.refuse = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), refuse

        def forward(self, x):
            if self.refuse and not torch.isfinite(x).all():
                raise ValueError("no such input")
            x = self.first(x)
            return self.last(torch.where(x > 0, x, torch.zeros_like(x))).mean((2, 3))

    assert fields(Blind(False))["last"] is None and fields(Blind(False))["first"] == 3
    assert fields(Blind(True)) == {}
    assert fields(nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 24) == {}, "too small to tell"


def test_it_can_be_stopped_and_leaves_no_hook():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    x = torch.rand(1, 3, 96, 96)
    layers, _ = trace_layers(model, x)

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        receptive_fields(model, layers, x, stop)
    assert not model[0]._forward_hooks
