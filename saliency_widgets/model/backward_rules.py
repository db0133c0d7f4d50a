"""Backward rules by rewriting calls: guided backpropagation, deconvnet, and the mode in which all such rules live.

Module hooks see `nn.ReLU` objects only; a function mode sees every call: functional, in-place, by a reused module, inside
the composites of torch. A rule answers a call with the model's own number and a gradient of its making.
"""
from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .calls import CallMode, Places, RuleError, differentiating, in_backward, out_of_place, spelling, tensors_of, with_tensors
from .census import Census, Counted, Coverage

__all__ = ["RULES", "Call", "Coverage", "Rewriting", "Rule", "detour", "register", "scaled"]


@dataclass
class Call:
    """One call that a rule may rewrite, in place or not already settled: `function(*args, **kwargs)` is out of place.

    `name` is its one spelling ("relu" for `F.relu`, `torch.relu_`, …). `reference` holds the arguments that the same
    call had in the recorded run, for a rule that compares two runs, else None.
    """

    name: str
    function: Callable
    args: tuple
    kwargs: dict
    rewriting: "Rewriting"
    reference: tuple[tuple, dict] | None = None

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own result, without gradient. A handler that rewrites runs this once: here the call is counted.

        Arguments given replace the call's own (detached ones under `torch.enable_grad`, say).
        """
        with self.rewriting.census.claim():
            if args:
                return self.function(*args, **kwargs)
            with torch.no_grad():
                return self.function(*self.args, **self.kwargs)

    def on_reference(self) -> Any:
        """The result for the recorded arguments, without gradient; not counted."""
        with torch.no_grad():
            return self.function(*self.reference[0], **self.reference[1])

    def depends(self, value: Any) -> bool:
        """Whether a tensor depends on the input, with a gradient or without (the result of a comparison)."""
        return self.rewriting.census.depends(value)

    def inside(self) -> Any:
        """A context in which calls come to the rule again but are not counted: for a composite taken apart."""
        return self.rewriting.reenter()


Handler = Callable[[Call], Any]  # a result, or NotImplemented to leave the call as it is


@dataclass(frozen=True)
class Rule:
    """A backward rule: handlers by a call's name, which operations of the dispatcher count, whether it compares two runs.

    `recorded` says of a call in the reference run whether its arguments must be kept; those of `composites` are not
    recorded as a whole: their handlers run in both passes and take the call apart.
    `enter` copies the input for the model, so that the rule knows it again; `leave` looks at the scores before they are
    differentiated, and may refuse what they are made of.
    """

    name: str
    handlers: Mapping[str, Handler]
    counted: Counted
    paired: bool = False
    composites: frozenset[str] = field(default_factory=frozenset)
    recorded: Callable[[str, tuple], bool] = lambda name, args: True
    enter: Callable[["Rewriting", Tensor], Tensor] = lambda rewriting, leaf: leaf.clone()
    leave: Callable[["Rewriting", Tensor], None] = lambda rewriting, scores: None


RULES: dict[str, Rule] = {}


def register(rule: Rule) -> Rule:
    """Make a rule known by its name."""
    RULES[rule.name] = rule
    return rule


class _Detour(Function):
    @staticmethod
    def forward(ctx, value: Tensor, surrogate: Tensor) -> Tensor:
        ctx.shape, ctx.dtype = surrogate.shape, surrogate.dtype
        return value.detach()

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return None, gradient.to(ctx.dtype).sum_to_size(ctx.shape)


class _Scaled(Function):
    @staticmethod
    def forward(ctx, x: Tensor, value: Tensor, factor: Tensor, positive: bool) -> Tensor:
        ctx.save_for_backward(factor)
        ctx.positive = positive
        return value.detach()

    @staticmethod
    def backward(ctx, gradient: Tensor):
        factor, = ctx.saved_tensors
        gradient = gradient * factor
        return gradient.clamp_min(0) if ctx.positive else gradient, None, None, None


def detour(value: Tensor, surrogate: Tensor) -> Tensor:
    """`value` to whoever looks, bit for bit, and the way of `surrogate` to the gradient."""
    return _Detour.apply(value.detach(), surrogate)


def scaled(x: Tensor, value: Tensor, factor: Tensor, positive: bool = False) -> Tensor:
    """`value`, whose gradient with respect to `x` (same shape) is gradient · factor, only its positive part if asked."""
    return _Scaled.apply(x, value.detach(), factor.detach(), positive)


class Rewriting:
    """Rewrites the calls of a model's forward pass inside the `with` block, on this thread, by the rule of that name.

    Gradients taken of what the forward gave then follow the rule. A rule that compares two runs (`deeplift`) first wants
    the reference, run inside `recording()`; its rows correspond to those of the input. `coverage` tells what was reached.
    `clone` (an `nn.Module` that may be hooked) gives names to what was missed. LookupError for an unknown rule. ValueError
    when the block ends and calls ran but none could be rewritten (scripted, traced or exported code), when a reference is
    missing, or when the model called other operations for the reference than for the input.
    """

    def __init__(self, rule: str, clone: Any = None):
        if rule not in RULES:
            raise LookupError(f"there is no backward rule {rule!r} (known: {', '.join(sorted(RULES))})")
        self.rule = RULES[rule]
        self.places = Places(clone)
        self.census = Census(self.rule.counted, lambda: self.places.here)
        self.rewritten = 0
        self.heuristic: dict[str, None] = {}  # names, in order
        self._mode = _Mode(self)
        self.is_recording, self._inside = False, 0
        self._records: list[tuple[str, tuple, dict]] = []
        self._position = 0
        self.ended = False  # the network has given its scores: what follows is the explained number's own arithmetic

    def __enter__(self) -> Rewriting:
        self._stack = ExitStack()
        for part in (self.places, self.census, self._mode):
            self._stack.enter_context(part)
        return self

    def __exit__(self, kind: type | None, *error: object) -> None:
        self._stack.close()
        left = len(self._records) - self._position if self._position else 0
        self._records.clear()
        self.census.forget()
        if kind is None and left:
            raise RuleError(f"the model made {left} call{'s' * (left > 1)} more for the reference than for the input, so "
                            f"{self.rule.name} cannot compare them: it wants a model that calls the same operations for both")
        if kind is None and self.census.calls and not self.rewritten:
            names = ", ".join(list(self.census.missed)[:4])
            raise RuleError(f"none of the {self.census.calls} activation calls ({names}) could be rewritten for "
                            f"{self.rule.name!r}: scripted, traced or exported code and operations without a rule are out of "
                            f"its reach; give the eager model, or use gradient, integrated_gradients or leave_one_out")

    @property
    def coverage(self) -> Coverage:
        """What the rule reached of the forward pass (not of the reference's)."""
        return Coverage(self.rewritten, self.census.calls, tuple(self.census.missed), tuple(self.heuristic))

    def enter(self, leaf: Tensor) -> Tensor:
        """The copy of the input `(N, C, H, W)` that the model is to be given."""
        return self.rule.enter(self, leaf)

    def leave(self, scores: Tensor) -> None:
        """Show the rule what is about to be explained; ValueError for what it cannot pass on."""
        self.rule.leave(self, scores)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Run the model on the reference in here, without gradients, before it runs on the input."""
        self._records.clear()
        self.is_recording, self._position = True, 0
        try:
            with self.census.sleep(), torch.no_grad():
                yield
        finally:
            self.is_recording = False

    @contextmanager
    def reenter(self) -> Iterator[None]:
        """Let calls come to the rule while it handles one; they are part of that one and not counted."""
        self._inside += 1
        try:
            with self.census.sleep(), self._mode:
                yield
        finally:
            self._inside -= 1

    def answer(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        """What a call gives: the handler's result, or the model's own where the rule has nothing to say."""
        name, in_place = spelling(function)
        handler = self.rule.handlers.get(name)
        repeated = in_backward()
        if handler is None or not args or repeated and not torch.is_grad_enabled() or self.ended and not repeated:
            return function(*args, **kwargs)
        composite = name in self.rule.composites
        if self.is_recording:
            return self._record(handler if composite else None, name, function, args, kwargs)
        reference = None if composite else self._recall(name, args, kwargs)
        if not torch.is_grad_enabled() or not any(t.requires_grad for t in tensors_of((args, kwargs))):
            if composite:  # its steps were recorded, too
                with self.census.sleep():
                    handler(Call(name, function, args, kwargs, self))
            return function(*args, **kwargs)
        plain = out_of_place(function) if in_place else function
        if plain is None or kwargs.get("out") is not None:
            return function(*args, **kwargs)
        target = args[0]
        if in_place:
            # What the graph has of the old value stays a value of its own: the caller's tensor becomes the result.
            source = target.clone()
            args, kwargs = with_tensors((args, kwargs), lambda t: source if t is target else t)
        with self.census.silence():
            result = handler(Call(name, plain, args, kwargs, self, reference))
        if result is NotImplemented:
            if in_place:
                args, kwargs = with_tensors((args, kwargs), lambda t: target if t is source else t)
            return function(*args, **kwargs)
        if not self._inside and not repeated:
            self.rewritten += 1
        if not in_place:
            return result
        with self.census.silence():
            return target.copy_(result)

    def _record(self, handler: Handler | None, name: str, function: Callable, args: tuple, kwargs: dict) -> Any:
        if handler is not None:
            plain = out_of_place(function) if function.__name__.endswith("_") else function
            handler(Call(name, plain, args, kwargs, self))
        elif self.rule.paired and self.rule.recorded(name, args):
            # Copies, since the model may go on in place; parameters are nobody's to change.
            keep = lambda t: t if isinstance(t, torch.nn.Parameter) else t.detach().clone()
            self._records.append((name, *with_tensors((args, kwargs), keep)))
        return function(*args, **kwargs)

    def _recall(self, name: str, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        if not self.rule.paired or not self.rule.recorded(name, args):
            return None
        if in_backward():
            raise RuleError(f"{self.rule.name} compares two runs call by call, and this model repeats calls in its backward "
                            f"pass (checkpointing): switch that off, for example with memory_efficient=False")
        if not self._records:
            raise RuleError(f"{self.rule.name} compares two runs: run the reference inside recording() first")
        if self._position == len(self._records):
            raise RuleError(f"the model called {name} once more for the input than for the reference, so {self.rule.name} "
                            f"cannot compare them: it wants a model that calls the same operations for both")
        was, reference, options = self._records[self._position]
        self._position += 1
        shapes = [[tuple(t.shape) for t in tensors_of(side)] for side in ((args, kwargs), (reference, options))]
        if was != name or shapes[0] != shapes[1]:
            raise RuleError(f"the model called {was} on {shapes[1]} for the reference and {name} on {shapes[0]} for the input, "
                            f"so {self.rule.name} cannot compare them: it wants the same operations on the same shapes")
        return reference, options


class _Mode(CallMode):
    """Hands each call to the rewriting."""

    def __init__(self, rewriting: Rewriting):
        super().__init__()
        self.rewriting = rewriting

    def call(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        return self.rewriting.answer(function, args, kwargs)


# Calls that are activations of one tensor, elementwise, and what the dispatcher calls them.
RECTIFIERS = ("relu", "relu6", "hardtanh", "threshold")
SMOOTH = ("leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "silu", "gelu", "mish", "hardswish", "hardsigmoid",
          "sigmoid", "tanh", "softplus", "log_sigmoid", "logsigmoid", "hardshrink", "softshrink")
_KERNELS = {*RECTIFIERS, *SMOOTH, "_prelu_kernel", "rrelu_with_noise", "log_sigmoid_forward"}


# Functions that these rules do not speak of. They count all the same, so that they are named and pass nowhere in silence.
_OTHERS = {"maximum", "minimum", "fmax", "fmin", "glu", "abs", "exp", "exp2", "expm1", "erf", "sin", "cos", "tan", "atan", "sign"}
_CLAMPS = ("clamp", "clamp_min", "clamp_max")
_CHOICES = ("where", "masked_fill", "masked_scatter", "index_put", "mul")  # by a mask of the picture: a ReLU in other words
_FLOOR = 1e-3  # a clamp from such a number up only keeps a denominator from zero


def _bounds(name: str, args: tuple, kwargs: Mapping = {}) -> list | None:
    """The bounds of a clamp, least first, or None for another call and for the floor under a denominator."""
    if name not in _CLAMPS:
        return None
    given = [*args[1:3], None, None]
    low, high = (None, given[0]) if name == "clamp_max" else given[:2]
    low, high = kwargs.get("min", low), kwargs.get("max", high)
    floor = high is None and isinstance(low, (int, float)) and 0 < low <= _FLOOR
    return None if floor else [low, high]


def _limited(call: Call) -> bool:
    """Whether a clamp is a ReLU, ReLU6 or hardtanh by another name: its bounds are numbers."""
    bounds = _bounds(call.name, call.args, call.kwargs)
    return bounds is not None and not any(isinstance(bound, Tensor) for bound in bounds)


def _activation(name: str, args: tuple, depends: Callable[[Any], bool]) -> bool:
    name = name.rstrip("_")
    if name in _KERNELS or name in _OTHERS or _bounds(name, args) is not None:
        return True
    if name not in _CHOICES or not torch.is_grad_enabled():
        return False
    given = tensors_of(args)
    return any(t.requires_grad for t in given) and any(depends(t) and not t.requires_grad for t in given)


def _own_derivative(call: Call) -> tuple[Tensor, Tensor]:
    """The call's value and derivative at its first argument, `x`."""
    with differentiating():
        x = call.args[0].detach().requires_grad_(True)
        rest, options = with_tensors((call.args[1:], call.kwargs), Tensor.detach)
        value = call.run(x, *rest, **options)
        return value.detach(), torch.autograd.grad(value.sum(), x)[0]


def _guided(call: Call) -> Any:
    if call.name in _CLAMPS and not _limited(call):
        return NotImplemented
    if call.name in SMOOTH:
        call.rewriting.heuristic[call.name] = None
    value, derivative = _own_derivative(call)
    return scaled(call.args[0], value, derivative, positive=True)


def _deconvnet(call: Call) -> Any:
    if call.name in SMOOTH:
        return _guided(call)
    if call.name in _CLAMPS and not _limited(call):
        return NotImplemented
    return scaled(call.args[0], call.run(), torch.ones((), dtype=call.args[0].dtype, device=call.args[0].device), positive=True)


def _end(rewriting: Rewriting, scores: Tensor) -> None:
    """A probability is made of scores by sigmoid or softmax: these are no activations of the network."""
    rewriting.ended = True
    rewriting.census.asleep += 1


_CALLS = (*RECTIFIERS, *SMOOTH, *_CLAMPS)
register(Rule("guided", dict.fromkeys(_CALLS, _guided), _activation, leave=_end))
register(Rule("deconvnet", dict.fromkeys(_CALLS, _deconvnet), _activation, leave=_end))

# A rule is one file: every sibling whose name ends so announces its own.
for _sibling in pkgutil.iter_modules(importlib.import_module(__package__).__path__):
    if _sibling.name.endswith("_rules") and _sibling.name != "backward_rules":
        importlib.import_module(f"{__package__}.{_sibling.name}")
