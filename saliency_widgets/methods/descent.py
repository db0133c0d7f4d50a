"""Adam on one tensor, for the methods that learn a mask or a picture."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.adam import adam


class Descent:
    """Moves `values` against (or with `maximize` along) the gradients it is given, in place (Kingma, Ba, 1412.6980).

    The bare step of torch: the class `torch.optim.Adam` loads torch's compiler at its first step, which takes seconds.
    """

    def __init__(self, values: Tensor, lr: float, maximize: bool = False):
        self.values, self.lr, self.maximize = values, lr, maximize
        self._mean, self._square, self._count = torch.zeros_like(values), torch.zeros_like(values), torch.zeros(())

    def step(self, gradient: Tensor) -> None:
        """One step with the gradient of what is minimised (or maximised)."""
        with torch.no_grad():
            adam([self.values], [gradient], [self._mean], [self._square], [], [self._count], foreach=False, capturable=False,
                 differentiable=False, fused=False, amsgrad=False, beta1=0.9, beta2=0.999, lr=self.lr, weight_decay=0.0,
                 eps=1e-8, maximize=self.maximize)
