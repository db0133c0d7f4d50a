"""Regions in files that others read: COCO annotations, and label maps as 16-bit PNG with names in a text chunk."""
from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .regions import Cut, as_labels

UNNAMED = "region"            # the category of regions without a name
CHUNK = "saliency-widgets"    # the text chunk with names and switches, as JSON


def to_coco(cut: Cut) -> dict[str, Any]:
    """Regions as a COCO dict: an image, an annotation a region with uncompressed RLE, a category a name.

    What is off has `attributes: {"off": true}`, as CVAT writes flags.
    """
    height, width = cut.labels.shape
    names = sorted(set(cut.names.values()))
    ids = {name: i for i, name in enumerate([UNNAMED, *names], 1)}
    annotations = []
    for region in range(int(cut.labels.max()) + 1):
        mask = cut.labels == region
        y, x = np.nonzero(mask)
        box = [int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1]
        annotations.append({"id": region + 1, "image_id": 1, "category_id": ids[cut.names.get(region, UNNAMED)],
                            "segmentation": {"size": [height, width], "counts": run_lengths(mask)}, "area": int(mask.sum()),
                            "bbox": box, "iscrowd": 1, "attributes": {"off": region in cut.off}})
    return {"images": [{"id": 1, "width": width, "height": height}], "annotations": annotations,
            "categories": [{"id": i, "name": name} for name, i in ids.items()]}


def from_coco(data: Any, size: tuple[int, int], image_id: int | None = None) -> Cut:
    """Regions from a COCO dict, its JSON file, or a list of annotations; what none covers is one more region.

    Where annotations overlap the later one lies above; one that is covered whole is gone. RLE and polygons are read,
    compressed RLE through pycocotools. ValueError for what is no such thing or another size, and for several pictures
    without `image_id`.
    """
    if isinstance(data, (str, Path)):
        data = json.loads(Path(data).read_text("utf-8"))
    annotations = data.get("annotations") if isinstance(data, Mapping) else data
    if not isinstance(annotations, (list, tuple)) or not annotations:
        raise ValueError("COCO regions are a dict with annotations, its JSON file, or a list of annotations, at least one")
    pictures = {a.get("image_id") for a in annotations}
    if image_id is None and len(pictures) > 1:
        raise ValueError(f"the annotations are of {len(pictures)} pictures: say which one with image_id=")
    chosen = [a for a in annotations if image_id is None or a.get("image_id") == image_id]
    if not chosen:
        raise ValueError(f"no annotation is of picture {image_id!r}: there are {', '.join(map(repr, sorted(pictures, key=str)))}")
    categories = {c["id"]: str(c["name"]) for c in data.get("categories", ())} if isinstance(data, Mapping) else {}
    labels = np.zeros(size, np.int32)
    for number, annotation in enumerate(chosen, 1):
        labels[_mask(annotation.get("segmentation"), size)] = number
    present = np.unique(labels)
    names: dict[int, str] = {}
    off = set()
    for region, number in enumerate(present.tolist()):
        if number == 0:
            continue
        annotation = chosen[number - 1]
        name = categories.get(annotation.get("category_id"), UNNAMED)
        if name != UNNAMED:
            names[region] = _free(name, names)
        if (annotation.get("attributes") or {}).get("off") is True:
            off.add(region)
    return Cut(as_labels(labels, size), names, frozenset(off))


def _free(name: str, names: Mapping[int, str]) -> str:
    """The name, or, where another region has it, the name with a number."""
    taken, number, free = set(names.values()), 2, name
    while free in taken:
        free, number = f"{name} {number}", number + 1
    return free


def run_lengths(mask: np.ndarray) -> list[int]:
    """Lengths of runs of a mask bool `(H, W)`, column by column, zeros first: COCO's uncompressed RLE."""
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate(([0], ends, [flat.size]))).tolist()
    return [0, *lengths] if flat[0] else lengths


def _mask(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """The pixels bool `(H, W)` of a COCO segmentation: polygons, or RLE."""
    if isinstance(segmentation, (list, tuple)) and segmentation:
        from .drawing import polygon

        polygons = [np.asarray(p, np.float64).reshape(-1, 2) for p in segmentation]
        return np.any([polygon([tuple(point) for point in p], size) for p in polygons], axis=0)
    if not isinstance(segmentation, Mapping) or "counts" not in segmentation:
        raise ValueError("an annotation has no segmentation of polygons or run lengths: boxes alone are no regions")
    if tuple(segmentation.get("size", ())) != tuple(size):
        raise ValueError(f"the run lengths are of a picture of {tuple(segmentation.get('size', ()))}, this one is {tuple(size)}")
    counts = segmentation["counts"]
    if isinstance(counts, (str, bytes)):
        return _decompressed(segmentation)
    lengths = np.asarray(counts, np.int64)
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        raise ValueError(f"the run lengths do not add up to the picture's {size[0] * size[1]:,} pixels")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size, order="F")


def _decompressed(segmentation: Mapping[str, Any]) -> np.ndarray:
    try:
        from pycocotools import mask
    except ImportError:
        raise ValueError("compressed run lengths need pycocotools: pip install pycocotools, or export them "
                         "uncompressed") from None
    counts = segmentation["counts"]
    counts = counts.encode() if isinstance(counts, str) else counts
    return mask.decode({"size": list(segmentation["size"]), "counts": counts}).astype(bool)


def to_png(cut: Cut) -> bytes:
    """The label map as a 16-bit grey PNG, with names and switches in a text chunk."""
    about, file = PngInfo(), BytesIO()
    names = {str(region): name for region, name in cut.names.items()}
    about.add_itxt(CHUNK, json.dumps({"names": names, "off": sorted(cut.off)}, ensure_ascii=False))
    Image.fromarray(cut.labels.astype(np.uint16)).save(file, "PNG", pnginfo=about)
    return file.getvalue()


def save_png(cut: Cut, path: str | Path) -> Path:
    """Write the label map as a 16-bit grey PNG, with names and switches in a text chunk; returns the path."""
    Path(path).write_bytes(to_png(cut))
    return Path(path)


def load_png(path: str | Path | BytesIO, size: tuple[int, int]) -> Cut:
    """Read a label map from a grey or palette picture; names and switches come along where `save_png` wrote it.

    ValueError for another size, colours, or what is no picture.
    """
    with Image.open(path if isinstance(path, BytesIO) else Path(path)) as image:
        if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B", "I;16L"):
            raise ValueError(f"a label map is a grey or palette picture of numbers, this one has colours (mode {image.mode})")
        image.load()
        numbers, text = np.asarray(image), getattr(image, "text", {}).get(CHUNK)
    labels = as_labels(numbers, size)
    if text is None:
        return Cut(labels)
    about, present = json.loads(text), np.unique(numbers).tolist()
    moved = {str(number): region for region, number in enumerate(present)}
    names = {moved[n]: str(name) for n, name in about.get("names", {}).items() if n in moved}
    return Cut(labels, names, frozenset(moved[str(n)] for n in about.get("off", ()) if str(n) in moved))
