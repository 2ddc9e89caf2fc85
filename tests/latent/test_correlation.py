"""The cross-correlation over the group against inner products element by element."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import equilatent as eq
from equilatent.actions import SupportsAction
from equilatent.latent import _blocks
from equilatent.latent._acting import orthogonal_acting
from equilatent.latent._correlation import cross_correlation
from equilatent.testing import ACTIONS, REPRESENTATIONS

D4, S4 = eq.groups.dihedral(4), eq.groups.symmetric(4)


def pairs(*shape: int, dtype: torch.dtype = torch.float64, count: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z1, z2 = (torch.randn(count, *shape, generator=generator, dtype=dtype) for _ in range(2))
    return z1, z2


def by_hand(rho: SupportsAction, z1: Tensor, z2: Tensor, axis: int = 1) -> Tensor:
    columns = []
    for g in range(rho.group.order):
        elements = torch.full((len(z1),), g)
        moved = rho(z1, elements, dim=axis) if isinstance(rho, eq.reps.Representation) else rho(z1, elements)
        columns.append(torch.stack([torch.vdot(b.flatten(), a.flatten()).real for a, b in zip(moved, z2, strict=True)]))
    return torch.stack(columns, 1)


def check(rho: SupportsAction, z1: Tensor, z2: Tensor, axis: int = 1) -> None:
    acting, expected = orthogonal_acting(rho, axis, z1), by_hand(rho, z1, z2, axis)
    torch.testing.assert_close(cross_correlation(acting, z1, z2), expected, rtol=0, atol=1e-10)
    g = rho.group.sample(len(z1), generator=torch.Generator().manual_seed(1))
    transposed = (z1 * acting.adjoint(z2, g).conj()).flatten(1).sum(1).real
    torch.testing.assert_close(transposed, expected.gather(1, g[:, None])[:, 0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_every_representation(name: str) -> None:
    rho = REPRESENTATIONS[name]()
    dtype = rho.matrix(0).dtype
    check(rho, *pairs(rho.dim, dtype=dtype))
    check(rho, *pairs(2, rho.dim, 2, dtype=dtype), axis=2)
    check(rho, *pairs(2, rho.dim, dtype=torch.complex128), axis=-1)


@pytest.mark.parametrize("entries", [1, 50, 1000])
@pytest.mark.parametrize(
    "name", ["regular D4", "regular S4", "sign D4", "padded regular", "direct sum", "induced matrices", "multiple"]
)
def test_blocks_of_any_size(name: str, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rho = REPRESENTATIONS[name]()
    monkeypatch.setattr(_blocks, "_CPU_ENTRIES", entries)
    check(rho, *pairs(rho.dim, count=7))


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action(name: str) -> None:
    make, shape = ACTIONS[name]
    check(make(), *pairs(*shape))


def test_complex_irreps() -> None:
    for rho in eq.reps.irreps(eq.groups.direct_product(eq.groups.cyclic(3), eq.groups.quaternion())):
        check(rho, *pairs(rho.dim, dtype=torch.complex128))
        check(eq.reps.multiple(rho, 3), *pairs(3 * rho.dim, dtype=torch.complex128))


def test_a_permutation_of_more_points_than_elements() -> None:
    rho = eq.reps.tensor(eq.reps.regular(D4), eq.reps.regular(D4))
    points = torch.stack([rho.matrix(g).argmax(0) for g in range(8)])
    check(eq.reps.permutation(D4, points), *pairs(64))


def test_signs_of_a_monomial_representation() -> None:
    # The components of a vector field: they are permuted and change their signs.
    rho = eq.actions.image(D4).components([0, 1])
    assert (rho.matrix(D4.elements) < 0).any()
    check(rho, *pairs(2))
    check(eq.reps.multiple(rho, 5), *pairs(10, 3))


def test_learned_matrices_count_as_they_are() -> None:
    # Orthogonal, but far from a representation: ρ(g⁻¹) is not ρ(g)ᵀ, and every element has the matrix of its word.
    rho = eq.reps.LearnedRepresentation(D4, 6, orthogonal=True, generator=torch.Generator().manual_seed(0))
    z1, z2 = pairs(6)
    acting = orthogonal_acting(rho, 1, z1)
    matrices = rho.matrix(D4.elements).detach().double()
    expected = torch.einsum("gij,bj,bi->bg", matrices, z1, z2)
    torch.testing.assert_close(cross_correlation(acting, z1, z2), expected, rtol=0, atol=1e-10)
    g = torch.tensor([1, 3, 6])
    torch.testing.assert_close((acting.forward(z1, g) * z2).sum(1), (z1 * acting.adjoint(z2, g)).sum(1))
    inverses = matrices[D4.inverse(D4.elements)]
    assert (inverses - matrices.mT).abs().max() > 0.1
