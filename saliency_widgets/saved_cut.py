"""What is switched off on the stage, read off the Explorer for its files."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .widgets.words import percent, plain, signed

if TYPE_CHECKING:
    from .explorer import Explorer
    from .what_if import WhatIf


@dataclass(frozen=True)
class SwitchedOff:
    """What is switched off on the stage: numbers, label map `(H, W)`, names, and what the model says without it, if known."""

    off: list[int]
    labels: np.ndarray
    names: dict[int, str]
    found: "WhatIf | None"

    @property
    def mask(self) -> np.ndarray:
        """Their pixels, bool `(H, W)`."""
        return np.isin(self.labels, self.off)

    def words(self, label: str) -> str:
        """In one sentence: which regions, how much of the picture, and what came of it."""
        which = ", ".join(self.names.get(n, str(n)) for n in self.off[:6]) + (" …" if len(self.off) > 6 else "")
        text = f"Off: {'regions' if len(self.off) > 1 else 'region'} {which}, {percent(float(self.mask.mean()))} of the picture"
        if self.found is None:
            return text + "."
        chances = "" if self.found.before is None else \
            f"probability {plain(self.found.before, 3)} → {plain(self.found.after, 3)}, "
        return f"{text}. {label} without it: {chances}{signed(self.found.change)} {self.found.unit}."


def switched_off(explorer: "Explorer") -> SwitchedOff | None:
    """What is off of the regions that the stage shows; None where all is on."""
    with explorer._lock:
        canvas, method = explorer.face.stage.canvas, explorer._shown_cut
        if method is None or not canvas.off:
            return None
        regions = explorer._regions_of(method)
        return SwitchedOff(list(canvas.off), np.array(regions.labels), dict(regions.names), explorer._found)
