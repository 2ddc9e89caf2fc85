"""Groups from relators: coset enumeration, and what a presentation calls its generators."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy.combinatorics.coset_table import coset_enumeration_r
from sympy.combinatorics.fp_groups import FpGroup
from sympy.combinatorics.free_groups import free_group

import equilatent as eq
from equilatent.errors import GroupError, GroupTooLargeError
from equilatent.groups._words import Word, format_relators, format_word, generator_names, parse_relators, reduce_word


def _fibonacci(n: int) -> str:
    """F(2, n): each of n generators is the product of the two before it, in a circle."""
    return ", ".join(f"x{i + 1} x{(i + 1) % n + 1} = x{(i + 2) % n + 1}" for i in range(n))


# Coset enumeration


@pytest.mark.parametrize(("n", "order"), [(1, 1), (2, 1), (3, 8), (4, 5), (5, 11), (7, 29)])
def test_the_finite_fibonacci_groups(n: int, order: int) -> None:
    # D. L. Johnson, "Topics in the Theory of Group Presentations" (1980): F(2, n) for these n, infinite for others.
    names = [f"x{i + 1}" for i in range(n)]
    G = eq.groups.from_presentation(_fibonacci(n), generators=names)
    assert G.order == order
    assert list(G.generators) == names
    assert all(G[f"x{i + 1} x{(i + 1) % n + 1}"] == G[f"x{(i + 2) % n + 1}"] for i in range(n))
    assert eq.groups.is_isomorphic(G, eq.groups.quaternion() if n == 3 else eq.groups.cyclic(order))


@pytest.mark.parametrize(
    ("text", "twin"),
    [
        ("r12", eq.groups.cyclic(12)),
        ("r^700", eq.groups.cyclic(700)),
        ("r^400, s2, (s r)^2", eq.groups.dihedral(400)),
        ("r^300, s2 = r^150, s r s^-1 = r^-1", eq.groups.dicyclic(150)),
        ("a2, b5, (a b)^4, (a b^-1 a b)^3", eq.groups.symmetric(5)),
        ("a, b3", eq.groups.cyclic(3)),
        ("x4, x y = y x, y3, x y = e", eq.groups.cyclic(1)),
    ],
)
def test_presentations_of_groups_that_are_known_otherwise(text: str, twin: eq.groups.Group) -> None:
    G = eq.groups.from_presentation(text)
    assert G.order == twin.order
    eq.testing.assert_group(G)
    assert eq.groups.is_isomorphic(G, twin)


LETTERS = st.tuples(st.sampled_from("ab"), st.sampled_from([-2, -1, 1, 2]))
RELATORS = st.lists(LETTERS, min_size=1, max_size=5).map(reduce_word).filter(bool)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.lists(RELATORS, max_size=2))
def test_enumerations_agree_with_those_of_sympy(i: int, j: int, k: int, more: list[Word]) -> None:
    relators = [(("a", i),), (("b", j),), (("a", 1), ("b", 1)) * k, *more]
    free, a, b = free_group("a, b")
    words = []
    for relator in relators:
        word = free.identity
        for name, exponent in relator:
            word = word * (a if name == "a" else b) ** exponent
        words.append(word)
    try:
        theirs = coset_enumeration_r(FpGroup(free, words), [], max_cosets=150)
        theirs.compress()
    except ValueError:  # it may be infinite
        return
    G = eq.groups.from_presentation(", ".join(map(format_word, relators)), generators=["a", "b"])
    assert G.order == len(theirs.table)
    assert all(G.evaluate(relator) == 0 for relator in relators)


def test_infinite_groups_are_given_up_within_the_bound() -> None:
    with pytest.raises(GroupTooLargeError, match="did not end within 50400 cosets: the group is infinite"):
        eq.groups.from_presentation("a2, b3, (a b)^7")


def test_relators_that_are_too_long_to_follow_are_refused_before_they_are_written_out() -> None:
    with pytest.raises(GroupTooLargeError, match=r"relator x\^?100000000000 has 100000000000 letters; .* up to 50400"):
        eq.groups.from_presentation("x^100000000000")


@pytest.mark.parametrize(
    "make",
    [
        lambda max_order: eq.groups.from_presentation("a2, b2", max_order=max_order),
        lambda max_order: eq.groups.from_matrices([[[-1]]], max_order=max_order),
    ],
)
def test_more_elements_than_a_table_may_have_are_refused_at_once(make: object) -> None:
    for max_order in (eq.groups.Group.TABLE_LIMIT + 1, 10**18):
        with pytest.raises(GroupTooLargeError, match=rf"max_order={max_order} is beyond 8192: .*table.*permutations"):
            make(max_order)  # type: ignore[operator]
    for value in (0, -3, 2.5, None):
        with pytest.raises(GroupError, match=f"max_order is a positive integer; got {value}"):
            make(value)  # type: ignore[operator]


def test_what_max_order_cannot_be_raised_to_is_not_recommended() -> None:
    with pytest.raises(GroupTooLargeError, match=r"has 12 elements, more than max_order=11.* Raise it"):
        eq.groups.from_presentation("a12", max_order=11)
    with pytest.raises(GroupTooLargeError, match=r"has 8200 elements, more than max_order=5040.* Give permutations"):
        eq.groups.from_presentation("a41, b40, c5, [a, b], [a, c], [b, c]")


# Names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("r4, s2, (s r)^2", ("r", "s")),
        ("r4", ("r",)),
        ("s2 r-1, r12", ("s", "r")),  # r-1 is the inverse of r
        ("a6, b2 = a3, b a b^-1 = a^-1", ("a", "b")),
        ("x4, x^6", ("x",)),
        ("a2b3, (a b)^2", ("a", "b")),
        ("r_1^4, s_1^2, r_10^3", ("r_1", "s_1", "r_10")),
        ("x1_2^3, x_1^2", ("x1_2", "x_1")),  # a number before a subscript cannot be a power
        ("a b = 1, a5 = e", ("a", "b")),
        ("e = r4 = s2, e", ("r", "s")),
        ("x x2 y3 x3, y", ("x", "y")),
        ("", ()),
    ],
)
def test_names_that_are_clear(text: str, names: tuple[str, ...]) -> None:
    assert generator_names(text) == names


@pytest.mark.parametrize(
    ("text", "unclear", "otherwise"),
    [
        ("e^3, f^2, (e f)^2", "e", "the identity"),
        ("e f = f e, f2", "e", "the identity"),
        ("f2, e2", "e2", r"a power of e .*written e\^2"),
        ("[e, f]", "e", "the identity"),
        ("(e)", "e", "the identity"),
        ("a e", "e", "the identity"),
        (_fibonacci(7), "x1", r"a power of x .*written x\^1"),
        ("x1", "x1", "a power of x"),
        ("x1 x, x2", "x1", "a power of x"),
        ("x0 x", "x0", r"a power of x .*written x\^0"),
        ("x02 x", "x02", "a power of x"),
        ("x2 x3 = x4, x3 x4 = x2, x4 x2 = x3", "x2", "a power of x"),
        ("a b, x4, x6", "x4", "a power of x"),
        ("x2^3, x3^2", "x2", "a power of x"),
        ("(x2)^3 x, x2^4", "x2", "a power of x"),
    ],
)
def test_names_that_are_not_clear_are_refused(text: str, unclear: str, otherwise: str) -> None:
    with pytest.raises(GroupError, match=rf"^'{unclear}' in .* may be a generator, or {otherwise}") as caught:
        eq.groups.from_presentation(text)
    assert "generators=[" in str(caught.value)


def test_the_remedy_that_is_named_helps() -> None:
    text = "x1^2, e^3, (x1 e)^2"
    with pytest.raises(GroupError, match=r"generators=\['x1', 'e'\]"):
        eq.groups.from_presentation(text)
    G = eq.groups.from_presentation(text, generators=["x1", "e"])
    assert eq.groups.is_isomorphic(G, eq.groups.symmetric(3))


@pytest.mark.parametrize(
    ("text", "generators", "twin"),
    [
        ("e^3, f^2, (e f)^2", ["e", "f"], eq.groups.dihedral(3)),
        ("e3, f2, (e f)^2", ["e", "f"], eq.groups.dihedral(3)),
        ("e^3 = 1, f2 = e^0, e f e f", ["f", "e"], eq.groups.dihedral(3)),
        ("r4 = e, s2 = (e), e (s r)^2", ["r", "s"], eq.groups.dihedral(4)),
        ("x1^2, x2^2, (x1 x2)^5", ["x1", "x2"], eq.groups.dihedral(5)),
        ("x1 2, x2 2, (x1 x2)5", ["x1", "x2"], eq.groups.dihedral(5)),
        ("x4, x6", ["x"], eq.groups.cyclic(2)),
        ("x4 x6, x4^3, x4 = x6", ["x6", "x4"], eq.groups.cyclic(1)),
        ("x12 x1 = 1, x12^2", ["x1", "x12"], eq.groups.cyclic(2)),
        ("e2 e3 = e3 e2, e2^3, e3^3", {"e2": 0, "e3": 0}, eq.groups.direct_product(*[eq.groups.cyclic(3)] * 2)),
    ],
)
def test_listed_names_are_generators(text: str, generators: list[str], twin: eq.groups.Group) -> None:
    G = eq.groups.from_presentation(text, generators=generators)
    assert tuple(G.generators) == tuple(generators)
    assert eq.groups.is_isomorphic(G, twin)


@pytest.mark.parametrize(
    ("text", "generators", "message"),
    [
        ("r4, s2", ["r"], "in the generators r: 's2' is not a generator"),
        ("x1^2", ["x2"], "'x1' is not a generator"),
        ("x12", ["x1", "x2"], "'x12' is not a generator"),
        ("r4", ["r", "s"], "nothing in 'r4' binds the generator 's'"),
        ("r4, s s^-1", ["r", "s"], "binds the generator 's'"),
        ("r4", [], "names no generator"),
        ("r4", "r", r"listed by name, such as \['r', 's'\]; got 'r'"),
        ("r4", 3, "listed by name, .*; got 3"),
        ("r4", ["r", "r"], "the generator 'r' is named twice"),
        ("r4, r2 r", ["r", "r2"], "'r' and 'r2' cannot be told apart: 'r2' is also a power of 'r'. Rename"),
        ("r4", ["r s"], "'r s' cannot name a generator"),
        ("r4", [3], "3 cannot name a generator"),
    ],
)
def test_lists_of_generators_that_are_refused(text: str, generators: list[str], message: str) -> None:
    with pytest.raises(GroupError, match=message):
        eq.groups.from_presentation(text, generators=generators)


# Printing


WORDS = st.lists(st.tuples(st.sampled_from(["x", "y", "x_1", "ab"]), st.integers(-4, 6)), max_size=5)


@settings(max_examples=50, deadline=None)
@given(st.lists(WORDS.map(reduce_word).filter(bool), max_size=4))
def test_printed_relators_are_clear_and_read_back(relators: list[Word]) -> None:
    text = format_relators(relators)
    names = generator_names(text)
    assert set(names) == {x for word in relators for x, _ in word}
    assert parse_relators(text, names) == tuple(relators)


NUMBERED = st.lists(st.tuples(st.sampled_from(["x1", "x2", "x12", "e", "e_1"]), st.integers(-4, 4)), max_size=5)


@settings(max_examples=50, deadline=None)
@given(st.lists(NUMBERED.map(reduce_word).filter(bool), max_size=4))
def test_printed_relators_of_numbered_generators_read_back_with_their_names(relators: list[Word]) -> None:
    assert parse_relators(format_relators(relators), ["x1", "x2", "x12", "e", "e_1"]) == tuple(relators)


@pytest.mark.parametrize("text", ["x^4, x^6", "r12", "b2, [a, b], a a^-1, a3", "a, b3"])
def test_a_presentation_gives_the_group_back(text: str) -> None:
    G = eq.groups.from_presentation(text)
    assert eq.groups.from_presentation(G.presentation) == G
    assert eq.groups.from_presentation(G.presentation, generators=G.generators) == G


def test_words_in_generators_with_numbers_and_in_e() -> None:
    G = eq.groups.from_presentation("x1^2, x2^2, (x1 x2)^4, e^3, [x1, e], [x2, e]", generators=["x1", "x2", "e"])
    x1, x2, e = G.generators.values()
    assert G["x1 x2"] == G.product(x1, x2)
    assert G["x1^3 e2"] == G.product(x1, G.product(e, e)) == G["e^2 x1"]
    assert (G["1"], G.name(0)) == (0, "1")
    assert G["e"] == e != 0
    assert [G[name] for name in G.names] == list(range(G.order))
    assert "(x1 x2)^4" in G.presentation and "x12" not in G.presentation
    with pytest.raises(
        GroupError, match=r"in the generators x1, x2, e: 'x12' is not a generator.* '1' is the identity"
    ):
        G["x12"]
    with pytest.raises(GroupError, match="'x' is not a generator"):
        G["x 1"]


def test_other_constructors_take_the_same_names() -> None:
    images = {"x1": [1, 0, 2], "e": [1, 2, 0]}
    G = eq.groups.from_permutations(images)
    assert (G["e"], G["e^2"], G["1"]) == (G["(0 1 2)"], G["(0 2 1)"], 0)
    assert (G.name(0), G.names[1:]) == ("1", eq.groups.symmetric(3).names[1:])
    again = eq.groups.from_table(G.table(), generators=dict(G.generators))
    assert [again[name] for name in again.names] == list(range(6)) and "1" in again.names
    turn = eq.groups.from_matrices({"e": [[0, -1], [1, 0]]})
    assert turn.names == ("1", "e", "e2", "e3")
    product = eq.groups.direct_product(G, turn)
    assert list(product.generators) == ["x1_1", "e_1", "e_2"]
    assert product["e"] == 0 and [product[name] for name in product.names] == list(range(24))


def test_subgroups_of_groups_with_such_names() -> None:
    G = eq.groups.from_presentation("a1^4, a2^2, (a1 a2)^2", generators=["a1", "a2"])
    H = eq.groups.subgroup(G, ["a1", "a1 a2"])
    assert list(H.group.generators) == ["a1", "b"]  # no a, whose power a1 could be
    assert [H.group[name] for name in H.group.names] == list(range(8))
    D3 = eq.groups.from_presentation("e3, f2, (e f)^2", generators=["e", "f"])
    assert eq.groups.subgroup(D3, []).label.startswith("⟨1⟩ ≤ ")
    assert eq.groups.subgroup(D3, ["e"]).label.startswith("⟨e⟩ ≤ ")


def test_numbered_names_and_their_letters_are_told_apart_only_by_a_rename() -> None:
    for names in itertools.permutations(["x", "x1", "x_1"]):
        images = {name: [1, 0] for name in names}
        with pytest.raises(GroupError, match="'x' and 'x1' cannot be told apart"):
            eq.groups.from_permutations(images)
    assert eq.groups.from_permutations({name: [1, 0] for name in ("x", "x_1")}).order == 2


def test_homomorphisms_of_groups_with_such_names() -> None:
    G = eq.groups.from_presentation("x1^2, e^3, (x1 e)^2", generators=["x1", "e"])
    images = eq.groups.homomorphism(G, eq.groups.symmetric(3), {"x1": "(0 1)", "e": "c"})
    assert images.sort().values.equal(torch.arange(6))
