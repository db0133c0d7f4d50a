"""Changes that travel: how each kind of node answers to a difference from the base picture that is zero outside a box.

What is linear acts on the difference alone, whatever the base. What is not needs the base activation z inside the box,
d ← f(z + d) − f(z), fetched from the base's tables (`base`).
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.folded import IN_PLACE
from ..model.graph import Node
from .base import BOUNDED, CHEAP, FAR, Base
from .reach import Course, Span, windows


@dataclass
class Patch:
    """Differences `(n, C, h, w)`, channels last; `clean` says that they are zero outside the map, `own` that the memory may
    be written to."""

    d: Tensor
    clean: bool = True
    own: bool = True


class Chunk:
    """Some members of a group on their way through the network: patches where the course says so, else whole values."""

    def __init__(self, base: Base, course: Course, rows: Tensor, columns: Tensor):
        self.base, self.graph, self.course = base, base.graph, course
        self.k = rows, columns
        self.count = len(rows)
        self._ends = [(int(k.min()), int(k.max())) for k in self.k]
        self._index: dict[tuple, tuple[Tensor, bool]] = {}
        self._last = base.graph.last_uses()
        self._lifted: dict[int, Tensor] = {}  # dense blocks read the same patch as a whole map again and again

    def run(self, d: Tensor) -> Any:
        """From differences in the picture `(n, C, h, w)` to the whole value at the course's stash."""
        values: dict[int, Any] = {0: Patch(d)}
        ahead: set[int] = set()  # convolutions that have written what comes behind them, too
        if self.course.modes[0] == "lift":
            values[0] = self._lift(0, values[0])
        for number in range(1, self.course.stash + 1):
            node, mode = self.graph.nodes[number], self.course.modes[number]
            if mode == "base" or number in values or node.options.get("behind") in ahead:
                continue
            given = [self.base.graph.nodes[i].call if self.course.modes[i] == "base" else values[i] for i in node.inputs]
            joined = node.options.get("joined")
            if mode == "whole" and joined is not None and joined[0] <= self.course.stash and all(
                    isinstance(v, Tensor) for v in (*given, *(values.get(i) for i in joined[1:2] if i is not None))):
                values[joined[0]] = joined[2](*given, *(values.pop(i) for i in joined[1:2] if i is not None))
                ahead.add(number)
            elif mode == "whole":
                values[number] = self._whole(number, node, given)
            else:
                values[number] = getattr(self, f"_{node.kind}")(number, node, given)
                if mode == "lift":
                    values[number] = self._lift(number, values[number])
            for i in set(node.inputs):
                if self._last[i] == number:
                    values.pop(i, None)
                    self._lifted.pop(i, None)
        return values[self.course.stash]

    # Places

    def index(self, number: int, rows: Span, columns: Span, before: tuple[int, int] = (0, 0),
              more: tuple[int, int] = (0, 0)) -> tuple[Tensor, bool]:
        """Rows of a node's table for the boxes (with `before` and `more` positions around), and whether some lie outside."""
        height, width = self.graph.nodes[number].shape[1:]
        key = (height, width, rows.start - before[0], rows.step, rows.size + before[0] + more[0],
               columns.start - before[1], columns.step, columns.size + before[1] + more[1])
        if key not in self._index:
            places, over = [], False
            for k, (low, high), (length, start, step, size) in zip(self.k, self._ends, (
                    (height, *key[2:5]), (width, *key[5:8]))):
                place = (start + step * k)[:, None] + torch.arange(size, device=k.device)
                outside = start + step * low < 0 or start + step * high + size > length
                over |= outside
                places.append((place, (place >= 0) & (place < length) if outside else None))
            (y, fine_y), (x, fine_x) = places
            at = (y * width)[:, :, None] + x[:, None, :]
            for fine in (None if fine_y is None else fine_y[:, :, None], None if fine_x is None else fine_x[:, None, :]):
                if fine is not None:
                    at.masked_fill_(~fine, height * width)
            self._index[key] = at.view(-1), over
        return self._index[key]

    def _gather(self, table: Tensor, index: Tensor, height: int, width: int) -> Tensor:
        rows = table.index_select(0, index)
        return rows.view(self.count, height, width, -1).permute(0, 3, 1, 2)

    def _spans(self, number: int) -> tuple[Span, Span]:
        return self.course.rows[number], self.course.columns[number]

    def _clean(self, number: int, patch: Patch) -> Tensor:
        """Differences with zeros outside the map."""
        if patch.clean:
            return patch.d
        rows, columns = self._spans(number)
        index, over = self.index(number, rows, columns)
        if over:
            height, width = self.graph.nodes[number].shape[1:]
            inside = (index != height * width).view(self.count, 1, rows.size, columns.size).to(patch.d.dtype)
            patch.d = patch.d.mul_(inside) if patch.own else patch.d * inside
            patch.own = True
        patch.clean = True
        return patch.d

    # Kinds

    def _windowed(self, number: int, node: Node, d: Tensor, apply: Callable[[Tensor, tuple[int, int]], Tensor]) -> Patch:
        """A linear operation with a sliding window: its own padding where both ends need the same, else zeros put around."""
        rows, columns = self._spans(number)
        ends = columns.before, columns.after, rows.before, rows.after
        if ends[0] == ends[1] >= 0 and ends[2] == ends[3] >= 0:
            return Patch(apply(d, (ends[2], ends[0])), clean=False)
        return Patch(apply(F.pad(d, ends), (0, 0)), clean=False)

    def _nothing(self, number: int, node: Node, d: Tensor) -> Patch | None:
        rows, columns = self._spans(number)
        if not (rows.nothing or columns.nothing):
            return None
        zeros = d.new_zeros(self.count, rows.size, columns.size, node.shape[0])
        return Patch(zeros.permute(0, 3, 1, 2))

    def _conv(self, number: int, node: Node, given: list) -> Patch:
        d, o = self._clean(node.inputs[0], given[0]), node.options
        # on patches, weights in the order that whole maps like are slower (measured: mobilenet_v2)
        return self._nothing(number, node, d) or self._windowed(number, node, d, lambda x, padding: F.conv2d(
            x, node.weight, None, o["stride"], padding, o["dilation"], o["groups"]))

    def _avg_pool(self, number: int, node: Node, given: list) -> Patch:
        d, o = self._clean(node.inputs[0], given[0]), node.options
        nothing = self._nothing(number, node, d)
        if nothing is not None:
            return nothing
        rows, columns = self._spans(number)
        pooled = F.avg_pool2d(F.pad(d, (columns.before, columns.after, rows.before, rows.after)), o["kernel"], o["stride"],
                              divisor_override=1)
        divisors = [_divisors(node, axis, self.graph.nodes[node.inputs[0]].shape[1 + axis]) for axis in (0, 1)]
        if o["divisor"]:
            return Patch(pooled.div_(o["divisor"]), clean=False)
        if all(len(set(each)) == 1 for each in divisors):
            return Patch(pooled.div_(divisors[0][0] * divisors[1][0]), clean=False)
        y, x = (torch.tensor(each, dtype=d.dtype, device=d.device) for each in divisors)
        table = torch.cat(((y[:, None] * x).view(-1, 1), y.new_ones(1, 1)))
        index, _ = self.index(number, rows, columns)
        return Patch(pooled.div_(self._gather(table, index, rows.size, columns.size)), clean=False)

    def _max_pool(self, number: int, node: Node, given: list) -> Patch:
        source, o = node.inputs[0], node.options
        d = self._clean(source, given[0])
        nothing = self._nothing(number, node, d)
        if nothing is not None:
            return nothing
        rows, columns = self._spans(number)
        inner = self._spans(source)
        ends = (rows.before, rows.after), (columns.before, columns.after)
        index, _ = self.index(source, *inner, *zip(*ends))
        size = [span.size + sum(end) for span, end in zip(inner, ends)]
        z = self._gather(self.base.table(source), index, *size)
        target, part = z, d
        for axis, (before, after) in enumerate(ends):  # the box inside the windows' reach, less what it goes beyond
            length = inner[axis].size
            low, high = max(before, 0), max(before, 0) + length + min(before, 0) + min(after, 0)
            target = target.narrow(2 + axis, low, high - low)
            part = part.narrow(2 + axis, max(-before, 0), high - low)
        target += part
        pooled = F.max_pool2d(z, o["kernel"], o["stride"], 0, o["dilation"])
        if node.call is not None:
            pooled = IN_PLACE.get(node.options.get("word", ""), node.call)(pooled)
        index, over = self.index(number, rows, columns)
        pooled -= self._gather(self.base.table(number), index, rows.size, columns.size)
        patch = Patch(pooled, clean=not over)
        self._clean(number, patch)  # at once: outside the map it is far from zero
        return patch

    def _pointwise(self, number: int, node: Node, given: list) -> Patch:
        patch, source, word = given[0], node.inputs[0], node.options.get("word", "")
        rows, columns = self._spans(number)
        index, _ = self.index(source, rows, columns)
        if word == "relu":  # max(z + d, 0) − max(z, 0) = max(d, −z) − max(−z, 0)
            minus = self._gather(self.base.table(source, negative=True), index, rows.size, columns.size)
            d = torch.maximum(patch.d, minus, out=patch.d if self._mine(source, number, patch) else None)
            return Patch(d.sub_(minus.clamp_min_(0)))
        bounded = word in BOUNDED
        d, outside = (patch.d, FAR) if bounded else (self._clean(source, patch), _harmless(node, patch.d))
        z = self._gather(self.base.table(source, outside), index, rows.size, columns.size)
        apply = IN_PLACE.get(word, node.call)
        if word in CHEAP:
            moved = apply(d.add_(z) if self._mine(source, number, patch) else d + z)
            return Patch(moved.sub_(apply(z)))
        before = self._gather(self.base.active(number, outside), index, rows.size, columns.size)
        return Patch(apply(z.add_(d)).sub_(before))

    def _mine(self, source: int, number: int, patch: Patch) -> bool:
        """Whether a node may write over its input."""
        return patch.own and self._last[source] == number

    def _affine(self, number: int, node: Node, given: list) -> Patch:
        patch = given[0]
        if node.weight is None:
            return Patch(patch.d, patch.clean, own=False)
        return Patch(patch.d * node.weight, patch.clean)

    def _pad(self, number: int, node: Node, given: list) -> Patch:
        d = self._clean(node.inputs[0], given[0])
        return Patch(d, clean=min(node.options["pad"]) >= 0, own=False)

    def _channels(self, number: int, node: Node, given: list) -> Patch:
        return Patch(node(self.count, given[0].d), given[0].clean, own=False)

    def _shuffle(self, number: int, node: Node, given: list) -> Patch:
        d, groups = given[0].d, node.options["groups"]
        last = d.permute(0, 2, 3, 1)
        mixed = last.reshape(*last.shape[:3], groups, -1).transpose(3, 4).reshape(last.shape)
        return Patch(mixed.permute(0, 3, 1, 2), given[0].clean)

    def _add(self, number: int, node: Node, given: list) -> Patch:
        first, second = given
        alpha, clean = node.options["alpha"], first.clean and second.clean
        if self._same(number, node.inputs[0]):
            d = first.d if self._mine(node.inputs[0], number, first) else first.d.clone(memory_format=torch.channels_last)
            self._inside(number, node.inputs[1], d).add_(second.d, alpha=alpha)
        elif self._same(number, node.inputs[1]) and alpha == 1:
            d = second.d if self._mine(node.inputs[1], number, second) else second.d.clone(memory_format=torch.channels_last)
            self._inside(number, node.inputs[0], d).add_(first.d)
        else:
            d = self._zeros(number, node, first.d)
            self._inside(number, node.inputs[0], d).add_(first.d)
            self._inside(number, node.inputs[1], d).add_(second.d, alpha=alpha)
        return Patch(d, clean)

    def _cat(self, number: int, node: Node, given: list) -> Patch:
        clean = all(patch.clean for patch in given)
        if all(self._same(number, i) for i in node.inputs):
            return Patch(torch.cat([patch.d for patch in given], 1), clean)
        d, at = self._zeros(number, node, given[0].d), 0
        for i, patch in zip(node.inputs, given):
            width = patch.d.shape[1]
            self._inside(number, i, d[:, at:at + width]).copy_(patch.d)
            at += width
        return Patch(d, clean)

    def _same(self, number: int, source: int) -> bool:
        return all((a.start, a.size) == (b.start, b.size) for a, b in zip(self._spans(number), self._spans(source)))

    def _zeros(self, number: int, node: Node, like: Tensor) -> Tensor:
        rows, columns = self._spans(number)
        return like.new_zeros(self.count, rows.size, columns.size, node.shape[0]).permute(0, 3, 1, 2)

    def _inside(self, number: int, source: int, d: Tensor) -> Tensor:
        """The part of a node's box where the box of one of its inputs lies."""
        for axis, (outer, inner) in enumerate(zip(self._spans(number), self._spans(source))):
            d = d.narrow(2 + axis, inner.start - outer.start, inner.size)
        return d

    # Whole values

    def _lift(self, number: int, patch: Patch) -> Tensor:
        """Base plus difference, on the whole map."""
        value = self.base.value(number)
        full = value.expand(self.count, -1, -1, -1).clone(memory_format=torch.channels_last)
        spans = self._spans(number)
        starts = [(span.start + span.step * k).tolist() for span, k in zip(spans, self.k)]
        for member, corner in enumerate(zip(*starts)):
            target, part = full[member], patch.d[member]
            for axis, (start, span) in enumerate(zip(corner, spans)):
                low, high = max(start, 0), min(start + span.size, value.shape[2 + axis])
                target = target.narrow(1 + axis, low, max(high - low, 0))
                part = part.narrow(1 + axis, low - start, max(high - low, 0))
            target += part
        return full

    def _whole(self, number: int, node: Node, given: list) -> Any:
        if node.kind == "mean" and isinstance(given[0], Patch):
            d = self._clean(node.inputs[0], given[0])
            height, width = self.graph.nodes[node.inputs[0]].shape[1:]
            return self.base.value(number) + d.sum((2, 3), keepdim=node.options["keepdim"]) / (height * width)
        for i, v in zip(node.inputs, given):
            if isinstance(v, Patch) and i not in self._lifted:
                self._lifted[i] = self._lift(i, v)
        given = [self._lifted[i] if isinstance(v, Patch) else v for i, v in zip(node.inputs, given)]
        over = node.options.get("over")
        if "quick" in node.options:
            return node.options["quick"](*given)
        return node(self.count, *given) if over is None or any(self._last[i] != number for i in node.inputs) else over(*given)


def _divisors(node: Node, axis: int, length: int) -> list[int]:
    """What average pooling divides by at each position along an axis."""
    kernel, stride, padding, _ = windows(node, axis)
    result = []
    for position in range(node.shape[1 + axis]):
        low = position * stride - padding
        high = min(low + kernel, length + padding)
        result.append(high - low if node.options["count_pad"] else min(high, length) - max(low, 0))
    return result


def _harmless(node: Node, like: Tensor) -> float:
    """A number at which an activation is finite."""
    for value in (0.5, 0.0, 1.0, 2.0):
        if bool(torch.isfinite(node.call(like.new_full((1, node.shape[0], 1, 1), value))).all()):
            return value
    return 0.0
