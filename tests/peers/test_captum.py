"""Live oracles: captum and plain loops on calibrated networks, in float64 at 1e-8 and in float32 by cosine."""

import functools

import numpy as np
import pytest
import torch

from saliency_widgets import Session, regions
from tests.networks import calibrated

captum_attr = pytest.importorskip("captum.attr", reason="pip install captum")
NETWORKS = ["resnet18", "vgg11", "densenet121", "squeezenet1_0"]
SIZE = 96
STEPS = 10


@functools.cache
def network(name, dtype=torch.float64):
    return calibrated(name, size=SIZE, dtype=dtype)


@functools.cache
def session(name, dtype=torch.float64):
    model, x, target = network(name, dtype)
    return Session(model, x, target=target)


def close(ours, theirs, tolerance=1e-8):
    theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max(), rtol=0)


@pytest.fixture
def captum_in_float64(monkeypatch):
    """captum rounds points and weights to float32 whatever the model's dtype, an error of 1e-8 by itself: not here."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient(name):
    model, x, target = network(name)
    close(session(name).map("gradient").values, captum_attr.Saliency(model).attribute(x, target=target, abs=False)[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_times_input(name):
    model, x, target = network(name)
    leaf = x.clone().requires_grad_(True)
    close(session(name).map("gradient_x_input").values, captum_attr.InputXGradient(model).attribute(leaf, target=target)[0])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    "rule, theirs", [("gauss_legendre", "gausslegendre"), ("midpoint", "riemann_middle"), ("right", "riemann_right")]
)
def test_integrated_gradients_rule_by_rule(name, rule, theirs, captum_in_float64):
    model, x, target = network(name)
    baseline = torch.zeros_like(x)
    wanted = captum_attr.IntegratedGradients(model).attribute(
        x, baseline, target, n_steps=STEPS, method=theirs, internal_batch_size=5
    )
    got = session(name).map("integrated_gradients", rule=rule, steps=STEPS, baseline=baseline[0])
    close(got.values, wanted[0])


def test_integrated_gradients_by_fifty_gauss_legendre_points(captum_in_float64):
    model, x, target = network("squeezenet1_0")
    baseline = torch.zeros_like(x)
    wanted = captum_attr.IntegratedGradients(model).attribute(x, baseline, target, n_steps=50, internal_batch_size=5)
    got = session("squeezenet1_0").map("integrated_gradients", rule="gauss_legendre", steps=50, baseline=baseline[0])
    close(got.values, wanted[0])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rule", ["trapezoid", "endpoints"])
def test_the_rules_that_captum_lacks_against_a_plain_loop(name, rule):
    model, x, target = network(name)
    n = STEPS + 1 if rule == "trapezoid" else STEPS
    alphas, weights = np.linspace(0, 1, n), np.full(n, 1 / STEPS)
    if rule == "trapezoid":
        weights[[0, -1]] /= 2
    total = torch.zeros_like(x)
    for alpha, weight in zip(alphas, weights):
        point = (x * alpha).requires_grad_(True)
        total += weight * torch.autograd.grad(model(point)[0, target], point)[0]
    got = session(name).map("integrated_gradients", rule=rule, steps=STEPS, baseline=torch.zeros(1, 1, 1))
    close(got.values, (x * total)[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_grad_cam_at_the_default_layer_and_inside(name):
    model, x, target = network(name)
    modules, ours = dict(model.named_modules()), session(name)
    inside = {"resnet18": "layer2", "vgg11": "features.8", "densenet121": "features.denseblock2", "squeezenet1_0": "features.7"}[
        name
    ]
    for layer in (ours.default_layer, inside):
        wanted = captum_attr.LayerGradCam(model, modules[layer]).attribute(x, target, relu_attributions=False)
        close(ours.map("grad_cam", layer=layer).values, wanted[0])


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_0"])
def test_leave_one_out_against_a_plain_loop_and_captums_ablation(name):
    model, x, target = network(name)
    labels = regions.grid((SIZE, SIZE), 4, 4)
    got = session(name).map("leave_one_out", grid=4, fill=torch.zeros(1, 1, 1))
    with torch.no_grad():
        before = model(x)[0, target]
        wanted = torch.stack([before - model(x * torch.from_numpy(labels != r))[0, target] for r in range(16)])
        theirs = captum_attr.FeatureAblation(model).attribute(
            x, 0, target, feature_mask=torch.from_numpy(labels.astype(np.int64))[None, None]
        )
    close(got.region_scores, wanted)
    close(got.values[0], theirs[0, 0])


@pytest.mark.parametrize("name", NETWORKS)
def test_in_float32_the_maps_point_the_same_way(name):
    for method, params in (
        ("gradient", {}),
        ("integrated_gradients", {"steps": 8}),
        ("grad_cam", {}),
        ("leave_one_out", {"grid": 3}),
    ):
        wide = session(name).map(method, **params).values.ravel()
        narrow = session(name, torch.float32).map(method, **params).values.ravel().astype(np.float64)
        assert narrow @ wide / np.linalg.norm(narrow) / np.linalg.norm(wide) > 0.999, method
