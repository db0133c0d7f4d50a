"""A picture opened on a model: what every map of it starts from."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from .engine.batching import NEVER_FITS, out_of_memory
from .engine.inputs import Inputs
from .engine.probe import Fill
from .engine.runner import Runner
from .engine.stats import Stats
from .engine.subject import Subject
from .model.layers import Layer, default_cam_layer, trace_layers, two_runs
from .model.outputs import ends_in_softmax, read_scores
from .model.preprocessing import Picture

References = tuple[tuple[Fill, ...], str]


@dataclass(frozen=True)
class Opened:
    """A picture with what its set-up found: layers in execution order, scores `(K,)`, and the runner on it."""

    picture: Picture
    inputs: Inputs
    layers: tuple[Layer, ...]
    default_layer: str | None
    scores: torch.Tensor
    softmaxed: bool
    runner: Runner
    references: Callable[[], References]
    version: Any  # the subject's, which this is true of


def opened(subject: Subject, picture: Picture, kernels: Any, stats: Stats, references: Callable[[Inputs], References]) -> Opened:
    """Run the model on a picture once and see what there is.

    ValueError where its output is not finite, or where memory does not suffice for one picture.
    """
    inputs = Inputs(picture, subject.device, subject.dtype, kernels)
    x = inputs.image[None].clone()
    try:
        layers, scores = _first_look(subject, x, stats)
    except (RuntimeError, ValueError) as error:
        if not out_of_memory(error):
            raise
        raise ValueError(NEVER_FITS) from error
    stats.setup_samples += 1 + two_runs(layers)
    scores = scores[0].detach().clone()
    if not bool(torch.isfinite(scores).all()):
        raise ValueError("the model's output for this picture holds NaN or infinity: check its weights and preprocess=")
    return Opened(picture, inputs, tuple(layers), default_cam_layer(layers, scores.numel()), scores,
                  ends_in_softmax(scores[None]), Runner(subject, inputs, layers, stats), cache(lambda: references(inputs)),
                  subject.version)


def _first_look(subject: Subject, x: torch.Tensor, stats: Stats) -> tuple[Sequence[Layer], torch.Tensor]:
    """Layers and scores `(1, K)` of a picture x `(1, C, H, W)`, and whether the model gives gradients."""
    if not subject.cloned:
        return (), subject.first_scores(x)
    with subject.running(gradients=False):
        layers, output = trace_layers(subject.clone, x, subject.select)
        scores = read_scores(output, subject.select)
    if not any(True for _ in subject.clone.parameters()):  # it may wrap anything
        subject.try_gradient(x)
        stats.setup_samples += 1
    return layers, scores
