"""The film strip: one small map per layer of the network over the grey photograph; a click chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets as t

from .part import Part
from .stage import encode_picture


class Film(Part):
    """Thumbnails of non-negative maps, each scaled to its own maximum, as a radio group."""

    role = t.Unicode("film").tag(sync=True)
    thumbs = t.List(t.Dict(), help="{name, caption, title, shape, offset} per map").tag(sync=True)
    data = t.Bytes(b"", help="the maps as u1, one after the other").tag(sync=True)
    picture = t.Bytes(b"", help="the photograph as PNG").tag(sync=True)
    cmap_index = t.Int(1, help="index into `COLORMAPS`").tag(sync=True)
    selected = t.Int(-1, help="index of the chosen map, −1 for none; set by both sides").tag(sync=True)
    label = t.Unicode("layer", help="accessible name of the group").tag(sync=True)

    @property
    def names(self) -> list[str]:
        """Names of the maps, in order."""
        return [thumb["name"] for thumb in self.thumbs]

    def show(self, maps: Mapping[str, np.ndarray], titles: Mapping[str, str] | None = None,
             captions: Mapping[str, str] | None = None) -> None:
        """Replaces all maps: name → (h, w); values below zero count as zero. One message.

        A caption stands beside the name, by default the map's size.
        """
        thumbs: list[dict[str, Any]] = []
        parts: list[bytes] = []
        offset = 0
        for name, values in maps.items():
            array = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
            if array.ndim != 2:
                raise ValueError(f"a thumbnail is an array (h, w); {name!r} has shape {array.shape}")
            high = float(array.max(initial=0.0))
            scaled = np.clip(array / high, 0, 1) * 255 if high > 0 else np.zeros_like(array)
            h, w = array.shape
            caption = (captions or {}).get(name, f"{h}²" if h == w else f"{h} × {w}")
            title = (titles or {}).get(name, f"{name}: {h} × {w}")
            thumbs.append(
                {"name": name, "caption": caption, "title": title, "shape": [h, w], "offset": offset}
            )
            parts.append(np.round(scaled).astype(np.uint8).tobytes())
            offset += array.size
        with self.hold_sync():
            self.set_trait("thumbs", thumbs)
            self.data = b"".join(parts)
            if self.selected >= len(thumbs):
                self.selected = -1

    def retitle(self, titles: Mapping[str, str]) -> None:
        """Replaces what is said on hover of some maps; the maps stay."""
        self.set_trait("thumbs", [{**thumb, "title": titles.get(thumb["name"], thumb["title"])} for thumb in self.thumbs])

    def set_picture(self, picture: np.ndarray) -> None:
        """The photograph under the maps: uint8 (H, W, 3)."""
        self.picture = encode_picture(picture)
