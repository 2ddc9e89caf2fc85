"""Irreducible representations of every registered group: laws that all of them obey, and brute force."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import equilatent as eq
from equilatent.errors import GroupTooLargeError, RepresentationError
from equilatent.groups import Group
from equilatent.reps import Irrep
from equilatent.reps._irreps import Field

INDICATOR = {"real": 1, "complex": 0, "quaternionic": -1}


def close(left: Tensor, right: Tensor, tolerance: float = 1e-9) -> bool:
    return left.shape == right.shape and bool((left - right).abs().max() <= tolerance)


def all_entries(known: tuple[Irrep, ...]) -> Tensor:
    """Every matrix entry of every irrep as a function on the group: one column each."""
    columns = [rho.matrix(rho.group.elements).to(torch.complex128).flatten(1) for rho in known]
    return torch.cat(columns, dim=1)


def test_matrices_are_a_unitary_representation_with_its_character(
    G: Group, known: tuple[Irrep, ...], field: Field
) -> None:
    for rho in known:
        matrices = rho.matrix(G.elements)
        identity = torch.eye(rho.dim, dtype=matrices.dtype)
        assert close(matrices[0], identity)
        for x in G.generators.values():  # with ρ(e) = 1 this is the whole law, by induction along words
            assert close(matrices[G.product(G.elements, x)], matrices @ matrices[x])
        assert close(matrices @ matrices.mH, identity.expand_as(matrices))
        assert close(matrices.diagonal(dim1=-2, dim2=-1).sum(-1), rho.character)
        assert close(rho.dense.character, rho.character)
        # Real where it can be, characters too where the matrices cannot.
        assert matrices.is_complex() == (field == "complex" and rho.kind != "real")
        assert rho.character.is_complex() == (field == "complex" and rho.kind == "complex")


def test_complex_characters_are_the_rows_of_the_table(G: Group) -> None:
    table = eq.reps.character_table(G)
    known = eq.reps.irreps(G)
    assert [rho.rows for rho in known] == [(row,) for row in range(len(table))]
    for rho in known:
        assert close(rho.character.to(torch.complex128), table.character(rho.rows[0]))


def test_each_is_irreducible_and_no_two_are_isomorphic(G: Group, known: tuple[Irrep, ...]) -> None:
    characters = torch.stack([rho.character.to(torch.complex128) for rho in known])
    products = characters.conj() @ characters.T / G.order
    assert close(products.real, torch.diag(torch.tensor([float(rho.endomorphisms) for rho in known]).double()))
    assert close(products.imag, torch.zeros_like(products.imag))
    # As many as can be: the squares of their dimensions fill the regular representation.
    assert sum(rho.dim**2 / rho.endomorphisms for rho in known) == G.order
    for number, rho in enumerate(known):
        assert eq.reps.is_isomorphic(rho, known[-1]) == (number == len(known) - 1)


def test_the_commuting_matrices_have_the_dimension_it_says(G: Group, known: tuple[Irrep, ...]) -> None:
    for rho in known:
        identity = torch.eye(rho.dim, dtype=rho.matrix(0).dtype)
        # X ρ(x) = ρ(x) X for the generators x, as linear equations in the entries of X.
        equations = [
            torch.kron(identity, rho.matrix(x).mT.contiguous()) - torch.kron(rho.matrix(x), identity)
            for x in G.generators.values()
        ]
        rank = int(torch.linalg.matrix_rank(torch.cat(equations), atol=1e-8)) if equations else 0
        assert rho.dim**2 - rank == rho.endomorphisms


def test_there_are_as_many_as_classes_of_elements(G: Group) -> None:
    classes = G.conjugacy_classes
    inverse = classes.index[G.inverse(classes.representatives)].tolist()
    assert len(eq.reps.irreps(G)) == len(classes)
    assert len(eq.reps.irreps(G, field="real")) == len({frozenset(pair) for pair in enumerate(inverse)})


def test_entries_of_complex_irreps_are_orthogonal(G: Group) -> None:
    known = eq.reps.irreps(G)
    entries = all_entries(known)
    lengths = [1 / rho.dim for rho in known for _ in range(rho.dim**2)]
    assert close(entries.mH @ entries / G.order, torch.diag(torch.tensor(lengths, dtype=torch.complex128)))


def test_entries_of_real_irreps_span_all_functions(G: Group) -> None:
    known = eq.reps.irreps(G, field="real")
    entries = all_entries(known).real
    assert int(torch.linalg.matrix_rank(entries, rtol=1e-9)) == G.order
    owner = torch.tensor([number for number, rho in enumerate(known) for _ in range(rho.dim**2)])
    products = (entries.mT @ entries / G.order)[owner[:, None] != owner]
    assert bool((products.abs() < 1e-9).all())


def test_kinds_by_the_sum_over_squares(G: Group, known: tuple[Irrep, ...], field: Field) -> None:
    for rho in known:
        matrices = rho.matrix(G.elements)
        indicator = complex((matrices @ matrices).diagonal(dim1=-2, dim2=-1).sum() / G.order)
        # A real irrep of quaternionic type is twice a complex one, and one of complex type is two of indicator 0.
        assert abs(indicator - INDICATOR[rho.kind] * rho.repetition) < 1e-9
        assert rho.endomorphisms == (1 if field == "complex" else {1: 1, 0: 2, -1: 4}[INDICATOR[rho.kind]])


def test_real_irreps_are_sums_of_the_complex_ones_in_their_rows(G: Group) -> None:
    known = eq.reps.irreps(G)
    real = eq.reps.irreps(G, field="real")
    assert sorted(row for rho in real for row in rho.rows) == list(range(len(known)))
    for rho in real:
        assert len(rho.rows) == (2 if rho.kind == "complex" else 1)
        total = rho.repetition * sum(known[row].character.to(torch.complex128) for row in rho.rows)
        assert close(total, rho.character.to(torch.complex128))


def test_names_are_unique_and_sorted_by_dimension(G: Group, known: tuple[Irrep, ...], field: Field) -> None:
    names = [rho.name for rho in known]
    assert len(set(names)) == len(names) and names[0] == "trivial"
    assert [rho.dim for rho in known] == sorted(rho.dim for rho in known)
    assert bool((known[0].character - 1).abs().max() < 1e-9)
    last = eq.reps.irrep(G, names[-1], field=field)
    assert (last.rows, last.dim, last.field, last.kind) == (known[-1].rows, known[-1].dim, field, known[-1].kind)
    for rho in known:
        assert rho.label == rho.name and rho.field == field
        assert rho.name in ("trivial", "sign", "standard") or rho.name.startswith(str(rho.dim))


@pytest.mark.parametrize("n", [3, 4, 5])
def test_sign_and_standard_of_symmetric_groups(n: int) -> None:
    G = eq.groups.symmetric(n)
    assert close(eq.reps.irrep(G, "sign").character, eq.reps.sign(G).character)
    assert close(eq.reps.irrep(G, "standard").character, eq.reps.permutation(G).character - 1)


def test_sign_of_two_points_is_not_called_standard() -> None:
    assert [rho.name for rho in eq.reps.irreps(eq.groups.symmetric(2))] == ["trivial", "sign"]
    assert [rho.name for rho in eq.reps.irreps(eq.groups.alternating(4))] == ["trivial", "1b", "1c", "standard"]


def test_letters_go_on_after_z() -> None:
    names = [rho.name for rho in eq.reps.irreps(eq.groups.cyclic(55))]
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    letters = [*alphabet, *(f"a{x}" for x in alphabet), "ba", "bb", "bc"]
    assert names == ["trivial", *(f"1{x}" for x in letters[1:])]


def test_vectors_move_by_the_matrices(G: Group, known: tuple[Irrep, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    g = G.sample(5, generator=generator)
    for rho in known:
        matrices = rho.matrix(g)
        x = torch.randn(5, 2, rho.dim, dtype=torch.complex128, generator=generator)
        dtypes = [torch.complex64, torch.complex128]
        if not matrices.is_complex():
            x, dtypes = x.real, [torch.float32, torch.float64, *dtypes]
        expected = torch.einsum("bij,bkj->bki", matrices, x.to(matrices.dtype))
        for dtype in dtypes:
            moved = rho(x.to(dtype), g, dim=2)
            assert moved.dtype == dtype
            assert close(moved, expected.to(dtype), 1e-5 if dtype in (torch.float32, torch.complex64) else 1e-12)


@pytest.mark.parametrize("name", ["C3", "Q8", "S4", "C7⋊C3"])
def test_complex_irreps_keep_the_contract_of_representations(name: str) -> None:
    for rho in eq.reps.irreps(eq.testing.GROUPS[name]()):
        eq.testing.assert_representation(rho, dtype=torch.complex64)
        eq.testing.assert_representation(rho, dtype=torch.complex128, tolerance=1e-12)


def test_matrices_are_the_same_in_every_run_and_leave_the_random_state_alone() -> None:
    G = eq.groups.symmetric(4)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = [rho.matrix(G.elements) for rho in eq.reps.irreps(G)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    for rho, matrices in zip(eq.reps.irreps(G), first, strict=True):
        assert torch.equal(rho.matrix(G.elements), matrices)


def test_an_irrep_of_many_copies_of_its_rarest_eigenvalue() -> None:
    # In an extraspecial group of order 2^(1+4) the character of degree 4 is 0 outside of the centre, so that every
    # eigenvalue of every element occurs twice or more.
    D4, Q8 = eq.groups.dihedral(4), eq.groups.quaternion()
    for right in (D4, Q8):
        product = eq.groups.direct_product(D4, right)
        diagonal = product["r_1^2"]
        other = product["r_2^2"] if right is D4 else product["i_2^2"]
        G = eq.groups.quotient(eq.groups.subgroup(product, [product.product(diagonal, other)])).group
        rho = eq.reps.irreps(G)[-1]
        assert (G.order, rho.dim, rho.kind) == (32, 4, "real" if right is D4 else "quaternionic")
        eq.testing.assert_homomorphism(G, rho.matrix)
        matrices = rho.matrix(G.elements)
        assert close(matrices @ matrices.mH, torch.eye(4, dtype=matrices.dtype).expand_as(matrices))
        assert close(matrices.diagonal(dim1=-2, dim2=-1).sum(-1), rho.character.to(matrices.dtype))


def test_matrices_that_would_not_fit_are_refused_while_their_character_is_known() -> None:
    rho = eq.reps.irreps(eq.groups.symmetric(8))[-1]
    assert (rho.dim, float(rho.character[0])) == (90, pytest.approx(90))
    with pytest.raises(GroupTooLargeError, match="40320 matrices of 90×90 for S8"):
        rho.matrix(0)


# Irreps as modules


def used(rho: Irrep) -> Irrep:
    rho.matrix(0)
    return rho


def unused(rho: Irrep) -> Irrep:
    return rho


@pytest.mark.parametrize("prepare", [used, unused])
@pytest.mark.parametrize(
    "change",
    [
        lambda rho: rho.to(torch.float32),
        lambda rho: rho.half(),
        lambda rho: torch.nn.Sequential(rho).double()[0],
        copy.deepcopy,
        lambda rho: pickle.loads(pickle.dumps(rho)),
    ],
    ids=["float32", "half", "in a module", "deepcopy", "pickle"],
)
@pytest.mark.parametrize(("name", "field"), [("Q8", "complex"), ("Q8", "real"), ("C7⋊C3", "real"), ("S4", "real")])
def test_casting_and_copying_change_nothing(
    name: str, field: Field, change: Callable[[Irrep], Irrep], prepare: Callable[[Irrep], Irrep]
) -> None:
    G = eq.testing.GROUPS[name]()
    fresh = eq.reps.irreps(G, field=field)[-1]
    rho = change(prepare(eq.reps.irreps(G, field=field)[-1]))
    assert torch.equal(rho.matrix(G.elements), fresh.matrix(G.elements))
    assert torch.equal(rho.character, fresh.character)
    x = torch.randn(G.order, rho.dim, dtype=fresh.matrix(0).dtype, generator=torch.Generator().manual_seed(2))
    assert torch.equal(rho(x, G.elements), fresh(x, G.elements))
    assert (rho.name, rho.rows, rho.kind, rho.group) == (fresh.name, fresh.rows, fresh.kind, fresh.group)
    assert not rho.state_dict() and not list(rho.parameters())


def test_a_model_keeps_its_state_when_an_irrep_in_it_is_first_used() -> None:
    G = eq.groups.quaternion()
    model = torch.nn.ModuleDict({"linear": torch.nn.Linear(4, 4), "rho": eq.reps.irrep(G, "4a", field="real")})
    before = model.state_dict().keys()
    model["rho"](torch.ones(1, 4), torch.tensor([1]))
    assert model.state_dict().keys() == before == {"linear.weight", "linear.bias"}
    model.half()
    moved = model["rho"](torch.eye(4).repeat(2, 1, 1), torch.tensor([1, 2]), dim=1)
    assert close(moved.double(), model["rho"].matrix(torch.tensor([1, 2])), 1e-6)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        RepresentationError, match=r"Q8 has no real irreducible representation '2a'; it has trivial, 1b"
    ):
        eq.reps.irrep(eq.groups.quaternion(), "2a", field="real")
