"""The exact representation next to learned matrices, and what such matrices are, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.groups._homomorphism import extend_matrices
from equilatent.reps._constructors import from_matrices, regular, square_arrays
from equilatent.reps._decomposition import Decomposition, decompose
from equilatent.reps._multiplicities import Multiplicities, multiplicities
from equilatent.reps._representation import Representation, check_size

__all__ = [
    "NearestRepresentation",
    "NearestRoots",
    "copies_of_regular",
    "describe_multiplicities",
    "is_near_regular",
    "nearest_representation",
    "nearest_roots",
]

#: Rounds of averaging; the error is squared in each, so that few are needed where the method works at all.
_AVERAGES = 30
#: Steps of the Gauss–Newton method, and of conjugate gradients in each.
_STEPS, _INNER_STEPS = 30, 200
#: The relators hold to this much, in their largest entry, when the averaging is done.
_EXACT = 1e-10


@dataclass(frozen=True)
class NearestRepresentation:
    """An exact representation next to matrices that are nearly one.

    Attributes:
        representation: it, in the coordinates of the given matrices.
        decomposition: the real irreps that it consists of, printed as a sum, and the basis in which it is that sum.
        multiplicities: those of the given matrices, before they were rounded; and their residual.
        distance: the mean square over generators and entries of the difference from the given matrices.
        relative_distance: `distance` over the mean square of the given matrices.
    """

    representation: Representation
    decomposition: Decomposition
    multiplicities: Multiplicities
    distance: float
    relative_distance: float

    def __str__(self) -> str:
        return f"{self.decomposition} at a relative distance of {self.relative_distance:.1e}"


class NearestRoots(NamedTuple):
    """The eigenvalues of a matrix and the roots of unity next to them."""

    eigenvalues: Tensor
    """complex128 [d]."""
    root: Tensor
    """k for the root exp(2πik/n) next to each; LongTensor [d]."""
    distance: Tensor
    """The distance of each from its root; float64 [d]."""


def nearest_representation(group: Group, matrices: Mapping[str, npt.ArrayLike | Tensor]) -> NearestRepresentation:
    """The exact real representation next to approximate matrices of the generators, such as learned ones.

    The matrices are made nearly orthogonal by a change of basis and extended to all elements along words. Averages
    (1/|G|) Σ_h ρ(xh) ρ(h)⁻¹, rounded to orthogonal matrices, are then a representation up to the square of the error, and
    a few rounds of that make it exact (Grove, Karcher and Ruh, "Group actions and curvature", 1974). Last, its basis is
    changed by the Gauss–Newton method, until the mean square distance from the given matrices does not fall any more: a
    local minimum.

    Args:
        group: the group.
        matrices: a real matrix [d, d] for each generator, such as ``rho.generator_matrices()`` of a
            `LearnedRepresentation`.

    Raises:
        RepresentationError: if the multiplicities of the matrices do not round to numbers that fill the dimension, or
            the matrices are too far from any representation; for matrices of the wrong names or shapes, complex ones, or
            ones with NaN.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(3)
    >>> exact, random = eq.reps.multiple(eq.reps.regular(G), 2), torch.Generator().manual_seed(0)
    >>> learned = {x: exact.matrix(g) + 0.01 * torch.randn(12, 12, generator=random, dtype=torch.float64)
    ...            for x, g in G.generators.items()}
    >>> nearest = eq.reps.nearest_representation(G, learned)
    >>> print(nearest.decomposition)
    2 trivial ⊕ 2 sign ⊕ 4 standard
    >>> 0 < nearest.distance < 0.01**2
    True
    """
    arrays = square_arrays(group, matrices)
    if any(np.iscomplexobj(array) for array in arrays.values()):
        raise RepresentationError("the nearest representation is sought among real ones; these matrices are complex.")
    counts = multiplicities(arrays, group, field="real")
    dim = max((len(array) for array in arrays.values()), default=1)
    rounded = [(sigma, round(value)) for sigma, value in counts.items()]
    filled = sum(sigma.dim * count for sigma, count in rounded)
    if filled != dim or any(count < 0 for _, count in rounded):
        sizes = " + ".join(f"{count}·{sigma.dim}" for sigma, count in rounded)
        raise RepresentationError(
            f"these matrices are next to no one representation of {group.label}: {counts} rounds to {sizes} = {filled} of "
            f"{dim} dimensions. Train longer, or give the algebra loss more weight."
        )
    given = _stack(arrays, dim)
    change = _orthogonalising_basis(group, arrays, dim)
    averaged = _average(group, _polar(change @ given @ np.linalg.inv(change)))
    if averaged is None:
        raise RepresentationError(
            f"these matrices are too far from any representation of {group.label} to say which is the nearest: {counts}. "
            "Train longer, or give the algebra loss more weight."
        )
    orthogonal = from_matrices(group, dict(zip(group.generators, averaged, strict=True)))
    parts = decompose(orthogonal, field="real")
    if parts.blocks != tuple((sigma, count) for sigma, count in rounded if count):
        raise RepresentationError(
            f"these matrices are next to no one representation of {group.label}: averaging leads to {parts}, their "
            f"multiplicities are {counts}. Train longer, or give the algebra loss more weight."
        )
    blocks = _stack({x: parts.representation.matrix(g).numpy() for x, g in group.generators.items()}, dim)
    basis = _refine(np.linalg.solve(change, parts.basis.numpy()), blocks, given)
    nearest = basis @ blocks @ np.linalg.inv(basis)
    distance = float(np.square(nearest - given).mean()) if len(given) else 0.0
    return NearestRepresentation(
        from_matrices(group, dict(zip(group.generators, nearest, strict=True)), label=str(parts)),
        Decomposition(torch.from_numpy(basis), parts.blocks),
        counts,
        distance,
        distance / float(np.square(given).mean()) if len(given) else 0.0,
    )


def nearest_roots(matrix: Tensor, order: int) -> NearestRoots:
    """The eigenvalues of a matrix, each with the root of unity next to it (paper, section 4.1).

    Of an exact representation of a cyclic group, the number of eigenvalues at each root is the multiplicity of an irrep.

    Args:
        matrix: [d, d], real or complex.
        order: n, of the roots of unity exp(2πik/n), k = 0 … n − 1.

    Raises:
        RepresentationError: for a matrix that is not square or holds NaN or infinity, or an order that is no integer ≥ 1.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(4)
    >>> found = eq.reps.nearest_roots(eq.reps.padded_regular(G, 6).matrix(G["r"]), 4)
    >>> found.root.bincount(minlength=4).tolist(), bool(found.distance.max() < 1e-12)
    ([3, 1, 1, 1], True)
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise RepresentationError(f"the order of roots of unity is an integer ≥ 1; got {order!r}.")
    if not isinstance(matrix, Tensor) or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        got = list(matrix.shape) if isinstance(matrix, Tensor) else type(matrix).__name__
        raise RepresentationError(f"eigenvalues are those of a square matrix, a tensor [d, d]; got {got}.")
    if not matrix.isfinite().all():
        raise RepresentationError("the matrix holds NaN or infinity, and so has no eigenvalues.")
    eigenvalues = torch.linalg.eigvals(matrix.detach().cpu().to(torch.complex128))
    roots = torch.exp(2j * torch.pi * torch.arange(order, dtype=torch.float64) / order)
    distance, root = (eigenvalues[:, None] - roots).abs().min(1)
    return NearestRoots(eigenvalues, root, distance)


def copies_of_regular(group: Group, counts: Mapping[str, float]) -> tuple[float, float]:
    """How many copies of the regular representation are next to given complex multiplicities, and how far off they are.

    Args:
        group: the group.
        counts: how often each complex irrep occurs, by name, such as ``multiplicities(…).as_floats()``.

    Returns:
        The number k of copies, by least squares; and the largest difference of a multiplicity from k times that in the
        regular representation, over that in the regular representation.

    Raises:
        RepresentationError: for other names than those of the complex irreps of the group.

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(3)
    >>> copies, difference = eq.reps.copies_of_regular(G, {"trivial": 5.02, "sign": 4.98, "standard": 10.0})
    >>> round(copies, 3), round(difference, 3)
    (5.0, 0.02)
    """
    whole = multiplicities(regular(group)).as_floats()
    if set(counts) != set(whole):
        raise RepresentationError(
            f"the complex irreps of {group.label} are {', '.join(whole)}; got multiplicities of "
            f"{', '.join(map(str, counts)) or 'none'}."
        )
    copies = sum(counts[name] * value for name, value in whole.items()) / sum(value**2 for value in whole.values())
    return copies, max(abs(counts[name] / value - copies) for name, value in whole.items())


def is_near_regular(copies: float, difference: float) -> bool:
    """Whether what `copies_of_regular` returns may be called so many times regular: no irrep is off by more than half of it.

    >>> is_near_regular(5.0, 0.02), is_near_regular(21.0, 21.0)
    (True, False)
    """
    return difference <= copies / 2


def describe_multiplicities(group: Group, counts: Mapping[str, float], *, algebra_loss: float | None = None) -> str:
    """Multiplicities of complex irreps in one line, compared with copies of the regular representation.

    They are called so many times regular only if `is_near_regular`.

    Args:
        group: the group.
        counts: how often each complex irrep occurs, by name.
        algebra_loss: is put behind, if given.

    Raises:
        RepresentationError: for other names than those of the complex irreps of the group.

    >>> import equilatent as eq
    >>> counts = {"trivial": 5.021, "sign": 4.99, "standard": 9.99}  # run 5 of the paper's Table 2
    >>> print(eq.reps.describe_multiplicities(eq.groups.dihedral(3), counts, algebra_loss=3e-6))
    5.00 × regular: trivial 5.02, sign 4.99, standard 9.99; algebra loss 3.0e-06
    >>> print(eq.reps.describe_multiplicities(eq.groups.cyclic(2), {"trivial": 42, "sign": 0}))
    not regular, up to 21.00 copies away from 21.00 × regular: trivial 42.00, sign 0.00
    """
    copies, difference = copies_of_regular(group, counts)
    away = "" if is_near_regular(copies, difference) else f"not regular, up to {difference:.2f} copies away from "
    listed = ", ".join(f"{name} {value:.2f}" for name, value in counts.items())
    behind = "" if algebra_loss is None else f"; algebra loss {algebra_loss:.1e}"
    return f"{away}{copies:.2f} × regular: {listed}{behind}"


def _stack(arrays: Mapping[str, np.ndarray], dim: int) -> np.ndarray:
    return np.stack(list(arrays.values())) if arrays else np.zeros((0, dim, dim))


def _orthogonalising_basis(group: Group, arrays: Mapping[str, np.ndarray], dim: int) -> np.ndarray:
    """A matrix S for which Sρ(g)S⁻¹ is orthogonal, if ρ is exact: the root of the invariant form Σ ρ(g)ᵀρ(g) / |G|."""
    check_size(group, dim)
    table = extend_matrices(group, arrays).reshape(-1, dim)
    lengths, vectors = np.linalg.eigh(table.T @ table / group.order)
    root: np.ndarray = (vectors * np.sqrt(lengths)) @ vectors.T
    return root


def _polar(matrices: np.ndarray) -> np.ndarray:
    """The orthogonal matrices next to given ones."""
    left, _, right = np.linalg.svd(matrices)
    nearest: np.ndarray = left @ right
    return nearest


def _average(group: Group, images: np.ndarray) -> np.ndarray | None:
    """The orthogonal representation to which averaging leads from orthogonal matrices of the generators; None if to none."""
    dim = images.shape[-1]
    defect = math.inf
    for _ in range(_AVERAGES):
        table = extend_matrices(group, dict(zip(group.generators, images, strict=True)))
        before, defect = defect, _defect(group, table)
        if defect < _EXACT or defect > 2 * before:
            break
        # Σ_h ρ(xh) ρ(h)ᵀ as one product of [d, |G|d] matrices.
        rows = table.transpose(1, 0, 2).reshape(dim, -1)
        images = _polar(
            np.stack(
                [
                    table[group.product(g, group.elements).numpy()].transpose(1, 0, 2).reshape(dim, -1) @ rows.T
                    for g in group.generators.values()
                ]
            )
        )
    return images if defect < _EXACT else None


def _defect(group: Group, table: np.ndarray) -> float:
    """The largest entry of ρ(gx) − ρ(g)ρ(x)."""
    defects = [
        np.abs(table[group.product(group.elements, g).numpy()] - table @ table[g]).max()
        for g in group.generators.values()
    ]
    return float(max(defects, default=0.0))


def _refine(basis: np.ndarray, blocks: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The basis B next to a given one for which Σ ‖B σ(x) B⁻¹ − ρ(x)‖² is a minimum.

    For B' = (1 + E)B the summands change by [E, BσB⁻¹], to first order: a linear least-squares problem for E.
    """
    if not len(given):
        return basis
    current = basis @ blocks @ np.linalg.inv(basis)
    error = np.square(given - current).sum()
    for _ in range(_STEPS):
        step = _least_squares_commutator(current, given - current)
        size = 1.0
        while size > 1e-3:
            moved = basis + size * step @ basis
            candidate = moved @ blocks @ np.linalg.inv(moved)
            reached = np.square(given - candidate).sum()
            if reached < error:
                break
            size /= 2
        else:
            return basis
        gain, basis, current, error = error - reached, moved, candidate, reached
        if gain < 1e-12 * error or error < 1e-24 * given.size:
            return basis
    return basis


def _least_squares_commutator(matrices: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The E of least norm with Σ ‖E M − M E − W‖² least, over matrices M and W, by conjugate gradients."""
    transposed = matrices.transpose(0, 2, 1)

    def adjoint(residual: np.ndarray) -> np.ndarray:
        total: np.ndarray = (residual @ transposed - transposed @ residual).sum(0)
        return total

    solution = np.zeros(matrices.shape[1:])
    residual = wanted.copy()
    gradient = direction = adjoint(residual)
    size = start = np.square(gradient).sum()
    for _ in range(_INNER_STEPS):
        # Beyond that, rounding sends the direction into the null space, where steps are of any length.
        if size <= 1e-16 * start or not size:
            break
        image = direction @ matrices - matrices @ direction
        length = size / np.square(image).sum()
        solution = solution + length * direction
        residual = residual - length * image
        gradient = adjoint(residual)
        before, size = size, np.square(gradient).sum()
        direction = gradient + size / before * direction
    return solution
