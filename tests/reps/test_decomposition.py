"""Bases in which representations are sums of irreps, and isotypic projectors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import equilatent as eq
from equilatent.groups import Group
from equilatent.reps import Irrep, Representation
from equilatent.reps._irreps import Field

S4, Q8, C4, D4 = eq.groups.symmetric(4), eq.groups.quaternion(), eq.groups.cyclic(4), eq.groups.dihedral(4)
F21 = eq.testing.GROUPS["C7⋊C3"]()
over_some = pytest.mark.parametrize(
    "G", ["C1", "C2", "C12", "D4", "D5", "Q8", "Dic3", "Th", "C7⋊C3", "A5", "S3xQ8"], indirect=True
)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def in_another_basis(rho: Representation, basis: Tensor) -> Representation:
    images = {x: basis @ rho.matrix(g).to(basis.dtype) @ basis.inverse() for x, g in rho.group.generators.items()}
    return eq.reps.from_matrices(rho.group, images)


def assert_decomposes(rho: Representation, field: Field, *, tolerance: float = 1e-9) -> eq.reps.Decomposition:
    parts = eq.reps.decompose(rho, field=field)
    sum_of_irreps = parts.representation
    assert parts.basis.shape == (rho.dim, rho.dim) and sum_of_irreps.dim == rho.dim
    assert field == "complex" or not parts.basis.is_complex()
    g = (
        rho.group.elements
        if rho.group.order <= 64
        else rho.group.sample(64, generator=torch.Generator().manual_seed(0))
    )
    dtype = torch.promote_types(
        rho.matrix(0).dtype, torch.promote_types(parts.basis.dtype, sum_of_irreps.matrix(0).dtype)
    )
    basis = parts.basis.to(dtype)
    blocks = torch.linalg.solve(basis, rho.matrix(g).to(dtype) @ basis)
    assert float((blocks - sum_of_irreps.matrix(g).to(dtype)).abs().max()) < tolerance
    counts = eq.reps.multiplicities(rho, field=field)
    assert {sigma.name: count for sigma, count in parts.blocks} == {
        sigma.name: round(count) for sigma, count in counts.items() if round(count)
    }
    assert all(sigma.field == field for sigma, _ in parts.blocks)
    return parts


def is_unitary(basis: Tensor) -> bool:
    return bool((basis.mH @ basis - torch.eye(len(basis), dtype=basis.dtype)).abs().max() < 1e-9)


@over_some
def test_regular_representations(G: Group, field: Field) -> None:
    parts = assert_decomposes(eq.reps.regular(G), field)
    assert is_unitary(parts.basis)
    assert str(parts) == str(eq.reps.multiplicities(eq.reps.regular(G), field=field))


ORTHOGONAL: dict[str, Callable[[], Representation]] = {
    "points": lambda: eq.reps.permutation(S4),
    "points of S5": lambda: eq.reps.permutation(eq.groups.symmetric(5)),
    "pairs of points": lambda: eq.reps.tensor(eq.reps.permutation(S4), eq.reps.permutation(S4)),
    "points and planes": lambda: eq.reps.tensor(eq.reps.permutation(D4), eq.reps.defining(D4)),
    "cosets": lambda: eq.reps.quotient(eq.groups.subgroup(eq.groups.icosahedral(), [1])),
    "induced": lambda: eq.reps.induce(
        eq.reps.irrep((H := eq.groups.subgroup(S4, ["(0 1 2)"])).group, "2a", field="real"), H
    ),
    "restricted": lambda: eq.reps.restrict(eq.reps.standard(S4), eq.groups.subgroup(S4, ["(0 1 2 3)"])),
    "padded": lambda: eq.reps.padded_regular(F21, 50),
    "quaternionic twice": lambda: eq.reps.multiple(eq.reps.irrep(Q8, "4a", field="real"), 2),
    "signs": lambda: eq.reps.multiple(eq.reps.sign(D4), 3),
    "one element": lambda: eq.reps.multiple(eq.reps.trivial(eq.groups.cyclic(1)), 4),
}


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_orthogonal_representations_have_an_orthogonal_basis(name: str, field: Field) -> None:
    assert is_unitary(assert_decomposes(ORTHOGONAL[name](), field).basis)


@settings(deadline=None, max_examples=30)
@given(
    name=st.sampled_from(["D3", "C4", "Q8", "Dic3", "A4", "C7⋊C3"]),
    field=st.sampled_from(["complex", "real"]),
    data=st.data(),
    seed=st.integers(0, 1000),
)
def test_any_sum_in_a_basis_that_is_not_orthogonal(name: str, field: Field, data: st.DataObject, seed: int) -> None:
    known = eq.reps.irreps(eq.testing.GROUPS[name](), field=field)
    counts = data.draw(st.lists(st.integers(0, 2), min_size=len(known), max_size=len(known)).filter(any))
    rho = eq.reps.direct_sum(*(eq.reps.multiple(sigma, n) for sigma, n in zip(known, counts, strict=True)))
    dtype = rho.matrix(0).dtype
    left, _ = torch.linalg.qr(random(rho.dim, rho.dim, seed=seed, dtype=dtype))
    right, _ = torch.linalg.qr(random(rho.dim, rho.dim, seed=seed + 1, dtype=dtype))
    stretched = left * torch.linspace(1, 4, rho.dim, dtype=torch.float64) @ right
    parts = assert_decomposes(in_another_basis(rho, stretched), field)
    assert [count for _, count in parts.blocks] == [count for count in counts if count]


def test_a_basis_that_shears_is_not_orthogonal_but_decomposes() -> None:
    shear = torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=torch.float64)
    rho = in_another_basis(eq.reps.defining(D4), shear)
    parts = assert_decomposes(rho, "real")
    assert not is_unitary(parts.basis)


def test_unitary_matrices_with_a_real_character() -> None:
    basis, _ = torch.linalg.qr(random(6, 6, dtype=torch.complex128))
    rho = in_another_basis(eq.reps.multiple(eq.reps.irrep(S4, "standard"), 2), basis)
    assert rho.matrix(1).is_complex()
    assert is_unitary(assert_decomposes(rho, "complex").basis)
    twice = eq.reps.direct_sum(eq.reps.irrep(Q8, "2a"), eq.reps.irrep(Q8, "2a"))
    assert is_unitary(assert_decomposes(twice, "complex").basis)


def test_half_a_quaternionic_irrep_is_no_real_representation() -> None:
    with pytest.raises(eq.errors.RepresentationError, match="no sum of real irreps"):
        eq.reps.decompose(eq.reps.irrep(Q8, "2a"), field="real")


def test_the_same_basis_every_time() -> None:
    rho = eq.reps.regular(D4)
    assert torch.equal(eq.reps.decompose(rho).basis, eq.reps.decompose(rho).basis)


def test_by_hand() -> None:
    # Two points: the sum and the difference, each of length 1, up to sign.
    parts = eq.reps.decompose(eq.reps.regular(eq.groups.cyclic(2)))
    expected = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / 2**0.5
    assert str(parts) == "trivial ⊕ sign"
    assert torch.allclose(parts.basis * parts.basis[0].sign(), expected)


# Projectors


def projectors(rho: Representation, known: tuple[Irrep, ...]) -> Tensor:
    return torch.stack([eq.reps.isotypic_projector(rho, sigma).to(torch.complex128) for sigma in known])


def assert_projectors(rho: Representation, known: tuple[Irrep, ...], field: Field) -> None:
    found = projectors(rho, known)
    products = found[:, None] @ found[None]
    expected = torch.diag_embed(torch.ones(len(known))).to(found)[..., None, None] * found
    assert torch.allclose(products, expected, atol=1e-9)  # idempotent, and each kills the others
    assert torch.allclose(found.sum(0), torch.eye(rho.dim, dtype=found.dtype), atol=1e-9)
    counts = eq.reps.multiplicities(rho, field=field)
    dims = torch.tensor([sigma.dim * counts[sigma.name] for sigma in known], dtype=torch.complex128)
    assert torch.allclose(found.diagonal(dim1=-2, dim2=-1).sum(-1), dims, atol=1e-9)
    for x in rho.group.generators.values():
        matrix = rho.matrix(x).to(found.dtype)
        assert torch.allclose(found @ matrix, matrix @ found, atol=1e-9)


@over_some
def test_projectors_of_the_regular_representation(G: Group, known: tuple[Irrep, ...], field: Field) -> None:
    assert_projectors(eq.reps.regular(G), known, field)


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_projectors_are_those_on_the_columns_of_a_decomposition(name: str, field: Field) -> None:
    for rho in (ORTHOGONAL[name](), in_another_basis(ORTHOGONAL[name](), _sheared(ORTHOGONAL[name]().dim))):
        known = eq.reps.irreps(rho.group, field=field)
        assert_projectors(rho, known, field)
        parts = eq.reps.decompose(rho, field=field)
        start = 0
        for sigma, count in parts.blocks:
            chosen = torch.zeros(rho.dim, dtype=parts.basis.dtype)
            chosen[start : start + sigma.dim * count] = 1
            start += sigma.dim * count
            onto = (parts.basis * chosen) @ parts.basis.inverse()
            same = next(one for one in known if one.name == sigma.name)
            projector = eq.reps.isotypic_projector(rho, same)
            assert torch.allclose(projector.to(torch.complex128), onto.to(torch.complex128), atol=1e-8)


def _sheared(size: int) -> Tensor:
    return torch.eye(size, dtype=torch.float64) + 0.5 * random(size, size).triu(1) / size


def test_projectors_of_complex_representations() -> None:
    for rho in (eq.reps.irrep(F21, "3a"), eq.reps.irrep(Q8, "2a"), eq.reps.irrep(C4, "1b")):
        rho = eq.reps.direct_sum(rho, eq.reps.trivial(rho.group), rho)
        assert_projectors(rho, eq.reps.irreps(rho.group), "complex")
        assert_decomposes(rho, "complex")


def test_the_mean_over_the_group_projects_on_what_does_not_move() -> None:
    rho = eq.reps.permutation(S4)
    assert torch.allclose(eq.reps.isotypic_projector(rho, eq.reps.irreps(S4)[0]), torch.full((4, 4), 0.25).double())


def test_elements_are_summed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rho = in_another_basis(eq.reps.permutation(S4), _sheared(4))
    sigma = eq.reps.irrep(S4, "standard")
    whole = eq.reps.isotypic_projector(rho, sigma), eq.reps.decompose(rho).basis
    monkeypatch.setattr(eq.reps._decomposition, "_ENTRIES", 80)
    in_blocks = eq.reps.isotypic_projector(rho, sigma), eq.reps.decompose(rho).basis
    for one, other in zip(whole, in_blocks, strict=True):
        assert torch.allclose(one, other)
