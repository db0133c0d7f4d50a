"""Controls made from what a method declares: one widget per parameter, and the typed traits behind them."""
from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import ipywidgets
import numpy as np
import traitlets
from PIL import Image


class Declared(traitlets.TraitType):
    """A trait whose type, range and words are those of one declared method parameter."""

    def __init__(self, parameter: Any):
        super().__init__(default_value=parameter.default, help=parameter.help)
        self.parameter = parameter
        self.info_text = parameter.kind

    def validate(self, obj: Any, value: Any) -> Any:
        try:
            return self.parameter.validate(value)
        except (ValueError, TypeError, LookupError) as error:
            if obj._refused is not None:
                obj._refused(error)
            raise


class MethodParams(traitlets.HasTraits):
    """The parameters of one method as traits: `params.alpha = (0.2, 0.8)`; a bad value raises and changes nothing."""

    _refused: Callable[[Exception], None] | None = None

    def on_refusal(self, callback: Callable[[Exception], None]) -> None:
        """Have `callback(error)` told of a value that is refused, besides the error that is raised."""
        self._refused = callback

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and not self.has_trait(name):
            known = ", ".join(sorted(self.trait_names())) or "none"
            raise LookupError(f"unknown parameter {name!r}: this method has {known}")
        super().__setattr__(name, value)

    def values(self) -> dict[str, Any]:
        """All parameters by name, as `Session.map` takes them."""
        return {name: getattr(self, name) for name in self.trait_names()}

    def __repr__(self) -> str:
        return "(" + ", ".join(f"{name}={value!r}" for name, value in self.values().items()) + ")"


class Params(Mapping):
    """The parameters of every method: `params["integrated_gradients"].steps` or `params.integrated_gradients.steps`."""

    def __init__(self, methods: Mapping[str, Any]):
        self._methods = {
            name: type(f"{name}_params", (MethodParams,), {p.name: Declared(p) for p in method.parameters})()
            for name, method in methods.items()
        }

    def __getitem__(self, name: str) -> MethodParams:
        try:
            return self._methods[name]
        except KeyError:
            raise LookupError(f"unknown method {name!r}: choose one of {', '.join(self._methods)} (what was registered since "
                              f"this Explorer was opened is known to new ones)") from None

    def __getattr__(self, name: str) -> MethodParams:
        if name.startswith("_") or name not in self._methods:
            raise AttributeError(name)
        return self._methods[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)


def same(a: Any, b: Any) -> bool:
    """Whether two parameter values are equal, arrays included."""
    if a is b:
        return True
    try:
        return bool(np.all(np.asarray(a) == np.asarray(b))) if np.ndim(a) or np.ndim(b) else bool(a == b)
    except (ValueError, TypeError, RuntimeError):
        return False


def say(value: Any) -> str:
    """A parameter's value in the words of a control."""
    if value is None:
        return "default"
    if isinstance(value, str):
        return value.replace("_", "–") if value == "gauss_legendre" else value.replace("_", " ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:g}"
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return f"{value[0]} × {value[1]}"
    if isinstance(value, Image.Image):
        return titled(value)
    return "own"


def titled(picture: Image.Image) -> str:
    """The name of a picture's file, cut in its middle where it is long, or "picture"."""
    name = os.path.basename(str(getattr(picture, "filename", "") or "")) or "picture"
    return name if len(name) <= 18 else f"{name[:8]}…{name[-9:]}"


def ladder(parameter: Any) -> list[Any]:
    """Sensible values of a number: what it declares, else powers of two (floats: 1, 3, 10 …) within its range."""
    if parameter.choices:
        return list(parameter.choices)
    low, high = parameter.minimum or 0, math.inf if parameter.maximum is None else parameter.maximum
    if parameter.kind == "float":
        steps = {parameter.default * 10.0**k * c for k in range(-2, 3) for c in (1, 3)} | {0.0}
        return sorted({float(f"{v:.3g}") for v in steps if low <= v <= high} | {parameter.default})
    steps = {2**k for k in range(3, 11)} | {0}
    return sorted({v for v in steps if low <= v <= min(high, 1024)} | {int(parameter.default)})


def slides(parameter: Any) -> bool:
    """Whether a float's range can be walked on a slider: it ends, and the default does not stick to its beginning."""
    if parameter.kind != "float" or parameter.maximum is None:
        return False
    width = parameter.maximum - (parameter.minimum or 0.0)
    return parameter.step is not None or parameter.default in (0.0, parameter.maximum) or parameter.default > width / 20


def pace(parameter: Any) -> float:
    """A slider's step: the declared one, else about a hundredth of the range as 1, 2 or 5 times a power of ten."""
    if parameter.step is not None:
        return parameter.step
    rough = (parameter.maximum - (parameter.minimum or 0.0)) / 100
    power = 10.0 ** math.floor(math.log10(rough))
    return power * max(c for c in (1, 2, 5) if c * power <= rough * (1 + 1e-9))


def named(widget: ipywidgets.DOMWidget, name: str, tip: str = "") -> ipywidgets.DOMWidget:
    """Give a control its accessible name: the front end copies the tooltip of `.sw-named` to where it must be."""
    widget.tooltip = name if not tip else f"{name}: {tip}"
    widget.add_class("sw-named")
    return widget


class Grid(tuple):
    """(rows, columns) among the ways to cut a picture into regions."""


A_FILE = "picture…"  # the line of a menu of fills that opens the browser's file chooser; the page knows it by these words
CHOOSE = object()  # what it stands for


class Control:
    """One parameter's widget, kept equal to its trait; `on_hand(name, value)` hears what a hand changes.

    `layers` are the layers to choose from; where `default_layer` is None a layer of None has a line of its own. What only
    code can give (mappings, backgrounds) is shown, not changed. `on_file(name)` hears the wish to fill with a picture.
    """

    def __init__(self, parameter: Any, params: MethodParams, on_hand: Callable[[str, Any], None],
                 layers: tuple[str, ...] = (), default_layer: str | None = None, on_file: Callable[[str], None] | None = None):
        self.parameter, self.params, self.on_hand, self._on_file = parameter, params, on_hand, on_file
        self._layers, self._default_layer = layers, default_layer
        self._syncing = False
        self.widget = self._make()
        self.widget.add_class("sw-param")
        self.show(getattr(params, parameter.name))
        self.widget.observe(self._by_hand, "index" if self.listed else "value")
        params.observe(self._by_code, parameter.name)
        if self._grids:
            params.observe(lambda _: self.show(getattr(params, parameter.name)), "grid")
        if parameter.where and params.has_trait(parameter.where):
            self._appear()
            params.observe(lambda _: self._appear(), parameter.where)
        if parameter.kind == "window" and params.has_trait(self._limit):
            params.observe(lambda change: self.widget.set_trait("max", change["new"]), self._limit)

    def _appear(self) -> None:
        """Be there only where the parameter means something: superpixels are counted where a word says how to cut them."""
        self.widget.layout.display = None if isinstance(getattr(self.params, self.parameter.where), str) else "none"

    @property
    def _limit(self) -> str:
        """The parameter that ends a window's axis, where there is one: `sigma_max` for `sigma`."""
        return f"{self.parameter.name}_max"

    @property
    def _grids(self) -> tuple[int, ...]:
        """Grids that a menu of regions offers, where the method has them as a parameter of their own."""
        own = self.parameter.kind == "regions" and self.params.has_trait("grid")
        return self.params.traits()["grid"].parameter.choices if own else ()

    def _options(self) -> list[tuple[str, Any]]:
        parameter, kind = self.parameter, self.parameter.kind
        if kind in ("int", "float"):
            return [(say(v), v) for v in ladder(parameter)]
        if kind == "grid":
            return [(f"{n} × {n}", (n, n)) for n in parameter.choices or (7, 14, 28)]
        if kind == "layer":
            nothing = [] if self._default_layer else [("none", None)]
            return nothing + [(name, name) for name in self._layers]
        if kind == "regions":
            return [(f"grid {n} × {n}", Grid((n, n))) for n in self._grids] + [(say(v), v) for v in parameter.choices]
        file = [(A_FILE, CHOOSE)] if kind == "fill" and parameter.choices and self._on_file is not None else []
        return [(say(v), v) for v in parameter.choices or ()] + file

    def _make(self) -> ipywidgets.DOMWidget:
        parameter, words = self.parameter, self.parameter.words or self.parameter.name.replace("_", " ")
        kind, low = parameter.kind, parameter.minimum or 0.0
        if kind == "window":
            high = 1.0 if parameter.maximum is None else parameter.maximum
            high = getattr(self.params, self._limit, high)
            slider = ipywidgets.FloatRangeSlider(min=low, max=high, step=parameter.step or 0.01, readout=False,
                                                 value=(low, high), layout={"width": "auto"})
            slider.add_class("sw-window")
            return named(slider, f"{words} window", parameter.help)
        if slides(parameter):
            step = pace(parameter)
            digits = max(0, -math.floor(math.log10(step) + 1e-9))
            # Only the last position counts: a drag of these would begin a new map at every step.
            return named(ipywidgets.FloatSlider(min=low, max=parameter.maximum, step=step, description=words,
                                                readout_format=f".{digits}f", continuous_update=False), words, parameter.help)
        if kind == "bool":
            return named(ipywidgets.Checkbox(description=words, indent=False), words, parameter.help)
        if kind == "index" or (kind == "int" and not parameter.choices and parameter.maximum is None):
            field = ipywidgets.Text(description=words, placeholder="auto" if kind == "index" else "", continuous_update=False)
            field.add_class("sw-number")
            return named(field, words, parameter.help)
        if kind in ("mapping", "backgrounds"):
            return named(ipywidgets.Text(description=words, disabled=True), words, f"{parameter.help}; set it in code")
        # The menu holds words alone: a value may be an array, which ipywidgets cannot look up among others.
        self.values = [value for _, value in self._options()]
        return named(ipywidgets.Dropdown(options=[words for words, _ in self._options()], description=words), words,
                     parameter.help)

    @property
    def listed(self) -> bool:
        """Whether the widget is a menu of values."""
        return isinstance(self.widget, ipywidgets.Dropdown)

    @property
    def written(self) -> bool:
        """Whether the widget is a field of text."""
        return isinstance(self.widget, ipywidgets.Text)

    def show(self, value: Any) -> None:
        """Let the widget say `value` without counting that as a hand's doing."""
        if self.parameter.kind == "layer" and value is None:
            value = self._default_layer
        if self.parameter.kind == "grid" and not isinstance(value, tuple):
            value = self.parameter.validate(value)
        if self._grids and value is None:
            value = Grid(np.broadcast_to(self.params.grid, 2).tolist())
        self._syncing = True
        try:
            if self.listed:
                options = self._options()
                if not any(same(v, value) for _, v in options):
                    # A value that only code can give gets a line of its own.
                    words = f"grid {say(tuple(value))}" if isinstance(value, Grid) else say(value)
                    options.insert(len(options) - (options[-1][1] is CHOOSE), (words, value))
                self.values = [v for _, v in options]
                if [words for words, _ in options] != list(self.widget.options):
                    self.widget.options = [words for words, _ in options]
                self.widget.index = next(i for i, v in enumerate(self.values) if same(v, value))
            elif self.written:
                self.widget.value = self._written(value)
            elif not same(self.widget.value, value):
                self.widget.value = value
        finally:
            self._syncing = False

    def offer(self, layers: Iterable[str]) -> None:
        """Let the menu of layers hold these: places that only a map knows, such as attention's."""
        self._layers = tuple(layers)
        self.show(getattr(self.params, self.parameter.name))

    def _written(self, value: Any) -> str:
        if self.parameter.kind == "mapping":
            return ", ".join(f"{k} {say(v)}" for k, v in value.items()) or "defaults"
        if self.parameter.kind == "backgrounds":
            return "the session's" if value is None else f"{len(value)} given"
        return "" if value is None else str(value)

    def _by_hand(self, change: Any) -> None:
        value = change["new"]
        if self._syncing or value is None:
            return
        before = getattr(self.params, self.parameter.name)
        if self.listed:
            value = self.values[value]
            if value is CHOOSE:  # the page opens the file chooser; the menu says what is filled with until a file is there
                self.show(before)
                return self._on_file(self.parameter.name)
            if isinstance(value, Grid):
                if not same(value, self.params.grid):
                    self.on_hand("grid", tuple(value))
                value = None
        elif self.written:
            text = value.strip()
            # What is no number goes on as it is: the parameter refuses it in words.
            value = int(text) if text.lstrip("-").isdigit() else text or (None if self.parameter.kind == "index" else before)
        if not same(value, before):
            self.on_hand(self.parameter.name, value)
        if self.written:
            self.show(getattr(self.params, self.parameter.name))

    def _by_code(self, change: Any) -> None:
        self.show(change["new"])
