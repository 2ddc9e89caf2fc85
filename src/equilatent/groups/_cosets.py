"""Coset enumeration: the multiplication table of a finitely presented group by its generators.

The method is that of Todd and Coxeter, with the strategy of Felsch: cosets are defined in the order of the gaps in the
table, and before the next one everything is deduced that the relators imply, by tracing them from each new entry in
all their cyclic arrangements. Of a long relator there are too many of these; it is traced once from every coset
instead, and the cosets that are missing along it are defined (Haselgrove, Leech and Trotter). See D. F. Holt, B. Eick and
E. A. O'Brien, "Handbook of Computational Group Theory" (2005), sections 5.1 and 5.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from equilatent.groups._words import Word

__all__ = ["enumerate_cosets"]

#: Relators up to this many letters are traced in all their cyclic arrangements.
_SHORT = 50
_GAP = -1


class _FullError(Exception):
    """The table has as many rows as it may have."""


class _CosetTable:
    """A coset for each row; the columns 2k and 2k + 1 hold its products with the generator k and with its inverse.

    An entry is the number of a coset, or a gap. Rows of cosets that turned out to be another one are dead: they have
    gaps only, no entry leads to them, and `same` leads on to the coset that they are.
    """

    def __init__(self, columns: int, relators: Sequence[tuple[int, ...]], limit: int) -> None:
        self.columns, self.limit = columns, limit
        self.rows = [[_GAP] * columns]
        self.same = [0]
        self.new: list[tuple[int, int]] = []  # entries whose consequences are still to be drawn
        self.long = [word for word in relators if len(word) > _SHORT]
        arranged = {
            word[i:] + word[:i]
            for relator in relators
            if len(relator) <= _SHORT
            for word in (relator, tuple(x ^ 1 for x in reversed(relator)))
            for i in range(len(word))
        }
        self.starting_with: list[list[tuple[int, ...]]] = [[] for _ in range(columns)]
        for word in sorted(arranged):
            self.starting_with[word[0]].append(word)

    def is_live(self, coset: int) -> bool:
        return self.same[coset] == coset

    def fill(self) -> None:
        """Define cosets and draw consequences until the table of the live cosets has no gap."""
        coset = 0
        while coset < len(self.rows):
            for word in self.long:
                if self.is_live(coset):
                    self.trace(coset, word, define=True)
                    self.deduce()
            for x in range(self.columns):
                if self.is_live(coset) and self.rows[coset][x] == _GAP:
                    self.define(coset, x)
                    self.deduce()
            coset += 1

    def define(self, coset: int, x: int) -> None:
        if len(self.rows) == self.limit:
            raise _FullError
        self.rows.append([_GAP] * self.columns)
        self.same.append(len(self.same))
        self.enter(coset, x, len(self.rows) - 1)

    def enter(self, coset: int, x: int, target: int) -> None:
        self.rows[coset][x] = target
        self.rows[target][x ^ 1] = coset
        self.new.append((coset, x))

    def deduce(self) -> None:
        same = self.same
        while self.new:
            coset, x = self.new.pop()
            for start, letter in ((coset, x), (self.rows[coset][x], x ^ 1)):
                if start == _GAP:  # the coset has died, and its entry with it
                    break
                for word in self.starting_with[letter]:
                    if same[start] != start:
                        break
                    self.trace(start, word)

    def trace(self, coset: int, word: tuple[int, ...], *, define: bool = False) -> None:
        """Follow a relator from both of its ends, which meet in the same coset: enter what this says."""
        rows = self.rows
        front = back = coset
        i, j = 0, len(word) - 1
        while True:
            while i <= j and (target := rows[front][word[i]]) != _GAP:
                front, i = target, i + 1
            while i <= j and (target := rows[back][word[j] ^ 1]) != _GAP:
                back, j = target, j - 1
            if i > j:
                if front != back:
                    self.identify(front, back)
                return
            if i == j:
                self.enter(front, word[i], back)
                return
            if not define:
                return
            self.define(front, word[i])

    def identify(self, first: int, second: int) -> None:
        """Two cosets are the same: the later row dies, and what its entries imply is carried over."""
        equal = [(first, second)]
        while equal:
            kept, dead = sorted(map(self.representative, equal.pop()))
            if kept == dead:
                continue
            self.same[dead] = kept
            for x in range(self.columns):
                target = self.rows[dead][x]
                if target == _GAP:
                    continue
                self.rows[dead][x] = self.rows[target][x ^ 1] = _GAP
                target = self.representative(target)
                if (other := self.rows[kept][x]) != _GAP:
                    equal.append((other, target))
                elif (other := self.rows[target][x ^ 1]) != _GAP:
                    equal.append((other, kept))
                else:
                    self.enter(kept, x, target)

    def representative(self, coset: int) -> int:
        while not self.is_live(coset):
            self.same[coset] = self.same[self.same[coset]]
            coset = self.same[coset]
        return coset


def enumerate_cosets(names: Sequence[str], relators: Sequence[Word], limit: int) -> dict[str, np.ndarray] | None:
    """The Cayley graph of the group with the given generators and relators.

    Args:
        names: the generators.
        relators: words in them, none of them empty.
        limit: the enumeration gives up beyond so many cosets, which may be many more than the group has elements.

    Returns:
        For each generator x the array [order] whose entry v is the number of v·x, the identity being number 0; or None if
        the enumeration gave up.
    """
    column = {name: 2 * k for k, name in enumerate(names)}
    words = [
        tuple(column[x] + (exponent < 0) for x, exponent in word for _ in range(abs(exponent))) for word in relators
    ]
    table = _CosetTable(2 * len(names), words, limit)
    try:
        table.fill()
    except _FullError:
        return None
    rows = np.array(table.rows)
    live = (np.array(table.same) == np.arange(len(rows))).nonzero()[0]
    return {name: np.searchsorted(live, rows[live, k]) for name, k in column.items()}
