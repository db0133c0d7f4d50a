"""What `Explorer.save` writes, read back: files without a browser, the page in Chromium with no network."""
from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import saliency_widgets as sw

from .chromium import launched

AT = (90, 120)  # a pixel (x, y) in the middle of things


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """An Explorer with Integrated Gradients over the contour of Grad-CAM, and what it wrote."""
    folder = tmp_path_factory.mktemp("saved")
    explorer = sw.Explorer(*sw.demo())
    assert explorer.wait(120), "the first map takes too long"
    explorer.save(folder / "cam.html")
    explorer.save(folder / "cam.png")
    explorer.method = "integrated_gradients"
    assert explorer.wait(120) and not explorer.error
    for name in ("path.html", "path.png", "path.npz"):
        assert explorer.save(folder / name) == folder / name
    explorer.pin()
    explorer.save(folder / "three.html")
    explorer.unpin()
    yield explorer, folder
    explorer.close()


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="sw-data">(.*?)</script>', page, re.S).group(1))


@pytest.mark.parametrize("name", ["cam.html", "path.html"])
def test_the_page_is_whole_and_points_nowhere(saved, name):
    page = (saved[1] / name).read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page).group(1)
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy and "unsafe" not in policy
    addresses = set(re.findall(r"https?://[^\s\"'`)<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}, "only the name of SVG, which nothing fetches"
    assert not re.search(r"<(link|img|iframe)\b|(?<!\.)\bsrc=|@import|url\((?!['\"]?data:)", page)
    assert len(page) < 6_000_000


def test_the_page_says_what_it_shows(saved):
    explorer, folder = saved
    page = (folder / "path.html").read_text("utf-8")
    map = explorer.maps["integrated_gradients"]
    head = re.search(r'name="description" content="([^"]+)"', page).group(1)
    for word in (explorer.session.name, map.label, map.title, "steps 64", "baseline black", "α 0 to 1"):
        assert word in head
    assert "The map sums to" in page
    layers = data_of(page)["layers"]
    assert [layer["name"] for layer in layers] == ["Integrated Gradients", "Grad-CAM"]
    assert [layer["contour"] for layer in layers] == [False, True]


def test_text_in_labels_stays_text(tmp_path):
    model, picture, labels = sw.demo()
    explorer = sw.Explorer(model, picture, ["</script><b>{0}</b>"] * len(labels))
    page = explorer.save(tmp_path / "odd.html").read_text("utf-8")
    explorer.close()
    assert "</script><b>" not in page and "&lt;/script&gt;&lt;b&gt;{0}" in page
    assert "</script><b>{0}</b>" in data_of(page)["layers"][0]["words"][0]


def test_npz_holds_the_raw_maps(saved):
    explorer, folder = saved
    with np.load(folder / "path.npz", allow_pickle=False) as file:
        facts = json.loads(str(file["facts"]))
        assert set(facts["maps"]) == set(explorer.maps) == {"grad_cam", "integrated_gradients"}
        for name, map in explorer.maps.items():
            assert file[name].dtype == map.values.dtype
            np.testing.assert_array_equal(file[name], map.values)
            said = facts["maps"][name]
            assert (said["target"], said["label"], said["unit"]) == (map.target, map.label, map.unit)
        np.testing.assert_array_equal(file["picture"], explorer.session.picture.shown)
    path = facts["maps"]["integrated_gradients"]
    assert path["params"]["steps"] == 64 and path["params"]["alpha"] == [0.0, 1.0]
    assert path["residual"] == pytest.approx(explorer.maps["integrated_gradients"].residual)


def test_png_changes_where_the_map_is_strong(saved):
    explorer, folder = saved
    photo = explorer.session.picture.shown
    picture = Image.open(folder / "cam.png")
    assert picture.width == 896 and picture.height > 896
    seen = np.asarray(picture.convert("RGB"), float)[:896].reshape(224, 4, 224, 4, 3).mean((1, 3))
    change = np.abs(seen - photo).mean(2)
    heat = explorer.maps["grad_cam"].heatmap(size=(224, 224), sign="positive")
    assert change[heat > 0.7 * heat.max()].mean() > 20
    clear = heat < 0.02 * heat.max()
    assert clear.sum() > 100 and np.median(change[clear]) < 2
    strip = np.asarray(picture.convert("RGB"))[900:]
    assert (strip < 90).any() and len(np.unique(strip.reshape(-1, 3), axis=0)) > 100, "a scale and words"


def test_a_hidden_layer_is_not_in_the_png(saved, tmp_path):
    explorer, _ = saved
    was = [layer.visible for layer in explorer.face.layers]
    try:
        for layer in explorer.face.layers:
            layer.visible = False
        bare = np.asarray(Image.open(explorer.save(tmp_path / "bare.png")).convert("RGB"), float)[:896]
    finally:
        for layer, visible in zip(explorer.face.layers, was):
            layer.visible = visible
    seen = bare.reshape(224, 4, 224, 4, 3).mean((1, 3))
    assert np.abs(seen - explorer.session.picture.shown).mean() < 2.5


def test_a_contour_runs_where_the_map_passes_half():
    from saliency_widgets.painting import crossings

    y, x = np.mgrid[:40, :40]
    lines = crossings(20.0 - np.hypot(x - 20, y - 20), 10.0)
    ends = lines.reshape(-1, 2) - 20.5  # a pixel's value sits at its centre
    np.testing.assert_allclose(np.hypot(*ends.T), 10, atol=0.05)
    length = np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1]).sum()
    assert length == pytest.approx(2 * np.pi * 10, rel=0.01)


def test_regions_are_saved_too(saved, tmp_path):
    with_regions = sw.Explorer(*sw.demo(), method="leave_one_out")
    try:
        with_regions.params["leave_one_out"].grid = 4
        page = with_regions.save(tmp_path / "cut.html").read_text("utf-8")
        with_regions.save(tmp_path / "cut.npz")
        with_regions.save(tmp_path / "cut.png")
        map = with_regions.maps["leave_one_out"]
        with np.load(tmp_path / "cut.npz") as file:
            np.testing.assert_array_equal(file["leave_one_out.region_scores"], map.region_scores)
            np.testing.assert_array_equal(file["leave_one_out.regions"], map.regions)
        assert data_of(page)["regions"]["shape"] == [224, 224]
        assert data_of(page)["layers"][0]["kind"] == "region"
        assert Image.open(tmp_path / "cut.png").width == 896
    finally:
        with_regions.close()


@pytest.fixture(scope="module")
def cut(saved):
    """What an Explorer wrote with two of sixteen regions switched off, filled with the mean colour, one of them named."""
    folder = saved[1]
    explorer = sw.Explorer(*sw.demo(), method="leave_one_out")
    explorer.params["leave_one_out"].grid, explorer.params["leave_one_out"].fill = 4, "mean"
    assert explorer.wait(120)
    explorer.regions.name(5, "left <ear>")
    explorer.regions.off = {5, 10}
    assert explorer.wait(120) and not explorer.error
    for name in ("off.html", "off.png", "off.npz"):
        explorer.save(folder / name)
    yield explorer, folder
    explorer.close()


def test_npz_says_what_is_off(cut):
    explorer, folder = cut
    with np.load(folder / "off.npz") as file:
        facts = json.loads(str(file["facts"]))["maps"]["leave_one_out"]
        np.testing.assert_array_equal(file["leave_one_out.regions"], explorer.regions.labels)
        assert file["leave_one_out.off"].tolist() == [5, 10] and facts["names"] == {"5": "left <ear>"}


def test_png_fills_hatches_and_outlines_what_is_off(cut):
    explorer, folder = cut
    picture = np.asarray(Image.open(folder / "off.png").convert("RGB"), float)[:896]
    fill = explorer.session.picture.shown.reshape(-1, 3).mean(0)
    for region in (5, 10):
        top, left = 224 * (region // 4), 224 * (region % 4)
        inside = picture[top + 8:top + 216, left + 8:left + 216].reshape(-1, 3)
        filled = (np.abs(inside - fill) < 3).all(1).mean()
        lighter = (inside > fill + 0.3 * (255 - fill)).all(1).mean()
        assert 0.6 < filled < 0.85 and 0.1 < lighter < 0.3, "the mean colour under white lines"
        assert (picture[top:top + 1, left + 8:left + 216] > 220).all(), "an outline"
    other = picture[8:216, 8:216]
    assert (np.abs(other - fill) < 3).all(2).mean() < 0.2


# ---- in a browser


@pytest.fixture(scope="module")
def chromium():
    yield from launched()


@pytest.fixture
def opened(saved, chromium):
    """`opened(name)`: the page from a file, with every other request aborted; no page error and no request at the end."""
    explorer, folder = saved
    complaints, pages = [], []

    def open_it(name: str):
        address = (folder / name).as_uri()
        page = chromium.new_page(viewport={"width": 1040, "height": 900})
        pages.append(page)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)

        def only_itself(route):
            if route.request.url == address:
                return route.continue_()
            complaints.append(route.request.url)
            route.abort()

        page.route("**/*", only_itself)
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        page.wait_for_selector("#sw-stage[data-painted]")
        return page

    yield open_it
    for page in pages:
        page.close()
    assert not complaints


def hover(page, x: int, y: int) -> None:
    page.locator("#sw-stage").scroll_into_view_if_needed()
    box = page.locator("#sw-stage").bounding_box()
    page.mouse.move(box["x"] + (x + 0.5) / 224 * box["width"], box["y"] + (y + 0.5) / 224 * box["height"])
    page.wait_for_selector(f"#sw-readout :text('({x}, {y})')")


def read(page, layer: str) -> float:
    return float(page.locator(f'#sw-readout [data-layer="{layer}"]').get_attribute("data-value"))


def pixels(page) -> np.ndarray:
    """The stage as painted, once two frames have passed."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    address = page.evaluate("""() => document.querySelector("#sw-stage canvas").toDataURL()""")
    painted = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
    return np.asarray(painted.convert("RGB"), np.float64)


def test_the_probe_reads_every_visible_map(saved, opened):
    explorer, _ = saved
    page = opened("path.html")
    for x, y in (AT, (0, 0), (223, 223), (150, 60)):
        hover(page, x, y)
        for name, title, sign in (("integrated_gradients", "Integrated Gradients", "both"), ("grad_cam", "Grad-CAM", "positive")):
            heat = explorer.maps[name].heatmap(size=(224, 224), sign=sign).astype(np.float64)
            half = (heat.max() - heat.min()) / 65535 / 2
            assert abs(read(page, title) - heat[y, x]) <= half * 1.001


def test_controls_change_what_is_painted(opened):
    page = opened("cam.html")
    both = pixels(page)
    page.get_by_label("show Grad-CAM").click()
    bare = pixels(page)
    assert np.abs(both - bare).mean() > 2
    hover(page, *AT)
    assert page.locator("#sw-readout [data-layer]").count() == 0
    page.get_by_label("show Grad-CAM").click()
    np.testing.assert_array_equal(pixels(page), both)
    page.get_by_label("colour map of Grad-CAM").select_option(label="viridis")
    assert np.abs(pixels(page) - both).mean() > 0.5
    page.get_by_label("colour map of Grad-CAM").select_option(label="magma")
    page.get_by_label("contour of Grad-CAM").click()
    lines = pixels(page)
    assert 0 < np.mean(np.abs(lines - bare).max(2) > 30) < 0.1, "a line, not a field"
    page.get_by_label("contour of Grad-CAM").click()
    page.get_by_label("opacity of Grad-CAM").press("Home")
    np.testing.assert_array_equal(pixels(page), bare)
    page.get_by_label("colour of the photograph").select_option(label="grey")
    assert np.ptp(pixels(page), axis=2).max() <= 1


def test_another_layer_without_a_kernel(saved, opened):
    explorer, _ = saved
    page = opened("cam.html")
    maps = explorer.maps["grad_cam"].details["maps"]
    hover(page, *AT)
    first = read(page, "Grad-CAM")
    other = next(name for name in maps if name == "features.0")
    page.get_by_label("layer of the network").select_option(label=other)
    hover(page, *AT)
    page.wait_for_function(f"""() => document.querySelector('#sw-readout [data-layer="Grad-CAM"]').dataset.value != "{first}" """)
    from saliency_widgets.saliency_map import upsample

    raw = np.asarray(maps[other], np.float64)
    expected = upsample(np.maximum(raw, 0), (224, 224))
    half = np.ptp(raw) / 65535 / 2
    assert abs(read(page, "Grad-CAM") - expected[AT[1], AT[0]]) <= half * 1.01 + 1e-7 * expected.max()
    thumbs = page.locator("#sw-film [role=radio]")
    assert thumbs.count() == 8
    page.locator("#sw-film [role=radio]").last.click()
    hover(page, *AT)
    assert read(page, "Grad-CAM") == first


def test_the_page_shows_what_is_off_and_reads_regions(cut, opened):
    explorer, folder = cut
    page = opened("off.html")
    drops = explorer.maps["leave_one_out"].region_scores
    hover(page, 80, 70)
    assert "left <ear> drop" in page.locator("#sw-readout").inner_text()
    assert read(page, "Leave-one-out") == pytest.approx(float(drops[5]), abs=np.ptp(drops) / 65535)
    hover(page, 140, 140)
    assert "region 10 drop" in page.locator("#sw-readout").inner_text()
    painted = pixels(page)
    box = page.locator("#sw-stage").bounding_box()
    page.mouse.click(box["x"] + 10, box["y"] + 10)
    np.testing.assert_array_equal(pixels(page), painted)  # there is no model to ask
    assert page.locator("#sw-tools button[aria-label^=probe]").is_visible()
    said = page.locator(".sw-made").first.inner_text()
    found = explorer.session.without(explorer.regions.labels, [5, 10], fill="mean")
    assert "Off: regions left <ear>, 10, 12 % of the picture" in said and f"{found.before:.3f} → {found.after:.3f}" in said
    row = page.locator(".sw-class.sw-on").inner_text()
    assert f"{found.before:.2f} → {found.after:.2f}" in row


def test_the_picture_agrees_with_the_page(saved, cut, opened):
    """The same pixels in Python and in the browser, but for their different ways to enlarge."""
    _, folder = saved
    for name in ("cam", "path", "off"):
        page = opened(f"{name}.html")
        seen = Image.fromarray(pixels(page).astype(np.uint8)).resize((224, 224), Image.Resampling.BOX)
        written = Image.open(folder / f"{name}.png").convert("RGB").crop((0, 0, 896, 896))
        written = written.resize((224, 224), Image.Resampling.BOX)
        gap = np.abs(np.asarray(seen, float) - np.asarray(written, float))
        assert gap.mean() < 3 and np.percentile(gap, 99) < (40 if name == "off" else 25)  # thin lines, thinner than a pixel here


def test_pinned_layers_work_in_the_page(saved, opened):
    explorer, _ = saved
    page = opened("three.html")
    pinned = f"Integrated Gradients · {explorer.maps['integrated_gradients'].label}"
    names = page.locator("#sw-rows .sw-layer .sw-layer-name")
    assert names.all_inner_texts() == ["Integrated Gradients", pinned, "Grad-CAM", "photograph"]
    assert page.locator(".sw-pin").count() == 0, "nobody computes here"
    whole = pixels(page)
    dot = page.get_by_label(f"show {pinned}")
    dot.click(modifiers=["Alt"])
    hover(page, *AT)
    assert page.locator("#sw-readout [data-layer]").count() == 1
    alone = pixels(page)
    assert np.abs(alone - whole).max() > 20
    page.get_by_label(f"more about {pinned}").click()
    page.get_by_label(f"threshold of {pinned} by").select_option("mass")
    top = pixels(page)
    assert 0 < (np.abs(top - alone).max(2) > 8).mean(), "the rest of the map is gone"
    page.get_by_label(f"sign of {pinned}").select_option("negative")
    assert np.abs(pixels(page) - top).max() > 20
    names.nth(1).press("Alt+ArrowUp")
    assert names.all_inner_texts()[0] == pinned
