"""Defining relators of a finite group, read off its Cayley graph.

J. J. Cannon, "Construction of defining relators for finite groups", Discrete Mathematics 5 (1973): colour the edges of
a spanning tree; a relator traced from any vertex along which exactly one edge is uncoloured colours that edge; whenever
nothing more can be coloured, the loop closed by an uncoloured edge is a new relator. When all edges are coloured, every
loop of the graph, and so every relation of the group, follows from the relators found.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import torch

from equilatent.groups._words import Word, invert_word, reduce_word

if TYPE_CHECKING:
    from equilatent.groups._group import Group

__all__ = ["defining_relators"]

#: Up to this order relators that follow from the others are taken out again.
_PRUNE_ORDER = 512


class _CayleyGraph:
    def __init__(self, group: Group) -> None:
        self.tree = group.spanning_tree
        elements = torch.arange(group.order)
        self.forward = {x: group.product(elements, g).numpy() for x, g in group.generators.items()}
        self.backward = {x: np.argsort(step) for x, step in self.forward.items()}
        self.order = group.order

    def tree_edges(self) -> dict[str, np.ndarray]:
        coloured = {x: np.zeros(self.order, dtype=bool) for x in self.forward}
        for number, x in enumerate(self.tree.generators):
            children = (self.tree.generator == number) & (self.tree.depth > 0)
            coloured[x][self.tree.parent[children]] = True
        return coloured

    def edges(self, word: Word) -> list[tuple[str, np.ndarray]]:
        """The edges (generator, tail vertex) along a word, from every vertex at once."""
        at, edges = np.arange(self.order), []
        for x, exponent in word:
            for _ in range(abs(exponent)):
                if exponent > 0:
                    edges.append((x, at))
                    at = self.forward[x][at]
                else:
                    at = self.backward[x][at]
                    edges.append((x, at))
        return edges

    def colour(self, coloured: dict[str, np.ndarray], relators: list[Word]) -> None:
        """Deduce all that the relators imply, in place."""
        traces = [self.edges(word) for word in relators]
        changed = True
        while changed:
            changed = False
            for trace in traces:
                unknown = np.stack([~coloured[x][tail] for x, tail in trace])
                single = unknown.sum(0) == 1
                if not single.any():
                    continue
                position = unknown.argmax(0)
                for number, (x, tail) in enumerate(trace):
                    hit = single & (position == number)
                    if hit.any():
                        coloured[x][tail[hit]] = True
                        changed = True


def defining_relators(group: Group) -> tuple[Word, ...]:
    """Relators for the group's generators; the orders of the generators and of their products come first."""
    graph = _CayleyGraph(group)
    relators: list[Word] = [((x, group.element_order(g)),) for x, g in group.generators.items()]
    for x, y in itertools.combinations(group.generators, 2):
        product = group.evaluate(((x, 1), (y, 1)))
        relators.append(reduce_word(((x, 1), (y, 1)) * group.element_order(product)))
    coloured = graph.tree_edges()
    graph.colour(coloured, relators)
    for vertex in graph.tree.order:
        for x, step in graph.forward.items():
            if not coloured[x][vertex]:
                loop = (*graph.tree.word(vertex), (x, 1), *invert_word(graph.tree.word(int(step[vertex]))))
                relators.append(_cyclically_reduced(reduce_word(loop)))
                graph.colour(coloured, relators)
    if group.order <= _PRUNE_ORDER:
        relators = _without_redundant(graph, relators)
    return tuple(relators)


def _cyclically_reduced(word: Word) -> Word:
    while len(word) > 1 and word[0][0] == word[-1][0]:
        word = reduce_word((*word[1:], word[0]))
    return word


def _without_redundant(graph: _CayleyGraph, relators: list[Word]) -> list[Word]:
    # The longest first, and the generators' own orders not at all: they are what a reader looks for.
    for word in sorted(relators, key=lambda word: -sum(abs(exponent) for _, exponent in word)):
        if len(word) == 1:
            continue
        rest = [other for other in relators if other != word]
        coloured = graph.tree_edges()
        graph.colour(coloured, rest)
        if all(known.all() for known in coloured.values()):
            relators = rest
    return relators
