"""Pictures in which some regions are shown and the others filled, and the linear fits to their scores."""
from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import regions as R
from ..engine.probe import Probe
from .protocol import Context, Reply, Round
from .region_parameters import left

MOST = 2000  # regions: a fit solves a system of that size


class Coalitions:
    """The coalitions of the regions of one label map: bool `(R,)`, True where a region is shown.

    `regions` is a label map or a way to cut `count` superpixels; `labels` int32 `(H, W)`, and then `count` says how many there
    are. ValueError for more than 2000.
    """

    def __init__(self, context: Context, regions: Any, count: int, fill: Any, seed: int):
        self.context, self.labels = context, R.resolve(regions, context.shown, count)
        self.count = int(self.labels.max()) + 1
        if self.count > MOST:
            raise ValueError(f"regions= has {self.count:,} regions, a linear fit takes {MOST:,} at most: use larger ones, "
                             f"or leave_one_out")
        self._name, self._fill = context.inputs.add_labels(self.labels), context.fill(fill, seed)

    def probe(self, shown: np.ndarray) -> Probe:
        """The evaluation of one coalition."""
        off = np.flatnonzero(~shown).tolist()
        return self.context.forward(left(self.context, self._name, off, self.count, self._fill))

    def scores(self, shown: np.ndarray) -> Generator[Round, Reply, np.ndarray]:
        """The score of each row of bool `(N, R)`, equal rows evaluated once; ValueError where one is infinite."""
        probes = [self.probe(row) for row in shown]
        found = {probe: self.context.score_of(evaluation)
                 for probe, evaluation in (yield Round(list(dict.fromkeys(probes))))}
        scores = np.array([found[probe] for probe in probes], np.float64)
        if not np.isfinite(scores).all():
            raise ValueError("the score became infinite or NaN for a masked picture: try another fill")
        return scores

    def paint(self, values: np.ndarray) -> Tensor:
        """A number a region `(R,)` as a map `(1, H, W)`."""
        return torch.from_numpy(values[self.labels])[None]

    def errors(self, fit: Fit) -> tuple[float | None, dict[str, np.ndarray]]:
        """The map's relative standard error, and the errors of pixels `(1, H, W)` and regions for the details."""
        if fit.errors is None:
            return None, {}
        painted, size = self.paint(fit.errors), float(self.paint(fit.values).abs().sum())
        details = {"standard_error": painted.numpy(), "region_errors": fit.errors}
        return (float(painted.sum()) / size if size else None), details


def draws(context: Context, seed: int, rows: int, columns: int) -> np.ndarray:
    """Uniforms `(rows, columns)`; more rows begin with the same ones. Draw 0 of a seed is the noise fill's."""
    return context.kernels.uniform(seed, 1, rows * columns).view(rows, columns).numpy()


def different(shown: np.ndarray) -> int:
    """How many different rows bool `(N, R)` has: equal ones are one evaluation."""
    return len(np.unique(np.packbits(shown, axis=1), axis=0))


@dataclass(frozen=True)
class Fit:
    """A number a region `(R,)`, its standard errors where they can be told, the weighted R², and the intercept."""

    values: np.ndarray
    errors: np.ndarray | None
    r2: float | None
    intercept: float
    determined: bool = True


def ridge(shown: np.ndarray, scores: np.ndarray, weights: np.ndarray, alpha: float) -> Fit:
    """argmin Σ w (y − b − z·β)² + α|β|², the intercept free of charge: `shown` z `(N, R)`, `scores` y, `weights` w `(N,)`.

    Errors are the sandwich of the weighted residuals: how far other draws would move the numbers.
    """
    z, share = shown.astype(np.float64), weights / weights.sum()
    centre, mean = share @ z, float(share @ scores)
    z -= centre
    inverse = np.linalg.inv((z.T * weights) @ z + alpha * np.eye(z.shape[1]))
    values = inverse @ (z.T @ (weights * (scores - mean)))
    missed = scores - mean - z @ values
    free = len(scores) - z.shape[1] - 1
    errors = _sandwich(inverse, z * (weights * missed)[:, None], len(scores) / free) if free > 0 else None
    return Fit(values, errors, _explained(missed, scores, weights), mean - float(centre @ values))


def shapley(shown: np.ndarray, scores: np.ndarray, weights: np.ndarray, empty: float, full: float,
            pairs: np.ndarray | None = None) -> Fit:
    """argmin Σ w (y − empty − z·φ)² over φ with Σφ = full − empty, of smallest norm where the samples leave it open.

    With z centred in each row the constraint is solved away: φ = (full − empty)/R + u, and any least squares u sums to
    zero. `pairs` `(N,)` numbers the independent draws, from which the errors are told.
    """
    z, share = shown.astype(np.float64), (full - empty) / shown.shape[1]
    rise = z.sum(1) * share
    z -= z.mean(1, keepdims=True)
    matrix = (z.T * weights) @ z
    inverse = np.linalg.pinv(matrix, rcond=1e-10, hermitian=True)
    rank = np.linalg.matrix_rank(matrix, tol=1e-10 * max(np.abs(matrix).max(), 1e-300), hermitian=True)
    moved = inverse @ (z.T @ (weights * (scores - empty - rise)))
    values = share + moved - moved.mean()
    missed = scores - empty - rise - z @ moved
    errors, count = None, 0 if pairs is None else int(pairs.max()) + 1
    if count > len(values):
        pulls = np.zeros((count, len(values)))
        np.add.at(pulls, pairs, z * (weights * missed)[:, None])
        errors = _sandwich(inverse, pulls, count / (count - len(values)))
    return Fit(values, errors, _explained(missed, scores, weights), empty, rank >= len(values) - 1)


def _sandwich(inverse: np.ndarray, pulls: np.ndarray, inflation: float) -> np.ndarray:
    return np.sqrt(inflation * ((pulls @ inverse) ** 2).sum(0))


def _explained(missed: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float | None:
    """Weighted R² of residuals, or None where the scores do not differ."""
    if not len(scores):
        return None
    spread = float(weights @ (scores - np.average(scores, weights=weights)) ** 2)
    tiny = torch.finfo(torch.float64).eps * float(weights @ scores ** 2)
    return 1 - float(weights @ missed ** 2) / spread if spread > tiny else None
