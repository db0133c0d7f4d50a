"""Every tool of region editing with a real pointer and with keys, against label maps in Python and plain forwards."""
import numpy as np
import pytest

from saliency_widgets import drawing
from saliency_widgets import regions as R

SIZE = (224, 224)
MAP = "ex.maps['leave_one_out']"
SCORES = """
import torch
def plain(sets, fill=0.0):
    "Scores of the target and probabilities without each set of regions, by one plain forward each."
    x, labels, model, found = ex.session.picture.x.clone(), ex.regions.labels, ex.session.subject.model, []
    black = ex.session.picture.space.to_input(torch.full_like(x[0], fill))
    with torch.no_grad():
        for regions in sets:
            masked = x.clone()
            off = torch.from_numpy(np.isin(labels, list(regions)))
            masked[0][:, off] = black[:, off]
            found.append(model(masked)[0].double().numpy())
    return np.array(found)
"""


@pytest.fixture
def cut(demo):
    """The embedded demo with leave-one-out on the 14 × 14 grid."""
    demo.choose_family("Cut")
    demo.run(SCORES)
    demo.run("ex.session.stats.reset()")
    return demo


def tool(cut, name):
    """Take a tool from the row; it stays pressed."""
    button = cut.page.locator(f".sw-explorer .sw-tool-row:visible button[aria-label^='{name}']")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"


def stroke(cut, *points, pause=0):
    """Press at the first point (x, y) in pixels of the picture, move along the others, let go."""
    box = cut.box()
    at = [(box["x"] + x / 224 * box["width"], box["y"] + y / 224 * box["height"]) for x, y in points]
    cut.page.mouse.move(*at[0])
    cut.page.mouse.down()
    for x, y in at[1:]:
        cut.page.mouse.move(x, y, steps=4)
        cut.page.wait_for_timeout(pause)
    cut.page.mouse.up()


def edited(cut, count):
    """Wait until that many edits have arrived and are evaluated; the label map then."""
    cut.until(f"ex.regions.undoable == {count} and ex.wait(60) and {MAP}.final and "
              f"np.array_equal({MAP}.regions, ex.regions.labels)")
    cut.settle()
    assert cut.value("ex.error") == ""
    return cut.array("ex.regions.labels").astype(int)


def spent(cut):
    return cut.value("ex.session.stats.forward_samples")


def on_stage(cut):
    """What the page says is off."""
    return cut.value("list(ex.face.stage.canvas.off)")


def test_a_click_switches_a_region_and_everything_follows(cut):
    page, drops = cut.page, cut.array(f"{MAP}.region_scores")
    a, b = 14 * 6 + 6, 14 * 6 + 7
    before = cut.canvas()
    page.mouse.click(*cut.place(104, 104))
    cut.until("ex.regions.off == {90}")
    page.wait_for_function("document.querySelector('.sw-what').innerText.includes('✓ evaluated')")
    assert spent(cut) == 0, "one region's drop is known"
    page.mouse.click(*cut.place(120, 104))
    cut.until("ex.regions.off == {90, 91} and ex.wait()")
    page.wait_for_function("document.querySelector('.sw-what').innerText.includes('2 regions off')")
    page.wait_for_function("document.querySelector('.sw-what').innerText.includes('✓ evaluated')")
    assert spent(cut) == 1
    logits = cut.array(f"plain([[], [{a}, {b}]])")
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    target = cut.value("ex.target")
    said = page.locator(".sw-explorer .sw-what").inner_text()
    assert f"{chances[0, target]:.3f} → {chances[1, target]:.3f}" in said
    change = logits[1, target] - logits[0, target]
    assert f"{'−' if change < 0 else '+'}{abs(change):.2f} logit" in said
    one_by_one = -drops[[a, b]].sum()
    assert f"one by one: {'−' if one_by_one < 0 else '+'}{abs(one_by_one):.2f}" in said
    rows = page.locator(".sw-explorer .sw-numbers").inner_text().split("\n")
    indices = cut.value("ex.face.classes.indices")
    assert [row for row in rows if row.strip()][0].startswith(f"{chances[1, indices[0]]:.3f}")
    ticks = page.locator(".sw-explorer .sw-ticks i")
    assert ticks.count() == 5
    bars = cut.box(".sw-bars")
    tick = ticks.nth(0).bounding_box()
    largest = max(chances[:, indices].max(), 1e-9)
    assert abs((tick["x"] - bars["x"]) / bars["width"] - chances[0, indices[0]] / largest) < 0.02
    page.mouse.move(5, 5)
    page.wait_for_timeout(200)
    after = cut.canvas()
    k = after.shape[0] / 224
    inside = after[int(98 * k):int(110 * k), int(98 * k):int(126 * k), :3]
    assert (inside.min(2) < 12).mean() > 0.3 and (inside.min(2) > 60).mean() > 0.05, "black, and hatched"
    assert np.array_equal(after[int(150 * k):, :, :3], before[int(150 * k):, :, :3]), "the rest is as it was"
    marks = page.evaluate("document.querySelector('.sw-rank-ticks').getAttribute('d').split('M').length - 1")
    assert marks == 2
    page.locator(".sw-explorer .sw-what button", has_text="switch all on").click()
    cut.until("not ex.regions.off")
    page.wait_for_function("document.querySelector('.sw-what').innerText.includes('nothing is off')")
    assert spent(cut) == 1 and page.locator(".sw-explorer .sw-ticks i").count() == 0


def test_a_click_on_a_ranked_bar_switches_its_region(cut):
    order = cut.value("[int(r) for r in ex.face.method.bodies['leave_one_out'].ranks]")
    box = cut.box(".sw-rank-hit")
    place = 3
    cut.page.mouse.move(box["x"] + (place + 0.5) / 196 * box["width"], box["y"] + 30)
    cut.page.wait_for_function("document.querySelector('.sw-rank-arrow').getAttribute('d') !== ''")
    cut.page.wait_for_function(f"document.querySelector('.sw-readout').innerText.includes('region {order[place]} drop')")
    cut.page.mouse.down()
    cut.page.mouse.up()
    cut.until(f"ex.regions.off == {{{order[place]}}}")


def test_each_drawing_tool_makes_its_region(cut):
    grid = R.grid(SIZE, 14, 14)
    drops = cut.array(f"{MAP}.region_scores")
    tool(cut, "rectangle")
    stroke(cut, (40.5, 30.5), (71.5, 59.5))
    labels = edited(cut, 1)
    mask = np.zeros(SIZE, bool)
    mask[30:60, 40:72] = True
    assert np.array_equal(labels, R.as_labels(drawing.draw(grid, mask), SIZE))
    changed = [r for r in range(labels.max() + 1) if not (grid[labels == r][0] < 196 and
                                                         np.array_equal(labels == r, grid == grid[labels == r][0]))]
    assert spent(cut) <= len(changed) + 5, "only what changed was evaluated, and what five moves of the drag asked for"
    kept = [r for r in range(labels.max() + 1) if r not in changed]
    now = cut.array(f"{MAP}.region_scores")
    np.testing.assert_allclose(now[kept], drops[[grid[labels == r][0] for r in kept]], atol=1e-5)
    logits = cut.array(f"plain([[], *[[r] for r in {changed}]])")[:, cut.value("ex.target")]
    np.testing.assert_allclose(now[changed], logits[0] - logits[1:], atol=2e-3)

    tool(cut, "lasso")
    stroke(cut, (100, 100), (140, 104), (136, 140), (104, 136))
    lassoed = edited(cut, 2)
    new = lassoed == lassoed.max()
    assert new[120, 120] and not new[96, 96] and 1000 < new.sum() < 1500
    assert np.array_equal(*(R.as_labels(one[:90], (90, 224)) for one in (lassoed, labels))), "the rest is as it was"

    tool(cut, "brush")
    stroke(cut, (20, 180), (80, 180))
    brushed = edited(cut, 3)
    new = brushed == brushed.max()
    radius = 6
    assert np.array_equal(new, drawing.disc_along([(20.0, 180.0), (80.0, 180.0)], radius, SIZE)) or \
        abs(new.sum() - (60 * 2 * radius + 3.14 * radius**2)) < 80
    stroke(cut, (70, 180), (70, 200))
    more = edited(cut, 4)
    assert more.max() == brushed.max() and more[195, 70] == more[180, 40], "begun on it, it paints more of it"

    tool(cut, "eraser")
    stroke(cut, (30, 180), (12, 180))
    erased = edited(cut, 5)
    region = more[180, 60]
    assert erased[180, 60] == region and erased[180, 25] != region and (erased == region).sum() < (more == region).sum()

    for count in (4, 3, 2, 1, 0):
        cut.page.locator(".sw-explorer button[aria-label^='undo']").click()
        cut.until(f"ex.regions.undoable == {count}")
    assert np.array_equal(cut.array("ex.regions.labels"), grid), "all the way back, exactly"
    for count in (1, 2, 3, 4, 5):
        cut.page.locator(".sw-explorer button[aria-label^='redo']").click()
        cut.until(f"ex.regions.undoable == {count}")
    assert np.array_equal(cut.array("ex.regions.labels"), erased)
    assert cut.page.locator(".sw-explorer button[aria-label^='redo']").is_disabled()


def test_split_and_merge(cut):
    tool(cut, "merge")
    stroke(cut, (8, 8), (24, 8), (24, 24))
    labels = edited(cut, 1)
    assert labels.max() == 193 and (labels == labels[8, 8]).sum() == 3 * 256 and labels[24, 24] == labels[8, 8]
    assert spent(cut) <= 2
    tool(cut, "split")
    cut.run("ex.session.stats.reset()")
    stroke(cut, (1.5, 8), (40, 8))
    labels = edited(cut, 2)
    assert labels.max() == 194 and labels[2, 20] != labels[14, 20] and spent(cut) <= 2
    cut.run("ex.session.stats.reset()")
    box = cut.box()
    cut.page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    labels = edited(cut, 3)
    assert labels.max() > 194, "a click splits into superpixels"
    region = cut.value("len(ex.regions)")
    scores = cut.array(f"{MAP}.region_scores")
    logits = cut.array(f"plain([[], *[[r] for r in range({region} - 4, {region})]])")[:, cut.value("ex.target")]
    np.testing.assert_allclose(scores[-4:], logits[0] - logits[1:], atol=2e-3)


def test_a_drag_says_what_it_would_drop(cut):
    tool(cut, "rectangle")
    box = cut.box()
    at = [(box["x"] + x / 224 * box["width"], box["y"] + y / 224 * box["height"]) for x, y in ((64.5, 64.5), (120.5, 130.5))]
    cut.page.mouse.move(*at[0])
    cut.page.mouse.down()
    cut.page.evaluate("""() => {
      window.swTags = new Set();
      new MutationObserver(() => window.swTags.add(document.querySelector('.sw-tag').textContent)).observe(
        document.querySelector('.sw-tag'), {childList: true, characterData: true, subtree: true});
    }""")
    cut.page.mouse.move(*at[1], steps=25)
    cut.run("_mask = np.zeros((224, 224), int); _mask[64:131, 64:121] = 1; _w = ex.session.without(_mask, [1])")
    change = cut.value("_w.change")
    words = f"{'−' if change < 0 else '+'}{abs(change):.2f} logit"
    cut.page.wait_for_function("(words) => document.querySelector('.sw-tag').textContent === words", arg=words)
    print(f"drag: {cut.page.evaluate('window.swTags.size')} drops during 25 moves, {words} at the end")
    assert cut.value("ex.regions.undoable") == 0
    cut.page.keyboard.press("Escape")
    cut.page.mouse.up()
    cut.page.wait_for_timeout(300)
    assert cut.value("ex.wait() and ex.regions.undoable") == 0, "Esc lets go of the drawing"


def test_by_keyboard_alone(cut):
    page = cut.page
    page.locator(".sw-explorer .sw-over").focus()
    page.mouse.move(5, 5)
    page.keyboard.press("ArrowRight")
    cut.page.wait_for_function("document.querySelector('.sw-at') !== null")
    x, y = cut.probe()
    page.keyboard.press("ArrowRight")
    cut.page.wait_for_function(f"document.querySelector('.sw-at').textContent !== '({x}, {y})'")
    assert cut.probe()[0] // 16 == x // 16 + 1 and cut.probe()[1] // 16 == y // 16, "an arrow leads to the next region"
    page.keyboard.press("Enter")
    x, y = cut.probe()
    here = y // 16 * 14 + x // 16
    cut.until(f"ex.regions.off == {{{here}}}")
    page.keyboard.press("u")
    cut.until("not ex.regions.off")
    page.keyboard.press("Control+Shift+z")
    cut.until(f"ex.regions.off == {{{here}}}")
    page.keyboard.press("o")
    cut.until("not ex.regions.off")
    page.keyboard.press("r")
    assert page.locator(".sw-explorer button[aria-label^='rectangle']").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    cut.until("len(ex.regions) > 190 and ex.regions.undoable == 3")
    drawn = cut.array("ex.regions.labels == len(ex.regions) - 1").astype(bool)
    assert drawn.sum() == 31 * 31 and drawn[y, x]
    page.keyboard.press("Escape")
    assert page.locator(".sw-explorer button[aria-label^='switch regions']").get_attribute("aria-pressed") == "true"
    page.keyboard.press(">")
    cut.until("ex.regions.undoable == 4")
    page.keyboard.press("Control+z")
    cut.until("ex.regions.undoable == 3")
    page.keyboard.press("Delete")
    cut.until("ex.regions.undoable == 4")


def test_edits_in_code_show_and_the_menu_names(cut):
    page = cut.page
    cut.run("_n = ex.regions.rectangle(60, 60, 120, 120, 'ear'); ex.regions.switch('ear')")
    page.wait_for_function("document.querySelector('.sw-what').innerText.includes('1 region off')")
    assert on_stage(cut) == [cut.value("_n")]
    cut.settle()
    cut.hover(90, 90)
    assert "ear drop" in page.locator(".sw-explorer .sw-readout").inner_text()
    page.mouse.click(*cut.place(90, 90))
    cut.until("not ex.regions.off")
    page.locator(".sw-explorer .sw-region-menu .sw-menu").click()
    field = page.locator(".sw-explorer .sw-region-menu input")
    assert field.input_value() == "ear"
    field.fill("left ear")
    field.press("Enter")
    cut.until("'left ear' in ex.regions.names.values()")
    page.locator(".sw-explorer .sw-region-menu button", has_text="grow").click()
    cut.until("ex.regions.mask('left ear').sum() > 60 * 60")
    cut.page.locator(".sw-explorer .sw-param.widget-dropdown", has=page.locator("label", has_text="regions")).locator(
        "select").select_option("slic")
    cut.until("ex.params.leave_one_out.regions == 'slic' and ex.wait(60)")
    page.locator(".sw-explorer button[aria-label^='undo']").click()
    cut.until("'left ear' in ex.regions.names.values()")
    cut.settle()


def test_a_stroke_ends_where_the_tools_change_and_bad_messages_are_dropped(cut):
    page = cut.page
    tool(cut, "split")
    stroke(cut, (52, 52), (56, 56))
    cut.until("'does not cut region' in ex.error")
    assert "does not cut region" in cut.status() and cut.value("ex.regions.undoable") == 0
    tool(cut, "lasso")
    cut.choose_family("CAM")
    page.wait_for_function("document.querySelector('.sw-tools button[aria-label^=probe]').checkVisibility()")
    page.mouse.click(*cut.place(50, 50))
    cut.choose_family("Cut")
    assert page.locator(".sw-explorer button[aria-label^='switch regions']").get_attribute("aria-pressed") == "true"
    cut.run("""for content, data in [({'kind': 'edit', 'op': 'lasso'}, b'123'), ({'kind': 'edit', 'op': []}, b''), ({}, b'')]:
    ex.face.stage.canvas._handle_custom_msg(content, [data])""")
    assert cut.value("ex.regions.undoable") == 0 and cut.value("ex.error") == ""
