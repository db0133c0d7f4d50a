"""LRP as a map: what it sums to, what it shares with gradient × input, and what it says where it does not apply."""
import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session, explain
from tests.small import small, tensor

RULES = ["composite", "epsilon", "gamma", "zplus", "alpha2beta1"]


def bias_free():
    """The small network without its biases and its batch norm's shift."""
    model = small()
    with torch.no_grad():
        for bias in (model.conv1.bias, model.conv2.bias, model.head.bias, model.norm.bias, model.norm.running_mean):
            bias.zero_()
    return model


@pytest.mark.parametrize("target", [0, 3])
def test_epsilon_to_zero_without_biases_is_gradient_x_input_and_sums_to_the_score(target):
    session = Session(bias_free(), tensor(), target=target)
    got = session.map("lrp", rule="epsilon", epsilon=0.0)
    np.testing.assert_allclose(got.values, session.map("gradient_x_input").values, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(got.values.sum(), session.logits[target], rtol=1e-6)
    assert abs(got.residual) < 1e-6 and got.warnings == () and got.coverage == "6 of 6 activation calls rewritten"


@pytest.mark.parametrize("rule", RULES)
def test_without_biases_every_rule_keeps_the_score(rule):
    session = Session(bias_free(), tensor())
    residual = session.map("lrp", rule=rule).residual
    assert abs(residual) < 1e-4
    assert session.stats.forward_samples == session.stats.backward_samples == 1


def test_biases_keep_their_share_and_the_map_says_so():
    got = explain(small(), tensor(), "lrp", rule="epsilon", target=1)
    assert abs(got.residual) > 0.01 and "biases" in got.warnings[0]
    assert f"{got.values.sum():.4g}" in got.warnings[0]


def test_the_parameters_reach_the_rule():
    session = Session(small(), tensor())
    plain = session.map("lrp", rule="gamma", gamma=0.0).values
    np.testing.assert_allclose(plain, session.map("lrp", rule="epsilon", epsilon=0.0).values, atol=1e-7 * np.abs(plain).max())
    assert not np.allclose(plain, session.map("lrp", rule="gamma").values)
    damped, undamped = (np.abs(session.map("lrp", rule="epsilon", epsilon=e).values).sum() for e in (1.0, 0.0))
    assert damped < undamped


def test_the_pixels_range_follows_the_preprocessing():
    """zᴮ in the input space of a normalised picture is zᴮ on pixels in front of a first layer that normalises."""
    mean, std = torch.tensor([0.4, 0.5, 0.6]).double(), torch.tensor([0.2, 0.25, 0.3]).double()
    x, model, within = tensor(), bias_free(), bias_free()
    model.conv1.padding = within.conv1.padding = (0, 0)  # a border of zeros is another colour in pixel space
    with torch.no_grad():
        within.conv1.weight /= std.view(1, 3, 1, 1)
        within.conv1.bias -= (within.conv1.weight * mean.view(1, 3, 1, 1)).sum((1, 2, 3))
    inputs = (x - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    got = explain(model, inputs, "lrp", mean=mean.tolist(), std=std.tolist(), target=0)
    wanted = explain(within, x, "lrp", target=0)
    np.testing.assert_allclose(got.values, wanted.values, atol=1e-6 * np.abs(wanted.values).max())
    assert not np.allclose(got.values, explain(model, inputs, "lrp", mean=(0.5,) * 3, std=(0.5,) * 3, target=0).values)


def test_a_black_pixel_still_gets_relevance():
    x = tensor()
    x[:, 8:16, 8:16] = 0
    session = Session(bias_free(), x)
    assert np.abs(session.map("lrp").values[:, 8:16, 8:16]).sum() > 0
    assert not session.map("lrp", rule="epsilon").values[:, 8:16, 8:16].any()


def test_other_scores_start_from_their_own_value():
    session = Session(bias_free(), tensor(), score="margin", contrast=1, target=0)
    got = session.map("lrp", rule="epsilon", epsilon=0.0)
    np.testing.assert_allclose(got.values.sum(), session.logits[0] - session.logits[1], rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_float32_points_the_same_way(rule):
    wide = explain(small(), tensor(), "lrp", rule=rule).values.ravel()
    narrow = explain(small().float(), tensor(dtype=torch.float32), "lrp", rule=rule).values.ravel().astype(np.float64)
    assert narrow @ wide / np.linalg.norm(narrow) / np.linalg.norm(wide) > 0.999


class Waves(nn.Module):
    """A network with an operation that LRP has no rule for."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(torch.sin(self.conv(x)).mean((2, 3)))


def test_operations_without_a_rule_are_refused_by_name():
    with pytest.raises(ValueError, match="LRP has no rule for sin .*integrated_gradients"):
        explain(Waves(), tensor(dtype=torch.float32), "lrp")


def test_scripted_models_and_wrong_parameters_are_refused():
    with pytest.raises(ValueError, match="lrp needs.*scripted"):
        explain(torch.jit.script(small()), tensor(), "lrp")
    for params, error in (({"rule": "flat"}, "composite"), ({"gamma": -1.0}, "gamma=-1"), ({"epsilon": "x"}, "epsilon='x'")):
        with pytest.raises((ValueError, TypeError), match=error):
            explain(small(), tensor(), "lrp", **params)


def test_a_dead_score_gives_its_reason():
    class Dead(nn.Module):
        def forward(self, x):
            return torch.relu(x.mean((2, 3)) - 100)

    got = explain(Dead(), tensor(), "lrp")
    assert not got.values.any() and "zero everywhere" in got.warnings[0]


def test_it_may_be_smoothed_and_starts_anew_on_each_noisy_picture():
    session = Session(small(), tensor(), target=2)
    plain = session.map("lrp", rule="gamma")
    still = session.map("smoothgrad", base="lrp", base_params={"rule": "gamma"}, level=0.0)
    np.testing.assert_allclose(still.values, plain.values, rtol=0, atol=1e-12)
    noisy = session.map("smoothgrad", base="lrp", base_params={"rule": "gamma"}, n=2)
    assert noisy.coverage == plain.coverage and not np.allclose(noisy.values, plain.values)
