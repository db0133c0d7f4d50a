"""Integrated Gradients against closed forms, a plain loop, its identities, and its promises about repeated work."""
import math

import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session, explain
from tests.small import small, tensor


class Function(nn.Module):
    """Any function of a picture as a model with one output."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)[:, None]


def ig(function, x, baseline, **params):
    x = torch.tensor(x, dtype=torch.float64).view(-1, 1, 1)
    baseline = torch.as_tensor(baseline, dtype=torch.float64).view(-1, 1, 1)
    model = Function(function).double()
    model.register_buffer("dtype_is", torch.zeros(1, dtype=torch.float64))
    return explain(model, x, "integrated_gradients", baseline=baseline, **params)


def test_values_that_must_be_reproduced():
    """METHODS, "Values that must be reproduced"."""
    relu = torch.relu
    got = ig(lambda x: relu(relu(x[:, 0, 0, 0] - 1) - relu(x[:, 1, 0, 0])), [3.0, 1.0], 0.0, steps=300)
    np.testing.assert_allclose(got.values.ravel(), [1.5, -0.5], atol=0.01)
    f = lambda x: 5 * x[:, 0, 0, 0] + x[:, 1, 0, 0] ** 2 + torch.sin(x[:, 2, 0, 0])
    got = ig(f, [1.0, 2.0, 3.0], [0.5, 1.0, 1.0], rule="gauss_legendre", steps=20)
    np.testing.assert_allclose(got.values.ravel(), [2.5, 3, math.sin(3) - math.sin(1)], atol=1e-12)
    got = ig(lambda x: (x[:, 0, 0, 0] + x[:, 1, 0, 0]).clamp(max=1), [1.0, 1.0], 0.0, steps=256)
    np.testing.assert_allclose(got.values.ravel(), [0.5, 0.5], atol=0.01)
    got = ig(lambda x: x[:, 0, 0, 0].log(), [8.0], 1.0, rule="gauss_legendre", steps=40)
    assert got.values.item() == pytest.approx(math.log(8), abs=1e-10)


def test_a_path_on_which_the_gradient_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="α = 0.*move the baseline"):
        ig(lambda x: x[:, 0, 0, 0].log(), [8.0], 0.0)


@pytest.mark.parametrize("rule", ["trapezoid", "adaptive", "midpoint", "right", "endpoints", "gauss_legendre"])
def test_each_rule_is_its_definition_in_a_plain_loop(rule):
    model, x = small(), tensor()
    got = Session(model, x).map("integrated_gradients", steps=12, rule=rule, baseline="white")
    alphas, weights = {
        "trapezoid": (np.linspace(0, 1, 13), np.array([0.5] + [1] * 11 + [0.5]) / 12),
        "midpoint": ((np.arange(12) + 0.5) / 12, np.full(12, 1 / 12)),
        "right": (np.arange(1, 13) / 12, np.full(12, 1 / 12)),
        "endpoints": (np.linspace(0, 1, 12), np.full(12, 1 / 12)),
        "gauss_legendre": ((np.polynomial.legendre.leggauss(12)[0] + 1) / 2, np.polynomial.legendre.leggauss(12)[1] / 2),
        "adaptive": (got.details["alphas"], None),
    }[rule]
    if rule == "adaptive":
        assert len(alphas) == 13 and all((a * 1024).is_integer() for a in alphas)
        weights = np.gradient(alphas)  # the trapezoid's: half the neighbours' distance, half an interval at the ends
        weights[[0, -1]] = np.diff(alphas)[[0, -1]] / 2
        weights[1:-1] = (alphas[2:] - alphas[:-2]) / 2
    total = torch.zeros_like(x)
    for alpha, weight in zip(alphas, weights):
        point = (torch.ones_like(x) * (1 - alpha) + x * alpha).requires_grad_(True)
        score = model(point[None])[0, got.target]
        total += weight * torch.autograd.grad(score, point)[0]
    wanted = ((x - 1) * total).numpy()
    np.testing.assert_allclose(got.values, wanted, atol=1e-10 * np.abs(wanted).max())


@pytest.mark.parametrize("rule", ["trapezoid", "adaptive"])
def test_any_window_of_a_kept_path_costs_nothing_and_windows_add_up(rule):
    session = Session(small(), tensor())
    whole = session.map("integrated_gradients", steps=64, rule=rule)
    session.stats.reset()
    for a in (0.25, 0.3, 1 / 3, 0.999):
        left = session.map("integrated_gradients", steps=64, rule=rule, alpha=(0, a))
        right = session.map("integrated_gradients", steps=64, rule=rule, alpha=(a, 1))
        if rule == "trapezoid":
            np.testing.assert_allclose(left.values + right.values, whole.values, atol=1e-6 * np.abs(whole.values).max())
    if rule == "trapezoid":
        assert session.stats.forward_samples == session.stats.backward_samples == 0


def test_a_first_call_with_a_window_evaluates_only_its_part_of_the_grid():
    session = Session(small(), tensor())
    session.map("integrated_gradients", steps=64, alpha=(0.26, 0.49))
    assert session.stats.backward_samples == 32 - 16 + 1
    session.map("integrated_gradients", steps=64)
    assert session.stats.backward_samples == 65


def test_doubling_the_steps_reuses_every_point():
    session = Session(small(), tensor())
    session.map("integrated_gradients", steps=32)
    session.stats.reset()
    session.map("integrated_gradients", steps=64)
    assert session.stats.forward_samples == session.stats.backward_samples == 32


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 100])
def test_any_number_of_steps(steps):
    session = Session(small(), tensor())
    session.map("integrated_gradients", steps=steps)
    assert session.stats.backward_samples == steps + 1


def test_completeness_on_a_smooth_network():
    got = explain(small(smooth=True), tensor(), "integrated_gradients", steps=512)
    assert abs(got.residual) < 0.01 and got.last_change < 0.01


def test_residual_and_accumulated_are_what_they_say():
    session = Session(small(), tensor(), score="probability")
    got = session.map("integrated_gradients", steps=16, alpha=(0.125, 0.75))
    path = np.interp([0.125, 0.75], got.details["alphas"], got.details["scores"])
    rise = path[1] - path[0]
    assert got.residual == pytest.approx((got.values.sum() - rise) / abs(rise), abs=1e-9)
    assert got.details["accumulated"][-1] == pytest.approx(got.values.sum(), rel=1e-9)
    assert got.unit == "probability"
    assert session.map("integrated_gradients", steps=16, multiply=False).residual is None


def test_stages_sharpen_and_the_last_is_the_result():
    seen, session = [], Session(small(), tensor())
    result = session.run("integrated_gradients", {"steps": 64}, on_map=seen.append)
    assert [m.final for m in seen] == [False, False, False, True] and seen[-1] is result
    errors = [np.abs(m.values - result.values).sum() for m in seen]
    assert errors == sorted(errors, reverse=True) and errors[-1] == 0
    assert seen[0].last_change is None and all(m.last_change > 0 for m in seen[1:])
    session.run("integrated_gradients", {"steps": 64, "alpha": (0.1, 0.9)}, on_map=(again := []).append)
    assert [m.final for m in again] == [True]


def test_baselines_are_named_in_pixel_space_and_averaged():
    model, x = small(), tensor()
    normalised = (x - 0.5) / 0.25
    session = Session(model, normalised, mean=(0.5,) * 3, std=(0.25,) * 3)
    black = session.map("integrated_gradients", steps=16, baseline="black")
    own = session.map("integrated_gradients", steps=16, baseline=torch.full((3, 1, 1), -2.0))
    np.testing.assert_allclose(black.values, own.values, atol=1e-10)
    white = session.map("integrated_gradients", steps=16, baseline="white")
    both = session.map("integrated_gradients", steps=16, baseline=["black", "white"])
    np.testing.assert_allclose(both.values, (black.values + white.values) / 2, atol=1e-10)
    same = session.map("integrated_gradients", steps=4, baseline=normalised)
    assert not same.values.any() and "zero everywhere" in same.warnings[0]


def test_refining_doubles_on_request_only():
    session = Session(small(), tensor())
    coarse = session.map("integrated_gradients", steps=2)
    fine = session.refine("integrated_gradients", steps=2, tolerance=abs(coarse.residual) / 10)
    assert coarse.params["steps"] == 2 and fine.params["steps"] > 2
    assert abs(fine.residual) < abs(coarse.residual) / 10 or fine.params["steps"] == 1024


def test_a_noise_baseline_is_drawn_by_its_seed():
    session = Session(small(), tensor())
    same, again, other = (session.map("integrated_gradients", steps=4, baseline="noise", seed=s).values for s in (0, 0, 1))
    np.testing.assert_array_equal(same, again)
    assert np.abs(same - other).max() > 1e-3
    with pytest.raises(ValueError, match="at least one"):
        session.map("integrated_gradients", baseline=[])
