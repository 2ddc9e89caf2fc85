"""What is refused, and what the message says."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
import torch

import equilatent as eq
from equilatent.errors import GroupError, GroupTooLargeError
from equilatent.groups import Group
from equilatent.groups._laws import MetacyclicLaw

D4 = eq.groups.dihedral(4)
HUGE = eq.groups.direct_product(*[D4] * 12)
PAIR = eq.groups.direct_product(D4, eq.groups.cyclic(3))
S3 = eq.groups.symmetric(3)


@pytest.mark.parametrize("family", ["cyclic", "dihedral", "symmetric", "alternating"])
@pytest.mark.parametrize("n", [0, -1, 2.5, True, "4"], ids=repr)
def test_sizes_that_are_no_positive_integers(family: str, n: object) -> None:
    with pytest.raises(GroupError, match=rf"{family}\(n\) needs an integer n ≥ 1; got {n!r}"):
        getattr(eq.groups, family)(n)


@pytest.mark.parametrize("n", [4, -1, 100, 1.5])
def test_ints_that_are_no_elements(n: int) -> None:
    G = eq.groups.cyclic(4)
    for use in (G.name, G.word, G.inverse, G.element_order, lambda g: G.product(g, 0), lambda g: G.product(0, g)):
        with pytest.raises(GroupError, match=rf"elements of C4 are the integers 0 … 3; got {n}"):
            use(n)
    for use in (lambda g: G.power(g, 2), lambda g: G.conjugate(g, 0), lambda g: G.product(torch.arange(2), g)):
        with pytest.raises(GroupError, match=rf"elements of C4 are the integers 0 … 3; got {n}"):
            use(n)


@pytest.mark.parametrize("values", [[0, 4], [-1, 3]])
def test_tensors_with_values_that_are_no_elements(values: list[int]) -> None:
    G, bad = eq.groups.cyclic(4), torch.tensor(values)
    message = rf"integers 0 … 3; got values from {min(values)} to {max(values)}"
    for use in (G.check, G.inverse, G.element_order, lambda a: G.product(a, 0), lambda a: G.product(0, a)):
        with pytest.raises(GroupError, match=message):
            use(bad)
    for use in (lambda a: G.power(a, 2), lambda a: G.conjugate(a, 0), lambda a: G.conjugate(0, a)):
        with pytest.raises(GroupError, match=message):
            use(bad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.bool])
def test_tensors_that_hold_no_integers(dtype: torch.dtype) -> None:
    with pytest.raises(GroupError, match=rf"integers 0 … 7 in a LongTensor; got {dtype}"):
        D4.product(torch.zeros(3, dtype=dtype), 0)


def test_check_refuses_what_is_no_tensor() -> None:
    with pytest.raises(GroupError, match="elements of D4 come as a LongTensor of indices; got list"):
        D4.check([0, 1])  # type: ignore[arg-type]


def test_exponents_that_are_no_integers() -> None:
    with pytest.raises((GroupError, TypeError)):
        D4.power(1, 1.5)  # type: ignore[call-overload]
    with pytest.raises((GroupError, TypeError)):
        D4.power(D4.elements, torch.tensor(1.5))


@pytest.mark.parametrize(
    ("G", "word", "message"),
    [
        (D4, "q", "in the generators r, s: 'q' is not a generator"),
        (D4, "(0 1)", "unexpected '0'"),
        (eq.groups.cyclic(1), "r", r"in the generators \(none\): 'r' is not a generator"),
        (D4, 3, "elements of D4 are looked up by words such as 'r2 s', not by 3"),
        (S3, "(0 3)", r"\(0 3\) is not a cycle of the points 0 … 2 of S3"),
        (S3, "(0 1 0)", r"\(0 1 0\) is not a cycle of the points"),
        (eq.groups.alternating(4), "(0 1)", r"\(0 1\) is a permutation of 4 points, but not an element of A4"),
        (S3, "(0 1) t", "cannot read"),
    ],
)
def test_words_that_spell_no_element(G: Group, word: str, message: str) -> None:
    with pytest.raises(GroupError, match=message):
        G[word]


def test_identity_cannot_be_left_out_of_the_trivial_group() -> None:
    with pytest.raises(GroupError, match=r"C1 has no element but the identity\. Draw with identity=True"):
        eq.groups.cyclic(1).sample(3, identity=False)


@pytest.mark.parametrize("use", [lambda G: G.split(1), lambda G: G.split(torch.arange(3)), lambda G: G.join(1)])
@pytest.mark.parametrize("G", [D4, S3, eq.groups.octahedral()], ids=lambda G: G.label)
def test_components_of_a_group_that_is_no_product(G: Group, use: Callable[[Group], object]) -> None:
    with pytest.raises(GroupError, match=rf"{G.label} is not a direct product"):
        use(G)


@pytest.mark.parametrize("components", [(), (1,), (1, 1, 1), (torch.tensor(1),)])
def test_wrong_number_of_components(components: tuple[int, ...]) -> None:
    with pytest.raises(GroupError, match=rf"D4×C3 has 2 factors; got {len(components)} components"):
        PAIR.join(*components)


def test_components_that_are_no_elements_of_their_factor() -> None:
    with pytest.raises(GroupError, match="elements of C3 are the integers 0 … 2; got 3"):
        PAIR.join(0, 3)
    with pytest.raises(GroupError, match="elements of C3 are the integers 0 … 2; got values from 3 to 3"):
        PAIR.join(torch.tensor([0, 7]), 3)
    with pytest.raises(GroupError, match="elements of D4×C3 are the integers 0 … 23"):
        PAIR.split(24)


def test_products_of_nothing_or_of_what_is_no_group() -> None:
    with pytest.raises(GroupError, match="direct_product needs at least one group"):
        eq.groups.direct_product()
    with pytest.raises(GroupError, match="direct_product multiplies groups; got list"):
        eq.groups.direct_product([D4, D4])  # type: ignore[arg-type]


def test_products_beyond_a_64_bit_index() -> None:
    with pytest.raises(GroupTooLargeError, match=rf"this product has {8**21} elements, .* 64-bit index"):
        eq.groups.direct_product(*[D4] * 21)


@pytest.mark.parametrize(
    ("use", "purpose"),
    [
        (lambda: HUGE.elements, "listing the elements"),
        (lambda: HUGE.names, "naming every element"),
        (lambda: HUGE.spanning_tree, "searching the Cayley graph"),
        (lambda: HUGE.conjugacy_classes, "finding conjugacy classes"),
    ],
)
def test_visiting_every_element_of_a_huge_product(use: Callable[[], object], purpose: str) -> None:
    with pytest.raises(GroupTooLargeError, match=rf"{purpose} of D4×.* means visiting {8**12} elements; the limit is"):
        use()


@pytest.mark.parametrize("G", [HUGE, eq.groups.cyclic(Group.TABLE_LIMIT + 1)], ids=["product", "cyclic"])
def test_tables_of_large_groups(G: Group) -> None:
    with pytest.raises(GroupTooLargeError, match=rf"would have {G.order}² entries; .* up to order {G.TABLE_LIMIT}"):
        G.table()


@pytest.mark.parametrize("family", [eq.groups.symmetric, eq.groups.alternating])
@pytest.mark.parametrize("n", [10, 12])
def test_symmetric_and_alternating_groups_too_large_to_list(family: Callable[[int], Group], n: int) -> None:
    with pytest.raises(GroupTooLargeError, match=rf"S{n} has \d+ elements; .* listed up to 1048576"):
        family(n)


def test_too_large_is_a_group_error_and_a_value_error() -> None:
    with pytest.raises(ValueError, match="S12 has 479001600 elements"):
        eq.groups.symmetric(12)
    assert issubclass(GroupTooLargeError, GroupError)
    assert issubclass(GroupError, eq.errors.EquilatentError)


def test_a_large_cyclic_group_stores_nothing() -> None:
    tracemalloc.start()
    try:
        assert eq.groups.cyclic(100_000)["r^-1"] == 99_999
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000  # bytes: one for each element would be too many


def test_the_law_of_a_group_beyond_32_bits_does_not_overflow() -> None:
    n = (1 << 40) + 15
    law, i, k = MetacyclicLaw(n, 2, -1), 5, (1 << 39) + 3
    mirrors = torch.tensor([n + i, n + k])
    assert int(law.product(mirrors[0], mirrors[1])) == (i - k) % n
    assert torch.equal(law.inverse(mirrors), mirrors)
