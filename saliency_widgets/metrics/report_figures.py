"""The figures of a report, as text for a page: SVG curves, bars and points, and pictures as PNG data URIs."""
from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from ..colormaps import table
from ..saliency_map import SaliencyMap

LEFT, TOP, RIGHT, BOTTOM = 40, 8, 8, 30  # what axes and their words take of a figure, in pixels
SHARP = 99.5                             # percentile of a map that has its full colour


@dataclass(frozen=True)
class Line:
    """A curve of a figure: points x, y, its name for the legend, a CSS class, and whether points are marked."""

    x: Sequence[float]
    y: Sequence[float]
    name: str
    style: str
    marks: bool = False


@dataclass(frozen=True)
class Band:
    """An area between two curves over x, with its name and a CSS class."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    name: str
    style: str


def png(picture: np.ndarray, side: int | None = None) -> str:
    """A picture uint8 `(H, W, 3)` as a data URI, its longer side at most `side` pixels."""
    image = Image.fromarray(picture)
    if side is not None and max(image.size) > side:
        scale = side / max(image.size)
        size = tuple(max(1, round(v * scale)) for v in image.size)
        image = image.resize(size, Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"


def overlay(m: SaliencyMap, picture: np.ndarray) -> np.ndarray:
    """A map over its picture in grey, coloured as strongly as it is large: uint8 `(H, W, 3)`."""
    heat = m.heatmap(size=picture.shape[:2], sign=m.default_sign).astype(np.float64)
    limit = float(np.percentile(np.abs(heat), SHARP)) or float(np.abs(heat).max()) or 1.0
    share = np.clip(heat / limit, -1, 1)
    signed = bool((heat < 0).any()) or (m.signed and m.default_sign == "both")
    colours = table("signed" if signed else "magma")
    index = np.rint((share + 1) * 127.5 if signed else share * 255).astype(np.uint8)
    grey = (0.35 * 128 + 0.65 * picture.mean(2, keepdims=True)).repeat(3, 2)
    weight = 0.85 * np.sqrt(np.abs(share))[..., None]
    return np.rint((1 - weight) * grey + weight * colours[index]).astype(np.uint8)


def outlined(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with a mask's outline, white beside black, so that it shows on anything: uint8 `(H, W, 3)`."""
    from scipy.ndimage import binary_dilation

    wide = max(1, round(max(mask.shape) / 224))
    rim, rim2 = binary_dilation(mask, iterations=wide) & ~mask, binary_dilation(mask, iterations=2 * wide)
    shown = picture.copy()
    shown[rim2 & ~mask & ~rim] = 0
    shown[rim] = 255
    return shown


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers from low to high, about so many."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = np.ceil(low / step - 1e-9) * step
    return [float(round(v, 12)) + 0.0 for v in np.arange(first, high + step * 1e-6, step)]


class Axes:
    """A figure's frame: data to pixels, with grid, ticks and the words of its axes."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], words: tuple[str, str], size: tuple[int, int]):
        self.x, self.y, self.words, self.size = x, y if y[1] > y[0] else (y[0] - 0.5, y[0] + 0.5), words, size

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a point."""
        width, height = self.size[0] - LEFT - RIGHT, self.size[1] - TOP - BOTTOM
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        return round(LEFT + across * width, 1), round(TOP + (1 - (y - self.y[0]) / (self.y[1] - self.y[0])) * height, 1)

    def frame(self, names: Sequence[tuple[float, str]] | None = None) -> str:
        """Grid, ticks and words; `names` replace the numbers of the x axis."""
        parts = []
        for value in ticks(*self.y):
            (left, y), (right, _) = self.at(self.x[0], value), self.at(self.x[1], value)
            zero = ' class="zero"' if value == 0 and self.y[0] < 0 else ' class="grid"'
            parts.append(f'<line{zero} x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
                         f'<text class="tick end" x="{left - 5}" y="{y + 3.5}">{_number(value)}</text>')
        bottom = self.size[1] - BOTTOM
        for value, name in names if names is not None else [(v, _number(v)) for v in ticks(*self.x, 5)]:
            parts.append(f'<text class="tick mid" x="{self.at(value, self.y[0])[0]}" y="{bottom + 12}">{escape(name)}</text>')
        middle = LEFT + (self.size[0] - LEFT - RIGHT) / 2
        parts.append(f'<text class="axis mid" x="{middle}" y="{self.size[1] - 3}">{escape(self.words[0])}</text>')
        return "".join(parts)


def chart(lines: Sequence[Line], words: tuple[str, str], label: str, *, bands: Sequence[Band] = (),
          y: tuple[float, float] | None = None, names: Sequence[tuple[float, str]] | None = None,
          legend: bool = True, size: tuple[int, int] = (320, 180)) -> str:
    """Curves over one another as an SVG with a legend below; `label` says to a reader without eyes what it shows."""
    xs = [v for line in lines for v in line.x]
    ys = [v for line in lines for v in line.y] + [v for band in bands for v in (*band.low, *band.high)]
    axes = Axes((min(xs), max(xs)), y or (min(0.0, *ys), max(ys)), words, size)
    parts = [axes.frame(names)]
    for band in bands:
        outline = [axes.at(*p) for p in zip(band.x, band.high)] + [axes.at(*p) for p in zip(reversed(band.x), reversed(band.low))]
        parts.append(f'<polygon class="band {band.style}" points="{_points(outline)}">{_title(band.name)}</polygon>')
    for line in lines:
        points = [axes.at(*p) for p in zip(line.x, line.y)]
        parts.append(f'<polyline class="line {line.style}" points="{_points(points)}">{_title(line.name)}</polyline>')
        if line.marks:
            parts += [f'<circle class="mark {line.style}" cx="{a}" cy="{b}" r="2.5">'
                      f'{_title(f"{line.name}: {_number(v)} at {_number(u)}")}</circle>'
                      for (a, b), u, v in zip(points, line.x, line.y)]
    svg = _svg(parts, size, f"{label}; {words[1]} over {words[0]}")
    unit = f'<div class="unit">{escape(words[1])}</div>'
    return unit + svg + (legend_of([(each.name, each.style) for each in (*lines, *bands)]) if legend else "")


def scatter(x: Sequence[float], y: Sequence[float], words: tuple[str, str], label: str,
            size: tuple[int, int] = (320, 220)) -> str:
    """Points with the diagonal on which both are equal."""
    span = min(*x, *y, 0.0), max(*x, *y, 0.0)
    across, up = (min(*x, 0.0), max(*x, 0.0)), (min(*y, 0.0), max(*y, 0.0))
    axes = Axes(across, up, words, size)
    low, high = max(across[0], up[0]), min(across[1], up[1])
    (x1, y1), (x2, y2) = axes.at(low, low), axes.at(high, high)
    parts = [axes.frame()]
    if high > low and span[1] > span[0]:
        parts.append(f'<line class="diagonal" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"><title>estimate = drop</title></line>')
    parts += [f'<circle class="point" cx="{a}" cy="{b}" r="2"/>' for a, b in (axes.at(*p) for p in zip(x, y))]
    return f'<div class="unit">{escape(words[1])}</div>' + _svg(parts, size, label)


def legend_of(entries: Sequence[tuple[str, str]]) -> str:
    """Names beside the strokes that they have in a chart."""
    return '<div class="legend">' + "".join(
        f'<span><svg width="18" height="8" aria-hidden="true"><line class="line {style}" x1="1" x2="17" y1="4" y2="4"/></svg>'
        f'{escape(name)}</span>' for name, style in entries) + "</div>"


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>"


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{a},{b}" for a, b in points)


def _svg(parts: Sequence[str], size: tuple[int, int], label: str) -> str:
    return (f'<svg class="chart" viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{escape(label, quote=True)}">'
            f'{"".join(parts)}</svg>')
