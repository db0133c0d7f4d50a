"""Exact forwards of pictures that differ from a base picture in one region: only what the region reaches is computed.

After Krypton (Nakandala, Kumar, Papakonstantinou, SIGMOD 2019), with differences that travel in the place of patches
(`deltas`), regions grouped so that their boxes share shapes (`grouping`), and two phases: groups run as patches in small
chunks until their boxes cover most of a map, then all go on together as whole maps.
"""
from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..model.folded import Folded
from .base import Base, held, readable
from .deltas import Chunk
from .grouping import Group, grouped
from .plan import BATCH, CHUNK, MARGIN, MARGIN_FEW, Costs, Estimate, needs

BUDGET = 1 << 28  # bytes for base activations where none are named
OFTEN = 0.25      # seconds after which finished pictures are handed out
ANSWERS = 8       # groupings kept for a model: the same map of another picture is not planned again

_costs: "weakref.WeakKeyDictionary[Folded, tuple[Costs, dict]]" = weakref.WeakKeyDictionary()


class Change(Protocol):
    """Pictures that differ from the base inside boxes int64 `(N, 4)`: top, left, bottom, right, the last two exclusive."""

    boxes: np.ndarray

    def within(self, rows: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
        """Differences from the base `(n, C, height, width)` for pictures `rows`, in boxes at `top`, `left`; zero outside."""


class Regions:
    """The base picture with sets of regions replaced by a fill: exactly what `kernels.without_regions` changes.

    `base` and `fill` are `(C, H, W)`, `labels` int64 `(H, W)`, `sets` one sequence of region numbers a picture.
    """

    def __init__(self, base: Tensor, fill: Tensor, labels: Tensor, sets: Sequence[Sequence[int]]):
        count = int(labels.max()) + 1
        self.size = tuple(labels.shape)
        rows = (fill - base).permute(1, 2, 0).reshape(-1, base.shape[0])
        self._change = torch.cat((rows, rows.new_zeros(1, rows.shape[1])))
        self._labels = torch.cat((labels.reshape(-1), labels.new_tensor([count])))
        chosen = torch.zeros(len(sets), count + 1, dtype=torch.bool)
        numbers = torch.tensor([(row, region) for row, regions in enumerate(sets) for region in regions],
                               dtype=torch.int64).view(-1, 2)
        chosen[numbers[:, 0], numbers[:, 1]] = True
        self._chosen = chosen.to(labels.device)
        self.boxes = _boxes(labels.cpu().numpy(), count, numbers.numpy(), len(sets))

    def within(self, rows: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
        y = top[:, None] + torch.arange(height, device=top.device)
        x = left[:, None] + torch.arange(width, device=top.device)
        inside = ((y >= 0) & (y < self.size[0]))[:, :, None] & ((x >= 0) & (x < self.size[1]))[:, None]
        at = torch.where(inside, y[:, :, None] * self.size[1] + x[:, None], self.size[0] * self.size[1])
        on = self._chosen[rows[:, None], self._labels[at.view(len(rows), -1)]]
        d = self._change.index_select(0, at.view(-1)).mul_(on.view(-1, 1))
        return d.view(len(rows), height, width, -1).permute(0, 3, 1, 2)


class Pictures:
    """Changed pictures `(N, C, H, W)` given as they are; `boxes` are found where they are not given."""

    def __init__(self, base: Tensor, pictures: Tensor, boxes: np.ndarray | None = None):
        self.size = tuple(base.shape[1:])
        self._d = pictures - base
        self.boxes = _extents((self._d != 0).any(1).cpu().numpy()) if boxes is None else np.asarray(boxes, dtype=np.int64)

    def within(self, rows: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
        d = self._d.new_zeros(len(rows), height, width, self._d.shape[1]).permute(0, 3, 1, 2)
        for i, (row, y, x) in enumerate(zip(rows.tolist(), top.tolist(), left.tolist())):
            a, b, c, e = max(y, 0), min(y + height, self.size[0]), max(x, 0), min(x + width, self.size[1])
            d[i, :, a - y:b - y, c - x:e - x] = self._d[row, :, a:b, c:e]
        return d


def _boxes(labels: np.ndarray, count: int, numbers: np.ndarray, rows: int) -> np.ndarray:
    """The bounding box of each set of regions; empty where it holds no pixel."""
    height, width = labels.shape
    of = np.tile([height, width, 0, 0], (count, 1))
    y, x = np.divmod(np.arange(labels.size), width)
    flat = labels.ravel()
    for column, places in ((0, y), (1, x)):
        np.minimum.at(of[:, column], flat, places)
        np.maximum.at(of[:, column + 2], flat, places + 1)
    result = np.tile([height, width, 0, 0], (rows, 1))
    for column in (0, 1):
        np.minimum.at(result[:, column], numbers[:, 0], of[numbers[:, 1], column])
        np.maximum.at(result[:, column + 2], numbers[:, 0], of[numbers[:, 1], column + 2])
    return result.astype(np.int64)


def _extents(changed: np.ndarray) -> np.ndarray:
    """Bounding boxes of masks `(N, H, W)`."""
    count, height, width = changed.shape
    result = np.tile([height, width, 0, 0], (count, 1)).astype(np.int64)
    for column, other, length in ((0, 2, height), (1, 1, width)):
        along = changed.any(other)
        some = along.any(1)
        result[some, column] = along[some].argmax(1)
        result[some, column + 2] = length - along[some][:, ::-1].argmax(1)
    return result


@dataclass(frozen=True)
class Plan:
    """Groups and what they cost; `empty` pictures are the base picture itself."""

    groups: tuple[Group, ...]
    empty: np.ndarray
    estimate: Estimate


class Incremental:
    """Forwards of changed copies of one base picture `(C, H, W)` on a folded model.

    Base activations are held (`nbytes`) within `budget` bytes: all that any change may read, from one forward of the base
    picture, where that fits; else what was asked for last. `base_passes` counts those forwards.
    """

    def __init__(self, model: Folded, base: Tensor, budget: int = BUDGET):
        self.model, self.graph, self.picture, self.budget = model, model.graph, base, budget
        if tuple(base.shape) != self.graph.nodes[0].shape:
            raise ValueError(f"the folded model was made for pictures of {self.graph.nodes[0].shape}, got {tuple(base.shape)}: "
                             f"fold it again for this size")
        self.costs, self._grouped = _costs.setdefault(model, (Costs(self.graph), {}))
        self._last, self._cuts = self.graph.last_uses(), self.graph.cuts()
        self._stride = _stride(self.graph)
        self._vectors = next(c for c in self._cuts if c == len(self.graph.nodes) - 1
                             or self.graph.nodes[c].shape and np.prod(self.graph.nodes[c].shape[1:]) == 1)
        self._base = Base(self.graph)
        self.base_passes = 0
        everything = readable(self.graph)
        self._item = base.element_size()
        self._everything = everything if held(self.graph, everything, self._item) <= budget else set()
        self._plans: dict[bytes, Plan] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of base activations held."""
        return self._base.nbytes

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return self.picture.device

    def plan(self, boxes: np.ndarray) -> Plan:
        """Group boxes int64 `(N, 4)` and estimate what they cost beside full forwards."""
        key = np.ascontiguousarray(boxes, dtype=np.int64).tobytes()
        if key not in self._plans:
            self._plans.clear()
            self._plans[key] = self._planned(np.asarray(boxes, dtype=np.int64), key)
        return self._plans[key]

    def _planned(self, boxes: np.ndarray, key: bytes) -> Plan:
        costs, size = self.costs, tuple(self.picture.shape[1:])
        changed = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        empty = np.setdiff1d(np.arange(len(boxes)), changed)
        if key not in self._grouped:
            while len(self._grouped) >= ANSWERS:
                self._grouped.pop(next(iter(self._grouped)))
            self._grouped[key] = grouped(boxes[changed], size, self._stride, costs.group) if len(changed) else ([], 0.0)
        groups, price = self._grouped[key]
        groups = [replace(g, members=changed[g.members]) for g in groups]
        work, moved, read = 0.0, 0.0, set()
        for group in groups:
            each = costs.amounts(group.rows, group.columns)
            work, moved = work + each[0] * len(group.members), moved + each[1] * len(group.members)
            read |= needs(self.graph, costs.course(group.rows, group.columns))
        memory = held(self.graph, read | self._everything, self._item)
        full = costs.full * len(boxes)
        reason = ""
        if self.picture.device.type != "cpu":
            reason = f"the estimate was made for CPUs, not for {self.picture.device.type}"
        elif price > (MARGIN if 2 * len(boxes) >= CHUNK else MARGIN_FEW) * full:
            reason = "the changes reach too much of the network to be cheaper"
        elif memory > self.budget:
            reason = f"base activations take {memory >> 20} MiB, {self.budget >> 20} MiB are free for them"
        estimate = Estimate(len(boxes), work, float(costs.work.sum()) * len(boxes), moved * self._item,
                            float(costs.numbers.sum()) * len(boxes) * self._item, price * 1e-9, full * 1e-9, memory,
                            not reason, reason)
        return Plan(tuple(groups), empty, estimate)

    def worthwhile(self, boxes: np.ndarray) -> np.ndarray:
        """Which of the boxes int64 `(N, 4)` pay on their own where they travel with others: bool `(N,)`."""
        return self.costs.worthwhile(np.asarray(boxes, dtype=np.int64), tuple(self.picture.shape[1:]), self._stride)

    @torch.no_grad()
    def logits(self, change: Change) -> Tensor:
        """Scores `(N, K)` of the changed pictures, by way of patches whatever the estimate says."""
        result: Tensor | None = None
        for rows, scores in self.parts(change):
            if result is None:
                result = scores.new_empty(len(change.boxes), *scores.shape[1:])
            result[rows] = scores
        return result

    @torch.no_grad()
    def parts(self, change: Change, check: Callable[[], None] = lambda: None) -> Iterator[tuple[Tensor, Tensor]]:
        """The same in parts as they are ready: numbers of pictures `(n,)`, and their scores `(n, K)`.

        `check` is called before every chunk of patches and every batch of whole maps, and stops the work by raising.
        """
        plan, end = self.plan(change.boxes), len(self.graph.nodes) - 1
        ways = [self.costs.course(g.rows, g.columns) for g in plan.groups]
        self._prepare(set().union(*(needs(self.graph, way) for way in ways)) | ({end} if len(plan.empty) else set()))
        if len(plan.empty):
            yield torch.from_numpy(plan.empty), self._base.value(end).expand(len(plan.empty), -1).clone()
        waiting: dict[int, list[tuple[Tensor, Any]]] = {}
        vectors, since = self._vectors, time.perf_counter()
        for group, way in zip(plan.groups, ways):
            parts = -(-len(group.members) // CHUNK)
            for part in np.array_split(np.arange(len(group.members)), parts):
                check()
                rows = torch.from_numpy(group.members[part])
                k = tuple(torch.from_numpy(axis[part]).to(self.picture.device) for axis in group.k)
                top, left = (s.start + s.step * each for s, each in zip((group.rows, group.columns), k))
                d = change.within(rows.to(self.picture.device), top, left, group.rows.size, group.columns.size)
                value = Chunk(self._base, way, *k).run(d.to(memory_format=torch.channels_last))
                waiting.setdefault(way.stash, []).append((rows, value))
                while way.stash < vectors and _count(waiting, way.stash) >= BATCH:
                    check()
                    self._on(waiting, way.stash, vectors)
                if time.perf_counter() - since > OFTEN and any(_count(waiting, c) >= BATCH for c in self._cuts if c >= vectors):
                    yield from self._finished(waiting)
                    since = time.perf_counter()
        for cut in self._cuts:
            if waiting.get(cut) and cut < vectors:
                following = [c for c in self._cuts if c > cut and (c == vectors or waiting.get(c))]
                while waiting.get(cut):
                    check()
                    self._on(waiting, cut, following[0])
                    if time.perf_counter() - since > OFTEN and _count(waiting, vectors) >= BATCH:
                        yield from self._finished(waiting)
                        since = time.perf_counter()
        check()
        yield from self._finished(waiting)

    def _finished(self, waiting: dict[int, list[tuple[Tensor, Any]]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Scores of those that are vectors by now."""
        end = len(self.graph.nodes) - 1
        for cut in [c for c in self._cuts if c >= self._vectors and waiting.get(c)]:
            rows = torch.cat([r for r, _ in waiting[cut]])
            value = torch.cat([v for _, v in waiting.pop(cut)])
            yield rows, value if cut == end else self.graph.resume({cut: value}, cut, len(rows))

    def _on(self, waiting: dict[int, list[tuple[Tensor, Any]]], cut: int, until: int) -> None:
        """Take a batch of those that wait at a cut on to another one."""
        queue, taken = waiting[cut], []
        rows = torch.cat([r for r, _ in queue])
        value = torch.cat([v for _, v in queue]) if len(queue) > 1 else queue[0][1]
        taken, rest = value[:BATCH], value[BATCH:]
        waiting[cut] = [(rows[BATCH:], rest)] if len(rest) else []
        done = self.graph.resume({cut: taken}, cut, len(taken), until)
        waiting.setdefault(until, []).append((rows[:BATCH], done))

    def _prepare(self, numbers: set[int]) -> None:
        """Compute and hold the base activations of some nodes, and whatever else fits."""
        known = self._base.numbers
        missing = (numbers | self._everything) - known if numbers - known else set()
        if not missing:
            return
        if held(self.graph, known | missing, self._item) > self.budget:
            self._base.release(known - numbers)
        values: dict[int, Any] = {0: self.picture[None].contiguous(memory_format=torch.channels_last)}
        if 0 in missing:
            self._base.hold(0, values[0])
        self.base_passes += missing != {0}
        for number, node in enumerate(self.graph.nodes[:max(missing) + 1]):
            if node.kind in ("constant", "input"):
                continue
            values[number] = node(1, *(self.graph.value(values, i) for i in node.inputs))
            if number in missing:
                self._base.hold(number, values[number])
            for i in set(node.inputs):
                if self._last[i] == number:
                    values.pop(i, None)


def _count(waiting: dict[int, list[tuple[Tensor, Any]]], cut: int) -> int:
    return sum(len(rows) for rows, _ in waiting.get(cut, ()))


def _stride(graph: Any) -> int:
    """The product of the strides along the longest way through the network, at most 64."""
    total = [1] * len(graph.nodes)
    for number, node in enumerate(graph.nodes):
        stride = max(node.options["stride"]) if node.kind in ("conv", "max_pool", "avg_pool") else 1
        total[number] = stride * max((total[i] for i in node.inputs), default=1)
    return next(t for t in (max(total), 64) if t <= 64)
