"""Ours: the baseline's network, two views of every sample, and the equivariance of the latent in the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

import equilatent as eq
from equilatent.bench.architecture import LAYERS, Classifier
from equilatent.bench.harness.system import System
from equilatent.bench.harness.task import Problem
from equilatent.bench.latents import latent_action
from equilatent.bench.systems.ordinary import ordinary_classifier
from equilatent.objective import Decorrelation, Equivariance, Task, TransformedTask

__all__ = ["LatentTerm"]


class LatentTerm(System):
    """The objective of section 5, and the terms beside it that the configuration asks for."""

    name = "ours"
    title = "the CNN with a representation on its latent"
    builds = (Classifier,)

    def __init__(self, problem: Problem, architecture: Classifier, config: Any, seed: int) -> None:
        self.model = ordinary_classifier(architecture)
        layer = LAYERS[config.layer]
        action = latent_action(problem.group, config.latent, architecture.features)
        terms: list[eq.objective.Term] = [
            Task(1 - config.shifted_weight),
            TransformedTask(config.shifted_weight),
            Equivariance(layer, config.strength or 0.0, action=action, distance=config.distance),
        ]
        if config.decorrelation:
            terms.append(Decorrelation(layer, config.decorrelation))
        if config.consistency:
            terms.append(Equivariance("", config.consistency, distance="kl"))
        self.objective = eq.Objective(
            problem.group,
            input=problem.input,
            output=problem.output,
            task_loss=problem.task_loss,
            terms=terms,
            pair_fraction=config.pair_fraction,
        ).to(problem.device)

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The objective."""
        self.objective.generator = generator
        loss, terms = self.objective(self.model, x, y)
        return loss, terms.as_tensors()
