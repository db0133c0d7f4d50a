"""Label maps and windows: cells are equal, labels are checked and numbered, superpixels and windows cover everything."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_widgets import hierarchy
from saliency_widgets import regions as R

from .small import pixels


@pytest.mark.parametrize("size, rows, columns", [((224, 224), 14, 14), ((30, 45), 7, 4), ((5, 5), 5, 5), ((9, 7), 1, 1)])
def test_a_grid_covers_everything_with_cells_that_differ_by_one_row_and_column(size, rows, columns):
    labels = R.grid(size, rows, columns)
    assert labels.shape == size and set(np.unique(labels)) == set(range(rows * columns))
    heights = [np.unique(np.nonzero(labels == r * columns)[0]).size for r in range(rows)]
    assert max(heights) - min(heights) <= 1
    assert R.areas(labels).sum() == size[0] * size[1]


def test_a_grid_finer_than_the_pixels_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        R.grid((4, 4), 5, 2)


def test_a_users_labels_are_numbered_in_order():
    labels = R.as_labels(np.array([[7, 7], [-2, 100]]), (2, 2))
    assert labels.tolist() == [[1, 1], [0, 2]]
    with pytest.raises(ValueError, match="size"):
        R.as_labels(np.zeros((3, 2), int), (2, 2))
    with pytest.raises(TypeError, match="whole numbers"):
        R.as_labels(np.zeros((2, 2)), (2, 2))


PICTURES = {"smooth": pixels((64, 48)), "noise": np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8),
            "flat": np.full((64, 48, 3), 128, np.uint8)}


@pytest.mark.parametrize("how", R.SEGMENTATIONS)
@pytest.mark.parametrize("name", PICTURES)
def test_superpixels_label_every_pixel_from_0_and_repeat(how, name):
    labels = R.segment(PICTURES[name], how)
    assert labels.shape == (64, 48) and labels.dtype == np.int32
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
    hierarchy._kept.clear()
    np.testing.assert_array_equal(R.segment(PICTURES[name], how), labels)
    if (how, name) != ("felzenszwalb", "flat"):  # which has no edge to follow: one region
        assert 50 <= labels.max() + 1 <= 200


@pytest.mark.parametrize("how", R.SEGMENTATIONS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (3, 40), (9, 5)])
def test_tiny_pictures_have_superpixels(how, size):
    picture = np.arange(size[0] * size[1] * 3, dtype=np.uint8).reshape(*size, 3) * 7
    labels = R.segment(picture, how)
    assert labels.shape == size and set(np.unique(labels)) == set(range(labels.max() + 1))


def test_superpixels_follow_the_picture():
    """Two halves of different colour: no superpixel lies in both."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = (255, 80, 0)
    for how in R.SEGMENTATIONS:
        labels = R.segment(picture, how)
        assert not set(labels[:, :28].ravel()) & set(labels[:, 32:].ravel())


def test_a_grey_picture_is_cut_as_its_rgb_copy():
    grey = pixels((32, 32))[..., 0]
    for how in R.SEGMENTATIONS:
        np.testing.assert_array_equal(R.segment(grey, how), R.segment(np.repeat(grey[..., None], 3, 2), how))


def test_a_usual_grid_has_one_cell_a_pixel_of_a_small_picture():
    assert R.usual((8, 20), (14, 14)) == (8, 14) and R.usual((224, 224), (14, 7)) == (14, 7)
    assert R.usual((8, 8), (15, 15)) == (15, 15), "which grid() refuses in words"


def test_an_unknown_segmentation_is_named():
    with pytest.raises(ValueError, match="unknown segmentation 'slik': choose one of slic, felzenszwalb"):
        R.segment(pixels(), "slik")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows_cover_every_pixel_and_cells_rebuild_them(data):
    size = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    window = tuple(data.draw(st.integers(1, s)) for s in size)
    stride = tuple(data.draw(st.integers(1, w)) for w in window)
    boxes, places = R.windows(size, window, stride)
    assert len(boxes) == places[0] * places[1]
    masks = np.zeros((len(boxes), *size), bool)
    for mask, (top, left, bottom, right) in zip(masks, boxes):
        mask[top:bottom, left:right] = True
    assert masks.any(0).all() and masks.any((1, 2)).all()
    labels, sets = R.cells(size, boxes)
    for mask, cells in zip(masks, sets):
        np.testing.assert_array_equal(np.isin(labels, cells), mask)
    scores = np.random.default_rng(0).normal(size=len(boxes))
    wanted = (masks * scores[:, None, None]).sum(0) / masks.sum(0)
    np.testing.assert_allclose(R.averaged(boxes, scores, size), wanted, atol=1e-12)


def test_the_last_window_is_clipped_at_the_edge():
    boxes, places = R.windows((10, 4), (4, 4), (4, 4))
    assert boxes.tolist() == [[0, 0, 4, 4], [4, 0, 8, 4], [8, 0, 10, 4]] and places == (3, 1)
    assert len(R.windows((224, 224), (32, 32), (16, 16))[0]) == 169


@pytest.mark.parametrize("window, stride, words", [
    ((11, 2), (1, 1), "does not fit a picture of 10 × 8: its height can be 10 at most"),
    ((2, 9), (1, 1), "its width can be 8"),
    ((4, 4), (5, 4), "a stride of 5 leaves gaps between windows of height 4: use 1 to 4"),
    ((4, 4), (1, 0), "a stride of 0"),
])
def test_windows_that_do_not_fit_are_refused(window, stride, words):
    with pytest.raises(ValueError, match=words):
        R.windows((10, 8), window, stride)
    with pytest.raises(ValueError, match="use a larger stride"):
        R.windows((600, 600), (8, 8), (1, 1))


@pytest.mark.parametrize("array", [
    np.array([[7, 9], [7, 2]], np.uint8), np.array([[7, 9], [7, 2]], np.uint64), np.array([[-3, 5], [0, 5]], np.int16),
    np.array([[10 ** 12, 5], [0, 5]]), np.array([[True, False], [True, True]]), np.zeros((2, 2), int)])
def test_labels_are_numbered_in_their_order(array):
    got = R.as_labels(array, (2, 2))
    np.testing.assert_array_equal(got, np.unique(array, return_inverse=True)[1].reshape(2, 2))
    assert got.dtype == np.int32
