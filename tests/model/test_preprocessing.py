"""Pictures of every kind become the model's input, what it saw can be shown, and what is wrong is said."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from saliency_widgets.model.preprocessing import PixelSpace, load_picture
from tests.small import pixels

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def photo(width=300, height=260, seed=0) -> Image.Image:
    return Image.fromarray(pixels((height, width), seed))


def plain(img, model=None, **keywords):
    return load_picture(img, model, preprocess=None, **keywords)


# What is given


def test_imagenet_is_assumed_and_said():
    picture = load_picture(photo())
    assert picture.x.shape == (1, 3, 224, 224) and picture.x.dtype == torch.float32
    assert (
        picture.assumed
        and picture.description == "crop 224, ImageNet mean/std"
        and picture.space == PixelSpace(MEAN, STD)
    )
    assert picture.shown.dtype == np.uint8 and picture.shown.shape == (224, 224, 3)
    assert np.array_equal(
        picture.shown,
        (picture.space.to_pixels(picture.x)[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy(),
    )


@pytest.mark.parametrize("size", [(300, 260), (224, 224), (257, 640), (30, 21)])
def test_our_pipeline_is_torchvisions(size):
    weights = pytest.importorskip("torchvision").models.ResNet18_Weights.IMAGENET1K_V1
    ours, theirs = load_picture(photo(*size)), load_picture(photo(*size), preprocess=weights.transforms())
    torch.testing.assert_close(ours.x, theirs.x, rtol=0, atol=1e-6)
    torch.testing.assert_close(theirs.x[0], weights.transforms()(photo(*size)), rtol=0, atol=0)
    assert np.array_equal(ours.shown, theirs.shown)
    assert not theirs.assumed and theirs.space == ours.space and theirs.description == ours.description
    torch.testing.assert_close(load_picture(photo(*size), preprocess=weights).x, theirs.x)


def transforms(version):
    tv = pytest.importorskip("torchvision.transforms" + (".v2" if version == 2 else ""))
    last = [tv.ToImage(), tv.ToDtype(torch.float32, scale=True)] if version == 2 else [tv.ToTensor()]
    return tv, last


@pytest.mark.parametrize("version", [1, 2])
def test_the_normalisation_step_is_found(version):
    tv, to_tensor = transforms(version)
    picture = load_picture(
        photo(),
        preprocess=tv.Compose([tv.Resize((50, 40)), tv.Compose([*to_tensor, tv.Normalize(MEAN, STD)])]),
    )
    assert (
        picture.x.shape == (1, 3, 50, 40) and picture.space == PixelSpace(MEAN, STD) and not picture.assumed
    )
    resized = np.asarray(photo().resize((40, 50), Image.Resampling.BILINEAR))
    assert np.abs(picture.shown.astype(int) - resized).max() <= 1
    bare = load_picture(photo(), preprocess=tv.Compose(to_tensor))
    assert bare.space == PixelSpace() and not bare.assumed and np.array_equal(bare.shown, np.asarray(photo()))


def test_statistics_for_pixels_up_to_255():
    def caffe(image):
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() - torch.tensor(caffe.mean).view(
            3, 1, 1
        )

    caffe.mean, caffe.std = (104.0, 117.0, 123.0), (1.0, 1.0, 1.0)
    picture = load_picture(photo(), preprocess=caffe)
    assert np.array_equal(picture.shown, np.asarray(photo()))
    assert picture.space.mean == pytest.approx((104 / 255, 117 / 255, 123 / 255)) and picture.space.std[
        0
    ] == pytest.approx(1 / 255)


def test_the_models_own_preprocessing():
    def own(image):
        return torch.from_numpy(np.array(image.resize((20, 20)))).permute(2, 0, 1) / 127.5 - 1

    own.mean, own.std, own.description = (0.5,) * 3, (0.5,) * 3, "squeezed to 20"
    model = nn.Sequential(nn.Conv2d(3, 1, 1))
    model.preprocess = own
    for wrapped in (model, torch.compile(model), nn.DataParallel(model)):
        picture = load_picture(photo(), wrapped)
        assert (
            picture.description == "squeezed to 20"
            and not picture.assumed
            and picture.x.shape == (1, 3, 20, 20)
        )
    assert np.array_equal(picture.shown, np.asarray(photo().resize((20, 20))))
    other = load_picture(photo(), model, mean=0.4, std=0.5)
    assert (
        other.space == PixelSpace((0.4,) * 3, (0.5,) * 3)
        and torch.equal(other.x, picture.x)
        and other.content != picture.content
    )


CFG = {
    "input_size": (3, 96, 96),
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.3, 0.4),
    "crop_pct": 0.875,
    "interpolation": "bicubic",
}


@pytest.mark.parametrize("wrap", [dict, lambda cfg: SimpleNamespace(**cfg)])
def test_timms_configuration(wrap):
    tv, to_tensor = transforms(1)
    model = nn.Identity()
    model.pretrained_cfg = wrap(CFG)
    picture = load_picture(photo(), model)
    steps = [
        tv.Resize(109, tv.InterpolationMode.BICUBIC),
        tv.CenterCrop(96),
        *to_tensor,
        tv.Normalize(CFG["mean"], CFG["std"]),
    ]
    torch.testing.assert_close(picture.x[0], tv.Compose(steps)(photo()), rtol=0, atol=1e-6)
    assert (
        not picture.assumed
        and picture.space == PixelSpace(CFG["mean"], CFG["std"])
        and picture.description.startswith("crop 96")
    )


def test_timms_other_crops():
    model = nn.Identity()
    model.pretrained_cfg = CFG | {"crop_mode": "squash", "crop_pct": 1.0}
    assert np.array_equal(
        load_picture(photo(), model).shown, np.asarray(photo().resize((96, 96), Image.Resampling.BICUBIC))
    )
    model.pretrained_cfg = CFG | {"input_size": (3, 64, 128)}
    assert load_picture(photo(), model).shown.shape == (64, 128, 3)
    for wrong in ({"crop_mode": "border"}, {"interpolation": "magic"}):
        model.pretrained_cfg = CFG | wrong
        with pytest.raises(ValueError, match="pretrained_cfg.*preprocess="):
            load_picture(photo(), model)


def test_preprocess_none_keeps_every_pixel():
    picture = plain(photo(31, 17))
    assert picture.x.shape == (1, 3, 17, 31) and not picture.assumed and picture.space == PixelSpace()
    assert np.array_equal(picture.shown, np.asarray(photo(31, 17)))
    normalised = plain(photo(31, 17), mean=MEAN, std=STD, dtype=torch.float64)
    torch.testing.assert_close(
        normalised.space.to_pixels(normalised.x), plain(photo(31, 17), dtype=torch.float64).x
    )
    assert np.array_equal(normalised.shown, picture.shown) and normalised.x.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes_and_the_inverse(dtype):
    picture = load_picture(photo(), dtype=dtype)
    assert picture.x.dtype == dtype and picture.shown.shape == (224, 224, 3)
    batch = picture.x.expand(4, -1, -1, -1)
    assert picture.space.to_pixels(batch).dtype == dtype
    torch.testing.assert_close(
        picture.space.to_input(picture.space.to_pixels(batch)), batch, rtol=3e-2, atol=3e-2
    )


@pytest.mark.parametrize("shape", [(3, 10, 12), (1, 3, 10, 12)])
def test_a_tensor_is_used_as_it_is(shape):
    x = torch.rand(shape, requires_grad=True)
    picture = load_picture(x, nn.Conv2d(3, 2, 3))
    assert torch.equal(picture.x, x.detach().view(1, 3, 10, 12)) and not picture.x.requires_grad
    assert not picture.assumed and picture.space == PixelSpace() and "pixels 0..1" in picture.description
    kept = picture.x.clone()
    x.data.zero_()
    assert torch.equal(picture.x, kept)


def test_a_normalised_tensor():
    x = PixelSpace(MEAN, STD).to_input(torch.rand(3, 8, 8, dtype=torch.float64))
    guessed = load_picture(x)
    assert guessed.assumed and guessed.space == PixelSpace(MEAN, STD) and "ImageNet" in guessed.description
    told = load_picture(x, mean=MEAN, std=STD)
    assert not told.assumed and np.array_equal(told.shown, guessed.shown)
    model = nn.Identity()
    model.pretrained_cfg = CFG
    assert load_picture(x, model).space == PixelSpace(CFG["mean"], CFG["std"])
    assert load_picture(torch.randn(5, 8, 8), model).space == PixelSpace()


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_channel_count(channels):
    picture = load_picture(torch.randn(channels, 9, 7))
    assert picture.x.shape == (1, channels, 9, 7) and picture.shown.shape == (9, 7, 3)
    assert (picture.shown[..., 0] == picture.shown[..., 2]).all()
    assert any("channels" in note for note in picture.notes) == (
        channels not in (1, 3)
    ) and picture.assumed == (channels == 1)


def test_content_names_what_the_model_receives():
    first, same, other = (load_picture(photo(seed=s)) for s in (0, 0, 1))
    assert first.content == same.content != other.content
    assert load_picture(photo(), dtype=torch.float64).content != first.content
    assert (
        load_picture(first.x, mean=MEAN, std=STD).content
        == first.content
        != load_picture(first.x, mean=0.5, std=0.5).content
    )


@pytest.mark.parametrize(
    "preprocess, error, words",
    [
        ("imagenet", ValueError, '"auto", None or a callable'),
        (3, TypeError, "callable"),
        (lambda image: image.nothing, ValueError, "failed on a PIL image.*nothing"),
        (lambda image: "no tensor", TypeError, "gave a str"),
        (lambda image: torch.zeros(2, 3, 4, 4), ValueError, "batch of 2"),
        (lambda image: torch.zeros(3), ValueError, r"\(C, H, W\)"),
        (lambda image: torch.zeros(3, 4, 4).int(), ValueError, "floating-point"),
        (lambda image: torch.full((3, 4, 4), torch.nan), ValueError, "NaN"),
    ],
)
def test_wrong_preprocessing(preprocess, error, words):
    with pytest.raises(error, match=words):
        load_picture(photo(), preprocess=preprocess)


@pytest.mark.parametrize(
    "keywords, error, words",
    [
        ({"mean": MEAN}, ValueError, "belong together"),
        ({"mean": (0.1, 0.2), "std": (0.1, 0.2)}, ValueError, "2 .* 3 channels"),
        ({"mean": MEAN, "std": 0}, ValueError, "above 0"),
        ({"mean": (123, 116, 103), "std": (58, 57, 57)}, ValueError, "divide.*255"),
        ({"mean": "dark", "std": "wide"}, TypeError, "a number"),
        ({"mean": (np.nan,), "std": 1}, ValueError, "finite"),
    ],
)
def test_wrong_statistics(keywords, error, words):
    with pytest.raises(error, match=words):
        load_picture(photo(), **keywords)


def test_other_results_of_a_callable():
    as_array = load_picture(
        photo(), preprocess=lambda image: np.asarray(image, np.float32).transpose(2, 0, 1) / 255
    )
    assert np.array_equal(as_array.shown, np.asarray(photo()))

    class Processor:  # as transformers' image processors
        image_mean, image_std = MEAN, STD

        def __call__(self, image):
            values = (np.asarray(image, np.float32) / 255 - MEAN) / STD
            return {"pixel_values": [values.transpose(2, 0, 1)]}

    picture = load_picture(photo(), preprocess=Processor())
    assert picture.space == PixelSpace(MEAN, STD) and np.array_equal(picture.shown, np.asarray(photo()))
    strange = load_picture(photo(), preprocess=lambda image: torch.randn(3, 8, 8) * 9)
    assert strange.assumed and any("clipped" in note for note in strange.notes)


def test_without_torchvision(tmp_path):
    """As on a machine where torchvision is missing or does not match torch."""
    path = tmp_path / "a.png"
    photo().save(path)
    code = f"""
import sys
sys.modules["torchvision"] = None
import torch
from saliency_widgets.model import clone, layers, outputs, version
from saliency_widgets.model.preprocessing import load_picture
assert load_picture({str(path)!r}).x.shape == (1, 3, 224, 224)
assert load_picture({str(path)!r}, preprocess=lambda im: torch.zeros(3, 4, 4)).shown.shape == (4, 4, 3)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
