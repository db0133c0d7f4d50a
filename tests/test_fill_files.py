"""Another picture as a fill: chosen from a menu, dropped, or given in code; named in the menu, refused in words."""
import io

import numpy as np
import pytest
from PIL import Image

from saliency_widgets.widgets.controls import A_FILE, titled


def encoded(colour, size=(40, 30), kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def cut(ex):
    """The Explorer with leave-one-out on a 4 × 4 grid."""
    ex.params["leave_one_out"].grid = 4
    ex.method = "leave_one_out"
    assert ex.wait() and ex.error == ""
    return ex


def menu(explorer):
    return explorer.face.method.controls["leave_one_out"]["fill"].widget


def ask(explorer):
    """Choose the menu's last line, as a hand does."""
    menu(explorer).index = len(menu(explorer).options) - 1


def test_the_menu_asks_for_a_file_and_names_it(cut):
    panel = cut.face.method
    assert menu(cut).options[-1] == A_FILE and menu(cut).label == "black"
    ask(cut)
    assert menu(cut).label == "black", "until a file is there"
    assert "sw-asking" in panel.upload._dom_classes and cut.params.leave_one_out.fill == "black"
    panel.fill_with("green.png", encoded((0, 255, 0)))
    assert cut.wait(60) and not cut.error
    assert menu(cut).label == "green.png" and menu(cut).options[-1] == A_FILE
    assert "sw-asking" not in panel.upload._dom_classes
    cut.regions.off = {0}
    assert cut.wait(60)
    body, found = panel.bodies["leave_one_out"], cut._found
    assert (found.picture[found.off] == (0, 255, 0)).all() and "evaluated" in body.numbers.value
    shown = np.asarray(Image.open(io.BytesIO(cut.face.stage.canvas.fill)))
    assert shown.shape == cut.session.picture.shown.shape and (shown == (0, 255, 0)).all(), "in the size of this picture"
    expected = cut.session.without(cut.regions.labels, [0], fill=Image.new("RGB", (9, 9), (0, 255, 0)))
    assert found.change == pytest.approx(expected.change, abs=1e-5)
    menu(cut).index = list(menu(cut).options).index("black")
    assert cut.wait(60) and cut.params.leave_one_out.fill == "black" and "green.png" not in menu(cut).options


def test_any_picture_is_read_and_no_other_file(cut):
    ask(cut)
    cut.face.method.fill_with("words.txt", b"no picture at all")
    assert "words.txt" in cut.error and cut.params.leave_one_out.fill == "black" and menu(cut).label == "black"
    for kind in ("JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        cut.face.method.fill_with(f"a.{kind}", encoded((250, 10, 10), kind=kind))
        assert cut.wait(60) and not cut.error and menu(cut).label == f"a.{kind}"


def test_a_file_dropped_on_what_the_model_sees_fills(cut):
    canvas = cut.face.stage.canvas
    canvas._handle_custom_msg({"kind": "drop", "name": "blue.png", "fill": True}, [encoded((0, 0, 255))])
    assert cut.wait(60) and menu(cut).label == "blue.png" and cut.session.label(cut.target)
    assert cut.params.leave_one_out.fill.getpixel((0, 0)) == (0, 0, 255)


def test_a_picture_from_code_is_named_too(cut):
    cut.params.leave_one_out.fill = Image.new("RGB", (5, 5), "red")
    assert cut.wait(60) and menu(cut).label == "picture"
    long = Image.new("RGB", (5, 5))
    long.filename = "/somewhere/a-photograph-from-the-holidays.jpeg"
    assert titled(long) == "a-photog…days.jpeg"


def test_the_wish_for_a_file_ends_with_the_method(cut):
    ask(cut)
    cut.method = "grad_cam"
    assert "sw-asking" not in cut.face.method.upload._dom_classes
    before = cut.params.leave_one_out.fill
    cut.face.method.fill_with("green.png", encoded((0, 255, 0)))
    assert cut.params.leave_one_out.fill == before, "Grad-CAM fills nothing"
