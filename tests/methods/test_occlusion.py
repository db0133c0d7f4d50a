"""Occlusion: a sliding window's drops, averaged over the windows that cover a pixel; the published values."""
import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session, explain, regions
from tests.small import small, tensor


class Captums(nn.Module):
    """captum's BasicModel_MultiLayer for three numbers that lie side by side in a picture (1, 1, 3)."""

    def forward(self, x):
        total = x.flatten(1).sum(1, keepdim=True)
        hidden = torch.relu(total + torch.tensor([-10.0, 1, 1, 1], dtype=x.dtype))
        return hidden.sum(1, keepdim=True) + torch.tensor([-1.0, 1.0], dtype=x.dtype)


@pytest.mark.parametrize("window, fill, wanted", [(1, 0.0, [80, 200, 120]), (2, 10.0, [200, 220, 240])])
def test_the_published_values(window, fill, wanted):
    session = Session(Captums(), torch.tensor([[[20.0, 50.0, 30.0]]]), preprocess=None, target=0)
    got = session.map("occlusion", window=(1, window), stride=1, fill=torch.full((1, 1, 1), fill))
    np.testing.assert_allclose(got.values, [[wanted]], rtol=1e-6)


@pytest.mark.parametrize("window, stride", [((8, 8), (4, 4)), ((12, 7), (5, 7)), ((32, 32), (1, 1)), ((5, 31), (5, 2))])
def test_it_is_a_plain_loop(window, stride):
    model, x = small(), tensor()
    got = Session(model, x).map("occlusion", window=window, stride=stride, fill="white", target=1)
    total, cover = np.zeros((32, 32)), np.zeros((32, 32))
    with torch.no_grad():
        before, top = model(x[None])[0, 1], 0
        while top == 0 or top - stride[0] + window[0] < 32:
            left = 0
            while left == 0 or left - stride[1] + window[1] < 32:
                masked = x.clone()
                masked[:, top:top + window[0], left:left + window[1]] = 1
                total[top:top + window[0], left:left + window[1]] += float(before - model(masked[None])[0, 1])
                cover[top:top + window[0], left:left + window[1]] += 1
                left += stride[1]
            top += stride[0]
    assert cover.min() >= 1
    np.testing.assert_allclose(got.values[0], total / cover, atol=1e-10)


def test_without_overlap_it_is_leave_one_out():
    session = Session(small(), tensor())
    for window, grid in ((8, 4), ((16, 4), (2, 8))):
        wanted = session.map("leave_one_out", grid=grid)
        got = session.map("occlusion", window=window, stride=window)
        np.testing.assert_allclose(got.values, wanted.values, atol=1e-12)
        np.testing.assert_allclose(got.details["drops"], wanted.region_scores, atol=1e-12)
        np.testing.assert_allclose(got.details["after"], wanted.details["after"], atol=1e-12)


def test_windows_are_listed_and_kept_for_every_class():
    session = Session(small(), tensor())
    got = session.map("occlusion", window=16, stride=8, target=0)
    assert session.stats.forward_samples == 10 == session.stats.plan and session.stats.backward_samples == 0
    assert got.details["boxes"].tolist()[4] == [8, 8, 24, 24] and got.details["drops"].shape == got.details["after"].shape == (9,)
    assert got.regions is None and got.details["before"] == pytest.approx(session.probabilities[0])
    other = session.map("occlusion", window=16, stride=8, target=3)
    assert session.stats.forward_samples == 10 and not np.allclose(got.values, other.values)


def test_coarse_places_come_first_and_cost_nothing_more():
    seen, session = [], Session(small(), tensor())
    session.run("occlusion", {"window": 8, "stride": 2}, on_map=seen.append)
    assert session.stats.forward_samples == 13 * 13 + 1
    assert [len(m.details["drops"]) for m in seen] == [16, 49, 169] and [m.final for m in seen] == [False, False, True]
    assert seen[0].last_change is None and seen[1].last_change > seen[2].last_change > 0
    np.testing.assert_allclose(seen[0].values, session.map("leave_one_out", grid=4).values, atol=1e-12)


def test_a_window_larger_than_the_picture_is_cut_to_it():
    """The default window must not refuse a small picture."""
    session = Session(small(), tensor((20, 24)))
    found = session.map("occlusion")
    assert "cut to the picture's 20 × 24" in found.warnings[0] and found.values.any()
    np.testing.assert_allclose(found.values, session.map("occlusion", window=(20, 24), stride=16).values, atol=1e-12)
    bare = session.map("leave_one_out", grid=1)
    np.testing.assert_allclose(session.map("occlusion", window=64, stride=64).values, bare.values, atol=1e-12)


def test_what_does_not_fit_is_said():
    session = Session(small(), tensor())
    for params, words in (({"window": 4, "stride": 5}, "leaves gaps"),
                          ({"stride": 0}, "stride=0 does not fit"), ({"fill": "grey"}, "fill='grey'")):
        with pytest.raises(ValueError, match=words):
            session.map("occlusion", **params)
    with pytest.raises(TypeError, match="window=2.5"):
        session.map("occlusion", window=2.5)


def test_it_runs_on_a_callable_a_scripted_model_and_one_channel():
    flat = explain(lambda x: torch.zeros(len(x), 2), torch.rand(1, 9, 7), "occlusion", window=4, stride=4)
    assert flat.values.shape == (1, 9, 7) and "zero everywhere" in flat.warnings[0]
    scripted = torch.jit.script(small())
    np.testing.assert_allclose(explain(scripted, tensor(), "occlusion", window=16, stride=16).values,
                               explain(small(), tensor(), "occlusion", window=16, stride=16).values, atol=1e-12)


def test_a_mean_of_boxes_is_exact_where_all_agree():
    boxes, _ = regions.windows((20, 20), (6, 6), (2, 2))
    np.testing.assert_allclose(regions.averaged(boxes, np.full(len(boxes), 3.5), (20, 20)), 3.5, rtol=1e-14)
