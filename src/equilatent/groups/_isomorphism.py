"""Whether two finite groups are the same up to the names of their elements, and a map that shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from equilatent.errors import GroupTooLargeError
from equilatent.groups._group import Group, factorise
from equilatent.groups._subgroups import _adjoin, _as_table, _is_member

__all__ = ["is_isomorphic", "isomorphism"]

#: The images of about so many elements are computed in one go.
_BLOCK = 1 << 21
#: How many elements are tried as the next generator, those with the fewest possible images first.
_TRIED_GENERATORS = 16


def isomorphism(G: Group, H: Group) -> Tensor | None:
    """An isomorphism from one group onto another, or None if there is none.

    Elements are first told apart by what every isomorphism keeps: the order, the size of the conjugacy class, and the
    same for powers, roots and products with all other elements, refined until nothing more splits. If G and H agree in
    that, images in H are searched for a few generators of G, the first one up to conjugacy and each further one up to
    conjugacy by what commutes with the images before; a choice is kept if it extends to a homomorphism that is one-to-one
    on the subgroup generated so far. Groups that agree in all invariants but differ all the same can take long.

    Args:
        G: the group that is mapped.
        H: the group onto which it is mapped.

    Returns:
        The image in H of each element of G, a LongTensor [order]; or None if the groups are not isomorphic.

    Raises:
        GroupTooLargeError: if both groups have the same order and it is beyond `Group.TABLE_LIMIT`.

    >>> import equilatent as eq
    >>> cube, S4 = eq.groups.octahedral(), eq.groups.symmetric(4)
    >>> images = eq.groups.isomorphism(cube, S4)
    >>> bool((images[cube.table()] == S4.product(images[:, None], images)).all())
    True
    >>> eq.groups.isomorphism(eq.groups.quaternion(), eq.groups.dihedral(4)) is None
    True
    """
    if G.order != H.order or G.is_abelian != H.is_abelian:
        return None
    if G.order > Group.TABLE_LIMIT:
        raise GroupTooLargeError(
            f"{G.label} and {H.label} have {G.order} elements; isomorphisms are searched up to order {Group.TABLE_LIMIT}. "
            "Give the images of the generators yourself, with eq.groups.homomorphism."
        )
    G, H = _as_table(G), _as_table(H)
    colours = _colours(G, H)
    if colours is None:
        return None
    identity = torch.zeros(1, dtype=torch.long)
    return _Search(G, H, *colours).run(0, identity[:0], identity, H.elements)


def is_isomorphic(G: Group, H: Group) -> bool:
    """Whether two groups are isomorphic: the same up to the names of their elements; see `isomorphism`.

    >>> import equilatent as eq
    >>> C2, C3, C6 = (eq.groups.cyclic(n) for n in (2, 3, 6))
    >>> eq.groups.is_isomorphic(eq.groups.direct_product(C2, C3), C6)
    True
    """
    return isomorphism(G, H) is not None


# Invariants


def _colours(G: Group, H: Group) -> tuple[Tensor, Tensor] | None:
    """A colour for each element of both groups that every isomorphism keeps, or None if they show that there is none."""
    pair = (G, H)
    primes = [prime for prime, _ in factorise(G.order)]
    powers = [[group.power(group.elements, prime).numpy() for prime in primes] for group in pair]
    classes = [group.conjugacy_classes for group in pair]
    features = [
        np.stack([group.element_order(group.elements).numpy(), c.sizes[c.index].numpy()], 1)
        for group, c in zip(pair, classes, strict=True)
    ]
    count = 0
    while True:
        stacked = np.concatenate(features)
        joint = np.unique(stacked, axis=0, return_inverse=True)[1].reshape(2, -1)
        colours = joint[0], joint[1]
        size = int(joint.max()) + 1
        if (np.bincount(colours[0], minlength=size) != np.bincount(colours[1], minlength=size)).any():
            return None
        if size == count:
            return torch.from_numpy(colours[0]), torch.from_numpy(colours[1])
        count = size
        # Multisets of colours are compared by the sum of random numbers that stand for the colours. Should two sums agree
        # by chance, the colours are a little coarser, and as right.
        weight = np.random.default_rng(0).integers(1 << 62, size=(size, size + 1))
        features = []
        for group, colour, power, c in zip(pair, colours, powers, classes, strict=True):
            columns = [colour, *(colour[moved] for moved in power)]
            for moved in power:
                roots = np.zeros(group.order, dtype=np.int64)
                np.add.at(roots, moved, weight[colour, size])
                columns.append(roots)
            if not group.is_abelian:  # in an abelian group orders, powers and roots say it all
                columns.append(_products(group, colour, weight)[c.index.numpy()])
            features.append(np.stack(columns, 1))


def _products(group: Group, colour: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """For a member g of each class the multiset, over all h, of the colours of h and gh, as a sum of weights, [classes]."""
    representatives = group.conjugacy_classes.representatives
    rows = [
        weight[colour, colour[group.product(block[:, None], group.elements).numpy()]].sum(1)
        for block in representatives.split(max(1, _BLOCK // group.order))
    ]
    return np.concatenate(rows)


# The search


@dataclass(frozen=True)
class _Stage:
    """A subgroup of G that a few generators generate, with its Cayley graph.

    Attributes:
        elements: its elements, ascending.
        generator: the element adjoined last.
        steps: for each generator x so far, the place in `elements` of each v·x.
        tree: levels of a breadth-first spanning tree, each as (places, places of the parents, numbers of the generators).
    """

    elements: Tensor
    generator: int
    steps: tuple[Tensor, ...]
    tree: tuple[tuple[Tensor, Tensor, Tensor], ...]


class _Search:
    """Depth-first search for the images of the generators of G."""

    def __init__(self, G: Group, H: Group, colours: Tensor, target_colours: Tensor) -> None:
        self.G, self.H, self.colours, self.target_colours = G, H, colours, target_colours
        self.stages = _stages(G, colours)

    def run(self, number: int, chosen: Tensor, images: Tensor, centraliser: Tensor) -> Tensor | None:
        """The images of all elements, if the stages so far can be mapped as chosen.

        Args:
            number: how many stages are mapped.
            chosen: the images of their generators.
            images: the images of the elements of the last of these stages.
            centraliser: what commutes with `chosen`.
        """
        if number == len(self.stages):
            return images
        stage = self.stages[number]
        candidates = self._candidates(stage.generator, chosen, images, centraliser)
        # Often the first few candidates hold an image, so that the blocks start small.
        start, size = 0, 8
        while start < len(candidates):
            extended, choices = self._extensions(stage, chosen, candidates[start : start + size])
            for mapped, choice in zip(extended, choices, strict=True):
                t = int(choice[-1])
                commuting = centraliser[self.H.product(centraliser, t) == self.H.product(t, centraliser)]
                found = self.run(number + 1, choice, mapped, commuting)
                if found is not None:
                    return found
            start, size = start + size, min(2 * size, max(8, _BLOCK // len(stage.elements)))
        return None

    def _candidates(self, generator: int, chosen: Tensor, images: Tensor, centraliser: Tensor) -> Tensor:
        """Possible images of the next generator, one for each orbit under conjugation by the centraliser."""
        H = self.H
        candidates = (self.target_colours == self.colours[generator]).nonzero()[:, 0]
        candidates = candidates[~torch.isin(candidates, images)]
        for stage, t in zip(self.stages, chosen.tolist(), strict=False):
            expected = self.colours[self.G.product(stage.generator, generator)]
            candidates = candidates[self.target_colours[H.product(t, candidates)] == expected]
        if not len(chosen):
            return candidates[_is_member(H.conjugacy_classes.representatives, candidates)]
        if H.is_abelian:
            return candidates
        smallest = candidates
        for block in centraliser.split(max(1, _BLOCK // max(1, len(candidates)))):
            smallest = torch.minimum(smallest, H.conjugate(candidates, by=block[:, None]).amin(0))
        representatives: Tensor = smallest.unique()
        return representatives

    def _extensions(self, stage: _Stage, chosen: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Where candidates give isomorphisms of the stage into H, the images of its elements and of its generators."""
        H = self.H
        images = torch.zeros(len(candidates), len(stage.elements), dtype=torch.long)
        choices = torch.cat([chosen.expand(len(candidates), -1), candidates[:, None]], 1)
        colours = self.colours[stage.elements]
        for places, parents, numbers in stage.tree:
            images[:, places] = H.product(images[:, parents], choices[:, numbers])
            # Colours tell the identity apart, so that a homomorphism that keeps them is one-to-one.
            kept = (self.target_colours[images[:, places]] == colours[places]).all(1)
            images, choices = images[kept], choices[kept]
        for number, step in enumerate(stage.steps):
            kept = (images[:, step] == H.product(images, choices[:, number, None])).all(1)
            images, choices = images[kept], choices[kept]
        return images, choices


def _stages(G: Group, colours: Tensor) -> list[_Stage]:
    """A chain of subgroups of G up to G, each generated by one more element, chosen so that few images come in question."""
    sizes = colours.bincount()
    by_images = torch.argsort(sizes[colours], stable=True)
    elements = torch.zeros(1, dtype=torch.long)
    chosen: list[int] = []
    stages: list[_Stage] = []
    while len(elements) < G.order:
        left = by_images[~_is_member(elements, by_images)]
        # One of each colour at first, since elements of one colour mostly generate alike.
        first = np.unique(colours[left].numpy(), return_index=True)[1]
        tried = dict.fromkeys([*left[np.sort(first)].tolist(), *left.tolist()])
        best, grown = math.inf, elements
        for g in list(tried)[:_TRIED_GENERATORS]:
            larger = _adjoin(G, elements, [*chosen, g])
            # Images in question per factor by which the subgroup grows: two steps cost the product of both.
            cost = (math.log(int(sizes[colours[g]])) + 1e-6) / math.log(len(larger) / len(elements))
            if cost < best:
                best, grown, generator = cost, larger, g
        elements = grown
        chosen.append(generator)
        stages.append(_stage(G, elements, chosen))
    return stages


def _stage(G: Group, elements: Tensor, generators: list[int]) -> _Stage:
    steps = tuple(torch.searchsorted(elements, G.product(elements, x)) for x in generators)
    seen = np.zeros(len(elements), dtype=bool)
    seen[0] = True
    level = torch.zeros(1, dtype=torch.long)
    tree: list[tuple[Tensor, Tensor, Tensor]] = []
    while len(level):
        places, first = np.unique(torch.cat([step[level] for step in steps]).numpy(), return_index=True)
        new = ~seen[places]
        seen[places] = True
        reached, origin = torch.from_numpy(places[new]), torch.from_numpy(first[new])
        if len(reached):
            tree.append((reached, level[origin % len(level)], origin // len(level)))
        level = reached
    return _Stage(elements, generators[-1], steps, tuple(tree))
