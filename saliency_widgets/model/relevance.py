"""How relevance passes backwards through one layer: the rules of layer-wise relevance propagation, as vector products.

Relevance R is carried as c = R / activation, the form in which a backward pass hands gradients on: sums, concatenations,
averages, reshapes and scalings then propagate it exactly as they do gradients, and relevance is c ⊙ activation wherever
somebody looks. Only what is not linear in the activation needs a rule: `passing` gives a call's output its rule.

Rules for z = W a + b (Bach et al. 2015; Montavon et al. 2019, tables 10.1; Andéol et al. 2021 for signed γ), each with
c_out z shared out in proportion to the named contributions, biases keeping theirs:
ε: a W, with ε·sign(z) in the denominator · γ: a (W + γ W⁺) · z⁺ and αβ: positive and negative ones apart ·
zᴮ: a W − low W⁺ − high W⁻, for pixels in [low, high], whose relevance is no multiple of a.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

TINY = 1e-9  # keeps denominators from zero where the rule itself has no ε

Back = Callable[..., Sequence[Tensor]]


class Passing(torch.autograd.Function):
    """A value of the model's own whose backward pass is a rule's; the rule is worked out only if relevance arrives."""

    @staticmethod
    def forward(ctx, held: list[Tensor], back: Back, kept: bool, *inputs: Tensor) -> Tensor:
        ctx.back, ctx.kept = back, kept
        if kept:
            ctx.save_for_backward(*inputs)  # so that a later change in place is an error and not a wrong map
        return held.pop()

    @staticmethod
    def backward(ctx, c: Tensor):
        inputs = ctx.saved_tensors if ctx.kept else ()
        with torch.enable_grad(), torch._C.DisableTorchFunction():
            back = ctx.back(c.detach(), *(t.detach().requires_grad_(True) for t in inputs))
        return None, None, None, *(b.detach() for b in back)


def passing(value: Tensor, back: Back, *inputs: Tensor, kept: bool = True) -> Tensor:
    """`value` with `back(c, *inputs)` as its backward pass: one c for each input, which are leaves there.

    Without `kept` the inputs are not kept, and `back(c)` does without them.
    """
    return Passing.apply([value.detach()], back, kept, *inputs)


def pulled_back(value: Tensor, c: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """∂(value · c)/∂input for each input; `grad_outputs=` would say the same and load sympy, two seconds, at its first use."""
    return torch.autograd.grad((value * c).sum(), inputs)


def stabilised(z: Tensor, epsilon: float = TINY) -> Tensor:
    """z moved away from zero by ε, zero counting as positive; by what the number type can show where ε is less."""
    epsilon = max(epsilon, torch.finfo(z.dtype).eps / 100)
    return z + torch.where(z < 0, -epsilon, epsilon).to(z)


@dataclass(frozen=True)
class Weighted:
    """A linear or convolution call `call(a, weight, bias)`."""

    call: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    weight: Tensor
    bias: Tensor | None
    convolution: bool

    def merged(self, scale: Tensor, shift: Tensor) -> Weighted:
        """The same with a scale and shift of its output channels: a batch norm that follows."""
        bias = shift if self.bias is None else self.bias * scale + shift
        return replace(self, weight=self.weight * scale.view(-1, *[1] * (self.weight.ndim - 1)), bias=bias)

    def z(self, a: Tensor) -> Tensor:
        """W a + b."""
        return self.call(a, self.weight, self.bias)

    def changed(self, a: Tensor, modify: Callable[[Tensor], Tensor], biased: bool = True) -> Tensor:
        """The same with changed weights, the bias among them or left out."""
        return self.call(a, modify(self.weight), modify(self.bias) if biased and self.bias is not None else None)

    def signed(self, a: Tensor, towards: Callable[[Tensor], Tensor], against: Callable[[Tensor], Tensor]) -> Tensor:
        """Contributions of positive inputs under one change of the weights and of negative ones under the other."""
        total = self.changed(a.clamp(min=0), towards)
        # Behind a ReLU nothing is negative, and half of the work falls away.
        return total + self.changed(a.clamp(max=0), against, biased=False) if bool((a < 0).any()) else total


Rule = Callable[[Weighted], Back]


def positive(w: Tensor) -> Tensor:
    """What excites."""
    return w.clamp(min=0)


def negative(w: Tensor) -> Tensor:
    """What inhibits."""
    return w.clamp(max=0)


def _share(contributions: Tensor, a: Tensor, relevance: Tensor, epsilon: float = TINY) -> Tensor:
    return pulled_back(contributions, relevance / stabilised(contributions.detach(), epsilon), a)[0]


def epsilon_rule(epsilon: float) -> Rule:
    """LRP-ε; LRP-0 is its limit. Bach et al. 2015, equation 58."""
    def rule(layer: Weighted) -> Back:
        def back(c: Tensor, a: Tensor):
            z = layer.z(a)
            return (_share(z, a, c * z.detach(), epsilon),)
        return back
    return rule


def gamma_rule(gamma: float) -> Rule:
    """LRP-γ in its form for inputs and outputs of either sign (Andéol et al. 2021); positive ones give Montavon's."""
    def up(w: Tensor) -> Tensor:
        return w + gamma * positive(w)

    def down(w: Tensor) -> Tensor:
        return w + gamma * negative(w)

    def rule(layer: Weighted) -> Back:
        def back(c: Tensor, a: Tensor):
            with torch.no_grad():
                z = layer.z(a)
            favoured = torch.where(z > 0, layer.signed(a, up, down), layer.signed(a, down, up))
            return (_share(favoured, a, c * z),)
        return back
    return rule


def alpha_beta_rule(alpha: float) -> Rule:
    """LRP-αβ with β = α − 1: positive contributions get α of the relevance, negative ones −β; α = 1 is z⁺."""
    def rule(layer: Weighted) -> Back:
        def back(c: Tensor, a: Tensor):
            with torch.no_grad():
                relevance = c * layer.z(a)
            total = alpha * _share(layer.signed(a, positive, negative), a, relevance)
            if alpha != 1:
                total = total - (alpha - 1) * _share(layer.signed(a, negative, positive), a, relevance)
            return (total,)
        return back
    return rule


def box_rule(low: Tensor, high: Tensor) -> Rule:
    """zᴮ for pixels between `low` and `high`, `(C, 1, 1)`: gives relevance itself, not c (Montavon et al. 2017)."""
    def rule(layer: Weighted) -> Back:
        def back(c: Tensor, a: Tensor):
            ends = [end.to(a).expand_as(a).clone().requires_grad_(True) for end in (low, high)]
            above = layer.z(a) - layer.changed(ends[0], positive) - layer.changed(ends[1], negative)
            share = c * layer.z(a.detach()) / stabilised(above.detach())
            grads = pulled_back(above, share, a, *ends)
            return (sum(t.detach() * g for t, g in zip((a, *ends), grads)),)
        return back
    return rule
