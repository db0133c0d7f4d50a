"""Small networks and pictures that tests share; real architectures come from `tests/networks.py`."""
import numpy as np
import torch
from torch import nn


def pixels(size=(32, 32), seed=0):
    """A smooth random uint8 picture (H, W, 3)."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 3, 5, 5)))
    fine = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=False)[0]
    return (fine.clamp(0, 1).permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def tensor(size=(32, 32), seed=0, dtype=torch.float64):
    """The same picture as an input tensor (3, H, W) of pixels in 0..1."""
    return torch.from_numpy(pixels(size, seed)).permute(2, 0, 1).to(dtype) / 255


class Small(nn.Module):
    """Convolutions, batch norm, in-place and functional activations, pooling: what real networks are made of."""

    def __init__(self, classes=5, smooth=False, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
            self.norm = nn.BatchNorm2d(8)
            self.act = nn.Softplus() if smooth else nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(8, 12, 3, stride=2, padding=1)
            self.head = nn.Linear(12, classes)
            # Weights large enough that classes differ, as in a trained network.
            for module in (self.conv1, self.conv2, self.head):
                nn.init.normal_(module.weight, std=2 / module.weight[0].numel() ** 0.5)
                nn.init.normal_(module.bias, std=0.1)
            self.norm.running_mean.normal_(std=0.2)
            self.norm.running_var.uniform_(0.5, 2)
        self.smooth = smooth

    def forward(self, x):
        x = self.act(self.norm(self.conv1(x)))
        x = self.conv2(x)
        x = torch.nn.functional.softplus(x) if self.smooth else torch.relu_(x)
        return self.head(x.mean((2, 3)))


def small(**keywords):
    """`Small` in float64 and eval mode."""
    return Small(**keywords).double().eval()
