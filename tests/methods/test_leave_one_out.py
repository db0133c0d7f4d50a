"""Leave-one-out against a plain loop, its identities, and the promise that another class costs nothing."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_widgets import Session, explain, regions
from tests.small import pixels, small, tensor


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
    exact = session.map("leave_one_out", grid=14)
    assert [m.final for m in seen] == [False, False, False, True] and "7 × 7 grid" in seen[0].warnings[0]
    assert seen[-1].warnings == () and np.isfinite(seen[-1].details["after"]).all()
    np.testing.assert_allclose(seen[-1].values, exact.values, atol=1e-10)
    for growing, count in zip(seen[1:3], (24, 72)):
        known = np.isfinite(growing.details["after"])
        assert known.sum() == count and f"{count} of 196" in growing.warnings[0]
        np.testing.assert_allclose(growing.region_scores[known], exact.region_scores[known], atol=1e-10)
        np.testing.assert_array_equal(growing.details["after"][known], exact.details["after"][known])
        np.testing.assert_array_equal(growing.values[0], growing.region_scores[growing.regions])


def test_the_regions_that_matter_most_come_first():
    """One bright spot that the model looks at: its regions, and those beside them, are among the first."""
    class Looks(torch.nn.Module):
        def forward(self, x):
            return torch.stack((x[:, :, 8:13, 17:24].sum((1, 2, 3)), x.sum((1, 2, 3)) * 0), 1)

    x, seen = torch.ones(1, 28, 28, dtype=torch.float64), []
    labels = regions.grid((28, 28), 14, 14)
    labels[:2] = 0  # uneven regions, too
    Session(Looks(), x, target=0).run("leave_one_out", {"regions": labels}, on_map=seen.append)
    exact = seen[-1].region_scores
    assert len(exact) == 183 and np.count_nonzero(exact) > 8
    first = np.isfinite(seen[1].details["after"])
    assert first.sum() == 24 and first[exact != 0].all()


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


def test_superpixels_are_cut_from_the_picture():
    model, x = small(), tensor()
    for how in regions.SEGMENTATIONS:
        got = Session(model, x).map("leave_one_out", regions=how, fill="mean")
        labels = regions.segment(pixels(), how)
        np.testing.assert_array_equal(got.regions, labels)
        np.testing.assert_array_equal(got.values[0], got.region_scores[labels])
    with pytest.raises(ValueError, match="regions='slik' does not fit: one of 'slic', 'felzenszwalb', or a label map"):
        Session(model, x).map("leave_one_out", regions="slik")


def test_the_seed_names_the_noise():
    a, b = (explain(small(), tensor(), "leave_one_out", grid=3, fill="noise", seed=s).values for s in (0, 1))
    assert not np.allclose(a, b)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), channels=st.integers(1, 3), height=st.integers(1, 5), width=st.integers(1, 5))
def test_on_a_linear_model_one_pixel_at_a_time_is_gradient_times_input(seed, channels, height, width):
    """And so integrated gradients: the drop of a pixel is w·x there, whatever else is shown."""
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(channels * height * width, 3)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    x = torch.rand(channels, height, width, generator=generator, dtype=torch.float64)
    session, zero = Session(model, x), torch.zeros(1, 1, 1)
    one = session.map("leave_one_out", regions=np.arange(height * width).reshape(height, width), fill=zero).values
    np.testing.assert_allclose(one[0], (session.map("gradient").values * x.numpy()).sum(0), atol=1e-12)
    np.testing.assert_allclose(one[0], session.map("integrated_gradients", steps=3, baseline=zero).values.sum(0), atol=1e-12)
    np.testing.assert_allclose(one, session.map("occlusion", window=1, stride=1, fill=zero).values, atol=1e-12)
    ours = session.map("kernel_shap", regions=np.arange(height * width).reshape(height, width), fill=zero, n=300)
    np.testing.assert_allclose(one, ours.values, atol=1e-10)


def test_both_inputs_of_a_saturated_sum_lack_nothing_alone():
    """min(1, i1 + i2) at (1, 1): each left out alone changes nothing, both together 1."""
    session = Session(lambda x: x.sum((1, 2, 3)).clamp(max=1)[:, None], torch.ones(1, 1, 2))
    alone = session.map("leave_one_out", grid=(1, 2))
    assert alone.region_scores.tolist() == [0, 0] and "zero everywhere" in alone.warnings[0]
    assert session.map("leave_one_out", grid=1).region_scores.tolist() == [1]


@pytest.mark.parametrize("score", ["probability", "log_probability"])
def test_other_scores(score):
    got = Session(small(), tensor(), score=score).map("leave_one_out", grid=2)
    after = got.details["before"] - got.region_scores if score == "probability" else None
    if after is not None:
        np.testing.assert_allclose(got.details["after"], after, atol=1e-12)
    else:
        np.testing.assert_allclose(np.log(got.details["before"] / got.details["after"]), got.region_scores, atol=1e-10)


def test_an_infinite_score_is_refused():
    with pytest.raises(ValueError, match="infinite or NaN for a masked picture"):
        Session(lambda x: x.mean((1, 2, 3)).log()[:, None], tensor()).map("leave_one_out", grid=1)


def test_what_the_drops_should_add_up_to_is_told_without_an_evaluation():
    model, x = small(), tensor()
    session = Session(model, x)
    first = session.map("leave_one_out", grid=3, target=1)
    with torch.no_grad():
        whole, bare = (float(model(y[None])[0, 1]) for y in (x, torch.zeros_like(x)))
    assert first.details["whole"] == pytest.approx(whole, abs=1e-6) and "together" not in first.details
    session.map("kernel_shap", regions=regions.grid((32, 32), 2, 2), fill="black", n=16, target=1)  # evaluates the bare fill, too
    session.stats.reset()
    again = session.map("leave_one_out", grid=4, target=1)
    assert session.stats.forward_samples == again.evaluations == 16
    assert again.details["together"] == pytest.approx(whole - bare, abs=1e-6)
