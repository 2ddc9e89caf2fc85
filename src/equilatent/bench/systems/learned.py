"""Section 4: a representation on the latent that is learned with the network; and what it is without one."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.architecture import EncoderDecoder
from equilatent.bench.harness.system import System
from equilatent.bench.harness.task import Problem
from equilatent.reps import LearnedRepresentation

__all__ = ["Control", "Learned"]


def _representation(problem: Problem, config: Any, seed: int) -> LearnedRepresentation:
    return LearnedRepresentation(
        problem.group,
        config.features,
        start=config.starting_point,
        noise=config.noise,
        generator=torch.Generator().manual_seed(seed),
    )


class Learned(System):
    """An encoder, a decoder and a learned representation between them."""

    name = "learned"
    title = "representation learned with the network"
    builds = (EncoderDecoder,)

    def __init__(self, problem: Problem, architecture: EncoderDecoder, config: Any, seed: int) -> None:
        encoder, decoder = architecture.make()
        rho = _representation(problem, config, seed)
        self.model = nn.ModuleDict({"encoder": encoder, "decoder": decoder, "rho": rho})
        self.objective = eq.Objective.learned(
            rho,
            input=problem.input,
            output=problem.output,
            task_loss=problem.task_loss,
            output_weight=config.output_weight,
            latent_weight=config.latent_weight,
            algebra_weight=config.algebra_weight,
            algebra=config.algebra_loss,
        ).to(problem.device)

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The four-part loss."""
        self.objective.generator = generator
        loss, terms = self.objective((self.model["encoder"], self.model["decoder"]), x, y)  # type: ignore[index]
        names = ("loss", "task", "decoded_task", "equivariance", "algebra")
        return loss, {name: value for name, value in terms.as_tensors().items() if name in names}


class Control(System):
    """What the algebra loss makes of the matrices by itself, from the same start with as many steps.

    What a trained representation shares with it, neither the data nor the network asked for.
    """

    name = "control"
    title = "the algebra loss alone, without network and data"
    builds = (EncoderDecoder,)

    def __init__(self, problem: Problem, architecture: EncoderDecoder, config: Any, seed: int) -> None:
        self.model = nn.ModuleDict({"rho": _representation(problem, config, seed)})
        self._loss = functools.partial(config.algebra_loss, self.model["rho"])
        self._weight = config.algebra_weight

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The algebra loss."""
        algebra = self._loss()
        return self._weight * algebra, {"loss": self._weight * algebra.detach(), "algebra": algebra.detach()}
