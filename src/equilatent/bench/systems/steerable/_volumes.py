"""Layers on volumes that are equivariant to the lattice's rotations exactly, and to all others as far as a grid can be."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equilatent.bench.systems.steerable._fields import SphericalFields
from equilatent.bench.systems.steerable._layers import (
    ExpandedConvolution,
    StrictConvolution,
    check_grid,
    gaussian,
    invariant_bias,
)
from equilatent.bench.systems.steerable._spherical import SphericalIrrep, spherical_irreps
from equilatent.bench.systems.steerable._tables import ExactTable
from equilatent.bench.systems.steerable._volume_kernels import volume_kernel_basis, volume_kernel_parts
from equilatent.errors import RepresentationError

__all__ = ["AntialiasedPool3d", "PartialConv3d", "RotationLikelihood", "SteerableConv3d"]


class SteerableConv3d(StrictConvolution):
    """A convolution of volumes whose kernels are equivariant to SO(3) or O(3), sampled on the grid.

    It is what `SteerableConv2d` is on images: one weight for each element of `volume_kernel_basis` and each pair of parts,
    elements of norm √dim of the part they go to, weights of such a deviation that variances stay, and an invariant bias. The
    48 motions that map the grid to itself commute with it exactly.

    Args:
        inputs: the fields that come in.
        outputs: the fields that go out, of the same group.
        size: the side of the kernel in voxels: 1, 3, 5 or 7.
        stride: voxels from one position of the kernel to the next; as of `SteerableConv2d`.
        padding: zeros around the volume.
        bias: whether there is one, 0 at the start, for each invariant channel of the outputs.

    Raises:
        ActionError: for another size.
        RepresentationError: for fields of two groups.

    >>> from equilatent.bench.systems.steerable import spherical_irreps
    >>> scalar, irreps = spherical_irreps(0, inversion=False), spherical_irreps(2, inversion=False)
    >>> layer = SteerableConv3d(SphericalFields(scalar, 1), SphericalFields(irreps, 2), 3, padding=1)
    >>> layer(torch.zeros(4, 1, 5, 5, 5)).shape, layer.weight.shape
    (torch.Size([4, 18, 5, 5, 5]), torch.Size([8]))
    """

    def __init__(
        self,
        inputs: SphericalFields,
        outputs: SphericalFields,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        _check_one_group(inputs, outputs)
        bases = [
            [volume_kernel_basis(sigma, rho, size) * math.sqrt(sigma.dim) for rho, _ in inputs.blocks]
            for sigma, _ in outputs.blocks
        ]
        super().__init__(inputs, outputs, size, stride, padding, bases, bias)


class AntialiasedPool3d(nn.Module):
    """Smooths every channel by a fixed Gaussian window, axis by axis, and keeps some of the voxels.

    Args:
        size: the side of the window in voxels.
        stride: voxels from one position of the window to the next; as of `SteerableConv3d`.
        padding: zeros around the volume.
        width: the standard deviation of the Gaussian in voxels.
    """

    def __init__(self, size: int, *, stride: int, padding: int, width: float = 0.66) -> None:
        super().__init__()
        self.size, self.stride, self.padding = size, stride, padding
        self.window = ExactTable(gaussian(size, width))

    def forward(self, x: Tensor) -> Tensor:
        """Pool x [B, C, D, H, W]."""
        count = x.shape[1]
        check_grid(x, count, self.size, self.stride, self.padding, 3)
        for axis in range(3):
            along = [1 + (each == axis) * (self.size - 1) for each in range(3)]
            window = self.window.value.to(x.dtype).view(1, 1, *along).expand(count, 1, *along)
            stride = [self.stride if each == axis else 1 for each in range(3)]
            padding = [self.padding if each == axis else 0 for each in range(3)]
            x = F.conv3d(x, window, None, stride, padding, groups=count)
        return x


class RotationLikelihood(nn.Module):
    """A learned positive function λ on SO(3) or O(3), of mean 1: how much each motion counts as a symmetry.

    λ = exp ℓ / mean exp ℓ. The parameters are the real Fourier coefficients of ℓ up to a frequency, d² for each irrep of
    dimension d, over functions of mean square 1; at the start only the constant's coefficient is 1, and λ uniform (Veefkind
    & Cesa 2024). Means over the group are sums over a grid of angles that is exact for functions up to four times the
    frequency.

    Args:
        frequency: the highest one in ℓ.
        inversion: whether the group is O(3).

    Attributes:
        motions: the grid, float64 [n, 3, 3], of which the first is the identity.
        exact_to: up to which frequency in all means of products are exact.

    >>> RotationLikelihood(2, inversion=False).coefficients.shape, RotationLikelihood(2, inversion=True).coefficients.shape
    (torch.Size([35]), torch.Size([70]))
    """

    def __init__(self, frequency: int, *, inversion: bool) -> None:
        super().__init__()
        self.inversion, self.exact_to = inversion, 4 * frequency
        self.motions, weights = _grid_of_motions(self.exact_to, inversion)
        self._weights = ExactTable(weights)
        functions = [
            matrices.flatten(1) * math.sqrt(irrep.dim)
            for irrep, matrices in _irreps_on_grid(self.exact_to, inversion, frequency).items()
        ]
        self.functions = ExactTable(torch.cat(functions, dim=1))
        self.coefficients = nn.Parameter(torch.zeros(self.functions.value.shape[1]))
        self.reset_parameters()

    @property
    def measure(self) -> Tensor:
        """The weight of each motion of the grid in a mean over the group."""
        return self._weights.value

    def reset_parameters(self) -> None:
        """Make λ uniform."""
        with torch.no_grad():
            self.coefficients.zero_()
            self.coefficients[0] = 1

    def log_values(self) -> Tensor:
        """The logarithm of λ at each motion of the grid, of which the first is the identity."""
        values = self.functions.value @ self.coefficients
        highest = values.max().detach()
        mean = self.measure @ (values - highest).exp()
        return values - highest - mean.log()

    def degree(self) -> Tensor:
        """exp(−KL(λ ‖ uniform)), between 0 and 1: 1 for a uniform λ; the share of the group on which λ is spread evenly."""
        values = self.log_values()
        return (-(self.measure @ (values.exp() * values))).exp()


class PartialConv3d(ExpandedConvolution):
    """A convolution of volumes that learns how equivariant it is (Veefkind & Cesa 2024).

    The kernel is the mean over the group of λ(g) · g·w, where w is a kernel that transforms by irreps up to a frequency. On
    such irreps ψ the mean acts by λ̂(ψ), the mean of λ(g) ψ(g), so that the weights are multiplied by these and what follows
    is a table. A uniform λ leaves the kernels of a `SteerableConv3d`. The bias is invariant.

    Args:
        inputs: the fields that come in.
        outputs: the fields that go out, of the same group.
        size: the side of the kernel in voxels: 1, 3, 5 or 7.
        likelihood: λ, which several layers may share.
        frequency: the highest one of ψ.
        stride: as of `SteerableConv3d`.
        padding: zeros around the volume.
        bias: whether there is one, 0 at the start, for each invariant channel of the outputs.

    Raises:
        ActionError: for another size.
        RepresentationError: for fields or a likelihood of two groups.
    """

    def __init__(
        self,
        inputs: SphericalFields,
        outputs: SphericalFields,
        size: int,
        likelihood: RotationLikelihood,
        *,
        frequency: int = 2,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        _check_one_group(inputs, outputs)
        if likelihood.inversion != inputs.inversion:
            raise RepresentationError("the likelihood and the fields are to be of one group, SO(3) or O(3).")
        parts = [
            [volume_kernel_parts(sigma, rho, size, frequency) for rho, _ in inputs.blocks]
            for sigma, _ in outputs.blocks
        ]
        counts = [[sum(len(basis) for basis in pair.values()) for pair in row] for row in parts]
        super().__init__(inputs, outputs, size, stride, padding, counts)
        self.likelihood = likelihood
        bases = [
            basis.flatten() * math.sqrt(sigma.dim)
            for (sigma, _), row in zip(outputs.blocks, parts, strict=True)
            for pair in row
            for basis in pair.values()
        ]
        self.bases = ExactTable(torch.cat(bases))
        self._psis = spherical_irreps(frequency, inversion=inputs.inversion)
        self._equivariant = [[len(pair.get(self._psis[0], ())) for pair in row] for row in parts]
        matrices = _irreps_on_grid(likelihood.exact_to, likelihood.inversion, frequency).values()
        self.matrices = ExactTable(torch.cat([each.flatten(1) for each in matrices], dim=1))
        # Which weights belong to spaces that transform by each ψ, [spaces, dim ψ], in one row; and the way back.
        places = self._places([pair for row in parts for pair in row])
        self._counts = [len(place) for place in places]
        order = torch.cat([place.flatten() for place in places])
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)
        self.weight = nn.Parameter(torch.empty(sum(self.expansion.weights())))
        self.bias = invariant_bias(outputs) if bias else None
        self.reset_parameters()

    order: Tensor
    back: Tensor

    def reset_parameters(self) -> None:
        """Draw the weights anew; λ, which other layers may share, stays as it is."""
        with torch.no_grad():
            self.weight.normal_().mul_(self.expansion.deviations(self._equivariant).to(self.weight))

    def kernel(self) -> Tensor:
        """The kernel of the ordinary convolution that this layer is, [outputs.dim, inputs.dim, size, size, size]."""
        with torch.autocast(self.weight.device.type, enabled=False):
            shares = self.likelihood.log_values().exp() * self.likelihood.measure
            return self.expansion.kernel(self.averaged(shares @ self.matrices.value), self.bases.value)

    def averaged(self, means: Tensor) -> Tensor:
        """The weights of the mean of kernels.

        Args:
            means: the entries of the mean of ψ(g), for all ψ in a row.
        """
        sizes = [psi.dim**2 for psi in self._psis]
        lengths = [count * psi.dim for count, psi in zip(self._counts, self._psis, strict=True)]
        weights = self.weight[self.order].split(lengths)
        moved = [
            (part.view(-1, psi.dim) @ mean.view(psi.dim, psi.dim).T).flatten()
            for psi, part, mean in zip(self._psis, weights, means.split(sizes), strict=True)
        ]
        return torch.cat(moved)[self.back]

    def _places(self, pairs: Sequence[Mapping[SphericalIrrep, Tensor]]) -> list[Tensor]:
        found = {psi: [torch.zeros(0, psi.dim, dtype=torch.long)] for psi in self._psis}
        start = 0
        for pair, (_, going, _, coming, count) in zip(pairs, self.expansion.pairs(), strict=True):
            columns = (start + torch.arange(going * coming * count)).view(going * coming, count)
            for (psi, _), part in zip(
                pair.items(), columns.split([len(each) for each in pair.values()], 1), strict=True
            ):
                found[psi].append(part.reshape(-1, psi.dim))
            start += going * coming * count
        return [torch.cat(found[psi]) for psi in self._psis]


@functools.cache
def _grid_of_motions(degree: int, inversion: bool) -> tuple[Tensor, Tensor]:
    """Motions [n, 3, 3] and their weights, whose sum is exact for products of matrix entries up to a degree in all.

    Angles about the third axis, the second and the third: evenly, by Gauss and Legendre's rule in the cosine, evenly; then
    the same with the inversion. The identity stands in front, without weight: how large λ is there is asked for. Read only.
    """
    _, about_y, about_z = _rotations_in_space()
    even = 2 * math.pi * torch.arange(degree + 1, dtype=torch.float64) / (degree + 1)
    cosines, gauss = np.polynomial.legendre.leggauss(degree // 2 + 1)
    first = torch.linalg.matrix_exp(even[:, None, None] * about_z)
    middle = torch.linalg.matrix_exp(torch.from_numpy(np.arccos(cosines))[:, None, None] * about_y)
    motions = torch.einsum("aij,bjk,ckl->abcil", first, middle, first).reshape(-1, 3, 3)
    weights = torch.from_numpy(gauss)[None, :, None].expand(len(even), -1, len(even)).flatten()
    motions = torch.cat([torch.eye(3, dtype=torch.float64)[None], motions])
    weights = torch.cat([torch.zeros(1, dtype=torch.float64), weights])
    if inversion:
        motions, weights = torch.cat([motions, -motions]), torch.cat([weights, weights])
    return motions, weights / weights.sum()


@functools.cache
def _irreps_on_grid(degree: int, inversion: bool, frequency: int) -> dict[SphericalIrrep, Tensor]:
    """What the motions of a grid act by in every irrep up to a frequency, [n, dim, dim]; read only."""
    motions, _ = _grid_of_motions(degree, inversion)
    return {irrep: irrep.matrices(motions) for irrep in spherical_irreps(frequency, inversion=inversion)}


def _rotations_in_space() -> Tensor:
    """The beginnings of rotations about the three axes as matrices on (x, y, z)."""
    epsilon = torch.zeros(3, 3, 3, dtype=torch.float64)
    for axis in range(3):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        epsilon[axis, other, one], epsilon[axis, one, other] = 1, -1
    return epsilon


def _check_one_group(inputs: SphericalFields, outputs: SphericalFields) -> None:
    if inputs.inversion != outputs.inversion:
        names = ["O(3)" if fields.inversion else "SO(3)" for fields in (inputs, outputs)]
        raise RepresentationError(f"a convolution joins fields of one group; got {names[0]} and {names[1]}.")
