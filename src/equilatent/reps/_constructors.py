"""Named representations, sums, and representations from images of the generators."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.groups._arrays import as_array
from equilatent.groups._homomorphism import broken_relator, extend_matrices, extend_permutations
from equilatent.groups._words import Word, format_word
from equilatent.reps._representation import (
    DirectSumRepresentation,
    MatrixRepresentation,
    PermutationRepresentation,
    Representation,
    TrivialRepresentation,
    check_size,
)

__all__ = [
    "direct_sum",
    "from_matrices",
    "homomorphism_defects",
    "is_representation",
    "matrix_table",
    "multiple",
    "padded_regular",
    "permutation",
    "regular",
    "relator_defects",
    "relator_errors",
    "sign",
    "square_arrays",
    "trivial",
]

#: A left action on points 0 … m−1: the images under each generator, or under each element as integers [order, m].
Points: TypeAlias = "Mapping[str, Sequence[int]] | Tensor"

#: Matrices are compared for so many elements at once that a block of them has about this many entries.
_ENTRIES = 1 << 22


def trivial(group: Group) -> Representation:
    """The one-dimensional representation in which every element is 1.

    >>> import equilatent as eq
    >>> eq.reps.trivial(eq.groups.cyclic(3)).character.tolist()
    [1.0, 1.0, 1.0]
    """
    return TrivialRepresentation(group)


def regular(group: Group) -> Representation:
    """The regular representation (paper, equation 1): e_h goes to e_{gh}; its dimension is the order of the group.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(3)
    >>> rho = eq.reps.regular(G)
    >>> rho(torch.tensor([[10., 11., 12.]]), torch.tensor([G["r"]]))
    tensor([[12., 10., 11.]])
    """
    return PermutationRepresentation(group, None, label="regular")


def sign(group: Group, values: Mapping[str, int] | None = None) -> Representation:
    """A one-dimensional representation by signs.

    Args:
        group: the group.
        values: 1 or −1 for each generator. By default the parity of the permutation by which the group is naturally
            known (paper, section 3): permutation groups as they are, C_n and D_n on the corners of the n-gon.

    Raises:
        RepresentationError: if the group is not naturally known as a group of permutations and no values are given, or
            if the values break a relator.

    >>> import equilatent as eq
    >>> eq.reps.sign(eq.groups.dihedral(3)).character.tolist()
    [1.0, 1.0, 1.0, -1.0, -1.0, -1.0]
    """
    if values is None:
        if group.natural is None:
            raise RepresentationError(
                f"{group.label} is not naturally a group of permutations, so it has no one sign. Say which is meant, "
                f"with a value for each generator: sign(G, {{{', '.join(f'{x!r}: ±1' for x in group.generators)}}})."
            )
        values = {x: _parity(images) for x, images in group.natural.items()}
    _check_names(group, values, "sign")
    if any(value not in (1, -1) for value in values.values()):
        raise RepresentationError(f"signs are 1 or −1; got {dict(values)}.")
    dense = from_matrices(group, {x: [[value]] for x, value in values.items()})
    signs = dense.matrix(group.elements)[:, 0].round().to(torch.int8)
    return PermutationRepresentation(group, torch.zeros(group.order, 1, dtype=torch.long), signs=signs, label="sign")


def permutation(group: Group, points: Points | None = None, *, label: str = "permutation") -> Representation:
    """The permutation representation of a set on which the group acts: e_i goes to e_{g·i}.

    Args:
        group: the group.
        points: the images of the points 0 … m−1 under each generator, or under each element as LongTensor [order, m].
            By default the points by which the group is naturally known.
        label: how the representation is printed.

    Raises:
        RepresentationError: if a generator is missing, its images are no permutation, or a relator (or a product of
            two elements) does not hold; the message names it.

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> corners = eq.reps.permutation(G, {"r": [1, 2, 3, 0], "s": [0, 3, 2, 1]})
    >>> corners.character.tolist()
    [4.0, 0.0, 0.0, 0.0, 2.0, 0.0, 2.0, 0.0]
    """
    return PermutationRepresentation(group, point_images(group, points), label=label)


def point_images(group: Group, points: Points | None) -> Tensor:
    """The images g·i of all points under all elements, LongTensor [order, m], checked to be a left action."""
    if points is None:
        if group.natural is None:
            raise RepresentationError(
                f"{group.label} is not naturally a group of permutations. Say how its generators "
                f"({', '.join(group.generators)}) permute the points."
            )
        points = group.natural
    if isinstance(points, Tensor):
        _check_point_table(group, points)
        return points.long()
    _check_names(group, points, "permutation")
    try:
        images = {x: np.array([operator.index(i) for i in image], dtype=np.int64) for x, image in points.items()}
    except TypeError as error:
        raise RepresentationError("the images of points are sequences of integers, one for each generator.") from error
    size = max((len(image) for image in images.values()), default=1)
    for x, image in images.items():
        if sorted(image.tolist()) != list(range(size)):
            raise RepresentationError(f"generator {x!r} does not permute the points 0 … {size - 1}: {image.tolist()}.")
    broken = broken_relator(group, images)
    if broken is not None:
        raise RepresentationError(
            f"these permutations are no action of {group.label}: the relator {format_word(broken)} should fix every "
            "point and does not. Check the images, and that r s means first s, then r."
        )
    return torch.from_numpy(extend_permutations(group, images, size))


def _check_point_table(group: Group, table: Tensor) -> None:
    integers = not (table.is_floating_point() or table.is_complex() or table.dtype == torch.bool)
    if table.ndim != 2 or len(table) != group.order or not integers:
        raise RepresentationError(
            f"points of {group.label} are integers [{group.order}, m], the images under each element; got "
            f"{table.dtype} {list(table.shape)}."
        )
    everything = torch.arange(table.shape[1])
    if not torch.equal(table[0], everything) or not torch.equal(table.sort(1).values, everything.expand_as(table)):
        raise RepresentationError("the images of the points are no permutations, or the identity moves a point.")
    for x, g in group.generators.items():
        if not torch.equal(table[group.product(group.elements, g)], table[:, table[g]]):
            raise RepresentationError(f"the images of the points are no left action: some (g·{x})·i is not g·({x}·i).")


def from_matrices(
    group: Group, matrices: Mapping[str, npt.ArrayLike | Tensor], *, tolerance: float = 1e-6, label: str = "matrices"
) -> Representation:
    """The representation with given matrices on the generators.

    Args:
        group: the group.
        matrices: a real or complex matrix [d, d] for each generator.
        tolerance: how far a relator may be from the identity, in its largest entry.
        label: how the representation is printed.

    Raises:
        RepresentationError: if a generator is missing, the matrices are not square or of one size, hold NaN, are
            singular, or break a relator; the message names the relator and the error.

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(3)
    >>> eq.reps.from_matrices(G, G.defining, label="standard").character.round().tolist()
    [2.0, -1.0, -1.0, 0.0, 0.0, 0.0]
    """
    arrays = square_arrays(group, matrices)
    for x, array in arrays.items():
        if not np.isfinite(array).all():
            raise RepresentationError(f"the matrix of {x!r} holds NaN or infinity.")
        if np.linalg.matrix_rank(array) < len(array):
            raise RepresentationError(f"the matrix of {x!r} is singular; group elements act invertibly.")
    dim = next(iter(arrays.values())).shape[0] if arrays else 1
    check_size(group, dim)
    for word, error in relator_errors(group, arrays).items():
        if not error <= tolerance:
            raise RepresentationError(
                f"these matrices are no representation of {group.label}: the relator {format_word(word)} differs from "
                f"the identity by {error:.3g} (tolerance {tolerance:g})."
            )
    return MatrixRepresentation(group, torch.from_numpy(extend_matrices(group, arrays)), label=label)


def relator_errors(group: Group, matrices: Mapping[str, npt.ArrayLike | Tensor]) -> dict[Word, float]:
    """How far each relator of the group is from the identity under the given matrices: its largest entry."""
    defects = relator_defects(group, square_arrays(group, matrices))
    return {word: float(np.abs(defect).max()) for word, defect in defects.items()}


def relator_defects(group: Group, arrays: Mapping[str, np.ndarray]) -> dict[Word, np.ndarray]:
    """Each relator under matrices of the generators, minus the identity."""
    defects = {}
    for word in group.relators:
        product = identity = np.eye(len(next(iter(arrays.values()))))
        try:
            for x, exponent in word:
                product = product @ np.linalg.matrix_power(arrays[x], exponent)
        except np.linalg.LinAlgError:  # a singular matrix has no inverse, so the relator does not hold
            product = np.full_like(identity, np.inf)
        defects[word] = product - identity
    return defects


def homomorphism_defects(group: Group, table: Tensor) -> Iterator[Tensor]:
    """For each generator x the differences ρ(gx) − ρ(g)ρ(x) over all elements g, [order, d, d]."""
    for x in group.generators.values():
        yield table[group.product(group.elements, x)] - table @ table[x]


def matrix_table(group: Group, matrices: Tensor) -> Tensor:
    """Matrices of all elements as float64 or complex128 [order, d, d] on the CPU, refused if they have another shape."""
    if not isinstance(matrices, Tensor):
        raise RepresentationError(
            f"matrices are given for the generators by name, as a tensor [{group.order}, d, d] or as a representation; "
            f"got {type(matrices).__name__}."
        )
    if matrices.ndim != 3 or len(matrices) != group.order or matrices.shape[1] != matrices.shape[2]:
        raise RepresentationError(
            f"expected a square matrix for each of the {group.order} elements of {group.label}; got "
            f"{list(matrices.shape)}."
        )
    return matrices.detach().to("cpu", torch.complex128 if matrices.is_complex() else torch.float64)


def is_representation(
    group: Group, matrices: Tensor | Representation | Mapping[str, npt.ArrayLike | Tensor], *, tolerance: float = 1e-6
) -> bool:
    """Whether matrices are a representation of the group, up to a tolerance in the largest entry.

    Args:
        group: the group.
        matrices: [order, d, d], one for each element; or one for each generator, by name; or a `Representation`.
        tolerance: the largest entry that ρ(gx) − ρ(g)ρ(x), or a relator minus the identity, may have.

    >>> import torch, equilatent as eq
    >>> eq.reps.is_representation(eq.groups.cyclic(2), {"r": [[0, 1], [1, 0]]})
    True
    >>> eq.reps.is_representation(eq.groups.cyclic(2), {"r": [[0, 1], [-1, 0]]})
    False
    """
    if isinstance(matrices, Mapping):
        return all(error <= tolerance for error in relator_errors(group, matrices).values())
    matrix: Callable[[Tensor], Tensor]
    if isinstance(matrices, Representation):
        matrix, dim = matrices.matrix, matrices.dim
    else:
        table = matrix_table(group, matrices)
        matrix, dim = table.__getitem__, table.shape[1]
    if not dim:
        return True
    images = {g: matrix(torch.tensor(g)) for g in group.generators.values()}
    identity = matrix(torch.tensor(0))
    worst = (identity - torch.eye(dim, dtype=identity.dtype)).abs().max()
    for elements in group.elements.split(max(1, _ENTRIES // dim**2)):
        before = matrix(elements)
        for g, image in images.items():
            defect = matrix(group.product(elements, g)) - before @ image
            worst = torch.maximum(worst, defect.abs().max())
    return bool(worst <= tolerance)


def direct_sum(*representations: Representation) -> Representation:
    """ρ₁ ⊕ ρ₂ ⊕ …, acting on vectors one behind the other (paper, equation 2).

    >>> import equilatent as eq
    >>> G = eq.groups.cyclic(2)
    >>> eq.reps.direct_sum(eq.reps.regular(G), eq.reps.trivial(G)).dim
    3
    """
    blocks: list[tuple[Representation, int]] = []
    for rho in representations:
        blocks += rho.blocks if isinstance(rho, DirectSumRepresentation) else [(rho, 1)]
    return DirectSumRepresentation(blocks)


def multiple(rho: Representation, copies: int) -> Representation:
    """k·ρ: k copies of ρ one behind the other.

    >>> import equilatent as eq
    >>> eq.reps.multiple(eq.reps.regular(eq.groups.dihedral(4)), 3)
    DirectSumRepresentation(3 regular of D4, dim=24)
    """
    return DirectSumRepresentation([(rho, copies)])


def padded_regular(group: Group, dim: int) -> Representation:
    """As many copies of the regular representation as fit, the rest trivial (paper, equation 5).

    ρ = k·regular ⊕ r·trivial with d = k·|G| + r and 0 ≤ r < |G|.

    Raises:
        RepresentationError: if not even one copy fits.

    >>> import equilatent as eq
    >>> D4 = eq.groups.dihedral(4)
    >>> eq.reps.padded_regular(eq.groups.direct_product(D4, D4), 66).label
    'regular ⊕ 2 trivial'
    """
    copies, rest = divmod(dim, group.order)
    if copies < 1:
        raise RepresentationError(
            f"{dim} features cannot hold one copy of the regular representation of {group.label}, which has "
            f"{group.order} dimensions. Widen the layer to at least {group.order} features, impose a subgroup, or pass "
            "another representation."
        )
    blocks = [(regular(group), copies), (trivial(group), rest)]
    return DirectSumRepresentation(blocks if rest else blocks[:1])


def square_arrays(group: Group, matrices: Mapping[str, npt.ArrayLike | Tensor]) -> dict[str, np.ndarray]:
    """One matrix for each generator as float64 or complex128 arrays, refused unless square and of one size."""
    _check_names(group, matrices, "matrices")
    arrays = {x: as_array(value) for x, value in matrices.items()}
    sizes = {array.shape for array in arrays.values()}
    for x, array in arrays.items():
        if array.ndim != 2 or array.shape[0] != array.shape[1] or len(sizes) > 1:
            raise RepresentationError(
                f"the matrices of a representation are square and of one size; {x!r} has shape {array.shape}."
            )
    return arrays


def _check_names(group: Group, images: Mapping[str, object], what: str) -> None:
    if set(images) != set(group.generators):
        raise RepresentationError(
            f"{what} of {group.label} are given by its generators {', '.join(group.generators) or '(none)'}; got "
            f"{', '.join(map(str, images)) or 'nothing'}."
        )


def _parity(images: Sequence[int]) -> int:
    return -1 if sum(a > b for i, a in enumerate(images) for b in images[i + 1 :]) % 2 else 1
