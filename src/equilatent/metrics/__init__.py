"""Measuring equivariance: errors of models, layers and matrices, answers that stay, and an exact model to compare with."""

from equilatent.metrics._consistency import PredictionConsistency, prediction_consistency
from equilatent.metrics._equivariance import (
    EquivarianceError,
    EquivarianceErrorAccumulator,
    equivariance_error,
    invariance_error,
)
from equilatent.metrics._representation import RepresentationDefect, representation_error
from equilatent.metrics._symmetrised import Symmetrised

__all__ = [
    "EquivarianceError",
    "EquivarianceErrorAccumulator",
    "PredictionConsistency",
    "RepresentationDefect",
    "Symmetrised",
    "equivariance_error",
    "invariance_error",
    "prediction_consistency",
    "representation_error",
]
