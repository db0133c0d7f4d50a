"""The whole photograph in the browser: its shape, the outlined crop, and a click that cuts its own pixels."""
import numpy as np
import pytest

PHOTO = """from PIL import Image
model, img, labels = sw.demo()
left, right = (one.image.resize((400, 400)) for one in sw.demo_pictures()[1:3])
photo = Image.new("RGB", (600, 400))
for picture, at in ((left, -300), (right, 500), (img.resize((400, 400)), 100)):
    photo.paste(picture, (at, 0))
ex = sw.Explorer(model, photo, labels, space="photo")
ex"""
SIZE = (400, 600)
PLAIN = """
import torch
def plain(off):
    "Probabilities of the photograph with these pixels black, by the model's own preprocessing and one plain forward."
    masked = Image.fromarray(np.where(off[..., None], 0, np.asarray(photo)).astype(np.uint8))
    with torch.no_grad():
        return model(model.preprocess(masked)[None])[0].softmax(0).numpy()
"""


@pytest.fixture(params=["light", "dark"])
def notebook(request, open_notebook):
    opened = open_notebook([PHOTO], theme=request.param)
    opened.pictured, opened.theme = SIZE, request.param
    return opened


def test_the_photograph_its_crop_and_a_click(notebook):
    page, box = notebook.page, notebook.box()
    assert box["width"] / box["height"] == pytest.approx(1.5, abs=0.01)
    crop = notebook.value("ex.session.picture.photo.crop")
    assert crop == pytest.approx((25, 125, 375, 475), abs=0.1), "224 of 256 rows at 400/256 px each"
    assert "crop removes 49 % of the photograph" in notebook.status()
    assert "51 % of it" in page.locator(".sw-explorer .sw-over").get_attribute("aria-label")

    # The maps are hidden: what is left is the photograph, dimmed outside, and two white lines.
    page.mouse.move(0, 0)
    notebook.run("ex.face.layers[0].visible = False")
    page.wait_for_timeout(400)
    canvas = notebook.canvas()[..., :3]
    rows, columns = canvas.shape[:2]
    middle = slice(round(60 * rows / 400), round(340 * rows / 400))
    for edge in (125, 475):
        at = round(edge * columns / 600)
        line = canvas[middle, at - 1:at + 1].max(1)
        assert line.min() > 225, "the white line runs on the crop's edge, from top to bottom"
        beside = canvas[middle, [at - 12, at + 12]]
        assert beside.mean() < line.mean() - 40, "and nowhere else"
    for x, share in ((50, 0.65), (550, 0.65), (300, 1.0), (200, 1.0)):
        seen = canvas[middle, round((x - 20) * columns / 600):round((x + 20) * columns / 600)].mean((0, 1))
        expected = share * notebook.array(f"np.asarray(photo)[60:340, {x - 20}:{x + 20}].mean((0, 1))")
        np.testing.assert_allclose(seen, expected, atol=3)
    notebook.run("ex.face.layers[0].visible = True")

    # A map of the input: its values where it lies, nothing outside of the crop.
    notebook.run("heat = ex.maps['grad_cam'].heatmap(sign='positive')")
    assert notebook.value("heat.shape == (400, 600) and not heat[:, :124].any() and not heat[:24].any()")
    limit = notebook.value("float(heat.max())")
    for x, y in ((300, 200), (140, 60), (40, 200)):
        assert notebook.hover(x, y)["Grad-CAM"] == pytest.approx(notebook.value(f"float(heat[{y}, {x}])"), abs=2e-3 * limit)
    notebook.shot(f"photo-{notebook.theme}")

    notebook.choose_family("Cut")
    notebook.run(PLAIN)
    notebook.run("ex.session.stats.reset()")
    page.mouse.click(*notebook.place(300, 200))
    notebook.until("len(ex.regions.off) == 1 and ex.wait()")
    page.wait_for_function("document.querySelector('.sw-what').innerText.includes('✓ evaluated')")
    assert notebook.value("ex.session.stats.forward_samples") == 0, "its drop is known"
    page.mouse.click(*notebook.place(360, 200))
    notebook.until("len(ex.regions.off) == 2 and ex.wait()")
    page.wait_for_function("document.querySelector('.sw-what').innerText.includes('2 regions off')")
    page.wait_for_function("document.querySelector('.sw-what').innerText.includes('✓ evaluated')")
    assert notebook.value("ex.session.stats.forward_samples") == 1
    notebook.run("off = np.isin(ex.regions.labels, list(ex.regions.off))")
    assert notebook.value("bool(off.shape == (400, 600) and off[200, 300] and off[200, 360])")
    chances = notebook.array("plain(off)")
    target = notebook.value("ex.target")
    before = notebook.array("plain(np.zeros((400, 600), bool))")[target]
    said = page.locator(".sw-explorer .sw-what").inner_text()
    assert f"{before:.3f} → {chances[target]:.3f}" in said
    shown = notebook.array("[ex._found.probabilities[i] for i in ex.face.classes.indices]")
    np.testing.assert_allclose(shown, chances[notebook.value("[int(i) for i in ex.face.classes.indices]")], atol=1e-5)
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    inside = np.s_[round(205 * rows / 400):round(225 * rows / 400), round(305 * columns / 600):round(340 * columns / 600)]
    cell = notebook.canvas()[inside][..., :3]
    assert np.median(cell) < 60, "what is off is black on the photograph, under the hatch"
    notebook.shot(f"photo-cut-{notebook.theme}")
    assert notebook.value("ex.error") == ""
