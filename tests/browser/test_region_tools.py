"""Each tool of region editing by pointer and by keys alone, against the same edit in code and a plain loop of forwards.

What an edit costs is exact: an evaluation for each region that it changes, one more where something is switched off. A click,
a merge, a split of one region, and growing beside one other region come to two at most.
"""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from saliency_widgets.editing import Regions
from saliency_widgets.regions import grid

from .cutting import BODY, MAP, SIZE, STAGE, aim, changed, evaluated, key_stroke, key_to, labels, pressed, spent, stroke, tool

GRID = grid(SIZE, 14, 14)
RADIUS = 6


class Tool(NamedTuple):
    """A tool: its key, its button or line in the region's menu, strokes in pixels, and the same on `Regions` in code.

    `apply(regions, points, picture)` gets the points of a stroke as the hand made them; `before` runs in the kernel first
    (`{d}` is how far the keys' copy lies from the pointer's, so that nothing is known yet); `most` bounds the evaluations.
    """

    key: str
    button: str
    strokes: tuple
    apply: Callable
    before: str = ""
    most: int | None = None
    drawn: bool = False


def at(regions, point):
    return int(regions.labels[int(point[1]), int(point[0])])


def rectangle(regions, points, _):
    (left, top), (right, bottom) = np.floor(np.min(points, 0)).astype(int), np.ceil(np.max(points, 0)).astype(int)
    regions.rectangle(top, left, bottom, right)


def brush(regions, points, _):
    begun = at(regions, points[0])
    regions.brush(points, RADIUS, begun if begun == 196 else None)  # on the one drawn before: more of it


def split(regions, points, _):
    (left, row), (right, _) = points[0], points[-1]
    regions.split(at(regions, ((left + right) / 2, row)), [(left - 5, row), (right + 5, row)])


def merge(regions, points, _):
    regions.merge(*dict.fromkeys(at(regions, p) for p in points))


HALVES = "_h = (np.arange(224)[None] >= 100 + {d}).astype(int).repeat(224, 0); ex.regions.labels = _h"
ONE = (((120, 120),),)
TOOLS = {
    "rectangle": Tool("r", "rectangle", (((40, 30), (71, 59)),), rectangle, drawn=True),
    "lasso": Tool("l", "lasso", (((100, 100), (140, 104), (136, 140), (104, 136)),), lambda r, p, _: r.lasso(p), drawn=True),
    "brush": Tool("d", "brush", (((20, 150), (80, 150)), ((70, 150), (70, 170))), brush, drawn=True),
    "eraser": Tool("e", "eraser", (((30, 180), (12, 180)),), lambda r, p, _: r.erase(p, at(r, p[0]), RADIUS),
                   "ex.regions.rectangle(170 + {d}, 10 + {d}, 190 + {d}, 90 + {d})"),
    "split by a stroke": Tool("s", "split", (((109, 120), (131, 120)),), split, most=2),
    "split by a click": Tool("s", "split", ONE, lambda r, p, picture: r.split(at(r, p[0]), 4, picture), most=4),
    "merge": Tool("m", "merge", (((8, 8), (24, 8), (24, 24)),), merge, most=2),
    "click": Tool("Enter", "", ONE, lambda r, p, _: r.switch(at(r, p[0])), "ex.regions.switch(3 + {d})", most=1),
    "delete": Tool("Delete", "remove", ONE, lambda r, p, _: r.remove(at(r, p[0]))),
    "grow": Tool(">", "grow", ONE, lambda r, p, _: r.grow(at(r, p[0]), 2), HALVES, most=2),
    "shrink": Tool("<", "shrink", ONE, lambda r, p, _: r.shrink(at(r, p[0]), 2), HALVES.replace("100", "90"), most=2),
    "grow a cell": Tool(">", "grow", ONE, lambda r, p, _: r.grow(at(r, p[0]), 2)),
    "shrink a cell": Tool("<", "shrink", ONE, lambda r, p, _: r.shrink(at(r, p[0]), 2)),
    "finer": Tool("f", "finer", (((90, 60),),), lambda r, p, picture: r.split(at(r, p[0]), 4, picture), most=4),
    "coarser": Tool("F", "coarser", ONE, lambda r, p, picture: r.coarser(at(r, p[0]), picture), most=2),
    "name": Tool("n", "name", ONE, lambda r, p, _: r.name(at(r, p[0]), "left ear"), most=0),
}


def by_pointer(cut, it, path):
    if it.button in ("rectangle", "lasso", "brush", "eraser", "split", "merge"):
        tool(cut, it.button)
        points = stroke(cut, *path, release=False)
        cut.until("ex.wait(60)")  # what the drag asked for is not the edit's
        cut.page.wait_for_timeout(50)
        cut.run("ex.wait(60); ex.session.stats.reset()")
        cut.page.mouse.up()
        return points
    place, exact = aim(cut, *path[0])
    if not it.button:
        cut.page.mouse.click(*place)
        return [exact]
    cut.page.keyboard.down("Shift")
    cut.page.mouse.click(*place)
    cut.page.keyboard.up("Shift")
    cut.page.locator(".sw-explorer .sw-region-menu .sw-pop").wait_for()
    if it.button == "name":
        name_it(cut)
    else:
        cut.page.locator(".sw-explorer .sw-region-menu .sw-pop button", has_text=it.button).click()
    return [exact]


def by_keys(cut, it, path):
    page = cut.page
    page.locator(STAGE).first.focus()
    if it.button in ("rectangle", "lasso", "brush", "eraser", "split", "merge"):
        return key_stroke(cut, it.key, *path)
    key_to(cut, *path[0])
    page.keyboard.press(it.key)
    if it.button == "name":
        name_it(cut)
        page.keyboard.press("Escape")
        page.wait_for_function(f"document.activeElement === document.querySelector({STAGE!r})")
    return [(path[0][0] + 0.5, path[0][1] + 0.5)]


def name_it(cut):
    """The name's field has the cursor by itself."""
    cut.page.wait_for_function("document.activeElement?.closest('.sw-explorer .sw-region-menu') !== null && "
                               "document.activeElement instanceof HTMLInputElement")
    cut.page.keyboard.type("left ear")
    cut.page.keyboard.press("Enter")


def back_and_forth(cut, hand, first, last, count):
    """Undo and redo by buttons or by keys lead to exactly the label maps, names and switches before and after."""
    state = "[sorted(ex.regions.off), {str(k): v for k, v in ex.regions.names.items()}]"
    there = cut.value(state)
    for words, key, wanted, left in (("undo", "u", first, count - 1), ("redo", "Control+Shift+z", last, count),
                                     ("undo", "Control+z", first, count - 1)):
        if hand == "pointer":
            cut.page.locator(f".sw-tools button[aria-label^='{words}']").click()
        else:
            cut.page.keyboard.press(key)
        cut.until(f"ex.regions.undoable == {left}")
        assert np.array_equal(labels(cut), wanted), f"{words} leads exactly there"
        assert (cut.value(state) == there) == (words == "redo" or not (np.array_equal(first, last)))


BY_KEYS = list(TOOLS)[::4]  # one of each kind always; the rest with `make test-all`


@pytest.mark.parametrize("name, hand", [
    pytest.param(name, hand, marks=pytest.mark.slow if hand == "keys" and name not in BY_KEYS else [])
    for name in TOOLS for hand in ("pointer", "keys")])
def test_a_tool(cut, name, hand):
    it, d = TOOLS[name], 0 if hand == "pointer" else 16
    if it.before:
        cut.run(it.before.format(d=d))
    count = cut.value("ex.regions.undoable")
    before, drops = evaluated(cut, count), cut.array(f"{MAP}.region_scores")
    wanted = Regions(before)
    wanted.off = cut.value("sorted(ex.regions.off)")
    picture = cut.array("ex.session.picture.shown").astype(np.uint8)
    for path in it.strokes:
        start, count = labels(cut), count + 1
        cut.run("ex.session.stats.reset()")
        points = (by_pointer if hand == "pointer" else by_keys)(cut, it, [(x + d, y + d) for x, y in path])
        it.apply(wanted, points, picture)
        after = evaluated(cut, count)
        assert np.array_equal(after, wanted.labels), "the label map of the same edit in code"
        assert cut.value("sorted(ex.regions.off)") == sorted(wanted.off) and \
            cut.value("list(ex.regions.names.items())") == [list(pair) for pair in wanted.names.items()]
        new = changed(start, after)
        asked = len(points) if it.drawn and hand == "keys" else 0  # by the drag, on top
        assert spent(cut) <= len(new) + (wanted.off != frozenset()) + asked
        assert spent(cut) >= len(new) - it.drawn - (it.button == "split")
        assert it.most is None or spent(cut) <= it.most

    first, new = before, changed(before, after)
    kept = [r for r in range(after.max() + 1) if r not in new]
    now, old = cut.array(f"{MAP}.region_scores"), [before[after == r][0] for r in kept]
    np.testing.assert_allclose(now[kept], drops[old], atol=1e-5)
    some = new or kept[:3]
    logits = cut.array(f"plain([[], *[[r] for r in {some}]])")[:, cut.value("ex.target")]
    np.testing.assert_allclose(now[some], logits[0] - logits[1:], atol=2e-3)
    if wanted.off:
        together = cut.array(f"plain([[], {sorted(wanted.off)}])")[:, cut.value("ex.target")]
        assert cut.value("ex._found.change") == pytest.approx(together[1] - together[0], abs=2e-3)
    if len(it.strokes) == 1:
        back_and_forth(cut, hand, first, after, count)


def test_all_the_way_back_and_forth_by_keys(cut):
    page, first = cut.page, labels(cut)
    page.locator(STAGE).first.focus()
    key_stroke(cut, "r", (40, 30), (71, 59))
    key_stroke(cut, "m", (100, 100), (140, 100))
    key_to(cut, 60, 180)
    for count, key in enumerate((">", "Enter", "f", "Delete", "o"), start=3):
        page.keyboard.press(key)
        cut.until(f"ex.regions.undoable == {count}")
    key_stroke(cut, "l", (150, 150), (190, 150), (190, 190), (150, 190))
    last, n = evaluated(cut, 8), 8
    for k in range(n):
        page.keyboard.press("Control+z" if k % 2 else "u")
    cut.until("ex.regions.undoable == 0")
    assert np.array_equal(labels(cut), first) and np.array_equal(first, GRID) and cut.value("ex.regions.off == set()")
    assert page.locator(".sw-tools button[aria-label^='undo']").is_disabled()
    for k in range(n):
        page.keyboard.press("Control+y" if k % 2 else "U")
    assert np.array_equal(evaluated(cut, n), last)
    assert page.locator(".sw-tools button[aria-label^='redo']").is_disabled() and pressed(cut, "switch regions")
    assert cut.value(f"{BODY}.region is None or {BODY}.region < len(ex.regions)")
