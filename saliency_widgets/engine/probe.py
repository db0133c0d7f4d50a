"""Names of evaluations: small frozen values that say which input, under which rule, keeping what.

A probe is hashable, printable and knows no device: two requests that mean the same evaluation are equal, and so the
store can answer the second one. Inputs compose: `OnPath(black, 0.5, of=Noisy(Image(), …))` is halfway to a noisy picture.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.census import Coverage


@dataclass(frozen=True)
class Image:
    """The picture itself."""


@dataclass(frozen=True)
class Photograph:
    """The photograph before preprocessing, for what is cut in it: prepared for the model afterwards."""


@dataclass(frozen=True)
class Filled:
    """A whole picture of a fill, named in pixel space: the bare baseline, or a photograph of it."""

    fill: "Fill"
    of: "Input" = Image()


@dataclass(frozen=True)
class OnPath:
    """The point α of the straight path from the picture filled with `baseline` to the picture `of`."""

    baseline: "Fill"
    alpha: float
    of: "Input" = Image()


@dataclass(frozen=True)
class Blurred:
    """The picture `of` blurred with σ in pixels."""

    sigma: float
    of: "Input" = Image()


@dataclass(frozen=True)
class Noisy:
    """Any input plus Gaussian noise: draw `number` of `seed`, standard deviation in input units."""

    base: "Input"
    seed: int
    number: int
    deviation: float


@dataclass(frozen=True)
class Shaken:
    """Any input plus uniform noise: draw `number` of `seed`, each number moved by up to ± `radius` in input units."""

    base: "Input"
    seed: int
    number: int
    radius: float


@dataclass(frozen=True)
class Without:
    """The picture `of` with a set of regions replaced by a fill; `labels` is the label map's content digest."""

    labels: str
    regions: tuple[int, ...]
    fill: "Fill"
    of: "Input" = Image()


@dataclass(frozen=True)
class GivenMask:
    """A mask `(h, w)` of a method's own making, named by its content digest; shown at the picture's size, bilinear."""

    content: str


@dataclass(frozen=True)
class RandomMask:
    """Mask `number` of `seed` as RISE draws them: `cells` × `cells` on with chance `share`, enlarged and shifted."""

    seed: int
    number: int
    cells: int
    share: float


@dataclass(frozen=True)
class Revealed:
    """The picture `of` seen through a mask m in 0..1, with a fill where it is covered: m·x + (1 − m)·fill."""

    mask: GivenMask | RandomMask
    fill: "Fill"
    of: "Input" = Image()


@dataclass(frozen=True)
class Given:
    """A tensor `(C, H, W)` that a method made, named by its content digest."""

    content: str


@dataclass(frozen=True)
class Pair:
    """An input and its reference, evaluated side by side (DeepLIFT); counts as two samples."""

    first: "Input"
    second: "Input"


Input = Image | Photograph | Filled | OnPath | Blurred | Noisy | Shaken | Without | Revealed | Given | Pair


@dataclass(frozen=True)
class Fill:
    """A fill or baseline: `kind` is black, white, mean, blur, noise, value, given, or inpaint (of regions alone).

    `value` is the pixel value 0..1 of kind value, or the σ of blur where it is not the usual one, `seed` that of noise,
    `content` the digest of a given tensor.
    """

    kind: str
    value: float | None = None
    seed: int = 0
    content: str | None = None

    def __str__(self) -> str:
        return self.kind if self.value is None else f"{self.value:g}"


def log_probabilities(scores: Tensor) -> Tensor:
    """Log-softmax over the classes `(N, K)`; a single output is a yes-or-no score and takes the log-sigmoid."""
    return F.logsigmoid(scores) if scores.shape[1] == 1 else scores.log_softmax(1)


@dataclass(frozen=True)
class Score:
    """The explained number: a function of the scores `(N, K)` that gives `(N,)`.

    `kind` is logit, probability, log_probability or margin (the logit of `target` minus that of `contrast`);
    `softmaxed` says that the network's outputs are probabilities already.
    """

    kind: str
    target: int
    contrast: int | None = None
    softmaxed: bool = False
    name: str = ""

    def of(self, scores: Tensor) -> Tensor:
        """The number for each row: `(N, K)` to `(N,)`."""
        column = scores[:, self.target]
        if self.kind == "logit":
            return column
        if self.kind == "margin":
            return column - scores[:, self.contrast]
        if self.softmaxed:
            return column if self.kind == "probability" else column.log()
        log_probability = log_probabilities(scores)[:, self.target]
        return log_probability if self.kind == "log_probability" else log_probability.exp()

    @property
    def unit(self) -> str:
        """What one step of the number is called."""
        if self.name:
            return self.name
        if self.softmaxed and self.kind in ("logit", "margin"):
            return "probability"
        return {"logit": "logit", "margin": "logit", "probability": "probability", "log_probability": "nat"}[self.kind]


@dataclass(frozen=True)
class Unit:
    """The explained number is inside the network: a channel of a layer, its mean or its value at `position` (y, x)."""

    layer: str
    channel: int
    position: tuple[int, int] | None = None

    def of(self, activations: Tensor) -> Tensor:
        """The number for each row: `(N, K, h, w)` or `(N, K)` to `(N,)`."""
        channel = activations[:, self.channel]
        if self.position is not None:
            return channel[:, self.position[0], self.position[1]]
        return channel.flatten(1).mean(1) if channel.ndim > 1 else channel


@dataclass(frozen=True)
class Probe:
    """One evaluation: an input, what to keep of it, for which score, under which backward rule (None: the model's own).

    `keep` is "logits" (forward only), "score" (forward only, for outputs too large to keep whole), "gradient" (with
    respect to the input), "layers" (what the `reductions` of activations and gradients give at the layers `at`, by
    default every layer with positions) or "attention" (the same for the attention probabilities of every head).
    """

    input: Input
    keep: str = "logits"
    score: Score | Unit | None = None
    reductions: tuple[str, ...] = ()
    rule: str | None = None
    at: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """How many pictures go through the model for it."""
        return 2 if isinstance(self.input, Pair) else 1

    @property
    def backward(self) -> bool:
        """Whether a backward pass is part of it: not for reading activations alone."""
        return self.keep in ("gradient", "layers", "attention") and self.score is not None


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gave: logits `(K,)` (None where only the score is kept), score, gradient `(C, H, W)`, terms by layer.

    `reference` is the score of a pair's second input, `coverage` what a backward rule reached of the activation calls.
    """

    logits: Tensor | None
    score: float | None = None
    gradient: Tensor | None = None
    layers: dict[str, dict[str, Tensor]] | None = None
    reference: float | None = None
    coverage: Coverage | None = None

    @property
    def nbytes(self) -> int:
        """Bytes held, for the store's budget."""
        return sum(t.numel() * t.element_size() for t in self._tensors)

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return next((t.device for t in self._tensors), torch.device("cpu"))

    @property
    def _tensors(self) -> list[Tensor]:
        tensors = [self.logits, self.gradient, *(t for terms in (self.layers or {}).values() for t in terms.values())]
        return [t for t in tensors if t is not None]
