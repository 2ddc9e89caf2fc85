"""Words in the generators of a group: reading, printing and inverting them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from equilatent.errors import GroupError

__all__ = ["Word", "format_word", "invert_word", "parse_relators", "parse_word", "reduce_word", "tokens"]

#: A word as (generator, exponent) pairs, read from left to right: ``(("r", 2), ("s", 1))`` is r·r·s.
Word = tuple[tuple[str, int], ...]

# A generator is letters, then any number of numeric subscripts: r, a, r_1, r_1_2.
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z]+(?:_\d+)*)|(?P<power>\^\s*(?:-?\d+|\(\s*-?\d+\s*\)))|(?P<digits>-?\d+)|(?P<mark>[()\[\],=*·]))"
)


def reduce_word(word: Iterable[tuple[str, int]]) -> Word:
    """Merge neighbouring powers of one generator and drop powers of zero."""
    reduced: list[tuple[str, int]] = []
    for name, exponent in word:
        if reduced and reduced[-1][0] == name:
            exponent += reduced.pop()[1]
        if exponent:
            reduced.append((name, exponent))
    return tuple(reduced)


def invert_word(word: Word) -> Word:
    """The inverse of a word: reversed, with negated exponents."""
    return tuple((name, -exponent) for name, exponent in reversed(word))


def _power(word: Word, exponent: int) -> Word:
    if exponent < 0:
        return _power(invert_word(word), -exponent)
    if len(word) == 1:
        return reduce_word([(word[0][0], word[0][1] * exponent)])
    return reduce_word(word * exponent)


def tokens(text: str, error: Callable[[str], GroupError] = GroupError) -> list[tuple[str, str]]:
    """The tokens of a word or of relators, as (kind, text) pairs."""
    found: list[tuple[str, str]] = []
    position, text = 0, text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise error(f"unexpected {text[position:].lstrip()[0]!r}")
        kind = str(match.lastgroup)
        found.append((kind, match.group(kind)))
        position = match.end()
    return found


class _Parser:
    """Recursive descent over `_TOKEN`: a word is a run of factors, a factor an atom with an optional exponent."""

    def __init__(self, text: str, generators: Iterable[str] | None) -> None:
        self.text = text
        self.generators = None if generators is None else tuple(generators)
        self.at = 0
        self.tokens = tokens(text, self.error)

    def error(self, reason: str) -> GroupError:
        known = "" if self.generators is None else f" in the generators {', '.join(self.generators) or '(none)'}"
        return GroupError(
            f"cannot read {self.text!r} as a word{known}: {reason}. "
            "Write products of generators with integer powers, such as 'r2 s', 'r^-1 s' or '(r s)^2'; 'e' is the identity."
        )

    def peek(self) -> tuple[str, str] | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, mark: str) -> bool:
        if self.peek() == ("mark", mark):
            self.at += 1
            return True
        return False

    def need(self, mark: str) -> None:
        if not self.take(mark):
            raise self.error(f"a {mark!r} is missing")

    def atom(self) -> Word:
        token = self.peek()
        if token is None:
            raise self.error("it ends too early")
        kind, value = token
        if self.take("("):
            inner = self.word()
            self.need(")")
            return inner
        if self.take("["):
            first = self.word()
            self.need(",")
            second = self.word()
            self.need("]")
            return reduce_word((*invert_word(first), *invert_word(second), *first, *second))
        if kind == "digits" and value == "1":
            self.at += 1
            return ()
        if kind != "name":
            raise self.error(f"unexpected {value!r}")
        self.at += 1
        if value in (self.generators or ()):
            return ((value, 1),)
        if value == "e":
            return ()
        if self.generators is not None:
            raise self.error(f"{value!r} is not a generator")
        return ((value, 1),)

    def factor(self) -> Word:
        base = self.atom()
        token = self.peek()
        if token is not None and token[0] in ("power", "digits"):
            self.at += 1
            return _power(base, int(token[1].strip("^() ")))
        return base

    def word(self) -> Word:
        result = list(self.factor())
        while (token := self.peek()) is not None and token[1] not in (")", "]", ",", "="):
            _ = self.take("*") or self.take("·")  # a sign between factors may be there or not
            result.extend(self.factor())
        return reduce_word(result)


def parse_word(text: str, generators: Iterable[str] | None = None) -> Word:
    """Read a word such as ``"r2 s"``, ``"r^-1 s"``, ``"(r s)^2"`` or the commutator ``"[r, s]"``.

    A number directly behind a generator is its power; ``e`` (unless it names a generator) and ``1`` are the identity.

    >>> parse_word("r2 s")
    (('r', 2), ('s', 1))
    >>> parse_word("(r s)^-1")
    (('s', -1), ('r', -1))
    """
    parser = _Parser(text, generators)
    word = parser.word()
    if parser.peek() is not None:
        raise parser.error(f"unexpected {parser.tokens[parser.at][1]!r}")
    return word


def parse_relators(text: str, generators: Iterable[str] | None = None) -> tuple[Word, ...]:
    """Read relators separated by commas; an equation ``u = v`` stands for the relator u·v⁻¹, and
    ``u = v = w`` for u·v⁻¹ and u·w⁻¹.

    >>> parse_relators("r^4, s^2, s r = r^-1 s")
    ((('r', 4),), (('s', 2),), (('s', 1), ('r', 1), ('s', -1), ('r', 1)))
    """
    parser = _Parser(text, generators)
    relators: list[Word] = []
    while parser.peek() is not None:
        sides = [parser.word()]
        while parser.take("="):
            sides.append(parser.word())
        relators += [reduce_word((*sides[0], *invert_word(other))) for other in sides[1:]] or sides
        if parser.peek() is not None:
            parser.need(",")
    return tuple(relators)


def _letters(word: Word) -> list[tuple[str, int]]:
    return [(name, 1 if exponent > 0 else -1) for name, exponent in word for _ in range(abs(exponent))]


def _format_factors(word: Iterable[tuple[str, int]]) -> str:
    parts = []
    for name, exponent in word:
        if exponent == 1:
            parts.append(name)
        elif exponent > 1 and not name[-1].isdigit():
            parts.append(f"{name}{exponent}")
        else:
            parts.append(f"{name}^{exponent}")
    return " ".join(parts) or "e"


def format_word(word: Word) -> str:
    """Print a word so that `parse_word` reads it back; powers of a product are recognised.

    >>> format_word((("r", 2), ("s", 1)))
    'r2 s'
    >>> format_word((("s", 1), ("r", 1), ("s", 1), ("r", 1)))
    '(s r)^2'
    """
    letters = _letters(word) if len(word) > 1 else []
    for period in range(2, len(letters) // 2 + 1):
        if len(letters) % period == 0 and letters == letters[:period] * (len(letters) // period):
            return f"({_format_factors(reduce_word(letters[:period]))})^{len(letters) // period}"
    return _format_factors(word)
