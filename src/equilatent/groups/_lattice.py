"""All subgroups of a group."""

from __future__ import annotations

import numpy as np
import torch

from equilatent.errors import GroupTooLargeError
from equilatent.groups._group import Group
from equilatent.groups._subgroups import Subgroup

__all__ = ["subgroups"]


def subgroups(group: Group, *, up_to_conjugacy: bool = False, max_order: int = 200) -> tuple[Subgroup, ...]:
    """All subgroups, or one of each class of conjugate ones.

    Starting from the trivial subgroup, one more generator is adjoined at a time, one for each double coset HzH, since
    ⟨H, z⟩ is the same for all elements of it.

    Args:
        group: the group.
        up_to_conjugacy: whether to give the first subgroup of each conjugacy class only.
        max_order: the largest order of `group` that is accepted. Groups of a few hundred elements can have very many
            subgroups: C2⁶ has 2825, C2⁷ has 29212.

    Returns:
        The subgroups, sorted by order and then by their elements, so the trivial one is first, the whole group last.

    Raises:
        GroupTooLargeError: if the group has more than `max_order` elements.

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> len(eq.groups.subgroups(G)), len(eq.groups.subgroups(G, up_to_conjugacy=True))
    (10, 8)
    """
    if group.order > max_order:
        raise GroupTooLargeError(
            f"{group.label} has {group.order} elements; all subgroups are listed up to max_order={max_order}. Raise it if "
            "you can wait, or make the subgroups you need with eq.groups.subgroup(G, [...])."
        )
    classes = _subgroup_classes(group.table().numpy(), conjugate=not group.is_abelian)
    found = [members[:1] if up_to_conjugacy else members for members in classes]
    ordered = sorted((elements for members in found for elements in members), key=lambda e: (len(e), e))
    return tuple(Subgroup(group, torch.tensor(elements)) for elements in ordered)


def _subgroup_classes(table: np.ndarray, *, conjugate: bool) -> list[list[tuple[int, ...]]]:
    """The elements of every subgroup, by conjugacy classes; in each class they are sorted.

    Args:
        table: the product table.
        conjugate: whether there are subgroups to be conjugated: not in an abelian group.
    """
    order = len(table)
    everything = np.arange(order)
    inverse = (table == 0).argmax(1)
    conjugation = table[table, inverse[:, None]] if conjugate else everything[None]
    known: set[bytes] = set()
    classes: list[list[tuple[int, ...]]] = []

    def record(elements: np.ndarray) -> None:
        masks = np.zeros((len(conjugation), order), dtype=bool)
        np.put_along_axis(masks, conjugation[:, elements], True, 1)
        members = np.unique(np.packbits(masks, axis=1), axis=0)
        known.update(row.tobytes() for row in members)
        unpacked = np.unpackbits(members, axis=1, count=order)
        classes.append(sorted(tuple(mask.nonzero()[0].tolist()) for mask in unpacked))

    trivial = np.zeros(1, dtype=np.int64)
    record(trivial)
    queue: list[tuple[np.ndarray, list[int]]] = [(trivial, [])]
    for elements, generators in queue:
        adjoined, masks = _with_one_more(table, elements, generators)
        for z, mask, packed in zip(adjoined, masks, np.packbits(masks, axis=1), strict=True):
            # The conjugates of a subgroup need not be extended: the conjugates of its extensions are recorded.
            if packed.tobytes() not in known:
                record(mask.nonzero()[0])
                queue.append((mask.nonzero()[0], [*generators, int(z)]))
    return classes


def _with_one_more(table: np.ndarray, elements: np.ndarray, generators: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """One element z of each double coset HzH ≠ H, and the elements of each ⟨H, z⟩ as a mask, [double cosets, order]."""
    representatives, coset = np.unique(table[:, elements].min(1), return_inverse=True)
    moved = coset[table[:, representatives]]  # the action on the left cosets of H, [order, cosets]
    adjoined = representatives[np.unique(moved[elements].min(0))[1:]]
    steps, powers = [moved[h] for h in generators], [moved[adjoined]]
    # Powers 1, 2, 4, … of z reach along its cycles in few rounds.
    while (powers[-1] != np.arange(len(representatives))).any() and 1 << len(powers) < len(representatives):
        powers.append(np.take_along_axis(powers[-1], powers[-1], 1))
    # ⟨H, z⟩ consists of the cosets that H and z reach from the coset 0.
    reached = np.zeros((len(adjoined), len(representatives)), dtype=bool)
    reached[:, 0] = True
    while True:
        before = np.count_nonzero(reached)
        for power in powers:
            reached |= np.take_along_axis(reached, power, 1)
        for step in steps:
            reached |= reached[:, step]
        if np.count_nonzero(reached) == before:
            return adjoined, reached[:, coset]
