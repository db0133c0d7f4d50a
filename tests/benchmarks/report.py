"""The tables of build/bench.md, and the lines that are printed as cells are measured."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .cases import NETWORKS
from .record import Record
from .suite import WORKS

Facts = dict[str, Any]


def seconds(value: float) -> str:
    """Seconds or milliseconds with three digits that mean something."""
    if value < 0.1:
        return f"{1000 * value:.1f} ms" if value < 0.01 else f"{1000 * value:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def ratio(value: float) -> str:
    """A ratio with two or three digits."""
    return f"{value:.2f}×" if value < 10 else f"{value:.1f}×" if value < 100 else f"{value:.0f}×"


def agreement(facts: Facts) -> str:
    """How far a peer's map is ours."""
    if "cosine" not in facts:
        return ""
    words = "1" if facts["cosine"] > 1 - 5e-6 else f"{facts['cosine']:.5f}".rstrip("0")
    if "layers" in facts:
        words += f" (the same on {facts['layers_same']} of {facts['layers']} layers)"
    return words


def rows(cells: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, Facts]]:
    """Network, work and row of every comparison, in the order of the suite."""
    for work in [*WORKS, "full_forwards"]:
        for network in NETWORKS:
            for row in cells.get(network, {}).get(work, {}).get("rows", ()):
                yield network, work, row


def best(row: Facts) -> tuple[str, Facts] | None:
    """The fastest of the others, those that give the same map before those that do not."""
    ran = [(not facts.get("same", True), facts["ratio"], name) for name, facts in row["others"].items() if "ratio" in facts]
    return (min(ran)[2], row["others"][min(ran)[2]]) if ran else None


def told(network: str, work: str, cell: Facts) -> list[str]:
    """A cell in lines for the terminal."""
    if "rows" not in cell:
        (title, found), = ((key, value) for key, value in cell.items() if isinstance(value, dict))
        return [f"{network:<14} {title}: " + "; ".join(f"{k} {_figure(title, v)}" for k, v in found.items())]
    lines = []
    for row in cell["rows"]:
        estimate = row["ours"].get("estimate")
        lines.append(f"{network:<14} {row['title']:<34} ours {seconds(row['ours']['median']):>8}  "
                     f"({row['ours']['rounds']} {'round' if row['ours']['rounds'] == 1 else 'rounds'}"
                     f"{', ' + estimate if estimate else ''})")
        for name, facts in row["others"].items():
            if "skipped" in facts:
                lines.append(f"{'':<14}   {name}: left out: {facts['skipped']}")
                continue
            batch = f", batch {facts['batch']}" if "batch" in facts else ""
            same = "" if facts.get("same", True) else "  another map" + (f": {facts['remark']}" if "remark" in facts else "")
            lines.append(f"{'':<14}   {ratio(facts['ratio']):>7} {name}{batch}: {seconds(facts['median'])}"
                         f"{', cosine ' + agreement(facts) if 'cosine' in facts else ''}{same}")
    return lines


def _figure(title: str, value: Any) -> str:
    if isinstance(value, dict):
        return f"after {seconds(value['seconds'])}, {100 * value['share']:.0f} % of the whole"
    if value is None:
        return "unknown"
    return f"{value:.0f} MiB" if title == "memory" else seconds(value)


def write(record: Record, path: Path) -> None:
    """Write all tables."""
    cells = record.cells()
    sections = [_head(record.parts.get("head", {})), _matrix(cells), _details(cells), _facts(cells)]
    if record.parts.get("adaptive"):
        sections.append(_adaptive(record.parts["adaptive"]))
    if record.parts.get("zoo"):
        sections.append(_zoo(record.parts["zoo"]))
    path.write_text("\n\n".join("\n".join(lines) for lines in sections if lines) + "\n")


def _head(head: Facts) -> list[str]:
    peers = ", ".join(f"{name} {version}" for name, version in head.get("peers", {}).items())
    return ["# Speed beside the peers", "",
            f"{head.get('date')} · {head.get('processor')}, {head.get('cores')} cores · torch {head.get('torch')}, "
            f"{head.get('threads')} threads · {peers}", "",
            "Every contender runs in the same process, one after the other in each round; a ratio is the median of the other's "
            "seconds over the median of ours: above 1 ours is faster. Ours is `Session.map` on an open session in which nothing "
            "evaluated is kept; a peer is called at the batch size that suits it best (of 1, 4, 8, 16, 50). Float32, 224 × 224, "
            "calibrated networks and the `imagenet` demo's.", "",
            "![ratios by work and network](bench.svg)"]


def _matrix(cells: dict[str, dict[str, Any]]) -> list[str]:
    networks = [n for n in NETWORKS if n in cells]
    found: dict[tuple[str, str], dict[str, str]] = {}
    for network, work, row in rows(cells):
        fastest = best(row)
        if fastest is not None:
            mark = "" if fastest[1].get("same", True) else "†"
            found.setdefault((work, row["title"]), {})[network] = ratio(fastest[1]["ratio"]) + mark
            for name, facts in row["others"].items():
                if name.endswith(", default") and "ratio" in facts:
                    title = f"{row['title']}, {name.removesuffix(', default')} at its default batch"
                    found.setdefault((work, title), {})[network] = ratio(facts["ratio"])
    if not found:
        return []
    lines = ["## How many times faster", "", f"| | {' | '.join(networks)} |", f"| --- |{' ---: |' * len(networks)}"]
    for (work, title), values in found.items():
        title = f"{title}, against our own full forwards" if work == "full_forwards" else title
        lines.append(f"| {title} | {' | '.join(values.get(n, '') for n in networks)} |")
    return [*lines, "", "Against the fastest peer at its best batch size. † the peer's map is another one (see below)."]


def _details(cells: dict[str, dict[str, Any]]) -> list[str]:
    lines, last = ["## Work by work"], None
    for network, work, row in rows(cells):
        title = _sentence(row["title"] + (", against our own full forwards" if work == "full_forwards" else ""))
        if title != last:
            last = title
            lines += ["", f"### {title}", "", f"{_sentence(row['what'])}.", "",
                      "| network | ours | evaluations | MiB | other | batch | its time | MiB | ratio | cosine | rounds |",
                      "| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
        lines += _detail(network, row)
    return lines if last else []


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _detail(network: str, row: Facts) -> Iterator[str]:
    ours = row["ours"]
    counts = f"{ours['forward']}" + (f" ({ours['masked']} masked)" if ours.get("masked") else "") if "forward" in ours else ""
    left = f"| {network} | {seconds(ours['median'])} | {counts} | {_mib(ours['peak'])} |"
    for name, facts in row["others"].items():
        if "skipped" in facts:
            yield f"{left} {name}: {facts['skipped'].replace('|', '/')} | | | | | | |"
            continue
        remark = f" ({facts['remark']})" if "remark" in facts else ""
        yield (f"{left} {name}{remark} | {facts.get('batch', '')} | {seconds(facts['median'])} | {_mib(facts.get('peak'))} | "
               f"{ratio(facts['ratio'])} | {agreement(facts)} | {facts['rounds']} |")
    if "estimate" in ours:
        yield f"| | | {ours['estimate']} | | | | | | | | |"


def _mib(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _facts(cells: dict[str, dict[str, Any]]) -> list[str]:
    lines = []
    for key, title, note in (
            ("opening", "What is paid once", "Opening a session; what the first map takes beyond the second one like it."),
            ("previews", "The first preview", "Seconds until the first map is shown, and its share of the whole time."),
            ("memory", "Memory of Integrated Gradients by steps", "Peak of the process beyond what it held before.")):
        found = {network: works[key][key] for network, works in cells.items() if key in works}
        if not found:
            continue
        columns = list(next(iter(found.values())))
        lines += ["", f"## {title}", "", note, "", f"| | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
        for network, values in found.items():
            lines.append(f"| {network} | {' | '.join(_figure(key, values.get(c)) for c in columns)} |")
    return lines[1:]


def _adaptive(found: Facts) -> list[str]:
    lines = ["## Integrated Gradients by the adaptive rule", "",
             "Gradients needed for the map error of uniform trapezoid steps, on the `imagenet` demo's network: the error is the "
             "relative L1 distance from the map of 512 steps.", "",
             "| picture | uniform steps | error | adaptive reaches it with |", "| --- | ---: | ---: | ---: |"]
    for picture, facts in found.items():
        lines += [f"| {picture} | {steps} | {row['error']:.3f} | {row['adaptive'] or 'more than 128'} evaluations |"
                  for steps, row in facts["uniform"].items()]
    return lines


def _zoo(found: Facts) -> list[str]:
    chosen = {n: f for n, f in found.items() if f.get("incremental")}
    timed = {n: f for n, f in chosen.items() if "ratio" in f}
    lines = ["## The zoo: incremental forwards against full ones", "",
             f"Occlusion, window 32, stride 16, on {len(found)} architectures of torchvision: on {len(chosen)} the cost estimate "
             f"chooses incremental forwards, timed on {len(timed)} of them against folded channels-last full forwards "
             f"(median of seven rounds)."]
    if timed:
        least = min(timed, key=lambda n: timed[n]["ratio"])
        lines[-1] += f" The least ratio is {ratio(timed[least]['ratio'])}, on {least}."
    lines += ["", "| network | choice | estimated | measured | windows |", "| --- | --- | ---: | ---: | ---: |"]
    for name in sorted(found):
        facts = found[name]
        choice = "incremental" if facts.get("incremental") else facts.get("reason", "full forwards")
        estimated = ratio(facts["estimated"]) if "estimated" in facts else ""
        measured = ratio(facts["ratio"]) if "ratio" in facts else "by the choice alone" if facts.get("incremental") else ""
        lines.append(f"| {name} | {choice} | {estimated} | {measured} | {facts.get('windows', '')} |")
    return lines
