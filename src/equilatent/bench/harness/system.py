"""What a system is: a network, and the loss that trains it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from equilatent.actions import SupportsAction
from equilatent.bench.harness.task import Problem

__all__ = ["System"]


class System(ABC):
    """Something that is trained on a problem. It never scores itself: the task evaluates its model.

    A system is made for one run, with the problem, the architecture of the task and the configuration. It is offered for
    every task whose architecture is one of those that it builds.

    Attributes:
        name: on the command line.
        title: what it is, in words.
        builds: the kinds of architecture that it makes a network of.
        model: everything that is trained and saved.
        latent: how the group acts on the latent, the output of ``LAYERS["norm"]`` of a classifier and of
            ``LAYERS["encoder"]`` of a predictor, where that is not what the configuration says, since the network is built
            so.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    builds: ClassVar[tuple[type, ...]]

    model: nn.Module
    latent: SupportsAction | None = None

    @abstractmethod
    def __init__(self, problem: Problem, architecture: Any, config: Any, seed: int) -> None:
        """Make the network with its first weights."""

    @abstractmethod
    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of a batch, and its terms for the log. A generator of None is PyTorch's own."""

    def after_step(self) -> None:
        """What is done to the model after every step."""
        return

    def report(self) -> dict[str, Any]:
        """What the system says of itself at the end, such as the degrees of equivariance that it has learned."""
        return {}
