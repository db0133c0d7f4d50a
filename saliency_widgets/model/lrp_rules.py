"""Layer-wise relevance propagation as a backward rule: which call passes relevance on how.

Every call that is not linear in the picture has a rule of its own here; the rest (sums, means, reshapes, pooling, whose
winner takes all) passes c = R / activation on as gradients are passed. What has neither is refused by name.

- Linear and convolution layers: the rule asked for (`relevance`). A batch norm merges into the layer before it; alone it
  is a layer by itself (ε). Layer, group and RMS norms, and division by what depends on the picture: the divisor counts as
  a constant (AttnLRP, arXiv 2402.05602, proposition 3.4).
- Activations: relevance passes, f(x) = f(0) + x · (f(x) − f(0))/x, with f(0) counted as a bias.
- Products of two activations: a gate (out of a sigmoid, or one number for many positions, as in squeeze-and-excitation)
  gets nothing and the signal all (Arras et al. 2017); otherwise each factor half, as in attention's products (AttnLRP,
  equation 13). Softmax: its first-order expansion (AttnLRP, proposition 3.1), whose constant is a bias too.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .backward_rules import RULES, Call, Rewriting, Rule, register
from .lrp_calls import ACTIVATIONS, CALLS, FORWARDS, Forward, activation, bound, counted, forward_of, halves
from .relevance import Rule as LayerRule
from .relevance import Weighted, alpha_beta_rule, box_rule, epsilon_rule, gamma_rule, passing

KINDS = ("composite", "epsilon", "gamma", "zplus", "alpha2beta1")
EPSILON, GAMMA = 1e-6, 0.25

_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
_TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def rule_name(kind: str = "composite", epsilon: float = EPSILON, gamma: float = GAMMA, low: tuple[float, ...] = (),
              high: tuple[float, ...] = ()) -> str:
    """The name of LRP with these numbers, known to `RULES` from now on.

    "epsilon" and "gamma" are that rule in every layer. The others have ε in linear layers and, in convolutions, γ
    ("composite", with zᴮ in one that reads the picture itself, its pixels between `low` and `high` by channel in the
    input space), z⁺ ("zplus") or α = 2, β = 1 ("alpha2beta1"). ValueError for another kind or numbers below zero.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no LRP rule {kind!r}: choose one of {', '.join(KINDS)}")
    if not epsilon >= 0 or not gamma >= 0:
        raise ValueError(f"LRP takes epsilon and gamma of at least 0, got epsilon={epsilon!r}, gamma={gamma!r}")
    ends = "" if kind != "composite" or not low else f", pixels {_listed(low)} to {_listed(high)}"
    name = f"lrp_{kind}(epsilon={float(epsilon)!r}, gamma={float(gamma)!r}{ends})"
    if name not in RULES:
        _announce(name, kind, epsilon, gamma, (low, high) if ends else None)
    return name


def _listed(numbers: tuple[float, ...]) -> str:
    return "/".join(repr(float(n)) for n in numbers)


def _announce(name: str, kind: str, epsilon: float, gamma: float, box: tuple | None) -> None:
    dense = gamma_rule(gamma) if kind == "gamma" else epsilon_rule(epsilon)
    convolution = {"epsilon": dense, "gamma": dense, "composite": gamma_rule(gamma), "zplus": alpha_beta_rule(1),
                   "alpha2beta1": alpha_beta_rule(2)}[kind]
    first = None if box is None else box_rule(*(torch.tensor(end, dtype=torch.float64).view(-1, 1, 1) for end in box))
    layers = _Layers(convolution, dense, first)
    handlers = {**dict.fromkeys(_CONVOLUTIONS, layers.convolution), **dict.fromkeys(_TRANSPOSED, layers.transposed),
                **dict.fromkeys(ACTIVATIONS, activation), **CALLS, "linear": layers.linear, "matmul": layers.matmul,
                "einsum": layers.einsum, "batch_norm": layers.batch_norm}
    register(Rule(name, handlers, counted, enter=_enter, leave=_leave))


# ---- the picture comes in, the scores go out


class _Entering(torch.autograd.Function):
    """The picture's copy for the model; what comes back as c leaves as relevance c ⊙ x."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, c: Tensor) -> Tensor:
        return c * ctx.saved_tensors[0]


def _enter(rewriting: Rewriting, leaf: Tensor) -> Tensor:
    FORWARDS[rewriting] = Forward(leaf, _Entering.apply(leaf))
    return FORWARDS[rewriting].picture


# What hands c on unchanged in meaning: linear in what depends on the picture, or (pooling) a choice of one input.
_LINEAR = re.compile(
    r"(Add|Sub|RsubScalar|Rsub|Neg|Mul|Div|Mean|Sum|Nansum|View|UnsafeView|ReshapeAlias|Reshape|Alias|AsStrided|AsStridedScatter|"
    r"Permute|Transpose|T|Mt|MT|Movedim|Unsqueeze|Squeeze|Select|SelectScatter|Slice|SliceScatter|Split|SplitWithSizes|"
    r"UnsafeSplit|Unbind|Chunk|Narrow|Cat|Stack|Expand|Repeat|RepeatInterleave|Tile|Clone|Contiguous|ToCopy|Copy|CopySlices|"
    r"ConstantPadNd|ReflectionPad\w+|ReplicationPad\w+|Pad\w*|Index|IndexSelect|IndexPut|IndexAdd|Gather|Scatter|ScatterAdd|TakeAlongDim|"
    r"MaskedFill|MaskedSelect|Where|Roll|Flip|Rot90|Unfold|UnfoldCopy|Im2Col|Col2Im|PixelShuffle|PixelUnshuffle|ChannelShuffle|"
    r"Avg\w*Pool\w+|AdaptiveAvgPool\w+|MkldnnAdaptiveAvgPool\w+|MaxPool\w+|AdaptiveMaxPool\w+|Max|Amax|Upsample\w+|Cumsum|"
    r"Diagonal|Mm|Bmm|Mv|Dot|Addmm|Baddbmm|Addbmm|Softmax|SafeSoftmax|LogSoftmax|AccumulateGrad|"
    r"Passing|_Detour|_Entering)(Backward)?s?\d*")
_BILINEAR = ("Mul", "Div", "Mm", "Bmm", "Mv", "Dot", "Addmm", "Baddbmm", "Addbmm")


def _leave(rewriting: Rewriting, scores: Tensor) -> None:
    """Refuse what relevance would have to pass on its way and has no rule for."""
    forward, unruled, seen = FORWARDS[rewriting], {}, set()
    stack = [scores.grad_fn] if forward.depends(scores) else []
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        before = [n for n, _ in node.next_functions if n is not None and forward.reached[n]]
        stack.extend(before)
        kind = re.sub(r"Backward\w*$", "", node.name().rsplit("::", 1)[-1])
        if not _LINEAR.fullmatch(node.name().rsplit("::", 1)[-1]):
            unruled[re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()] = None
        elif kind in _BILINEAR and _factors(node, kind, forward) > 1:
            unruled[f"{kind.lower()} of two activations"] = None
    forward.reached.clear()  # nodes of the graph, which is to go when it has been gone back through
    if unruled:
        raise ValueError(f"LRP has no rule for {', '.join(unruled)} in this model (or cannot reach it: scripted, traced and "
                         f"exported code, and custom autograd functions): use gradient_x_input, deeplift or "
                         f"integrated_gradients")


def _factors(node: Any, kind: str, forward: Forward) -> int:
    last = [n for n, _ in node.next_functions][-2:]  # an addend comes first
    dependent = [n is not None and forward.reached[n] for n in last]
    return 2 if kind == "Div" and dependent[-1] else sum(dependent)


# ---- layers with weights


@dataclass(frozen=True)
class _Layers:
    """The rules for convolutions, for linear layers, and for a convolution that reads the picture itself."""

    of_convolutions: LayerRule
    of_linear: LayerRule
    of_first: LayerRule | None

    def convolution(self, call: Call) -> Any:
        return self._weighted(call, True)

    def transposed(self, call: Call) -> Any:
        result = self._weighted(call, True)
        if result is not NotImplemented:
            del result.layer_before  # its weights have the output channels elsewhere: a batch norm stays apart
        return result

    def linear(self, call: Call) -> Any:
        return self._weighted(call, False)

    def _weighted(self, call: Call, convolution: bool) -> Any:
        a, weight, bias, *rest = bound(call, "input", "weight", "bias")
        if not forward_of(call).depends(a) or forward_of(call).depends(weight):
            return NotImplemented
        options = {k: v for k, v in call.kwargs.items() if k not in ("input", "weight", "bias")}
        layer = Weighted(lambda a, w, b: call.function(a, w, b, *rest, **options), weight.detach(),
                         None if bias is None else bias.detach(), convolution)
        return self._pass(call, layer, a, call.run())

    def matmul(self, call: Call) -> Any:
        """A factor that does not depend on the picture is a weight; two that do share alike."""
        return self._factors(call, call.function, call.args[:2])

    def einsum(self, call: Call) -> Any:
        equation, *factors = call.args
        factors = factors[0] if isinstance(factors[0], (tuple, list)) else factors
        return self._factors(call, lambda *given: torch.einsum(equation, *given), factors)

    def _factors(self, call: Call, function: Callable, factors: Sequence[Tensor]) -> Any:
        dependent = [i for i, factor in enumerate(factors) if forward_of(call).depends(factor)]
        if len(factors) > 2 or not dependent:
            return NotImplemented
        if len(dependent) == 2:
            return halves(call, function, *factors)
        a, weight = factors[dependent[0]], factors[1 - dependent[0]].detach()
        order = 1 if dependent[0] == 0 else -1
        layer = Weighted(lambda a, w, b: function(*(a, w)[::order]), weight, None, False)
        return passing(call.run(), self.of_linear(layer), a)

    def _pass(self, call: Call, layer: Weighted, a: Tensor, value: Tensor) -> Tensor:
        forward = forward_of(call)
        if layer.convolution and self.of_first is not None and a is forward.picture and a._version == 0:
            result = passing(value, self.of_first(layer), forward.leaf)
        else:
            result = passing(value, (self.of_convolutions if layer.convolution else self.of_linear)(layer), a)
        # A change of either tensor in place would make it another layer.
        result.layer_before = layer, a, (a._version, result._version)
        return result

    def batch_norm(self, call: Call) -> Any:
        """scale · a + shift by channel: merged with the layer whose output `a` is, if it is one's."""
        a, weight, bias, mean, var, training, _, eps, *_ = bound(
            call, "input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
        if training or mean is None:
            return NotImplemented  # the batch's own statistics mix the pictures: refused at the end
        scale = (var + eps).rsqrt().to(a.dtype).detach() * (1 if weight is None else weight.detach())
        shift = (0 if bias is None else bias.detach()) - mean * scale
        layer, source, versions = getattr(a, "layer_before", (None, None, None))
        value = call.run()
        if layer is not None and versions == (source._version, a._version) and (layer.convolution or a.ndim == 2):
            return self._pass(call, layer.merged(scale, shift), source, value)
        return passing(value, lambda c: (c * scale.view(1, -1, *[1] * (c.ndim - 2)),), a, kept=False)


for _kind in KINDS:
    rule_name(_kind)
