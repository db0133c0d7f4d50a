"""Tensors in every order of memory that kernels may meet."""
import torch

FLOATS = (torch.float32, torch.bfloat16, torch.float16)
STEP = {torch.float32: 2.0 ** -23, torch.bfloat16: 2.0 ** -7, torch.float16: 2.0 ** -10}  # between 1 and the next number
SHAPES = ((3, 9, 7), (1, 1, 1), (4, 1, 5), (2, 16, 16))


def drawn(shape, dtype=torch.float32, order="plain", device="cpu", seed=0):
    """Normal numbers; "last" lays channels last, "holes" takes every second column of a wider tensor."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype)
    if order == "last":
        return values.movedim(-3, -1).contiguous().movedim(-1, -3)
    if order == "holes":
        wide = torch.full((*shape[:-1], 2 * shape[-1]), torch.nan, dtype=dtype, device=device)
        wide[..., ::2] = values
        return wide[..., ::2]
    return values


def close(got, wanted, atol):
    """Within a tolerance, of the same shape and dtype, NaN where NaN is."""
    assert got.shape == wanted.shape and got.dtype == wanted.dtype and got.device == wanted.device
    torch.testing.assert_close(got.double(), wanted.double(), rtol=0, atol=float(atol), equal_nan=True)


def equal(got, wanted):
    """The same to the last bit."""
    assert got.dtype == wanted.dtype and got.device == wanted.device
    assert torch.equal(got, wanted)


def last(batch):
    """Whether a batch lies channels last."""
    return batch.permute(0, 2, 3, 1).is_contiguous()
