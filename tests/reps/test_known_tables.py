"""Character tables against closed formulae and a published table."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from sympy.combinatorics import Permutation
from sympy.utilities.iterables import partitions
from torch import Tensor

import equilatent as eq


def assert_irreducible_characters(table: eq.reps.CharacterTable, expected: Sequence[Tensor]) -> None:
    """That given functions on the group are all its irreducible characters, each once."""
    rows = [table.row_of(character) for character in expected]
    assert None not in rows
    assert sorted(row for row in rows if row is not None) == list(range(len(table)))
    for row, character in zip(rows, expected, strict=True):
        assert row is not None
        assert bool((table.character(row) - character).abs().max() < 1e-9)


@pytest.mark.parametrize("n", [*range(1, 13), 97])
def test_cyclic_groups(n: int) -> None:
    G = eq.groups.cyclic(n)
    characters = torch.zeros(n, n, dtype=torch.complex128)
    for k in range(n):
        g = G.power(G["r"], k) if n > 1 else 0
        characters[:, g] = torch.exp(2j * math.pi / n * k * torch.arange(n).double())
    assert_irreducible_characters(eq.reps.character_table(G), list(characters))


@pytest.mark.parametrize("n", [*range(3, 9), 25])
def test_dihedral_groups(n: int) -> None:
    G = eq.groups.dihedral(n)
    expected = []
    for a, b in itertools.product((1, -1), repeat=2):  # r ↦ a, s ↦ b; a = −1 only for even n
        if a == 1 or n % 2 == 0:
            expected.append((lambda k, a=a: a**k, lambda k, a=a, b=b: a**k * b))
    for j in range(1, (n + 1) // 2):  # planes that r turns by 2πj/n
        expected.append((lambda k, j=j: 2 * math.cos(2 * math.pi * j * k / n), lambda k: 0))
    characters = torch.zeros(len(expected), 2 * n, dtype=torch.float64)
    for k in range(n):
        turn = G.power(G["r"], k)
        for character, (of_turn, of_mirror) in zip(characters, expected, strict=True):
            character[turn] = of_turn(k)
            character[G.product(turn, G["s"])] = of_mirror(k)
    assert_irreducible_characters(eq.reps.character_table(G), list(characters))


@functools.cache
def murnaghan_nakayama(shape: tuple[int, ...], cycles: tuple[int, ...]) -> int:
    """The character χ^shape of the symmetric group at a cycle type (G. James and A. Kerber, 1981, 2.4.7)."""
    if not cycles:
        return 1
    # Rim hooks of a length are removed by sliding beads down an abacus: first column hook lengths less the length.
    length, rows = cycles[0], len(shape)
    beads = [part + rows - 1 - i for i, part in enumerate(shape)]
    total = 0
    for bead in beads:
        if bead < length or bead - length in beads:
            continue
        leg = sum(bead - length < other < bead for other in beads)
        moved = sorted((b for b in [*beads, bead - length] if b != bead), reverse=True)
        smaller = tuple(b - (rows - 1 - i) for i, b in enumerate(moved))
        total += (-1) ** leg * murnaghan_nakayama(smaller, cycles[1:])
    return total


def all_partitions(n: int) -> list[tuple[int, ...]]:
    counts = [dict(parts) for parts in partitions(n)]  # sympy yields one dictionary again and again
    return sorted(tuple(part for part in sorted(parts, reverse=True) for _ in range(parts[part])) for parts in counts)


def test_the_oracle_gives_the_published_characters_of_s5() -> None:
    # G. James and M. Liebeck, "Representations and Characters of Groups", 2nd ed., 19.16; classes e, (12), (123),
    # (12)(34), (1234), (123)(45), (12345).
    types = [(1,) * 5, (2, 1, 1, 1), (3, 1, 1), (2, 2, 1), (4, 1), (3, 2), (5,)]
    published = {
        (5,): [1, 1, 1, 1, 1, 1, 1],
        (1,) * 5: [1, -1, 1, 1, -1, -1, 1],
        (4, 1): [4, 2, 1, 0, 0, -1, -1],
        (2, 1, 1, 1): [4, -2, 1, 0, 0, 1, -1],
        (3, 1, 1): [6, 0, 0, -2, 0, 0, 1],
        (3, 2): [5, 1, -1, 1, -1, 1, 0],
        (2, 2, 1): [5, -1, -1, 1, 1, -1, 0],
    }
    for shape, row in published.items():
        assert [murnaghan_nakayama(shape, cycles) for cycles in types] == row


@pytest.mark.parametrize("n", range(1, 7))
def test_symmetric_groups(n: int) -> None:
    G = eq.groups.symmetric(n)
    points = eq.reps.permutation(G).matrix(G.conjugacy_classes.representatives).argmax(-2).tolist()
    types = [tuple(sorted(map(len, Permutation(p).full_cyclic_form), reverse=True)) for p in points]
    expected = []
    for shape in all_partitions(n):
        values = torch.tensor([float(murnaghan_nakayama(shape, cycles)) for cycles in types]).double()
        expected.append(values[G.conjugacy_classes.index])
    assert_irreducible_characters(eq.reps.character_table(G), expected)


I2 = complex(0, math.sqrt(2))
B11 = complex(-0.5, math.sqrt(11) / 2)

#: J. H. Conway et al., "Atlas of Finite Groups", page 18: classes as element orders, and characters up to conjugation.
M11_CLASSES = [1, 2, 3, 4, 5, 6, 8, 8, 11, 11]
M11_CLASS_SIZES = [1, 165, 440, 990, 1584, 1320, 990, 990, 720, 720]
M11_CHARACTERS: list[list[complex]] = [
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [10, 2, 1, 2, 0, -1, 0, 0, -1, -1],
    [10, -2, 1, 0, 0, 1, I2, -I2, -1, -1],
    [10, -2, 1, 0, 0, 1, -I2, I2, -1, -1],
    [11, 3, 2, -1, 1, 0, -1, -1, 0, 0],
    [16, 0, -2, 0, 1, 0, 0, 0, B11, B11.conjugate()],
    [16, 0, -2, 0, 1, 0, 0, 0, B11.conjugate(), B11],
    [44, 4, -1, 0, -1, 1, 0, 0, 0, 0],
    [45, -3, 0, 1, 0, 0, -1, -1, 1, 1],
    [55, -1, 1, -1, 0, -1, 1, 1, 0, 0],
]


def test_the_mathieu_group_m11() -> None:
    G = eq.groups.from_permutations([[*range(1, 11), 0], [0, 1, 6, 9, 5, 3, 10, 2, 8, 4, 7]])
    classes = G.conjugacy_classes
    orders = G.element_order(classes.representatives)
    by_order = orders.argsort(stable=True)  # which of two classes of one order comes first is a matter of conjugation
    assert orders[by_order].tolist() == M11_CLASSES
    assert classes.sizes[by_order].tolist() == M11_CLASS_SIZES
    column = torch.empty_like(by_order)
    column[by_order] = torch.arange(len(by_order))
    published = torch.tensor(M11_CHARACTERS, dtype=torch.complex128)
    assert_irreducible_characters(eq.reps.character_table(G), list(published[:, column[classes.index]]))
    # The three of degree 10 by matrices too, of real type and of complex type.
    for rho in eq.reps.irreps(G)[1:4]:
        matrices = rho.matrix(G.elements)
        for x in G.generators.values():
            assert bool((matrices[G.product(G.elements, x)] - matrices @ matrices[x]).abs().max() < 1e-9)
    eleven = eq.reps.permutation(G)
    assert [round(count) for count in eq.reps.multiplicities(eleven).values()] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert eq.reps.irreps(G)[1].name == "standard"
