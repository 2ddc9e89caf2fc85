"""Refusals of the theory of representations, by the message that tells what is wrong."""

from __future__ import annotations

import math

import pytest
import torch

from equilatent import groups, reps
from equilatent.errors import EquilatentError, GroupError, RepresentationError

C2, C3, C4, D4, Q8, S4 = (
    groups.cyclic(2),
    groups.cyclic(3),
    groups.cyclic(4),
    groups.dihedral(4),
    groups.quaternion(),
    groups.symmetric(4),
)


def test_every_refusal_is_a_value_error() -> None:
    assert issubclass(RepresentationError, ValueError) and issubclass(RepresentationError, EquilatentError)


@pytest.mark.parametrize("field", ["quaternion", "Real", "", None])
def test_what_is_no_field(field: str) -> None:
    with pytest.raises(RepresentationError, match="field is 'complex' or 'real'; got"):
        reps.irreps(C4, field=field)  # type: ignore[arg-type]
    with pytest.raises(RepresentationError, match="field is 'complex' or 'real'; got"):
        reps.multiplicities(reps.regular(C4), field=field)  # type: ignore[arg-type]
    with pytest.raises(RepresentationError, match="field is 'complex' or 'real'; got"):
        reps.decompose(reps.regular(C4), field=field)  # type: ignore[arg-type]


# Multiplicities


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_matrices_that_are_no_numbers(bad: float) -> None:
    table = reps.regular(C4).matrix(C4.elements)
    table[2, 1, 1] = bad
    with pytest.raises(RepresentationError, match="the matrices hold NaN or infinity"):
        reps.multiplicities(table, C4)
    with pytest.raises(RepresentationError, match="the matrices hold NaN or infinity"):
        reps.multiplicities({"r": [[bad]]}, C4)


@pytest.mark.parametrize("shape", [(4, 2), (3, 2, 2), (4, 2, 3), (4,), (1, 4, 2, 2), (0, 2, 2)], ids=str)
def test_tables_that_are_no_square_matrix_for_each_element(shape: tuple[int, ...]) -> None:
    with pytest.raises(RepresentationError, match=r"square matrix for each of the 4 elements of C4; got.* \["):
        reps.multiplicities(torch.ones(shape), C4)


def test_matrices_of_the_wrong_generators() -> None:
    with pytest.raises(RepresentationError, match=r"given by its generators r, s; got r\."):
        reps.multiplicities({"r": [[1.0]]}, D4)
    with pytest.raises(RepresentationError, match=r"square and of one size; 'r' has shape \(1, 1\)"):
        reps.multiplicities({"r": [[1.0]], "s": torch.eye(2)}, D4)


def test_a_group_is_needed_for_matrices_and_must_be_that_of_a_representation() -> None:
    with pytest.raises(RepresentationError, match=r"matrices need their group: multiplicities\(matrices, G\)"):
        reps.multiplicities(torch.ones(4, 1, 1))
    with pytest.raises(RepresentationError, match="this is a representation of C4, not of D4"):
        reps.multiplicities(reps.regular(C4), D4)
    assert str(reps.multiplicities(reps.trivial(C4), groups.cyclic(4))) == "trivial"


def test_complex_characters_over_the_real_numbers() -> None:
    rho = reps.irrep(C4, "1b")
    for given in (rho, rho.matrix(C4.elements), {"r": rho.matrix(C4["r"])}):
        with pytest.raises(RepresentationError, match=r"no sum of real irreps\. Use field='complex'"):
            reps.multiplicities(given, C4, field="real")
    with pytest.raises(RepresentationError, match="no sum of real irreps"):
        reps.decompose(rho, field="real")
    both = reps.direct_sum(rho, reps.dual(rho))  # a complex dtype, but a real character
    assert str(reps.multiplicities(both, field="real")) == "2a"


def test_isomorphism_is_for_one_group() -> None:
    with pytest.raises(RepresentationError, match="belong to one group; got C4 and D4"):
        reps.is_isomorphic(reps.regular(C4), reps.regular(D4))


# Decomposition


def test_a_projector_wants_an_irrep_of_the_same_group() -> None:
    with pytest.raises(RepresentationError, match="trivial is an irrep of D4, not of C4"):
        reps.isotypic_projector(reps.regular(C4), reps.irreps(D4)[0])


def test_what_is_no_representation_is_not_decomposed() -> None:
    table = torch.stack([torch.eye(2), 0.5 * torch.eye(2)]).double()
    with pytest.raises(RepresentationError, match=r"half has multiplicities that are not whole numbers: 1\.50 trivial"):
        reps.decompose(reps.MatrixRepresentation(C2, table, label="half"))


# Operations


def test_products_and_sums_are_over_one_group() -> None:
    with pytest.raises(
        RepresentationError, match="a tensor product is over one group; got representations of C4 and of D4"
    ):
        reps.tensor(reps.regular(C4), reps.regular(D4))
    with pytest.raises(RepresentationError, match="a tensor product needs at least one representation"):
        reps.tensor()


def test_images_that_are_no_homomorphism() -> None:
    rho = reps.regular(C4)
    with pytest.raises(RepresentationError, match=r"each of its 8 elements; got shape \[4\]"):
        reps.pullback(rho, D4, torch.arange(4))
    with pytest.raises(RepresentationError, match=r"no homomorphism from D4 to C4: φ\(g r\) is not φ\(g\) φ\(r\)"):
        reps.pullback(rho, D4, torch.tensor([0, 1, 2, 3, 0, 1, 2, 3]))
    with pytest.raises(RepresentationError, match=r"φ\(g r\) is not φ\(g\) φ\(r\).*groups\.homomorphism"):
        reps.pullback(rho, C4, torch.tensor([0, 1, 2, 2]))
    with pytest.raises(GroupError, match="C4"):
        reps.pullback(rho, C4, torch.tensor([0, 1, 2, 4]))
    for constant in (1, 3):
        with pytest.raises(RepresentationError, match=rf"the identity goes to {constant}, not to the identity 0"):
            reps.pullback(rho, groups.cyclic(1), torch.tensor([constant]))
        with pytest.raises(RepresentationError, match="no homomorphism"):
            reps.pullback(rho, C2, torch.full((2,), constant))


def test_subgroups_of_another_group() -> None:
    H = groups.subgroup(D4, ["s"])
    with pytest.raises(RepresentationError, match=r"of C4 is restricted to its own subgroups; got ⟨s⟩ ≤ D4"):
        reps.restrict(reps.regular(C4), H)
    with pytest.raises(RepresentationError, match=r"of C4 cannot be induced from ⟨s⟩ ≤ D4; .*subgroup\.group"):
        reps.induce(reps.regular(C4), H)
    with pytest.raises(RepresentationError, match="of D4 cannot be induced from"):
        reps.induce(reps.regular(D4), H)


def test_groups_without_a_standard_or_defining_representation() -> None:
    with pytest.raises(
        RepresentationError, match=r"Q8 is not naturally a group of permutations.*eq\.reps\.irreps\(G\)"
    ):
        reps.standard(Q8)
    for group, points in ((C4, 4), (D4, 4), (C3, 3), (groups.symmetric(1), 1)):
        with pytest.raises(
            RepresentationError,
            match=rf"{group.label} (does not move every two of its {points} points|is not naturally)",
        ):
            reps.standard(group)
    with pytest.raises(RepresentationError, match=r"Q8 is known neither as motions nor as permutations.*from_matrices"):
        reps.defining(Q8)


def test_integers_where_there_are_matrices() -> None:
    rho = reps.tensor(reps.permutation(D4), reps.defining(D4))
    with pytest.raises(RepresentationError, match=r"acts by matrices on floating vectors; got torch\.int64"):
        rho(torch.ones(1, 8, dtype=torch.long), torch.tensor([1]))
    H = groups.subgroup(D4, ["s"])
    with pytest.raises(RepresentationError, match=r"acts by matrices on floating vectors; got torch\.int64"):
        reps.induce(reps.irreps(H.group)[1], H)(torch.ones(1, 4, dtype=torch.long), torch.tensor([1]))


@pytest.mark.parametrize(
    "rho",
    [
        reps.irrep(S4, "standard"),
        reps.tensor(reps.standard(S4), reps.sign(S4)),
        reps.restrict(reps.standard(S4), groups.subgroup(S4, ["(0 1 2)"])),
        reps.quotient(groups.subgroup(S4, ["(0 1 2)", "(0 1)(2 3)"])),
    ],
    ids=lambda rho: type(rho).__name__,
)
def test_wrong_vectors_and_elements(rho: reps.Representation) -> None:
    order = rho.group.order
    with pytest.raises(RepresentationError, match=rf"acts on vectors of {rho.dim} entries; axis 1 of x has 9"):
        rho(torch.ones(2, 9), torch.tensor([0, 1]))
    with pytest.raises(RepresentationError, match=r"one element for each sample: expected shape \[2\], got \[1\]"):
        rho(torch.ones(2, rho.dim), torch.tensor([0]))
    with pytest.raises(GroupError):
        rho(torch.ones(1, rho.dim), torch.tensor([order]))
    with pytest.raises(GroupError):
        rho.matrix(order)
    with pytest.raises(GroupError, match="look 'e' up first"):
        rho.matrix("e")  # type: ignore[arg-type]
