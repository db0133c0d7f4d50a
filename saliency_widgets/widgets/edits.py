"""What a hand does to regions: one value per edit, read from the page's messages and checked there."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import drawing
from ..editing import Regions

DRAWN = ("rectangle", "lasso", "brush")  # what makes a region of the pixels it covers
STROKES = (*DRAWN, "erase", "split", "merge")
# What is done to one region.
PLACES = ("toggle", "remove", "grow", "shrink", "finer", "coarser", "name", "choose", "interactions")
ANY = ("undo", "redo", "on", "cancel")
MOST_POINTS = 20_000  # of one stroke: a hand's has hundreds


@dataclass(frozen=True)
class Edit:
    """One edit: what is done, along which points (x, y) in pixels of the picture, or to which region.

    `sketch` numbers a drag that still goes on: nothing is edited yet, its drop is asked for. `after` is the last such number
    before an edit: messages are handled on several threads, and one that was overtaken asks for nothing any more.
    """

    op: str
    points: tuple[tuple[float, float], ...] = ()
    region: int | None = None
    radius: float = 4.0
    name: str = ""
    sketch: int | None = None
    after: int | None = None

    @classmethod
    def read(cls, content: dict[str, Any], buffers: Sequence[Any], size: tuple[int, int]) -> Edit:
        """Read a message of the page for a picture of `size` (H, W); ValueError for one that is not as it should be."""
        op, radius = content.get("op"), content.get("radius", 4.0)
        sketch, after = content.get("sketch"), content.get("after")
        if op not in (*STROKES, *PLACES, *ANY):
            raise ValueError(f"there is no edit {op!r}")
        if isinstance(radius, bool) or not isinstance(radius, (int, float)) or not 0.5 <= radius <= max(size):
            raise ValueError(f"a radius is a number of pixels from 0.5 to {max(size)}, not {radius!r}")
        for number in (sketch, after):
            if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
                raise ValueError(f"{number!r} does not number a drag")
        if sketch is not None and op not in DRAWN:
            raise ValueError(f"a drag of {op} tells no drop")
        points = cls._points(buffers, size)
        wanted = 2 if op == "rectangle" else 1 if op in (*STROKES, *PLACES) else 0
        if len(points) < wanted:
            raise ValueError(f"{op} needs {wanted} point{'s' if wanted > 1 else ''}, got {len(points)}")
        return cls(op, points, radius=float(radius), sketch=sketch, after=after)

    @staticmethod
    def _points(buffers: Sequence[Any], size: tuple[int, int]) -> tuple[tuple[float, float], ...]:
        data = bytes(buffers[0]) if buffers else b""
        if len(data) % 8 or len(data) > 8 * MOST_POINTS:
            raise ValueError(f"points come as pairs of float32, at most {MOST_POINTS}, not in {len(data)} bytes")
        points = np.frombuffer(data, "<f4").reshape(-1, 2).astype(np.float64)
        if not np.isfinite(points).all():
            raise ValueError("a point is not finite")
        height, width = size  # a hand may leave the picture, but what is far outside draws nothing
        return tuple(map(tuple, np.clip(points, (-width, -height), (2 * width, 2 * height)).tolist()))

    # ---- what it does

    def mask(self, size: tuple[int, int]) -> np.ndarray:
        """The pixels bool `(H, W)` that a drawing covers; ValueError where it is too short to cover any."""
        if self.op == "lasso":
            return drawing.polygon(list(self.points), size)
        if self.op == "brush":
            return drawing.disc_along(list(self.points), self.radius, size)
        (left, top), (right, bottom) = np.min(self.points, 0), np.max(self.points, 0)
        mask = np.zeros(size, dtype=bool)  # every pixel that the rectangle touches
        top, left = max(0, int(np.floor(top))), max(0, int(np.floor(left)))
        mask[top:max(0, int(np.ceil(bottom))), left:max(0, int(np.ceil(right)))] = True
        return mask

    def place(self, regions: Regions) -> int:
        """The region it is done to: the one named, else the one under its first point."""
        if self.region is not None:
            return self.region
        (x, y), (height, width) = self.points[0], regions.size
        return int(regions.labels[min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)])

    def touched(self, regions: Regions) -> list[int]:
        """The regions that a stroke runs over, the one with most of it first."""
        along = drawing.disc_along(list(self.points), 0.5, regions.size)
        found, counts = np.unique(regions.labels[along], return_counts=True)
        if not found.size:
            raise ValueError("the stroke lies outside of the picture")
        return found[np.argsort(-counts, kind="stable")].tolist()

    def apply(self, regions: Regions, picture: np.ndarray, chosen: int | None = None) -> int | None:
        """Do it; returns the region that is the chosen one then, or None. ValueError or LookupError where it cannot be done.

        A brush that begins in the `chosen` region paints more of it, else a new one. The eraser takes from the region where
        it begins; splitting cuts the region with most of the stroke, or, where the hand did not move, into four superpixels.
        """
        points = list(self.points)
        match self.op:
            case "rectangle" | "lasso":
                return regions.draw(self.mask(regions.size))
            case "brush":
                return regions.brush(points, self.radius, chosen if self.place(regions) == chosen else None)
            case "erase":
                return regions.erase(points, self.place(regions), self.radius)
            case "split":
                region = self.touched(regions)[0]
                moved = np.ptp(points, axis=0).max() >= 2
                regions.split(region, _longer(points) if moved else 4, None if moved else picture)
                return None
            case "merge":
                first = self.place(regions)
                return regions.merge(first, *(r for r in self.touched(regions) if r != first))
            case "undo" | "redo":
                getattr(regions, self.op)()
                return None
            case "on":
                regions.off = ()
                return chosen
            case "cancel":
                return chosen
        region = self.place(regions)
        match self.op:
            case "toggle":
                regions.switch(region)
            case "remove":
                regions.remove(region)
                return None
            case "grow" | "shrink":
                return getattr(regions, self.op)(region, 2)
            case "finer":
                regions.split(region, 4, picture)
                return None
            case "coarser":
                return regions.coarser(region, picture)
            case "name":
                regions.name(region, self.name)
            case "interactions":
                raise ValueError("interactions are shown by the Explorer: these regions are not edited")
        return region


def _longer(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A stroke that goes on at both ends: a hand that cuts to an edge stops a pixel short of it."""
    pixels, ends = min(3.0, float(np.hypot(*np.ptp(points, axis=0))) / 2), []
    for end, others in ((points[0], points[1:]), (points[-1], points[-2::-1])):
        other = next((p for p in others if np.hypot(p[0] - end[0], p[1] - end[1]) >= 1), end)
        far = np.hypot(end[0] - other[0], end[1] - other[1]) or 1.0
        ends.append((end[0] + pixels * (end[0] - other[0]) / far, end[1] + pixels * (end[1] - other[1]) / far))
    return [ends[0], *points, ends[1]]
