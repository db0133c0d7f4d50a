"""The strip of pictures above the stage: a thumbnail each, a click shows it."""
from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import traitlets as t

from .part import Part
from .stage import encode_picture

_log = logging.getLogger(__name__)


class Strip(Part):
    """Thumbnails as a radio group; `on_choose(number)` hears a click or an arrow key. Hidden while there is but one picture."""

    role = t.Unicode("strip").tag(sync=True)
    thumbs = t.List(t.Bytes(), help="a PNG each, empty until it is there").tag(sync=True)
    names = t.List(t.Unicode(), help="what each is called").tag(sync=True)
    selected = t.Int(0, help="number of the picture that is shown").tag(sync=True)

    def __init__(self, on_choose: Callable[[int], None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._on_choose, self._lock = on_choose, threading.Lock()
        self.on_msg(self._receive)
        self.begin(1)

    def begin(self, count: int) -> None:
        """Make room for so many pictures."""
        with self._lock, self.hold_sync():
            self.thumbs, self.names = [b""] * count, [f"picture {number + 1} of {count}" for number in range(count)]
            self.layout.display = "" if count > 1 else "none"

    def put(self, thumbs: Mapping[int, np.ndarray], refused: Mapping[int, str] = MappingProxyType({})) -> None:
        """Some thumbnails are there, uint8 `(h, w, 3)` by number; others do not open, and why. One message."""
        with self._lock, self.hold_sync():
            pngs, names = list(self.thumbs), list(self.names)
            for number, picture in thumbs.items():
                if number < len(pngs):  # a shorter list may have come in between
                    pngs[number] = encode_picture(picture)
            for number, why in refused.items():
                if number < len(names):
                    names[number] = f"{number + 1}: {why}"
            self.thumbs, self.names = pngs, names

    def _receive(self, _widget: Any, content: Any, buffers: Any) -> None:
        number = content.get("picture") if isinstance(content, dict) else None
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < len(self.thumbs):
            self._on_choose(number)
        else:
            _log.warning("the strip ignores a message about picture %r", number)


class Screen(Part):
    """A button that lets the explorer fill the screen, and lets it go again; it works in the browser alone."""

    role = t.Unicode("screen").tag(sync=True)
