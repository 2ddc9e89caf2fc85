"""Covariance and correlation of features, over samples and processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed

from equilatent.errors import LatentError

__all__ = ["effective_rank", "feature_rows", "mean_square_correlation"]

#: Features of a smaller part of the mean variance than this count as constant: what they hold is rounding.
_CONSTANT = 1e-6


class _Sum(torch.autograd.Function):
    """The sum over all processes, whose gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sum(gradient.contiguous())


def feature_rows(x: Tensor, axis: int) -> Tensor:
    """The features as [samples · positions, features], at least in float32."""
    if not -x.ndim < axis < x.ndim or not axis:
        raise LatentError(f"axis {axis} is no feature axis of a latent of shape {list(x.shape)}.")
    rows = x.movedim(axis, -1).reshape(-1, x.shape[axis])
    return rows.to(torch.promote_types(x.dtype, torch.float32))


def mean_square_correlation(rows: Tensor) -> Tensor:
    """The mean over pairs of features i ≠ j of their squared correlation, in [0, 1]; rows [N, d].

    A gradient of the loss over all processes, where there are several. 0 for a single feature or a single row.
    """
    centred, count = _centred(rows)
    variance = _sum(centred.abs().square().sum(0)) / count
    floor = (_CONSTANT * variance.detach().mean()).clamp_min(torch.finfo(variance.dtype).tiny)
    scaled = centred / variance.clamp_min(floor).sqrt()
    features = rows.shape[1]
    diagonal = (variance / variance.clamp_min(floor)).square().sum()
    squares = _gram_square(scaled / count.sqrt())
    return (squares - diagonal).clamp_min(0) / max(1, features * (features - 1))


def effective_rank(rows: Tensor) -> Tensor:
    """(tr C)² / ‖C‖² of the covariance C of the features: between 1 and d; rows [N, d]. 0 where nothing varies."""
    centred, _ = _centred(rows)
    trace = _sum(centred.abs().square().sum())
    return trace.square() / _gram_square(centred).clamp_min(torch.finfo(trace.dtype).tiny)


def _centred(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The rows less their mean over all processes, and how many there are."""
    count = _sum(torch.ones_like(rows[:, 0].abs()).sum())
    return rows - _sum(rows.sum(0)) / count, count


def _gram_square(rows: Tensor) -> Tensor:
    """‖rowsᴴ rows‖², summed over all processes before it is squared."""
    if not _several() and len(rows) < rows.shape[1]:
        rows = rows.mH  # the same number from the smaller of the two products
    return _sum(rows.mH @ rows).abs().square().sum()


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def _sum(x: Tensor) -> Tensor:
    return _Sum.apply(x) if _several() else x  # type: ignore[no-untyped-call]
