"""Which operations of a traced model are of a known kind: everything else is kept whole."""
from __future__ import annotations

import copy
import inspect
import math
import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.spectral_norm import SpectralNorm

from .graph import Node, NotTraced

try:
    from torch.nn.utils.weight_norm import WeightNorm
except ImportError:  # gone in favour of parametrisations
    WeightNorm = SpectralNorm

# Of one value a position; the second set also never decreases, and so changes places with max-pooling.
MONOTONE = frozenset("relu relu6 hardtanh sigmoid tanh softplus elu celu selu hardsigmoid logsigmoid softsign "
                     "arctan atan erf exp sigmoid".split())
POINTWISE = MONOTONE | frozenset("leaky_relu hardswish silu gelu mish softshrink hardshrink tanhshrink threshold abs neg "
                                 "square sqrt rsqrt reciprocal log log1p expm1 clamp clip clamp_min clamp_max pow sin cos "
                                 "sinh cosh sign negative absolute prelu rrelu".split())
_MODULES = {kind: word for word, kind in {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "hardtanh": nn.Hardtanh, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh,
    "softplus": nn.Softplus, "elu": nn.ELU, "celu": nn.CELU, "selu": nn.SELU, "hardsigmoid": nn.Hardsigmoid,
    "logsigmoid": nn.LogSigmoid, "softsign": nn.Softsign, "leaky_relu": nn.LeakyReLU, "hardswish": nn.Hardswish,
    "silu": nn.SiLU, "gelu": nn.GELU, "mish": nn.Mish, "softshrink": nn.Softshrink, "hardshrink": nn.Hardshrink,
    "tanhshrink": nn.Tanhshrink, "threshold": nn.Threshold, "prelu": nn.PReLU, "rrelu": nn.RReLU}.items()}
_IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_DROPOUTS = frozenset("dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout stochastic_depth".split())
VIEWS = frozenset("view reshape flatten permute transpose t movedim squeeze unsqueeze expand expand_as narrow select chunk "
                  "split getitem unbind unflatten swapaxes contiguous slice detach view_as".split())


def recognise(reading: Any, node: fx.Node) -> int:
    """The number of the node that an fx node became: of a known kind where it is one, else whole."""
    if node.op == "call_module":
        module = reading.modules[node.target]
        made = _module(reading, node, module)
    else:
        name = _torch_name(node)
        made = None if name is None else _operation(reading, node, name.rstrip("_") if not name.startswith("_") else name)
        if made is None and name is None and getattr(node.target, "__name__", "") == "stochastic_depth":
            made = _operation(reading, node, "stochastic_depth")
    number = made if isinstance(made, int) else reading.whole(node) if made is None else reading.add(made)
    source = _written(reading, node)
    if source is not None and number != source:
        reading.replace(source, number)
    return number


def _torch_name(node: fx.Node) -> str | None:
    """An operation's name where it is torch's own."""
    if node.op == "call_method":
        return node.target
    name = getattr(node.target, "__name__", "")
    homes = (torch, F, operator, torch._C._nn, math)
    return name if any(getattr(home, name, None) is node.target for home in homes) else None


def _written(reading: Any, node: fx.Node) -> int | None:
    """The number of the node whose value an operation writes in place."""
    if not node.args or not isinstance(node.args[0], fx.Node) or node.args[0] not in reading.number:
        return None
    if node.op == "call_module":
        writes = getattr(reading.modules[node.target], "inplace", False) is True
    else:
        name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
        own = name.endswith("_") and not name.startswith("_")
        writes = own or node.kwargs.get("inplace") is True or _argument(node, "inplace") is True or (
            getattr(node.target, "__module__", "") == "_operator" and name.startswith("i") and hasattr(operator, name[1:])
            and name not in ("index", "inv", "invert", "is_", "is_not"))
    return reading.number[node.args[0]] if writes else None


def _argument(node: fx.Node, name: str, default: Any = None) -> Any:
    """An argument of a functional call by its name."""
    if name in node.kwargs:
        return node.kwargs[name]
    try:
        return inspect.signature(node.target).bind(*node.args, **node.kwargs).arguments.get(name, default)
    except (TypeError, ValueError):
        return default


def _pair(value: Any) -> tuple[int, int]:
    value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return (value * 2)[:2] if len(value) == 1 else value


def _plainly(module: nn.Module, kind: type) -> bool:
    """Whether a module is of a kind and runs its forward."""
    return isinstance(module, kind) and type(module).forward is kind.forward and "forward" not in module.__dict__


def _effective(module: nn.Module) -> Tensor:
    """A weight as the forward would use it, under old-style `weight_norm` and `spectral_norm`, too."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, SpectralNorm):
            return hook.compute_weight(module, do_power_iteration=False).detach().clone()
        return hook.compute_weight(module).detach().clone()
    return module.weight.detach().clone()


def _module(reading: Any, node: fx.Node, module: nn.Module) -> Node | int | None:
    if len(node.args) != 1 or node.kwargs or node.args[0] not in reading.number:
        return None
    at, shape, seen = reading.number[node.args[0]], reading.shape(node), reading.shape(node.args[0])
    options: dict[str, Any] = {}
    if shape is None or seen is None:
        return None
    made = lambda kind, **rest: Node(kind, (at,), node.target.removeprefix("model."), shape, **rest)
    bias = getattr(module, "bias", None)
    bias = bias.detach().clone() if isinstance(bias, Tensor) else None
    if any(_plainly(module, kind) for kind in _IDENTITIES) and not module.training or type(module).__name__ == "StochasticDepth":
        return at
    if _plainly(module, nn.Conv2d) and module.padding_mode == "zeros" and len(seen) == 3:
        options = {"stride": module.stride, "dilation": module.dilation, "groups": module.groups, "padding": module.padding}
        if isinstance(module.padding, str):
            if module.padding == "same" and any(d * (k - 1) % 2 for d, k in zip(module.dilation, module.kernel_size)):
                return None
            options["padding"] = (0, 0) if module.padding == "valid" else tuple(
                d * (k - 1) // 2 for d, k in zip(module.dilation, module.kernel_size))
        return made("conv", weight=_effective(module), bias=bias, options=options)
    if _plainly(module, nn.Linear) and len(seen) == 1:
        return made("linear", weight=_effective(module), bias=bias)
    norm = nn.modules.batchnorm._BatchNorm
    if _plainly(module, norm) and module.running_mean is not None and not module.training and len(seen) in (1, 3):
        scale = (module.running_var + module.eps).rsqrt()
        scale = scale if module.weight is None else scale * module.weight.detach()
        shift = -module.running_mean * scale + (0 if bias is None else bias)
        tail = (-1,) + (1,) * (len(seen) - 1)
        return made("affine", weight=scale.view(tail).clone(), bias=shift.view(tail).clone())
    for kind, word in _MODULES.items():
        if _plainly(module, kind) and not (kind is nn.RReLU and module.training):
            if hasattr(module, "inplace"):
                module = copy.copy(module)
                module.inplace = False
            return made("pointwise", call=module.forward, options={"word": word})
    if _plainly(module, nn.MaxPool2d) and not module.return_indices and len(seen) == 3:
        return made("max_pool", options=_pooling(module, {"dilation": _pair(module.dilation)}))
    if _plainly(module, nn.AvgPool2d) and len(seen) == 3:
        return made("avg_pool", options=_pooling(module, {"count_pad": module.count_include_pad,
                                                          "divisor": module.divisor_override}))
    if _plainly(module, nn.AdaptiveAvgPool2d) or _plainly(module, nn.AdaptiveMaxPool2d) and not module.return_indices:
        return _adaptive(at, seen, shape, made, isinstance(module, nn.AdaptiveAvgPool2d))
    if type(module) is nn.ZeroPad2d and len(seen) == 3:
        return made("pad", options={"pad": tuple(module.padding)})
    return None


def _pooling(module: Any, rest: dict) -> dict:
    stride = module.kernel_size if module.stride is None else module.stride
    return {"kernel": _pair(module.kernel_size), "stride": _pair(stride), "padding": _pair(module.padding),
            "ceil": bool(module.ceil_mode), **rest}


def _adaptive(at: int, seen: tuple, shape: tuple, made: Callable, average: bool) -> Node | int | None:
    """Adaptive pooling whose windows are all of one size is plain pooling."""
    if len(seen) != 3 or seen == shape:
        return at if seen == shape else None
    if average and shape[1:] == (1, 1):
        return made("mean", options={"keepdim": True})
    if seen[1] % shape[1] or seen[2] % shape[2]:
        return None
    size = seen[1] // shape[1], seen[2] // shape[2]
    options = {"kernel": size, "stride": size, "padding": (0, 0), "ceil": False}
    extra = {"count_pad": True, "divisor": None} if average else {"dilation": (1, 1)}
    return made("avg_pool" if average else "max_pool", options=options | extra)


class _Arguments:
    """What a pooling function was called with, under the names of the module's attributes."""

    def __init__(self, node: fx.Node, **defaults: Any):
        names = list(defaults)
        given = dict(zip(names, node.args[1:])) | dict(node.kwargs)
        self.__dict__.update({**defaults, **given})


def _operation(reading: Any, node: fx.Node, name: str) -> Node | int | None:
    """A function or method of torch's by its name."""
    shape = reading.shape(node)
    tensors = [a for a in node.args if isinstance(a, fx.Node) and a in reading.number]
    if name in ("cat", "concat", "concatenate"):
        return _concatenation(reading, node, shape)
    if name == "getitem":
        return _part(reading, node, shape)
    if not tensors or shape is None:
        return None
    at, seen = reading.number[tensors[0]], reading.shape(tensors[0])
    word = getattr(node.target, "__name__", node.target)
    made = lambda kind, *more, **rest: Node(kind, (at, *more), word, shape, **rest)
    if name in _DROPOUTS:
        on = _argument(node, "training", True)
        if on:
            raise NotTraced(f"{name} stays on in eval(): the forward is random")
        return at
    if name in ("contiguous", "detach", "clone", "float", "double", "to", "type_as"):
        return at if name in ("contiguous", "clone") else None
    if seen is None:
        return _arithmetic(reading, node, name, shape, word) if name in _ARITHMETIC else None
    if name in _ARITHMETIC:
        return _arithmetic(reading, node, name, shape, word)
    rest, kwargs = tuple(node.args[1:]), {k: v for k, v in node.kwargs.items() if k != "inplace"}
    fixed = not any(isinstance(a, fx.Node) for a in (*rest, *kwargs.values()))
    if name in POINTWISE and fixed and shape == seen:
        function = getattr(F, name, None) if node.op == "call_function" and hasattr(F, name) else getattr(torch, name, None)
        function = function or getattr(F, name, None)
        if function is None:
            return None
        if node.op == "call_function" and rest and name not in ("clamp", "clip", "clamp_min", "clamp_max", "pow"):
            bound = inspect.signature(node.target).bind(*node.args, **kwargs).arguments
            rest, kwargs = (), {k: v for k, v in list(bound.items())[1:] if k not in ("inplace", "training")}
        return made("pointwise", call=lambda x: function(x, *rest, **kwargs), options={"word": name if not rest else "call"})
    if name == "max_pool2d":
        a = _Arguments(node, kernel_size=None, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False)
        return made("max_pool", options=_pooling(a, {"dilation": _pair(a.dilation)})) if not a.return_indices else None
    if name == "avg_pool2d":
        a = _Arguments(node, kernel_size=None, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
                       divisor_override=None)
        return made("avg_pool", options=_pooling(a, {"count_pad": a.count_include_pad, "divisor": a.divisor_override}))
    if name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        return _adaptive(at, seen, shape, made, "avg" in name)
    if name == "mean" and len(seen) == 3 and kwargs.get("dtype") is None:
        dims = rest[0] if rest else kwargs.get("dim")
        dims = tuple(d % 4 for d in dims) if isinstance(dims, (tuple, list)) else None
        return made("mean", options={"keepdim": len(shape) == 3}) if dims and sorted(dims) == [2, 3] else None
    if name == "flatten" and len(seen) == 1 == len(shape):
        return at
    if name == "pad" and len(seen) == 3 and fixed:
        a = _Arguments(node, pad=None, mode="constant", value=None)
        return made("pad", options={"pad": tuple(a.pad)}) if a.mode == "constant" and not a.value and len(a.pad) == 4 else None
    if name in ("view", "reshape"):
        return _shuffle(reading, node, shape)
    if name == "unsqueeze":
        return _part(reading, node, shape)
    return None


_ARITHMETIC = frozenset("add iadd sub isub subtract mul imul multiply truediv div itruediv divide rsub".split())


def _arithmetic(reading: Any, node: fx.Node, name: str, shape: tuple, word: str) -> Node | None:
    """Sums of two values, and anything times or plus a number a channel."""
    name = {"iadd": "add", "isub": "sub", "subtract": "sub", "imul": "mul", "multiply": "mul", "itruediv": "div",
            "truediv": "div", "divide": "div"}.get(name, name)
    if len(node.args) != 2 or set(node.kwargs) - {"alpha"}:
        return None
    alpha, sides = node.kwargs.get("alpha", 1), []
    for side in node.args:
        if isinstance(side, fx.Node):
            if side in reading.number:
                number = reading.number[side]
                known = reading.nodes[number]
                sides.append(known.call if known.kind == "constant" else reading.shape(side) and number)
                sides[-1] = (sides[-1],) if known.kind != "constant" else sides[-1]
            else:
                sides.append(reading.template(side))
        else:
            sides.append(side)
    nodes = [s[0] for s in sides if isinstance(s, tuple)]
    if len(nodes) == 2:
        if None in nodes or name not in ("add", "sub") or any(reading.nodes[i].shape != shape for i in nodes):
            return None
        return Node("add", tuple(nodes), word, shape, options={"alpha": alpha if name == "add" else -alpha})
    if len(nodes) != 1 or nodes[0] is None or reading.nodes[nodes[0]].shape != shape:
        return None
    first = isinstance(sides[0], tuple)
    number = _per_channel(sides[1] if first else sides[0], shape)
    if number is None or name == "div" and not first:
        return None
    like = number if isinstance(number, Tensor) else torch.tensor(number, dtype=torch.float64)
    if name in ("mul", "div"):
        weight, bias = (like if name == "mul" else 1 / like), None
    else:
        minus = {"add": (1, 1), "sub": (1, -1) if first else (-1, 1), "rsub": (-1, 1)}[name]
        weight = None if minus[0] == 1 else torch.tensor(-1.0, dtype=torch.float64)
        bias = like * minus[1] * (alpha if first else 1)
    return Node("affine", (nodes[0],), word, shape, weight=weight, bias=bias)


def _per_channel(value: Any, shape: tuple) -> Any:
    """A number, or a tensor that holds one a channel, `(C, 1, 1)`; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Tensor)):
        return None
    if isinstance(value, Tensor):
        if value.numel() == 1:
            return value.reshape(())
        while value.ndim > len(shape) and value.shape[0] == 1:
            value = value[0]
        if value.ndim != len(shape) or value.shape != (shape[0], *(1,) * (len(shape) - 1)):
            return None
    return value


def _concatenation(reading: Any, node: fx.Node, shape: tuple | None) -> Node | None:
    parts = node.args[0]
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis", 0))
    if shape is None or not isinstance(parts, (list, tuple)) or dim not in (1, -len(shape)):
        return None
    if not all(isinstance(p, fx.Node) and p in reading.number and reading.shape(p) is not None
               and reading.nodes[reading.number[p]].kind != "constant" for p in parts):
        return None
    return Node("cat", tuple(reading.number[p] for p in parts), "cat", shape)


def _part(reading: Any, node: fx.Node, shape: tuple | None) -> Node | None:
    """Channels of a value: `x.chunk(2, 1)[i]`, `x[:, a:b]`, or `x[:, i].unsqueeze(1)`."""
    if shape is None or len(shape) != 3 or not isinstance(node.args[0], fx.Node):
        return None
    source = node.args[0]
    name = getattr(source.target, "__name__", source.target)
    width = lambda n: reading.seen[n][0].shape[1]
    start, origin = None, None
    if name in ("chunk", "split") and source.op != "call_module" and isinstance(node.args[1], int):
        dim = source.args[2] if len(source.args) > 2 else source.kwargs.get("dim", 0)
        origin, parts = source.args[0], reading.seen[source][0]
        if dim in (1, -3) and reading.shape(origin) is not None:
            start = sum(p.shape[1] for p in parts[:node.args[1] % len(parts)])
    elif isinstance(node.args[1], tuple) and len(node.args[1]) == 2 and reading.shape(source) is not None:
        batch, span = node.args[1]
        if batch == slice(None) and isinstance(span, slice) and span.step in (None, 1) and not any(
                isinstance(e, fx.Node) for e in (span.start, span.stop)):
            origin, start = source, span.indices(width(source))[0]
    elif node.args[1:] == (1,) and name == "getitem" and isinstance(source.args[0], fx.Node):
        origin, key = source.args[0], source.args[1]
        if isinstance(key, tuple) and len(key) == 2 and key[0] == slice(None) and isinstance(key[1], int):
            start = key[1] % width(origin) if reading.shape(origin) is not None else None
    if start is None or origin not in reading.number:
        return None
    return Node("channels", (reading.number[origin],), "channels", shape, options={
        "start": start, "stop": start + shape[0], "view": True})


def _shuffle(reading: Any, node: fx.Node, shape: tuple) -> Node | int | None:
    """ShuffleNet's permutation: `(g, c)` channels seen as such, swapped, and seen as one axis again."""
    swap = node.args[0]
    if getattr(swap.target, "__name__", swap.target) == "contiguous":
        swap = swap.args[0]
    if getattr(swap.target, "__name__", swap.target) != "transpose" or swap.args[1:] != (1, 2):
        return None
    apart = swap.args[0]
    if getattr(apart.target, "__name__", apart.target) not in ("view", "reshape"):
        return None
    origin, split = apart.args[0], reading.shape(apart)
    if origin not in reading.number or reading.shape(origin) != shape or len(shape) != 3 or split is None or len(split) != 4:
        return None
    if split[2:] != shape[1:]:
        return None
    return Node("shuffle", (reading.number[origin],), "shuffle", shape, options={"groups": split[0]})
