"""Points and weights on the path: against exact integrals of piecewise linear functions."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_widgets.methods.quadrature import coarse_to_fine, covering, even, one_shot, window_weights

fraction = st.floats(0, 1, allow_nan=False)


@given(st.integers(1, 100), fraction, fraction)
def test_a_covering_is_the_smallest_that_holds_the_window(steps, a, b):
    a, b = sorted((a, b))
    low, high = covering(even(steps), a, b)
    assert 0 <= low < high <= steps and low / steps <= a and high / steps >= b
    if b > a:
        assert (low + 1) / steps > a and (high - 1) / steps < b


@given(st.integers(1, 80), fraction, fraction, fraction)
def test_windows_add_up(steps, a, b, c):
    a, b, c = sorted((a, b, c))
    grid = [i / steps for i in range(steps + 1)]
    whole, left, right = (np.array(window_weights(grid, *w)) for w in ((a, c), (a, b), (b, c)))
    np.testing.assert_allclose(left + right, whole, atol=1e-12)
    assert whole.sum() == pytest.approx(c - a, abs=1e-12)


@given(st.integers(1, 40), fraction, fraction, st.integers(0, 1000))
def test_the_weights_integrate_the_interpolant_exactly(steps, a, b, seed):
    a, b = sorted((a, b))
    grid = [i / steps for i in range(steps + 1)]
    values = np.random.default_rng(seed).normal(size=steps + 1)
    fine = np.unique(np.concatenate([[a, b], [g for g in grid if a < g < b]]))
    exact = np.trapezoid(np.interp(fine, grid, values), fine) if len(fine) > 1 else 0.0
    assert np.dot(window_weights(grid, a, b), values) == pytest.approx(exact, abs=1e-10)


@given(st.integers(0, 60), st.integers(1, 200))
def test_stages_nest_and_end_with_all(low, length):
    stages = coarse_to_fine(low, low + length)
    assert stages[-1] == list(range(low, low + length + 1))
    for coarse, fine in zip(stages, stages[1:]):
        assert set(coarse) < set(fine)
    assert all(stage[0] == low and stage[-1] == low + length for stage in stages)


@pytest.mark.parametrize("rule, degree", [("gauss_legendre", 9), ("midpoint", 1), ("endpoints", 1), ("right", 0)])
def test_one_shot_rules_are_exact_up_to_their_degree(rule, degree):
    points, weights = one_shot(rule, 5, 0.2, 0.9)
    for power in range(degree + 1):
        exact = (0.9 ** (power + 1) - 0.2 ** (power + 1)) / (power + 1)
        assert np.dot(weights, np.array(points) ** power) == pytest.approx(exact, abs=1e-12)
    assert len(points) == 5


def test_an_unknown_rule_is_named():
    with pytest.raises(ValueError, match="simpson"):
        one_shot("simpson", 5, 0, 1)
