"""What the stand-alone page lets its reader choose: other classes, other layers of the network, points of a path."""
from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .methods.registry import find
from .path_points import AXES, WINDOWED, PathPoints
from .saliency_map import SaliencyMap
from .widgets.cam import choose_frames, layer_title
from .widgets.layers import default_limits, encode, label_map
from .widgets.pictures import paint_size
from .widgets.showing import drawing
from .widgets.stage import encode_picture
from .widgets.words import evidence

if TYPE_CHECKING:
    from .explorer import Explorer
    from .export import Shown

PATIENCE = 3.0      # seconds that the other classes may cost together
MOST = 12 * 2**20   # bytes of other classes' maps in a page
FRAMES = 25         # points of a path
SIDE = 168          # pixels of a path's small pictures


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


# ---- other classes


def class_choices(explorer: Explorer, pairs: Sequence[Shown]) -> list[dict[str, Any]]:
    """Maps of the classes that the page lists: one entry a class, the shown one without data; only itself where others cost.

    `layers` holds what changes of each layer, None for one that keeps its own class, False for one whose map would cost too
    much: it is hidden meanwhile. `made` says what is known of the first map.
    """
    session, target = explorer.session, pairs[0].map.target
    alone, patience = [{"target": target}], PATIENCE
    if target is None or explorer.contrast is not None:
        return alone
    others = [index for index, *_ in session.top(5, include=target) if index != target]
    plan: list[bool | None] = []  # for each layer: made for others, too dear, or a class of its own
    for pair in pairs:
        if pair.map.target != target or pair.subject != pair.map.label:
            plan.append(None)
            continue
        costs = [session.estimate(pair.map.method, pair.map.params, index) for index in others]
        seconds = sum((s if s is not None else PATIENCE) if count else 0.0 for count, s in costs)
        plan.append(seconds <= patience)
        patience -= seconds if plan[-1] else 0.0
    if not plan[0]:
        return alone
    found, size = [], 0
    for index in others:
        maps = [session.run(pair.map.method, pair.map.params, target=index) if affordable else None
                for pair, affordable in zip(pairs, plan)]
        layers = [affordable and packed(map, pair.layer.view) for pair, map, affordable in zip(pairs, maps, plan)]
        size += sum(len(layer["data"]) for layer in layers if layer)
        found.append({"target": index, "layers": layers, "film": film_of(explorer, pairs, plan, index), "made": facts(maps[0])})
    return [*alone, *found] if size <= MOST else alone


def packed(map: SaliencyMap, view: str = "") -> dict[str, Any]:
    """What of a heat layer changes with its map, as the page reads it."""
    drawn = drawing(map, view)
    heat, limits, regions = (drawn.pop(name, None) for name in ("heatmap", "limits", "regions"))
    kind = "heat" if regions is None else "region"
    dtype, data, low, high = encode(heat)
    labels = None if regions is None else label_map(regions)
    after = drawn.pop("after", ())
    return {**drawn, "kind": kind, "shape": list(heat.shape), "dtype": dtype, "data": base64_of(data), "vmin": low, "vmax": high,
            "limits": list(limits or default_limits(heat, drawn["signed"], kind)), "before": drawn.get("before"),
            "after": [float(p) for p in after],
            "regions": None if labels is None else {**labels, "data": base64_of(labels["data"])}}


def facts(map: SaliencyMap) -> list[str]:
    """What stands under a map's title on the page: its class and unit, and how far it can be trusted."""
    found = evidence(map, find(map.method).family)
    return [map.title, f"{map.label}, in {map.unit}", *([found.sentence] if found else [])]


# ---- layers of the network


def film_of(explorer: Explorer, pairs: Sequence[Shown], plan: Sequence[bool | None] | None = None,
            target: int | None = None) -> dict[str, Any] | None:
    """The maps of all network layers behind the first shown map that has them; None where none has.

    With a `plan` of layers that are made for another class, those of that `target`.
    """
    for index, pair in enumerate(pairs):
        if "maps" not in pair.map.details or (plan is not None and plan[index] is False):
            continue
        other = plan is not None and plan[index]
        map = explorer.session.run(pair.map.method, pair.map.params, target=target) if other else pair.map
        maps = map.details.get("maps") or {}
        body = explorer.face.method.bodies.get(map.method)
        known = getattr(body, "layers", {})
        names = [name for name in known if name in maps]
        default = getattr(body, "default", None)
        chosen = map.details.get("layer") or map.params.get("layer") or default
        if not names or chosen not in names:
            continue
        thumbs = choose_frames(names, default, chosen)
        frames = []
        for name in names:
            dtype, data, low, high = encode(np.asarray(maps[name]))
            frames.append({"name": name, "title": layer_title(known[name]), "shape": list(np.shape(maps[name])), "dtype": dtype,
                           "data": base64_of(data), "vmin": low, "vmax": high})
        picture = explorer.session.picture
        place = {} if picture.photo is None else {"crop": picture.photo.crop, "seen": base64_of(encode_picture(picture.seen))}
        return {"layer": index, "chosen": chosen, "frames": frames, "thumbs": thumbs, **place}
    return None


# ---- a path


def path_frames(explorer: Explorer, pair: Shown) -> dict[str, Any] | None:
    """The map summed up to each of some points of its path, with picture and gradient there; nothing is evaluated.

    None for a map without a path, or whose rule has no parts.
    """
    map, session = pair.map, explorer.session
    axis = next((axis for axis in AXES if axis + "s" in map.details and axis in map.params), None)
    if axis is None or map.params.get("rule") not in WINDOWED or pair.layer.view:
        return None
    low, high = map.params[axis]
    known = np.unique(np.asarray(map.details[axis + "s"], np.float64))
    signed = drawing(map)["signed"]
    path, points, frames = PathPoints(session, map.params, axis), np.linspace(low, high, FRAMES), []
    for point in points.tolist():
        part = map if point == high else \
            session.run(map.method, {**map.params, axis: (low, point)}, target=map.target) if point > low else None
        values = np.zeros(map.size, np.float32) if part is None else drawing(part)["heatmap"]
        level = float(np.abs(values).max())
        steps = np.rint(127 + 127 * values / (level or 1.0)).astype(np.uint8)  # zero is a step
        gradient = path.gradient(float(known[np.abs(known - point).argmin()]), map.target)
        frames.append({"at": point, "data": base64_of(steps.tobytes()), "vmin": -level, "vmax": level * 128 / 127,
                       "limits": list(default_limits(values, signed)), "picture": small(path.picture(point)),
                       "gradient": "" if gradient is None else small(paint_size(gradient))})
    return {"axis": {"alpha": "α", "sigma": "σ"}[axis], "shape": list(map.size), "frames": frames}


def small(picture: np.ndarray) -> str:
    """A picture as a small JPEG in base64."""
    image, buffer = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    image.save(buffer, "JPEG", quality=88)
    return base64_of(buffer.getvalue())
