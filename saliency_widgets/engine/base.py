"""Activations of the base picture, as differences from it ask for them.

A map is held as rows of a table `(H·W + 1, C)` whose last row answers for positions outside the map: there z is so large and
negative that z + d = z exactly, and f(z + d) − f(z) is zero without a special case.
"""
from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..model.graph import Graph, Node

FAR = -1e30  # z outside the map
# Activations that are finite there; any other gets a harmless z, and a difference that is set to zero outside first.
BOUNDED = frozenset("relu relu6 hardtanh sigmoid tanh softplus elu celu selu hardsigmoid softsign arctan atan erf leaky_relu "
                    "hardswish silu gelu".split())
CHEAP = frozenset("relu relu6 hardtanh clamp clamp_min clamp_max leaky_relu threshold".split())


class Base:
    """Activations of the base picture as the nodes need them, each held once: `nbytes`.

    A spatial one is held as rows `(H·W + 1, C)`, the last one for positions outside the map; minus it where ReLUs read it.
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        self.negative = {node.inputs[0] for node in graph.nodes if _relu(node)}
        self._values: dict[int, Any] = {}
        self._tables: dict[tuple, Tensor] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        kept = (*self._values.values(), *self._tables.values())
        return sum(t.numel() * t.element_size() for t in kept if isinstance(t, Tensor))

    @property
    def numbers(self) -> set[int]:
        """Nodes whose activation is held."""
        return set(self._values) | {key[0] for key in self._tables if key[1:] in ((FAR, False), (FAR, True))}

    def hold(self, number: int, value: Any) -> None:
        """Keep a node's activation, of one picture."""
        if len(self.graph.nodes[number].shape or ()) == 3:
            self._tables[number, FAR, number in self.negative] = _table(value, FAR, number in self.negative)
        else:
            self._values[number] = value

    def release(self, numbers: set[int]) -> None:
        """Forget the activations of some nodes."""
        self._values = {number: value for number, value in self._values.items() if number not in numbers}
        self._tables = {key: table for key, table in self._tables.items() if key[0] not in numbers}

    def value(self, number: int) -> Any:
        """A node's activation `(1, ...)`."""
        if number in self._values:
            return self._values[number]
        negative = (number, FAR, False) not in self._tables
        rows = self._tables[number, FAR, negative][:-1]
        height, width = self.graph.nodes[number].shape[1:]
        return (-rows if negative else rows).view(1, height, width, -1).permute(0, 3, 1, 2)

    def table(self, number: int, outside: float = FAR, negative: bool = False) -> Tensor:
        """A node's activation (or minus it) as rows `(H·W + 1, C)`, the last one `outside`."""
        key = number, outside, negative
        if key not in self._tables:
            self._tables[key] = _table(self.value(number), outside, negative)
        return self._tables[key]

    def active(self, number: int, outside: float) -> Tensor:
        """What a pointwise node makes of its input's table."""
        key = number, outside, "active"
        if key not in self._tables:
            node = self.graph.nodes[number]
            self._tables[key] = node.call(self.table(node.inputs[0], outside)[:, :, None, None])[:, :, 0, 0].contiguous()
        return self._tables[key]


def _table(value: Tensor, outside: float, negative: bool) -> Tensor:
    rows = value[0].permute(1, 2, 0).reshape(-1, value.shape[1])
    table = rows.new_empty(len(rows) + 1, rows.shape[1])
    torch.neg(rows, out=table[:-1]) if negative else table[:-1].copy_(rows)
    table[-1] = -outside if negative else outside
    return table


def _relu(node: Node) -> bool:
    return node.kind == "pointwise" and node.options.get("word") == "relu"


def held(graph: Graph, numbers: set[int], item: int) -> int:
    """Bytes of the base activations of some nodes, with every table that may be made of them; `item` bytes a number."""
    total = sum(math.prod(graph.nodes[i].shape or (0,)) + (graph.nodes[i].shape or (0,))[0] for i in numbers)
    relus = {node.inputs[0] for node in graph.nodes if _relu(node)}
    for node in graph.nodes:
        if node.kind in ("pointwise", "max_pool") and not _relu(node) and node.inputs[0] in numbers:
            word = node.options.get("word", "")
            harmless, active = (word not in BOUNDED, word not in CHEAP) if node.kind == "pointwise" else (False, False)
            more = harmless or node.inputs[0] in relus
            total += (more + active) * math.prod(graph.nodes[node.inputs[0]].shape or (0,))
    return item * total


def readable(graph: Graph) -> set[int]:
    """Numbers of the nodes whose base activation any group might read."""
    end = len(graph.nodes) - 1
    found = {0, end}
    for number, node in enumerate(graph.nodes):
        if node.kind in ("pointwise", "max_pool", "add", "cat", "whole"):
            found.update(node.inputs)
        if node.kind in ("conv", "max_pool", "avg_pool", "pad", "add", "cat", "mean"):  # a box may grow to the whole map here
            found.add(number)
    return {i for i in found if i == end or graph.nodes[i].depends and (
        graph.nodes[i].kind == "mean" or len(graph.nodes[i].shape or ()) == 3)}
