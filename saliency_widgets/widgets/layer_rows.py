"""Shown how? One row per map and one for the photograph, drawn in the browser, which changes the layers itself."""
from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import traitlets as t
from ipywidgets import jslink

from ..saliency_map import VIEWS
from .part import Part

_log = logging.getLogger(__name__)
PHOTO = ("photo_visible", "photo_opacity", "photo_saturation")


class LayerRows(Part):
    """The rows of all layers, the uppermost first, and the photograph last.

    What a hand changes goes to the traits of the layers (and of `picture`) without the kernel. `on_pin()` hears the
    wish to keep the explored map, `on_unpin(layer)` that a pinned one may go, `on_trust()` that the trust panel opens or closes.
    """

    role = t.Unicode("rows").tag(sync=True)
    views = t.List(t.Unicode(), default_value=list(VIEWS), help="presets that the kernel can show").tag(sync=True)
    trust = t.Unicode("", help="whether the trust panel is open or closed; empty where there is none").tag(sync=True)
    pinnable = t.Unicode("", help="why nothing can be pinned now; empty when it can").tag(sync=True)
    photo_visible = t.Bool(True, help="as of the picture").tag(sync=True)
    photo_opacity = t.Float(1.0, help="as of the picture").tag(sync=True)
    photo_saturation = t.Float(1.0, help="as of the picture").tag(sync=True)

    def __init__(self, picture: t.HasTraits, on_pin: Callable[[], None], on_unpin: Callable[[Any], None],
                 on_trust: Callable[[], None] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._on_pin, self._on_unpin, self._on_trust = on_pin, on_unpin, on_trust
        self.trust = "" if on_trust is None else "closed"
        self.links = [jslink((picture, name), (self, name)) for name in PHOTO]
        self.add_class("sw-section")
        self.on_msg(self._receive)

    def _receive(self, _widget: Any, content: Any, buffers: Any) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        layer = next((one for one in self.layers if one.model_id == content.get("layer")), None) if kind else None
        if kind == "pin":
            self._on_pin()
        elif kind == "trust" and self._on_trust is not None:
            self._on_trust()
        elif kind == "unpin" and layer is not None:
            self._on_unpin(layer)
        else:
            _log.warning("the layer list ignores a message of kind %r", kind)
