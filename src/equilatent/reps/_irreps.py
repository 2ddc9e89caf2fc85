"""The irreducible representations of any finite group, complex and real."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.reps._character_table import CharacterTable, character_table
from equilatent.reps._constructors import permutation, sign
from equilatent.reps._irreducible_matrices import irreducible_matrices
from equilatent.reps._representation import MatrixRepresentation, Representation, check_size

__all__ = ["Field", "Irrep", "check_field", "irrep", "irreps"]

Field: TypeAlias = Literal["complex", "real"]

_CPU = torch.device("cpu")
#: Real dimension of the algebra of matrices that commute with a real irrep of each kind.
_ENDOMORPHISMS = {"real": 1, "complex": 2, "quaternionic": 4}


class Irrep(Representation):
    """An irreducible representation, by orthogonal or unitary matrices that are made when they are first needed.

    Unlike other representations, which are compared as modules are, by identity, irreps are compared by value: two are
    equal, and the same key of a dictionary, if they are the same irrep over the same field of equal groups. Their
    matrices are then the same too. (For the same up to a change of basis see `is_isomorphic`.) An irrep holds no
    parameters, buffers or submodules; its matrices follow the vectors to their device. So nothing is missed where
    PyTorch goes through the children of a module and, of two equal ones, visits the first alone.

    Over the complex numbers, irreps of real type have real matrices and all others complex ones. Over the real
    numbers every irrep has real matrices; one of complex or quaternionic type is a complex irrep of half its
    dimension, written in real and imaginary parts.

    Attributes:
        name: what it is called: ``"trivial"``; ``"sign"`` and ``"standard"`` where the group is naturally a group of
            permutations; else the dimension and a letter, as in ``"2b"``, in the order of the character table.
        field: ``"complex"`` or ``"real"``: over which numbers it is irreducible.
        kind: ``"real"``, ``"complex"`` or ``"quaternionic"``, by the Frobenius–Schur indicator.
        endomorphisms: the dimension over `field` of the algebra of matrices that commute with it: 1 over the complex
            numbers; 1, 2 or 4 over the real ones.
        rows: the rows of the character table that it consists of: one, or a row and its complex conjugate.
        repetition: how often each of them occurs in it: 2 for a real irrep of quaternionic type, else 1.
    """

    def __init__(self, table: CharacterTable, rows: tuple[int, ...], *, name: str, field: Field) -> None:
        degree, kind = int(table.degrees[rows[0]]), table.kinds[rows[0]]
        repetition = 2 if field == "real" and kind == "quaternionic" else 1
        super().__init__(table.group, degree * len(rows) * repetition, name)
        self.name = name
        self.field = field
        self.kind = kind
        self.endomorphisms = _ENDOMORPHISMS[kind] if field == "real" else 1
        self.rows = rows
        self.repetition = repetition
        self._table = table
        # Not registered as submodules: of two equal irreps in a model, `.to` would reach those of the first alone.
        self._dense: dict[torch.device, MatrixRepresentation] = {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Irrep):
            return NotImplemented
        return self is other or (self.field, self.rows, self.group) == (other.field, other.rows, other.group)

    def __hash__(self) -> int:
        return hash((self.field, self.rows, self.group))

    def __getstate__(self) -> dict[str, Any]:
        dense = {device: copy for device, copy in self._dense.items() if device == _CPU}
        return {**self.__dict__, "_dense": dense}

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        """The irrep itself, unless this very object has been listed already; an equal one does not count."""
        memo = set() if memo is None else memo
        if id(self) not in memo:
            if remove_duplicate:
                memo.add(id(self))
            yield prefix, self

    @property
    def is_complex(self) -> bool:
        """Whether it is one over the complex numbers, and not of real type."""
        return self.field == "complex" and self.kind != "real"

    @property
    def character(self) -> Tensor:
        """The character, from the character table; float64 [order], or complex128 if it is not real."""
        character = self.repetition * torch.stack([self._table.character(row) for row in self.rows]).sum(0)
        return character if self.kind == "complex" and self.field == "complex" else character.real

    def make_matrices(self, g: Tensor) -> Tensor:
        """The matrices of the elements."""
        return self._dense_on(g.device).make_matrices(g)

    def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        """The matrix of each sample's element times its vectors."""
        return self._dense_on(x.device).apply_blocks(x, g)

    @property
    def dense(self) -> MatrixRepresentation:
        """The same representation with its matrices at hand, on the CPU.

        Raises:
            GroupTooLargeError: if the matrices of all elements would take more than a gigabyte.
        """
        return self._dense_on(_CPU)

    def _dense_on(self, device: torch.device) -> MatrixRepresentation:
        if device not in self._dense:
            matrices = self._make_table() if device == _CPU else self.dense.matrices.to(device)
            self._dense[device] = MatrixRepresentation(self.group, matrices, label=self.label)
        return self._dense[device]

    def _make_table(self) -> Tensor:
        """The matrices of all elements on the CPU, float64 or complex128 [order, dim, dim]."""
        check_size(self.group, self.dim)
        matrices = irreducible_matrices(self._table, self.rows[0])
        if self.field == "complex" or not matrices.is_complex():
            return matrices
        above = torch.cat([matrices.real, -matrices.imag], dim=-1)
        below = torch.cat([matrices.imag, matrices.real], dim=-1)
        return torch.cat([above, below], dim=-2)


def irreps(group: Group, *, field: Field = "complex") -> tuple[Irrep, ...]:
    """The irreducible representations of a group, each once up to isomorphism.

    Sorted by dimension, the trivial one first; over the complex numbers in the order of `character_table`. Only
    characters are computed at once; the matrices of an irrep follow when they are used.

    Args:
        group: any group that has a character table.
        field: ``"complex"``, or ``"real"``: then conjugate pairs of irreps of complex type are one irrep of twice the
            dimension, and irreps of quaternionic type have twice the dimension.

    Raises:
        GroupTooLargeError: as `character_table`.

    >>> import equilatent as eq
    >>> [(rho.name, rho.dim, rho.kind) for rho in eq.reps.irreps(eq.groups.dihedral(3))]
    [('trivial', 1, 'real'), ('sign', 1, 'real'), ('standard', 2, 'real')]
    >>> [(rho.name, rho.dim, rho.kind) for rho in eq.reps.irreps(eq.groups.cyclic(3), field="real")]
    [('trivial', 1, 'real'), ('2a', 2, 'complex')]
    >>> [(rho.name, rho.dim, rho.kind) for rho in eq.reps.irreps(eq.groups.quaternion(), field="real")][-1]
    ('4a', 4, 'quaternionic')
    """
    check_field(field)
    table = character_table(group)
    kinds, degrees = table.kinds, table.degrees.tolist()
    if field == "complex":
        members: list[tuple[tuple[int, ...], int]] = [((row,), degrees[row]) for row in range(len(table))]
    else:
        members = [
            (rows, degrees[rows[0]] * (1 if kinds[rows[0]] == "real" else 2)) for rows in _conjugate_pairs(table)
        ]
        members.sort(key=lambda member: (member[1], member[0]))
    letters: Counter[int] = Counter()
    found = []
    known = _known_names(group, table)
    for rows, dim in members:
        letter = _letters(letters[dim])
        letters[dim] += 1
        found.append(Irrep(table, rows, name=known.get(rows[0], f"{dim}{letter}"), field=field))
    return tuple(found)


def irrep(group: Group, name: str, *, field: Field = "complex") -> Irrep:
    """The irreducible representation of that name.

    Raises:
        RepresentationError: if there is none; the message lists the names.

    >>> import equilatent as eq
    >>> eq.reps.irrep(eq.groups.symmetric(4), "standard").dim
    3
    """
    known = irreps(group, field=field)
    for rho in known:
        if rho.name == name:
            return rho
    raise RepresentationError(
        f"{group.label} has no {field} irreducible representation {name!r}; it has "
        f"{', '.join(rho.name for rho in known)}."
    )


def check_field(field: str) -> None:
    """Refuse what is no field."""
    if field not in get_args(Field):
        raise RepresentationError(f"field is 'complex' or 'real'; got {field!r}.")


def _conjugate_pairs(table: CharacterTable) -> Iterator[tuple[int, ...]]:
    """The rows that make up each real irrep: one row, or a row and its complex conjugate."""
    for row, kind in enumerate(table.kinds):
        if kind != "complex":
            yield (row,)
            continue
        partner = int((table.values - table.values[row].conj()).abs().sum(1).argmin())
        if partner > row:
            yield row, partner


def _known_names(group: Group, table: CharacterTable) -> dict[int, str]:
    """The rows that have a name of their own."""
    names: dict[int, str] = {}
    if group.natural:
        # Sign last: where it is also the standard representation, as for two points, it keeps the shorter name.
        for name, character in (("standard", permutation(group).character - 1), ("sign", sign(group).character)):
            row = table.row_of(character)
            if row is not None:
                names[row] = name
    names[0] = "trivial"
    return names


def _letters(number: int) -> str:
    """Letters to count with: a … z, aa, ab, …"""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = string.ascii_lowercase[rest] + letters
    return letters
