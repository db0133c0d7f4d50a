"""ROAD: remove the pixels that a map calls most, or least, important, so smoothly that the hole itself says nothing."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu
from torch import Tensor

from ..engine.runner import Stopping
from ..methods.parameters import Parameter
from ..methods.protocol import Context, Round
from ..model.pictures import to_uint8
from ..saliency_map import SaliencyMap
from .heat import heat_of
from .measure import Measure, checked
from .watching import Tell, driven

# Draw numbers from here on are the metric's own.
DRAWS = 1 << 42
# A removed pixel is this mean of its neighbours (Rong et al.): offsets (down, right) and weights, which sum to 1.
NEIGHBOURS = tuple(((down, right), 1 / 6 if 0 in (down, right) else 1 / 12)
                   for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0))

PARAMETERS = (
    Parameter("noise", "float", 0.01, "σ of the noise on imputed numbers", minimum=0, maximum=10, unit="input units"),
    Parameter("seed", "int", 0, "which noise", minimum=0))


def road(session: Any, map: SaliencyMap | np.ndarray | Tensor, *, percentiles: Sequence[float] = (20, 40, 60, 80),
         noise: float = 0.01, seed: int = 0, target: int | str | None = None, ticket: Stopping | None = None,
         on_progress: Tell | None = None, on_draft: Callable[[Measure], None] | None = None) -> Measure:
    """(score without the least − score without the most important pixels) / 2, the mean over percentiles (2202.00449).

    Large is good. At a percentile p the pixels of heat below it are kept and the others imputed: each is the weighted mean of
    its eight neighbours, all solved together, plus Gaussian noise of σ = `noise` in input units; then the same for 1 − heat.
    The score is the session's, in its unit. `details`, one number for each percentile: `percentiles`, `most` and `least`, the
    change of the score without the most and the least important pixels, `removed_most` and `removed_least`, shares of the
    picture, and `pictures`, each uint8 `(H, W, 3)` without the most important pixels. ValueError for a map that is the same
    everywhere, for maps of a whole photograph, or an infinite score.
    """
    settings = checked(PARAMETERS, dict(noise=noise, seed=seed))
    shares = [Parameter("percentiles", "float", None, "", minimum=0, maximum=100).validate(p) for p in percentiles]
    if not shares:
        raise ValueError("percentiles=() does not fit: at least one number from 0 to 100")
    if isinstance(map, SaliencyMap):
        if map.photo_size is not None and map.crop is None:
            raise ValueError(f"ROAD imputes the model's input, and the {map.method} map is of the whole photograph: use "
                             f"deletion, or a session with space=\"input\"")
        map, target = map.unplaced, map.target if target is None else target
    return driven(session, lambda context: rounds(context, map, shares, **settings), 2 * len(shares) + 1, target=target,
                  ticket=ticket, on_progress=on_progress, on_draft=on_draft)


def rounds(context: Context, given: Any, percentiles: Sequence[float], *, noise: float, seed: int) -> Iterator[Round | Measure]:
    """The same as a generator of rounds: a `Measure` after each percentile."""
    heat = heat_of(given, context.shape[1:])
    if np.ptp(heat) == 0:
        raise ValueError("the map is the same everywhere: it calls no pixel more important than another")
    x = context.inputs.image
    (_, whole), = yield Round([context.forward(context.image)])
    before = context.score_of(whole)
    rows: dict[str, list[Any]] = {"most": [], "least": [], "removed_most": [], "removed_least": [], "pictures": []}
    for number, percentile in enumerate(percentiles):
        names = []
        for side, (which, signed) in enumerate((("most", heat), ("least", 1 - heat))):
            removed = signed >= np.percentile(signed, percentile)
            drawn = None
            if noise:
                drawn = noise * context.kernels.normal(seed, DRAWS + 2 * number + side, context.shape, torch.float64)
            names.append(context.given(imputed(x, removed, drawn)))
            rows[f"removed_{which}"].append(float(removed.mean()))
            if which == "most":
                rows["pictures"].append(context.inputs.picture.space.to_pixels(context.inputs.tensor(names[0])))
        found = [evaluation for _, evaluation in (yield Round([context.forward(name) for name in names]))]
        context.inputs.release(names)  # the evaluations are known by the pictures' content
        changes = context.scores_of(found) - before
        if not np.isfinite(changes).all():
            raise ValueError("the score became infinite or NaN for an imputed picture")
        rows["most"].append(changes[0])
        rows["least"].append(changes[1])
        yield _measured(percentiles[:number + 1], rows, context.score.unit, noise)


def _measured(percentiles: Sequence[float], rows: dict[str, list[Any]], unit: str, noise: float) -> Measure:
    most, least = np.array(rows["most"]), np.array(rows["least"])
    value = float(((least - most) / 2).mean())
    warnings = () if value > 0 else ("removing what the map calls least important costs the score as much as the most important",)
    return Measure("road", value, unit, len(most), None, warnings, {
        "percentiles": np.array(percentiles), "most": most, "least": least, "removed_most": np.array(rows["removed_most"]),
        "removed_least": np.array(rows["removed_least"]), "pictures": [to_uint8(p) for p in rows["pictures"]], "noise": noise})


def imputed(x: Tensor, removed: np.ndarray, noise: Tensor | None = None) -> Tensor:
    """A picture `(C, H, W)` with the pixels bool `(H, W)` that are `removed` solved from the others, plus `noise` `(C, H, W)`.

    Each is the mean of its neighbours with the weights of `NEIGHBOURS`, at the picture's edge of those that there are. ValueError
    where nothing is left to solve from.
    """
    if not removed.any():
        return x.clone()
    if removed.all():
        raise ValueError("the map's percentile removes every pixel (too many of its values are equal): use lower percentiles, "
                         "or a map with more values")
    height, width = removed.shape
    rows, columns = np.nonzero(removed)
    number = np.full(removed.shape, -1)
    number[rows, columns] = np.arange(len(rows))
    pixels = x.detach().cpu().double().numpy()
    total, right = np.zeros(len(rows)), np.zeros((len(rows), len(pixels)))
    entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for (down, across), weight in NEIGHBOURS:
        y, z = rows + down, columns + across
        inside = np.flatnonzero((y >= 0) & (y < height) & (z >= 0) & (z < width))
        total[inside] += weight
        other = number[y[inside], z[inside]]
        known = inside[other < 0]
        right[known] += weight * pixels[:, y[known], z[known]].T
        entries.append((inside[other >= 0], other[other >= 0], np.full(int((other >= 0).sum()), -weight)))
    entries.append((np.arange(len(rows)), np.arange(len(rows)), total))
    row, column, value = (np.concatenate(part) for part in zip(*entries))
    system = coo_matrix((value, (row, column)), shape=(len(rows), len(rows))).tocsc()
    solved = splu(system, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right)
    filled = torch.from_numpy(pixels.copy())
    filled[:, rows, columns] = torch.from_numpy(solved.T)
    if noise is not None:
        gone = torch.from_numpy(removed)
        filled[:, gone] += noise[:, gone].cpu().double()
    return filled.to(x)
