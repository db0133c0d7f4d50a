"""Where the tests of Triton's kernels run: on a CUDA device, or else in a process of their own under Triton's interpreter.

The interpreter has to be asked for before Triton is first imported, and other tests import it (torchvision does), so without a
device `test_interpreter.py` starts that process, and the tests in `test_triton_*.py` wait for it: here only those marked `gpu`
are left, which say why they skip. To run one by hand: `TRITON_INTERPRET=1 pytest tests/kernels/test_triton_inputs.py`.
"""
import os

import pytest
import torch

CUDA = torch.cuda.is_available()


def pytest_collection_modifyitems(config, items):
    waiting = set() if CUDA or os.environ.get("TRITON_INTERPRET") == "1" else {
        item for item in items if item.path.name.startswith("test_triton_") and item.get_closest_marker("gpu") is None}
    if waiting:
        config.hook.pytest_deselected(items=[item for item in items if item in waiting])
        items[:] = [item for item in items if item not in waiting]
    for item in items:
        if item.get_closest_marker("gpu") is not None and not CUDA and "kernels" in item.path.parts:
            item.add_marker(pytest.mark.skip(reason="no CUDA device: the same kernels run under Triton's interpreter"))


@pytest.fixture(scope="session")
def device():
    """Where kernels run."""
    return torch.device("cuda" if CUDA else "cpu")


@pytest.fixture(autouse=True)
def every(request):
    """Kernels of which no gain is expected are tested, too; Triton is not imported for tests that do without it."""
    if not request.path.name.startswith("test_triton_"):
        yield
        return
    from saliency_widgets.kernels.triton import launch
    launch.take_every(True)
    yield
    launch.take_every(False)
