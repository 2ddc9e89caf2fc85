"""Steerable layers on images, by the library's own actions and representations, and on volumes, by SO(3) and O(3).

Convolutions, strict or with a learned degree of equivariance, and what goes between them.
"""

from equilatent.bench.systems.steerable._fields import Fields, FieldType, SphericalFields
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
from equilatent.bench.systems.steerable._spherical import SphericalIrrep, coupling, harmonics, spherical_irreps
from equilatent.bench.systems.steerable._volume_kernels import (
    shell_filters,
    volume_kernel_basis,
    volume_kernel_parts,
)
from equilatent.bench.systems.steerable._volumes import (
    AntialiasedPool3d,
    PartialConv3d,
    RotationLikelihood,
    SteerableConv3d,
)

__all__ = [
    "AntialiasedPool",
    "AntialiasedPool3d",
    "FieldNorm",
    "FieldType",
    "Fields",
    "GatedNonlinearity",
    "GroupLikelihood",
    "PartialConv2d",
    "PartialConv3d",
    "ResidualPathwayConv2d",
    "RotationLikelihood",
    "SoftDisc",
    "SphericalFields",
    "SphericalIrrep",
    "SteerableConv2d",
    "SteerableConv3d",
    "alignment",
    "band_limited_filters",
    "coupling",
    "divergence",
    "filter_representation",
    "harmonics",
    "invariant_vectors",
    "kernel_basis",
    "kernel_representation",
    "shell_filters",
    "spherical_irreps",
    "volume_kernel_basis",
    "volume_kernel_parts",
]
