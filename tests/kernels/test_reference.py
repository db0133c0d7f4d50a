"""The torch definitions against their formulas, NumPy and SciPy."""
import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from saliency_widgets.kernels import choose
from saliency_widgets.kernels import reference as R


def test_philox_known_answers():
    """The first words of Philox 4×32-10 as published with Random123's known-answer tests."""
    assert [hex(w) for w in R.philox(0, 0, 1)[0].tolist()] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    seed = 0x299F31D0A4093822
    words = R.philox(seed, 0x0370734413198A2E, 1)  # counter words 2 and 3; element 0 is words 0 and 1
    assert words.shape == (1, 4) and ((0 <= words) & (words < 2 ** 32)).all()


def test_draws_do_not_depend_on_how_many_are_taken():
    long, short = R.uniform(7, 3, 1000), R.uniform(7, 3, 10)
    assert torch.equal(long[:10], short)
    assert not torch.equal(R.uniform(7, 4, 10), short) and not torch.equal(R.uniform(8, 3, 10), short)


def test_draws_follow_their_distribution():
    assert stats.kstest(R.uniform(0, 0, 20000).numpy(), "uniform").pvalue > 0.01
    assert stats.kstest(R.normal(1, 0, (3, 80, 81), torch.float64).flatten().numpy(), "norm").pvalue > 0.01


@pytest.mark.parametrize("sigma", [0.4, 2.0, 9.0])
def test_blur_is_scipys_with_reflection(sigma):
    image = torch.rand(3, 40, 31, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    radius = max(1, math.ceil(4 * sigma))
    wanted = ndimage.gaussian_filter(image.numpy(), (0, sigma, sigma), mode="reflect", radius=(0, radius, radius))
    np.testing.assert_allclose(R.gaussian_blur(image, sigma).numpy(), wanted, atol=1e-10)


def test_blur_wider_than_the_picture_keeps_its_mean():
    image = torch.rand(1, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    blurred = R.gaussian_blur(image, 30.0)
    assert blurred.std() < 0.02
    assert torch.allclose(R.gaussian_blur(torch.ones(2, 5, 6, dtype=torch.float64), 50.0), torch.ones((), dtype=torch.float64))


def test_lerp_is_exact_at_both_ends():
    a, b = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    points = R.lerp(a, b, torch.tensor([0.0, 0.25, 1.0]))
    assert torch.equal(points[0], a) and torch.equal(points[2], b)
    assert torch.allclose(points[1], a + 0.25 * (b - a))


def test_without_regions_changes_only_them():
    image, fill = torch.ones(3, 4, 4), torch.zeros(3, 4, 4)
    labels = torch.arange(4).repeat_interleave(4).view(4, 4)
    sets = torch.tensor([[True, False, False, False], [False, True, False, True]])
    out = R.without_regions(image, fill, labels, sets)
    assert out[0, 0].sum(1).tolist() == [0, 4, 4, 4] and out[1, 2].sum(1).tolist() == [4, 0, 4, 0]


def test_cam_is_its_formula_in_loops():
    g = torch.Generator().manual_seed(0)
    a, d = torch.randn(2, 3, 4, 5, generator=g), torch.randn(2, 3, 4, 5, generator=g)
    for positive in (False, True):
        wanted = torch.zeros(2, 4, 5)
        for n in range(2):
            for k in range(3):
                slope = torch.where((a[n, k] > 0) & (d[n, k] > 0), d[n, k], 0.0) if positive else d[n, k]
                wanted[n] += slope.mean() * a[n, k]
        assert torch.allclose(R.cam(a, d, positive), wanted, atol=1e-6)


def test_weighted_sum_accumulates_wider_than_half():
    frames = [torch.full((1,), 1e-3, dtype=torch.float16)] * 2000
    assert R.weighted_sum(frames, [1.0] * 2000).item() == pytest.approx(2.0, rel=2e-3)


def test_an_explicit_backend_that_cannot_be_met_raises():
    assert choose("auto", torch.device("cpu"))[0] == "torch"
    with pytest.raises(ValueError, match="choose one of auto, torch"):
        choose("cuda-magic", torch.device("cpu"))


def test_random_masks_have_their_share_and_a_shift():
    """RISE, 3.2: in the mean each pixel is shown with the share, and no grid line stays where it was."""
    masks = torch.stack([R.random_mask(7, i, 7, 0.4, (50, 61)) for i in range(600)])
    assert masks.shape == (600, 50, 61) and masks.min() >= 0 and masks.max() <= 1
    assert abs(masks.mean().item() - 0.4) < 0.01
    assert (masks.mean(0) - 0.4).abs().max() < 0.1  # four standard errors of a single pixel
    assert not torch.equal(masks[0], masks[1]) and torch.equal(masks[3], R.random_mask(7, 3, 7, 0.4, (50, 61)))
