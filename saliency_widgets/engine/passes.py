"""Passes that can be recorded: of plain scores, of the input's gradient, of what is read at layers."""
from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from ..model.outputs import wide
from .probe import Pair, Probe, Score

# Reductions of layers that ask the device for numbers on their way (whether an iteration has come to rest).
ASKING = ("eigen_cam",)

Watching = Callable[[ExitStack, Callable[[str, Tensor, Tensor | None], None]], Any]


def recordable(probe: Probe) -> bool:
    """Whether probes like this one may be recorded: no backward rule, no pair, nothing that a hook writes down but tensors."""
    if probe.rule is not None or isinstance(probe.input, Pair):
        return False
    if probe.keep in ("logits", "score"):
        return True
    if not isinstance(probe.score, Score):
        return False
    return probe.keep == "gradient" or (probe.keep == "layers" and not set(probe.reductions) & set(ASKING))


class ProbePass:
    """One batch of probes that differ in their input alone.

    `model` gives the scores `(N, K)`. `watch(stack, reduce)` starts reading at the layers until the stack closes, and `reduce`
    makes of a layer's name, activation and gradient what is kept, `(N, …)` by reduction.
    """

    def __init__(self, probe: Probe, model: Callable[[Tensor], Tensor], watch: Watching,
                 reduce: Callable[[str, Tensor, Tensor | None], dict[str, Tensor]]):
        self.backward = probe.backward
        self._model, self._watch, self._reduce = model, watch, reduce
        self._reads = probe.keep == "layers"
        self._stack, self._kept, self._seen = ExitStack(), {}, None

    def forward(self, leaf: Tensor) -> Tensor:
        """Scores `(N, K)`, of a copy: a model that changes its input in place must not meet a leaf."""
        self.close()
        if self._reads:
            self._seen = self._watch(self._stack, self._take)
        return self._model(leaf.clone())

    def _take(self, name: str, activation: Tensor, gradient: Tensor | None) -> None:
        self._kept.update({(name, reduction): wide(tensor) for reduction, tensor in
                           self._reduce(name, activation, gradient).items()})

    def back(self, leaf: Tensor, scores: Tensor, slopes: Tensor) -> dict[Hashable, Tensor]:
        """What the probe keeps: the gradient under its own name, or each reduction at each layer."""
        gradient, = torch.autograd.grad(scores, leaf, slopes, allow_unused=True)
        if not self._reads:
            return {"gradient": wide(torch.zeros_like(leaf) if gradient is None else gradient)}
        for name, activation in list(self._seen.values.items()):  # what the score does not depend on
            self._take(name, activation, torch.zeros_like(activation))
        kept = self._kept
        self.close()
        return kept

    def close(self) -> None:
        """Take the hooks away."""
        self._stack.close()
        self._kept, self._seen = {}, None
