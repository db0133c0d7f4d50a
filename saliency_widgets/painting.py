"""The stage in NumPy: photograph, grey and heat layers painted as the browser paints them, for pictures in files."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .colormaps import table
from .hatching import STAGE, Off, bordered, hatched, spread

if TYPE_CHECKING:
    from .widgets.layers import HeatLayer

DIMMED = 0.35  # of the light, where the model does not look
BEHIND = 0x77 / 255  # the ground of the stage
# PIL's own font has no sign for these.
PLAIN = {"−": "-", "–": "-", "α": "alpha", "²": "^2", "×": "x", "≈": "~", "→": "to", "“": '"', "”": '"'}


@dataclass(frozen=True)
class Looks:
    """How the photograph is shown: opacity, and how much of its colour stays (0 to 1)."""

    opacity: float = 1.0
    saturation: float = 1.0


def position(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Place along the scale, 0 to 1; where it has both signs the middle is zero."""
    low, high = limits
    if low < 0 < high and low != -high:
        return np.where(values < 0, 0.5 - 0.5 * np.clip(values / low, 0, 1), 0.5 + 0.5 * np.clip(values / high, 0, 1))
    return np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)


def alphas(values: np.ndarray, limits: tuple[float, float], signed: bool, kind: str, threshold: float) -> np.ndarray:
    """Alpha of every value at opacity 1: nothing below `threshold` of the limit, then a power of the magnitude."""
    if signed:
        low, high = limits
        end = np.where(values < 0, -low, high)
        share = np.clip(np.abs(values) / np.where(end > 0, end, np.inf), 0, 1)
    else:
        share = position(values, limits)
    clear = ~(share > 0) | (share < threshold)
    if kind == "region":
        alpha = share**0.8
    else:
        alpha = np.maximum((share - threshold) / (1 - threshold), 0) ** 0.7 if threshold < 1 else np.ones_like(share)
    return np.where(clear, 0.0, alpha)


def shown_values(layer: "HeatLayer") -> np.ndarray:
    """The layer's values (h, w) after the handling of their sign: NaN where it hides them."""
    values = layer.decode()
    if layer.sign == "absolute":
        return np.abs(values)
    return values if layer.sign == "both" else np.where(values < 0 if layer.sign == "positive" else values > 0, np.nan, values)


def cut_of(layer: "HeatLayer", values: np.ndarray) -> float | None:
    """The smallest size that shows where the mass decides, else None."""
    from .widgets.layers import mass_cut

    return None if layer.mass is None else mass_cut(values, layer.mass)


def heat_rgba(layer: "HeatLayer") -> np.ndarray:
    """The layer's map alone at its own resolution and opacity 1: premultiplied (h, w, 4), 0 to 1."""
    values = shown_values(layer)
    known, cut = np.nan_to_num(values, nan=0.0), cut_of(layer, values)
    threshold = layer.threshold if cut is None else 0.0
    clear = np.isnan(values) if cut is None else np.isnan(values) | (np.abs(known) < cut)
    alpha = np.where(clear, 0.0, alphas(known, layer.limits, layer.signed, layer.kind, threshold))
    colour = table(layer.cmap)[np.rint(255 * position(known, layer.limits)).astype(int)] / 255
    return np.concatenate([colour * alpha[..., None], alpha[..., None]], 2)


def resized(image: np.ndarray, size: tuple[int, int], how: Image.Resampling = Image.Resampling.BILINEAR) -> np.ndarray:
    """An image (h, w, channels) of floats at `size` (H, W)."""
    if image.shape[:2] == tuple(size):
        return image
    planes = [Image.fromarray(np.ascontiguousarray(image[..., c], dtype=np.float32)).resize(size[::-1], how)
              for c in range(image.shape[2])]
    return np.stack([np.asarray(plane, np.float64) for plane in planes], 2)


def faded(photograph: np.ndarray, saturation: float, brightness: float) -> np.ndarray:
    """A copy of the photograph (0 to 1) with less colour and light."""
    grey = photograph @ np.array([0.213, 0.715, 0.072])
    return np.clip(brightness * (grey[..., None] + saturation * (photograph - grey[..., None])), 0, 1)


MIXES = {
    "hard-light": lambda ground, source: np.where(source <= 0.5, 2 * ground * source, 1 - 2 * (1 - ground) * (1 - source)),
    "multiply": lambda ground, source: ground * source,
    "screen": lambda ground, source: ground + source - ground * source,
}


def over(base: np.ndarray, top: np.ndarray, blend: str = "normal") -> np.ndarray:
    """Lay `top` over `base`, both premultiplied RGBA, mixed as `blend` says."""
    alpha, under = top[..., 3:], base[..., 3:]
    out = top + base * (1 - alpha)
    if blend in MIXES:
        source = np.divide(top[..., :3], alpha, out=np.zeros_like(top[..., :3]), where=alpha > 0)
        ground = np.divide(base[..., :3], under, out=np.zeros_like(base[..., :3]), where=under > 0)
        mixed = MIXES[blend](ground, source)
        out[..., :3] = top[..., :3] * (1 - under) + base[..., :3] * (1 - alpha) + alpha * under * mixed
    return out


def compose(photograph: np.ndarray, layers: Sequence["HeatLayer"], looks: Looks, size: tuple[int, int],
            crop: Sequence[float] = (), off: Off | None = None) -> Image.Image:
    """Paint uint8 `photograph` (H, W, 3) and the layers, uppermost by their `order`, at `size` (H, W), and what is `off`.

    What lies outside of a `crop` (top, left, bottom, right) in pixels of the photograph is dimmed, and the crop outlined.
    """
    photo = photograph.astype(np.float64) / 255
    native = photo.shape[:2]
    seen = faded(photo, looks.saturation, 1.0) if looks.saturation < 1 else photo
    base = np.concatenate([np.clip(resized(seen, size, Image.Resampling.BICUBIC), 0, 1), np.ones((*size, 1))], 2) * looks.opacity
    lowest_first = sorted(layers, key=lambda layer: -layer.order)
    fills = [layer for layer in lowest_first if not layer.contour]
    if looks.opacity > 0 and looks.saturation > 0.4:
        grey = faded(photo, 0.1, 0.8)
        for layer in fills:
            if layer.kind != "region":  # under regions the photograph keeps its colours
                mute = resized(heat_rgba(layer), native)[..., 3:]
                strength = min(1.0, layer.opacity * (1 if layer.signed else 1.6)) * looks.opacity
                base = over(base, resized(np.concatenate([grey, np.ones((*native, 1))], 2) * mute * strength, size))
    for layer in fills:
        how = Image.Resampling.NEAREST if layer.kind == "region" else Image.Resampling.BILINEAR
        blend = layer.blend if layer.blend != "auto" else "normal" if layer.signed else "hard-light"
        base = over(base, resized(heat_rgba(layer), size, how) * layer.opacity, blend)
    base = base[..., :3] + BEHIND * (1 - base[..., 3:])
    for layer in lowest_first:
        if layer.contour:
            base = outlined(base, layer)
    if off is not None:
        base = np.where(spread(off.mask, size)[..., None], spread(off.fill, size) / 255, base)
    cut_up = next((layer for layer in layers if layer.kind == "region" and layer.regions), None)
    if cut_up is not None:
        base = bordered(base, np.frombuffer(cut_up.regions["data"], "<u2").reshape(cut_up.regions["shape"]))
    if off is not None:
        base = hatched(base, off.mask)
    if len(crop):
        base = cropped(base, [edge * size[i % 2] / native[i % 2] for i, edge in enumerate(crop)])
    return Image.fromarray(np.rint(np.clip(base, 0, 1) * 255).astype(np.uint8))


def cropped(base: np.ndarray, crop: Sequence[float]) -> np.ndarray:
    """Dim an opaque picture (H, W, 3) outside of a crop (top, left, bottom, right) in its pixels, and outline the crop."""
    height, width = base.shape[:2]
    top, left, bottom, right = (round(edge) for edge in crop)
    inside = np.zeros((height, width, 1), bool)
    inside[top:bottom, left:right] = True
    base = np.where(inside, base, base * (1 - DIMMED))
    for colour, thick, strength in ((0.0, 3, 0.45), (1.0, 1.25, 1.0)):
        mask, half = Image.new("L", (width, height)), max(1, round(thick * width / STAGE)) / 2
        for x0, y0, x1, y1 in ((left, top, right, top), (left, bottom, right, bottom), (left, top, left, bottom),
                               (right, top, right, bottom)):
            ImageDraw.Draw(mask).rectangle((x0 - half, y0 - half, x1 + half - 1, y1 + half - 1), fill=255)
        alpha = np.asarray(mask, float)[..., None] / 255 * strength
        base = base * (1 - alpha) + colour * alpha
    return base


def crossings(values: np.ndarray, level: float) -> np.ndarray:
    """Marching squares: segments (n, 4) x0 y0 x1 y1 in map pixels where the map passes `level`."""
    v = values - level
    a, b, c, d = v[:-1, :-1], v[:-1, 1:], v[1:, 1:], v[1:, :-1]
    kind = (a > 0) + 2 * (b > 0) + 4 * (c > 0) + 8 * (d > 0)
    rows, columns = np.mgrid[: a.shape[0], : a.shape[1]] + 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        sides = {"top": (columns + a / (a - b), rows), "right": (columns + 1, rows + b / (b - c)),
                 "bottom": (columns + d / (d - c), rows + 1), "left": (columns, rows + a / (a - d))}
    pairs = {("left", "top"): (1, 14, 5), ("top", "right"): (2, 13, 10), ("right", "bottom"): (4, 11, 5),
             ("left", "bottom"): (8, 7, 10), ("left", "right"): (3, 12), ("top", "bottom"): (6, 9)}
    found = []
    for (one, other), kinds in pairs.items():
        here = np.isin(kind, kinds)
        found.append(np.stack([sides[one][0][here], sides[one][1][here], sides[other][0][here], sides[other][1][here]], 1))
    return np.concatenate(found)


def outlined(base: np.ndarray, layer: "HeatLayer") -> np.ndarray:
    """Draw lines at half of the layer's limits, or round the top of its mass, over an opaque picture (H, W, 3)."""
    values, fine = np.nan_to_num(layer.decode()), 3  # drawn larger and shrunk: PIL's lines have hard edges
    cut, sign = cut_of(layer, shown_values(layer)), layer.sign
    height, width = base.shape[:2]
    low, high = layer.limits
    lines = [np.zeros((0, 4))]
    if sign != "negative":
        lines.append(crossings(np.abs(values) if sign == "absolute" else values, high / 2 if cut is None else cut))
    if layer.signed and sign in ("both", "negative"):
        lines.append(crossings(-values, -low / 2 if cut is None else cut))
    scale = np.array([fine * width / values.shape[1], fine * height / values.shape[0]] * 2)
    px = fine * width / STAGE
    for colour, thick, strength in ((0.0, 2.75, 0.45), (1.0, 1.25, 1.0)):
        mask = Image.new("L", (fine * width, fine * height))
        draw, w = ImageDraw.Draw(mask), max(1, round(thick * px))
        for x0, y0, x1, y1 in np.concatenate(lines) * scale:
            draw.line((x0, y0, x1, y1), fill=255, width=w)
            draw.ellipse((x1 - w / 2, y1 - w / 2, x1 + w / 2 - 1, y1 + w / 2 - 1), fill=255)
        alpha = np.asarray(mask.resize((width, height), Image.Resampling.BOX), float)[..., None] / 255 * strength * layer.opacity
        base = base * (1 - alpha) + colour * alpha
    return base


# ---- the strip below


@cache
def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)


def written(text: str) -> str:
    """A text in signs that the font has."""
    return "".join(PLAIN.get(sign, sign) for sign in text)


def cut(text: str, room: float, size: int) -> str:
    """A text that fits in `room` pixels."""
    if font(size).getlength(text) <= room:
        return text
    while text and font(size).getlength(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"


def number(value: float, unit: str) -> str:
    return "0" if value == 0 else f"{value:+.3g} {unit}" if unit != "of max" else f"{value:.3g}, the maximum"


def ramp(layer: "HeatLayer", width: int, height: int) -> Image.Image:
    """The scale as the legend shows it: clear where a layer is clear."""
    place = np.linspace(0, 1, width)
    alpha = np.abs(2 * place - 1) ** 0.45 if layer.signed else place**0.6
    colour = table(layer.cmap)[np.rint(255 * place).astype(int)] * alpha[:, None] + 255 * (1 - alpha[:, None])
    return Image.fromarray(np.rint(colour).astype(np.uint8)[None].repeat(height, 0))


def legend_strip(stage: Image.Image, layers: Sequence[tuple["HeatLayer", str, str]], model: str) -> Image.Image:
    """The painted stage with a legend below: per layer its name, class, parameters, scale, limits and unit."""
    k = max(1.0, stage.width / 448)  # everything grows with the picture
    margin, big, small = round(12 * k), round(11 * k), round(9 * k)
    row = round(52 * k)
    sheet = Image.new("RGB", (stage.width, stage.height + row * max(1, len(layers)) + margin // 2), "white")
    sheet.paste(stage, (0, 0))
    draw, y, room = ImageDraw.Draw(sheet), stage.height + margin // 2, stage.width - 2 * margin
    ink, ink2 = (33, 33, 33), (117, 117, 117)
    if not layers:
        draw.text((margin, y + round(8 * k)), written(f"{model} · no layer is shown"), ink2, font(small))
    for layer, made, label in sorted(layers, key=lambda entry: entry[0].order):
        name = written(layer.name if layer.pinned else f"{layer.name} · {label}")
        line = " (contour)" if layer.contour else ""
        draw.text((margin, y + round(4 * k)), cut(name + line, room, big), ink, font(big))
        left = font(big).getlength(name + line) + round(10 * k)
        if left < room * 0.8:
            text = cut(written(f"{model} · {made}" if made else model), room - left, small)
            draw.text((margin + room, y + round(4 * k) + big - small), text, ink2, font(small), anchor="ra")
        top = y + round(22 * k)
        sheet.paste(ramp(layer, room, round(7 * k)), (margin, top))
        draw.rectangle((margin, top, margin + room - 1, top + round(7 * k)), outline=(208, 208, 208))
        low, high = layer.limits
        up, down = (*layer.words, "", "")[:2]
        if layer.signed and layer.sign != "both":
            up, down = {"positive": (up, "hidden"), "negative": ("hidden", down)}.get(layer.sign, ("size, whatever the sign", ""))
        half = room / 2 - 14 * k if layer.signed else room - 40 * k
        lowest = number(low, "").strip()
        ends = [cut(written(text.strip()), half, small)
                for text in (f"{lowest}  {down}" if layer.signed else lowest, f"{up}  {number(high, layer.unit)}")]
        below = top + round(10 * k)
        draw.text((margin, below), ends[0], ink2, font(small))
        draw.text((margin + room, below), ends[1], ink2, font(small), anchor="ra")
        if layer.signed:
            draw.text((margin + room / 2, below), "0", ink2, font(small), anchor="ma")
        y += row
    return sheet
