"""Each fill in a real browser: what the stage shows where a region is off, what the model sees, and a picture from a file."""
import base64
import io

import numpy as np
import pytest
from PIL import Image

PLACE = (104, 104)  # in region 90 of the 14 × 14 grid
MENU = ".sw-explorer .sw-param.widget-dropdown:has(label:text-is('fill')) select"


@pytest.fixture
def cut(demo):
    demo.choose_family("Cut")
    demo.page.mouse.click(*demo.place(*PLACE))
    evaluated(demo)
    return demo


def evaluated(cut):
    cut.until("ex.regions.off == {90} and ex.wait(60) and ex._found is not None and ex.maps[ex.method].final")
    cut.settle()
    assert cut.value("ex.error") == ""
    cut.page.mouse.move(5, 5)
    cut.page.wait_for_function("document.querySelector('.sw-what').innerText.includes('✓ evaluated')")
    cut.page.wait_for_timeout(300)


def small_picture(cut):
    """The picture as the model sees it, from the panel, (224, 224, 3)."""
    url = cut.page.locator(".sw-explorer .sw-trip img").first.get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"), int)


def looks_filled(cut):
    """Stage and panel show the fill that the kernel evaluated, in the region and nowhere else."""
    seen = cut.array("ex._found.picture").astype(int)
    whole = cut.array("ex.session.picture.shown").astype(int)
    inside = np.zeros((224, 224), bool)
    inside[96:112, 96:112] = True
    assert np.array_equal(small_picture(cut), seen) and np.array_equal(seen[~inside], whole[~inside])
    stage = cut.canvas()[..., :3]
    side = stage.shape[0]
    at = ((np.arange(side) + 0.5) * 224 / side).astype(int)
    rim = np.zeros((224, 224), bool)
    rim[97:111, 97:111] = True
    there = rim[at][:, at]
    painted, wanted = stage[there], seen[at][:, at][there]
    plain = np.abs(painted - wanted).max(1) <= 2
    lighter = ((painted >= wanted - 2).all(1) & ~plain).mean()
    assert 0.4 < plain.mean() < 0.9 and lighter > 0.08 and plain.mean() + lighter > 0.97, "the fill, and white lines over it"
    return seen[inside]


def test_each_fill_is_what_stage_and_panel_show(cut):
    whole = cut.array("ex.session.picture.shown").astype(int)
    found = {}
    for fill in ("mean", "blur", "noise", "inpaint", "black"):
        cut.page.locator(MENU).select_option(fill)
        cut.until(f"ex.params.leave_one_out.fill == {fill!r}")
        evaluated(cut)
        found[fill] = looks_filled(cut)
        cut.shot(f"fill-{fill}", ".sw-main")
    assert (found["black"] == 0).all() and np.abs(found["mean"] - whole.mean((0, 1))).max() <= 1
    assert found["noise"].std() > 50 and found["blur"].std() < whole[96:112, 96:112].std()
    assert len({value.tobytes() for value in found.values()}) == 5


def test_the_scale_of_blur_and_the_seed_of_noise(cut):
    page = cut.page
    cut.page.locator(MENU).select_option("blur")
    cut.until("ex.params.leave_one_out.fill == 'blur'")
    evaluated(cut)
    soft = looks_filled(cut)
    page.locator(".sw-explorer .sw-name-row .sw-menu").first.click()
    slider = page.locator(".sw-explorer .sw-name-row .sw-pop .widget-slider").first
    slider.locator(".noUi-handle").focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(500)
    page.keyboard.press("Tab")
    cut.until("ex.params.leave_one_out.sigma < 10")
    evaluated(cut)
    assert not np.array_equal(looks_filled(cut), soft)
    page.locator(MENU).select_option("noise")
    cut.until("ex.params.leave_one_out.fill == 'noise'")
    evaluated(cut)
    first = looks_filled(cut)
    page.locator(".sw-explorer .sw-name-row .sw-menu").first.click()
    field = page.locator(".sw-explorer .sw-name-row .sw-pop .widget-text:has(label:text-is('seed')) input")
    field.fill("7")
    field.press("Enter")
    cut.until("ex.params.leave_one_out.seed == 7")
    evaluated(cut)
    assert not np.array_equal(looks_filled(cut), first)


def test_a_picture_from_a_file_in_the_same_gesture(cut, tmp_path):
    page, file = cut.page, tmp_path / "green.png"
    Image.new("RGB", (60, 40), (20, 200, 40)).save(file)
    with page.expect_file_chooser() as chooser:
        page.locator(MENU).press("p")
    chooser.value.set_files(file)
    cut.until("ex.params.leave_one_out.fill != 'black'")
    evaluated(cut)
    assert (looks_filled(cut) == (20, 200, 40)).all()
    assert page.locator(MENU).evaluate("(menu) => menu.selectedOptions[0].textContent") == "green.png"
    assert page.locator(".sw-explorer .sw-fill-upload").is_hidden()
    wrong = tmp_path / "words.png"
    wrong.write_text("no picture")
    with page.expect_file_chooser() as chooser:
        page.locator(MENU).press("p")
    chooser.value.set_files(wrong)
    page.wait_for_function("document.querySelector('.sw-explorer .sw-status-text').innerText.includes('words.png')")
    assert page.locator(MENU).evaluate("(menu) => menu.selectedOptions[0].textContent") == "green.png"


def test_a_picture_dropped_on_what_the_model_sees(cut, tmp_path):
    Image.new("RGB", (60, 40), (200, 20, 40)).save(tmp_path / "red.png")
    data = base64.b64encode((tmp_path / "red.png").read_bytes()).decode()
    cut.page.evaluate("""(data) => {
      const files = new DataTransfer();
      files.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], "red.png", {type: "image/png"}));
      const place = document.querySelector(".sw-explorer .sw-trip .sw-pictured img");
      for (const kind of ["dragover", "drop"])
        place.dispatchEvent(new DragEvent(kind, {dataTransfer: files, bubbles: true, cancelable: true}));
    }""", data)
    cut.until("ex.params.leave_one_out.fill != 'black'")
    evaluated(cut)
    assert (looks_filled(cut) == (200, 20, 40)).all()
