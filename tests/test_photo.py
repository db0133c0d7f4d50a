"""The whole photograph: every cut against a plain loop that fills its pixels, calls the user's transform and then the model."""
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter
from torchvision import transforms as T

import saliency_widgets as sw
from saliency_widgets import metrics
from saliency_widgets import regions as R
from saliency_widgets.inpainting import inpainted
from saliency_widgets.kernels.reference import uniform
from saliency_widgets.saliency_map import placed, upsample

from .small import pixels, small, tensor

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SIZE = (60, 90)
PHOTO = pixels(SIZE)
TRANSFORM = T.Compose([T.Resize(40), T.CenterCrop(32), T.ToTensor(), T.Normalize([0.5, 0.4, 0.45], [0.2, 0.25, 0.3])])
MODEL = small()
LABELS = R.grid(SIZE, 4, 6)
OTHER = Image.fromarray(pixels((20, 20), seed=5))


def noise(seed):
    return torch.round(255 * uniform(seed, 0, 3 * SIZE[0] * SIZE[1]).view(3, *SIZE)).byte().movedim(0, 2).numpy()


FILLS = {
    "black": ({"fill": "black"}, np.zeros_like(PHOTO)),
    "white": ({"fill": "white"}, np.full_like(PHOTO, 255)),
    "number": ({"fill": 0.3}, np.full_like(PHOTO, round(0.3 * 255))),
    "mean": ({"fill": "mean"}, np.broadcast_to(np.rint(PHOTO.mean((0, 1))).astype(np.uint8), PHOTO.shape)),
    "blur": ({"fill": "blur"}, np.rint(gaussian_filter(PHOTO.astype(float), (10, 10, 0), mode="reflect")).astype(np.uint8)),
    "noise": ({"fill": "noise", "seed": 3}, noise(3)),
    "picture": ({"fill": OTHER}, np.asarray(OTHER.resize(SIZE[::-1], Image.Resampling.BICUBIC))),
    "array": ({"fill": pixels(SIZE, seed=9)}, pixels(SIZE, seed=9)),
}


def logits(picture):
    """What the user's own pipeline says of a photograph."""
    with torch.no_grad():
        return MODEL(TRANSFORM(Image.fromarray(picture))[None].double())[0].numpy()


def cut(off, fill):
    return logits(np.where(off[..., None], fill, PHOTO))


@pytest.fixture
def session():
    return sw.Session(MODEL, PHOTO, preprocess=TRANSFORM, space="photo")


@pytest.fixture
def inputs_session():
    return sw.Session(MODEL, PHOTO, preprocess=TRANSFORM)


def test_the_picture_is_the_same_to_the_model(session, inputs_session):
    assert np.array_equal(session.logits, inputs_session.logits)
    assert session.inputs.size == SIZE and np.array_equal(session.picture.shown, PHOTO)
    assert np.array_equal(np.asarray(session.image), np.asarray(inputs_session.image)), "the picture as the model saw it"
    assert "crop removes 57 % of the photograph" in session.notes[0]  # 48 × 48 of 60 × 90: 1 − 0.4267


@pytest.mark.parametrize("name", FILLS)
def test_leave_one_out_is_a_plain_loop(session, name):
    params, fill = FILLS[name]
    found = session.map("leave_one_out", regions=LABELS, **params)
    drops = [session.logits[session.target] - cut(LABELS == r, fill)[session.target] for r in range(24)]
    np.testing.assert_allclose(found.region_scores, drops, atol=1e-8)
    np.testing.assert_allclose(found.values[0], np.array(drops)[LABELS], atol=1e-8)
    assert found.values.shape == (1, *SIZE) == (1, *found.size) and found.crop is None
    assert found.heatmap().shape == SIZE and found.heatmap() == pytest.approx(found.values[0])
    assert session.stats.masked_samples > 0 or "full forwards" in found.estimate


@pytest.mark.parametrize("name", ["inpaint", *FILLS])
def test_without_is_a_plain_forward(session, name):
    off = np.isin(LABELS, [8, 9])
    params, fill = FILLS[name] if name != "inpaint" else (
        {"fill": name}, np.rint(255 * inpainted(PHOTO / 255, off)).astype(np.uint8))
    found = session.without(LABELS, [8, 9], **params)
    masked = np.where(off[..., None], fill, PHOTO)
    np.testing.assert_allclose(found.logits, logits(masked), atol=1e-8)
    assert np.array_equal(found.picture, masked) and np.array_equal(found.off, off)
    seen = (TRANSFORM.transforms[-1].std, TRANSFORM.transforms[-1].mean)
    x = TRANSFORM(Image.fromarray(masked)) * torch.tensor(seen[0]).view(3, 1, 1) + torch.tensor(seen[1]).view(3, 1, 1)
    np.testing.assert_allclose(found.seen, 255 * x.permute(1, 2, 0).numpy(), atol=0.51)


def test_occlusion_is_a_plain_loop_over_windows_of_the_photograph(session):
    found = session.map("occlusion", window=30, stride=15, fill="mean")
    total, cover = np.zeros((2, *SIZE))
    for top in range(0, 31, 15):
        for left in range(0, 61, 15):
            off = np.zeros(SIZE, bool)
            off[top:top + 30, left:left + 30] = True
            total[off] += session.logits[session.target] - cut(off, FILLS["mean"][1])[session.target]
            cover[off] += 1
    np.testing.assert_allclose(found.values[0], total / cover, atol=1e-8)


@pytest.mark.parametrize("name", ["lime", "kernel_shap"])
def test_coalitions_are_fitted_to_photographs(session, name):
    labels = R.grid(SIZE, 1, 3)
    scores = {}
    for number in range(8):
        shown = np.array([number >> r & 1 for r in range(3)], bool)
        scores[tuple(shown)] = cut(~shown[labels], FILLS["mean"][1])[session.target]
    if name == "kernel_shap":  # Shapley's own formula, over all orders
        from itertools import permutations

        expected = np.zeros(3)
        for order in permutations(range(3)):
            shown = np.zeros(3, bool)
            for region in order:
                before = scores[tuple(shown)]
                shown[region] = True
                expected[region] += (scores[tuple(shown)] - before) / 6
        found = session.map(name, regions=labels, n=100)
        np.testing.assert_allclose(found.region_scores, expected, atol=1e-8)
        assert found.details["bare"] == pytest.approx(scores[False, False, False], abs=1e-8)
    else:
        from sklearn.linear_model import Ridge

        found = session.map(name, regions=labels, n=40)
        from saliency_widgets.methods.lime import kernel

        draws = uniform(0, 1, 40 * 3).view(40, 3).numpy() < 0.5
        draws[0] = True
        fit = Ridge(alpha=1.0).fit(draws, [scores[tuple(row)] for row in draws], sample_weight=kernel(draws, 0.25))
        np.testing.assert_allclose(found.region_scores, fit.coef_, atol=1e-8)


@pytest.mark.parametrize("name", ["interactions", "greedy_order"])
def test_other_methods_that_cut_are_of_the_photograph(session, name):
    if name not in sw.methods():
        pytest.skip("not there")
    found = session.map(name, regions=R.grid(SIZE, 2, 3))
    assert found.values.shape == (1, *SIZE) and found.crop is None


@pytest.mark.parametrize("name, params", [("grad_cam", {"layer": "conv2"}), ("gradient", {}), ("rise", {"n": 40}),
                                          ("integrated_gradients", {"steps": 8}), ("xrai", {"steps": 8})])
def test_maps_of_the_input_are_those_of_input_space_and_lie_in_the_crop(session, inputs_session, name, params):
    found, plain = session.map(name, **params), inputs_session.map(name, **params)
    np.testing.assert_allclose(found.values, plain.values, atol=1e-12)
    assert found.input_size == (32, 32) and found.size == SIZE and plain.size == (32, 32)
    top, left, bottom, right = 6, 21, 54, 69  # 32 of 40 rows at 1.5 px each, and the same columns of 60
    assert found.crop == pytest.approx((top, left, bottom, right), abs=0.1)
    heat, expected = found.heatmap(), np.zeros(SIZE)
    expected[top:bottom, left:right] = upsample(plain.values.astype(float).sum(0), (48, 48))
    assert heat.shape == SIZE and not heat[:top - 1].any() and not heat[bottom + 1:].any() and not heat[:, :left - 1].any()
    inside = np.s_[top + 1:bottom - 1, left + 1:right - 1]
    scale = np.abs(expected).max()
    assert np.abs(heat - expected)[inside].max() < 0.03 * scale, "the measured crop is off by less than 0.1 pixels"
    half = found.heatmap(size=(30, 45))
    assert half.shape == (30, 45) and not half[:2].any() and half[5:25, 13:32].any()
    assert found.to_pil().size == SIZE[::-1]


@settings(deadline=None, max_examples=60)
@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.tuples(st.integers(2, 24), st.integers(2, 24)),
       st.tuples(st.integers(0, 7), st.integers(0, 7)), st.integers(0, 99))
def test_a_crop_on_whole_pixels_is_the_map_at_its_size(shape, inner, start, seed):
    flat = np.random.default_rng(seed).standard_normal(shape)
    size = (start[0] + inner[0] + 3, start[1] + inner[1] + 2)
    expected = np.zeros(size)
    expected[start[0]:start[0] + inner[0], start[1]:start[1] + inner[1]] = upsample(flat, inner)
    np.testing.assert_allclose(placed(flat, size, (*start, start[0] + inner[0], start[1] + inner[1])), expected, atol=1e-9)


def test_another_class_and_an_edit_cost_what_they_must(session):
    session.map("leave_one_out", regions=LABELS)
    session.stats.reset()
    session.map("leave_one_out", regions=LABELS, target=1)
    assert session.stats.forward_samples == 0
    edited = LABELS.copy()
    edited[0, :8] = 1  # a row of region 0 goes to region 1: both are new
    session.map("leave_one_out", regions=edited)
    assert session.stats.forward_samples == 2
    session.stats.reset()
    session.without(LABELS, [3])
    session.without(LABELS, [3, 4])
    session.without(LABELS, [4, 3], target=2)
    assert session.stats.forward_samples == 1


def test_the_same_regions_of_photograph_and_input_are_not_mistaken(session):
    """A photograph of the model's own size: names alone must tell what is cut before preprocessing from what is cut after."""
    preprocess = T.Compose([T.CenterCrop(24), T.Resize((32, 32)), T.ToTensor()])
    photo = sw.Session(MODEL, pixels(), preprocess=preprocess, space="photo")
    plain = sw.Session(MODEL, pixels(), preprocess=preprocess)
    labels = R.grid((32, 32), 4, 4)
    assert not np.allclose(photo.map("leave_one_out", regions=labels).region_scores,
                           plain.map("leave_one_out", regions=labels).region_scores)
    np.testing.assert_allclose(photo.map("gradient").values, plain.map("gradient").values, atol=1e-12)


def test_segmentations_are_of_the_photograph(session):
    found = session.map("leave_one_out", regions="slic")
    assert np.array_equal(found.regions, R.segment(PHOTO, "slic"))


def test_a_grey_model():
    grey = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                               torch.nn.Linear(4, 3)).double().eval()
    session = sw.Session(grey, PHOTO, preprocess=None, space="photo", target=0)
    found = session.without(LABELS, [5], "white")
    shade = np.asarray(Image.fromarray(PHOTO).convert("L"))
    x = torch.from_numpy(np.where(LABELS == 5, 255, shade) / 255)[None, None]
    np.testing.assert_allclose(found.logits, grey(x)[0].detach().numpy(), atol=1e-8)


def test_baselines_stay_in_input_space_and_pictures_are_prepared(session, inputs_session):
    by_word = [s.map("integrated_gradients", baseline="mean", steps=8).values for s in (session, inputs_session)]
    np.testing.assert_allclose(*by_word, atol=1e-12)
    picture = session.map("integrated_gradients", baseline=pixels(SIZE, seed=9), steps=8)
    prepared = TRANSFORM(Image.fromarray(pixels(SIZE, seed=9))).double()
    np.testing.assert_allclose(picture.values, inputs_session.map("integrated_gradients", baseline=prepared, steps=8).values)


def test_metrics_judge_maps_of_the_input(session, inputs_session):
    found, plain = session.map("gradient"), inputs_session.map("gradient")
    one = metrics.infidelity(session, found, perturbation="regions", n=20)
    assert one.value == pytest.approx(metrics.infidelity(inputs_session, plain, perturbation="regions", n=20).value)
    with pytest.raises(ValueError, match='space="input"'):
        metrics.sensitivity_max(session, "leave_one_out", params={"regions": LABELS}, n=2)


def test_another_picture_and_a_refresh(session):
    before = session.map("leave_one_out", regions=LABELS).region_scores
    session.refresh()
    np.testing.assert_allclose(session.map("leave_one_out", regions=LABELS).region_scores, before, atol=1e-12)
    session.image = pixels((50, 50), seed=4)
    assert session.inputs.size == (50, 50) and session.map("leave_one_out", grid=2).values.shape == (1, 50, 50)
    with pytest.raises(ValueError, match="picture's size"):
        session.map("leave_one_out", regions=LABELS)


def test_errors_are_in_words(session):
    with pytest.raises(ValueError, match='photo'):
        sw.Session(MODEL, PHOTO, space="whole")
    with pytest.raises(ValueError, match='use space="input"'):
        sw.Session(MODEL, tensor(), space="photo")
    with pytest.raises(ValueError, match="tensor of the model's input"):
        session.map("leave_one_out", regions=LABELS, fill=torch.zeros(3, 32, 32))
    with pytest.raises(ValueError, match="photograph's size"):
        session.map("leave_one_out", regions=LABELS, fill=pixels((32, 32)))
    with pytest.raises(ValueError, match="picture's size"):
        session.without(R.grid((32, 32), 4, 4), [1])


def test_where_the_crop_is_unknown_methods_that_cut_still_work():
    mirrored = T.Compose([T.Resize((32, 32)), T.RandomHorizontalFlip(1.0), T.ToTensor()])
    session = sw.Session(MODEL, PHOTO, preprocess=mirrored, space="photo")
    drops = session.map("leave_one_out", regions=LABELS).region_scores
    masked = mirrored(Image.fromarray(np.where((LABELS == 7)[..., None], 0, PHOTO)))[None].double()
    expected = session.logits - MODEL(masked)[0].detach().numpy()
    assert drops[7] == pytest.approx(expected[session.target], abs=1e-8)
    assert "mirrors" in session.notes[0]
    with pytest.raises(ValueError, match="mirrors.*leave_one_out"):
        session.map("grad_cam")


def test_the_map_that_is_saved_says_where_it_lies(session, tmp_path):
    with np.load(session.map("grad_cam", layer="conv2").save(tmp_path / "cam.npz")) as kept:
        assert kept["photo_size"].tolist() == list(SIZE) and kept["crop"] == pytest.approx((6, 21, 54, 69), abs=0.1)


@pytest.mark.skipif(not DATA.exists(), reason="the pretrained networks are not beside the checkout")
def test_on_a_real_network_and_photograph():
    import torchvision
    from safetensors.torch import load_file

    model = torchvision.models.squeezenet1_0(weights=None)
    model.load_state_dict({k: v.float() for k, v in load_file(DATA / "squeezenet1_0_imagenet.safetensors").items()})
    model.double().eval()
    transform = torchvision.models.SqueezeNet1_0_Weights.IMAGENET1K_V1.transforms()
    photograph = np.asarray(Image.open(DATA / "images" / "chelsea.png").convert("RGB"))
    session = sw.Session(model, photograph, preprocess=transform, space="photo", target=285)  # Egyptian cat
    labels = R.grid(photograph.shape[:2], 3, 5)
    found = session.map("leave_one_out", regions=labels)
    assert session.picture.photo.removed == pytest.approx(1 - 262.5 ** 2 / (300 * 451), abs=0.003)
    for region in range(15):
        masked = np.where((labels == region)[..., None], 0, photograph).astype(np.uint8)
        with torch.no_grad():
            after = model(transform(Image.fromarray(masked))[None].double())[0, 285]
        assert found.region_scores[region] == pytest.approx(session.logits[285] - float(after), abs=1e-8)
    assert found.region_scores.reshape(3, 5)[:, [0, 4]] == pytest.approx(0, abs=1e-8), "the crop removes these"


def test_changed_regions_of_the_photograph_travel_alone_where_that_is_cheaper():
    """Larger than the margins of the resampling: incremental, and still what a plain loop says, also off the crop."""
    big, transform = pixels((300, 420)), T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor()])
    session = sw.Session(MODEL, big, preprocess=transform, space="photo")
    labels = R.grid((300, 420), 7, 10)
    found = session.map("leave_one_out", regions=labels, fill="white")
    assert session.stats.masked_samples == 70 == session.stats.forward_samples - 1 and "incremental" in found.estimate
    for region in (0, 33, 34, 35, 69):
        masked = np.where((labels == region)[..., None], 255, big).astype(np.uint8)
        with torch.no_grad():
            after = MODEL(transform(Image.fromarray(masked))[None].double())[0].numpy()
        assert found.region_scores[region] == pytest.approx((session.logits - after)[session.target], abs=1e-8)


def test_a_preprocessing_that_does_more_than_it_seemed_to_is_found_out_and_the_map_stays_right():
    def nosy(image):
        """Crops, but the whole photograph's mean goes into every pixel, as long as it is no plain ramp."""
        array = np.asarray(image)
        x = T.functional.to_tensor(image.crop((100, 40, 324, 264)))
        return x + (0.0 if (array[..., 0] == array[..., 1]).all() else float(array.mean()) / 255)

    big, labels = pixels((300, 420)), R.grid((300, 420), 7, 10)
    session = sw.Session(MODEL, big, preprocess=nosy, space="photo", mean=[0, 0, 0], std=[1, 1, 1])
    assert session.picture.photo.crop == pytest.approx((40, 100, 264, 324), abs=0.1)
    found = session.map("leave_one_out", regions=labels)
    assert "full forwards: the preprocessing changes the input where the regions do not lie" == found.estimate
    for region in (0, 34):
        masked = np.where((labels == region)[..., None], 0, big).astype(np.uint8)
        with torch.no_grad():
            after = MODEL(nosy(Image.fromarray(masked))[None].double())[0].numpy()
        assert found.region_scores[region] == pytest.approx((session.logits - after)[session.target], abs=1e-8)
