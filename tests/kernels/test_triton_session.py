"""A whole session with `backend="triton"`: the maps of the reference, by way of the kernels."""
import importlib

import numpy as np
import pytest
import torch

import saliency_widgets as sw
from saliency_widgets import kernels
from saliency_widgets.kernels import triton as kernels_of_triton
from tests.small import small, tensor


def sessions(device, dtype=torch.float32):
    """One on the kernels and one on the reference."""
    return (sw.Session(small().to(dtype), tensor((12, 10)), device=str(device), backend=name) for name in ("triton", "torch"))


@pytest.mark.parametrize("method, params, reached", [
    ("integrated_gradients", {"steps": 4, "rule": "adaptive"}, {"_points", "_weigh"}), ("smoothgrad", {"n": 2}, {"_noisy"}),
    ("grad_cam", {"layer": "conv2"}, {"_one"}), ("leave_one_out", {"grid": (2, 2), "fill": "noise"}, {"_masked", "_draw"})])
def test_maps_are_those_of_the_reference(device, monkeypatch, method, params, reached):
    started = set()
    for home in {*kernels_of_triton.HOMES.values()}:
        module = importlib.import_module(f"{kernels_of_triton.__name__}.{home}")
        monkeypatch.setattr(module, "launch", lambda kernel, *rest, launch=module.launch, **options: (
            started.add(kernel.fn.__name__), launch(kernel, *rest, **options)))
    own, wanted = (session.map(method, target=0, **params) for session in sessions(device))
    assert reached <= started, started
    assert own.values.any()
    np.testing.assert_allclose(own.values, wanted.values, rtol=0, atol=1e-4 * np.abs(wanted.values).max())


def test_it_is_taken_by_name_under_the_interpreter_and_unasked_on_a_device(device):
    assert kernels.choose("triton", device)[0] == "triton"
    assert kernels.choose("auto", device)[0] == ("triton" if device.type == "cuda" else "torch")


@pytest.mark.gpu
def test_a_model_in_half_precision(device):
    own, wanted = (session.map("smoothgrad", target=0, n=4) for session in sessions(device, torch.bfloat16))
    assert np.corrcoef(own.values.ravel(), wanted.values.ravel())[0, 1] > 0.99
