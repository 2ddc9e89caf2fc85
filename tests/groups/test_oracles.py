"""The groups against other libraries, and against facts that others have proved."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
import scipy.spatial.transform
import sympy.combinatorics.named_groups as named
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy.combinatorics import Permutation, PermutationGroup
from sympy.functions.combinatorial.numbers import partition

import equilatent as eq
from equilatent.groups import Group

FAMILIES = {
    "cyclic": (eq.groups.cyclic, named.CyclicGroup, (1, 2, 6, 12)),
    "dihedral": (eq.groups.dihedral, named.DihedralGroup, range(1, 9)),
    "symmetric": (eq.groups.symmetric, named.SymmetricGroup, range(1, 6)),
    "alternating": (eq.groups.alternating, named.AlternatingGroup, range(1, 6)),
}
MEMBERS = [pytest.param(*pair, n, id=f"{name}({n})") for name, (*pair, sizes) in FAMILIES.items() for n in sizes]
M11 = ([*range(1, 11), 0], [0, 1, 6, 9, 5, 3, 10, 2, 8, 4, 7])


def _matrices(G: Group) -> np.ndarray:
    """The matrix of every element, multiplied along its word: [order, d, d]."""
    assert G.defining is not None
    dim = next(iter(G.defining.values())).shape[0]
    matrices = []
    for g in range(G.order):
        powers = (np.linalg.matrix_power(G.defining[x], k) for x, k in G.word(g))
        matrices.append(functools.reduce(np.matmul, powers, np.eye(dim)))
    return np.stack(matrices)


def _parity(images: Iterable[int]) -> int:
    return sum(i > j for i, j in itertools.combinations(images, 2)) % 2


@pytest.mark.parametrize(("ours", "theirs", "n"), MEMBERS)
def test_families_agree_with_sympy(ours: object, theirs: object, n: int) -> None:
    G, H = ours(n), theirs(n)  # type: ignore[operator]
    assert H.order() == G.order
    assert G.is_abelian == H.is_abelian
    classes = H.conjugacy_classes()
    assert len(G.conjugacy_classes) == len(classes)
    orders = G.element_order(G.conjugacy_classes.representatives).tolist()
    expected = Counter((next(iter(members)).order(), len(members)) for members in classes)
    assert Counter(zip(orders, G.conjugacy_classes.sizes.tolist(), strict=True)) == expected


@pytest.mark.parametrize("n", range(1, 8))
def test_symmetric_groups_have_a_class_for_each_partition(n: int) -> None:
    assert len(eq.groups.symmetric(n).conjugacy_classes) == partition(n)


@pytest.mark.parametrize("n", [3, 4, 6, 7, 8])
def test_symmetric_group_composes_permutations_in_lexicographic_order(n: int) -> None:
    G = eq.groups.symmetric(n)
    images = torch.tensor(list(itertools.permutations(range(n))))
    a, b = G.sample((2, 2000), generator=torch.Generator().manual_seed(0))
    assert torch.equal(images[G.product(a, b)], images[a].gather(1, images[b]))  # first b, then a
    assert torch.equal(images[G.inverse(a)], images[a].argsort(1))


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7])
def test_alternating_group_composes_even_permutations_in_lexicographic_order(n: int) -> None:
    G = eq.groups.alternating(n)
    images = torch.tensor([image for image in itertools.permutations(range(n)) if not _parity(image)])
    assert len(images) == G.order
    a, b = G.sample((2, 2000), generator=torch.Generator().manual_seed(0))
    assert torch.equal(images[G.product(a, b)], images[a].gather(1, images[b]))
    assert torch.equal(images[G.inverse(a)], images[a].argsort(1))


def test_octahedral_group_is_that_of_scipy() -> None:
    G = eq.groups.octahedral()
    theirs = scipy.spatial.transform.Rotation.create_group("O").as_matrix()
    distance = np.abs(_matrices(G)[:, None] - theirs).max((2, 3))
    relabel = distance.argmin(1)  # our element → theirs
    assert distance.min(1).max() < 1e-9
    assert sorted(relabel) == list(range(24))
    products = theirs[:, None] @ theirs
    table = np.abs(products[:, :, None] - theirs).max((3, 4)).argmin(2)
    assert np.array_equal(relabel[G.table().numpy()], table[relabel[:, None], relabel])


def test_matrices_are_multiplied_as_written() -> None:
    quarter, mirror = np.array([[0, -1], [1, 0]]), np.diag([1, -1])
    G = eq.groups.from_matrices({"r": quarter, "s": mirror, "rs": quarter @ mirror})
    assert G["r s"] == G["rs"] != G["s r"]


def test_permutations_are_composed_as_functions() -> None:
    first, second = [1, 2, 0, 3], [0, 1, 3, 2]
    G = eq.groups.from_permutations({"g": first, "h": second, "gh": [first[i] for i in second]})
    assert G["g h"] == G["gh"] != G["h g"]
    assert G["(0 1 2)(2 3)"] == G["(0 1 2)(3, 2)"] == G["gh"]


@pytest.mark.parametrize(
    ("text", "order", "classes"),
    [
        ("r^7", 7, 7),
        ("a3, b5, (a b)^2", 60, 5),
        ("a3 = b3, a3 = (a b)^2", 24, 7),
        ("a2, b3, (a b)^7, [a, b]^4", 168, 6),
        ("x4, y2 = x2, y^-1 x y = x^-1", 8, 5),
        ("a, b2", 2, 2),
        ("a b = 1, a5 = e", 5, 5),
    ],
)
def test_presentations_of_known_groups(text: str, order: int, classes: int) -> None:
    G = eq.groups.from_presentation(text)
    assert (G.order, len(G.conjugacy_classes)) == (order, classes)


def test_an_equation_of_three_sides_sets_all_of_them_equal() -> None:
    assert eq.groups.from_presentation("a3 = b3 = (a b)^2", max_order=300).order == 24


def test_mathieu_group_m11() -> None:
    G = eq.groups.from_permutations(M11)
    assert G["b"] == G["(2 6 10 7)(3 9 4 5)"]
    assert G.order == 7920
    assert G.conjugacy_classes.sizes.sort().values.tolist() == [1, 165, 440, 720, 720, 990, 990, 990, 1320, 1584]
    orders = G.element_order(G.conjugacy_classes.representatives)
    assert orders.sort().values.tolist() == [1, 2, 3, 4, 5, 6, 8, 8, 11, 11]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.permutations(range(n)), min_size=1, max_size=3)))
def test_permutations_generate_what_sympy_says(generators: list[list[int]]) -> None:
    G = eq.groups.from_permutations(generators)
    H = PermutationGroup([Permutation(images) for images in generators])
    expected = sorted(tuple(element.array_form) for element in H.elements)
    names = [Permutation([], size=len(generators[0]))] + [
        Permutation([[int(i) for i in part.split()] for part in name.strip("()").split(")(")], size=len(generators[0]))
        for name in G.names[1:]
    ]
    assert [tuple(element.array_form) for element in names] == expected
    assert list(G.natural.values()) == generators  # type: ignore[union-attr]


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([eq.groups.quaternion(), eq.groups.dihedral(5), eq.groups.symmetric(3)]), st.data())
def test_relabelled_tables_are_the_same_group(G: Group, data: st.DataObject) -> None:
    label = np.array([0, *data.draw(st.permutations(range(1, G.order)))])
    table = np.empty((G.order, G.order), dtype=np.int64)
    table[label[:, None], label] = label[G.table().numpy()]
    H = eq.groups.from_table(table)
    assert np.array_equal(H.table().numpy(), table)
    assert np.array_equal(H.element_order(H.elements).numpy()[label], G.element_order(G.elements).numpy())
    assert eq.groups.from_presentation(H.presentation).order == G.order
