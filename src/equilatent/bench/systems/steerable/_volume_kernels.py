"""Kernels on volumes: Gaussian shells times spherical harmonics, joined to irreps of SO(3) or O(3)."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from equilatent.bench.systems.steerable._spherical import SphericalIrrep, coupling, harmonics
from equilatent.errors import ActionError

__all__ = ["shell_filters", "volume_kernel_basis", "volume_kernel_parts"]

#: The highest frequency on the shells of radius 0, 1, 2 that are not the last one, and on the last one.
_INNER_FREQUENCIES = (0, 2, 3)
_OUTER_FREQUENCY = 2


@functools.cache
def shell_filters(size: int) -> tuple[tuple[int, Tensor], ...]:
    """Gaussian shells times spherical harmonics, sampled on a grid of size³ voxels.

    The shells have radii R = 0, 1, …, (size−1)/2 and the profile exp(−(r−R)²/2σ²), with σ = 0.6, but 0.4 on the last shell
    and 0.005 at radius 0. A shell carries the harmonics up to its highest frequency: 0 at radius 0, 2 on the last shell,
    else 2 (R = 1) or 3 (R = 2). (Weiler et al. 2018, with the settings of Veefkind & Cesa 2024.)

    Args:
        size: 1, 3, 5 or 7 voxels, which gives 1, 10, 19 or 35 filters.

    Returns:
        For each shell and frequency ℓ the frequency, and float64 [2ℓ + 1, size, size, size] of mean norm 1; read only.

    Raises:
        ActionError: for another size.

    >>> [sum(len(filters) for _, filters in shell_filters(size)) for size in (1, 3, 5, 7)]
    [1, 10, 19, 35]
    """
    if size not in (1, 3, 5, 7):
        raise ActionError(f"filters on shells are known on grids of 1, 3, 5 or 7 voxels a side; got size={size!r}.")
    last = size // 2
    line = torch.arange(-last, last + 1, dtype=torch.float64)
    points = torch.cartesian_prod(line, line, line).view(-1, 3)
    radius = points.norm(dim=1)
    away = radius > 0
    found = []
    for shell in range(last + 1):
        width = 0.005 if shell == 0 else 0.4 if shell == last else 0.6
        highest = 0 if shell == 0 else _OUTER_FREQUENCY if shell == last else _INNER_FREQUENCIES[shell]
        profile = torch.exp(-0.5 * ((radius - shell) / width) ** 2)
        for frequency in range(highest + 1):
            filters = torch.zeros(2 * frequency + 1, len(points), dtype=torch.float64)
            filters[:, away] = (profile[away, None] * harmonics(frequency, points[away])).T
            if frequency == 0:  # at the origin there is no direction: only this frequency is there
                filters[:, ~away] = profile[~away]
            filters /= filters.square().sum(1).mean().sqrt()
            found.append((frequency, filters.view(-1, size, size, size)))
    return tuple(found)


@functools.lru_cache(maxsize=512)
def volume_kernel_basis(outputs: SphericalIrrep, inputs: SphericalIrrep, size: int) -> Tensor:
    """A basis of the equivariant kernels: K(Rx) = ρ_out(R) K(x) ρ_in(R)⁻¹ for all motions R; read only.

    Each element has one shell and one frequency of `shell_filters` and norm 1 on the grid.

    Args:
        outputs: ρ_out.
        inputs: ρ_in, of the same group.
        size: the side of the grid in voxels: 1, 3, 5 or 7.

    Returns:
        float64 [elements, dim out, dim in, size, size, size].

    >>> vector = SphericalIrrep(1)
    >>> volume_kernel_basis(vector, vector, 3).shape  # a constant, a cross product and a symmetric part, and the middle
    torch.Size([4, 3, 3, 3, 3, 3])
    """
    invariant = SphericalIrrep(0, None if outputs.parity is None else 1)
    return volume_kernel_parts(outputs, inputs, size, 0).get(invariant, _nothing(outputs, inputs, size))


@functools.lru_cache(maxsize=512)
def volume_kernel_parts(
    outputs: SphericalIrrep, inputs: SphericalIrrep, size: int, frequency: int
) -> dict[SphericalIrrep, Tensor]:
    """A basis of all kernels that transform by irreps up to a frequency, by irrep; read only.

    A motion R takes a kernel K to ρ_out(R) K(R⁻¹x) ρ_in(R)⁻¹. Each space of kernels has one shell, one frequency of
    `shell_filters` and one irrep in ρ_out ⊗ ρ_in, and the irrep ψ: R takes its element a to Σ_b ψ(R)_ba times element b. The
    mean norm of its elements on the grid is 1.

    Args:
        outputs: ρ_out.
        inputs: ρ_in, of the same group.
        size: the side of the grid in voxels.
        frequency: the highest one of ψ.

    Returns:
        For each ψ that occurs float64 [spaces · dim ψ, dim out, dim in, size, size, size].
    """
    found: dict[SphericalIrrep, list[Tensor]] = {}
    for between in outputs.times(inputs):
        joined = coupling(outputs.frequency, inputs.frequency, between.frequency)
        for number, filters in shell_filters(size):
            of_filters = SphericalIrrep(number, None if outputs.parity is None else (-1) ** number)
            for psi in between.times(of_filters):
                if psi.frequency > frequency:
                    continue
                vectors = torch.einsum("oij,jfa->aoif", joined, coupling(between.frequency, number, psi.frequency))
                kernels = torch.einsum("aoif,fxyz->aoixyz", vectors, filters)
                norm = kernels.flatten(1).square().sum(1).mean().sqrt()
                found.setdefault(psi, []).append(kernels / norm)
    return {psi: torch.cat(found[psi]) for psi in sorted(found, key=lambda psi: (psi.frequency, -(psi.parity or 1)))}


def _nothing(outputs: SphericalIrrep, inputs: SphericalIrrep, size: int) -> Tensor:
    return torch.zeros(0, outputs.dim, inputs.dim, size, size, size, dtype=torch.float64)
