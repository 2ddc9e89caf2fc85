"""Measuring equivariance: errors of models and layers for each element, and answers that stay."""

from equilatent.metrics._consistency import PredictionConsistency, prediction_consistency
from equilatent.metrics._equivariance import EquivarianceError, equivariance_error

__all__ = ["EquivarianceError", "PredictionConsistency", "equivariance_error", "prediction_consistency"]
