"""How far what equivariance predicts is from what is there, sample by sample."""

from __future__ import annotations

import functools
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from equilatent._structure import tensors
from equilatent.errors import LatentError

__all__ = ["Distance", "errors"]

Distance: TypeAlias = Literal["mse", "relative", "centred", "kl"]


def errors(expected: Any, target: Any, distance: Distance, axis: int, name: str) -> dict[str, Tensor]:
    """The chosen distance, and the relative and the centred error, each [B]; of several parts their sum.

    Args:
        expected: ρ(g) f(x), a tensor [B, …] or a structure of them.
        target: f(ρ(g) x), alike.
        distance: what to compute under the name ``"distance"``.
        axis: the axis of scores, for ``"kl"``.
        name: what is compared, for messages.

    Raises:
        LatentError: if the two sides do not have the same parts of the same shapes, or hold nothing to compare.
    """
    sides = [dict(tensors(side)) for side in (expected, target)]
    shapes = [{path: list(part.shape) for path, part in side.items()} for side in sides]
    if shapes[0] != shapes[1] or not shapes[0]:
        raise LatentError(
            f"the two sides of the equivariance of {name!r} cannot be compared: tensors {shapes[0]} and {shapes[1]}. "
            "Name the part that is meant with part=, or act on all parts with eq.actions.structured."
        )
    parts = [_errors_of_tensor(part, sides[1][path], distance, axis) for path, part in sides[0].items()]
    return functools.reduce(lambda total, part: {key: total[key] + part[key] for key in total}, parts)


def _errors_of_tensor(expected: Tensor, target: Tensor, distance: Distance, axis: int) -> dict[str, Tensor]:
    """For tensors, computed at least in float32."""
    dtype = torch.promote_types(target.dtype, torch.float32)
    expected, target = expected.to(dtype), target.to(dtype)
    rows = (len(target), -1)
    squares = (expected - target).abs().square().reshape(rows).mean(1)
    power = target.abs().square().mean()
    variance = (target - target.mean(0)).abs().square().mean() if len(target) > 1 else power * torch.nan
    tiny = torch.finfo(power.dtype).tiny
    found = {"relative": squares / power.clamp_min(tiny), "centred": squares / variance.clamp_min(tiny)}
    if distance == "mse":
        found["distance"] = squares
    elif distance == "kl":
        found["distance"] = _divergence(expected, target, axis)
    else:
        found["distance"] = found[distance]
    return found


def _divergence(expected: Tensor, target: Tensor, axis: int) -> Tensor:
    """KL(softmax(expected) ‖ softmax(target)) of the scores along an axis, [B]; the mean over all other axes."""
    if target.is_complex() or not -target.ndim < axis < target.ndim or not axis:
        raise LatentError(
            f"distance='kl' compares real scores along axis {axis}; got {target.dtype} of shape {list(target.shape)}."
        )
    p, q = F.log_softmax(expected, axis), F.log_softmax(target, axis)
    return (p.exp() * (p - q)).sum(axis).reshape(len(target), -1).mean(1)
