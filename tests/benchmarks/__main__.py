"""Ours beside the peers, in one process, interleaved: ratios of medians into build/bench.json, bench.md and bench.svg.

    python -m tests.benchmarks                           the heart of it, in a few minutes
    python -m tests.benchmarks --full                    every work on every network; goes on where it stopped
    python -m tests.benchmarks --full --again resnet18   these networks or works anew
    python -m tests.benchmarks resnet18 --works occlusion leave_one_out
    python -m tests.benchmarks --report                  write the tables and the plot from what is known
"""
from __future__ import annotations

import argparse
import gc
import time
import traceback
import warnings
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from .cases import NETWORKS, Case
from .compare import compare
from .measure import Patience
from .own import OWN
from .plot import draw
from .record import FOLDER, Record
from .report import told, write
from .suite import HEART, WORKS

MINUTES = 7.0  # for the heart; the first-sight table takes the rest of ten
SPEND = {"heart": 10.0, "full": 90.0}  # seconds a cell that are worth more rounds


def measure(record: Record, part: str, cells: Iterable[tuple[str, str]], patience: Patience, size: int = 224) -> list[str]:
    """Measure cells one by one, writing after each; returns the names of those that a deadline left out.

    A cell that fails is told and stays unknown, so that the hours of the others are not lost.
    """
    case, left = None, []
    for network, work in cells:
        if patience.deadline is not None and time.monotonic() > patience.deadline:
            left.append(f"{network} {work}")
            continue
        if case is None or case.name != network:
            case = None
            gc.collect()  # networks are cycles, and the next one needs the room
            case = Case(network, size)
        started = time.monotonic()
        try:
            found = OWN[work](case, patience) if work in OWN else compare(case, WORKS[work], patience)
        except Exception:
            traceback.print_exc()
            print(f"{network:<14} {work} failed", flush=True)
            continue
        cell = {"rows": found} if isinstance(found, list) else found
        cell |= {"date": date.today().isoformat(), "took": round(time.monotonic() - started, 1)}
        record.part(part).setdefault(network, {})[work] = cell
        record.save()
        print("\n".join(told(network, work, cell)), flush=True)
    return left


def report(record: Record, folder: Path = FOLDER) -> None:
    """Write the tables and the plot."""
    (folder / "bench.svg").write_text(draw(record.cells()))
    write(record, folder / "bench.md")
    print(f"\n{folder / 'bench.md'}, {folder / 'bench.svg'}")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="network", help=", ".join(NETWORKS))
    parser.add_argument("--works", nargs="+", choices=[*WORKS, *OWN], metavar="work", help=", ".join([*WORKS, *OWN]))
    parser.add_argument("--full", action="store_true", help="every work on every network, where it is not known yet")
    parser.add_argument("--again", nargs="+", default=(), metavar="name", help="networks or works to measure again")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long the heart may take")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    unknown = {*asked.networks} - {*NETWORKS} | {*asked.again} - {*NETWORKS, *WORKS, *OWN}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; networks are {', '.join(NETWORKS)}")
    warnings.filterwarnings("ignore", module=r"captum|shap|saliency|pytorch_grad_cam|torch\.nn\.modules")
    record = Record()
    part = "full" if asked.full else "heart"
    if asked.full or asked.networks or asked.works:
        cells = [(n, w) for n in asked.networks or NETWORKS for w in asked.works or [*WORKS, *OWN]]
    else:
        cells = list(HEART)
    if asked.full:
        known = record.part(part)
        cells = [(n, w) for n, w in cells if w not in known.get(n, {}) or n in asked.again or w in asked.again]
    deadline = None if asked.full or asked.networks or asked.works else time.monotonic() + 60 * asked.minutes
    left = [] if asked.report else measure(record, part, cells, Patience(SPEND[part], deadline))
    if left:
        print(f"\nleft out, the time being spent ({asked.minutes:g} minutes; make bench-full has them all): {', '.join(left)}")
    report(record)


if __name__ == "__main__":
    main()
