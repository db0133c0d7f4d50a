"""`Regions`: a picture cut into named regions, some of them switched off, with a history that undoes every edit."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from . import drawing, hierarchy, region_files
from .regions import ABOUT, MOST, SEGMENTATIONS, Cut, areas, as_labels, grid, resolve

HISTORY = 200  # edits that can be undone


class Regions:
    """The regions of a picture of `size` (H, W), for hands and code alike; `on_change()` hears every change.

    The labels are always a partition: every pixel in one region, numbers 0..R−1, none empty. A number may change with an
    edit that removes another region; names and switches move along. Every method that edits raises LookupError for a region
    that does not exist, ValueError or TypeError for what cannot be done, and then changes nothing.
    """

    def __init__(self, labels: np.ndarray, on_change: Callable[[], None] = lambda: None):
        labels = np.asarray(labels)
        self._states, self._now = [Cut(as_labels(labels, labels.shape))], 0
        self._on_change = on_change

    # ---- what there is

    @property
    def labels(self) -> np.ndarray:
        """The label map, int32 `(H, W)`, read-only; assign another one, or "slic", "felzenszwalb" by way of `cut`."""
        view = self._cut.labels.view()
        view.flags.writeable = False
        return view

    @labels.setter
    def labels(self, value: np.ndarray) -> None:
        self._push(Cut(as_labels(value, self.size)))

    @property
    def names(self) -> Mapping[int, str]:
        """Names by number, of the regions that have one."""
        return MappingProxyType(dict(self._cut.names))

    @property
    def off(self) -> frozenset[int]:
        """Numbers of the regions that are switched off; assign any collection of them."""
        return self._cut.off

    @off.setter
    def off(self, regions: Iterable[int]) -> None:
        chosen = frozenset(map(self._number, regions))
        if chosen != self.off:
            self._push(replace(self._cut, off=chosen))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._cut.labels.shape

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each region, int64 `(R,)`."""
        return areas(self._cut.labels)

    def __len__(self) -> int:
        return int(self._cut.labels.max()) + 1

    def __getitem__(self, place: Any) -> Any:
        """The region at a pixel: `regions[y, x]`; slices give a part of the label map."""
        return self.labels[place]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._cut.labels, dtype=dtype, copy=True)

    def __repr__(self) -> str:
        return f"Regions({len(self)} of {self.size[0]} × {self.size[1]} pixels, {len(self.off)} off)"

    def mask(self, region: int | str) -> np.ndarray:
        """The pixels of a region given by number or name: bool `(H, W)`."""
        return self._cut.labels == self._number(region)

    # ---- cutting

    def cut(self, how: Any, picture: np.ndarray | None = None, columns: int | None = None, count: int = ABOUT) -> None:
        """Cut anew: rows (and `columns`) of a grid, `count` superpixels by "slic" or "felzenszwalb", or a label map."""
        if isinstance(how, (int, np.integer)) and not isinstance(how, bool):
            self.labels = grid(self.size, int(how), int(columns or how))
        elif isinstance(how, str) and picture is None:
            raise ValueError(f"cutting by {how!r} needs the picture: give it with picture=")
        else:
            self.labels = resolve(how, np.empty((*self.size, 0)) if picture is None else picture, count)

    def draw(self, mask: np.ndarray, name: str | None = None) -> int:
        """Make the pixels of a mask bool `(H, W)` a new region; returns its number."""
        return self._edit(drawing.draw(self._cut.labels, mask), name)

    def rectangle(self, top: int, left: int, bottom: int, right: int, name: str | None = None) -> int:
        """Make a rectangle a new region, `bottom` and `right` exclusive, cut to the picture; returns its number."""
        mask = np.zeros(self.size, dtype=bool)
        mask[max(0, top):max(0, bottom), max(0, left):max(0, right)] = True
        return self.draw(mask, name)

    def lasso(self, points: list[tuple[float, float]], name: str | None = None) -> int:
        """Make what a closed line through points (x, y) surrounds a new region; returns its number."""
        return self.draw(drawing.polygon(points, self.size), name)

    def brush(self, points: list[tuple[float, float]], radius: float = 4.0, region: int | str | None = None,
              name: str | None = None) -> int:
        """Paint a stroke of `radius` pixels: a new region, or more of the one given; returns its number."""
        mask = drawing.disc_along(points, radius, self.size)
        return self.draw(mask, name) if region is None else self._edit(
            drawing.paint(self._cut.labels, mask, self._number(region)), keep=self._number(region))

    def erase(self, points: list[tuple[float, float]], region: int | str, radius: float = 4.0) -> int | None:
        """Take a stroke of `radius` pixels from a region, for the nearest of the others; returns its number, None if gone."""
        number = self._number(region)
        labels = drawing.release(self._cut.labels, number, drawing.disc_along(points, radius, self.size))
        kept = bool((labels == number).any())
        found = self._edit(labels, keep=number if kept else None)
        return found if kept else None

    def split(self, region: int | str, by: list[tuple[float, float]] | int = 4, picture: np.ndarray | None = None) -> None:
        """Split a region along a stroke of points (x, y), or into about `by` superpixels of `picture` uint8 `(H, W, 3)`.

        A superpixel of that picture, or a union of some, is split into those it was made of (`hierarchy`).
        """
        number = self._number(region)
        if isinstance(by, int):
            if picture is None:
                raise ValueError("splitting into superpixels needs the picture: give it with picture=, or a stroke")
            inside = self._cut.labels == number
            parts = hierarchy.parts(picture, inside, by, SEGMENTATIONS)
            self._edit(drawing.split_evenly(self._cut.labels, number, picture, by) if parts is None else
                       np.where(inside & (parts != parts[inside].min()), parts + len(self), self._cut.labels))
        else:
            self._edit(drawing.split(self._cut.labels, number, drawing.disc_along(by, 0.5, self.size)))

    def merge(self, *regions: int | str) -> int:
        """Make several regions one; returns its number. It is off only where all of them were."""
        numbers = list(dict.fromkeys(map(self._number, regions)))
        on = () if set(numbers) <= self.off else (numbers[0],) if numbers else ()
        return self._edit(drawing.merge(self._cut.labels, numbers), keep=numbers[0], on=on)

    def coarser(self, region: int | str, picture: np.ndarray) -> int:
        """Merge a region with the neighbour that it looks most like in `picture` uint8 `(H, W, 3)`; returns its number."""
        number = self._number(region)
        return self.merge(number, hierarchy.most_similar(self._cut.labels, number, picture))

    def remove(self, region: int | str) -> None:
        """Give a region's pixels to the nearest of the others."""
        self._edit(drawing.remove(self._cut.labels, self._number(region)))

    def grow(self, region: int | str, pixels: int = 1) -> int:
        """Let a region take what lies within `pixels` of it; returns its number."""
        number = self._number(region)
        return self._edit(drawing.grow(self._cut.labels, number, pixels), keep=number)

    def shrink(self, region: int | str, pixels: int = 1) -> int:
        """Let a region give a rim of `pixels` to those beside it; returns its number."""
        number = self._number(region)
        return self._edit(drawing.shrink(self._cut.labels, number, pixels), keep=number)

    # ---- switches and names

    def switch(self, *regions: int | str) -> None:
        """Switch regions off, or on again."""
        self.off = self.off ^ frozenset(map(self._number, regions))

    def name(self, region: int | str, name: str) -> None:
        """Name a region; an empty name takes it away, ValueError for one that another region has."""
        number, names = self._number(region), dict(self._cut.names)
        names.pop(number, None)
        self._push(replace(self._cut, names=_named(names, number, name)))

    # ---- files

    def to_coco(self) -> dict[str, Any]:
        """The regions as a COCO dict with uncompressed run lengths, ready for `json.dump`."""
        return region_files.to_coco(self._cut)

    def from_coco(self, data: Any, image_id: int | None = None) -> None:
        """Take regions from a COCO dict, its JSON file, or a list of annotations; what none covers is one more region."""
        self._push(region_files.from_coco(data, self.size, image_id))

    def save_png(self, path: str | Path) -> Path:
        """Write the label map as a 16-bit PNG with names and switches in a text chunk; returns the path."""
        return region_files.save_png(self._cut, path)

    def load_png(self, path: str | Path) -> None:
        """Take a label map from a grey or palette picture, with names and switches where `save_png` wrote it."""
        self._push(region_files.load_png(path, self.size))

    # ---- history

    @property
    def undoable(self) -> int:
        """How many edits can be undone."""
        return self._now

    @property
    def redoable(self) -> int:
        """How many edits can be done again."""
        return len(self._states) - 1 - self._now

    def undo(self) -> bool:
        """Take the last edit back; False where there is none."""
        return self._go(self._now - 1)

    def redo(self) -> bool:
        """Do the last undone edit again; False where there is none."""
        return self._go(self._now + 1)

    def _go(self, to: int) -> bool:
        if not 0 <= to < len(self._states):
            return False
        self._now = to
        self._on_change()
        return True

    @property
    def state(self) -> Cut:
        """Labels, names and switches as one frozen value."""
        return self._cut

    @property
    def _cut(self) -> Cut:
        return self._states[self._now]

    def _push(self, cut: Cut) -> None:
        if cut.same(self._cut):
            return
        count = int(cut.labels.max()) + 1
        if count > MOST:
            raise ValueError(f"{count:,} regions are more than the {MOST:,} that can be evaluated in time: cut coarser")
        self._states[self._now + 1:] = [cut]
        del self._states[:-HISTORY - 1]
        self._now = len(self._states) - 1
        self._on_change()

    def _number(self, region: int | str) -> int:
        """A region's number, given by number or name; LookupError where there is none."""
        if isinstance(region, str):
            for number, name in self._cut.names.items():
                if name == region:
                    return number
            known = ", ".join(map(repr, self._cut.names.values())) or "none has a name"
            raise LookupError(f"no region is called {region!r}: {known}")
        if isinstance(region, bool) or not isinstance(region, (int, np.integer)):
            raise TypeError(f"a region is a number or a name, got {type(region).__name__}")
        if not 0 <= region < len(self):
            raise LookupError(f"there is no region {region}: they are numbered 0 to {len(self) - 1}")
        return int(region)

    def _edit(self, labels: np.ndarray, name: str | None = None, keep: int | None = None, on: Iterable[int] = ()) -> int:
        """Take an edited label map, close the gaps in its numbers, and move names and switches along.

        Returns the new number of region `keep`, by default of the newest one.
        """
        present = np.unique(labels)
        moved = {int(old): new for new, old in enumerate(present)}
        names = {moved[n]: given for n, given in self._cut.names.items() if n in moved}
        off = frozenset(moved[n] for n in self._cut.off - frozenset(on) if n in moved)
        number = moved[int(present[-1] if keep is None else keep)]
        names = _named(names, number, name)
        self._push(Cut(np.searchsorted(present, labels).astype(np.int32), names, off))
        return number


def _named(names: Mapping[int, str], number: int, name: str | None) -> dict[int, str]:
    """The names with one more, if there is one to give; ValueError where another region has it."""
    if name and name in names.values():
        raise ValueError(f"another region is called {name!r}: choose another name")
    return {**names, number: str(name)} if name else dict(names)
