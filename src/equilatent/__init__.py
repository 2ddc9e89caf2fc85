"""Approximate equivariance with a finite group for any PyTorch network, with no extra parameters."""

from equilatent import actions, errors, groups, reps

__all__ = ["actions", "errors", "groups", "reps"]
