"""Guided backprop and deconvnet: published values, coverage, and the words on the map."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from saliency_widgets import Session, explain, methods
from tests.methods.test_grad_cam import OneConv
from tests.small import small, tensor

RULES = ["guided_backprop", "deconvnet"]


@pytest.mark.parametrize("name, wanted", [
    ("guided_backprop", [[0, 1, 1, 1], [1, 3, 3, 2], [1, 3, 3, 2], [1, 2, 2, 1]]),
    ("deconvnet", [[2, 3, 3, 1], [3, 5, 5, 2], [3, 5, 5, 2], [1, 2, 2, 1]])])
def test_values_that_must_be_reproduced(name, wanted):
    x = torch.arange(16, dtype=torch.float64).view(1, 4, 4)
    got = explain(OneConv().double(), x, name, target=0)
    np.testing.assert_allclose(got.values[0], wanted, atol=1e-12)
    assert got.coverage == "1 of 1 activation calls rewritten" and not got.warnings


@pytest.mark.parametrize("name", RULES)
def test_a_map_costs_one_evaluation_and_is_kept_apart_from_the_plain_gradient(name):
    session = Session(small(), tensor())
    first = session.map(name)
    assert (session.stats.forward_samples, session.stats.backward_samples) == (1, 1)
    plain = session.map("gradient")
    assert np.abs(first.values - plain.values).max() > 1e-3 and first.unit == plain.unit == "logit per input unit"
    session.stats.reset()
    assert np.array_equal(session.map(name).values, first.values) and session.stats.forward_samples == 0


@pytest.mark.parametrize("name", RULES)
def test_it_carries_the_warning_of_the_randomisation_test(name):
    assert methods()[name].gradients
    assert "1810.03292" in explain(small(), tensor(), name).caution and not explain(small(), tensor(), "gradient").caution


@pytest.mark.parametrize("name", RULES)
def test_a_smooth_activation_is_labelled_heuristic(name):
    got = explain(small(smooth=True), tensor(), name)
    assert got.coverage == "2 of 2 activation calls rewritten"
    assert got.warnings == ("at softplus the rule is a heuristic: the positive part of their own gradient",)


@pytest.mark.parametrize("name", RULES)
def test_the_sigmoid_that_makes_a_probability_is_no_activation_of_the_network(name):
    session = Session(small(classes=1), tensor(), score="probability")
    got = session.map(name)
    assert got.coverage == "2 of 2 activation calls rewritten" and not got.warnings
    logit = Session(small(classes=1), tensor()).map(name)
    p = 1 / (1 + np.exp(-session.logits[0]))
    np.testing.assert_allclose(got.values, logit.values * p * (1 - p), atol=1e-12)


class Hidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return F.silu(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Partly(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.inner, self.act = small(), act

    def forward(self, x):
        return self.inner(Hidden.apply(x) if self.act else x)


@pytest.mark.parametrize("name", RULES)
def test_what_was_not_reached_is_named_on_the_map(name):
    got = explain(Partly(True), tensor(), name)
    assert got.coverage == "2 of 3 activation calls rewritten"
    assert got.warnings == ("2 of 3 activation calls rewritten; these kept their own gradient: silu",)


@pytest.mark.parametrize("name", RULES)
def test_a_model_out_of_reach_is_refused(name):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)).double()
    linear = explain(model, tensor(), name, target=2)
    np.testing.assert_allclose(linear.values, model[1].weight[2].detach().view(3, 32, 32), atol=1e-12)
    assert linear.coverage == "0 of 0 activation calls rewritten" and "plain gradient" in linear.warnings[0]

    class Out(nn.Module):
        def forward(self, x):
            return Hidden.apply(x).mean((2, 3))

    with pytest.raises(ValueError, match="none of the 1 activation calls .silu. could be rewritten"):
        explain(Out(), tensor(), name)


@pytest.mark.parametrize("name", RULES)
def test_a_map_of_zeros_says_why(name):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        model[4].weight.fill_(-1)
    got = explain(model, tensor(dtype=torch.float32), name, target=0)
    assert not got.values.any() and "zero everywhere" in got.warnings[0]


def test_it_counts_per_pixel_value_where_asked():
    x = tensor()
    per_input = explain(small(), x, "guided_backprop", mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))
    per_pixel = explain(small(), x, "guided_backprop", mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5), space="pixel")
    np.testing.assert_allclose(per_pixel.values, per_input.values / np.array([0.2, 0.25, 0.5])[:, None, None], rtol=1e-9)
    assert per_pixel.unit == "logit per pixel value"


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), depth=st.integers(1, 4))
def test_positive_weights_leave_the_gradient_as_it_is(seed, depth):
    """Where all weights are positive no negative gradient arises: guided backprop is the gradient."""
    generator = torch.Generator().manual_seed(seed)
    convolutions = [nn.Conv2d(3, 3, 3, padding=1).double() for _ in range(depth)]
    model = nn.Sequential(*(m for c in convolutions for m in (c, nn.ReLU(inplace=True))), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        for convolution in convolutions:
            convolution.weight.copy_(torch.rand(convolution.weight.shape, generator=generator, dtype=torch.float64))
            convolution.bias.copy_(torch.randn(3, generator=generator, dtype=torch.float64) * 3)
    session = Session(model, torch.randn(3, 8, 8, generator=generator, dtype=torch.float64), target=1)
    np.testing.assert_allclose(session.map("guided_backprop").values, session.map("gradient").values, atol=1e-12)
