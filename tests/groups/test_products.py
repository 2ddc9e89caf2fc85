"""Direct products: components, names, and orders that no table could hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import equilatent as eq
from equilatent.groups import Group

NESTED = eq.groups.direct_product(
    eq.groups.dihedral(3), eq.groups.direct_product(eq.groups.quaternion(), eq.groups.cyclic(1)), eq.groups.symmetric(3)
)
HUGE = eq.groups.direct_product(*(eq.groups.dihedral(n) for n in range(3, 15)))


def _draw(G: Group, size: int, seed: int) -> torch.Tensor:
    return G.sample(size, generator=torch.Generator().manual_seed(seed))


def test_split_then_join_is_every_element() -> None:
    assert torch.equal(NESTED.join(*NESTED.split(NESTED.elements)), NESTED.elements)
    assert [NESTED.join(*NESTED.split(g)) for g in range(NESTED.order)] == list(range(NESTED.order))


def test_join_then_split_is_every_combination_the_last_fastest() -> None:
    parts = torch.meshgrid(*(factor.elements for factor in NESTED.factors), indexing="ij")
    joined = NESTED.join(*parts)
    assert torch.equal(joined.flatten(), NESTED.elements)
    assert all(torch.equal(part, again) for part, again in zip(parts, NESTED.split(joined), strict=True))


def test_join_takes_ints_among_tensors_and_broadcasts() -> None:
    joined = NESTED.join(torch.arange(6)[:, None], 3, torch.arange(6))
    assert joined.shape == (6, 6)
    assert joined[4, 5] == NESTED.join(4, 3, 5)


@pytest.mark.parametrize("G", [NESTED, HUGE], ids=["nested", "huge"])
def test_components_multiply_each_in_its_factor(G: Group) -> None:
    a, b = _draw(G, 300, 0), _draw(G, 300, 1)
    parts = zip(G.factors, G.split(a), G.split(b), G.split(G.product(a, b)), G.split(G.inverse(a)), strict=True)
    for factor, x, y, product, inverse in parts:
        assert torch.equal(product, factor.product(x, y))
        assert torch.equal(inverse, factor.inverse(x))


def test_generators_are_numbered_by_their_factor() -> None:
    assert list(NESTED.generators) == ["r_1", "s_1", "i_1_2", "j_1_2", "t_3", "c_3"]
    assert NESTED["r_1 i_1_2 c_3"] == NESTED.join(
        NESTED.factors[0]["r"], NESTED.factors[1]["i_1"], NESTED.factors[2]["c"]
    )


def test_generators_of_different_factors_commute() -> None:
    G = eq.groups.direct_product(eq.groups.dihedral(3), eq.groups.dihedral(3))
    assert G["[r_1, s_2]"] == G["[r_1, r_2]"] == G["[s_1, s_2]"] == 0
    assert G["[r_1, s_1]"] != 0


def test_product_of_twelve_dihedral_groups_has_all_their_elements() -> None:
    assert math.prod(2 * n for n in range(3, 15)) == HUGE.order
    assert HUGE.order > 10**14


def test_product_of_twelve_dihedral_groups_is_a_group_on_drawn_elements() -> None:
    a, b, c = _draw(HUGE, 3000, 0).reshape(3, -1)
    assert torch.equal(HUGE.product(HUGE.product(a, b), c), HUGE.product(a, HUGE.product(b, c)))
    assert HUGE.product(a, HUGE.inverse(a)).eq(0).all()
    assert torch.equal(HUGE.product(a, 0), a)
    assert not HUGE.is_abelian


def test_orders_in_a_product_are_least_common_multiples() -> None:
    G = eq.groups.direct_product(*(eq.groups.dihedral(n) for n in (9, 10, 12, 14)))
    a = _draw(G, 300, 0)
    parts = zip(G.factors, G.split(a), strict=True)
    expected = np.lcm.reduce([factor.element_order(part).numpy() for factor, part in parts])
    assert G.element_order(a).tolist() == expected.tolist()


def test_names_in_a_huge_product_read_back() -> None:
    elements = _draw(HUGE, 4, 0).tolist()
    assert [HUGE[HUGE.name(g)] for g in elements] == elements


def test_presentation_of_a_huge_product_holds_without_visiting_its_elements() -> None:
    assert len(HUGE.relators) == 12 * 3 + 4 * math.comb(12, 2)
    assert all(HUGE.evaluate(word) == 0 for word in HUGE.relators[::17])


def test_powers_of_words_with_subscripts_read_back() -> None:
    G = eq.groups.direct_product(eq.groups.dihedral(5), eq.groups.quaternion())
    D5, Q8 = G.factors
    assert G["(r_1 i_2^-1)^2 (s_1 r_1^2)"] == G.join(D5["r2 s r2"], Q8["i^-2"])


def test_every_name_in_a_product_of_one_reads_back() -> None:
    G = eq.groups.direct_product(eq.groups.from_permutations([[2, 0, 3, 1], [2, 1, 0, 3]]))
    assert [G[name] for name in G.names] == list(range(24))  # one of them is (b_1 a_1^2)^2
