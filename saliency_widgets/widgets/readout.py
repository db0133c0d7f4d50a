"""The line that reads every visible layer at the probed pixel, with sign and unit."""

from __future__ import annotations

import traitlets as t

from .part import Part


class Readout(Part):
    """`(72, 81)   Integrated Gradients −0.020 logit · Grad-CAM 0.67 of max`, written in the browser.

    Every value element carries `data-layer` (the layer's name) and `data-value` (full precision).
    """

    role = t.Unicode("readout").tag(sync=True)
    hint = t.Unicode(
        "point at the picture to read every visible layer", help="shown while nothing is probed"
    ).tag(sync=True)
