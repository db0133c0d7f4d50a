"""Devices for the tests that need one; without it they skip and say how to get it."""
import pytest
import torch


@pytest.fixture(scope="session")
def cuda():
    """The first CUDA device."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: run `pytest -m gpu` where there is an NVIDIA GPU, its driver, and a torch built for CUDA")
    return torch.device("cuda", 0)


@pytest.fixture(scope="session")
def second(cuda):
    """The second CUDA device."""
    if torch.cuda.device_count() < 2:
        pytest.skip("one CUDA device only: run `pytest -m gpu` where there are two")
    return torch.device("cuda", 1)


@pytest.fixture(scope="session")
def mps():
    """Apple's GPU."""
    if not torch.backends.mps.is_available():
        pytest.skip("no Apple GPU: run `pytest -m gpu` on a Mac with Apple silicon")
    return torch.device("mps", 0)


@pytest.fixture(autouse=True)
def exact():
    """Convolutions and products in full float32: TF32 is the user's choice, and not what is tested."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
