"""The groups over which the laws are tested, each built once: the registered ones, and some that are made oddly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import equilatent as eq
from equilatent.groups import Group

ODD: dict[str, Callable[[], Group]] = {
    "alternating(2)": lambda: eq.groups.alternating(2),
    "product_of_one": lambda: eq.groups.direct_product(eq.groups.dihedral(3)),
    "product_with_trivial_factor": lambda: eq.groups.direct_product(
        eq.groups.direct_product(eq.groups.symmetric(3), eq.groups.cyclic(1)), eq.groups.cyclic(2)
    ),
    "permutations_intransitive": lambda: eq.groups.from_permutations(
        {"x": [1, 2, 0, 3, 4, 5], "y": [0, 2, 1, 3, 5, 4], "z": [0, 1, 2, 4, 3, 5]}
    ),
    "permutations_redundant": lambda: eq.groups.from_permutations([[0, 1, 2, 3], [1, 0, 3, 2], [1, 0, 3, 2]]),
    "presentation_heisenberg": lambda: eq.groups.from_presentation("a3, b3, [a, b] = z, z3, [a, z], [b, z]"),
    "table_trivial": lambda: eq.groups.from_table([[0]]),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of `G` on each registered group and on each odd one."""
    if "make_group" in metafunc.fixturenames:
        groups = {**eq.testing.GROUPS, **ODD}
        metafunc.parametrize("make_group", groups.values(), ids=groups.keys(), scope="session")


@pytest.fixture(scope="session")
def G(make_group: Callable[[], Group]) -> Group:
    """Each group in turn."""
    return make_group()
