"""A model as a short list of nodes, each of a kind whose answer to a change is known, or kept whole."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class NotTraced(ValueError):
    """The model cannot be taken apart; the message says why."""


@dataclass
class Node:
    """One operation: its `kind`, the numbers of the nodes it reads, and what it needs to run.

    `shape` is the output's without the batch axis (None where it is no tensor), `depends` says whether it depends on the
    picture. Kinds: input, constant, conv, linear, affine (x · weight + bias, a number a channel), pointwise, max_pool,
    avg_pool, mean (over all positions), pad, add (of two nodes, the second times `alpha`), cat (along the channels),
    channels (a slice of them), shuffle (a permutation of them), whole (anything else: `call(batch, *values)`).
    """

    kind: str
    inputs: tuple[int, ...] = ()
    name: str = ""
    shape: tuple[int, ...] | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None
    options: dict[str, Any] = field(default_factory=dict)
    call: Callable[..., Any] | None = None
    depends: bool = True

    def __call__(self, batch: int, *values: Any) -> Any:
        """Run it on whole values of `batch` pictures."""
        o = self.options
        match self.kind:
            case "conv":
                return F.conv2d(values[0], self.weight, self.bias, o["stride"], o["padding"], o["dilation"], o["groups"])
            case "linear":
                return F.linear(values[0], self.weight, self.bias)
            case "affine":
                if self.weight is not None and self.bias is not None:
                    return torch.addcmul(self.bias, values[0], self.weight)
                return values[0] * self.weight if self.bias is None else values[0] + self.bias
            case "pointwise":
                return self.call(values[0])
            case "max_pool":
                pooled = F.max_pool2d(values[0], o["kernel"], o["stride"], o["padding"], o["dilation"], o["ceil"])
                return pooled if self.call is None else self.call(pooled)
            case "avg_pool":
                return F.avg_pool2d(values[0], o["kernel"], o["stride"], o["padding"], o["ceil"], o["count_pad"], o["divisor"])
            case "mean":
                return values[0].mean((2, 3), keepdim=o["keepdim"])
            case "pad":
                return F.pad(values[0], o["pad"])
            case "add":
                return torch.add(values[0], values[1], alpha=o["alpha"])
            case "cat":
                return torch.cat(values, 1)
            case "channels":
                return values[0][:, o["start"]:o["stop"]]
            case "shuffle":
                x, groups = values[0], o["groups"]
                return x.view(len(x), groups, -1, *x.shape[2:]).transpose(1, 2).reshape(x.shape)
            case "constant":
                return self.call
        return self.call(batch, *values)


@dataclass
class Graph:
    """Nodes in the order they run; the last one gives the scores `(N, K)`. `opaque` lists modules kept whole."""

    nodes: list[Node]
    opaque: tuple[str, ...] = ()

    def __call__(self, x: Tensor) -> Tensor:
        """Scores `(N, K)` of inputs `(N, C, H, W)`."""
        return self.resume({0: x}, 0, len(x))

    def resume(self, values: dict[int, Any], at: int, batch: int, until: int | None = None) -> Any:
        """Run the nodes after number `at`, from the values that are alive there, to `until` (the last one)."""
        until = len(self.nodes) - 1 if until is None else until
        last, ahead = self.last_uses(), set()
        for number in range(at + 1, until + 1):
            node = self.nodes[number]
            if node.kind == "constant" or number in values or node.options.get("behind") in ahead:
                continue
            given = [self.value(values, i) for i in node.inputs]
            if torch.is_grad_enabled():
                quick, over, joined = node.options.get("through"), None, None
            else:
                quick, over, joined = map(node.options.get, ("quick", "over", "joined"))
            if joined is not None and joined[0] <= until and (joined[1] is None or joined[1] in values):
                values[joined[0]] = joined[2](*given) if joined[1] is None else joined[2](*given, values.pop(joined[1]))
                ahead.add(number)
            elif quick is not None:
                values[number] = quick(*given)
            else:
                values[number] = node(batch, *given) if over is None else over(*given)
            for i in set(node.inputs):
                if last[i] == number and i != until:
                    values.pop(i, None)
        return values[until]

    def value(self, values: dict[int, Any], number: int) -> Any:
        """The value of a node: computed, or constant."""
        node = self.nodes[number]
        return node.call if node.kind == "constant" else values[number]

    def last_uses(self) -> list[int]:
        """For each node the number of the last one that reads it."""
        if len(self.__dict__.get("_last", ())) != len(self.nodes):
            last = [len(self.nodes)] * len(self.nodes)
            for number, node in enumerate(self.nodes):
                for i in node.inputs:
                    last[i] = number
            self._last = last
        return self._last

    def uses(self) -> list[int]:
        """How many nodes read each node; the result counts as read once more."""
        count = [0] * len(self.nodes)
        for node in self.nodes:
            for i in node.inputs:
                count[i] += 1
        count[-1] += 1
        return count

    def cuts(self) -> list[int]:
        """Numbers of the nodes that alone carry all that is computed after them, the input and the result among them."""
        last, alive, found = self.last_uses(), set(), []
        for number, node in enumerate(self.nodes):
            if node.kind == "constant":
                continue
            alive = {i for i in alive if last[i] > number} | {number}
            if alive == {number}:
                found.append(number)
        return found

    def without(self, gone: dict[int, int]) -> Graph:
        """The graph less some nodes, each replaced by another (or by itself where it is not read any more)."""
        def at(i: int) -> int:
            while gone.get(i, i) != i:
                i = gone[i]
            return i

        kept = [i for i in range(len(self.nodes)) if i not in gone]
        number = {old: new for new, old in enumerate(kept)}
        for i in kept:
            self.nodes[i].inputs = tuple(number[at(j)] for j in self.nodes[i].inputs)
        return Graph([self.nodes[i] for i in kept], self.opaque)
