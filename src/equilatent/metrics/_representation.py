"""How far matrices are from a representation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from equilatent.errors import NonFiniteError, RepresentationError
from equilatent.groups import Group
from equilatent.groups._words import format_word
from equilatent.reps import Representation
from equilatent.reps._constructors import homomorphism_defects, matrix_table, relator_defects, square_arrays
from equilatent.reps._representation import check_size

__all__ = ["RepresentationDefect", "representation_error"]


@dataclass(frozen=True)
class RepresentationDefect:
    """How far matrices are from a representation; every number is 0 for an exact one.

    Attributes:
        group: the group.
        mean_square: for each relator, by its word, the mean square of the entries of its matrix minus the identity.
        largest: for each relator the largest absolute entry of that difference; infinite if a matrix that the relator
            inverts is singular.
        homomorphism_mean_square: mean square of the entries of ρ(gx) − ρ(g)ρ(x) over all elements g and generators x;
            None for matrices of the generators alone.
        homomorphism_largest: the largest absolute entry of these differences, and of ρ(e) − 1; None for matrices of the
            generators alone.
    """

    group: Group
    mean_square: Mapping[str, float]
    largest: Mapping[str, float]
    homomorphism_mean_square: float | None = None
    homomorphism_largest: float | None = None

    @property
    def worst(self) -> float:
        """The largest absolute entry of all differences; 0 if there are none, as for matrices of no generators."""
        return max([*self.largest.values(), self.homomorphism_largest or 0.0])

    @property
    def worst_relator(self) -> str | None:
        """The relator with the largest entry; None for a group without relators."""
        return max(self.largest, key=self.largest.__getitem__, default=None)

    def __str__(self) -> str:
        text = f"largest entry by which a representation of {self.group.label} is missed: {self.worst:.3g}"
        if self.worst_relator is not None:
            text += f"; worst relator {self.worst_relator} ({self.largest[self.worst_relator]:.3g})"
        if self.homomorphism_largest is not None:
            text += f"; products of elements ({self.homomorphism_largest:.3g})"
        return text


def representation_error(
    group: Group, matrices: Tensor | Representation | Mapping[str, npt.ArrayLike | Tensor]
) -> RepresentationDefect:
    """How far matrices are from being a representation of the group: its relators, and the products of its elements.

    By its presentation, matrices of the generators are those of a representation just if every relator is the identity
    (paper, section 4).

    Args:
        group: the group.
        matrices: [d, d] for each generator, by name; or [order, d, d], one for each element; or a `Representation`.

    Raises:
        NonFiniteError: if a matrix holds NaN or infinity.
        RepresentationError: if a generator is missing, the matrices are not square and of one size, or a
            representation is one of another group.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(2)
    >>> print(eq.metrics.representation_error(G, {"r": [[0, 1], [0.5, 0]]}))
    largest entry by which a representation of C2 is missed: 0.5; worst relator r2 (0.5)
    >>> eq.metrics.representation_error(G, eq.reps.regular(G)).worst
    0.0
    """
    if isinstance(matrices, Mapping):
        arrays = square_arrays(group, matrices)
        for x, array in arrays.items():
            _check_finite(array, f"the matrix of {x!r}")
        return RepresentationDefect(group, *_relator_distances(group, arrays))
    table = _table(group, matrices)
    _check_finite(table, "the table of matrices")
    size = table.shape[1]
    squares, largest = [], [_largest(table[0] - np.eye(size))]
    for defect in homomorphism_defects(group, torch.from_numpy(table)):
        squares.append(_mean_square(defect.numpy()))
        largest.append(_largest(defect.numpy()))
    relators = _relator_distances(group, {x: table[g] for x, g in group.generators.items()})
    return RepresentationDefect(group, *relators, float(np.mean(squares)) if squares else 0.0, max(largest))


def _relator_distances(group: Group, arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, float], dict[str, float]]:
    """The mean square and the largest entry of each relator minus the identity."""
    defects = {format_word(word): defect for word, defect in relator_defects(group, arrays).items()}
    mean_square = {name: _mean_square(defect) for name, defect in defects.items()}
    return mean_square, {name: _largest(defect) for name, defect in defects.items()}


def _table(group: Group, matrices: Tensor | Representation) -> np.ndarray:
    """A matrix for each element, float64 or complex128 [order, d, d]."""
    if isinstance(matrices, Representation):
        if matrices.group != group:
            raise RepresentationError(
                f"the representation is one of {matrices.group.label}; it cannot be measured against {group.label}."
            )
        check_size(group, matrices.dim)
        matrices = matrices.matrix(group.elements)
    table = matrix_table(group, matrices)
    if not table.shape[1]:
        raise RepresentationError("matrices of 0×0 have no entries to be measured.")
    return table.numpy()


def _check_finite(array: np.ndarray, what: str) -> None:
    if not np.isfinite(array).all():
        raise NonFiniteError(f"{what} holds NaN or infinity; it cannot be measured.")


def _mean_square(difference: np.ndarray) -> float:
    return float(np.square(np.abs(difference)).mean())


def _largest(difference: np.ndarray) -> float:
    return float(np.abs(difference).max())
