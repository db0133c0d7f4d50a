"""How far a map can be trusted: numbers instead of maps, by the same protocol of rounds; one file per metric.

Each takes a `Session` and gives a `Measure`: `infidelity(session, map)`, `sensitivity_max(session, "gradient")`. What asks the
model takes `ticket=` (its `check()` may stop it), `on_progress=` (done, planned) and `on_draft=` (each `Measure` on the way).

- Does the sum come out? `completeness`
- Does the score follow the map? `deletion`, `insertion` (`picture_at` shows a point), `infidelity`, `road`
- Is the object where the map points? `pointing_game`, `energy`
- Does the map tell of the network? `sanity_check` (`randomised` is the network at one step, `randomisable` the steps)
- Does it hold still? `sensitivity_max`, `invariance` (`change_rule` over many pictures)
- How far does one slope go? `linear_estimate`
- All of it on one page: `report`
- What compares maps takes these alone: `agreement(maps)`, `difference(first, second)`, `rank_correlation(first, second)`.
"""
from .agreement import agreement, difference, rank_correlation
from .completeness import completeness
from .curves import deletion, insertion, picture_at
from .infidelity import infidelity
from .invariance import change_rule, invariance
from .linear import linear_estimate
from .localisation import energy, pointing_game
from .measure import Measure
from .randomised import randomisable, randomised
from .report import report
from .road import road
from .sanity import sanity_check, sanity_steps
from .sensitivity import sensitivity_max

__all__ = ["Measure", "agreement", "change_rule", "completeness", "deletion", "difference", "energy", "infidelity", "insertion",
           "invariance", "linear_estimate", "picture_at", "pointing_game", "randomisable", "randomised", "rank_correlation",
           "report", "road", "sanity_check", "sanity_steps", "sensitivity_max"]
