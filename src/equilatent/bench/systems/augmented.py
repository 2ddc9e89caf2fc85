"""Ordinary networks: a CNN on samples as they are, or on transformed ones, and a perceptron."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from equilatent.bench.architecture import Classifier, FieldPredictor, VolumeClassifier, WholeImageClassifier
from equilatent.bench.harness.system import System
from equilatent.bench.harness.task import Problem
from equilatent.bench.systems.ordinary import ordinary_network, perceptron

__all__ = ["Augmented", "Perceptron", "Plain"]


class Plain(System):
    """An ordinary network on the training samples as they are."""

    name = "plain"
    title = "the CNN on samples as they are"
    builds: ClassVar[tuple[type, ...]] = (FieldPredictor, VolumeClassifier)
    network: ClassVar[Callable[[Any], nn.Module]] = ordinary_network

    def __init__(self, problem: Problem, architecture: Any, config: Any, seed: int) -> None:
        self.problem = problem
        self.model = type(self).network(architecture)

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of the task."""
        task = self.problem.loss(self.model, x, y)
        return task, {"loss": task.detach(), "task": task.detach()}


class Augmented(Plain):
    """The same network, which sees every sample transformed by an element that is drawn anew each time."""

    name = "cnn"
    title = "the CNN alone, on augmented samples"
    builds = (Classifier, WholeImageClassifier, FieldPredictor, VolumeClassifier)

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of the task on transformed samples."""
        problem = self.problem
        if not problem.transformed:
            g = problem.group.sample(len(x), generator=generator, device=x.device)
            x, y = problem.input(x, g), problem.output(y, g)
        return super().loss(x, y, generator)


class Perceptron(Plain):
    """Linear layers on all numbers of the frames, which know nothing of the grid, on samples as they are."""

    name = "mlp"
    title = "linear layers on the flattened frames"
    builds = (FieldPredictor,)
    network = perceptron
