"""Difference and rank correlation of two maps, against their definitions."""
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

import saliency_widgets as sw
from saliency_widgets.metrics import agreement, difference, rank_correlation


@pytest.fixture(scope="module")
def maps():
    session = sw.Session(*sw.demo())
    return {name: session.map(name, **more) for name, more in
            (("gradient", {}), ("grad_cam", {}), ("gradient_x_input", {}), ("occlusion", dict(window=(56, 56), stride=(56, 56))))}


def pearson(a, b):
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


@pytest.mark.parametrize("pair", [("gradient", "gradient_x_input"), ("grad_cam", "gradient"), ("occlusion", "grad_cam")])
@pytest.mark.parametrize("absolute", [False, True])
def test_rank_correlation_is_that_of_the_ranks(maps, pair, absolute):
    a, b = (maps[name].heatmap(size=(224, 224), sign=maps[name].default_sign).astype(float).ravel() for name in pair)
    if absolute:
        a, b = np.abs(a), np.abs(b)
    assert rank_correlation(*(maps[name] for name in pair), absolute=absolute) == pytest.approx(
        pearson(rankdata(a), rankdata(b)), abs=1e-9)


def test_a_map_agrees_with_itself_and_a_flat_one_with_nothing(maps):
    one = maps["gradient"]
    assert rank_correlation(one, one) == pytest.approx(1.0)
    turned = replace(one, values=-one.values)
    assert rank_correlation(one, turned) == pytest.approx(-1.0)
    assert rank_correlation(one, turned, absolute=True) == pytest.approx(1.0)
    assert rank_correlation(one, replace(one, values=0 * one.values)) is None


def test_the_same_method_is_subtracted_as_it_is(maps):
    session = sw.Session(*sw.demo())
    other = session.map("gradient", target=1)
    values, unit = difference(maps["gradient"], other)
    assert unit == maps["gradient"].unit
    np.testing.assert_allclose(values, maps["gradient"].heatmap().astype(float) - other.heatmap(), atol=1e-12)


def test_other_methods_are_compared_by_their_shares(maps):
    values, unit = difference(maps["grad_cam"], maps["occlusion"])
    a, b = (maps[name].heatmap(size=(224, 224), sign=maps[name].default_sign).astype(float) for name in ("grad_cam", "occlusion"))
    np.testing.assert_allclose(values, 1000 * (a / np.abs(a).sum() - b / np.abs(b).sum()), atol=1e-9)
    assert "‰" in unit


@given(st.integers(0, 2**31), st.floats(0.1, 50.0))
@settings(max_examples=20, deadline=None)
def test_the_difference_turns_round_and_does_not_see_a_scale(seed, factor):
    rng = np.random.default_rng(seed)

    def made(method, values):
        return sw.SaliencyMap(values=values[None], method=method, title=method, params={}, target=0, label="", score="logit",
                              unit=method, signed=True, input_size=(8, 8))

    a, b = made("a", rng.normal(size=(8, 8))), made("b", rng.normal(size=(4, 4)))
    forth, back = difference(a, b)[0], difference(b, a)[0]
    assert np.abs(forth).sum() <= 2000 * (1 + 1e-6)
    np.testing.assert_allclose(forth, -back, atol=1e-3)
    np.testing.assert_allclose(difference(made("a", factor * a.values[0]), b)[0], forth, atol=1e-3)


def test_what_lies_around_a_crop_is_no_agreement():
    rng, crop = np.random.default_rng(0), (0.0, 24.0, 32.0, 56.0)

    def made(method, inside):
        return sw.SaliencyMap(values=rng.random((1, 32, 32)), method=method, title=method, params={}, target=0, label="",
                              score="logit", unit=method, signed=False, input_size=(32, 32), photo_size=(32, 80),
                              crop=crop if inside else None)

    a, b, whole = made("a", True), made("b", True), made("c", False)
    flat = [m.values[0].ravel() for m in (a, b)]
    assert rank_correlation(a, b) == pytest.approx(pearson(*map(rankdata, flat)), abs=1e-6) and abs(rank_correlation(a, b)) < 0.1
    got = agreement([a, b])
    assert got.value == pytest.approx(rank_correlation(a, b), abs=1e-9)
    mixed = agreement([a, whole, b]).details["signed"]  # a map of the whole photograph is compared over all of it
    assert mixed[0, 2] == mixed[2, 0] == pytest.approx(got.value, abs=1e-9)
    assert mixed[0, 1] == pytest.approx(rank_correlation(a, whole), abs=1e-9)
    moved = replace(b, crop=(0.0, 20.0, 32.0, 52.0))
    assert rank_correlation(a, moved) == pytest.approx(agreement([a, moved]).value, abs=1e-9)
    assert difference(a, b)[0].shape == (32, 80)  # it is drawn on the photograph


def test_agreement_is_the_correlation_of_every_pair(maps):
    shown = list(maps.values())
    got = agreement(maps)
    for name, absolute in (("signed", False), ("absolute", True)):
        for i, a in enumerate(shown):
            for k, b in enumerate(shown):
                assert got.details[name][i, k] == pytest.approx(rank_correlation(a, b, absolute=absolute), abs=1e-9)
    off = [got.details["signed"][i, k] for i in range(4) for k in range(4) if i != k]
    assert got.value == pytest.approx(np.mean(off)) and got.n == 6 and got.details["names"] == list(maps)
    assert agreement([shown[0], shown[0], shown[1]]).details["names"] == ["gradient 1", "gradient 2", "grad_cam"]


def test_flat_maps_agree_with_nothing_and_wrong_ones_are_refused(maps):
    one = maps["gradient"]
    got = agreement({"a": one, "flat": replace(one, values=0 * one.values)})
    assert np.isnan(got.value) and "flat" in got.warnings[0] and got.details["signed"][0, 0] == pytest.approx(1)
    with pytest.raises(ValueError, match="two maps or more"):
        agreement([one])
    with pytest.raises(ValueError, match="different sizes"):
        agreement([one, replace(one, input_size=(8, 8))])
    with pytest.raises(TypeError, match="got ndarray"):
        agreement([one, one.values])
