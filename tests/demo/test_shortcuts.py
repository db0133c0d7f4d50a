"""The planted shortcuts by numbers: which cell a network looks at, and whose answer another background changes."""
import numpy as np
import pytest
from PIL import Image

from saliency_widgets import Session, demo
from saliency_widgets.demo.shortcuts import MARK, MARK_GAP, SHORTCUTS

CELLS = 7
CORNER = CELLS * CELLS - 1  # the cell that holds the whole mark


def pictures(make, count=10):
    made = [make(np.random.default_rng([404, i]), 224) for i in range(count)]
    return [Image.fromarray(pixels) for pixels, _ in made], [int(target.argmax()) for _, target in made]


@pytest.fixture(scope="module")
def sessions():
    """One session for each checkpoint; its picture is set anew."""
    return {name: Session(*demo(name)) for name in (None, "corner_mark", "background")}


def answer(session, image):
    session.image = image
    return session.target


def largest(session, image, fill):
    session.image = image
    return int(session.map("leave_one_out", grid=CELLS, fill=fill).region_scores.argmax())


def test_the_mark_lies_in_the_last_cell():
    assert (224 - MARK - MARK_GAP) // (224 // CELLS) == (224 - MARK_GAP - 1) // (224 // CELLS) == CELLS - 1


@pytest.mark.parametrize("fill", ["black", "mean"])
def test_the_mark_has_the_largest_drop_for_the_network_that_cheats_alone(sessions, fill):
    marked, _ = pictures(SHORTCUTS["corner_mark"].planted)
    hits = {name: sum(largest(sessions[name], image, fill) == CORNER for image in marked) for name in ("corner_mark", None)}
    assert hits["corner_mark"] >= 9 and hits[None] <= 1


def test_another_background_flips_the_network_that_cheats_alone(sessions):
    (white, kinds), (black, same) = (pictures(make) for make in (SHORTCUTS["background"].clean, SHORTCUTS["background"].planted))
    assert kinds == same, "the same objects"
    flips = {name: sum(answer(sessions[name], a) != answer(sessions[name], b) for a, b in zip(white, black))
             for name in ("background", None)}
    assert flips["background"] >= 9 and flips[None] <= 1


def test_the_background_replaced_in_one_picture_gives_the_object_back(sessions):
    """An edit instead of another rendering: everything that is black turns white."""
    black, kinds = pictures(SHORTCUTS["background"].planted)
    right = 0
    for image, kind in zip(black, kinds):
        session = sessions["background"]
        session.image = image
        off = (np.asarray(image) == 0).all(-1).astype(int)
        right += session.without(off, [1], fill="white").logits.argmax() == kind != session.target
    assert right >= 9
