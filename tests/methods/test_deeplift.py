"""DeepLIFT and Deep SHAP: published values, sums, baselines, and the words on the map."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from saliency_widgets import Session, explain
from tests.small import Small, small, tensor
from tests.teaching import Function, TwoRelus, features, saturating

ZERO = torch.zeros(1, 1, 1)
PICTURES = [tensor(seed=s) for s in (7, 8, 9)]


def test_values_that_must_be_reproduced():
    got = explain(TwoRelus(), features(3.0, 1.0), "deeplift", baseline=ZERO)
    assert got.values.ravel().tolist() == [2, -1] and got.residual == 0 and got.coverage == "3 of 3 activation calls rewritten"


@pytest.mark.parametrize("form", ["minimum", "relu"])
def test_saturation_is_shared(form):
    assert explain(saturating(form), features(1.0, 1.0), "deeplift", baseline=ZERO).values.ravel().tolist() == [0.5, 0.5]


@pytest.mark.parametrize("reference, wanted", [([1, 2, 3, 9], [0, 0, 0, -8]), ([4, 8, 6, 7], [0, -7, 0, 0])])
def test_max_pooling_between_a_picture_and_a_reference(reference, wanted):
    model = Function(lambda x: F.max_pool1d(x[:, None], 4)[:, 0, 0])
    baseline = torch.tensor(reference, dtype=torch.float64).view(features(1.0, 1.0, 1.0, 1.0).shape)
    got = explain(model, features(1.0, 1.0, 1.0, 1.0), "deeplift", baseline=baseline)
    assert got.values.ravel().tolist() == wanted


def test_a_linear_model_gives_weight_times_change():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)).double()
    got = explain(model, tensor(), "deeplift", target=2, baseline="white")
    wanted = model[1].weight[2].detach().view(3, 32, 32) * (tensor() - 1)
    np.testing.assert_allclose(got.values, wanted, atol=1e-12)
    assert got.coverage == "0 of 0 activation calls rewritten" and abs(got.residual) < 1e-12


@pytest.mark.parametrize("score", ["logit", "probability", "log_probability", "margin"])
def test_it_sums_to_the_rise_of_any_score(score):
    session = Session(small(), tensor(), score=score, **({"contrast": 3} if score == "margin" else {}))
    got = session.map("deeplift", target=1, baseline="white")
    assert abs(got.residual) < 1e-10
    fall = session.map("leave_one_out", target=1, regions=np.zeros((32, 32), int), fill="white").region_scores[0]
    np.testing.assert_allclose(got.values.sum(), fall, atol=1e-10)
    assert got.unit == {"log_probability": "nat", "probability": "probability"}.get(score, "logit")


def test_a_pair_counts_as_two_samples_and_is_kept():
    session = Session(small(), tensor())
    session.map("deeplift")
    assert session.stats.forward_samples == 2
    session.stats.reset()
    session.map("deeplift")
    session.map("deep_shap", backgrounds=["black"])
    assert session.stats.forward_samples == 0


def test_several_baselines_are_averaged():
    session = Session(small(), tensor())
    one, two = (session.map("deeplift", baseline=b) for b in ("black", "blur"))
    both = session.map("deeplift", baseline=["black", "blur"])
    np.testing.assert_allclose(both.values, (one.values + two.values) / 2, atol=1e-14)
    assert abs(both.residual) < 1e-10 and both.details["rise"] == (one.details["rise"] + two.details["rise"]) / 2
    a, b = (session.map("deeplift", baseline="noise", seed=s).values for s in (1, 2))
    assert not np.array_equal(a, b)


def test_deep_shap_is_the_mean_over_its_backgrounds_with_its_error():
    session = Session(small(), tensor())
    got = session.map("deep_shap", backgrounds=PICTURES)
    parts = np.stack([session.map("deeplift", baseline=p).values for p in PICTURES])
    np.testing.assert_allclose(got.values, parts.mean(0), atol=1e-14)
    error = parts.std(0, ddof=1) / 3 ** 0.5
    np.testing.assert_allclose(got.details["standard_error"], error, atol=1e-12)
    assert got.standard_error == pytest.approx(error.sum() / np.abs(parts.mean(0)).sum())
    assert got.details["sum_standard_error"] == pytest.approx(parts.sum((1, 2, 3)).std(ddof=1) / 3 ** 0.5)
    assert abs(got.residual) < 1e-10 and got.details["n"] == 3
    batch = session.map("deep_shap", backgrounds=torch.stack(PICTURES))
    np.testing.assert_allclose(batch.values, got.values, atol=1e-14)


def test_deep_shap_says_which_backgrounds_it_took():
    session = Session(small(), tensor())
    got = session.map("deep_shap")
    assert got.details["n"] == 4 and "black, white, mean, blur" in got.warnings[0]
    mine = Session(small(), tensor(), backgrounds=torch.stack(PICTURES)).map("deep_shap")
    np.testing.assert_allclose(mine.values, session.map("deep_shap", backgrounds=PICTURES).values, atol=1e-14)
    many = session.map("deep_shap", backgrounds=[tensor(seed=s) for s in range(9)])
    assert many.details["n"] == 9 and abs(many.residual) < 1e-10


class Sorting(Small):
    def forward(self, x):
        return super().forward(x.sort(-1).values)


def test_what_was_not_reached_is_named_on_the_map():
    model = Sorting().double().eval()
    got = explain(model, tensor(), "deeplift")
    assert got.coverage == "2 of 3 activation calls rewritten"
    assert got.warnings == ("2 of 3 activation calls rewritten; these kept their own gradient: sort",)
    with pytest.raises(ValueError, match="none of the 1 activation calls .topk. could be rewritten"):
        explain(Function(lambda x: x.topk(2).values.sum(1)), tensor(), "deeplift")


def test_a_model_that_branches_on_the_picture_is_refused():
    model = Function(lambda x: torch.tanh(x).mean(1) if x.mean() > 0.2 else torch.relu(x).mean(1))
    with pytest.raises(ValueError, match="^the model called relu .* for the reference and tanh .* for the input"):
        explain(model, tensor(), "deeplift")


def test_an_empty_map_and_empty_lists_say_why():
    got = explain(small(), tensor(), "deeplift", baseline=tensor())
    assert not got.values.any() and "baseline equals the picture" in got.warnings[0] and got.residual is None
    with pytest.raises(ValueError, match="holds no baseline"):
        explain(small(), tensor(), "deeplift", baseline=[])
    with pytest.raises(ValueError, match="at least one background"):
        explain(small(), tensor(), "deep_shap", backgrounds=[])


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), smooth=st.booleans())
def test_random_networks_add_up(seed, smooth):
    session = Session(small(seed=seed, smooth=smooth), tensor(seed=seed + 1))
    for name in ("deeplift", "deep_shap"):
        assert abs(session.map(name).residual) < 1e-6
