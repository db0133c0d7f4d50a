"""What a hand asks is what ends up shown: σ, opacity and threshold, large maps, contrast, progress and prices."""
import re
from functools import partial

import numpy as np
import pytest

from .test_explaining import same_on_screen
from .test_layers import SPENT, frames, quietly, still
from .test_methods import show

# Notes every map that leaves a layer and every answer to it, as (what, seq, seconds); counts what is under way.
WATCHED = """
import threading
def watch(layer):
    log, send, heard = [], layer._gate._send, layer._gate.acknowledge
    def sending():
        seq = send()
        log.append(("sent", seq, time.monotonic()))
        return seq
    def hearing(seq):
        log.append(("painted", seq, time.monotonic()))
        heard(seq)
    layer._gate._send, layer._gate.acknowledge = sending, hearing
    return log
log = watch(ex.face.layers[0])
"""
# A network whose evaluations take as long as `pause[0]` says, to be watched.
SLOW = ["""import torch
pause = [0.0]
class Slow(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
    def forward(self, x):
        time.sleep(pause[0] * len(x))
        return self.model(x)
model, img, labels = sw.demo()
ex = sw.Explorer(Slow(model), img, labels, preprocess=getattr(model, "preprocess", "auto"))
ex"""]
COUNTED = "/[1-9]\\d* of \\d+ evaluations · .+ left/.test(document.querySelector('.sw-explorer .sw-count').innerText)"


def under_way(log, patience=1.0):
    """The most maps that were sent and neither painted nor given up after `patience` seconds, at any moment."""
    open_, most = [], 0
    for what, seq, at in log:
        if what == "sent":
            open_ = [(s, t) for s, t in open_ if at - t < patience] + [(seq, at)]
        else:
            open_ = [(s, t) for s, t in open_ if s > seq]
        most = max(most, len(open_))
    return most


def test_sigma_drag_ends_on_the_final_value(demo):
    show(demo, "blur_ig")
    demo.run("ex.session.stats.reset()\n" + WATCHED)
    handles = demo.page.locator(".sw-explorer .sw-window .noUi-handle")
    width = demo.box(".sw-window .noUi-base")["width"]
    demo.drag(handles.nth(1), -0.5 * width, steps=30, pause=30)
    end = demo.value("ex.face.method.bodies['blur_ig'].plot.end")
    base, box = demo.box(".sw-window .noUi-base"), handles.nth(1).bounding_box()
    stand = (box["x"] + box["width"] / 2 - base["x"]) / base["width"] * end
    demo.until(f"abs(ex.params['blur_ig'].sigma[1] - {stand}) < {0.012 * end}")
    demo.settle()
    expected = demo.array("ex.session.map('blur_ig', target=ex.target, **ex.params['blur_ig'].values())"
                          ".heatmap(size=(224, 224))")
    same_on_screen(demo, expected)
    log = demo.value("log")
    sent = [seq for what, seq, _ in log if what == "sent"]
    print(f"σ drag: {len(sent)} maps sent, {demo.value(SPENT)} samples")
    assert len(sent) >= 2 and sent[-1] == demo.value("ex.face.layers[0].seq") and under_way(log) == 1


def test_a_drag_of_looks_ends_where_the_hand_lets_go(demo):
    demo.choose_family("Path")
    demo.run("ex.session.stats.reset()")
    row = demo.page.locator(".sw-explorer .sw-layer").first
    row.locator(".sw-more").click()
    for trait, where in (("opacity", ".sw-opacity"), ("threshold", ".sw-pop .sw-threshold")):
        before = still(demo)
        handle, track = row.locator(f"{where} .sw-handle").first, row.locator(f"{where} .sw-slider-track").first.bounding_box()
        far = (-0.5 if trait == "opacity" else 0.5) * track["width"]
        quietly(demo, partial(demo.drag, handle, far, steps=40, pause=8))
        box = handle.bounding_box()
        stand = (box["x"] + box["width"] / 2 - track["x"]) / track["width"]
        demo.until(f"abs(ex.face.layers[0].{trait} - {handle.get_attribute('aria-valuenow')}) < 1e-9")
        assert demo.value(f"ex.face.layers[0].{trait}") == pytest.approx(stand, abs=0.02)
        drawn = still(demo)
        assert np.abs(drawn - before).sum(2).max() > 40
        # Drawn by the hand, drawn from the kernel's value: the same pixels.
        value = demo.value(f"ex.face.layers[0].{trait}")
        demo.run(f"ex.face.layers[0].{trait} = 1 - {value} / 2")
        demo.page.wait_for_timeout(200)
        demo.run(f"ex.face.layers[0].{trait} = {value}")
        demo.page.wait_for_timeout(200)
        frames(demo)
        np.testing.assert_array_equal(still(demo), drawn)


def test_of_large_maps_one_is_under_way_and_the_last_arrives(demo):
    demo.run(WATCHED + """
field = np.hypot(*np.mgrid[-1:1:1024j, -1:1:1024j]).astype(np.float32)
def stream(count=60):
    for i in range(count):
        ex.face.layers[0].show(field + i, name="large", method="grad_cam", signed=False, unit="", limits=(0.0, 70.0))
        time.sleep(0.005)
thread = threading.Thread(target=stream)
thread.start()
""")
    demo.until("not thread.is_alive() and not ex.face.layers[0]._gate.waiting")
    demo.until("log[-1][0] == 'painted' and log[-1][1] == ex.face.layers[0].seq")
    log = demo.value("log")
    sent = [seq for what, seq, _ in log if what == "sent"]
    print("60 maps of 1024 × 1024:", " ".join(f"{what} {seq} {at - log[0][2]:.2f}" for what, seq, at in log))
    assert 2 <= len(sent) < 60 and under_way(log) == 1, "while one is painted only the newest waits"
    assert sent[-1] == demo.value("ex.face.layers[0].seq")
    x, y = 40, 200
    read = demo.hover(x, y)["large"]
    under = "[slice(int(v * 1024 / 224), int((v + 1) * 1024 / 224) + 1) for v in (200, 40)]"
    assert read > 58 and demo.value(f"bool((ex.face.layers[0].decode()[tuple({under})] == {read!r}).any())"), "the last one"


def test_a_class_rather_than_another(demo):
    names = demo.value("[button.description for button in ex.face.classes.names]")
    rival = demo.page.get_by_label("rather than").first
    choice = rival if rival.evaluate("(node) => node.tagName") == "SELECT" else rival.locator("select")
    plain = demo.array("ex.maps['grad_cam'].values")
    choice.select_option(label=names[1])
    demo.until(f"ex.contrast is not None and ex.session.label(ex.contrast) == {names[1]!r}")
    demo.settle()
    demo.until("ex._about[0] == (ex.target, ex.contrast)")
    assert np.abs(demo.array("ex.maps['grad_cam'].values") - plain).max() > 1e-4
    words = demo.page.locator(".sw-explorer .sw-legend-words").inner_text()
    assert names[1] in words or "rather" in words, words
    same_on_screen(demo, demo.array("ex.maps['grad_cam'].heatmap(size=(224, 224), sign='positive')"))
    demo.shot("contrast")
    choice.select_option(label="none")
    demo.until("ex.contrast is None")
    demo.settle()
    np.testing.assert_allclose(demo.array("ex.maps['grad_cam'].values"), plain, atol=1e-6)


def test_what_takes_long_says_how_far_it_is_and_stops(open_notebook):
    demo = open_notebook(SLOW)
    demo.choose_family("Path")
    demo.run("pause[0] = 0.05")
    try:
        for stop in ("button", "Escape"):
            demo.run(f"ex.params['integrated_gradients'].baseline = {'white' if stop == 'button' else 0.5!r}")
            demo.page.wait_for_function(COUNTED)
            cancel = demo.page.locator(".sw-explorer .sw-cancel")
            cancel.wait_for(state="visible")
            bar = demo.page.locator(".sw-explorer .sw-bar .progress-bar")
            share = bar.bounding_box()["width"] / demo.box("")["width"]
            done, planned = map(int, re.findall(r"\d+", demo.page.locator(".sw-explorer .sw-count").inner_text())[:2])
            print(f"{done} of {planned}, bar {share:.2f}")
            assert 0 < share < 1 and 0 < done < planned
            if stop == "button":
                cancel.click()
            else:
                demo.page.locator(".sw-explorer .sw-over").focus()
                demo.page.keyboard.press("Escape")
            demo.until("ex.wait(5)")
            cancel.wait_for(state="hidden")
            price = demo.page.locator(".sw-explorer .sw-wait-row:visible", has_text="Integrated").first.inner_text()
            assert re.search(r"\d+ · ≈ \d+", price), "what was stopped is offered at its price"
            assert not demo.value("ex.face.layers[0].stale")
    finally:
        demo.run("pause[0] = 0.0")


def test_the_stale_map_is_dimmed_until_the_new_one_comes(demo):
    demo.page.mouse.move(5, 5)
    lit = still(demo)
    demo.page.locator(".sw-explorer .sw-over").focus()
    demo.page.keyboard.down("b")
    demo.page.wait_for_timeout(300)
    bare = demo.canvas()
    demo.page.keyboard.up("b")
    demo.run("ex.face.layers[0].stale = True")
    demo.page.wait_for_timeout(400)
    dim = still(demo)
    size = [np.abs(picture - bare).sum(2).mean() for picture in (lit, dim)]
    print(f"lit {size[0]:.1f}, dimmed {size[1]:.1f} from the bare picture")
    assert 0.1 * size[0] < size[1] < 0.7 * size[0]
    name = demo.value("ex.session.label(int(ex.session.logits.argsort()[-2]))")
    demo.choose_class(name)
    assert not demo.value("ex.face.layers[0].stale")


def test_an_expensive_method_names_its_price_and_waits(open_notebook):
    demo = open_notebook(SLOW)
    demo.run("ex.params['rise'].n = 8000; pause[0] = 0.02")
    try:
        demo.page.locator(".sw-explorer .sw-families button", has_text="Cut").click()
        demo.until("ex.method == 'leave_one_out' and ex.wait(60)")
        demo.page.locator(".sw-explorer .sw-method select").select_option(label="RISE")
        demo.until("ex.method == 'rise' and ex.wait(60)")
        row = demo.page.locator(".sw-explorer .sw-wait-row", has_text="RISE").first
        row.wait_for(state="visible")
        assert re.search(r"\d+ · ≈ \d+", row.inner_text()), row.inner_text()
        assert not demo.value("'rise' in ex.maps and ex.maps['rise'].final")
        demo.shot("price")
    finally:
        demo.run("pause[0] = 0.0")


def test_undo_by_key_and_by_icon(demo):
    page, undo = demo.page, demo.page.locator(".sw-explorer .sw-undo")
    assert undo.is_disabled()
    begun = still(demo)
    names = page.locator(".sw-explorer .sw-names button")
    first, second = names.all_inner_texts()[:2]
    demo.choose_class(second)
    other = still(demo)
    handle = page.locator(".sw-explorer .sw-layer .sw-opacity .sw-handle").first
    demo.drag(handle, -24, steps=20, pause=15)
    demo.until("ex.face.layers[0].opacity < 0.6")
    page.wait_for_timeout(300)
    faint, opacity = still(demo), demo.value("ex.face.layers[0].opacity")
    page.locator(".sw-explorer .sw-over").focus()
    page.keyboard.press("Control+z")
    demo.until("ex.face.layers[0].opacity == 0.7")
    page.wait_for_timeout(200)
    np.testing.assert_array_equal(still(demo), other)
    undo.click()
    demo.until(f"ex.session.label(ex.target) == {first!r} and ex.wait(5)")
    demo.settle()
    page.wait_for_function("document.querySelector('.sw-explorer .sw-undo').disabled")
    np.testing.assert_array_equal(still(demo), begun)
    page.locator(".sw-explorer .sw-over").focus()
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+y")
    demo.until(f"ex.session.label(ex.target) == {second!r} and ex.face.layers[0].opacity == {opacity} and ex.wait(5)")
    demo.settle()
    np.testing.assert_array_equal(still(demo), faint)
    cells = page.evaluate("window.jupyterapp.shell.currentWidget.content.model.cells.length")
    assert cells == 2, "the notebook's own undo stayed quiet"
