"""XRAI against a plain loop written from the paper, and what its numbers say."""
import numpy as np
import pytest
import torch
from scipy import ndimage, sparse
from skimage.morphology import disk

from saliency_widgets import Session, explain
from saliency_widgets.methods.xrai import DILATION, LEAST_PIXELS, gather, gather_fast, segments
from tests.small import pixels, small, tensor


def plainly(values, masks, fast=False):
    """Algorithm 1 of arXiv 1906.02825 on flat boolean masks: the density of each pixel's region."""
    masks, taken, out = list(masks), np.zeros(values.shape, bool), np.full(values.shape, np.nan)
    if fast:
        masks.sort(key=lambda mask: -values[mask].mean())
    while masks:
        masks = [mask for mask in masks if (mask & ~taken).sum() >= LEAST_PIXELS]
        if not masks:
            break
        density = [values[mask & ~taken].mean() for mask in masks]
        mask = masks.pop(0 if fast else int(np.argmax(density)))
        out[mask & ~taken] = values[mask & ~taken].mean()
        taken |= mask
    out[~taken] = values[~taken].mean() if not taken.all() else 0
    return out


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fast", [False, True])
def test_regions_are_gathered_as_in_the_paper(seed, fast):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=1600)
    masks = [ndimage.binary_dilation(rng.random((40, 40)) > 0.995, iterations=4).ravel() for _ in range(20)]
    masks = [mask for mask in masks if mask.any()]
    regions, scores = (gather_fast if fast else gather)(values, sparse.csr_array(np.array(masks, float)))
    np.testing.assert_allclose(scores[regions], plainly(values, masks, fast), atol=1e-12)


def test_segments_cover_the_picture_at_each_scale_and_are_grown():
    from skimage.segmentation import felzenszwalb
    picture = pixels((224, 224)) / 255.0
    found = segments(picture)
    labels = felzenszwalb((picture - picture.min()) / np.ptp(picture) * 2 - 1, scale=50, sigma=0.8, min_size=150)
    for label in (0, labels.max()):
        wanted = ndimage.binary_dilation(labels == label, disk(DILATION))
        np.testing.assert_array_equal(found[[label]].toarray()[0].reshape(224, 224) > 0, wanted)
    assert (np.asarray(found.sum(0)) >= 6).all()


def test_it_spreads_integrated_gradients_over_regions():
    session = Session(small(), tensor())
    path = session.map("integrated_gradients", steps=16, baseline=["black", "white"])
    session.stats.reset()
    got = session.map("xrai", steps=16, baseline=["black", "white"])
    assert session.stats.backward_samples == 0 and got.values.shape == (1, 32, 32)
    flat = path.values.sum(0)
    for number, score in enumerate(got.region_scores):
        assert flat[got.regions == number].mean() == pytest.approx(score, abs=1e-12)
    np.testing.assert_array_equal(got.values[0], got.region_scores[got.regions])
    assert got.values.sum() == pytest.approx(path.values.sum()) and got.residual == pytest.approx(path.residual)
    order = got.region_scores[got.details["regions_order"]]
    assert len(order) > 1 and (np.diff(order) <= 0).all() and sorted(set(got.regions.ravel())) == list(range(len(order)))
    strongest = session.map("xrai", steps=16, baseline=["black", "white"], channels="max")
    assert strongest.residual is None and strongest.values.sum() == pytest.approx(path.values.max(0).sum())
    fast = session.map("xrai", steps=16, variant="fast")
    assert fast.values.shape == (1, 32, 32) and len(np.unique(fast.region_scores)) > 1


def test_its_rounds_are_those_of_integrated_gradients():
    session = Session(small(), tensor())
    session.map("xrai", steps=8)
    assert session.stats.backward_samples == session.stats.plan == 9
    session.stats.reset()
    session.map("xrai", steps=16)
    assert session.stats.backward_samples == 8


def test_a_picture_of_one_colour_is_one_region():
    got = explain(small(), torch.full((3, 20, 30), 0.5, dtype=torch.float64), "xrai", steps=4)
    assert (got.regions == 0).all() and np.ptp(got.values) == 0


def test_an_empty_path_says_why():
    x = tensor()
    got = explain(small(), x, "xrai", steps=2, baseline=x)
    assert not got.values.any() and "zero everywhere" in got.warnings[0]


def test_drafts_follow_the_stages_of_the_path():
    session = Session(small(), tensor())
    result = session.run("xrai", {"steps": 32}, on_map=(seen := []).append)
    assert [m.final for m in seen] == [False, False, False, True] and seen[-1] is result
    assert all(m.values.shape == (1, 32, 32) and m.regions is not None for m in seen)
