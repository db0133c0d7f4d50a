"""The layer list under a hand: pins, solo, limits, sign, blending, threshold by mass, shared scale, order; the kernel rests."""
import numpy as np
import pytest

from saliency_widgets.widgets.layers import mass_cut

LOOKING = 2_000  # bytes: a message that changes a look holds no map
SPENT = "ex.session.stats.forward_samples + ex.session.stats.backward_samples"


@pytest.fixture
def pinned(demo):
    """Integrated Gradients explored over the pinned Grad-CAM, and the Gradient before it hidden below."""
    demo.page.locator(".sw-explorer .sw-pin").click()
    demo.until("len(ex.face.layers) == 3")
    demo.choose_family("Gradient")
    demo.choose_family("Path")
    demo.run("ex.session.stats.reset()")
    return demo


def row(notebook, name):
    rows = notebook.page.locator(".sw-explorer .sw-layer")
    return rows.filter(has=notebook.page.locator(".sw-layer-name", has_text=name)).first


def rows(notebook):
    return notebook.page.locator(".sw-explorer .sw-layer .sw-layer-name").all_inner_texts()


def frames(notebook):
    notebook.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def still(notebook):
    """The stage's pixels without the pointer, once two frames have passed."""
    notebook.page.mouse.move(5, 5)
    frames(notebook)
    return notebook.canvas()


def seqs(notebook):
    return notebook.value("[layer.seq for layer in ex.face.layers]")


def quietly(notebook, act):
    """Do something that only changes looks: no evaluation, no map goes over the wire either way."""
    before, sent = seqs(notebook), len(notebook.sent)
    act()
    notebook.page.wait_for_timeout(300)
    assert notebook.value(SPENT) == 0 and seqs(notebook) == before
    # The kernel's questions are ours; a look is a small message.
    longest = max((len(message) for message in notebook.sent[sent:] if b"comm_msg" in message), default=0)
    assert longest < LOOKING, f"a message of {longest} bytes"


def menu(notebook, name):
    one = row(notebook, name)
    one.locator(".sw-more").click()
    return one.locator(".sw-pop")


def test_a_pinned_map_stays_and_is_read(pinned):
    label = pinned.value("ex.session.label(ex.target)")
    assert rows(pinned) == ["Integrated Gradients", f"Grad-CAM · {label}", "Gradient", "photograph"]
    assert row(pinned, "Grad-CAM").locator("svg").count() >= 1
    seen = pinned.hover(112, 90)
    assert {"Integrated Gradients", f"Grad-CAM · {label}"} <= set(seen)
    expected = pinned.array("ex.face.layers[2].decode()")
    assert seen[f"Grad-CAM · {label}"] == pytest.approx(expected[90, 112], abs=1e-12)
    name = pinned.value("ex.session.label(int(ex.session.logits.argsort()[-2]))")
    pinned.choose_class(name)
    assert rows(pinned)[0:2] == ["Integrated Gradients", f"Grad-CAM · {label}"], "it keeps its class"
    np.testing.assert_array_equal(pinned.array("ex.face.layers[2].decode()"), expected)
    pop = menu(pinned, "Grad-CAM")
    pop.get_by_label("follows the class").check()
    pinned.until(f"ex.layers[-1].name == 'Grad-CAM · {name}'")
    pop.locator("button", has_text="unpin").click()
    pinned.until("len(ex.face.layers) == 2")
    pinned.settle()
    assert not [text for text in rows(pinned) if "·" in text]


def test_solo_by_hand_by_key_and_back(pinned):
    all_of_it = still(pinned)
    quietly(pinned, lambda: row(pinned, "Grad-CAM").locator(".sw-dot").click(modifiers=["Alt"]))
    alone = still(pinned)
    assert np.abs(alone - all_of_it).sum(2).mean() > 1
    assert pinned.value("[layer.solo for layer in ex.face.layers]") == [False, False, True]
    assert list(pinned.hover(100, 100)) == [pinned.value("ex.layers[-1].name")]
    quietly(pinned, lambda: row(pinned, "Grad-CAM").locator(".sw-dot").click(modifiers=["Alt"]))
    np.testing.assert_array_equal(still(pinned), all_of_it)
    row(pinned, "Grad-CAM").locator(".sw-layer-name").focus()
    pinned.page.keyboard.press("s")
    np.testing.assert_array_equal(still(pinned), alone)
    pinned.page.keyboard.press("s")
    np.testing.assert_array_equal(still(pinned), all_of_it)
    cells = pinned.page.evaluate("window.jupyterapp.shell.currentWidget.content.model.cells.length")
    assert cells == 2, "the notebook's own keys stayed quiet"


def test_opacity_limits_and_threshold_cost_nothing(pinned):
    page, before = pinned.page, still(pinned)
    handle = row(pinned, "Integrated").locator(".sw-opacity .sw-handle")
    quietly(pinned, lambda: pinned.drag(handle, -30))
    opacity = pinned.value("ex.layers[0].opacity")
    assert 0.1 < opacity < 0.6 and handle.get_attribute("aria-valuenow") == str(opacity)
    faint = still(pinned)
    assert np.abs(faint - before).sum(2).max() > 40

    pop = menu(pinned, "Integrated")
    upper = pop.locator(".sw-limits .sw-handle").nth(1)
    quietly(pinned, lambda: pinned.drag(upper, -20))
    low, high = pinned.value("ex.layers[0].fixed")
    assert low == -high, "a signed scale stays even about zero"
    assert np.abs(still(pinned) - faint).sum(2).max() > 40
    digits = 3 if high < 0.095 else 2
    assert f"+{high:.{digits}f}" in page.locator(".sw-explorer .sw-legend-words").inner_text()
    pop.get_by_text("reset").click()
    np.testing.assert_array_equal(still(pinned), faint)
    pinned.until("ex.layers[0].fixed is None")

    quietly(pinned, lambda: pinned.drag(pop.locator(".sw-threshold .sw-handle"), 40))
    assert pinned.value("ex.layers[0].threshold") > 0.3
    assert np.abs(still(pinned) - faint).sum(2).max() > 40


def test_the_top_of_the_mass_and_nothing_else_is_painted(pinned):
    pinned.run("ex.layers[0].mode = 'fill'; ex.layers[0].opacity = 1.0; ex.layers[-1].visible = False")
    pop = menu(pinned, "Integrated")
    quietly(pinned, lambda: pop.get_by_label("threshold of Integrated Gradients by").select_option("mass"))
    pinned.until("ex.layers[0].mass == 0.2")
    values = pinned.array("ex.layers[0].decode()")
    top = np.abs(values) >= mass_cut(values, 0.2)
    assert 0.001 < top.mean() < 0.1
    painted = still(pinned)
    pinned.run("ex.layers[0].visible = False")
    pinned.page.wait_for_timeout(200)
    changed = np.abs(still(pinned) - painted)[..., :3].sum(2)
    places = ((np.arange(224) + 0.5) / 224 * changed.shape[0]).astype(int)
    seen = changed[places][:, places]
    assert (seen[top] > 12).mean() > 0.95, "what is in the top shows"
    near = np.zeros_like(top)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            near |= np.roll(top, (dy, dx), (0, 1))
    assert seen[~near].max() == 0, "and nothing beyond its neighbours, over which it is smoothed"
    pinned.run("ex.layers[0].visible = True")
    quietly(pinned, lambda: pinned.drag(pop.locator(".sw-threshold .sw-handle"), 30))
    assert pinned.value("ex.layers[0].mass") > 0.3 and "%" in pop.inner_text()


def test_sign_and_blending(pinned):
    both = still(pinned)
    pop = menu(pinned, "Integrated")
    sign = pop.get_by_label("sign of Integrated Gradients")
    seen = []
    for value in ("positive", "negative", "absolute"):
        quietly(pinned, lambda value=value: sign.select_option(value))
        seen.append(still(pinned))
        pinned.until(f"ex.layers[0].sign == {value!r}")
        words = pinned.page.locator(".sw-explorer .sw-legend-words").inner_text()
        assert {"positive": "raises", "negative": "lowers", "absolute": "whatever the sign"}[value] in words
    reds, blues = (picture[..., 0] - picture[..., 2] for picture in seen[:2])
    assert np.abs(seen[0] - seen[1]).sum(2).max() > 100 and reds.mean() > blues.mean()
    sign.select_option("both")
    np.testing.assert_array_equal(still(pinned), both)
    blend = pop.get_by_label("blending of Integrated Gradients")
    light = {}
    for value in ("multiply", "screen", "hard-light", "normal"):
        quietly(pinned, lambda value=value: blend.select_option(value))
        light[value] = still(pinned)[..., :3].mean()
    assert light["multiply"] < light["normal"] < light["screen"]
    np.testing.assert_array_equal(still(pinned), both)


def test_a_shared_scale_a_selected_layer_and_the_tick(pinned):
    page = pinned.page
    pinned.run("ex.layers[1].visible = True")
    own = pinned.value("[list(layer.limits) for layer in ex.layers]")
    units = pinned.value("[layer.unit for layer in ex.layers]")
    assert units[0] != units[2]
    legend = page.locator(".sw-explorer .sw-legend")
    x, y = 120, 100
    value = pinned.hover(x, y)["Integrated Gradients"]
    expected = np.clip((value - own[0][0]) / (own[0][1] - own[0][0]), 0, 1)
    frames(pinned)
    assert float(legend.get_attribute("data-tick")) == pytest.approx(expected, abs=1e-9)
    quietly(pinned, lambda: row(pinned, "Grad-CAM").locator(".sw-layer-name").click())
    assert pinned.value("ex.layers[-1].selected") and "evidence for" in legend.inner_text()
    value = pinned.hover(x, y)[pinned.value("ex.layers[-1].name")]
    frames(pinned)
    assert float(legend.get_attribute("data-tick")) == pytest.approx(value / own[2][1], abs=1e-9)
    assert page.locator(".sw-explorer .sw-tag").inner_text() == f"{value / own[2][1]:.2f}", "the tag speaks of it, too"
    row(pinned, "Grad-CAM").locator(".sw-layer-name").click()
    pinned.until("not ex.layers[-1].selected")

    pinned.run("ex.method = 'gradient_x_input'; assert ex.wait(60)")
    pinned.settle()
    pinned.run("ex.layers[1].visible = True; ex.session.stats.reset()")
    limits = pinned.value("[list(layer.limits) for layer in ex.layers[:2]]")
    assert pinned.value("ex.layers[0].unit == ex.layers[1].unit") and limits[0] != limits[1]
    pop = menu(pinned, "Gradient")
    quietly(pinned, lambda: pop.get_by_label("scale of").select_option("shared"))
    widest = max(high for _, high in limits)
    assert pinned.value("[layer.shared for layer in ex.layers[:2]]") == [True, True]
    shown = float(row(pinned, "Gradient").locator(".sw-limits + .sw-number").inner_text().split()[-1])
    assert shown == pytest.approx(widest, abs=0.006)


def test_rows_are_carried_and_moved_by_keys(pinned):
    label = pinned.value("ex.session.label(ex.target)")
    first = [f"Grad-CAM · {label}", "Integrated Gradients", "Gradient", "photograph"]
    name = row(pinned, "Integrated").locator(".sw-layer-name")
    name.focus()
    pinned.page.keyboard.press("Alt+ArrowDown")
    frames(pinned)
    assert rows(pinned) == first and pinned.page.evaluate("document.activeElement.innerText") == "Integrated Gradients"
    pinned.until("ex.layers[0].order == 1 and ex.layers[-1].order == 0")
    box = name.bounding_box()
    x, y = box["x"] + 20, box["y"] + box["height"] / 2
    pinned.page.mouse.move(x, y)
    pinned.page.mouse.down()
    pinned.page.mouse.move(x, y - 26, steps=6)
    pinned.page.mouse.up()
    frames(pinned)
    assert rows(pinned)[0] == "Integrated Gradients" and not pinned.value("ex.layers[0].selected"), "a carried row is not clicked"
    assert pinned.value(SPENT) == 0


def test_a_view_comes_from_what_is_there(pinned):
    pop = menu(pinned, "Integrated")
    before = still(pinned)
    pop.get_by_label("view of Integrated Gradients").select_option("pair")
    pinned.until("ex.layers[0].view == 'pair'")
    pinned.settle()
    assert pinned.value(SPENT) == 0 and np.abs(still(pinned) - before).sum(2).mean() > 1
    expected = pinned.array("ex.maps['integrated_gradients'].heatmap(view='pair', size=(224, 224))")
    assert pinned.hover(90, 90)["Integrated Gradients"] == pytest.approx(expected[90, 90], abs=np.ptp(expected) / 65535)


def test_code_goes_to_the_clipboard_or_is_shown(open_notebook):
    notebook = open_notebook(permissions=["clipboard-read", "clipboard-write"])
    page = notebook.page
    code = notebook.run("print(ex.code(), end='')")
    page.locator(".sw-explorer .sw-save > button").click()
    page.locator(".sw-explorer .sw-save [data-kind=code]").click()
    page.wait_for_selector(".sw-explorer .sw-said:has-text('copied')")
    assert page.evaluate("navigator.clipboard.readText()") == code and "sw.explain(model, img" in code
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('closed')); }")
    page.locator(".sw-explorer .sw-save [data-kind=code]").click()
    shown = page.locator(".sw-explorer .sw-save textarea")
    assert shown.input_value() == code and shown.evaluate("(field) => field.selectionEnd - field.selectionStart") == len(code)
    with page.expect_download() as loading:
        page.locator(".sw-explorer .sw-save [data-kind=npz]").click()
    with np.load(loading.value.path()) as file:
        np.testing.assert_array_equal(file["grad_cam"], notebook.array("ex.maps['grad_cam'].values").astype(np.float32))
    notebook.shot("save-menu")


@pytest.mark.parametrize("theme, width, height", [
    ("dark", 1070, 1000), pytest.param("light", 1070, 1000, marks=pytest.mark.slow),
    pytest.param("light", 640, 1500, marks=pytest.mark.slow)])
def test_how_it_looks(open_notebook, theme, width, height):
    notebook = open_notebook(theme=theme, width=width, height=height)
    page = notebook.page
    page.locator(".sw-explorer .sw-pin").click()
    notebook.until("len(ex.face.layers) == 3")
    notebook.choose_family("Gradient")
    notebook.choose_family("Path")
    name = f"layers-{theme}" if width > 1000 else "layers-narrow"
    notebook.hover(100, 90)
    notebook.shot(name)
    row(notebook, "Grad-CAM").locator(".sw-more").click()
    notebook.hover(100, 90)
    notebook.shot(f"{name}-menu")
    box = row(notebook, "Integrated").bounding_box()
    assert box["height"] == 24
    root, pop = notebook.box(""), notebook.box(".sw-layer .sw-pop")
    assert pop["x"] >= root["x"] and pop["x"] + pop["width"] <= root["x"] + root["width"], "the menu is whole"
    if width > 1000:
        parts = {part: row(notebook, "Integrated").locator(part).first.bounding_box()["width"] for part in (
            ".sw-slider-track", ".sw-number", ".sw-ramp canvas", ".sw-contour", ".sw-more")}
        print(parts)
        assert parts[".sw-ramp canvas"] == 48 and parts[".sw-contour"] == 20 and parts[".sw-more"] == 16
