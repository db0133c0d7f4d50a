"""Counts of what was evaluated, so that "incremental" is a number a test can check."""
from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass
class Stats:
    """Evaluations since the last `reset()`.

    `forward_samples` and `backward_samples` count pictures, `batches` model calls, `store_hits` probes answered
    without one, `masked_samples` the part of `forward_samples` that was incremental, `setup_samples` what opening a
    picture cost (layers, the predicted class, the fast copy and what is held for changed regions), `plan` the evaluations
    the last map was estimated to need. `estimate` says in words what the last changed pictures were estimated to cost, and
    which way they went.
    """

    forward_samples: int = 0
    backward_samples: int = 0
    batches: int = 0
    store_hits: int = 0
    masked_samples: int = 0
    setup_samples: int = 0
    plan: int = 0
    estimate: Any = None

    def reset(self) -> None:
        """Set every count to zero and forget the estimate."""
        for field in fields(self):
            setattr(self, field.name, field.default)
