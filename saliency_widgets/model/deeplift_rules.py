"""DeepLIFT's rescale rule: each nonlinear call passes Δout/Δin on, between a run on a reference and a run on the input.

Shrikumar et al., arXiv 1704.02685: where a call is a function of one number, the multiplier is its difference quotient;
a product gives each factor the mean of the other's two values; everything else is taken apart into these. Multipliers
times input differences then add up to the score's difference, call by call (the summation-to-delta property).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import decomposed_attention
from .backward_rules import Call, Rule, detour, register, scaled
from .calls import differentiating, tensors_of, with_tensors
from .linear_operations import nonlinear

_NEAR = {torch.float64: 1e-10, torch.float32: 1e-4}  # relative difference below which a quotient is mostly rounding


def _slope(function: Callable[[Tensor], Tensor], x: Tensor, x0: Tensor, y: Tensor, y0: Tensor) -> Tensor:
    """Δy/Δx, or the derivative at the midpoint where the two are too close; 0 where neither is finite."""
    change = x - x0
    near = change.abs() <= _NEAR.get(x.dtype, 1e-2) * (x.abs() + x0.abs())
    slope = (y - y0) / change
    if bool(near.any()):
        with differentiating():
            middle = ((x + x0) / 2).detach().requires_grad_(True)
            out = function(middle)
            # floor, sign and their like have no history in some cases: their derivative is zero.
            derivative = torch.autograd.grad(out.sum(), middle)[0] if out.requires_grad else torch.zeros_like(middle)
        slope = torch.where(near, derivative, slope)
    return torch.where(slope.isfinite(), slope, 0)


class _Both:
    """A quantity in both runs, and a carrier through which gradients pass with the multipliers."""

    def __init__(self, x: Tensor, x0: Tensor, carrier: Tensor):
        self.x, self.x0, self.carrier = x, x0, carrier

    @staticmethod
    def wide(x: Tensor, x0: Tensor) -> "_Both":
        """From a call's argument and its reference, in float64 where the device has it: near values are subtracted next."""
        kind = x.dtype if x.device.type == "mps" else torch.float64
        return _Both(x.detach().to(kind), x0.to(kind), x.to(kind))

    def linear(self, function: Callable[[Tensor], Tensor]) -> "_Both":
        return _Both(function(self.x), function(self.x0), function(self.carrier))

    def rescaled(self, function: Callable[[Tensor], Tensor]) -> "_Both":
        y, y0 = function(self.x), function(self.x0)
        return _Both(y, y0, self.carrier * _slope(function, self.x, self.x0, y, y0))

    def minus(self, other: "_Both") -> "_Both":
        return _Both(self.x - other.x, self.x0 - other.x0, self.carrier - other.carrier)

    def times(self, other: "_Both") -> "_Both":
        carrier = self.carrier * ((other.x + other.x0) / 2) + other.carrier * ((self.x + self.x0) / 2)
        return _Both(self.x * other.x, self.x0 * other.x0, carrier)


def _elementwise(call: Call) -> Any:
    """A function of one tensor, number by number: Δout/Δin.

    Other arguments are constants, or depend on the input without a gradient (a mask): then Δout is this tensor's, too.
    """
    which = [i for i, arg in enumerate(call.args) if isinstance(arg, Tensor) and arg.requires_grad]
    if call.reference is None or len(which) != 1 or any(t.requires_grad for t in tensors_of(call.kwargs)):
        return NotImplemented
    at, = which
    x, x0 = call.args[at], call.reference[0][at]

    def function(value: Tensor) -> Tensor:
        return call.function(*call.args[:at], value, *call.args[at + 1:], **call.kwargs)

    y = call.run()
    if y.shape != x.shape:
        x, x0 = x.expand_as(y), x0.expand_as(y)
    return scaled(x, y, _slope(function, x.detach(), x0, y, call.on_reference()))


def _bilinear(first: int, second: int) -> Callable[[Call], Any]:
    """Product of the arguments at two places: each gets the mean of the other's two values."""
    def product(call: Call) -> Any:
        if call.reference is None or len(call.args) <= second:
            return NotImplemented
        (a, b), (a0, b0) = ([side[first], side[second]] for side in (call.args, call.reference[0]))
        if not (call.depends(a) and call.depends(b)):
            _constant(call, *((b, b0) if call.depends(a) else (a, a0)))
            return NotImplemented
        if not (a.requires_grad and b.requires_grad):
            return _elementwise(call) if call.name == "mul" else NotImplemented

        def with_factors(one: Tensor, two: Tensor, others: Callable[[Tensor], Tensor]) -> Tensor:
            args = [one if i == first else two if i == second else with_tensors(arg, others) for i, arg in enumerate(call.args)]
            return call.function(*args, **call.kwargs)

        y = call.run()
        one = with_factors(a, (b.detach() + b0) / 2, lambda summand: summand)
        return detour(y, one + with_factors((a.detach() + a0) / 2, b, Tensor.detach))
    return product


def _constant(call: Call, factor: Any, before: Any) -> None:
    """Note a factor that should be constant but was another number in the reference's run (a detached value, say)."""
    if isinstance(factor, Tensor) and factor is not before and not torch.equal(factor, before):
        call.rewriting.census.miss(f"{call.name} with a detached value")


def _divide(call: Call) -> Any:
    a, b = call.args[:2]
    if not call.depends(b) or call.kwargs.get("rounding_mode"):
        return NotImplemented
    if not (isinstance(a, Tensor) and a.requires_grad and b.requires_grad):
        return _elementwise(call)
    a0, b0 = call.reference[0][:2]
    inverse = _Both(b.detach(), b0, b).rescaled(torch.reciprocal)
    return detour(call.run(), _Both(a.detach(), a0, a).times(inverse).carrier)


def _filled(call: Call) -> Any:
    return _elementwise(call) if call.depends(call.args[1]) else NotImplemented


def _einsum(call: Call) -> Any:
    """Two operands, each with the mean of the other."""
    equation, operands = call.args[0], call.args[1:]
    operands = list(operands[0]) if operands and isinstance(operands[0], (list, tuple)) else list(operands)
    before = tensors_of(call.reference)
    which = [i for i, operand in enumerate(operands) if operand.requires_grad]
    if not isinstance(equation, str) or len(which) != 2:
        return NotImplemented
    y, surrogate = call.run(), 0
    for at in which:
        means = [o if i == at else (o.detach() + o0) / 2 for i, (o, o0) in enumerate(zip(operands, before))]
        surrogate = surrogate + torch.einsum(equation, *means)
    return detour(y, surrogate)


def _extreme(call: Call) -> Any:
    """`max`, `min`, `amax`, `amin` over axes, of two tensors, or of everything."""
    other = call.args[1] if len(call.args) > 1 else call.kwargs.get("other")
    sign = 1 if call.name in ("max", "amax", "maximum", "fmax") else -1
    if isinstance(other, Tensor):
        a, (a0, b0) = call.args[0], tensors_of(call.reference)
        if not (a.requires_grad and other.requires_grad):
            return _elementwise(call) if len(call.args) > 1 else NotImplemented
        a, b = _Both(a.detach(), a0, a), _Both(other.detach(), b0, other)
        above = a.minus(b).linear(lambda t: t * sign).rescaled(torch.relu).linear(lambda t: t * sign)
        return detour(call.run(), b.carrier + above.carrier)
    x, x0 = call.args[0], call.reference[0][0]
    axes = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim")
    axes = tuple(range(x.dim())) if axes is None or axes == () else (axes,) if isinstance(axes, int) else tuple(axes)
    axes = tuple(axis % max(x.dim(), 1) for axis in axes)

    def flat(value: Tensor) -> Tensor:
        kept = [axis for axis in range(value.dim()) if axis not in axes]
        return sign * value.permute(*kept, *axes).flatten(len(kept)) if axes else value[None]

    tops = [flat(value.detach()).max(-1, keepdim=True) for value in (x, x0)]
    out = call.run()
    values = out[0] if isinstance(out, tuple) else out
    result = detour(values, sign * _tops(flat(x), flat(x.detach()), flat(x0), *tops).reshape(values.shape))
    return type(out)((result, *out[1:])) if isinstance(out, tuple) else result


def _tops(carrier: Tensor, x: Tensor, x0: Tensor, top: tuple[Tensor, Tensor], top0: tuple[Tensor, Tensor]) -> Tensor:
    """The carrier of maxima `(…, windows)` over elements `(…, elements)`, split as with the crossed maximum.

    With m = max(y, y0), m − y0 goes to the input's place and y − m to the reference's, each over Δin there, so both shares lie
    in 0..1; where the places are one, all of it goes there. Gradients of overlapping windows add up.
    """
    (y, at), (y0, at0) = top, top0
    crossed = torch.maximum(y, y0)
    rise, fall = (torch.where(at == at0, share, part / (x.gather(-1, place) - x0.gather(-1, place)))
                  for share, part, place in ((1.0, crossed - y0, at), (0.0, y - crossed, at0)))
    rise, fall = (torch.where(share.isfinite(), share, 0) for share in (rise, fall))
    return carrier.gather(-1, at) * rise + carrier.gather(-1, at0) * fall


def _max_pool(call: Call) -> Any:
    """Max-pooling with overlap, padding, dilation and `ceil_mode`, or adaptive, from the places of the maxima."""
    x, (reference, options) = call.args[0], call.reference
    places = int(call.name.split("pool")[1][0])
    pool = getattr(F, call.name.removesuffix("_with_indices"))
    (y, at), (y0, at0) = (pool(*args, **(given | {"return_indices": True}))
                          for args, given in (((x.detach(), *call.args[1:]), call.kwargs), (reference, options)))
    out = call.run()
    carrier = _tops(*(t.flatten(-places) for t in (x, x.detach(), reference[0])),
                    *((top.flatten(-places), place.flatten(-places)) for top, place in ((y, at), (y0, at0)))).reshape(y.shape)
    return (detour(out[0], carrier), *out[1:]) if isinstance(out, tuple) else detour(out, carrier)


def _where(call: Call) -> Any:
    """A choice that depends on the input: Δout goes to the alternative that changed more; a fixed choice is linear."""
    if len(call.args) != 3 or not call.depends(call.args[0]):
        return NotImplemented
    alternatives = [(i, a) for i, a in enumerate(call.args) if isinstance(a, Tensor) and a.requires_grad]
    y, y0 = call.run(), call.on_reference()
    change = [a.detach() - call.reference[0][i] for i, a in alternatives]
    mine = [torch.ones_like(y, dtype=torch.bool)] if len(change) == 1 else [change[0].abs() >= change[1].abs()]
    mine += [~mine[0]]
    carrier = 0
    for (i, a), delta, use in zip(alternatives, change, mine):
        own = ((call.args[0] if i == 1 else ~call.args[0]).to(y.dtype) + (call.reference[0][0] == (i == 1)).to(y.dtype)) / 2
        share = torch.where(delta.abs() <= _NEAR.get(y.dtype, 1e-2) * (2 * a.detach().abs()), own, use * (y - y0) / delta)
        carrier = carrier + a * torch.where(share.isfinite(), share, 0)
    return detour(y, carrier)


def _softmax(call: Call) -> Any:
    """exp(x − log Σ exp x), also where only a part of it is asked for.

    The shift by the larger of both runs' maxima is a constant of each row and cancels; exp · (1 / Σ) would not do, since
    its two halves are huge and opposite where the rows lie far apart.
    """
    x, x0 = call.args[0], call.reference[0][0]
    axis = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else None)
    both = _Both.wide(x, x0)
    shift = torch.maximum(both.x.amax(axis, True), both.x0.amax(axis, True))
    both = both.linear(lambda t: t - shift)
    total = both.rescaled(torch.exp).linear(lambda t: t.sum(axis, keepdim=True))
    log_total = total.rescaled(lambda t: t.clamp_min(torch.finfo(t.dtype).tiny).log())
    out = call.run()
    if call.name == "logsumexp":
        return detour(out, log_total.carrier.reshape(out.shape))
    difference = both.minus(log_total)
    return detour(out, (difference if call.name == "log_softmax" else difference.rescaled(torch.exp)).carrier)


def _centred(x: _Both, axes: tuple[int, ...]) -> tuple[_Both, _Both]:
    """x − mean, and the sum of its squares over the axes."""
    deviation = x.linear(lambda t: t - t.mean(axes, keepdim=True))
    return deviation, deviation.times(deviation).linear(lambda t: t.sum(axes, keepdim=True))


def _normalised(x: _Both, axes: tuple[int, ...], eps: float, centre: bool = True) -> _Both:
    count = 1
    for axis in axes:
        count *= x.x.shape[axis]
    deviation, squares = _centred(x, axes) if centre else (x, x.times(x).linear(lambda t: t.sum(axes, keepdim=True)))
    return deviation.times(squares.rescaled(lambda t: (t / count + eps).rsqrt()))


def _normalisation(call: Call) -> Any:
    """Layer, group, instance and RMS normalisation: centred, times 1/√(mean square + ε) of the centred."""
    given = dict(zip(_SIGNATURES[call.name], call.args)) | call.kwargs
    x, x0, weight, bias, eps = given["input"], call.reference[0][0], given.get("weight"), given.get("bias"), given.get("eps")
    if call.name == "instance_norm" and not given.get("use_input_stats", True) or call.depends([weight, bias]):
        return NotImplemented
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    both = _Both.wide(x, x0)
    if call.name in ("layer_norm", "rms_norm"):
        axes = tuple(range(x.dim() - len(tuple(given["normalized_shape"])), x.dim()))
        result = _normalised(both, axes, eps, centre=call.name == "layer_norm").carrier
    else:
        groups = given.get("num_groups", x.shape[1])
        both = both.linear(lambda t: t.reshape(len(t), groups, -1))
        result = _normalised(both, (-1,), eps).carrier.reshape(x.shape)
        weight = None if weight is None else weight.reshape(-1, *[1] * (x.dim() - 2))
    return detour(call.run(), result if weight is None else result * weight)


_SIGNATURES = {
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "rms_norm": ("input", "normalized_shape", "weight", "eps"),
    "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    "instance_norm": ("input", "weight", "bias", "running_mean", "running_var", "use_input_stats", "momentum", "eps"),
}


def _spread(call: Call) -> Any:
    """`var`, `std` and the Euclidean or absolute `linalg_vector_norm`, over axes or over everything."""
    x, rest, options = call.args[0], call.args[1:], call.kwargs
    norm = call.name == "linalg_vector_norm"
    order = (rest[0] if rest else options.get("ord", 2)) if norm else 2
    place = rest[1:2] if norm else rest[:1]
    axes = place[0] if place else options.get("dim")
    if order not in (1, 2) or isinstance(axes, bool):
        return NotImplemented
    axes = tuple(range(x.dim())) if axes is None or axes == () else (axes,) if isinstance(axes, int) else tuple(axes)
    both = _Both.wide(x, call.reference[0][0])
    out = call.run()
    if norm:
        squares = both.times(both) if order == 2 else both.rescaled(torch.abs)
        total = squares.linear(lambda t: t.sum(axes, keepdim=True))
        result = total.rescaled(torch.sqrt) if order == 2 else total
    else:
        correction = options.get("correction", options.get("unbiased", rest[1] if len(rest) > 1 else True))
        divisor = x.numel() / out.numel() - (1 if correction is None else int(correction))
        result = _centred(both, axes)[1].linear(lambda t: t / divisor)
        result = result.rescaled(torch.sqrt) if call.name == "std" else result
    return detour(out, result.carrier.reshape(out.shape))


def _taken_apart(steps: Callable[..., Tensor]) -> Callable[[Call], Any]:
    """A composite that torch runs as one kernel, in steps that come to the rule again."""
    def handler(call: Call) -> Any:
        with call.inside():
            surrogate = steps(*call.args, **call.kwargs)
        return None if call.rewriting.is_recording else detour(call.run(), surrogate)
    return handler


def _gated(x: Tensor, dim: int = -1) -> Tensor:
    value, gate = x.chunk(2, dim)
    return value * torch.sigmoid(gate)


_FUNCTIONS = (
    "relu relu6 hardtanh threshold leaky_relu prelu rrelu elu selu celu silu gelu mish hardswish hardsigmoid sigmoid "
    "tanh softplus log_sigmoid hardshrink softshrink exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal square "
    "abs sin cos tan asin acos atan sinh cosh asinh acosh atanh erf erfc erfinv clamp clamp_min clamp_max pow "
    "float_power sign sgn floor ceil round trunc frac nan_to_num logit sinc fmod remainder lgamma digamma").split()
_COMPOSITES = {"scaled_dot_product_attention": _taken_apart(decomposed_attention), "glu": _taken_apart(_gated)}
_WEIGHTED = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_PRODUCTS = ("mul", "matmul", "outer", "inner", "tensordot", "kron", "bilinear", "linalg_vecdot", *_WEIGHTED)
_SUMS_OF_PRODUCTS = ("addmm", "addbmm", "baddbmm", "addmv", "addr", "addcmul")
_POOLS = [f"{kind}max_pool{n}d{more}" for kind in ("", "adaptive_") for n in (1, 2, 3) for more in ("", "_with_indices")]


def _recorded(name: str, args: tuple) -> bool:
    """Products are compared only where both factors may differ: numbers and parameters do not."""
    if name not in _PRODUCTS:
        return True
    return len(args) > 1 and all(isinstance(arg, Tensor) and not isinstance(arg, nn.Parameter) for arg in args[:2])


register(Rule(
    "deeplift",
    {**dict.fromkeys(_FUNCTIONS, _elementwise), **dict.fromkeys(_PRODUCTS, _bilinear(0, 1)),
     **dict.fromkeys(_SUMS_OF_PRODUCTS, _bilinear(1, 2)), "div": _divide, "einsum": _einsum, "where": _where,
     "masked_fill": _filled,
     **dict.fromkeys(("max", "min", "amax", "amin", "maximum", "minimum", "fmax", "fmin"), _extreme),
     **dict.fromkeys(_POOLS, _max_pool), **dict.fromkeys(("softmax", "log_softmax", "logsumexp"), _softmax),
     **dict.fromkeys(_SIGNATURES, _normalisation), **dict.fromkeys(("var", "std", "linalg_vector_norm"), _spread), **_COMPOSITES},
    nonlinear, paired=True, composites=frozenset(_COMPOSITES), recorded=_recorded))
