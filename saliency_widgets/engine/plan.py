"""What incremental forwards would cost beside full ones, before anything runs: multiply-adds, bytes, and a decision.

An estimate in time decides, since small patches cost more a multiply-add than whole maps: constants measured on one core
(nanoseconds), of which only the ratios matter.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..model.graph import Graph, Node
from .reach import WHOLE, Course, Span, Start, course, reach, sizes

CHUNK = 16       # members of a group that travel together as patches
BATCH = 16       # whole maps that go on together; more of EfficientNet-Lite0's were slower, resnet18 did not care
MULTIPLY = 0.02        # ns a multiply-add of a dense convolution or a linear layer
MULTIPLY_APART = 0.04  # the same where every channel has its own filter
PASS = 0.25      # ns a number read or written once
GATHERED = 5.0   # passes of d ← f(z + d) − f(z) over a patch
CALL = 90_000.0  # ns for each node of a chunk of patches, whatever its size
PACKED = 4.0     # passes over a convolution's weights at each call, which puts them in the order it likes
MARGIN = 0.85    # incremental forwards are chosen where their estimate is below this share of full forwards
MARGIN_FEW = 0.7  # the same for fewer than half a chunk, whose price is less certain


def multiply_adds(node: Node) -> float:
    """Multiply-adds a position of the output."""
    if node.kind == "conv":
        return float(node.weight.shape[0] * node.weight[0].numel())
    return float(node.weight.numel()) if node.kind == "linear" else 0.0


@dataclass(frozen=True)
class Estimate:
    """For all members together: multiply-adds and bytes, incremental and full, and the estimated times in seconds.

    `incremental` says what was decided, `reason` why not.
    """

    samples: int
    multiply_adds: float
    full_multiply_adds: float
    bytes: float
    full_bytes: float
    seconds: float
    full_seconds: float
    base_bytes: int
    incremental: bool
    reason: str = ""

    def __str__(self) -> str:
        if self.incremental and not self.seconds:
            return "incremental: what is cut lies outside of what the model sees"
        share = f"{self.full_multiply_adds / max(self.multiply_adds, 1):.1f}× fewer multiply-adds"
        if self.incremental:
            return f"incremental: {share}, estimated {self.full_seconds / self.seconds:.1f}× faster"
        return f"full forwards: {self.reason}"


class Costs:
    """A graph's costs node by node: `whole` a picture, `patch` a position of a patch, in nanoseconds."""

    def __init__(self, graph: Graph):
        self.graph, self.cuts = graph, graph.cuts()
        count = len(graph.nodes)
        self.whole, self.patch, self.area, self.work, self.numbers, self.call = (np.zeros(count) for _ in range(6))
        for i, node in enumerate(graph.nodes):
            if not node.depends or node.shape is None or i == 0:
                continue
            out, spatial = math.prod(node.shape), len(node.shape) == 3
            read = sum(math.prod(graph.nodes[j].shape or (0,)) for j in node.inputs)
            area = math.prod(node.shape[1:]) if spatial else 1
            each = MULTIPLY_APART if node.kind == "conv" and node.weight.shape[1] == 1 else MULTIPLY
            self.work[i] = multiply_adds(node) * area + node.options.get("work", 0.0)
            self.area[i] = area if spatial else 0
            self.numbers[i] = out + read
            passes = 1.5 * out if node.kind == "pointwise" else out + read
            self.whole[i] = each * self.work[i] + PASS * passes
            self.call[i] = CALL + PASS * PACKED * (0 if node.weight is None else node.weight.numel())
            if spatial:
                moved = {"pointwise": GATHERED * out, "max_pool": GATHERED * read, "channels": 0.0, "pad": 0.0}
                self.patch[i] = (each * self.work[i] + PASS * moved.get(node.kind, out + read)) / area
        self._axes: dict[tuple[int, Start], tuple[list[Span | None], np.ndarray]] = {}

    def axis(self, axis: int, start: Start) -> tuple[list[Span | None], np.ndarray]:
        """The boxes along an axis, and their sizes; kept."""
        key = axis, start
        if key not in self._axes:
            spans = reach(self.graph, axis, start)
            self._axes[key] = spans, sizes(spans)
        return self._axes[key]

    def course(self, rows: Start, columns: Start) -> Course:
        """How a group travels."""
        return course(self.graph, self.cuts, self.axis(0, rows)[0], self.axis(1, columns)[0])

    def _patches(self, rows: Start, columns: Start) -> tuple[np.ndarray, np.ndarray]:
        boxes = self.axis(0, rows)[1] * self.axis(1, columns)[1]
        return boxes, (boxes > 0) & (boxes < WHOLE * self.area)

    def group(self, rows: Start, columns: Start, members: int) -> float:
        """Nanoseconds for a group of `members`."""
        boxes, small = self._patches(rows, columns)
        each = float(np.where(small, self.patch * boxes, self.whole).sum())
        return each * members + float(self.call[small].sum()) * math.ceil(members / CHUNK)

    def worthwhile(self, boxes: np.ndarray, size: tuple[int, int], grain: int) -> np.ndarray:
        """Which boxes int64 `(N, 4)`, rounded out to the grain, cost less than a full forward when they travel in chunks."""
        low = boxes[:, :2] // grain * grain
        high = np.minimum(-(-boxes[:, 2:] // grain) * grain, np.array(size))
        kinds, which = np.unique(np.concatenate((low, high - low), 1), axis=0, return_inverse=True)
        pays = np.ones(len(kinds), dtype=bool)
        for number, (top, left, height, width) in enumerate(kinds.tolist()):
            if height > 0 and width > 0:
                price = self.group(Start(top, height, 0, 0), Start(left, width, 0, 0), CHUNK) / CHUNK
                pays[number] = price < MARGIN * self.full
        return pays[which.reshape(-1)]

    def amounts(self, rows: Start, columns: Start) -> tuple[float, float]:
        """Multiply-adds and numbers moved, a member."""
        boxes, small = self._patches(rows, columns)
        share = np.where(small, boxes / np.maximum(self.area, 1), 1.0)
        return float((self.work * share).sum()), float((self.numbers * share).sum())

    @property
    def full(self) -> float:
        """Nanoseconds for one picture as a whole."""
        return float(self.whole.sum())


def needs(graph: Graph, way: Course) -> set[int]:
    """Numbers of the nodes whose base activation a group reads."""
    found: set[int] = set()
    for number in range(way.stash + 1):
        node, mode = graph.nodes[number], way.modes[number]
        patches = [i for i in node.inputs if way.modes[i] == "patch"]
        if mode == "lift":
            found.add(number)
        if mode == "whole" and patches:
            found.update((number,) if node.kind == "mean" else patches)
        if mode in ("patch", "lift") and node.kind in ("pointwise", "max_pool"):
            found.update(node.inputs)
            if node.kind == "max_pool":
                found.add(number)
    return found
