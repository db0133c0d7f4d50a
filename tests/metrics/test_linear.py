"""The linear estimate: exact on linear models, a plain loop elsewhere."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from saliency_widgets import Session
from saliency_widgets.metrics import linear_estimate
from saliency_widgets.regions import grid
from tests.small import small, tensor


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10 ** 6), st.sampled_from(["black", "white", "blur", 0.3]))
def test_a_linear_model_is_foretold_exactly(seed, fill):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 3)).double()
    session = Session(model, tensor((8, 8), seed), mean=(0,) * 3, std=(1,) * 3)
    got = linear_estimate(session, regions=grid((8, 8), 4, 4), fill=fill)
    np.testing.assert_allclose(got.details["estimates"], got.details["drops"], atol=1e-10)
    assert got.value == pytest.approx(1) and got.details["error"] < 1e-8 and got.n == 16


def test_it_is_a_plain_loop_and_shares_leave_one_out():
    session, labels, x = Session(small(), tensor(), target=2, mean=(0,) * 3, std=(1,) * 3), grid((32, 32), 4, 4), tensor()
    m = session.map("leave_one_out", regions=labels, fill="white")
    gradient = torch.from_numpy(session.map("gradient").values)
    session.stats.reset()
    told = []
    got = linear_estimate(session, regions=labels, fill="white", on_progress=lambda *a: told.append(a))
    assert session.stats.forward_samples == 0  # all known from the two maps
    wanted = [float((gradient * torch.where(torch.from_numpy(labels == r), x - 1, torch.zeros(()).double())).sum())
              for r in range(16)]
    np.testing.assert_allclose(got.details["estimates"], wanted, atol=1e-10)
    np.testing.assert_allclose(got.details["drops"], m.region_scores, atol=1e-10)
    assert got.value == pytest.approx(np.corrcoef(wanted, m.region_scores)[0, 1]) and told[-1] == (17, 17)
    assert linear_estimate(session, target=1).value != linear_estimate(session).value
    parts = linear_estimate(session, regions="slic")
    assert parts.n == int(parts.details["regions"].max()) + 1 == len(parts.details["drops"])


def test_what_cannot_be_correlated_is_said():
    session = Session(small(), np.zeros((32, 32, 3), np.uint8), preprocess=None)
    got = linear_estimate(session)  # black replaced by black
    assert np.isnan(got.value) and "nothing to correlate" in got.warnings[0] and got.details["error"] is None
    with pytest.raises(ValueError, match="needs gradients"):
        linear_estimate(Session(lambda x: np.ones((len(x), 2)), tensor()))
    with pytest.raises(ValueError, match="'grid', 'slic'"):
        linear_estimate(session, regions="tiles")
