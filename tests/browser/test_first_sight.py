"""What stands there when the cell has run: picture, bars, map; in both themes, on every screen."""
import time

import numpy as np
import pytest

from .notebook import PRELUDE


def luminance(rgb):
    share = np.asarray(rgb, float) / 255
    linear = np.where(share <= 0.03928, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_first_sight_within_seconds(open_notebook):
    notebook = open_notebook(["model, img, labels = sw.demo()", "ex = sw.Explorer(model, img, labels)\nex"], run=False)
    notebook.run(PRELUDE)  # the two seconds count from the Explorer's cell, not from `import torch`
    started = time.monotonic()
    notebook.run_all()
    notebook.page.wait_for_selector(".sw-explorer .sw-picture[data-painted]", state="attached")
    took = time.monotonic() - started
    print(f"first sight: {took:.2f} s")
    notebook.first_sight()
    assert took < 10, "two seconds on a free machine; five times that on a busy one is too long"

    page = notebook.page
    assert page.locator(".sw-explorer .sw-names button:visible").count() == 5
    page.wait_for_function("document.querySelectorAll('.sw-explorer .sw-bars .bargroup rect').length >= 5")
    assert notebook.hover(112, 112).keys() == {"Grad-CAM"}
    canvas = notebook.canvas()
    assert (canvas[..., 3] == 255).mean() > 0.99, "the photograph covers the stage"
    assert len(np.unique(canvas[::4, ::4, :3].reshape(-1, 3), axis=0)) > 200, "a photograph has many colours"
    notebook.page.keyboard.press("Escape")
    notebook.shot("first-sight")


def test_the_stage_shows_photograph_and_heat(demo):
    shown = demo.array("ex.session.picture.shown")
    page = demo.page
    demo.hover(5, 5)
    with_heat = demo.canvas()
    page.locator(".sw-explorer .sw-over").focus()
    page.keyboard.down("b")
    page.wait_for_timeout(300)
    bare = demo.canvas()
    page.keyboard.up("b")
    rows = ((np.arange(224) + 0.5) / 224 * bare.shape[0]).astype(int)
    columns = ((np.arange(224) + 0.5) / 224 * bare.shape[1]).astype(int)
    seen = bare[rows][:, columns, :3]
    assert np.abs(seen - shown).mean() < 6, "held B shows the very picture that the model saw"
    hot = demo.array("ex.maps['grad_cam'].heatmap(size=(224, 224), sign='positive')")
    change = np.abs(with_heat - bare)[rows][:, columns, :3].sum(2)
    assert change[hot > 0.7 * hot.max()].mean() > 60, "there is colour where the map is high"
    assert change[hot <= 0.02 * hot.max()].mean() < 6, "and none where it is zero"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_themes(open_notebook, theme):
    notebook = open_notebook(theme=theme)
    style = notebook.page.evaluate("""() => {
      const shot = (selector, property) => {
        const canvas = document.createElement("canvas"), x = canvas.getContext("2d", {willReadFrequently: true});
        let node = document.querySelector(selector), ground = [];
        for (; node; node = node.parentElement) ground.unshift(getComputedStyle(node).backgroundColor);
        for (const colour of ground) { x.fillStyle = colour; x.fillRect(0, 0, 1, 1); }
        const back = [...x.getImageData(0, 0, 1, 1).data].slice(0, 3);
        x.fillStyle = getComputedStyle(document.querySelector(selector)).color; x.fillRect(0, 0, 1, 1);
        return [[...x.getImageData(0, 0, 1, 1).data].slice(0, 3), back];
      };
      const places = ["", " .sw-status-text b", " .sw-names button", " .sw-muted"].map((place) => ".sw-explorer" + place);
      return places.map((place) => [place, ...shot(place)]);
    }""")
    for selector, ink, ground in style:
        print(theme, selector, f"{contrast(ink, ground):.1f} : 1")
        assert contrast(ink, ground) >= 4.5, f"{selector}: ink {ink} on {ground}"
    _, ink, ground = style[0]
    assert (luminance(ground) > 0.8) == (theme == "light") and (luminance(ink) < 0.2) == (theme == "light")
    pixels = notebook.shot(theme)
    frame = pixels[4:28, 200:400].reshape(-1, 3)  # the status line
    assert np.abs(np.median(frame, 0) - ground).max() <= 3, "what is on screen is what the style says"


def test_twice_the_pixels(open_notebook):
    notebook = open_notebook(device_scale_factor=2)
    sizes = notebook.page.evaluate("""() => [...document.querySelectorAll(
        ".sw-explorer .sw-picture > canvas, .sw-explorer .sw-legend canvas")].map(
        (c) => [c.className, c.width, c.height, c.clientWidth, c.clientHeight])""")
    assert len(sizes) >= 2
    for name, width, height, shown_width, shown_height in sizes:
        assert shown_width > 0 and abs(width - 2 * shown_width) <= 1 and abs(height - 2 * shown_height) <= 1, name
    value = notebook.hover(100, 60)["Grad-CAM"]
    assert value == pytest.approx(notebook.array("ex.face.layers[0].decode()")[60, 100], abs=1e-12)


def test_narrow_the_panel_stacks(open_notebook):
    notebook = open_notebook(width=640, height=1500)
    stage, panel, root = notebook.box(".sw-stage"), notebook.box(".sw-panel"), notebook.box("")
    assert panel["y"] >= stage["y"] + stage["height"], "the panel is below the stage"
    assert abs(stage["width"] - stage["height"]) <= 1, "a square picture stays square"
    assert panel["x"] + panel["width"] <= root["x"] + root["width"] + 1
    needed = notebook.page.evaluate("document.querySelector('.sw-explorer').scrollWidth")
    assert needed <= root["width"] + 1, "nothing is cut off at the right"
    notebook.shot("narrow")


def test_wide_the_panel_is_beside(demo):
    stage, panel = demo.box(".sw-stage"), demo.box(".sw-panel")
    assert panel["x"] >= stage["x"] + stage["width"] and abs(panel["y"] - stage["y"]) < 40
    print("root", demo.box(""), "stage", stage, "panel", panel)
