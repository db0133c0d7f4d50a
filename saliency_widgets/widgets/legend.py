"""The legend under the stage: histogram, ramp, limits and words of the uppermost visible layer."""

from __future__ import annotations

import traitlets as t

from .part import Part


class Legend(Part):
    """Reads `layers` in the browser; a tick follows the probe."""

    role = t.Unicode("legend").tag(sync=True)
