"""Section 4: learn the representation on the latent together with the network. Tables 1 to 3."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import SupportsAction
from equilatent.bench.config import RunConfig
from equilatent.bench.group_names import group_of
from equilatent.bench.recipe import Recipe
from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.objective import Algebra, Objective, Terms, algebra_loss
from equilatent.reps import LearnedRepresentation, Representation, Start

__all__ = ["METHODS", "LearnedConfig", "LearnedRecipe", "describe_learned"]

#: The control tells what the algebra loss makes of the matrices by itself, from the same start with as many steps: what a
#: trained representation shares with it, neither the data nor the network asked for.
METHODS = {
    "learned": "representation learned with the network",
    "control": "the algebra loss alone, without network and data",
}
#: Samples that are evaluated at once.
_BLOCK = 1024


@dataclass(frozen=True)
class LearnedConfig(RunConfig):
    """The weights of the four-part loss, and how the matrices start."""

    method: str = "learned"
    """What is trained; `equilatent list` shows the methods of each experiment."""
    features: int = 64
    """Dimension of the latent."""
    algebra_weight: float = 1.0
    """λ_A, the weight of the algebra loss."""
    output_weight: float = 0.25
    """λ_Y, the weight of the task loss on the moved and decoded latent."""
    latent_weight: float = 0.25
    """λ_Z, the weight of the equivariance of the latent."""
    start: str = "orthogonal"
    """The matrices at the start: uniform, normal, orthogonal, or a sum of real irreps such as '64 trivial'."""
    noise: float = 0.0
    """Deviation of the normal noise that is added to the start."""
    relator_weight: float = 1.0
    """The weight of each relator in the algebra loss."""
    mixed_damping: float = 1.0
    """A factor for relators in which several generators occur."""
    inverse_weight: float = 1.0
    """The weight of the regulariser on the inverses of the generators."""

    def problems(self) -> list[str]:
        """What is wrong with the fields, in words."""
        wrong = super().problems()
        group = group_of(self.group)
        if group is not None:
            try:
                start = _start(group, self.start)
            except RepresentationError as error:
                choices = ", ".join(get_args(Start))
                wrong.append(f"--start {self.start!r} should be {choices} or a sum of irreps: {error}")
            else:
                if not isinstance(start, str) and start.dim != self.features:
                    wrong.append(f"--start {self.start!r} has dimension {start.dim}, not --features {self.features}")
        for name in ("algebra_weight", "output_weight", "latent_weight", "noise", "relator_weight", "inverse_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                wrong.append(f"--{name.replace('_', '-')} {getattr(self, name)} should be finite and not negative")
        if self.features < 1:
            wrong.append(f"--features {self.features} should be at least 1")
        return wrong


class LearnedRecipe(Recipe):
    """An encoder, a decoder and a learned representation between them, for any data, group and actions.

    Args:
        config: the configuration.
        seed: the run's seed.
        device: where everything lives.
        encoder: from x to the latent [B, features].
        decoder: from the latent to the output.
        input: how the group acts on x.
        output: how it acts on the targets.
        task_loss: the mean over the batch.

    Attributes:
        evaluation: for ``"val"`` and ``"test"`` all samples (x, y, g), drawn once, the same in all epochs and for all seeds,
            each with the element that it is moved by.
    """

    evaluation: Mapping[str, tuple[Tensor, Tensor, Tensor]]

    def __init__(
        self,
        config: LearnedConfig,
        seed: int,
        device: torch.device,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        input: SupportsAction,
        output: SupportsAction,
        task_loss: Callable[[Any, Tensor], Tensor],
    ) -> None:
        self.config, self.device = config, device
        generator = torch.Generator().manual_seed(seed)
        rho = LearnedRepresentation(
            input.group,
            config.features,
            start=_start(input.group, config.start),
            noise=config.noise,
            generator=generator,
        )
        algebra = functools.partial(
            algebra_loss,
            weights=config.relator_weight,
            mixed_damping=config.mixed_damping,
            inverse_weight=config.inverse_weight,
        )
        self.rho = rho
        self.objective = Objective.learned(
            rho,
            input=input,
            output=output,
            task_loss=task_loss,
            output_weight=config.output_weight,
            latent_weight=config.latent_weight,
            algebra_weight=config.algebra_weight,
            algebra=algebra,
        ).to(device)
        self.model = nn.ModuleDict({"encoder": encoder, "decoder": decoder, "rho": rho}).to(device)
        if config.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator = torch.Generator(device=device)

    @abstractmethod
    def pairs(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The training samples (x, y) of these indices."""

    def optimiser(self) -> torch.optim.Optimizer:
        """Adam on the network and the representation."""
        # In one kernel for all parameters; on a CPU that takes a third off the whole step.
        return torch.optim.Adam(self.model.parameters(), lr=self.config.rate, fused=True)

    def start_epoch(self, generator: torch.Generator) -> None:
        """Keep the generator."""
        self.generator = self.objective.generator = generator

    def loss(self, indices: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The four-part loss; of the control, the algebra loss alone."""
        if self.config.method == "control":
            loss, algebra = self._algebra()
            return loss, {"loss": loss.detach(), "algebra": algebra.detach()}
        x, y = self.pairs(indices, self.generator)
        loss, terms = self.objective(self._parts, x, y)
        named = _by_recorded_name(terms)
        return loss, {name: named[name] for name in ("loss", "task", "moved_task", "equivariance", "algebra")}

    def validate(self) -> dict[str, float]:
        """The four parts on the validation samples."""
        return self._evaluate("val")

    def final(self) -> dict[str, Any]:
        """The four parts on the test samples, and what the representation is."""
        with torch.no_grad():
            parts = {f"test_{name}": value for name, value in self._evaluate("test").items()}
            return {**parts, **describe_learned(self.rho)}

    def observe(self) -> dict[str, np.ndarray]:
        """The eigenvalues of each generator's matrix, real and imaginary part."""
        with torch.no_grad():
            matrices = self.rho.generator_matrices()
            values = {x: torch.linalg.eigvals(matrix.double()).cpu() for x, matrix in matrices.items()}
        return {f"eigenvalues_{x}": torch.view_as_real(value).numpy() for x, value in values.items()}

    @property
    def _parts(self) -> tuple[nn.Module, nn.Module]:
        return self.model["encoder"], self.model["decoder"]  # type: ignore[index]

    def _algebra(self) -> tuple[Tensor, Tensor]:
        (term,) = (term for term in self.objective.terms if isinstance(term, Algebra))
        algebra = term.loss(self.rho)
        return self.config.algebra_weight * algebra, algebra

    def _evaluate(self, split: str) -> dict[str, float]:
        if self.config.method == "control":
            loss, algebra = self._algebra()
            return {"loss": float(loss), "algebra": float(algebra)}
        x, y, g = self.evaluation[split]
        sums: dict[str, float] = {}
        for block in torch.arange(len(x), device=x.device).split(_BLOCK):
            terms = self.objective(self._parts, x[block], y[block], g=g[block])[1]
            for name, value in _by_recorded_name(terms).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(block) / len(x)
        return sums


def _by_recorded_name(terms: Terms) -> dict[str, Tensor]:
    """The terms under the names that they have in records."""
    return {"moved_task" if name == "decoded_task" else name: value for name, value in terms.as_tensors().items()}


def _start(group: Group, text: str) -> Start | Representation:
    return text if text in get_args(Start) else eq.reps.parse(group, text, field="real")  # type: ignore[return-value]


def describe_learned(rho: LearnedRepresentation) -> dict[str, Any]:
    """What a learned representation is: multiplicities by characters and by eigenvalues, and how exact it is."""
    group = rho.group
    with torch.no_grad():
        matrices = {x: matrix.double().cpu() for x, matrix in rho.generator_matrices().items()}
        relators = {word: float(value) for word, value in eq.objective.relator_losses(rho).items()}
    found: dict[str, Any] = {"relator_losses": relators, "relator_loss": sum(relators.values())}
    for field in ("complex", "real"):
        counts = eq.reps.multiplicities(matrices, group, field=field)
        found[f"multiplicities_{field}"] = counts.as_floats()
        found["residual"] = counts.residual
    copies, distance = eq.reps.copies_of_regular(group, found["multiplicities_complex"])
    found["copies_of_regular"], found["distance_from_regular"] = copies, distance
    found["eigenvalue_counts"] = {
        x: _nearest_roots(matrix, group.element_order(group.generators[x])) for x, matrix in matrices.items()
    }
    return found


def _nearest_roots(matrix: Tensor, order: int) -> list[int]:
    """How many eigenvalues are nearest to each power of the first root of unity of that order."""
    return eq.reps.nearest_roots(matrix, order).root.bincount(minlength=order).tolist()
