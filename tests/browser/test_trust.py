"""Can I trust this map? The panel under real hands: one notebook for the file, the embedded demo."""
import re

import pytest

from .notebook import DEMO, Notebook

HEART = "(np.add.outer((np.arange(224) - 70) ** 2, (np.arange(224) - 60) ** 2) < 50 ** 2)"
CARDS = {"Adds up": "completeness", "Deletion": "deletion", "Foretells": "noise", "Region": "region", "Sanity": "sanity-check",
         "Changes": "invariance", "Agreement": "agreement", "Slopes": "linear-estimate"}
PICTURE = "() => document.querySelector('.sw-trust-deletion .sw-trust-grid > .sw-pictured img').src"


@pytest.fixture(scope="module")
def panel(chromium, lab):
    """The notebook with the trust panel open."""
    notebook = Notebook.window(chromium, lab, DEMO, height=1250)
    notebook.begin()
    yield notebook
    notebook.close()
    assert notebook.page.locator(".sw-trust").count() == 0
    notebook.leave()
    assert notebook.errors == [], "the page raised errors"


def tab(notebook, word):
    """Choose a tab; its card as a locator, once it is there with what it costs."""
    notebook.page.locator(".sw-trust-tabs button", has_text=word).click()
    notebook.page.locator(".sw-trust-tabs button.sw-on", has_text=word).wait_for()
    card = notebook.page.locator(f".sw-trust-card.sw-trust-{CARDS[word]}")
    card.wait_for(state="visible")
    return card


def says(notebook, words):
    """Wait until the card says this."""
    notebook.page.wait_for_function("(words) => document.querySelector('.sw-trust-card')?.innerText.includes(words)", arg=words)


def measure(notebook, card, metric):
    """Click what measures, and wait until it is known and shown."""
    card.locator(".sw-trust-row button:visible").first.click()
    notebook.until(f"{metric!r} in ex.trust.results and ex.wait(60)")
    card.locator(".sw-trust-number b").first.wait_for(state="visible")


def fits(notebook):
    """No part of the panel is wider than the panel."""
    return notebook.page.evaluate("""() => [...document.querySelectorAll(".sw-trust, .sw-trust *")].filter((node) => {
      const box = node.getBoundingClientRect(), outer = document.querySelector(".sw-explorer").getBoundingClientRect();
      return box.width > 1 && (box.right > outer.right + 1 || box.left < outer.left - 1);
    }).map((node) => node.className)""")


def test_it_opens_by_button_and_key_and_leaves_the_rest_alone(panel):
    page, before = panel.page, panel.box(".sw-main")
    assert page.locator(".sw-trust").count() == 0
    button = page.locator(".sw-explorer .sw-trust-button")
    assert button.get_attribute("aria-expanded") == "false"
    button.click()
    page.locator(".sw-trust").wait_for(state="visible")
    assert panel.box(".sw-main") == before, "what was there stays as it was"
    page.wait_for_function("document.querySelector('.sw-trust-button').getAttribute('aria-expanded') === 'true'")
    page.locator(".sw-explorer .sw-over").focus()
    page.keyboard.press("t")
    page.locator(".sw-trust").wait_for(state="detached")
    page.keyboard.press("t")
    page.locator(".sw-trust").wait_for(state="visible")
    tabs = page.get_by_role("radiogroup", name="evidence")
    assert tabs.get_by_role("radio").count() == 8
    tabs.get_by_role("radio", name="Deletion").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".sw-trust-tabs button.sw-on", has_text="Foretells").wait_for()
    assert panel.value("list(ex.trust.results)") == [], "nothing is computed by looking"
    assert page.get_by_role("button", name="measure ROAD").is_visible()


def test_deletion_and_the_picture_under_the_pointer(panel):
    page, card = panel.page, tab(panel, "Deletion")
    says(panel, "175 evaluations")
    assert re.search(r"175 evaluations( · ≈ [\d.]+ s| · at once)? each", card.inner_text())
    measure(panel, card, "insertion")
    areas = panel.value("[ex.trust.results[m].value for m in ('deletion', 'insertion')]")
    for words in (*(f"{area:.3f}" for area in areas), "lower is better", "higher is better"):
        says(panel, words)
    rest, box = page.evaluate(PICTURE), card.locator(".sw-along .sw-along").first.bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 60)
    page.wait_for_function(f"(rest) => ({PICTURE})() !== rest", arg=rest)
    says(panel, "25 % gone")
    panel.shot("trust-hover-light")
    page.mouse.move(box["x"] - 40, box["y"] - 80)
    page.wait_for_function(f"(rest) => ({PICTURE})() === rest", arg=rest)
    along = page.get_by_role("slider", name="insertion curve").first
    along.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    says(panel, "25 % back")
    page.wait_for_function("document.activeElement.getAttribute('aria-valuetext').includes('25 % back')")
    page.keyboard.press("Escape")
    page.wait_for_function(f"(rest) => ({PICTURE})() === rest", arg=rest)


def test_the_sanity_slider_under_the_hand(panel):
    page, card = panel.page, tab(panel, "Sanity")
    measure(panel, card, "sanity_check")
    layers = panel.value("list(ex.trust.results['sanity_check'].details['layers'])")
    says(panel, f"random down to {layers[-1]}")
    says(panel, "depends on what the network learned")
    pictures = "() => [...document.querySelectorAll('.sw-trust-sanity-check .sw-pictured img')].map((img) => img.src)"
    trained, random = page.evaluate(pictures)
    assert trained != random
    handle = card.locator(".sw-trust-slider .noUi-handle")
    assert handle.get_attribute("aria-label").startswith("random layers")
    panel.drag(handle, -400)
    page.wait_for_function(f"() => {{ const [a, b] = ({pictures})(); return a === b; }}")
    handle.focus()
    page.keyboard.press("ArrowRight")
    says(panel, f"random down to {layers[0]}")
    panel.shot("trust-sanity-light")


def test_a_rectangle_drawn_for_the_purpose(panel):
    page, card = panel.page, tab(panel, "Region")
    says(panel, "No region yet")
    area = card.locator(".sw-boxed")
    box = area.bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    panel.until("'energy' in ex.trust.results")
    drawn = panel.value("ex.trust.results['energy'].value")
    assert drawn > 0.6, "the heart is in that corner, and so is the map"
    says(panel, "hit")
    area.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    panel.until(f"not ex.trust.mask[40, 12] and float(ex.trust.results.get('energy', 0)) not in (0, {drawn})")
    size = panel.value("int(ex.trust.mask.sum())")
    page.mouse.click(box["x"] + 5, box["y"] + 5)
    for _ in range(7):
        page.keyboard.press("ArrowDown")
    panel.until("not ex.trust.mask[:30].any()")
    assert panel.value("int(ex.trust.mask.sum())") == size, "a click takes nothing away, and keys do not make it grow"
    page.keyboard.press("Delete")
    panel.until("ex.trust.mask is None")
    panel.run(f"ex.trust.mask = {HEART}")
    card.locator(".sw-boxed > i").wait_for(state="hidden")
    page.keyboard.press("Delete")
    panel.until("ex.trust.mask is None")


def test_another_class_dims_what_was_measured(panel):
    card = tab(panel, "Deletion")
    names = panel.value("[button.description for button in ex.face.classes.names]")
    panel.choose_class(names[1])
    panel.page.locator(".sw-trust-visual.sw-stale").wait_for()
    says(panel, f"of Grad-CAM of {names[0]}")
    says(panel, "measure again")
    panel.shot("trust-stale-light")
    panel.choose_class(names[0])
    panel.page.locator(".sw-trust-visual.sw-stale").wait_for(state="detached")
    card.locator(".sw-trust-row button").wait_for(state="hidden")


def test_both_themes_and_a_narrow_notebook(panel):
    panel.run(f"ex.trust.mask = {HEART}; ex.trust.show('energy'); ex.trust.show('road'); ex.wait(60)")
    for theme in ("dark", "light"):
        panel.set_theme(theme)
        for word in ("Deletion", "Sanity", "Region"):
            tab(panel, word)
            panel.shot(f"trust-{word.lower()}-{theme}")
    panel.page.set_viewport_size({"width": 805, "height": 1250})
    panel.page.wait_for_function("document.querySelector('.sw-explorer').clientWidth <= 700")
    for word in ("Adds up", "Deletion", "Foretells", "Region", "Sanity", "Changes", "Agreement", "Slopes"):
        card = tab(panel, word)
        panel.page.wait_for_timeout(100)
        assert fits(panel) == [], word
        if word in ("Deletion", "Foretells"):
            panel.shot(f"trust-narrow-{word.lower()}")
    assert card.is_visible()
