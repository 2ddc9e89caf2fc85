"""Bootstrap intervals of what an augmentation gains, and the verdicts that follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

__all__ = ["Interval", "Verdict", "bootstrap", "verdict_of"]

#: What is said of a subgroup.
Verdict: TypeAlias = Literal["helps", "harmless", "hurts", "too little data"]


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def bootstrap(
    differences: Tensor,
    fits: Tensor,
    units: Tensor,
    *,
    weights: Tensor | None = None,
    confidence: float = 0.95,
    bounded: bool = False,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """The mean of paired differences with a percentile interval.

    Both the fits and, in each of them, the units are drawn with replacement: two fits differ by more than what their
    samples tell, and samples of one unit by less.

    Args:
        differences: one for each sample of each repeat, [R, N].
        fits: which fit each of them comes from, LongTensor [R, N].
        units: which samples belong together, LongTensor [N].
        weights: the weight of each sample, [N]; equal by default.
        confidence: the part of intervals that hold the mean.
        bounded: whether differences lie in [−1, 1]. The interval then is no narrower than what so many units can tell
            when they agree on everything: with none of n units in favour of a difference, one in 3.7/n may still be.
        draws: how many bootstrap samples.
        seed: of the drawing.
    """
    repeats = differences.shape[0]
    values = differences.double()
    weight = torch.ones_like(values) if weights is None else weights.double().expand_as(values)
    random = np.random.default_rng(seed)
    count = int(units.max()) + 1
    sums, totals = [], []
    for fit in fits.unique().tolist():
        inside = fits == fit
        unit, at = units.expand(repeats, -1)[inside].unique(return_inverse=True)
        total = torch.zeros(len(unit), dtype=torch.float64).index_add_(0, at, weight[inside])
        added = torch.zeros(len(unit), dtype=torch.float64).index_add_(0, at, (weight * values)[inside])
        times = random.multinomial(len(unit), np.full(len(unit), 1 / len(unit)), size=draws)
        sums.append(times @ added.numpy())
        totals.append(times @ total.numpy())
    number = len(sums)
    drawn, row = random.integers(number, size=(draws, number)), random.integers(draws, size=(draws, number))
    means = np.stack(sums)[drawn, row].sum(1) / np.stack(totals)[drawn, row].sum(1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    mean = float((weight * values).sum() / weight.sum())
    floor = -math.log((1 - confidence) / 2) / count if bounded else 0.0
    return Interval(mean, min(float(low), mean - floor), max(float(high), mean + floor))


def verdict_of(gain: Interval, margin: float) -> Verdict:
    """What a gain in score says, where a loss smaller than the margin does not matter.

    "helps": the whole interval is above 0. "harmless": it is not, but the loss is surely smaller than the margin.
    "hurts": the whole interval is below 0, and the loss may be as large as the margin. "too little data": anything else.
    """
    if gain.low > 0:
        return "helps"
    if gain.low >= -margin:
        return "harmless"
    return "hurts" if gain.high < 0 else "too little data"
