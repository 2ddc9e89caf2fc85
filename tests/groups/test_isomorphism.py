"""The search for isomorphisms, and what tells groups apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equilatent as eq
from equilatent.errors import GroupTooLargeError
from equilatent.groups import Group, Subgroup

C, D, P = eq.groups.cyclic, eq.groups.dihedral, eq.groups.direct_product


def _renumbered(G: Group, seed: int) -> Group:
    """The same group by its table, its elements in another order."""
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(G.order - 1, generator=_seeded(seed))])
    place = torch.argsort(order)
    return eq.groups.from_table(place[G.table()[order][:, order]])


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _assert_isomorphism(G: Group, H: Group, images: torch.Tensor | None) -> None:
    assert images is not None
    assert images.sort().values.equal(H.elements)
    assert images[G.table()].equal(H.product(images[:, None], images))


def _central(G: Group, H: Group, word: str) -> Group:
    """The central product of two groups: their direct product with two central elements identified."""
    return eq.groups.quotient(eq.groups.subgroup(P(G, H), [word])).group


def _semidirect(n: int, m: int, power: int) -> Group:
    return eq.groups.semidirect_product(C(n), C(m), {"r": {"r": f"r^{power}"}})


_Q8 = eq.groups.quaternion()

_SAME: dict[str, Callable[[], tuple[Group, Group]]] = {
    "trivial": lambda: (C(1), eq.groups.symmetric(1)),
    "S3 = D3": lambda: (eq.groups.symmetric(3), D(3)),
    "O = S4": lambda: (eq.groups.octahedral(), eq.groups.symmetric(4)),
    "I = A5": lambda: (eq.groups.icosahedral(), eq.groups.alternating(5)),
    "Th = A4xC2": lambda: (eq.groups.tetrahedral(inversion=True), P(eq.groups.alternating(4), C(2))),
    "Oh = S4xC2": lambda: (eq.groups.octahedral(inversion=True), P(C(2), eq.groups.symmetric(4))),
    "Q8 = Dic2": lambda: (_Q8, eq.groups.dicyclic(2)),
    "V4 = D2": lambda: (eq.groups.klein_four(), D(2)),
    "C2xC3 = C6": lambda: (P(C(2), C(3)), C(6)),
    "C4xC9xC5 = C180": lambda: (P(C(4), C(9), C(5)), C(180)),
    "D6 = D3xC2": lambda: (D(6), P(D(3), C(2))),
    "C2^6": lambda: (P(*[C(2)] * 6), P(C(2), eq.groups.klein_four(), C(2), eq.groups.klein_four())),
    "D4xS4": lambda: (P(D(4), eq.groups.octahedral()), P(eq.groups.symmetric(4), D(4))),
    # The two presentations of the extraspecial group 2^{1+4} of plus type (D. Gorenstein, "Finite Groups", section 5.5).
    "D4∘D4 = Q8∘Q8": lambda: (_central(D(4), D(4), "r_1^2 r_2^2"), _central(_Q8, _Q8, "i_1^2 i_2^2")),
    "S6": lambda: (eq.groups.symmetric(6), eq.groups.subgroup(eq.groups.symmetric(7), ["t", "(0 1 2 3 4 5)"]).group),
}

_DIFFERENT: dict[str, Callable[[], tuple[Group, Group]]] = {
    "orders": lambda: (C(4), C(5)),
    "one abelian": lambda: (C(6), D(3)),
    "C4, V4": lambda: (C(4), eq.groups.klein_four()),
    "D4, Q8": lambda: (D(4), _Q8),
    "D6, A4": lambda: (D(6), eq.groups.alternating(4)),
    "D6, Dic3": lambda: (D(6), eq.groups.dicyclic(3)),
    "S5, Ih": lambda: (eq.groups.symmetric(5), eq.groups.icosahedral(inversion=True)),
    "D4xC2, Q8xC2": lambda: (P(D(4), C(2)), P(_Q8, C(2))),
    "C2xC8, C4xC4": lambda: (P(C(2), C(8)), P(C(4), C(4))),
    # The following pairs have equally many elements of each order.
    "C4xC4, C4⋊C4": lambda: (P(C(4), C(4)), _semidirect(4, 4, -1)),
    "C2xC8, M16": lambda: (P(C(2), C(8)), _semidirect(8, 2, 5)),
    "C2xQ8, C4⋊C4": lambda: (P(C(2), _Q8), _semidirect(4, 4, -1)),
    "C3^3, Heisenberg": lambda: (
        P(C(3), C(3), C(3)),
        eq.groups.from_presentation("a3, b3, [a, b] = z, z3, [a, z], [b, z]"),
    ),
    "C9xC3, C9⋊C3": lambda: (P(C(9), C(3)), _semidirect(9, 3, 4)),
    "C2xD4, C4∘D4": lambda: (P(C(2), D(4)), _central(C(4), D(4), "r_1^2 r_2^2")),
    "the two extraspecial groups": lambda: (_central(D(4), D(4), "r_1^2 r_2^2"), _central(D(4), _Q8, "r_1^2 i_2^2")),
}


@pytest.mark.parametrize("make", _SAME.values(), ids=_SAME.keys())
def test_the_same_group_made_differently_is_recognised(make: Callable[[], tuple[Group, Group]]) -> None:
    G, H = make()
    _assert_isomorphism(G, H, eq.groups.isomorphism(G, H))
    _assert_isomorphism(H, G, eq.groups.isomorphism(H, G))
    assert eq.groups.is_isomorphic(G, H)


@pytest.mark.parametrize("make", _DIFFERENT.values(), ids=_DIFFERENT.keys())
def test_different_groups_are_told_apart(make: Callable[[], tuple[Group, Group]]) -> None:
    G, H = make()
    assert eq.groups.isomorphism(G, H) is None
    assert not eq.groups.is_isomorphic(H, G)


def test_some_of_the_different_pairs_have_the_same_orders_of_elements() -> None:
    for name in ("C4xC4, C4⋊C4", "C2xC8, M16", "C2xQ8, C4⋊C4", "C3^3, Heisenberg", "C9xC3, C9⋊C3"):
        orders = [G.element_order(G.elements).sort().values for G in _DIFFERENT[name]()]
        assert orders[0].equal(orders[1])


def test_a_renumbered_group_is_isomorphic(G: Group) -> None:
    H = _renumbered(G, seed=G.order)
    _assert_isomorphism(G, H, eq.groups.isomorphism(G, H))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=3), st.lists(st.integers(1, 12), min_size=1, max_size=3))
def test_products_of_cyclic_groups_are_told_apart_by_their_elementary_divisors(a: list[int], b: list[int]) -> None:
    def divisors(sizes: list[int]) -> list[int]:
        powers = []
        for size in sizes:
            for prime in (2, 3, 5, 7, 11):
                power = 1
                while size % (power * prime) == 0:
                    power *= prime
                powers += [power] if power > 1 else []
        return sorted(powers)

    G, H = P(*map(C, a)), P(*map(C, b))
    assert eq.groups.is_isomorphic(G, H) == (divisors(a) == divisors(b))


def test_conjugate_subgroups_are_isomorphic_and_isomorphic_ones_need_not_be_conjugate() -> None:
    G = eq.groups.symmetric(4)
    normal, other = (eq.groups.subgroup(G, words) for words in (["(0 1)(2 3)", "(0 2)(1 3)"], ["(0 1)", "(2 3)"]))
    assert normal.is_normal and not other.is_normal
    assert eq.groups.is_isomorphic(normal.group, other.group)
    assert not eq.groups.is_isomorphic(normal.group, eq.groups.subgroup(G, ["c"]).group)


def test_the_subgroups_of_S4_are_of_nine_kinds() -> None:
    # 1, C2, C3, C4, V4, S3, D4, A4 and S4.
    kinds: list[Subgroup] = []
    for H in eq.groups.subgroups(eq.groups.symmetric(4)):
        if not any(eq.groups.is_isomorphic(H.group, K.group) for K in kinds):
            kinds.append(H)
    assert [H.order for H in kinds] == [1, 2, 3, 4, 4, 6, 8, 12, 24]


@pytest.mark.slow
def test_large_groups_are_recognised() -> None:
    for G in (eq.groups.symmetric(7), P(*[D(4)] * 3), P(*[C(2)] * 10)):
        images = eq.groups.isomorphism(G, G)
        assert images is not None and images.sort().values.equal(G.elements)
    assert eq.groups.isomorphism(D(4000), eq.groups.dicyclic(2000)) is None


def test_groups_too_large_to_search_are_refused_and_different_orders_are_not() -> None:
    with pytest.raises(GroupTooLargeError, match=r"isomorphisms are searched up to order 8192\..*homomorphism"):
        eq.groups.isomorphism(C(10_000), C(10_000))
    assert eq.groups.isomorphism(C(10_000), C(10_001)) is None
