"""What a hand does, read from messages that may be anything, and done to regions."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_widgets import regions as R
from saliency_widgets.editing import Regions
from saliency_widgets.widgets.edits import ANY, MOST_POINTS, PLACES, STROKES, Edit
from tests.small import pixels

SIZE = (20, 24)


def packed(*points):
    return [memoryview(np.array(points, "<f4").tobytes())]


def read(op, *points, **content):
    return Edit.read({"op": op, **content}, packed(*points), SIZE)


@pytest.fixture
def regions():
    return Regions(R.grid(SIZE, 4, 4))


def done(regions, op, *points, chosen=None, **content):
    return read(op, *points, **content).apply(regions, pixels(SIZE), chosen)


def test_drawings_make_a_region_of_what_they_cover(regions):
    number = done(regions, "rectangle", (3.2, 2.1), (9.6, 6.9))
    wanted = np.zeros(SIZE, bool)
    wanted[2:7, 3:10] = True  # every pixel that it touches
    assert np.array_equal(regions.mask(number), wanted) and regions.undoable == 1
    number = done(regions, "lasso", (12, 10), (20, 10), (20, 18), (12, 18))
    assert regions.mask(number).sum() == 64 and regions.mask(number)[10:18, 12:20].all()
    number = done(regions, "brush", (2, 15), (6, 15), radius=1.5)
    assert regions.mask(number)[15, 2:7].all()
    before = regions.mask(number).sum()
    assert done(regions, "brush", (4, 15), (9, 15), radius=1.5, chosen=number) == number
    assert regions.mask(number).sum() > before and regions.mask(number)[15, 9], "begun in the chosen one it paints more of it"
    assert done(regions, "brush", (16, 2), (18, 2), chosen=number) != number


def test_strokes_take_cut_and_join(regions):
    held = regions.mask(5)
    assert done(regions, "erase", (8, 7), (8, 8), radius=1) == 5
    assert 0 < regions.mask(5).sum() < held.sum() and not regions.mask(5)[7, 8]
    regions.undo()
    assert done(regions, "split", (9, 4), (9, 11)) is None and len(regions) == 17
    regions.undo()
    done(regions, "split", (9, 7))
    assert len(regions) > 17, "a click splits into superpixels"
    regions.undo()
    number = done(regions, "merge", (2, 2), (8, 2), (8, 7))
    assert len(regions) == 14 and regions.mask(number).sum() == 90
    with pytest.raises(ValueError, match="two regions"):
        done(regions, "merge", (2, 19), (3, 19))
    with pytest.raises(ValueError, match="outside"):
        done(regions, "split", (-9, -9), (-5, -5))


def test_one_region_is_switched_grown_shrunk_named_and_removed(regions):
    assert done(regions, "toggle", (23.9, 19.9)) == 15 and regions.off == {15}
    number = done(regions, "grow", (8.5, 7.5))
    assert regions.mask(number).sum() > 30 and regions.mask(number)[7, 8]
    assert regions.mask(done(regions, "shrink", (8.5, 7.5)))[7, 8]
    assert Edit("name", region=3, name="ear").apply(regions, pixels(SIZE)) == 3 and regions.names == {3: "ear"}
    count = len(regions)
    assert done(regions, "remove", (8.5, 7.5)) is None and len(regions) == count - 1
    done(regions, "finer", (20, 2))
    assert len(regions) > count
    for _ in range(regions.undoable):
        done(regions, "undo")
    assert np.array_equal(regions.labels, R.grid(SIZE, 4, 4)) and not regions.off
    done(regions, "redo")
    assert regions.off == {15}
    done(regions, "on")
    assert not regions.off and done(regions, "cancel", chosen=3) == 3 and done(regions, "choose", (1, 1)) == 0


@pytest.mark.parametrize("content, data, words", [
    ({"op": "paint"}, b"", "no edit"), ({"op": "brush", "radius": 0}, bytes(8), "radius"),
    ({"op": "brush", "radius": True}, bytes(8), "radius"), ({"op": "brush", "radius": float("nan")}, bytes(8), "radius"),
    ({"op": "lasso"}, b"", "needs 1 point"), ({"op": "rectangle"}, bytes(8), "needs 2 points"),
    ({"op": "lasso"}, bytes(12), "pairs of float32"), ({"op": "lasso"}, bytes(8 * MOST_POINTS + 8), "pairs of float32"),
    ({"op": "lasso"}, np.array([1, np.nan], "<f4").tobytes(), "not finite"), ({"op": "toggle", "sketch": 3}, bytes(8), "drag"),
    ({"op": "lasso", "sketch": "x"}, bytes(8), "drag"), ({"op": ["a"]}, b"", "no edit")])
def test_a_malformed_message_is_refused_in_words(content, data, words):
    with pytest.raises(ValueError, match=words):
        Edit.read(content, [data], SIZE)


@given(st.sampled_from((*STROKES, *PLACES, *ANY)), st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), max_size=6),
       st.one_of(st.floats(), st.integers(), st.none(), st.text()))
@settings(max_examples=80, deadline=None)
def test_whatever_comes_the_regions_stay_whole(op, points, radius):
    regions = Regions(R.grid(SIZE, 3, 3))
    try:
        Edit.read({"op": op, "radius": radius}, packed(*points), SIZE).apply(regions, pixels(SIZE))
    except (ValueError, LookupError) as error:
        assert str(error)
    assert np.array_equal(np.unique(regions.labels), np.arange(len(regions)))
