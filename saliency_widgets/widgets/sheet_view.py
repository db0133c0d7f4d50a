"""The contact sheet over the stage: a picture that scrolls, and the way back."""
from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import ipywidgets
from PIL import Image

from .controls import named
from .words import FAMILIES


class SheetView(ipywidgets.VBox):
    """Lies over stage and legend while it is open; `on_close()` hears the button."""

    def __init__(self, on_close: Callable[[], None]):
        self.image = ipywidgets.Image(format="png", value=b"")
        self.title = ipywidgets.HTML()
        self.leave = named(ipywidgets.Button(description="close"), "close the contact sheet")
        self.leave.add_class("sw-link")
        self.leave.on_click(lambda _: on_close())
        head = ipywidgets.HBox([self.title, self.leave])
        head.add_class("sw-head")
        paper = ipywidgets.Box([self.image])
        paper.add_class("sw-paper")
        super().__init__([head, paper])
        self.add_class("sw-sheet-view")
        self.close_sheet()

    @property
    def opened(self) -> bool:
        """Whether it is seen."""
        return self.layout.display != "none"

    def show(self, sheet: Image.Image, family: str) -> None:
        """Open with a sheet of a method of this family."""
        buffer = io.BytesIO()
        sheet.save(buffer, "PNG", compress_level=1)
        self.image.value = buffer.getvalue()
        self.title.value = f"<span>contact sheet: {FAMILIES[family][1]}</span>"
        self.layout.display = ""

    def close_sheet(self, *_: Any) -> None:
        """Go back to the stage."""
        self.layout.display, self.image.value = "none", b""
