"""Our step of Adam is torch's, without what its class loads."""
import subprocess
import sys

import torch

from saliency_widgets.methods.descent import Descent


def test_the_steps_are_those_of_torch_s_optimiser():
    for maximize in (False, True):
        start = torch.linspace(-1, 1, 12, dtype=torch.float64).view(3, 4)
        ours, theirs = start.clone(), start.clone().requires_grad_(True)
        descent, adam = Descent(ours, 0.1, maximize), torch.optim.Adam([theirs], lr=0.1, maximize=maximize)
        for i in range(5):
            slope = torch.cos(theirs.detach() + i)
            theirs.grad = slope.clone()
            adam.step()
            descent.step(slope)
            assert torch.allclose(ours, theirs.detach(), atol=1e-12)
        assert not torch.allclose(ours, start)


def test_a_step_does_not_load_torch_s_compiler():
    program = ("import sys, torch; from saliency_widgets.methods.descent import Descent; "
               "Descent(torch.zeros(2), 0.1).step(torch.ones(2)); sys.exit('torch._dynamo' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
