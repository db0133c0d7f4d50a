"""The plot: for every work a panel of bars, one a network, on a logarithmic axis from 1×, as SVG text."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from .report import best, ratio, rows

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
INK, SECOND, LINE, FASTER, SLOWER = "#222", "#767676", "#e6e6e6", "#2069b4", "#cf2a34"
WIDTH, MARGIN, GAP = 960, 28, 32
NAME, VALUE = 88, 46  # room for a network's name, and for the number behind the longest bar
BAR, PITCH = 9, 15
NEXT = ("alpha_window", "twice_the_steps", "edited_region", "another_class")
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
Bar = tuple[str, float, bool]  # network, ratio, whether the maps are the same


class Axis:
    """A logarithmic axis over some ratios, with 1 on it, in panels of a width."""

    def __init__(self, ratios: Sequence[float], width: float):
        self.length = width - NAME - VALUE
        self.low = max(t for t in TICKS if t <= min(0.5, *ratios) or t == TICKS[0])
        self.high = min(t for t in TICKS if t >= max(2.0, *ratios) or t == TICKS[-1])

    def at(self, value: float) -> float:
        """Pixels from the panel's left edge."""
        share = math.log(max(self.low, min(self.high, value)) / self.low) / math.log(self.high / self.low)
        return NAME + share * self.length

    @property
    def ticks(self) -> list[float]:
        """The ticks that have room: every decade on a long axis."""
        inside = [t for t in TICKS if self.low <= t <= self.high]
        return inside if self.high / self.low <= 50 else [t for t in inside if math.log10(t).is_integer()]


def draw(cells: dict[str, dict[str, Any]]) -> str:
    """The plot of every comparison in the cells."""
    sections: dict[str, dict[str, list[Bar]]] = {
        "A map from the beginning, against the fastest peer": {}, "The next map, against the fastest peer": {},
        "Incremental forwards, against our own full forwards": {}}
    first, following, own = sections.values()
    for network, work, row in rows(cells):
        fastest = best(row)
        if fastest is not None:
            panels = own if work == "full_forwards" else following if row["row"] in NEXT else first
            bar = network, fastest[1]["ratio"], fastest[1].get("same", True)
            panels.setdefault(row["title"], []).append(bar)
    y, body = 30.0, []
    body.append(_text(MARGIN, y, "How many times faster", 17, INK, weight=600))
    body.append(_text(WIDTH - MARGIN, y, "logarithmic · hollow: the peer's map is another one", 11, SECOND, "end"))
    for title, panels in sections.items():
        if panels:
            y += 36
            body.append(_text(MARGIN, y, title, 13, INK, weight=600))
            body.append(f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y + 8}" y2="{y + 8}" stroke="{LINE}"/>')
            y = _section(body, panels, y + 30)
    height = round(y + 8)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'font-family="{FONT}" style="font-variant-numeric: tabular-nums">\n'
            f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#fff"/>\n' + "\n".join(body) + "\n</svg>\n")


def _section(body: list[str], panels: dict[str, list[Bar]], y: float) -> float:
    """Panels in rows of three (four of them in rows of two) on one axis; returns where the next section may start."""
    columns = 2 if len(panels) in (2, 4) else 3
    width = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns
    axis = Axis([value for bars in panels.values() for _, value, _ in bars], width)
    named = list(panels.items())
    for start in range(0, len(named), columns):
        line = named[start:start + columns]
        tall = max(len(bars) for _, bars in line)
        for column, (title, bars) in enumerate(line):
            x = MARGIN + column * (width + GAP)
            body.append(f'<g transform="translate({x:.1f} {y:.1f})">{_panel(title, bars, axis)}</g>')
        y += tall * PITCH + 54
    return y - 12


def _panel(title: str, bars: list[Bar], axis: Axis) -> str:
    parts, bottom, one = [_text(0, 0, title[0].upper() + title[1:], 12, INK)], 12 + len(bars) * PITCH, axis.at(1)
    for tick in axis.ticks:
        x = axis.at(tick)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="10" y2="{bottom}" stroke="{SECOND if tick == 1 else LINE}"/>')
        parts.append(_text(x, bottom + 12, f"{tick:g}×", 9, SECOND, "middle"))
    for number, (network, value, same) in enumerate(bars):
        y, end = 12 + number * PITCH, axis.at(value)
        left, width = min(one, end), max(abs(end - one), 1)
        colour = FASTER if value >= 1 else SLOWER
        fill = f'fill="{colour}"' if same else f'fill="#fff" stroke="{colour}"'
        parts.append(_text(NAME - 8, y + 10, network, 10, SECOND, "end"))
        parts.append(f'<rect x="{left:.1f}" y="{y + 2}" width="{width:.1f}" height="{BAR}" {fill}/>')
        parts.append(_text(max(one, end) + 5, y + 10, ratio(value), 10, INK))
    return "".join(parts)


def _text(x: float, y: float, words: str, size: int, colour: str, anchor: str = "start", weight: int = 400) -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{escape(words)}</text>')
