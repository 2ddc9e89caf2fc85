"""Every group multiplies as a group must, in whatever shape its elements come."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from equilatent.groups import Group


def _some(G: Group, size: int, seed: int = 0) -> Tensor:
    return G.sample(size, generator=torch.Generator().manual_seed(seed))


def _repeated_product(G: Group, a: Tensor, times: int) -> Tensor:
    return functools.reduce(G.product, [a] * times, torch.zeros_like(a))


def test_product_is_associative(G: Group) -> None:
    if G.order <= 30:
        a, b, c = torch.meshgrid(G.elements, G.elements, G.elements, indexing="ij")
    else:
        a, b, c = _some(G, 30_000).reshape(3, -1)
    assert torch.equal(G.product(G.product(a, b), c), G.product(a, G.product(b, c)))


def test_element_zero_is_the_identity(G: Group) -> None:
    assert torch.equal(G.product(0, G.elements), G.elements)
    assert torch.equal(G.product(G.elements, 0), G.elements)
    assert G[G.name(0)] == G["1"] == 0
    assert "e" in G.generators or G["e"] == 0


def test_inverses_cancel_on_both_sides(G: Group) -> None:
    assert G.product(G.elements, G.inverse(G.elements)).eq(0).all()
    assert G.product(G.inverse(G.elements), G.elements).eq(0).all()


def test_table_agrees_with_product_of_ints(G: Group) -> None:
    table = G.table()
    assert table.shape == (G.order, G.order)
    assert table.dtype == torch.long
    for a, b in zip(_some(G, 40).tolist(), _some(G, 40, seed=1).tolist(), strict=True):
        assert table[a, b] == G.product(a, b)


def test_each_row_and_column_of_the_table_holds_each_element_once(G: Group) -> None:
    expected = G.elements.expand(G.order, -1)
    assert torch.equal(G.table().sort(1).values, expected)
    assert torch.equal(G.table().T.sort(1).values, expected)


def test_power_is_repeated_product(G: Group) -> None:
    for exponent in (-7, -2, -1, 0, 1, 2, 3, 8, 11):
        base = G.elements if exponent >= 0 else G.inverse(G.elements)
        expected = _repeated_product(G, base, abs(exponent))
        assert torch.equal(G.power(G.elements, exponent), expected)
        assert G.power(G.order - 1, exponent) == expected[-1]


def test_power_broadcasts_over_exponents(G: Group) -> None:
    exponents = torch.tensor([[-3], [0], [1], [4]])
    powers = G.power(G.elements, exponents)
    assert powers.shape == (4, G.order)
    for row, exponent in zip(powers, exponents.flatten().tolist(), strict=True):
        assert torch.equal(row, G.power(G.elements, exponent))


def test_huge_powers_reduce_modulo_the_order(G: Group) -> None:
    assert torch.equal(G.power(G.elements, G.order * 10**12 + 1), G.elements)


def test_element_order_is_the_least_power_that_is_the_identity(G: Group) -> None:
    expected, power = torch.zeros(G.order, dtype=torch.long), G.elements
    for k in range(1, G.order + 1):
        expected[(power == 0) & (expected == 0)] = k
        power = G.product(power, G.elements)
    assert torch.equal(G.element_order(G.elements), expected)
    assert G.element_order(G.order - 1) == expected[-1]


def test_conjugate_is_by_times_element_times_inverse(G: Group) -> None:
    a, by = _some(G, 50), _some(G, 50, seed=1)
    assert torch.equal(G.product(G.conjugate(a, by), by), G.product(by, a))
    assert G.conjugate(int(a[0]), int(by[0])) == G.conjugate(a, by)[0]


def test_abelian_groups_are_those_with_a_symmetric_table(G: Group) -> None:
    assert G.is_abelian == torch.equal(G.table(), G.table().T)


def test_tensors_of_any_shape_broadcast(G: Group) -> None:
    a, b = _some(G, 6).reshape(2, 3, 1), _some(G, 4, seed=1)
    product = G.product(a, b)
    assert product.shape == (2, 3, 4)
    assert product[1, 2, 3] == G.product(int(a[1, 2, 0]), int(b[3]))
    for operation in (G.inverse, G.element_order, lambda x: G.power(x, -2)):
        assert operation(a).shape == a.shape
        assert operation(a)[1, 0, 0] == operation(int(a[1, 0, 0]))


def test_ints_mix_with_tensors(G: Group) -> None:
    last = G.order - 1
    assert torch.equal(G.product(last, G.elements), G.table()[last])
    assert torch.equal(G.product(G.elements, last), G.table()[:, last])
    assert torch.equal(G.conjugate(last, G.elements), G.conjugate(torch.full((G.order,), last), G.elements))


def test_scalar_and_empty_tensors_keep_their_shape(G: Group) -> None:
    for shape in [(), (0,), (0, 3), (1, 1)]:
        a = torch.full(shape, G.order - 1)
        for result in (G.product(a, a), G.inverse(a), G.power(a, 2), G.element_order(a), G.conjugate(a, a)):
            assert result.shape == shape
            assert result.dtype == torch.long


def test_other_integer_tensors_are_read_as_long(G: Group) -> None:
    a = _some(G, 20)
    for dtype in (torch.int32, torch.int16, torch.uint8):
        assert torch.equal(G.inverse(a.to(dtype)), G.inverse(a))
        assert torch.equal(G.product(a.to(dtype), a), G.product(a, a))


def test_ints_give_ints(G: Group) -> None:
    last = G.order - 1
    results = [G.product(last, last), G.inverse(last), G.power(last, 3), G.element_order(last), G.conjugate(last, last)]
    assert [type(result) for result in results] == [int] * 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_an_accelerator_gives_what_the_processor_gives(G: Group) -> None:
    a, b = _some(G, 500), _some(G, 500, seed=1)
    there_a, there_b = a.cuda(), b.cuda()
    for operation in (G.product, G.conjugate, lambda x, y: G.inverse(x), lambda x, y: G.element_order(x)):
        result = operation(there_a, there_b)
        assert result.device == there_a.device
        assert torch.equal(result.cpu(), operation(a, b))
