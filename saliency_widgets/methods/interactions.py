"""Interactions: what a region and each other one cost together, beyond what they cost one by one."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .leave_one_out import drops, painted, single
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .region_parameters import COUNT, FILL, REGIONS, SEED, SIGMA, grid, label_map
from .registry import method

FIRST = 24  # pairs of the first draft, those with the largest single drops; twice as many in each one after it


def _evaluations(context: Context, params: dict) -> int:
    return 2 * (int(label_map(context, params["grid"], params["regions"], params["count"]).max()) + 1)


@method("interactions", title="Interactions", family="cut", rank=6, cost="2 evaluations a region",
        paper="Grabisch, Roubens: An axiomatic approach to the concept of interaction among players in cooperative games, "
              "International Journal of Game Theory 28, 1999",
        evaluations=_evaluations,
        parameters=(
            Parameter("region", "index", None, "the region that is paired with every other one; by default the one with the "
                                               "largest drop", minimum=0),
            grid(14), REGIONS, FILL, COUNT, SIGMA, SEED))
def interactions(context: Context, *, region: int | None, grid: tuple[int, int], regions: Any, count: int, fill: Any,
                 sigma: float, seed: int) -> Iterator[Round | Draft]:
    """drop(r and s together) − drop(r) − drop(s) of the chosen region r, painted over each other region s: `(1, H, W)`.

    Above zero the two cost more together than one by one (either could stand in for the other), below zero less (they cost
    the same thing twice). The chosen region itself has 0. Single drops are leave-one-out's evaluations, and are not made
    again; pairs with the largest single drops come first, and all logits are kept. `region_scores` are the interactions;
    `details` hold `region`, `drops` and `pair_drops` (one a region; the chosen one's is its own drop) and the class's
    probability `before` and `after` (without both). ValueError for a region that does not exist, or an infinite score.
    """
    name, labels = context.fill(fill, seed, sigma), label_map(context, grid, regions, count)
    total = int(labels.max()) + 1
    if region is not None and region >= total:
        raise ValueError(f"region={region} does not exist: the regions are numbered 0 to {total - 1}")
    (_, whole), *reply = yield Round([context.forward(context.image), *single(context, labels, name)])
    alone, told, doubts = drops(context, whole, reply)
    chosen = int(np.argmax(alone)) if region is None else region
    of = context.inputs.add_labels(labels)
    # The usual order of a pair, whichever of the two was chosen.
    pairs = {s: context.forward(context.without(of, (min(chosen, s), max(chosen, s)), name)) for s in range(total) if s != chosen}
    order = [s for s in np.argsort(-np.abs(alone), kind="stable").tolist() if s != chosen]
    both, after = np.full(total, np.nan), np.full(total, np.nan)
    both[chosen] = alone[chosen]
    if "after" in told:
        after[chosen] = told["after"][chosen]
    for part in _stages(order, context.watched):
        if part:
            reply = yield Round([pairs[s] for s in part])
            both[part], found, _ = drops(context, whole, reply)
            if "after" in found:
                after[part] = found["after"]
        known = int(np.isfinite(both).sum()) - 1
        scores = np.where(np.isnan(both), 0.0, both - alone - alone[chosen])
        scores[chosen] = 0.0
        details = {"region": chosen, "drops": alone, "pair_drops": both.copy()}
        if "after" in told:
            details |= {"before": told["before"], "after": after.copy()}
        yield painted(context, labels, scores, details, tuple(_doubts(scores, known, total - 1, doubts)))


def _stages(order: list[int], watched: bool) -> Iterator[list[int]]:
    """Parts of the order, each twice as long as the one before where somebody watches; one empty part for none."""
    low, size = 0, FIRST if watched else max(1, len(order))
    while low == 0 or low < len(order):
        rest = len(order) - low
        part = order[low:low + size] if rest >= 2 * size else order[low:]  # no crumbs at the end
        yield part
        low, size = low + max(1, len(part)), 2 * size


def _doubts(scores: np.ndarray, known: int, pairs: int, single: tuple[str, ...]) -> Iterator[str]:
    if known < pairs:
        yield f"preview: {known} of {pairs} pairs are evaluated, the others are shown as 0"
    elif not pairs:
        yield "there is one region only: nothing to pair it with"
    elif not scores.any():
        yield single[0] if single else "the map is zero everywhere: the region's cost does not depend on any other one"
