"""LIME: the weighted ridge regression by its definition, what it promises about samples, and what it says of its fit."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_widgets import Session, explain, regions
from saliency_widgets.kernels import reference
from saliency_widgets.methods.coalitions import ridge
from saliency_widgets.methods.lime import kernel
from tests.small import pixels, small, tensor

QUARTERS = regions.grid((32, 32), 2, 2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(3, 40), columns=st.integers(1, 8), alpha=st.floats(0.01, 10))
def test_the_fit_minimises_the_penalised_squares(seed, rows, columns, alpha):
    rng = np.random.default_rng(seed)
    z, y, w = rng.random((rows, columns)) < 0.5, rng.normal(size=rows), rng.uniform(0.1, 1, rows)
    fit = ridge(z, y, w, alpha)

    def price(b, values):
        return (w * (y - b - z @ values) ** 2).sum() + alpha * (values ** 2).sum()

    least = price(fit.intercept, fit.values)
    for _ in range(20):
        assert price(fit.intercept + rng.normal() * 0.01, fit.values + rng.normal(size=columns) * 0.01) >= least
    missed = y - fit.intercept - z @ fit.values
    assert fit.r2 == pytest.approx(1 - (w * missed ** 2).sum() / (w * (y - np.average(y, weights=w)) ** 2).sum())


def test_the_map_is_that_regression_on_masked_pictures():
    model, x = small(), tensor()
    got = explain(model, x, "lime", n=50, regions=QUARTERS, fill="black", target=2, kernel_width=0.4, alpha=0.5)
    numbers = np.arange(16)[:, None] >> np.arange(4) & 1
    with torch.no_grad():
        known = {tuple(z): float(model((x * torch.from_numpy(z[QUARTERS] > 0))[None])[0, 2]) for z in numbers}
        chance = float(model(x[None]).softmax(1)[0, 2])
    # The same draws, read again from the seed, the picture first.
    shown = reference.uniform(0, 1, 200).view(50, 4).numpy() < 0.5
    shown[0] = True
    weights = np.sqrt(np.exp(-(1 - np.sqrt(shown.mean(1))) ** 2 / 0.4 ** 2))
    centre = np.average(shown, axis=0, weights=weights)
    y = np.array([known[tuple(row.astype(int))] for row in shown])
    z = shown - centre
    values = np.linalg.solve((z * weights[:, None]).T @ z + 0.5 * np.eye(4),
                             (z * weights[:, None]).T @ (y - np.average(y, weights=weights)))
    np.testing.assert_allclose(got.region_scores, values, atol=1e-10)
    np.testing.assert_array_equal(got.values[0], got.region_scores[QUARTERS])
    assert got.details["score"] == pytest.approx(known[1, 1, 1, 1]) and got.evaluations <= 16
    assert got.details["before"] == pytest.approx(chance)


def test_samples_near_the_picture_count_most():
    shown = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool)
    weights = kernel(shown, 0.25)
    assert weights[0] == 1 and (np.diff(weights) < 0).all()
    assert weights[3] == pytest.approx(np.exp(-1 / (2 * 0.25 ** 2)))


def test_an_additive_score_is_found_whole():
    """Without a penalty to speak of, a score that adds up over regions gives back its terms, and R² is 1."""
    labels = regions.grid((32, 32), 3, 3)
    weights = torch.linspace(-1, 1, 9, dtype=torch.float64)[torch.from_numpy(labels).long()]
    x = torch.ones(1, 32, 32, dtype=torch.float64)
    got = explain(lambda v: (v * weights).sum((1, 2, 3))[:, None], x, "lime", n=200, regions=labels, fill="black", alpha=1e-6)
    wanted = [float(weights[labels == r].sum()) for r in range(9)]
    np.testing.assert_allclose(got.region_scores, wanted, rtol=1e-4, atol=1e-3)
    assert got.details["r2"] == pytest.approx(1) and not got.warnings
    assert got.details["predicted"] == pytest.approx(got.details["score"], abs=1e-2)


def test_the_default_cuts_superpixels_and_all_logits_are_kept():
    session = Session(small(), tensor())
    got = session.map("lime", n=200)
    np.testing.assert_array_equal(got.regions, regions.segment(pixels(), "slic"))
    assert session.stats.forward_samples == 200 == session.stats.plan and session.stats.backward_samples == 0
    session.stats.reset()
    other = session.map("lime", n=200, target=(got.target + 1) % 5)
    session.map("lime", n=200, kernel_width=0.5, alpha=3.0)
    assert session.stats.forward_samples == 0 and not np.allclose(got.values, other.values)
    session.map("lime", n=260)
    assert session.stats.forward_samples == 60
    assert not np.allclose(session.map("lime", n=200, seed=1).values, got.values)


def test_drafts_grow_and_errors_are_the_spread_over_seeds():
    seen, session = [], Session(small(), tensor(), score="probability", target=1)
    session.run("lime", {"n": 500, "regions": regions.grid((32, 32), 4, 4)}, on_map=seen.append)
    assert [m.details["samples"] for m in seen] == [125, 250, 500] and seen[2].last_change < seen[1].last_change
    maps = [session.map("lime", n=150, regions=regions.grid((32, 32), 4, 4), seed=s) for s in range(16)]
    spread = np.std([m.region_scores for m in maps], axis=0, ddof=1).mean()
    assert np.mean([m.details["region_errors"] for m in maps]) == pytest.approx(spread, rel=0.35)


def test_a_poor_fit_few_samples_and_a_flat_score_are_said():
    x = torch.ones(1, 32, 32, dtype=torch.float64)
    parity = explain(lambda v: torch.cos(torch.pi * v[:, 0, ::8, ::8].sum((1, 2)))[:, None], x, "lime", fill="black", n=300,
                     regions=regions.grid((32, 32), 4, 4))
    assert parity.details["r2"] < 0.3 and parity.warnings[0].startswith("R² 0.")
    few = explain(small(), tensor(), "lime", n=20)
    assert "20 samples do not determine" in few.warnings[0] and few.standard_error is None
    flat = explain(lambda v: torch.zeros(len(v), 1), x, "lime", n=20)
    assert flat.details["r2"] is None and "every sample is the same" in flat.warnings[0]


def test_what_does_not_fit_is_said():
    for params, words in (({"n": 1}, "n=1"), ({"regions": "slik"}, "regions='slik'"), ({"kernel_width": 0}, "kernel_width=0"),
                          ({"alpha": -1}, "alpha=-1"), ({"regions": np.zeros((3, 3), int)}, "picture's size"),
                          ({"regions": np.arange(2500).reshape(50, 50)}, "2,500 regions")):
        with pytest.raises(ValueError, match=words):
            explain(small(), tensor((50, 50)), "lime", **params)
    with pytest.raises(TypeError, match="regions=None does not fit"):
        explain(small(), tensor(), "lime", regions=None)
    with pytest.raises(ValueError, match="infinite or NaN"):
        explain(lambda v: v[:, :, :16].mean((1, 2, 3)).log()[:, None], tensor(), "lime", n=50, regions=QUARTERS, fill="black")


def test_it_runs_on_a_scripted_model_one_region_and_one_channel():
    np.testing.assert_allclose(explain(torch.jit.script(small()), tensor(), "lime", n=30).values,
                               explain(small(), tensor(), "lime", n=30).values, atol=1e-10)
    one = explain(lambda v: v.sum((2, 3)), torch.rand(1, 5, 4), "lime", n=10, regions=np.zeros((5, 4), int))
    assert one.values.shape == (1, 5, 4) and one.evaluations == 2
