"""Names, generators, presentations, conjugacy classes and spanning trees of every group."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest
import torch

import equilatent as eq
from equilatent.errors import GroupError
from equilatent.groups import Group


def _distances(G: Group) -> dict[int, int]:
    """The number of generators it takes to spell each element, by a search one element at a time."""
    distance, queue = {0: 0}, [0]
    for element in queue:
        for x in G.generators.values():
            target = G.product(element, x)
            if target not in distance:
                distance[target] = distance[element] + 1
                queue.append(target)
    return distance


def test_order_counts_the_elements(G: Group) -> None:
    assert G.order == len(G) == len(G.elements) == len(set(G.table()[0].tolist()))


def test_repr_names_the_order_and_the_generators(G: Group) -> None:
    assert f"order={G.order}" in repr(G)
    assert G.label in repr(G)
    assert all(x in repr(G) for x in G.generators)


def test_each_name_reads_back_as_its_element(G: Group) -> None:
    assert [G[name] for name in G.names] == list(range(G.order))
    assert G.names[0] == ("1" if "e" in G.generators else "e")
    assert len(set(G.names)) == G.order


def test_each_word_spells_its_element(G: Group) -> None:
    assert [G.evaluate(G.word(g)) for g in range(G.order)] == list(range(G.order))


def test_generators_are_known_by_name(G: Group) -> None:
    assert {x: G[x] for x in G.generators} == dict(G.generators)


def test_generators_cannot_be_changed(G: Group) -> None:
    with pytest.raises(TypeError):
        G.generators["new"] = 0  # type: ignore[index]


def test_generators_generate(G: Group) -> None:
    assert set(_distances(G)) == set(range(G.order))


def test_words_of_the_spanning_tree_are_shortest(G: Group) -> None:
    distance = _distances(G)
    for element in range(G.order):
        word = G.spanning_tree.word(element)
        assert G.evaluate(word) == element
        assert sum(exponent for _, exponent in word) == distance[element] == G.spanning_tree.depth[element]


def test_levels_of_the_spanning_tree_visit_each_element_after_its_parent(G: Group) -> None:
    tree, seen = G.spanning_tree, {0}
    for level in tree.levels():
        assert set(tree.parent[level].tolist()) <= seen
        seen.update(level.tolist())
    assert seen == set(range(G.order))


def test_relators_are_the_identity(G: Group) -> None:
    assert [G.evaluate(word) for word in G.relators] == [0] * len(G.relators)


def test_presentation_defines_the_group(G: Group) -> None:
    if not G.generators:
        assert G.presentation == ""
        return
    again = eq.groups.from_presentation(G.presentation, generators=G.generators)
    assert list(again.generators) == list(G.generators)
    assert again.order == G.order
    image = torch.tensor([G.evaluate(again.word(g)) for g in range(again.order)])
    assert image.sort().values.tolist() == list(range(G.order))
    assert torch.equal(image[again.table()], G.product(image[:, None], image))


def test_presentation_is_read_without_the_names_unless_they_are_unclear(G: Group) -> None:
    if not G.generators:
        return
    if any(x == "e" or re.fullmatch("[A-Za-z]+[0-9]+", x) for x in G.generators):
        with pytest.raises(GroupError, match="may be a generator"):
            eq.groups.from_presentation(G.presentation)
        return
    again = eq.groups.from_presentation(G.presentation)
    assert again == eq.groups.from_presentation(G.presentation, generators=again.generators)
    assert set(again.generators) == set(G.generators)


def test_conjugacy_classes_are_the_orbits_of_conjugation(G: Group) -> None:
    conjugates = G.conjugate(G.elements[:, None], G.elements)
    expected = [sorted(set(row)) for row in conjugates.tolist()]
    classes = G.conjugacy_classes
    assert [classes.members(int(number)).tolist() for number in classes.index] == expected


def test_conjugacy_classes_list_the_smallest_members_in_order(G: Group) -> None:
    classes = G.conjugacy_classes
    representatives = classes.representatives.tolist()
    assert representatives == sorted(representatives)
    assert representatives[0] == 0
    members = [classes.members(number) for number in range(len(classes))]
    assert [int(elements.min()) for elements in members] == representatives
    assert [len(elements) for elements in members] == classes.sizes.tolist()
    assert int(classes.sizes.sum()) == G.order


def test_natural_permutations_satisfy_the_relators(G: Group) -> None:
    if G.natural is None:
        return
    degree = max((len(images) for images in G.natural.values()), default=0)
    for word in G.relators:
        point = list(range(degree))
        for x, exponent in reversed(word):  # gh is first h, then g
            images = G.natural[x]
            step = images if exponent > 0 else [images.index(i) for i in range(degree)]
            for _ in range(abs(exponent)):
                point = [step[i] for i in point]
        assert point == list(range(degree))


def test_defining_matrices_are_a_faithful_representation(G: Group) -> None:
    if not G.defining:
        return
    dim = len(next(iter(G.defining.values())))
    assert all(matrix.dtype == np.float64 and matrix.shape == (dim, dim) for matrix in G.defining.values())
    matrices = np.stack(
        [
            functools.reduce(np.matmul, [np.linalg.matrix_power(G.defining[x], k) for x, k in G.word(g)], np.eye(dim))
            for g in range(G.order)
        ]
    )
    assert np.allclose(matrices[:, None] @ matrices, matrices[G.table().numpy()], atol=1e-9)
    distance = np.abs(matrices[:, None] - matrices).max((2, 3))
    assert (distance + np.eye(G.order)).min() > 0.1
