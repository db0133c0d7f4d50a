"""RISE: the paper's sum over seeded masks, kept probes, its standard error and its offset."""
import numpy as np
import pytest
import torch

from saliency_widgets import Session, explain
from saliency_widgets.kernels import reference
from tests.small import small, tensor


@pytest.mark.parametrize("share, fill", [(0.5, "mean"), (0.3, "white")])
def test_it_is_equation_6_over_seeded_masks(share, fill):
    model, x = small(), tensor()
    got = explain(model, x, "rise", n=40, grid=5, share=share, fill=fill, seed=7, target=2)
    filled = x.mean((1, 2), keepdim=True) if fill == "mean" else torch.ones(3, 1, 1, dtype=x.dtype)
    total, centred, scores = torch.zeros(32, 32).double(), torch.zeros(32, 32).double(), []
    with torch.no_grad():
        masks = [reference.random_mask(7, i, 5, share, (32, 32), torch.float64) for i in range(40)]
        for m in masks:
            scores.append(float(model((m * x + (1 - m) * filled)[None])[0, 2]))
            total += scores[-1] * m / (40 * share)
    np.testing.assert_allclose(got.values[0], total, atol=1e-10)
    np.testing.assert_allclose(got.details["scores"], scores, atol=1e-12)
    session = Session(model, x, target=2)
    centred = session.map("rise", n=40, grid=5, share=share, fill=fill, seed=7, centred=True)
    wanted = sum((s - np.mean(scores)) * m for s, m in zip(scores, masks)) / (40 * share)
    np.testing.assert_allclose(centred.values[0], wanted, atol=1e-10)
    samples = np.array([s * m.numpy() / share for s, m in zip(scores, masks)])
    np.testing.assert_allclose(got.details["standard_error"][0], samples.std(0, ddof=1) / 40 ** 0.5, atol=1e-9)
    assert got.details["sum_standard_error"] == pytest.approx(samples.sum((1, 2)).std(ddof=1) / 40 ** 0.5)
    assert got.standard_error == pytest.approx(got.details["standard_error"].sum() / np.abs(got.values).sum())


def test_a_larger_n_adds_masks_and_another_class_needs_none():
    session = Session(small(), tensor())
    session.map("rise", n=40)
    assert session.stats.forward_samples == 40 == session.stats.plan and session.stats.backward_samples == 0
    session.stats.reset()
    more = session.map("rise", n=60)
    assert session.stats.forward_samples == 20
    session.stats.reset()
    other = session.map("rise", n=60, target=(more.target + 1) % 5)
    session.map("rise", n=60, centred=True)
    assert session.stats.forward_samples == 0 and not np.allclose(more.values, other.values)
    np.testing.assert_allclose(explain(small(), tensor(), "rise", n=60).values, more.values, atol=1e-10)


def test_drafts_double_and_their_error_falls():
    seen, session = [], Session(small(), tensor())
    session.run("rise", {"n": 256}, on_map=seen.append)
    assert [len(m.details["scores"]) for m in seen] == [32, 64, 128, 256]
    errors = [m.standard_error for m in seen]
    assert errors[0] > errors[-1] and errors[-1] == pytest.approx(errors[0] / 8 ** 0.5, rel=0.4)
    assert seen[0].last_change is None and seen[3].last_change < seen[1].last_change


def test_the_standard_error_is_the_spread_over_seeds():
    session = Session(small(), tensor((16, 16)), score="probability", target=0)
    maps = [session.map("rise", n=100, grid=4, seed=s) for s in range(12)]
    spread = np.std([m.values for m in maps], axis=0, ddof=1).mean()
    told = np.mean([m.details["standard_error"] for m in maps])
    assert told == pytest.approx(spread, rel=0.3)
    assert maps[0].unit == "probability"


def test_it_finds_the_part_that_counts():
    """A score that reads one quarter of the picture: the map is highest there, and centred it is about zero elsewhere."""
    x = torch.ones(3, 28, 28, dtype=torch.float64)
    got = explain(lambda x: x[:, :, :14, :14].mean((1, 2, 3))[:, None] + 5, x, "rise", n=400, fill="black", centred=True)
    inside, outside = got.values[0, 2:12, 2:12].mean(), np.abs(got.values[0, 18:, 18:]).mean()
    assert inside > 5 * outside


def test_an_offset_a_flat_score_and_an_infinite_one_are_said():
    x = tensor((16, 16))
    offset = explain(lambda x: x.mean((1, 2, 3))[:, None] + 50, x, "rise", n=20)
    assert "lies under the map as an offset: centred=True" in offset.warnings[0]
    flat = explain(lambda x: torch.zeros(len(x), 1), x, "rise", n=5)
    assert "zero everywhere" in flat.warnings[0] and flat.standard_error is None
    with pytest.raises(ValueError, match="infinite or NaN"):
        explain(lambda x: (0.5 - x.std((1, 2, 3))).clamp(max=0.26).sub(0.2).sign()[:, None] / (x.std((1, 2, 3)) > 0.15)[:, None],
                x, "rise", n=50)


@pytest.mark.parametrize("params, words", [({"n": 1}, "n=1 does not fit"), ({"grid": 1}, "grid=1"), ({"share": 0}, "share=0"),
                                           ({"share": 1.0}, "share=1.0"), ({"fill": "grey"}, "fill='grey'")])
def test_what_does_not_fit_is_said(params, words):
    with pytest.raises(ValueError, match=words):
        explain(small(), tensor(), "rise", **params)


def test_it_runs_on_a_scripted_model_and_tiny_pictures():
    np.testing.assert_allclose(explain(torch.jit.script(small()), tensor(), "rise", n=16).values,
                               explain(small(), tensor(), "rise", n=16).values, atol=1e-12)
    assert explain(lambda x: x.flatten(1), torch.rand(1, 3, 2), "rise", n=8).values.shape == (1, 3, 2)
