"""DeepLIFT and Deep SHAP: what each pixel's difference from a reference picture did to the score."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..engine.inputs import FILLS
from ..engine.probe import Evaluation, Fill
from .guided import reached
from .integrated_gradients import baselines
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .quadrature import residual
from .registry import method
from .sampling import Moments, doubling

TOO_FAR = 1e-3  # a residual beyond this is rounding where the rule reached every call, and said so


def _evaluations(context: Context, params: dict[str, Any]) -> int:
    return len(params["baseline"]) if isinstance(params["baseline"], (list, tuple)) else 1


@method("deeplift", title="DeepLIFT", family="reference", rank=0, cost="1 evaluation of two pictures", gradients=True,
        evaluations=_evaluations,
        paper="Shrikumar, Greenside, Kundaje: Learning Important Features Through Propagating Activation Differences, "
              "arXiv 1704.02685",
        warning="multiplies by the picture's difference from the baseline, which so shows through",
        parameters=(
            Parameter("baseline", "fill", "black", "the reference that the picture is compared with", choices=FILLS),
            Parameter("seed", "int", 0, "which noise a noise baseline shows", minimum=0)))
def deeplift(context: Context, *, baseline: Any, seed: int) -> Iterator[Round | Draft]:
    """multiplier ⊙ (x − x0) by the rescale rule, `(C, H, W)` in score units (section 3.5.2).

    The multiplier passes Δout/Δin back through every nonlinear call, from one run on the picture and one on the baseline;
    the map sums to score(x) − score(x0), which `residual` checks. A list of baselines is averaged. `coverage` says how
    many nonlinear calls were rewritten; those without a rule keep their own gradient, and a warning names them. ValueError
    where none could be, or where the model calls other operations for the baseline than for the picture.
    """
    mean = Moments()
    yield from _stages(context, baselines(context, baseline, seed), mean, lambda rise, words: Draft(
        mean.mean, residual=residual(float(mean.mean.sum()), rise), warnings=words, details={"rise": rise}))


@method("deep_shap", title="Deep SHAP", family="reference", rank=1, cost="1 evaluation of two pictures a background",
        gradients=True,
        evaluations=lambda context, params: len(context.references(params["backgrounds"])[0]),
        paper="Lundberg, Lee: A Unified Approach to Interpreting Model Predictions, arXiv 1705.07874, section 4.2",
        warning="multiplies by the picture's difference from the backgrounds, which so shows through",
        parameters=(
            Parameter("backgrounds", "backgrounds", None, "references: fills or a batch, else the session's"),
            Parameter("seed", "int", 0, "which noise a noise background shows", minimum=0)))
def deep_shap(context: Context, *, backgrounds: Any, seed: int) -> Iterator[Round | Draft]:
    """Mean of DeepLIFT's maps over all backgrounds, `(C, H, W)` in score units.

    It sums to the score's rise above the backgrounds' mean, which `residual` checks; `standard_error` is over the
    backgrounds, Σ|standard error| / Σ|map|, by pixel in `details["standard_error"]`.
    """
    fills, note = context.references(backgrounds) if backgrounds is None else _named(context, backgrounds, seed)
    mean = Moments()

    def draft(rise: float, words: tuple[str, ...]) -> Draft:
        details = {"backgrounds": note, "rise": rise, "n": mean.count}
        if mean.error is not None:
            details |= {"standard_error": mean.error.cpu().numpy(), "sum_standard_error": mean.sum_error}
        return Draft(mean.mean, residual=residual(float(mean.mean.sum()), rise), standard_error=mean.relative_error,
                     warnings=(note, *words), details=details)

    yield from _stages(context, fills, mean, draft)


def _named(context: Context, backgrounds: Any, seed: int) -> tuple[tuple[Fill, ...], str]:
    fills = tuple(context.fill(one, seed) for one in backgrounds)
    return fills, context.references(backgrounds)[1]


def _stages(context: Context, fills: Sequence[Fill], mean: Moments,
            draft: Callable[[float, tuple[str, ...]], Draft]) -> Iterator[Round | Draft]:
    """Fold one pair a reference into the mean, a draft whenever what is known has doubled."""
    rises, words = [], ()
    for stage in doubling(len(fills), 4):
        part = [fills[number] for number in stage]
        reply = yield Round([context.gradient(context.pair(fill), rule="deeplift") for fill in part])
        for (_, evaluation), fill in zip(reply, part):
            mean.add(_contribution(context, evaluation, fill))
            rises.append(evaluation.score - evaluation.reference)
            words = tuple(dict.fromkeys((*words, *reached(evaluation.coverage))))
        found = draft(sum(rises) / len(rises), (*words, *_reasons(mean.mean, sum(rises) / len(rises), words)))
        yield replace(found, coverage=str(evaluation.coverage))


def _contribution(context: Context, evaluation: Evaluation, fill: Fill) -> Tensor:
    values = evaluation.gradient * (context.picture_tensor - context.inputs.filled(fill))
    if not bool(torch.isfinite(values).all()):
        raise ValueError(f"a multiplier became infinite or NaN between the baseline {str(fill)!r} and the picture: "
                         f"take another baseline")
    return values


def _reasons(values: Tensor, rise: float, missed: tuple[str, ...]) -> tuple[str, ...]:
    """Why a map is empty, or why it does not add up although every call was reached."""
    if not bool(values.any()):
        return ("the map is zero everywhere: the baseline equals the picture, or the score does not change between them",)
    off = residual(float(values.sum()), rise)
    if off is not None and abs(off) > TOO_FAR and not missed:
        return (f"the map misses the score's rise by {abs(off):.1%}: on this baseline rounding grows through the network; "
                f"take one that is nearer to pictures (mean, blur), or a float64 model",)
    return ()
