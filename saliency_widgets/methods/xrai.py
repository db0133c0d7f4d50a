"""XRAI: Integrated Gradients gathered over the picture's own regions, the densest first."""
from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import ndimage, sparse
from skimage.segmentation import felzenszwalb
from skimage.transform import resize

from ..engine.inputs import FILLS
from .integrated_gradients import evaluations, integrated_gradients
from .nesting import converted
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .registry import method

SCALES, SIGMA, SMALLEST, SIDE = (50, 100, 150, 250, 500, 1200), 0.8, 150, 224  # felzenszwalb's, on SIDE × SIDE pixels
DILATION = 5      # pixels by which each segment grows, so that it holds its edges
LEAST_PIXELS = 50  # a segment that adds fewer is left out
_PATH = {"alpha": (0.0, 1.0), "rule": "trapezoid", "multiply": True}


def _evaluations(context: Context, params: dict[str, Any]) -> int:
    return evaluations(context, {**_PATH, **params})


@method("xrai", title="XRAI", family="path", rank=3, cost="1 evaluation a step, and 1", gradients=True, evaluations=_evaluations,
        paper="Kapishnikov, Bolukbasi, Viégas, Terry: XRAI, arXiv 1906.02825",
        warning="sums Integrated Gradients, which multiply by the picture: it so shows through",
        parameters=(
            Parameter("steps", "int", 64, "intervals on the path of Integrated Gradients; doubling reuses every point",
                      minimum=1, maximum=1024, choices=(16, 32, 64, 128, 256)),
            Parameter("baseline", "fill", "black", "where the path starts; [\"black\", \"white\"] averages as the paper does",
                      choices=FILLS),
            Parameter("variant", "choice", "full", "full: every choice counts what is already taken; fast: sorted once",
                      choices=("full", "fast")),
            Parameter("channels", "choice", "sum", "how a pixel's channels make one number", choices=("sum", "max")),
            Parameter("seed", "int", 0, "which noise a noise baseline shows", minimum=0)))
def xrai(context: Context, *, steps: int, baseline: Any, variant: str, channels: str, seed: int) -> Iterator[Round | Draft]:
    """Mean Integrated Gradients of each region as it is taken, the densest first, `(1, H, W)` in score units a pixel.

    Regions come from several scales and overlap: each pixel belongs to the first that takes it (algorithm 1).
    `regions` numbers them in that order, `region_scores` holds their densities, and `details["regions_order"]` sorts
    them by density. With `channels="sum"` the map sums to what Integrated Gradients sums to, whose `residual` it bears.
    """
    pixels = context.inputs.picture.space.to_pixels(context.picture_tensor).cpu().double().numpy()

    def gathered(path: Draft) -> Draft:
        values = path.values.cpu().double().numpy()
        flat = values.sum(0) if channels == "sum" else values.max(0)
        found = _segments(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)).tobytes(), pixels.shape)
        regions, scores = (gather if variant == "full" else gather_fast)(flat.ravel(), found)
        regions = regions.reshape(flat.shape)
        return Draft(scores[regions][None], residual=path.residual if channels == "sum" else None, warnings=path.warnings,
                     regions=regions, region_scores=scores,
                     details={"regions_order": np.argsort(-scores, kind="stable"), "rise": path.details["rise"],
                              "segments": found.shape[0]})

    path = integrated_gradients(context, steps=steps, baseline=baseline, seed=seed, **_PATH)
    yield from converted(path, gathered)


@lru_cache(maxsize=4)
def _segments(content: bytes, shape: tuple[int, int, int]) -> sparse.csr_array:
    channels, height, width = shape
    return segments(np.frombuffer(content).reshape(height, width, channels))


def segments(pixels: np.ndarray) -> sparse.csr_array:
    """Over-segment a picture `(H, W, C)`: a boolean row `(H·W)` for each segment of each scale, grown by `DILATION`.

    The scales are meant for 224 × 224 pixels between −1 and 1, so that is what is segmented.
    """
    height, width, _ = pixels.shape
    span = float(np.ptp(pixels)) or 1.0
    small = resize((pixels - pixels.min()) / span * 2 - 1, (SIDE, SIDE), order=3, mode="constant", preserve_range=True,
                   anti_aliasing=True)
    index = np.arange(height * width).reshape(height, width)
    rows = []
    for scale in SCALES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of any count of channels other than three, which is meant
            labels = felzenszwalb(small, scale=scale, sigma=SIGMA, min_size=SMALLEST)
        labels = resize(labels, (height, width), order=0, preserve_range=True, mode="constant", anti_aliasing=False)
        labels = labels.astype(int)
        for label, box in enumerate(ndimage.find_objects(labels + 1)):
            if box is None:  # lost in the resizing
                continue
            around = tuple(slice(max(0, s.start - DILATION), s.stop + DILATION) for s in box)
            # A disk's dilation: no farther than its radius from the segment.
            near = ndimage.distance_transform_edt(labels[around] != label) <= DILATION
            rows.append(index[around][near])
    columns = np.concatenate(rows)
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return sparse.csr_array((np.ones(len(columns)), columns, starts), shape=(len(rows), height * width))


def gather(values: np.ndarray, segments: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Take segments one by one, always the one whose pixels not yet taken have the greatest mean of `values` `(H·W,)`.

    Returns the region of each pixel, numbered as they were taken, and each region's mean; what no segment takes is the
    last region. What a choice takes away is subtracted from the other segments, so each pixel is visited once a segment.
    """
    by_pixel = segments.tocsc()
    counts, sums = segments.sum(1), segments @ values
    regions, scores = np.full(len(values), -1), []
    while (usable := counts >= LEAST_PIXELS).any():
        best = int(np.argmax(np.where(usable, sums / np.maximum(counts, 1), -np.inf)))
        new = _untaken(segments, best, regions)
        scores.append(_take(new, values, regions, len(scores)))
        gone = by_pixel[:, new]
        counts, sums = counts - gone.sum(1), sums - gone @ values[new]
    return _rest(values, regions, scores)


def gather_fast(values: np.ndarray, segments: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """The same in one pass: segments in the order of their own mean, overlaps left out of the choice only."""
    order = np.argsort(-(segments @ values) / segments.sum(1), kind="stable")
    regions, scores = np.full(len(values), -1), []
    for segment in order:
        new = _untaken(segments, segment, regions)
        if len(new) >= LEAST_PIXELS:
            scores.append(_take(new, values, regions, len(scores)))
    return _rest(values, regions, scores)


def _untaken(segments: sparse.csr_array, row: int, regions: np.ndarray) -> np.ndarray:
    pixels = segments.indices[segments.indptr[row]:segments.indptr[row + 1]]
    return pixels[regions[pixels] < 0]


def _take(pixels: np.ndarray, values: np.ndarray, regions: np.ndarray, number: int) -> float:
    regions[pixels] = number
    return float(values[pixels].mean())


def _rest(values: np.ndarray, regions: np.ndarray, scores: list[float]) -> tuple[np.ndarray, np.ndarray]:
    left = np.flatnonzero(regions < 0)
    if len(left):
        scores = [*scores, _take(left, values, regions, len(scores))]
    return regions.astype(np.int32), np.array(scores)
