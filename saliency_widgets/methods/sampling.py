"""Means of samples with their standard errors, shared by the methods that draw."""
from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """Running mean and variance of maps of one shape, by Welford's update, in at least float32.

    `add` takes one sample; `error` is the standard error of each value of the mean, `sum_error` that of the mean's sum.
    """

    def __init__(self):
        self.count = 0
        self.mean: Tensor | None = None
        self._square: Tensor | None = None
        self._sums: list[float] = []

    def add(self, sample: Tensor) -> None:
        """Fold one sample in."""
        sample = sample.to(torch.promote_types(sample.dtype, torch.float32))
        if self.mean is None:
            self.mean, self._square = torch.zeros_like(sample), torch.zeros_like(sample)
        self.count += 1
        self._sums.append(float(sample.sum()))
        step = sample - self.mean
        self.mean = self.mean + step / self.count
        self._square.addcmul_(step, sample - self.mean)

    @property
    def variance(self) -> Tensor:
        """Mean squared deviation from the mean (divided by n, not n − 1)."""
        return self._square / self.count

    @property
    def error(self) -> Tensor | None:
        """Standard error of each value, or None before the second sample."""
        return None if self.count < 2 else (self._square / (self.count - 1) / self.count).sqrt()

    @property
    def sum_error(self) -> float | None:
        """Standard error of the mean's sum, in the unit of one value; None before the second sample."""
        if self.count < 2:
            return None
        return float(torch.tensor(self._sums, dtype=torch.float64).std() / self.count ** 0.5)

    @property
    def relative_error(self) -> float | None:
        """Σ|standard error| / Σ|mean|; None before the second sample or for a mean of zeros."""
        size = 0.0 if self.mean is None else float(self.mean.abs().sum())
        return None if self.count < 2 or not size else float(self.error.sum()) / size


def doubling(total: int, first: int = 8) -> list[range]:
    """Stages of sample numbers 0..total − 1 that double what is known: a draft after each."""
    ends = [first]
    while ends[-1] < total:
        ends.append(ends[-1] * 2)
    ends = [0, *(min(end, total) for end in ends)]
    return [range(low, high) for low, high in zip(ends, ends[1:])]
