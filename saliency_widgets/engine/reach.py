"""How far a change reaches: at every node of a graph the box outside of which it is exactly zero, along one axis at a time.

A group of regions shares the shapes of its boxes: member n's box begins at `start + step · k[n]` with k from 0 to `most`.
A stride of s divides the step by s, so a group stays one as long as the strides divide its step.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..model.graph import Graph, Node

WHOLE = 0.75  # a box that covers this share of a map becomes the whole map (measured: 0.5 to 0.95 are as good)


class Span(NamedTuple):
    """The boxes along one axis. `before` and `after` are the zeros that the input's box needs at its ends (negative: it is
    cut there), `nothing` says that no position sees the change."""

    start: int
    size: int
    step: int
    before: int = 0
    after: int = 0
    nothing: bool = False


class Start(NamedTuple):
    """A group's boxes in the picture along one axis; hashable."""

    start: int
    size: int
    step: int
    most: int


def windows(node: Node, axis: int) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and dilation of a convolution or pooling along an axis."""
    o = node.options
    kernel = node.weight.shape[2 + axis] if node.kind == "conv" else o["kernel"][axis]
    return kernel, o["stride"][axis], o["padding"][axis], o["dilation"][axis] if "dilation" in o else 1


def through(span: Span, most: int, window: tuple[int, int, int, int], length: int) -> Span | None:
    """The boxes behind a sliding window, less what lies outside of a map of `length` for every member.

    None where the stride would take the members' boxes apart.
    """
    kernel, stride, padding, dilation = window
    if span.step % stride:
        return None
    step, wide = span.step // stride, dilation * (kernel - 1)
    low = max(-((wide - span.start - padding) // stride), -most * step)
    high = min((span.start + span.size - 1 + padding) // stride, length - 1)
    nothing = span.nothing or high < low
    if high < low:
        low = high = min(max(low, -most * step), length - 1)
    return Span(low, high - low + 1, step, span.start - (low * stride - padding),
                high * stride - padding + wide + 1 - (span.start + span.size), nothing)


def reach(graph: Graph, axis: int, start: Start) -> list[Span | None]:
    """The boxes at every node; None where the change has no box (whole from there on)."""
    spans: list[Span | None] = [None] * len(graph.nodes)
    spans[0] = Span(start.start, start.size, start.step)
    for number, kind, inputs, detail, length in _ways(graph, axis):
        first = spans[inputs[0]]
        if first is None:
            continue
        if kind == "window":
            spans[number] = through(first, start.most, detail, length)
        elif kind == "pad":
            spans[number] = Span(first.start + detail, first.size, first.step, nothing=first.nothing)
        elif kind == "same":
            spans[number] = Span(first.start, first.size, first.step, nothing=first.nothing) if first[3] or first[4] else first
        else:
            given = [spans[i] for i in inputs]
            if None not in given and all(s.step == first.step for s in given):
                low, high = min(s.start for s in given), max(s.start + s.size for s in given)
                spans[number] = Span(low, high - low, first.step, nothing=all(s.nothing for s in given))
    return spans


def _ways(graph: Graph, axis: int) -> list[tuple]:
    """What each node does to a box along an axis, found once: planning asks hundreds of times."""
    known = graph.__dict__.setdefault("_ways", {})
    if axis not in known:
        known[axis] = []
        for number, node in enumerate(graph.nodes):
            if number == 0 or node.shape is None or len(node.shape) != 3 or not node.inputs:
                continue
            kind, detail = None, None
            match node.kind:
                case "conv" | "max_pool" | "avg_pool":
                    kind, detail = "window", windows(node, axis)
                case "pointwise" | "affine" | "channels" | "shuffle":
                    kind = "same"
                case "pad":
                    kind, detail = "pad", node.options["pad"][2 - 2 * axis]
                case "add" | "cat":
                    kind = "join"
            if kind is not None:
                known[axis].append((number, kind, node.inputs, detail, node.shape[1 + axis]))
    return known[axis]


@dataclass
class Course:
    """What happens to a group's change at each node: `modes` are patch, lift (a patch that becomes the whole map), whole.

    `stash` is the first cut of the graph where the value is whole; groups go on together from there.
    """

    rows: list[Span | None]
    columns: list[Span | None]
    modes: list[str]
    stash: int


def course(graph: Graph, cuts: list[int], rows: list[Span | None], columns: list[Span | None]) -> Course:
    """Decide for each node up to the stash how it is computed."""
    modes: list[str] = []
    cut = set(cuts)
    for number, node in enumerate(graph.nodes):
        mode = "whole"
        if not node.depends:
            mode = "base"
        elif rows[number] is not None and columns[number] is not None and all(modes[i] == "patch" for i in node.inputs):
            share = rows[number].size * columns[number].size / (node.shape[1] * node.shape[2])
            mode = "patch" if share < WHOLE else "lift"
        modes.append(mode)
        if number in cut and mode in ("lift", "whole"):
            break
    return Course(rows, columns, modes, len(modes) - 1)


def sizes(spans: list[Span | None]) -> np.ndarray:
    """The boxes' sizes, 0 where there are none: for sums over all nodes."""
    return np.array([0 if s is None else s.size for s in spans], dtype=np.float64)
