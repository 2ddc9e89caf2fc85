"""The groups over which the laws are tested, each built once."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import equilatent as eq
from equilatent.groups import Group


def _reflections(*normals: tuple[float, ...]) -> list[np.ndarray]:
    """The mirrors of the planes with the given normals, which need not have length one."""
    rows = [np.array(normal) / np.linalg.norm(normal) for normal in normals]
    return [np.eye(len(row)) - 2 * np.outer(row, row) for row in rows]


def _icosahedral() -> Group:
    golden = (1 + math.sqrt(5)) / 2
    return eq.groups.from_matrices(_reflections((1, 0, 0), (-golden, 1 / golden, 1), (0, 0, 1)))


def _cube_with_mirrors() -> Group:
    return eq.groups.from_matrices({"x": np.diag([-1, 1, 1]), "c": np.roll(np.eye(3), 1, 0), "t": np.eye(3)[[1, 0, 2]]})


def _frobenius() -> Group:
    """The maps x → 2ʲx + i of the integers modulo 7, i + 7j, by their table."""
    index = np.arange(21)
    i, j = index % 7, index // 7
    shift = (i[:, None] + 2 ** j[:, None] * i) % 7
    return eq.groups.from_table(shift + 7 * ((j[:, None] + j) % 3))


def _nested_product() -> Group:
    inner = eq.groups.direct_product(eq.groups.symmetric(3), eq.groups.cyclic(1))
    return eq.groups.direct_product(eq.groups.cyclic(2), inner, eq.groups.cyclic(2))


BUILDERS: dict[str, Callable[[], Group]] = {
    **{f"cyclic({n})": lambda n=n: eq.groups.cyclic(n) for n in (1, 2, 6, 12)},
    **{f"dihedral({n})": lambda n=n: eq.groups.dihedral(n) for n in range(1, 7)},
    **{f"symmetric({n})": lambda n=n: eq.groups.symmetric(n) for n in range(1, 6)},
    **{f"alternating({n})": lambda n=n: eq.groups.alternating(n) for n in range(1, 6)},
    "klein_four": eq.groups.klein_four,
    "quaternion": eq.groups.quaternion,
    "octahedral": eq.groups.octahedral,
    "product_of_one": lambda: eq.groups.direct_product(eq.groups.dihedral(3)),
    "product_D4_C3": lambda: eq.groups.direct_product(eq.groups.dihedral(4), eq.groups.cyclic(3)),
    "product_Q8_A3": lambda: eq.groups.direct_product(eq.groups.quaternion(), eq.groups.alternating(3)),
    "product_nested": _nested_product,
    "permutations_intransitive": lambda: eq.groups.from_permutations(
        {"x": [1, 2, 0, 3, 4, 5], "y": [0, 2, 1, 3, 5, 4], "z": [0, 1, 2, 4, 3, 5]}
    ),
    "permutations_psl27": lambda: eq.groups.from_permutations([[1, 2, 3, 4, 5, 6, 0], [0, 1, 4, 6, 2, 5, 3]]),
    "permutations_redundant": lambda: eq.groups.from_permutations([[0, 1, 2, 3], [1, 0, 3, 2], [1, 0, 3, 2]]),
    "matrices_cube_with_mirrors": _cube_with_mirrors,
    "matrices_icosahedral": _icosahedral,
    "presentation_dicyclic": lambda: eq.groups.from_presentation("a6, b2 = a3, b a b^-1 = a^-1"),
    "presentation_binary_tetrahedral": lambda: eq.groups.from_presentation("a3 = b3, b3 = (a b)^2"),
    "presentation_heisenberg": lambda: eq.groups.from_presentation("a3, b3, [a, b] = z, z3, [a, z], [b, z]"),
    "table_frobenius": _frobenius,
    "table_trivial": lambda: eq.groups.from_table([[0]]),
}


@pytest.fixture(scope="session", params=BUILDERS.values(), ids=BUILDERS.keys())
def G(request: pytest.FixtureRequest) -> Group:
    """Each group of the list in turn."""
    return request.param()
