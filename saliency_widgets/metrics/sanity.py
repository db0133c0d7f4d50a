"""The sanity check: whether a map changes when the network forgets what it learned, layer by layer from the top."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine.runner import Stopping
from ..methods import find
from ..methods.parameters import Parameter
from ..saliency_map import SaliencyMap, upsample
from .agreement import spearman
from .measure import Measure, checked
from .randomised import ORDERS, randomisable, randomised
from .watching import Steps, Tell

# A correlation of this size is a map that looks the same, or the same upside down. Measured on the demo network, seeds 0 to 3:
# guided backprop 0.83 to 0.86, gradient 0.12 to 0.29, Grad-CAM 0.26 to 0.52, and 0.89 to 0.92, 0.13 to 0.40, 0.28 to 0.59 over
# the upper three layers alone. The threshold lies midway between what these two groups reach, and rounds down.
CHANGED = 0.7
CELL = 16  # pixels of a HOG cell, as in the paper

PARAMETERS = (
    Parameter("order", "choice", "cascading", "everything from the top down to a layer, or that layer alone", choices=ORDERS),
    Parameter("seed", "int", 0, "which weights are drawn", minimum=0, maximum=2 ** 31))


def sanity_check(session: Any, method: str, *, target: int | str | None = None, layers: Sequence[str] | None = None,
                 order: str = "cascading", seed: int = 0, ticket: Stopping | None = None, on_progress: Tell | None = None,
                 on_draft: Callable[[Measure], None] | None = None, params: Mapping[str, Any] | None = None,
                 **more: Any) -> Measure:
    """How like the map stays when the network forgets its upper layers: size of the rank correlation (Adebayo, 1810.03292).

    The weights are drawn anew on a clone, from the top: `layers` are those to stop at, by default each of `randomisable`. With
    `order="independent"` each is drawn alone. The value, 0 to 1, is the mean size of the correlation
    over the upper half of the layers, where a map that tells of what was learned has changed; once the first filters are random,
    too, every method's map changes. A map turned upside down is the same drawing, so that −0.9 counts as 0.9. For signed maps it
    is of signed values: sizes of gradients stay alike wherever the picture has edges. The method's parameters come as keywords,
    or in `params` where their names are taken.

    `details`: `layers` from the top, one number for each in `signed` and `absolute` (Spearman, over the map's own pixels,
    channels summed), `ssim` (of sizes scaled to 0..1, window 5) and `hog` (Pearson's correlation of histograms of gradients in
    cells of 16 pixels), both at the picture's size; `final`, the absolute correlation at the last layer; `upper`, how many
    layers the value is of; `maps`, the trained network's first; `passes`, whether the value is below 0.7. A map that is the
    same everywhere correlates with nothing: 0, with a warning. It costs a map a layer. ValueError for a map that is zero, or
    a model whose layers are hidden.
    """
    last = None
    for last in sanity_steps(session, method, target=target, layers=layers, order=order, seed=seed, ticket=ticket,
                             on_progress=on_progress, params={**(params or {}), **more}):
        if on_draft is not None:
            on_draft(last)
    return last


def sanity_steps(session: Any, method: str, *, target: int | str | None = None, layers: Sequence[str] | None = None,
                 order: str = "cascading", seed: int = 0, ticket: Stopping | None = None, on_progress: Tell | None = None,
                 params: Mapping[str, Any] | None = None) -> Iterator[Measure]:
    """The same one layer at a time: yields the measure of the layers so far, which is what a slider moves by."""
    settings = checked(PARAMETERS, dict(order=order, seed=seed))
    found, target = find(method), session.target if target is None else session.resolve_target(target)
    found.validate(params or {})
    stops = _stops(session, layers)
    progress = Steps(len(stops) + 1, on_progress, ticket)
    index = None if session.score == "function" else target
    trained = session.run(method, params or {}, target=index, ticket=ticket, on_progress=progress.within(0))
    if not trained.values.any():
        raise ValueError(f"the {method} map is zero everywhere, so that it cannot change"
                         f"{': ' + '; '.join(trained.warnings) if trained.warnings else ''}")
    state = _State(method, trained, stops)
    for number, layer in enumerate(stops):
        progress.next(number + 1)
        other = randomised(session, layer, **settings)
        state.add(other.run(method, params or {}, target=index, ticket=ticket, on_progress=progress.within(number + 1)))
        other.close()
        yield state.measure(settings)
    progress.next(len(stops) + 1)


def _stops(session: Any, layers: Sequence[str] | None) -> tuple[str, ...]:
    known = randomisable(session)
    if layers is None:
        return known
    if isinstance(layers, str) or not len(layers):
        raise ValueError(f"layers={layers!r} does not fit: a list of layers from the top, such as {list(known[:2])}")
    return tuple(layers)


class _State:
    """The maps so far, and how like the first one they are."""

    def __init__(self, method: str, trained: SaliencyMap, stops: tuple[str, ...]):
        self.method, self.maps, self.stops = method, [trained], stops
        self.rows: dict[str, list[float]] = {"signed": [], "absolute": [], "ssim": [], "hog": []}
        self.flat = False

    def add(self, m: SaliencyMap) -> None:
        """Compare the next map with the trained network's."""
        self.maps.append(m)
        for name, value in similarity(self.maps[0], m).items():
            self.rows[name].append(value)
        self.flat = bool(np.ptp(m.heatmap()) == 0)

    def measure(self, settings: Mapping[str, Any]) -> Measure:
        """What the layers so far say."""
        kind = "signed" if self.maps[0].signed else "absolute"
        upper = len(self.stops) if settings["order"] == "independent" else (len(self.stops) + 1) // 2
        value = float(np.mean(np.abs(self.rows[kind][:upper])))  # each layer's size: of both signs they would cancel
        warnings = []
        if value >= CHANGED:
            warnings.append(f"the map hardly changes when the upper layers are random (rank correlation {value:.2f} in size): "
                            f"it shows the picture more than what the network learned")
        if self.flat:
            warnings.append("the last map is the same everywhere: to it the random network's score depends on nothing")
        done = len(self.rows["absolute"])
        return Measure("sanity_check", value, "rank correlation", done, None, tuple(warnings),
                       {"layers": self.stops[:done], **{name: np.array(row) for name, row in self.rows.items()},
                        "final": self.rows["absolute"][-1], "upper": min(upper, done), "of": kind,
                        "maps": list(self.maps), "passes": bool(value < CHANGED), "method": self.method, **settings})


def similarity(first: SaliencyMap, second: SaliencyMap) -> dict[str, float]:
    """How like each other two maps are: `signed` and `absolute` rank correlation, `ssim` and `hog`; 0 where one is flat."""
    first, second = first.unplaced, second.unplaced  # what lies around a crop of a photograph is alike in all maps
    a, b = (m.heatmap().astype(np.float64) for m in (first, second))
    shown = [_scaled(heat if heat.shape == first.size else upsample(heat, first.size)) for heat in (np.abs(a), np.abs(b))]
    ranks = {"signed": spearman(a, b) or 0.0, "absolute": spearman(np.abs(a), np.abs(b)) or 0.0}
    return {**ranks, "ssim": _ssim(*shown), "hog": _hog(*shown)}


def _scaled(heat: np.ndarray) -> np.ndarray:
    low, extent = heat.min(), np.ptp(heat)
    return (heat - low) / extent if extent else np.zeros_like(heat)


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    from skimage.metrics import structural_similarity

    return float(structural_similarity(a, b, win_size=min(5, (min(a.shape) - 1) // 2 * 2 + 1), data_range=1.0))


def _hog(a: np.ndarray, b: np.ndarray) -> float:
    from skimage.feature import hog

    cell = max(1, min(CELL, min(a.shape) // 4))
    one, other = (hog(heat, pixels_per_cell=(cell, cell), cells_per_block=(1, 1)) for heat in (a, b))
    return float(np.corrcoef(one, other)[0, 1]) if np.ptp(one) and np.ptp(other) else 0.0
