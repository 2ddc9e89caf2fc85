"""Relaxed convolutions against loops written from their formulas."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.systems.relaxed import RelaxedGroupConv2d, RelaxedSteerableConv2d
from equilatent.bench.systems.steerable import FieldType, kernel_basis
from equilatent.errors import RepresentationError
from equilatent.groups import Group


def motion(G: Group, g: int) -> np.ndarray:
    """The matrix by which an element moves points (row, column), as a product of generators' matrices."""
    assert G.defining is not None
    for word in itertools.chain.from_iterable(itertools.product(G.generators, repeat=n) for n in range(5)):
        h, matrix = 0, np.eye(2)
        for x in word:
            h, matrix = int(G.product(h, G.generators[x])), matrix @ G.defining[x]
        if h == g:
            return np.rint(matrix).astype(int)
    raise AssertionError("no word")


def fields_of(G: Group) -> dict[str, FieldType]:
    """Regular fields, and vectors (x, y) as arrays have them."""
    vector = eq.actions.image(G).components((1, 0))
    return {"regular": FieldType((eq.reps.regular(G),), 2), "vector": FieldType((vector,), 3)}


def turned(filters: Tensor, G: Group, g: int, rho: eq.reps.Representation) -> Tensor:
    """(g·W)(x) = W(g⁻¹x) ρ(g)⁻¹ for one output, W [in, size, size], point by point."""
    size = filters.shape[-1]
    middle, matrix, inverse = size // 2, motion(G, g), torch.linalg.inv(rho.matrix(g))
    found = torch.zeros_like(filters)
    for row in range(size):
        for column in range(size):
            to_row, to_column = matrix @ [row - middle, column - middle] + middle
            for copy_ in range(len(filters) // rho.dim):
                channels = slice(copy_ * rho.dim, (copy_ + 1) * rho.dim)
                found[channels, to_row, to_column] = filters[channels, row, column] @ inverse
    return found


@pytest.mark.parametrize("inputs", ["regular", "vector"])
@pytest.mark.parametrize("outputs", ["regular", "vector"])
def test_relaxed_group_convolutions_by_their_formula(G: Group, inputs: str, outputs: str) -> None:
    kinds = fields_of(G)
    layer = RelaxedGroupConv2d(kinds[inputs], kinds[outputs], 3, padding=1).double()
    nn.init.normal_(layer.mixture)
    rho, sigma = kinds[inputs].parts[0], kinds[outputs].parts[0]
    banks = layer.weight.detach().view(2, -1, *layer.weight.shape[1:])
    x = torch.randn(2, kinds[inputs].dim, 5, 5).double()
    function = []  # f(g), [B, outputs, H, W]
    for g in range(G.order):
        mixed = sum(layer.mixture[b, g].detach() * banks[b] for b in range(2))
        filters = torch.stack([turned(output, G, g, rho) for output in mixed])
        function.append(F.conv2d(x, filters, padding=1))
    if outputs == "regular":
        expected = torch.stack([function[g][:, o] for o in range(2) for g in range(G.order)], 1)
    else:
        expected = torch.zeros(2, 6, 5, 5).double()
        for g in range(G.order):
            for n in range(3):
                for d, s in itertools.product(range(2), repeat=2):
                    expected[:, 2 * n + d] += sigma.matrix(g)[d, s] * function[g][:, 2 * n + s] / G.order
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("inputs", ["regular", "vector"])
@pytest.mark.parametrize("outputs", ["regular", "vector"])
def test_relaxed_group_convolutions_of_equal_mixtures_are_equivariant(G: Group, inputs: str, outputs: str) -> None:
    kinds = fields_of(G)
    layer = RelaxedGroupConv2d(kinds[inputs], kinds[outputs], 3, padding=1).double()
    x = torch.randn(2, kinds[inputs].dim, 6, 6).double()
    eq.testing.assert_equivariant(layer, kinds[inputs].action(), kinds[outputs].action(), x)
    with torch.no_grad():
        layer.mixture[:, 1] *= 2
    with pytest.raises(AssertionError):
        eq.testing.assert_equivariant(layer, kinds[inputs].action(), kinds[outputs].action(), x)


@pytest.mark.parametrize(("inputs", "outputs"), [("regular", "regular"), ("regular", "vector"), ("vector", "regular")])
def test_the_start_of_relaxed_group_convolutions(inputs: str, outputs: str) -> None:
    """Equal mixtures that add up to one over banks, and over elements that come in; outputs of mean square 2."""
    kinds = {name: FieldType(fields.parts, 40) for name, fields in fields_of(eq.groups.cyclic(4)).items()}
    layer = RelaxedGroupConv2d(kinds[inputs], kinds[outputs], 3)
    assert layer.mixture.tolist() == [[1 / 8 if inputs == "regular" else 1 / 2] * 4] * 2
    x = torch.randn(500, kinds[inputs].dim, 3, 3)
    assert layer(x).square().mean().item() == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("inputs", ["regular", "vector"])
@pytest.mark.parametrize("outputs", ["regular", "vector"])
def test_relaxed_steerable_convolutions_by_their_formula(G: Group, inputs: str, outputs: str) -> None:
    kinds = fields_of(G)
    layer = RelaxedSteerableConv2d(kinds[inputs], kinds[outputs], 3, padding=1).double()
    rho, sigma = kinds[inputs].parts[0], kinds[outputs].parts[0]
    basis = kernel_basis(sigma, rho, 3) * math.sqrt(sigma.dim)
    w = layer.weight.detach()
    kernel = torch.zeros(kinds[outputs].dim, kinds[inputs].dim, 3, 3).double()
    for o, i in itertools.product(range(w.shape[0]), range(w.shape[1])):
        block = kernel[o * sigma.dim : (o + 1) * sigma.dim, i * rho.dim : (i + 1) * rho.dim]
        for b, row, column in itertools.product(range(len(basis)), range(3), range(3)):
            block[..., row, column] += w[o, i, b, 3 * row + column] * basis[b, ..., row, column]
    x = torch.randn(2, kinds[inputs].dim, 5, 5).double()
    torch.testing.assert_close(layer(x), F.conv2d(x, kernel, layer.bias, padding=1))


@pytest.mark.parametrize("inputs", ["regular", "vector"])
@pytest.mark.parametrize("outputs", ["regular", "vector"])
def test_relaxed_steerable_convolutions_of_equal_weights_are_equivariant(G: Group, inputs: str, outputs: str) -> None:
    kinds = fields_of(G)
    layer = RelaxedSteerableConv2d(kinds[inputs], kinds[outputs], 3, padding=1).double()
    x = torch.randn(2, kinds[inputs].dim, 6, 6).double()
    with torch.no_grad():
        layer.bias.zero_()
        equal = copy.deepcopy(layer)
        equal.weight.copy_(layer.weight[..., :1].expand_as(layer.weight).clone())
    assert equal.variation() == 0 < layer.variation()
    eq.testing.assert_equivariant(equal, kinds[inputs].action(), kinds[outputs].action(), x)
    with pytest.raises(AssertionError):
        eq.testing.assert_equivariant(layer, kinds[inputs].action(), kinds[outputs].action(), x)


def test_the_variation_counts_steps_row_by_row() -> None:
    G = eq.groups.cyclic(4)
    layer = RelaxedSteerableConv2d(*(fields_of(G)["regular"],) * 2, 3)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[..., 2] = 3.0  # the end of the first row: a step up and one down
    assert layer.variation().item() == pytest.approx(2 * 3 / 8)


def test_both_bounds_of_the_start_of_relaxed_steerable_convolutions() -> None:
    layer = RelaxedSteerableConv2d(*(fields_of(eq.groups.cyclic(4))["regular"],) * 2, 3)
    bound = (9 * 2) ** -0.5
    for parameter in layer.parameters():
        assert parameter.abs().max() <= bound < 1.6 * parameter.abs().max()


@pytest.mark.parametrize("make", [RelaxedGroupConv2d, RelaxedSteerableConv2d])
def test_unsuitable_fields_are_refused(make: type[nn.Module]) -> None:
    C4, D4 = eq.groups.cyclic(4), eq.groups.dihedral(4)
    regular = fields_of(C4)["regular"]
    with pytest.raises(RepresentationError, match="one group; got C4 and D4"):
        make(regular, fields_of(D4)["regular"], 3)
    mixed = FieldType((eq.reps.trivial(C4), eq.reps.sign(C4)), 2)
    with pytest.raises(RepresentationError, match=r"outputs are 2 trivial .*direct_sum"):
        make(regular, mixed, 3)
    with pytest.raises(RepresentationError, match=r"inputs are 2 trivial"):
        make(mixed, regular, 3)
