"""Explorers side by side: one pointer, one zoom, one class, their difference and a swipe, by real pointer events."""
from __future__ import annotations

import base64

import numpy as np
import pytest

CELLS = ["c = sw.Compare.of(*sw.demo(), method=['grad_cam', 'integrated_gradients'])\nex = c[0]\nc.wait(60)\nc"]
READ = """() => [...document.querySelectorAll(".sw-cell")].map((cell) => {
  const values = [...cell.querySelectorAll(".sw-readout [data-value]")].map((n) => [n.dataset.layer, Number(n.dataset.value)]);
  return [cell.querySelector(".sw-at")?.textContent ?? "", Object.fromEntries(values)]; })"""
DRAWN = """(n) => {
  const base = document.querySelectorAll(".sw-cell .sw-base")[n], x = base.getContext("2d");
  const data = x.getImageData(0, 0, base.width, base.height).data, parts = [];
  for (let i = 0; i < data.length; i += 32768) parts.push(String.fromCharCode(...data.subarray(i, i + 32768)));
  return [base.width, base.height, btoa(parts.join(""))]; }"""


@pytest.fixture
def compared(open_notebook):
    notebook = open_notebook(CELLS, width=1200, height=1250)
    yield notebook
    notebook.run("c.close()")


def settled(notebook):
    """Everything is computed and painted."""
    assert notebook.value("c.wait(60)")
    seqs = notebook.value("[' '.join(str(l.seq) for l in one.face.layers) for one in c.explorers]")
    notebook.page.wait_for_function("""(seqs) => { const all = [...document.querySelectorAll(".sw-grid .sw-picture")];
      return seqs.every((s, i) => all[i]?.dataset.painted === s); }""", arg=seqs)


def at(notebook, number, x, y):
    box = notebook.page.locator(".sw-grid .sw-picture").nth(number).bounding_box()
    return box["x"] + (x + 0.5) / 224 * box["width"], box["y"] + (y + 0.5) / 224 * box["height"]


def pixels(notebook, number):
    width, height, data = notebook.page.evaluate(DRAWN, number)
    return np.frombuffer(base64.b64decode(data), np.uint8).astype(int).reshape(height, width, 4)


def test_one_pointer_reads_both_maps_without_a_message(compared):
    settled(compared)
    page = compared.page
    maps = [compared.array(f"c[{n}].face.layers[0].decode()") for n in (0, 1)]
    page.mouse.move(*at(compared, 0, 30, 40))
    page.wait_for_timeout(800)
    before = len(compared.sent)
    page.mouse.move(*at(compared, 0, 60, 100))
    page.wait_for_function("[...document.querySelectorAll('.sw-cell .sw-at')].every((n) => n.textContent === '(60, 100)')")
    (_, first), (_, second) = page.evaluate(READ)
    assert first["Grad-CAM"] == maps[0][100, 60] and second["Integrated Gradients"] == maps[1][100, 60]
    page.mouse.move(*at(compared, 1, 150, 20))
    page.wait_for_function("[...document.querySelectorAll('.sw-cell .sw-at')].every((n) => n.textContent === '(150, 20)')")
    page.wait_for_timeout(600)
    assert len(compared.sent) == before, "pointing asks the kernel for nothing"
    page.get_by_role("button", name="link pointer").click()
    compared.until("not c.link_crosshair")
    page.mouse.move(*at(compared, 0, 10, 10))
    page.wait_for_function("document.querySelector('.sw-cell .sw-at')?.textContent === '(10, 10)'")
    assert page.evaluate(READ)[1][0] != "(10, 10)"


def test_one_zoom_and_a_held_bare_picture(compared):
    settled(compared)
    page = compared.page
    page.mouse.move(*at(compared, 1, 112, 112))
    before = pixels(compared, 0)
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(300)
    near = [pixels(compared, n) for n in (0, 1)]
    assert np.abs(near[0] - before).max() > 50, "the other cell zoomed, too"
    x, y = at(compared, 1, 180, 60)
    page.mouse.move(x, y)
    page.wait_for_function("new Set([...document.querySelectorAll('.sw-cell .sw-at')].map((n) => n.textContent)).size === 1")
    page.locator(".sw-cell .sw-over").nth(1).focus()
    page.keyboard.down("b")
    page.wait_for_timeout(300)
    bare = [pixels(compared, n) for n in (0, 1)]
    assert np.abs(bare[0] - bare[1]).max() <= 1, "the same part of the same picture, without maps"
    assert np.abs(bare[0] - near[0]).max() > 50
    page.keyboard.up("b")
    page.wait_for_timeout(300)
    assert (pixels(compared, 0) == near[0]).all()


def test_one_class_and_whose_panel_is_shown(compared):
    settled(compared)
    page = compared.page
    names = compared.value("c[0].session.labels")
    other = compared.value("[i for i, *_ in c[0].session.top(5) if i != c[0].target][0]")
    page.locator(".sw-chosen .sw-names button", has_text=names[other]).first.click()
    compared.until(f"c.wait(60) and all(one.target == {other} and one.maps[one.method].target == {other} for one in c.explorers)")
    page.locator(".sw-cell-title", has_text="Integrated Gradients").click()
    compared.until("c.chosen == 1")
    page.locator(".sw-chosen .sw-families").wait_for()
    assert page.locator(".sw-chosen .sw-families .sw-on, .sw-chosen .sw-families .mod-active").first.inner_text() == "Path"
    compared.shot("compare-chosen", ".sw-compare")


def test_the_difference_is_that_of_the_maps(compared):
    settled(compared)
    page = compared.page
    page.get_by_role("radio", name="difference").click()
    compared.until("c.wait(60) and c.view == 'difference' and c.face.difference.layers[0].seq")
    first, second = (compared.array(f"c[{n}].maps[c[{n}].method].heatmap(size=(224, 224), sign=s)")
                     for n, s in ((0, "positive"), (1, "both")) if not compared.run(f"s = {s!r}"))
    expected = 1000 * (first / np.abs(first).sum() - second / np.abs(second).sum())
    shown = compared.array("c.face.difference.layers[0].decode()")
    assert np.abs(shown - expected).max() <= (expected.max() - expected.min()) / 65535
    page.mouse.move(*at(compared, 2, 70, 80))
    page.wait_for_function("[...document.querySelectorAll('.sw-cell .sw-at')].every((n) => n.textContent === '(70, 80)')")
    assert page.evaluate(READ)[2][1]["difference"] == pytest.approx(shown[80, 70], abs=1e-12)
    compared.shot("compare-difference", ".sw-compare")


def test_the_swipe_shows_one_map_on_either_side(compared):
    settled(compared)
    page = compared.page
    page.get_by_role("radio", name="swipe").click()
    compared.until("c.wait(60) and c.view == 'swipe' and all(l.seq for l in c.face.swipe.layers)")
    page.wait_for_function("document.querySelector('.sw-grid .sw-picture[data-painted]')")
    page.mouse.move(*at(compared, 0, 2, 112))
    page.wait_for_timeout(300)
    right = pixels(compared, 0)
    page.mouse.move(*at(compared, 0, 221, 112))
    page.wait_for_timeout(300)
    left = pixels(compared, 0)
    page.mouse.move(*at(compared, 0, 112, 112))
    page.wait_for_timeout(300)
    half, middle = pixels(compared, 0), left.shape[1] // 2
    assert np.abs(left - right).max() > 100, "the maps differ"
    assert (half[:, :middle - 4] == left[:, :middle - 4]).all() and (half[:, middle + 4:] == right[:, middle + 4:]).all()
    compared.shot("compare-swipe", ".sw-compare")


@pytest.mark.parametrize("theme", [pytest.param("light", marks=pytest.mark.slow), "dark"])
def test_how_it_looks(open_notebook, theme):
    notebook = open_notebook(CELLS, width=1200, height=1250, theme=theme)
    settled(notebook)
    notebook.page.mouse.move(*at(notebook, 0, 60, 100))
    notebook.page.wait_for_timeout(400)
    notebook.shot(f"compare-{theme}", ".sw-compare")
    overflow = notebook.page.evaluate("""() => { const c = document.querySelector(".sw-compare"), b = c.getBoundingClientRect();
      return [...c.querySelectorAll("*")].filter((n) => n.getClientRects().length && n.getBoundingClientRect().right > b.right + 1
        && getComputedStyle(n).visibility !== "hidden").map((n) => n.className).slice(0, 5); }""")
    assert overflow == []
    notebook.run("c.close()")
