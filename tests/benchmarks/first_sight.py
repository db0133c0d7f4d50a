"""How long a person waits: opening, first map, each method, another class, on both demo networks.

`make bench` prints medians of three runs, each on a model of its own so that nothing is kept from the last, and the
residuals of Integrated Gradients on the real network.
"""
from __future__ import annotations

import statistics
import time

import torch

import saliency_widgets as sw

STEPS = (
    ("grad_cam, every layer", "grad_cam", {}, None),
    ("grad_cam, another class", "grad_cam", {}, 1),
    ("gradient", "gradient", {}, None),
    ("integrated_gradients, 64 steps", "integrated_gradients", {"steps": 64}, None),
    ("another α window", "integrated_gradients", {"steps": 64, "alpha": (0.1, 0.4)}, None),
    ("128 steps after 64", "integrated_gradients", {"steps": 128}, None),
    ("leave_one_out, 14 × 14", "leave_one_out", {}, None),
    ("leave_one_out, another class", "leave_one_out", {}, 1),
)


def once(name: str | None) -> dict[str, tuple[float, int]]:
    """Seconds and evaluations of each step on a fresh model."""
    model, picture, labels = sw.demo(name) if name else sw.demo()
    started = time.perf_counter()
    session = sw.Session(model, picture, labels)
    times = {"open": (time.perf_counter() - started, session.stats.setup_samples)}
    for words, method, params, target in STEPS:
        session.stats.reset()
        started = time.perf_counter()
        session.map(method, target=target, **params)
        times[words] = time.perf_counter() - started, session.stats.forward_samples
    return times


def residuals() -> None:
    """Print how far Integrated Gradients misses the score on the real network, and how much it still moves."""
    session = sw.Session(*sw.demo("imagenet"))
    print("\nintegrated_gradients on the imagenet demo, 64 steps       residual  last change")
    for index, label, _ in session.top(5):
        made = session.map("integrated_gradients", target=index)
        print(f"  {label:<52} {100 * made.residual:+7.1f} %  {100 * made.last_change:9.0f} %")


def main() -> None:
    """Print the tables."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in (None, "imagenet"):
        runs = [once(name) for _ in range(3)]
        print(f"\n{name or 'embedded'} demo network                 seconds  evaluations")
        for words in runs[0]:
            seconds = statistics.median(run[words][0] for run in runs)
            print(f"  {words:<34} {seconds:8.3f}  {runs[0][words][1]:6d}")
    residuals()


if __name__ == "__main__":
    main()
