"""A picture opened on a model: what every map of it starts from."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

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


def opened(subject: Subject, picture: Picture, kernels: Any, stats: Stats, references: Callable[[Inputs], References]) -> Opened:
    """Run the model on a picture once and see what there is; ValueError where its output is not finite."""
    inputs = Inputs(picture, subject.device, subject.dtype, kernels)
    x = inputs.image[None].clone()
    if subject.cloned:
        with subject.running(gradients=False):
            layers, output = trace_layers(subject.clone, x, subject.select)
            scores = read_scores(output, subject.select)
        if not any(True for _ in subject.clone.parameters()):  # it may wrap anything
            subject.first_scores(x)
            stats.setup_samples += 1
    else:
        layers, scores = (), subject.first_scores(x)
    stats.setup_samples += 1 + two_runs(layers)
    scores = scores[0].detach().clone()
    if not bool(torch.isfinite(scores).all()):
        raise ValueError("the model's output for this picture holds NaN or infinity: check its weights and preprocess=")
    return Opened(picture, inputs, tuple(layers), default_cam_layer(layers, scores.numel()), scores,
                  ends_in_softmax(scores[None]), Runner(subject, inputs, layers, stats), cache(lambda: references(inputs)))
