"""The Explorer in Notebook 7, in a notebook saved with its state and opened without its kernel, and fifty in one page."""
from __future__ import annotations

import base64
import importlib.util
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .lab import ROOT
from .notebook import PRELUDE, SHOTS

STATE = "@jupyter-widgets/jupyterlab-manager:saveWidgetState"
ALIVE = """window.swHeld.filter(([type, signal]) => !signal.aborted && (type.startsWith("sw-") || type === "keydown")).length"""


@pytest.mark.skipif(importlib.util.find_spec("notebook") is None, reason="Notebook 7 is not installed: pip install 'notebook>=7'")
def test_notebook_7(chromium, lab):
    name = lab.write([PRELUDE, "ex = sw.Explorer(*sw.demo())\nex"])
    frame = chromium.new_context(viewport={"width": 1200, "height": 1100})
    page, errors = frame.new_page(), []
    page.on("pageerror", lambda error: errors.append(f"{error}\n{error.stack}"))
    page.set_default_timeout(60_000)
    page.goto(f"{lab.url}/notebooks/{name}")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    picture = page.locator(".sw-explorer .sw-picture[data-painted]")
    picture.wait_for(state="attached")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
    value = page.locator(".sw-explorer .sw-readout .sw-value")
    value.wait_for()
    assert 0 <= float(value.inner_text()) <= 1
    names = page.locator(".sw-explorer .sw-names button")
    second = names.nth(1).inner_text()
    names.nth(1).click()
    page.wait_for_function("""(name) => document.querySelector(".sw-legend").innerText.includes(name)""", arg=second)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "notebook-7.png")
    assert [error for error in errors if "blob:" in error] == [], "ours are loaded from there; Notebook has errors of its own"
    frame.close()


def test_saved_with_its_state_and_opened_without_its_kernel(demo, lab, chromium):
    demo.choose_family("Path")
    expected = demo.array("ex.face.layers[0].decode()")
    demo.page.mouse.move(1, 1)
    demo.page.wait_for_timeout(300)
    before = demo.canvas()
    if not demo.page.evaluate(f"window.jupyterapp.commands.isToggled({STATE!r})"):
        demo.command(STATE)
        demo.page.wait_for_timeout(1000)
    demo.command("docmanager:save")
    saved = lab.notebooks / demo.name

    def has_state():
        return "widgets" in json.loads(saved.read_text())["metadata"]

    for _ in range(50):
        if has_state():
            break
        demo.page.wait_for_timeout(200)
    assert has_state(), "the notebook carries the state"
    copy = lab.notebooks / "reopened.ipynb"
    shutil.copy(saved, copy)  # a name that no kernel knows: a fresh one starts, in which nothing was run
    frame = chromium.new_context(viewport={"width": 1070, "height": 1000})
    page = frame.new_page()
    page.set_default_timeout(60_000)
    try:
        page.goto(f"{lab.url}/doc/tree/{copy.name}?reset")
        page.wait_for_selector(".sw-explorer .sw-picture[data-painted]", state="attached")
        page.locator(".sw-explorer").first.evaluate("(node) => node.scrollIntoView({block: 'start'})")
        page.wait_for_timeout(1000)
        box = page.locator(".sw-explorer .sw-picture").bounding_box()
        page.mouse.move(box["x"] + 60.5 / 224 * box["width"], box["y"] + 100.5 / 224 * box["height"])
        value = page.locator(".sw-explorer .sw-readout [data-value]").first
        value.wait_for()
        assert float(value.get_attribute("data-value")) == pytest.approx(expected[100, 60], abs=1e-12)
        page.mouse.move(1, 1)
        page.wait_for_timeout(300)
        page.locator(".sw-explorer").first.screenshot(path=SHOTS / "without-kernel.png")
        url = page.evaluate("document.querySelector('.sw-explorer .sw-base').toDataURL()")
        again = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))).astype(int)
        assert again.shape == before.shape and np.abs(again - before).mean() < 1, "picture and map are there"
    finally:
        frame.close()


def many(notebook, count):
    """Open and close explorers in one cell, one after the other; what the page and the kernel hold after ten and at the end."""
    page, held = notebook.page, []
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    notebook.run("import ipywidgets, threading\nfrom ipywidgets.widgets.widget import _instances")

    def weigh():
        session.send("HeapProfiler.collectGarbage")
        metrics = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
        threads = "[t.name for t in threading.enumerate() if t.name.startswith('saliency-widgets')]"
        return {"heap": metrics["JSHeapUsedSize"] / 2**20, "nodes": metrics["Nodes"], "listening": page.evaluate(ALIVE),
                "widgets": notebook.value("len(_instances)"), "threads": notebook.value(threads)}

    for number in range(count):
        page.evaluate("""async () => {
          const app = window.jupyterapp, panel = app.shell.currentWidget;
          panel.content.activeCellIndex = 1;
          await app.commands.execute("notebook:run-cell");
        }""")
        page.wait_for_selector(".sw-explorer .sw-picture[data-painted]", state="attached")
        notebook.run("ex.close()")
        notebook.command("notebook:clear-cell-output")
        page.wait_for_function("!document.querySelector('.sw-explorer')")
        if number in (9, count - 1):
            page.wait_for_timeout(500)
            held.append(weigh())
    notebook.run("globals().pop('ex', None)")
    return held


@pytest.mark.parametrize("count", [pytest.param(16, id="16"), pytest.param(50, id="50", marks=pytest.mark.slow)])
def test_many_are_opened_and_closed(open_notebook, count):
    notebook = open_notebook(run=False)
    notebook.run_all()
    notebook.page.wait_for_selector(".sw-explorer .sw-picture[data-painted]", state="attached")
    notebook.run("ex.close()")
    early, late = many(notebook, count)
    assert late["threads"] == early["threads"] and late["widgets"] == early["widgets"]
    assert late["listening"] == early["listening"] == 0
    # JupyterLab keeps 2 MiB of any 270 widgets that were opened and closed (sliders, say); ours must not add to it.
    assert late["heap"] - early["heap"] < 3 * (count - 10), (early, late)
    print(count, early, late)


def test_the_bundle_calls_no_front_end_by_name():
    """What anywidget gives is the whole protocol: nothing of JupyterLab, Notebook or VS Code is asked for."""
    for bundle in ("explorer.js", "page.js"):
        text = (Path(ROOT) / "saliency_widgets" / "static" / bundle).read_text("utf-8")
        for name in ("jupyterapp", "jupyterlab", "@jupyter", "acquireVsCodeApi", "window.require", "requirejs", "google.colab"):
            assert name not in text, (bundle, name)
