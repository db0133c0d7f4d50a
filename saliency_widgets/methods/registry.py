"""The registry: a method announces itself here, and sessions, controls, tests and documents find it."""
from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .parameters import Parameter
from .protocol import Context, MethodFunction

FAMILIES = ("gradient", "path", "cam", "cut", "reference", "inside")
_methods: dict[str, "Method"] = {}


@dataclass(frozen=True)
class Method:
    """A registered method: what it is called, what it costs, what may be set, where it comes from.

    `signed` maps lower and raise, `default_sign` is how the field shows them; `evaluations(context, params)` counts
    the probes a map needs; `gradients` and `positions` say what it asks of the model; `cuts` that its map is one of the picture
    that is cut along regions or windows (`context.size`), not of the model's input; `rank` is its place in the family.
    `course` names the parameter that counts the stages of its film, where it makes one.
    """

    name: str
    title: str
    family: str
    cost: str
    parameters: tuple[Parameter, ...]
    paper: str
    warning: str | None
    signed: bool
    default_sign: str
    gradients: bool
    positions: bool
    cuts: bool
    rank: int
    course: str
    evaluations: Callable[[Context, Mapping[str, Any]], int]
    run: MethodFunction

    def validate(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters with defaults filled in; TypeError for an unknown keyword, with those that exist."""
        known = {p.name: p for p in self.parameters}
        for name in params:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                takes = ", ".join(known) or "no parameters"
                raise TypeError(f"{self.name} has no parameter {name!r}{hint}: it takes {takes}")
        return {name: p.validate(params.get(name, p.default)) for name, p in known.items()}


def method(name: str, *, title: str, family: str, cost: str, paper: str, parameters: tuple[Parameter, ...] = (),
           warning: str | None = None, signed: bool = True, default_sign: str = "both", gradients: bool = False,
           positions: bool = False, cuts: bool | None = None, rank: int = 10, course: str = "",
           evaluations: Callable[[Context, Mapping[str, Any]], int] = lambda c, p: 1):
    """Register the decorated generator function as a method; one with regions among its parameters `cuts`.

    Registered again from the same module (a cell that is run once more) it replaces itself; ValueError where the name is
    another module's. An Explorer that is open keeps the methods that it opened with.
    """
    if cuts is None:
        cuts = any(p.kind == "regions" for p in parameters)

    def register(run: MethodFunction) -> MethodFunction:
        if not run.__module__.startswith(__package__ + "."):
            _load()  # what comes along has its names first
        known = _methods.get(name)
        if known is not None and known.run.__module__ != run.__module__:
            raise ValueError(f"the method {name!r} is that of {known.run.__module__}: choose another name")
        _methods[name] = Method(name, title, family, cost, parameters, paper, warning, signed, default_sign,
                                gradients, positions, cuts, rank, course, evaluations, run)
        return run
    return register


def methods() -> dict[str, Method]:
    """All methods by name, in the order of the families, and by rank within one."""
    _load()
    return dict(sorted(_methods.items(), key=lambda item: (FAMILIES.index(item[1].family), item[1].rank)))


def find(name: str) -> Method:
    """The method called `name`; LookupError with the nearest names when there is none."""
    _load()
    if name not in _methods:
        near = difflib.get_close_matches(str(name), _methods, 2)
        hint = f": did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise LookupError(f"there is no method {name!r}{hint} (known: {', '.join(methods())})")
    return _methods[name]


def _load() -> None:
    """Import every file of this folder once, so that a new method is one file and no line elsewhere."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")
