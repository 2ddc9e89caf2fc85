"""What the tasks of section 4 share: their fields, and the evaluation of a learned representation. Tables 1 to 3."""

from __future__ import annotations

import dataclasses
import functools
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, get_args

import numpy as np
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.group_names import group_of
from equilatent.bench.harness.config import RunConfig
from equilatent.bench.harness.task import Control, Problem, Quantity, Split
from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.objective import algebra_loss
from equilatent.reps import LearnedRepresentation, Representation, Start

__all__ = ["CONTROLS", "DETAILS", "LearnedConfig", "LearnedProblem", "describe_learned"]

#: What the tables of single runs show besides the numbers of a task's own table.
DETAILS = (
    Quantity("multiplicities_complex", "multiplicities"),
    Quantity("multiplicities_real.2a", "real 2a (complex type)"),
    Quantity("multiplicities_real.2b", "real 2b (complex type)"),
    Quantity("distance_from_regular", "distance from regular", "lower"),
    Quantity("residual", "distance from a representation", "lower"),
    Quantity("test_relative_error", "equivariance, relative", "lower"),
    Quantity("test_centred_error", "equivariance, centred", "lower"),
    Quantity("test_task", "task loss", "lower"),
    Quantity("test_decoded_task", "task loss, transformed", "lower"),
    Quantity("test_accuracy_turned", "test accuracy, turned", "higher"),
    Quantity("config.features", "latent width", given=True),
    Quantity("copies_of_regular", "copies of regular", given=True),
    Quantity("parameters", "parameters", given=True),
)
#: What a learned representation has to be compared with.
CONTROLS = (
    Control(
        "the algebra loss alone, from the same start",
        "control",
        keeps=(
            *("features", "start", "noise", "epochs", "batch", "rate", "schedule"),
            *("algebra_weight", "relator_weight", "mixed_damping", "inverse_weight"),
        ),
    ),
)
#: Samples that are evaluated at once.
_BLOCK = 1024


@dataclass(frozen=True)
class LearnedConfig(RunConfig):
    """The weights of the four-part loss, and how the matrices start."""

    method: str = "learned"
    """What is trained; `equilatent list` shows the methods of each task."""
    features: int = 64
    """Dimension of the latent."""
    algebra_weight: float = 1.0
    """λ_A, the weight of the algebra loss."""
    output_weight: float = 0.25
    """λ_Y, the weight of the task loss on the transformed and decoded latent."""
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

    @property
    def starting_point(self) -> Start | Representation:
        """The matrices at the start, as `LearnedRepresentation` takes them."""
        group = group_of(self.group)
        assert group is not None  # of a configuration that has been checked
        return _start(group, self.start)

    @property
    def algebra_loss(self) -> Callable[[LearnedRepresentation], Tensor]:
        """The algebra loss with these weights."""
        return functools.partial(
            algebra_loss,
            weights=self.relator_weight,
            mixed_damping=self.mixed_damping,
            inverse_weight=self.inverse_weight,
        )

    def resolved(self) -> Self:
        """The control runs for all epochs: it is to take as many steps as what it is compared with may."""
        return dataclasses.replace(self, patience=self.epochs) if self.method == "control" else self

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
        if self.features < 1:
            wrong.append(f"--features {self.features} should be at least 1")
        return wrong


class LearnedProblem(Problem):
    """Samples with a group, on which a representation is learned.

    What is trained has the parts ``rho``, the learned representation, and ``encoder`` and ``decoder``, unless it is a
    control without a network.

    Args:
        config: the configuration.
        device: where everything lives.

    Attributes:
        evaluation: for each split all samples (x, y, g), drawn once, the same in all epochs and for all seeds, each with
            the element that transforms it.
    """

    evaluation: dict[Split, tuple[Tensor, Tensor, Tensor]]

    def __init__(self, config: LearnedConfig, device: torch.device) -> None:
        self.config, self.device = config, device

    @abstractmethod
    def task_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The task loss."""

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        """The four parts of the loss and their weighted sum; at the end also what the representation is."""
        rho: LearnedRepresentation = model.rho  # type: ignore[assignment]
        parts = self._parts(model, rho, split)
        if split == "validation":
            return parts
        return {**{f"test_{name}": value for name, value in parts.items()}, **describe_learned(rho)}

    def observe(self, model: nn.Module) -> dict[str, np.ndarray]:
        """The eigenvalues of each generator's matrix, real and imaginary part."""
        matrices = model.rho.generator_matrices()  # type: ignore[union-attr, operator]
        values = {x: torch.linalg.eigvals(matrix.double()).cpu() for x, matrix in matrices.items()}
        return {f"eigenvalues_{x}": torch.view_as_real(value).numpy() for x, value in values.items()}

    def _parts(self, model: nn.Module, rho: LearnedRepresentation, split: Split) -> dict[str, float]:
        algebra = float(self.config.algebra_loss(rho))
        if not hasattr(model, "encoder"):
            return {"loss": self.config.algebra_weight * algebra, "algebra": algebra}
        objective = eq.Objective.learned(
            rho,
            input=self.input,
            output=self.output,
            task_loss=self.task_loss,
            output_weight=self.config.output_weight,
            latent_weight=self.config.latent_weight,
            algebra_weight=self.config.algebra_weight,
            algebra=self.config.algebra_loss,
        )
        x, y, g = self.evaluation[split]
        sums: dict[str, float] = {}
        for block in torch.arange(len(x), device=x.device).split(_BLOCK):
            terms = objective((model.encoder, model.decoder), x[block], y[block], g=g[block])[1]
            for name, value in terms.as_floats().items():
                sums[name] = sums.get(name, 0.0) + value * len(block) / len(x)
        return sums


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
