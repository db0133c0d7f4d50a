"""KernelSHAP: Shapley values by brute force, efficiency, the kernel's draws, errors and refusals."""
from itertools import combinations
from math import comb, factorial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_widgets import Session, explain, regions
from saliency_widgets.methods.coalitions import shapley
from saliency_widgets.methods.kernel_shap import every
from tests.small import small, tensor


def brute_force(value, count):
    """Σ over coalitions S without r of |S|! (R − |S| − 1)! / R! · (value(S + r) − value(S))."""
    result = np.zeros(count)
    for r in range(count):
        others = [i for i in range(count) if i != r]
        for k in range(count):
            for members in combinations(others, k):
                weight = factorial(k) * factorial(count - k - 1) / factorial(count)
                result[r] += weight * (value({*members, r}) - value(set(members)))
    return result


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 6))
def test_all_coalitions_give_the_shapley_values_of_any_game(seed, count):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=2 ** count)
    shown, weights = every(count)
    y = table[(shown * (1 << np.arange(count))).sum(1)]
    fit = shapley(shown, y, weights, table[0], table[-1])
    np.testing.assert_allclose(fit.values, brute_force(lambda s: table[sum(1 << i for i in s)], count), atol=1e-10)


def test_few_regions_are_exact_on_a_network():
    model, x = small(), tensor()
    labels = regions.grid((32, 32), 2, 3)
    got = explain(model, x, "kernel_shap", regions=labels, target=3, n=64)
    bare = x.mean((1, 2), keepdim=True)

    def value(members):
        shown = torch.from_numpy(np.isin(labels, list(members)))
        with torch.no_grad():
            return float(model(torch.where(shown, x, bare)[None])[0, 3])

    np.testing.assert_allclose(got.region_scores, brute_force(value, 6), atol=1e-10)
    assert got.evaluations == 64 and got.details["exact"] and got.standard_error == 0
    np.testing.assert_array_equal(got.values[0], got.region_scores[labels])


@pytest.mark.parametrize("score", ["logit", "probability", "margin"])
def test_the_values_sum_to_the_score_over_the_bare_fill(score):
    session = Session(small(), tensor(), score=score, target=0, **({"contrast": 1} if score == "margin" else {}))
    for params in ({"n": 300}, {"n": 130}, {"regions": regions.grid((32, 32), 2, 2)}):
        got = session.map("kernel_shap", fill="black", **params)
        assert got.region_scores.sum() == pytest.approx(got.details["score"] - got.details["bare"], abs=1e-10)
        assert abs(got.residual) < 1e-9


def test_the_kernel_has_its_weights_and_its_pairs():
    shown, weights = every(5)
    assert len({tuple(row) for row in shown}) == 30 and (shown[::2] == ~shown[1::2]).all()
    assert weights[shown.sum(1) == 2][0] == pytest.approx(4 / (comb(5, 2) * 2 * 3))


def test_drawn_samples_weigh_what_the_kernel_does():
    from saliency_widgets.kernels import reference
    from saliency_widgets.methods.kernel_shap import paired

    class Drawing:
        kernels = reference

    shown, weights = paired(Drawing, 3, 4000, 7)
    sizes = shown.sum(1)
    assert set(sizes) == {1, 2, 3, 4, 5, 6} and (shown[::2] == ~shown[1::2]).all()
    np.testing.assert_allclose(np.bincount(sizes)[1:] / 8000, 1 / 6, atol=0.02)
    drawn = np.bincount(sizes, weights)[1:]
    wanted = np.array([1 / (k * (7 - k)) for k in range(1, 7)])  # all of a size together: C(R, k) times the kernel
    np.testing.assert_allclose(drawn / drawn.sum(), wanted / wanted.sum(), atol=0.02)
    np.testing.assert_allclose(shown.mean(0), 0.5, atol=1e-12)
    np.testing.assert_array_equal(paired(Drawing, 3, 100, 7)[0], shown[:200])
    two = shown[shown.sum(1) == 2]
    assert np.abs(two.mean(0) - 2 / 7).max() < 0.05


def test_a_sampled_map_comes_close_and_knows_how_close():
    session, labels = Session(small(), tensor(), target=2), regions.grid((32, 32), 3, 4)
    exact = session.map("kernel_shap", regions=labels, n=4096)
    maps = [session.map("kernel_shap", regions=labels, n=200, seed=s) for s in range(12)]
    error = np.array([m.region_scores - exact.region_scores for m in maps])
    told = np.mean([m.details["region_errors"] for m in maps])
    assert told == pytest.approx(np.sqrt((error ** 2).mean()), rel=0.4)
    assert np.abs(error).max() < 6 * told and not maps[0].details["exact"]
    assert session.stats.forward_samples == 4096  # every draw is among the 2¹² already there


def test_a_larger_n_adds_samples_and_another_class_needs_none():
    session = Session(small(), tensor())
    first = session.map("kernel_shap", n=300)
    spent = session.stats.forward_samples
    assert 200 < spent == session.stats.plan <= 300 and session.stats.backward_samples == 0
    other = session.map("kernel_shap", n=300, target=(first.target + 1) % 5)
    assert session.stats.forward_samples == spent and not np.allclose(first.values, other.values)
    session.map("kernel_shap", n=400)
    assert spent < session.stats.forward_samples <= spent + 100


def test_drafts_grow():
    seen, session = [], Session(small(), tensor())
    session.run("kernel_shap", {"n": 1000, "regions": regions.grid((32, 32), 6, 6)}, on_map=seen.append)
    assert [m.details["samples"] for m in seen] == [146, 290, 578, 1000]
    assert seen[-1].last_change < seen[1].last_change and seen[-1].standard_error < seen[1].standard_error


def test_too_few_samples_and_a_flat_score_are_said():
    session, labels = Session(small(), tensor()), regions.grid((32, 32), 6, 6)
    with pytest.raises(ValueError, match="n=37 samples are too few for 36 regions: take n of at least 38"):
        session.map("kernel_shap", regions=labels, n=37)
    open_ = session.map("kernel_shap", regions=labels, n=40)
    assert "40 samples leave the values of 36 regions open" in open_.warnings[0] and abs(open_.residual) < 1e-9
    assert open_.standard_error is None
    flat = explain(lambda v: torch.zeros(len(v), 1), tensor(), "kernel_shap", regions=labels, n=200)
    assert "zero everywhere" in flat.warnings[0] and flat.residual is None and flat.details["r2"] is None
    with pytest.raises(ValueError, match="infinite or NaN"):
        explain(lambda v: v.mean((1, 2, 3)).log()[:, None], tensor(), "kernel_shap", regions=labels, fill="black")
    with pytest.raises(ValueError, match="regions='slik'"):
        session.map("kernel_shap", regions="slik")


def test_it_runs_on_a_scripted_model_one_region_and_two():
    np.testing.assert_allclose(explain(torch.jit.script(small()), tensor(), "kernel_shap", n=200).values,
                               explain(small(), tensor(), "kernel_shap", n=200).values, atol=1e-9)
    x = torch.rand(1, 4, 4, dtype=torch.float64)
    one = explain(lambda v: v.sum((2, 3)), x, "kernel_shap", regions=np.zeros((4, 4), int), fill="black")
    assert one.evaluations == 2 and one.region_scores[0] == pytest.approx(float(x.sum()))
    two = explain(lambda v: v.sum((2, 3)), x, "kernel_shap", regions=np.arange(16).reshape(4, 4) // 8, fill="black")
    np.testing.assert_allclose(two.region_scores, [float(x[:, :2].sum()), float(x[:, 2:].sum())], rtol=1e-5)
