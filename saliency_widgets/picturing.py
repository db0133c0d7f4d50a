"""The Explorer's pictures: one, or several with a strip of thumbnails to go through them."""
from __future__ import annotations

import time
from typing import Any

import numpy as np
import traitlets
from PIL import Image

from .engine.worker import Ticket, Worker
from .widgets.words import sentence

THUMB = 64  # pixels of a thumbnail's shorter side; it is shown at half of that on a screen of two pixels a point

EVERY = 0.3  # seconds between messages that bring thumbnails


def thumbnail(shown: np.ndarray) -> np.ndarray:
    """The middle square of a picture uint8 `(H, W, 3)`, reduced to `THUMB` pixels."""
    side = min(shown.shape[:2])
    top, left = ((n - side) // 2 for n in shown.shape[:2])
    square = Image.fromarray(shown[top:top + side, left:left + side])
    return np.asarray(square.resize((THUMB, THUMB), Image.Resampling.LANCZOS))


class Picturing(traitlets.HasTraits):
    """What the Explorer does with pictures. `image` is the one that is shown; a list given to it makes several."""

    images = traitlets.Tuple(help="the pictures as given, in the order of the strip")
    index = traitlets.Int(0, help="which of `images` is shown; assign another one, the controls stay as they are")

    def _begin_picturing(self, img: Any) -> Any:
        """Take the first picture or pictures; returns the one to open."""
        several = isinstance(img, (list, tuple))
        if several and not img:
            raise ValueError("the list of pictures is empty: give at least one")
        self._pictures_worker = Worker("saliency-widgets-pictures")
        with self._publishing():
            self.images = tuple(img) if several else (img,)
        return self.images[0]

    def turn(self, steps: int) -> None:
        """Show the next picture (1) or the previous one (−1); at the ends nothing changes."""
        self.index = self._turned(steps)

    def _turned(self, steps: int) -> int:
        return int(np.clip(self.index + steps, 0, len(self.images) - 1))

    def _place(self, img: Any) -> int | None:
        """Where a picture stands among `images`, by identity."""
        if 0 <= self.index < len(self.images) and self.images[self.index] is img:  # the same picture may stand there twice
            return self.index
        return next((i for i, one in enumerate(self.images) if one is img), None)

    def _taken(self, img: Any) -> Any:
        """A picture or a list of them was assigned: what is shown of it. What does not open is not taken."""
        several = isinstance(img, (list, tuple))
        if several and not img:
            raise ValueError("the list of pictures is empty: give at least one")
        first = img[0] if several else img
        if several or self._place(first) is None:
            self.session.load(first)
            kept = self.images if self._hand and not several else ()  # what a hand adds, it adds
            with self._publishing():
                self.images = (*kept, *(img if several else (first,)))
        return first

    @traitlets.validate("index")
    def _check_index(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < max(1, len(self.images)):
            raise traitlets.TraitError(f"there is no picture {proposal['value']}: they count from 0 to {len(self.images) - 1}")
        return proposal["value"]

    @traitlets.observe("index")
    def _index_changed(self, change: Any) -> None:
        if self._ready and not self._quiet:
            self.image = self.images[change["new"]]

    @traitlets.observe("images")
    def _images_changed(self, _: Any) -> None:
        if self._ready:
            self._show_strip()
            self._follow_image()

    def _follow_image(self) -> None:
        """The strip marks the picture that is shown, or that is being opened."""
        place = self._place(self.image)
        if place is not None:
            with self._publishing():
                self.index = place
                self.face.strip.selected = place

    def _show_strip(self) -> None:
        """Show the strip where there are several pictures; thumbnails come one by one, they may have to be decoded."""
        images, strip = self.images, self.face.strip
        strip.begin(len(images))

        def work(ticket: Ticket) -> None:
            thumbs, refused, told = {}, {}, time.monotonic()
            for number, img in enumerate(images):
                if not ticket.newest or not self._ready:
                    return
                try:
                    thumbs[number] = thumbnail(self.session.load(img).shown)
                except Exception as error:  # said again, and in full, to whoever chooses it
                    refused[number] = sentence(error)
                if not ticket.newest:
                    return
                if number == len(images) - 1 or time.monotonic() - told > EVERY:
                    strip.put(thumbs, refused)
                    thumbs, refused, told = {}, {}, time.monotonic()

        if len(images) > 1:
            self._pictures_worker.submit(work)
