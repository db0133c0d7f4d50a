"""Kernels that add up gradients against their references: weighted sums, slopes, integrals, Grad-CAM."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_widgets.kernels import reference
from saliency_widgets.kernels import triton as kernels
from saliency_widgets.methods.quadrature import window_weights

from .tensors import FLOATS, SHAPES, close, drawn, equal

CASES = [(SHAPES[0], "last", torch.float32), (SHAPES[1], "plain", torch.float32), (SHAPES[2], "plain", torch.float32),
         *((SHAPES[0], "holes", dtype) for dtype in FLOATS)]


def frames_of(shape, dtype, order, device, count=4):
    return [drawn(shape, dtype, order, device, seed) for seed in range(count)]


@pytest.mark.parametrize("shape, order, dtype", CASES)
def test_weighted_sums_with_the_change_and_over_the_channels(device, shape, order, dtype):
    frames, change = frames_of(shape, dtype, order, device), drawn(shape, torch.float32, "plain", device, 9)
    weights = [0.5, -1.25, 2.0, 0.3]
    bound = float(reference.weighted_sum([f.abs() for f in frames], [abs(w) for w in weights], change.abs(), "sum").max())
    for given_frames in (frames, torch.stack(frames)):
        for reduce in (None, "sum", "abs_sum", "abs_max"):
            close(kernels.weighted_sum(given_frames, weights, change, reduce),
                  reference.weighted_sum(frames, weights, change, reduce), 1e-6 * bound)
    close(kernels.weighted_sum(frames, weights), reference.weighted_sum(frames, weights), 1e-6 * 20)
    close(kernels.weighted_sum(frames[:1], [1.0], None, "sum"), frames[0].float().sum(0), 1e-6 * 20)


def test_frames_may_lie_in_any_order(device):
    """Among frames of one order a single one of another, or of another dtype, is put in order, or left to the reference."""
    frames = [*frames_of((3, 4, 5), torch.float32, "last", device), drawn((3, 4, 5), order="holes", device=device)]
    close(kernels.weighted_sum(frames, [1.0] * 5), sum(frames), 1e-5)
    close(kernels.weighted_sum(frames, [1.0] * 5, reduce="sum"), sum(frames).sum(0), 1e-5)
    frames[2] = frames[2].half()
    close(kernels.weighted_sum(frames, [1.0] * 5), sum(f.float() for f in frames), 1e-5)
    doubles = [f.double() for f in frames]
    equal(kernels.weighted_sum(doubles, [0.5] * 5), reference.weighted_sum(doubles, [0.5] * 5))
    sideways = [drawn((3, 4, 5), device=device).permute(0, 2, 1) for _ in range(2)]  # pixels are not evenly apart
    wanted = reference.weighted_sum(sideways, [1.0, 2.0], None, "abs_max")
    close(kernels.weighted_sum(sideways, [1.0, 2.0], reduce="abs_max"), wanted, 1e-5)
    for wrong in ([1.0], [1.0] * 6):
        with pytest.raises(ValueError):
            kernels.weighted_sum(frames, wrong)


@pytest.mark.parametrize("shape, order, dtype", CASES)
def test_slopes(device, shape, order, dtype):
    frames, change = frames_of(shape, dtype, order, device, 3), drawn(shape, torch.float32, "plain", device, 9)
    bound = 1e-5 * float(reference.slopes([f.abs() for f in frames], change.abs()).max())
    close(kernels.slopes(frames, change), reference.slopes(frames, change), bound)
    close(kernels.slopes(torch.stack(frames), change), reference.slopes(frames, change), bound)


@pytest.mark.parametrize("shape, order, dtype", CASES)
def test_integrals_along_a_path(device, shape, order, dtype):
    frames, points = frames_of(shape, dtype, order, device), [0.0, 0.25, 0.5, 1.0]
    wanted = reference.prefix_sums(frames, points)
    for given_frames in (frames, torch.stack(frames)):
        close(kernels.prefix_sums(given_frames, points), wanted, 1e-6 * 8)
    assert not kernels.prefix_sums(frames, points)[0].any()


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_an_integral_begins_with_zero_whatever_its_frame_holds(device, value):
    frames = [drawn((2, 3, 5), device=device, seed=i) for i in range(3)]
    frames[0][0, 0, 0] = value
    got, wanted = kernels.prefix_sums(frames, [0.0, 0.5, 1.0]), reference.prefix_sums(frames, [0.0, 0.5, 1.0])
    assert not got[0].any() and not wanted[0].any()
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6, equal_nan=True)


def test_a_single_layer_s_grad_cam_in_float32_is_the_reference_s_until_it_is_measured(device, monkeypatch):
    from saliency_widgets.kernels.triton import launch, layer_cams
    started = []
    monkeypatch.setattr(layer_cams, "launch", lambda kernel, *rest, **options: started.append(kernel))
    a, g = (drawn((1, 4, 3, 3), device=device, seed=seed) for seed in (0, 1))
    launch.take_every(False)
    assert torch.equal(kernels.cam(a, g), reference.cam(a, g)) and not started
    kernels.cam(a.bfloat16(), g.bfloat16())
    launch.take_every(True)
    kernels.cam(a, g)
    assert len(started) == 4


@settings(max_examples=5, deadline=None)
@given(low=st.integers(0, 4), high=st.integers(0, 4), seed=st.integers(0, 99))
def test_a_window_is_a_difference_of_integrals(device, low, high, seed):
    low, high = sorted((low, high))
    frames, points = [drawn((2, 3, 5), device=device, seed=seed + i) for i in range(5)], [0.0, 0.1, 0.3, 0.6, 1.0]
    sums = kernels.prefix_sums(frames, points)
    window = kernels.weighted_sum(frames, window_weights(points, points[low], points[high]))
    close(sums[high] - sums[low], window, 1e-5)


@pytest.mark.parametrize("shape, order, dtype", [
    ((1, 1, 1, 1), "plain", torch.float32), ((1, 130, 4, 5), "plain", torch.float32), ((1, 70, 6, 6), "last", torch.float32),
    *(((2, 5, 3, 7), "holes", dtype) for dtype in FLOATS)])
@pytest.mark.parametrize("positive", [False, True])
def test_grad_cam_of_one_layer(device, shape, order, dtype, positive):
    a, g = drawn(shape, dtype, order, device), drawn(shape, dtype, "plain", device, 1)
    bound = 1e-5 * float(reference.cam(a.abs(), g.abs()).max())
    close(kernels.cam(a, g, positive), reference.cam(a, g, positive), bound)


def test_grad_cam_of_all_layers_at_once(device):
    shapes = [(2, 5, 5, 4), (2, 130, 3, 2), (2, 8, 1, 1), (2, 4, 2, 3), (2, 6, 4, 4)]
    kinds = [("plain", torch.float32)] * 2 + [("last", torch.float32), ("last", torch.float32), ("plain", torch.bfloat16)]
    values = [drawn(shape, dtype, order, device, i) for i, (shape, (order, dtype)) in enumerate(zip(shapes, kinds))]
    slopes = [drawn(shape, dtype, "plain", device, 50 + i) for i, (shape, (_, dtype)) in enumerate(zip(shapes, kinds))]
    for positive in (False, True):
        for got, wanted in zip(kernels.cams(values, slopes, positive), reference.cams(values, slopes, positive), strict=True):
            close(got, wanted, 1e-5 * 100)
    assert kernels.cams([], []) == []
    with pytest.raises(ValueError):
        kernels.cams(values, slopes[:2])
    apart = kernels.cams(values[:1] + [values[1][:1]], slopes[:1] + [slopes[1][:1]])  # batches of different sizes
    close(apart[1], reference.cam(values[1][:1], slopes[1][:1]), 1e-3)


def test_the_reductions_of_layers_are_those_of_the_reference(device):
    a, g = drawn((1, 5, 3, 4), device=device), drawn((1, 5, 3, 4), device=device, seed=1)
    assert set(kernels.REDUCTIONS) == set(reference.REDUCTIONS)
    for name in ("cam", "cam_guided", "hires_cam"):
        close(kernels.REDUCTIONS[name](a, g), reference.REDUCTIONS[name](a, g), 1e-5)


def test_what_is_not_finite_stays_so(device):
    frames = frames_of((2, 3, 4), torch.float32, "plain", device)
    frames[1][0, 0, 0], frames[2][1, 2, 3] = torch.nan, torch.inf
    for reduce in (None, "sum", "abs_max"):
        wanted = reference.weighted_sum(frames, [1.0] * 4, None, reduce)
        got = kernels.weighted_sum(frames, [1.0] * 4, None, reduce)
        assert torch.equal(got.isnan(), wanted.isnan()) and torch.equal(got.isinf(), wanted.isinf())


@pytest.mark.gpu
@pytest.mark.parametrize("order", ["plain", "last"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_on_a_device(device, order, dtype):
    shape = (3, 224, 223)
    frames, change = frames_of(shape, dtype, order, device, 65), drawn(shape, torch.float32, order, device, 99)
    weights, points = torch.linspace(-1, 1, 65).tolist(), torch.linspace(0, 1, 65).tolist()
    sizes = [f.abs() for f in frames]
    bound = float(reference.weighted_sum(sizes, [abs(w) for w in weights], change.abs(), "sum").max())
    for reduce in (None, "sum", "abs_sum", "abs_max"):
        wanted = reference.weighted_sum(frames, weights, change, reduce)
        close(kernels.weighted_sum(frames, weights, change, reduce), wanted, 1e-6 * bound)
        equal(kernels.weighted_sum(frames, weights, change, reduce), kernels.weighted_sum(frames, weights, change, reduce))
    bound = float(reference.slopes(sizes, change.abs()).max())
    close(kernels.slopes(frames, change), reference.slopes(frames, change), 1e-5 * bound)
    close(kernels.prefix_sums(frames, points), reference.prefix_sums(frames, points), 1e-5)
    shapes = [(2, 64, 112, 112), (2, 256, 56, 56), (2, 2048, 7, 7), (2, 1, 1, 1)]
    values = [drawn(s, dtype, order, device) for s in shapes]
    slopes = [drawn(s, dtype, order, device, 1) for s in shapes]
    for got, wanted in zip(kernels.cams(values, slopes), reference.cams(values, slopes)):
        close(got, wanted, 1e-4)
    close(kernels.cam(values[2], slopes[2], True), reference.cam(values[2], slopes[2], True), 1e-3)


@pytest.mark.gpu
def test_stacks_beyond_two_gibibytes(device):
    shape, count = (3, 2048, 2048), 90  # 4.2 GiB, more than 2³¹ bytes and, as integrals, 2³⁰ numbers
    if torch.cuda.mem_get_info()[0] < 14 << 30:
        pytest.skip("less than 14 GiB of the device's memory are free")
    stack = torch.ones(count, *shape, device=device)
    change = torch.full(shape, 0.5, device=device)
    close(kernels.weighted_sum(stack, [1.0] * count, change), torch.full(shape, count / 2.0, device=device), 1e-4)
    close(kernels.slopes(stack, change), torch.full((count,), change.numel() / 2.0, device=device), change.numel() * 1e-6)
    assert float(kernels.prefix_sums(stack, [i / (count - 1) for i in range(count)])[-1].mean()) == pytest.approx(1, abs=1e-4)
