"""Blur IG against a plain loop, its identities, and its promises about repeated work."""
import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session, explain
from saliency_widgets.kernels.reference import gaussian_blur
from saliency_widgets.methods.blur_ig import sigmas
from tests.small import small, tensor
from tests.teaching import Function

CURVES = {"log": lambda u, top: (1 + top) ** u - 1, "quadratic": lambda u, top: top * u**2, "linear": lambda u, top: top * u}


def gradient(model, x, target):
    leaf = x.clone().requires_grad_(True)
    return torch.autograd.grad(model(leaf[None])[0, target], leaf)[0]


@pytest.mark.parametrize("spacing", CURVES)
def test_it_is_the_secant_sum_of_the_paper(spacing):
    model, x = small(), tensor()
    got = explain(model, x, "blur_ig", steps=6, sigma_max=9.0, spacing=spacing)
    levels = [CURVES[spacing](i / 6, 9.0) for i in range(7)]
    np.testing.assert_allclose(got.details["sigmas"], levels, atol=1e-12)
    pictures = [gaussian_blur(x, s) for s in got.details["sigmas"]]  # the kernel is cut at whole pixels, so to the last bit
    slopes = [gradient(model, p, got.target) for p in pictures]
    wanted = sum((slopes[i] + slopes[i + 1]) / 2 * (pictures[i] - pictures[i + 1]) for i in range(6)).numpy()
    np.testing.assert_allclose(got.values, wanted, atol=1e-12 * np.abs(wanted).max())
    assert got.unit == "logit"
    with torch.no_grad():
        rise = float(model(x[None])[0, got.target] - model(pictures[-1][None])[0, got.target])
    assert got.residual == pytest.approx((wanted.sum() - rise) / abs(rise), abs=1e-9)
    assert got.details["accumulated"][-1] == pytest.approx(wanted.sum())


@pytest.mark.parametrize("spacing", CURVES)
def test_the_spacings_span_zero_to_the_maximum_and_nest(spacing):
    coarse, fine = sigmas(spacing, 8, 37.3), sigmas(spacing, 16, 37.3)
    assert coarse == fine[::2] and fine == sorted(set(fine)) and (fine[0], fine[-1]) == (0, 37.3)


def test_any_number_of_steps_is_exact_for_a_quadratic():
    """The secant form: the gradient of a quadratic is linear along each chord of the path."""
    model = Function(lambda x: x[:, 0] + 2 * (x * x).sum(1) - x[:, 3] * x[:, 200])
    for steps in (1, 2, 5):
        assert abs(explain(model, tensor((16, 16)), "blur_ig", steps=steps).residual) < 1e-12


@pytest.mark.parametrize("spacing", CURVES)
def test_windows_add_up_and_cost_nothing(spacing):
    session = Session(small(), tensor())
    whole = session.map("blur_ig", steps=16, sigma_max=20.0, spacing=spacing)
    session.stats.reset()
    size = np.abs(whole.values).max()
    for cut in (0.5, 1.7, 19.99, whole.details["sigmas"][5]):
        sharp = session.map("blur_ig", steps=16, sigma_max=20.0, spacing=spacing, sigma=(0, cut))
        blurred = session.map("blur_ig", steps=16, sigma_max=20.0, spacing=spacing, sigma=(cut, 20))
        np.testing.assert_allclose(sharp.values + blurred.values, whole.values, atol=1e-12 * size)
        at = np.interp(cut, whole.details["sigmas"], whole.details["scores"])
        rise = at - whole.details["scores"][-1]
        assert blurred.residual == pytest.approx((blurred.values.sum() - rise) / abs(rise), abs=1e-9)
    assert session.stats.forward_samples == 0


def test_doubling_and_windows_evaluate_what_is_missing():
    session = Session(small(), tensor())
    session.map("blur_ig", steps=8)
    assert session.stats.backward_samples == 9
    session.map("blur_ig", steps=16)
    assert session.stats.backward_samples == 17
    session.stats.reset()
    other = Session(small(), tensor(seed=5))
    part = other.map("blur_ig", steps=16, sigma=(3.0, 7.0))
    assert other.stats.backward_samples == len(part.details["sigmas"]) < 8
    assert part.details["sigmas"][0] <= 3 and part.details["sigmas"][-1] >= 7


def test_completeness_on_a_smooth_network():
    got = explain(small(smooth=True), tensor(), "blur_ig", steps=512)
    assert abs(got.residual) < 0.01 and got.last_change < 0.01


def test_stages_sharpen_and_the_last_is_the_result():
    seen, session = [], Session(small(), tensor())
    result = session.run("blur_ig", {"steps": 32}, on_map=seen.append)
    assert [m.final for m in seen] == [False, False, False, True]
    errors = [np.abs(m.values - result.values).sum() for m in seen]
    assert errors == sorted(errors, reverse=True)
    assert seen[0].last_change is None and all(m.last_change > 0 for m in seen[1:])


def test_reasons_and_refusals():
    session = Session(small(), tensor())
    assert "window is empty" in session.map("blur_ig", steps=4, sigma=(3, 3)).warnings[0]
    flat = explain(small(), torch.full((3, 16, 16), 0.5, dtype=torch.float64), "blur_ig", steps=4)
    assert not flat.values.any() and flat.residual is None and "blurring does not change" in flat.warnings[0]
    with pytest.raises(ValueError, match="starts above sigma_max=20"):
        session.map("blur_ig", sigma=(30, 40), sigma_max=20.0)
    assert session.map("blur_ig", steps=4, sigma_max=20.0).details["sigmas"][-1] == 20
    with pytest.raises(ValueError, match="no windows"):
        session.map("blur_ig", rule="pair", sigma=(0, 10))
    with pytest.raises(ValueError, match=r"infinite or NaN at σ = .* px"):
        explain(Function(lambda x: (x.std(1) - 0.1).sqrt()), tensor((16, 16)), "blur_ig", steps=8)


class Linear(nn.Sequential):
    def __init__(self, size):
        super().__init__(nn.Flatten(), nn.Linear(3 * size * size, 4))


def test_the_pair_rule_on_a_linear_model_is_the_whole_change():
    """With zero borders the blur darkens the edges; on a linear model the left rule only misplaces the differences."""
    model, x = Linear(12).double(), tensor((12, 12))
    got = explain(model, x, "blur_ig", rule="pair", target=1)
    assert "100 equal steps" in got.warnings[0] and got.evaluations == 101
    assert got.details["rise"] == pytest.approx(got.details["scores"][0] - got.details["scores"][-1])
    assert got.details["accumulated"][-1] == pytest.approx(got.values.sum())
    assert got.details["sigmas"].tolist() == pytest.approx(np.linspace(0, 50, 101).tolist())
