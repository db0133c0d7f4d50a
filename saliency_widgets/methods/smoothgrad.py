"""SmoothGrad: any gradient-type map, averaged over noisy copies of the picture."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..engine.probe import Noisy
from .nesting import together
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .registry import Method, find, method
from .sampling import Moments

BASES = ("gradient", "gradient_x_input", "guided_backprop", "deconvnet", "integrated_gradients", "blur_ig", "guided_ig",
         "deeplift", "deep_shap", "expected_gradients", "lrp", "guided_grad_cam")
GROUP = 8       # noisy copies that run side by side, so that batches fill
KEPT = 2        # evaluations a copy up to which results are kept: more would be gigabytes


def _evaluations(context: Context, params: dict[str, Any]) -> int:
    base = find(params["base"])
    return params["n"] * base.evaluations(context, base.validate(params["base_params"]))


@method("smoothgrad", title="SmoothGrad", family="gradient", rank=2, cost="n times its base", gradients=True,
        evaluations=_evaluations,
        paper="Smilkov et al.: SmoothGrad, arXiv 1706.03825; squared: Hooker et al., arXiv 1806.10758; "
              "variance (VarGrad): Adebayo et al., arXiv 1810.03307",
        parameters=(
            Parameter("base", "method", "gradient", "the map that is averaged", choices=BASES),
            Parameter("base_params", "mapping", {}, "the base method's own parameters"),
            Parameter("n", "int", 25, "noisy copies; more of them reuse the first ones", minimum=1, maximum=10_000,
                      choices=(5, 10, 25, 50, 100)),
            Parameter("level", "float", 0.15, "noise σ as a share of the input's range", minimum=0.0, maximum=2.0, step=0.01),
            Parameter("variant", "choice", "mean", "the mean, the mean of squares, or the variance",
                      choices=("mean", "squared", "variance")),
            Parameter("seed", "int", 0, "which noise", minimum=0)))
def smoothgrad(context: Context, *, base: str, base_params: dict[str, Any], n: int, level: float, variant: str,
               seed: int) -> Iterator[Round | Draft]:
    """Mean over n draws of base(x + σε), σ = level·(max x − min x), in the base's shape and unit.

    "squared" is the mean of the squared maps (SG²), "variance" their variance (VarGrad, divided by n): both in squared
    units. `details` hold σ in input units (`sigma`) and pixel values 0..1 (`sigma_pixels`, the mean over channels), and
    the `standard_error` of each value. The base is refused where it would be alone.
    """
    inner, picture = find(base), context.picture_tensor
    params = inner.validate(base_params)
    sigma = level * float(picture.max() - picture.min())
    keep = inner.evaluations(context, params) <= KEPT
    moments, facts = Moments(), []
    count = n if sigma else 1  # without noise all copies are the picture
    for first in range(0, count, GROUP):
        copies = [context.on_picture(Noisy(context.image, seed, i, sigma) if sigma else context.image)
                  for i in range(first, min(first + GROUP, count))]
        for draft in (yield from together([inner.run(copy, **params) for copy in copies], keep)):
            values = torch.as_tensor(draft.values)
            moments.add(values ** 2 if variant == "squared" else values)
            facts.append(replace(draft, values=torch.empty(0), details={}))  # what it says, without what it shows
        yield _judged(context, moments, facts, variant, sigma, inner)


def _judged(context: Context, moments: Moments, facts: Sequence[Draft], variant: str, sigma: float, base: Method) -> Draft:
    values = moments.variance if variant == "variance" else moments.mean
    unit = facts[0].unit or context.score.unit
    # What holds for every copy holds for the mean; a single empty copy says nothing.
    warnings = [w for w in facts[0].warnings if all(w in other.warnings for other in facts)]
    if not sigma:
        warnings.append("σ is 0, by level=0 or because the picture is of one value: the map is that of the picture alone")
    elif variant == "variance" and moments.count == 1:
        warnings.append("the variance of a single copy is zero everywhere: take n of at least 2")
    elif not bool(values.any()) and not warnings:
        warnings.append("the map is zero everywhere: the base's is the same for every noisy copy" if variant == "variance"
                        else "the map is zero everywhere: the base's is for every noisy copy")
    if base.warning:
        warnings.append(f"{base.title}: {base.warning}")
    std = context.inputs.picture.space.std
    details = {"sigma": sigma, "sigma_pixels": sigma * (1.0 if std is None else float(np.mean(std))), "n": moments.count}
    if variant != "variance" and moments.error is not None:
        details |= {"standard_error": moments.error.cpu().numpy(), "sum_standard_error": moments.sum_error}
    return Draft(values, standard_error=None if variant == "variance" else moments.relative_error,
                 coverage=facts[0].coverage, warnings=tuple(warnings), details=details,
                 unit=unit if variant == "mean" else f"({unit})²" if " " in unit else f"{unit}²")
