"""Approximate equivariance with a finite group for any PyTorch network, with no extra parameters."""

from equilatent import errors, groups

__all__ = ["errors", "groups"]
