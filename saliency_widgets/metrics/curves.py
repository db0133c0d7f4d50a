"""Deletion and insertion: the score while a map's hottest pixels go, or come, against random order and an edge detector."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from .. import regions as R
from ..engine.inputs import FILLS
from ..engine.probe import Evaluation, Fill, Input
from ..engine.runner import Stopping
from ..methods.parameters import Parameter
from ..methods.protocol import Context, Reply, Round
from ..methods.region_parameters import left
from ..saliency_map import SaliencyMap
from .heat import heat_of, ranks
from .measure import Measure, checked
from .watching import Tell, driven

# Draw numbers from here on are the metric's: with a method's own draws a map would be judged on what it is made of.
DRAWS = 1 << 41

PARAMETERS = (
    Parameter("fill", "fill", "blur", "what a deleted pixel shows", choices=FILLS),
    Parameter("points", "int", 25, "points of the curve, both ends among them", minimum=2, maximum=1000),
    Parameter("probability", "bool", True, "the target's probability, or else the explained score"),
    Parameter("seed", "int", 0, "which random orders, and which noise", minimum=0),
    Parameter("random", "int", 5, "random orders to compare with", minimum=0, maximum=100),
    Parameter("edges", "bool", True, "compare with an edge detector, too"))


def deletion(session: Any, map: SaliencyMap | np.ndarray | Tensor, *, fill: Any = "blur", points: int = 25,
             cells: int | tuple[int, int] | None = None, probability: bool = True, seed: int = 0, random: int = 5,
             edges: bool = True, target: int | str | None = None, ticket: Stopping | None = None,
             on_progress: Tell | None = None, on_draft: Callable[[Measure], None] | None = None) -> Measure:
    """Area under the target's probability while the hottest pixels are replaced by the fill (Petsiuk et al., 1806.07421).

    Small is good: what the map calls important was. Pixels go in the order of their signed heat, equal ones by region and row by
    row, in `points` − 1 equal parts; with `cells` those of a grid of so many rows and columns go together. The usual fill is the
    blurred picture: scattered pixels of one colour may end a network's score in any order. The area is the trapezoid rule's
    over fractions 0..1, in probability, or in the score's unit without `probability` and where there is none.

    `details`: `fractions` and `scores` `(points,)`, `order` int32 `(H·W,)`, each pixel's place, `random_scores`
    `(random, points)` with their mean `random_area` and its `random_error`, `edges_scores` and `edges_area` of the picture's
    own edges (None where not asked for), `fill`, and `fill_name` that `picture_at` shows. It costs `points` evaluations an
    order; all are kept. ValueError for a wrong setting, or a score that becomes infinite.
    """
    return _curve("deletion", session, map, cells, target, ticket, on_progress, on_draft, fill=fill, points=points,
                  probability=probability, seed=seed, random=random, edges=edges)


def insertion(session: Any, map: SaliencyMap | np.ndarray | Tensor, *, fill: Any = "blur", points: int = 25,
              cells: int | tuple[int, int] | None = None, probability: bool = True, seed: int = 0, random: int = 5,
              edges: bool = True, target: int | str | None = None, ticket: Stopping | None = None,
              on_progress: Tell | None = None, on_draft: Callable[[Measure], None] | None = None) -> Measure:
    """Area under the target's probability while the hottest pixels come back on the bare fill; large is good.

    The rest is as for `deletion`; a blurred picture is where Petsiuk et al., 1806.07421, begin, too.
    """
    return _curve("insertion", session, map, cells, target, ticket, on_progress, on_draft, fill=fill, points=points,
                  probability=probability, seed=seed, random=random, edges=edges)


def _curve(game: str, session: Any, given: Any, cells: Any, target: Any, ticket: Stopping | None, on_progress: Tell | None,
           on_draft: Callable[[Measure], None] | None, **settings: Any) -> Measure:
    settings = checked(PARAMETERS, settings)
    if cells is not None:
        cells = Parameter("cells", "grid", None, "", minimum=1).validate(cells)
    if isinstance(given, SaliencyMap) and target is None:
        target = given.target
    planned = settings["points"] * (1 + settings["random"] + settings["edges"])
    return driven(session, lambda context: rounds(context, given, game=game, cells=cells, **settings), planned, target=target,
                  ticket=ticket, on_progress=on_progress, on_draft=on_draft)


@dataclass
class _Game:
    """One order of the pixels `(H, W)` as a game: the inputs along the curve."""

    context: Context
    game: str
    fill: Fill
    points: int

    def inputs(self, order: np.ndarray) -> tuple[list[Input], str]:
        """The pictures of the curve, the start first, and the name of the label map that they are cut with."""
        parts = self.points - 1
        labels = (order.astype(np.int64) * parts // order.size).astype(np.int32)
        name = self.context.inputs.add_labels(labels)
        sets = (range(k) if self.game == "deletion" else range(k, parts) for k in range(self.points))
        return [left(self.context, name, off, parts, self.fill) for off in sets], name


def rounds(context: Context, given: Any, *, game: str, fill: Any, points: int, cells: tuple[int, int] | None, probability: bool,
           seed: int, random: int, edges: bool) -> Iterator[Round | Measure]:
    """The same as a generator of rounds: a `Measure` of the map's own curve first, and one after each order it is compared with.
    """
    size, name = context.size, context.fill(fill, seed)
    if points - 1 > size[0] * size[1]:
        raise ValueError(f"points={points} are more than the picture's {size[0] * size[1]} pixels: take fewer")
    play = _Game(context, game, name, points)
    details = {"fractions": np.linspace(0, 1, points), "order": None, "scores": None, "random_scores": np.zeros((0, points)),
               "random_area": None, "random_error": None, "edges_scores": None, "edges_area": None, "fill": str(name),
               "fill_name": name, "game": game, "cells": cells}

    def scored(order: np.ndarray) -> Iterator[Round]:
        inputs, labels = play.inputs(order)
        reply = yield Round([context.forward(each) for each in inputs])
        values, unit = _scores(context, reply, probability)
        context.inputs.forget_labels(labels)  # the evaluations are known by their pixels
        return values, unit

    blocks = None if cells is None else R.grid(size, *R.usual(size, cells))
    order = _order(heat_of(given, size), blocks, getattr(given, "regions", None))
    details["order"] = order.ravel()
    details["scores"], unit = yield from scored(order)
    yield _measured(game, details, unit, random, edges)
    if edges:
        details["edges_scores"], _ = yield from scored(_order(edge_strength(context.shown), blocks))
        details["edges_area"] = area(details["edges_scores"])
        yield _measured(game, details, unit, random, edges)
    for number in range(random):
        draw = context.kernels.uniform(seed, DRAWS + number, size[0] * size[1]).view(size).double().numpy()
        values, _ = yield from scored(_order(draw, blocks))
        details["random_scores"] = np.vstack([details["random_scores"], values])
        areas = [area(row) for row in details["random_scores"]]
        details["random_area"] = float(np.mean(areas))
        details["random_error"] = float(np.std(areas, ddof=1)) / len(areas) ** 0.5 if len(areas) > 1 else None
        yield _measured(game, details, unit, random, edges)


def _order(heat: np.ndarray, blocks: np.ndarray | None, regions: np.ndarray | None = None) -> np.ndarray:
    if blocks is not None:
        return ranks(R.means(blocks, heat)[blocks], blocks)
    return ranks(heat, regions if regions is not None and regions.shape == heat.shape else None)


def edge_strength(picture: np.ndarray) -> np.ndarray:
    """What an edge detector makes of a picture uint8 `(H, W, 3)`: the Sobel magnitude of its grey values, float64 `(H, W)`."""
    from skimage.color import rgb2gray
    from skimage.filters import sobel

    return sobel(rgb2gray(picture)).astype(np.float64)


def area(scores: np.ndarray) -> float:
    """The trapezoid rule over equal steps of 0..1."""
    return float((scores[1:] + scores[:-1]).mean() / 2)


def _scores(context: Context, reply: Reply, probability: bool) -> tuple[np.ndarray, str]:
    found: list[Evaluation] = [evaluation for _, evaluation in reply]
    chances = context.chances(found) if probability else None
    values = context.scores_of(found) if chances is None else chances
    if not np.isfinite(values).all():
        raise ValueError("the score became infinite or NaN for a picture of the curve: try another fill")
    return values, context.score.unit if chances is None else "probability"


def _measured(game: str, details: dict[str, Any], unit: str, random: int, edges: bool) -> Measure:
    value, worse = area(details["scores"]), []
    better = (lambda other: other <= value) if game == "deletion" else (lambda other: other >= value)
    for other, words in ((details["random_area"], "a random order of pixels"), (details["edges_area"], "an edge detector")):
        if other is not None and better(other):
            worse.append(words)
    warnings = (f"{' and '.join(worse)} {'do' if len(worse) > 1 else 'does'} as well as the map",) if worse else ()
    return Measure(game, value, unit, len(details["scores"]), None, warnings, dict(details))


def picture_at(session: Any, measure: Measure, fraction: float) -> np.ndarray:
    """The picture of a deletion or insertion curve at a fraction 0..1 of its pixels: uint8 `(H, W, 3)`, nothing is evaluated.

    It is of the session's picture, cut as `session.picture.shown` is. ValueError for another metric's measure or fraction, or
    a measure of a picture of another size.
    """
    if measure.metric not in ("deletion", "insertion"):
        raise ValueError(f"picture_at shows deletion and insertion curves, not {measure.metric}")
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction={fraction!r} does not fit: a number from 0 to 1")
    inputs, details = session.inputs, measure.details
    order = details["order"].reshape(inputs.size) if details["order"].size == inputs.size[0] * inputs.size[1] else None
    if order is None:
        raise ValueError(f"the measure is of a picture of {details['order'].size} pixels, the session's has "
                         f"{inputs.size[0]} × {inputs.size[1]}")
    past = order < round(fraction * order.size)
    off = past if details["game"] == "deletion" else ~past
    if not off.any():
        return session.picture.shown
    return np.where(off[..., None], inputs.fill_shown(details["fill_name"]), session.picture.shown)
