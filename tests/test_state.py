"""The Explorer's state: what was set comes back, through JSON, and what cannot be is said."""
import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from saliency_widgets import Explorer
from saliency_widgets.remembering import decode, encode
from saliency_widgets.widgets.layers import BLENDS, COLORMAPS

from .explorers import LABELS
from .small import pixels, small, tensor

SHARE = st.floats(0, 1).map(lambda v: round(v, 3))
LOOKS = st.fixed_dictionaries({}, optional={
    "opacity": SHARE, "threshold": SHARE, "mass": st.none() | SHARE, "sign": st.sampled_from(["both", "positive", "absolute"]),
    "cmap": st.sampled_from(COLORMAPS), "mode": st.sampled_from(["fill", "contour"]), "blend": st.sampled_from(BLENDS),
    "fixed": st.none() | SHARE.map(lambda v: (-v - 0.1, v + 0.1)), "shared": st.booleans(), "visible": st.booleans(),
    "selected": st.booleans(), "order": st.integers(0, 9)})
PARAMS = st.fixed_dictionaries({}, optional={
    ("integrated_gradients", "alpha"): st.tuples(st.just(0.0), SHARE.filter(bool)), ("integrated_gradients", "steps"): st.just(8),
    ("integrated_gradients", "baseline"): st.sampled_from(["white", 0.5, ["black", "white"]]) | st.builds(pixels),
    ("smoothgrad", "base_params"): st.just({}), ("grad_cam", "layer"): st.sampled_from(["conv1", "conv2"]),
    ("leave_one_out", "fill"): st.builds(lambda: tensor(seed=2)), ("leave_one_out", "grid"): st.sampled_from([2, (2, 3)]),
    ("occlusion", "window"): st.just(16)})


@pytest.fixture(scope="module")
def both():
    torch.set_num_threads(1)
    explorers = [Explorer(small(), tensor(), LABELS) for _ in range(2)]
    yield explorers
    for explorer in explorers:
        explorer.close()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(target=st.integers(0, 4), contrast=st.none() | st.integers(0, 4), method=st.sampled_from(
    ["grad_cam", "integrated_gradients", "gradient", "leave_one_out"]), params=PARAMS, looks=LOOKS,
    pins=st.lists(st.tuples(st.integers(0, 4), LOOKS, st.booleans()), max_size=2), cut=st.booleans(),
    photograph=st.tuples(SHARE, st.sampled_from([0.0, 0.4, 1.0]), st.booleans()),
    view=st.sampled_from([(1, 0, 0), (2, -0.5, -0.25)]))
def test_what_was_set_comes_back(both, target, contrast, method, params, looks, pins, cut, photograph, view):
    ex, ex2 = both
    ex.state = {"version": 1}
    for key, value in params.items():
        setattr(ex.params[key[0]], key[1], value)
    for index, pinned, follow in pins:
        ex.target = index
        layer = ex.pin()
        for name, value in pinned.items():
            setattr(layer, name, value)
        layer.follow = follow
    ex.contrast, ex.target, ex.method = contrast, target, method
    ex.wait()
    if cut:
        ex.method = "leave_one_out"
        region = ex.regions.rectangle(4, 4, 12, 20, "an eye")
        ex.regions.switch(region)
    ex.wait()
    for name, value in looks.items():
        setattr(ex.layers[0], name, value)
    canvas = ex.face.stage.canvas
    canvas.photo_opacity, canvas.photo_saturation, canvas.photo_visible = photograph
    canvas.view = view
    assert ex.wait() and not ex.error
    state = json.loads(json.dumps(ex.state))
    ex2.state = state
    assert ex2.wait() and not ex2.error and json.loads(json.dumps(ex2.state)) == state
    assert ex2.maps.keys() == ex.maps.keys()
    for key, map in ex.maps.items():
        np.testing.assert_allclose(ex2.maps[key].values, map.values, atol=1e-12)
    assert [layer.name for layer in ex2.layers] == [layer.name for layer in ex.layers]
    assert ex2.regions.state.same(ex.regions.state)


@pytest.mark.parametrize("value", [None, True, 3, 0.25, "black", ["black", 0.5], {"steps": 3, "fill": None}])
def test_plain_values_are_written_as_they_are_read(value):
    assert decode(json.loads(json.dumps(encode(value)))) == value


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.int32).reshape(2, 3), np.array([[np.nan, 1.5]]), np.zeros((0, 2)),
                                   torch.arange(4.0, dtype=torch.float64), np.array([True, False])])
def test_arrays_come_back_bit_for_bit(array):
    back = decode(json.loads(json.dumps(encode(array))))
    assert type(back) is type(array) and back.dtype == array.dtype and back.shape == array.shape
    assert np.asarray(back).tobytes() == np.asarray(array).tobytes()


def test_a_picture_comes_back_and_what_is_no_value_is_refused():
    picture = Image.fromarray(pixels())
    assert (np.asarray(decode(encode(picture))) == np.asarray(picture)).all()
    with pytest.raises(TypeError, match="function"):
        encode(test_arrays_come_back_bit_for_bit)
    with pytest.raises(ValueError, match="'what'"):
        decode({"what": 1})


def test_what_is_not_known_is_said_and_left_out(ex):
    state = ex.state
    state["sound"] = 1
    state["params"] = {"grad_cam": {"speed": 3, "layer": "conv1"}, "tarot": {"n": 3}}
    state["layers"]["explored"]["glow"] = 1
    with pytest.warns(UserWarning) as told:
        ex.state = state
    words = str(told[0].message)
    assert all(word in words for word in ("'sound'", "'speed'", "'tarot'", "'glow'"))
    assert "not known here" in ex.face.status.text.value
    assert ex.wait() and ex.params["grad_cam"].layer == "conv1" and ex.maps["grad_cam"].details["layer"] == "conv1"


@pytest.mark.parametrize("wrong, error, words", [
    ({"version": 99}, ValueError, "version 99"), ({}, ValueError, "with a version"), (3, ValueError, "a state is the dict"),
    ({"version": 1, "target": 77}, LookupError, "77"), ({"version": 1, "method": "nope"}, LookupError, "nope"),
    ({"version": 1, "params": {"integrated_gradients": {"steps": 0}}}, ValueError, "steps"),
    ({"version": 1, "layers": {"explored": {"opacity": 7}}}, ValueError, "opacity"),
    ({"version": 1, "layers": {"pinned": [{"key": "x", "method": "gradient", "target": 0}]}}, ValueError, "<method>@<number>")])
def test_what_is_wrong_raises_and_changes_nothing(ex, wrong, error, words):
    ex.pin()
    before = ex.state
    with pytest.raises(error, match=words):
        ex.state = wrong
    assert ex.wait() and ex.state == before


def test_the_state_of_another_picture_says_so(ex):
    ex.method = "leave_one_out"
    ex.regions.rectangle(2, 2, 9, 9, "nose")
    ex.wait()
    state = ex.state
    other = Explorer(small(), tensor((40, 40)), LABELS)
    with pytest.warns(UserWarning, match="another picture.*32 × 32"):
        other.state = state
    assert other.wait() and not other.error and other.method == "leave_one_out" and "nose" not in other.regions.names.values()
    other.close()


def test_an_empty_state_is_that_of_the_beginning(ex):
    beginning = ex.state
    ex.method, ex.params["grad_cam"].layer = "gradient", "conv1"
    ex.layers[0].opacity = 0.1
    ex.pin()
    ex.state = beginning
    assert ex.wait() and ex.state == beginning and set(ex.maps) == {"grad_cam"} and ex.layers[0].opacity == 0.7
