"""Regions go to files and come back, and other people's annotations are read."""
import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from saliency_widgets import regions as R
from saliency_widgets.editing import Regions
from saliency_widgets.region_files import run_lengths

SIZE = (12, 16)


@pytest.fixture
def edited():
    regions = Regions(R.grid(SIZE, 2, 2))
    number = regions.rectangle(3, 3, 9, 8, "ear ä")
    regions.name(0, "sky")
    regions.off = (number, 2)
    return regions


def same(a, b):
    return np.array_equal(a.labels, b.labels) and dict(a.names) == dict(b.names) and a.off == b.off


def test_coco_there_and_back(edited, tmp_path):
    data = json.loads(json.dumps(edited.to_coco()))
    assert [c["name"] for c in data["categories"]] == ["region", "ear ä", "sky"]
    assert sum(a["area"] for a in data["annotations"]) == 12 * 16
    assert data["annotations"][4]["bbox"] == [3, 3, 5, 6]
    other = Regions(R.grid(SIZE, 3, 3))
    other.from_coco(data)
    assert same(other, edited) and other.undoable == 1
    path = tmp_path / "regions.json"
    path.write_text(json.dumps(data), "utf-8")
    third = Regions(R.grid(SIZE, 3, 3))
    third.from_coco(path)
    assert same(third, edited)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_run_lengths_are_those_of_coco(seed):
    mask = np.random.default_rng(seed).random((5, 7)) < 0.5
    counts = run_lengths(mask)
    assert sum(counts) == 35
    assert np.array_equal(np.repeat(np.arange(len(counts)) % 2 == 1, counts), mask.ravel(order="F"))


def test_png_there_and_back(edited, tmp_path):
    path = edited.save_png(tmp_path / "regions.png")
    with Image.open(path) as image:
        assert image.mode.startswith("I;16") and np.array_equal(np.asarray(image), edited.labels)
    other = Regions(R.grid(SIZE, 3, 3))
    other.load_png(path)
    assert same(other, edited)
    Image.fromarray((np.asarray(edited.labels) * 40).astype(np.uint8)).save(tmp_path / "grey.png")
    other.load_png(tmp_path / "grey.png")
    assert np.array_equal(other.labels, edited.labels) and not other.names and not other.off


def test_overlapping_polygons_of_others():
    annotations = [{"image_id": 3, "category_id": 7, "segmentation": [[2, 2, 10, 2, 10, 10, 2, 10]]},
                   {"image_id": 3, "category_id": 7, "segmentation": [[6, 2, 14, 2, 14, 8, 6, 8], [0, 10, 2, 10, 2, 12, 0, 12]]}]
    regions = Regions(R.grid(SIZE, 2, 2))
    regions.from_coco({"annotations": annotations, "categories": [{"id": 7, "name": "cup"}]})
    assert dict(regions.names) == {1: "cup", 2: "cup 2"} and len(regions) == 3
    assert regions.mask("cup").sum() == 8 * 8 - 4 * 6 and regions.mask("cup 2").sum() == 8 * 6 + 4
    regions.from_coco([annotations[0]])
    assert len(regions) == 2 and regions.mask(1).sum() == 64


def test_compressed_run_lengths_ask_for_pycocotools(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    regions = Regions(R.grid(SIZE, 2, 2))
    with pytest.raises(ValueError, match="pycocotools"):
        regions.from_coco([{"segmentation": {"size": list(SIZE), "counts": "abc"}}])


@pytest.mark.parametrize("data, words", [
    ({}, "at least one"), ([], "at least one"), (7, "COCO regions are"), ([{"bbox": [0, 0, 2, 2]}], "boxes alone"),
    ([{"segmentation": {"size": [3, 3], "counts": [9]}}], "are of a picture of"),
    ([{"segmentation": {"size": [12, 16], "counts": [9]}}], "do not add up"),
    ([{"segmentation": {"size": [12, 16], "counts": [200, -8]}}], "do not add up"),
    ([{"image_id": 1}, {"image_id": 2}], "2 pictures")])
def test_what_is_no_annotation_is_refused_and_changes_nothing(data, words):
    regions = Regions(R.grid(SIZE, 2, 2))
    with pytest.raises(ValueError, match=words):
        regions.from_coco(data)
    assert regions.undoable == 0
    with pytest.raises(ValueError, match="no annotation is of picture 9"):
        regions.from_coco([{"image_id": 1}], image_id=9)


def test_pictures_that_are_no_label_map(tmp_path):
    regions = Regions(R.grid(SIZE, 2, 2))
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "colour.png")
    Image.new("L", (5, 5)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match="colours"):
        regions.load_png(tmp_path / "colour.png")
    with pytest.raises(ValueError, match="size"):
        regions.load_png(tmp_path / "small.png")
    assert regions.undoable == 0
