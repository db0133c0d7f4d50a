"""What the Explorer remembers: everything a person set as one JSON-able value, and the shown map as code."""
from __future__ import annotations

import base64
import hashlib
import io
import threading
import warnings
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import traitlets
from PIL import Image

from . import region_files
from .as_code import code_for
from .layering import MOST
from .methods.registry import find, methods
from .model.pictures import plain_picture
from .regions import Cut
from .widgets.controls import same
from .widgets.layers import LOOKS, HeatLayer

VERSION = 1
KEYS = ("version", "picture", "target", "contrast", "method", "params", "layers", "photograph", "view", "regions",
        "trust")
PHOTOGRAPH = {"opacity": "photo_opacity", "saturation": "photo_saturation", "visible": "photo_visible"}


def encode(value: Any) -> Any:
    """A parameter's value as JSON can say it, arrays and pictures as base64; TypeError for what is none of these."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if isinstance(value, Mapping):
        return {"mapping": {str(k): encode(v) for k, v in value.items()}}
    if isinstance(value, Image.Image):
        file = io.BytesIO()
        plain_picture(value).save(file, "PNG")
        return {"picture": base64.b64encode(file.getvalue()).decode()}
    if isinstance(value, (np.ndarray, torch.Tensor)):
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        data = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes())).decode()
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        return {kind: data, "dtype": array.dtype.str, "shape": list(array.shape)}
    raise TypeError(f"a {type(value).__name__} cannot be written down")


def decode(value: Any) -> Any:
    """The inverse of `encode` (a tuple comes back as a list); ValueError for what it did not write."""
    if isinstance(value, list):
        return [decode(v) for v in value]
    if not isinstance(value, Mapping):
        return value
    if "mapping" in value:
        return {k: decode(v) for k, v in value["mapping"].items()}
    try:
        if "picture" in value:
            picture = Image.open(io.BytesIO(base64.b64decode(value["picture"])))
            picture.load()
            return picture
        for kind in ("array", "tensor"):
            if kind in value:
                raw = zlib.decompress(base64.b64decode(value[kind]))
                array = np.frombuffer(raw, np.dtype(value["dtype"])).reshape(value["shape"]).copy()
                return torch.from_numpy(array) if kind == "tensor" else array
    except (zlib.error, OSError, SyntaxError, KeyError, TypeError) as error:
        raise ValueError(f"a value in the state is damaged: {error}") from error
    raise ValueError(f"a state holds no value with {', '.join(map(repr, value)) or 'nothing'} in it")


def identity(picture: np.ndarray) -> dict[str, Any]:
    """What tells whether a picture uint8 `(H, W, 3)` is the same."""
    return {"size": list(picture.shape[:2]), "sha256": hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()}


def looks_of(layer: HeatLayer) -> dict[str, Any]:
    """A layer's looks by name, as JSON says them."""
    return {name: encode(getattr(layer, name)) for name in LOOKS}


class Remembering:
    """`state` and `code` of the Explorer."""

    _wanted_looks: tuple[str, dict[str, Any]] | None = None  # for the explored layer, once its method's map is there
    _wanted_other: tuple | None = None  # method, params, target and contrast, looks of a last map to be computed

    def code(self) -> str:
        """The lines that compute the explored map again from `model` and `img`, with what differs from the defaults.

        A label map or picture is written out, an array above 64 KiB only named. ValueError while there is no map.
        """
        if threading.current_thread() is not self._worker._thread:
            self.wait()
        with self._lock:
            map, about = self._shown[0], self._about[0]
        if map is None:
            raise ValueError(f"no map to write as code: {self.error or 'none was computed yet'}")
        return code_for(map, about[1], self._given)

    # ---- reading

    @property
    def state(self) -> dict[str, Any]:
        """Everything a person set, as a dict that JSON can say; assign it, to this Explorer or another one, to restore it.

        Keys: version, picture (size and SHA-256 of its pixels, not the picture itself), target, contrast, method, params
        (what differs from the defaults), layers (looks, pinned maps and what they were made with), photograph, view (zoom
        and place), regions (label map as PNG, with names and what is off, in base64), trust (whether that panel is open, and
        what it shows). Assigning raises ValueError,
        TypeError or LookupError for what cannot be, and then changes nothing; it says, as a warning and in the status
        line, what it does not know and leaves out. The maps themselves are computed again.
        """
        with self._lock:
            canvas = self.face.stage.canvas
            regions = {method: base64.b64encode(region_files.to_png(cut.state)).decode() for method, cut in self._cuts.items()
                       if cut.off or cut.names or isinstance(self.params[method].regions, np.ndarray)}
            other = None if self._shown[1] is None else {
                "method": self._shown[1].method, "params": self._differing(self._shown[1].method, self._shown[1].params),
                "target": self._about[1][0], "contrast": self._about[1][1], "looks": looks_of(self.face.layers[1])}
            pinned = [{"key": pin.key, "method": pin.method, "params": self._differing(pin.method, pin.params),
                       "target": pin.about[0], "contrast": pin.about[1], "follow": pin.layer.follow,
                       "looks": looks_of(pin.layer)} for pin in self._pins]
            params = {name: self._differing(name, values.values()) for name, values in self.params.items()}
            return {
                "version": VERSION, "picture": identity(self.session.picture.shown),
                "target": self.target, "contrast": self.contrast, "method": self.method,
                "params": {name: values for name, values in params.items() if values},
                "layers": {"explored": looks_of(self.face.layers[0]), "other": other, "pinned": pinned},
                "photograph": {name: getattr(canvas, trait) for name, trait in PHOTOGRAPH.items()},
                "view": list(canvas.view), "regions": regions, "trust": self.trust.state,
            }

    def _differing(self, method: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a method that are not its defaults; what cannot be written down is left out."""
        found = {}
        for parameter in find(method).parameters:
            value = values[parameter.name]
            if not same(value, parameter.default) and not same(value, parameter.validate(parameter.default)):
                try:
                    found[parameter.name] = encode(value)
                except TypeError:
                    continue
        return found

    # ---- restoring

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        with self._told():
            if not isinstance(state, Mapping) or "version" not in state:
                raise ValueError("a state is the dict that an Explorer's `state` gives, with a version")
            if state["version"] != VERSION:
                raise ValueError(f"the state has version {state['version']!r}, this package reads version {VERSION}")
            wanted = _Wanted(self, state)
        with self._lock:
            with self._publishing():
                self._restore(wanted)
                self._forget_steps()
            self._ask()
        if wanted.said:
            words = "; ".join(wanted.said)
            with self._publishing():
                self._show_facts(words)
            warnings.warn(f"the state was restored but for this: {words}", stacklevel=2)

    def _restore(self, wanted: "_Wanted") -> None:
        for pin in list(self._pins):
            self._unpin(pin)
        self._drop_other()
        self._forget_cuts()
        for method, values in wanted.params.items():
            for name, value in values.items():
                if not same(getattr(self.params[method], name), value):
                    setattr(self.params[method], name, value)
        self.target, self.contrast, self.method = wanted.target, wanted.contrast, wanted.method
        self._follow = False
        for method, cut in wanted.regions.items():
            self._regions_of(method)._push(cut)
        # A map that is there is shown anew, so that its looks are those of the state and not of a first sight.
        self._shown[0], self._last = None, None
        self._wanted_looks, self._wanted_other = (wanted.method, wanted.looks), wanted.other
        self._apply(self.face.layers[0], wanted.looks)
        for pin in wanted.pinned:
            self._add_pin(pin["key"], None, pin["params"], pin["about"], pin["looks"], pin["method"], pin["follow"], paid=True)
            self._numbered = max(self._numbered, int(pin["key"].rpartition("@")[2]))
        canvas = self.face.stage.canvas
        for trait, value in wanted.photograph.items():
            setattr(canvas, trait, value)
        canvas.view = wanted.view
        self.trust.restore(wanted.trust)

    @staticmethod
    def _apply(layer: HeatLayer, looks: Mapping[str, Any]) -> None:
        for name in sorted(looks, key=lambda name: name != "view"):  # a view brings its own colours
            setattr(layer, name, looks[name])

    def _dress(self, method: str) -> None:
        """The explored layer begins with another method's map: with looks of a restored state where there are some."""
        if self._wanted_looks is not None and self._wanted_looks[0] == method:
            self._apply(self.face.layers[0], self._wanted_looks[1])
        self._wanted_looks = None


class _Wanted:
    """A state read and checked against an Explorer; `said` are the words for what is left out."""

    def __init__(self, explorer: Any, state: Mapping[str, Any]):
        self.explorer, self.said = explorer, []
        self.size = explorer.session.picture.shown.shape[:2]
        self._leave(set(state) - set(KEYS), "the state's", "")
        if state.get("picture") not in (None, identity(explorer.session.picture.shown)):
            self.said.append("the state is of another picture")
        self.target = explorer.session.resolve_target(state.get("target"))
        self.contrast = self._class(state.get("contrast"))
        self.method = find(state.get("method", explorer.method)).name
        given = dict(state.get("params", {}))
        self._leave(set(given) - set(methods()), "method", "parameters of ")
        self.params = {name: self._params(name, given.get(name, {})) for name in methods()}
        layers = dict(state.get("layers", {}))
        self._leave(set(layers) - {"explored", "other", "pinned"}, "layers", "")
        self.looks = self._looks(layers.get("explored", {}))
        other = layers.get("other")
        self.other = None if other is None else self._made(other)
        if len(layers.get("pinned", ())) > MOST:
            raise ValueError(f"the state pins {len(layers['pinned'])} maps, {MOST} are the limit")
        self.pinned = [{**self._made(pin), "key": self._key(pin), "follow": bool(pin.get("follow", False))}
                       for pin in layers.get("pinned", ())]
        photograph = dict(state.get("photograph", {}))
        self._leave(set(photograph) - set(PHOTOGRAPH), "photograph", "")
        canvas = explorer.face.stage.canvas
        try:
            self.photograph = {trait: canvas.traits()[trait]._validate(canvas, photograph[name])
                               for name, trait in PHOTOGRAPH.items() if name in photograph}
            self.view = canvas.traits()["view"]._validate(canvas, tuple(state.get("view", (1.0, 0.0, 0.0))))
        except traitlets.TraitError as error:
            raise ValueError(f"the state's photograph or view: {error}") from error
        self.regions = self._regions(dict(state.get("regions", {})))
        self.trust = explorer.trust.checked(dict(state.get("trust", {})), self.said)

    def _leave(self, unknown: set, of: str, what: str) -> None:
        if unknown:
            self.said.append(f"{what}{of} {', '.join(sorted(map(repr, unknown)))}: not known here")

    def _class(self, value: Any) -> int | None:
        return None if value is None else self.explorer.session.resolve_target(value)

    def _params(self, method: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters of a method: those of the state, the defaults for the rest."""
        parameters = {p.name: p for p in find(method).parameters}
        self._leave(set(given) - set(parameters), f"{method}:", "")
        values = {name: p.validate(p.default) for name, p in parameters.items()}
        for name in set(given) & set(parameters):
            value = parameters[name].validate(decode(given[name]))
            if parameters[name].kind == "regions" and isinstance(value, np.ndarray) and value.shape != self.size:
                self.said.append(f"the regions of {method} fit a picture of {value.shape[0]} × {value.shape[1]} pixels")
            else:
                values[name] = value
        return values

    def _looks(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self._leave(set(given) - set(LOOKS), "looks", "")
        traits = HeatLayer.class_traits()
        looks = {}
        for name in LOOKS:
            if name in given:
                value = tuple(given[name]) if isinstance(given[name], list) else given[name]
                try:
                    looks[name] = traits[name]._validate(self.explorer.face.layers[0], value)
                except traitlets.TraitError as error:
                    raise ValueError(f"a layer's {name} cannot be {value!r}: {error}") from None
        return looks

    def _made(self, given: Mapping[str, Any]) -> dict[str, Any]:
        method = find(given["method"]).name
        return {"method": method, "params": self._params(method, given.get("params", {})),
                "about": (self.explorer.session.resolve_target(given["target"]), self._class(given.get("contrast"))),
                "looks": self._looks(given.get("looks", {}))}

    @staticmethod
    def _key(pin: Mapping[str, Any]) -> str:
        key = str(pin.get("key", ""))
        if not key.rpartition("@")[2].isdigit():
            raise ValueError(f"a pinned map is named <method>@<number>, not {key!r}")
        return key

    def _regions(self, given: Mapping[str, str]) -> dict[str, Cut]:
        found = {}
        for method, data in given.items():
            if method not in methods() or not self.explorer.params[method].has_trait("regions"):
                self._leave({method}, "", "regions of ")
                continue
            try:
                found[method] = region_files.load_png(io.BytesIO(base64.b64decode(data)), self.size)
            except ValueError as error:
                self.said.append(f"the regions of {method}: {error}")
        return found
