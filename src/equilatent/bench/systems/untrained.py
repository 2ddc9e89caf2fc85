"""Predictions that nothing is trained for: what a predictor of vector fields has to beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from equilatent.bench.architecture import FieldPredictor
from equilatent.bench.systems.augmented import Plain

__all__ = ["LastFrame", "NoFlow", "Persistence", "Zero"]


class NoFlow(nn.Module):
    """The field that is 0 everywhere, [B, 2, H, W], whatever the frames [B, 2·frames, H, W] are."""

    def forward(self, x: Tensor) -> Tensor:
        """Zeros."""
        return x.new_zeros(len(x), 2, *x.shape[2:])


class LastFrame(nn.Module):
    """The last of the frames [B, 2·frames, H, W], once more.

    >>> import torch
    >>> LastFrame()(torch.arange(4.0).view(1, 4, 1, 1)).flatten()
    tensor([2., 3.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """The last two channels."""
        return x[:, -2:]


def _no_flow(architecture: FieldPredictor) -> nn.Module:
    return NoFlow()


def _last_frame(architecture: FieldPredictor) -> nn.Module:
    return LastFrame()


class Zero(Plain):
    """Predicts 0: its error is the size of the targets. There is nothing to train; exactly equivariant."""

    name = "zero"
    title = "predicts 0, without training"
    builds = (FieldPredictor,)
    network: ClassVar[Callable[[Any], nn.Module]] = _no_flow


class Persistence(Plain):
    """Predicts that nothing changes: the last frame once more. There is nothing to train; exactly equivariant."""

    name = "persistence"
    title = "predicts the last frame, without training"
    builds = (FieldPredictor,)
    network: ClassVar[Callable[[Any], nn.Module]] = _last_frame
