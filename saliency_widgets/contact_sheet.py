"""Contact sheets: a whole path, all layers, all filters or a whole film as one picture, as papers print them."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from .painting import cut, font, resized, written
from .path_points import AXES, PathPoints
from .widgets.pictures import limit, paint_size

if TYPE_CHECKING:
    from .saliency_map import SaliencyMap
    from .session import Session

COUNT, COLUMNS = 25, 5
TILE, GAP, LINE = 168, 8, 26  # pixels of a picture's side, between pictures, and of a line of words
INK, INK2, EMPTY = (33, 33, 33), (117, 117, 117), (238, 238, 238)


@dataclass(frozen=True)
class Tile:
    """Pictures uint8 `(h, w, 3)` one below the other, None where one is missing, with a caption."""

    caption: str
    pictures: Sequence[np.ndarray | None]


def has_sheet(map: SaliencyMap) -> bool:
    """Whether there is more behind a map than the map."""
    details = map.details
    return any(axis + "s" in details and axis in map.params for axis in AXES) or len(details.get("maps") or ()) > 1 \
        or "sheet" in details or "film" in details


def contact_sheet(session: Session, map: SaliencyMap, count: int = COUNT) -> Image.Image:
    """What lies behind a map of the session's picture, at most `count` places of it, as one picture.

    Paths: the picture and the size of its gradient, from start to end (what is kept is shown, nothing is evaluated). Maps of
    many layers: each over the photograph. Activations: the most active filters. Films: what the model is given, and the
    mask. ValueError for a map that has none of these.
    """
    if not has_sheet(map):
        raise ValueError(f"{map.title} is one map, with nothing behind it to put on a contact sheet: save the map itself")
    tiles = _tiles(session, map, count)
    return _printed(tiles, f"{session.name} · {map.title} of {map.label}")


def _spread(number: int, count: int) -> list[int]:
    """At most `count` of so many places, evenly, the first and the last among them."""
    return sorted(set(np.linspace(0, number - 1, min(count, number)).round().astype(int).tolist()))


def _tiles(session: Session, map: SaliencyMap, count: int) -> list[Tile]:
    details = map.details
    for axis, symbol in zip(AXES, ("α", "σ")):
        if axis + "s" in details and axis in map.params:
            points, path = np.unique(np.asarray(details[axis + "s"], np.float64)), PathPoints(session, map.params, axis)
            return [Tile(f"{symbol} {points[i]:.3g}", (path.picture(float(points[i])),
                                                      _magma(path.gradient(float(points[i]), map.target))))
                    for i in _spread(len(points), count)]
    if "film" in details:
        film = details["film"]
        return [Tile(f"{film[i]['iteration']}: {film[i]['score']:.3g}",
                     [film[i]["picture"], *([_magma(film[i]["mask"])] if "mask" in film[i] else [])])
                for i in _spread(len(film), count)]
    photograph = session.picture.seen
    if "sheet" in details:
        return [Tile(f"channel {details['order'][i]}", (_over(photograph, np.abs(details["sheet"][i])),))
                for i in range(min(count, len(details["sheet"])))]
    maps = details["maps"]
    names = [layer.name for layer in session.layers if layer.name in maps] or list(maps)
    return [Tile(names[i], (_over(photograph, np.maximum(np.asarray(maps[names[i]], np.float64), 0)),))
            for i in _spread(len(names), count)]


def _magma(values: np.ndarray | None) -> np.ndarray | None:
    return None if values is None else paint_size(values)


def _over(photograph: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A map `(h, w)` of sizes over the grey photograph: uint8 `(H, W, 3)`."""
    grey = photograph.astype(np.float64).mean(2, keepdims=True) * 0.8
    share = np.clip(resized(heat[..., None], photograph.shape[:2]) / limit(heat), 0, 1)
    return np.rint(grey * (1 - share ** 0.7) + paint_size(share[..., 0]) * share ** 0.7).astype(np.uint8)


def _printed(tiles: Sequence[Tile], title: str) -> Image.Image:
    columns, deep = min(COLUMNS, len(tiles)), max(len(tile.pictures) for tile in tiles)
    rows = -(-len(tiles) // columns)
    shape = next(p.shape for tile in tiles for p in tile.pictures if p is not None)
    tall = round(TILE * shape[0] / shape[1])
    across, down = TILE + GAP, deep * tall + LINE + GAP
    sheet = Image.new("RGB", (max(columns, 3) * across + GAP, rows * down + LINE + 2 * GAP), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), cut(written(title), sheet.width - 2 * GAP, 18), INK, font(18))
    for number, tile in enumerate(tiles):
        x, y = GAP + number % columns * across, LINE + 2 * GAP + number // columns * down
        for place, picture in enumerate(tile.pictures):
            if picture is None:
                draw.rectangle((x, y + place * tall, x + TILE - 1, y + (place + 1) * tall - 1), fill=EMPTY)
                draw.text((x + TILE / 2, y + (place + 0.5) * tall), "not kept", INK2, font(16), anchor="mm")
            else:
                sheet.paste(Image.fromarray(picture).resize((TILE, tall), Image.Resampling.LANCZOS), (x, y + place * tall))
        draw.text((x, y + deep * tall + 3), cut(written(tile.caption), TILE, 16), INK2, font(16))
    return sheet
