"""What `Explorer.save` writes: a stand-alone page, a picture, the raw maps. Each is read off what is shown."""
from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .colormaps import COLORMAPS, luts
from .methods.registry import find
from .page_choices import base64_of, class_choices, film_of, path_frames
from .saliency_map import SaliencyMap
from .saved_cut import SwitchedOff, switched_off
from .widgets.layers import HeatLayer, seen
from .widgets.words import evidence

if TYPE_CHECKING:
    from .explorer import Explorer
    from .what_if import WhatIf

STATIC = Path(__file__).parent / "static"
# What of a heat layer the page needs as it is; `data` and `regions` travel as base64.
TRAITS = ("name kind shape dtype vmin vmax unit signed limits words before after opacity threshold sign cmap_index contour "
          "blend order visible region_names region_word method pinned follow solo selected shared fixed mass view").split()


@dataclass(frozen=True)
class Shown:
    """One map with the heat layer that shows it."""

    layer: HeatLayer
    map: SaliencyMap
    subject: str  # what it speaks of: a class, or a class over another


def shown(explorer: "Explorer") -> list[Shown]:
    """The maps that lie on the picture, visible or hidden, uppermost first, once the newest wish is settled.

    ValueError when there is none: the first one was stopped, waits for a click, or failed.
    """
    if threading.current_thread() is not explorer._worker._thread:  # a callback of `on_map` cannot wait for itself
        explorer.wait()
    with explorer._lock:
        found = [Shown(layer, map, subject(explorer, map, about))
                 for layer, map, about in zip(explorer.face.layers, explorer._shown, explorer._about) if map is not None]
    if not found:
        why = explorer.error or "none was computed yet"
        raise ValueError(f"no map to save: {why}; choose a method and wait for its map, then save")
    return found


def subject(explorer: "Explorer", map: SaliencyMap, about: tuple | None) -> str:
    contrast = about[1] if about else None
    return map.label if contrast is None else f"{map.label} over {explorer.session.label(contrast)}"


def plain_params(map: SaliencyMap) -> dict[str, Any]:
    """The parameters as JSON can say them; an array or a tensor is named by its shape."""
    def plain(value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        if isinstance(value, np.generic):
            return value.item()
        shape = getattr(value, "shape", None)
        return f"{type(value).__name__}{'' if shape is None else ' ' + ' × '.join(str(n) for n in shape)}"

    return {name: plain(value) for name, value in map.params.items()}


def made_with(map: SaliencyMap) -> str:
    """The parameters as one line: `steps 64 · α 0 to 1 · baseline black`."""
    declared = find(map.method).parameters
    between = {parameter.name: " × " if parameter.kind == "grid" else " to " for parameter in declared}
    idle = {p.name for p in declared if p.where and not isinstance(map.params.get(p.where), str)}  # a count of no superpixels

    def words(value: Any, mark: str) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float):
            return f"{value:g}".replace("-", "−")
        return mark.join([words(v, mark) for v in value]) if isinstance(value, list) else str(value)

    params = plain_params(map)
    if getattr(map.params.get("regions"), "shape", None):  # drawn, or given in code: in place of a grid
        params |= {"grid": None, "regions": f"own, {len(np.unique(map.params['regions']))}"}
    if params.get("layer", "") is None:
        params["layer"] = map.details.get("layer")
    return " · ".join(f"{'α' if name == 'alpha' else name} {words(value, between.get(name, ', '))}"
                      for name, value in params.items() if value is not None and name not in idle)


def caption(explorer: "Explorer", pair: Shown) -> str:
    """Model, class, method and parameters in one sentence."""
    made = made_with(pair.map)
    return f"{explorer.session.name}: {pair.map.title} of {pair.subject}" + (f" ({made})" if made else "")


# ---- NPZ


def save_npz(explorer: "Explorer", path: str | Path) -> Path:
    """Write the raw values of every map in `explorer.maps`, pinned ones included, the picture, and what they mean.

    Arrays: `<method>` (C, H, W) raw (a pinned map's name is `<method>@<number>`), `<method>.regions` (H, W) and
    `<method>.region_scores` (R,) where there are regions, `<method>.off` with the numbers of those that are switched off,
    `picture` (H, W, 3) uint8, and `facts`, JSON text: per map method, target, label, score, unit, params, residual, and
    the `names` of regions by number. Where regions cut the photograph, `picture` is that, `seen` (h, w, 3) what the model
    saw, and `facts` hold the `crop`.
    """
    shown(explorer)
    arrays: dict[str, np.ndarray] = {}
    facts: dict[str, Any] = {}
    with explorer._lock:
        maps, picture, cuts = dict(explorer.maps), explorer.session.picture, dict(explorer._cuts)
    for name, map in maps.items():
        arrays[name] = map.values
        if map.regions is not None:
            arrays[f"{name}.regions"] = map.regions
        if map.region_scores is not None:
            arrays[f"{name}.region_scores"] = np.asarray(map.region_scores)
        facts[name] = {"title": map.title, "method": map.method, "target": map.target, "label": map.label, "score": map.score,
                       "unit": map.unit, "signed": map.signed, "params": plain_params(map),
                       "residual": None if map.residual is None else float(map.residual),
                       "evaluations": map.evaluations, "warnings": list(map.warnings), "caution": map.caution}
        if name in cuts and map.regions is not None and np.array_equal(cuts[name].labels, map.regions):
            arrays[f"{name}.off"] = np.array(sorted(cuts[name].off), dtype=np.int64)
            facts[name]["names"] = {str(number): given for number, given in cuts[name].names.items()}
    about = {"model": explorer.session.name, "preprocessing": picture.description, "maps": facts}
    if picture.photo is not None:
        arrays["seen"] = picture.seen
        about |= {"space": "photo", "crop": picture.photo.crop}
    with open(path, "wb") as file:  # NumPy would append a suffix to one in capitals
        np.savez_compressed(file, picture=picture.shown, facts=np.array(json.dumps(about, ensure_ascii=False)), **arrays)
    return Path(path)


# ---- PNG


def save_png(explorer: "Explorer", path: str | Path, width: int = 896) -> Path:
    """Write picture and visible layers as the stage paints them, at least `width` wide, with a legend strip below."""
    stage_picture(explorer, width).save(path, "PNG")
    return Path(path)


def stage_picture(explorer: "Explorer", width: int = 896) -> Image.Image:
    """The stage with its legend as a picture, at least `width` wide."""
    from .painting import Looks, Off, compose, legend_strip

    pairs = shown(explorer)
    canvas = explorer.face.stage.canvas
    photograph = explorer.session.picture.shown
    scale = max(1, round(width / photograph.shape[1]))
    size = (photograph.shape[0] * scale, photograph.shape[1] * scale)
    looks = Looks(canvas.photo_opacity if canvas.photo_visible else 0.0, canvas.photo_saturation)
    of = {pair.layer: pair for pair in pairs}
    visible = [(one, made_with(of[one.layer].map), of[one.layer].subject) for one in seen(of)]
    cut = switched_off(explorer)
    off = None
    if cut is not None and canvas.fill:
        off = Off(cut.mask, np.asarray(Image.open(io.BytesIO(canvas.fill)).convert("RGB")))
    stage = compose(photograph, [layer for layer, *_ in visible], looks, size, canvas.crop, off)
    return legend_strip(stage, visible, explorer.session.name)


# ---- HTML


def packed_regions(regions: Mapping[str, Any]) -> dict[str, Any] | None:
    """A label map as the page reads it; None for none."""
    if not regions:
        return None
    return {"shape": list(regions["shape"]), "dtype": regions["dtype"], "data": base64_of(bytes(regions["data"]))}


def page_data(explorer: "Explorer", pairs: list[Shown]) -> dict[str, Any]:
    """Everything that the page's script reads."""
    canvas = explorer.face.stage.canvas
    layers = []
    for pair in pairs:
        traits = {name: getattr(pair.layer, name) for name in TRAITS}
        layers.append({**traits, "data": base64_of(pair.layer.data), "regions": packed_regions(pair.layer.regions)})
    return {
        "size": list(canvas.size), "picture": base64_of(canvas.picture), "crop": list(canvas.crop), "label": canvas.label,
        "photo": {"opacity": canvas.photo_opacity, "saturation": canvas.photo_saturation, "visible": canvas.photo_visible},
        "regions": packed_regions(canvas.regions), "region_hover": canvas.region_hover,
        "off": list(canvas.off) if canvas.editable else [], "fill": base64_of(canvas.fill) if canvas.off else "",
        "luts": base64_of(luts()), "colormaps": list(COLORMAPS), "layers": layers,
        "target": pairs[0].map.target, "film": film_of(explorer, pairs),
        "classes": class_choices(explorer, pairs), "path": path_frames(explorer, pairs[0]),
    }


def class_rows(explorer: "Explorer", target: int | None, found: "WhatIf | None" = None) -> str:
    """The most probable classes with bars, and the explained one; an arrow leads to what was `found` without what is off."""
    rows = explorer.session.top(5, include=target)
    most = max(probability for *_, probability in rows) or 1.0
    without = None if found is None else found.probabilities
    after = {} if without is None else {index: f" → {without[index]:.2f}" for index, *_ in rows}
    return "".join(
        f'<div class="sw-class{" sw-on" if index == target else ""}{" sw-changed" if after else ""}" data-class="{index}">'
        f'<span title="{escape(label)}">{escape(label)}</span>'
        '<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * p / most:.2f}" height="8"/></svg>'
        f"<span>{p:.2f}{after.get(index, '')}</span></div>" for index, label, p in rows)


def made_block(pair: Shown, cut: SwitchedOff | None = None) -> str:
    """A map's title, class, unit and parameters, what is known about how far it can be trusted, and what is off."""
    found = evidence(pair.map, find(pair.map.method).family)
    made = made_with(pair.map)
    first = f"{pair.subject}, in {pair.map.unit}" + (f" · {made}" if made else "")
    lines = [first] + ([cut.words(pair.map.label)] if cut else []) + ([found.sentence] if found else [])
    return f'<div class="sw-made"><h3>{escape(pair.map.title)}</h3>' + "".join(f"<p>{escape(s)}</p>" for s in lines) + "</div>"


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'sha256-{script_hash}'; \
style-src 'sha256-{style_hash}'; img-src data: blob:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="{caption}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main class="sw-explorer sw-part sw-page">
<header><h1>{model}</h1><span class="sw-muted"> · {about}</span></header>
<div class="sw-main">
<div class="sw-left"><div class="sw-part sw-picture" id="sw-stage"></div>
<div class="sw-part sw-legend" id="sw-legend"></div><div class="sw-part sw-tools" id="sw-tools"></div></div>
<div class="sw-panel">
<section><h2>which class?</h2>{classes}</section>
<section><h2>by which method?</h2><div id="sw-made">{made}</div></section>
{path}{film}<section><div id="sw-rows"></div></section>
</div>
</div>
<footer><div class="sw-part sw-readout" id="sw-readout"></div></footer>
</main>
<noscript>This page needs JavaScript; it loads nothing from anywhere. {caption}</noscript>
<script type="application/json" id="sw-data">{data}</script>
<script>{script}</script>
</body>
</html>
"""
PATH = ('<section><h2>along the path</h2><div class="sw-part sw-along" id="sw-path"></div></section>\n')
FILM = ('<section><div class="sw-which"><h2>which layer?</h2><span class="sw-param" id="sw-film-menu"></span></div>'
        '<div class="sw-part sw-film" id="sw-film"></div></section>\n')


def save_html(explorer: "Explorer", path: str | Path) -> Path:
    """Write one page that needs neither kernel nor network.

    Hover, layers, colours and all Grad-CAM layers work; so do other classes where their maps cost little or nothing, and the
    path of Integrated Gradients and its relatives.
    """
    pairs = shown(explorer)
    data = page_data(explorer, pairs)
    # Neither the data nor the script may end its element early.
    packed = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    script = (STATIC / "page.js").read_text("utf-8").replace("</script", "<\\/script")
    style = (STATIC / "page.css").read_text("utf-8")
    sha = {name: base64_of(hashlib.sha256(text.encode()).digest()) for name, text in (("script", script), ("style", style))}
    first, cut = pairs[0], switched_off(explorer)
    picture = explorer.session.picture
    about = [picture.description + (" (assumed)" if picture.assumed else ""),
             *([picture.photo.note] if picture.photo else []), *picture.notes]
    page = PAGE.format(
        script_hash=sha["script"], style_hash=sha["style"], script=script, style=style, data=packed,
        caption=escape(caption(explorer, first)),
        title=escape(f"{first.map.title} of {first.subject} – {explorer.session.name}"),
        model=escape(explorer.session.name), about=escape(" · ".join(about)),
        classes=class_rows(explorer, first.map.target, cut.found if cut else None),
        made="".join(made_block(pair, cut if pair is first else None) for pair in pairs), film=FILM if data["film"] else "",
        path=PATH if data["path"] else "")
    Path(path).write_text(page, "utf-8", newline="\n")
    return Path(path)
