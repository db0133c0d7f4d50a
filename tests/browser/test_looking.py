"""Looking happens in the browser: hover, keys, wheel, touch, layers; no message to the kernel while the pointer moves."""
import re

import numpy as np
import pytest

PLACES = [(0, 0), (5, 200), (60, 60), (112, 112), (150, 140), (170, 180), (223, 223)]


def steps_of(notebook, layer):
    """Half a quantisation step of a layer."""
    low, high = notebook.value(f"[ex.face.layers[{layer}].vmin, ex.face.layers[{layer}].vmax]")
    return (high - low) / 65535 / 2 * 1.001


def test_hovered_values_are_the_map(demo):
    expected = demo.array("ex.maps['grad_cam'].heatmap(size=(224, 224), sign='positive')")
    half = steps_of(demo, 0)
    for x, y in PLACES:
        seen = demo.hover(x, y)
        assert abs(seen["Grad-CAM"] - expected[y, x]) <= half, (x, y)
        text = demo.page.locator(".sw-explorer .sw-value").first.inner_text()
        assert abs(float(text) - expected[y, x] / expected.max()) <= 0.006, "read as share of the maximum"

    demo.choose_family("Path")
    signed = demo.array("ex.maps['integrated_gradients'].heatmap(size=(224, 224))")
    assert signed.min() < 0 < signed.max()
    half = steps_of(demo, 0)
    places = [*PLACES, tuple(map(int, np.unravel_index(signed.argmax(), signed.shape)[::-1])),
              tuple(map(int, np.unravel_index(signed.argmin(), signed.shape)[::-1]))]
    for x, y in places:
        seen = demo.hover(x, y)
        assert seen.keys() == {"Integrated Gradients", "Grad-CAM"}, "every visible layer is read"
        assert abs(seen["Integrated Gradients"] - signed[y, x]) <= half, (x, y)
        assert abs(seen["Grad-CAM"] - expected[y, x]) <= steps_of(demo, 1)
    sign = re.sub(r"\s", "", demo.page.locator(".sw-explorer .sw-value").first.inner_text())[0]
    assert sign == "−", "a negative value carries a real minus sign"
    assert demo.page.locator(".sw-explorer .sw-tag").inner_text().startswith("−")


def test_no_message_while_hovering(demo):
    demo.hover(20, 20)
    demo.page.wait_for_timeout(800)
    before = len(demo.sent)
    assert before > 0, "the counter counts"
    for i in range(40):
        demo.page.mouse.move(*demo.place(20 + 4 * i, 30 + 3 * i))
        demo.page.wait_for_timeout(10)
    demo.wait_probe(176, 147)
    demo.page.wait_for_timeout(800)
    assert len(demo.sent) == before, f"{len(demo.sent) - before} messages: {demo.sent[before:][0][:400]!r}"


def test_keys_on_the_stage(demo):
    page, over = demo.page, demo.page.locator(".sw-explorer .sw-over")
    over.focus()
    page.keyboard.press("ArrowRight")
    x, y = demo.probe()
    assert (x, y) == (112, 112)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("ArrowUp")
    demo.wait_probe(113, 121)
    expected = demo.array("ex.face.layers[0].decode()")
    assert demo.readings()["Grad-CAM"] == pytest.approx(expected[121, 113], abs=1e-12)
    for _ in range(30):
        page.keyboard.press("Shift+ArrowLeft")
    demo.wait_probe(0, 121)

    lit = demo.canvas()
    page.keyboard.press("v")
    page.wait_for_function("!document.querySelector('.sw-explorer .sw-readout [data-value]')")
    page.wait_for_timeout(200)
    dark = demo.canvas()
    assert np.abs(lit - dark).sum(2).max() > 100
    assert demo.value("ex.face.layers[0].visible") is False
    page.keyboard.press("v")
    page.wait_for_function("document.querySelector('.sw-explorer .sw-readout [data-value]')")
    page.wait_for_timeout(200)
    assert (demo.canvas() == lit).all(), "V twice is as before"

    page.keyboard.press("?")
    assert page.locator(".sw-explorer .sw-help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator(".sw-explorer .sw-help").is_visible() and demo.probe() is not None
    page.keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('.sw-explorer .sw-at')")
    assert page.locator(".sw-explorer .sw-readout").inner_text() == "point at the picture to read every visible layer"
    cells = page.evaluate("window.jupyterapp.shell.currentWidget.content.model.cells.length")
    assert cells == 2, "JupyterLab's own shortcuts stayed quiet"


def test_zoom_and_pan(demo):
    page = demo.page
    fitted = demo.canvas()
    x, y = 150, 60
    page.mouse.move(*demo.place(x, y))
    demo.wait_probe(x, y)
    for _ in range(4):
        page.mouse.wheel(0, -120)
        page.wait_for_timeout(80)
    page.wait_for_timeout(200)
    assert demo.probe() == (x, y), "what is under the pointer stays there"
    zoomed = demo.canvas()
    assert np.abs(zoomed - fitted).sum(2).mean() > 5
    overlay = page.evaluate("document.querySelector('.sw-explorer .sw-overlay').style.transform")
    scale = float(re.search(r"scale\(([\d.]+)\)", overlay)[1])
    assert scale == pytest.approx(np.exp(4 * 120 / 300), rel=1e-3), "the canvas above moves with the picture"
    px, py = demo.place(x, y)
    one = demo.box()["width"] / 224 * scale
    page.mouse.move(px + 3 * one, py)
    page.wait_for_timeout(100)
    assert demo.probe() == (x + 3, y)

    page.locator(".sw-explorer .sw-tool[title^=pan]").click()
    page.mouse.move(px, py)
    page.mouse.down()
    page.mouse.move(px - 5 * one, py, steps=4)
    page.mouse.up()
    page.locator(".sw-explorer .sw-tool[title^=probe]").click()
    page.mouse.move(px, py)
    page.wait_for_timeout(150)
    assert demo.probe() == (x + 5, y), "a drag by five pixels moves the picture by five"
    page.mouse.dblclick(px, py)
    page.wait_for_timeout(300)
    assert (demo.canvas() == fitted).all(), "double-click fits"
    assert page.evaluate("document.querySelector('.sw-explorer .sw-overlay').style.transform") == ""


def test_a_tap_moves_the_probe(open_notebook):
    notebook = open_notebook(has_touch=True)
    expected = notebook.array("ex.face.layers[0].decode()")
    for x, y in [(40, 50), (170, 150)]:
        notebook.page.touchscreen.tap(*notebook.place(x, y))
        notebook.wait_probe(x, y)
        assert notebook.readings()["Grad-CAM"] == pytest.approx(expected[y, x], abs=1e-12)
    notebook.page.wait_for_timeout(300)
    assert notebook.probe() == (170, 150), "the probe stays where the finger was"


def test_layer_controls(demo):
    page = demo.page
    before = demo.canvas()
    row = page.locator(".sw-explorer .sw-layer").first
    demo.drag(row.locator(".sw-opacity .sw-handle"), -18)
    page.wait_for_timeout(200)
    faint = demo.canvas()
    assert (np.abs(before - faint).sum(2) > 40).mean() > 0.005, "less opacity, less colour"
    opacity = demo.value("ex.face.layers[0].opacity")
    assert 0.1 < opacity < 0.6 and row.locator(".sw-number").first.inner_text() == f"{opacity:.2f}"

    row.locator(".sw-more").click()
    row.get_by_label("colours of Grad-CAM").select_option(label="viridis")
    demo.until("ex.face.layers[0].cmap == 'viridis'")
    page.wait_for_timeout(200)
    assert (np.abs(demo.canvas() - faint).sum(2) > 20).mean() > 0.005, "another colour map, other colours"
    assert demo.value("ex.face.layers[0].cmap") == "viridis"
    row.locator(".sw-more").click()
    row.locator(".sw-contour").click()
    page.wait_for_timeout(200)
    lines = demo.canvas()
    demo.page.locator(".sw-explorer .sw-over").focus()
    demo.page.keyboard.down("b")
    page.wait_for_timeout(200)
    changed = (np.abs(lines - demo.canvas()).sum(2) > 20).mean()
    demo.page.keyboard.up("b")
    assert 0.0005 < changed < 0.05, f"a contour is a thin line, not {changed:.1%} of the picture"
    row.locator(".sw-dot").click()
    page.wait_for_timeout(200)
    assert demo.value("ex.face.layers[0].visible") is False
