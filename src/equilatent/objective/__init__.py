"""Training objectives that impose a representation on a latent, or learn one."""

from equilatent.objective._algebra import algebra_loss, describe_learned_representation, relator_losses
from equilatent.objective._common import Distance
from equilatent.objective._learned import LearnedObjective, LearnedTerms
from equilatent.objective._objective import Draw, Model, Objective, Passes, Terms

__all__ = [
    "Distance",
    "Draw",
    "LearnedObjective",
    "LearnedTerms",
    "Model",
    "Objective",
    "Passes",
    "Terms",
    "algebra_loss",
    "describe_learned_representation",
    "relator_losses",
]
