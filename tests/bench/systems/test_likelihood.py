"""The likelihood on a group, its losses and its degree, against hand computation."""

from __future__ import annotations

import math

import pytest
import torch

import equilatent as eq
from equilatent.bench.systems.steerable import GroupLikelihood, alignment, divergence
from equilatent.errors import GroupError
from equilatent.groups import Group


def likelihood_with(G: Group, values: list[float]) -> GroupLikelihood:
    """λ proportional to the given values: the coefficients are means of log λ times the functions, which are orthonormal."""
    likelihood = GroupLikelihood(G).double()
    logs = torch.tensor(values, dtype=torch.float64).log()
    with torch.no_grad():
        likelihood.coefficients.copy_(likelihood.functions.value.T @ logs / G.order)
    return likelihood


def test_coefficients_are_one_for_each_element_over_orthonormal_functions(G: Group) -> None:
    likelihood = GroupLikelihood(G).double()
    functions = likelihood.functions.value
    assert likelihood.coefficients.shape == (G.order,)
    torch.testing.assert_close(functions.T @ functions / G.order, torch.eye(G.order, dtype=torch.float64))
    torch.testing.assert_close(functions[:, 0], torch.ones(G.order, dtype=torch.float64))


def test_each_coefficient_belongs_to_one_irrep(G: Group) -> None:
    functions = GroupLikelihood(G).double().functions.value
    start = 0
    for sigma in eq.reps.irreps(G, field="real"):
        entries = sigma.matrix(G.elements).flatten(1)
        size = sigma.dim**2 // sigma.endomorphisms
        part = functions[:, start : start + size]
        assert torch.linalg.matrix_rank(torch.cat([entries, part], dim=1)) == size
        start += size
    assert start == G.order


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_starts_uniform_where_both_losses_and_their_gradients_vanish(G: Group, dtype: torch.dtype) -> None:
    likelihood = GroupLikelihood(G).to(dtype)
    values = likelihood.log_values()
    torch.testing.assert_close(values, torch.zeros(G.order, dtype=dtype))
    loss = alignment(values) + divergence(values, torch.zeros_like(values))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(0, abs=1e-12) and alignment(values).item() == 0
    torch.testing.assert_close(likelihood.coefficients.grad, torch.zeros(G.order, dtype=dtype))
    assert likelihood.degree().item() == pytest.approx(1)


def test_the_values_have_mean_one_and_are_those_given() -> None:
    G = eq.groups.cyclic(4)
    torch.testing.assert_close(
        likelihood_with(G, [4, 2, 1, 1]).log_values().exp(), torch.tensor([2, 1, 0.5, 0.5], dtype=torch.float64)
    )


def test_losses_by_hand() -> None:
    G = eq.groups.cyclic(4)
    p, q = likelihood_with(G, [4, 2, 1, 1]).log_values(), likelihood_with(G, [1, 8, 4, 3]).log_values()
    assert alignment(p).item() == 0
    assert alignment(q).item() == pytest.approx(math.log(8))
    # λ = (2, 1, ½, ½): the mean of λ log λ is (2 log 2 + 0 − log 2)/4.
    assert divergence(p, torch.zeros_like(p)).item() == pytest.approx(math.log(2) / 4)
    by_hand = sum(a / 4 * math.log(a / b) for a, b in zip((2, 1, 0.5, 0.5), (0.25, 2, 1, 0.75), strict=True))
    assert divergence(p, q).item() == pytest.approx(by_hand)


def test_the_divergence_from_uniform_is_the_formula_in_coefficients(G: Group) -> None:
    """KL(λ ‖ 1) = ⟨λ̂, ℓ̂⟩ − log Z, with Z = mean exp ℓ."""
    likelihood = GroupLikelihood(G).double()
    with torch.no_grad():
        likelihood.coefficients.normal_(generator=torch.Generator().manual_seed(0))
    functions, raw = likelihood.functions.value, likelihood.coefficients
    transformed = functions.T @ likelihood.log_values().exp() / G.order
    expected = transformed @ raw - (functions @ raw).exp().mean().log()
    values = likelihood.log_values()
    torch.testing.assert_close(divergence(values, torch.zeros_like(values)), expected)


def test_the_degree_counts_what_is_left_of_the_group() -> None:
    G = eq.groups.dihedral(4)
    tiny = 1e-12
    turns = [1.0 if "s" not in name else tiny for name in G.names]
    assert likelihood_with(G, turns).degree().item() == pytest.approx(2 / 3, abs=1e-6)  # log 4 / log 8
    assert likelihood_with(G, [1.0] + [tiny] * 7).degree().item() == pytest.approx(0, abs=1e-6)


def test_gradients_are_those_of_the_formulas() -> None:
    G = eq.groups.cyclic(4)
    likelihood = likelihood_with(G, [1, 8, 4, 3])
    alignment(likelihood.log_values()).backward()  # type: ignore[no-untyped-call]
    functions = likelihood.functions.value
    torch.testing.assert_close(likelihood.coefficients.grad, functions[1] - functions[0])


def test_a_group_of_one_element_is_refused() -> None:
    with pytest.raises(GroupError, match="at least two elements; got C1"):
        GroupLikelihood(eq.groups.cyclic(1))
