"""The gradient of a strided convolution with respect to a picture, as one dense convolution.

A picture has few channels, and what computes gradients of convolutions leaves most of its width idle over them. A stride s
splits the picture's positions into s × s phases, and the gradient at each phase is a plain convolution of the output's
gradient with every s-th weight: all phases together are one convolution with s² times the channels, shuffled into place.
"""
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FEW = 8  # channels up to which it pays


def pays(weight: Tensor, options: dict[str, Any]) -> bool:
    """Whether a convolution is of the kind for which this is faster: strided, square, dense, from few channels, on a CPU."""
    stride, dilation = options["stride"], options["dilation"]
    return (weight.ndim == 4 and weight.shape[1] <= FEW and weight.shape[2] == weight.shape[3] and options["groups"] == 1
            and stride[0] == stride[1] > 1 and tuple(dilation) == (1, 1) and weight.device.type == "cpu")


class Strided:
    """A convolution `(N, C, H, W)` to `(N, K, h, w)` whose gradient is taken with respect to its input alone."""

    def __init__(self, weight: Tensor, bias: Tensor | None, options: dict[str, Any]):
        self.weight, self.bias = weight, bias
        self.stride, self.padding = options["stride"][0], tuple(options["padding"])
        outputs, channels, size, _ = weight.shape
        taps = -(-size // self.stride)
        padded = weight.new_zeros(outputs, channels, taps * self.stride, taps * self.stride)
        padded[:, :, :size, :size] = weight
        split = padded.view(outputs, channels, taps, self.stride, taps, self.stride).flip(2, 4)
        self.phases = split.permute(1, 3, 5, 0, 2, 4).reshape(channels * self.stride ** 2, outputs, taps, taps).contiguous(
            memory_format=torch.channels_last)

    def __call__(self, x: Tensor) -> Tensor:
        """The convolution, differentiable once."""
        return _Convolution.apply(x, self)

    def gradient(self, gradient: Tensor, size: tuple[int, int]) -> Tensor:
        """From the gradient of the output to that of the input of `size` (H, W)."""
        taps = self.phases.shape[-1]
        found = F.pixel_shuffle(F.conv2d(gradient, self.phases, padding=taps - 1), self.stride)
        (top, left), (height, width) = self.padding, size
        found = found[:, :, top:top + height, left:left + width]
        return F.pad(found, (0, width - found.shape[3], 0, height - found.shape[2]))  # what no window reached


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, convolution: Strided) -> Tensor:
        ctx.convolution, ctx.size = convolution, tuple(x.shape[2:])
        return F.conv2d(x, convolution.weight, convolution.bias, convolution.stride, convolution.padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.convolution.gradient(gradient, ctx.size), None
