"""Leave-one-out: how far the score falls without each region."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from .. import regions as R
from ..engine.inputs import GROWN
from ..engine.probe import Evaluation, Fill, Probe
from .protocol import Context, Draft, Reply, Round
from .region_parameters import COUNT, FILL, REGIONS, SEED, SIGMA, grid, label_map
from .registry import method

COARSE = 7  # an exact coarse grid is the preview that works: rank correlation 0.5–0.7 with the fine drops
FIRST = 24  # regions of the first refinement, those with the largest drops nearby; twice as many in each one after it


def _evaluations(context: Context, params: dict) -> int:
    name = context.fill(params["fill"], params["seed"], params["sigma"])
    probes = single(context, label_map(context, params["grid"], params["regions"], params["count"]), name)
    return len(probes) + 1 + (COARSE ** 2 if _previews(context, probes) else 0)


def _previews(context: Context, probes: list[Probe]) -> bool:
    """Whether somebody waits for many regions; after an edit most are known, and the rest is there at once."""
    long = context.watched and len(probes) > 2 * COARSE ** 2 and min(context.size) >= COARSE
    return long and sum(map(context.kept, probes)) < len(probes) / 2


@method("leave_one_out", title="Leave-one-out", family="cut", rank=0, cost="1 evaluation a region",
        paper="Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, arXiv 1311.2901",
        evaluations=_evaluations,
        parameters=(grid(14), REGIONS, FILL, COUNT, SIGMA, SEED))
def leave_one_out(context: Context, *, grid: tuple[int, int], regions: Any, count: int, fill: Any, sigma: float,
                  seed: int) -> Iterator[Round | Draft]:
    """score(x) − score(x with region r replaced), painted over region r: `(1, H, W)`, forward passes only.

    All logits are kept, so another class needs no evaluation. `regions` and `region_scores` list the drops, `details` the
    class's probability `before` and `after` (one a region), the `whole` picture's score, and what all regions drop `together`
    where that is kept. ValueError where the score becomes infinite.
    """
    name, image = context.fill(fill, seed, sigma), context.forward(context.image)
    labels = label_map(context, grid, regions, count)
    total = int(labels.max()) + 1
    probes = single(context, labels, name)
    if not _previews(context, probes):
        (_, whole), *reply = yield Round([image, *probes])
        scores, details, doubts = drops(context, whole, reply)
        details |= yield from _together(context, whole, name)
        yield painted(context, labels, scores, details, doubts)
        return
    coarse = R.grid(context.size, COARSE, COARSE)
    (_, whole), *reply = yield Round([image, *single(context, coarse, name)])
    rough, details, doubts = drops(context, whole, reply)
    yield painted(context, coarse, rough, details, (f"preview on a {COARSE} × {COARSE} grid", *doubts))
    order, known = _Order(labels, rough[coarse]), {}
    while len(known) < total:
        chosen = order.next()
        known |= dict(zip(chosen, (e for _, e in (yield Round([probes[r] for r in chosen])))))
        scores, details, doubts = drops(context, whole, [(probes[r], known[r]) for r in known])
        guess, at = order.learn(list(known), scores), np.array(list(known))
        if "after" in details:
            details["after"] = _spread(details["after"], at, np.full(total, np.nan))
        if len(known) == total:
            details |= yield from _together(context, whole, name)
        said = () if len(known) == total else (f"preview: {len(known)} of {total} regions are evaluated, the rest follows the "
                                               f"{COARSE} × {COARSE} grid",)
        yield painted(context, labels, _spread(scores, at, guess), details, (*said, *doubts))


def _together(context: Context, whole: Evaluation, fill: Fill) -> Iterator[Round | dict[str, float]]:
    """What drops should add up to: the whole score, and what all regions drop together where that is kept and costs nothing."""
    found = {"whole": float(context.score_of(whole))}
    if fill.kind != GROWN and context.kept(probe := context.forward(context.bare(fill))):
        ((_, bare),) = yield Round([probe])
        found["together"] = found["whole"] - float(context.score_of(bare))
    return found


def _spread(values: np.ndarray, at: np.ndarray, rest: np.ndarray) -> np.ndarray:
    result = rest.copy()
    result[at] = values
    return result


class _Order:
    """Which regions to evaluate first: those whose neighbours, or the coarse cells they lie in, have the largest drops."""

    def __init__(self, labels: np.ndarray, rough: np.ndarray):
        self.rough = R.means(labels, rough)
        pairs = R.neighbours(labels)
        self.pairs = np.concatenate((pairs, pairs[:, ::-1]))
        self.guess, self.left, self.turn = self.rough, np.ones(len(self.rough), dtype=bool), 0

    def next(self) -> list[int]:
        """The most promising ones that were not named before, twice as many each time."""
        order, count = np.argsort(-np.abs(self.guess), kind="stable"), FIRST << self.turn
        chosen = order[self.left[order]]
        chosen = chosen if len(chosen) < 2 * count else chosen[:count]  # no crumbs at the end
        self.left[chosen] = False
        self.turn += 1
        return chosen.tolist()

    def learn(self, known: list[int], scores: np.ndarray) -> np.ndarray:
        """Take exact drops of some regions; returns what they and the coarse grid suggest for all, `(R,)`."""
        there = np.abs(self.rough[known]).sum()
        scaled = self.rough * (np.abs(scores).sum() / there if there else 0.0)  # a larger cell drops more
        exact = np.full(len(self.rough), np.nan)
        exact[known] = scores
        of, other = self.pairs[np.isfinite(exact[self.pairs[:, 1]])].T
        total = np.bincount(of, exact[other], minlength=len(exact))
        number = np.bincount(of, minlength=len(exact))
        self.guess = np.where(number > 0, (total / np.maximum(number, 1) + scaled) / 2, scaled)
        return self.guess


def single(context: Context, labels: np.ndarray, fill: Fill) -> list[Probe]:
    """The probes of the picture without each region of a label map, by number."""
    name = context.inputs.add_labels(labels)
    return [context.forward(context.without(name, (r,), fill)) for r in range(int(labels.max()) + 1)]


def painted(context: Context, labels: np.ndarray, scores: np.ndarray, details: dict[str, Any],
            warnings: tuple[str, ...] = ()) -> Draft:
    """The map of one number a region `(R,)`."""
    values = context.kernels.paint_regions(torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(scores))
    return Draft(values[None], warnings=warnings, regions=labels, region_scores=scores, details=details)


def drops(context: Context, whole: Evaluation, reply: Reply) -> tuple[np.ndarray, dict[str, Any], tuple[str, ...]]:
    """How far the score falls for each masked picture `(N,)`, the probability before and after, and what to doubt."""
    evaluations = [evaluation for _, evaluation in reply]
    scores, after = context.score_of(whole) - context.scores_of(evaluations), context.chances(evaluations)
    details, warnings = {}, ()
    if not np.isfinite(scores).all():
        raise ValueError("the score became infinite or NaN for a masked picture: try another fill")
    if not scores.any():
        warnings = ("the map is zero everywhere: no part changes the score, or the picture looks like the fill",)
    if after is not None:
        details = {"before": context.chance(whole), "after": after}
    return scores, details, warnings
