"""Measuring equivariance: errors of models and layers, for each element, absolute and relative."""

from equilatent.metrics._equivariance import EquivarianceError, equivariance_error

__all__ = ["EquivarianceError", "equivariance_error"]
