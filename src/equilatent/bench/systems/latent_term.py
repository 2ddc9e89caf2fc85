"""Ours: the baseline's network, two views of every sample, and the equivariance of the latent in the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

import equilatent as eq
from equilatent.actions import SupportsAction
from equilatent.bench.architecture import LAYERS, Classifier, FieldPredictor, VolumeClassifier, WholeImageClassifier
from equilatent.bench.harness.system import System
from equilatent.bench.harness.task import Problem
from equilatent.bench.systems.ordinary import ordinary_network
from equilatent.objective import Decorrelation, Equivariance, Task, TransformedTask

__all__ = ["LatentTerm", "two_views"]


class LatentTerm(System):
    """The objective of section 5, and the terms beside it that the configuration asks for."""

    name = "ours"
    title = "the CNN with a representation on its latent"
    builds: ClassVar[tuple[type, ...]] = (Classifier, WholeImageClassifier, FieldPredictor, VolumeClassifier)

    def __init__(self, problem: Problem, architecture: Any, config: Any, seed: int) -> None:
        self.problem = problem
        self.model = ordinary_network(architecture)
        self.objective = two_views(problem, config, problem.latent, config.strength or 0.0)

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The objective, and the loss of what the task predicts from the first output on."""
        self.objective.generator = generator
        loss, terms = self.objective(self.model, x, y)
        found = terms.as_tensors()
        further = self.problem.further_loss(self.model, x, terms.output, y)
        if further is not None:
            loss = loss + further
            found |= {"further": further.detach(), "loss": loss.detach()}
        return loss, found


def two_views(problem: Problem, config: Any, latent: SupportsAction | None, strength: float) -> eq.Objective:
    """The task loss on both views of every sample, the latent term, and what the configuration asks for besides.

    Args:
        problem: the problem.
        config: its configuration, with the fields of `LatentTermConfig`.
        latent: how the group acts on the latent.
        strength: λ.
    """
    layer = LAYERS[config.layer]
    terms: list[eq.objective.Term] = [
        Task(1 - config.shifted_weight),
        TransformedTask(config.shifted_weight),
        Equivariance(layer, strength, action=latent, distance=config.distance),
    ]
    if config.decorrelation:
        terms.append(Decorrelation(layer, config.decorrelation))
    if config.consistency:
        terms.append(Equivariance("", config.consistency, distance="kl"))
    return eq.Objective(
        problem.group,
        input=problem.input,
        output=problem.output,
        task_loss=problem.task_loss,
        terms=terms,
        pair_fraction=config.pair_fraction,
    ).to(problem.device)
