"""The irreducible characters of any finite group."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from equilatent.errors import GroupTooLargeError, RepresentationError
from equilatent.groups import ConjugacyClasses, Group

__all__ = ["CharacterTable", "character_table"]

#: Products that are looked up at once while class sums are multiplied.
_PRODUCTS = 1 << 22
#: A matrix of this many classes squared is diagonalised.
_CLASSES = 4096
_ATTEMPTS = 20
_KINDS = {1: "real", 0: "complex", -1: "quaternionic"}


@dataclass(frozen=True)
class CharacterTable:
    """The irreducible complex characters of a group: one row each, one column for each conjugacy class.

    Rows are sorted by degree, the trivial character first; columns are in the order of the group's conjugacy
    classes.

    Attributes:
        group: the group.
        classes: its conjugacy classes.
        values: the characters at the classes' representatives; complex128 [irreps, classes].
    """

    group: Group
    classes: ConjugacyClasses
    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    @property
    def degrees(self) -> Tensor:
        """The dimensions of the irreducible representations; LongTensor [irreps]."""
        return self.values[:, 0].real.round().long()

    @functools.cached_property
    def kinds(self) -> tuple[str, ...]:
        """For each row ``"real"``, ``"complex"`` or ``"quaternionic"``, by the Frobenius–Schur indicator.

        The indicator (1/|G|) Σ_g χ(g²) is 1 if the representation can be written with real matrices, 0 if its character
        is not real, and −1 if the character is real but the matrices cannot be.
        """
        squares = self.classes.index[self.group.power(self.classes.representatives, 2)]
        indicators = (self.values[:, squares].real * self.classes.sizes).sum(1) / self.group.order
        return tuple(_KINDS[int(indicator.round())] for indicator in indicators)

    @functools.cached_property
    def powers(self) -> tuple[Tensor, ...]:
        """The powers h⁰, h¹, … of each class's representative h, as far as its order; LongTensors."""
        representatives = self.classes.representatives
        orders = self.group.element_order(representatives).tolist()
        pairs = zip(representatives, orders, strict=True)
        return tuple(self.group.power(h, torch.arange(order)) for h, order in pairs)

    def character(self, row: int) -> Tensor:
        """One character at every element; complex128 [order]."""
        return self.values[row, self.classes.index]

    def row_of(self, character: Tensor) -> int | None:
        """The row of an irreducible character given at every element, [order]; None if it is not irreducible."""
        differences = (self.values - self._at_classes(character)).abs().amax(1)
        row = int(differences.argmin())
        return row if differences[row] < 1e-6 * max(1, int(self.degrees[row])) else None

    def inner_products(self, character: Tensor) -> Tensor:
        """⟨χ, ψ⟩ = (1/|G|) Σ_g conj(χ(g)) ψ(g) of each row χ with a character ψ (paper, equation 3).

        Args:
            character: ψ at every element, [order].

        Returns:
            complex128 [irreps]; for the character of a representation, its complex multiplicities.

        >>> import equilatent as eq
        >>> G = eq.groups.dihedral(3)
        >>> eq.reps.character_table(G).inner_products(eq.reps.regular(G).character).real.round().tolist()
        [1.0, 1.0, 2.0]
        """
        return self.values.conj() @ (self._at_classes(character) * self.classes.sizes) / self.group.order

    def _at_classes(self, character: Tensor) -> Tensor:
        """The mean of a function on the group over each conjugacy class, complex128 [classes]."""
        if character.shape != (self.group.order,):
            raise RepresentationError(
                f"a character of {self.group.label} has a value for each of {self.group.order} elements; got shape "
                f"{list(character.shape)}."
            )
        sums = torch.zeros(len(self.classes), dtype=torch.complex128)
        sums.index_add_(0, self.classes.index, character.to("cpu", torch.complex128))
        return sums / self.classes.sizes

    def __str__(self) -> str:
        from equilatent.reps._irreps import irreps

        names = [rho.name for rho in irreps(self.group)]
        head = ["", *(self.group.name(int(g)) for g in self.classes.representatives)]
        counts = ["", *(str(int(size)) for size in self.classes.sizes)]
        rows = [[name, *map(_number, row)] for name, row in zip(names, self.values.tolist(), strict=True)]
        widths = [max(map(len, column)) for column in zip(head, counts, *rows, strict=True)]
        lines = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in (head, counts, *rows)]
        return "\n".join("  ".join(line) for line in lines)


def character_table(group: Group) -> CharacterTable:
    """The irreducible characters of a group, numerically, to about 1e-12; printed, they are a table.

    The tables of the last groups asked for are kept, and serve equal groups too, each under its own label.

    The irreducible characters are the common eigenvectors of convolution with class functions (Burnside; Dixon, "High speed
    computation of group characters", 1967). In the basis of class sums scaled to unit length, convolution with a random
    Hermitian class function is a Hermitian matrix, whose orthonormal eigenvectors are the characters, already of the
    right length.

    Args:
        group: any group that can be listed; time grows with its order times its number of classes.

    Raises:
        GroupTooLargeError: beyond 4,096 conjugacy classes.

    >>> import equilatent as eq
    >>> eq.reps.character_table(eq.groups.symmetric(4)).degrees.tolist()
    [1, 1, 2, 3, 3]
    >>> print(eq.reps.character_table(eq.groups.dihedral(3)))
              e   r   s
              1   2   3
     trivial  1   1   1
        sign  1   1  -1
    standard  2  -1   0
    """
    table = _computed_table(group)
    return table if table.group is group else dataclasses.replace(table, group=group)


@functools.lru_cache(maxsize=64)
def _computed_table(group: Group) -> CharacterTable:
    """The table of the first of all equal groups that was asked for."""
    classes = group.conjugacy_classes
    if len(classes) > _CLASSES:
        raise GroupTooLargeError(
            f"{group.label} has {len(classes)} conjugacy classes; character tables are made up to {_CLASSES}. The "
            "characters of a direct product are the products of those of its factors."
        )
    sizes = classes.sizes.double()
    inverse_class = classes.index[group.inverse(classes.representatives)]
    generator = torch.Generator().manual_seed(0)
    for _ in range(_ATTEMPTS):
        weights = torch.randn(len(classes), 2, dtype=torch.float64, generator=generator)
        weight = torch.view_as_complex(weights) / sizes.sqrt()
        weight = weight + weight[inverse_class].conj()
        matrix = _convolution(group, classes, weight) * (sizes[None, :] / sizes[:, None]).sqrt()
        eigenvalues, vectors = torch.linalg.eigh((matrix + matrix.mH) / 2)
        gaps = eigenvalues.diff()
        if len(classes) > 1 and gaps.min() < 1e-8 * eigenvalues.abs().max():
            continue  # two characters nearly share an eigenvalue of this combination; another one tells them apart
        values = vectors.T * (group.order / sizes).sqrt()
        values = values * (values[:, :1].abs() / values[:, :1])
        degrees = values[:, 0].real
        if (degrees - degrees.round()).abs().max() < 1e-6 and round(float((degrees.round() ** 2).sum())) == group.order:
            return CharacterTable(group, classes, _sorted(values))
    raise RepresentationError(
        f"the characters of {group.label} could not be told apart numerically. Please report this group."
    )


def _convolution(group: Group, classes: ConjugacyClasses, weight: Tensor) -> Tensor:
    """Convolution of the class sums with the class function f: A[j, k] = Σ_x f(x) [x⁻¹ z_k ∈ C_j]."""
    count = len(classes)
    f = weight[classes.index]
    inverses = group.inverse(group.elements)
    matrix = torch.zeros(count, count, dtype=torch.complex128)
    for chosen in torch.arange(count).split(max(1, _PRODUCTS // group.order)):
        reached = classes.index[group.product(inverses[:, None], classes.representatives[chosen])]
        part = torch.zeros(count, len(chosen), dtype=torch.complex128)
        part.scatter_add_(0, reached, f[:, None].expand(reached.shape).contiguous())
        matrix[:, chosen] = part
    return matrix


def _sorted(values: Tensor) -> Tensor:
    """Rows by degree, then by their values at each class in turn, larger real parts first; the trivial one leads."""
    keys = [tuple(round(number, 6) for entry in row.tolist() for number in (entry.real, entry.imag)) for row in values]
    order = sorted(range(len(values)), key=lambda i: (round(keys[i][0]), [-number + 0.0 for number in keys[i]]))
    return values[order]


def _number(value: complex) -> str:
    """A character's value in a few figures: whole numbers as such, others to three places."""
    real, imaginary = round(value.real, 3) + 0.0, round(value.imag, 3) + 0.0
    if not imaginary:
        return f"{real:g}"
    return f"{imaginary:g}i" if not real else f"{real:g}{imaginary:+g}i"
