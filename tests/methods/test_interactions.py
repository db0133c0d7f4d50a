"""Interactions of two regions against a plain loop, models with known answers, and what they cost."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_widgets import Session, regions
from tests.small import small, tensor

CORNERS = np.array([[0, 1], [2, 3]])


def played(function, **params):
    """The map of a game of four pixels that are one and are taken away as zero."""
    session = Session(lambda x: function(x[:, 0].flatten(1))[:, None], torch.ones(1, 2, 2, dtype=torch.float64))
    return session.map("interactions", regions=CORNERS, fill=torch.zeros(1, 1, 1), **params)


@pytest.mark.parametrize("chosen", [0, 7, None])
def test_it_is_a_plain_loop(chosen):
    model, x, labels = small(), tensor(), regions.grid((32, 32), 3, 4)
    got = Session(model, x).map("interactions", grid=(3, 4), region=chosen, target=1)

    def drop(*off):
        masked = torch.where(torch.from_numpy(np.isin(labels, off)), torch.zeros_like(x), x)
        return float(model(x[None])[0, 1] - model(masked[None])[0, 1])

    with torch.no_grad():
        alone = np.array([drop(s) for s in range(12)])
        r = int(alone.argmax()) if chosen is None else chosen
        both = np.array([drop(r, s) for s in range(12)])
    assert got.details["region"] == r
    np.testing.assert_allclose(got.details["drops"], alone, atol=1e-9)
    np.testing.assert_allclose(got.details["pair_drops"], both, atol=1e-9)
    wanted = both - alone - alone[r]
    wanted[r] = 0
    np.testing.assert_allclose(got.region_scores, wanted, atol=1e-9)
    np.testing.assert_array_equal(got.values[0], got.region_scores[labels].astype(got.values.dtype))


@pytest.mark.parametrize("function, wanted", [
    (lambda z: z[:, 0] * z[:, 1], [0, -1, 0, 0]),            # either one takes all: together no more than one of them
    (lambda z: z[:, :2].amax(1), [0, 1, 0, 0]),              # each stands in for the other
    (lambda z: z[:, :2].amin(1), [0, -1, 0, 0]),
    (lambda z: z.sum(1).clamp(max=1), [0, 0, 0, 0]),         # any one of four suffices: of two still nothing is seen
    (lambda z: z[:, [0, 2]].sum(1).clamp(max=1) + z[:, 3], [0, 0, 1, 0]),
])
def test_models_with_known_answers(function, wanted):
    got = played(function, region=0)
    np.testing.assert_allclose(got.region_scores, wanted, atol=1e-12)
    assert bool(got.warnings) == (not any(wanted))


def test_the_chosen_one_may_be_either_of_a_pair():
    session = Session(small(), tensor(), target=2)
    maps = [session.map("interactions", grid=3, region=r).region_scores for r in range(9)]
    np.testing.assert_allclose(np.stack(maps), np.stack(maps).T, atol=1e-12)
    assert session.stats.forward_samples == 1 + 9 + 36, "a pair is evaluated once, whichever of the two is chosen"


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 5))
def test_regions_of_a_linear_model_do_not_interact(seed, region):
    generator = torch.Generator().manual_seed(seed)
    weights, x = (torch.randn(3, 4, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    got = Session(lambda z: (z * weights).sum((1, 2, 3))[:, None], x).map("interactions", grid=(2, 3), region=region)
    np.testing.assert_allclose(got.region_scores, 0, atol=1e-12)


def test_single_drops_are_those_of_leave_one_out_and_another_region_takes_its_pairs_alone():
    session = Session(small(), tensor(), target=0)
    alone = session.map("leave_one_out", grid=5, fill="mean")
    session.stats.reset()
    got = session.map("interactions", grid=5, fill="mean")
    assert session.stats.forward_samples == 24 and got.details["region"] == alone.region_scores.argmax()
    np.testing.assert_allclose(got.details["drops"], alone.region_scores, atol=1e-12)
    other = next(r for r in range(25) if r != got.details["region"])
    session.map("interactions", grid=5, fill="mean", region=other)
    assert session.stats.forward_samples == 24 + 23
    session.map("interactions", grid=5, fill="mean", region=other, target=3)
    assert session.stats.forward_samples == 24 + 23, "another class needs no evaluation"


def test_the_map_sharpens_with_the_strongest_first():
    seen, session = [], Session(small(), tensor(), target=1)
    session.run("interactions", {"grid": 10, "region": 3}, on_map=seen.append)
    exact = Session(small(), tensor(), target=1).map("interactions", grid=10, region=3)
    assert session.stats.forward_samples == 1 + 100 + 99 and [m.final for m in seen] == [False, True]
    first, last = seen
    known = np.flatnonzero(np.isfinite(first.details["pair_drops"]))
    assert len(known) == 25 and "24 of 99" in first.warnings[0] and last.warnings == ()
    rest = np.setdiff1d(np.arange(100), known)
    alone = np.abs(last.details["drops"])
    assert alone[np.setdiff1d(known, [3])].min() >= alone[rest].max()
    np.testing.assert_allclose(first.region_scores[known], last.region_scores[known], atol=1e-12)
    np.testing.assert_allclose(last.values, exact.values, atol=1e-9)


def test_the_probability_without_both_stands_beside():
    model, x = small(), tensor()
    got = Session(model, x, target=3).map("interactions", grid=2, region=0)
    with torch.no_grad():
        masked = x.clone()
        masked[:, :16] = 0
        assert got.details["after"][1] == pytest.approx(float(model(masked[None]).softmax(1)[0, 3]), abs=1e-12)
        assert got.details["before"] == pytest.approx(float(model(x[None]).softmax(1)[0, 3]), abs=1e-12)


def test_one_region_has_nobody_to_pair_with_and_unknown_ones_are_told():
    session = Session(small(), tensor())
    alone = session.map("interactions", grid=1)
    assert alone.region_scores.tolist() == [0] and "one region only" in alone.warnings[0]
    with pytest.raises(ValueError, match="region=9 does not exist: the regions are numbered 0 to 8"):
        session.map("interactions", grid=3, region=9)
