"""Edits of a label map: draw, paint, split, merge, remove, grow, shrink; pure functions on int arrays `(H, W)`.

Every one takes a partition (each pixel in one region) and returns a partition: what a region gives up goes to those beside
it. Numbers of regions that stay are kept; a new region gets the next free number, and one that is left without a pixel is
gone, so that its number may be missing until `regions.as_labels` closes the gaps.
"""
from __future__ import annotations

import numpy as np


def _region(labels: np.ndarray, region: int) -> np.ndarray:
    """The region's pixels, bool `(H, W)`; LookupError where it has none."""
    inside = labels == region
    if not inside.any():
        raise LookupError(f"there is no region {region}: the picture has {', '.join(map(str, _some(labels)))}")
    return inside


def _some(labels: np.ndarray) -> list:
    numbers = np.unique(labels).tolist()
    return numbers if len(numbers) <= 6 else [*numbers[:3], "…", *numbers[-2:]]


def _mask(mask: np.ndarray, labels: np.ndarray) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.shape != labels.shape:
        raise ValueError(f"a drawing must have the picture's size {labels.shape}, got shape {mask.shape}")
    if not (mask := mask.astype(bool)).any():
        raise ValueError("the drawing covers no pixel: draw a larger one")
    return mask


def draw(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Make the pixels of a mask one new region; regions it covers are gone. ValueError for a mask without pixels."""
    mask = _mask(mask, labels)
    return np.where(mask, labels.max() + 1, labels).astype(labels.dtype)


def paint(labels: np.ndarray, mask: np.ndarray, region: int) -> np.ndarray:
    """Give the pixels of a mask to a region that exists."""
    _region(labels, region)
    return np.where(_mask(mask, labels), region, labels).astype(labels.dtype)


def merge(labels: np.ndarray, regions: list[int]) -> np.ndarray:
    """Make several regions one, which keeps the first one's number; ValueError for fewer than two."""
    several = list(dict.fromkeys(regions))
    if len(several) < 2:
        raise ValueError("merging takes two regions or more: drag across both")
    for region in several:
        _region(labels, region)
    return np.where(np.isin(labels, several), several[0], labels).astype(labels.dtype)


def split(labels: np.ndarray, region: int, stroke: np.ndarray) -> np.ndarray:
    """Cut a region in two or more along a stroke, bool `(H, W)`; the largest part keeps the number.

    ValueError where the stroke does not cut it through.
    """
    from scipy.ndimage import label

    inside = _region(labels, region)
    parts, count = label(inside & ~_mask(stroke, labels))
    before = label(inside)[1]  # a region may lie in several pieces
    if count <= before:
        raise ValueError(f"the stroke does not cut region {region} through: draw it from edge to edge")
    sizes = np.bincount(parts.ravel())[1:]
    free, result = int(labels.max()) + 1, labels.copy()
    numbers = np.empty(count + 1, labels.dtype)
    order = np.argsort(-sizes, kind="stable")
    numbers[order + 1] = [region, *range(free, free + count - 1)]
    nearest = _nearest(parts > 0)
    result[inside] = numbers[parts[tuple(nearest)]][inside]
    return result


def split_evenly(labels: np.ndarray, region: int, picture: np.ndarray, count: int = 4) -> np.ndarray:
    """Cut a region into about `count` superpixels of the picture uint8 `(H, W, 3)` (SLIC on its pixels alone).

    ValueError where it has too few pixels, or looks too even, to be cut.
    """
    from skimage.segmentation import slic

    inside = _region(labels, region)
    count = min(count, int(inside.sum()))
    found = slic(picture, n_segments=count, compactness=10, mask=inside, start_label=1) if count > 1 else np.zeros(0)
    numbers = np.unique(found[inside]) if count > 1 else found
    if len(numbers) < 2:
        raise ValueError(f"region {region} cannot be cut finer: it has {int(inside.sum())} pixels")
    free = int(labels.max()) + 1
    result = labels.copy()
    for number, part in zip(range(free, free + len(numbers) - 1), numbers[1:]):
        result[inside & (found == part)] = number
    return result


def release(labels: np.ndarray, region: int, mask: np.ndarray) -> np.ndarray:
    """Let a region give up what a mask covers of it, to the nearest of the others; ValueError for the only region."""
    inside = _region(labels, region)
    if inside.all():
        raise ValueError("the only region has nobody to give pixels to: the picture is always cut into regions")
    return np.where(inside & _mask(mask, labels), labels[tuple(_nearest(~inside))], labels).astype(labels.dtype)


def remove(labels: np.ndarray, region: int) -> np.ndarray:
    """Give all of a region to the nearest of the others."""
    return release(labels, region, _region(labels, region))


def grow(labels: np.ndarray, region: int, pixels: int = 1) -> np.ndarray:
    """Let a region take what lies within `pixels` of it; regions that it covers are gone."""
    from scipy.ndimage import distance_transform_edt

    inside = _region(labels, region)
    return np.where(distance_transform_edt(~inside) <= pixels, region, labels).astype(labels.dtype)


def shrink(labels: np.ndarray, region: int, pixels: int = 1) -> np.ndarray:
    """Let a region give up what lies within `pixels` of the others; ValueError where nothing would be left."""
    from scipy.ndimage import distance_transform_edt

    inside = _region(labels, region)
    far = distance_transform_edt(inside)
    if not inside.all() and not (far > pixels).any():
        raise ValueError(f"region {region} is too small to lose {pixels} px all around: remove it instead")
    return release(labels, region, inside & (far <= pixels))


def _nearest(there: np.ndarray) -> np.ndarray:
    """For every pixel the place of the nearest one that is set: `(2, H, W)`."""
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~there, return_distances=False, return_indices=True)


def polygon(points: list[tuple[float, float]], size: tuple[int, int]) -> np.ndarray:
    """The pixels whose centres lie inside a closed line through points (x, y) in picture pixels: bool `(H, W)`."""
    from skimage.draw import polygon2mask

    if len(points) < 3:
        raise ValueError(f"a lasso needs three points or more, got {len(points)}: draw around the region")
    # Pixel (0, 0) has its centre at (0.5, 0.5).
    return polygon2mask(size, np.array([(y - 0.5, x - 0.5) for x, y in points], dtype=np.float64))


def disc_along(points: list[tuple[float, float]], radius: float, size: tuple[int, int]) -> np.ndarray:
    """The pixels within `radius` of a line through points (x, y), as a brush of that size paints: bool `(H, W)`."""
    from skimage.draw import line

    if not points:
        raise ValueError("a stroke needs a point: press and drag")
    ends = np.floor(np.array([*points[:1], *points])[:, ::-1]).astype(int)
    there = np.zeros(size, dtype=bool)
    for (top, left), (bottom, right) in zip(ends, ends[1:]):
        y, x = line(top, left, bottom, right)
        fits = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
        there[y[fits], x[fits]] = True
    if radius <= 0.5 or not there.any():
        return there
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~there) <= radius
