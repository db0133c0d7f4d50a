"""The sections of a report, each of one question, as HTML; empty where nothing was measured for it."""
from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from .changing import CHANGES
from .measure import Measure
from .report_figures import Band, Line, chart, legend_of, overlay, png, scatter

if TYPE_CHECKING:
    from .report import Findings, Judged

NONE = "—"
COLOURS = 6
THUMBNAIL = 120


def plain(value: float, digits: int = 3) -> str:
    """A number as it is read: few digits, a real minus."""
    return f"{value:.{digits}g}".replace("-", "−").replace("e−0", "e−").replace("e+0", "e")


def section(title: str, how: str, body: str) -> str:
    """A heading, a sentence on how to read it (HTML), and the body."""
    return f'<h2>{escape(title)}</h2>{f"<p class=how>{how}</p>" if how else ""}{body}'


def figure(source: str, caption: str, words: str = "") -> str:
    """A picture with its caption (HTML) and the words for who does not see it."""
    return f'<figure><img alt="{escape(words, quote=True)}" src="{source}"><figcaption>{caption}</figcaption></figure>'


def strip(pictures: list[np.ndarray], captions: list[str]) -> str:
    """Small pictures in one row."""
    figures = (figure(png(p, THUMBNAIL), escape(caption), caption) for p, caption in zip(pictures, captions))
    return f'<div class="strip">{"".join(figures)}</div>'


def _style(number: int) -> str:
    return f"c{number % COLOURS}" + (" again" if number >= COLOURS else "")


def _key(tested: list[tuple[int, Judged]]) -> str:
    return legend_of([(j.method.title, _style(n)) for n, j in tested])


def curves(found: Findings) -> str:
    """Deletion and insertion, a chart each."""
    cards = [f'<div><h3>{escape(j.method.title)}, {name}</h3>{_curve(j.measures[name], number)}</div>'
             for number, j in enumerate(found.judged) for name in ("deletion", "insertion") if name in j.measures]
    if not cards:
        return ""
    return section("Does the score follow the map?",
                   "Pixels go, or come, in the order of the map, hottest first. Grey: random orders, their range and mean; "
                   "dotted: the picture's own edges. A curve says something for the map where it is away from these.",
                   f'<div class="grid">{"".join(cards)}</div>')


def _curve(measure: Measure, number: int) -> str:
    d = measure.details
    share, lines, bands = [100 * f for f in d["fractions"]], [], []
    if len(d["random_scores"]):
        rows = d["random_scores"]
        bands.append(Band(share, rows.min(0).tolist(), rows.max(0).tolist(), "random orders", "band"))
        lines.append(Line(share, rows.mean(0).tolist(), "their mean", "random"))
    if d["edges_scores"] is not None:
        lines.append(Line(share, d["edges_scores"].tolist(), "edges", "edges"))
    lines.append(Line(share, d["scores"].tolist(), "the map", _style(number)))
    words = f"% of the pixels replaced by {d['fill']}" if measure.metric == "deletion" else f"% of the pixels back on {d['fill']}"
    return chart(lines, (words, measure.unit), measure.metric, bands=bands)


def sanity(found: Findings) -> str:
    """The sanity check: four similarities over the layers, and the maps."""
    tested = [(n, j) for n, j in enumerate(found.judged) if "sanity_check" in j.measures]
    if not tested:
        return ""
    layers = list(tested[0][1].measures["sanity_check"].details["layers"])
    at = list(range(len(layers) + 1))
    names, charts = [(i, "none" if i == 0 else str(i)) for i in at], ""
    for key, words in (("signed", "signed rank correlation"), ("absolute", "rank correlation of sizes"),
                       ("ssim", "SSIM of sizes"), ("hog", "HOG similarity of sizes")):
        lines = [Line(at, [1.0, *j.measures["sanity_check"].details[key]], j.method.title, _style(n), marks=True)
                 for n, j in tested]
        low = min(0.0, *(v for line in lines for v in line.y))
        drawn = chart(lines, ("random layers, from the top", words), words, y=(low, 1.0), names=names, legend=False,
                      size=(220, 150))
        charts += f"<div>{drawn}</div>"
    strips = ""
    captions = ["as trained", *(f"{i + 1}: {name}" for i, name in enumerate(layers))]
    for _, j in tested:
        pictures = [overlay(m, found.session.picture.shown) for m in j.measures["sanity_check"].details["maps"]]
        strips += f"<h3>{escape(j.method.title)}</h3>{strip(pictures, captions)}"
    cascading = tested[0][1].measures["sanity_check"].details["order"] == "cascading"
    how = "everything from the top down to a layer" if cascading else "one layer at a time"
    return section("Does the map tell of the network?",
                   f"Weights are drawn anew on a copy, {how}. A map that looks the same then shows the picture, not what was "
                   f"learned.",
                   f'{_key(tested)}<div class="grid four">{charts}</div><div class="after">{strips}</div>')


def invariance(found: Findings) -> str:
    """What turning, moving, blurring and brightening do to answer and map."""
    tested = [(n, j) for n, j in enumerate(found.judged) if j.changes]
    if not tested:
        return ""
    of_change = ((change, [(n, j) for n, j in tested if change in j.changes]) for change in CHANGES)
    body = "".join(_changed(found, change, those) for change, those in of_change if those)
    return section("Does it hold still?", "The picture is turned, moved, blurred and brightened; its map is brought back and "
                                          "compared with the map of the unchanged picture.", _key(tested) + body)


def _changed(found: Findings, change: str, tested: list[tuple[int, Judged]]) -> str:
    first = tested[0][1].changes[change]
    d, words = first.details, f"{change}, {first.unit}"
    chances, unit = (d["scores"], "score") if d["probabilities"] is None else (d["probabilities"], "probability")
    amounts = d["amounts"].tolist()
    score = chart([Line(amounts, chances.tolist(), unit, "plain", marks=True)], (words, unit), f"{unit} of the changed picture",
                  legend=False)
    lines = [Line(amounts, j.changes[change].details["correlations"].tolist(), j.method.title, _style(n), marks=True)
             for n, j in tested]
    low = min(0.0, *(v for line in lines for v in line.y))
    maps = chart(lines, (words, "rank correlation of the maps"), "rank correlation of the maps", y=(low, 1.0), legend=False)
    ways = ", both ways," if CHANGES[change].both else ""
    wrong = "" if d["errors"] is None else f" At random amounts below that{ways} it is wrong in {100 * d['errors']:.0f} %."
    holds = ", ".join(f"{escape(j.method.title)} {j.changes[change].value:g}" for _, j in tested)
    captions = [f"{a:g}: {found.session.label(c)}" for a, c in zip(amounts, d["classes"].tolist())]
    return (f'<h3 class="after">{change}</h3><p class="how">Rule: {escape(d["rule"])}.{wrong} Largest change, in '
            f'{escape(first.unit)}, at which class and map hold: {holds}.</p>{strip(d["pictures"], captions)}'
            f'<div class="grid"><div>{score}</div><div>{maps}</div></div>')


def agreement(found: Findings) -> str:
    """The matrix of rank correlations."""
    measure = found.together.get("agreement")
    if measure is None:
        return ""
    names, signed, absolute = (measure.details[k] for k in ("names", "signed", "absolute"))
    rows = ""
    for i, name in enumerate(names):
        cells = (_agreed(signed[i, k], absolute[i, k]) if i != k else "<td></td>" for k in range(len(names)))
        rows += f'<tr><th>{escape(name)}</th>{"".join(cells)}</tr>'
    heads = "".join(f"<th>{escape(name)}</th>" for name in names)
    return section("Do they agree?", f"Rank correlation over the pixels: of the values as they are shown and, below, of their "
                                     f"sizes. The mean over pairs is {plain(measure.value, 2)}.",
                   f'<div class="scroll"><table class="matrix"><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody>'
                   f'</table></div>')


def _agreed(signed: float, absolute: float) -> str:
    if not np.isfinite(signed):
        return f'<td class="lack">{NONE}</td>'
    wash = f"color-mix(in srgb, var(--c{0 if signed >= 0 else 1}) {round(55 * abs(signed))}%, var(--bg))"
    return f'<td style="background:{wash}">{f"{round(signed, 2) + 0.0:+.2f}".replace("-", "−")}<small>{absolute:.2f}</small></td>'


def linear(found: Findings) -> str:
    """The linear estimate's points."""
    measure = found.together.get("linear_estimate")
    if measure is None:
        return ""
    d = measure.details
    drawn = scatter(d["estimates"].tolist(), d["drops"].tolist(), (f"gradient · change, {d['unit']}", f"exact drop, {d['unit']}"),
                    "estimated against exact drops")
    error = "" if d["error"] is None else f" The mean error is {100 * d['error']:.0f} % of a drop's mean size."
    return section("How far does the gradient go?",
                   f"Each of {len(d['drops'])} regions replaced by {escape(d['fill'])}: what the gradient at the picture "
                   f"foretells, against what happens. The correlation is {plain(measure.value, 2)}.{error} Dashed: both equal.",
                   f'<div class="grid"><div>{drawn}</div></div>')
