"""Undo of what a person set: class, method, parameters and looks. Regions keep an undo of their own."""
from __future__ import annotations

import time
from typing import Any

import numpy as np
import traitlets

from .widgets.controls import same
from .widgets.layers import LOOKS, HeatLayer

MOST = 100    # steps; older ones are forgotten
PAUSE = 0.6   # seconds without a change after which a hand on the same control begins another step
TOGETHER = ("solo", "selected")  # one layer gets it, all others lose it: one step
CHOICES = ("target", "contrast", "method")
PHOTOGRAPH = ("photo_opacity", "photo_saturation", "photo_visible")


class Step:
    """What one gesture changed: the value before and after, by the object that holds it and the trait's name."""

    def __init__(self) -> None:
        self.changes: dict[tuple[Any, str], list[Any]] = {}
        self.looks: dict[str, dict[str, Any]] = {}  # of the explored layer, by the method that it showed
        self.at = time.monotonic()

    def joins(self, key: tuple[Any, str]) -> bool:
        """Whether a change of this trait, now, goes on with the step."""
        waited = time.monotonic() - self.at
        if set(self.changes) == {key}:
            return waited < PAUSE
        return key[1] in TOGETHER and waited < 0.05 and all(name == key[1] for _, name in self.changes)


class Undoing:
    """`undo` and `redo` of the Explorer. What the kernel changes by itself, under `_publishing`, is no step."""

    def _begin_undoing(self) -> None:
        self._past: list[Step] = []
        self._future: list[Step] = []
        self._stepping, self._left = False, ("", {})
        self.observe(self._note, CHOICES)
        for values in self.params.values():
            values.observe(self._note, traitlets.All)
        for layer in self.face.layers:
            self._note_looks(layer)
        self.face.stage.canvas.observe(self._note, PHOTOGRAPH)

    def _note_looks(self, layer: HeatLayer) -> None:
        layer.observe(self._note, LOOKS)

    # ---- the public face

    def undo(self) -> bool:
        """Take back the last change of class, contrast, method, parameters or looks; False where there is none.

        A drag is one step, the newest 100 are kept. Pictures, pins and edits of regions are none: regions have
        `regions.undo()`. A map that is still kept comes back without an evaluation; a dear one asks before it is computed.
        """
        return self._step(self._past, self._future, 0)

    def redo(self) -> bool:
        """Do again what `undo` took back; False where there is nothing."""
        return self._step(self._future, self._past, 1)

    # ---- noting

    def _note(self, change: Any) -> None:
        with self._lock:  # who publishes holds it: what is quiet is so for its own thread alone
            owner, name, old, new = change["owner"], change["name"], change["old"], change["new"]
            if not self._ready or self._quiet or self._stepping or same(old, new):
                return
            if isinstance(old, np.ndarray) or isinstance(new, np.ndarray):
                if name == "regions":
                    return
            key = owner, name
            if not self._past or self._future or not self._past[-1].joins(key):
                self._past.append(Step())
                del self._past[:-MOST]
            self._future.clear()
            step = self._past[-1]
            step.at = time.monotonic()
            step.changes.setdefault(key, [old, new])[1] = new
            if name == "method":
                step.looks.setdefault(*self._left)
            if all(same(*pair) for pair in step.changes.values()):  # back where it began
                self._past.pop()
            self._show_history()

    def _before_method(self) -> None:
        """Another method is about to be chosen: keep the looks of the one that is shown, before the worker changes them."""
        if self._ready:
            with self._lock:
                shown = self._shown[0]
                self._left = (shown.method if shown is not None else "", self._explored_looks())

    def _explored_looks(self) -> dict[str, Any]:
        layer = self.face.layers[0]
        return {name: getattr(layer, name) for name in LOOKS}

    def _forget_steps(self) -> None:
        """Another state was restored: what was done before does not lead to it."""
        with self._lock:
            self._past.clear()
            self._future.clear()
            self._show_history()

    def _show_history(self) -> None:
        self.face.status.history(bool(self._past))

    # ---- going back and forth

    def _step(self, source: list[Step], other: list[Step], which: int) -> bool:
        with self._lock:
            if not self._ready or not source:
                return False
            step = source.pop()
            other.append(step)
            self._stepping = self._hand = True
            try:
                if any(name == "method" for _, name in step.changes):
                    self._change_method(step, which)
                for (owner, name), pair in step.changes.items():
                    if not (isinstance(owner, HeatLayer) and owner.comm is None):  # unpinned since
                        setattr(owner, name, pair[which])
            except Exception as error:
                self._say(error)
            finally:
                self._stepping = self._hand = False
                self._show_history()
            return True

    def _change_method(self, step: Step, which: int) -> None:
        """The explored layer will show another method's map: with the looks that it had."""
        before, after = next(pair for (_, name), pair in step.changes.items() if name == "method")
        leaving, coming = (after, before) if which == 0 else (before, after)
        if self._shown[0] is not None and self._shown[0].method == leaving:
            step.looks[leaving] = self._explored_looks()
        if coming in step.looks:
            looks = {name: value for name, value in step.looks[coming].items() if name != "order"}
            self._wanted_looks = coming, looks
