"""Heat layers: one map each, sent to the browser once, then looked at there without the kernel."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import ipywidgets
import numpy as np
import traitlets as t
from anywidget import AnyWidget

from ..colormaps import COLORMAPS
from ..saliency_map import VIEWS
from .gate import FrameGate

STEPS = 65535
"""Quantisation: a u2 map has `STEPS` steps between `vmin` and `vmax`."""

# Share of the limit below which a map is transparent, by what it is (the tail would only grey the picture).
FLOORS = {"signed": 0.14, "unsigned": 0.04, "region": 0.0}

BLENDS = ("auto", "normal", "hard-light", "multiply", "screen")
# What a person chooses of a layer's look, and code may set, link and restore.
LOOKS = ("visible opacity threshold mass sign cmap mode blend fixed shared view solo selected order").split()

# What belongs together: these traits travel in one message, when the gate lets it through.
FRAME = frozenset(
    ("name method kind shape dtype data vmin vmax unit signed limits words regions region_word before after stale empty "
     "seq").split()
)


def encode(heatmap: np.ndarray) -> tuple[str, bytes, float, float]:
    """(H, W) values → dtype, little-endian bytes, vmin, vmax. u2 where all is finite, f4 (exact) where not."""
    values = np.asarray(heatmap)
    finite = np.isfinite(values)
    if not finite.all():
        known = values[finite]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
        return "f4", np.ascontiguousarray(values, dtype="<f4").tobytes(), low, high
    low, high = float(values.min()), float(values.max())
    if low == high:
        return "u2", bytes(values.size * 2), low, high
    scaled = np.round((values.astype(np.float64) - low) / (high - low) * STEPS)
    return "u2", scaled.astype("<u2").tobytes(), low, high


def decode(shape: tuple[int, int], dtype: str, data: bytes, vmin: float, vmax: float) -> np.ndarray:
    """The inverse as the browser computes it, in float64: `vmin + u · (vmax − vmin) / 65535`, in that order."""
    raw = np.frombuffer(data, dtype={"u1": "u1", "u2": "<u2", "f4": "<f4"}[dtype]).reshape(shape)
    if dtype == "f4":
        return raw.astype(np.float64)
    return vmin + raw.astype(np.float64) * (vmax - vmin) / (255 if dtype == "u1" else STEPS)


def default_limits(heatmap: np.ndarray, signed: bool, kind: str = "heat") -> tuple[float, float]:
    """Ends of the colour scale: ± the 99.2th percentile of |v| (regions: 99.5th), or 0 and the maximum."""
    values = np.asarray(heatmap, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return (-1.0, 1.0) if signed else (0.0, 1.0)
    if not signed:
        high = float(values.max())
        return 0.0, high if high > 0 else 1.0
    size = np.abs(values)
    rank = min(size.size - 1, int(size.size * (0.995 if kind == "region" else 0.992)))
    end = float(np.partition(size, rank)[rank]) or float(size.max()) or 1.0
    return -end, end


class HeatLayer(ipywidgets.Widget):
    """One map over the picture: its values, what they mean, and how they are shown.

    `show` replaces the map. Everything about looking (`opacity`, `threshold`, `cmap_index`, `contour`,
    `visible`, …) works in the browser without the kernel and may be linked there to controls.
    """

    # A model of anywidget's without a view: a plain one loses its bytes when a notebook is saved with its state.
    _model_name = t.Unicode("AnyModel").tag(sync=True)
    _model_module = t.Unicode("anywidget").tag(sync=True)
    _model_module_version = t.Unicode(AnyWidget._model_module_version.default_value).tag(sync=True)
    _esm = t.Unicode("export default {}").tag(sync=True)

    name = t.Unicode("", help="title, such as `Integrated Gradients`").tag(sync=True)
    method = t.Unicode("", help="the registry's name of the method").tag(sync=True)
    kind = t.Enum(["heat", "region"], "heat", help="`region`: one value per region, hard edges").tag(
        sync=True
    )
    shape = t.Tuple(t.Int(), t.Int(), default_value=(0, 0), help="(H, W) of the map").tag(sync=True)
    dtype = t.Enum(["u1", "u2", "f4"], "u2", help="how `data` is written").tag(sync=True)
    data = t.Bytes(b"", help="the map, row by row, little-endian").tag(sync=True)
    vmin = t.Float(0.0, help="value of step 0").tag(sync=True)
    vmax = t.Float(0.0, help="value of the last step").tag(sync=True)
    unit = t.Unicode("logit", help="unit of the values; `of max`: read as share of the maximum").tag(
        sync=True
    )
    signed = t.Bool(True, help="whether values below zero mean something").tag(sync=True)
    limits = t.Tuple(t.Float(), t.Float(), default_value=(-1.0, 1.0), help="ends of the scale as the method says").tag(
        sync=True
    )
    fixed = t.Tuple(t.Float(), t.Float(), default_value=None, allow_none=True, help="ends set by hand, or None").tag(
        sync=True
    )
    shared = t.Bool(False, help="visible layers of one unit that share take the widest limits").tag(sync=True)
    words = t.List(t.Unicode(), help="what a positive and a negative value mean").tag(sync=True)
    regions = t.Dict(help="kind `region`: label map {shape, dtype, data}").tag(sync=True)
    region_names = t.Dict(help="names by number, of the regions that have one").tag(sync=True)
    region_word = t.Unicode("drop", help="kind `region`: what a region's value is, said after its name").tag(sync=True)
    before = t.Float(None, allow_none=True, help="kind `region`: probability of the whole picture").tag(
        sync=True
    )
    after = t.List(t.Float(), help="kind `region`: probability without region i").tag(sync=True)

    opacity = t.Float(0.6, min=0.0, max=1.0, help="0 … 1").tag(sync=True)
    threshold = t.Float(FLOORS["signed"], min=0.0, max=1.0, help="share of the limit; below: clear").tag(
        sync=True
    )
    mass = t.Float(
        None, allow_none=True, min=0.0, max=1.0, help="show the largest values that hold this share of the mass, "
        "in place of `threshold`; None: `threshold` counts"
    ).tag(sync=True)
    view = t.Enum(["", *VIEWS], "", help="preset of `SaliencyMap.heatmap`; empty: the method's own").tag(sync=True)
    sign = t.Enum(["both", "positive", "negative", "absolute"], "both", help="which values show").tag(
        sync=True
    )
    cmap = t.Enum(COLORMAPS, "signed", help="name of the colour map").tag(sync=True)
    cmap_index = t.Int(0, help="the same as an index into `COLORMAPS`; what the browser reads").tag(sync=True)
    mode = t.Enum(["fill", "contour"], "fill", help="`contour`: a line at half the maximum").tag(sync=True)
    contour = t.Bool(False, help="`mode == 'contour'`; what the browser reads").tag(sync=True)
    blend = t.Enum(BLENDS, "auto", help="how it lies over the rest; `auto`: unsigned in hard light").tag(sync=True)
    order = t.Int(0, help="0 is the uppermost layer").tag(sync=True)
    visible = t.Bool(True, help="shown, unless another layer is `solo`").tag(sync=True)
    solo = t.Bool(False, help="only this layer shows").tag(sync=True)
    selected = t.Bool(False, help="legend and tag speak of it, not of the uppermost one").tag(sync=True)
    pinned = t.Bool(False, help="kept while another map is explored").tag(sync=True)
    follow = t.Bool(False, help="pinned: computed anew for every class that is chosen").tag(sync=True)
    empty = t.Bool(True, help="there is no map: neither drawn nor listed").tag(sync=True)
    stale = t.Bool(False, help="a newer map is being computed: shown at 35 % of its opacity").tag(sync=True)
    seq = t.Int(0, help="number of the map; grows with each `show`").tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        # One lock for both: the gate reads the traits while it decides, `show` writes them and then asks it.
        self._frame_lock = threading.RLock()
        self._composing = False
        self._gate = FrameGate(self._send_frame, lock=self._frame_lock)
        super().__init__(**kwargs)

    def show(
        self,
        heatmap: np.ndarray,
        *,
        name: str,
        method: str = "",
        unit: str = "logit",
        signed: bool = True,
        words: tuple[str, ...] | list[str] = (),
        limits: tuple[float, float] | None = None,
        kind: str | None = None,
        regions: np.ndarray | None = None,
        region_word: str = "drop",
        before: float | None = None,
        after: Any = (),
    ) -> None:
        """Replaces the map by `heatmap` (H, W), in one message; the old one is no longer stale.

        words: what positive and negative values mean ("raises cat", "lowers cat"); for an unsigned map one
        phrase ("evidence for cat"). regions: label map (H, W) of a map with one value per region, `region_word` what
        that value is, `before` and `after` the target's probability with all regions and without each. ValueError
        for a wrong rank.
        """
        values = np.asarray(heatmap)
        if values.ndim != 2 or not values.size:
            raise ValueError(
                f"a heat layer shows an array (H, W), not shape {values.shape}: reduce channels first"
            )
        kind = kind or ("region" if regions is not None else "heat")
        dtype, data, vmin, vmax = encode(values)
        limits = tuple(map(float, limits)) if limits is not None else default_limits(values, signed, kind)
        with self._frame_lock:
            floor, was = _floor(signed, kind), _floor(self.signed, self.kind)
            self._composing = True
            try:
                self.set_trait("shape", values.shape)
                self.set_trait("dtype", dtype)
                self.set_trait("data", data)
                self.vmin, self.vmax, self.limits = vmin, vmax, limits
                self.name, self.unit, self.signed, self.kind = name, unit, bool(signed), kind
                self.method, self.empty = method, False
                self.words = [str(word) for word in words]
                self.regions = label_map(regions) if regions is not None else {}
                self.region_word = region_word
                self.before = None if before is None else float(before)
                self.after = [float(p) for p in after]
                self.stale = False
                self.seq += 1
            finally:
                self._composing = False
            if self.threshold == was:  # untouched by hand: follow what the map is
                self.threshold = floor
            self._gate.offer()

    def leave(self) -> None:
        """Takes the map away until the next `show`; looks stay."""
        self.visible = self.solo = self.selected = False
        self.empty = True

    def __repr__(self) -> str:
        if self.empty:
            return "<HeatLayer, empty>"
        return f"<HeatLayer {self.name!r}, {' × '.join(map(str, self.shape))}{'' if self.visible else ', hidden'}>"

    def whole(self) -> threading.RLock:
        """Held, no other thread replaces the map: `with layer.whole(): …`."""
        return self._frame_lock

    def decode(self) -> np.ndarray:
        """The map as the browser reads it: (H, W) float64, within half a step of what was shown."""
        return decode(self.shape, self.dtype, self.data, self.vmin, self.vmax)

    def acknowledge(self, seq: int) -> None:
        """A view has painted map `seq`."""
        self._gate.acknowledge(seq)

    def close(self) -> None:
        """Closes the model; a map that waited is dropped."""
        self._gate.close()
        super().close()

    def send_state(self, key: Any = None) -> None:
        # The parts of a map that is being composed wait for the whole.
        if self._composing and isinstance(key, str) and key in FRAME:
            return
        super().send_state(key)

    def _send_frame(self) -> int:
        with self._frame_lock:
            if self.comm is not None:
                self.send_state(FRAME)
            return self.seq

    @t.observe("cmap")
    def _name_to_index(self, change: Any) -> None:
        self.cmap_index = COLORMAPS.index(change.new)

    @t.observe("cmap_index")
    def _index_to_name(self, change: Any) -> None:
        self.cmap = COLORMAPS[change.new]

    @t.validate("cmap_index")
    def _check_index(self, proposal: Any) -> int:
        if not 0 <= proposal.value < len(COLORMAPS):
            raise t.TraitError(f"cmap_index {proposal.value}: there are {len(COLORMAPS)} colour maps, from 0")
        return proposal.value

    @t.observe("mode")
    def _mode_to_flag(self, change: Any) -> None:
        self.contour = change.new == "contour"

    @t.observe("contour")
    def _flag_to_mode(self, change: Any) -> None:
        self.mode = "contour" if change.new else "fill"


@dataclass(frozen=True)
class Seen:
    """A layer as it is seen beside others: everything of `layer`, with the `limits` that hold in the end."""

    layer: HeatLayer
    limits: tuple[float, float]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)


def seen(layers: Iterable[HeatLayer]) -> list[Seen]:
    """The layers that show, as the browser resolves it: a solo hides the others, a shared scale is the widest one."""
    held = [layer for layer in layers if not layer.empty]
    alone = any(layer.solo for layer in held)
    visible = [layer for layer in held if (layer.solo if alone else layer.visible)]
    ends: dict[str, list[tuple[float, float]]] = {}
    for layer in visible:
        if layer.shared:
            ends.setdefault(comparable(layer), []).append(layer.fixed or layer.limits)
    widest = {key: (min(low for low, _ in both), max(high for _, high in both)) for key, both in ends.items()}
    return [Seen(layer, widest[comparable(layer)] if layer.shared else layer.fixed or layer.limits) for layer in visible]


def comparable(layer: HeatLayer) -> str:
    """What layers have in common whose values can be compared: the unit, and the method where that is a share."""
    return f"of max {layer.method}" if layer.unit == "of max" else layer.unit


def mass_cut(values: np.ndarray, share: float) -> float:
    """The smallest size in the smallest set of largest values that holds `share` (0..1) of the mass; as in the browser."""
    sizes = np.sort(np.abs(np.where(np.isfinite(values), values, 0.0)).ravel())[::-1]
    sums = np.cumsum(sizes)
    return float(sizes[np.searchsorted(sums, share * sums[-1])])


def _floor(signed: bool, kind: str) -> float:
    return FLOORS["region" if kind == "region" else "signed" if signed else "unsigned"]


def label_map(labels: np.ndarray) -> dict[str, Any]:
    """A label map (H, W) as the browser takes it: {shape, dtype "u2", data}. ValueError above 65,535 regions."""
    array = np.asarray(labels)
    if array.ndim != 2 or array.min() < 0 or array.max() > STEPS:
        raise ValueError(f"regions are an array (H, W) of numbers from 0 to {STEPS}, not shape {array.shape}")
    return {"shape": list(array.shape), "dtype": "u2", "data": array.astype("<u2").tobytes()}
