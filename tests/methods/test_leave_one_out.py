"""Leave-one-out against a plain loop, its identities, and the promise that another class costs nothing."""
import numpy as np
import pytest
import torch

from saliency_widgets import Session, explain, regions
from tests.small import small, tensor


@pytest.mark.parametrize("fill, value", [("black", 0.0), ("white", 1.0), (0.25, 0.25)])
def test_it_is_a_plain_loop(fill, value):
    model, x = small(), tensor()
    got = Session(model, x).map("leave_one_out", grid=(3, 5), fill=fill, target=2)
    labels = regions.grid((32, 32), 3, 5)
    with torch.no_grad():
        before = model(x[None])[0, 2]
        for region in range(15):
            masked = torch.where(torch.from_numpy(labels == region), torch.tensor(value, dtype=x.dtype), x)
            drop = float(before - model(masked[None])[0, 2])
            assert got.region_scores[region] == pytest.approx(drop, abs=1e-8)
            np.testing.assert_allclose(got.values[0][labels == region], drop, atol=1e-8)


def test_another_class_needs_no_evaluation():
    session = Session(small(), tensor())
    session.map("leave_one_out", grid=6)
    assert session.stats.forward_samples == 37 and session.stats.backward_samples == 0
    session.stats.reset()
    maps = [session.map("leave_one_out", grid=6, target=t).values for t in range(5)]
    assert session.stats.forward_samples == 0
    assert not np.allclose(maps[0], maps[1])


def test_one_region_over_everything_is_the_drop_to_the_bare_fill():
    model, x = small(), tensor()
    got = explain(model, x, "leave_one_out", regions=np.zeros((32, 32), int), fill="mean", target=0)
    with torch.no_grad():
        bare = x.mean((1, 2), keepdim=True).expand_as(x)
        assert got.values.min() == got.values.max() == pytest.approx(float((model(x[None]) - model(bare[None]))[0, 0]), abs=1e-10)


def test_the_probability_before_and_after_stands_beside_the_drop():
    model, x = small(), tensor()
    got = Session(model, x).map("leave_one_out", grid=2, target=3)
    with torch.no_grad():
        masked = x.clone()
        masked[:, :16, :16] = 0
        assert got.details["before"] == pytest.approx(float(model(x[None]).softmax(1)[0, 3]), abs=1e-12)
        assert got.details["after"][0] == pytest.approx(float(model(masked[None]).softmax(1)[0, 3]), abs=1e-12)


def test_the_coarse_grid_is_evaluated_only_where_somebody_watches():
    session = Session(small(), tensor())
    session.map("leave_one_out", grid=14)
    assert session.stats.forward_samples == 197
    watched, seen = Session(small(), tensor()), []
    watched.run("leave_one_out", {"grid": 14}, on_map=seen.append)
    assert watched.stats.forward_samples == 197 + 49
    assert [m.final for m in seen] == [False, True] and "preview" in seen[0].warnings[0]
    np.testing.assert_allclose(seen[1].values, session.map("leave_one_out", grid=14).values, atol=1e-10)


def test_users_regions_and_fills_are_checked():
    session = Session(small(), tensor())
    with pytest.raises(ValueError, match="size"):
        session.map("leave_one_out", regions=np.zeros((8, 8), int))
    with pytest.raises(ValueError, match="does not fit a picture"):
        session.map("leave_one_out", grid=33)
    with pytest.raises(ValueError, match="broadcast"):
        session.map("leave_one_out", fill=torch.zeros(3, 5, 5))
    with pytest.raises(ValueError, match="from 0 .black. to 1"):
        session.map("leave_one_out", fill=128)
    with pytest.raises(ValueError, match="fill='grey'"):
        session.map("leave_one_out", fill="grey")


def test_a_noise_fill_follows_its_draws():
    a = explain(small(), tensor(), "leave_one_out", grid=3, fill="noise")
    b = explain(small(), tensor(), "leave_one_out", grid=3, fill="noise")
    np.testing.assert_array_equal(a.values, b.values)
