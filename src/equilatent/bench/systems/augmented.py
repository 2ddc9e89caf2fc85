"""The baseline: an ordinary network on augmented samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from equilatent.bench.architecture import Classifier, WholeImageClassifier
from equilatent.bench.harness.system import System
from equilatent.bench.harness.task import Problem
from equilatent.bench.systems.ordinary import ordinary_classifier

__all__ = ["Augmented"]


class Augmented(System):
    """An ordinary network that sees every sample transformed by an element that is drawn anew each time."""

    name = "cnn"
    title = "the CNN alone, on augmented images"
    builds = (Classifier, WholeImageClassifier)

    def __init__(self, problem: Problem, architecture: Classifier, config: Any, seed: int) -> None:
        self.problem = problem
        self.model = ordinary_classifier(architecture)

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The task loss."""
        task = self.problem.task_loss(self.model(x), y)
        return task, {"loss": task.detach(), "task": task.detach()}
