"""Closing a set of matrices under multiplication, numerically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from equilatent.errors import GroupError, GroupTooLargeError

__all__ = ["close_matrices"]


def close_matrices(generators: Mapping[str, np.ndarray], *, tolerance: float, max_order: int) -> dict[str, np.ndarray]:
    """The Cayley graph of the group that matrices generate.

    Returns:
        For each generator x the array [order] whose entry v is the number of v·x; the identity is number 0.
    """
    sizes = {matrix.shape for matrix in generators.values()}
    for name, matrix in generators.items():
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise GroupError(f"generator {name!r} is not a square matrix: its shape is {matrix.shape}.")
        if len(sizes) > 1:
            raise GroupError(f"the generators have different sizes: {sorted(sizes)}.")
        if not np.isfinite(matrix).all():
            raise GroupError(f"generator {name!r} holds NaN or infinity.")
        if abs(abs(np.linalg.det(matrix)) - 1) > max(1e-3, 10 * tolerance * len(matrix)):
            raise GroupError(
                f"generator {name!r} has determinant {np.linalg.det(matrix):.4g}; an element of a finite group has a "
                "determinant of absolute value 1 (a singular matrix has no inverse)."
            )
    stacked = np.stack(list(generators.values()))
    dim = stacked.shape[-1]
    # Matrices are compared only with their neighbours under a few fixed random projections.
    elements = np.eye(dim, dtype=stacked.dtype)[None]
    projections = np.random.default_rng(0).normal(size=(4, _entries(elements).shape[1]))
    projections /= np.abs(projections).sum(1, keepdims=True)
    first, steps = 0, [np.zeros(0, dtype=np.int64) for _ in generators]
    while first < len(elements):
        frontier = elements[first:]
        with np.errstate(over="ignore", invalid="ignore"):
            products = frontier[None] @ stacked[:, None]
        if not np.isfinite(products).all():
            raise GroupTooLargeError(
                "products of these matrices grow beyond all bounds: they generate an infinite group."
            )
        labels, fresh = _match(elements, products.reshape(-1, dim, dim), projections, tolerance)
        first = len(elements)
        elements = np.concatenate([elements, fresh])
        for number, label in enumerate(labels.reshape(len(stacked), -1)):
            steps[number] = np.concatenate([steps[number], label])
        if len(elements) > max_order:
            raise GroupTooLargeError(
                f"these matrices generate more than max_order={max_order} elements: they may generate an infinite group "
                f"(an angle that is no fraction of a full turn), or be less exact than tolerance={tolerance:g}."
            )
    return dict(zip(generators, steps, strict=True))


def _entries(matrices: np.ndarray) -> np.ndarray:
    """The entries of each matrix as real numbers, [n, d²]; of complex matrices their two parts, [n, 2·d²]."""
    return np.ascontiguousarray(matrices).reshape(len(matrices), -1).view(np.float64)


def _match(
    known: np.ndarray, candidates: np.ndarray, projections: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """For each candidate the number of the element it is, counting the new ones, which are returned too, after the known."""
    matrices = np.concatenate([known, candidates])
    flat = _entries(matrices)
    cluster = np.zeros(len(matrices), dtype=np.int64)
    for keys in projections @ flat.T:
        order = np.lexsort((keys, cluster))
        apart = (np.diff(keys[order]) > tolerance) | (np.diff(cluster[order]) > 0)
        cluster[order] = np.concatenate([[0], np.cumsum(apart)])
    # The first matrix of a cluster stands for it, so that a known element keeps its number.
    standing = np.full(int(cluster.max()) + 1, len(matrices))
    np.minimum.at(standing, cluster, np.arange(len(matrices)))
    different = np.abs(flat - flat[standing[cluster]]).max(1) > tolerance
    twice = np.bincount(cluster[: len(known)]).max() > 1
    if different.any() or twice:
        raise GroupError(
            f"products of these matrices come so close to each other that tolerance={tolerance:g} cannot tell which are "
            "equal. Give more exact matrices, and a tolerance between their error and the distance of the elements."
        )
    fresh = np.unique(standing[standing >= len(known)])
    number = np.empty(len(matrices), dtype=np.int64)
    number[: len(known)] = np.arange(len(known))
    number[fresh] = len(known) + np.arange(len(fresh))
    return number[standing[cluster[len(known) :]]], matrices[fresh]
