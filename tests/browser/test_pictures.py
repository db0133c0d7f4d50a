"""Several pictures: the strip, its keys, pasting; and the explorer on the whole screen."""
from __future__ import annotations

import re

import numpy as np

SEVERAL = ["""pictures = [p.image for p in sw.demo_pictures()[:5]]
model, img, labels = sw.demo()
ex = sw.Explorer(model, pictures, labels, truth=sw.demo_pictures()[0].classes[0])
ex"""]
PASTE = """async () => {
  const canvas = new OffscreenCanvas(224, 224), x = canvas.getContext("2d");
  x.fillStyle = "rgb(10, 200, 30)"; x.fillRect(0, 0, 224, 224);
  const data = new DataTransfer();
  data.items.add(new File([await canvas.convertToBlob()], "pasted.png", {type: "image/png"}));
  document.activeElement.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
}"""


def test_the_strip_goes_through_the_pictures_and_paste_adds_one(open_notebook):
    notebook = open_notebook(SEVERAL)
    page = notebook.page
    thumbs = page.locator(".sw-strip .sw-thumb")
    page.wait_for_function("""[...document.querySelectorAll('.sw-strip .sw-thumb')].filter(
        (n) => n.style.backgroundImage.startsWith('url')).length === 5""")
    assert page.locator(".sw-names button").all_inner_texts()[0].startswith("✓ "), "the true class is ticked"
    notebook.shot("pictures-strip")
    thumbs.nth(2).click()
    notebook.until("ex.index == 2 and ex.wait(60)")
    notebook.settle()
    assert (notebook.array("ex.session.picture.shown") == notebook.array("np.asarray(pictures[2])")).all()
    page.locator(".sw-explorer .sw-over").focus()
    page.keyboard.press("PageDown")
    notebook.until("ex.index == 3 and ex.wait(60)")
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    notebook.until("ex.index == 1 and ex.wait(60)")
    thumbs.nth(1).focus()
    page.keyboard.press("ArrowRight")
    notebook.until("ex.index == 2 and ex.wait(60)")
    assert thumbs.nth(2).get_attribute("aria-checked") == "true"
    cells = page.evaluate("window.jupyterapp.shell.currentWidget.content.model.cells.length")

    page.locator(".sw-explorer .sw-over").focus()
    page.keyboard.press("Control+v")
    page.evaluate(PASTE)
    notebook.until("len(ex.images) == 6 and ex.index == 5 and ex.wait(60)")
    notebook.settle()
    assert np.abs(notebook.array("ex.session.picture.shown") - [10, 200, 30]).max() <= 1
    assert thumbs.count() == 6 and notebook.value("ex.error") == ""
    assert page.evaluate("window.jupyterapp.shell.currentWidget.content.model.cells.length") == cells, "no cell was pasted"


def test_the_whole_screen_and_back(demo):
    page = demo.page
    before = demo.box(".sw-picture")["width"]
    page.get_by_role("button", name="full screen").click()
    page.wait_for_function("document.fullscreenElement?.classList.contains('sw-explorer')")
    page.wait_for_timeout(400)
    root, stage = page.locator(".sw-explorer").bounding_box(), demo.box(".sw-picture")
    assert root["width"] >= page.viewport_size["width"] - 1 and stage["width"] > before
    assert stage["y"] + stage["height"] < root["y"] + page.viewport_size["height"], "the whole picture is in sight"
    demo.hover(60, 100)
    page.screenshot(path="build/shots/full-screen.png")
    page.get_by_role("button", name="back into the notebook (Esc)").click()
    page.wait_for_function("!document.fullscreenElement")
    page.wait_for_timeout(300)
    assert abs(demo.box(".sw-picture")["width"] - before) < 1.5


def test_the_contact_sheet_opens_over_the_stage(demo):
    page = demo.page
    demo.choose_family("Path")
    samples = demo.value("ex.session.stats.forward_samples")
    page.get_by_role("button", name=re.compile("^contact sheet")).click()
    image = page.locator(".sw-sheet-view img")
    image.wait_for()
    page.wait_for_function("document.querySelector('.sw-sheet-view img').naturalWidth > 800")
    demo.shot("contact-sheet")
    assert demo.value("ex.session.stats.forward_samples") == samples, "nothing is evaluated for it"
    page.mouse.move(*demo.place(112, 112))
    page.mouse.wheel(0, 600)
    page.wait_for_function("document.querySelector('.sw-paper').scrollTop > 300")
    page.get_by_role("button", name="close the contact sheet").click()
    page.wait_for_function("!document.querySelector('.sw-sheet-view')?.getClientRects().length")
    demo.hover(60, 60)
