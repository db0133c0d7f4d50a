"""The gradient by phases is autograd's, whatever the window, stride and border."""
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from saliency_widgets import Session
from saliency_widgets.engine import fast
from saliency_widgets.model.folded import folded
from saliency_widgets.model.input_gradient import Strided, pays


@given(size=st.integers(1, 11), stride=st.integers(2, 5), padding=st.tuples(st.integers(0, 5), st.integers(0, 5)),
       channels=st.integers(1, 4), height=st.integers(11, 24), width=st.integers(11, 24), bias=st.booleans())
@settings(max_examples=60, deadline=None)
def test_it_is_autograds(size, stride, padding, channels, height, width, bias):
    generator = torch.Generator().manual_seed(size * 100 + stride)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    weight, shift = draw(5, channels, size, size), draw(5) if bias else None
    options = {"stride": (stride, stride), "padding": padding, "dilation": (1, 1), "groups": 1}
    assert pays(weight, options)
    x = draw(2, channels, height, width).requires_grad_()
    wanted = F.conv2d(x, weight, shift, stride, padding)
    got = Strided(weight, shift, options)(x)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)
    upstream = draw(*wanted.shape)
    torch.testing.assert_close(torch.autograd.grad(got, x, upstream)[0], torch.autograd.grad(wanted, x, upstream)[0],
                               rtol=0, atol=1e-11)


@pytest.mark.parametrize("changed", [{"stride": (1, 1)}, {"stride": (2, 3)}, {"dilation": (2, 2)}, {"groups": 3}])
def test_other_convolutions_are_left_to_autograd(changed):
    options = {"stride": (2, 2), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    assert pays(torch.zeros(6, 3, 3, 3), options) and not pays(torch.zeros(6, 3, 3, 3), options | changed)
    assert not pays(torch.zeros(6, 64, 3, 3), options) and not pays(torch.zeros(6, 3, 3, 5), options)


def test_the_fast_copy_takes_it_and_gives_the_models_gradient(monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 12, 7, 2, 3), nn.ReLU(), nn.Conv2d(12, 6, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                          nn.Flatten(), nn.Linear(6, 4)).double().eval()
    x, calls, real = torch.rand(3, 32, 33, dtype=torch.float64), [], Strided.gradient
    monkeypatch.setattr(Strided, "gradient", lambda self, *given: calls.append(1) or real(self, *given))
    model_copy, _ = folded(model, x[None])
    leaf = x.expand(3, -1, -1, -1).clone().requires_grad_()
    got = torch.autograd.grad(model_copy(leaf)[:, 1].sum(), leaf)[0]
    wanted = torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)[0]
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-13)
    assert len(calls) == 1
    monkeypatch.setattr(fast, "WORTH", 1)
    session = Session(model, x)
    session.map("gradient")
    assert session.subject.agrees and len(calls) == 3  # the set-up gradient, and the map's
