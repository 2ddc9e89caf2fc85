"""Maps out of a group that are given on its generators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from equilatent.errors import GroupError
from equilatent.groups._words import Word, format_word

if TYPE_CHECKING:
    from equilatent.groups._group import Group

__all__ = ["broken_relator", "extend", "extend_matrices", "extend_permutations", "homomorphism"]


def extend(
    group: Group,
    images: Mapping[str, np.ndarray],
    multiply: Callable[[np.ndarray, np.ndarray], np.ndarray],
    identity: np.ndarray,
) -> np.ndarray:
    """The images of all elements, [order, …], from those of the generators, along the spanning tree of shortest words."""
    tree = group.spanning_tree
    extended = np.empty((group.order, *identity.shape), dtype=identity.dtype)
    extended[0] = identity
    for level in tree.levels():
        for number, x in enumerate(tree.generators):
            children = level[tree.generator[level] == number]
            extended[children] = multiply(extended[tree.parent[children]], images[x])
    return extended


def broken_relator(group: Group, permutations: Mapping[str, np.ndarray]) -> Word | None:
    """The first relator that given permutations of points break, or None if they are an action of the group."""
    for word in group.relators:
        moved: np.ndarray | None = None
        for x, exponent in word:
            step = permutations[x] if exponent > 0 else np.argsort(permutations[x])
            for _ in range(abs(exponent)):
                moved = step if moved is None else moved[step]
        if moved is not None and (moved != np.arange(len(moved))).any():
            return word
    return None


def extend_permutations(group: Group, permutations: Mapping[str, np.ndarray], points: int) -> np.ndarray:
    """The permutations of all elements, [order, points], from those of the generators."""
    return extend(group, permutations, lambda left, right: left[:, right], np.arange(points))


def extend_matrices(group: Group, matrices: Mapping[str, np.ndarray]) -> np.ndarray:
    """The matrices of all elements, float64 or complex128 [order, d, d], from those of the generators."""
    dim = next((len(matrix) for matrix in matrices.values()), 1)
    dtype = np.result_type(np.float64, *matrices.values())
    return extend(group, matrices, lambda left, right: left @ right, np.eye(dim, dtype=dtype))


def homomorphism(source: Group, target: Group, images: Mapping[str, int | str]) -> Tensor:
    """The homomorphism that sends the generators of one group to given elements of another.

    Args:
        source: the group that is mapped.
        target: the group it is mapped into.
        images: for each generator of `source`, its image, as an element or as a word in the generators of `target`.

    Returns:
        The image of each element of `source`, a LongTensor.

    Raises:
        GroupError: if a generator is missing, or if a relator of `source` is not mapped to the identity; named.

    >>> import equilatent as eq
    >>> S3, D3 = eq.groups.symmetric(3), eq.groups.dihedral(3)
    >>> images = eq.groups.homomorphism(D3, S3, {"r": "c", "s": "t"})
    >>> len(set(images.tolist()))
    6
    """
    if set(images) != set(source.generators):
        raise GroupError(
            f"a homomorphism from {source.label} is given by the images of its generators "
            f"{', '.join(source.generators) or '(none)'}; got {', '.join(map(str, images)) or 'none'}."
        )
    elements = {x: target[image] if isinstance(image, str) else target.power(image, 1) for x, image in images.items()}
    for word in source.relators:
        image = 0
        for x, exponent in word:
            image = target.product(image, target.power(elements[x], exponent))
        if image:
            raise GroupError(
                f"no homomorphism from {source.label} to {target.label}: the relator {format_word(word)} is mapped to "
                f"{target.name(image)!r} instead of the identity."
            )

    def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        product: np.ndarray = target.product(torch.from_numpy(left), int(right)).numpy()
        return product

    mapped = extend(source, {x: np.array(g) for x, g in elements.items()}, multiply, np.array(0))
    return torch.from_numpy(mapped)
