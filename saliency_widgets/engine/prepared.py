"""Cut photographs as changes of the model's input: prepared when they are needed, each in the box where it must lie."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.ndimage import find_objects
from torch import Tensor

from .inputs import Inputs
from .probe import Without

REACH = 3.0  # support of the widest usual filter (Lanczos), in pixels of the coarser side


class Elsewhere(RuntimeError):
    """A cut photograph changes the input where its regions do not lie: the preprocessing is more than resize and crop."""


class Prepared:
    """Photographs without regions, as differences `(C, h, w)` from the input of the whole one (`incremental.Change`).

    `boxes` say beforehand where each one may differ, by the measured crop; every picture is prepared in full and compared,
    and Elsewhere is raised where that was wrong, so that no evaluation is of anything but the picture itself.
    """

    def __init__(self, inputs: Inputs, names: Sequence[Without]):
        self.inputs, self.names, self._sure = inputs, names, set()
        whole = find_objects(inputs.cells(names[0].labels) + 1)
        self.boxes = np.array([self._box([whole[region] for region in name.regions]) for name in names], dtype=np.int64)

    def _box(self, places: list[tuple[slice, slice]]) -> list[int]:
        """Where the input may change, of regions with these bounding boxes: top, left, bottom, right; empty where nowhere."""
        crop, size, box = self.inputs.cutout.photo.crop, self.inputs.image.shape[1:], [0] * 4
        for axis in (0, 1):
            step = (crop[axis + 2] - crop[axis]) / size[axis]
            margin = REACH * max(1.0, 1 / step) + 1
            low, high = min(p[axis].start for p in places), max(p[axis].stop for p in places)
            box[axis] = max(0, math.floor((low - crop[axis]) / step - margin))
            box[axis + 2] = min(size[axis], math.ceil((high - crop[axis]) / step + margin))
        return box if box[0] < box[2] and box[1] < box[3] else [*size, 0, 0]

    def _change(self, row: int) -> Tensor:
        d = self.inputs.tensor(self.names[row]) - self.inputs.image
        top, left, bottom, right = self.boxes[row].tolist()
        beyond = d[:, :top], d[:, bottom:], d[:, top:bottom, :left], d[:, top:bottom, right:]
        if any(bool(part.any()) for part in (beyond if top < bottom else (d,))):
            raise Elsewhere("the preprocessing changes the input where the regions do not lie")
        self._sure.add(row)
        return d

    def within(self, rows: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
        """Differences `(n, C, height, width)` for pictures `rows`, in boxes at `top`, `left`; zero outside."""
        channels, *size = self.inputs.image.shape
        found = self.inputs.image.new_zeros(len(rows), channels, height, width)
        for i, (row, y, x) in enumerate(zip(rows.tolist(), top.tolist(), left.tolist())):
            a, b, c, e = max(y, 0), min(y + height, size[0]), max(x, 0), min(x + width, size[1])
            found[i, :, a - y:b - y, c - x:e - x] = self._change(row)[:, a:b, c:e]
        return found

    def confirm(self, rows: Sequence[int], check: Callable[[], None]) -> None:
        """Prepare those of the pictures that nobody asked for, since they should change nothing; `check` may stop it."""
        for row in rows:
            if row not in self._sure:
                check()
                self._change(row)
