"""The benchmark's pieces of work, at sizes that the interpreter can do: both ways give the same."""
import pytest
import torch

from saliency_widgets.kernels import reference
from saliency_widgets.kernels import triton as kernels
from tests.benchmarks import gpu_kernels

LAYERS = [(4, 3), (2, 5), (3, 1)]
# A wide blur takes hundreds of turns, and the rest is tested in each form elsewhere.
NAMES = [work.name for work in gpu_kernels.works(torch.device("cpu"), 6, 2, LAYERS)
         if "σ =" not in work.name and "last" not in work.name and "16 maps" not in work.name]


@pytest.mark.parametrize("name", NAMES)
def test_both_ways_do_the_same_work(device, name):
    work = next(work for work in gpu_kernels.works(device, 6, 2, LAYERS) if work.name == name)
    assert work.bytes > 0
    limit = 2e-2 if "bf16" in work.name else 1e-5
    assert gpu_kernels.difference(work.call(kernels), work.call(reference)) <= limit
