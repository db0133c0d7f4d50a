"""Every kind of method body on screen: it keeps its height, nothing leaves the panel, and hands reach what it shows."""
import numpy as np

from .test_explaining import same_on_screen

FEW = ("for name, method in sw.methods().items():\n"
       "    for parameter, few in dict(iterations=12, n=200, steps=8, stride=32).items():\n"
       "        if ex.params[name].has_trait(parameter):\n"
       "            setattr(ex.params[name], parameter, few)")
SHOWN = ("gradient", "smoothgrad", "blur_ig", "guided_ig", "score_cam", "lime", "meaningful_perturbation", "expected_gradients",
         "activation", "activation_maximisation")
OUTSIDE = """() => {
  const root = document.querySelector(".sw-explorer").getBoundingClientRect();
  const body = document.querySelector(".sw-explorer .sw-body"), box = body.getBoundingClientRect(), outside = [];
  for (const node of document.querySelectorAll(".sw-explorer .sw-method-section :is(button, select, input, img, p, canvas)")) {
    const at = node.getBoundingClientRect();
    if (!at.width || getComputedStyle(node).visibility === "hidden" || node.closest(".sw-tip, .sw-pop, .sw-play")) continue;
    if (at.right > root.right + 1 || (body.contains(node) && !node.closest(".sw-source") && at.bottom > box.bottom + 1))
      outside.push(`${node.tagName}.${node.className} ${node.textContent.slice(0, 20)}: ${at.right}, ${at.bottom}`);
  }
  return [box.height, outside];
}"""


def show(notebook, name):
    notebook.run(f"ex.method = {name!r}\nassert ex.wait(60) and ex.error == '', ex.error")
    notebook.settle()


def test_bodies_keep_their_height_and_stay_inside(demo):
    demo.run(FEW)
    for name in SHOWN:
        show(demo, name)
        demo.page.wait_for_timeout(200)
        height, outside = demo.page.evaluate(OUTSIDE)
        assert height == 240 and outside == [], f"{name}: {height} px high, outside: {outside}"


def test_a_film_plays_on_the_stage(demo):
    demo.run(FEW)
    show(demo, "meaningful_perturbation")
    body = "ex.face.method.bodies['meaningful_perturbation']"
    last = demo.array("ex.face.layers[0].decode()")
    np.testing.assert_allclose(last, demo.array("ex.maps['meaningful_perturbation'].values[0]"), atol=1e-4)
    demo.drag(demo.page.locator(".sw-explorer .sw-playhead .noUi-handle"), -0.98 * demo.box(".sw-plot")["width"])
    demo.until(f"{body}.point < 1")
    demo.settle()
    begun = demo.array(f"{body}.film[0]['mask']") / 255
    np.testing.assert_allclose(demo.array("ex.face.layers[0].decode()"), begun, atol=1e-2)
    assert np.abs(begun - last).mean() > 0.1, "the disc of the start, not the mask of the end"


def test_a_filter_of_the_contact_sheet(demo):
    demo.run("import torch")
    show(demo, "activation")
    order = demo.value("[int(k) for k in ex.maps['activation'].details['order'][:16]]")
    demo.page.locator(".sw-explorer .sw-body .sw-film button").nth(2).click()
    demo.until(f"ex.params['activation'].channel == {order[2]} and ex.maps['activation'].details['channel'] == {order[2]}")
    demo.settle()
    same_on_screen(demo, demo.array("ex.maps['activation'].heatmap(size=(224, 224))"))
    demo.page.locator(".sw-explorer .sw-pages button").nth(1).click()
    demo.page.wait_for_function("(text) => document.querySelector('.sw-explorer .sw-film').textContent.includes(text)",
                                arg=f"№ {order[8]}")
    field = demo.page.locator(".sw-explorer .sw-number input").first
    assert field.input_value() == str(order[2])
    field.fill("")
    field.press("Enter")
    demo.until("ex.params['activation'].channel is None")


def test_the_evidence_is_read_in_full(demo):
    show(demo, "guided_backprop")
    demo.page.locator(".sw-explorer .sw-mark").first.hover()
    demo.page.wait_for_timeout(500)
    tip, root = demo.box(".sw-tip"), demo.box("")
    assert tip["x"] >= root["x"] and tip["x"] + tip["width"] <= root["x"] + root["width"]
    words = demo.page.locator(".sw-explorer .sw-tip").inner_text()
    assert "activation calls rewritten" in words and "1810.03292" in words
