"""ROAD: what is imputed, what is counted, what is refused. The peer is in tests/peers."""
import numpy as np
import pytest
import torch

from saliency_widgets import Session
from saliency_widgets.metrics import road
from saliency_widgets.metrics.road import NEIGHBOURS, imputed
from tests.small import small, tensor


@pytest.fixture(scope="module")
def session():
    return Session(small(), tensor(), target=2, mean=(0,) * 3, std=(1,) * 3)


def test_an_imputed_pixel_is_the_mean_of_its_neighbours():
    rng = np.random.default_rng(0)
    x, removed = tensor((12, 9)), rng.random((12, 9)) < 0.6
    got = imputed(x, removed)
    np.testing.assert_array_equal(got[:, ~removed], x[:, ~removed])
    for y, z in zip(*np.nonzero(removed)):
        around = [(y + d, z + r, w) for (d, r), w in NEIGHBOURS if 0 <= y + d < 12 and 0 <= z + r < 9]
        mean = sum(w * got[:, a, b] for a, b, w in around) / sum(w for *_, w in around)
        torch.testing.assert_close(got[:, y, z], mean)
    assert sum(w for _, w in NEIGHBOURS) == pytest.approx(1)
    assert torch.equal(imputed(x, np.zeros((12, 9), bool)), x)
    flat = torch.full((3, 12, 9), 0.3, dtype=torch.float64)
    torch.testing.assert_close(imputed(flat, removed), flat)


def test_the_value_is_the_mean_of_half_differences(session):
    m = session.map("gradient_x_input")
    drafts, told = [], []
    got = road(session, m, percentiles=(30, 60), on_draft=drafts.append, on_progress=lambda *a: told.append(a))
    d = got.details
    assert got.value == pytest.approx(np.mean((d["least"] - d["most"]) / 2)) and got.unit == "logit"
    np.testing.assert_allclose(d["removed_most"], [0.7, 0.4], atol=2e-3)
    assert [x.n for x in drafts] == [1, 2] and told[-1] == (5, 5) and d["pictures"][0].shape == (32, 32, 3)
    turned = road(session, -m.values, percentiles=(40, 70), noise=0)
    straight = road(session, m.values, percentiles=(40, 70), noise=0)
    assert turned.value == pytest.approx(-straight.value, abs=1e-3)  # up to ties at the percentile
    assert straight.value > 0.01 and not straight.warnings
    assert turned.value < -0.01 and "least important costs the score as much" in turned.warnings[0]


def test_seeds_and_kept_evaluations(session):
    m = session.map("gradient")
    one = road(session, m, seed=5)
    session.stats.reset()
    assert road(session, m, seed=5).value == one.value and session.stats.forward_samples == 0
    assert road(session, m, seed=6).value != one.value and session.stats.forward_samples == 8
    assert not session.inputs._made  # no picture stays behind


def test_refusals_say_what_to_do(session):
    m = session.map("gradient")
    ties = np.zeros((32, 32))
    ties[0, 0] = 1
    for map_, keywords, words in ((np.ones((32, 32)), {}, "the same everywhere"), (ties, {}, "removes every pixel"),
                                  (m, {"percentiles": ()}, "at least one"), (m, {"percentiles": (120,)}, "percentiles=120"),
                                  (m, {"noise": -1}, "noise=-1")):
        with pytest.raises(ValueError, match=words):
            road(session, map_, **keywords)
    photo = Session(small(), np.full((40, 48, 3), 90, np.uint8), space="photo", preprocess=None)
    with pytest.raises(ValueError, match="the whole photograph"):
        road(photo, photo.map("leave_one_out", grid=2))
