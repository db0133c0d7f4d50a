"""Views of a map: order of operations, presets, files."""
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from saliency_widgets import Session
from saliency_widgets.saliency_map import SaliencyMap
from tests.small import small, tensor


@pytest.fixture
def made():
    values = np.random.default_rng(0).normal(size=(3, 6, 5))
    return SaliencyMap(values=values, method="gradient", title="Gradient", params={"a": 1}, target=2, label="cat", score="logit",
                       unit="logit", signed=True, input_size=(12, 10))


def test_reductions_and_signs(made):
    v = made.values
    np.testing.assert_allclose(made.heatmap(), v.sum(0), rtol=1e-6)
    np.testing.assert_allclose(made.heatmap("abs_sum"), np.abs(v).sum(0), rtol=1e-6)
    np.testing.assert_allclose(made.heatmap("abs_max"), np.abs(v).max(0), rtol=1e-6)
    np.testing.assert_allclose(made.heatmap(sign="positive"), np.maximum(v.sum(0), 0), rtol=1e-6)
    np.testing.assert_allclose(made.heatmap(sign="negative"), np.minimum(v.sum(0), 0), rtol=1e-6)
    np.testing.assert_allclose(made.heatmap(sign="absolute"), np.abs(v.sum(0)), rtol=1e-6)
    assert made.heatmap().dtype == np.float32


def test_the_sign_comes_before_the_resize_and_the_clip_last(made):
    flat = torch.from_numpy(np.maximum(made.values.sum(0), 0))[None, None]
    wanted = F.interpolate(flat, size=(12, 10), mode="bilinear", align_corners=False)[0, 0].numpy()
    got = made.heatmap(sign="positive", size=(12, 10), clip=90)
    np.testing.assert_allclose(got, np.clip(wanted, None, np.percentile(wanted, 90)), atol=1e-6)


def test_presets_are_the_views_they_name(made):
    np.testing.assert_array_equal(made.heatmap(view="simonyan"), made.heatmap("abs_max"))
    np.testing.assert_array_equal(made.heatmap(view="pair"), made.heatmap("abs_sum", clip=99))
    np.testing.assert_array_equal(made.heatmap(view="cam"), made.heatmap(sign="positive"))


@pytest.mark.parametrize("wrong", [{"reduce": "mean"}, {"sign": "plus"}, {"clip": 0}, {"view": "jet"}, {"size": (0, 4)}])
def test_wrong_words_are_named(made, wrong):
    with pytest.raises(ValueError):
        made.heatmap(**wrong)


def test_painting_centres_zero_and_keeps_the_size(made):
    zero = replace(made, values=np.zeros((1, 4, 4)))
    picture = np.asarray(zero.to_pil())
    assert picture.shape == (12, 10, 3) and (picture == picture[0, 0]).all() and picture[0, 0].min() > 225
    one = np.zeros((1, 2, 2))
    one[0, 0, 0], one[0, 1, 1] = 1, -1
    red, blue = (np.asarray(replace(made, values=one).to_pil(size=(2, 2)))[i, i].astype(int) for i in (0, 1))
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50


def test_saving_and_reading_back(made, tmp_path):
    data = np.load(made.save(tmp_path / "map.npz"))
    np.testing.assert_array_equal(data["values"], made.values)
    assert data["label"] == "cat" and data["target"] == 2 and "'a': 1" in str(data["params"])
    assert made.save(tmp_path / "map.png").stat().st_size > 100
    with pytest.raises(ValueError, match="map.txt"):
        made.save(tmp_path / "map.txt")


def test_the_dtype_follows_the_model():
    assert Session(small(), tensor()).map("gradient").values.dtype == np.float64
    assert Session(small().float(), tensor(dtype=torch.float32)).map("gradient").values.dtype == np.float32
