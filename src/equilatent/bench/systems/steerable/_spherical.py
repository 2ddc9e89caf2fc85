"""Representations of the rotation group SO(3), and of O(3), made of the generators of so(3): no list of elements is used."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from equilatent.errors import RepresentationError

__all__ = ["SphericalIrrep", "coupling", "generators", "harmonics", "spherical_irreps"]

#: Eigenvalues below this are zero: the next one of a sum of three generators' squares is at least 2.
_NOTHING = 1e-9


@dataclass(frozen=True)
class SphericalIrrep:
    """A real irreducible representation of SO(3), or of O(3) if it has a parity.

    Attributes:
        frequency: ℓ = 0, 1, 2, …; the dimension is 2ℓ + 1. Its basis is that of `harmonics`.
        parity: what the inversion −1 acts by, 1 or −1; None for a representation of SO(3), in which there is no inversion.

    >>> [irrep.label for irrep in spherical_irreps(1, inversion=True)]
    ['0+', '0−', '1+', '1−']
    """

    frequency: int
    parity: int | None = None

    def __post_init__(self) -> None:
        if self.frequency < 0 or self.parity not in (None, 1, -1):
            raise RepresentationError(
                f"an irrep has a frequency from 0 on and the parity 1, −1 or None; got {self.frequency} and {self.parity}."
            )

    @property
    def dim(self) -> int:
        """2ℓ + 1."""
        return 2 * self.frequency + 1

    @property
    def label(self) -> str:
        """The frequency, and the sign of the parity."""
        return f"{self.frequency}{ {None: '', 1: '+', -1: '−'}[self.parity] }"

    @property
    def is_trivial(self) -> bool:
        """Whether nothing changes it."""
        return self.frequency == 0 and self.parity != -1

    def times(self, other: SphericalIrrep) -> tuple[SphericalIrrep, ...]:
        """The irreps in the tensor product, each of which is in it once."""
        if (self.parity is None) != (other.parity is None):
            raise RepresentationError(
                f"one group has irreps with and without a parity; got {self.label}, {other.label}."
            )
        parity = None if self.parity is None or other.parity is None else self.parity * other.parity
        low, high = abs(self.frequency - other.frequency), self.frequency + other.frequency
        return tuple(SphericalIrrep(frequency, parity) for frequency in range(low, high + 1))

    def matrices(self, motions: Tensor) -> Tensor:
        """What orthogonal matrices act by, float64 [n, dim, dim].

        Args:
            motions: [n, 3, 3].

        Raises:
            RepresentationError: for mirrors, if there is no parity.
        """
        motions = motions.double()
        signs = torch.linalg.det(motions).round()
        if self.parity is None and bool((signs < 0).any()):
            raise RepresentationError(f"the irrep {self.label} of SO(3) has no parity and does not know mirrors.")
        points = _sphere(4 * self.dim)
        before = harmonics(self.frequency, points)
        turned = points @ (motions * signs[:, None, None]).mT
        after = harmonics(self.frequency, turned.reshape(-1, 3)).view(len(motions), -1, self.dim)
        # Y(Rx) = D(R) Y(x) at all points determines D(R).
        matrices: Tensor = (torch.linalg.pinv(before) @ after).mT
        return matrices * torch.where(signs < 0, float(self.parity or 1), 1.0)[:, None, None]


def spherical_irreps(frequency: int, *, inversion: bool) -> tuple[SphericalIrrep, ...]:
    """All irreps up to a frequency, the trivial one first; of O(3) with both parities if there is the inversion."""
    parities: Sequence[int | None] = (1, -1) if inversion else (None,)
    return tuple(SphericalIrrep(each, parity) for each in range(frequency + 1) for parity in parities)


@functools.cache
def generators(frequency: int) -> Tensor:
    """The antisymmetric matrices by which rotations about the three axes begin, float64 [3, 2ℓ + 1, 2ℓ + 1]; read only.

    >>> x, y, z = generators(2)
    >>> torch.allclose(x @ y - y @ x, z)
    True
    """
    dim = 2 * frequency + 1
    m = torch.arange(-frequency, frequency + 1, dtype=torch.float64)
    raising = torch.diag(torch.sqrt(frequency * (frequency + 1) - m[:-1] * (m[:-1] + 1)), -1).to(torch.complex128)
    angular = (raising + raising.mH) / 2, (raising - raising.mH) / 2j, torch.diag(m).to(torch.complex128)
    # From the states of definite m to real ones: cosines at ℓ + m, sines at ℓ − m.
    real = torch.zeros(dim, dim, dtype=torch.complex128)
    real[frequency, frequency] = 1
    k = torch.arange(1, frequency + 1)
    signs = (1 - 2 * (k % 2)).to(torch.complex128)
    real[frequency + k, frequency + k], real[frequency + k, frequency - k] = signs, torch.ones_like(signs)
    real[frequency - k, frequency - k], real[frequency - k, frequency + k] = 1j * torch.ones_like(signs), -1j * signs
    real[k.new_tensor([*range(frequency), *range(frequency + 1, dim)])] /= math.sqrt(2)
    return torch.stack([real @ (-1j * each) @ real.mH for each in angular]).real


def harmonics(frequency: int, points: Tensor) -> Tensor:
    """The real spherical harmonics of a frequency in the directions of some points, [P, 2ℓ + 1], of norm 1.

    Y(Rx) = D(R) Y(x), where D are orthogonal matrices: see `SphericalIrrep.matrices`.

    Args:
        frequency: ℓ.
        points: float64 [P, 3], none at the origin.
    """
    x, y, z = (points / points.norm(dim=1, keepdim=True)).unbind(1)
    latitude, longitude = torch.atan2(torch.hypot(x, y), z), torch.atan2(y, x)
    _, about_y, about_z = generators(frequency)

    def turn(angle: Tensor, generator: Tensor) -> Tensor:
        turned: Tensor = torch.linalg.matrix_exp(angle[:, None, None] * generator)
        return turned

    turned: Tensor = turn(longitude, about_z) @ turn(latitude, about_y)
    return turned[:, :, frequency]


@functools.cache
def coupling(first: int, second: int, third: int) -> Tensor:
    """The one invariant vector of norm 1 in the product of three irreps, [2ℓ₁ + 1, 2ℓ₂ + 1, 2ℓ₃ + 1]; read only.

    Its largest entry, the first of those that are as large, is positive, so that weights on it can be stored.

    Args:
        first: ℓ₁.
        second: ℓ₂.
        third: ℓ₃, from |ℓ₁ − ℓ₂| to ℓ₁ + ℓ₂.
    """
    if not abs(first - second) <= third <= first + second:
        raise RepresentationError(
            f"no vector is invariant in the product of the frequencies {first}, {second}, {third}."
        )
    eyes = [torch.eye(2 * each + 1, dtype=torch.float64) for each in (first, second, third)]
    total = sum(
        _squared(
            torch.kron(torch.kron(a, eyes[1]), eyes[2])
            + torch.kron(torch.kron(eyes[0], b), eyes[2])
            + torch.kron(torch.kron(eyes[0], eyes[1]), c)
        )
        for a, b, c in zip(generators(first), generators(second), generators(third), strict=True)
    )
    assert isinstance(total, Tensor)
    values, vectors = torch.linalg.eigh(total)
    assert int((values < _NOTHING).sum()) == 1
    vector: Tensor = vectors[:, 0]
    largest = (vector.abs() > vector.abs().max() - 1e-6).nonzero()[0]
    return (vector * vector[largest].sign()).view([len(eye) for eye in eyes])


def _squared(matrix: Tensor) -> Tensor:
    square: Tensor = matrix.T @ matrix
    return square


def _sphere(count: int) -> Tensor:
    """So many points spread over the sphere, [count, 3]."""
    number = torch.arange(count, dtype=torch.float64) + 0.5
    height, angle = 1 - 2 * number / count, number * math.pi * (3 - math.sqrt(5))
    radius = (1 - height.square()).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), height], 1)
