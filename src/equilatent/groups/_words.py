"""Words in the generators of a group: reading, printing and inverting them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from equilatent.errors import GroupError

__all__ = [
    "Word",
    "check_names",
    "format_relators",
    "format_word",
    "generator_names",
    "identity_name",
    "invert_word",
    "letters_of_numbered",
    "parse_relators",
    "parse_word",
    "reduce_word",
]

#: A word as (generator, exponent) pairs, read from left to right: ``(("r", 2), ("s", 1))`` is r·r·s.
Word = tuple[tuple[str, int], ...]

# A generator is letters, then perhaps a number, then any number of numeric subscripts: r, x1, r_1, x1_2.
_NAME = re.compile(r"[A-Za-z]+\d*(?:_\d+)*")
_NUMBERED = re.compile(r"([A-Za-z]+)(\d+)")
_TOKEN = re.compile(
    rf"\s*(?:(?P<name>{_NAME.pattern})|(?P<power>\^\s*(?:-?\d+|\(\s*-?\d+\s*\)))|(?P<digits>-?\d+)|(?P<mark>[()\[\],=*·]))"
)


def letters_of_numbered(name: str) -> str | None:
    """The letters of a name that ends in a number, such as x1, which also looks like a power of x; None for others."""
    numbered = _NUMBERED.fullmatch(name)
    return None if numbered is None else numbered[1]


def check_names(names: Iterable[object]) -> tuple[str, ...]:
    """Names for generators, refused if one cannot be read in a word, or can be read as a power of another."""
    known: list[str] = []
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise GroupError(
                f"{name!r} cannot name a generator: use letters, with a number or numeric subscripts behind them, such "
                "as 'r', 'x1' or 'r_1'."
            )
        if name in known:
            raise GroupError(f"the generator {name!r} is named twice.")
        known.append(name)
    for name in known:
        letters = letters_of_numbered(name)
        if letters in known:
            raise GroupError(
                f"the generators {letters!r} and {name!r} cannot be told apart: {name!r} is also a power of {letters!r}. "
                "Rename one of them."
            )
    return tuple(known)


def identity_name(generators: Iterable[str]) -> str:
    """How the identity is written in words in these generators: e, or 1 if that is the name of one."""
    return "1" if "e" in generators else "e"


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


class _Parser:
    """Recursive descent over `_TOKEN`: a word is a run of factors, a factor an atom with an optional exponent."""

    def __init__(self, text: str, generators: Iterable[str] | None) -> None:
        self.text = text
        self.generators = None if generators is None else tuple(generators)
        self.at = 0
        self.tokens = self.tokenise()

    def error(self, reason: str) -> GroupError:
        known = "" if self.generators is None else f" in the generators {', '.join(self.generators) or '(none)'}"
        return GroupError(
            f"cannot read {self.text!r} as a word{known}: {reason}. Write products of generators with integer powers, "
            f"such as 'r2 s', 'r^-1 s' or '(r s)^2'; {identity_name(self.generators or ())!r} is the identity."
        )

    def tokenise(self) -> list[tuple[str, str]]:
        """The tokens of the text, as (kind, text) pairs."""
        found: list[tuple[str, str]] = []
        position, text = 0, self.text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.error(f"unexpected {text[position:].lstrip()[0]!r}")
            kind = str(match.lastgroup)
            found.append((kind, match.group(kind)))
            position = match.end()
        return found

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
        return self.generator(value, value)

    def generator(self, name: str, token: str) -> Word:
        if name in (self.generators or ()):
            return ((name, 1),)
        if name == "e":
            return ()
        if self.generators is not None:
            raise self.error(f"{token!r} is not a generator")
        return ((name, 1),)

    def factor(self) -> Word:
        kind, value = self.peek() or ("", "")
        numbered = _NUMBERED.fullmatch(value) if kind == "name" else None
        if numbered is not None and value not in (self.generators or ()):
            self.at += 1
            return _power(self.generator(numbered[1], value), int(numbered[2]))
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

    A number directly behind a generator is its power; ``e`` and ``1`` are the identity. What is listed in `generators`
    is a generator nevertheless, be it called ``e`` or ``x1``.

    >>> parse_word("r2 s")
    (('r', 2), ('s', 1))
    >>> parse_word("x1 x2", ["x1", "x2"])
    (('x1', 1), ('x2', 1))
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


def _unclear(tokens: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The first name that may be a generator or something else, if there is one, with what else it may be."""
    names = {value for kind, value in tokens if kind == "name"}
    numbers: dict[str, set[str]] = {}
    for x, number in (numbered.groups() for name in names if (numbered := _NUMBERED.fullmatch(name))):
        numbers.setdefault(x, set()).add(number)
    ends = (("mark", ","), ("mark", "="))
    for before, (kind, value), after in zip([ends[0], *tokens], tokens, [*tokens[1:], ends[0]], strict=False):
        if (kind, value) == ("name", "e") and (before not in ends or after not in ends):
            return value, "the identity (which is better written 1)"
        numbered = _NUMBERED.fullmatch(value) if kind == "name" else None
        if numbered is not None:
            x, number = numbered.groups()
            like_a_name = number == "1" or number[0] == "0" or (x not in names and len(numbers[x]) > 1)
            if like_a_name or x == "e" or after[0] == "power":
                return value, f"a power of {x} (which is better written {x}^{number})"
    return None


def generator_names(text: str) -> tuple[str, ...]:
    """The generators of a presentation that does not list them, in the order in which they appear.

    A number right behind a name is its power: ``r4`` is r⁴. But ``x1`` and ``x2`` may be names themselves, and are refused
    if the number is 1, starts with 0 or has a power of its own, or if different numbers follow a name that never occurs
    without one. ``e`` is the identity where it is a relator or a side of an equation; inside of a product it is refused.

    Raises:
        GroupError: if the text cannot be read, or names that may be generators or not are refused.

    >>> generator_names("r4, s2 = e, (s r)^2")
    ('r', 's')
    """
    tokens = _Parser(text, None).tokens
    unclear = _unclear(tokens)
    if unclear is not None:
        name, otherwise = unclear
        listed = list(dict.fromkeys(value for kind, value in tokens if kind == "name"))
        raise GroupError(
            f"{name!r} in {text!r} may be a generator, or {otherwise}. List the generators, as in generators={listed}."
        )
    names = (letters_of_numbered(value) or value for kind, value in tokens if kind == "name")
    return tuple(name for name in dict.fromkeys(names) if name != "e")


def _letters(word: Word) -> list[tuple[str, int]]:
    return [(name, 1 if exponent > 0 else -1) for name, exponent in word for _ in range(abs(exponent))]


def _format_factors(word: Iterable[tuple[str, int]], carets: bool) -> str:
    parts = []
    for name, exponent in word:
        if exponent == 1:
            parts.append(name)
        elif exponent > 1 and not carets and not name[-1].isdigit():
            parts.append(f"{name}{exponent}")
        else:
            parts.append(f"{name}^{exponent}")
    return " ".join(parts) or "e"


def format_word(word: Word, *, carets: bool = False) -> str:
    """Print a word so that `parse_word` reads it back; powers of a product are recognised.

    Args:
        word: the word.
        carets: whether to print powers of a generator as ``r^2`` rather than ``r2``. Those of a generator whose name ends
            in a digit always are.

    >>> format_word((("r", 2), ("s", 1)))
    'r2 s'
    >>> format_word((("s", 1), ("r", 1), ("s", 1), ("r", 1)))
    '(s r)^2'
    """
    letters = _letters(word) if len(word) > 1 else []
    for period in range(2, len(letters) // 2 + 1):
        if len(letters) % period == 0 and letters == letters[:period] * (len(letters) // period):
            return f"({_format_factors(reduce_word(letters[:period]), carets)})^{len(letters) // period}"
    return _format_factors(word, carets)


def format_relators(relators: Iterable[Word]) -> str:
    """Print relators so that `parse_relators` reads them back with their generators, and without where that is possible.

    >>> format_relators([(("r", 4),), (("s", 2),)]), format_relators([(("x", 2),), (("x", 3),)])
    ('r4, s2', 'x^2, x^3')
    """
    words = tuple(relators)
    text = ", ".join(format_word(word) for word in words)
    if _unclear(_Parser(text, None).tokens) is None:
        return text
    return ", ".join(format_word(word, carets=True) for word in words)
