"""Reductions at capture against their formulas in loops, and the identities between them."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_widgets.kernels import reference
from saliency_widgets.kernels.cam import REDUCTIONS

LAYERS = ("cam", "cam_guided", "cam_plus_plus", "hires_cam", "layer_cam", "xgrad_cam", "eigen_cam")


def pair(seed, shape=(2, 3, 4, 5), positive=True):
    """Activations (after a ReLU where `positive`) and gradients."""
    generator = torch.Generator().manual_seed(seed)
    a, g = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return (a.relu() if positive else a), g


def loops(a, g, name):
    """The papers' weights, channel by channel and position by position."""
    out = np.zeros((len(a), *a.shape[2:]))
    for n in range(len(a)):
        for k in range(a.shape[1]):
            one, slope = a[n, k].numpy(), g[n, k].numpy()
            if name == "cam_plus_plus":
                alpha = slope ** 2 / (2 * slope ** 2 + one.sum() * slope ** 3)
                out[n] += (alpha * np.maximum(slope, 0)).sum() * one
            elif name == "xgrad_cam":
                out[n] += (slope * one / one.sum()).sum() * one
            elif name == "hires_cam":
                out[n] += slope * one
            elif name == "layer_cam":
                out[n] += np.maximum(slope, 0) * one
    return out


@pytest.mark.parametrize("name", ["cam_plus_plus", "hires_cam", "layer_cam", "xgrad_cam"])
def test_each_is_its_formula(name):
    a, g = pair(0)
    np.testing.assert_allclose(REDUCTIONS[name](a, g).numpy(), loops(a, g, name), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 6), h=st.integers(1, 4), w=st.integers(1, 4))
def test_with_constant_gradients_they_agree(seed, k, h, w):
    """Behind global average pooling every gradient is constant over the positions."""
    a, g = pair(seed, (1, k, h, w))
    g = g.mean((2, 3), keepdim=True).expand_as(a).contiguous()
    for other in ("hires_cam", "xgrad_cam"):
        torch.testing.assert_close(REDUCTIONS[other](a, g), REDUCTIONS["cam"](a, g), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(REDUCTIONS["layer_cam"](a, g), REDUCTIONS["cam"](a, g.relu()), rtol=1e-9, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 9), h=st.integers(1, 4), w=st.integers(2, 4))
def test_eigen_cam_is_the_first_singular_direction(seed, k, h, w):
    a, _ = pair(seed, (2, k, h, w), positive=False)
    got = REDUCTIONS["eigen_cam"](a).flatten(1)
    for one, found in zip(a.flatten(2), got):
        rows = (one - one.mean(1, keepdim=True)).T
        _, singular, right = torch.linalg.svd(rows, full_matrices=False)
        assert found.norm() == pytest.approx(singular[0].item(), rel=1e-6, abs=1e-7)
        if len(singular) == 1 or singular[0] > 1.01 * singular[1]:
            cosine = torch.nn.functional.cosine_similarity(found, rows @ right[0], dim=0)
            assert cosine.abs().item() == pytest.approx(1, abs=1e-6)
        strength = one.abs().sum(0)
        assert ((strength - strength.mean()) * found).sum() >= -1e-9


@pytest.mark.parametrize("shape", [(1, 130, 12, 13), (2, 100, 20, 20), (1, 300, 11, 9)])
@pytest.mark.parametrize("gap", [3.0, 1.0])
def test_eigen_cam_of_large_layers_finds_the_same_direction(shape, gap):
    """Where the Gram matrix is large only its first eigenvectors are looked for."""
    a, _ = pair(4, shape, positive=False)
    a = a + gap * torch.rand(shape[0], shape[1], 1, 1, dtype=a.dtype) * torch.linspace(-1, 1, shape[3], dtype=a.dtype)
    got = REDUCTIONS["eigen_cam"](a).flatten(1)
    single = REDUCTIONS["eigen_cam"](a.float()).flatten(1)
    for one, found, rough in zip(a.flatten(2), got, single):
        rows = (one - one.mean(1, keepdim=True)).T
        wanted = rows @ torch.linalg.svd(rows, full_matrices=False)[2][0]
        wanted = wanted * (wanted @ found).sign()
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-8 * wanted.abs().max().item())
        torch.testing.assert_close(rough.double() * (rough.double() @ found).sign(), wanted, rtol=0,
                                   atol=1e-3 * wanted.abs().max().item())
    assert not REDUCTIONS["eigen_cam"](torch.zeros(shape)).any()


@pytest.mark.parametrize("shape", [(3, 5, 4, 4), (3, 120, 11, 11)])
def test_eigen_cam_of_broken_activations_is_nan_there_and_nowhere_else(shape):
    a = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    broken = a.clone()
    broken[1, 2, 0, 0] = torch.nan
    got, whole = REDUCTIONS["eigen_cam"](broken), REDUCTIONS["eigen_cam"](a)
    assert got[1].isnan().all()
    torch.testing.assert_close(got[[0, 2]], whole[[0, 2]], rtol=0, atol=1e-9)


def test_dead_channels_and_vanishing_denominators_stay_finite():
    a, g = pair(1)
    a[0, 1] = 0
    a[1, 0], g[1, 0] = -0.1, 1.0  # ΣA · g = −2 on a 4 × 5 grid: nothing to divide by
    for name in LAYERS:
        assert torch.isfinite(REDUCTIONS[name](a, g)).all(), name
        assert not REDUCTIONS[name](torch.zeros_like(a), g).any(), name


@pytest.mark.parametrize("name", LAYERS)
def test_a_row_does_not_depend_on_its_batch_and_sums_are_wide(name):
    a, g = pair(2)
    torch.testing.assert_close(REDUCTIONS[name](a, g)[1:], REDUCTIONS[name](a[1:], g[1:]), rtol=1e-12, atol=1e-12)
    half = REDUCTIONS[name](a.half(), g.half())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, REDUCTIONS[name](a.half().double(), g.half().double()).float(), rtol=1e-4, atol=1e-4)


def test_attention_reductions_do_away_with_the_heads():
    p, g = pair(3, (1, 2, 3, 3))
    assert torch.equal(REDUCTIONS["attention_mean"](p), (p[:, 0] + p[:, 1]) / 2)
    assert torch.equal(REDUCTIONS["attention_max"](p), torch.maximum(p[:, 0], p[:, 1]))
    assert torch.equal(REDUCTIONS["attention_min"](p), torch.minimum(p[:, 0], p[:, 1]))
    wanted = sum(np.maximum((p * g)[0, head].numpy(), 0) for head in range(2)) / 2
    np.testing.assert_allclose(REDUCTIONS["attention_relevance"](p, g)[0].numpy(), wanted)
    assert REDUCTIONS["attention_mean"](torch.rand(1, 4, 2, 3, 3)).shape == (1, 4, 3, 3)


def test_the_backend_lists_them_all():
    assert reference.REDUCTIONS is REDUCTIONS
