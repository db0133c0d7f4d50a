"""Numbers and sentences of the panels."""
from dataclasses import replace

import numpy as np
import pytest

from saliency_widgets.saliency_map import SaliencyMap
from saliency_widgets.widgets import words


def a_map(**changes):
    values = np.array([[[1.0, 2.0], [-0.5, 0.5]]])
    base = SaliencyMap(values=values, method="m", title="M", params={"steps": 64}, target=0, label="cat", score="logit",
                       unit="logit", signed=True, input_size=(4, 4))
    return replace(base, **changes)


@pytest.mark.parametrize("value, digits, plain, signed", [
    (-0.5, 2, "−0.50", "−0.50"), (0.5, 2, "0.50", "+0.50"), (-0.001, 2, "0.00", "+0.00"), (-1.26, 1, "−1.3", "−1.3")])
def test_numbers_have_real_minus_signs(value, digits, plain, signed):
    assert words.plain(value, digits) == plain and words.signed(value, digits) == signed


def test_costs_are_counted_in_evaluations():
    assert words.cost(1, None) == "1 evaluation"
    assert words.cost(65, 2.21) == "65 evaluations · 2.2 s"
    assert words.evaluations(1200) == "1 200 evaluations"
    assert [words.duration(s) for s in (0.04, 12.4, 300)] == ["0.0 s", "12 s", "5 min"]


def test_an_error_is_one_line_without_a_full_stop():
    assert words.sentence(ValueError("too dark: add light.\nsecond line")) == "too dark: add light"
    assert words.sentence(KeyError("no such")) == "no such"
    assert words.sentence(RuntimeError()) == "RuntimeError"
    assert "missing.png" in words.sentence(FileNotFoundError(2, "No such file", "missing.png"))


def test_a_residual_beyond_two_per_cent_warns_and_offers_more_steps():
    good, bad = words.evidence(a_map(residual=0.004), "path"), words.evidence(a_map(residual=0.25), "path")
    assert good.ok and good.text == "residual 0.4 %" and not good.remedy
    assert not bad.ok and bad.text == "residual 25 %" and bad.remedy == "double the steps"
    assert "sums to +3.00 logit" in bad.sentence and "rises by +2.40" in bad.sentence


def test_relu_evidence_is_the_positive_share():
    relu = a_map(default_sign="positive")
    found = words.evidence(relu, "cam")
    assert found.ok and found.text == f"ReLU keeps {words.percent(3.5 / 4)}" and "2 × 2 cells of 2 px" in found.sentence
    assert not words.evidence(replace(relu, values=-a_map().values), "cam").ok
    assert words.evidence(replace(relu, values=np.zeros((1, 2, 2))), "cam").text == "the map is zero"
    assert words.evidence(a_map(), "cam") is None, "a signed map keeps both"


def test_regions_that_are_fitted_speak_of_the_fit_and_sum_by_region():
    lime = a_map(region_scores=np.array([1.0, -0.5]), details={"r2": 0.62})
    found = words.evidence(lime, "cut")
    assert found.ok and found.text == "R² 0.62" and "2 regions explains 62 %" in found.sentence and "drops sum" not in found.text
    assert not words.evidence(replace(lime, details={"r2": 0.3}), "cut").ok
    assert words.evidence(replace(lime, details={"r2": None}), "cut") is None
    shapley = words.evidence(replace(lime, residual=0.0), "cut")
    assert shapley.ok and "sums to +0.50 logit" in shapley.sentence


def test_drops_and_warnings():
    found = words.evidence(a_map(region_scores=np.array([1.0, -0.5])), "cut")
    assert found.ok and found.text == "drops sum to 0.5 logit"
    known = a_map(region_scores=np.array([20.0, 15.6]), details={"whole": 6.4})
    found = words.evidence(known, "cut")
    assert not found.ok and found.text == "drops sum to 35.6 of 6.4 logit" and "depend on each other" in found.sentence
    assert "score of the whole picture is +6.40" in found.sentence
    found = words.evidence(replace(known, details={"whole": 6.4, "together": 35.0}), "cut")
    assert found.ok and found.text == "drops sum to 35.6 of 35.0 logit" and "together lower it by +35.00" in found.sentence
    warned = words.evidence(a_map(residual=0.001, warnings=("the map is zero everywhere: no region matters",)), "path")
    assert not warned.ok and warned.text.startswith("the map is zero") and "The gap is 0.1 %" in warned.sentence
    assert words.evidence(a_map(), "gradient") is None


def test_coverage_counts_what_a_rule_reached():
    whole, part = (words.evidence(a_map(coverage=f"{k} of 17 activation calls rewritten"), "gradient") for k in (17, 9))
    assert whole.ok and whole.text == "17 of 17 calls"
    assert not part.ok and part.text == "9 of 17 calls" and "plain gradient" in part.sentence


def test_a_sample_mean_shows_its_error_and_offers_more_samples():
    good, bad = (words.evidence(a_map(standard_error=e), "gradient") for e in (0.1, 0.4))
    assert good.ok and good.text == "± 10 %" and not good.remedy
    assert not bad.ok and bad.remedy == "double the samples"
    sampled = a_map(residual=0.3, standard_error=0.1, details={"sum_standard_error": 0.5, "rise": 4.0})
    assert words.evidence(sampled, "reference").ok, "a gap of 1.2 lies within three errors of 0.5"
    assert not words.evidence(replace(sampled, details={"sum_standard_error": 0.1, "rise": 4.0}), "reference").ok


def test_a_methods_own_warning_is_in_the_tooltip_and_a_doubt_comes_first():
    found = words.evidence(a_map(coverage="17 of 17 activation calls rewritten", caution="draws edges (1810.03292)"), "gradient")
    assert found.ok and found.sentence.endswith("M draws edges (1810.03292).")
    alone = words.evidence(a_map(caution="multiplies by the picture"), "gradient")
    assert not alone.ok and alone.text == "multiplies by the picture"
    both = words.evidence(a_map(residual=0.001, coverage="1 of 2 activation calls rewritten", warnings=("beware",)), "gradient")
    assert both.text == "1 of 2 calls" and both.sentence.startswith("beware.") and "0.1 %" in both.sentence


def test_what_was_learned_says_where_it_came_from():
    found = words.evidence(a_map(last_change=0.02, details={"film": [{}], "before": 0.573, "after": 0.004}), "cut")
    assert found.ok and found.text == "0.573 → 0.004" and "2.0 %" in found.sentence
