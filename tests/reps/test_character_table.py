"""Character tables against known ones, and by the laws that every table obeys."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import equilatent as eq
from equilatent.errors import RepresentationError

GOLDEN = (1 + math.sqrt(5)) / 2
W = complex(-0.5, math.sqrt(3) / 2)

#: Rows of known tables as multisets of (class size, value): G. James and M. Liebeck, "Representations and Characters of
#: Groups", 2nd ed., chapters 16 (Q8, D4), 18 (S4) and 20 (A5), and chapter 27 (SL(2,3)).
KNOWN: dict[str, tuple[eq.groups.Group, list[list[tuple[int, complex]]]]] = {
    "S4": (
        eq.groups.symmetric(4),
        [
            [(1, 1), (6, 1), (8, 1), (3, 1), (6, 1)],
            [(1, 1), (6, -1), (8, 1), (3, 1), (6, -1)],
            [(1, 2), (6, 0), (8, -1), (3, 2), (6, 0)],
            [(1, 3), (6, 1), (8, 0), (3, -1), (6, -1)],
            [(1, 3), (6, -1), (8, 0), (3, -1), (6, 1)],
        ],
    ),
    "A5": (
        eq.groups.alternating(5),
        [
            [(1, 1), (20, 1), (15, 1), (12, 1), (12, 1)],
            [(1, 3), (20, 0), (15, -1), (12, GOLDEN), (12, 1 - GOLDEN)],
            [(1, 3), (20, 0), (15, -1), (12, 1 - GOLDEN), (12, GOLDEN)],
            [(1, 4), (20, 1), (15, 0), (12, -1), (12, -1)],
            [(1, 5), (20, -1), (15, 1), (12, 0), (12, 0)],
        ],
    ),
    "Q8": (
        eq.groups.quaternion(),
        [[(1, 1), (1, 1), (2, a), (2, b), (2, a * b)] for a in (1, -1) for b in (1, -1)]
        + [[(1, 2), (1, -2), (2, 0), (2, 0), (2, 0)]],
    ),
    "SL(2,3)": (
        eq.groups.from_presentation("a3 = b3 = (a b)^2"),
        [
            *(
                [(1, 1), (1, 1), (6, 1), (4, w), (4, w.conjugate()), (4, w), (4, w.conjugate())]
                for w in (1 + 0j, W, W**2)
            ),
            *(
                [(1, 2), (1, -2), (6, 0), (4, -w), (4, -w.conjugate()), (4, w), (4, w.conjugate())]
                for w in (1 + 0j, W, W**2)
            ),
            [(1, 3), (1, 3), (6, -1), (4, 0), (4, 0), (4, 0), (4, 0)],
        ],
    ),
}


def rounded(row: list[tuple[int, complex]]) -> list[tuple[int, float, float]]:
    return sorted((size, round(complex(v).real, 9) + 0.0, round(complex(v).imag, 9) + 0.0) for size, v in row)


@pytest.mark.parametrize("name", KNOWN)
def test_known_tables(name: str) -> None:
    group, expected = KNOWN[name]
    table = eq.reps.character_table(group)
    sizes = table.classes.sizes.tolist()
    rows = [rounded(list(zip(sizes, row.tolist(), strict=True))) for row in table.values]
    assert sorted(rows) == sorted(rounded(row) for row in expected)


@pytest.fixture(params=eq.testing.GROUPS, scope="module")
def table(request: pytest.FixtureRequest) -> eq.reps.CharacterTable:
    return eq.reps.character_table(eq.testing.GROUPS[request.param]())


def close(left: Tensor, right: Tensor) -> bool:
    return bool(torch.allclose(left.to(torch.complex128), right.to(torch.complex128), atol=1e-9))


def test_rows_and_columns_are_orthogonal(table: eq.reps.CharacterTable) -> None:
    sizes, values, order = table.classes.sizes.double(), table.values, table.group.order
    assert close((values * sizes) @ values.mH / order, torch.eye(len(values)))
    assert close(values.mH @ values, torch.diag(order / sizes))


def test_the_trivial_character_leads_and_degrees_divide_the_order(table: eq.reps.CharacterTable) -> None:
    assert close(table.values[0], torch.ones(len(table)))
    assert int((table.degrees**2).sum()) == table.group.order
    assert bool((table.group.order % table.degrees == 0).all())
    assert table.degrees.tolist() == sorted(table.degrees.tolist())


def test_products_of_characters_are_characters(table: eq.reps.CharacterTable) -> None:
    # A wrong assignment of values to classes would leave the rows orthogonal, but break this.
    for row in range(len(table)):
        multiplicities = table.inner_products(table.character(row) * table.character(len(table) - 1))
        assert close(multiplicities, multiplicities.real.round())
        assert multiplicities.real.min() > -1e-9


def test_the_regular_representation_holds_each_as_often_as_its_degree(table: eq.reps.CharacterTable) -> None:
    assert close(table.inner_products(eq.reps.regular(table.group).character), table.degrees)


def test_kinds_count_the_involutions(table: eq.reps.CharacterTable) -> None:
    indicator = {"real": 1, "complex": 0, "quaternionic": -1}
    total = sum(indicator[kind] * int(degree) for kind, degree in zip(table.kinds, table.degrees, strict=True))
    assert total == int((table.group.power(table.group.elements, 2) == 0).sum())


def test_characters_of_a_product_are_products() -> None:
    first, second = eq.groups.symmetric(3), eq.groups.quaternion()
    product = eq.reps.character_table(eq.groups.direct_product(first, second))
    a, b = eq.reps.character_table(first), eq.reps.character_table(second)
    g, h = product.group.split(product.group.elements)
    for i in range(len(a)):
        for j in range(len(b)):
            multiplicities = product.inner_products(a.character(i)[g] * b.character(j)[h])
            assert sorted(multiplicities.real.round().tolist()) == [0.0] * (len(product) - 1) + [1.0]


def test_larger_groups() -> None:
    s6 = eq.reps.character_table(eq.groups.symmetric(6))
    assert s6.degrees.tolist() == [1, 1, 5, 5, 5, 5, 9, 9, 10, 10, 16]
    m11 = eq.reps.character_table(eq.groups.from_permutations([[*range(1, 11), 0], [0, 1, 6, 9, 5, 3, 10, 2, 8, 4, 7]]))
    assert m11.degrees.tolist() == [1, 10, 10, 10, 11, 16, 16, 44, 45, 55]
    assert m11.kinds.count("complex") == 4


def test_refusals() -> None:
    table = eq.reps.character_table(eq.groups.cyclic(3))
    with pytest.raises(RepresentationError, match=r"a value for each of 3 elements; got shape \[4\]"):
        table.inner_products(torch.ones(4))
    with pytest.raises(
        eq.errors.GroupTooLargeError, match="has 5000 conjugacy classes; character tables are made up to 4096"
    ):
        eq.reps.character_table(eq.groups.cyclic(5000))


def test_printed_as_a_table() -> None:
    assert str(eq.reps.character_table(eq.groups.cyclic(4))).splitlines() == [
        "         e    r  r2   r3",
        "         1    1   1    1",
        "trivial  1    1   1    1",
        "     1b  1   1i  -1  -1i",
        "     1c  1  -1i  -1   1i",
        "   sign  1   -1   1   -1",
    ]


def test_printed_tables_have_a_row_for_each_irrep(table: eq.reps.CharacterTable) -> None:
    head, sizes, *rows = str(table).splitlines()
    assert sizes.split() == [str(size) for size in table.classes.sizes.tolist()]
    assert [row.split()[0] for row in rows] == [rho.name for rho in eq.reps.irreps(table.group)]
    assert [row.split()[1] for row in rows] == [str(degree) for degree in table.degrees.tolist()]
    assert len({len(line) for line in (head, sizes, *rows)}) == 1


def test_powers_run_through_the_cyclic_group_of_each_representative(table: eq.reps.CharacterTable) -> None:
    group = table.group
    for h, powers in zip(table.classes.representatives.tolist(), table.powers, strict=True):
        walked = [0]
        while (following := group.product(walked[-1], h)) != 0:
            walked.append(following)
        assert powers.tolist() == walked


def test_rows_are_found_by_their_characters(table: eq.reps.CharacterTable) -> None:
    for row in range(len(table)):
        assert table.row_of(table.character(row)) == row
    assert table.row_of(2 * table.character(0)) is None
    assert table.row_of(-table.character(len(table) - 1)) is None
    if table.group.order > 1:
        assert table.row_of(eq.reps.regular(table.group).character) is None


def test_equal_groups_share_the_computation_but_not_the_label(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    convolution = eq.reps._character_table._convolution

    def counting(group: eq.groups.Group, *arguments: Any) -> Tensor:
        calls.append(group.label)
        return convolution(group, *arguments)

    monkeypatch.setattr(eq.reps._character_table, "_convolution", counting)
    images = {"a": [1, 2, 0, 3, 4], "b": [0, 1, 2, 4, 3]}
    first, second = (eq.groups.from_permutations(images, label=label) for label in ("first", "second"))
    tables = [eq.reps.character_table(group) for group in (first, second, first)]
    assert first == second and calls == ["first"]
    assert [table.group.label for table in tables] == ["first", "second", "first"]
    assert tables[2] is tables[0] and tables[1].values is tables[0].values
    assert [rho.group.label for rho in eq.reps.irreps(second)] == ["second"] * 6
    with pytest.raises(RepresentationError, match="a character of second has a value for each of 6 elements"):
        tables[1].inner_products(torch.ones(4))
    assert repr(eq.reps.multiplicities(eq.reps.trivial(second))).endswith("of second)")


def test_an_equal_group_that_is_not_known_as_permutations_keeps_its_own_names_of_irreps() -> None:
    natural = eq.groups.cyclic(4)
    plain = eq.groups.Group(natural._law, natural.generators, label="plain")
    assert plain == natural
    for group, name in ((natural, "sign"), (plain, "1d")):
        assert str(eq.reps.character_table(group)).splitlines()[-1].split() == [name, "1", "-1", "1", "-1"]
