"""The one protocol of all methods: a generator that asks for rounds of probes and yields maps that sharpen.

A method is a generator function `method(context, *, its parameters)`. It yields

- `Round(probes)`: the reply is an iterator of `(probe, Evaluation)`, evaluated lazily in the order asked, so results
  can be folded as they arrive and nothing runs after the method stops consuming;
- `Draft(values, …)`: a map; later drafts replace earlier ones, and the last is the result.

It sees names of inputs, tensors of inputs, scores and layers through its `Context`; never the model, never a widget.

Why this carries the rest of the field without a change (the four methods here are one of each basic kind):

*Score-CAM* (two rounds). Round 1: `[Probe(Image(), "layers", score, ("activation",))]`; from the reply it upsamples and
normalises each channel Aₖ, masks the picture, and registers x ⊙ Aₖ by content with `context.given(tensor)`. Round 2:
`[Probe(given_k) for k]`, forward only, all logits kept; weights are scores of those logits; `Draft(Σ wₖ Aₖ)`.

*SmoothGrad over IG* (accumulators). The probes are `Probe(Noisy(OnPath(black, α), seed, i, σ), "gradient", score)`:
inputs compose, the base method's trapezoid weight of α and 1/n are folded into one accumulator `(C, H, W)` per reply,
and `Round(probes, keep=False)` lets the gradients pass without being stored. A draft after each power of two of i.

*Meaningful Perturbation* (iterative). Each iteration makes Φ(x; m) from its mask by torch inside the method, under its
own grad mode, asks `Round([Probe(context.given(Φ), "gradient", probability)], keep=False)`, and pulls the returned
∂p/∂Φ back through Φ to the mask with `Φ.backward(∂p/∂Φ)`; its penalties need no model. Every stage may be a draft.

*DeepLIFT* (pairs). One probe `Probe(Pair(Image(), Filled(black)), "gradient", score, rule="deeplift")`: the pair goes
through the model side by side, counts as two samples, and its "gradient" is the multiplier; the draft multiplies by
x − x0. A rule is a name on the probe, so the store never mixes its results with plain gradients.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from ..engine.inputs import Inputs
from ..engine.probe import Evaluation, Fill, Given, Input, Probe, Score
from ..model.layers import Layer


@dataclass(frozen=True)
class Round:
    """Ask for these probes; `keep=False` lets the results pass without being stored."""

    probes: Sequence[Probe]
    keep: bool = True


@dataclass(frozen=True)
class Draft:
    """A map as far as it is known: `values` `(C, H, W)` or `(1, h, w)`, with what is needed to judge it."""

    values: Tensor | np.ndarray
    residual: float | None = None
    last_change: float | None = None
    standard_error: float | None = None
    coverage: str | None = None
    warnings: tuple[str, ...] = ()
    unit: str | None = None
    regions: np.ndarray | None = None
    region_scores: np.ndarray | None = None
    details: dict[str, Any] = field(default_factory=dict)


Reply = Iterator[tuple[Probe, Evaluation]]


class Context:
    """What a method may know: the picture's inputs by name, the score, the layers, and whether somebody watches.

    `inputs.tensor(name)` gives a named input `(C, H, W)`; `watched` says that previews are welcome that cost extra
    evaluations; `kernels` are the array operations of the backend in use.
    """

    def __init__(self, inputs: Inputs, score: Score, layers: Sequence[Layer], default_layer: str | None,
                 outputs: int, space: str = "input", watched: bool = False, large_output: bool = False):
        self.inputs, self.score, self.layers, self.default_layer = inputs, score, tuple(layers), default_layer
        self.outputs, self.space, self.watched, self.large_output = outputs, space, watched, large_output
        self.kernels = inputs.kernels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape `(C, H, W)` of the model's input."""
        return tuple(self.inputs.image.shape)

    def fill(self, value: Any, seed: int = 0) -> Fill:
        """Name a baseline or fill (METHODS, end)."""
        return self.inputs.fill(value, seed)

    def given(self, tensor: Tensor) -> Given:
        """Name a tensor `(C, H, W)` of the method's own making by its content."""
        return self.inputs.add_tensor(tensor)

    def forward(self, name: Input) -> Probe:
        """A forward-only probe that keeps all logits, or the score alone where the output is too large to keep."""
        return Probe(name, "score", self.score) if self.large_output else Probe(name)

    def gradient(self, name: Input) -> Probe:
        """A probe that keeps the score's gradient with respect to the input."""
        return Probe(name, "gradient", self.score)

    def score_of(self, evaluation: Evaluation) -> float:
        """The explained number of an evaluation."""
        if evaluation.logits is None:
            return evaluation.score
        return float(self.score.of(evaluation.logits[None])[0])


MethodFunction = Callable[..., Iterator[Round | Draft]]
