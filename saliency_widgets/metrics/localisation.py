"""Whether a map points at an object whose place is known: the pointing game, and the share of its energy inside."""
from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ..methods.parameters import Parameter
from ..saliency_map import SaliencyMap
from .heat import heat_of, mask_of
from .measure import Measure, checked

PARAMETERS = (Parameter("tolerance", "float", 15, "how far outside the mask still counts", minimum=0, maximum=1e6, unit="px"),)
FLAT = "the map is the same everywhere: it points at nothing"


def pointing_game(map: SaliencyMap | np.ndarray | Tensor, mask: Any, *, tolerance: float = 15) -> Measure:
    """1 where the map's hottest pixel lies within `tolerance` pixels of the mask, else 0 (Zhang et al., 1608.00507).

    `mask` is bool `(H, W)`; the map is resized to it. Of several hottest pixels, their middle one in reading order is taken.
    `details`: `point` (y, x), its `distance` to the mask in pixels (0 inside), `chance`, the share of pixels that would hit. A
    map that is the same everywhere points at nothing: 0, with a warning. TypeError or ValueError for a wrong mask.
    """
    inside = mask_of(mask)
    reach = checked(PARAMETERS, {"tolerance": tolerance})["tolerance"]
    heat = heat_of(map, inside.shape)
    distances, flat = _distances(inside), np.ptp(heat) == 0
    hottest = np.flatnonzero(heat.ravel() == heat.max())
    point = tuple(int(v) for v in np.unravel_index(hottest[len(hottest) // 2], heat.shape))
    distance = float(distances[point])
    return Measure("pointing_game", float(distance <= reach and not flat), "hit", 1, None, (FLAT,) if flat else (),
                   {"point": point, "distance": distance, "tolerance": reach, "chance": float((distances <= reach).mean())})


def _distances(inside: np.ndarray) -> np.ndarray:
    """How far each pixel is from the nearest one inside, in pixels."""
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~inside)


def energy(map: SaliencyMap | np.ndarray | Tensor, mask: Any) -> Measure:
    """The share of the map's positive mass that lies inside the mask (Wang et al., Score-CAM, 1910.01279).

    `mask` is bool `(H, W)`; the map is resized to it. `details`: `area`, the mask's share of the picture, which an even map
    reaches, and the sums `inside` and `total`. Where nothing is positive the value is 0, with a warning. TypeError or ValueError
    for a wrong mask.
    """
    where = mask_of(mask)
    positive = np.maximum(heat_of(map, where.shape), 0)
    inside, total = float(positive[where].sum()), float(positive.sum())
    warnings = () if total else ("the map has no positive value: nothing of it can lie inside",)
    return Measure("energy", inside / total if total else 0.0, "share", 1, None, warnings,
                   {"inside": inside, "total": total, "area": float(where.mean())})
