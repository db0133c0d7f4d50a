"""Stage, film and parts without a browser: traits, messages in and out, bad input."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from ipycanvas import MultiCanvas
from PIL import Image

from saliency_widgets.widgets import Film, HeatLayer, Legend, PictureCanvas, Readout, Stage, Tools
from saliency_widgets.widgets.edits import Edit
from saliency_widgets.widgets.stage import Ranks

RNG = np.random.default_rng(3)
PICTURE = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def receive(canvas, content, buffers=()):
    canvas._handle_custom_msg(content, list(buffers))


def test_picture_arrives_unchanged():
    stage = Stage(PICTURE)
    assert stage.canvas.size == (20, 30)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(stage.canvas.picture))), PICTURE)


def test_two_canvases_in_one_cell():
    stage = Stage(PICTURE)
    below, above = stage.children
    assert isinstance(below, PictureCanvas) and isinstance(above, MultiCanvas)
    assert (above.width, above.height) == (30, 20)
    assert "sw-stage" in stage._dom_classes and "sw-overlay" in above._dom_classes


@pytest.mark.parametrize(
    "picture, error",
    [(PICTURE.astype(float), TypeError), (PICTURE[..., 0], ValueError), (PICTURE[..., :2], ValueError)],
)
def test_bad_picture(picture, error):
    with pytest.raises(error, match="the stage shows"):
        Stage(picture)


def test_acknowledgement_reaches_its_layer(monkeypatch):
    layers = [HeatLayer(), HeatLayer()]
    stage = Stage(PICTURE, layers)
    seen = []
    for layer in layers:
        monkeypatch.setattr(layer, "acknowledge", lambda seq, layer=layer: seen.append((layer, seq)))
    receive(stage.canvas, {"kind": "ack", "acks": [[layers[1].model_id, 4], ["gone", 2]]})
    assert seen == [(layers[1], 4)]


def test_messages_reach_their_callbacks():
    canvas = Stage(PICTURE).canvas
    seen = []
    canvas.on_drop(lambda name, data: seen.append((name, data)))
    canvas.on_key(lambda key: seen.append(key))
    canvas.on_edit(lambda edit: seen.append(edit))
    receive(canvas, {"kind": "drop", "name": "cat.png"}, [memoryview(b"abc")])
    receive(canvas, {"kind": "key", "key": "Escape"})
    place = [memoryview(np.array([3.5, 7.5], "<f4").tobytes())]
    receive(canvas, {"kind": "edit", "op": "toggle"}, place)  # there is nothing to edit yet
    canvas.show_cut(np.zeros((20, 30), int), off=())
    receive(canvas, {"kind": "edit", "op": "toggle"}, place)
    assert seen == [("cat.png", b"abc"), "Escape", Edit("toggle", ((3.5, 7.5),))]


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "ack", "acks": [[1]]},
        {"kind": "ack"},
        {"kind": "drop", "name": "x"},
        {"kind": "edit"},
        {"kind": "edit", "op": "explode"},
        {"kind": "edit", "op": "toggle"},
        {"kind": "edit", "op": "brush", "radius": "wide"},
        {"kind": "nonsense"},
        "text",
        None,
    ],
)
def test_malformed_messages_are_logged_not_raised(content, caplog):
    canvas = Stage(PICTURE).canvas
    canvas.show_cut(np.zeros((20, 30), int), off=())
    with caplog.at_level(logging.WARNING):
        receive(canvas, content)
    assert "the stage ignores" in caplog.text


def test_regions():
    canvas = Stage(PICTURE).canvas
    canvas.set_regions(np.arange(600).reshape(20, 30) // 100)
    assert canvas.region_hover and canvas.regions["shape"] == [20, 30]
    canvas.set_regions(None)
    assert canvas.regions == {} and not canvas.region_hover
    canvas.show_cut(np.arange(600).reshape(20, 30) // 100, off={4, 2}, history=(3, 1), chosen=2)
    assert canvas.editable and canvas.off == [2, 4] and canvas.history == (3, 1) and canvas.chosen == 2
    canvas.show_cut(np.arange(600).reshape(20, 30) // 100)
    assert canvas.region_hover and not canvas.editable and canvas.off == [] and canvas.chosen == -1


def test_ranked_bars_hear_clicks_on_regions_that_they_show(caplog):
    heard = []
    strip = Ranks(heard.append, order=[2, 0, 1])
    for content in ({"region": 0}, {"region": 5}, {"region": True}, {}, "text"):
        with caplog.at_level(logging.WARNING):
            receive(strip, content)
    assert heard == [0] and caplog.text.count("the ranked bars ignore") == 4


def test_parts_share_one_bundle_and_know_their_role():
    layer = HeatLayer()
    parts = [Stage(PICTURE, [layer]).canvas, Legend(layers=[layer]), Readout(layers=[layer]), Tools(), Film()]
    assert [part.role for part in parts] == ["stage", "legend", "readout", "tools", "film"]
    assert len({part.bundle for part in parts}) == 1 and "sw-part" in parts[0]._dom_classes
    assert len(parts[0]._esm) < 2000 < 20_000 < len(parts[0].bundle.script), "each carries a loader alone"
    parts[0].bundle.close()
    assert Tools().bundle.comm is not None, "where somebody closed all widgets, the next part has a new one"
    state = parts[1].get_state(["layers"])
    assert state["layers"] == [f"IPY_MODEL_{layer.model_id}"]


def test_film_packs_maps_by_their_own_maximum():
    film = Film()
    film.show({"a": np.array([[-1.0, 2.0], [1.0, 0.0]]), "b": np.zeros((1, 3))}, titles={"a": "first"})
    assert film.names == ["a", "b"]
    assert [(t["caption"], t["offset"], t["shape"]) for t in film.thumbs] == [
        ("2²", 0, [2, 2]),
        ("1 × 3", 4, [1, 3]),
    ]
    assert list(film.data) == [0, 255, 128, 0, 0, 0, 0] and film.thumbs[0]["title"] == "first"
    with pytest.raises(ValueError, match="'c'"):
        film.show({"c": np.zeros(3)})


def test_film_selection_stays_inside():
    film = Film(selected=3)
    film.show({"a": np.ones((2, 2))})
    assert film.selected == -1
