"""Infidelity: how wrongly a map foretells what changing the picture does to the score."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import regions as R
from ..engine.inputs import FILLS
from ..engine.probe import Fill, Input, Noisy, Without
from ..engine.runner import Stopping
from ..methods.parameters import Parameter
from ..methods.protocol import Context, Round
from ..methods.sampling import doubling
from ..saliency_map import SaliencyMap
from .measure import Measure, checked
from .watching import Tell, driven

# Draw numbers from here on are the metric's: with SmoothGrad's own a map would be judged on the pictures it is made of.
DRAWS = 1 << 40

PARAMETERS = (
    Parameter("n", "int", 50, "perturbed pictures; more of them reuse the first ones", minimum=1, maximum=100_000),
    Parameter("perturbation", "choice", "auto", "Gaussian noise, or regions replaced; auto is what the map's unit asks for",
              choices=("auto", "noise", "regions")),
    Parameter("level", "float", 0.1, "noise σ as a share of the input's range", minimum=1e-6, maximum=2.0, step=0.01),
    Parameter("regions", "regions", "slic", "superpixels, or a label map of your own, that are replaced",
              choices=R.SEGMENTATIONS),
    Parameter("share", "float", 0.5, "chance of each region to be replaced", minimum=0.0, maximum=1.0, step=0.05),
    Parameter("fill", "fill", None, "what a replaced region shows; None is the map's own baseline", choices=FILLS),
    Parameter("normalize", "bool", False, "scale the map by the one factor that fits best"),
    Parameter("seed", "int", 0, "which draws", minimum=0))


def infidelity(session: Any, values: SaliencyMap | np.ndarray | Tensor, *, target: int | str | None = None, n: int = 50,
               perturbation: str = "auto", level: float = 0.1, regions: Any = "slic", share: float = 0.5, fill: Any = None,
               multiplied: bool | None = None, normalize: bool = False, seed: int = 0, ticket: Stopping | None = None,
               on_progress: Tell | None = None, on_draft: Callable[[Measure], None] | None = None) -> Measure:
    """Mean over n perturbations I of (Iᵀφ − (score(x) − score(x − I)))², in squared score units (Yeh et al., 1901.09392).

    `values` φ `(C, H, W)` are a map of the session's picture, or an array. Slopes (a gradient, "logit per input unit") meet
    I in input units; parts of the score (IG, DeepLIFT: "logit") count whole where a region is replaced, and need
    `perturbation="regions"` with their own baseline as `fill` (so None; black where the map has none or several).
    `multiplied` says which they are: None reads it from the map's unit, and takes an array for slopes. Noise is Gaussian
    with σ = level·(max x − min x). With `normalize` φ is scaled by β = Σ Iᵀφ·drop / Σ (Iᵀφ)².

    `target` is the map's, else the session's. `details`: `products` Iᵀφ and `drops` of the score `(n,)`, `beta`, σ as
    `sigma`, and `unexplained`, the value as a share of that of an empty map. ValueError for a map without a value for each
    number of the input.
    """
    settings = checked(PARAMETERS, dict(n=n, perturbation=perturbation, level=level, regions=regions, share=share, fill=fill,
                                        normalize=normalize, seed=seed))
    if multiplied not in (None, True, False):
        raise TypeError(f"multiplied={multiplied!r} does not fit: True for parts of the score, False for slopes, or None")
    if isinstance(values, SaliencyMap):
        if values.score != session.score:
            raise ValueError(f"the map explains the score {values.score!r}, the session {session.score!r}: "
                             f"make both with the same score=")
        target = values.target if target is None else target
    return driven(session, lambda context: rounds(context, values, multiplied=multiplied, **settings), settings["n"] + 1,
                  target=target, ticket=ticket, on_progress=on_progress, on_draft=on_draft)


def rounds(context: Context, values: SaliencyMap | np.ndarray | Tensor, *, n: int, perturbation: str, level: float,
           regions: Any, share: float, fill: Any, multiplied: bool | None, normalize: bool, seed: int
           ) -> Iterator[Round | Measure]:
    """The same as a generator of rounds, with a `Measure` whenever the number of draws has doubled."""
    phi = _values(context, values)
    parts, slope = _meaning(context, values, multiplied)
    if perturbation == "auto":
        perturbation = "regions" if parts else "noise"
    if parts and perturbation == "noise":
        raise ValueError("the map's values are parts of the score, and noise does not say how much of a part it takes away: "
                         "use perturbation=\"regions\", a map of slopes (gradient, integrated_gradients with multiply=False), "
                         "or multiplied=False to read the values as slopes")
    draws = (_Noise(context, level, seed) if perturbation == "noise" else
             _Regions(context, regions, _fill(context, values, fill, seed), share, seed, n, whole=parts))
    (_, whole), = yield Round([context.forward(context.image)])
    before, products, drops, moved = context.score_of(whole), [], [], False
    for stage in doubling(n):
        names = [draws.name(i) for i in stage]
        reply = yield Round([context.forward(name) for name in names])
        for i, (probe, evaluation) in zip(stage, reply):
            change = draws.change(i, probe.input)
            moved = moved or bool(change.any())
            products.append(float((change.cpu().double() / slope * phi).sum()))
            drops.append(before - context.score_of(evaluation))
        if not np.isfinite(drops).all():
            raise ValueError("the score became infinite or NaN for a perturbed picture: take less noise or another fill")
        if len(drops) == n and not moved:
            raise ValueError("no draw changes the picture: raise level= or share=, or take another fill=")
        yield _measured(np.array(products), np.array(drops), normalize, context.score.unit,
                        {"perturbation": perturbation, **draws.facts})


def _values(context: Context, given: SaliencyMap | np.ndarray | Tensor) -> Tensor:
    name = given.method if isinstance(given, SaliencyMap) else "given"
    if not isinstance(given, (SaliencyMap, np.ndarray, Tensor)):
        raise TypeError(f"infidelity judges a SaliencyMap or an array {context.shape}, got {type(given).__name__}")
    values = torch.as_tensor(given.values if isinstance(given, SaliencyMap) else given).detach().cpu().double()
    if tuple(values.shape) != context.shape:
        raise ValueError(f"infidelity asks for a value for each number of the input {context.shape}, the {name} map has "
                         f"{tuple(values.shape)}: use a map such as gradient, integrated_gradients or deeplift")
    if not bool(torch.isfinite(values).all()):
        raise ValueError(f"the {name} map holds NaN or infinity: its infidelity would be too")
    return values


def _meaning(context: Context, given: SaliencyMap | np.ndarray | Tensor, multiplied: bool | None) -> tuple[bool, Tensor | float]:
    """Whether the values are parts of the score, and input units per unit in which the slopes count."""
    unit = given.unit if isinstance(given, SaliencyMap) else None
    score, space = context.score.unit, context.inputs.picture.space
    if unit == f"{score} per pixel value" and not multiplied:
        one = torch.ones(context.shape, dtype=context.inputs.image.dtype, device=context.inputs.image.device)
        return False, (space.to_input(one) - space.to_input(0 * one)).cpu().double()
    if multiplied is not None:
        return multiplied, 1.0
    if unit not in (None, score, f"{score} per input unit"):
        raise ValueError(f"the {given.method} map is in {unit!r}: infidelity reads slopes ({score} per input unit) or parts of "
                         f"the score ({score}); say multiplied=False or True to read it as such")
    return unit == score, 1.0


def _fill(context: Context, given: SaliencyMap | np.ndarray | Tensor, fill: Any, seed: int) -> Fill:
    params = given.params if isinstance(given, SaliencyMap) else {}
    if fill is None:
        fill, seed = params.get("baseline", "black"), params.get("seed", seed)
    if isinstance(fill, (list, tuple)):
        fill = fill[0] if len(fill) == 1 else "black"
    return context.fill(torch.zeros(1, 1, 1) if isinstance(fill, str) and fill == "zero" else fill, seed)


class _Noise:
    """Draws x − I = x + σε: `name(i)` is the perturbed picture, `change(i, name)` its I."""

    def __init__(self, context: Context, level: float, seed: int):
        self.context, self.picture, self.seed = context, context.picture_tensor, seed
        self.sigma = level * float(self.picture.max() - self.picture.min())
        self.facts = {"sigma": self.sigma}

    def name(self, number: int) -> Input:
        return Noisy(self.context.image, self.seed, DRAWS + number, self.sigma)

    def change(self, number: int, name: Input) -> Tensor:
        return self.picture - self.context.inputs.tensor(name)


class _Regions:
    """Draws in which each region is replaced with chance `share`; `whole` counts a replaced value as 1."""

    def __init__(self, context: Context, regions: Any, fill: Fill, share: float, seed: int, n: int, whole: bool):
        self.context, self.picture, self.fill, self.whole = context, context.picture_tensor, fill, whole
        labels = R.resolve(regions, context.inputs.picture.seen)
        self.labels, self.registered = torch.from_numpy(labels.astype(np.int64)), context.inputs.add_labels(labels)
        count = int(labels.max()) + 1
        self.gone = context.kernels.uniform(seed, DRAWS, n * count).view(n, count) < share
        self.facts = {"fill": str(fill), "regions": labels, "gone": self.gone.numpy()}

    def name(self, number: int) -> Input:
        gone = tuple(self.gone[number].nonzero()[:, 0].tolist())
        return Without(self.registered, gone, self.fill, self.context.image) if gone else self.context.image

    def change(self, number: int, name: Input) -> Tensor:
        if self.whole:
            return self.gone[number][self.labels].double()
        return self.picture - self.context.inputs.tensor(name)


def _measured(products: np.ndarray, drops: np.ndarray, normalize: bool, unit: str, facts: dict[str, Any]) -> Measure:
    power = float((products ** 2).sum())
    beta = (float((products * drops).sum()) / power if power else 0.0) if normalize else 1.0
    # β is where the mean is least, so that its own error adds nothing to the first order.
    errors, nothing = (beta * products - drops) ** 2, float((drops ** 2).mean())
    value, warnings = float(errors.mean()), []
    if not power:
        warnings.append("the map foretells no change at all: the value is the score's mean squared change")
    if not nothing:
        warnings.append("the score changes for no perturbation: there is nothing to foretell")
    details = {"products": products, "drops": drops, "beta": beta, "unexplained": value / nothing if nothing else None, **facts}
    error = float(errors.std(ddof=1)) / len(errors) ** 0.5 if len(errors) > 1 else None
    return Measure("infidelity", value, f"{unit}²", len(errors), error, tuple(warnings), details)
