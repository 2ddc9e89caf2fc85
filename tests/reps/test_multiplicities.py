"""Multiplicities of irreps: exact ones, approximate ones, and how far matrices are from a representation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import equilatent as eq
from equilatent.groups import Group
from equilatent.reps import Irrep, MatrixRepresentation, Representation
from equilatent.reps._irreps import Field

#: Every type of irrep over both fields: real only; complex; quaternionic; complex and quaternionic; complex of degree 3.
SOME = {name: eq.testing.GROUPS[name]() for name in ("C1", "D3", "C4", "Q8", "Dic3", "C7⋊C3", "A4")}
over_some = pytest.mark.parametrize("G", [*SOME, "S5", "S3xQ8"], indirect=True)


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def sum_of(known: tuple[Irrep, ...], counts: list[int]) -> Representation:
    return eq.reps.direct_sum(*(eq.reps.multiple(sigma, n) for sigma, n in zip(known, counts, strict=True)))


def test_the_regular_representation_holds_each_as_its_dimension_says(
    G: Group, known: tuple[Irrep, ...], field: Field
) -> None:
    counts = eq.reps.multiplicities(eq.reps.regular(G), field=field)
    assert counts.is_whole and counts.residual == 0
    for rho in known:
        assert counts[rho.name] == pytest.approx(rho.dim / rho.endomorphisms, abs=1e-9)


@over_some
def test_an_irrep_holds_itself_once(G: Group, known: tuple[Irrep, ...], field: Field) -> None:
    for rho in known:
        counts = eq.reps.multiplicities(rho, field=field)
        assert str(counts) == rho.name and counts.residual < 1e-12


@over_some
def test_the_trivial_one_counts_orbits(G: Group) -> None:
    # Burnside's lemma, on pairs of elements that move together: one orbit for each difference.
    regular = eq.reps.regular(G)
    assert eq.reps.multiplicities(eq.reps.tensor(regular, regular))["trivial"] == pytest.approx(G.order)


def test_against_inner_products_by_brute_force() -> None:
    for G in (eq.groups.symmetric(4), eq.groups.quaternion(), SOME["C7⋊C3"]):
        table = random(G.order, 3, 3, seed=0, dtype=torch.complex128)  # no representation at all
        counts = eq.reps.multiplicities(table, G)
        for sigma in eq.reps.irreps(G):
            total = 0j
            for g in range(G.order):
                total += np.conj(np.trace(sigma.matrix(g).numpy())) * np.trace(table[g].numpy())
            assert counts[sigma.name] == pytest.approx((total / G.order).real, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(name=st.sampled_from(sorted(SOME)), field=st.sampled_from(["complex", "real"]), data=st.data())
def test_a_sum_of_irreps_in_any_basis_is_recognised(name: str, field: Field, data: st.DataObject) -> None:
    G = SOME[name]
    known = eq.reps.irreps(G, field=field)
    counts = data.draw(st.lists(st.integers(0, 2), min_size=len(known), max_size=len(known)).filter(any))
    seed = data.draw(st.integers(0, 1000))
    exact = sum_of(known, counts)
    table = exact.matrix(G.elements)
    left, _ = torch.linalg.qr(random(exact.dim, exact.dim, seed=seed, dtype=table.dtype))
    right, _ = torch.linalg.qr(random(exact.dim, exact.dim, seed=seed + 1, dtype=table.dtype))
    stretch = 1.0 if data.draw(st.booleans()) else 3.0  # 1 keeps the matrices orthogonal
    basis = left * torch.logspace(0, math.log10(stretch), exact.dim, dtype=torch.float64) @ right
    table = basis @ table @ basis.inverse()
    noise = data.draw(st.sampled_from([0.0, 1e-4]))
    table = table + noise * random(*table.shape, seed=seed + 2).to(table.dtype)
    on_generators = {x: table[g] for x, g in G.generators.items()}
    for given_as in (table, on_generators) if G.generators else (table,):
        found = eq.reps.multiplicities(given_as, G, field=field)
        assert list(found.values()) == pytest.approx(counts, abs=1e-8 if not noise else 0.05)
        # A noise of this size in ρ(g) and ρ(x) and their product gives a residual of a few times √d of it.
        assert found.residual < (1e-10 if not noise else 100 * noise * math.sqrt(exact.dim))
        if not noise:
            assert found.is_whole


def test_float32_matrices_that_require_gradients() -> None:
    G = eq.groups.dihedral(4)
    table = eq.reps.regular(G).matrix(G.elements).float().requires_grad_()
    for given_as in (table, {x: table[g] for x, g in G.generators.items()}):
        assert str(eq.reps.multiplicities(given_as, G)) == "trivial ⊕ 1b ⊕ 1c ⊕ sign ⊕ 2 2a"
    assert str(eq.reps.multiplicities(torch.ones(8, 1, 1, dtype=torch.long), G)) == "trivial"


def test_an_approximate_representation_of_the_group_of_one_element() -> None:
    G = eq.groups.cyclic(1)
    assert str(eq.reps.multiplicities(torch.eye(3)[None], G)) == "3 trivial"
    assert str(eq.reps.multiplicities({}, G)) == "trivial"


# The residual


@pytest.mark.parametrize("a", [1.0, -1.0, 1.5, 0.0, -0.25])
def test_the_residual_of_one_number(a: float) -> None:
    # C2 with r ↦ a: ρ(r·r) − ρ(r)ρ(r) = 1 − a², while ρ(e·r) − ρ(e)ρ(r) = 0.
    G = eq.groups.cyclic(2)
    for matrices in ({"r": [[a]]}, torch.tensor([[[1.0]], [[a]]])):
        counts = eq.reps.multiplicities(matrices, G)
        assert counts.residual == pytest.approx(abs(1 - a * a) / math.sqrt(2))
        assert counts.as_floats() == pytest.approx({"trivial": (1 + a) / 2, "sign": (1 - a) / 2})


def test_the_residual_does_not_grow_with_copies() -> None:
    G = eq.groups.cyclic(2)
    one = torch.tensor([[[1.0]], [[1.2]]])
    many = torch.stack([torch.eye(5), 1.2 * torch.eye(5)])
    assert eq.reps.multiplicities(many, G).residual == pytest.approx(eq.reps.multiplicities(one, G).residual)


def test_the_residual_by_brute_force() -> None:
    G = eq.groups.dihedral(3)
    table = random(6, 4, 4, seed=3)
    squares = [
        np.linalg.norm(table[G.product(g, x)].numpy() - table[g].numpy() @ table[x].numpy()) ** 2 / 4
        for g in range(6)
        for x in G.generators.values()
    ]
    assert eq.reps.multiplicities(table, G).residual == pytest.approx(math.sqrt(np.mean(squares)))


@pytest.mark.parametrize("name", ["D3", "Q8", "A4"])
def test_the_residual_grows_in_proportion_to_small_noise(name: str) -> None:
    G = SOME[name]
    exact = eq.reps.regular(G).matrix(G.elements)
    noise = random(*exact.shape, seed=4)
    residuals = [eq.reps.multiplicities(exact + size * noise, G).residual for size in (0.0, 1e-5, 1e-4, 1e-3)]
    assert residuals[0] < 1e-12
    assert residuals[2] / residuals[1] == pytest.approx(10, rel=0.01)
    assert residuals[3] / residuals[2] == pytest.approx(10, rel=0.05)


def test_a_representation_that_is_none_has_the_residual_of_its_matrices() -> None:
    G = eq.groups.dihedral(4)
    table = eq.reps.regular(G).matrix(G.elements) + 0.1 * random(8, 8, 8, seed=5)
    broken = eq.reps.multiplicities(MatrixRepresentation(G, table, label="broken"))
    by_table = eq.reps.multiplicities(table, G)
    assert broken.as_floats() == pytest.approx(by_table.as_floats())
    assert broken.residual == pytest.approx(by_table.residual, rel=0.5)  # measured on drawn vectors


def test_complex_matrices_with_a_real_character() -> None:
    G = eq.groups.quaternion()
    rho = eq.reps.irrep(G, "2a")
    counts = eq.reps.multiplicities(eq.reps.direct_sum(rho, eq.reps.trivial(G), rho))
    assert str(counts) == "trivial ⊕ 2 2a" and counts.residual < 1e-12


def test_no_dimensions_hold_nothing() -> None:
    G = eq.groups.cyclic(3)
    for counts in (
        eq.reps.multiplicities(eq.reps.multiple(eq.reps.regular(G), 0)),
        eq.reps.multiplicities(torch.zeros(3, 0, 0), G),
    ):
        assert (str(counts), counts.residual, counts.is_whole) == ("0", 0.0, True)


# The mapping and how it prints


def test_a_mapping_from_irreps_that_answers_to_names() -> None:
    G = eq.groups.dihedral(3)
    counts = eq.reps.multiplicities(eq.reps.padded_regular(G, 13))
    assert len(counts) == 3 and counts.group == G
    assert [sigma.name for sigma in counts] == ["trivial", "sign", "standard"]
    for sigma in counts:
        assert counts[sigma] == counts[sigma.name] == counts.as_floats()[sigma.name]
    assert "sign" in counts and "3a" not in counts and counts.get("3a") is None
    with pytest.raises(KeyError):
        counts["3a"]
    counts.as_floats()["sign"] = 7.0
    assert counts["sign"] == pytest.approx(2)


def test_printed_whole_or_in_decimals() -> None:
    G = eq.groups.cyclic(2)
    whole = eq.reps.multiplicities(eq.reps.padded_regular(G, 3))
    assert str(whole) == "2 trivial ⊕ sign" and repr(whole) == "Multiplicities(2 trivial ⊕ sign of C2)"
    assert str(eq.reps.multiplicities({"r": [[0.5]]}, G)) == "0.75 trivial + 0.25 sign (residual 5.3e-01)"
    negative = eq.reps.multiplicities({"r": [[3.0]]}, G)
    assert not negative.is_whole and str(negative) == "2.00 trivial + -1.00 sign (residual 5.7e+00)"


# Isomorphism


def test_isomorphic_in_any_basis_and_in_no_other_case() -> None:
    G = eq.groups.symmetric(4)
    basis = random(4, 4, seed=6)
    points = eq.reps.permutation(G)
    moved = eq.reps.from_matrices(G, {x: basis @ points.matrix(g) @ basis.inverse() for x, g in G.generators.items()})
    assert eq.reps.is_isomorphic(points, moved)
    assert not eq.reps.is_isomorphic(points, eq.reps.direct_sum(eq.reps.irrep(G, "3b"), eq.reps.trivial(G)))
    assert not eq.reps.is_isomorphic(points, eq.reps.regular(G))


def test_equivalent_actions_that_are_not_isomorphic_as_actions() -> None:
    # The cosets of the three subgroups of order 2 of V4 hold two points each, which no element moves as it moves V4.
    G = eq.groups.klein_four()
    lines = [eq.reps.quotient(H) for H in eq.groups.subgroups(G) if H.order == 2]
    left = eq.reps.direct_sum(*lines)
    right = eq.reps.direct_sum(eq.reps.regular(G), eq.reps.trivial(G), eq.reps.trivial(G))
    assert eq.reps.is_isomorphic(left, right)
