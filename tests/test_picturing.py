"""Several pictures in one Explorer: the strip, going through them, what a hand adds, and the true class."""
import numpy as np
import pytest
import traitlets

from saliency_widgets import Explorer

from .explorers import LABELS, png
from .small import pixels, small, tensor


def filled(ex, patience=50):
    """The strip has all its thumbnails."""
    ex._pictures_worker.wait(10)
    return all(ex.face.strip.thumbs)


def test_one_picture_needs_no_strip(ex):
    assert len(ex.images) == 1 and ex.index == 0 and ex.face.strip.layout.display == "none"
    ex.turn(1)
    assert ex.index == 0 and ex.error == ""


def test_a_list_of_pictures_is_gone_through_and_the_controls_stay(ex):
    several = [tensor(seed=1), tensor(seed=2), tensor(seed=3)]
    ex.method, ex.params["integrated_gradients"].steps = "integrated_gradients", 16
    ex.face.layers[0].cmap = "viridis"
    ex.image = several
    assert ex.wait() and filled(ex) and ex.face.strip.layout.display == ""
    assert ex.image is several[0] and len(ex.images) == 3 and ex.face.strip.selected == 0
    ex.turn(1)
    assert ex.wait() and ex.image is several[1] and (ex.index, ex.face.strip.selected) == (1, 1)
    alone = Explorer(small(), several[1], LABELS, method="integrated_gradients")
    alone.params["integrated_gradients"].steps = 16
    assert alone.wait()
    np.testing.assert_allclose(ex.maps["integrated_gradients"].values, alone.maps["integrated_gradients"].values, atol=1e-12)
    assert ex.target == alone.target, "no class was chosen: each picture starts at its most probable one"
    alone.close()
    assert ex.method == "integrated_gradients" and ex.face.layers[0].cmap == "viridis"
    ex.target = 3
    ex.turn(5)
    assert ex.wait() and ex.index == 2 and ex.target == 3, "a chosen class stays"
    ex.turn(-9)
    assert ex.wait() and ex.image is several[0]


def test_a_list_may_be_given_at_the_start():
    ex = Explorer(small(), [tensor(seed=1), pixels(seed=2)], LABELS, preprocess=None)
    try:
        assert ex.wait() and filled(ex) and len(ex.images) == 2
        ex.index = 1
        assert ex.wait() and (ex.session.picture.shown == pixels(seed=2)).all()
    finally:
        ex.close()


def test_what_a_hand_drops_joins_the_others_and_what_code_assigns_replaces_them(ex):
    first = ex.image
    ex._open_file("two.png", png(pixels(seed=5)))
    assert ex.wait() and ex.error == "" and len(ex.images) == 2 and ex.index == 1
    ex._open_file("broken.png", b"not a picture")
    assert ex.wait() and "broken.png" in ex.error and len(ex.images) == 2 and ex.index == 1
    ex.turn(-1)
    assert ex.wait() and ex.image is first and ex.error == ""
    ex.image = tensor(seed=7)
    assert ex.wait() and len(ex.images) == 1 and ex.face.strip.layout.display == "none"


def test_a_picture_that_does_not_open_is_told_on_its_thumbnail_and_when_it_is_chosen(ex):
    good = tensor(seed=1)
    ex.image = [good, "no/such/picture.png", tensor(seed=2)]
    assert ex.wait()
    ex._pictures_worker.wait(10)
    assert "no picture" in ex.face.strip.names[1] and not ex.face.strip.thumbs[1] and ex.face.strip.thumbs[2]
    ex.face.strip._receive(None, {"picture": 1}, [])
    assert ex.wait() and "no picture" in ex.error and ex.image is good and (ex.index, ex.face.strip.selected) == (0, 0)
    ex.face.strip._receive(None, {"picture": 2}, [])
    assert ex.wait() and ex.error == "" and ex.index == 2


def test_wrong_ones_are_refused(ex):
    for value in (-1, 1, 7):
        with pytest.raises(traitlets.TraitError, match="count from 0 to 0"):
            ex.index = value
    with pytest.raises(ValueError, match="list of pictures is empty"):
        ex.image = []
    with pytest.raises(ValueError, match="list of pictures is empty"):
        Explorer(small(), [], LABELS)
    for message in ({"picture": 9}, {"picture": True}, {"picture": "0"}, {}, None):
        ex.face.strip._receive(None, message, [])
    assert ex.index == 0 and ex.image is not None


def test_the_true_class_is_ticked(ex):
    order = np.argsort(-ex.session.logits)
    names = [button.description for button in ex.face.classes.names]
    assert not any(name.startswith("✓") for name in names)
    ex.truth = LABELS[order[-1]]
    names = [button.description for button in ex.face.classes.names]
    assert ex.truth == order[-1] and names[-1] == f"✓ {LABELS[order[-1]]}"
    assert "the true class" in ex.face.classes.names[-1].tooltip
    with pytest.raises(LookupError):
        ex.truth = "lighthouse"
    ex.truth = None
    assert not any(button.description.startswith("✓") for button in ex.face.classes.names)


def test_classes_to_include_take_the_last_rows(ex):
    order = np.argsort(-ex.session.logits).tolist()
    top = ex.session.top
    assert [i for i, *_ in top(3)] == order[:3] and [i for i, *_ in top(3, include=order[4])] == [*order[:2], order[4]]
    assert [i for i, *_ in top(3, include=[order[4], order[3]])] == [order[0], order[3], order[4]]
    assert [i for i, *_ in top(2, include=[order[1], order[4]])] == [order[1], order[4]]
