"""A rival without an encoder: a thumbnail of the image in place of a latent, on which the group acts exactly."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.architecture import WholeImageClassifier
from equilatent.bench.harness.system import System
from equilatent.bench.harness.task import Problem
from equilatent.groups import Group
from equilatent.reps import Representation

__all__ = ["Thumbnail", "ThumbnailSystem", "thumbnail_representation"]


class Thumbnail(nn.Module):
    """Images [B, C, H, H] averaged to [B, C·side·side] numbers, less their mean; no weights."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """The thumbnails."""
        pixels = F.adaptive_avg_pool2d(x, self.side).flatten(1)
        return pixels - pixels.mean(1, keepdim=True)


def thumbnail_representation(group: Group, channels: int, side: int) -> Representation:
    """How the group acts on thumbnails: it permutes their pixels as `actions.image` does, in each channel alike.

    >>> thumbnail_representation(eq.groups.dihedral(4), 3, 4).dim
    48
    """
    numbers = torch.arange(side * side).view(1, 1, side, side).expand(group.order, -1, -1, -1)
    transformed = eq.actions.image(group)(numbers, group.elements).flatten(1)
    pixels = eq.reps.permutation(group, transformed.argsort(1), label="pixels")
    return eq.reps.multiple(pixels, channels)


class ThumbnailSystem(System):
    """A linear head on thumbnails of at most as many numbers as the latent of the task has."""

    name = "thumbnail"
    title = "no encoder: a thumbnail of the image, rearranged exactly"
    builds = (WholeImageClassifier,)

    def __init__(self, problem: Problem, architecture: WholeImageClassifier, config: Any, seed: int) -> None:
        self.problem = problem
        side = math.isqrt(architecture.features // architecture.channels)
        self.latent = thumbnail_representation(problem.group, architecture.channels, side).to(problem.device)
        # The head begins with the layer whose output is the latent; a norm of each pixel would not commute with ρ.
        head = nn.Sequential(nn.Identity(), nn.Linear(self.latent.dim, architecture.classes))
        self.model = nn.Sequential(OrderedDict(encoder=Thumbnail(side), head=head))

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The task loss."""
        task = self.problem.task_loss(self.model(x), y)
        return task, {"loss": task.detach(), "task": task.detach()}
