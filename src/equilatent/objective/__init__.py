"""Training objectives that impose a representation on a latent."""

from equilatent.objective._objective import Distance, Draw, Model, Objective, Passes, Terms

__all__ = ["Distance", "Draw", "Model", "Objective", "Passes", "Terms"]
