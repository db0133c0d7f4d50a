"""The counts of operations against torch's own table."""
import pytest
import torch
import torch.nn.functional as F

from saliency_widgets.model.counting import Counting

x, picture = torch.randn(5, 6), torch.randn(2, 4, 9, 8)
tokens = torch.randn(2, 3, 7, 4)


@pytest.mark.parametrize("work", [
    lambda: x @ x.T, lambda: torch.bmm(tokens[0], tokens[1].mT), lambda: F.linear(x, torch.randn(3, 6), torch.randn(3)),
    lambda: torch.baddbmm(torch.randn(3, 7, 7), tokens[0], tokens[0].mT),
    lambda: F.conv2d(picture, torch.randn(6, 2, 3, 3), stride=2, padding=1, groups=2),
    lambda: F.conv_transpose2d(picture, torch.randn(4, 3, 3, 3), torch.randn(3), stride=2),
    lambda: F.scaled_dot_product_attention(tokens, torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4)),
    lambda: picture.relu() + 1], ids="mm bmm linear baddbmm conv transposed attention pointwise".split())
def test_the_counts_are_torchs(work):
    from torch.utils.flop_counter import FlopCounterMode  # imports triton: not before the tests of its kernels do, in their way
    with FlopCounterMode(display=False) as wanted:
        work()
    with Counting() as got:
        work()
    assert got.flops == wanted.get_total_flops()
