"""A ReLU whose backward pass is written out by hand, the reference for guided backpropagation and the deconvnet."""
import torch


class Gate(torch.autograd.Function):
    """`Gate.apply(x, guided)`: guided (with the forward mask) or deconvnet (without)."""

    @staticmethod
    def forward(ctx, x, guided):
        ctx.save_for_backward(x)
        ctx.guided = guided
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clamp(min=0)
        return gradient * (ctx.saved_tensors[0] > 0) if ctx.guided else gradient, None
