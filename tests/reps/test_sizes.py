"""Large representations: nothing dense is made behind the scenes, and what is asked for is refused beyond a limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import equilatent as eq
from equilatent import groups, reps
from equilatent.errors import GroupTooLargeError
from equilatent.reps import Representation
from equilatent.testing import REPRESENTATIONS

C4, D4, Q8 = groups.cyclic(4), groups.dihedral(4), groups.quaternion()
S7, S8 = groups.symmetric(7), groups.symmetric(8)
TURNS = groups.subgroup(D4, ["r"])
TURN = reps.irrep(C4, "1b")

#: Each kind with complex matrices and with real ones, of real parts and of complex ones.
COMPLEX: dict[str, Callable[[], Representation]] = {
    "irrep of complex type": lambda: TURN,
    "irrep of quaternionic type": lambda: reps.irrep(Q8, "2a"),
    "matrices": lambda: reps.from_matrices(C4, {"r": [[1j]]}),
    "sum": lambda: reps.direct_sum(reps.regular(C4), TURN),
    "sum without the complex block": lambda: reps.DirectSumRepresentation([(TURN, 0), (reps.regular(C4), 1)]),
    "tensor product": lambda: reps.tensor(TURN, reps.regular(C4)),
    "tensor product, the other way": lambda: reps.tensor(reps.regular(C4), TURN),
    "pullback": lambda: reps.pullback(TURN, groups.cyclic(8), torch.arange(8) % 4),
    "induced": lambda: reps.induce(reps.irreps(TURNS.group)[1], TURNS),
    "dual": lambda: reps.dual(reps.irrep(Q8, "2a")),
}


def dense_matrices_are_refused(*_arguments: object) -> None:
    raise AssertionError("a dense matrix was made")


@pytest.mark.parametrize("name", [*REPRESENTATIONS, *COMPLEX])
def test_whether_it_is_complex_is_known_without_a_matrix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rho = (REPRESENTATIONS | COMPLEX)[name]()
    expected = rho.matrix(0).is_complex()
    for kind in Representation.__subclasses__():
        monkeypatch.setattr(kind, "make_matrices", dense_matrices_are_refused)
    assert rho.is_complex is expected


def test_multiplicities_of_a_large_regular_representation_make_no_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reps.PermutationRepresentation, "matrix", dense_matrices_are_refused)
    monkeypatch.setattr(reps.DirectSumRepresentation, "matrix", dense_matrices_are_refused)
    counts = reps.multiplicities(reps.padded_regular(S7, 2 * 5040 + 3))
    assert [round(value) for value in counts.values()] == [
        2 * rho.dim + 3 * (rho.name == "trivial") for rho in reps.irreps(S7)
    ]
    assert counts.residual == 0


def test_the_residual_of_a_large_representation_is_taken_on_few_real_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = []
    apply = reps.PermutationRepresentation.apply_blocks

    def counting(self: reps.PermutationRepresentation, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        entries.append(x.numel() * x.element_size())
        return apply(self, x, g)

    monkeypatch.setattr(reps.PermutationRepresentation, "apply_blocks", counting)
    rho = reps.regular(S7)
    assert reps._multiplicities._representation_residual(rho) == 0
    assert set(entries) == {64 * rho.dim * 8}  # real vectors
    entries.clear()
    monkeypatch.setattr(reps._multiplicities, "_TRIED_ENTRIES", 16 * rho.dim)
    assert reps._multiplicities._representation_residual(rho) == 0
    assert set(entries) == {16 * rho.dim * 8}
    entries.clear()
    assert reps._multiplicities._representation_residual(reps.regular(D4)) == 0
    assert set(entries) == {8 * 8 * 8}  # all elements of a small group, and no more


def test_a_table_beyond_memory_is_checked_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reps._representation, "_MATRIX_ENTRIES", 24 * 24 * 2)
    monkeypatch.setattr(reps._constructors, "_ENTRIES", 24 * 24 * 2)
    S4 = groups.symmetric(4)
    rho = reps.regular(S4)
    assert reps.is_representation(S4, rho)
    images = S4.table().clone()
    images[7] = images[7].roll(1)
    assert not reps.is_representation(S4, reps.PermutationRepresentation(S4, images, label="broken"))


# Refusals


@pytest.mark.parametrize("name", [*REPRESENTATIONS, *COMPLEX])
def test_matrices_of_every_kind_are_refused_beyond_the_limit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rho = (REPRESENTATIONS | COMPLEX)[name]()
    rho.matrix(0)  # an irrep makes its table here
    monkeypatch.setattr(reps._representation, "_MATRIX_ENTRIES", 2 * rho.dim**2)
    assert rho.matrix(torch.zeros(2, 1, dtype=torch.long)).shape == (2, 1, rho.dim, rho.dim)
    with pytest.raises(
        GroupTooLargeError, match=rf"3 matrices of {rho.dim}×{rho.dim} for .* rho\(x, g\), which makes no matrix"
    ):
        rho.matrix(torch.zeros(3, dtype=torch.long))


def test_one_matrix_that_would_not_fit_into_memory() -> None:
    rho = reps.regular(S8)
    with pytest.raises(GroupTooLargeError, match=r"a matrix of 40320×40320 for S8 would take 12\.1 GiB\. Act on"):
        rho.matrix(5)
    moved = rho(torch.eye(1, rho.dim), torch.tensor([5]))
    assert moved[0].nonzero().tolist() == [[5]]


def test_many_matrices_that_would_not_fit_into_memory() -> None:
    rho = reps.regular(S7)
    with pytest.raises(GroupTooLargeError, match=r"6 matrices of 5040×5040 for S7 would take 1\.1 GiB\. Act on"):
        rho.matrix(torch.arange(6))


def test_a_basis_that_would_not_fit_into_memory_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reps._decomposition, "multiplicities", dense_matrices_are_refused)
    with pytest.raises(GroupTooLargeError, match=r"a matrix of 40320×40320 for S8.*multiplicities\(ρ\) says"):
        reps.decompose(reps.regular(S8))


def test_blocks_that_repeat_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make = reps.PermutationRepresentation.make_matrices

    def counting(self: reps.PermutationRepresentation, g: torch.Tensor) -> torch.Tensor:
        made.append(self.label)
        return make(self, g)

    monkeypatch.setattr(reps.PermutationRepresentation, "make_matrices", counting)
    expected = torch.block_diag(*[eq.reps.regular(D4).matrix(3)] * 5, torch.eye(2))
    made.clear()
    assert torch.equal(reps.padded_regular(D4, 42).matrix(3), expected)
    assert made == ["regular"]
