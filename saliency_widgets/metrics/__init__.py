"""How far a map can be trusted: numbers instead of maps, by the same protocol of rounds; one file per metric.

Each takes a `Session` and gives a `Measure`: `infidelity(session, map)`, `sensitivity_max(session, "gradient")`.
"""
from .infidelity import infidelity
from .measure import Measure
from .sensitivity import sensitivity_max

__all__ = ["Measure", "infidelity", "sensitivity_max"]
