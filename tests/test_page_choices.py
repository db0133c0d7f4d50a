"""What a reader of the stand-alone page may choose: another class, another point of the path; in Chromium, with no network."""
from __future__ import annotations

import numpy as np
import pytest

import saliency_widgets as sw

from .test_export import AT, chromium, data_of, hover, opened, pixels, read  # noqa: F401 (fixtures)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """An Explorer that wrote Grad-CAM, and leave-one-out over it, and Integrated Gradients with few steps."""
    folder = tmp_path_factory.mktemp("choices")
    explorer = sw.Explorer(*sw.demo())
    explorer.save(folder / "cam.html")
    explorer.method = "leave_one_out"
    assert explorer.wait(120)
    explorer.save(folder / "cut.html")
    explorer.params["integrated_gradients"].steps = 16
    explorer.params["integrated_gradients"].alpha = (0.25, 1.0)
    explorer.method = "integrated_gradients"
    assert explorer.wait(120) and not explorer.error
    explorer.save(folder / "path.html")
    yield explorer, folder
    explorer.close()


def expected_of(explorer, method, target, sign, **params):
    return explorer.session.map(method, target=target, **params).heatmap(size=(224, 224), sign=sign).astype(np.float64)


def test_other_classes_show_their_maps_and_the_first_comes_back(saved, opened):  # noqa: F811
    explorer, folder = saved
    page = opened("cam.html")
    target, (other, label, _) = explorer.target, explorer.session.top(2)[1]
    before = pixels(page)
    row = page.locator(f".sw-class[data-class='{other}']")
    row.click()
    assert row.get_attribute("aria-pressed") == "true" and label in page.locator("#sw-made").inner_text()
    hover(page, *AT)
    heat = expected_of(explorer, "grad_cam", other, "positive")
    assert abs(read(page, "Grad-CAM") - heat[AT[1], AT[0]]) <= np.ptp(heat) / 65535
    assert label in page.locator("#sw-legend").inner_text()
    raw = explorer.session.map("grad_cam", target=other).details["maps"]["features.0"]
    page.get_by_label("layer of the network").select_option(label="features.0")
    hover(page, *AT)
    from saliency_widgets.saliency_map import upsample
    wanted = upsample(np.maximum(np.asarray(raw, np.float64), 0), (224, 224))[AT[1], AT[0]]
    assert abs(read(page, "Grad-CAM") - wanted) <= np.ptp(raw) / 65535 + 1e-6, "the film is that class's, too"
    first = page.locator(f".sw-class[data-class='{target}']")
    first.focus()
    page.keyboard.press("Enter")
    page.mouse.move(2, 2)
    page.wait_for_timeout(100)
    np.testing.assert_array_equal(pixels(page), before)


def test_a_cut_map_of_another_class_brings_its_drops(saved, opened):  # noqa: F811
    explorer, _ = saved
    page = opened("cut.html")
    other = explorer.session.top(3)[2][0]
    page.locator(f".sw-class[data-class='{other}']").click()
    hover(page, *AT)
    heat = expected_of(explorer, "leave_one_out", other, "both")
    assert abs(read(page, "Leave-one-out") - heat[AT[1], AT[0]]) <= np.ptp(heat) / 65535


def test_the_path_is_walked_without_a_kernel(saved, opened):  # noqa: F811
    explorer, folder = saved
    page = opened("path.html")
    whole = pixels(page)
    slider = page.get_by_label("end of the α window")
    assert slider.get_attribute("max") == "24" and "0.25" in page.locator("#sw-path").inner_text()
    slider.focus()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    middle = float(slider.get_attribute("aria-valuetext"))
    assert middle == pytest.approx((0.25 + 1) / 2, abs=0.006)
    hover(page, *AT)
    heat = expected_of(explorer, "integrated_gradients", explorer.target, "both", steps=16, alpha=(0.25, 0.625))
    assert abs(read(page, "Integrated Gradients") - heat[AT[1], AT[0]]) <= np.abs(heat).max() / 254 * 1.01
    shown = page.locator("#sw-path img")
    assert shown.count() == 2 and shown.first.evaluate("(n) => n.complete && n.naturalWidth") == 168
    page.mouse.move(2, 2)
    assert np.abs(pixels(page) - whole).mean() > 0.05
    page.keyboard.press("End")
    page.wait_for_timeout(100)
    np.testing.assert_array_equal(pixels(page), whole)
    page.get_by_role("button", name="play").click()
    page.wait_for_function("() => document.querySelector('#sw-path input').value === '24' && "
                           "document.querySelector('#sw-path button').textContent === 'play'", timeout=15_000)


def test_frames_and_classes_are_those_of_the_methods(saved):
    explorer, folder = saved
    data = data_of((folder / "path.html").read_text("utf-8"))
    assert len(data["path"]["frames"]) == 25 and data["path"]["frames"][0]["vmax"] == 0
    assert [entry["target"] for entry in data_of((folder / "cam.html").read_text("utf-8"))["classes"]][0] == explorer.target
    assert data_of((folder / "cam.html").read_text("utf-8"))["path"] is None


def test_what_costs_much_is_not_made_for_other_classes(tmp_path, monkeypatch):
    from saliency_widgets import page_choices

    from .small import small, tensor

    ex = sw.Explorer(small(), tensor(), method="gradient")
    try:
        assert ex.wait()
        monkeypatch.setattr(page_choices, "PATIENCE", 0.0)
        samples = ex.session.stats.forward_samples
        ex.save(tmp_path / "dear.html")
        assert ex.session.stats.forward_samples == samples
        assert len(data_of((tmp_path / "dear.html").read_text("utf-8"))["classes"]) == 1
        monkeypatch.undo()
        ex.save(tmp_path / "cheap.html")
        assert ex.session.stats.forward_samples == samples + 4
        assert len(data_of((tmp_path / "cheap.html").read_text("utf-8"))["classes"]) == 5
    finally:
        ex.close()
