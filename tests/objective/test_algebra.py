"""The algebra loss: zero for representations, and its values and derivatives where there is none."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import equilatent as eq
from equilatent.errors import LatentError, NonFiniteError, RepresentationError
from equilatent.groups import Group
from equilatent.groups._words import parse_word
from equilatent.objective import algebra_loss, relator_losses
from equilatent.reps import LearnedRepresentation, Representation

C2, C3, C4, D3 = eq.groups.cyclic(2), eq.groups.cyclic(3), eq.groups.cyclic(4), eq.groups.dihedral(3)
D3_D3 = eq.groups.direct_product(D3, D3)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def holding(G: Group, matrices: dict[str, Any], dtype: torch.dtype = torch.float64) -> LearnedRepresentation:
    """A learned representation with these matrices."""
    values = {x: torch.as_tensor(matrix, dtype=dtype) for x, matrix in matrices.items()}
    rho = LearnedRepresentation(G, len(next(iter(values.values()))), dtype=dtype)
    with torch.no_grad():
        for x, weight in rho.generator_matrices().items():
            weight.copy_(values[x])
    return rho


def anything(G: Group, dim: int = 4, seed: int = 0, dtype: torch.dtype = torch.float64) -> LearnedRepresentation:
    generator = torch.Generator().manual_seed(seed)
    return LearnedRepresentation(G, dim, noise=0.1, generator=generator, dtype=dtype)


def mean_square(matrix: Tensor, other: Tensor) -> Tensor:
    return (matrix - other).square().sum() / matrix.numel()


# Representations


@pytest.mark.parametrize("basis", ["own", "orthogonal", "crooked"])
@pytest.mark.parametrize("name", eq.testing.GROUPS)
def test_zero_for_representations_of_every_group(name: str, basis: str) -> None:
    G = eq.testing.GROUPS[name]()
    rho: Representation
    if basis == "own" and G.order <= 130:
        rho = eq.reps.regular(G)
    else:
        known = eq.reps.irreps(G, field="real")
        rho = eq.reps.direct_sum(known[-1], known[len(known) // 2], known[-1])
    change = torch.eye(rho.dim, dtype=torch.float64) if basis == "own" else torch.linalg.qr(random(rho.dim, rho.dim)).Q
    if basis == "crooked":
        change = change * torch.logspace(0, math.log10(3), rho.dim, dtype=torch.float64)
    if not G.generators:
        exact = LearnedRepresentation(G, rho.dim, dtype=torch.float64)
    else:
        exact = holding(G, {x: change @ rho.matrix(g) @ change.inverse() for x, g in G.generators.items()})
    assert algebra_loss(exact).item() < 1e-24
    assert algebra_loss(exact, inverse_weight=1.0, mixed_damping=0.1, weights=3.0).item() < 1e-24
    assert len(relator_losses(exact)) == len(G.relators)
    assert all(value.item() < 1e-24 for value in relator_losses(exact).values())
    if G.generators:  # and not for others
        with torch.no_grad():
            next(exact.parameters())[0, 0] += 0.5
        assert algebra_loss(exact).item() > 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_group_of_one_element(dtype: torch.dtype) -> None:
    rho = LearnedRepresentation(eq.groups.cyclic(1), 3, dtype=dtype)
    loss = algebra_loss(rho, inverse_weight=1.0)
    assert loss.item() == 0 and loss.dtype == dtype and relator_losses(rho) == {}
    assert algebra_loss(rho, weights={}).item() == 0
    assert eq.objective.describe_learned_representation(rho) == "3.00 × regular: trivial 3.00; algebra loss 0.0e+00"


def test_a_line_of_words() -> None:
    rho = holding(C2, {"r": [[0.9]]})  # (1 + 0.9)/2 and (1 − 0.9)/2; (0.81 − 1)² = 0.0361
    line = eq.objective.describe_learned_representation(rho)
    assert (
        line == "not regular, up to 0.45 copies away from 0.50 × regular: trivial 0.95, sign 0.05; algebra loss 3.6e-02"
    )


# Values by hand


def test_one_number() -> None:
    assert algebra_loss(holding(C2, {"r": [[3.0]]})).item() == 64  # (9 − 1)²
    assert algebra_loss(holding(C3, {"r": [[2.0]]})).item() == 49  # (8 − 1)²
    # and the inverse: 2² against 1/2
    assert algebra_loss(holding(C3, {"r": [[2.0]]}), inverse_weight=1.0).item() == pytest.approx(49 + 3.5**2)


def test_the_mean_is_over_entries() -> None:
    # The square of [[0, 2], [2, 0]] is 4·1, so that 2 of 4 entries are off by 3.
    assert algebra_loss(holding(C2, {"r": [[0, 2], [2, 0]]})).item() == (9 + 9) / 4


def test_each_relator_with_its_weight() -> None:
    # On numbers r = 2, s = 3: r³ − 1 = 7, s² − 1 = 8, (sr)² − 1 = 35.
    rho = holding(D3, {"r": [[2.0]], "s": [[3.0]]})
    losses = {word: value.item() for word, value in relator_losses(rho).items()}
    assert losses == {"r3": 49, "s2": 64, "(s r)^2": 1225}
    assert algebra_loss(rho).item() == 49 + 64 + 1225
    assert algebra_loss(rho, weights=2.0).item() == 2 * (49 + 64 + 1225)
    assert algebra_loss(rho, weights={"r3": 1, "s2": 10, "(s r)^2": 100}).item() == 49 + 640 + 122500
    assert algebra_loss(rho, weights={"r^3": 1, "s s": 0, "s r s r": 0}).item() == 49  # other ways to write them
    assert algebra_loss(rho, mixed_damping=0.1).item() == pytest.approx(49 + 64 + 122.5)  # r3 and s2 are not mixed
    weights = {"r3": 1, "s2": 10, "(s r)^2": 100}
    assert algebra_loss(rho, weights=weights, mixed_damping=0.0).item() == 49 + 640


@pytest.mark.parametrize("name", eq.testing.GROUPS)
def test_relators_are_named_so_that_weights_can_be_given_by_those_names(name: str) -> None:
    G = eq.testing.GROUPS[name]()
    rho = anything(G)
    losses = relator_losses(rho)
    weights = {word: float(number) for number, word in enumerate(losses, start=1)}
    expected = sum(weights[word] * value.item() for word, value in losses.items())
    assert algebra_loss(rho, weights=weights).item() == pytest.approx(expected)
    mixed = [word for word in losses if len({x for x, _ in parse_word(word, G.generators)}) > 1]
    damped = expected - 0.75 * sum(weights[word] * losses[word].item() for word in mixed)
    assert algebra_loss(rho, weights=weights, mixed_damping=0.25).item() == pytest.approx(damped)


# The formulas of Appendix B


@pytest.mark.parametrize("seed", range(3))
def test_appendix_b_for_c2(seed: int) -> None:
    rho = anything(C2, seed=seed)
    (t,) = rho.parameters()
    expected = mean_square(t @ t, torch.eye(4)) + mean_square(t, t.inverse())
    torch.testing.assert_close(algebra_loss(rho, inverse_weight=1.0), expected)


@pytest.mark.parametrize("seed", range(3))
def test_appendix_b_for_c4(seed: int) -> None:
    rho = anything(C4, seed=seed)
    (r,) = rho.parameters()
    expected = mean_square(r @ r @ r @ r, torch.eye(4)) + mean_square(r @ r @ r, r.inverse())
    torch.testing.assert_close(algebra_loss(rho, inverse_weight=1.0), expected)


@pytest.mark.parametrize("seed", range(3))
def test_appendix_b_for_d3(seed: int) -> None:
    rho = anything(D3, seed=seed)
    r, s = rho.parameters()
    one = torch.eye(4)
    expected = (
        0.5 * mean_square(r @ r @ r, one) + 0.5 * mean_square(s @ s, one) + 0.05 * mean_square(s @ r @ s @ r, one)
    )
    torch.testing.assert_close(algebra_loss(rho, weights=0.5, mixed_damping=0.1), expected)
    inverses = mean_square(r @ r, r.inverse()) + mean_square(s, s.inverse())
    torch.testing.assert_close(
        algebra_loss(rho, weights=0.5, mixed_damping=0.1, inverse_weight=0.3), expected + 0.3 * inverses
    )


def test_words_with_inverses() -> None:
    # Commutators of generators of different factors, whose letters r⁻¹ are not powers.
    rho = anything(D3_D3)
    losses = relator_losses(rho)
    a, s, b, t = rho.parameters()
    assert list(rho.generator_matrices()) == ["r_1", "s_1", "r_2", "s_2"]
    for word, x, y in (("r_1^-1 r_2^-1 r_1 r_2", a, b), ("s_1^-1 t^-1 s_1 t".replace("t", "s_2"), s, t)):
        torch.testing.assert_close(losses[word], mean_square(x.inverse() @ y.inverse() @ x @ y, torch.eye(4)))
    # A power of an inverse: b a b⁻¹ = a², that is b a b⁻¹ a⁻².
    G = eq.groups.from_presentation("a^7, b^3, b a b^-1 = a^2")
    rho = anything(G)
    a, b = rho.parameters()
    word = next(word for word in relator_losses(rho) if "b^-1" in word)
    expected = mean_square(b @ a @ b.inverse() @ a.inverse() @ a.inverse(), torch.eye(4))
    torch.testing.assert_close(relator_losses(rho)[word], expected)


def test_a_generator_that_is_the_identity_has_itself_as_its_inverse() -> None:
    G = eq.groups.from_presentation("a^1, b^2")
    rho = holding(G, {"a": [[2.0]], "b": [[1.0]]})
    assert algebra_loss(rho).item() == 1
    assert algebra_loss(rho, inverse_weight=1.0).item() == 1 + 0.25  # a⁰ = 1 against a⁻¹ = 1/2


# Derivatives


@pytest.mark.parametrize(
    "settings",
    [{}, {"inverse_weight": 0.7}, {"weights": 0.5, "mixed_damping": 0.1, "inverse_weight": 1.0}],
    ids=["plain", "inverses", "all"],
)
@pytest.mark.parametrize("G", [C2, C4, D3, D3_D3], ids=lambda G: G.label)
def test_the_gradient_by_finite_differences(G: Group, settings: dict[str, float]) -> None:
    rho = anything(G, dim=2)
    names = [name for name, _ in rho.named_parameters()]

    class Loss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rho = rho

        def forward(self) -> Tensor:
            return algebra_loss(self.rho, **settings)

    def value(*matrices: Tensor) -> Tensor:
        given = {f"rho.{name}": matrix for name, matrix in zip(names, matrices, strict=True)}
        return torch.func.functional_call(Loss(), given, ())

    assert torch.autograd.gradcheck(value, [p.detach().clone().requires_grad_() for p in rho.parameters()])


def test_a_gradient_by_hand() -> None:
    rho = holding(C2, {"r": [[3.0]]})
    algebra_loss(rho).backward()
    (parameter,) = rho.parameters()
    assert parameter.grad is not None
    assert parameter.grad.item() == 96  # d(a² − 1)²/da = 4a(a² − 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_autocast_does_not_round_the_words(dtype: torch.dtype) -> None:
    rho = anything(D3, dtype=dtype)
    expected = algebra_loss(rho, inverse_weight=1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = algebra_loss(rho, inverse_weight=1.0)
        assert all(torch.equal(value, again) for value, again in zip(*[relator_losses(rho).values()] * 2, strict=True))
    assert loss.dtype == dtype and torch.equal(loss, expected)


def test_gradient_descent_reaches_a_representation() -> None:
    regular = eq.reps.regular(D3)
    rho = LearnedRepresentation(D3, 6, start=regular, noise=0.1, generator=torch.Generator().manual_seed(0))
    assert algebra_loss(rho).item() > 0.01
    optimiser = torch.optim.Adam(rho.parameters(), lr=0.01)
    for _ in range(100):
        optimiser.zero_grad()
        algebra_loss(rho).backward()
        optimiser.step()
    assert algebra_loss(rho).item() < 1e-4
    counts = eq.reps.multiplicities(rho.generator_matrices(), D3)
    assert list(counts.values()) == pytest.approx([1, 1, 2], abs=0.05) and counts.residual < 0.05


# Refusals


@pytest.mark.parametrize(
    ("weights", "given"),
    [({}, "nothing"), ({"r3": 1.0, "s2": 1.0}, "r3, s2"), ({"r3": 1.0, "s2": 1.0, "(r s)^2": 1.0}, r"\(r s\)\^2")],
)
def test_weights_of_other_words(weights: dict[str, float], given: str) -> None:
    with pytest.raises(RepresentationError, match=rf"given for .*{given}; the relators of D3 are r3, s2, \(s r\)\^2"):
        algebra_loss(anything(D3), weights=weights)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["weights", "mixed_damping", "inverse_weight"])
def test_weights_that_are_none(name: str, value: float) -> None:
    with pytest.raises(LatentError, match=rf"{name} is a finite number ≥ 0; got {value}"):
        algebra_loss(anything(D3), **{name: value})  # type: ignore[arg-type]
    with pytest.raises(LatentError, match=r"weights\['s2'\] is a finite number ≥ 0"):
        algebra_loss(anything(D3), weights={"r3": 1.0, "s2": value, "(s r)^2": 1.0})


def test_singular_matrices() -> None:
    singular = [[1.0, 2.0], [2.0, 4.0]]
    rho = holding(C4, {"r": singular})
    assert algebra_loss(rho).item() > 0  # r⁴ needs no inverse
    with pytest.raises(NonFiniteError, match="the matrix of 'r' has become singular"):
        algebra_loss(rho, inverse_weight=1.0)
    product = holding(D3_D3, dict.fromkeys(D3_D3.generators, singular))
    for loss in (algebra_loss, relator_losses):
        with pytest.raises(NonFiniteError, match="has become singular"):
            loss(product)
