"""`is_representation` says yes to representations and no to everything else, in its three forms of input."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
import torch

from equilatent import groups, reps
from equilatent.testing import REPRESENTATIONS

D3 = groups.dihedral(3)
Q8 = groups.quaternion()
TURN = [[math.cos(2 * math.pi / 3), -math.sin(2 * math.pi / 3)], [math.sin(2 * math.pi / 3), math.cos(2 * math.pi / 3)]]
MIRROR = [[1.0, 0.0], [0.0, -1.0]]


@pytest.mark.parametrize("name", ["trivial", "sign S3", "matrices O", "padded regular", "regular Q8"])
def test_yes_to_representations_and_to_their_matrices(name: str) -> None:
    rho = REPRESENTATIONS[name]()
    G = rho.group
    assert reps.is_representation(G, rho)
    assert reps.is_representation(G, rho.matrix(G.elements))
    assert reps.is_representation(G, {x: rho.matrix(g) for x, g in G.generators.items()})


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ({"r": TURN, "s": MIRROR}, True),
        ({"r": np.eye(2), "s": MIRROR}, True),  # need not be faithful
        ({"r": MIRROR, "s": MIRROR}, False),  # r³ is not the identity
        ({"r": TURN, "s": np.eye(2)}, False),  # (s r)² is not the identity
        ({"r": TURN, "s": -np.eye(2)}, False),
        ({"r": np.full((2, 2), math.nan), "s": np.eye(2)}, False),
        ({"r": np.zeros((2, 2)), "s": MIRROR}, False),
    ],
)
def test_generators_are_judged_by_the_relators(images: Mapping[str, npt.ArrayLike], expected: bool) -> None:
    assert reps.is_representation(D3, images) is expected


def test_complex_generators() -> None:
    i, j = [[1j, 0], [0, -1j]], [[0, 1], [-1, 0]]
    assert reps.is_representation(Q8, {"i": i, "j": j})
    assert not reps.is_representation(Q8, {"i": i, "j": [[0, 1], [1, 0]]})
    assert reps.is_representation(Q8, reps.from_matrices(Q8, {"i": i, "j": j}).matrix(Q8.elements))


def test_no_to_singular_generators_of_a_group_whose_relators_hold_inverses() -> None:
    assert not reps.is_representation(Q8, {"i": np.zeros((2, 2)), "j": np.eye(2)})


@pytest.mark.parametrize("element", range(6))
def test_no_to_a_table_with_one_wrong_matrix(element: int) -> None:
    table = reps.from_matrices(D3, {"r": TURN, "s": MIRROR}).matrix(D3.elements)
    table[element, 0, 1] += 1e-3
    assert not reps.is_representation(D3, table)


def test_no_to_tables_of_anti_homomorphisms_zeros_and_nan() -> None:
    table = reps.regular(D3).matrix(D3.elements)
    assert not reps.is_representation(D3, table.mT)  # ρ(g)ᵀ = ρ(g⁻¹) turns products round
    assert not reps.is_representation(D3, torch.zeros_like(table))  # multiplicative, but ρ(e) ≠ 1
    assert not reps.is_representation(D3, torch.full_like(table, torch.nan))


def test_the_tolerance_is_the_largest_entry_of_the_difference() -> None:
    off = {"r": np.eye(1), "s": np.array([[1 + 1e-4]])}  # s² is off by 2e-4, and so is (s r)²
    assert reps.is_representation(D3, off, tolerance=3e-4)
    assert not reps.is_representation(D3, off, tolerance=1.5e-4)
    table = torch.ones(6, 1, 1, dtype=torch.float64)
    table[0] += 1e-4
    assert reps.is_representation(D3, table, tolerance=2.5e-4)
    assert not reps.is_representation(D3, table, tolerance=0.5e-4)


def test_single_precision_matrices_are_accepted_within_their_precision() -> None:
    G = groups.dihedral(5)
    table = reps.from_matrices(G, G.defining or {}).matrix(G.elements).float()
    assert reps.is_representation(G, table)
    assert not reps.is_representation(G, table, tolerance=1e-10)


def test_a_group_without_generators_needs_no_matrices() -> None:
    assert reps.is_representation(groups.cyclic(1), {})
