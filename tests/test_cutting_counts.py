"""From coarse to fine in the Explorer: the count of superpixels recuts live, and one region is joined or split by the menu."""
import numpy as np
import pytest

from saliency_widgets import Explorer
from saliency_widgets import regions as R
from saliency_widgets.widgets.edits import Edit

from .small import small, tensor


@pytest.fixture
def cut():
    ex = Explorer(small(), tensor((64, 64)), method="leave_one_out")
    ex.params["leave_one_out"].regions = "slic"
    assert ex.wait() and ex.error == "" and len(ex.regions) == 100
    ex.session.stats.reset()
    yield ex
    ex.close()


def test_the_count_recuts_and_keeps_what_did_not_change(cut):
    params, fine = cut.params["leave_one_out"], cut.regions.labels
    params.count = 90
    assert cut.wait() and cut.error == "" and np.array_equal(cut.regions.labels, R.segment(cut.session.picture.shown, "slic", 90))
    assert np.array_equal(cut.maps["leave_one_out"].regions, cut.regions.labels)
    kept = {(fine == r).tobytes() for r in range(100)}
    assert cut.session.stats.forward_samples == sum((cut.regions.labels == r).tobytes() not in kept for r in range(90)) <= 10
    params.count = 30
    assert cut.wait() and len(cut.regions) == 30
    cut.regions.undo(), cut.regions.undo()
    assert params.count == 100 and params.regions == "slic" and np.array_equal(cut.regions.labels, fine)
    assert cut.wait() and len(cut.maps["leave_one_out"].region_scores) == 100
    with pytest.raises(ValueError, match="count=3"):
        params.count = 3


def test_the_count_of_a_grid_is_that_of_the_superpixels_to_come(cut):
    params = cut.params["leave_one_out"]
    params.regions = None
    before = cut.regions.undoable
    params.count = 50
    assert cut.wait() and len(cut.regions) == 196 and cut.regions.undoable == before
    params.regions = "felzenszwalb"
    assert cut.wait() and len(cut.regions) == 50
    cut.params["lime"].n, cut.params["lime"].count = 40, 15
    cut.method = "lime"
    assert cut.wait() and len(cut.regions) == 15 == len(cut.maps["lime"].region_scores)


def test_one_region_is_joined_and_split_by_its_menu(cut):
    cut.params["leave_one_out"].count = 8
    assert cut.wait()
    labels, body = cut.regions.labels, cut.face.method.bodies["leave_one_out"]
    cut._edit(Edit("choose", ((10.0, 10.0),)))
    assert cut.wait() and body.region == labels[10, 10]
    body.acts["finer"].click()
    assert cut.wait() and cut.error == "" and len(cut.regions) == 11
    fine = R.segment(cut.session.picture.shown, "slic", 250)
    assert len({(f, r) for f, r in zip(fine.ravel().tolist(), cut.regions.labels.ravel().tolist())}) == fine.max() + 1
    cut._edit(Edit("choose", ((10.0, 10.0),)))
    area = cut.regions.mask(body.region).sum()
    body.acts["coarser"].click()
    assert cut.wait() and cut.error == "" and len(cut.regions) == 10 and cut.regions.mask(body.region)[10, 10]
    assert cut.regions.mask(body.region).sum() > area
    np.testing.assert_allclose(cut.maps["leave_one_out"].region_scores,
                               [cut.session.without(cut.regions.labels, [r]).drop for r in range(10)], atol=1e-9)
