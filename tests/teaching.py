"""Functions with known answers, as models: the picture `(1, 1, k)` holds the k features side by side, float64."""
import torch
from torch import nn


class Function(nn.Module):
    """A function of the features `(N, k)` as a model with one output."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.register_buffer("wide", torch.zeros(1, dtype=torch.float64))  # says that the model is one of float64

    def forward(self, x):
        return self.function(x.flatten(1))[:, None]


class Weighted(nn.Module):
    """w·x, a linear model; `weights` are a list of rows, one a class."""

    def __init__(self, weights):
        super().__init__()
        weights = torch.tensor(weights, dtype=torch.float64)
        self.linear = nn.Linear(weights.shape[1], weights.shape[0], bias=False).double()
        self.linear.weight.data = weights

    def forward(self, x):
        return self.linear(x.flatten(1))


class TwoRelus(nn.Module):
    """ReLU(ReLU(x1 − 1) − ReLU(x2)), with modules for the ReLUs."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.ReLU(), nn.ReLU()
        self.register_buffer("wide", torch.zeros(1, dtype=torch.float64))

    def forward(self, x):
        x = x.flatten(1)
        return self.second(self.first(x[:, :1] - 1) - self.first(x[:, 1:]))


def features(*values):
    """Numbers as a picture `(1, 1, k)`."""
    return torch.tensor(values, dtype=torch.float64).view(1, 1, -1)


def cube():
    """y = x³: 512 at 8, where gradient × input says 1536."""
    return Function(lambda x: x[:, 0] ** 3)


def logarithm():
    """y = log x: 2.08 at 8, where gradient × input says 1."""
    return Function(lambda x: x[:, 0].log())


def saturating(form="minimum"):
    """y = min(1, i1 + i2), or written as 1 − ReLU(1 − i1 − i2)."""
    if form == "minimum":
        return Function(lambda x: x.sum(1).clamp(max=1))
    return Function(lambda x: 1 - torch.relu(1 - x.sum(1)))


def mixed():
    """y = 5x + y² + sin z."""
    return Function(lambda x: 5 * x[:, 0] + x[:, 1] ** 2 + torch.sin(x[:, 2]))
