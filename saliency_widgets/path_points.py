"""What lies at one point of a path: the picture there and the gradient that is kept there."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .engine.probe import Blurred, Input, OnPath
from .model.pictures import to_uint8

if TYPE_CHECKING:
    from .session import Session

AXES = ("alpha", "sigma")
WINDOWED = ("trapezoid", "secant")  # rules whose windows cost nothing


class PathPoints:
    """The path of a method's parameters: along "alpha" from its (first) baseline, or along "sigma" to the blurred picture."""

    def __init__(self, session: Session, params: Mapping[str, Any], axis: str):
        self.session, self._fill = session, None
        if axis == "alpha":
            baseline = params["baseline"]
            baseline = baseline[0] if isinstance(baseline, (list, tuple)) else baseline
            self._fill = session.inputs.fill(baseline, params.get("seed", 0))

    def named(self, value: float) -> Input:
        """The input at a value of the axis."""
        return Blurred(value) if self._fill is None else OnPath(self._fill, value)

    def picture(self, value: float) -> np.ndarray:
        """The picture there, uint8 `(H, W, 3)`."""
        inputs = self.session.inputs
        return to_uint8(self.session.picture.space.to_pixels(inputs.tensor(self.named(value))))

    def gradient(self, value: float, target: int | None = None) -> np.ndarray | None:
        """The largest size of the kept gradient over the channels, `(H, W)`, or None where none is kept."""
        gradient = self.session.gradient_at(self.named(value), target)
        return None if gradient is None else np.abs(gradient).max(0)
