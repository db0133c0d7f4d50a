"""The models of the tutorials: each value that can be worked out by hand."""
import math

import numpy as np
import pytest
import torch

from saliency_widgets import Session, explain, methods
from tests.teaching import TwoRelus, Weighted, cube, features, logarithm, mixed, saturating

ZERO = torch.zeros(1, 1, 1)


def values(model, x, method, **params):
    return explain(model, x, method, **params).values.ravel()


def leave_one_out(model, x, regions=None):
    keywords = {"grid": (1, x.shape[-1])} if regions is None else {"regions": regions}
    return explain(model, x, "leave_one_out", fill=ZERO, **keywords).region_scores


@pytest.mark.parametrize("model, score, times_input", [(cube(), 512, 1536), (logarithm(), math.log(8), 1)])
def test_gradient_times_input_is_not_the_score(model, score, times_input):
    session = Session(model, features(8.0))
    assert session.logits.item() == pytest.approx(score)
    assert session.map("gradient_x_input").values.item() == pytest.approx(times_input)


def test_the_path_integral_is_the_score_where_the_product_is_not():
    assert values(cube(), features(8.0), "integrated_gradients", baseline=ZERO, rule="gauss_legendre", steps=4).item() == \
        pytest.approx(512)
    from_one = dict(baseline=torch.ones(1, 1, 1), rule="gauss_legendre", steps=40)
    assert values(logarithm(), features(8.0), "integrated_gradients", **from_one).item() == pytest.approx(math.log(8))


@pytest.mark.parametrize("method, params", [
    ("integrated_gradients", {}), ("integrated_gradients", {"rule": "adaptive"}), ("guided_ig", {}), ("xrai", {})])
def test_the_logarithm_from_zero_diverges_and_is_refused(method, params):
    with pytest.raises(ValueError, match="infinite or NaN.*move the baseline"):
        explain(logarithm(), features(8.0), method, baseline=ZERO, **params)


def test_expected_gradients_leave_such_a_background_out():
    with pytest.raises(ValueError, match="infinite or NaN on the path from the background.*leave it out"):
        explain(logarithm(), features(8.0), "expected_gradients", backgrounds=[ZERO])


def test_the_logarithm_at_zero_has_no_gradient_and_says_so():
    with pytest.raises(ValueError, match="output for this picture holds NaN or infinity"):
        explain(logarithm(), features(0.0), "gradient")


@pytest.mark.parametrize("form", ["minimum", "relu"])
def test_saturation_hides_from_the_gradient_and_from_leaving_out_one(form):
    """Implementation invariance, too: two ways of writing the same function."""
    model, x = saturating(form), features(1.0, 1.0)
    assert values(model, x, "gradient").tolist() == [0, 0]
    assert leave_one_out(model, x).tolist() == [0, 0]
    assert leave_one_out(model, x, np.zeros((1, 2), int)).tolist() == [1]
    np.testing.assert_allclose(values(model, x, "integrated_gradients", baseline=ZERO, steps=256), [0.5, 0.5], atol=0.01)


def test_two_relus():
    x = features(3.0, 1.0)
    assert values(TwoRelus(), x, "gradient_x_input").tolist() == [3, -1]
    np.testing.assert_allclose(values(TwoRelus(), x, "integrated_gradients", baseline=ZERO, steps=512), [1.5, -0.5], atol=0.01)


def test_the_mixed_function():
    got = values(mixed(), features(1.0, 2.0, 3.0), "integrated_gradients", rule="gauss_legendre", steps=20,
                 baseline=features(0.5, 1.0, 1.0))
    np.testing.assert_allclose(got, [2.5, 3, math.sin(3) - math.sin(1)], atol=1e-12)


@pytest.mark.parametrize("model, x, wanted", [
    (TwoRelus(), features(3.0, 1.0), [2, -1]), (saturating("relu"), features(1.0, 1.0), [0.5, 0.5])])
@pytest.mark.skipif("deeplift" not in methods(), reason="needs the method deeplift")
def test_deeplift_of_the_same(model, x, wanted):
    np.testing.assert_allclose(values(model, x, "deeplift", baseline=ZERO), wanted, atol=1e-9)


LINEAR = Weighted([[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, 1.0, -1.0]])


def test_a_linear_models_gradient_is_its_weights_for_every_picture():
    for x in (features(1.0, 2.0, 3.0, 4.0), features(-1.0, 0.0, 0.5, 9.0)):
        assert values(LINEAR, x, "gradient", target=0).tolist() == [1, -2, 0.5, 3]


@pytest.mark.parametrize("method, params", [
    ("gradient_x_input", {}), ("integrated_gradients", {"baseline": ZERO, "steps": 3}),
    ("guided_ig", {"baseline": ZERO, "steps": 7}), ("expected_gradients", {"backgrounds": [ZERO], "n": 5})])
def test_on_a_linear_model_all_are_weight_times_input(method, params):
    x = features(1.0, 2.0, 3.0, 4.0)
    got = explain(LINEAR, x, method, target=0, **params)
    np.testing.assert_allclose(got.values.ravel(), [1, -4, 1.5, 12], atol=1e-9)
    np.testing.assert_allclose(got.values.ravel(), leave_one_out(LINEAR, x), atol=1e-9)
