"""The panels by themselves: what they show, and which layer a film strip leaves out."""
import ipywidgets
import numpy as np
import pytest

from saliency_widgets.saliency_map import SaliencyMap
from saliency_widgets.widgets import showing
from saliency_widgets.widgets.cam import choose_frames
from saliency_widgets.widgets.classes import ClassPanel
from saliency_widgets.widgets.face import close_tree
from saliency_widgets.widgets.layer_rows import PHOTO, LayerRows
from saliency_widgets.widgets.layers import HeatLayer
from saliency_widgets.widgets.pictures import faded, paint_signed, paint_size, png
from saliency_widgets.widgets.stage import PictureCanvas
from saliency_widgets.widgets.status import ProgressLine, SaveMenu, StatusLine


def a_map(values, **changes):
    facts = dict(values=np.asarray(values, np.float32)[None], method="m", title="M", params={}, target=0, label="cat",
                 score="logit", unit="logit", signed=True, input_size=np.shape(values))
    return SaliencyMap(**{**facts, **changes})


def test_a_film_prefers_blocks_and_keeps_the_default_last():
    layers = [f"b{i}.{part}" if part else f"b{i}" for i in range(12) for part in ("conv", "norm", "")] + ["head"]
    frames = choose_frames(layers, "head")
    assert len(frames) == 8 and frames[-1] == "head" and frames[0] == "b0" and frames == sorted(frames, key=layers.index)
    assert choose_frames(["a", "b", "c"], "b") == ["a", "b"]
    assert choose_frames([f"features.{i}" for i in range(30)], "features.29")[-1] == "features.29"


def test_the_chosen_class_is_marked_and_none_is_invented():
    heard = []
    panel = ClassPanel(heard.append, heard.append, heard.append, 3, None)
    panel.show([(2, "cat", 0.7), (0, "dog", 0.3)], target=0)
    assert [b.layout.visibility for b in panel.names] == ["visible"] * 2 + ["hidden"] * 3
    assert panel.numbers.value.count("<div") == 2 and "<div class=sw-on>0.30" in panel.numbers.value
    panel.names[4].click()
    assert heard == [] and list(panel.contrast.options) == ["none", "cat", "dog"]
    panel.names[0].click()
    panel.contrast.index = 1
    assert heard == [2, 2]


def test_errors_take_the_place_of_the_facts_and_are_escaped():
    line = StatusLine(lambda *_: None, lambda: None, lambda what: what, lambda: None)
    line.show("net", " · cpu", "as given")
    assert "· cpu" in line.text.value and "sw-error" not in line._dom_classes
    line.error("bad <b>label</b>", "Traceback <x>")
    assert "&lt;b&gt;" in line.text.value and "· cpu" not in line.text.value and "sw-error" in line._dom_classes
    assert "&lt;x&gt;" in line.more.value and line.details.layout.display == ""
    line.error("")
    assert "· cpu" in line.text.value and line.details.layout.display == "none"


def test_progress_says_count_and_time_left():
    line = ProgressLine(lambda: None)
    line.advance(41, 64, 0.8)
    assert line.count.value == "41 of 64 evaluations · 0.8 s left" and line.bar.value == 64
    line.rest("any layer: no further evaluation")
    assert line.bar.value == 0 and line.count.value == ""


def test_the_layer_list_asks_and_ignores_what_is_malformed():
    heard, canvas, layers = [], PictureCanvas(), [HeatLayer(), HeatLayer(pinned=True)]
    rows = LayerRows(canvas, lambda: heard.append("pin"), heard.append, layers=layers)
    assert {(link.source[1], link.target[1]) for link in rows.links} == {(name, name) for name in PHOTO}
    for content in ({"kind": "pin"}, {"kind": "unpin", "layer": layers[1].model_id}, {"kind": "unpin", "layer": "none"},
                    {"kind": []}, 3):
        rows._handle_custom_msg(content, [])
    assert heard == ["pin", layers[1]]
    assert "signed" in rows.views and rows.layers == layers


def test_the_save_menu_sends_files_code_and_errors():
    sent = []
    menu = SaveMenu(lambda what: {"code": "m = 1", "png": ("a.png", b"123")}[what])
    menu.send = lambda content, buffers=None: sent.append((content, buffers))
    for what in ("code", "png", "npz", "exe"):
        menu._handle_custom_msg({"kind": "save", "what": what}, [])
    assert sent[0] == ({"kind": "code", "code": "m = 1"}, None)
    assert sent[1] == ({"kind": "file", "name": "a.png", "type": "image/png"}, [b"123"])
    assert [content["kind"] for content, _ in sent[2:]] == ["error", "error"]


def test_what_a_sign_means():
    layer = HeatLayer()
    showing.put(layer, a_map([[1.0, -2.0]]))
    assert layer.words == ["raises cat", "lowers cat"] and layer.unit == "logit" and layer.cmap == "signed"
    showing.put(layer, a_map([[1.0, -2.0]], default_sign="positive"))
    assert layer.words == ["evidence for cat"] and layer.unit == "of max" and layer.cmap == "magma"
    assert layer.decode().min() == 0
    regions = np.array([[0, 1]])
    showing.put(layer, a_map([[1.0, -2.0]], regions=regions, region_scores=np.array([1.0, -2.0]),
                             details={"before": 0.5, "after": np.array([0.2, 0.9])}))
    assert layer.words == ["without it cat falls", "without it cat rises"] and layer.kind == "region"
    assert layer.after == pytest.approx([0.2, 0.9]) and layer.cmap == "signed"


def test_small_pictures():
    signed = paint_signed(np.array([[-1.0, 0.0, 1.0]]), 1.0)
    assert signed[0, 0, 2] > signed[0, 0, 0] and signed[0, 2, 0] > signed[0, 2, 2] and signed[0, 1, 3] == 0
    assert paint_size(np.array([[0.0, 2.0]])).shape == (1, 2, 3)
    photograph = np.full((2, 2, 3), (10, 20, 30), np.uint8)
    off = faded(photograph, np.array([[True, False], [False, False]]))
    assert tuple(off[0, 0]) == (10, 20, 30, 255) and tuple(off[1, 1]) == (20, 20, 20, 36)
    assert png(off).startswith(b"\x89PNG")


def test_closing_a_tree_closes_what_it_holds():
    inner = ipywidgets.Button()
    box = ipywidgets.VBox([ipywidgets.HBox([inner])])
    before = {w.comm for w in (box, inner, inner.style, inner.layout)}
    assert None not in before
    close_tree(box, set())
    assert {w.comm for w in (box, inner, inner.style, inner.layout)} == {None}
