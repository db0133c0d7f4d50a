"""Completeness: whether a map's sum is the score difference that it says it explains, and how many steps that takes."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.runner import Stopping
from ..methods import find
from ..methods.parameters import Parameter
from ..saliency_map import SaliencyMap
from .measure import Measure, checked, in_percent
from .watching import Steps, Tell

FIRST = 8  # steps that the search begins with

PARAMETERS = (
    Parameter("tolerance", "float", 0.01, "the residual that is small enough", minimum=1e-12, maximum=10.0),
    Parameter("limit", "int", 1024, "steps that are never exceeded", minimum=1, maximum=100_000))


def completeness(session: Any, method: str, *, target: int | str | None = None, tolerance: float = 0.01, limit: int = 1024,
                 ticket: Stopping | None = None, on_progress: Tell | None = None,
                 on_draft: Callable[[Measure], None] | None = None, **params: Any) -> Measure:
    """(Σ map − score difference) / |score difference|, for the methods whose map promises to sum to it (1703.01365).

    Where the method has `steps` these are doubled from 8 until the residual's size is at most `tolerance`, or `limit` is
    reached; finer nested paths reuse the points of coarser ones. The value is the residual at `steps=` where that is given, else
    at the last steps tried. `details`: the map's `sum` and the `difference` of the score, in the score's unit, `steps` and
    `residuals` of what was tried (empty lists for a method without steps), `needed`, the first steps within the tolerance or
    None, `tolerance`, and the `map`. ValueError for a method, or parameters, that promise no sum.
    """
    settings = checked(PARAMETERS, dict(tolerance=tolerance, limit=limit))
    found = find(method)
    own = found.validate(params)
    if "steps" not in own:
        steps = Steps(1, on_progress, ticket)
        whole = session.run(method, params, target=target, ticket=ticket, on_progress=steps.within(0))
        measure = _measured(whole, [], [], settings["tolerance"])
        steps.next(1)
        if on_draft is not None:
            on_draft(measure)
        return measure
    tries, given = _tries(settings["limit"]), own["steps"] if "steps" in params else None
    steps, tried, residuals, maps = Steps(len(tries) + (given is not None), on_progress, ticket), [], [], []
    if given is not None:
        maps.append(session.run(method, {**params, "steps": given}, target=target, ticket=ticket, on_progress=steps.within(0)))
        _promised(maps[0])
    for number, count in enumerate(tries):
        known = [m for m in maps if m.params["steps"] == count]
        m = known[0] if known else session.run(method, {**params, "steps": count}, target=target, ticket=ticket,
                                               on_progress=steps.within(number + (given is not None)))
        tried.append(count)
        residuals.append(_promised(m))
        measure = _measured(maps[0] if given is not None else m, tried, residuals, settings["tolerance"])
        if on_draft is not None:
            on_draft(measure)
        if abs(residuals[-1]) <= settings["tolerance"]:
            break
    steps.next(steps.count)
    return measure


# Known by asking each of them once (tests compare); a map says so itself with its `residual`.
PROMISING = ("integrated_gradients", "blur_ig", "guided_ig", "deeplift", "deep_shap", "expected_gradients", "kernel_shap", "lrp",
             "xrai")


def _tries(limit: int) -> list[int]:
    counts = [min(FIRST, limit)]
    while counts[-1] * 2 <= limit:
        counts.append(counts[-1] * 2)
    return counts


def _promised(m: SaliencyMap) -> float:
    if m.residual is not None:
        return m.residual
    if m.details.get("rise") == 0:
        raise ValueError(f"the score does not differ between the picture and the reference of {m.method}: use another baseline")
    raise ValueError(f"the {m.method} map promises no sum with these parameters, so there is nothing to be complete: use "
                     f"{', '.join(PROMISING[:3])} or deeplift, and multiply=True where it is a parameter")


def _difference(m: SaliencyMap, total: float, residual: float) -> float:
    """The score difference that the map explains, as told, or read back from Σ = difference + residual·|difference|."""
    if "rise" in m.details:
        return float(m.details["rise"])
    either = [total / (1 + sign * residual) for sign in (1, -1) if sign * residual != -1]
    return next((d for d in either if np.isclose(d + residual * abs(d), total)), 0.0)


def _measured(m: SaliencyMap, tried: list[int], residuals: list[float], tolerance: float) -> Measure:
    residual, total = _promised(m), float(m.values.astype(np.float64).sum())
    needed = next((s for s, r in zip(tried, residuals) if abs(r) <= tolerance), None)
    off = () if abs(residual) <= tolerance else (
        f"the map's sum misses the score difference by {in_percent(abs(residual))} %"
        + (f": {needed} steps come within {100 * tolerance:g} %" if needed else ""),)
    return Measure("completeness", residual, "share of the score difference", max(len(tried), 1), None, off,
                   {"sum": total, "difference": _difference(m, total, residual), "steps": list(tried),
                    "residuals": list(residuals), "needed": needed, "tolerance": tolerance, "method": m.method, "map": m})
