"""Record the README's moving picture and the trust panel from the real widget in Chromium: `make shots`, or this module alone."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.chromium import browser

from .film import Film
from .lab import ROOT, Lab, running
from .notebook import Notebook

MOST = 2_500_000  # every clone carries it
TARGET = ROOT / "notebooks" / "first-look.webp"
CELLS = ['ex = sw.Explorer(*sw.demo("imagenet"))\nex']
CUT = "ex.maps['leave_one_out']"
# What takes seconds is evaluated before, so that the film neither waits nor shows what this machine's other work costs.
BEFORE = """for method in ("integrated_gradients", "leave_one_out"):
    ex.session.map(method, target="Egyptian cat", **ex.params[method].values())
"""


def play(film: Film) -> None:
    """Hover, ask about another class, drag the end of the α window, switch regions off."""
    notebook, page = film.notebook, film.page
    film.wait(900)
    film.go(*notebook.place(150, 30), steps=7)
    film.go(*notebook.place(176, 84), steps=7)
    film.wait(500)
    film.go_to(page.locator(".sw-explorer .sw-names button", has_text="Egyptian cat"))
    film.click("ex.session.label(ex.target) == 'Egyptian cat' and ex.maps['grad_cam'].target == ex.target")
    film.wait(700)
    film.go(*notebook.place(60, 86), steps=9)
    film.wait(700)
    family(film, "Path", "integrated_gradients")
    film.wait(900)
    drag_the_window(film)
    family(film, "Cut", "leave_one_out")
    film.wait(800)
    switch_regions(film)
    film.wait(2200)


def family(film: Film, title: str, method: str) -> None:
    """Click a family and wait for the map of its method; where a price is named, accept it."""
    film.go_to(film.page.locator(".sw-explorer .sw-families button", has_text=title))
    film.click(f"ex.method == {method!r} and ex.wait(60)")
    whole = f"({method!r} in ex.maps and ex.maps[{method!r}].final)"
    if not film.notebook.value(whole):
        film.wait(500)
        film.go_to(film.page.locator(".sw-explorer .sw-wait-row .sw-row-button:visible").first, steps=6)
        film.click(whole)


def drag_the_window(film: Film) -> None:
    """Take the right end of the α window to 0.25 and back to 0.6; every frame shows the map of its window."""
    handle = film.page.locator(".sw-explorer .sw-window .noUi-handle").nth(1)
    width = film.notebook.box(".sw-window .noUi-base")["width"]
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    film.go(x, y)
    film.press()
    for share in (*np.linspace(0.96, 0.12, 15), *np.linspace(0.16, 0.34, 4)):
        film.at = x - (1 - share) * width, y
        film.page.mouse.move(*film.at)
        film.page.wait_for_timeout(60)
        film.notebook.settle()
        film.take(110)
    film.release()
    film.wait(1000)


def switch_regions(film: Film) -> None:
    """Switch off the region with the largest drop, then two that lie around the eye; the bars follow."""
    notebook = film.notebook
    best = notebook.value(f"[int(i) for i in np.argsort(-{CUT}.region_scores)[:3]]")
    for count, region in enumerate(best, 1):
        row, column = divmod(region, 14)
        film.go(*notebook.place(16 * column + 8, 16 * row + 8), steps=8 if count == 1 else 5)
        film.wait(350)
        film.click(f"len(ex.regions.off) == {count} and ex.wait(60)")
        film.page.wait_for_function("document.querySelector('.sw-what').innerText.includes('✓ evaluated')")
        film.page.wait_for_timeout(300)
        film.wait(900)


def record(chromium: Any, lab: Lab, target: Path) -> None:
    """Write the film; ValueError where it grew too big."""
    notebook = Notebook.window(chromium, lab, CELLS)
    notebook.begin()
    notebook.choose_class("espresso")
    notebook.run(BEFORE)
    film = Film(notebook)
    play(film)
    assert notebook.errors == [], f"the page raised errors: {notebook.errors}"
    notebook.close()
    notebook.leave()
    film.save(target, MOST)


def trust(chromium: Any, lab: Lab) -> None:
    """Take a picture of the trust panel with the sanity check of Grad-CAM on the embedded demo."""
    notebook = Notebook.window(chromium, lab, height=1150)
    notebook.begin()
    notebook.run("ex.trust.show('sanity_check'); assert ex.wait(120)")
    notebook.until("'sanity_check' in ex.trust.results")
    notebook.settle()
    notebook.page.wait_for_timeout(500)
    notebook.shot("trust-panel", ".sw-trust")
    notebook.close()
    notebook.leave()


def main(target: Path = TARGET) -> None:
    """Write both; an error where Chromium or the ImageNet demonstration is missing."""
    with browser() as chromium, running() as lab:
        trust(chromium, lab)
        record(chromium, lab, target)


if __name__ == "__main__":
    main()
