"""How the Explorer answers a hand in a real browser, on both demo networks: `make bench-ui`.

Chromium drags, clicks and presses each kind of control in JupyterLab. Printed, and merged into build/bench-ui.json and
build/bench-ui.md, are medians of several drags: maps (or what else answers) painted a second during the drag, the delay
from the last pointer event to the final map on the screen, bytes that the kernel sent to the page, and evaluations.
No time is asserted, but what did not answer is an error, and the exit status says so.
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.browser.lab import Lab, running
from tests.browser.notebook import Notebook
from tests.chromium import browser

from .record import FOLDER, head
from .ui_controls import CONTROLS, FIRST_CLASS, Control
from .ui_meter import METER, Meter, Unseen, figures

NETWORKS = {"embedded": "sw.demo()", "imagenet": 'sw.demo("imagenet")'}
DRAGS, MOST = 3, 4  # the panel shows five classes: four others to click
KEYS = ("rate", "events", "first", "delay", "bytes", "evaluations")


def drag(notebook: Notebook, control: Control, turn: int, shots: bool = False) -> dict[str, float]:
    """The figures of one drag from the control's own start. Unseen where nothing answered."""
    meter = Meter(notebook)
    notebook.page.mouse.move(2, 2)
    notebook.page.locator(".sw-explorer .sw-over").focus()
    notebook.page.keyboard.press("0")  # the whole picture, after a zoom
    notebook.run(f"{FIRST_CLASS}\nif ex.method != {control.method!r}:\n    ex.method = {control.method!r}\nassert ex.wait(60)")
    notebook.settle()  # what a front end sets when a body first appears comes before the start
    notebook.run(control.start + ("\nassert ex.wait(60)\nex.refresh()" if control.fresh else ""))
    notebook.settle()
    if notebook.value("ex.error"):
        raise Unseen(f"the Explorer says: {notebook.value('ex.error')}")
    meter.rest(150)
    meter.begin()
    found = meter.end(control.hand(notebook, turn))
    if shots:
        notebook.shot(f"ui-{control.name}-{turn}")
    return figures(found, control.sight, control.last, control.moving)


def median(control: Control, drags: Sequence[dict[str, float]]) -> dict[str, Any]:
    """The row of a control: medians of its drags, and the drags themselves."""
    keys = [key for key in KEYS if all(key in one for one in drags)]
    return {"title": control.title, **{key: statistics.median(one[key] for one in drags) for key in keys}, "drags": list(drags)}


def measure(lab: Lab, chromium: Any, network: str, controls: Iterable[Control], drags: int = DRAGS,
            shots: bool = False) -> dict[str, dict[str, Any]]:
    """Rows by control's name, in one window; a control that does not answer is a row with its `error`."""
    notebook, rows = Notebook.window(chromium, lab, [f"ex = sw.Explorer(*{NETWORKS[network]})\nex"], scripts=[METER]), {}
    try:
        notebook.begin()
        notebook.page.set_default_timeout(10_000)
        for control in controls:
            try:
                rows[control.name] = median(control, [drag(notebook, control, turn, shots) for turn in range(drags)])
            except Exception as error:  # the others are still worth measuring
                rows[control.name] = {"title": control.title, "error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
                notebook.shot(f"ui-{network}-{control.name}-failed")
                _again(notebook)
            print(line(network, rows[control.name]), flush=True)
        notebook.close()
        if notebook.errors:
            rows["page"] = {"title": "the page", "error": notebook.errors[0]}
    finally:
        notebook.leave()
    return rows


def _again(notebook: Notebook) -> None:
    """An Explorer in a known state for the next control, whatever the last one left."""
    notebook.page.mouse.up()
    notebook.page.reload()
    notebook.ready()
    notebook.run_all()
    notebook.first_sight()


def line(network: str, row: dict[str, Any]) -> str:
    """A row in words for the terminal."""
    left = f"{network:<9} {row['title']:<46}"
    return f"{left} FAILED: {row['error']}" if "error" in row else left + "".join(f"{c:>15}" for c in cells(row))


def cells(row: dict[str, Any]) -> list[str]:
    """Updates of events a second, first answer, delay, kilobytes, evaluations."""
    def said(key: str, form: str, scale: float = 1.0) -> str:
        return form.format(row[key] / scale) if key in row else "–"

    pace = f"{row['rate']:.1f} of {row['events']:.0f}/s" if "rate" in row else "–"
    return [pace, said("first", "{:.0f} ms"), said("delay", "{:.0f} ms"), said("bytes", "{:.1f} kB", 1000),
            said("evaluations", "{:.0f}")]


def here() -> dict[str, Any]:
    """The head of the tables, with how busy the machine is."""
    return {**head(), "load": os.getloadavg()[0]}


def machine(top: dict[str, Any]) -> str:
    """What was measured on, in a line."""
    return (f"{top['date']} · {top['processor']}, {top['cores']} cores, load {top['load']:.1f} · torch {top['torch']}, "
            f"{top['threads']} threads")


def table(parts: dict[str, Any]) -> str:
    """Everything that is known, as Markdown."""
    lines = ["# The Explorer under the hand", "", machine(parts["head"]), "",
             "A real browser on JupyterLab; medians of the drags of each control. Updates: maps (or pictures, readouts) painted "
             "a second while the hand moves, of so many events. First: from the last event to the first new map. Delay: from "
             "the last event to the final map on the screen. Sent: bytes from the kernel to the page, from the first event on."]
    for network in NETWORKS:
        rows = parts.get("networks", {}).get(network, {})
        if rows:
            lines += ["", f"## {NETWORKS[network]}", "", "| control | updates | first | delay | sent | evaluations |",
                      "| --- | ---: | ---: | ---: | ---: | ---: |"]
            lines += [f"| {row['title']} | {' | '.join(cells(row))} |" if "error" not in row else
                      f"| {row['title']} | **{row['error'].replace('|', '/')}** | | | | |" for row in rows.values()]
    return "\n".join(lines) + "\n"


def keep(found: dict[str, dict[str, Any]], folder: Path = FOLDER) -> dict[str, Any]:
    """Merge rows by network and control into bench-ui.json and bench-ui.md; everything that is known now."""
    path = folder / "bench-ui.json"
    parts = json.loads(path.read_text()) if path.exists() else {"networks": {}}
    order = {control.name: i for i, control in enumerate(CONTROLS)}
    for network, rows in found.items():
        known = {name: row for name, row in parts["networks"].get(network, {}).items() if name in order}
        merged = {**known, **rows}
        parts["networks"][network] = dict(sorted(merged.items(), key=lambda item: order.get(item[0], len(order))))
    parts["head"] = here()
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(parts, indent=1))
    (folder / "bench-ui.md").write_text(table(parts))
    return parts


def main() -> int:
    """Measure what was asked for; 1 where a control did not answer."""
    names = [control.name for control in CONTROLS]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ui", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), help="default: both")
    parser.add_argument("--control", nargs="+", choices=names, default=names, metavar="control", help=", ".join(names))
    parser.add_argument("--drags", type=int, choices=range(1, MOST + 1), default=DRAGS, help="of each control")
    parser.add_argument("--shots", action="store_true", help="screenshots after every drag, into build/shots")
    asked = parser.parse_args()
    started, found = time.monotonic(), {}
    print(machine(here()) + "\n")
    print(f"{'':<56}" + "".join(f"{words:>15}" for words in ("updates", "first", "delay", "sent", "evaluations")))
    with browser() as chromium, running() as lab:
        for network in asked.network:
            found[network] = measure(lab, chromium, network, [c for c in CONTROLS if c.name in asked.control], asked.drags,
                                     asked.shots)
            keep(found)
    failed = [f"{network} {name}" for network, rows in found.items() for name, row in rows.items() if "error" in row]
    print(f"\n{FOLDER / 'bench-ui.md'}, after {time.monotonic() - started:.0f} s"
          + (f"; did not answer: {', '.join(failed)}" if failed else ""))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
