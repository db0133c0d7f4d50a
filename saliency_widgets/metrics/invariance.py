"""Invariance: how far a picture may be turned, moved, blurred or brightened before the answer, or the map, is another."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine.runner import Stopping
from ..kernels.reference import uniform
from ..methods import find
from ..methods.parameters import Parameter
from ..methods.protocol import Context, Round
from ..saliency_map import SaliencyMap
from .agreement import spearman
from .changing import CHANGES, WHOLE, Change, amounts_of, brought_back, changed_picture, find_change
from .measure import Measure, checked
from .watching import Steps, Tell

# Draw numbers from here on are the metric's own.
DRAWS = 1 << 43
CHECKS = 16  # random amounts that a rule is checked at

PARAMETERS = (
    Parameter("threshold", "float", 0.5, "rank correlation from which on two maps count as the same", minimum=-1, maximum=1),
    Parameter("checks", "int", CHECKS, "random amounts that the rule is checked at", minimum=0, maximum=10_000),
    Parameter("seed", "int", 0, "which amounts", minimum=0))


def invariance(session: Any, method: str, change: str = "rotate", amounts: Sequence[float] | None = None, *,
               target: int | str | None = None, threshold: float = 0.5, checks: int = CHECKS, seed: int = 0,
               ticket: Stopping | None = None, on_progress: Tell | None = None,
               on_draft: Callable[[Measure], None] | None = None, params: Mapping[str, Any] | None = None,
               **more: Any) -> Measure:
    """The largest change at which the class is kept and the map's rank correlation is at least `threshold`.

    `change` is "rotate" (degrees, counter-clockwise), "shift" (pixels to the right), "blur" (σ in pixels) or "brighten" (added
    to pixels in 0..1); what comes in at the edge is mirrored. `amounts` are tried by size, with 0 first. Maps are compared where
    the picture was before, inside what both show (of a photograph, the crop that the model saw). The method's parameters come as
    keywords, or in `params`.

    `details`, one for each amount: `amounts`, `scores` (the explained one), `probabilities` (None where there are none),
    `classes`, the most probable, `correlations` (0 for a flat map), `pictures` uint8 and `maps`; `held`, bool, whether class and
    map hold; `rule`, in words, of its `theta`, the first amount with another class (or the last one tried), and `errors`, the
    share of `checks` random amounts below θ, both ways where there are two, at which it is wrong (None without checks). It
    costs a map an amount. ValueError for a wrong setting.
    """
    settings = checked(PARAMETERS, dict(threshold=threshold, checks=checks, seed=seed))
    kind, found = find_change(change), find(method)
    tried, own = amounts_of(kind, amounts), {**(params or {}), **more}
    found.validate(own)
    index = None if session.score == "function" else session.target if target is None else session.resolve_target(target)
    steps, course = Steps(len(tried) + 1, on_progress, ticket), _Course(kind, settings["threshold"])
    for number, amount in enumerate(tried):
        other = session.beside(picture=changed_picture(session, kind, amount))
        m = other.run(method, own, target=index, ticket=ticket, on_progress=steps.within(number))
        course.add(amount, other, m, index)
        steps.next(number + 1)
        if on_draft is not None:
            on_draft(course.measure(tried, None))
    theta, errors = course.theta, None
    if settings["checks"] and theta:
        classes = classes_at(session, kind, drawn_amounts(kind, theta, settings["checks"], settings["seed"]), ticket)
        errors = float(np.mean([c != course.classes[0] for c in classes]))
    steps.next(steps.count)
    return course.measure(tried, errors)


class _Course:
    """The amounts tried so far, and what picture, model and map were like at each."""

    def __init__(self, change: Change, threshold: float):
        self.change, self.threshold = change, threshold
        self.amounts: list[float] = []
        self.scores: list[float] = []
        self.chances: list[float | None] = []
        self.classes: list[int] = []
        self.correlations: list[float] = []
        self.pictures: list[np.ndarray] = []
        self.maps: list[SaliencyMap] = []

    def add(self, amount: float, session: Any, m: SaliencyMap, target: int | None) -> None:
        """Note what became of the picture."""
        (score, chance), = session.drive(_score, target=target)
        self.amounts.append(amount)
        self.scores.append(score)
        self.chances.append(chance)
        self.classes.append(int(session.logits.argmax()))
        self.pictures.append(session.picture.shown)
        self.maps.append(m)
        first = self.maps[0]
        a, b = (one.heatmap(size=first.size, sign="both").astype(np.float64) for one in (first, m))
        back, inside = brought_back(b, self.change, amount)
        if first.crop is not None:
            inside &= _within(first.crop, first.size)  # zeros around the crop are no values of the map, and would count as alike
            shown = _within(m.crop, m.size).astype(np.float64)
            inside &= brought_back(shown, self.change, amount)[0] > WHOLE
        self.correlations.append(spearman(a[inside], back[inside]) or 0.0)

    @property
    def theta(self) -> float:
        """The first amount with another class, or the last one tried."""
        changed = [abs(a) for a, c in zip(self.amounts, self.classes) if c != self.classes[0]]
        return min(changed) if changed else max(map(abs, self.amounts))

    def measure(self, tried: Sequence[float], errors: float | None) -> Measure:
        """What the amounts so far say."""
        held = [c == self.classes[0] and r >= self.threshold for c, r in zip(self.classes, self.correlations)]
        last = held.index(False) if False in held else len(held)
        value, warnings = (abs(self.amounts[last - 1]) if last else 0.0), []
        if last == len(tried) and last > 1:
            warnings.append(f"class and map hold at every amount tried, up to {value:g}{self.change.behind}")
        if self.correlations[0] == 0.0:
            warnings.append("the map of the picture itself is the same everywhere: nothing compares with it")
        return Measure("invariance", value, self.change.unit, len(self.amounts), None, tuple(warnings), {
            "change": self.change.name, "amounts": np.array(self.amounts), "scores": np.array(self.scores),
            "probabilities": None if None in self.chances else np.array(self.chances), "classes": np.array(self.classes),
            "correlations": np.array(self.correlations), "held": np.array(held), "pictures": list(self.pictures),
            "maps": list(self.maps), "theta": self.theta, "rule": rule_text(self.change, self.theta), "errors": errors,
            "threshold": self.threshold})


def _within(crop: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    """The pixels of a picture of `size` (H, W) whose middles lie in a crop (top, left, bottom, right): bool `(H, W)`."""
    down, across = (np.arange(size[axis]) + 0.5 for axis in (0, 1))
    return np.outer((crop[0] < down) & (down < crop[2]), (crop[1] < across) & (across < crop[3]))


def rule_text(change: Change, theta: float) -> str:
    """The rule in words."""
    return f"a picture {change.done} by less than {theta:g}{change.behind} keeps its class"


def change_rule(session: Any, pictures: Iterable[Any], change: str = "rotate", threshold: float | None = None, *,
                checks: int = CHECKS, seed: int = 0, ticket: Stopping | None = None, on_progress: Tell | None = None,
                on_draft: Callable[[Measure], None] | None = None) -> Measure:
    """How often the rule "changed by less than θ keeps its class" is wrong: a share of `checks` random amounts a picture.

    `threshold` is θ in the change's unit; None takes the first usual amount at which the session's own picture changes its
    class. `pictures` are whatever `Session` takes, or have it as their `image`, as `demo_pictures()` do. Amounts are uniform
    below θ, both ways where the change has two. The standard error is over pictures. `details`: `rule`, `theta`, `amounts`
    `(checks,)`, `wrong` bool `(pictures, checks)`, `classes` of the unchanged `(pictures,)`, `broken`, the share of pictures for
    which it is wrong somewhere. It costs `checks` + 1 evaluations a picture. ValueError for no picture, or a wrong θ.
    """
    settings = checked(PARAMETERS[1:], dict(checks=checks, seed=seed))
    kind, shown = find_change(change), [getattr(p, "image", p) for p in pictures]
    if not shown or not settings["checks"]:
        raise ValueError("a rule is checked on one picture at least, and at one amount")
    theta = _theta(session, kind, ticket) if threshold is None else float(threshold)
    if not (np.isfinite(theta) and theta > 0):
        raise ValueError(f"threshold={threshold!r} does not fit: an amount above 0 in {kind.unit}")
    amounts = drawn_amounts(kind, theta, settings["checks"], settings["seed"])
    wrong, first, steps = [], [], Steps(len(shown), on_progress, ticket)
    for number, picture in enumerate(shown):
        other = session.beside(picture=session.load(picture))
        first.append(int(other.logits.argmax()))
        wrong.append([c != first[-1] for c in classes_at(other, kind, amounts, ticket)])
        steps.next(number + 1)
        measure = _rule(kind, theta, amounts, np.array(wrong), first)
        if on_draft is not None:
            on_draft(measure)
    return measure


def _rule(kind: Change, theta: float, amounts: Sequence[float], wrong: np.ndarray, first: list[int]) -> Measure:
    each = wrong.mean(1)
    error = float(each.std(ddof=1)) / len(each) ** 0.5 if len(each) > 1 else None
    return Measure("change_rule", float(each.mean()), "error rate", wrong.size, error, (), {
        "rule": rule_text(kind, theta), "theta": theta, "change": kind.name, "amounts": np.array(amounts), "wrong": wrong,
        "classes": np.array(first), "broken": float(wrong.any(1).mean())})


def _theta(session: Any, change: Change, ticket: Stopping | None) -> float:
    amounts = amounts_of(change, None)
    classes = classes_at(session, change, amounts, ticket)
    return next((a for a, c in zip(amounts, classes) if c != classes[0]), amounts[-1])


def drawn_amounts(change: Change, theta: float, count: int, seed: int) -> list[float]:
    """Random amounts below θ in size, evenly spread in chance, of both signs where the change goes both ways."""
    draw = uniform(seed, DRAWS + list(CHANGES).index(change.name), count).double().numpy()
    return (theta * (2 * draw - 1 if change.both else draw)).tolist()


def classes_at(session: Any, change: Change, amounts: Sequence[float], ticket: Stopping | None = None) -> list[int]:
    """The most probable class of the session's picture changed by each amount: one evaluation each, kept by content."""
    def start(context: Context) -> Iterator[Any]:
        names = [context.given(changed_picture(session, change, amount).x[0]) for amount in amounts]
        probes = [context.forward(name) for name in names]
        found = [evaluation for _, evaluation in (yield Round(probes))]
        context.inputs.release(names)
        if found[0].logits is None:
            raise ValueError("the output is too large to be kept, so that its most probable class is not known")
        yield [int(e.logits.argmax()) for e in found]

    return session.drive(start, ticket=ticket)


def _score(context: Context) -> Iterator[Any]:
    (_, found), = yield Round([context.forward(context.image)])
    yield [(context.score_of(found), context.chance(found))]
