"""Kernels that make inputs against their references: path points, masked copies, noise, blurs."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_widgets.kernels import reference
from saliency_widgets.kernels import triton as kernels

from .tensors import FLOATS, SHAPES, STEP, close, drawn, equal, last

GIB = 1 << 30


# Triton's interpreter is slow: orders of memory and odd shapes in one dtype, dtypes in one shape.
CASES = [*((shape, order, torch.float32) for shape, order in (*((s, "plain") for s in SHAPES[1:]), (SHAPES[0], "last"))),
         *((SHAPES[0], "holes", dtype) for dtype in (torch.float32, *FLOATS[1:]))]


@pytest.mark.parametrize("shape, order, dtype", [*CASES, (SHAPES[0], "plain", torch.float64)])
def test_path_points_to_the_last_bit(device, shape, order, dtype):
    start, end = drawn(shape, dtype, order, device), drawn(shape, dtype, "plain", device, 1)
    alphas = torch.tensor([0, 0.57, 1], dtype=dtype, device=device)
    for channels_last in (False, True):
        got = kernels.lerp(start, end, alphas, channels_last)
        equal(got, reference.lerp(start, end, alphas))
        equal(got[0], start), equal(got[2], end)
        assert last(got) if channels_last else got.is_contiguous()


@settings(max_examples=5, deadline=None)
@given(alpha=st.floats(0, 1, width=32), seed=st.integers(0, 99))
def test_a_path_backwards_is_the_same_path(device, alpha, seed):
    start, end = drawn((2, 3, 5), device=device, seed=seed), drawn((2, 3, 5), device=device, seed=seed + 100)
    there = torch.tensor([alpha], device=device)
    close(kernels.lerp(start, end, there), kernels.lerp(end, start, 1 - there), 4 * STEP[torch.float32] * 5)


@pytest.mark.parametrize("shape, order, dtype", [*CASES, (SHAPES[0], "plain", torch.float64)])
def test_masked_copies_to_the_last_bit(device, shape, order, dtype):
    image, fill = drawn(shape, dtype, order, device), drawn(shape, dtype, "plain", device, 1)
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(0, 6, shape[1:], generator=generator).to(device)
    sets = (torch.rand(3, 6, generator=generator) < 0.4).to(device)
    for channels_last in (False, True):
        got = kernels.without_regions(image, fill, labels, sets, channels_last)
        equal(got, reference.without_regions(image, fill, labels, sets))
        assert last(got) if channels_last else got.is_contiguous()
    flat, sideways = fill[:, :1, :1].expand(shape), labels.mT.contiguous().mT
    equal(kernels.without_regions(image, flat, sideways, sets), reference.without_regions(image, flat, labels, sets))


@pytest.mark.parametrize("seed, number, count", [(0, 0, 1), (7, 1, 1030), (16, 0xFFFFFFFF, 3),
                                                 (0x299F31D0A4093822, 0x0370734413198A2E, 6), (1 << 63, 3, 5)])
def test_noise_words_are_the_references(device, seed, number, count):
    equal(kernels.philox(seed, number, count, device), reference.philox(seed, number, count, device))
    equal(kernels.uniform(seed, number, count, device), reference.uniform(seed, number, count, device))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2 ** 64 - 1), number=st.integers(0, 2 ** 64 - 1), long=st.integers(1, 60), short=st.integers(1, 60))
def test_noise_does_not_depend_on_how_it_is_cut(device, seed, number, long, short):
    short = min(long, short)
    equal(kernels.uniform(seed, number, long, device)[:short], kernels.uniform(seed, number, short, device))
    equal(kernels.philox(seed, number, long, device), reference.philox(seed, number, long, device))


@pytest.mark.parametrize("shape, dtype", [((3, 31, 17), torch.float32), ((1,), torch.float32),
                                          *(((2, 1, 5), dtype) for dtype in FLOATS[1:])])
def test_normal_draws_are_a_step_apart_at_most(device, shape, dtype):
    got, wanted = kernels.normal(5, 9, shape, dtype, device), reference.normal(5, 9, shape, torch.float64, device)
    assert got.dtype == dtype and got.shape == shape
    assert ((got.double() - wanted).abs() <= STEP[dtype] * wanted.abs() + 1e-14).all()
    equal(kernels.normal(5, 9, shape, torch.float64, device), reference.normal(5, 9, shape, torch.float64, device))


@pytest.mark.parametrize("shape, order, dtype", [(SHAPES[1], "plain", torch.float32), ((2, 16, 40), "last", torch.float32),
                                                 *((SHAPES[0], "holes", dtype) for dtype in FLOATS)])
def test_noisy_copies(device, shape, order, dtype):
    base, numbers = drawn(shape, dtype, order, device), [9, (1 << 32) - 1, 1 << 32]
    wanted = reference.noisy(base, 0.37, 11, numbers)
    for channels_last in (False, True):
        got = kernels.noisy(base, 0.37, 11, numbers, channels_last)
        close(got, wanted, 2 * STEP[dtype] * max(float(base.abs().max()), 4 * 0.37))
        assert last(got) if channels_last else got.is_contiguous()
    equal(kernels.noisy(base, 0.37, 11, [1 << 32])[0], got[2])
    equal(kernels.noisy(base, 0.0, 11, [1])[0], base)
    if dtype == torch.float32:  # a copy made alone, from its draw, is the one of a batch
        equal(base + 0.37 * kernels.normal(11, 9, shape, dtype, device), got[0])


@pytest.mark.parametrize("shape, order, dtype", [*CASES[:2], *CASES[4:]])
def test_blurs(device, shape, order, dtype):
    image, sigmas = drawn(shape, dtype, order, device), [0.0, 0.3, 2.6]  # the last is cut wider than the pictures are
    wanted, step = reference.gaussian_blurs(image, sigmas), max(STEP[dtype], 2e-6)
    for channels_last in (False, True):
        got = kernels.gaussian_blurs(image, sigmas, channels_last)
        close(got, wanted, step * image.abs().max())
        assert last(got) if channels_last else got.is_contiguous()
    equal(got[0], image)
    equal(kernels.gaussian_blur(image, 0.3), got[1])
    ones = torch.ones(shape, dtype=dtype, device=device)
    close(kernels.gaussian_blurs(ones, [1.0])[0], ones, 2e-6)


def test_what_has_no_kernel_is_the_references(device):
    image = drawn((2, 3, 4), torch.float64, device=device)
    equal(kernels.gaussian_blur(image, 2.0), reference.gaussian_blur(image, 2.0))
    leaf = drawn((2, 3, 4), device=device).requires_grad_()
    kernels.gaussian_blur(leaf, 2.0).sum().backward()
    kernels.lerp(leaf, leaf.detach(), torch.ones(2, device=device) / 2).sum().backward()
    close(leaf.grad, torch.full_like(leaf, 2.0), 1e-5)  # a blur keeps the sum, and two halves are one
    assert kernels.lerp(image, image, image.new_empty(0)).shape == (0, 2, 3, 4)
    assert kernels.paint_regions is reference.paint_regions and kernels.random_mask is reference.random_mask
    with pytest.raises(AttributeError):
        kernels.nothing_of_the_kind  # noqa: B018


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_inputs_on_a_device(device, dtype, channels_last):
    shape, sigmas = (3, 223, 225), [0.0, 0.5, 3.0, 50.0]
    image, fill = drawn(shape, dtype, "last", device), drawn(shape, dtype, device=device, seed=1)
    alphas = torch.linspace(0, 1, 33, device=device).to(dtype)
    equal(kernels.lerp(fill, image, alphas, channels_last), reference.lerp(fill, image, alphas))
    labels = torch.randint(0, 196, shape[1:], device=device)
    sets = torch.eye(196, dtype=torch.bool, device=device)
    equal(kernels.without_regions(image, fill, labels, sets, channels_last), reference.without_regions(image, fill, labels, sets))
    close(kernels.noisy(image, 0.4, 1, range(50), channels_last), reference.noisy(image, 0.4, 1, range(50)), 16 * STEP[dtype])
    wide = reference.gaussian_blurs(image.double(), sigmas).to(dtype)
    close(kernels.gaussian_blurs(image, sigmas, channels_last), wide, max(STEP[dtype], 2e-6) * 6)


@pytest.mark.gpu
def test_batches_beyond_two_gibibytes(device):
    if torch.cuda.mem_get_info()[0] < 12 * GIB:
        pytest.skip("less than 12 GiB of the device's memory are free")
    shape = (3, 1024, 1024)
    image, fill = drawn(shape, torch.bfloat16, device=device), drawn(shape, torch.bfloat16, device=device, seed=1)
    count = (1 << 31) // image.numel() + 3  # more than 2³¹ numbers
    alphas = torch.linspace(0, 1, count, device=device).to(torch.bfloat16)
    equal(kernels.lerp(fill, image, alphas)[-3:], reference.lerp(fill, image, alphas[-3:]))
    labels = torch.arange(16, device=device).repeat_interleave(1 << 16).view(1024, 1024)
    sets = torch.rand(count, 16, device=device) < 0.5
    got = kernels.without_regions(image, fill, labels, sets, True)[-3:]
    equal(got, reference.without_regions(image, fill, labels, sets[-3:]))
    got = kernels.noisy(image, 0.5, 3, range(count), True)
    equal(got[-1], kernels.noisy(image, 0.5, 3, [count - 1])[0])


@pytest.mark.gpu
def test_a_device_that_is_not_the_current_one():
    if torch.cuda.device_count() < 2:
        pytest.skip("one CUDA device")
    image = drawn((3, 5, 4), device="cuda:1")
    equal(kernels.lerp(image, -image, image.new_ones(1)), -image[None])
    close(kernels.gaussian_blur(image, 2.0), reference.gaussian_blur(image, 2.0), 1e-5)
