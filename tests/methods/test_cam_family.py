"""CAM and Grad-CAM's relatives: their identities, one pass for all of them, token grids, and refusals that say what to use."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from saliency_widgets import Session, explain
from saliency_widgets.methods import methods
from tests.small import small, tensor
from tests.transformers import swin, vit

FROM_ONE_PASS = ("grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "xgrad_cam")


def pooled(seed, channels=6, classes=4):
    """A random network that ends in global average pooling and one linear layer, its last maps not rectified."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.Tanh(), nn.Conv2d(5, channels, 3, padding=1),
                              nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    return model.double().eval()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), channels=st.integers(1, 8), target=st.integers(0, 3))
def test_behind_global_average_pooling_they_are_one(seed, channels, target):
    model, x = pooled(seed, channels), tensor((14, 18), seed)
    session = Session(model, x, target=target)
    grad_cam = session.map("grad_cam").values
    cam = session.map("cam")
    positions = grad_cam[0].size
    np.testing.assert_allclose(positions * grad_cam, cam.values, atol=1e-10)
    np.testing.assert_allclose(session.map("hires_cam").values, grad_cam, atol=1e-12)
    bias = model[-1].bias[target].item()
    assert cam.values.mean() + bias == pytest.approx(session.logits[target], abs=1e-9)
    assert cam.unit == "logit" and cam.default_sign == "both"


def test_one_pass_serves_grad_cam_and_another_every_relative_at_every_layer():
    session = Session(small(), tensor())
    for name in FROM_ONE_PASS:
        for layer in session.cam_layers:
            got = session.map(name, layer=layer.name)
            assert got.values.shape == (1, *layer.positions)
        assert set(got.details["maps"]) == {layer.name for layer in session.cam_layers}
        np.testing.assert_array_equal(got.details["maps"][layer.name], got.values[0])
    assert session.stats.forward_samples == session.stats.backward_samples == 2
    for layer in session.cam_layers:
        session.map("eigen_cam", layer=layer.name)
    assert (session.stats.forward_samples, session.stats.backward_samples) == (3, 2)


def by_hand(model, x, layer, target):
    """Activations of a module and the gradient of a logit there, as grids."""
    seen = []
    handle = dict(model.named_modules())[layer].register_forward_hook(lambda m, i, o: seen.append(o))
    score = model(x[None])[0, target]
    handle.remove()
    gradient, = torch.autograd.grad(score, seen[-1])
    return seen[-1].detach(), gradient


def grids(model, x, layer, target):
    a, g = by_hand(model, x, layer, target)
    if a.dim() == 3:  # a class token, then the patches row by row
        a, g = (t[:, 1:].transpose(1, 2).reshape(1, -1, 4, 4) for t in (a, g))
    elif isinstance(model, type(swin())) and layer != "permute":
        a, g = (t.permute(0, 3, 1, 2) for t in (a, g))
    return a[0].numpy(), g[0].numpy()


@pytest.mark.parametrize("make, layer", [(small, "conv1"), (vit, "encoder.layers.encoder_layer_0"),
                                         (vit, "encoder.layers.encoder_layer_1.ln_1"), (swin, "features.1"), (swin, "norm")])
def test_each_is_its_formula_also_on_token_grids(make, layer):
    model, x = make(), tensor()
    a, g = grids(model, x, layer, 1)
    session = Session(model, x, target=1)
    wanted = {"grad_cam": (g.mean((1, 2))[:, None, None] * a).sum(0), "hires_cam": (g * a).sum(0),
              "layer_cam": (np.maximum(g, 0) * a).sum(0),
              "xgrad_cam": (((g * a).sum((1, 2)) / a.sum((1, 2)))[:, None, None] * a).sum(0)}
    slope = np.where(g > 0, g, 1.0)  # others count nothing, below a relu
    alpha = slope ** 2 / (2 * slope ** 2 + a.sum((1, 2))[:, None, None] * slope ** 3)
    wanted["grad_cam_plus_plus"] = ((alpha * np.maximum(g, 0)).sum((1, 2))[:, None, None] * a).sum(0)
    for name, values in wanted.items():
        got = session.map(name, layer=layer).values[0]
        np.testing.assert_allclose(got, values, rtol=1e-6, atol=1e-8 * np.abs(values).max(), err_msg=name)
    rows = (a - a.mean((1, 2), keepdims=True)).reshape(len(a), -1).T
    eigen = (rows @ np.linalg.svd(rows, full_matrices=False)[2][0]).reshape(a.shape[1:])
    got = session.map("eigen_cam", layer=layer).values[0]
    np.testing.assert_allclose(np.abs(got), np.abs(eigen), atol=1e-6 * np.abs(eigen).max())
    assert np.corrcoef(got.ravel(), np.abs(a).sum(0).ravel())[0, 1] >= 0


def test_a_vision_transformer_is_explained_where_its_patches_still_matter():
    session = Session(vit(), tensor(), target=1)
    assert session.map("grad_cam").values.any() and session.default_layer == "encoder.layers.encoder_layer_1.ln_1"
    late = session.map("grad_cam", layer="encoder")
    assert not late.values.any() and "class token alone" in late.warnings[0] and session.default_layer in late.warnings[0]


class Wrapped(nn.Module):
    """Its scores are said with output=."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return {"features": x, "scores of classes": self.inner(x)}


def test_scores_said_with_output_are_those_that_layers_and_heads_are_found_by():
    session = Session(Wrapped(vit()), tensor(), output="scores of classes")
    assert session.default_layer == "inner.encoder.layers.encoder_layer_1.ln_1" and session.map("grad_cam").values.any()
    assert session.stats.setup_samples == 2 and Session(small(), tensor()).stats.setup_samples == 1
    got = Session(Wrapped(small()), tensor(), output="scores of classes", target=1).map("cam")
    np.testing.assert_array_equal(got.values, Session(small(), tensor(), target=1).map("cam").values)


def test_cam_of_a_margin_and_what_it_costs():
    model, x = pooled(3), tensor()
    session = Session(model, x)
    maps = [session.map("cam", target=k).values for k in range(4)]
    assert session.stats.forward_samples == 1 and session.stats.backward_samples == 0
    margin = Session(model, x, target=2, contrast=0).map("cam").values
    np.testing.assert_allclose(margin, maps[2] - maps[0], atol=1e-12)


def test_cam_of_a_map_per_class_is_the_classs_own_map():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    x = tensor()
    np.testing.assert_allclose(explain(model, x, "cam", target=2).values[0], model[:2](x[None])[0, 2].detach().numpy())


def test_cam_says_where_it_exists_and_what_to_use_instead():
    session = Session(small(), tensor())
    np.testing.assert_array_equal(session.map("cam", layer="conv2").values, session.map("cam").values)
    with pytest.raises(ValueError, match="'conv2' only.*not at 'conv1'.*grad_cam"):
        session.map("cam", layer="conv1")
    with pytest.raises(ValueError, match="use grad_cam"):
        Session(vit(), tensor()).map("cam")
    with pytest.raises(ValueError, match="a class's own score.*grad_cam"):
        Session(small(), tensor(), score=lambda out: out[:, 0] ** 2).map("cam")


@pytest.mark.parametrize("name", [*FROM_ONE_PASS, "eigen_cam", "score_cam", "guided_grad_cam"])
def test_layers_without_positions_are_refused_with_those_that_have_them(name):
    session = Session(small(), tensor())
    with pytest.raises(ValueError, match="'head'.*without positions: choose one of conv1, norm, .*conv2"):
        session.map(name, layer="head")
    with pytest.raises(LookupError, match="conv1"):
        session.map(name, layer="convv1")
    with pytest.raises(ValueError, match="no layer with positions.*leave_one_out"):
        explain(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)).double(), tensor(), name)


def test_guided_grad_cam_is_the_product_and_warns_of_itself():
    model, x = small(), tensor()
    session = Session(model, x, target=0)
    got = session.map("guided_grad_cam", layer="conv1")
    where = torch.from_numpy(session.map("grad_cam", layer="conv1").values)[None].relu()
    large = F.interpolate(where, x.shape[1:], mode="bilinear", align_corners=False)[0].numpy()
    np.testing.assert_allclose(got.values, large * guided_gradient(model, x, 0), atol=1e-12)
    assert got.values.shape == (3, 32, 32) and got.values.any() and got.coverage == "2 of 2 activation calls rewritten"
    assert "1810.03292" in methods()["guided_grad_cam"].warning
    assert session.stats.backward_samples == 2 and got.unit == "logit × logit per input unit"
    keywords = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.5), "target": 0}
    per_pixel = explain(model, x, "guided_grad_cam", layer="conv1", space="pixel", **keywords)
    np.testing.assert_allclose(per_pixel.values, got.values / np.array([0.2, 0.25, 0.5])[:, None, None], atol=1e-12)
    assert per_pixel.unit == "logit × logit per pixel value"


def guided_gradient(model, x, target):
    """Guided backprop of `Small` written out: at both ReLUs only positive gradients of positive inputs pass."""
    before = model.norm(model.conv1(x[None])).detach().requires_grad_(True)
    hidden = model.conv2(torch.relu(before)).detach().requires_grad_(True)
    g, = torch.autograd.grad(model.head(torch.relu(hidden).mean((2, 3)))[0, target], hidden)
    g, = torch.autograd.grad(model.conv2(torch.relu(before)), before, g * (hidden > 0) * (g > 0))
    leaf = x[None].clone().requires_grad_(True)
    g, = torch.autograd.grad(model.norm(model.conv1(leaf)), leaf, g * (before > 0) * (g > 0))
    return g[0].numpy()


def test_a_broken_layer_is_told_and_does_not_stop_the_others():
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.bad = small(), nn.Identity()

        def forward(self, x):
            self.bad(x / 0)
            return self.inner(x)

    for name in ("eigen_cam", "score_cam"):
        with pytest.raises(ValueError, match="the output at layer 'bad' became infinite or NaN"):
            explain(Broken().double(), tensor(), name, layer="bad")
        assert np.isfinite(explain(Broken().double(), tensor(), name, layer="inner.conv1").values).all()


def test_infinite_gradients_are_told():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 1).double()

        def forward(self, x):
            return self.conv(0 * x).sub(self.conv.bias[:, None, None]).abs().sqrt().mean((2, 3))

    for name in FROM_ONE_PASS:
        with pytest.raises(ValueError, match="infinite or NaN"):
            explain(Root(), tensor(), name, layer="conv")
