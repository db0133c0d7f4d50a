"""From a clone to a `Graph`: traced with `torch.fx`, run once to learn shapes, and checked before it is used."""
from __future__ import annotations

import operator
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.nn.utils.spectral_norm import SpectralNorm

from .counting import Counting
from .graph import Graph, Node, NotTraced
from .outputs import read_scores
from .recognise import VIEWS, WeightNorm, recognise

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}  # of the largest score; a half-precision model gets 3e-2


def hooked(model: nn.Module) -> str | None:
    """What keeps a model with the user's hooks from being traced, in words; old `weight_norm` and `spectral_norm` do not."""
    for name, module in model.named_modules():
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            hooks = module.__dict__.get(kind) or {}
            if any(not isinstance(hook, (WeightNorm, SpectralNorm)) for hook in hooks.values()):
                return f"the model has hooks ({name or type(module).__name__})"
    everywhere = nn.modules.module
    if any(getattr(everywhere, f"_global_{kind}", None) for kind in ("forward_hooks", "forward_pre_hooks", "backward_hooks")):
        return "hooks are set on every module"
    return None


def trace(model: nn.Module, x: Tensor, select: Any = None) -> Graph:
    """Trace a clone (in `eval()`) on a picture `(1, C, H, W)`; `select` reads the scores from its output.

    NotTraced (a ValueError) with the reason in words for hooks, scripted models, control flow outside of any submodule,
    or where the nodes do not give the clone's own scores on two pictures.
    """
    if isinstance(model, torch.jit.ScriptModule) or not isinstance(model, nn.Module):
        raise NotTraced("a scripted model or a plain callable cannot be traced")
    reason = hooked(model)
    if reason is not None:
        raise NotTraced(reason)
    with torch.no_grad():
        two = torch.cat((x, x.flip(2).roll(1, 3) / 2))
        try:
            graph = _Reading(model, two, select).graph
        except NotTraced:
            raise
        except Exception as error:
            line = next(iter(str(error).splitlines()), "")
            raise NotTraced(f"the forward cannot be traced ({type(error).__name__}: {line[:120]})") from error
        check(graph, read_scores(model(two), select), two)
    return graph


def check(graph: Callable[[Tensor], Tensor], wanted: Tensor, x: Tensor) -> None:
    """NotTraced unless the graph gives the wanted scores, up to rounding, for the batch and for its first picture alone."""
    tolerance = TOLERANCE.get(wanted.dtype, 3e-2) * max(float(wanted.abs().max()), 1e-30)
    for got, want in ((graph(x), wanted), (graph(x[:1]), wanted[:1])):
        if got.shape != want.shape or not float((got - want).abs().max()) <= tolerance:
            raise NotTraced("what was traced does not give the model's own scores (a random or stateful forward, or control "
                            "flow that depends on the picture)")


class _Root(nn.Module):
    """Calls the model with one argument, so that optional ones keep their defaults."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


class _Tracer(fx.Tracer):
    """Keeps a module whose forward cannot be followed as one call, and leaves other threads' modules alone."""

    def __init__(self):
        super().__init__()
        self.thread, self.opaque = threading.get_ident(), []

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, torch.jit.ScriptModule) or super().is_leaf_module(module, name)

    def getattr(self, attr: str, value: Any, cache: dict) -> Any:
        return super().getattr(attr, value, cache) if threading.get_ident() == self.thread else value

    def call_module(self, module: nn.Module, forward: Callable, args: tuple, kwargs: dict) -> Any:
        if threading.get_ident() != self.thread:  # fx watches the calls of every module of the process meanwhile
            return forward(*args, **kwargs)
        before, stack = len(self.graph.nodes), list(self.module_stack.items())
        try:
            return super().call_module(module, forward, args, kwargs)
        except Exception:
            name = self.path_of_module(module)
            if name == "model":
                raise
            for node in reversed(list(self.graph.nodes)[before:]):
                self.graph.erase_node(node)
            self.module_stack.clear()
            self.module_stack.update(stack)
            self.opaque = [*(n for n in self.opaque if not n.startswith(f"{name}.")), name]
            return self.create_proxy("call_module", name, args, kwargs)


class _Reading:
    """One pass over a traced graph: what is not a tensor becomes a constant or a multiple of the batch, the rest nodes."""

    def __init__(self, model: nn.Module, two: Tensor, select: Any):
        tracer, root = _Tracer(), _Root(model)
        self.fx = tracer.trace(root)
        self.modules = dict(root.named_modules(remove_duplicate=False))
        self.root, self.nodes = root, []
        self.number: dict[fx.Node, int] = {}
        self.work: dict[fx.Node, float] = {}
        with Counting() as counting:
            one = self._run(two[:1], counting)
        both = self._run(two)
        self.seen = {node: (one[node], both[node]) for node in one}
        for node in self.fx.nodes:
            if node.op == "output":
                self._output(node, both, select)
            else:
                self._read(node)
        self.graph = _tidied(Graph(self.nodes, tuple(name.removeprefix("model.") for name in tracer.opaque)))

    def _run(self, x: Tensor, counting: Counting | None = None) -> dict[fx.Node, Any]:
        """Values by fx node: shapes of tensors, small tensors that do not depend on the picture, and everything else."""
        values: dict[fx.Node, Any] = {}
        kept: dict[fx.Node, Any] = {}
        left = {node: len(node.users) for node in self.fx.nodes}
        for node in self.fx.nodes:
            before = counting.flops if counting else 0
            values[node] = x.clone() if node.op == "placeholder" else self._call(node, values)
            if counting:
                self.work[node] = max((counting.flops - before) / 2, self._weighed(node, values))
            kept[node] = values[node] if node.op in ("get_attr", "output") else _summary(values[node])
            for source in node.all_input_nodes:
                left[source] -= 1
                if not left[source]:
                    del values[source]
        return kept

    def _call(self, node: fx.Node, values: dict) -> Any:
        args, kwargs = map_arg((node.args, node.kwargs), lambda n: values[n])
        match node.op:
            case "get_attr":
                return operator.attrgetter(node.target)(self.root)
            case "call_module":
                return self.modules[node.target](*args, **kwargs)
            case "call_function":
                return node.target(*args, **kwargs)
            case "call_method":
                return getattr(args[0], node.target)(*args[1:], **kwargs)
        return args[0]

    def _weighed(self, node: fx.Node, values: dict) -> float:
        """Multiply-adds of a module at least: its parameters at every position (fused attention is not counted)."""
        given = values.get(node.args[0]) if node.op == "call_module" and node.args and isinstance(node.args[0], fx.Node) else None
        if not isinstance(given, Tensor) or given.ndim != 3:
            return 0.0
        return float(sum(p.numel() for p in self.modules[node.target].parameters()) * given.shape[:-1].numel())

    def _read(self, node: fx.Node) -> None:
        shape = self.seen[node][0]
        if node.op == "placeholder":
            self.number[node] = self.add(Node("input", name="input", shape=shape.shape[1:]))
        elif node.op == "get_attr":
            value = self.seen[node][0]
            self.number[node] = self.add(Node("constant", name=node.target, depends=False, call=value.detach().clone()
                                              if isinstance(value, Tensor) else value))
        elif isinstance(shape, _Shape) or not _plain(shape):
            self.number[node] = recognise(self, node)

    def _output(self, node: fx.Node, both: dict, select: Any) -> None:
        """The scores as the last node: the very node that holds them, or a function of what the model returns."""
        args = self.template(node.args[0])
        nodes = list(dict.fromkeys(self.number[n] for n in node.all_input_nodes if n in self.number))
        if isinstance(node.args[0], fx.Node) and select is None and len(nodes) == 1:
            shape = self.nodes[nodes[0]].shape
            if shape is not None and len(shape) == 1:
                if nodes[0] != len(self.nodes) - 1:  # something unused comes after it
                    self.add(Node("pointwise", (nodes[0],), "scores", shape, call=lambda x: x))
                return
        self.add(Node("whole", tuple(nodes), "scores", read_scores(both[node], select).shape[1:],
                      call=lambda batch, *values: read_scores(filled(args, batch, dict(zip(nodes, values))), select)))

    def add(self, node: Node) -> int:
        """Append a node; returns its number."""
        if node.inputs:
            node.depends = any(self.nodes[i].depends for i in node.inputs)
        self.nodes.append(node)
        return len(self.nodes) - 1

    def shape(self, node: fx.Node) -> tuple[int, ...] | None:
        """The shape of a tensor without its batch axis, None where there is none or it is not a batch."""
        one, both = self.seen[node]
        if not isinstance(one, _Shape) or not one.shape or (one.shape[0], both.shape[0]) != (1, 2):
            return None
        return one.shape[1:] if one.shape[1:] == both.shape[1:] else None

    def template(self, arg: Any) -> Any:
        """Arguments with the numbers of nodes, and what depends on the batch size, marked."""
        def mark(node: fx.Node) -> Any:
            if node in self.number:
                return _At(self.number[node])
            return _scaled(*self.seen[node])
        return map_arg(arg, mark)

    def replace(self, old: int, new: int) -> None:
        """An in-place operation: whoever reads the old value from here on means the new one. NotTraced for a view."""
        views = [old, *(i for i, node in enumerate(self.nodes[:new]) if old in node.inputs)]
        if any(self.nodes[i].options.get("view") for i in views):
            raise NotTraced(f"the in-place operation {self.nodes[new].name!r} changes a view of another value")
        for node, number in self.number.items():
            if number == old:
                self.number[node] = new

    def whole(self, node: fx.Node) -> int:
        """Keep an operation as it is."""
        args, kwargs = self.template(node.args), self.template(node.kwargs)
        numbers = tuple(dict.fromkeys(self.number[n] for n in node.all_input_nodes if n in self.number))
        target = self.modules[node.target] if node.op == "call_module" else node.target

        def call(batch: int, *values: Any) -> Any:
            given = dict(zip(numbers, values))
            a, k = filled(args, batch, given), filled(kwargs, batch, given)
            return getattr(a[0], target)(*a[1:], **k) if node.op == "call_method" else target(*a, **k)

        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        made = Node("whole", numbers, name, self.shape(node), call=call,
                    options={"view": name in VIEWS, "work": self.work[node]})
        if not numbers or not any(self.nodes[i].depends for i in numbers):
            made.depends = False
            if self.seen[node][0] == self.seen[node][1]:
                fixed = call(1, *(self.nodes[i].call for i in numbers)) if all(
                    self.nodes[i].kind == "constant" for i in numbers) else None
                if fixed is not None:
                    made = Node("constant", name=name, call=fixed, depends=False)
        return self.add(made)


class _Shape:
    """The shape of a tensor that a run gave."""

    def __init__(self, tensor: Tensor):
        self.shape, self.dtype = tuple(tensor.shape), tensor.dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shape) and (self.shape, self.dtype) == (other.shape, other.dtype)


class _At:
    """The place of a node's value among arguments."""

    def __init__(self, number: int):
        self.number = number


class _Times:
    """A number that grows with the batch: `each` for every picture."""

    def __init__(self, each: int):
        self.each = each


def _summary(value: Any) -> Any:
    match value:
        case Tensor():
            return _Shape(value)
        case torch.Size():
            return value
        case tuple() | list():
            return type(value)(map(_summary, value))
        case dict():
            return {k: _summary(v) for k, v in value.items()}
    return value


def _plain(value: Any) -> bool:
    """Whether a value holds no tensor."""
    match value:
        case _Shape():
            return False
        case tuple() | list():
            return all(map(_plain, value))
        case dict():
            return all(map(_plain, value.values()))
    return value is None or isinstance(value, (int, float, str, bool, torch.dtype, torch.device, slice, type(...)))


def _scaled(one: Any, two: Any) -> Any:
    """A value seen for one picture and for two: a constant, or proportional to the batch."""
    if isinstance(one, (tuple, list)):
        return tuple(map(_scaled, one, two))
    if isinstance(one, int) and not isinstance(one, bool) and one != two:
        if two != 2 * one:
            raise NotTraced("a size depends on the batch in a way that cannot be told from two examples")
        return _Times(one)
    return one


def filled(template: Any, batch: int, values: dict[int, Any]) -> Any:
    """A template with values in place of marks."""
    match template:
        case _At():
            return values[template.number]
        case _Times():
            return template.each * batch
        case slice():
            return slice(*(filled(part, batch, values) for part in (template.start, template.stop, template.step)))
        case tuple() | list():
            parts = [filled(part, batch, values) for part in template]
            return type(template)(*parts) if hasattr(template, "_fields") else tuple(parts) if isinstance(
                template, tuple) else list(parts)
        case dict():
            return {k: filled(v, batch, values) for k, v in template.items()}
    return template


def _tidied(graph: Graph) -> Graph:
    """The graph without what does not reach the result."""
    needed = {len(graph.nodes) - 1, 0}
    for number in range(len(graph.nodes) - 1, -1, -1):
        if number in needed:
            needed.update(graph.nodes[number].inputs)
    return graph.without({i: i for i in range(len(graph.nodes)) if i not in needed})
