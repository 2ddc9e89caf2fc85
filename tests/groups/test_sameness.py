"""Which groups are equal, and that copies are."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable

import pytest
import torch

import equilatent as eq
from equilatent.groups import Group

COPIES: dict[str, Callable[[Group], Group]] = {
    "pickle": lambda G: pickle.loads(pickle.dumps(G)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
def test_copies_are_equal_and_multiply_alike(G: Group, copied: Callable[[Group], Group]) -> None:
    _ = G.table(), G.names, G.relators, G.conjugacy_classes  # what is remembered is copied too
    other = copied(G)
    assert other is not G
    assert other == G
    assert hash(other) == hash(G)
    assert (other.label, other.order, other.names, other.presentation) == (G.label, G.order, G.names, G.presentation)
    assert dict(other.generators) == dict(G.generators)
    assert torch.equal(other.table(), G.table())
    assert torch.equal(other.inverse(other.elements), G.inverse(G.elements))


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
def test_generators_of_a_copy_cannot_be_changed_either(copied: Callable[[Group], Group]) -> None:
    with pytest.raises(TypeError):
        copied(eq.groups.dihedral(3)).generators["r"] = 2  # type: ignore[index]


@pytest.mark.parametrize(
    "build",
    [
        lambda: eq.groups.cyclic(5),
        lambda: eq.groups.dihedral(5),
        lambda: eq.groups.symmetric(4),
        lambda: eq.groups.octahedral(),
        lambda: eq.groups.direct_product(eq.groups.symmetric(3), eq.groups.quaternion()),
        lambda: eq.groups.from_permutations({"x": [1, 2, 0], "y": [1, 0, 2]}),
        lambda: eq.groups.from_presentation("a3, b2, (a b)^2"),
        lambda: eq.groups.from_table([[0, 1], [1, 0]]),
    ],
)
def test_groups_made_twice_are_equal_and_hash_alike(build: Callable[[], Group]) -> None:
    assert build() == build()
    assert hash(build()) == hash(build())
    assert len({build(), build()}) == 1


def test_groups_that_differ_are_unequal() -> None:
    C2, C3, D3 = eq.groups.cyclic(2), eq.groups.cyclic(3), eq.groups.dihedral(3)
    groups = [
        *(C2, C3, D3),
        *(eq.groups.cyclic(6), eq.groups.dihedral(1), eq.groups.dihedral(2), eq.groups.dihedral(4)),
        *(eq.groups.klein_four(), eq.groups.quaternion(), eq.groups.symmetric(3), eq.groups.alternating(3)),
        *(eq.groups.direct_product(C2, C3), eq.groups.direct_product(C3, C2), eq.groups.direct_product(C2, C2)),
        eq.groups.direct_product(eq.groups.direct_product(C2, C2), C2),
        eq.groups.direct_product(C2, C2, C2),
    ]
    for first, second in itertools.combinations(groups, 2):
        assert first != second


def test_generators_of_other_names_make_another_group() -> None:
    images = [[1, 2, 0], [1, 0, 2]]
    named = eq.groups.from_permutations(dict(zip("xy", images, strict=True)))
    assert named != eq.groups.from_permutations(dict(zip("yx", images, strict=True)))
    assert named != eq.groups.from_permutations(images)


def test_equal_groups_hash_alike_in_whatever_order_their_generators_come() -> None:
    first = eq.groups.from_permutations({"x": [1, 2, 0], "y": [1, 0, 2]})
    second = eq.groups.from_permutations({"y": [1, 0, 2], "x": [1, 2, 0]})
    assert (first == second) <= (hash(first) == hash(second))


def test_labels_do_not_matter() -> None:
    assert eq.groups.from_table([[0, 1], [1, 0]], label="this") == eq.groups.from_table([[0, 1], [1, 0]], label="that")


def test_a_group_is_no_other_thing() -> None:
    assert eq.groups.cyclic(3) != 3
    assert eq.groups.cyclic(3) != "C3"
