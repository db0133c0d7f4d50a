"""Pointing game and energy against their definitions."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_widgets import Session
from saliency_widgets.metrics import energy, pointing_game
from tests.small import small, tensor

SIZE = (20, 30)


def peak(y, x):
    heat = np.zeros(SIZE)
    heat[y, x] = 1
    return heat


def disc(y, x, radius):
    rows, columns = np.ogrid[:SIZE[0], :SIZE[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius ** 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 19), st.integers(0, 29), st.integers(0, 19), st.integers(0, 29), st.integers(0, 8))
def test_a_point_hits_within_the_tolerance(y, x, row, column, reach):
    mask = np.zeros(SIZE, bool)
    mask[row, column] = True
    got = pointing_game(peak(y, x), mask, tolerance=reach)
    assert got.value == float((y - row) ** 2 + (x - column) ** 2 <= reach ** 2)
    assert got.details["point"] == (y, x)
    assert got.details["distance"] == pytest.approx(((y - row) ** 2 + (x - column) ** 2) ** 0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10 ** 6), st.floats(0.1, 100))
def test_energy_is_the_positive_share_and_knows_no_scale(seed, factor):
    rng = np.random.default_rng(seed)
    heat, mask = rng.normal(size=SIZE), rng.random(SIZE) < 0.3
    mask[0, 0] = True
    kept = np.where(heat > 0, heat, 0)
    assert energy(heat, mask).value == pytest.approx(kept[mask].sum() / kept.sum())
    assert energy(factor * heat, mask).value == pytest.approx(energy(heat, mask).value)
    assert energy(np.ones(SIZE), mask).value == pytest.approx(mask.mean()) == energy(heat, mask).details["area"]
    assert energy(heat, mask).value + (energy(heat, ~mask).value if not mask.all() else 0) == pytest.approx(1.0)


def test_chance_and_maps_that_point_at_nothing():
    mask = disc(8, 8, 3)
    got = pointing_game(np.zeros(SIZE), mask)
    assert got.value == 0 and "points at nothing" in got.warnings[0]
    hits = np.mean([pointing_game(peak(y, x), mask, tolerance=2).value for y in range(20) for x in range(30)])
    assert pointing_game(peak(0, 0), mask, tolerance=2).details["chance"] == pytest.approx(hits)
    assert energy(-peak(8, 8), mask).value == 0 and "no positive value" in energy(-peak(8, 8), mask).warnings[0]


def test_maps_are_resized_to_the_mask():
    session = Session(small(), tensor(), target=2)
    m, mask = session.map("grad_cam"), np.zeros((32, 32), bool)
    mask[4:20, 4:20] = True
    heat = m.heatmap(size=(32, 32)).astype(float)
    assert energy(m, mask).value == pytest.approx(np.maximum(heat, 0)[mask].sum() / np.maximum(heat, 0).sum())
    point = np.unravel_index(heat.argmax(), heat.shape)
    assert pointing_game(m, mask, tolerance=0).value == float(mask[point])
    assert energy(torch.ones(3, 32, 32), mask).value == pytest.approx(mask.mean())


def test_refusals():
    for mask, error, words in ((np.zeros(SIZE, bool), ValueError, "is empty"), (np.ones(SIZE), TypeError, "bool array"),
                               (np.ones((2, 3, 4), bool), ValueError, "got shape")):
        for metric in (energy, pointing_game):
            with pytest.raises(error, match=words):
                metric(np.ones(SIZE), mask)
    with pytest.raises(ValueError, match="tolerance=-1"):
        pointing_game(np.ones(SIZE), disc(5, 5, 2), tolerance=-1)
