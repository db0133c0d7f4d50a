"""A moving picture of the real widget: a pointer is moved and pressed in the browser, one screenshot a step.

A step is taken when the kernel has answered, so the film shows what comes, not how long it takes.
A screenshot holds no pointer; it is drawn where the browser's is.
"""
from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .notebook import Notebook

STEP = 70  # milliseconds that a frame of a motion is shown
ARROW = ((0, 0), (0, 17), (4, 13.2), (6.8, 19.4), (9.6, 18.2), (6.8, 12.2), (12, 12))
FINE = 4  # the pointer is drawn at so many times its size, and then shrunk


def pointer(pressed: bool) -> Image.Image:
    """An arrow with its tip in the middle of 48 × 48 transparent pixels, in a ring while a button is pressed."""
    side = 48 * FINE
    picture = Image.new("RGBA", (side, side))
    draw, middle = ImageDraw.Draw(picture), side / 2
    if pressed:
        box = (middle - 14 * FINE, middle - 14 * FINE, middle + 14 * FINE, middle + 14 * FINE)
        draw.ellipse(box, fill=(255, 196, 0, 90), outline=(255, 160, 0, 255), width=2 * FINE)
    corners = [(middle + x * FINE, middle + y * FINE) for x, y in ARROW]
    draw.polygon(corners, fill="black")
    draw.line([*corners, corners[0]], fill="white", width=round(1.6 * FINE), joint="curve")
    return picture.resize((48, 48), Image.Resampling.LANCZOS)


class Film:
    """Frames of a part of the page, each with the milliseconds that it is shown."""

    def __init__(self, notebook: Notebook, selector: str = ".sw-explorer"):
        self.notebook, self.page = notebook, notebook.page
        box = self.page.locator(selector).first.bounding_box()
        self.clip = {"x": box["x"], "y": box["y"], "width": int(box["width"]), "height": int(box["height"])}
        self.frames: list[Image.Image] = []
        self.times: list[int] = []
        self.at, self.pressed = (box["x"] + 0.62 * box["width"], box["y"] + 0.93 * box["height"]), False
        self.arrows = {pressed: pointer(pressed) for pressed in (False, True)}
        self.page.mouse.move(*self.at)

    def take(self, milliseconds: int = STEP) -> None:
        """One frame of what stands there now; a frame like the one before lengthens that one."""
        shot = Image.open(io.BytesIO(self.page.screenshot(clip=self.clip))).convert("RGB")
        arrow = self.arrows[self.pressed]
        shot.paste(arrow, (round(self.at[0] - self.clip["x"]) - 24, round(self.at[1] - self.clip["y"]) - 24), arrow)
        if self.frames and np.array_equal(self.frames[-1], shot):
            self.times[-1] += milliseconds
        else:
            self.frames.append(shot)
            self.times.append(milliseconds)

    def wait(self, milliseconds: int) -> None:
        """Show what stands there for so long."""
        self.take(milliseconds)

    def go(self, x: float, y: float, steps: int = 8, pause: int = 60) -> None:
        """Move the pointer to a place of the page, slowly at both ends."""
        (left, top), turns = self.at, 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, steps + 1)[1:])
        for share in turns:
            self.at = left + share * (x - left), top + share * (y - top)
            self.page.mouse.move(*self.at)
            self.page.wait_for_timeout(pause)
            self.take()

    def go_to(self, locator: Any, steps: int = 8) -> None:
        """Move the pointer onto a part of the page."""
        box = locator.bounding_box()
        self.go(box["x"] + min(box["width"] / 2, 40), box["y"] + box["height"] / 2, steps)

    def press(self) -> None:
        self.page.mouse.down()
        self.pressed = True
        self.take(180)

    def release(self) -> None:
        self.page.mouse.up()
        self.pressed = False

    def click(self, then: str = "") -> None:
        """Click where the pointer is; wait until `then`, an expression in the kernel, is true and painted."""
        self.press()
        self.release()
        if then:
            self.notebook.until(then)
        self.notebook.settle()
        self.page.wait_for_timeout(250)

    def save(self, path: Path, most: int, quality: int = 72) -> None:
        """Write an animated WebP that repeats; ValueError where it has more than `most` bytes."""
        started = time.monotonic()
        self.frames[0].save(path, save_all=True, append_images=self.frames[1:], duration=self.times, loop=0, quality=quality,
                            method=4, minimize_size=False, kmin=9, kmax=40, allow_mixed=True)
        size, seconds = path.stat().st_size, sum(self.times) / 1000
        print(f"{path.name}  {size:,} bytes  {len(self.frames)} frames  {seconds:.1f} s  (written in "
              f"{time.monotonic() - started:.0f} s)")
        if size > most:
            raise ValueError(f"{path.name} has {size:,} bytes, at most {most:,} are wanted: take fewer frames or lower quality=")
