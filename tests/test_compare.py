"""Compare without a browser: what is linked, what is shared, what is refused, and that nothing is left behind."""
import threading

import ipywidgets
import numpy as np
import pytest
from torchvision import transforms as T

from saliency_widgets import Compare, Explorer
from saliency_widgets.metrics import difference
from saliency_widgets.widgets.face import SHARED
from saliency_widgets.widgets.layers import default_limits

from .explorers import LABELS, open_widgets
from .small import pixels, small, tensor


@pytest.fixture
def made():
    """`made(...)` is `Compare.of(...)`, settled; everything is closed at the end and leaves no widget and no thread."""
    before, threads, all_of_them = open_widgets(), set(threading.enumerate()), []

    def make(*args, **keywords):
        compared = Compare.of(*args, **keywords)
        all_of_them.append(compared)
        assert compared.wait()
        return compared

    yield make
    for compared in all_of_them:
        compared.close()
    left = [type(ipywidgets.widgets.widget._instances[i]).__name__ for i in open_widgets() - before]
    assert [name for name in left if name not in SHARED] == []
    for thread in set(threading.enumerate()) - threads:
        thread.join(5)
    assert [t.name for t in threading.enumerate() if t not in threads and t.name.startswith("saliency")] == []


def test_methods_of_one_model_share_what_is_evaluated(made):
    c = made(small(), tensor(), LABELS, method=["grad_cam", "leave_one_out", "gradient"])
    assert [ex.method for ex in c.explorers] == ["grad_cam", "leave_one_out", "gradient"] and len(c) == 3
    assert c.link_target and not c.link_method
    assert c.titles == ["Grad-CAM", "Leave-one-out", "Gradient"] and "Leave-one-out" in repr(c)
    samples = c[1].session.stats.forward_samples
    more = Compare.of(c[1].session.subject.model, tensor(), LABELS, method=["leave_one_out", "grad_cam"])
    assert more.wait() and samples > 100 and more[0].session.stats.forward_samples == 0, "another explorer of the model reads on"
    more.close()


def test_one_class_for_all_until_that_is_taken_apart(made):
    c = made(small(), tensor(), LABELS, method=["grad_cam", "gradient"])
    other = (c[0].target + 1) % 5
    c[1].target = other
    assert c.wait() and [ex.target for ex in c.explorers] == [other, other]
    assert all(ex.maps[ex.method].target == other for ex in c.explorers)
    c[0].contrast = (other + 1) % 5
    assert c.wait() and c[1].contrast == (other + 1) % 5
    c.link_target = False
    c[0].target = (other + 2) % 5
    assert c.wait() and c[1].target == other
    c.link_target = True
    assert c.wait() and c[1].target == c[0].target, "linked anew, the chosen one leads"


def test_classes_are_found_by_their_names(made):
    c = made([small(), small(classes=4, seed=3)], tensor(), target="tabby", labels=[LABELS, ["mug", "tabby", "grey cat", "moon"]])
    assert [ex.target for ex in c.explorers] == [2, 1]
    c[0].target = "mug"
    assert c.wait() and c[1].target == 0
    c[0].target = "spoon"
    assert c.wait() and c[1].target == 0 and c[1].error == "", "a class that the other does not know changes nothing there"


def test_models_share_method_and_parameters(made):
    c = made([small(), small(seed=1)], tensor(), LABELS)
    assert c.link_method and c[0].session.subject.uid != c[1].session.subject.uid
    c[0].method = "integrated_gradients"
    c[0].params["integrated_gradients"].steps = 16
    assert c.wait() and c[1].method == "integrated_gradients" and c[1].maps["integrated_gradients"].params["steps"] == 16
    for alpha in np.linspace(0.1, 0.9, 12):  # as a drag does
        c[1].params["integrated_gradients"].alpha = (float(alpha), 1.0)
    assert c.wait() and [ex.params["integrated_gradients"].alpha for ex in c.explorers] == [(0.9, 1.0)] * 2
    c[0].method, c[0].params["grad_cam"].layer = "grad_cam", "conv1"
    assert c.wait() and c[1].params["grad_cam"].layer == "conv1" and c[1].maps["grad_cam"].params["layer"] == "conv1"


def test_a_list_of_models_opens_a_comparison():
    c = Explorer([small(), small(seed=1)], tensor(), LABELS, method="gradient")
    try:
        assert isinstance(c, Compare) and c.wait() and [ex.method for ex in c.explorers] == ["gradient"] * 2
        assert all("gradient" in ex.maps for ex in c.explorers)
    finally:
        c.close()


def test_maps_of_one_unit_share_a_scale(made):
    c = made([small(), small(seed=1)], tensor(), LABELS, method="gradient")
    layers = [ex.face.layers[0] for ex in c.explorers]
    own = [default_limits(layer.decode(), True) for layer in layers]
    assert own[0] != own[1]
    assert layers[0].limits == layers[1].limits == pytest.approx((min(o[0] for o in own), max(o[1] for o in own)), rel=1e-4)
    c.link_scale = False
    assert c.wait()
    for layer, limits in zip(layers, own):
        assert layer.limits == pytest.approx(limits, rel=1e-4)
    c.link_scale = True
    c[0].method = "occlusion"
    assert c.wait()
    c.link_method = False
    c[1].method = "grad_cam"
    assert c.wait() and layers[1].limits[0] == 0, "other units have scales of their own"


def test_difference_and_swipe_follow_the_maps(made):
    c = made(small(), tensor(), LABELS, method=["gradient", "grad_cam", "gradient_x_input"])
    c.view, c.pair = "difference", (0, 2)
    assert c.wait()
    expected, unit = difference(c[0].maps["gradient"], c[2].maps["gradient_x_input"])
    layer = c.face.difference.layers[0]
    np.testing.assert_allclose(layer.decode(), expected, atol=np.ptp(expected) / 65535)
    assert layer.unit == unit and "rank correlation" in c.face.difference.fact.value
    c[0].target = (c[0].target + 1) % 5
    assert c.wait()
    np.testing.assert_allclose(layer.decode(), c.difference()[0], atol=np.ptp(expected) / 1000)
    assert np.abs(layer.decode() - expected).max() > 0.01 * np.abs(expected).max()
    c.view = "swipe"
    assert c.wait() and [one.name for one in c.face.swipe.layers] == ["Gradient", "Gradient × input"]
    np.testing.assert_allclose(c.face.swipe.layers[0].decode(), c[0].face.layers[0].decode(), atol=1e-9)


def test_difference_and_swipe_of_a_photograph_outline_the_crop(made):
    prepare = T.Compose([T.Resize(40), T.CenterCrop(32), T.ToTensor()])
    c = made(small(), pixels((60, 90)), LABELS, preprocess=prepare, space="photo", method=["gradient", "gradient_x_input"])
    for view, cell in (("difference", c.face.difference), ("swipe", c.face.swipe)):
        c.view = view
        assert c.wait()
        assert cell.stage.canvas.size == (60, 90) and cell.stage.canvas.crop == pytest.approx((6, 21, 54, 69), abs=0.1)
        assert "outlined" in cell.stage.canvas.label


def test_pictures_side_by_side(made):
    c = made(small(), [pixels(), pixels((40, 32), seed=2)], LABELS, preprocess=None, target=1)
    assert [ex.session.picture.shown.shape for ex in c.explorers] == [(32, 32, 3), (40, 32, 3)]
    c.view = "difference"
    assert c.wait() and "stretched" in c.face.difference.fact.value


def test_all_cells_are_saved_as_one_picture(made, tmp_path):
    from PIL import Image

    from saliency_widgets.export import stage_picture
    c = made(small(), tensor(), LABELS, method=["grad_cam", "gradient", "gradient_x_input", "occlusion"])
    sheet = np.asarray(Image.open(c.save(tmp_path / "all.png", columns=2)))
    cells = [np.asarray(stage_picture(ex, 448)) for ex in c.explorers]
    height, width = cells[0].shape[:2]
    for number, cell in enumerate(cells):
        x, y = 16 + number % 2 * (width + 16), 16 + number // 2 * (height + 32 + 16) + 32
        assert (sheet[y:y + cell.shape[0], x:x + width] == cell).all(), number
        assert (sheet[y - 32:y - 8, x:x + width] < 128).any(), "a title"
    with pytest.raises(ValueError, match="end 'all.html' in .png"):
        c.save(tmp_path / "all.html")


def test_given_explorers_stay(ex):
    other = Explorer(small(seed=4), tensor(), LABELS)
    try:
        c = Compare(ex, other, link_target=False)
        assert c.wait() and not c.link_target
        c.close()
        c.close()
        ex.target = (ex.target + 1) % 5
        assert ex.wait() and ex.maps["grad_cam"].target == ex.target and ex.error == ""
    finally:
        other.close()


def test_what_cannot_be_compared_is_said(ex):
    with pytest.raises(ValueError, match="2 to 12 explorers, got 1"):
        Compare(ex)
    with pytest.raises(ValueError, match="same explorer twice"):
        Compare(ex, ex)
    with pytest.raises(TypeError, match="got Small"):
        Compare(ex, small())
    with pytest.raises(ValueError, match="all of one length"):
        Compare.of(small(), tensor(), method=["gradient", "grad_cam"], target=[0, 1, 2])
    with pytest.raises(ValueError, match="at least one list"):
        Compare.of(small(), tensor())
    before = open_widgets()
    with pytest.raises(LookupError, match="gradiemt"):
        Compare.of(small(), tensor(), method=["gradient", "gradiemt"])
    left = {type(ipywidgets.widgets.widget._instances[i]).__name__ for i in open_widgets() - before}
    assert left <= set(SHARED), "what was made before the error is closed"


def test_shares_of_a_maximum_have_a_scale_for_each_method(made):
    c = made(small(), tensor(), LABELS, method=["grad_cam", "layer_cam"], link_scale=True, view="difference")
    assert c.view == "difference" and [ex.face.layers[0].unit for ex in c.explorers] == ["of max"] * 2
    for ex in c.explorers:
        assert ex.face.layers[0].limits == pytest.approx(default_limits(ex.face.layers[0].decode(), False), rel=1e-4)


def test_what_is_drawn_on_one_picture_stays_there_where_the_others_differ_in_size(made):
    c = made(small(), [pixels(), pixels((40, 32), seed=2)], LABELS, preprocess=None, target=1, method="leave_one_out")
    c.link_method = True
    labels = np.zeros((32, 32), int)
    labels[:16] = 1
    c[0].params["leave_one_out"].regions = labels
    assert c.wait() and c[1].error == "" and c[1].params["leave_one_out"].regions is None


def test_a_wrong_pair_or_cell_changes_nothing(made):
    c = made(small(), tensor(), LABELS, method=["gradient", "grad_cam"])
    for name, value in (("pair", (0, 2)), ("chosen", 2), ("chosen", -1), ("view", "upside down")):
        with pytest.raises(Exception, match="0 to 1|upside down"):
            setattr(c, name, value)
    assert (c.pair, c.chosen, c.view) == ((0, 1), 0, "side by side")
