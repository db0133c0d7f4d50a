"""Invariance: what happens to the picture, where its map is compared, and rules with their error rates."""
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torchvision import transforms

import saliency_widgets as sw
from saliency_widgets import Session
from saliency_widgets.kernels.reference import gaussian_blur
from saliency_widgets.metrics import change_rule, invariance
from saliency_widgets.metrics.changing import CHANGES, brought_back, changed, changed_picture
from saliency_widgets.metrics.invariance import drawn_amounts
from tests.small import pixels, small, tensor


class Bright(nn.Module):
    """Class 1 where the mean pixel exceeds a limit: its answer to a brighter picture is known."""

    def __init__(self, limit=0.6):
        super().__init__()
        self.limit, self.one = limit, nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x):
        mean = x.mean((1, 2, 3)) * self.one
        return torch.stack((self.limit - mean, mean - self.limit), 1) * 10


@pytest.fixture(scope="module")
def session():
    return Session(small(), tensor(), target=2, mean=(0,) * 3, std=(1,) * 3)


def bright(picture=None, limit=0.6):
    return Session(Bright(limit), torch.full((3, 16, 16), 0.4, dtype=torch.float64) if picture is None else picture)


def test_a_change_does_what_it_is_called():
    x = tensor((24, 24))
    assert torch.equal(changed(x, CHANGES["shift"], 3)[:, :, 3:], x[:, :, :-3])
    assert torch.equal(changed(x, CHANGES["shift"], 3)[:, :, :3], x[:, :, :3].flip(2))  # mirrored at the edge
    torch.testing.assert_close(changed(x, CHANGES["rotate"], 90), x.rot90(1, (1, 2)))  # counter-clockwise
    torch.testing.assert_close(changed(x, CHANGES["blur"], 2.0), gaussian_blur(x, 2.0))
    assert torch.equal(changed(x, CHANGES["brighten"], 0.3), (x + 0.3).clamp(0, 1))


@pytest.mark.parametrize("change, amount", [("rotate", 90), ("rotate", -90), ("shift", 5), ("shift", -4)])
def test_a_map_comes_back_to_where_it_was(change, amount):
    heat, kind = np.random.default_rng(0).normal(size=(20, 20)), CHANGES[change]
    there = changed(torch.from_numpy(heat)[None], kind, amount)[0].numpy()
    back, inside = brought_back(there, kind, amount)
    np.testing.assert_allclose(back[inside], heat[inside], atol=1e-9)
    assert inside.mean() == pytest.approx(1 if change == "rotate" else 1 - abs(amount) / 20)
    _, inside = brought_back(there, CHANGES["rotate"], 45)
    assert inside[10, 10] and not inside[0, 0]
    assert brought_back(there, CHANGES["blur"], 3)[1].all()


def test_the_changed_picture_is_normalised_like_the_first(session):
    statistics = Session(small(), tensor(), mean=(0.4,) * 3, std=(0.2, 0.3, 0.5), target=2)
    picture = changed_picture(statistics, CHANGES["brighten"], 0.2)
    shown = statistics.picture.space.to_pixels(statistics.picture.x[0])
    torch.testing.assert_close(picture.space.to_pixels(picture.x[0]), (shown + 0.2).clamp(0, 1))
    assert changed_picture(session, CHANGES["rotate"], 0) is session.picture
    assert picture.content != statistics.picture.content


def test_the_course_is_that_of_single_maps(session):
    got = invariance(session, "gradient_x_input", "shift", (4, 0, -2), checks=0)
    d = got.details
    assert d["amounts"].tolist() == [0, -2, 4] and d["errors"] is None
    moved = session.beside(picture=changed_picture(session, CHANGES["shift"], 4))
    m = moved.map("gradient_x_input", target=2)
    np.testing.assert_array_equal(d["maps"][2].values, m.values)
    assert d["scores"][2] == pytest.approx(float(moved.logits[2])) and d["classes"][2] == moved.logits.argmax()
    assert d["probabilities"][2] == pytest.approx(float(moved.probabilities[2]))
    a, b = (x.heatmap().astype(float) for x in (d["maps"][0], m))
    assert d["correlations"][2] == pytest.approx(spearmanr(a[:, :-4].ravel(), b[:, 4:].ravel()).statistic)
    assert d["correlations"][0] == pytest.approx(1)
    np.testing.assert_array_equal(d["pictures"][0], session.picture.seen)


def test_the_largest_change_and_the_rule_are_known_for_a_known_model():
    got = invariance(bright(), "integrated_gradients", "brighten", (0.1, 0.15, 0.45, 0.5), steps=2, threshold=-1)
    d = got.details
    assert d["classes"].tolist() == [0, 0, 0, 1, 1] and d["held"].tolist() == [True] * 3 + [False] * 2
    assert got.value == 0.15 and d["theta"] == 0.45 and got.unit == "pixel value"
    assert d["rule"] == "a picture brightened by less than 0.45 in pixel value keeps its class"
    amounts = drawn_amounts(CHANGES["brighten"], 0.45, 16, 0)
    assert d["errors"] == pytest.approx(np.mean(np.array(amounts) > 0.2)) and 0 < d["errors"] < 1
    other = invariance(bright(), "integrated_gradients", "brighten", (0.45,), steps=2, threshold=-1)
    assert other.value == 0.0 and other.details["held"].tolist() == [True, False]  # the class is another one
    whole = invariance(bright(), "integrated_gradients", "brighten", (0.1,), steps=2, threshold=-1)
    assert whole.value == 0.1 and "at every amount tried" in whole.warnings[0]


def test_a_map_that_changes_does_not_hold_though_the_class_does(session):
    got = {threshold: invariance(session, "gradient_x_input", "shift", (2,), threshold=threshold, checks=0)
           for threshold in (0.99, 0.8)}
    d = got[0.99].details
    assert d["classes"][0] == d["classes"][1] and 0.8 < d["correlations"][1] < 0.99
    assert got[0.99].value == 0.0 and d["held"].tolist() == [True, False] and got[0.8].value == 2.0


def test_of_a_photograph_only_what_the_model_saw_is_compared():
    prepare = transforms.Compose([transforms.CenterCrop(32), transforms.ToTensor()])
    wide = Session(small(), pixels((32, 80)), space="photo", preprocess=prepare, target=2)
    got = invariance(wide, "gradient_x_input", "shift", (4,), checks=0).details
    a, b = (m.unplaced.heatmap().astype(float) for m in got["maps"])
    assert got["maps"][0].crop == pytest.approx((0, 24, 32, 56), abs=0.01) and got["pictures"][1].shape == (32, 80, 3)
    assert got["correlations"][1] == pytest.approx(spearmanr(a[:, :-4].ravel(), b[:, 4:].ravel()).statistic, abs=0.02)
    placed = [m.heatmap().astype(float) for m in got["maps"]]
    with_zeros = spearmanr(placed[0][:, :-4].ravel(), placed[1][:, 4:].ravel()).statistic
    assert abs(with_zeros - got["correlations"][1]) > 0.05  # the zeros around would have been heard


def test_a_rule_over_many_pictures():
    session = bright()
    near, far = (torch.full((3, 16, 16), v, dtype=torch.float64) for v in (0.55, 0.2))
    drafts, told = [], []
    got = change_rule(session, [near, far], "brighten", 0.1, checks=20, on_draft=drafts.append,
                      on_progress=lambda *a: told.append(a))
    d = got.details
    amounts = np.array(drawn_amounts(CHANGES["brighten"], 0.1, 20, 0))
    assert (np.abs(amounts) < 0.1).all() and amounts.min() < 0 < amounts.max()
    np.testing.assert_array_equal(d["wrong"], [amounts > 0.05, [False] * 20])
    assert got.value == pytest.approx((amounts > 0.05).mean() / 2) and d["broken"] == 0.5 and got.n == 40
    assert got.standard_error == pytest.approx((amounts > 0.05).mean() / 2) and len(drafts) == 2 and told[-1][0] == told[-1][1]
    assert change_rule(session, [far], "brighten", checks=4).details["theta"] == 0.3  # flips 0.4
    assert change_rule(session, [far], "brighten", 0.1, checks=4).standard_error is None
    demo = Session(*sw.demo())
    assert change_rule(demo, sw.demo_pictures()[1:2], "shift", 4.0, checks=2).n == 2


def test_maps_progress_and_photographs(session):
    told, drafts = [], []
    invariance(session, "leave_one_out", "blur", (1,), grid=2, on_progress=lambda *a: told.append(a), on_draft=drafts.append)
    assert told[-1] == (300, 300) and [m.n for m in drafts] == [1, 2]
    photo = Session(small(), np.pad(pixels((32, 32)), ((0, 8), (4, 4), (0, 0))), space="photo", preprocess=None, target=2)
    got = invariance(photo, "leave_one_out", "shift", (4,), grid=4, checks=2)
    assert got.details["pictures"][1].shape == (40, 40, 3) and got.details["correlations"][0] == pytest.approx(1)


def test_refusals_say_what_to_do(session):
    for keywords, error, words in (
            ({"change": "tilt"}, ValueError, "'rotate', 'shift', 'blur', 'brighten'"),
            ({"change": "blur", "amounts": (-1,)}, ValueError, "by 0 px"), ({"amounts": ()}, ValueError, "at least one"),
            ({"amounts": (float("nan"),)}, ValueError, "finite"), ({"threshold": 2}, ValueError, "threshold=2"),
            ({"stepz": 1}, TypeError, "no parameter 'stepz'")):
        with pytest.raises(error, match=words):
            invariance(session, "gradient", **keywords)
    with pytest.raises(ValueError, match="one picture at least"):
        change_rule(session, [])
    with pytest.raises(ValueError, match="above 0"):
        change_rule(session, [tensor()], threshold=-3)


def test_a_model_that_changed_is_seen_by_every_session_beside():
    model = small()
    first = Session(model, tensor(), target=1, mean=(0,) * 3, std=(1,) * 3)
    other = first.beside(picture=changed_picture(first, CHANGES["shift"], 3))
    with torch.no_grad():
        model.head.bias.add_(1.0)
    before = first.logits.copy()
    other.map("gradient")
    first.map("gradient")
    np.testing.assert_allclose(first.logits, before + 1)
    assert first.stats is other.stats and other.beside(model=small(seed=3)).subject.model is not model
