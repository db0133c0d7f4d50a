"""Heat layers: what is sent is what is read, and what it means travels along."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_widgets.colormaps import DIVERGING, lut, luts
from saliency_widgets.widgets import COLORMAPS, HeatLayer
from saliency_widgets.widgets.layers import decode, default_limits, encode, label_map

_spec = importlib.util.spec_from_file_location("fixture", Path(__file__).with_name("fixture.py"))
fixture = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fixture)


def shown(values, **more):
    layer = HeatLayer()
    layer.show(values, **{"name": "map", **more})
    return layer


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, (5, 7), elements=st.floats(-1e6, 1e6, width=32)))
def test_round_trip_within_half_a_step(values):
    dtype, data, vmin, vmax = encode(values)
    read = decode(values.shape, dtype, data, vmin, vmax)
    half = (vmax - vmin) / 65535 / 2
    assert np.abs(read - values).max() <= half * (1 + 1e-9)
    assert (dtype, len(data)) == ("u2", values.size * 2)


def test_extremes_are_exact():
    values = np.array([[-0.37, 0.0], [0.11, 0.92]], np.float32)
    read = shown(values).decode()
    assert read.min() == values.min() and read.max() == values.max()


@pytest.mark.parametrize("value", [0.0, 0.3, -5.0])
def test_constant_map(value):
    values = np.full((4, 6), value, np.float32)
    layer = shown(values)
    np.testing.assert_array_equal(layer.decode(), values)
    low, high = layer.limits
    assert low < high


def test_holes_are_kept_not_guessed():
    values = np.array([[np.nan, np.inf], [-np.inf, 0.25]], np.float32)
    layer = shown(values)
    np.testing.assert_array_equal(layer.decode(), values)
    assert layer.dtype == "f4" and layer.limits == (-0.25, 0.25)
    assert default_limits(np.full((2, 2), np.nan), signed=True) == (-1.0, 1.0)


def test_limits():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(100, 100))
    low, high = default_limits(values, signed=True)
    assert low == -high and np.mean(np.abs(values) <= high) == pytest.approx(0.992, abs=1e-3)
    assert default_limits(np.abs(values), signed=False) == (0.0, np.abs(values).max())
    assert shown(values, limits=(-2, 2)).limits == (-2.0, 2.0)


def test_region_limits_reach_the_largest_drop():
    labels = np.arange(196).reshape(14, 14).repeat(16, 0).repeat(16, 1)
    drops = np.random.default_rng(1).normal(size=196)
    layer = shown(drops[labels], regions=labels, before=0.07, after=np.full(196, 0.03))
    assert layer.kind == "region" and layer.threshold == 0.0
    assert layer.limits[1] == np.abs(drops).max()
    assert layer.before == 0.07 and len(layer.after) == 196
    back = np.frombuffer(layer.regions["data"], "<u2").reshape(layer.regions["shape"])
    np.testing.assert_array_equal(back, labels)


def test_show_replaces_everything_at_once():
    layer = HeatLayer()
    layer.stale = True
    layer.show(np.ones((3, 4)), name="Grad-CAM", unit="of max", signed=False, words=["evidence for cat"])
    assert (layer.seq, layer.stale, layer.name, layer.unit) == (1, False, "Grad-CAM", "of max")
    assert layer.shape == (3, 4) and layer.words == ["evidence for cat"] and not layer.signed


def test_threshold_follows_the_map_until_a_hand_moves_it():
    layer = shown(np.ones((2, 2)))
    assert layer.threshold == 0.14
    layer.show(np.ones((2, 2)), name="cam", signed=False)
    assert layer.threshold == 0.04
    layer.threshold = 0.5
    layer.show(np.ones((2, 2)), name="ig", signed=True)
    assert layer.threshold == 0.5


@pytest.mark.parametrize("shape", [(3,), (1, 3, 3), (0, 4)])
def test_wrong_rank_says_what_is_wanted(shape):
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        HeatLayer().show(np.zeros(shape), name="map")


def test_label_map_refuses_negative_and_many():
    for labels in (np.array([[-1]]), np.array([[70000]]), np.zeros(4, int)):
        with pytest.raises(ValueError, match="regions are"):
            label_map(labels)


def test_names_and_indices_agree():
    layer = HeatLayer(cmap="viridis", mode="contour")
    assert COLORMAPS[layer.cmap_index] == "viridis" and layer.contour
    layer.cmap_index = COLORMAPS.index("magma")
    layer.contour = False
    assert layer.cmap == "magma" and layer.mode == "fill"
    with pytest.raises(traitlets.TraitError):
        layer.cmap_index = len(COLORMAPS)


def test_colour_maps():
    assert COLORMAPS[0] == "signed" and luts() == b"".join(lut(name) for name in COLORMAPS)
    for name in COLORMAPS:
        table = np.frombuffer(lut(name), np.uint8).reshape(256, 3).astype(int)
        if name in DIVERGING:  # the middle is light and has no hue to speak of
            assert table[127].min() > 200
    ours = np.frombuffer(lut("signed"), np.uint8).reshape(256, 3)
    assert bytes(ours[0]).hex() == "0b4a94" and bytes(ours[255]).hex() == "a30f26"
    assert ours[0, 2] > ours[0, 0] and ours[255, 0] > ours[255, 2]
    with pytest.raises(LookupError, match="magma"):
        lut("rainbow")


def test_browser_fixture_is_what_python_says():
    assert json.loads(fixture.PATH.read_text()) == fixture.build(), (
        "the agreement with the browser changed: run tests/widgets/fixture.py, then the tests in js/"
    )
