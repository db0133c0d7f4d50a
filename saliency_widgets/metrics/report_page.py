"""A report's page: its findings as HTML that asks nothing of the network."""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from . import report_sections as S
from .measure import Measure, in_percent
from .report import Findings, Judged
from .report_figures import outlined, overlay, png

STYLE = Path(__file__).with_name("report.css")
# No scripts, no fonts, no pictures but its own.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
BETTER = {"high": "higher is better ↑", "low": "lower is better ↓", "zero": "nearer to 0 is better"}
UNITS = {"share of the score difference": "of the difference", "share of the map's norm": "of the map"}


@dataclass(frozen=True)
class Column:
    """A metric in the table: its words, how its value is written, and which way is good ("high", "low" or "zero")."""

    title: str
    write: Callable[[Measure], str]
    good: str
    how: str
    paper: str


def _percent(value: float) -> str:
    return f"{in_percent(value, '+')} %".replace("-", "−").replace("+0 %", "0 %")


COLUMNS = {
    "completeness": Column(
        "Residual", lambda m: _percent(m.value), "zero",
        "how far the map's sum misses the score difference that it says it explains", "arXiv 1703.01365"),
    "deletion": Column(
        "Deletion", lambda m: S.plain(m.value), "low",
        "area under the curve while the map's hottest pixels go: small where they mattered", "arXiv 1806.07421"),
    "insertion": Column(
        "Insertion", lambda m: S.plain(m.value), "high",
        "area under the curve while they come back: large where they suffice", "arXiv 1806.07421"),
    "road": Column(
        "ROAD", lambda m: S.plain(m.value), "high",
        "half of what the score loses more without the most important pixels than without the least important ones, which are "
        "imputed from what surrounds them", "arXiv 2202.00449"),
    "infidelity": Column(
        "Infidelity", lambda m: S.plain(m.value), "low",
        "mean squared error of what the map foretells of changed pictures; maps of one kind of values and change compare",
        "arXiv 1901.09392"),
    "sensitivity_max": Column(
        "Max-sensitivity", lambda m: S.plain(m.value), "low",
        "how far the map moves, as a share of itself, when the picture is shaken by what nobody sees", "arXiv 1901.09392"),
    "pointing_game": Column(
        "Pointing game", lambda m: "hit" if m.value else "miss", "high",
        "whether the map's hottest pixel lies on the object, give or take the tolerance", "arXiv 1608.00507"),
    "energy": Column(
        "Energy inside", lambda m: f"{100 * m.value:.0f} %", "high",
        "the share of the map's positive mass on the object; an even map has the object's share of the picture",
        "arXiv 1910.01279"),
    "sanity_check": Column(
        "Sanity check", lambda m: S.plain(m.value, 2), "low",
        "size of the rank correlation with the maps of the network with random upper layers: near 1 where the map does not tell "
        "of what was learned; any value well below passes", "arXiv 1810.03292")}
RANKED = tuple(name for name in COLUMNS if name != "sanity_check")  # of two that pass, neither is better


def page(found: Findings) -> str:
    """The findings as an HTML page."""
    session = found.session
    label = "the score" if found.target is None else session.label(found.target)
    parts = [_head(found, label), _maps(found), _table(found), _warnings(found), S.curves(found), S.sanity(found),
             S.invariance(found), S.agreement(found), S.linear(found), _reading(found)]
    title = f"Can these maps be trusted? {escape(label)}, {escape(session.name)}"
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{title}</title><style>{STYLE.read_text(encoding="utf-8")}</style></head><body><main>{"".join(parts)}</main>'
            f'<footer>saliency-widgets, {time.strftime("%Y-%m-%d")}</footer></body></html>\n')


def _head(found: Findings, label: str) -> str:
    session = found.session
    chance = "" if found.target is None else f", probability {session.probabilities[found.target]:.2f}"
    return (f'<h1>Can these maps be trusted?</h1><p class="lead"><b>{escape(label)}</b>{chance} · explained: its '
            f'{escape(session.score.replace("_", " "))} · model <b>{escape(session.name)}</b> · '
            f'{escape(session.picture.description)}</p>')


def _maps(found: Findings) -> str:
    shown, words = found.session.picture.shown, "The picture"
    picture = shown
    if found.mask is not None:
        picture, words = outlined(shown, found.mask), "The picture, its object outlined"
    figures = [S.figure(png(picture, 360), f"<b>{words}</b>", words)]
    for judged in found.judged:
        title = escape(judged.method.title)
        said = "".join(f"{k}={v}, " for k, v in judged.params.items() if isinstance(v, (int, float, str, tuple, bool)))
        figures.append(S.figure(png(overlay(judged.map, shown), 360),
                                f"<b>{title}</b><br>{escape(said)}in {escape(judged.map.unit)}", f"map of {judged.method.title}"))
    return (f'<div class="maps">{"".join(figures)}</div><p class="how below">Colours: red raises the score, blue lowers it; '
            f'maps of one sign go from dark to light.</p>')


def _table(found: Findings) -> str:
    names = [name for name in found.metrics if name in COLUMNS]
    if not names:
        return ""
    heads = "".join(_heading(found, name) for name in names)
    rows = "".join(f'<tr><th>{escape(j.method.title)}</th>{"".join(_cell(found, j, name) for name in names)}</tr>'
                   for j in found.judged)
    how = (f"The best of each column is bold where there are several. {S.NONE}: the method cannot have it; the reason, and what "
           f"each number means, is at the end.")
    return S.section("In numbers", how, f'<div class="scroll"><table><thead><tr><th>Method</th>{heads}</tr></thead>'
                                        f'<tbody>{rows}</tbody></table></div>')


def _heading(found: Findings, name: str) -> str:
    units = {j.measures[name].unit for j in found.judged if name in j.measures}
    unit = next(iter(units)) if len(units) == 1 and name not in ("energy", "pointing_game") else ""
    small = ", ".join(word for word in (UNITS.get(unit, unit), BETTER[COLUMNS[name].good]) if word)
    return f"<th>{COLUMNS[name].title}<small>{escape(small)}</small></th>"


def _cell(found: Findings, judged: Judged, name: str) -> str:
    measure = judged.measures.get(name)
    if measure is None:
        return f'<td class="lack" title="{escape(judged.lack.get(name, "not measured"), quote=True)}">{S.NONE}</td>'
    small = _beside(name, measure)
    best = ' class="best"' if name in RANKED and _best(found, name, measure) else ""
    return f"<td{best}>{COLUMNS[name].write(measure)}{f'<small>{small}</small>' if small else ''}</td>"


def _beside(name: str, measure: Measure) -> str:
    """What stands in small below a value: what to compare it with."""
    d = measure.details
    if name in ("deletion", "insertion") and d["random_area"] is not None:
        return f"random {S.plain(d['random_area'])}"
    if name == "completeness" and d["steps"]:
        share = f"{100 * d['tolerance']:g} %"
        return f"{d['needed']} steps for {share}" if d["needed"] else f"over {share} with {d['steps'][-1]} steps"
    if name == "sanity_check":
        good = d["passes"]
        return f'<span class="said {"good" if good else "bad"}">{"changes" if good else "hardly changes"}</span>'
    if name == "pointing_game":
        return f"chance {100 * d['chance']:.0f} %"
    if name == "energy":
        return f"area {100 * d['area']:.0f} %"
    error = "" if measure.standard_error is None else f"± {S.plain(measure.standard_error, 2)}"
    return f"{error}, {d['perturbation']}" if name == "infidelity" else error


def _best(found: Findings, name: str, measure: Measure) -> bool:
    alike = [j.measures[name] for j in found.judged if name in j.measures]
    if name == "infidelity":  # other perturbations are other questions
        alike = [m for m in alike if (m.unit, m.details["perturbation"]) == (measure.unit, measure.details["perturbation"])]
    key = {"high": lambda v: -v, "low": lambda v: v, "zero": abs}[COLUMNS[name].good]
    values = [key(m.value) for m in alike]
    return len(values) > 1 and min(values) < max(values) and key(measure.value) == min(values)


def _warnings(found: Findings) -> str:
    said = []
    for judged in found.judged:
        lines = [judged.map.caution] if judged.map.caution else []
        lines += [f"{COLUMNS[name].title}: {w}" for name, m in judged.measures.items() for w in m.warnings]
        said += [f"<li><b>{escape(judged.method.title)}</b> {escape(line)}</li>" for line in dict.fromkeys(lines)]
    said += [f"<li><b>{escape(name.replace('_', ' '))}</b> {escape(why)}</li>" for name, why in found.lack.items()]
    return f'<ul class="warnings">{"".join(said)}</ul>' if said else ""


def _reading(found: Findings) -> str:
    lines = [f"<li><b>{COLUMNS[n].title}</b>: {escape(COLUMNS[n].how)} ({COLUMNS[n].paper}).</li>"
             for n in found.metrics if n in COLUMNS]
    titles = {n: column.title.lower() for n, column in COLUMNS.items()}
    lacking = [f"<li><b>{escape(j.method.title)}</b> has no {escape(titles.get(n, n))}: {escape(why)}.</li>"
               for j in found.judged for n, why in j.lack.items()]
    if not lines and not lacking:
        return ""
    text = f'<ul class="how">{"".join(lines)}</ul>' if lines else ""
    if lacking:
        text += f'<h3>What could not be measured</h3><ul class="how">{"".join(lacking)}</ul>'
    return S.section("What the numbers mean", "", text)
