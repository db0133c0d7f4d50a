"""A copy of a model made for speed: batch norm folded into what it follows, dropout gone, channels last.

Folding changes what the layers give, not the scores: for logits and input gradients only. Layer reads, backward rules and
randomisation use the plain clone.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import input_gradient
from .clone import is_script, working_model
from .graph import Graph, Node, NotTraced
from .recognise import MONOTONE
from .tracing import check, hooked, trace

# In-place twins, for values that nobody else reads.
IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_, "relu6": lambda x: x.clamp_(0, 6), "silu": lambda x: F.silu(x, inplace=True),
    "hardswish": lambda x: F.hardswish(x, inplace=True), "sigmoid": torch.sigmoid_, "tanh": torch.tanh_,
    "hardsigmoid": lambda x: F.hardsigmoid(x, inplace=True)}
# Activations that oneDNN applies while it writes a convolution's result: one pass over memory less.
_JOINED: dict[str, tuple[str, list[float]]] = {
    "relu": ("relu", []), "relu6": ("hardtanh", [0.0, 6.0]), "hardswish": ("hardswish", []), "silu": ("swish", []),
    "sigmoid": ("sigmoid", []), "tanh": ("tanh", [])}
USUAL = 8  # pictures in a batch for which weights are put in order
_FRESH = ("conv", "linear", "max_pool", "avg_pool", "add", "affine")  # kinds whose result is memory of their own


class Folded:
    """The fast copy: `(N, C, H, W)` to scores `(N, K)`, differentiable with respect to the input."""

    def __init__(self, graph: Graph):
        self.graph = graph

    def __call__(self, x: Tensor) -> Tensor:
        """Scores `(N, K)`."""
        return self.graph(x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x)


def folded(model: Any, x: Tensor, select: Any = None) -> tuple[Folded | None, str]:
    """A fast copy of a model (or clone) for pictures like `x` `(1, C, H, W)`, or None and the reason in words.

    It owns its parameters: the model and the clone that shares memory with it stay as they are. `select` reads the scores
    from the output. It is used only where it gives the model's scores on two pictures.
    """
    if is_script(model) or not isinstance(model, nn.Module):
        return None, "a scripted model or a plain callable cannot be traced"
    try:
        reason = hooked(model)  # before anything runs
        if reason is not None:
            return None, reason
        with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(devices=[]):
            clone = working_model(model, x.device, own=True)
            graph = trace(clone, x, select)
            two = torch.cat((x, x.flip(3) / 2))
            before = graph(two)
            fast = Folded(fold(graph))
            check(fast, before, two)
        return fast, ""
    except NotTraced as error:
        return None, str(error)


def fold(graph: Graph) -> Graph:
    """Fold a graph in place of itself: the nodes' parameters change, so it must be nobody else's."""
    for step in (_norms, _pads, _activations):
        graph = graph.without(step(graph))
    _overwriting(graph)
    for node in graph.nodes:
        if node.kind == "conv":
            node.weight = node.weight.contiguous(memory_format=torch.channels_last)
            if input_gradient.pays(node.weight, node.options):
                node.options["through"] = input_gradient.Strided(node.weight, node.bias, node.options)
    _joining(graph)
    return graph


def _single(graph: Graph, node: Node, uses: list[int], *kinds: str) -> Node | None:
    """The node that another one reads, if of one of the kinds and read by nobody else."""
    source = graph.nodes[node.inputs[0]] if node.inputs else None
    return source if source is not None and source.kind in kinds and uses[node.inputs[0]] == 1 else None


def _norms(graph: Graph) -> dict[int, int]:
    """A number a channel times and plus what a convolution gives is another convolution."""
    uses, gone = graph.uses(), {}
    for number, node in enumerate(graph.nodes):
        source = _single(graph, node, uses, "conv", "linear", "affine") if node.kind == "affine" else None
        at = node.inputs[0] if node.inputs else 0
        while at in gone:  # a second affine behind a folded one
            at = gone[at]
            source = graph.nodes[at] if node.kind == "affine" and source is not None else None
        if source is None:
            continue
        target = source
        if target.kind == "affine":
            target.weight = _product(target.weight, node.weight)
        elif node.weight is not None:
            flat = node.weight.to(target.weight).reshape(-1)
            target.weight = target.weight * flat.view(-1, *(1,) * (target.weight.ndim - 1))
        if target.bias is not None and node.weight is not None:
            scale = node.weight.to(target.bias)
            target.bias = target.bias * (scale if target.kind == "affine" else scale.reshape(-1))
        if node.bias is not None:
            width = target.shape[0]
            shift = node.bias if target.kind == "affine" else node.bias.reshape(-1).expand(width)
            if target.weight is not None:
                shift = shift.to(target.weight)
            target.bias = shift.clone() if target.bias is None else target.bias + shift
        gone[number] = at
    return gone


def _product(one: Tensor | None, two: Tensor | None) -> Tensor | None:
    return two if one is None else one if two is None else one * two.to(one)


def _pads(graph: Graph) -> dict[int, int]:
    """Zeros put evenly around a picture before a convolution are the convolution's own padding."""
    uses, gone = graph.uses(), {}
    for node in graph.nodes:
        pad = _single(graph, node, uses, "pad") if node.kind == "conv" else None
        if pad is None:
            continue
        left, right, top, bottom = pad.options["pad"]
        if left == right >= 0 and top == bottom >= 0:
            rows, columns = node.options["padding"]
            node.options = node.options | {"padding": (rows + top, columns + left)}
            number = node.inputs[0]
            gone[number] = graph.nodes[number].inputs[0]
    return gone


def _activations(graph: Graph) -> dict[int, int]:
    """max(f(x)) = f(max(x)) where f never decreases: pool first, and activate a quarter of the numbers."""
    uses, gone = graph.uses(), {}
    for node in graph.nodes:
        active = _single(graph, node, uses, "pointwise") if node.kind == "max_pool" and node.call is None else None
        if active is not None and active.options.get("word") in MONOTONE:
            node.call = active.call
            node.options = node.options | {"word": active.options["word"]}
            gone[node.inputs[0]] = active.inputs[0]
    return gone


def _overwriting(graph: Graph) -> None:
    """Where nobody else reads its input, an activation may write over it and a sum into its first term.

    With gradients, too, where the backward pass asks for the result, or for neither: rectifiers and sums.
    """
    uses = graph.uses()
    for node in graph.nodes:
        fresh = node.inputs and graph.nodes[node.inputs[0]].kind in _FRESH and uses[node.inputs[0]] == 1
        if fresh and node.kind == "pointwise" and node.options.get("word") in IN_PLACE:
            node.options["over"] = IN_PLACE[node.options["word"]]
            if node.options["word"] == "relu":
                node.options["through"] = torch.relu_
        elif fresh and node.kind == "add" and graph.nodes[node.inputs[0]].depends and node.inputs[0] != node.inputs[1]:
            alpha = node.options["alpha"]
            node.options["over"] = node.options["through"] = lambda a, b, alpha=alpha: a.add_(b, alpha=alpha)


def _joining(graph: Graph) -> None:
    """Let oneDNN run the convolutions (float32, on a CPU, no gradients): weights put in order once, and the sum and the
    activation behind one applied while it writes its result."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return
    uses, last = graph.uses(), graph.last_uses()
    for node in graph.nodes:
        if node.kind == "conv" and node.weight.dtype == torch.float32 and not node.weight.is_cuda:
            node.options["quick"] = Convolution(node, graph.nodes[node.inputs[0]].shape)
    for number, node in enumerate(graph.nodes):
        conv = _single(graph, node, uses, "conv") if node.kind == "pointwise" else None
        if conv is not None and "quick" in conv.options and node.options.get("word") in _JOINED:
            conv.options["joined"] = number, None, partial(conv.options["quick"], word=node.options["word"])
        if node.kind != "add" or node.options["alpha"] != 1 or node.inputs[0] == node.inputs[1]:
            continue
        other, at = sorted(node.inputs)  # what is computed later takes the other term in
        conv = graph.nodes[at]
        if "quick" not in conv.options or uses[at] > 1 or last[other] != number or not _writable(graph, other):
            continue
        reader = next((i for i, n in enumerate(graph.nodes) if n.inputs == (number,)), None)
        active = uses[number] == 1 and reader is not None and graph.nodes[reader].options.get("word") == "relu"
        conv.options["joined"] = reader if active else number, other, partial(
            conv.options["quick"].plus, word="relu" if active else None)
        node.options["behind"] = at  # nothing is left to do here where that convolution has written further on


def _writable(graph: Graph, number: int) -> bool:
    """Whether a value is memory of its own that no other value looks into."""
    node = graph.nodes[number]
    fresh = node.kind in _FRESH or node.kind == "pointwise" and node.options.get("word") in IN_PLACE
    return fresh and node.depends and all(n.kind in (*_FRESH, "pointwise", "mean") for n in graph.nodes if number in n.inputs)


class Convolution:
    """A convolution of float32 values by oneDNN, its weights kept in the order oneDNN likes for maps of `shape` `(C, H, W)`."""

    def __init__(self, node: Node, shape: tuple[int, ...]):
        o = node.options
        self.bias, self.padding = node.bias, list(o["padding"])
        self.window = list(o["stride"]), list(o["dilation"]), o["groups"]
        self.weight = node.weight
        reorder = getattr(torch.ops.mkldnn, "_reorder_convolution_weight", None)
        if reorder is not None:
            self.weight = reorder(node.weight.contiguous(), self.padding, *self.window, [USUAL, *shape])

    def __call__(self, x: Tensor, word: str = "") -> Tensor:
        """The result, with the activation `word` applied."""
        name, numbers = _JOINED[word] if word else ("none", [])
        run = torch.ops.mkldnn._convolution_pointwise.default
        return run(x, self.weight, self.bias, self.padding, *self.window, name, numbers, "")

    def plus(self, x: Tensor, other: Tensor, word: str | None) -> Tensor:
        """The result plus `other`, written over it, with ReLU applied where `word` says so."""
        over = torch.ops.mkldnn._convolution_pointwise_.binary
        return over(other, x, self.weight, self.bias, self.padding, *self.window, "add", 1.0, word, [], "")
