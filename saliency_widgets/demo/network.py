"""The embedded demo network, and how its checkpoints are written and read."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from .preprocess import CropAndNormalise

FOLDER = Path(__file__).parent
PREPROCESS = CropAndNormalise(mean=(0.5,) * 3, std=(0.25,) * 3, description="crop 224, (pixel − 0.5) / 0.25")


def _convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """relu(x + two convolutions of x)."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(channels, channels), nn.ReLU(), *_convolution(channels, channels)
        )
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(x + self.body(x))


class DemoNet(nn.Module):
    """Four stages that halve the side each, (N, 3, 224, 224) → (N, 128, 14, 14), then global average pooling
    and one linear layer → (N, classes): the shape of network for which CAM and Grad-CAM agree."""

    def __init__(self, classes: int = 10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(*_convolution(3, 24, 2), nn.ReLU()),
            nn.Sequential(*_convolution(24, 32, 2), nn.ReLU()),
            nn.Sequential(*_convolution(32, 64, 2), nn.ReLU(), Residual(64)),
            nn.Sequential(*_convolution(64, 128, 2), nn.ReLU(), Residual(128)),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(128, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.flatten(self.pool(self.features(x))))


def save(model: DemoNet, path: Path) -> None:
    """Write the state as float16: half the size; the training script measures what it reads back."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_file({k: v.contiguous() for k, v in state.items()}, path)


def load(path: Path, name: str) -> DemoNet:
    """Read a checkpoint into a float32 DemoNet in eval() mode, with `.name` and `.preprocess`."""
    # On the meta device no initial values are drawn, so the user's random state stays as it is.
    with torch.device("meta"):
        model = DemoNet()
    state = {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    model.load_state_dict(state, assign=True)
    model.name = name
    model.preprocess = PREPROCESS
    return model.eval()
