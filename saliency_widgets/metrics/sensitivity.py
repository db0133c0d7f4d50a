"""Max-sensitivity: how far a map moves when its picture is shaken by what nobody sees."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ..engine.probe import Shaken
from ..engine.runner import Stopping
from ..methods import Method, find
from ..methods.nesting import together
from ..methods.parameters import Parameter
from ..methods.protocol import Context, Draft, Round
from ..methods.smoothgrad import GROUP, KEPT
from .measure import Measure, checked
from .watching import Tell, driven

# Draw numbers from here on are the metric's: a method that draws itself shares no word with them.
DRAWS = 1 << 40

PARAMETERS = (
    Parameter("n", "int", 10, "shaken pictures; more of them reuse the first ones", minimum=1, maximum=100_000),
    Parameter("radius", "float", 0.02, "how far each number of the input may move", minimum=1e-6, maximum=1e6,
              unit="input units"),
    Parameter("seed", "int", 0, "which draws", minimum=0))


def sensitivity_max(session: Any, method: str, *, n: int = 10, radius: float = 0.02, seed: int = 0,
                    target: int | str | None = None, params: Mapping[str, Any] | None = None, ticket: Stopping | None = None,
                    on_progress: Tell | None = None, on_draft: Callable[[Any], None] | None = None, **more: Any) -> Measure:
    """Largest ‖φ(x′) − φ(x)‖₂ / ‖φ(x)‖₂ over n draws x′ within ±radius of x (Yeh et al., 1901.09392).

    φ is the map of a registered method, whose own parameters come as keywords, or in `params` where their names are taken
    (SmoothGrad's n). Draws are uniform in the ball, so the value is a lower bound, and grows with n. `details`: `changes`
    `(n,)`, the most changed map as `worst`, the `norm` of the map, the radius in pixel values 0..1 (`radius_pixels`, the mean
    over channels). It costs n + 1 maps. ValueError where the map is zero everywhere, LookupError for an unknown method.
    """
    settings = checked(PARAMETERS, dict(n=n, radius=radius, seed=seed))
    found = find(method)
    values = found.validate({**(params or {}), **more})
    planned = [0]  # known once the method can be asked

    def start(context: Context) -> Iterator[Round | Draft | Measure]:
        planned[0] = (settings["n"] + 1) * found.evaluations(context, values)
        return rounds(context, found, values, **settings)

    return driven(session, start, lambda: planned[0], target=target, uses=found, ticket=ticket, on_progress=on_progress,
                  on_draft=on_draft)


def rounds(context: Context, method: Method, params: Mapping[str, Any], *, n: int, radius: float, seed: int
           ) -> Iterator[Round | Draft | Measure]:
    """The same as a generator of rounds, with a `Measure` after each group of draws."""
    keep = method.evaluations(context, params) <= KEPT
    whole, = yield from together([method.run(context, **params)])
    phi = torch.as_tensor(whole.values).detach().cpu().double()
    norm = float(phi.norm())
    if not norm:
        raise ValueError(f"the {method.name} map is zero everywhere, so a relative change of it has no meaning"
                         f"{': ' + '; '.join(whole.warnings) if whole.warnings else ''}")
    std, changes, worst = context.inputs.picture.space.std, [], None
    for first in range(0, n, GROUP):
        shaken = [context.on_picture(Shaken(context.image, seed, DRAWS + i, radius)) for i in range(first, min(first + GROUP, n))]
        for draft in (yield from together([method.run(one, **params) for one in shaken], keep)):
            other = torch.as_tensor(draft.values).detach().cpu().double()
            changes.append(float((other - phi).norm()) / norm)
            if changes[-1] == max(changes):
                worst = other.numpy()
        details = {"changes": np.array(changes), "worst": worst, "norm": norm, "radius": radius,
                   "radius_pixels": radius * (1.0 if std is None else float(np.mean(std))),
                   "method": method.name, "params": dict(params)}
        yield Measure("sensitivity_max", max(changes), "share of the map's norm", len(changes), None, whole.warnings, details)
