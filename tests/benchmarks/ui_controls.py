"""What a hand can drag, click or press in the Explorer, and how to see in the kernel that it arrived there."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.browser.notebook import Notebook

from .ui_meter import Meter

LAYER = "ex.face.layers[0]"
IG, BLUR, LOO, OCC, FILM = "integrated_gradients", "blur_ig", "leave_one_out", "occlusion", "meaningful_perturbation"
FIRST_CLASS = "ex.target = int(ex.session.logits.argmax())"
WHOLE = "ex.regions.cut(14); ex.regions.off = ()"
MOVES, PAUSE = 30, 16  # pointer events of a drag, and milliseconds between two of them
Hand = Callable[[Notebook, int], str]  # moves, and returns the kernel's expression that is true once it has the last position


@dataclass(frozen=True)
class Control:
    """One kind of control: `start` sets it in the kernel before each drag, `hand(notebook, turn)` moves it.

    `sight` and `last` are those of `ui_meter.figures`; `fresh` forgets what was evaluated before, `moving` is true where
    the answer can follow the hand.
    """

    name: str
    title: str
    method: str
    hand: Hand
    start: str = ""
    sight: str = "map"
    last: str = "slid"
    moving: bool = True
    fresh: bool = False


def params(method: str) -> str:
    """The kernel's name for a method's parameters."""
    return f"ex.params[{method!r}]"


def body(method: str) -> str:
    """The kernel's name for a method's body."""
    return f"ex.face.method.bodies[{method!r}]"


def slide(slider: str, share: float, value: str, handle: int = 0, grip: str = "", open_menu: str = "") -> Hand:
    """Drag a slider's handle, or what `grip` names, by a share of its width; `value` is the kernel's view of it."""
    def hand(notebook: Notebook, _turn: int) -> str:
        page = notebook.page
        root = page.locator(f".sw-explorer {slider}").first
        if open_menu:
            page.locator(f".sw-explorer {open_menu}").first.click()
        handles = root.locator(".noUi-handle, .sw-handle")
        held = root.locator(grip).first if grip else handles.nth(handle)
        width = root.locator(".noUi-base, .sw-slider-track").bounding_box()["width"]
        notebook.drag(held, share * width, MOVES, PAUSE)
        stand = [float(handles.nth(i).get_attribute("aria-valuetext")) for i in range(handles.count())]
        if open_menu:
            page.locator(f".sw-explorer {open_menu}").first.click()
        return f"np.abs(np.subtract({value}, {stand if len(stand) > 1 else stand[0]})).max() < 0.0051"
    return hand


def choose(place: int, options: dict[str, Any], value: str) -> Hand:
    """Choose a line of the row's menu number `place`: words → value in the kernel."""
    def hand(notebook: Notebook, turn: int) -> str:
        words, chosen = list(options.items())[turn % len(options)]
        notebook.page.locator(".sw-explorer .sw-params select").nth(place).select_option(words)
        return f"{value} == {chosen!r}"
    return hand


def another_class(notebook: Notebook, turn: int) -> str:
    """Click the name of a class that was not explained before."""
    button = notebook.page.locator(".sw-explorer .sw-names button").nth(turn + 1)
    name = button.inner_text()
    button.click()
    return f"ex.session.label(ex.target) == {name!r}"


def bar_of_a_class(notebook: Notebook, turn: int) -> str:
    """Click a class's bar at its beginning, since it may be short."""
    names = notebook.page.locator(".sw-explorer .sw-names button")
    name, box = names.nth(turn + 1).inner_text(), notebook.page.locator(
        ".sw-explorer .sw-bars .bargroup rect").nth(turn + 1).bounding_box()
    notebook.page.mouse.click(box["x"] + min(2.0, box["width"] / 2), box["y"] + box["height"] / 2)
    return f"ex.session.label(ex.target) == {name!r}"


def film_keys(notebook: Notebook, _turn: int) -> str:
    """Walk over the film strip from its first layer to its last by arrow keys, ten a second."""
    frames = notebook.page.locator(".sw-explorer .sw-film button")
    frames.nth(0).focus()  # which is the chosen one
    for _ in range(frames.count() - 1):
        notebook.page.keyboard.press("ArrowRight")
        notebook.page.wait_for_timeout(100)
    return f"ex.params['grad_cam'].layer == {body('grad_cam')}.film.names[-1]"


def film_click(notebook: Notebook, turn: int) -> str:
    """Click a layer of the film strip."""
    notebook.page.locator(".sw-explorer .sw-film button").nth(turn + 1).click()
    return f"ex.params['grad_cam'].layer == {body('grad_cam')}.film.names[{turn + 1}]"


def region(notebook: Notebook, turn: int) -> str:
    """Click a cell of the grid of leave-one-out on the picture, in its second row."""
    x, y = 8 + 16 * (3 + 2 * turn), 24
    notebook.page.mouse.click(*notebook.place(x, y))
    return f"int(ex.regions[{y}, {x}]) in ex.regions.off"


def ranked(notebook: Notebook, turn: int) -> str:
    """Click a bar of the ranked drops."""
    rank = 4 + 2 * turn
    box = notebook.page.locator(".sw-explorer .sw-rank-hit").bounding_box()
    notebook.page.mouse.click(box["x"] + (rank + 0.5) / 196 * box["width"], box["y"] + box["height"] / 2)
    return f"int({body(LOO)}.ranks[{rank}]) in ex.regions.off"


def undo_key(notebook: Notebook, _turn: int) -> str:
    """Take the last switch back by its key."""
    notebook.page.locator(".sw-explorer .sw-over").focus()
    notebook.page.keyboard.press("u")
    return "len(ex.regions.off) == 1"


def rectangle(notebook: Notebook, turn: int) -> None:
    """Press and drag with the tool of rectangles, over about a fifth of the picture, and hold."""
    page = notebook.page
    page.locator(".sw-explorer .sw-tool-row:visible button[aria-label^=rectangle]").click()
    left, top = 20 + 9 * turn, 30 + 7 * turn
    page.mouse.move(*notebook.place(left, top))
    page.mouse.down()
    for i in range(MOVES):
        page.mouse.move(*notebook.place(left + 4 * (i + 1), top + 3 * (i + 1)))
        page.wait_for_timeout(PAUSE)


def rectangle_drop(notebook: Notebook, turn: int) -> str:
    """Drag a rectangle, wait until its drop is told, and let it go without drawing."""
    rectangle(notebook, turn)
    Meter(notebook).rest(1000)
    notebook.page.keyboard.press("Escape")
    notebook.page.mouse.up()
    notebook.page.keyboard.press("c")
    return "ex.regions.undoable == _edits"


def rectangle_drawn(notebook: Notebook, turn: int) -> str:
    """Drag a rectangle, and let go once its drop is told."""
    rectangle(notebook, turn)
    Meter(notebook).rest(1000)
    notebook.page.mouse.up()
    notebook.page.keyboard.press("c")
    return "ex.regions.undoable == _edits + 1"


def point(notebook: Notebook, _turn: int) -> str:
    """Move the pointer over the picture, from one side to the other."""
    for i in range(MOVES):
        notebook.page.mouse.move(*notebook.place(12 + 6 * i, 20 + 6 * i))
        notebook.page.wait_for_timeout(PAUSE)
    notebook.wait_probe(12 + 6 * (MOVES - 1), 20 + 6 * (MOVES - 1))
    return "True"


def wheel(notebook: Notebook, _turn: int) -> str:
    """Zoom in by the wheel."""
    notebook.page.mouse.move(*notebook.place(150, 60))
    for _ in range(MOVES):
        notebook.page.mouse.wheel(0, -8)
        notebook.page.wait_for_timeout(PAUSE)
    return "True"


def pan(notebook: Notebook, _turn: int) -> str:
    """Move the enlarged picture with the pan tool."""
    page, tool = notebook.page, ".sw-explorer .sw-tool[title^={}]"
    page.keyboard.press("+")
    page.locator(tool.format("pan")).click()
    x, y = notebook.place(112, 112)
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(MOVES):
        page.mouse.move(x - 2 * (i + 1), y)
        page.wait_for_timeout(PAUSE)
    page.mouse.up()
    page.locator(tool.format("probe")).click()
    return "True"


CONTROLS = (
    Control("class_bar", "bar of another class: Grad-CAM", "grad_cam", bar_of_a_class, last="pointerup",
            moving=False, fresh=True),
    Control("class_mark", "name of another class: until it is marked", "grad_cam", another_class, sight="class",
            last="pointerup", moving=False),
    Control("film_keys", "film strip of layers, arrow keys", "grad_cam", film_keys,
            f"ex.params['grad_cam'].layer = {body('grad_cam')}.film.names[0]", last="keydown"),
    Control("film_click", "film strip, a click", "grad_cam", film_click, "ex.params['grad_cam'].layer = None", last="pointerup",
            moving=False),
    Control("opacity", "opacity of a layer", "grad_cam", slide(".sw-layer .sw-opacity", -0.6, f"{LAYER}.opacity"),
            f"{LAYER}.opacity = 0.7", "look"),
    Control("threshold", "threshold of a layer", "grad_cam",
            slide(".sw-layer .sw-threshold", 0.5, f"{LAYER}.threshold", open_menu=".sw-layer .sw-more"),
            f"{LAYER}.threshold, {LAYER}.opacity = 0.04, 0.7", "look"),
    Control("hover", "pointer over the picture: readout", "grad_cam", point, sight="probe", last="pointermove"),
    Control("zoom", "wheel over the picture: zoom", "grad_cam", wheel, sight="look", last="wheel"),
    Control("pan", "pan tool on the enlarged picture", "grad_cam", pan, sight="look", last="dragged"),
    Control("class_gradient", "name of another class: gradient", "gradient", another_class, last="pointerup",
            moving=False, fresh=True),
    Control("noise", "SmoothGrad: noise, on letting go", "smoothgrad",
            slide(".sw-name-row .sw-pop .widget-slider", 0.2, f"{params('smoothgrad')}.level", open_menu=".sw-name-row .sw-menu"),
            f"{params('smoothgrad')}.level = 0.15", last="released", moving=False, fresh=True),
    Control("alpha_end", "α window, its end", IG, slide(".sw-window", -0.6, f"{params(IG)}.alpha", 1),
            f"{params(IG)}.alpha = (0.0, 1.0)"),
    Control("alpha_start", "α window, its start", IG, slide(".sw-window", 0.6, f"{params(IG)}.alpha", 0),
            f"{params(IG)}.alpha = (0.0, 1.0)"),
    Control("alpha_whole", "α window, both ends at once", IG,
            slide(".sw-window", 0.5, f"{params(IG)}.alpha", grip=".noUi-connect"), f"{params(IG)}.alpha = (0.05, 0.45)"),
    Control("alpha_point", "playhead on the α path: its pictures", IG,
            slide(".sw-playhead", -0.6, f"{body(IG)}.plot.playhead.value"),
            f"{params(IG)}.alpha = (0.0, 1.0); {body(IG)}.plot.playhead.value = 80", "panel"),
    Control("class_path", "name of another class: Integrated Gradients", IG, another_class, last="pointerup",
            moving=False, fresh=True),
    Control("steps", "steps, 64 to 128", IG, choose(0, {"128": 128}, f"{params(IG)}.steps"), f"{params(IG)}.steps = 64",
            last="change", moving=False, fresh=True),
    Control("sigma_end", "σ window of Blur IG, its end", BLUR, slide(".sw-window", -0.6, f"{params(BLUR)}.sigma", 1),
            f"{params(BLUR)}.sigma = (0.0, 50.0)"),
    Control("sigma_point", "playhead on the σ path: its pictures", BLUR,
            slide(".sw-playhead", -0.6, f"{body(BLUR)}.plot.playhead.value"),
            f"{params(BLUR)}.sigma = (0.0, 50.0); {body(BLUR)}.plot.playhead.value = 80", "panel"),
    Control("switch", "a region off, on the picture: class bars", LOO, region, WHOLE, "bars", "pointerup", False),
    Control("switch_second", "a second region off: class bars", LOO, region, f"{WHOLE}; ex.regions.off = {{150}}", "bars",
            "pointerup", False),
    Control("undo", "undo by key: class bars", LOO, undo_key, f"{WHOLE}; ex.regions.off = {{150}}; ex.regions.off = {{150, 60}}",
            "bars", "keydown", False),
    Control("rectangle_drop", "a rectangle while it is dragged: its drop", LOO, rectangle_drop,
            f"{WHOLE}; _edits = ex.regions.undoable", "tag", "dragged"),
    Control("rectangle", "a rectangle drawn: map", LOO, rectangle_drawn, f"{WHOLE}; _edits = ex.regions.undoable", "map",
            "pointerup", False),
    Control("region", "a region off, on the picture: pictures", LOO, region, WHOLE, "panel", "pointerup", False),
    Control("ranked", "a region off, in the ranked drops: pictures", LOO, ranked, WHOLE, "panel", "pointerup", False),
    Control("class_cut", "name of another class: leave-one-out", LOO, another_class, last="pointerup",
            moving=False),
    Control("grid", "grid of leave-one-out, 14 to 10", LOO, choose(0, {"10 × 10": (10, 10)}, f"{params(LOO)}.grid"),
            f"{params(LOO)}.grid = 14", last="change", moving=False, fresh=True),
    Control("window", "window of occlusion, 32 to 48", OCC, choose(0, {"48 × 48": (48, 48)}, f"{params(OCC)}.window"),
            f"{params(OCC)}.window = 32", last="change", moving=False, fresh=True),
    Control("film_point", "playhead of Meaningful Perturbation", FILM,
            slide(".sw-playhead", -0.6, f"{body(FILM)}.plot.playhead.value"),
            f"{params(FILM)}.iterations = 24; {body(FILM)}.plot.playhead.value = 100"),
)
