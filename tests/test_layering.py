"""Layers of the Explorer: pinned maps, solo, scales, views, and that looking evaluates nothing."""
import json

import ipywidgets
import numpy as np
import pytest
import traitlets
from PIL import Image

from saliency_widgets import Explorer
from saliency_widgets.layering import MOST
from saliency_widgets.widgets.layers import LOOKS, HeatLayer, mass_cut, seen

from .explorers import LABELS
from .small import pixels, small, tensor


def names(ex):
    return [layer.name for layer in ex.layers]


def test_a_pinned_map_stays_while_others_are_explored(ex):
    class_of, map = ex.session.label(ex.target), ex.maps["grad_cam"]
    pinned = ex.pin()
    assert pinned.pinned and pinned.name == f"Grad-CAM · {class_of}" and ex.maps["grad_cam@1"] is map
    parts = (ex.face.stage.canvas, ex.face.legend, ex.face.readout, ex.face.rows)
    assert all(part.layers == ex.face.layers and part.layers is not ex.face.layers for part in parts)
    assert pinned.contour and pinned.visible, "the same map is not laid over itself twice"
    for method in ("integrated_gradients", "gradient"):
        ex.method = method
        ex.target = (ex.target + 1) % 5
        assert ex.wait() and ex.maps["grad_cam@1"] is map and pinned.name == f"Grad-CAM · {class_of}"
    np.testing.assert_allclose(pinned.decode(), map.heatmap(sign="positive", size=(32, 32)), atol=1e-4)
    assert pinned.words == [f"evidence for {class_of}"]
    assert names(ex) == ["Gradient", f"Grad-CAM · {class_of}"]


def test_a_pinned_map_is_not_kept_twice(ex):
    ex.pin()
    ex.method = "integrated_gradients"
    ex.wait()
    assert len(ex.layers) == 2 and ex.face.layers[1].empty
    assert set(ex.maps) == {"integrated_gradients", "grad_cam@1"}


def test_what_is_pinned_once_gives_the_same_layer_and_eight_are_the_most(ex):
    assert ex.pin() is ex.pin()
    for i in range(1, MOST):
        ex.target = (ex.target + 1) % 5
        ex.params["grad_cam"].layer = ["conv1", "norm", "conv2"][i % 3]
        ex.wait()
        ex.pin()
    assert len(ex.layers) == MOST + 1 and len(set(names(ex)[1:])) >= 5
    ex.method = "gradient"
    ex.wait()
    with pytest.raises(ValueError, match="8 maps are pinned"):
        ex.pin()
    ex.face.rows._on_pin()
    assert "8 maps are pinned" in ex.error and ex.face.rows.pinnable.startswith("8 maps")
    ex.unpin()
    assert ex.face.rows.pinnable == "" and f"grad_cam@{MOST}" not in ex.maps


def test_the_other_map_can_be_pinned_and_goes_by_key_or_layer(ex):
    ex.method = "integrated_gradients"
    ex.wait()
    one, two = ex.pin("grad_cam"), ex.pin()
    assert list(ex.maps) == ["grad_cam", "integrated_gradients", "grad_cam@1", "integrated_gradients@2"]
    with pytest.raises(ValueError, match="no map of gradient is shown"):
        ex.pin("gradient")
    ex.unpin("grad_cam@1")
    assert one.comm is None and two in ex.layers and "grad_cam@1" not in ex.maps
    ex.face.rows._handle_custom_msg({"kind": "unpin", "layer": two.model_id}, [])
    assert two not in ex.layers and two not in ex.face.stage.canvas.layers
    with pytest.raises(LookupError, match="nothing is"):
        ex.unpin("grad_cam@1")


def test_a_follower_is_computed_anew_for_every_class(ex):
    first = ex.pin()
    first.follow = True
    ex.method = "gradient"
    ex.wait()
    ex.target, before = (ex.target + 2) % 5, ex.maps["grad_cam@1"].values
    ex.contrast = (ex.target + 1) % 5
    assert ex.wait() and not np.allclose(ex.maps["grad_cam@1"].values, before)
    ex.session.contrast = ex.contrast
    np.testing.assert_allclose(ex.maps["grad_cam@1"].values, ex.session.map("grad_cam", target=ex.target).values)
    assert first.name == f"Grad-CAM · {LABELS[ex.target]} over {LABELS[ex.contrast]}"
    first.follow = False
    ex.target = (ex.target + 1) % 5
    assert ex.wait() and ex.maps["grad_cam@1"].target != ex.target


def test_another_picture_has_its_own_pinned_map(ex):
    target = ex.target
    ex.pin()
    ex.method = "gradient"
    ex.wait()
    before = ex.maps["grad_cam@1"].values
    ex.image = tensor(seed=3)
    assert ex.wait() and ex.maps["grad_cam@1"].target == target
    np.testing.assert_allclose(ex.maps["grad_cam@1"].values, ex.session.map("grad_cam", target=target).values)
    assert not np.allclose(ex.maps["grad_cam@1"].values, before) and not ex.layers[-1].stale


def test_what_is_dear_is_unpinned_by_another_picture_in_words(ex, monkeypatch):
    ex.params["integrated_gradients"].steps = 16
    ex.method = "integrated_gradients"
    ex.wait()
    label = ex.session.label(ex.target)
    ex.pin()
    ex.method = "gradient"
    ex.wait()
    monkeypatch.setattr("saliency_widgets.layering.CHEAP", -1.0)
    ex.image = tensor(seed=3)
    assert ex.wait() and "integrated_gradients@1" not in ex.maps
    assert f"Integrated Gradients · {label} unpinned: 17 evaluations" in ex.face.status.text.value


def test_looking_evaluates_nothing_and_sends_no_map(ex, monkeypatch):
    ex.pin()
    ex.method = "integrated_gradients"
    ex.wait()
    ex.session.stats.reset()
    sent = []
    monkeypatch.setattr(HeatLayer, "_send_frame", lambda self: sent.append(self) or self.seq)
    layer = ex.layers[0]
    for name, value in {"opacity": 0.3, "threshold": 0.5, "mass": 0.2, "sign": "positive", "cmap": "viridis", "mode": "contour",
                        "blend": "screen", "fixed": (-1.0, 1.0), "shared": True, "solo": True, "selected": True,
                        "visible": False, "order": 5}.items():
        setattr(layer, name, value)
    assert ex.wait() and ex.session.stats.forward_samples == ex.session.stats.backward_samples == 0 and sent == []


@pytest.mark.parametrize("view", ["signed", "simonyan", "pair", "shap", "cam"])
def test_a_view_shows_the_preset_without_evaluation(ex, view):
    ex.method = "integrated_gradients"
    ex.wait()
    ex.session.stats.reset()
    layer, map = ex.layers[0], ex.maps["integrated_gradients"]
    layer.view = view
    expected = map.heatmap(view=view, size=(32, 32))
    np.testing.assert_allclose(layer.decode(), expected, atol=np.ptp(expected) / 65535)
    assert layer.signed == (view in ("signed", "shap"))
    assert layer.cmap == {"pair": "grey"}.get(view, "signed" if layer.signed else "magma")
    assert ex.session.stats.forward_samples == 0 and layer.words
    ex.params["integrated_gradients"].alpha = (0.0, 0.5)
    ex.wait()
    half = ex.maps["integrated_gradients"].heatmap(view=view, size=(32, 32))
    np.testing.assert_allclose(layer.decode(), half, atol=np.ptp(half) / 65535)
    layer.view = ""
    assert layer.signed and layer.cmap == "signed"


def test_one_solo_and_one_selected(ex):
    ex.pin()
    ex.method = "gradient"
    ex.wait()
    first, second = ex.layers
    first.solo = second.solo = True
    assert not first.solo and [one.layer for one in seen(ex.layers)] == [second]
    second.solo = False
    assert len(seen(ex.layers)) == 2, "all are back"
    second.selected = True
    first.selected = True
    assert not second.selected


def a_layer(values, **more):
    layer = HeatLayer(**more)
    layer.show(np.asarray(values, float), name="m", method=more.get("method", ""), unit="logit")
    return layer


def test_a_shared_scale_is_the_widest_of_those_that_show():
    a, b, c = a_layer([[-1.0, 1.0]]), a_layer([[-2.0, 3.0]]), a_layer([[-9.0, 9.0]], visible=False)
    for layer in (a, b, c):
        layer.shared = True
    assert [one.limits for one in seen([a, b, c])] == [(-3.0, 3.0), (-3.0, 3.0)]
    b.shared = False
    assert [one.limits for one in seen([a, b, c])] == [(-1.0, 1.0), (-3.0, 3.0)]
    a.fixed = (-0.5, 0.5)
    assert seen([a, b])[0].limits == (-0.5, 0.5) and seen([a, b])[0].name == "m"
    a.unit, a.method, b.unit, b.method = "of max", "cam", "of max", "grad_cam"
    b.shared = True
    assert seen([a, b])[0].limits == (-0.5, 0.5), "shares of two methods' maxima are not of one unit"


def test_the_top_of_the_mass():
    values = np.array([[4.0, -3.0], [2.0, -1.0]])
    assert [mass_cut(values, share) for share in (0.0, 0.4, 0.41, 0.7, 0.71, 0.9, 1.0)] == [4, 4, 3, 3, 2, 2, 1]
    assert mass_cut(np.zeros((2, 2)), 0.5) == 0 and mass_cut(np.array([np.nan, np.inf, 2.0]), 0.5) == 2


def test_limits_set_by_hand_stay_for_the_method(ex):
    layer = ex.layers[0]
    layer.fixed = (0.0, 0.01)
    ex.target = (ex.target + 1) % 5
    ex.wait()
    assert layer.fixed == (0.0, 0.01)
    ex.method = "gradient"
    ex.wait()
    assert layer.fixed is None, "another method has other units"


def test_a_new_pin_goes_below_the_explored_map(ex):
    first = ex.pin()
    ex.target = (ex.target + 1) % 5
    second = ex.pin()
    assert ex.layers[0].order < second.order < first.order


def test_exports_hold_every_layer(ex, tmp_path):
    ex.pin()
    ex.method = "integrated_gradients"
    ex.wait()
    ex.pin()
    ex.method = "gradient"
    ex.wait()
    with np.load(ex.save(tmp_path / "maps.npz")) as file:
        assert {"gradient", "grad_cam@1", "integrated_gradients@2"} <= set(file.files)
        assert json.loads(str(file["facts"]))["maps"]["grad_cam@1"]["method"] == "grad_cam"
    page = ex.save(tmp_path / "page.html").read_text("utf-8")
    assert all(name in page for name in names(ex))
    whole = np.asarray(Image.open(ex.save(tmp_path / "whole.png")))
    ex.layers[1].solo = True
    alone = np.asarray(Image.open(ex.save(tmp_path / "alone.png")))
    assert alone.shape[0] < whole.shape[0], "a legend for what shows"


@pytest.mark.parametrize("look", [{"mass": 0.3}, {"sign": "negative"}, {"sign": "absolute"}, {"blend": "multiply"},
                                  {"blend": "screen"}, {"fixed": (-0.001, 0.001)}, {"mass": 0.3, "mode": "contour"}])
def test_pictures_follow_the_looks(ex, tmp_path, look):
    ex.method = "integrated_gradients"
    ex.wait()
    before = np.asarray(Image.open(ex.save(tmp_path / "a.png"))).astype(int)
    for name, value in look.items():
        setattr(ex.layers[0], name, value)
    after = np.asarray(Image.open(ex.save(tmp_path / "b.png"))).astype(int)
    assert np.abs(before - after)[:896].mean() > 0.3


def test_two_explorers_are_linked_in_two_lines(ex):
    other = Explorer(small(seed=1), tensor(), LABELS)
    link = traitlets.link((ex, "target"), (other, "target"))
    looks = ipywidgets.jslink((ex.layers[0], "opacity"), (other.layers[0], "opacity"))
    ex.target = (ex.target + 1) % 5
    assert ex.wait() and other.wait() and other.maps["grad_cam"].target == ex.target
    assert looks.source[0] is ex.layers[0] and looks.target[0] is other.layers[0]
    heard = []
    ex.layers[0].observe(heard.append, list(LOOKS))
    ex.layers[0].mass = 0.5
    assert [change["name"] for change in heard] == ["mass"]
    link.unlink()
    looks.close()
    looks.layout.close() if hasattr(looks, "layout") else None
    other.close()


def test_pins_of_a_file_that_is_dropped_follow_it(ex):
    ex.pin()
    ex.image = pixels(seed=4)
    assert ex.wait() and ex.maps["grad_cam@1"].final
