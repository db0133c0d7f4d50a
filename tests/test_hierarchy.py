"""Nested superpixels: partitions in one piece, unions of one another, of the count asked for, joined by Ward's criterion."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label
from skimage.color import rgb2lab

from saliency_widgets import Session
from saliency_widgets import hierarchy as H
from saliency_widgets import regions as R
from saliency_widgets.editing import Regions
from tests.small import pixels, small, tensor


def pieces(labels):
    return [label(labels == region)[1] for region in range(labels.max() + 1)]


def inside(fine, coarse):
    """Whether every region of the finer label map lies in one of the coarser."""
    return len(np.unique(np.stack((fine.ravel(), coarse.ravel())), axis=1).T) == fine.max() + 1


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_cuts_are_nested_partitions_in_one_piece_of_the_count_asked_for(data):
    size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    kind = data.draw(st.sampled_from(["noise", "smooth", "flat"]))
    picture = {"noise": lambda: rng.integers(0, 256, (*size, 3), np.uint8), "smooth": lambda: pixels(size, int(rng.integers(99))),
               "flat": lambda: np.full((*size, 3), 77, np.uint8)}[kind]()
    tree = H.hierarchy(picture, data.draw(st.sampled_from(R.SEGMENTATIONS)), data.draw(st.sampled_from([20, 250])))
    assert sorted(tree.merges.ravel().tolist()) == list(range(2 * len(tree) - 2)), "every node but the last is joined once"
    counts = sorted({1, len(tree), *data.draw(st.lists(st.integers(1, 300), max_size=4))})
    cuts = [tree.cut(count) for count in counts]
    for count, labels in zip(counts, cuts):
        assert labels.shape == size and labels.dtype == np.int32
        assert np.array_equal(np.unique(labels), np.arange(min(count, len(tree)))) and set(pieces(labels)) == {1}
    assert all(inside(fine, coarse) for coarse, fine in zip(cuts, cuts[1:]))


@pytest.mark.parametrize("how", R.SEGMENTATIONS)
def test_segment_takes_the_count(how):
    picture = pixels((64, 64))
    for count in (4, 30, 100):
        labels = R.segment(picture, how, count)
        assert labels.max() + 1 == count
        assert inside(R.segment(picture, how, count + 1), labels)
    assert R.segment(picture, "slic", 400).max() > 250, "more than the usual bottom has are cut anew"


def test_each_merge_adds_least_to_the_squared_distances_from_the_mean():
    picture = pixels((24, 24), 3)
    tree, lab = H.hierarchy(picture, "slic", 20), rgb2lab(picture)

    def spread(labels):
        return sum(((lab[labels == r] - lab[labels == r].mean(0)) ** 2).sum() for r in range(labels.max() + 1))

    for count in range(8, 1, -1):
        labels = tree.cut(count)
        joined = [R.as_labels(np.where(labels == b, a, labels), labels.shape) for a, b in R.neighbours(labels).tolist()]
        assert spread(tree.cut(count - 1)) == pytest.approx(min(map(spread, joined)), rel=1e-9)


def test_the_two_halves_of_a_picture_are_the_last_to_be_joined():
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = (255, 80, 0)
    for how in R.SEGMENTATIONS:
        assert np.array_equal(R.segment(picture, how, 2)[:, [0, 59]], np.tile([0, 1], (40, 1)))


def test_equal_prices_join_the_smallest():
    sizes = R.areas(H.hierarchy(np.full((60, 60, 3), 9, np.uint8), "slic", 64).cut(8))
    assert sizes.max() < 4 * sizes.min()


def test_a_hierarchy_is_kept_and_the_oldest_goes():
    pictures = [pixels((16, 16), seed) for seed in range(H.KEPT + 1)]
    first = H.hierarchy(pictures[0], "slic", 30)
    assert H.hierarchy(pictures[0], "slic", 30) is first and H.hierarchy(pictures[0], "slic", 31, make=False) is None
    for picture in pictures[1:]:
        H.hierarchy(picture, "slic", 30)
    assert H.hierarchy(pictures[0], "slic", 30, make=False) is None
    again = H.hierarchy(pictures[0], "slic", 30)
    assert np.array_equal(again.leaves, first.leaves) and np.array_equal(again.merges, first.merges)


def test_large_pictures_are_cut_at_a_part_of_their_resolution():
    picture = pixels((900, 1103))
    labels = R.segment(picture, "felzenszwalb", 60)
    assert labels.shape == (900, 1103) and labels.max() == 59 and set(pieces(labels)) == {1}


def test_a_superpixel_is_split_into_those_it_was_made_of_and_joined_with_the_most_similar():
    picture = pixels((64, 64))
    coarse, fine = (R.segment(picture, "slic", count) for count in (6, 250))
    regions = Regions(coarse)
    regions.split(2, 4, picture)
    assert len(regions) == 9 and inside(fine, regions.labels) and inside(regions.labels, coarse)
    part = int(regions.labels[np.argwhere(coarse == 2)[0][0], np.argwhere(coarse == 2)[0][1]])
    number = regions.coarser(part, picture)
    assert len(regions) == 8 and regions.mask(number)[tuple(np.argwhere(coarse == 2)[0])]
    drawn = Regions(R.grid((64, 64), 2, 2))
    drawn.split(0, 4, picture)
    assert len(drawn) > 4, "what is no union of superpixels is cut on its own"
    with pytest.raises(ValueError, match="only region"):
        Regions(np.zeros((64, 64), int)).coarser(0, picture)


def test_the_most_similar_neighbour_is_that_of_wards_criterion():
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20], picture[:, 20:] = 90, 100
    labels = R.grid((10, 30), 1, 3)
    assert H.most_similar(labels, 1, picture) == 2 and H.most_similar(labels, 0, picture) == 1


def test_a_coarser_cut_evaluates_only_the_superpixels_that_were_joined():
    session = Session(small(), tensor((64, 64)), target=1)
    session.map("leave_one_out", regions="slic", count=60)
    fine = session.map("leave_one_out", regions="slic", count=60).regions
    session.stats.reset()
    got = session.map("leave_one_out", regions="slic", count=55)
    known = {(fine == r).tobytes() for r in range(60)}
    new = sum((got.regions == r).tobytes() not in known for r in range(55))
    assert session.stats.forward_samples == new <= 5
    for method in ("lime", "kernel_shap"):
        assert len(session.map(method, n=40, count=12).region_scores) == 12
    with pytest.raises(ValueError, match="count=3 does not fit: a whole number from 4 to 200"):
        session.map("leave_one_out", count=3)
