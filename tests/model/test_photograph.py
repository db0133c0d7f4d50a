"""The photograph before preprocessing: the crop that is measured, against what each transform is known to do."""
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torchvision import transforms as T
from torchvision.transforms import v2

from saliency_widgets.model.photograph import LONGEST, removed
from saliency_widgets.model.preprocessing import load_picture

from ..small import pixels

NORMALISE = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def crop_of(shape, resized, crop):
    """Where a centre crop of (h, w) of a photograph resized to (h, w) lies, in photograph pixels."""
    starts = [-((small - large) // 2) if small > large else round((large - small) / 2) for large, small in zip(resized, crop)]
    steps = [whole / large for whole, large in zip(shape, resized)]
    return (*(s * k for s, k in zip(starts, steps)), *((s + c) * k for s, c, k in zip(starts, crop, steps)))


def shorter(shape, length):
    """The size after the shorter side was made `length`, as torchvision rounds it."""
    short, long = sorted(shape)
    other = int(length * long / short)
    return (length, other) if shape[0] <= shape[1] else (other, length)


class Timm(nn.Module):
    """A model with timm's configuration."""

    pretrained_cfg = {"input_size": (3, 160, 160), "crop_pct": 0.8, "interpolation": "bicubic",
                      "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def whole(shape):
    return (0, 0, *shape)


CASES = {
    "torchvision": (T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor(), NORMALISE]),
                    lambda s: crop_of(s, shorter(s, 256), (224, 224))),
    "torchvision v2": (v2.Compose([v2.ToImage(), v2.Resize(96, antialias=True), v2.CenterCrop(64),
                                   v2.ToDtype(torch.float32, scale=True)]), lambda s: crop_of(s, shorter(s, 96), (64, 64))),
    "auto": ("auto", lambda s: crop_of(s, shorter(s, 256), (224, 224))),
    "none": (None, whole),
    "squashed": (T.Compose([T.Resize((100, 150)), T.ToTensor(), NORMALISE]), whole),
    "cropped alone": (T.Compose([T.CenterCrop(48), T.ToTensor()]), lambda s: crop_of(s, s, (48, 48))),
    "padded": (T.Compose([T.Resize(120), T.CenterCrop(200), T.ToTensor(), NORMALISE]),
               lambda s: crop_of(s, shorter(s, 120), (200, 200))),
    "grey": (T.Compose([T.Grayscale(), T.Resize(80), T.CenterCrop(64), T.ToTensor()]),
             lambda s: crop_of(s, shorter(s, 80), (64, 64))),
    "a corner": (lambda image: T.ToTensor()(image.crop((7, 11, 47, 51)).resize((90, 90))), lambda s: (11, 7, 51, 47)),
    "negative": (lambda image: 1 - T.ToTensor()(image.crop((5, 3, 55, 53))), lambda s: (3, 5, 53, 55)),
}


@pytest.mark.parametrize("shape", [(60, 90), (300, 451), (825, 1100), (90, 61)])
@pytest.mark.parametrize("name", CASES)
def test_the_crop_of_any_callable_is_found(name, shape):
    preprocess, expected = CASES[name]
    picture = load_picture(pixels(shape), preprocess=preprocess, photo=True)
    assert picture.photo.crop == pytest.approx(expected(shape), abs=0.15)
    assert picture.photo.size == shape and np.array_equal(picture.photo.pixels, pixels(shape))


def test_the_crop_of_a_model_with_a_configuration():
    picture = load_picture(pixels((300, 400)), Timm(), photo=True)
    assert picture.photo.crop == pytest.approx(crop_of((300, 400), shorter((300, 400), 200), (160, 160)), abs=0.1)


@pytest.mark.parametrize("preprocess, words", [
    (T.Compose([T.Resize(64), T.RandomHorizontalFlip(1.0), T.ToTensor()]), "mirrors"),
    (T.Compose([T.Resize(64), T.RandomVerticalFlip(1.0), T.ToTensor()]), "mirrors"),
    (T.Compose([T.RandomResizedCrop(48), T.ToTensor()]), "at random"),
    (T.Compose([T.Resize((64, 64)), T.ColorJitter(brightness=0.5), T.ToTensor()]), "at random"),
    (lambda image: T.ToTensor()(image.rotate(20).resize((64, 64))), "no plain"),
    (lambda image: T.ToTensor()(image.transpose(Image.Transpose.TRANSPOSE)), "no plain"),
    (lambda image: torch.full((3, 32, 32), 0.5), "no plain"),
    (lambda image: (lambda x: (x - x.mean()) / x.std())(T.ToTensor()(image)), "no plain"),
    (lambda image: T.ToTensor()(image.resize((64, 64))).flip(2) ** 3, "mirrors|no plain"),
])
def test_what_is_no_crop_is_told_and_not_guessed(preprocess, words):
    photo = load_picture(pixels((120, 160)), preprocess=preprocess, photo=True).photo
    assert photo.crop is None and photo.removed is None
    assert any(word in photo.unknown for word in words.split("|")) and photo.unknown in photo.note


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_the_unchanged_photograph_gives_the_same_input_to_the_bit(name, dtype):
    preprocess, shape = CASES[name][0], (70, 101)
    picture = load_picture(pixels(shape), preprocess=preprocess, photo=True, dtype=dtype)
    plain = load_picture(pixels(shape), preprocess=preprocess, dtype=dtype)
    assert torch.equal(picture.x, plain.x) and torch.equal(picture.photo.prepare(picture.photo.pixels), plain.x)
    assert np.array_equal(picture.seen, plain.shown) and np.array_equal(picture.shown, pixels(shape))
    assert picture.content != plain.content


def test_a_grey_model_and_a_transparent_picture():
    grey = nn.Conv2d(1, 2, 3)
    picture = load_picture(pixels((50, 70)), grey, preprocess=None, photo=True)
    assert picture.x.shape == (1, 1, 50, 70) and picture.shown.shape == (50, 70, 3)
    assert torch.equal(picture.photo.prepare(picture.shown), picture.x)
    assert torch.equal(picture.photo.prepare(pixels((50, 70))), picture.x), "a colour fill turns grey as the picture did"
    clear = Image.fromarray(np.dstack([pixels((50, 70)), np.full((50, 70), 0, np.uint8)]))
    assert (load_picture(clear, preprocess=None, photo=True, background="#0000ff").shown == (0, 0, 255)).all()


def test_a_large_photograph_is_worked_on_at_a_reduced_size_and_says_so():
    picture = load_picture(Image.new("RGB", (3 * LONGEST // 2, 500), "red"), preprocess="auto", photo=True)
    assert picture.photo.size == (333, LONGEST) and any("worked on at" in note for note in picture.notes)


def test_a_tensor_has_no_photograph():
    with pytest.raises(ValueError, match='space="input"'):
        load_picture(torch.rand(3, 8, 8), photo=True)


def test_nobodys_random_numbers_are_drawn():
    def preprocess(image):
        random.random(), np.random.rand()
        return T.ToTensor()(T.RandomCrop(20)(image))

    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    load_picture(pixels((40, 40)), preprocess=preprocess, photo=True)
    after = torch.rand(1).item(), np.random.rand(), random.random()
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    load_picture(pixels((40, 40)), preprocess=preprocess)
    assert after == (torch.rand(1).item(), np.random.rand(), random.random())


@settings(deadline=None)
@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.lists(st.integers(-20, 60), min_size=4, max_size=4))
def test_the_share_that_a_crop_removes_is_counted_in_pixels(size, edges):
    top, bottom = sorted(edges[:2])
    left, right = sorted(edges[2:])
    kept = np.zeros(size, bool)
    kept[max(0, top):max(0, bottom), max(0, left):max(0, right)] = True
    assert removed((top, left, bottom, right), size) == pytest.approx(1 - kept.mean())
