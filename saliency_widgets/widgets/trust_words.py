"""What the trust panel says of each number: the value with its unit, and how to read it in one or two sentences."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from .words import number, percent, plain

if TYPE_CHECKING:
    from ..metrics import Measure

# Tabs in their order: the word on it, its question, and the metrics behind it.
TABS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "completeness": ("Adds up", "Does the map add up to what the score gains?", ("completeness",)),
    "deletion": ("Deletion", "Does the score fall when the strongest pixels go, and rise when they come first?",
                 ("deletion", "insertion")),
    "noise": ("Foretells", "Does the map foretell the score of changed pictures, and keep still when nothing changes?",
              ("infidelity", "sensitivity_max", "road")),
    "region": ("Region", "Does the map lie on the thing?", ("pointing_game", "energy")),
    "sanity_check": ("Sanity", "Does the map depend on what the network learned?", ("sanity_check",)),
    "invariance": ("Changes", "Do class and map hold when the picture changes a little?", ("invariance",)),
    "agreement": ("Agreement", "Do the shown maps agree on what matters?", ("agreement",)),
    "linear_estimate": ("Slopes", "Does gradient × change foretell what a missing part costs?", ("linear_estimate",)),
}
OF = {metric: tab for tab, (*_, metrics) in TABS.items() for metric in metrics}
TITLES = {"completeness": "residual", "deletion": "deletion", "insertion": "insertion", "infidelity": "infidelity",
          "sensitivity_max": "max-sensitivity", "road": "ROAD", "pointing_game": "pointing game", "energy": "energy inside",
          "sanity_check": "rank correlation, upper layers random", "invariance": "largest change",
          "agreement": "mean rank correlation", "linear_estimate": "correlation"}
CHANGES = ("rotate", "shift", "blur", "brighten")
DONE = {"rotate": "turning", "shift": "shifting", "blur": "blurring", "brighten": "brightening"}


def value_of(measure: Measure) -> str:
    """The number as the panel writes it, with unit and standard error."""
    metric, value = measure.metric, float(measure.value)
    if not np.isfinite(value):
        return "undefined"
    if metric in ("completeness", "energy"):
        return percent(value)
    if metric == "pointing_game":
        return "hit" if value >= 1 else "miss"
    if metric == "invariance":
        return amount(value, measure)
    error = f" ± {number(measure.standard_error)}" if measure.standard_error is not None else ""
    unit = measure.unit if metric in ("infidelity", "road") else ""
    return f"{number(value)}{error}" + (f" {unit}" if unit else "")


def amount(value: float, measure: Measure) -> str:
    """An amount of change with its unit."""
    if measure.details.get("change") == "brighten":
        return percent(value)
    unit = measure.unit if measure.unit in ("", "°") else f" {measure.unit.removesuffix(' (σ)')}"
    return plain(value, 0 if float(value).is_integer() else 1) + unit


def _completeness(m: Measure) -> str:
    d = m.details
    needed, unit = d.get("needed"), m.details.get("unit", "logit")
    words = (f"The map sums to {number(float(d['sum']))} and the score gains {number(float(d['difference']))} {unit} from the "
             f"baseline to the picture; {percent(abs(m.value))} of that gain is missing or too much. ")
    if not d["steps"]:
        held = abs(m.value) <= d.get("tolerance", 0.01)
        return words + "The method has no steps to double: " + ("the sum holds as it is." if held else "read the sum as rough.")
    if needed is None:
        return words + f"{max(d['steps'])} steps do not bring it below 1 %: read the sum as rough."
    return words + f"{needed} steps bring it below 1 %."


def _curve(m: Measure, lower: bool) -> str:
    d, own = m.details, float(m.value)
    random, edges = d.get("random_area"), d.get("edges_area")
    verb = "go" if lower else "come"
    rivals = [words for words, area in (("random order", random), ("an edge detector", edges))
              if area is not None and not (own < area if lower else own > area)]
    verdict = f"It does no better than {' and '.join(rivals)}." if rivals else \
        "It beats random order and an edge detector." if random is not None and edges is not None else ""
    return (f"{m.metric.title()}: the mean score while the strongest pixels {verb} first; "
            f"{'lower' if lower else 'higher'} is better. {verdict}")


def _infidelity(m: Measure) -> str:
    share = m.details.get("unexplained")
    words = "Mean squared error of the map's forecast of the score, over perturbed pictures: 0 is a perfect forecast"
    if share is None or not np.isfinite(share):
        return words + "."
    return words + f", and a map of zeros misses by {number(float(m.value) / float(share)) if share else '?'}."


def _sensitivity(m: Measure) -> str:
    moved = m.details.get("radius_pixels")
    how = f"by up to {plain(255 * float(moved), 1)} of 255" if moved is not None else "by what nobody sees"
    return (f"The most the map moved, as a share of its own size, when every pixel was shaken {how}: 0 is steady, "
            f"1 means as much as the map itself. More draws can only raise it.")


def _road(m: Measure) -> str:
    return ("The score without the least relevant pixels, blended away, minus the score without the most relevant ones, halved: "
            "above 0 the map knows which matter.")


def _pointing(m: Measure) -> str:
    d = m.details
    where = f" It is at ({d['point'][1]}, {d['point'][0]})." if "point" in d else ""
    return f"Whether the map's highest point lies in the region, 15 px around it counted in.{where}"


def _energy(m: Measure) -> str:
    area = m.details.get("area")
    words = "Share of the map's positive mass inside the region"
    return words + ("." if not area else f", which covers {percent(float(area))} of the picture: "
                    f"{plain(float(m.value) / float(area), 1)} times what an even map has there.")


def _sanity(m: Measure) -> str:
    d = m.details
    how = (f"Mean size of the rank correlation with the trained network's map, while the upper {d['upper']} layers are drawn at "
           f"random one after the other; with {len(d['layers'])} random it is {plain(float(d['signed'][-1]))} signed, "
           f"{plain(float(d['absolute'][-1]))} absolute. ")
    return how + ("The map changes: it depends on what the network learned." if d["passes"] else
                  "The map hardly changes: it shows the picture more than what the network learned.")


def _invariance(m: Measure) -> str:
    d = m.details
    words = (f"How far {DONE[d['change']]} may go before the class changes, or the map, moved back, falls below a rank "
             f"correlation of {plain(float(d['threshold']))}. Rule: {d['rule']}")
    if d.get("errors") is not None:
        words += f"; wrong at {percent(float(d['errors']))} of random amounts below that"
    over = d.get("over")
    if over is not None:
        error = "" if over.standard_error is None else f" ± {percent(over.standard_error)}"
        words += f", and at {percent(over.value)}{error} over the {len(over.details['wrong'])} pictures here"
    return words + "."


def _agreement(m: Measure) -> str:
    return ("Spearman's correlation of every pair of shown maps over the pixels, signed: 1 ranks them alike, 0 has nothing in "
            "common, −1 is the opposite. Agreement alone does not make maps right.")


def _linear(m: Measure) -> str:
    worth = float(m.value)
    verdict = "nothing can be said: all drops, or all estimates, are the same" if not np.isfinite(worth) else \
        "it is the wrong way round: what the gradient foretells to cost most costs least" if worth <= -0.3 else \
        "the gradient says little about what a missing part costs" if worth < 0.3 else \
        "the gradient tells the drops roughly" if worth < 0.8 else "it nearly could"
    return (f"Correlation of gradient × change with the exact drop, over {len(m.details['drops'])} regions: 1 would let the "
            f"gradient stand for leaving parts out; here {verdict}.")


READ: Mapping[str, Callable[[Measure], str]] = {
    "completeness": _completeness, "deletion": lambda m: _curve(m, True), "insertion": lambda m: _curve(m, False),
    "infidelity": _infidelity, "sensitivity_max": _sensitivity, "road": _road, "pointing_game": _pointing, "energy": _energy,
    "sanity_check": _sanity, "invariance": _invariance, "agreement": _agreement, "linear_estimate": _linear}


def read(measure: Measure) -> str:
    """How to read a measure, with what it warns of where that is not said already."""
    told = measure.metric in ("completeness", "deletion", "insertion", "sanity_check")
    warned = "" if told else "".join(f" {w[0].upper()}{w[1:]}{'' if w.endswith('.') else '.'}" for w in measure.warnings if w)
    return (READ[measure.metric](measure) + warned).replace(" %", "\u00a0%").replace(" px", "\u00a0px")
