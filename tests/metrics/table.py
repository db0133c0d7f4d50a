"""Where every method points on the demo pictures, whose objects have known masks: `python -m tests.metrics.table`.

Writes LOCALISATION.md beside this file after each picture, and goes on where it was stopped (build/localisation.json).
"""
from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

import saliency_widgets as sw
from saliency_widgets.metrics import energy, pointing_game
from saliency_widgets.metrics.curves import edge_strength

PAGE = Path(__file__).with_name("LOCALISATION.md")
KEPT = PAGE.parents[2] / "build" / "localisation.json"
TOLERANCE = 15
# What differs from the defaults, so that the table takes minutes.
SETTINGS = {"integrated_gradients": {"steps": 32}, "blur_ig": {"steps": 32}, "guided_ig": {"steps": 32}, "xrai": {"steps": 16},
            "expected_gradients": {"n": 32}, "rise": {"n": 250}, "lime": {"n": 250}, "kernel_shap": {"n": 250},
            "meaningful_perturbation": {"iterations": 60}, "leave_one_out": {"grid": 10}, "occlusion": {"stride": 32},
            "interactions": {"grid": 5}, "greedy_order": {"steps": 8, "candidates": 8}}
APART = {"activation": "shows a filter, not a class", "activation_maximisation": "makes a picture, not a map of one",
         "attention_rollout": "the demo network has no attention", "gradient_x_attention": "the demo network has no attention"}
RIVALS = ("even map", "edge detector")


@dataclass
class Row:
    """What was found of a method: a hit, the energy inside, and that on another object, for each object asked for."""

    title: str
    hits: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, heat, mask: np.ndarray, others: list[np.ndarray]) -> None:
        """Judge one map of one object."""
        self.hits.append(pointing_game(heat, mask, tolerance=TOLERANCE).value)
        self.inside.append(energy(heat, mask).value)
        self.other += [energy(heat, each).value for each in others]

    def join(self, more: Row) -> None:
        """Add what was found on other pictures."""
        self.hits, self.inside, self.other = self.hits + more.hits, self.inside + more.inside, self.other + more.other
        self.seconds += more.seconds


def objects(pictures: Iterable[int] | None = None) -> Iterator[tuple[sw.Session, int, np.ndarray, list[np.ndarray]]]:
    """A session on each demo picture, and each of its objects: its class, its mask, and the masks of the others."""
    model, _, labels = sw.demo()
    shown = sw.demo_pictures()
    for number in range(len(shown)) if pictures is None else pictures:
        session = sw.Session(model, shown[number].image, labels)
        for index, mask in zip(shown[number].classes, shown[number].masks):
            yield session, index, mask, [m for m in shown[number].masks if m is not mask]


def rows(names: Iterable[str], pictures: Iterable[int] | None = None) -> dict[str, Row]:
    """The rows of methods and rivals by name."""
    known, names = sw.methods(), list(names)
    found = {name: Row(known[name].title if name in known else name) for name in names}
    for session, index, mask, others in objects(pictures):
        for name in names:
            started = time.perf_counter()
            if name == "even map":
                heat = np.ones(mask.shape)
            elif name == "edge detector":
                heat = edge_strength(session.picture.seen)
            else:
                heat = session.map(name, target=index, **SETTINGS.get(name, {}))
            found[name].add(heat, mask, others)
            found[name].seconds += time.perf_counter() - started
    return found


def page(found: dict[str, Row]) -> str:
    """The table as Markdown, the best energy first."""
    count = len(next(iter(found.values())).hits)
    words = (
        f"Rendered pictures of the demo with {count} objects whose masks are known; each method is asked for each object's class "
        f"on the demo network. *Hits*: the map's hottest pixel lies within {TOLERANCE} pixels of the object (pointing game, "
        f"arXiv 1608.00507). *Inside*: the share of the map's positive mass on the object (arXiv 1910.01279), its mean with the "
        f"standard error over objects; *on the other*: the same for the object that was not asked for, where there are two. An "
        f"even map has the object's share of the picture inside, and points nowhere. Written by `make trust`.")
    lines = ["# Where the methods point", "", words, "",
             "| method | hits | inside | on the other |", "| --- | ---: | ---: | ---: |"]
    for row in sorted(found.values(), key=lambda r: -np.mean(r.inside)):
        error = np.std(row.inside, ddof=1) / len(row.inside) ** 0.5
        lines.append(f"| {row.title} | {sum(row.hits):.0f} of {count} | {100 * np.mean(row.inside):.0f} ± {100 * error:.0f} % | "
                     f"{100 * np.mean(row.other):.0f} % |")
    settings = "; ".join(f"`{n}` {', '.join(f'{k}={v}' for k, v in p.items())}" for n, p in SETTINGS.items())
    apart = "; ".join(f"`{name}` {why}" for name, why in APART.items())
    lines += ["", f"Parameters are the defaults except: {settings}.", "", f"Left out: {apart}.", ""]
    return "\n".join(lines)


def main() -> None:
    """Make what is missing of the table, picture by picture."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for number in range(len(sw.demo_pictures())):
        if str(number) not in kept:
            found = rows([*RIVALS, *(name for name in sw.methods() if name not in APART)], (number,))
            kept[str(number)] = {name: asdict(row) for name, row in found.items()}
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_text(json.dumps(kept))
        whole = {name: Row(row["title"]) for name, row in kept[str(number)].items()}
        for part in kept.values():
            for name, row in part.items():
                whole[name].join(Row(**row))
        PAGE.write_text(page(whole), encoding="utf-8")
        print(f"picture {number}: {sum(row.seconds for row in whole.values()):.0f} s so far", flush=True)
    for name, row in sorted(whole.items(), key=lambda item: -item[1].seconds):
        print(f"{name}: {row.seconds:.1f} s")


if __name__ == "__main__":
    main()
