"""Vectors and elements that a representation refuses, by message."""

import numpy as np
import pytest
import torch

from equilatent import groups, reps
from equilatent.errors import EquilatentError, GroupError, GroupTooLargeError, RepresentationError

D4, C4 = groups.dihedral(4), groups.cyclic(4)
REGULAR = reps.regular(D4)


@pytest.mark.parametrize(
    ("shape", "dim", "message"),
    [
        ((2, 7), 1, r"regular of D4 acts on vectors of 8 entries; axis 1 of x has 7 \(shape \(2, 7\)\)"),
        ((2, 8, 3), -1, r"axis -1 of x has 3"),
        ((2, 8), 0, r"dim=0 is none of a tensor of shape \(2, 8\)"),
        ((2, 8), 2, r"dim=2 is none of a tensor"),
        ((2, 8), -2, r"dim=-2 is none of a tensor"),
        ((2, 8), -3, r"dim=-3 is none of a tensor"),
    ],
)
def test_axes_that_do_not_fit(shape: tuple[int, ...], dim: int, message: str) -> None:
    with pytest.raises(RepresentationError, match=message):
        REGULAR(torch.zeros(shape), torch.zeros(2, dtype=torch.long), dim=dim)


@pytest.mark.parametrize(
    ("g", "message"),
    [
        (torch.zeros(3, dtype=torch.long), r"expected shape \[2\], got \[3\]"),
        (torch.zeros(2, 1, dtype=torch.long), r"expected shape \[2\], got \[2, 1\]"),
        (torch.tensor(0), r"expected shape \[2\], got \[\]"),
    ],
)
def test_elements_that_are_not_one_a_sample(g: torch.Tensor, message: str) -> None:
    with pytest.raises(RepresentationError, match=message):
        REGULAR(torch.zeros(2, 8), g)


@pytest.mark.parametrize(
    ("g", "message"),
    [
        (torch.tensor([0, 8]), r"elements of D4 are the integers 0 … 7; got values from 0 to 8"),
        (torch.tensor([-1, 0]), r"got values from -1 to 0"),
        (torch.tensor([0.0, 1.0]), r"in a LongTensor; got torch\.float32"),
        (torch.tensor([True, False]), r"in a LongTensor; got torch\.bool"),
    ],
)
def test_elements_that_are_none(g: torch.Tensor, message: str) -> None:
    with pytest.raises(GroupError, match=message):
        REGULAR(torch.zeros(2, 8), g)


@pytest.mark.parametrize("g", [[0, 1], 0, np.array([0, 1])], ids=["list", "int", "array"])
def test_elements_that_are_no_tensor(g: object) -> None:
    with pytest.raises(EquilatentError, match=r"LongTensor"):
        REGULAR(torch.zeros(2, 8), g)


@pytest.mark.parametrize("rho", [REGULAR, reps.sign(D4), reps.trivial(D4), reps.padded_regular(D4, 9)], ids=str)
@pytest.mark.parametrize("element", [8, -1])
def test_matrices_of_elements_out_of_range(rho: reps.Representation, element: int) -> None:
    with pytest.raises(GroupError, match=r"integers 0 … 7"):
        rho.matrix(element)
    with pytest.raises(GroupError, match=r"integers 0 … 7"):
        rho.matrix(torch.tensor([0, element]))


def test_a_matrix_of_a_name() -> None:
    with pytest.raises(GroupError, match=r"look 'r' up first: rho\.matrix\(G\['r'\]\)"):
        REGULAR.matrix("r")


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool], ids=str)
def test_integers_through_dense_matrices(dtype: torch.dtype) -> None:
    rho = reps.from_matrices(C4, C4.defining or {}, label="turns")
    with pytest.raises(RepresentationError, match=rf"turns acts by matrices on floating vectors; got {dtype}"):
        rho(torch.ones(1, 2).to(dtype), torch.tensor([1]))


def test_real_vectors_through_complex_matrices() -> None:
    rho = reps.direct_sum(reps.trivial(C4), reps.from_matrices(C4, {"r": [[1j]]}, label="turn"))
    with pytest.raises(RepresentationError, match=r"turn has complex matrices; got real vectors \(torch\.float32\)"):
        rho(torch.ones(1, 2), torch.tensor([1]))


def test_booleans_have_no_sign() -> None:
    with pytest.raises(RepresentationError, match=r"bool"):
        reps.sign(D4)(torch.ones(1, 1, dtype=torch.bool), torch.tensor([D4["s"]]))


def test_characters_of_groups_too_large_to_list() -> None:
    G = groups.direct_product(*[D4] * 10)
    for rho in (reps.trivial(G), reps.regular(G)):
        with pytest.raises(GroupTooLargeError, match=r"listing the elements"):
            _ = rho.character


def test_unsigned_vectors_have_no_sign() -> None:
    rho = reps.sign(groups.symmetric(3))
    with pytest.raises(RepresentationError, match=r"changes signs; torch\.uint8 vectors have none"):
        rho(torch.ones(2, 1, dtype=torch.uint8), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    "rho", [reps.regular(C4), reps.LearnedRepresentation(C4, 4)], ids=lambda rho: type(rho).__name__
)
@pytest.mark.parametrize("x", [{"a": torch.ones(1, 4)}, [[1.0] * 4], None], ids=lambda x: type(x).__name__)
def test_what_is_no_tensor(rho: torch.nn.Module, x: object) -> None:
    with pytest.raises(RepresentationError, match=rf"a tensor \[B, …\]; got {type(x).__name__}"):
        rho(x, torch.tensor([1]))
