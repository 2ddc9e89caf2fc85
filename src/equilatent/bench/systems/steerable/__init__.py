"""Steerable layers on the library's own actions and representations.

Convolutions, strict or with a learned degree of equivariance, and what goes between them.
"""

from equilatent.bench.systems.steerable._fields import FieldType
from equilatent.bench.systems.steerable._filters import band_limited_filters, filter_representation
from equilatent.bench.systems.steerable._kernels import (
    GroupLikelihood,
    alignment,
    divergence,
    invariant_vectors,
    kernel_basis,
    kernel_representation,
)
from equilatent.bench.systems.steerable._layers import (
    AntialiasedPool,
    FieldNorm,
    GatedNonlinearity,
    PartialConv2d,
    ResidualPathwayConv2d,
    SoftDisc,
    SteerableConv2d,
)

__all__ = [
    "AntialiasedPool",
    "FieldNorm",
    "FieldType",
    "GatedNonlinearity",
    "GroupLikelihood",
    "PartialConv2d",
    "ResidualPathwayConv2d",
    "SoftDisc",
    "SteerableConv2d",
    "alignment",
    "band_limited_filters",
    "divergence",
    "filter_representation",
    "invariant_vectors",
    "kernel_basis",
    "kernel_representation",
]
