"""The other systems of the paper's tables, on the library's own actions and representations.

Steerable convolutions, strict or with a learned degree of equivariance, and what goes between them.
"""

from equilatent.bench.baselines._ddmnist import (
    BaselineClassifier,
    ddmnist_pscnn,
    ddmnist_restriction,
    ddmnist_rpp,
    ddmnist_scnn,
)
from equilatent.bench.baselines._fields import FieldType
from equilatent.bench.baselines._filters import band_limited_filters, filter_representation
from equilatent.bench.baselines._kernels import (
    GroupLikelihood,
    alignment,
    divergence,
    invariant_vectors,
    kernel_basis,
    kernel_representation,
)
from equilatent.bench.baselines._layers import (
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
    "BaselineClassifier",
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
    "ddmnist_pscnn",
    "ddmnist_restriction",
    "ddmnist_rpp",
    "ddmnist_scnn",
    "divergence",
    "filter_representation",
    "invariant_vectors",
    "kernel_basis",
    "kernel_representation",
]
