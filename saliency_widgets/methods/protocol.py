"""The one protocol of all methods: a generator that asks for rounds of probes and yields maps that sharpen.

A method is a generator function `method(context, *, its parameters)`. It yields

- `Round(probes)`: the reply is an iterator of `(probe, Evaluation)`, evaluated lazily in the order asked, so results
  can be folded as they arrive and nothing runs after the method stops consuming;
- `Draft(values, …)`: a map; later drafts replace earlier ones, and the last is the result.

It sees names of inputs, tensors of inputs, scores and layers through its `Context`; never the model, never a widget.

How it carries the kinds of methods that there are:

*Score-CAM* (two rounds). Round 1 reads the activations of one layer; from the reply it normalises each channel Aₖ and
registers it with `context.mask(Aₖ)`. Round 2 asks for `context.forward(context.revealed(mask, fill))` of each, forward
only, all logits kept; weights are scores of those logits; `Draft(Σ wₖ Aₖ)`.

*SmoothGrad over IG* (accumulators). It runs the base method's own generator on `context.on_picture(Noisy(…))` for each
draw, in lock-step groups whose rounds are merged so that batches fill, folds every finished map into one accumulator
`(C, H, W)`, and lets the gradients pass with `Round(probes, keep=False)`. A draft after each group.

*Meaningful Perturbation* (iterative). Each iteration makes Φ(x; m) from its mask by torch inside the method, under its
own grad mode, asks `Round([context.gradient(context.given(Φ))], keep=False)`, and pulls the returned ∂p/∂Φ back
through Φ to the mask with `Φ.backward(∂p/∂Φ)`; its penalties need no model. Every stage may be a draft.

*DeepLIFT* (pairs). One probe `context.gradient(context.pair(black), rule="deeplift")`: the pair goes through the model
side by side, counts as two samples, and its "gradient" is the multiplier; the draft multiplies by x − x0. A rule is a
name on the probe, so the store never mixes its results with plain gradients.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..engine.inputs import FILL_BLUR, Inputs, digest
from ..engine.probe import (
    Blurred,
    Evaluation,
    Fill,
    Filled,
    Given,
    GivenMask,
    Image,
    Input,
    OnPath,
    Pair,
    Photograph,
    Probe,
    RandomMask,
    Revealed,
    Score,
    Unit,
    Without,
)
from ..model.layers import Layer
from ..model.outputs import wide

TOGETHER = 64  # scores of evaluations taken at a time: an output may have a hundred thousand numbers


@dataclass(frozen=True)
class Round:
    """Ask for these probes; `keep=False` lets the results pass without being stored."""

    probes: Sequence[Probe]
    keep: bool = True


@dataclass(frozen=True)
class Draft:
    """A map as far as it is known: `values` `(C, H, W)` or `(1, h, w)`, with what is needed to judge it.

    `standard_error` is relative: Σ|error of each value| / Σ|value|. `unit` and `default_sign` replace what the score and
    the method say.
    """

    values: Tensor | np.ndarray
    residual: float | None = None
    last_change: float | None = None
    standard_error: float | None = None
    coverage: str | None = None
    warnings: tuple[str, ...] = ()
    unit: str | None = None
    default_sign: str | None = None
    regions: np.ndarray | None = None
    region_scores: np.ndarray | None = None
    details: dict[str, Any] = field(default_factory=dict)


Reply = Iterator[tuple[Probe, Evaluation]]


@dataclass(frozen=True)
class Knowledge:
    """What the session found out about model and picture, and what it can look up on demand.

    `weights(layer)` gives a copy of a layer's weight or None; `head()` the last linear layer behind global average
    pooling, or raises ValueError where there is none; `references()` the background pictures, and a phrase that says
    which they are; `kept(probe)` an evaluation that is there already, or None.
    """

    layers: tuple[Layer, ...]
    default_layer: str | None
    outputs: int
    space: str = "input"
    large_output: bool = False
    references: Callable[[], tuple[tuple[Fill, ...], str]] = lambda: ((), "")
    weights: Callable[[str], Tensor | None] = lambda layer: None
    head: Callable[[], Any] | None = None
    kept: Callable[[Probe], Evaluation | None] = lambda probe: None


class Context:
    """What a method may know: the picture's inputs by name, the score, the layers, and whether somebody watches.

    `image` names the picture to explain: always use it instead of `Image()`, since a method may be run on a noisy
    picture by another. `inputs.tensor(name)` gives a named input `(C, H, W)`; `watched` says that previews are welcome
    that cost extra evaluations; `kernels` are the array operations of the backend in use.
    """

    def __init__(self, inputs: Inputs, score: Score, known: Knowledge, watched: bool = False, image: Input = Image(),
                 foreseen: bool = False):
        self.inputs, self.score, self.known, self.watched, self.image = inputs, score, known, watched, image
        self._foreseen = foreseen
        self.kernels = inputs.kernels

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The model's layers in execution order."""
        return self.known.layers

    @property
    def default_layer(self) -> str | None:
        """The layer that CAM methods take by default."""
        return self.known.default_layer

    @property
    def outputs(self) -> int:
        """How many scores the model gives."""
        return self.known.outputs

    @property
    def space(self) -> str:
        """"input" or "pixel", per what a gradient is given, or "photo", where regions cut the photograph."""
        return self.known.space

    @property
    def backgrounds(self) -> tuple[tuple[Fill, ...], str]:
        """The session's reference pictures, and a phrase that says which they are."""
        return self.known.references()

    def references(self, value: Any = None) -> tuple[tuple[Fill, ...], str]:
        """The same for a `backgrounds` parameter: a list of fills or a batch `(N, C, H, W)`; None is the session's."""
        if value is None:
            return self.backgrounds
        fills = tuple(self.fill(one) for one in value)
        return fills, f"{len(fills)} background{'s' if len(fills) > 1 else ''} given with the method"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape `(C, H, W)` of the model's input."""
        return tuple(self.inputs.image.shape)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of what regions and windows cut: the photograph in photo space, else the model's input."""
        return self.inputs.size

    @property
    def shown(self) -> np.ndarray:
        """The picture that regions and windows cut, uint8 `(H, W, 3)`: superpixels are made of it."""
        return self.inputs.picture.shown

    @property
    def picture_tensor(self) -> Tensor:
        """The picture to explain, `(C, H, W)` in the input space, in at least float32."""
        return wide(self.inputs.tensor(self.image))

    def on_picture(self, name: Input) -> Context:
        """The same for another picture: a noisy one, say."""
        return Context(self.inputs, self.score, self.known, self.watched, name, self._foreseen)

    def scored(self, score: Score) -> Context:
        """The same for another explained number."""
        return Context(self.inputs, score, self.known, self.watched, self.image, self._foreseen)

    def foreseeing(self) -> Context:
        """The same for a method whose cost is foreseen: nothing is evaluated, so what it makes is named and not kept."""
        return Context(self.inputs, self.score, self.known, self.watched, self.image, foreseen=True)

    def weights(self, layer: str) -> Tensor | None:
        """A copy of the weight of a layer's module, or None where it has none."""
        return self.known.weights(layer)

    def kept(self, probe: Probe) -> bool:
        """Whether an evaluation is there already."""
        return self.known.kept(probe) is not None

    def head(self) -> Any:
        """The linear layer behind global average pooling (`model.head.Head`); ValueError where the model has none."""
        return self.known.head()

    # ---- names

    def fill(self, value: Any, seed: int = 0, sigma: float = FILL_BLUR) -> Fill:
        """Name a baseline or fill (METHODS, end); `sigma` in pixels is that of "blur"."""
        return self.inputs.fill(value, seed, sigma)

    def given(self, tensor: Tensor) -> Given:
        """Name a tensor `(C, H, W)` of the method's own making; it is let go of after a `Round(keep=False)`."""
        return Given(digest(tensor)) if self._foreseen else self.inputs.add_tensor(tensor)

    def mask(self, tensor: Tensor) -> GivenMask:
        """Name a mask `(h, w)` of values 0..1 by its content."""
        return self.inputs.add_mask(tensor)

    def on_path(self, baseline: Fill, alpha: float) -> OnPath:
        """The point α of the straight path from a baseline to the picture."""
        return OnPath(baseline, alpha, self.image)

    def blurred(self, sigma: float) -> Blurred:
        """The picture blurred with σ in pixels."""
        return Blurred(sigma, self.image)

    def without(self, labels: str, regions: tuple[int, ...], fill: Fill) -> Without:
        """The picture with a set of regions of a registered label map of `size` replaced."""
        return Without(labels, regions, fill, self._cut)

    def bare(self, fill: Fill) -> Filled:
        """The picture with every region replaced: a whole picture of the fill."""
        return Filled(fill, Photograph()) if self._cut == Photograph() else Filled(fill)

    @property
    def _cut(self) -> Input:
        """What regions are cut out of; ValueError for a noisy copy of the input, which no photograph belongs to."""
        if self.inputs.cutout is None:
            return self.image
        if self.image != Image():
            raise ValueError('a noisy picture is one of the model\'s input, and regions of the photograph cannot be cut out of '
                             'it: use space="input"')
        return Photograph()

    def revealed(self, mask: GivenMask | RandomMask, fill: Fill) -> Revealed:
        """The picture seen through a mask."""
        return Revealed(mask, fill, self.image)

    def pair(self, fill: Fill) -> Pair:
        """The picture beside a reference."""
        return Pair(self.image, Filled(fill))

    # ---- probes

    def forward(self, name: Input) -> Probe:
        """A forward-only probe that keeps all logits, or the score alone where the output is too large to keep."""
        return Probe(name, "score", self.score) if self.known.large_output else Probe(name)

    def gradient(self, name: Input, rule: str | None = None, score: Score | Unit | None = None) -> Probe:
        """A probe that keeps the gradient of the score (or another) with respect to the input, under a backward rule."""
        return Probe(name, "gradient", score or self.score, rule=rule)

    def read(self, reductions: tuple[str, ...], at: tuple[str, ...] = (), rule: str | None = None,
             of: Input | None = None, gradients: bool = True) -> Probe:
        """A probe of the picture (or `of`) that reads the layers `at`, by default every one with positions.

        Without `gradients` it is forward only.
        """
        return Probe(of or self.image, "layers", self.score if gradients else None, reductions, rule, at)

    def attention(self, reductions: tuple[str, ...], gradients: bool = True) -> Probe:
        """A probe of the picture that reads every attention call."""
        return Probe(self.image, "attention", self.score if gradients else None, reductions)

    # ---- answers

    def score_of(self, evaluation: Evaluation) -> float:
        """The explained number of an evaluation."""
        return float(self.scores_of([evaluation])[0])

    def scores_of(self, evaluations: Sequence[Evaluation]) -> np.ndarray:
        """The explained number of each evaluation, float64 `(N,)`."""
        if not evaluations or evaluations[0].logits is None:
            return np.array([evaluation.score for evaluation in evaluations], dtype=np.float64)
        return self._numbers(self.score, evaluations)

    def chance(self, evaluation: Evaluation) -> float | None:
        """The target's probability, or None where the score is the user's own function or no logits are kept."""
        found = self.chances([evaluation])
        return None if found is None else float(found[0])

    def chances(self, evaluations: Sequence[Evaluation]) -> np.ndarray | None:
        """The same for each evaluation, float64 `(N,)`, or None."""
        if self.score.name or not evaluations or evaluations[0].logits is None:
            return None
        return self._numbers(replace(self.score, kind="probability", contrast=None), evaluations)

    @staticmethod
    def _numbers(score: Score, evaluations: Sequence[Evaluation]) -> np.ndarray:
        logits = [evaluation.logits for evaluation in evaluations]
        parts = [score.of(torch.stack(logits[at:at + TOGETHER])) for at in range(0, len(logits), TOGETHER)]
        return torch.cat(parts).cpu().double().numpy()


MethodFunction = Callable[..., Iterator[Round | Draft]]
