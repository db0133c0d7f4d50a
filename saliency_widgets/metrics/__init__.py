"""How far a map can be trusted: numbers instead of maps, by the same protocol of rounds; one file per metric.

Each takes a `Session` and gives a `Measure`: `infidelity(session, map)`, `sensitivity_max(session, "gradient")`.
What compares two maps takes these alone: `difference(first, second)`, `rank_correlation(first, second)`.
"""
from .agreement import difference, rank_correlation
from .infidelity import infidelity
from .measure import Measure
from .sensitivity import sensitivity_max

__all__ = ["Measure", "difference", "infidelity", "rank_correlation", "sensitivity_max"]
