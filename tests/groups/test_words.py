"""Reading and printing words."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import equilatent as eq
from equilatent.errors import GroupError
from equilatent.groups._words import Word, format_word, invert_word, parse_relators, parse_word, reduce_word

NAMES = ("r", "s", "ab", "x_1", "y_1_2")
LETTERS = st.tuples(st.sampled_from(NAMES), st.integers(-4, 4))
WORDS = st.lists(LETTERS, max_size=6).map(reduce_word)
POWERS = st.builds(lambda word, k: reduce_word(word * k), WORDS, st.integers(1, 4))
D4 = eq.groups.dihedral(4)


@settings(max_examples=50, deadline=None)
@given(WORDS | POWERS)
@example((("s", 1), ("r", -1), ("s", 1), ("r", -1)))
@example((("x_1", 2), ("r", 1), ("x_1", 2), ("r", 1)))
@example((("x_1", 1),))
@example(())
def test_printing_then_reading_gives_the_word_back(word: Word) -> None:
    assert parse_word(format_word(word)) == word
    assert parse_word(format_word(word), NAMES) == word


@settings(max_examples=50, deadline=None)
@given(WORDS | POWERS, WORDS)
def test_printed_relators_read_back_side_by_side(first: Word, second: Word) -> None:
    assert parse_relators(f"{format_word(first)}, {format_word(second)}") == (first, second)


@settings(max_examples=50, deadline=None)
@given(WORDS)
def test_reduced_words_have_no_neighbours_to_merge(word: Word) -> None:
    assert all(exponent for _, exponent in word)
    assert all(first[0] != second[0] for first, second in itertools.pairwise(word))
    assert reduce_word(word) == word


@settings(max_examples=50, deadline=None)
@given(WORDS)
def test_a_word_times_its_inverse_reduces_to_nothing(word: Word) -> None:
    assert reduce_word((*word, *invert_word(word))) == ()
    assert invert_word(invert_word(word)) == word


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([("r", 1), ("r", 2), ("r", -1), ("s", 1), ("s", -3)])))
def test_reducing_and_inverting_keep_the_element(letters: list[tuple[str, int]]) -> None:
    element = 0
    for x, exponent in letters:
        element = D4.product(element, D4.power(D4.generators[x], exponent))
    word = reduce_word(letters)
    assert D4.evaluate(word) == element
    assert D4[format_word(word)] == element
    assert D4.evaluate(invert_word(word)) == D4.inverse(element)


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="rse12^-()[],=*·_ ", max_size=10))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        word = parse_word(text)
    except GroupError:
        return
    assert word == reduce_word(word)
    assert parse_word(format_word(word)) == word


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("r", (("r", 1),)),
        ("r2", (("r", 2),)),
        ("r^2", (("r", 2),)),
        ("r^-1", (("r", -1),)),
        ("r-1", (("r", -1),)),
        ("r^(-1)", (("r", -1),)),
        ("r ^ ( 3 )", (("r", 3),)),
        ("r^0", ()),
        ("r r", (("r", 2),)),
        ("r r^-1", ()),
        ("r*s·r", (("r", 1), ("s", 1), ("r", 1))),
        ("r_1 r_2^3", (("r_1", 1), ("r_2", 3))),
        ("rs", (("rs", 1),)),
        ("e", ()),
        ("1", ()),
        ("r e s 1", (("r", 1), ("s", 1))),
        ("(r s)^2", (("r", 1), ("s", 1), ("r", 1), ("s", 1))),
        ("(r s)2", (("r", 1), ("s", 1), ("r", 1), ("s", 1))),
        ("(r s)^-1", (("s", -1), ("r", -1))),
        ("(r s)^0", ()),
        ("((r s)^2 s^-1)^1", (("r", 1), ("s", 1), ("r", 1))),
        ("(r^2)", (("r", 2),)),
        ("(r^2 s^-1)^2", (("r", 2), ("s", -1), ("r", 2), ("s", -1))),
        ("(r s^(2)) r^(2)", (("r", 1), ("s", 2), ("r", 2))),
        ("[r, s]", (("r", -1), ("s", -1), ("r", 1), ("s", 1))),
        ("[r, s^2]", (("r", -1), ("s", -2), ("r", 1), ("s", 2))),
        ("[r, s]^-1", (("s", -1), ("r", -1), ("s", 1), ("r", 1))),
        ("[(r s), s]", (("s", -1), ("r", -1), ("s", -1), ("r", 1), ("s", 2))),
        ("[r, [r, r]]", ()),
        ("  r\ts\n", (("r", 1), ("s", 1))),
    ],
)
def test_spellings_that_are_read(text: str, word: Word) -> None:
    assert parse_word(text) == word


@pytest.mark.parametrize(
    ("text", "generators", "word"),
    [
        ("e2", ("e",), (("e", 2),)),
        ("e e^-1 1", ("e",), ()),
        ("e2 r", ("r",), (("r", 1),)),
        ("e2 e", ("e2",), (("e2", 1),)),
        ("x1 x2", ("x1", "x2"), (("x1", 1), ("x2", 1))),
        ("x1 2 x2^3", ("x1", "x2"), (("x1", 2), ("x2", 3))),
        ("x1-1", ("x1",), (("x1", -1),)),
        ("x12 x1", ("x1", "x12"), (("x12", 1), ("x1", 1))),
        ("x12 x1", ("x",), (("x", 13),)),
        ("x2y3", ("x", "y"), (("x", 2), ("y", 3))),
        ("x2y3", ("x2", "y"), (("x2", 1), ("y", 3))),
        ("x1_2 3 x_2^2", ("x1_2", "x_2"), (("x1_2", 3), ("x_2", 2))),
        ("[x1, e]", ("x1", "e"), (("x1", -1), ("e", -1), ("x1", 1), ("e", 1))),
    ],
)
def test_listed_names_are_generators(text: str, generators: tuple[str, ...], word: Word) -> None:
    assert parse_word(text, generators) == word
    assert parse_word(format_word(word), generators) == word or not word


@pytest.mark.parametrize(
    ("text", "generators"), [("x12", ("x1", "x2")), ("x", ("x1",)), ("x1", ("x2", "y")), ("x2_1", ("x2", "x"))]
)
def test_names_that_are_not_listed_are_refused(text: str, generators: tuple[str, ...]) -> None:
    with pytest.raises(GroupError, match=f"in the generators {', '.join(generators)}: '{text}' is not a generator"):
        parse_word(text, generators)


@pytest.mark.parametrize(
    ("text", "relators"),
    [
        ("", ()),
        ("r4", ((("r", 4),),)),
        ("r4, s2,", ((("r", 4),), (("s", 2),))),
        ("s r = r^-1 s", ((("s", 1), ("r", 1), ("s", -1), ("r", 1)),)),
        ("[r, s], r = s", ((("r", -1), ("s", -1), ("r", 1), ("s", 1)), (("r", 1), ("s", -1)))),
        ("r2 = e", ((("r", 2),),)),
    ],
)
def test_relators_that_are_read(text: str, relators: tuple[Word, ...]) -> None:
    assert parse_relators(text) == relators


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ((), "e"),
        ((("r", 1),), "r"),
        ((("r", 12),), "r12"),
        ((("r", -1), ("s", 1)), "r^-1 s"),
        ((("x_1", 2),), "x_1^2"),
        ((("r", 1), ("s", 1)) * 3, "(r s)^3"),
        ((("s", 1), ("r", 2), ("s", 1), ("r", 2)), "(s r2)^2"),
        ((("s", 1), ("r", -1)) * 2, "(s r^-1)^2"),
    ],
)
def test_words_print_short(word: Word, text: str) -> None:
    assert format_word(word) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it ends too early"),
        ("r *", "it ends too early"),
        ("r $", r"unexpected '\$'"),
        ("(r s", r"a '\)' is missing"),
        ("[r s]", "a ',' is missing"),
        ("[r, s", r"a '\]' is missing"),
        ("r)", r"unexpected '\)'"),
        ("r^2)", r"unexpected '\)'"),
        ("r^(2", "unexpected|missing"),
        ("r s,", "unexpected ','"),
        ("r = s", "unexpected '='"),
        ("2 r", "unexpected '2'"),
        ("r^2^3", "unexpected"),
        ("r2^3", r"unexpected '\^3'"),
        ("r2 3", "unexpected '3'"),
        ("x1", "'x1' is not a generator"),
        ("r^s", r"unexpected '\^'"),
        ("r^1.5", "unexpected '.'"),
        ("()", r"unexpected '\)'"),
        ("q", "'q' is not a generator"),
        ("rs", "'rs' is not a generator"),
    ],
)
def test_words_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(GroupError, match=f"cannot read .* as a word in the generators r, s: .*(?:{reason})"):
        D4[text]


@pytest.mark.parametrize(
    ("text", "reason"), [("r4 s2)", "',' is missing"), ("r4,, s", "unexpected ','"), ("=r", "'='")]
)
def test_relators_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(GroupError, match=f"cannot read .* as a word: .*{reason}"):
        parse_relators(text)
