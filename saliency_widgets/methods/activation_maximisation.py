"""Activation maximisation: the picture that a class, a channel or a neuron answers to most, painted by gradient ascent."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..engine.probe import Unit
from ..model.layers import Layer, find_layer, to_grid
from ..model.pictures import to_uint8
from .descent import Descent
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .registry import method

STAGES = 30  # of the film
NOISE = 0.3   # deviation of the start's coefficients: enough contrast that units behind ReLUs are not all dead
CLIP = 0.02  # a start from a picture keeps this distance from black and white, where the sigmoid hardly moves
# Root of the correlation of colours in ImageNet, its longest column scaled to 1 (Olah et al. 2017, "preconditioning").
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
_COLOURS /= np.linalg.norm(_COLOURS, axis=0).max()


def _evaluations(context: Context, params: dict) -> int:
    return params["iterations"] + 2 + (params["layer"] is not None and params["channel"] is None)


@method("activation_maximisation", title="Activation maximisation", family="inside", rank=1, cost="1 evaluation an iteration",
        gradients=True, course="iterations", evaluations=_evaluations,
        paper="Erhan et al.: Visualizing Higher-Layer Features of a Deep Network, 2009; "
              "Olah, Mordvintsev, Schubert: Feature Visualization, Distill 2017",
        parameters=(
            Parameter("layer", "layer", None, "whose channel is maximised; none: the class's logit"),
            Parameter("channel", "index", None, "channel of that layer; none: the most active one for this picture"),
            Parameter("iterations", "int", 256, "steps of Adam", minimum=1, maximum=5000),
            Parameter("start", "choice", "frequency", "begin with noise of natural colours and frequencies, or with the picture",
                      choices=("frequency", "picture")),
            Parameter("row", "index", None, "row of one neuron of the channel; none: the channel's mean"),
            Parameter("column", "index", None, "column of that neuron"),
            Parameter("jitter", "int", 8, "largest shift of the image before each step", minimum=0, maximum=64, unit="px"),
            Parameter("tv", "float", 1.0, "price of the image's roughness", minimum=0, maximum=100),
            Parameter("lr", "float", 0.1, "step size of Adam", minimum=1e-4, maximum=1),
            Parameter("seed", "int", 0, "names the draws of start and shifts", minimum=0)))
def activation_maximisation(context: Context, *, layer: str | None, channel: int | None, row: int | None, column: int | None,
                            iterations: int, start: str, jitter: int, tv: float, lr: float,
                            seed: int) -> Iterator[Round | Draft]:
    """The input `(C, H, W)` that maximises the unit, in the model's input space: not a map of the picture.

    Adam climbs the unit minus `tv` times the mean absolute difference of neighbouring pixels. The image is a sigmoid of
    decorrelated colours of a Fourier series whose coefficients are divided by their frequency, so every pixel stays in
    0..1; each step sees it rolled by up to `jitter` pixels. `details` holds `picture` (uint8 `(H, W, 3)`), `scores` (one an
    iteration, with its shift), `before` (the unit at the picture), `started` and `after` (at the first and last image),
    `film` (dicts of iteration, picture, score), `layer`, `channel`, `objective_score` (the unit's
    unit). ValueError for a channel or neuron that is not there.
    """
    unit = yield from _unit(context, layer, channel, row, column)
    kernels, space, like = context.kernels, context.inputs.picture.space, context.picture_tensor
    painter = Painter(like)
    if start == "picture":
        spectrum = painter.spectrum(space.to_pixels(like))
    else:
        spectrum = NOISE * kernels.normal(seed, 0, painter.shape, like.dtype, like.device)
    spectrum.requires_grad_(True)
    descent = Descent(spectrum.detach(), lr, maximize=True)
    shifts = (kernels.uniform(seed, 1, 2 * iterations, like.device) * (2 * jitter + 1)).long() - jitter

    (_, found), = yield Round([context.gradient(context.image, score=unit)])
    before, scores, film, change, last = found.score, [], [], None, None
    for step, shift in enumerate([*shifts.view(-1, 2).tolist(), (0, 0)]):
        with torch.enable_grad():
            pixels = painter(spectrum)
            x = space.to_input(pixels)
            shifted = x.roll(shift, (1, 2))
            gain = -tv * roughness(pixels)
        (_, found), = yield Round([context.gradient(context.given(shifted), score=unit)], keep=False)
        if not np.isfinite(found.score) or not bool(torch.isfinite(found.gradient).all()):
            raise ValueError(f"the unit became infinite or NaN at iteration {step}: try a smaller lr or another unit")
        if step % max(1, iterations // STAGES) == 0 or step == iterations:
            values = x.detach()
            change = None if last is None else float((values - last).abs().sum() / values.abs().sum().clamp_min(1e-12))
            film.append({"iteration": step, "picture": to_uint8(pixels), "score": found.score})
            details = {"picture": film[-1]["picture"], "film": list(film), "scores": np.array(scores), "before": before,
                       "started": film[0]["score"], "after": found.score, "layer": layer,
                       "objective_score": "activation" if isinstance(unit, Unit) else unit.unit,
                       "channel": unit.channel if isinstance(unit, Unit) else None}
            yield Draft(values, last_change=change, unit="input unit", details=details,
                        warnings=_doubts(details) if step == iterations else ())
            last = values
        if step < iterations:
            scores.append(found.score)
            with torch.enable_grad():
                slope, = torch.autograd.grad((shifted * found.gradient).sum() + gain, spectrum)
            descent.step(slope)


class Painter:
    """A picture of pixels `(C, H, W)` in 0..1 from a real spectrum `(C, H, W // 2 + 1, 2)`.

    The spectrum is divided by frequency (the lowest by that of one period), made a field by the unitary inverse Fourier
    transform, its three colours correlated as in natural pictures, and squashed by a sigmoid. Other channel counts stay
    uncorrelated.
    """

    def __init__(self, like: Tensor):
        channels, self.height, self.width = like.shape
        self.shape = (channels, self.height, self.width // 2 + 1, 2)
        frequency = np.hypot(np.fft.fftfreq(self.height)[:, None], np.fft.rfftfreq(self.width))
        scale = 1 / np.maximum(frequency, 1 / max(self.height, self.width)) / 4
        self._scale = torch.as_tensor(scale, dtype=like.dtype, device=like.device)
        colours = _COLOURS if channels == 3 else np.eye(channels)
        self._colours, self._back = (torch.as_tensor(m, dtype=like.dtype, device=like.device)
                                     for m in (colours, np.linalg.inv(colours)))

    def __call__(self, spectrum: Tensor) -> Tensor:
        field = torch.fft.irfft2(torch.view_as_complex(spectrum) * self._scale, s=(self.height, self.width), norm="ortho")
        return torch.einsum("ij,jhw->ihw", self._colours, field).sigmoid()

    def spectrum(self, pixels: Tensor) -> Tensor:
        """The spectrum that paints these pixels, which are kept `CLIP` away from 0 and 1."""
        field = torch.einsum("ij,jhw->ihw", self._back, pixels.clamp(CLIP, 1 - CLIP).logit())
        return torch.view_as_real(torch.fft.rfft2(field, norm="ortho") / self._scale).contiguous()


def roughness(pixels: Tensor) -> Tensor:
    """The mean absolute difference of neighbouring pixels of `(C, H, W)`, along both axes."""
    return sum(pixels.diff(dim=d).abs().mean() for d in (1, 2) if pixels.shape[d] > 1)


def _unit(context: Context, layer: str | None, channel: int | None, row: int | None, column: int | None) -> Iterator[Any]:
    """What is maximised: the class's logit, or the wanted channel or neuron, checked against the layer's shape."""
    if layer is None:
        if channel is not None or row is not None or column is not None:
            raise ValueError("channel, row and column count inside a layer: name it with layer=, or leave them out to maximise "
                             "the class (target=)")
        score = context.score
        # A probability saturates long before the picture is clear (Olah et al. 2017), so the class means its logit.
        return score if score.name or score.kind == "margin" else replace(score, kind="logit", contrast=None)
    found = find_layer(context.layers, layer)
    channels, *size = _shape(found)
    if (row is None) != (column is None):
        raise ValueError("a neuron has a row and a column: give both, or neither for the channel's mean")
    if row is not None and not size:
        raise ValueError(f"layer {layer!r} gives shape {found.shape}, without positions: leave row and column out")
    if row is not None and not (row < size[0] and column < size[1]):
        raise ValueError(f"row={row}, column={column} lies outside layer {layer!r}, which has {size[0]} × {size[1]} positions")
    if channel is not None and channel >= channels:
        raise ValueError(f"channel={channel} does not exist: layer {layer!r} has {channels}, 0 to {channels - 1}")
    position = None if row is None else (row, column)
    if channel is None:
        (_, evaluation), = yield Round([context.read(("activation",), at=(found.name,), gradients=False)])
        activation = evaluation.layers[found.name]["activation"]
        channel = max(range(channels), key=lambda k: float(Unit(found.name, k, position).of(activation[None])[0]))
    return Unit(found.name, channel, position)


def _shape(layer: Layer) -> tuple[int, ...]:
    """The layer's `(channels, height, width)`, or `(channels,)` without positions; ValueError for anything else."""
    shape = tuple(to_grid(torch.empty(1, *layer.shape, device="meta"), layer).shape[1:])
    if len(shape) not in (1, 3):
        raise ValueError(f"layer {layer.name!r} gives shape {layer.shape}, neither channels × height × width nor channels "
                         f"alone: choose another layer")
    return shape


def _doubts(details: dict) -> tuple[str, ...]:
    if details["after"] > max(details["started"], details["before"]):
        return ()
    better = "started" if details["started"] >= details["before"] else "before"
    name = {"started": "its start", "before": "the picture itself"}[better]
    return (f"the ascent found nothing above {name} ({details['after']:.3g} against {details[better]:.3g}): a unit "
            f"that nothing reaches here? Try another seed, start='picture', or more iterations",)
