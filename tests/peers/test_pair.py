"""Live oracles: PAIR's saliency library, on calibrated networks in float64."""

import functools

import numpy as np
import pytest
import torch

from saliency_widgets import Session
from saliency_widgets.kernels.reference import normal
from tests.networks import calibrated

saliency = pytest.importorskip("saliency.core", reason="pip install saliency")
NETWORKS = {"resnet18": 32, "squeezenet1_0": 48}  # names and picture sizes


@functools.cache
def network(name):
    return calibrated(name, size=NETWORKS[name])


@functools.cache
def session(name):
    model, x, target = network(name)
    return Session(model, x, target=target)


def arrange(x):
    """`(C, H, W)` to PAIR's `(H, W, C)`, in an order of its own."""
    return np.ascontiguousarray(x.numpy().transpose(1, 2, 0))


def calling(model, target):
    """The function through which PAIR asks for gradients of the target's logit."""

    def call(batch, call_model_args=None, expected_keys=None):
        leaf = torch.from_numpy(np.asarray(batch, np.float64).transpose(0, 3, 1, 2)).requires_grad_(True)
        gradient, = torch.autograd.grad(model(leaf)[:, target].sum(), leaf)
        return {saliency.base.INPUT_OUTPUT_GRADIENTS: gradient.numpy().transpose(0, 2, 3, 1)}

    return call


def close(ours, theirs, tolerance=1e-5):
    theirs = theirs.transpose(2, 0, 1)
    np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max(), rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_blur_ig_in_pair_mode(name):
    model, x, target = network(name)
    wanted = saliency.BlurIG().GetMask(arrange(x[0]), calling(model, target), sqrt=False, batch_size=25)
    close(session(name).map("blur_ig", rule="pair").values, wanted, 1e-8)


@pytest.mark.parametrize("base, mask, params", [
    ("gradient", "GradientSaliency", {}), ("blur_ig", "BlurIG", {"rule": "pair"})])
def test_smoothgrad_over_a_fixed_list_of_noises(base, mask, params, monkeypatch):
    model, x, target = network("squeezenet1_0")
    n, level = (4, 0.15) if base == "gradient" else (2, 0.1)
    numbers = iter(range(n))

    def drawn(mean, deviation, shape):
        return deviation * arrange(normal(0, next(numbers), tuple(x.shape[1:]), x.dtype))

    monkeypatch.setattr(np.random, "normal", drawn)
    batches = {} if base == "gradient" else {"batch_size": 25}
    wanted = getattr(saliency, mask)().GetSmoothedMask(arrange(x[0]), calling(model, target), stdev_spread=level, nsamples=n,
                                                       magnitude=False, **batches)
    got = session("squeezenet1_0").map("smoothgrad", base=base, base_params=params, n=n, level=level)
    close(got.values, wanted)


def test_squared_smoothgrad_is_pairs_default(monkeypatch):
    model, x, target = network("resnet18")
    numbers = iter(range(4))
    monkeypatch.setattr(np.random, "normal", lambda mean, deviation, shape: deviation * arrange(
        normal(0, next(numbers), tuple(x.shape[1:]), x.dtype)))
    wanted = saliency.GradientSaliency().GetSmoothedMask(arrange(x[0]), calling(model, target), nsamples=4)
    close(session("resnet18").map("smoothgrad", n=4, variant="squared").values, wanted)


@pytest.mark.parametrize("name", NETWORKS)
def test_guided_ig(name, monkeypatch):
    """PAIR's needs a word that NumPy has dropped; given that back, it is an oracle."""
    model, x, target = network(name)
    quantile = np.quantile
    monkeypatch.setattr(np, "quantile", lambda values, q, interpolation: quantile(values, q, method=interpolation))
    picture = arrange(x[0])
    wanted = saliency.GuidedIG().GetMask(picture, calling(model, target), x_baseline=np.zeros_like(picture), x_steps=12)
    close(session(name).map("guided_ig", steps=12, baseline=torch.zeros(1, 1, 1)).values, wanted, 1e-6)


@pytest.mark.parametrize("variant", ["full", "fast"])
def test_xrai_on_the_same_attributions(variant):
    model, x, target = network("squeezenet1_0")
    pixels = (x - x.min()) / (x.max() - x.min())
    own = Session(model, pixels, target=target)
    path = own.map("integrated_gradients", steps=8)
    asked = saliency.XRAIParameters()
    asked.algorithm, asked.return_xrai_segments = variant, True
    wanted = saliency.XRAI().GetMaskWithDetails(arrange(pixels[0]), calling(model, target), extra_parameters=asked,
                                                base_attribution=np.ascontiguousarray(path.values.transpose(1, 2, 0)))
    got = own.map("xrai", steps=8, variant=variant, channels="max")
    close(got.values, wanted.attribution_mask[..., None])
    ranks = np.empty(len(got.region_scores), int)
    ranks[got.details["regions_order"]] = np.arange(1, len(ranks) + 1)
    assert (ranks[got.regions] == wanted.segments).mean() > 0.99  # the pixels that no segment took come last there
