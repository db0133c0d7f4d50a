"""The Explorer on a whole photograph, without a browser: what is shown where, in which pixels."""
import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as T

from saliency_widgets import Explorer, methods
from saliency_widgets import regions as R
from saliency_widgets.painting import DIMMED
from saliency_widgets.widgets.edits import Edit
from saliency_widgets.widgets.layers import default_limits

from .explorers import LABELS, png
from .small import pixels, small, tensor

SIZE = (60, 90)
PHOTO = pixels(SIZE)
TRANSFORM = T.Compose([T.Resize(40), T.CenterCrop(32), T.ToTensor()])
CROP = (6, 21, 54, 69)  # 32 of 40 rows at 1.5 px each
MODEL = small()


@pytest.fixture
def ex():
    explorer = Explorer(MODEL, PHOTO, LABELS, preprocess=TRANSFORM, space="photo")
    assert explorer.wait()
    yield explorer
    explorer.close()


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def shown_by(picture):
    """The pixels of one small picture of a panel."""
    data = base64.b64decode(re.search(r"base64,([^\"]+)", picture.image.value)[1])
    return np.asarray(Image.open(io.BytesIO(data)))


def probabilities(picture):
    with torch.no_grad():
        return MODEL(TRANSFORM(Image.fromarray(picture))[None].double())[0].softmax(0).numpy()


def test_the_stage_shows_the_photograph_and_says_what_the_crop_removes(ex):
    canvas = ex.face.stage.canvas
    assert canvas.size == SIZE and np.array_equal(decoded(canvas.picture), PHOTO)
    assert canvas.crop == pytest.approx(CROP, abs=0.1)
    assert (ex.face.stage.overlay.height, ex.face.stage.overlay.width) == SIZE
    assert "crop removes 57 % of the photograph" in ex.face.status.text.value
    assert "43 % of it" in canvas.label and "outlined" in canvas.label


def test_a_map_of_the_input_lies_in_the_crop_with_its_own_scale(ex):
    layer, found = ex.face.layers[0], ex.maps["grad_cam"]
    assert layer.shape == SIZE
    np.testing.assert_allclose(layer.decode(), found.heatmap(sign="positive"), atol=1e-4 * layer.vmax)
    assert not layer.decode()[:5].any() and not layer.decode()[:, 71:].any()
    ex.method = "gradient"
    assert ex.wait()
    plain = Explorer(MODEL, PHOTO, LABELS, preprocess=TRANSFORM, method="gradient")
    assert plain.wait()
    assert ex.face.layers[0].limits == pytest.approx(plain.face.layers[0].limits)
    expected = default_limits(plain.maps["gradient"].heatmap(), True)
    assert ex.face.layers[0].limits == pytest.approx(expected)
    plain.close()


def test_every_method_shows_a_map_on_the_photograph(ex):
    for name, method in methods().items():
        for parameter, few in {"iterations": 4, "n": 250, "steps": 8}.items():
            if ex.params[name].has_trait(parameter):
                setattr(ex.params[name], parameter, few)
        ex.method = name
        assert ex.wait()
        if "attention" in name:
            continue
        assert ex.error == "" and ex.maps[name].final, name
        assert ex.face.layers[0].shape == ex.maps[name].size == SIZE, name
        assert (ex.maps[name].crop is None) == method.cuts, name


def test_panels_show_pictures_as_the_model_sees_them(ex):
    seen = ex.session.picture.seen
    assert seen.shape == (32, 32, 3)
    assert np.array_equal(decoded(ex.face.method.bodies["grad_cam"].film.picture), seen)
    ex.method = "integrated_gradients"
    assert ex.wait()
    body = ex.face.method.bodies["integrated_gradients"]
    body.plot.playhead.value = 100
    assert ex.wait()
    assert np.abs(shown_by(body.at)[..., :3].astype(int) - seen).max() <= 1
    assert shown_by(body.total).shape[:2] == (32, 32)


def test_an_edit_is_one_of_the_photograph_and_the_bars_are_a_plain_forward(ex):
    labels = R.grid(SIZE, 4, 6)
    ex.method, ex.params["leave_one_out"].regions = "leave_one_out", labels
    assert ex.wait() and np.array_equal(ex.regions.labels, labels)
    ex.session.stats.reset()
    ex._edit(Edit("toggle", np.array([[40.0, 25.0]], np.float32)))  # row 1, column 2 of the grid
    assert ex.wait() and ex.error == "" and set(ex.regions.off) == {8}
    off = labels == 8
    masked = np.where(off[..., None], 0, PHOTO).astype(np.uint8)
    found, expected = ex._found, probabilities(masked)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-8)
    assert ex.session.stats.forward_samples == 0, "leave-one-out has evaluated this region"
    assert np.array_equal(decoded(ex.face.stage.canvas.fill), np.zeros_like(PHOTO))
    body = ex.face.method.bodies["leave_one_out"]
    assert np.array_equal(shown_by(body.off)[..., 3] == 255, off), "what is off: of the photograph"
    x = TRANSFORM(Image.fromarray(masked)).permute(1, 2, 0).numpy()
    assert np.abs(shown_by(body.seen) - 255 * x).max() <= 0.51, "as the model sees it: prepared"
    ex._edit(Edit("rectangle", np.array([[30.0, 20.0], [50.0, 40.0]], np.float32)))
    assert ex.wait() and ex.error == "" and ex.session.stats.forward_samples <= 12


def test_drop_of_regions_in_code(ex):
    ex.method, ex.params["leave_one_out"].regions = "leave_one_out", R.grid(SIZE, 3, 3)
    assert ex.wait()
    off = np.isin(R.grid(SIZE, 3, 3), [3, 4])
    with torch.no_grad():
        masked = Image.fromarray(np.where(off[..., None], 0, PHOTO).astype(np.uint8))
        after = MODEL(TRANSFORM(masked)[None].double())[0, ex.target]
    assert ex.regions.drop(3, 4) == pytest.approx(ex.session.logits[ex.target] - float(after), abs=1e-8)


def test_inpainting_is_shown_on_the_stage(ex):
    from saliency_widgets.inpainting import inpainted

    labels = R.grid(SIZE, 4, 6)
    params = ex.params["leave_one_out"]
    ex.method, params.regions, params.fill = "leave_one_out", labels, "inpaint"
    assert ex.wait()
    ex._edit(Edit("toggle", np.array([[40.0, 25.0]], np.float32)))
    assert ex.wait() and ex.error == ""
    expected = np.rint(255 * inpainted(PHOTO / 255, labels == 8)).astype(np.uint8)
    assert np.array_equal(decoded(ex.face.stage.canvas.fill), expected)


def test_another_picture_another_crop(ex):
    ex.image = png(pixels((64, 64), seed=2))
    assert ex.wait() and ex.error == ""
    canvas = ex.face.stage.canvas
    assert canvas.size == (64, 64) and canvas.crop == pytest.approx((6.4, 6.4, 57.6, 57.6), abs=0.1)
    with pytest.raises(ValueError, match='space="input"'):
        ex.image = tensor()
    assert canvas.size == (64, 64)
    ex.refresh()
    assert ex.wait() and ex.error == "" and ex.face.layers[0].shape == (64, 64)


def test_where_everything_is_seen_nothing_is_outlined():
    squash = T.Compose([T.Resize((32, 32)), T.ToTensor()])
    explorer = Explorer(MODEL, PHOTO, preprocess=squash, space="photo")
    assert explorer.wait() and explorer.face.stage.canvas.crop == []
    assert "all of it is seen" in explorer.face.status.text.value
    explorer.close()
    explorer = Explorer(MODEL, PHOTO, preprocess=TRANSFORM)
    assert explorer.face.stage.canvas.crop == [] and explorer.face.stage.canvas.size == (32, 32)
    explorer.close()


def test_where_the_crop_is_unknown_the_first_map_is_one_that_cuts():
    mirrored = T.Compose([T.Resize((32, 32)), T.RandomHorizontalFlip(1.0), T.ToTensor()])
    explorer = Explorer(MODEL, PHOTO, preprocess=mirrored, space="photo")
    assert explorer.wait() and methods()[explorer.method].cuts and explorer.error == ""
    assert "unknown" in explorer.face.status.text.value and explorer.face.stage.canvas.crop == []
    explorer.method = "gradient"
    assert explorer.wait() and "mirrors" in explorer.error
    explorer.close()


def test_the_exports_are_of_the_photograph(ex, tmp_path):
    ex.maps["grad_cam"].values[:] = 0  # a map that hides nothing
    picture = np.asarray(Image.open(ex.save(tmp_path / "map.png")).convert("RGB"))
    scale = 896 // 90 + (896 % 90 > 45)
    assert picture.shape[1] == 90 * scale
    with np.load(ex.save(tmp_path / "maps.npz")) as kept:
        facts = json.loads(str(kept["facts"]))
        assert np.array_equal(kept["picture"], PHOTO) and np.array_equal(kept["seen"], ex.session.picture.seen)
        assert facts["space"] == "photo" and facts["crop"] == pytest.approx(CROP, abs=0.1)
    page = (ex.save(tmp_path / "page.html")).read_text()
    data = json.loads(re.search(r'id="sw-data">(.*?)</script>', page, re.S)[1])
    assert data["size"] == list(SIZE) and data["crop"] == pytest.approx(CROP, abs=0.1)
    assert data["film"]["crop"] == pytest.approx(CROP, abs=0.1)
    assert np.array_equal(decoded(base64.b64decode(data["film"]["seen"])), ex.session.picture.seen)
    assert "crop removes 57 % of the photograph" in page


def test_the_painted_picture_is_dimmed_outside_of_the_crop_and_outlined():
    from saliency_widgets.painting import Looks, compose

    grey = np.full((60, 90, 3), 200, np.uint8)
    painted = np.asarray(compose(grey, [], Looks(), (600, 900), CROP)).astype(int)
    assert (painted[300, 450] == 200).all() and (painted[10, 450] == round(200 * (1 - DIMMED))).all()
    assert (painted[300, 800] == round(200 * (1 - DIMMED))).all()
    for y, x in ((60, 450), (540, 450), (300, 210), (300, 690)):
        assert (painted[y - 1:y + 1, x - 1:x + 1] == 255).all(), "the line runs on the crop's edge"
    assert (np.asarray(compose(grey, [], Looks(), (600, 900))) == 200).all()
