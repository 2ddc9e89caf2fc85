"""Every refusal of the representations, by the message that tells what is wrong."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pytest
import torch

from equilatent import groups, reps
from equilatent.errors import GroupTooLargeError, RepresentationError

D3, D4, C4, Q8 = groups.dihedral(3), groups.dihedral(4), groups.cyclic(4), groups.quaternion()
EYE = np.eye(2)
MIRROR = np.diag([1.0, -1.0])


def indices(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.long)


# Matrices


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"r": MIRROR, "s": EYE}, r"no representation of D3: the relator r3 differs from the identity by 2 \(tol"),
        ({"r": [[1.0]], "s": [[3.0]]}, r"the relator s2 differs from the identity by 8 \(tolerance 1e-06\)"),
        ({"r": D3.defining["r"], "s": EYE}, r"the relator \(s r\)\^2 differs from the identity by 1\.5"),
        ({"r": EYE, "s": [[1, 1], [1, 1]]}, r"the matrix of 's' is singular"),
        ({"r": [[math.nan]], "s": [[1]]}, r"the matrix of 'r' holds NaN or infinity"),
        ({"r": [[1]], "s": [[math.inf]]}, r"the matrix of 's' holds NaN or infinity"),
        ({"r": EYE, "s": np.eye(3)}, r"square and of one size; 'r' has shape \(2, 2\)"),
        ({"r": np.ones((2, 3)), "s": np.ones((2, 3))}, r"square and of one size; 'r' has shape \(2, 3\)"),
        ({"r": [1.0], "s": [1.0]}, r"square and of one size; 'r' has shape \(1,\)"),
        ({"r": EYE}, r"matrices of D3 are given by its generators r, s; got r\."),
        ({}, r"matrices of D3 are given by its generators r, s; got nothing"),
        ({"r": EYE, "s": EYE, "t": EYE}, r"its generators r, s; got r, s, t"),
    ],
)
def test_matrices_that_are_no_representation(images: Mapping[str, npt.ArrayLike], message: str) -> None:
    with pytest.raises(RepresentationError, match=message):
        reps.from_matrices(D3, images)


def test_the_tolerance_decides_what_is_no_representation() -> None:
    images = {"r": [[1.0]], "s": [[1 + 1e-4]]}
    with pytest.raises(RepresentationError, match=r"by 0\.0002 \(tolerance 0\.0001\)"):
        reps.from_matrices(D3, images, tolerance=1e-4)
    assert reps.from_matrices(D3, images, tolerance=1e-3).dim == 1


def test_matrices_that_would_not_fit_into_memory() -> None:
    with pytest.raises(GroupTooLargeError, match=r"1048576 matrices of 12×12 for C1048576 would take 1\.1 GiB"):
        reps.from_matrices(groups.cyclic(1 << 20), {"r": np.eye(12)})


def test_the_size_limit_counts_all_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reps._representation, "_MATRIX_ENTRIES", 6 * 25)
    check_size = reps._representation.check_size
    check_size(D3, 5)
    check_size(D3, 3, 16)
    with pytest.raises(GroupTooLargeError, match=r"7 matrices of 5×5 for D3"):
        check_size(D3, 5, 7)
    with pytest.raises(GroupTooLargeError, match=r"17 matrices of 3×3 for D3"):
        check_size(D3, 3, 17)


@pytest.mark.parametrize(
    "matrices",
    [torch.ones(6, 2), torch.ones(5, 2, 2), torch.ones(6, 2, 3)],
    ids=["two axes", "five elements", "not square"],
)
def test_a_table_that_is_no_square_matrix_for_each_element(matrices: torch.Tensor) -> None:
    with pytest.raises(RepresentationError, match=r"square matrix for each of the 6 elements of D3; got \["):
        reps.is_representation(D3, matrices)


def test_is_representation_wants_all_generators() -> None:
    with pytest.raises(RepresentationError, match=r"generators r, s; got s"):
        reps.is_representation(D3, {"s": EYE})


@pytest.mark.parametrize("images", [{"r": EYE, "s": np.eye(3)}, {"r": np.ones((2, 3)), "s": np.ones((2, 3))}])
def test_is_representation_wants_square_matrices_of_one_size(images: Mapping[str, npt.ArrayLike]) -> None:
    with pytest.raises(RepresentationError, match=r"square"):
        reps.is_representation(D3, images)


# Signs


@pytest.mark.parametrize("group", [Q8, groups.dihedral(2), groups.klein_four()], ids=lambda group: group.label)
def test_no_sign_without_natural_permutations(group: groups.Group) -> None:
    with pytest.raises(RepresentationError, match=rf"{group.label} is not naturally a group of permutations.*±1"):
        reps.sign(group)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": -1, "s": 1}, r"the relator r3 differs from the identity by 2"),
        ({"r": 1, "s": 0}, r"signs are 1 or −1; got \{'r': 1, 's': 0\}"),
        ({"r": 1}, r"sign of D3 are given by its generators r, s; got r"),
    ],
)
def test_signs_that_are_no_representation(values: dict[str, int], message: str) -> None:
    with pytest.raises(RepresentationError, match=message):
        reps.sign(D3, values)


# Permutations


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({"r": [1, 2, 0], "s": [0, 0, 1]}, r"generator 's' does not permute the points 0 … 2: \[0, 0, 1\]"),
        ({"r": [1, 2, 3], "s": [0, 2, 1]}, r"generator 'r' does not permute the points 0 … 2"),
        ({"r": [1, 2, 0], "s": [1, 0]}, r"generator 's' does not permute the points 0 … 2: \[1, 0\]"),
        ({"r": [1, 0], "s": [0, 1]}, r"no action of D3: the relator r3 should fix every point"),
        ({"r": [1, 2, 0], "s": [0, 1, 2]}, r"the relator \(s r\)\^2 should fix every point and does not"),
        ({"s": [0, 2, 1]}, r"permutation of D3 are given by its generators r, s; got s"),
    ],
)
def test_images_that_are_no_action(points: dict[str, list[int]], message: str) -> None:
    with pytest.raises(RepresentationError, match=message):
        reps.permutation(D3, points)


def test_a_group_without_natural_points_needs_them_given() -> None:
    with pytest.raises(RepresentationError, match=r"Q8 is not naturally.*how its generators \(i, j\) permute"):
        reps.permutation(Q8)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (torch.zeros(6, dtype=torch.long), r"points of D3 are integers \[6, m\].*got torch.int64 \[6\]"),
        (torch.zeros(5, 3, dtype=torch.long), r"integers \[6, m\].*\[5, 3\]"),
        (torch.zeros(6, 3), r"integers \[6, m\].*got torch.float32"),
        (torch.zeros(6, 3, dtype=torch.complex64), r"integers \[6, m\].*got torch.complex64"),
        (torch.zeros(6, 3, dtype=torch.long), r"no permutations, or the identity moves a point"),
        (torch.tensor([[0, 1, 2]] * 5 + [[0, 1, 3]]), r"no permutations, or the identity moves a point"),
        (torch.tensor([[1, 0, 2]] * 6), r"no permutations, or the identity moves a point"),
        (torch.tensor([[0, 1, 2]] * 5 + [[1, 0, 2]]), r"no left action: some \(g·[rs]\)·i is not g·\([rs]·i\)"),
    ],
)
def test_tables_of_points_that_are_no_action(table: torch.Tensor, message: str) -> None:
    with pytest.raises(RepresentationError, match=message):
        reps.permutation(D3, table)


def test_a_right_action_is_refused() -> None:
    right = reps.permutation(D3).move(D3.inverse(D3.elements))
    with pytest.raises(RepresentationError, match=r"no left action"):
        reps.permutation(D3, right)


# Sums


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: reps.multiple(reps.regular(C4), -1), r"a multiplicity is an integer ≥ 0; got -1 of regular"),
        (lambda: reps.multiple(reps.regular(C4), 1.5), r"a multiplicity is an integer ≥ 0; got 1\.5"),
        (lambda: reps.multiple(reps.regular(C4), True), r"a multiplicity is an integer ≥ 0; got True"),
        (lambda: reps.direct_sum(), r"a direct sum needs at least one representation"),
        (lambda: reps.direct_sum(reps.regular(C4), reps.trivial(D4)), r"representations of C4 and of D4"),
        (lambda: reps.padded_regular(D4, 7), r"7 features cannot hold one copy.*of D4, which has 8 dimensions"),
        (lambda: reps.padded_regular(D4, 0), r"0 features cannot hold one copy"),
        (lambda: reps.trivial("D4"), r"a representation needs a group.*got 'D4'"),
    ],
)
def test_sums_that_make_no_sense(make: Callable[[], reps.Representation], message: str) -> None:
    with pytest.raises(RepresentationError, match=message):
        make()
