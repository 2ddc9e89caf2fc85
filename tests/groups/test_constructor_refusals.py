"""Permutations, matrices, presentations and tables that make no group."""

from __future__ import annotations

import math
import string

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import block_diag

import equilatent as eq
from equilatent.errors import GroupError, GroupTooLargeError
from equilatent.groups import Group

Q8 = eq.groups.quaternion().table().numpy()
# A Latin square with an identity that is no group: each element is its own inverse, and 2 does not divide 5.
LOOP = [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]]


def _rotation(angle: float) -> list[list[float]]:
    return [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]


@pytest.mark.parametrize("images", [[1, 1, 0], [1, 2, 3], [-1, 0], [0, 2]])
def test_images_that_are_no_permutation(images: list[int]) -> None:
    with pytest.raises(GroupError, match=rf"generator 'x' is not a permutation of 0 … {len(images) - 1}"):
        eq.groups.from_permutations({"x": images})


def test_images_that_are_no_integers() -> None:
    with pytest.raises((GroupError, TypeError)):
        eq.groups.from_permutations([[1.7, 0.2]])  # type: ignore[list-item]


def test_permutations_of_different_degrees() -> None:
    with pytest.raises(GroupError, match=r"different numbers of points: \[2, 3\]. Pad them with fixed points"):
        eq.groups.from_permutations([[1, 0], [1, 2, 0]])


def test_permutations_that_generate_too_many_elements() -> None:
    with pytest.raises(
        GroupTooLargeError, match=f"generate a group of {math.factorial(12)} elements; .* direct_product"
    ):
        eq.groups.from_permutations([[*range(1, 12), 0], [1, 0, *range(2, 12)]])


def test_permutations_whose_base_is_too_long_to_index() -> None:
    swaps = [[j ^ 1 if j // 2 == i else j for j in range(128)] for i in range(9)]
    with pytest.raises(GroupTooLargeError, match="permutations of 128 points with 9 of them in its base is too large"):
        eq.groups.from_permutations(swaps)


@pytest.mark.parametrize("name", ["r s", " r", "r\n", "1", "2r", "", "r,s", "r^2", "(r)", "r_", "r_a", "é", 3, None])
def test_names_that_no_generator_can_have(name: str) -> None:
    with pytest.raises(GroupError, match=r"cannot name a generator: use letters, with a number .*'r', 'x1' or 'r_1'"):
        eq.groups.from_permutations({name: [1, 0]})


def test_more_unnamed_generators_than_letters() -> None:
    with pytest.raises(GroupError, match="26 unnamed permutations: name them"):
        eq.groups.from_permutations([[1, 0]] * 26)
    assert "e" not in eq.groups.from_permutations([[1, 0]] * (len(string.ascii_lowercase) - 1)).generators


@pytest.mark.parametrize(
    ("generators", "message"),
    [
        ({}, "from_matrices needs at least one matrix"),
        ({"m": [[1, 0]]}, r"generator 'm' is not a square matrix: its shape is \(1, 2\)"),
        ({"m": [1, 0]}, r"generator 'm' is not a square matrix: its shape is \(2,\)"),
        ({"m": 1.0}, r"generator 'm' is not a square matrix: its shape is \(\)"),
        ({"m": [[1]], "k": np.eye(2)}, r"the generators have different sizes: \[\(1, 1\), \(2, 2\)\]"),
        ({"m": [[math.nan]]}, "generator 'm' holds NaN or infinity"),
        ({"m": [[math.inf, 0], [0, 1]]}, "generator 'm' holds NaN or infinity"),
        ({"m": [[0, 0], [0, 1]]}, "generator 'm' has determinant 0; .*a singular matrix has no inverse"),
        ({"m": [[2]]}, "generator 'm' has determinant 2"),
    ],
)
def test_matrices_that_generate_no_finite_group(generators: dict[str, object], message: str) -> None:
    with pytest.raises(GroupError, match=message):
        eq.groups.from_matrices(generators)  # type: ignore[arg-type]


@pytest.mark.parametrize("matrix", [_rotation(1.0), [[1, 1], [0, 1]]], ids=["rotation", "shear"])
def test_matrices_of_infinite_order(matrix: list[list[float]]) -> None:
    with pytest.raises(
        GroupTooLargeError, match="more than max_order=60 elements: they may generate an infinite group"
    ):
        eq.groups.from_matrices([matrix], max_order=60)


@pytest.mark.parametrize("matrix", [[[2, 1], [1, 1]], [[1e5, 0], [0, 1e-5]]], ids=["hyperbolic", "stretch"])
def test_matrices_whose_powers_overflow(matrix: list[list[float]]) -> None:
    with pytest.raises(GroupError):
        eq.groups.from_matrices([matrix])


def test_matrices_less_exact_than_the_tolerance() -> None:
    quarter = np.round(_rotation(2 * math.pi / 7), 3)
    assert eq.groups.from_matrices([quarter], tolerance=0.02).order == 7
    with pytest.raises(GroupError, match=r"may generate an infinite group .* or be less exact than tolerance=1e-06"):
        eq.groups.from_matrices([quarter], max_order=60)


def test_a_tolerance_too_coarse_to_tell_elements_apart() -> None:
    with pytest.raises(GroupError, match=r"so close to each other that tolerance=0\.3 cannot tell which are equal"):
        eq.groups.from_matrices([_rotation(2 * math.pi / 16)], tolerance=0.3)


def test_matrices_of_a_group_whose_table_would_be_too_large() -> None:
    turns = [block_diag(*(_rotation(2 * math.pi / 10 * (i == j)) for j in range(4))) for i in range(4)]
    with pytest.raises(GroupTooLargeError, match=f"more than max_order={Group.TABLE_LIMIT} elements"):
        eq.groups.from_matrices(turns, max_order=Group.TABLE_LIMIT)


@pytest.mark.parametrize("text", ["a2, b2", "[a, b]", "a2, b3, (a b)^6"])
def test_presentations_of_infinite_groups(text: str) -> None:
    with pytest.raises(GroupTooLargeError, match="did not end within 1200 cosets: the group is infinite, larger than"):
        eq.groups.from_presentation(text, max_order=120)


def test_presentations_of_groups_above_max_order() -> None:
    with pytest.raises(GroupTooLargeError, match="has 12 elements, more than max_order=11"):
        eq.groups.from_presentation("a12", max_order=11)


@pytest.mark.parametrize("text", ["", "e", "1 = e", "  "])
def test_presentations_without_generators(text: str) -> None:
    with pytest.raises(GroupError, match=r"names no generator\. Write relators such as"):
        eq.groups.from_presentation(text)


def test_presentations_with_a_generator_that_nothing_binds() -> None:
    with pytest.raises(GroupError):
        eq.groups.from_presentation("a3, b b^-1", max_order=60)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[0, 1]], r"a product table is a square of integers; got shape \(1, 2\)"),
        ([0, 1], r"a product table is a square of integers; got shape \(2,\)"),
        (np.zeros((0, 0), dtype=int), r"a product table is a square of integers; got shape \(0, 0\)"),
        ([[0.0, 1.0], [1.0, 0.0]], "a product table holds integers; got float64"),
        ([[False]], "a product table holds integers; got bool"),
        ([[1, 0], [0, 1]], "element 0 of a product table must be the identity. Renumber the elements"),
        ([[0, 1, 2], [1, 1, 0], [2, 0, 1]], "row 1 of the product table does not hold each element once"),
        ([[0, 1, 2], [1, 2, 0], [2, 1, 0]], "column 1 of the product table does not hold each element once"),
        ([[0, 1], [1, 2]], "row 1 of the product table does not hold each element once"),
        ([[0, 1], [1, -2]], "row 1 of the product table does not hold each element once"),
        (LOOP, r"the product table is not associative: \(\d·\d\)·\d ≠ \d·\(\d·\d\)"),
    ],
)
def test_tables_of_no_group(table: object, message: str) -> None:
    with pytest.raises(GroupError, match=message):
        eq.groups.from_table(table)  # type: ignore[arg-type]


def test_the_triple_named_by_the_message_does_not_associate() -> None:
    table = torch.tensor(LOOP)
    with pytest.raises(GroupError, match="not associative") as caught:
        eq.groups.from_table(table)
    digits = [int(character) for character in str(caught.value).split(", with")[0] if character.isdigit()]
    a, x, b = digits[:3]
    assert digits[3:] == [a, x, b]
    assert table[table[a, x], b] != table[a, table[x, b]]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=2, max_size=2))
def test_a_table_with_two_entries_exchanged_is_refused(cells: list[tuple[int, int]]) -> None:
    table, (first, second) = Q8.copy(), cells
    table[first], table[second] = Q8[second], Q8[first]
    if (table == Q8).all():
        assert np.array_equal(eq.groups.from_table(table).table().numpy(), Q8)
    else:
        with pytest.raises(GroupError, match=r"identity|does not hold each element once"):
            eq.groups.from_table(table)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(1, 8)), st.integers(1, 7))
def test_a_table_wrong_in_four_places_is_refused_though_each_line_holds_each_element(p: list[int], b: int) -> None:
    table = np.bitwise_xor.outer(np.arange(8), np.arange(8))
    rows, columns = p[:2], [b, b ^ p[0] ^ p[1]]
    if 0 in columns:
        columns = [p[2], p[2] ^ p[0] ^ p[1]]
    if 0 in columns:
        columns = [p[3], p[3] ^ p[0] ^ p[1]]
    table[np.ix_(rows, columns)] = table[np.ix_(rows, columns[::-1])]
    assert (np.sort(table, 0) == np.arange(8)[:, None]).all() and (np.sort(table, 1) == np.arange(8)).all()
    with pytest.raises(GroupError, match="not associative"):
        eq.groups.from_table(table)


@pytest.mark.parametrize(
    ("generators", "message"),
    [
        ({"a": 8}, "generator 'a' is 8; the elements are 0 … 7"),
        ({"a": -1}, "generator 'a' is -1; the elements are 0 … 7"),
        ({"a": 1}, "the generators a do not generate all of"),
        ({}, "do not generate all of"),
        ({"b": 1, "b2": 4}, "'b' and 'b2' cannot be told apart"),
    ],
)
def test_generators_that_a_table_does_not_have(generators: dict[str, int], message: str) -> None:
    with pytest.raises(GroupError, match=message):
        eq.groups.from_table(Q8, generators=generators)


def test_tables_beyond_the_limit() -> None:
    order = Group.TABLE_LIMIT + 1
    with pytest.raises(
        GroupTooLargeError, match=f"product tables are taken up to order {Group.TABLE_LIMIT}; got {order}"
    ):
        eq.groups.from_table(np.broadcast_to(np.zeros((), dtype=np.int64), (order, order)))
