"""Deletion and insertion: the regions in the order in which taking them away, or putting them back, moves the score most."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..engine.inputs import GROWN
from ..engine.probe import Evaluation, Input
from ..model.pictures import to_uint8
from .leave_one_out import painted
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .region_parameters import COUNT, FILL, REGIONS, SEED, SIGMA, grid, label_map, left
from .registry import method


def _evaluations(context: Context, params: dict) -> int:
    count = int(label_map(context, params["grid"], params["regions"], params["count"]).max()) + 1
    tried = [count - step for step in range(min(params["steps"], count))]
    most = params["candidates"] or count
    return 1 + tried[0] + sum(min(most, each) for each in tried[1:])


@method("greedy_order", title="Deletion and insertion", family="cut", rank=7, cost="1 evaluation a region tried, at each step",
        paper="Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models (the two games), "
              "arXiv 1806.07421",
        course="steps", evaluations=_evaluations,
        parameters=(
            Parameter("game", "choice", "deletion", "take away what lowers the score most, or put back on the bare fill what "
                                                    "raises it most", choices=("deletion", "insertion")),
            Parameter("steps", "int", 12, "regions that are taken, one after the other", minimum=1, maximum=1000,
                      choices=(4, 8, 12, 16, 24, 49)),
            Parameter("candidates", "int", 12, "regions tried at each step after the first, the most promising by what they "
                                               "last did; 0 tries all", minimum=0, maximum=5000, choices=(0, 4, 8, 12, 24)),
            grid(7), REGIONS, FILL, COUNT, SIGMA, SEED))
def greedy_order(context: Context, *, game: str, steps: int, candidates: int, grid: tuple[int, int], regions: Any, count: int,
                 fill: Any, sigma: float, seed: int) -> Iterator[Round | Draft]:
    """How far the score moves as each region is taken in its turn, painted over it: `(1, H, W)`; 0 where none was taken.

    Deletion begins with the picture and takes away, each time with those before gone, the region whose loss lowers the score
    most (its drop, in the map); insertion begins with the bare fill and puts back the one that raises it most (its rise).
    Step one tries every region: in deletion leave-one-out's evaluations. With `candidates=0` every step does, which is the
    exact greedy order; else a region's last known effect says whether it is tried again. Of equal ones the lowest number is
    taken. All evaluations are kept. `region_scores` are the moves; `details` hold `order` (numbers of the regions), `scores`
    and `probabilities` (steps + 1, the start first), `area` (the mean of `scores`), `exact`, `before` and `after` (first and
    last score), and `film` (dicts of iteration, score, probability, region, picture uint8 `(H, W, 3)` and mask uint8 `(H, W)`
    of what was taken). ValueError for inserting into an inpainted picture, inpainting
    more than a quarter of it, or an infinite score.
    """
    if game == "insertion" and isinstance(fill, str) and fill == GROWN:
        raise ValueError(f'fill="{GROWN}" grows what surrounds a region into it, and insertion begins with nothing around: '
                         f'use another fill, or game="deletion"')
    name, labels = context.fill(fill, seed, sigma), label_map(context, grid, regions, count)
    total, of = int(labels.max()) + 1, context.inputs.add_labels(labels)
    everything = frozenset(range(total))

    def after(taken: frozenset[int]) -> Input:
        return left(context, of, taken if game == "deletion" else everything - taken, total, name)

    (_, start), = yield Round([context.forward(after(frozenset()))])
    course = Course(context, labels, game, candidates == 0 or candidates >= total)
    course.add(None, after(frozenset()), start, _score(context, [start])[0])
    taken, effect = frozenset(), np.full(total, np.inf)  # of each region when it was tried last
    for step in range(min(steps, total)):
        tried = np.array(sorted(everything - taken))
        if candidates and step:
            tried = np.sort(tried[np.argsort(-effect[tried], kind="stable")[:candidates]])
        inputs = [after(taken | {r}) for r in tried.tolist()]
        found = [evaluation for _, evaluation in (yield Round([context.forward(each) for each in inputs]))]
        scores = _score(context, found)
        effect[tried] = (course.scores[-1] - scores) * (1 if game == "deletion" else -1)
        best = int(np.argmax(effect[tried]))
        taken |= {int(tried[best])}
        course.add(int(tried[best]), inputs[best], found[best], scores[best])
        yield course.draft()


class Course:
    """The regions taken so far, with the score, the probability and the picture after each."""

    def __init__(self, context: Context, labels: np.ndarray, game: str, exact: bool):
        self.context, self.labels, self.game, self.exact = context, labels, game, exact
        self.order: list[int] = []
        self.scores: list[float] = []
        self.film: list[dict[str, Any]] = []

    def add(self, region: int | None, shown: Input, found: Evaluation, score: float) -> None:
        """Note a step: the region that was taken (None: the start), and what the model is shown and says then."""
        self.order += [] if region is None else [region]
        self.scores.append(float(score))
        inputs = self.context.inputs
        self.film.append({"iteration": len(self.order), "score": float(score), "probability": self.context.chance(found),
                          "region": region, "mask": np.isin(self.labels, self.order).astype(np.uint8) * 255,
                          "picture": to_uint8(inputs.picture.space.to_pixels(inputs.tensor(shown)))})

    def draft(self) -> Draft:
        """The map as it is now: regions that were not taken have 0."""
        moves = np.zeros(int(self.labels.max()) + 1)
        moves[self.order] = np.diff(self.scores) * (-1 if self.game == "deletion" else 1)
        chances = [stage["probability"] for stage in self.film]
        warnings = () if moves.any() else ("the map is zero everywhere: no region changes the score, or the picture looks like "
                                           "the fill",)
        return painted(self.context, self.labels, moves, {
            "film": list(self.film), "order": np.array(self.order), "scores": np.array(self.scores),
            "probabilities": None if None in chances else np.array(chances), "area": float(np.mean(self.scores)),
            "game": self.game, "exact": self.exact, "before": self.scores[0], "after": self.scores[-1],
            "objective_score": self.context.score.unit}, warnings)


def _score(context: Context, found: list[Evaluation]) -> np.ndarray:
    scores = context.scores_of(found)
    if not np.isfinite(scores).all():
        raise ValueError("the score became infinite or NaN for a masked picture: try another fill")
    return scores
