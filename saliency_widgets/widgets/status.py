"""The status line above (what runs, on what, and any error in words) and the progress line below."""
from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets
import traitlets as t

from .controls import named
from .part import Part
from .strip import Screen
from .words import duration, sentence

TYPES = {"png": "image/png", "map": "image/png", "sheet": "image/png", "html": "text/html", "npz": "application/octet-stream"}


def flag(widget: ipywidgets.DOMWidget, name: str, on: bool) -> None:
    """Set or clear a CSS class."""
    (widget.add_class if on else widget.remove_class)(name)


class SaveMenu(Part):
    """Files and code out of the Explorer: `on_save(what)` gives (name, bytes) of a file, a text for code."""

    role = t.Unicode("save").tag(sync=True)

    def __init__(self, on_save: Callable[[str], tuple[str, bytes] | str], **kwargs: Any):
        super().__init__(**kwargs)
        self._on_save = on_save
        self.on_msg(self._receive)

    def _receive(self, _widget: Any, content: Any, buffers: Any) -> None:
        what = content.get("what") if isinstance(content, dict) else None
        if what not in (*TYPES, "code"):
            return self.send({"kind": "error", "words": f"nothing is saved as {what!r}"})
        try:
            found = self._on_save(what)
        except Exception as error:  # said where it was asked for
            return self.send({"kind": "error", "words": sentence(error)})
        if isinstance(found, str):
            self.send({"kind": "code", "code": found})
        else:
            self.send({"kind": "file", "name": found[0], "type": TYPES[what]}, [found[1]])


class StatusLine(ipywidgets.HBox):
    """Model, device, backend and preprocessing, or, in their place, one error with the way out.

    `on_file(name, bytes)` hears an upload, `on_refresh()` the wish to evaluate everything again, `on_save(what)` the wish
    for a file or for code, `on_undo()` the wish to take the last change back.
    """

    def __init__(self, on_file: Callable[[str, bytes], None], on_refresh: Callable[[], None],
                 on_save: Callable[[str], tuple[str, bytes] | str], on_undo: Callable[[], object]):
        self._on_file = on_file
        self.save = SaveMenu(on_save)
        self.text = ipywidgets.HTML()
        self.text.add_class("sw-status-text")
        self.details = ipywidgets.ToggleButton(description="details", layout={"display": "none"})
        self.details.add_class("sw-details-button")
        self.more = ipywidgets.HTML()
        self.more.add_class("sw-pop")
        self.more.add_class("sw-details")
        self.upload = named(ipywidgets.FileUpload(accept="image/*", multiple=False, description=""),
                            "another picture", "choose a file, or drop one on the picture")
        self.upload.add_class("sw-upload")
        self.upload.observe(self._uploaded, "value")
        self.refresh = named(ipywidgets.Button(), "evaluate again", "forget what was kept for this model and picture")
        self.refresh.add_class("sw-refresh")
        self.refresh.on_click(lambda _: on_refresh())
        self.undo = named(ipywidgets.Button(disabled=True), "undo", "take back the last change (Ctrl Z on the picture)")
        self.undo.add_class("sw-undo")
        self.undo.on_click(lambda _: on_undo())
        self.help = named(ipywidgets.ToggleButton(value=False), "keys", "? on the picture")
        self.help.add_class("sw-help-button")
        for button in (self.undo, self.upload, self.refresh, self.help):
            button.add_class("sw-icon")
        self.screen = Screen()
        super().__init__([self.text, self.details, self.more, self.undo, self.upload, self.refresh, self.save, self.screen,
                          self.help])
        self.add_class("sw-status")

    def show(self, name: str, facts: str, tip: str = "") -> None:
        """Write the quiet line: the model's name, then what it runs on; `tip` is the long form on hover."""
        self._quiet = (name, facts, tip)
        self._write()

    def _write(self, error: str = "") -> None:
        name, facts, tip = self._quiet
        rest = f"<i class='sw-warn'></i><span>{escape(error)}</span>" if error else f"<span class='sw-m'>{escape(facts)}</span>"
        self.text.value = (f"<span title='{escape(error or tip)}'><span class='sw-led' role='img' "
                           f"aria-label='{'error' if error else 'ready'}'></span><b>{escape(name)}</b> {rest}</span>")

    def error(self, words: str, details: str = "") -> None:
        """Say what went wrong in one line, or, with no words, return to the quiet line."""
        self._write(words)
        self.details.layout.display = "" if details else "none"
        self.details.value = False
        self.more.value = f"<pre>{escape(details)}</pre>" if details else ""
        flag(self, "sw-error", bool(words))

    def history(self, undoable: bool) -> None:
        """Offer to undo, or not."""
        self.undo.disabled = not undoable

    def _uploaded(self, change: dict) -> None:
        for file in change["new"]:
            self._on_file(file["name"], bytes(file["content"]))
            self.upload.value = ()


class ProgressLine(ipywidgets.Box):
    """The right end of the readout row: what a next step costs, or count, time left and cancel while busy.

    The bar is the 2 px line on the row's upper edge; the style sheet lets all of it wait for half a second.
    """

    def __init__(self, on_cancel: Callable[[], None]):
        self.idle = ipywidgets.HTML()
        self.idle.add_class("sw-idle")
        self.count = ipywidgets.HTML()
        self.count.add_class("sw-count")
        self.cancel = ipywidgets.Button(description="cancel", tooltip="stop (Esc)")
        self.cancel.add_class("sw-cancel")
        self.cancel.on_click(lambda _: on_cancel())
        self.bar = named(ipywidgets.IntProgress(value=0, min=0, max=100), "progress")
        self.bar.add_class("sw-bar")
        super().__init__([self.bar, self.idle, self.count, self.cancel])
        self.add_class("sw-progress")

    def rest(self, words: str) -> None:
        """Nothing runs: say what a next step costs."""
        self.idle.value = escape(words)
        self.count.value = ""
        self.bar.value = 0

    def advance(self, done: int, planned: int, left: float | None) -> None:
        """Show `done` of `planned` evaluations and the seconds left, where they can be told."""
        self.bar.value = round(100 * done / planned) if planned else 0
        time = "" if left is None else f" · {duration(left)} left"
        self.count.value = f"{done} of {planned} evaluations{time}"
