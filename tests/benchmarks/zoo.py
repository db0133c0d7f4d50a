"""Whether incremental forwards are ever slower than our own full ones: occlusion on every architecture of torchvision.

    python -m tests.benchmarks.zoo                 all of them at 224 px; goes on where it stopped
    python -m tests.benchmarks.zoo resnet18 vgg11  these again

Where a session chooses incremental forwards they are timed, in the session, against folded channels-last full forwards: the
median of seven interleaved rounds; slow networks on fewer rows of windows (which is harder for us: smaller groups), the
largest by the choice alone.
"""
from __future__ import annotations

import argparse
import gc
import time
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from saliency_widgets import Session
from saliency_widgets import regions as R
from saliency_widgets.model.folded import folded
from tests.networks import calibrated, smooth_pictures
from tests.zoo.survey import SLOW_LAST, architectures

from .__main__ import report
from .masked import Masked
from .measure import MOST, Patience
from .record import Record

SIZE, WINDOW, STRIDE = 224, (32, 32), (16, 16)
LEAST = 0.95  # of full forwards: what must not be missed where incremental forwards are chosen
# Rows of windows, of thirteen, by the seconds of one full forward: above the last, the choice alone.
ROWS = ((0.12, 13), (0.25, 7), (0.6, 4))


def opened(name: str) -> tuple[nn.Module, Tensor]:
    """An architecture and a picture for it.

    The largest ones keep their random weights: calibrating them takes minutes, and no time is measured on them.
    """
    if name in SLOW_LAST:
        import torchvision

        torch.manual_seed(0)
        return getattr(torchvision.models, name)(weights=None).eval(), smooth_pictures(1, SIZE, 2)
    model, x, _ = calibrated(name, SIZE, dtype=torch.float32)
    return model, x


def examine(name: str) -> dict[str, Any]:
    """What was chosen on an architecture and, where that is incremental and affordable, its ratio."""
    model, x = opened(name)
    fast, reason = folded(model, x)
    if fast is None:
        return {"incremental": False, "reason": f"full forwards: {reason}"}
    boxes, (rows, columns) = R.windows((SIZE, SIZE), WINDOW, STRIDE)
    labels, sets = R.cells((SIZE, SIZE), boxes)
    masked = Masked(fast, x, labels, sets)
    facts: dict[str, Any] = {"incremental": masked.chosen, "reason": str(masked.estimate),
                             "estimated": masked.estimate.full_seconds / masked.estimate.seconds}
    if name in SLOW_LAST:
        return facts
    masked.full(4)
    started = time.perf_counter()
    masked.full(4)
    facts["forward"] = (time.perf_counter() - started) / len(masked.pictures)
    taken = next((count for limit, count in ROWS if facts["forward"] <= limit), 0)
    if taken:
        few = Masked(fast, x, labels, sets[:columns * min(taken, rows)])
        session = Session(model, x)
        few.through(session)
        stats = session.stats
        facts |= {"incremental": stats.masked_samples > 0, "masked": stats.masked_samples, "windows": len(few.sets),
                  "reason": str(stats.estimate)}
        if facts["incremental"]:
            mine, full = few.against_full(lambda: few.through(session), Patience(spend=float("inf")))
            facts |= {"rounds": MOST, "ours": mine.median, "full": full["median"], "batch": full["batch"],
                      "ratio": full["ratio"], "cosine": full["cosine"]}
    return facts


def main() -> None:
    """Examine what is missing, and name what is slower than it may be."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.zoo", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="architectures to examine again; by default those not yet known")
    given, record = parser.parse_args(), Record()
    known = record.part("zoo")
    for name in tqdm(given.names or [n for n in architectures() if n not in known]):
        known[name] = examine(name)
        record.save()
        gc.collect()  # networks are cycles, and large ones must not wait for the collector's next turn
    slow = {name: facts["ratio"] for name, facts in known.items() if facts.get("ratio", 1) < LEAST}
    print("slower than full forwards although chosen: "
          + (", ".join(f"{name} {value:.2f}×" for name, value in slow.items()) or "none"))
    report(record)


if __name__ == "__main__":
    main()
