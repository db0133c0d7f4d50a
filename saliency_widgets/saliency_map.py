"""The result: raw signed values, what they mean, and how they may be viewed."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

REDUCTIONS = ("sum", "abs_sum", "abs_max")
SIGNS = ("both", "positive", "negative", "absolute")
# Presets that reproduce what users know from papers and libraries: (reduce, sign, clip percentile).
VIEWS: dict[str, tuple[str, str, float | None]] = {
    "signed": ("sum", "both", None),
    "simonyan": ("abs_max", "both", None),
    "pair": ("abs_sum", "both", 99.0),
    "shap": ("sum", "both", None),
    "cam": ("sum", "positive", None),
}


@dataclass(frozen=True, eq=False)
class SaliencyMap:
    """A saliency map with everything needed to read and to judge it.

    `values` are raw and signed, `(C, H, W)` in the input space or `(1, h, w)` at the method's own resolution, in
    float32 (float64 for a float64 model); nothing is clipped, rescaled or normalised. `unit` is that of one value.
    `warnings` are about this map, `caution` is what is known of every map of its method ("changes little when the model's
    weights are randomised"), empty where nothing is. `estimate` says which way pictures with changed regions went, and what
    that was estimated to save. `input_size` (H, W) is that of the model's input; where the session works on the photograph,
    `photo_size` is the photograph's, and `crop` (top, left, bottom, right) in its pixels is where these values lie in it, None
    for values of the whole photograph.
    """

    values: np.ndarray
    method: str
    title: str
    params: Mapping[str, Any]
    target: int | None
    label: str
    score: str
    unit: str
    signed: bool
    input_size: tuple[int, int]
    default_sign: str = "both"
    residual: float | None = None
    last_change: float | None = None
    standard_error: float | None = None
    coverage: str | None = None
    warnings: tuple[str, ...] = ()
    caution: str = ""
    evaluations: int = 0
    seconds: float = 0.0
    estimate: str = ""
    final: bool = True
    regions: np.ndarray | None = None
    region_scores: np.ndarray | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    photo_size: tuple[int, int] | None = None
    crop: tuple[float, float, float, float] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture that the map is shown on: the photograph's, or else the model's input's."""
        return self.photo_size or tuple(self.input_size)

    def heatmap(self, reduce: str = "sum", sign: str = "both", clip: float | None = None,
                size: tuple[int, int] | None = None, view: str | None = None) -> np.ndarray:
        """Reduce the channels, choose the sign, resize bilinearly and clip, in this order.

        A map that lies in a crop of the photograph is placed there, at the photograph's size, with zeros around it.
        `clip` is a percentile (0 to 100] of the absolute values; `size` is (H, W); `view` names a preset
        (signed, simonyan, pair, shap, cam) that sets the first three. Returns float32 `(H, W)`; ValueError for
        an unknown word.
        """
        if view is not None:
            if view not in VIEWS:
                raise ValueError(f"unknown view {view!r}: choose one of {', '.join(VIEWS)}")
            reduce, sign, clip = VIEWS[view]
        if reduce not in REDUCTIONS:
            raise ValueError(f"unknown reduce {reduce!r}: choose one of {', '.join(REDUCTIONS)}")
        if sign not in SIGNS:
            raise ValueError(f"unknown sign {sign!r}: choose one of {', '.join(SIGNS)}")
        if clip is not None and not 0 < clip <= 100:
            raise ValueError(f"clip is a percentile above 0 and up to 100, got {clip!r}")
        values = self.values.astype(np.float64)
        flat = {"sum": values.sum(0), "abs_sum": np.abs(values).sum(0), "abs_max": np.abs(values).max(0)}[reduce]
        flat = {"both": lambda v: v, "positive": lambda v: np.maximum(v, 0),
                "negative": lambda v: np.minimum(v, 0), "absolute": np.abs}[sign](flat)
        if size is not None and (len(tuple(size)) != 2 or min(size) < 1):
            raise ValueError(f"size is (height, width) in pixels, got {size!r}")
        if self.crop is not None:
            size = tuple(size or self.size)
            flat = placed(flat, size, tuple(edge * size[i % 2] / self.size[i % 2] for i, edge in enumerate(self.crop)))
        elif size is not None and tuple(size) != flat.shape:
            flat = upsample(flat, tuple(size))
        if clip is not None:
            limit = np.percentile(np.abs(flat), clip)
            flat = np.clip(flat, -limit, limit)
        return flat.astype(np.float32)

    @property
    def unplaced(self) -> SaliencyMap:
        """The same map by itself, as one of the model's input: without a place in the photograph."""
        return self if self.crop is None else replace(self, crop=None, photo_size=None)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.values.shape))
        judged = "" if self.residual is None else f", residual {100 * self.residual:+.1f} %"
        return f"<SaliencyMap {self.method} of {self.label!r}, {shape} {self.unit}{judged}>"

    def to_pil(self, size: tuple[int, int] | None = None, cmap: str | None = None, **view: Any):
        """Paint the map alone with a colour map, as a PIL picture of `size` (H, W), by default that of the picture.

        Signed maps are centred at zero. `cmap` is a name known to `saliency_widgets.colormaps`; the other
        keywords are those of `heatmap`.
        """
        from PIL import Image

        from .colormaps import table

        view.setdefault("sign", self.default_sign)
        heat = self.heatmap(size=size or self.size, **view)
        signed = bool((heat < 0).any()) or (self.signed and view["sign"] == "both")
        limit = float(np.abs(heat).max()) or 1.0
        share = (heat / limit + 1) / 2 if signed else heat / limit
        colours = table(cmap or ("signed" if signed else "magma"))
        return Image.fromarray(colours[np.clip(np.rint(share * 255), 0, 255).astype(np.uint8)])

    def save(self, path: str | Path, **view: Any) -> Path:
        """Write the map: `.npz` holds the raw values and what they mean, a picture suffix the painted map.

        Returns the path; ValueError for a suffix that is neither.
        """
        path = Path(path)
        if path.suffix == ".npz":
            facts = {"method": self.method, "target": -1 if self.target is None else self.target, "label": self.label,
                     "score": self.score, "unit": self.unit, "params": repr(dict(self.params)),
                     "residual": np.nan if self.residual is None else self.residual}
            regions = {} if self.regions is None else {"regions": self.regions, "region_scores": self.region_scores}
            if self.photo_size is not None:
                facts |= {"photo_size": self.photo_size, "crop": self.crop or (0.0, 0.0, *map(float, self.photo_size))}
            np.savez_compressed(path, values=self.values, **facts, **regions)
        elif path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
            self.to_pil(**view).save(path)
        else:
            raise ValueError(f"cannot tell what to write to {path.name!r}: end it in .npz, .png, .jpg or .webp")
        return path


def upsample(flat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize `(h, w)` bilinearly to `size` (H, W), pixel centres aligned as `align_corners=False`."""
    shrinking = size[0] < flat.shape[0] or size[1] < flat.shape[1]
    tensor = torch.from_numpy(np.ascontiguousarray(flat))[None, None]
    return F.interpolate(tensor, size=size, mode="bilinear", align_corners=False, antialias=shrinking)[0, 0].numpy()


def placed(flat: np.ndarray, size: tuple[int, int], crop: tuple[float, float, float, float]) -> np.ndarray:
    """Resize `(h, w)` bilinearly into a crop (top, left, bottom, right) of a picture of `size` (H, W), zeros around it.

    A crop on whole pixels has exactly what `upsample` gives for its size.
    """
    down, across = (_weights(flat.shape[axis], size[axis], crop[axis], crop[axis + 2]) for axis in (0, 1))
    return down @ flat @ across.T


def _weights(count: int, length: int, start: float, end: float) -> np.ndarray:
    """What each of `length` pixels takes of `count` values that lie from `start` to `end`: `(length, count)`."""
    middles = np.arange(length) + 0.5
    scale = count / (end - start)
    at = (middles - start) * scale
    weights = np.maximum(0, 1 - np.abs(at[:, None] - (np.arange(count) + 0.5)) / max(1.0, scale))
    weights *= ((middles > start) & (middles < end))[:, None]
    total = weights.sum(1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
