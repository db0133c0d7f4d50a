"""Kernels of incremental forwards and of what is shown against their references: activations of differences, pasting, tones."""
import numpy as np
import pytest
import torch

from saliency_widgets.kernels import reference
from saliency_widgets.kernels import triton as kernels
from saliency_widgets.widgets.layers import default_limits, encode

from .tensors import FLOATS, STEP, close, drawn, equal, last

FAR = -1e30  # z outside the map, as the engine's tables have it


def differences(device, dtype, shape=(2, 5, 3, 4), rows=11, word="silu"):
    """d, the table with its row for positions outside, and the rows of d's positions."""
    d = drawn(shape, dtype, "last", device)
    table = 3 * drawn((rows, shape[1]), dtype, device=device, seed=1)
    far = max(FAR, torch.finfo(dtype).min)
    table[-1] = -far if word == "relu" else far
    index = torch.randint(0, rows, (d.numel() // shape[1],), generator=torch.Generator().manual_seed(2)).to(device)
    return d, table, index


@pytest.mark.parametrize("word", sorted(reference.ACTIVATIONS))
def test_activations_of_differences(device, word):
    d, table, index = differences(device, torch.float32, word=word)
    wanted = reference.activation_delta(d, table, index, word)
    got = kernels.activation_delta(d, table, index, word)
    if word == "relu":
        equal(got, wanted)
    close(got, wanted, 2e-6 * float(d.abs().max() + table[:-1].abs().max()))
    assert last(got)
    outside = (index == len(table) - 1).view(2, 3, 4)
    assert outside.any() and not got.movedim(1, -1)[outside].any()
    own = kernels.activation_delta(d, table, index, word, own=True)
    assert own.data_ptr() == d.data_ptr() and last(own)
    equal(own, got)


@pytest.mark.parametrize("word, dtype, shape", [
    ("relu", torch.bfloat16, (1, 70, 5, 4)), ("silu", torch.bfloat16, (2, 5, 3, 4)), ("hardswish", torch.float16, (1, 1, 1, 1)),
    ("relu", torch.float32, (3, 1, 1, 2))])
def test_activations_in_other_dtypes_and_shapes(device, word, dtype, shape):
    d, table, index = differences(device, dtype, shape, 9, word)
    table[-1] = 1.0  # a float16 that far away overflows on the way
    wanted = reference.activation_delta(d.float(), table.float(), index, word).to(dtype)
    allowed = 0 if word == "relu" else STEP[dtype] * wanted.abs().max() + 1e-6
    close(kernels.activation_delta(d, table, index, word), wanted, allowed)
    plain = d.clone(memory_format=torch.contiguous_format)
    equal(kernels.activation_delta(plain, table, index, word, own=True), kernels.activation_delta(d, table, index, word))


def test_an_activation_with_parameters_has_no_name(device):
    d, table, index = differences(device, torch.float32)
    with pytest.raises(KeyError):
        kernels.activation_delta(d, table, index, "gelu")


@pytest.mark.parametrize("shape, box, dtype", [((5, 6, 7), (2, 3), torch.float32), ((70, 3, 4), (5, 6), torch.float32),
                                               ((1, 1, 1), (1, 1), torch.float32), ((3, 5, 4), (2, 2), torch.float64),
                                               *(((3, 5, 4), (2, 2), dtype) for dtype in FLOATS[1:])])
def test_pasting(device, shape, box, dtype):
    value, d = drawn((1, *shape), dtype, "last", device), drawn((4, shape[0], *box), dtype, "last", device, 1)
    top, left = torch.tensor([0, -1, shape[1] - 1, shape[1] + 2]).to(device), torch.tensor([0, shape[2] - 1, -1, 0]).to(device)
    got = kernels.pasted(value, d, top, left)
    equal(got, reference.pasted(value, d, top, left))
    assert last(got) and torch.equal(got[3], value[0])
    equal(kernels.pasted(value.contiguous(), d.contiguous(), top, left), got)


def maps_of(device, dtype=torch.float32):
    maps = drawn((5, 9, 7), dtype, "holes", device)
    maps[1] = 0
    maps[2, 1:] = 0
    maps[3, 0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    maps[4] = torch.nan
    return maps


@pytest.mark.parametrize("dtype", FLOATS)
def test_ends_of_colours_are_those_of_the_face(device, dtype):
    maps = maps_of(device, dtype)
    for permille, kind in ((992, "heat"), (500, None), (1000, None)):
        got = kernels.tone_limits(maps, permille)
        equal(got, reference.tone_limits(maps, permille))
        if kind is not None:
            wanted = [default_limits(one.float().cpu().numpy(), True, kind) for one in maps]
            np.testing.assert_array_equal(got.cpu().numpy(), wanted)
    equal(kernels.tone_limits(maps[:1, :1, :1], 995), reference.tone_limits(maps[:1, :1, :1], 995))


def test_a_rank_is_found_among_many_values_of_one_size(device):
    maps = drawn((2, 70, 90), device=device)  # more than one turn
    maps[1] = maps[1].round()
    maps[1, 0, 0] = 1e-42  # below what is a normal number
    equal(kernels.tone_limits(maps, 992), reference.tone_limits(maps, 992))


@pytest.mark.parametrize("dtype", [*FLOATS, torch.float64])
def test_steps_are_those_of_the_face(device, dtype):
    maps = maps_of(device, dtype)
    for out in (torch.uint8, torch.uint16):
        limits = reference.tone_limits(maps, 900)
        equal(kernels.tones(maps, limits, out), reference.tones(maps, limits, out))
        for wrong in (limits.flip(1), limits[:, :1].expand(-1, 2).contiguous(), torch.full_like(limits, float("nan"))):
            assert not reference.tones(maps, wrong, out).to(torch.int32).any()
            equal(kernels.tones(maps, wrong, out), reference.tones(maps, wrong, out))
    whole = maps[:2]
    limits = torch.stack(whole.flatten(1).aminmax(dim=1)).mT.double()
    got = kernels.tones(whole, limits)
    equal(got, reference.tones(whole, limits))
    for one, steps in zip(whole, got):
        assert encode(one.double().cpu().numpy())[1] == steps.cpu().numpy().astype("<u2").tobytes()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", FLOATS)
def test_maps_on_a_device(device, dtype):
    for word in reference.ACTIVATIONS:
        d, table, index = differences(device, dtype, (16, 130, 29, 31), 3000, word)
        table[-1] = 5.0
        wanted = reference.activation_delta(d.float(), table.float(), index, word).to(dtype)
        close(kernels.activation_delta(d, table, index, word), wanted, 0 if word == "relu" else max(2 * STEP[dtype], 2e-6) * 20)
    value, d = drawn((1, 257, 56, 55), dtype, "last", device), drawn((16, 257, 20, 19), dtype, "last", device, 1)
    top, left = torch.randint(-25, 60, (2, 16), device=device)
    equal(kernels.pasted(value, d, top, left), reference.pasted(value, d, top, left))
    maps = drawn((7, 225, 223), dtype, "holes", device)
    maps[3, 5] = torch.nan
    limits = kernels.tone_limits(maps, 992)
    equal(limits, reference.tone_limits(maps, 992))
    for out in (torch.uint8, torch.uint16):
        equal(kernels.tones(maps, limits, out), reference.tones(maps, limits, out))


@pytest.mark.gpu
def test_maps_beyond_two_gibibytes(device):
    if torch.cuda.mem_get_info()[0] < 16 << 30:
        pytest.skip("less than 16 GiB of the device's memory are free")
    value = drawn((1, 64, 512, 512), torch.float16, "last", device)
    top = torch.arange(140, device=device)
    got = kernels.pasted(value, torch.ones(140, 64, 2, 2, dtype=torch.float16, device=device), top, top)  # 2.3 · 10⁹ numbers
    equal(got[-1:], reference.pasted(value, torch.ones(1, 64, 2, 2, dtype=torch.float16, device=device), top[-1:], top[-1:]))
    del got
    table = value[0].permute(1, 2, 0).reshape(-1, 64).contiguous()
    d = torch.ones(130, 64, 512, 512, dtype=torch.float16, device=device).contiguous(memory_format=torch.channels_last)
    index = torch.arange(len(table), device=device).repeat(130)
    equal(kernels.activation_delta(d, table, index, "relu", own=True)[-1:],
          reference.activation_delta(torch.ones_like(d[-1:]), table, index[-len(table):], "relu"))
