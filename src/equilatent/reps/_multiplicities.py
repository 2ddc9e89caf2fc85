"""How often each irreducible representation occurs in a representation, exact or approximate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy.typing as npt
import torch
from torch import Tensor

from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.groups._homomorphism import extend_matrices
from equilatent.reps._character_table import character_table
from equilatent.reps._constructors import homomorphism_defects, matrix_table, square_arrays
from equilatent.reps._irreps import Field, Irrep, irreps
from equilatent.reps._representation import Representation, check_size

__all__ = ["Multiplicities", "is_isomorphic", "multiplicities"]

#: Up to this difference from whole numbers, multiplicities are printed as whole numbers.
_WHOLE = 1e-6
#: So many elements are tried when a representation that is one by its making is checked once more; in large dimensions
#: fewer, for so many entries of vectors in all, but never fewer than the last number.
_TRIED, _TRIED_ENTRIES, _LEAST_TRIED = 64, 1 << 20, 8


class Multiplicities(Mapping[Irrep, float]):
    """How often each irrep occurs: a mapping from irreps to real numbers, which also answers to the irreps' names.

    For a representation they are whole numbers; for approximate matrices they are ⟨χ_σ, χ⟩ of the characters as they
    are. Printed, a whole result is a sum of irreps that `parse` reads back.

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(3)
    >>> counts = eq.reps.multiplicities(eq.reps.padded_regular(G, 13))
    >>> print(counts)
    3 trivial ⊕ 2 sign ⊕ 4 standard
    >>> round(counts["standard"]), {rho.name: round(value) for rho, value in counts.items()}
    (4, {'trivial': 3, 'sign': 2, 'standard': 4})

    Attributes:
        group: the group.
        residual: how far the matrices are from a representation: the root mean square over elements g and generators x
            of ‖ρ(gx) − ρ(g)ρ(x)‖ / √d in the Frobenius norm. 0 for a representation; about 1 where ρ(g)ρ(x) is as far
            from ρ(gx) as from 0.
    """

    def __init__(self, known: Sequence[Irrep], values: Sequence[float], residual: float) -> None:
        self.group: Group = known[0].group
        self.residual = residual
        self._values = {rho: float(value) for rho, value in zip(known, values, strict=True)}

    def __getitem__(self, irrep: Irrep | str) -> float:
        return self.as_floats()[irrep] if isinstance(irrep, str) else self._values[irrep]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Multiplicities):
            return NotImplemented
        return self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Irrep]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def as_floats(self) -> dict[str, float]:
        """The multiplicities by the irreps' names."""
        return {rho.name: value for rho, value in self._values.items()}

    @property
    def is_whole(self) -> bool:
        """Whether all are whole numbers ≥ 0, to 1e-6, as for any representation."""
        return all(abs(value - round(value)) < _WHOLE and round(value) >= 0 for value in self._values.values())

    def __str__(self) -> str:
        if self.is_whole:
            counts = [(rho.name, round(value)) for rho, value in self._values.items()]
            terms = [name if count == 1 else f"{count} {name}" for name, count in counts if count]
            return " ⊕ ".join(terms) or "0"
        terms = [f"{value:.2f} {rho.name}" for rho, value in self._values.items()]
        return f"{' + '.join(terms)} (residual {self.residual:.1e})"

    def __repr__(self) -> str:
        return f"Multiplicities({self} of {self.group.label})"


def multiplicities(
    rho: Representation | Tensor | Mapping[str, npt.ArrayLike | Tensor],
    group: Group | None = None,
    *,
    field: Field = "complex",
) -> Multiplicities:
    """How often each irreducible representation occurs in ρ (paper, section 3).

    The multiplicity of a complex irrep σ is ⟨χ_σ, χ_ρ⟩ = (1/|G|) Σ_g conj(χ_σ(g)) χ_ρ(g). Of a real irrep it is that
    divided by the dimension of the algebra of matrices that commute with it: 1, 2 or 4 for real, complex or quaternionic
    type.

    Args:
        rho: a representation; or approximate matrices, such as learned ones: one for each generator by name (extended to
            the group along shortest words), or [order, d, d], one for each element.
        group: the group, for matrices.
        field: ``"complex"`` or ``"real"``; a complex representation has no real multiplicities.

    Raises:
        RepresentationError: for matrices without a group, of the wrong shape, or holding NaN; for a complex
            representation over the real numbers.

    >>> import torch, equilatent as eq
    >>> C4 = eq.groups.cyclic(4)
    >>> print(eq.reps.multiplicities(eq.reps.regular(C4), field="real"))
    trivial ⊕ sign ⊕ 2a
    >>> learned = {"r": eq.reps.regular(C4).matrix(1) + 0.02 * torch.eye(4)}
    >>> print(eq.reps.multiplicities(learned, C4))
    1.02 trivial + 1.00 1b + 1.00 1c + 0.98 sign (residual 4.0e-02)
    """
    if isinstance(rho, Representation):
        if group is not None and group != rho.group:
            raise RepresentationError(f"this is a representation of {rho.group.label}, not of {group.label}.")
        group, character, residual = rho.group, rho.character, _representation_residual(rho)
        is_complex = rho.is_complex
    else:
        if group is None:
            raise RepresentationError("matrices need their group: multiplicities(matrices, G).")
        table = _element_matrices(group, rho)
        character, residual = table.diagonal(dim1=-2, dim2=-1).sum(-1), _table_residual(group, table)
        is_complex = table.is_complex() and bool(table.imag.abs().max() > _WHOLE)
    known = irreps(group, field=field)
    character = character.cpu()
    complex_ones = character_table(group).inner_products(character).real
    # A real irrep of dimension e over its endomorphisms holds complex ones e times in all: a conjugate pair once each,
    # one of quaternionic type twice.
    values = [float(complex_ones[list(sigma.rows)].mean()) / sigma.repetition for sigma in known]
    counts = Multiplicities(known, values, residual)
    # A complex representation may still be a real one in another basis; then its character is real and all is whole.
    if field == "real" and is_complex and not (counts.is_whole and _is_real(character)):
        raise RepresentationError("this complex representation is no sum of real irreps. Use field='complex'.")
    return counts


def is_isomorphic(rho: Representation, sigma: Representation, *, tolerance: float = 1e-6) -> bool:
    """Whether two representations of one group are the same up to a change of basis, that is, have one character.

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(3)
    >>> eq.reps.is_isomorphic(eq.reps.permutation(G), eq.reps.direct_sum(eq.reps.trivial(G), eq.reps.standard(G)))
    True
    """
    if rho.group != sigma.group:
        raise RepresentationError(
            f"isomorphic representations belong to one group; got {rho.group.label} and {sigma.group.label}."
        )
    return rho.dim == sigma.dim and bool((rho.character - sigma.character).abs().max() <= tolerance * rho.dim)


def _is_real(character: Tensor) -> bool:
    return not character.is_complex() or bool(character.imag.abs().max() <= _WHOLE)


def _element_matrices(group: Group, matrices: Tensor | Mapping[str, npt.ArrayLike | Tensor]) -> Tensor:
    """Approximate matrices of all elements, float64 or complex128 [order, d, d]."""
    if isinstance(matrices, Mapping):
        arrays = square_arrays(group, matrices)
        check_size(group, next((len(array) for array in arrays.values()), 1))
        table = torch.from_numpy(extend_matrices(group, arrays))
    else:
        table = matrix_table(group, matrices)
    if not table.isfinite().all():
        raise RepresentationError("the matrices hold NaN or infinity.")
    return table


def _table_residual(group: Group, table: Tensor) -> float:
    if not table.shape[-1]:
        return 0.0
    total = 0.0
    for defect in homomorphism_defects(group, table):
        total += float(defect.abs().square().mean(0).sum())
    return math.sqrt(total / max(1, len(group.generators)) / table.shape[-1])


def _representation_residual(rho: Representation) -> float:
    """The same for a representation that need not have matrices: on random vectors, moved by some of the elements."""
    if not rho.dim:
        return 0.0
    group, generator = rho.group, torch.Generator().manual_seed(0)
    count = min(_TRIED, max(_LEAST_TRIED, _TRIED_ENTRIES // rho.dim))
    tried = group.sample(min(count, group.order), generator=generator)
    vectors = torch.randn(len(tried), rho.dim, generator=generator, dtype=torch.float64)
    if rho.is_complex:
        vectors = vectors.to(torch.complex128)
    total = 0.0
    for g in group.generators.values():
        one = torch.full_like(tried, g)
        defect = rho(vectors, group.product(tried, g)) - rho(rho(vectors, one), tried)
        total += float(defect.abs().square().mean())
    return math.sqrt(total / max(1, len(group.generators)))
