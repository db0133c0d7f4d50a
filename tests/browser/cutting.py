"""A hand on the regions of an open notebook: strokes by pointer or by arrow keys, and what the kernel made of them."""
from __future__ import annotations

import numpy as np

from .notebook import Notebook

SIZE = (224, 224)
MAP = "ex.maps['leave_one_out']"
BODY = "ex.face.method.bodies['leave_one_out']"
STAGE = ".sw-explorer .sw-over"
SCORES = """
import torch
def plain(sets, fill=0.0):
    "Logits without each set of regions, by one plain forward each."
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
Points = list[tuple[float, float]]


def tool(cut: Notebook, name: str) -> None:
    """Take a tool from the row; it stays pressed."""
    button = cut.page.locator(f".sw-explorer .sw-tool-row:visible button[aria-label^='{name}']")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"


def pressed(cut: Notebook, name: str) -> bool:
    return cut.page.locator(f".sw-explorer button[aria-label^='{name}']").get_attribute("aria-pressed") == "true"


def aim(cut: Notebook, x: float, y: float) -> tuple[tuple[int, int], tuple[float, float]]:
    """The whole CSS pixel nearest to (x, y) of the picture, and where in the picture it exactly is."""
    box = cut.box()
    at = round(box["x"] + x / 224 * box["width"]), round(box["y"] + y / 224 * box["height"])
    return at, ((at[0] - box["x"]) / box["width"] * 224, (at[1] - box["y"]) / box["height"] * 224)


def stroke(cut: Notebook, *path: tuple[float, float], steps: int = 4, release: bool = True) -> Points:
    """Press at the first point (x, y) in pixels of the picture, move along the others, let go; where the hand exactly was."""
    corners = np.array(path, float)
    between = [a + (b - a) * k / steps for a, b in zip(corners, corners[1:]) for k in range(1, steps + 1)]
    aims = [aim(cut, *point) for point in (corners[0], *between)]
    cut.page.mouse.move(*aims[0][0])
    cut.page.mouse.down()
    for at, _ in aims[1:]:
        cut.page.mouse.move(*at)
    if release:
        cut.page.mouse.up()
    return [exact for _, exact in aims]


def walk(cut: Notebook, x: int, y: int) -> Points:
    """Move the probe to a pixel with the arrow keys, with a tool that draws at hand; every place where it was."""
    page, seen = cut.page, []
    if cut.probe() is None:
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.querySelector('.sw-explorer .sw-at') !== null")
    now = list(cut.probe())
    for axis, (to, back, forth) in enumerate(((x, "ArrowLeft", "ArrowRight"), (y, "ArrowUp", "ArrowDown"))):
        while now[axis] != to:
            far = to - now[axis]
            page.keyboard.press(f"{'Shift+' if abs(far) >= 10 else ''}{forth if far > 0 else back}")
            now[axis] += int(np.sign(far)) * (10 if abs(far) >= 10 else 1)
            seen.append((now[0] + 0.5, now[1] + 0.5))
    cut.wait_probe(x, y)
    return seen


def key_stroke(cut: Notebook, key: str, *path: tuple[int, int]) -> Points:
    """The same with keys alone: the tool's key, arrows, Enter, arrows, Enter, and Esc back to the pointer."""
    page = cut.page
    page.keyboard.press(key)
    walk(cut, *path[0])
    page.keyboard.press("Enter")
    points = [(path[0][0] + 0.5, path[0][1] + 0.5)]
    for place in path[1:]:
        points += walk(cut, *place)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert pressed(cut, "switch regions"), "Esc leads back to the pointer"
    return points


def key_to(cut: Notebook, x: int, y: int) -> None:
    """Move the probe to a pixel, with the pointer at hand there."""
    cut.page.keyboard.press("r")
    walk(cut, x, y)
    cut.page.keyboard.press("Escape")


def evaluated(cut: Notebook, count: int) -> np.ndarray:
    """Wait until there are that many edits to undo and all of it is evaluated; the label map then, int `(H, W)`."""
    cut.until(f"ex.regions.undoable == {count} and ex.wait(60) and {MAP}.final and "
              f"np.array_equal({MAP}.regions, ex.regions.labels) and (not ex.regions.off or ex._found is not None)")
    cut.settle()
    assert cut.value("ex.error") == ""
    return labels(cut)


def labels(cut: Notebook) -> np.ndarray:
    return cut.array("ex.regions.labels").astype(int)


def spent(cut: Notebook) -> int:
    return cut.value("ex.session.stats.forward_samples")


def on_stage(cut: Notebook) -> list[int]:
    """What the page says is off."""
    return cut.value("list(ex.face.stage.canvas.off)")


def changed(before: np.ndarray, after: np.ndarray) -> list[int]:
    """Regions of a label map that are none of another one's: those that an edit must evaluate."""
    known = {(before == r).tobytes() for r in range(before.max() + 1)}
    return [r for r in range(after.max() + 1) if (after == r).tobytes() not in known]


def begin_anew(cut: Notebook) -> None:
    """The first label map again, nothing off, the pointer at hand, the mouse away."""
    cut.run(f"""ex.method = 'leave_one_out'
while ex.regions.undo():
    pass
{BODY}.menu.value = False
ex.wait(60)""")
    tool(cut, "switch regions")
    cut.page.mouse.move(5, 5)
    evaluated(cut, 0)
    cut.run("ex.session.stats.reset()")
