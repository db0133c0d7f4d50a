"""What a metric gives: a number with what is needed to judge it, and the check of its declared settings."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..methods.parameters import Parameter


@dataclass(frozen=True, eq=False)
class Measure:
    """A metric's value in `unit` from `n` draws, with its standard error where it is a sample mean.

    `details` hold what it was computed from, as numpy arrays and numbers; `float(measure)` is the value.
    """

    metric: str
    value: float
    unit: str
    n: int
    standard_error: float | None = None
    warnings: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __float__(self) -> float:
        return self.value


def in_percent(share: float, sign: str = "") -> str:
    """A share as a number of per cent: two digits below ten, whole ones from there on; `sign="+"` writes it always."""
    value = 100 * share
    return f"{value:{sign}.2g}" if abs(value) < 10 else f"{value:{sign}.0f}"


def checked(declared: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical values of declared settings; TypeError or ValueError that says what was wrong and what is wanted."""
    return {p.name: p.validate(given[p.name]) for p in declared}
