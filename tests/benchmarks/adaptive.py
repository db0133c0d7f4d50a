"""Gradients that the adaptive rule of Integrated Gradients needs for the map error of uniform steps, on two photographs.

    python -m tests.benchmarks.adaptive

The error is the relative L1 distance from the trapezoid map of 512 steps. Its gradients stay in the store, and every map
here reads some of them: a photograph costs little more than those.
"""
from __future__ import annotations

from typing import Any

import numpy as np

import saliency_widgets as sw
from saliency_widgets.demo.imagenet import cat, cup

from .__main__ import report
from .record import Record

FINEST, UNIFORM = 512, (8, 16, 32, 64, 128)
GROWING = range(8, 129, 4)  # evaluations at most that the adaptive rule is given


def errors(session: sw.Session, finest: int = FINEST) -> dict[str, Any]:
    """By uniform steps: the error, and with how many evaluations the adaptive rule reaches it (None: not within 128)."""
    wanted = session.map("integrated_gradients", steps=finest).values

    def error(values: np.ndarray) -> float:
        return float(np.abs(values - wanted).sum() / np.abs(wanted).sum())

    adaptive = []
    for steps in GROWING:
        made = session.map("integrated_gradients", steps=steps, rule="adaptive")
        adaptive.append((len(made.details["alphas"]), error(made.values)))
    found = {}
    for steps in UNIFORM:
        limit = error(session.map("integrated_gradients", steps=steps).values)
        found[str(steps)] = {"error": limit, "adaptive": next((count for count, e in adaptive if e <= limit), None)}
    return {"uniform": found, "adaptive": adaptive}


def main() -> None:
    """Measure both photographs, print and keep the table."""
    model, _, labels = sw.demo("imagenet")
    record = Record()
    for name, picture in (("chelsea", cat()), ("coffee", cup())):
        found = errors(sw.Session(model, picture, labels))
        record.part("adaptive")[name] = found
        record.save()
        for steps, row in found["uniform"].items():
            print(f"{name:<8} {steps:>4} uniform steps: error {row['error']:.3f}, adaptive {row['adaptive']} evaluations",
                  flush=True)
    report(record)


if __name__ == "__main__":
    main()
