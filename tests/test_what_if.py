"""What the model says without some regions: against a plain forward, and how many evaluations it takes."""
import numpy as np
import pytest
import torch

import saliency_widgets as sw
from saliency_widgets import regions as R
from saliency_widgets.inpainting import inpainted

from .small import pixels, small, tensor

LABELS = R.grid((32, 32), 4, 4)


@pytest.fixture
def session():
    return sw.Session(small(), tensor())


def by_hand(session, off, fill):
    """The logits `(K,)` of the picture with pixels set to a value, by the user's own model."""
    x = tensor().clone()
    x[:, torch.from_numpy(off)] = torch.as_tensor(fill, dtype=x.dtype).reshape(-1, 1)
    with torch.no_grad():
        return session.subject.model(x[None])[0].numpy()


@pytest.mark.parametrize("fill, value", [("black", 0.0), ("white", 1.0), (0.25, 0.25)])
def test_it_is_what_the_model_says(session, fill, value):
    found, off = session.without(LABELS, [2, 7, 9], fill), np.isin(LABELS, [2, 7, 9])
    logits = by_hand(session, off, value)
    np.testing.assert_allclose(found.logits, logits, atol=1e-9)
    np.testing.assert_allclose(found.probabilities, torch.from_numpy(logits).softmax(0), atol=1e-9)
    assert found.change == pytest.approx(logits[session.target] - session.logits[session.target]) and found.unit == "logit"
    assert found.drop == -found.change and found.after == pytest.approx(found.probabilities[session.target])
    assert found.before == pytest.approx(session.probabilities[session.target])
    assert (found.picture[off] == round(value * 255)).all()
    assert np.array_equal(found.picture[~off], session.picture.shown[~off])


def test_one_evaluation_at_most_and_none_where_it_is_kept(session):
    session.without(LABELS, [3, 4])
    assert session.stats.forward_samples == 1
    session.without(LABELS, [4, 3])
    session.without(np.where(np.isin(LABELS, [3, 4]), 70, 5), [70], target=2)
    session.without(LABELS, [])
    assert session.stats.forward_samples == 1
    map = session.map("leave_one_out", grid=4)
    session.stats.reset()
    assert session.without(LABELS, [6]).drop == pytest.approx(map.region_scores[6]) and session.stats.forward_samples == 0
    assert len(session.inputs._labels) == 1, "only the map's own labels are held"


def test_nothing_and_everything(session):
    assert session.without(LABELS, []).change == 0
    found = session.without(LABELS, range(16), "white")
    np.testing.assert_allclose(found.logits, by_hand(session, np.ones((32, 32), bool), 1.0), atol=1e-9)


def test_another_target_and_a_score_of_ones_own():
    session = sw.Session(small(), tensor(), score=lambda logits: logits[:, 0] * 2)
    found = session.without(LABELS, [1])
    assert found.before is None and found.change == pytest.approx(found.logits[0] - session.logits[0])
    session = sw.Session(small(), tensor())
    assert session.without(LABELS, [1], target=4).change == pytest.approx(
        session.without(LABELS, [1]).logits[4] - session.logits[4])


def test_inpainting_grows_what_is_around(session):
    off = LABELS == 5
    found = session.without(LABELS, [5], "inpaint")
    around = session.picture.shown[~off].astype(float)
    assert np.abs(found.picture[off].astype(float).mean(0) - around.mean(0)).max() < 60
    assert not np.array_equal(found.picture[off], session.picture.shown[off])
    grown = inpainted(session.picture.shown / 255.0, off)
    np.testing.assert_allclose(found.picture[off] / 255.0, grown[off], atol=1 / 255)
    x = torch.from_numpy(grown).movedim(2, 0)[None]
    with torch.no_grad():
        np.testing.assert_allclose(found.logits, session.subject.model(x)[0].numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="25%.*another fill"):
        session.without(LABELS, range(9), "inpaint")
    assert session.without(LABELS, [], "inpaint").change == 0


def test_what_cannot_be_taken_away(session):
    for labels, regions, fill, kind, words in [
            (LABELS, [16], "black", LookupError, "no region 16.*0 to 15"), (LABELS[:5], [0], "black", ValueError, "size"),
            (LABELS * 1.0, [0], "black", TypeError, "whole numbers"), (LABELS, [0], "red", ValueError, "unknown fill"),
            (LABELS, ["a"], "black", LookupError, "no region")]:
        with pytest.raises(kind, match=words):
            session.without(labels, regions, fill)
    assert session.stats.forward_samples == 0


def test_superpixels_by_name():
    session = sw.Session(small(), pixels())
    found = session.without("slic", [0])
    assert np.array_equal(found.off, R.segment(session.picture.shown, "slic") == 0)


def test_each_region_of_a_map_is_grown_in_by_itself(session):
    map = session.map("leave_one_out", grid=4, fill="inpaint")
    session.stats.reset()
    for region in (0, 7):
        assert session.without(LABELS, [region], "inpaint").drop == pytest.approx(map.region_scores[region])
    assert session.stats.forward_samples == 0
    session.map("leave_one_out", regions=np.where(LABELS == 3, 2, LABELS), fill="inpaint")
    assert session.stats.forward_samples == 1, "what an edit leaves alone keeps its evaluation"
    with pytest.raises(ValueError, match="at most 25%"):
        session.map("leave_one_out", grid=(1, 3), fill="inpaint")
    with pytest.raises(ValueError, match="no picture of its own"):
        session.inputs.filled(session.inputs.fill("inpaint"))


def test_a_blur_has_its_scale(session):
    wide, narrow = session.without(LABELS, [5], "blur"), session.without(LABELS, [5], "blur", sigma=1.0)
    assert wide.change != narrow.change
    assert session.without(LABELS, [5], "blur", sigma=10.0).change == wide.change and session.stats.forward_samples == 2
    map = session.map("leave_one_out", grid=4, fill="blur", sigma=1.0)
    assert map.region_scores[5] == pytest.approx(narrow.drop)
    off = LABELS == 5
    blurred = session.inputs.kernels.gaussian_blur(tensor(), 1.0)
    assert np.abs(narrow.picture[off] / 255.0 - blurred.movedim(0, 2).numpy()[off]).max() < 1 / 255
