"""The stage: the picture that the model saw with heat layers, below a transparent canvas for drawing."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ipywidgets
import numpy as np
import traitlets as t
from ipycanvas import MultiCanvas
from PIL import Image

from .edits import Edit
from .layers import label_map
from .part import Part

_log = logging.getLogger(__name__)

# A dropped file is somebody's photograph; what is larger than this is not.
LARGEST_DROP = 128 * 2**20


LABEL = "picture with heat layers; arrow keys move the probe"


def crop_shown(crop: Sequence[float] | None, size: tuple[int, int]) -> tuple[list[float], str]:
    """A crop (top, left, bottom, right) of a picture `size` (H, W) as the stage takes it, cut to the picture, and its name.

    Where it is the whole picture, or None, there is nothing to outline.
    """
    height, width = size
    if crop is None or (crop[0] <= 0 and crop[1] <= 0 and crop[2] >= height and crop[3] >= width):
        return [], LABEL
    edges = [min(max(float(edge), 0.0), float(size[i % 2])) for i, edge in enumerate(crop)]
    share = (edges[2] - edges[0]) * (edges[3] - edges[1]) / (height * width)
    said = f"photograph with heat layers, the crop that the model sees outlined, {100 * share:.0f} % of it"
    return edges, f"{said}; arrow keys move the probe"


def encode_picture(picture: np.ndarray) -> bytes:
    """uint8 (H, W, 3) → PNG. ValueError for another shape, TypeError for another dtype."""
    array = np.asarray(picture)
    if array.dtype != np.uint8:
        raise TypeError(f"the stage shows uint8 pixels, not {array.dtype}: scale to 0 … 255 first")
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"the stage shows a picture (H, W, 3), not shape {array.shape}")
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class PictureCanvas(Part):
    """Paints photograph, grey, heat layers and probe in one canvas, and takes all pointer and key events.

    Messages from the browser, validated here: acknowledgements of painted maps go to their layers; dropped
    files, keys (`Escape`, `?`, `Enter`) and edits of regions go to the callbacks. A malformed one is logged.
    """

    role = t.Unicode("stage").tag(sync=True)
    picture = t.Bytes(b"", help="the photograph as PNG").tag(sync=True)
    size = t.Tuple(t.Int(), t.Int(), default_value=(224, 224), help="(H, W) of the picture").tag(sync=True)
    regions = t.Dict(help="label map {shape, dtype, data} for outlines and hover; empty: none").tag(sync=True)
    region_hover = t.Bool(False, help="outline the region under the pointer").tag(sync=True)
    editable = t.Bool(False, help="the regions can be edited: the tools are those of editing").tag(sync=True)
    off = t.List(t.Int(), help="regions that are switched off: filled and hatched").tag(sync=True)
    fill = t.Bytes(b"", help="a whole picture of the fill as PNG, shown where regions are off").tag(sync=True)
    history = t.Tuple(t.Int(), t.Int(), default_value=(0, 0), help="edits that can be undone and redone").tag(sync=True)
    chosen = t.Int(-1, help="the region that was drawn or clicked last, or -1").tag(sync=True)
    click = t.Unicode("off / on", help="what a click or Enter does to a region").tag(sync=True)
    sketch = t.Dict(help="what a drag that goes on would drop: {number of the drag, text}").tag(sync=True)
    photo_opacity = t.Float(1.0, min=0.0, max=1.0, help="opacity of the photograph").tag(sync=True)
    photo_saturation = t.Float(1.0, min=0.0, max=1.0, help="1 colour, 0.4 muted, 0 grey").tag(sync=True)
    photo_visible = t.Bool(True, help="whether the photograph shows").tag(sync=True)
    view = t.Tuple(t.Float(), t.Float(), t.Float(), default_value=(1.0, 0.0, 0.0),
                   help="zoom, and the picture's left and upper edge in shares of the stage; set by both sides").tag(sync=True)
    swipe = t.Bool(False, help="two layers side by side, split where the pointer is; to begin with").tag(sync=True)
    help = t.Bool(False, help="the list of keys lies over the picture; set by both sides").tag(sync=True)
    crop = t.List(
        t.Float(), help="what the model sees of it, (top, left, bottom, right) in its pixels; empty: all of it"
    ).tag(sync=True)
    label = t.Unicode(LABEL, help="accessible name of the canvas").tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._on_drop, self._on_fill = ipywidgets.CallbackDispatcher(), ipywidgets.CallbackDispatcher()
        self._on_key = ipywidgets.CallbackDispatcher()
        self._on_edit = ipywidgets.CallbackDispatcher()
        self._outlined: np.ndarray | None = None
        self.on_msg(self._receive)

    def set_picture(self, picture: np.ndarray, crop: Sequence[float] | None = None) -> None:
        """Shows another photograph: uint8 (H, W, 3), with the `crop` that the model sees of it outlined. One message."""
        png = encode_picture(picture)
        with self.hold_sync():
            self.size = tuple(int(n) for n in np.shape(picture)[:2])
            self.crop, self.label = crop_shown(crop, self.size)
            self.picture = png

    def set_regions(self, labels: np.ndarray | None, hover: bool | None = None) -> None:
        """Outlines the regions of a label map (H, W); None takes them away. `hover` follows unless given."""
        with self.hold_sync():
            if labels is None or self._outlined is None or not np.array_equal(labels, self._outlined):
                self.regions = {} if labels is None else label_map(labels)
            self._outlined = None if labels is None else np.array(labels)
            self.region_hover = (labels is not None) if hover is None else hover

    def show_cut(self, labels: np.ndarray | None, off: Iterable[int] | None = None, history: tuple[int, int] = (0, 0),
                 chosen: int | None = None, click: str = "off / on") -> None:
        """Shows regions with what is off among them, in one message; they can be edited where `off` is given.

        `click` says what a click does to one.
        """
        with self.hold_sync():
            self.set_regions(labels)
            self.editable, self.off, self.history = off is not None, sorted(off or ()), history
            self.chosen, self.click = -1 if chosen is None else chosen, click

    def set_fill(self, picture: np.ndarray) -> None:
        """What is shown where regions are off: a whole picture uint8 (H, W, 3)."""
        self.fill = encode_picture(picture)

    def on_drop(self, callback: Callable[[str, bytes], None], remove: bool = False) -> None:
        """`callback(name, bytes)` when a file is dropped on the stage."""
        self._on_drop.register_callback(callback, remove=remove)

    def on_fill(self, callback: Callable[[str, bytes], None], remove: bool = False) -> None:
        """`callback(name, bytes)` when a file is dropped on the small picture of what the model sees: to fill with."""
        self._on_fill.register_callback(callback, remove=remove)

    def on_key(self, callback: Callable[[str], None], remove: bool = False) -> None:
        """`callback(key)` for keys that mean something to the kernel: `Escape`, `Enter`, `?`."""
        self._on_key.register_callback(callback, remove=remove)

    def on_edit(self, callback: Callable[[Edit], None], remove: bool = False) -> None:
        """`callback(edit)` for what a hand does to regions: a click, a stroke, undo."""
        self._on_edit.register_callback(callback, remove=remove)

    def _receive(self, _widget: Any, content: Any, buffers: Any) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        try:
            if kind == "ack":
                for model_id, seq in content["acks"]:
                    for layer in self.layers:
                        if layer.model_id == model_id:
                            layer.acknowledge(int(seq))
            elif kind == "drop":
                data = bytes(buffers[0])
                if len(data) <= LARGEST_DROP:
                    (self._on_fill if content.get("fill") else self._on_drop)(str(content["name"]), data)
            elif kind == "key":
                self._on_key(str(content["key"]))
            elif kind == "edit":
                if self.editable:
                    self._on_edit(Edit.read(content, buffers, self.size))
            else:
                _log.warning("the stage ignores a message of unknown kind %r", kind)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            _log.warning("the stage ignores a malformed message of kind %r: %s", kind, error)


class Stage(ipywidgets.Box):
    """Picture canvas below, ipycanvas above (transparent, takes no events), in one grid cell."""

    def __init__(self, picture: np.ndarray | None = None, layers: Any = (), **kwargs: Any) -> None:
        self.canvas = PictureCanvas(layers=list(layers))
        self.overlay = MultiCanvas(3, width=224, height=224)
        super().__init__(children=[self.canvas, self.overlay], **kwargs)
        self.add_class("sw-stage")
        self.overlay.add_class("sw-overlay")
        if picture is not None:
            self.set_picture(picture)

    def set_picture(self, picture: np.ndarray, crop: Sequence[float] | None = None) -> None:
        """Shows another photograph, uint8 (H, W, 3), and the crop that the model sees of it; the overlay takes its size."""
        self.canvas.set_picture(picture, crop)
        height, width = self.canvas.size
        if (self.overlay.width, self.overlay.height) != (width, height):
            self.overlay.width, self.overlay.height = width, height

    @property
    def layers(self) -> list[Any]:
        """The heat layers, as the canvas shows them."""
        return list(self.canvas.layers)

    @layers.setter
    def layers(self, layers: Any) -> None:
        self.canvas.layers = list(layers)


class Tools(Part):
    """The row of tools under the stage, for looking or for editing regions; works in the browser."""

    role = t.Unicode("tools").tag(sync=True)


class Ranks(Part):
    """Lies over ranked bars: marks what is off and what is under the pointer; `on_region(number)` hears a click on a bar."""

    role = t.Unicode("ranks").tag(sync=True)
    order = t.List(t.Int(), help="region numbers, the first bar's first").tag(sync=True)
    bars = t.Bytes(b"", help="float32 (bars, 2): where each one begins and ends, in pixels from above").tag(sync=True)
    off = t.List(t.Int(), help="regions that are off").tag(sync=True)

    def __init__(self, on_region: Callable[[int], None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._on_region = on_region
        self.on_msg(self._receive)

    def _receive(self, _widget: Any, content: Any, buffers: Any) -> None:
        region = content.get("region") if isinstance(content, dict) else None
        if isinstance(region, int) and not isinstance(region, bool) and region in self.order:
            self._on_region(region)
        else:
            _log.warning("the ranked bars ignore a message about region %r", region)
