"""Expected gradients: Integrated Gradients averaged over many starting points, by sampling both."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ..engine.probe import Fill, Filled, Input, Noisy, OnPath
from .grad_cam import choose_layer
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .quadrature import residual
from .registry import method
from .sampling import Moments, doubling

NOISE = 1 << 32  # draw numbers from here on are the smoothing noise's, so that it shares no word with the other draws


def _evaluations(context: Context, params: dict[str, Any]) -> int:
    fills, _ = context.references(params["backgrounds"])
    smooth, place = bool(params["smoothing"]), params["layer"] is not None
    return params["n"] * (2 if smooth and place else 1) + (0 if smooth and not place else len(fills)) + (not smooth)


@method("expected_gradients", title="Expected gradients", family="reference", rank=2, cost="n evaluations", gradients=True,
        evaluations=_evaluations,
        paper="Erion, Janizek, Sturmfels, Lundberg, Lee: Learning Explainable Models Using Attribution Priors, arXiv 1906.10670",
        warning="multiplies by the picture, which so shows through",
        parameters=(
            Parameter("n", "int", 200, "draws; more of them reuse the first ones", minimum=1, maximum=100_000,
                      choices=(25, 50, 100, 200, 400)),
            Parameter("backgrounds", "backgrounds", None, "where the paths start: fills or a batch, else the session's"),
            Parameter("smoothing", "float", 0.0, "σ of noise added to the picture, in input units", minimum=0.0, maximum=2.0,
                      step=0.01),
            Parameter("layer", "layer", None, "attribute to this layer's activations instead of the input"),
            Parameter("seed", "int", 0, "which draws", minimum=0)))
def expected_gradients(context: Context, *, n: int, backgrounds: Any, smoothing: float, layer: str | None,
                       seed: int) -> Iterator[Round | Draft]:
    """Mean over n draws of a background x' and t in 0..1 of (x − x') ⊙ ∂score/∂x(x' + t(x − x')), `(C, H, W)` in score units.

    At a `layer`, (A(x) − A(x')) ⊙ ∂score/∂A at the interpolated input, summed over channels: `(1, h, w)`, with
    `details["channels"]` `(K, h, w)`. The sum over the input expects the score's rise above the backgrounds' mean, which
    `residual` compares where `smoothing` is 0; `details["sum_standard_error"]` says how far chance alone may be off.
    """
    # Named here, for a noise background to be the seed's.
    fills, note = context.references(None if backgrounds is None else [context.fill(one, seed) for one in backgrounds])
    place = None if layer is None else choose_layer(context, layer)
    rise = None
    if place is None and not smoothing:
        reply = yield Round([context.forward(context.image), *(context.forward(Filled(fill)) for fill in fills)])
        whole, *bare = [context.score_of(evaluation) for _, evaluation in reply]
        for score, fill in zip(bare, fills):
            _finite(torch.tensor(score), fill)
        rise = whole - sum(bare) / len(fills)
    moments, channels, activations = Moments(), Moments(), {}
    for stage in doubling(n):
        draws = [_draw(context, fills, smoothing, seed, number) for number in stage]
        if place is not None:
            reply = yield Round([context.read(("activation",), (place,), of=name, gradients=False)
                                 for name in dict.fromkeys(name for fill, _, of in draws for name in (of, Filled(fill)))
                                 if name not in activations])
            activations.update((probe.input, evaluation.layers[place]["activation"]) for probe, evaluation in reply)
        points = [OnPath(fill, t, of) for fill, t, of in draws]
        reply = yield Round([context.gradient(point) if place is None else context.read(("gradient",), (place,), of=point)
                             for point in points])
        for (_, evaluation), (fill, _, of) in zip(reply, draws):
            if place is None:
                moments.add(_finite(evaluation.gradient * (context.inputs.tensor(of) - context.inputs.filled(fill)), fill))
                continue
            change = activations[of] - activations[Filled(fill)]
            sample = _finite(evaluation.layers[place]["gradient"] * change, fill)
            channels.add(sample)
            moments.add(sample.sum(0, keepdim=True))
        if smoothing:  # every draw has its own noise
            activations = {name: kept for name, kept in activations.items() if isinstance(name, Filled)}
        yield _judged(moments, channels, rise, note, place)


def _draw(context: Context, fills: tuple[Fill, ...], smoothing: float, seed: int, number: int) -> tuple[Fill, float, Input]:
    """Draw a background, a t, and the picture, noisy where it is to be smoothed."""
    which, t = context.kernels.uniform(seed, number, 2).tolist()
    of = Noisy(context.image, seed, NOISE + number, smoothing) if smoothing else context.image
    return fills[int(which * len(fills))], t, of


def _finite(sample: torch.Tensor, fill: Fill) -> torch.Tensor:
    if not bool(torch.isfinite(sample).all()):
        raise ValueError(f"a value became infinite or NaN on the path from the background {str(fill)!r}: leave it out")
    return sample


def _judged(moments: Moments, channels: Moments, rise: float | None, note: str, place: str | None) -> Draft:
    values, warnings = moments.mean, ()
    if not bool(values.any()):
        warnings = ("the map is zero everywhere: the backgrounds equal the picture, or the score does not change between them",)
    details = {"backgrounds": note, "rise": rise, "n": moments.count}
    if moments.error is not None:
        details |= {"standard_error": moments.error.cpu().numpy(), "sum_standard_error": moments.sum_error}
    if place is not None:
        details |= {"layer": place, "channels": channels.mean.cpu().numpy()}
    return Draft(values, residual=None if rise is None else residual(float(values.sum()), rise), warnings=(note, *warnings),
                 standard_error=moments.relative_error, details=details)
