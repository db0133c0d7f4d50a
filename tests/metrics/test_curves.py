"""Deletion and insertion against a plain loop, what they share, and what they refuse."""
import numpy as np
import pytest
import torch
from skimage.color import rgb2gray
from skimage.filters import sobel

from saliency_widgets import Session
from saliency_widgets.metrics import deletion, insertion, picture_at
from saliency_widgets.metrics.heat import ranks
from tests.small import small, tensor

POINTS = 9


@pytest.fixture(scope="module")
def session():
    return Session(small(), tensor(), target=2, mean=(0,) * 3, std=(1,) * 3)


def plain(heat, game, fill, points=POINTS, target=2):
    """The definition: pixels in falling order of heat, in equal parts, and softmax of the target."""
    x, flat = tensor(), heat.ravel()
    order = sorted(range(flat.size), key=lambda i: (-flat[i], i))
    place = np.empty(flat.size, int)
    place[order] = np.arange(flat.size)
    part = (place * (points - 1) // flat.size).reshape(heat.shape)
    scores = []
    for k in range(points):
        off = torch.from_numpy(part < k if game == "deletion" else part >= k)
        with torch.no_grad():
            scores.append(float(small()(torch.where(off, torch.tensor(fill, dtype=x.dtype), x)[None]).softmax(1)[0, target]))
    return np.array(scores)


@pytest.mark.parametrize("game", [deletion, insertion])
@pytest.mark.parametrize("fill, value", [("black", 0.0), (0.25, 0.25)])
def test_a_curve_is_a_plain_loop(session, game, fill, value):
    m = session.map("gradient_x_input")
    got = game(session, m, points=POINTS, fill=fill, random=0, edges=False)
    wanted = plain(m.heatmap().astype(float), game.__name__, value)
    np.testing.assert_allclose(got.details["scores"], wanted, atol=1e-10)
    steps = np.diff(np.linspace(0, 1, POINTS))
    assert got.value == pytest.approx(float((steps * (wanted[1:] + wanted[:-1]) / 2).sum())) and got.unit == "probability"
    np.testing.assert_allclose(got.details["fractions"], np.linspace(0, 1, POINTS))
    assert sorted(got.details["order"]) == list(range(32 * 32)) and got.details["random_area"] is None
    assert not got.warnings


def test_rivals_are_random_orders_and_the_pictures_edges(session):
    m = session.map("gradient")
    got = deletion(session, m, points=5, random=3, fill="black")
    edges = sobel(rgb2gray(session.picture.seen))
    np.testing.assert_allclose(got.details["edges_scores"], plain(edges, "deletion", 0.0, 5), atol=1e-10)
    rows = got.details["random_scores"]
    assert rows.shape == (3, 5) and np.ptp(rows[:, 2]) > 0  # the orders differ
    areas = [float((row[1:] + row[:-1]).mean() / 2) for row in rows]
    assert got.details["random_area"] == pytest.approx(np.mean(areas))
    assert got.details["random_error"] == pytest.approx(np.std(areas, ddof=1) / 3 ** 0.5)
    again = deletion(session, m, points=5, random=3, fill="black", seed=7)
    assert not np.array_equal(again.details["random_scores"], rows)
    for game, better in ((deletion, -1), (insertion, 1)):
        good, bad = (game(session, sign * m.heatmap(), points=5, random=1, edges=False, fill="black") for sign in (1, -1))
        assert better * (good.value - good.details["random_area"]) > 0 > better * (bad.value - bad.details["random_area"])
        assert not good.warnings and "a random order of pixels does as well" in bad.warnings[0]


def test_nothing_is_evaluated_twice(session):
    m = session.map("leave_one_out", grid=4)
    deletion(session, m, points=6, random=1)
    session.stats.reset()
    one, more = deletion(session, m, points=6, random=1), deletion(session, m, points=6, random=2)
    assert session.stats.forward_samples == 4  # the second random order's inner points
    np.testing.assert_array_equal(one.details["random_scores"], more.details["random_scores"][:1])
    session.stats.reset()
    insertion(session, -m.heatmap(size=(32, 32)), points=6, random=0, edges=False)
    named = len(session.inputs._labels)
    insertion(session, m, points=6, random=2)
    assert len(session.inputs._labels) == named  # no label map stays behind


def test_equal_pixels_go_by_region_and_row_by_row():
    heat = np.array([[1.0, 2.0], [2.0, 1.0]])
    np.testing.assert_array_equal(ranks(heat), [[2, 0], [1, 3]])
    np.testing.assert_array_equal(ranks(heat, np.array([[1, 1], [0, 0]])), [[3, 1], [0, 2]])
    np.testing.assert_array_equal(ranks(np.zeros((2, 3))), [[0, 1, 2], [3, 4, 5]])


def test_cells_go_whole(session):
    got = deletion(session, session.map("gradient"), points=17, cells=4, random=1)
    part = got.details["order"].reshape(32, 32) * 16 // 1024
    blocks = part.reshape(4, 8, 4, 8).transpose(0, 2, 1, 3).reshape(16, 64)
    assert all(len(set(block)) == 1 for block in blocks) and sorted(blocks[:, 0]) == list(range(16))


def test_the_picture_at_a_fraction_is_what_the_model_was_shown(session):
    m = session.map("gradient")
    down, up = (game(session, m, points=5, random=0, edges=False, fill="white") for game in (deletion, insertion))
    seen = session.picture.seen
    np.testing.assert_array_equal(picture_at(session, down, 0), seen)
    np.testing.assert_array_equal(picture_at(session, up, 1), seen)
    assert (picture_at(session, down, 1) == 255).all() and (picture_at(session, up, 0) == 255).all()
    gone = down.details["order"].reshape(32, 32) < 256
    np.testing.assert_array_equal(picture_at(session, down, 0.25), np.where(gone[..., None], 255, seen))
    np.testing.assert_array_equal(picture_at(session, up, 0.25), np.where(gone[..., None], seen, 255))
    for measure, fraction, words in ((down, 1.5, "from 0 to 1"), (session, 0.5, None)):
        with pytest.raises((ValueError, AttributeError), match=words):
            picture_at(session, measure, fraction)


def test_drafts_progress_and_a_stop(session):
    seen, told = [], []
    m = session.map("gradient", target=1)
    last = insertion(session, m, points=4, random=2, on_draft=seen.append, on_progress=lambda *a: told.append(a))
    assert len(seen) == 4 and seen[-1] is last and [len(s.details["random_scores"]) for s in seen] == [0, 0, 1, 2]
    assert told[-1] == (16, 16) and all(done <= planned for done, planned in told)

    class Stop:
        def check(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deletion(session, m, points=4, random=2, seed=99, fill="noise", ticket=Stop())


def test_scores_without_probabilities(session):
    own = Session(small(), tensor(), score=lambda out: out[:, 0] ** 2)
    assert deletion(own, own.map("gradient"), points=3, random=0, edges=False).unit == "score"
    got = deletion(session, session.map("gradient"), points=3, random=0, edges=False, probability=False)
    assert got.unit == "logit" and got.details["scores"][0] == pytest.approx(float(session.logits[2]))
    other = deletion(session, session.map("gradient", target=1), points=3, random=0, edges=False, probability=False)
    assert other.details["scores"][0] == pytest.approx(float(session.logits[1]))  # the map's own target


def test_photographs_are_cut_in_their_own_pixels():
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    wide = Session(small(), pixels, space="photo", preprocess=None, target=2)
    got = deletion(wide, wide.map("leave_one_out", grid=4), points=3, random=1)
    assert got.details["order"].size == 40 * 48 and picture_at(wide, got, 0.5).shape == (40, 48, 3)


def test_refusals_say_what_to_do(session):
    m = session.map("gradient")
    for map_, keywords, error, words in (
            (m, {"points": 1}, ValueError, "points=1 does not fit"), (m, {"points": 2000}, ValueError, "points=2000"),
            (m, {"fill": "inpaint"}, ValueError, "choose one of black"), (m, {"random": -1}, ValueError, "random=-1"),
            (m, {"cells": 0}, ValueError, "cells=0"), (m, {"probability": 1}, TypeError, "True or False"),
            ("gradient", {}, TypeError, "a SaliencyMap or an array"),
            (np.full((4, 4), np.nan), {}, ValueError, "NaN or infinity"), (np.zeros(4), {}, ValueError, r"got shape \(4,\)")):
        with pytest.raises(error, match=words):
            deletion(session, map_, **keywords)
