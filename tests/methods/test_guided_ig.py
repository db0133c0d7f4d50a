"""Guided IG against a plain loop written from the paper, and its limits."""
import numpy as np
import pytest
import torch

from saliency_widgets import Session, explain
from tests.small import small, tensor


def plainly(x, x0, gradient, steps, fraction, max_dist):
    """Algorithm 1 of arXiv 2106.09788 with the bound on the distance from the straight path, value by value."""
    shape, x, x0 = x.shape, x.ravel(), x0.ravel()
    change, here, map_ = x - x0, x0.copy(), np.zeros(x.size)
    for step in range(1, steps + 1):
        g = gradient(here.reshape(shape)).ravel()
        low, high = max(step / steps - max_dist, 0), min(step / steps + max_dist, 1)
        wanted, arrived = np.abs(change).sum() * (1 - step / steps), set()
        while True:
            for i in range(x.size):
                if change[i] and (here[i] - x0[i]) / change[i] < low:
                    there = x0[i] + low * change[i]
                    map_[i], here[i] = map_[i] + (there - here[i]) * g[i], there
            left = np.abs(here - x).sum()
            if abs(left - wanted) <= 1e-9 * max(1, left):
                break
            fastest = x0 + high * change
            arrived |= {i for i in range(x.size) if here[i] == fastest[i]}
            order = sorted(range(x.size), key=lambda i: np.inf if i in arrived else abs(g[i]))
            last = order[int(fraction * (x.size - 1))]
            limit = np.inf if last in arrived else abs(g[last])
            chosen = [i for i in range(x.size) if i not in arrived and abs(g[i]) <= limit]
            reach = sum(abs(here[i] - fastest[i]) for i in chosen)
            share = (left - wanted) / reach
            for i in chosen:
                there = fastest[i] if share > 1 else here[i] + share * (fastest[i] - here[i])
                map_[i], here[i] = map_[i] + (there - here[i]) * g[i], there
            if share <= 1:
                break
    assert np.allclose(here, x)
    return map_.reshape(shape)


@pytest.mark.parametrize("fraction, max_dist", [(0.25, 0.02), (0.1, 0.3), (0.5, 1.0), (1.0, 0.0)])
def test_it_is_the_papers_path(fraction, max_dist):
    model, x = small(), tensor((6, 6))
    got = explain(model, x, "guided_ig", steps=9, fraction=fraction, max_dist=max_dist, baseline="white")

    def gradient(point):
        leaf = torch.from_numpy(point.copy()).requires_grad_(True)
        return torch.autograd.grad(model(leaf[None])[0, got.target], leaf)[0].numpy()

    wanted = plainly(x.numpy(), np.ones(x.shape), gradient, 9, fraction, max_dist)
    np.testing.assert_allclose(got.values, wanted, atol=1e-9 * np.abs(wanted).max())


def test_without_leeway_it_is_the_left_rule_of_integrated_gradients():
    model, x = small(), tensor()
    got = explain(model, x, "guided_ig", steps=8, max_dist=0.0)
    total = torch.zeros_like(x)
    for i in range(8):
        leaf = (x * i / 8).requires_grad_(True)
        total += torch.autograd.grad(model(leaf[None])[0, got.target], leaf)[0] / 8
    wanted = (x * total).numpy()
    np.testing.assert_allclose(got.values, wanted, atol=1e-8 * np.abs(wanted).max())


def test_it_is_complete_on_a_smooth_network_and_says_how_far():
    got = explain(small(smooth=True), tensor(), "guided_ig", steps=256)
    assert abs(got.residual) < 0.02
    rise = got.details["scores"][-1] - got.details["scores"][0]
    assert got.details["rise"] == pytest.approx(rise) and got.residual == pytest.approx((got.values.sum() - rise) / abs(rise))
    assert got.details["accumulated"][-1] == pytest.approx(got.values.sum()) and len(got.details["alphas"]) == 257


def test_baselines_average_and_drafts_grow():
    session = Session(small(), tensor())
    black, white = (session.map("guided_ig", steps=6, baseline=b).values for b in ("black", "white"))
    both = session.map("guided_ig", steps=6, baseline=["black", "white"])
    np.testing.assert_allclose(both.values, (black + white) / 2, atol=1e-12)
    noise = [session.map("guided_ig", steps=3, baseline="noise", seed=s).values for s in (0, 0, 1)]
    np.testing.assert_array_equal(noise[0], noise[1])
    assert np.abs(noise[0] - noise[2]).max() > 1e-3
    session.run("guided_ig", {"steps": 24}, on_map=(seen := []).append)
    assert [m.final for m in seen] == [False, False, True]


def test_in_float32_the_path_still_arrives():
    got = explain(small().float(), tensor(dtype=torch.float32), "guided_ig", steps=16)
    wide = explain(small(), tensor(), "guided_ig", steps=16)
    narrow, wide = got.values.ravel().astype(np.float64), wide.values.ravel()
    assert narrow @ wide / np.linalg.norm(narrow) / np.linalg.norm(wide) > 0.99


def test_nothing_is_kept_of_the_path():
    session = Session(small(), tensor())
    session.map("guided_ig", steps=4)
    assert not session.inputs._made
    session.stats.reset()
    session.map("guided_ig", steps=4)
    assert session.stats.backward_samples == 4


def test_a_baseline_that_is_the_picture_says_why_the_map_is_empty():
    x = tensor()
    got = explain(small(), x, "guided_ig", steps=4, baseline=x)
    assert not got.values.any() and "baseline equals the picture" in got.warnings[0]
