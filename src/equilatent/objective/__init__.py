"""The training objective, and the terms that it is made of."""

from equilatent.objective._algebra import algebra_loss, describe_learned_representation, relator_losses
from equilatent.objective._checks import Weight
from equilatent.objective._distances import Distance
from equilatent.objective._objective import Draw, Objective, Passes
from equilatent.objective._passes import Model
from equilatent.objective._record import Terms
from equilatent.objective._terms import (
    Algebra,
    DecodedTask,
    Decorrelation,
    Detach,
    Equivariance,
    Latent,
    Task,
    Term,
    TransformedTask,
)

__all__ = [
    "Algebra",
    "DecodedTask",
    "Decorrelation",
    "Detach",
    "Distance",
    "Draw",
    "Equivariance",
    "Latent",
    "Model",
    "Objective",
    "Passes",
    "Task",
    "Term",
    "Terms",
    "TransformedTask",
    "Weight",
    "algebra_loss",
    "describe_learned_representation",
    "relator_losses",
]
