"""How relevance passes through calls without weights: activations, products of two activations, norms, attention.

Relevance travels as c = R / activation (`relevance.py`); what is linear in the picture needs no rule.
"""
from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .attention import decomposed_attention
from .backward_rules import RECTIFIERS, SMOOTH, Call, Rewriting, detour
from .relevance import passing, pulled_back

ACTIVATIONS = (*RECTIFIERS, *SMOOTH, "clamp", "clamp_min", "clamp_max", "softsign", "tanhshrink", "abs", "square", "pow")
_GATES = ("sigmoid", "hardsigmoid")


@dataclass
class Forward:
    """What one forward pass knows: the picture's leaf, the tensor that the model got, which nodes the leaf reaches."""

    leaf: Tensor
    picture: Tensor
    reached: dict[Any, bool] = field(default_factory=dict)

    def depends(self, value: Any) -> bool:
        """Whether a tensor is made of the picture: not so a parameter that wants a gradient of its own."""
        if not isinstance(value, Tensor) or not value.requires_grad:
            return False
        return value is self.leaf or (value.grad_fn is not None and self._reach(value.grad_fn))

    def _reach(self, node: Any) -> bool:
        stack = [node]
        while stack:
            now = stack[-1]
            if now in self.reached:
                stack.pop()
                continue
            before = [n for n, _ in now.next_functions if n is not None]
            waiting = [n for n in before if n not in self.reached]
            if waiting:
                stack.extend(waiting)
                continue
            self.reached[now] = getattr(now, "variable", None) is self.leaf or any(self.reached[n] for n in before)
            stack.pop()
        return self.reached[node]


FORWARDS: weakref.WeakKeyDictionary[Rewriting, Forward] = weakref.WeakKeyDictionary()


def forward_of(call: Call) -> Forward:
    """The pass that a call is part of, also where a checkpoint repeats the call as relevance goes back."""
    return FORWARDS[call.rewriting]


def bound(call: Call, *names: str) -> list:
    """The call's arguments in order, given by position or by name, and whatever follows by position."""
    given = list(call.args)
    return [given[i] if i < len(given) else call.kwargs.get(name) for i, name in enumerate(names)] + given[len(names):]


def activation(call: Call) -> Any:
    """f(x) = f(0) + x · slope: relevance passes, and f(0) counts as a bias."""
    x, *rest = call.args
    if any(isinstance(r, Tensor) and r.requires_grad for r in rest):
        return NotImplemented
    if call.name == "pow" and not _steady(call.args):
        return NotImplemented
    value = call.run()
    # The slope from zero to x; next to zero, where its numerator is rounding, that to a point nearby on the same side.
    near = 1e-6 if x.dtype == torch.float64 else 1e-3
    with torch.no_grad():
        away = torch.where(x.abs() < near, torch.where(x > 0, near, -near), x)
        at = call.function(away, *rest, **call.kwargs)
        slope = (at - call.function(torch.zeros_like(x), *rest, **call.kwargs)) / away
    result = passing(value, lambda c: (c * slope,), x, kept=False)
    result.gate = call.name in _GATES
    return result


def _steady(args: tuple) -> bool:
    """Whether a power is one that is defined and not steep around zero."""
    return len(args) > 1 and isinstance(args[1], (int, float)) and args[1] >= 1 and float(args[1]).is_integer()


def _product(call: Call) -> Any:
    """A gate's signal gets all; two signals half each."""
    a, b, *_ = call.args
    forward = forward_of(call)
    if call.kwargs or not (forward.depends(a) and forward.depends(b)):
        return NotImplemented
    gates = [getattr(t, "gate", False) or t.numel() < other.numel() for t, other in ((a, b), (b, a))]
    if gates[0] == gates[1]:
        return halves(call, call.function, a, b)
    signal, gate = (b, a) if gates[0] else (a, b)
    value, factor = call.run(), gate.detach()
    return passing(value, lambda c: ((c * factor).sum_to_size(signal.shape),), signal, kept=False)


def halves(call: Call, function: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
    """The call's value, linear in both `a` and `b`, which get half of the relevance each."""
    return passing(call.run(), lambda c, a, b: pulled_back(function(a, b), c / 2, a, b), a, b)


def _attention(call: Call) -> Any:
    """Taken apart, so that its products and its softmax come to their rules."""
    with call.inside(), torch.enable_grad():
        surrogate = decomposed_attention(*call.args, **call.kwargs)
    return detour(call.run(), surrogate)


def _division(call: Call) -> Any:
    """A divisor made of the picture counts as a constant."""
    a, b, *_ = call.args
    forward = forward_of(call)
    if call.kwargs or not (forward.depends(a) and forward.depends(b)):
        return NotImplemented
    divisor = b.detach()
    return passing(call.run(), lambda c: ((c / divisor).sum_to_size(a.shape),), a, kept=False)


def _gated_halves(call: Call) -> Any:
    """GLU: its first half is the signal, the second the gate."""
    x, dim = bound(call, "input", "dim")[:2]
    gate = x.detach().chunk(2, -1 if dim is None else dim)[1].sigmoid()
    return passing(call.run(), lambda c: (torch.cat((c * gate, torch.zeros_like(c)), -1 if dim is None else dim),), x, kept=False)


def _norm_over(call: Call, x: Tensor, shape: tuple[int, ...], weight: Tensor | None, eps: float, centred: bool = True) -> Tensor:
    """Normalisation of `x` reshaped to `shape` over its last axis, then times `weight` (which broadcasts to x)."""
    rows, before = x.detach().reshape(shape), x.shape
    spread = (rows.var(-1, unbiased=False, keepdim=True) if centred else rows.square().mean(-1, keepdim=True)).add(eps).sqrt()
    weight = None if weight is None else weight.detach()

    def back(c: Tensor):
        c = (c if weight is None else c * weight).reshape(shape)
        return (((c - c.mean(-1, keepdim=True) if centred else c) / spread).reshape(before),)

    return passing(call.run(), back, x, kept=False)


def _layer_norm(call: Call) -> Any:
    x, over, weight, _, eps = bound(call, "input", "normalized_shape", "weight", "bias", "eps")[:5]
    return _norm_over(call, x, (*x.shape[:x.ndim - len(over)], -1), weight, 1e-5 if eps is None else eps)


def _rms_norm(call: Call) -> Any:
    x, over, weight, eps = bound(call, "input", "normalized_shape", "weight", "eps")[:4]
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    return _norm_over(call, x, (*x.shape[:x.ndim - len(over)], -1), weight, eps, centred=False)


def _by_channel(weight: Tensor | None, x: Tensor) -> Tensor | None:
    return None if weight is None else weight.view(1, -1, *[1] * (x.ndim - 2))


def _group_norm(call: Call) -> Any:
    x, groups, weight, _, eps = bound(call, "input", "num_groups", "weight", "bias", "eps")[:5]
    return _norm_over(call, x, (len(x), groups, -1), _by_channel(weight, x), 1e-5 if eps is None else eps)


def _instance_norm(call: Call) -> Any:
    x, weight, _, _, _, own, _, eps = bound(call, "input", "weight", "bias", "running_mean", "running_var", "use_input_stats",
                                             "momentum", "eps")[:8]
    return _norm_over(call, x, (*x.shape[:2], -1), _by_channel(weight, x), eps) if own else NotImplemented


CALLS = {"mul": _product, "div": _division, "glu": _gated_halves, "layer_norm": _layer_norm, "rms_norm": _rms_norm,
         "group_norm": _group_norm, "instance_norm": _instance_norm, "scaled_dot_product_attention": _attention}

# What the dispatcher calls all these: activations, layers and norms by any backend's name, products of two activations.
_COUNTED = re.compile("_?(" + "|".join(
    (*ACTIVATIONS, "prelu_kernel", "rrelu_with_noise", "log_sigmoid_forward", "glu", "linear", "mm", "bmm", "mv", "dot", "addmm",
     "baddbmm", *(rf"\w*{norm}_norm\w*" for norm in ("batch", "layer", "group", "rms")), r"\w*convolution\w*",
     r"scaled_dot_product\w*")) + ")")


def counted(name: str, args: tuple, depends: Callable[[Any], bool]) -> bool:
    """Whether an operation of the dispatcher is one that LRP has a rule for."""
    name = name.rstrip("_")
    if name == "pow":
        return _steady(args)
    if name in ("mul", "div"):
        return len(args) > 1 and depends(args[0]) and depends(args[1])
    return _COUNTED.fullmatch(name) is not None
