"""What a measure of the trust panel would cost, said before it is asked for."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from .methods.registry import find
from .widgets.words import duration, evaluations

if TYPE_CHECKING:
    from .explorer import Explorer
    from .saliency_map import SaliencyMap

POINTS, ORDERS = 25, 7  # of a curve: its points; the map's own order, the edges' and five random ones
DRAWS = {"infidelity": 50, "sensitivity_max": 10}
STEPS = 1024            # that the search for a small residual never exceeds
AMOUNTS = 8             # of an invariance, the picture itself among them
CHECKS = 16             # random amounts that its rule is checked at
PICTURES = 50           # of a long list, that the rule is checked on
REPORT = {"curves": POINTS * 5, "sensitivity_max": 4, "sanity_check": 8, "invariance": 4, "changes": 4}  # what a report takes
REGIONS = 196           # of the linear estimate: 14 × 14


def plan(ex: Explorer, metric: str, map: SaliencyMap | None) -> tuple[int, bool] | None:
    """Evaluations that a measure takes where nothing is kept, and whether they are mostly those of maps; None: unknown."""
    if metric in ("deletion", "insertion"):
        return POINTS * ORDERS, False
    if metric == "infidelity":
        return 1 + DRAWS[metric], False
    if metric == "road":
        return 9, False
    if metric == "linear_estimate":
        return 2 + REGIONS, False
    if metric in ("pointing_game", "energy", "agreement"):
        return 0, False
    if map is None:
        return None
    each = find(map.method).evaluations(ex.session._context(map.target, watched=False), dict(map.params))
    if metric == "completeness":
        return max(STEPS, each) if "steps" in map.params else each, True
    if metric == "sensitivity_max":
        return (1 + DRAWS[metric]) * each, True
    if metric == "invariance":
        return _invariance(each, AMOUNTS) + ((1 + CHECKS) * min(PICTURES, len(ex.images)) if len(ex.images) > 1 else 0), True
    if metric == "sanity_check":
        return (1 + len(randomised(ex))) * each, True
    return None


def _invariance(each: int, amounts: int) -> int:
    """Evaluations of maps and scores at some amounts, and of the random amounts that the rule is checked at."""
    return amounts * (each + 1) + CHECKS


def randomised(ex: Explorer) -> list[str]:
    """About the layers that a sanity check draws anew one after the other: those with a matrix of weights of their own."""
    clone = ex.session.subject.clone
    own = dict(clone.named_modules()) if isinstance(clone, nn.Module) else {}
    weights = ((name, getattr(module, "weight", None)) for name, module in own.items())
    return [name for name, weight in weights if isinstance(weight, Tensor) and weight.ndim > 1]


def seconds(ex: Explorer, map: SaliencyMap | None, maps: bool) -> float | None:
    """Seconds that one evaluation takes, as far as it was measured."""
    if maps and map is not None and map.evaluations:
        return map.seconds / map.evaluations
    session = ex.session
    context = session._context(None, watched=False)
    probe = context.gradient(context.image) if maps else context.forward(context.image)
    return session._opened.runner.seconds(probe)


def refusal(ex: Explorer, metric: str, map: SaliencyMap | None, mask: np.ndarray | None) -> str:
    """Why a measure cannot be taken of this map, known before it is asked for; empty where it can."""
    if metric == "completeness" and map is not None and map.residual is None:
        return f"{map.title} does not promise that its map sums to anything, so there is nothing to check here. Integrated " \
               "Gradients, Blur IG, DeepLIFT and SHAP do."
    if metric == "infidelity" and map is not None and map.values.shape != tuple(ex.session.inputs.image.shape):
        return f"Infidelity asks for a value for each number of the input, which {map.title} does not give. Gradient, " \
               "Integrated Gradients and DeepLIFT do."
    if metric in ("pointing_game", "energy") and mask is None:
        return "No region yet: drag a rectangle on the picture, or take a region of the cut."
    if metric == "agreement" and len(ex.maps) < 2:
        return "One map alone agrees with itself: pin this one, or look at another method, and come back."
    return ""


def price(ex: Explorer, metric: str, map: SaliencyMap | None) -> str:
    """The cost in words: `175 evaluations · ≈ 6 s`; empty where it costs nothing worth a word."""
    if metric == "completeness":
        return "up to 1 024 steps" if map is not None and "steps" in map.params else ""
    if metric == "report":
        return ""
    planned = plan(ex, metric, map)
    if planned is None:
        return ""
    if not planned[0]:
        return "no evaluation"
    each = seconds(ex, map, planned[1])
    time = None if each is None else planned[0] * each
    return evaluations(planned[0]) + ("" if time is None else f" · ≈ {duration(time)}" if time >= 0.05 else " · at once")


def report_plan(ex: Explorer, maps: Sequence[SaliencyMap]) -> tuple[int, float]:
    """About the evaluations, and their seconds, that a report on these maps takes with its own settings, short of a search
    for the steps that a sum needs."""
    total, time = 0, 0.0

    def add(count: int, map: SaliencyMap | None, of_maps: bool) -> None:
        nonlocal total, time
        total += count
        time += count * (seconds(ex, map, of_maps) or 0.0)

    for map in maps:
        each = find(map.method).evaluations(ex.session._context(map.target, watched=False), dict(map.params))
        for metric in ("infidelity", "road"):
            if not refusal(ex, metric, map, None):
                add(plan(ex, metric, map)[0], map, False)
        add(2 * REPORT["curves"], map, False)
        add((1 + REPORT["sensitivity_max"]) * each, map, True)
        add((1 + min(REPORT["sanity_check"], len(randomised(ex)))) * each, map, True)
        add(REPORT["changes"] * _invariance(each, REPORT["invariance"]), map, True)
    if ex.session.subject.differentiable:
        add(plan(ex, "linear_estimate", None)[0], None, False)
    return total, time


def report_price(ex: Explorer, maps: Sequence[SaliencyMap], left: Sequence[str] = ()) -> str:
    """What a report on these maps costs, in words, and which of the shown ones it has no room for."""
    count, time = report_plan(ex, maps)
    titles = " and ".join(dict.fromkeys(map.title for map in maps))
    without = f"; without {' and '.join(left)}: a report is of one class and has a method once" if left else ""
    return f"{titles}: about {evaluations(count)} · ≈ {duration(time)}{without}"
