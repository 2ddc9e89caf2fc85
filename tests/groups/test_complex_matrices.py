"""Groups of complex matrices, and the kinds of arrays that matrices come in."""

from __future__ import annotations

import cmath
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import equilatent as eq
from equilatent.errors import GroupError, GroupTooLargeError, RepresentationError

W = cmath.exp(2j * math.pi / 3)
Q8 = {"i": [[1j, 0], [0, -1j]], "j": [[0, 1], [-1, 0]]}
PAULI = {"x": [[0, 1], [1, 0]], "y": [[0, -1j], [1j, 0]], "z": [[1, 0], [0, -1]]}
# The unit quaternions i and (1 + i + j + k)/2 in SU(2).
TETRAHEDRAL = {"i": Q8["i"], "w": [[(1 + 1j) / 2, (1 + 1j) / 2], [(-1 + 1j) / 2, (1 - 1j) / 2]]}
# Clock and shift.
HEISENBERG = {"a": np.diag([1, W, W * W]), "b": np.roll(np.eye(3), 1, 0)}
KNOWN: dict[str, tuple[dict[str, Any], eq.groups.Group]] = {
    "third root of unity": ({"r": [[W]]}, eq.groups.cyclic(3)),
    "i": ({"r": [[1j]]}, eq.groups.cyclic(4)),
    "i and -i": ({"r": [[1j]], "s": [[-1j]]}, eq.groups.cyclic(4)),
    "-1 and i": ({"r": [[-1]], "s": [[1j]]}, eq.groups.cyclic(4)),
    "roots of unity on a diagonal": (
        {"r": np.diag([W, 1]), "s": np.diag([1, W])},
        eq.groups.direct_product(eq.groups.cyclic(3), eq.groups.cyclic(3)),
    ),
    "quaternions": (Q8, eq.groups.quaternion()),
    "Pauli matrices": (
        PAULI,
        eq.groups.from_presentation("x2, y2, z2, i = x y z, i4, [i, x], [i, y], [i, z]"),
    ),
    "binary tetrahedral": (TETRAHEDRAL, eq.groups.from_presentation("a3 = b3 = (a b)^2")),
    "Heisenberg": (HEISENBERG, eq.groups.from_presentation("a3, b3, [a, b] = z, z3, [a, z], [b, z]")),
}


def _in_real_parts(matrices: dict[str, Any]) -> dict[str, np.ndarray]:
    """Complex matrices as real ones of twice the size: i becomes [[0, −1], [1, 0]]."""
    turn = np.array([[0, -1], [1, 0]])
    return {x: np.kron(np.real(m), np.eye(2)) + np.kron(np.imag(m), turn) for x, m in matrices.items()}


@pytest.mark.parametrize(("matrices", "twin"), KNOWN.values(), ids=KNOWN.keys())
def test_complex_matrices_generate_the_group_that_they_should(matrices: dict[str, Any], twin: eq.groups.Group) -> None:
    G = eq.groups.from_matrices(matrices)
    assert G.order == twin.order
    assert eq.groups.is_isomorphic(G, twin)
    assert eq.groups.from_matrices(_in_real_parts(matrices)) == G  # element by element


@pytest.mark.parametrize(("matrices", "twin"), KNOWN.values(), ids=KNOWN.keys())
def test_the_matrices_are_a_representation_of_their_group(matrices: dict[str, Any], twin: eq.groups.Group) -> None:
    G = eq.groups.from_matrices(matrices)
    rho = eq.reps.from_matrices(G, matrices)
    eq.testing.assert_representation(rho, dtype=torch.complex64)
    different = (rho.matrix(G.elements)[:, None] - rho.matrix(G.elements)).abs().amax((2, 3)) > 0.1
    assert different.sum() == twin.order * (twin.order - 1)


def test_imaginary_parts_tell_elements_apart_to_the_tolerance() -> None:
    rough = [[complex(round(math.cos(2 * math.pi / 7), 3), round(math.sin(2 * math.pi / 7), 3))]]
    assert eq.groups.from_matrices([rough], tolerance=0.02).order == 7
    with pytest.raises(GroupError, match=r"less exact than tolerance=1e-06"):
        eq.groups.from_matrices([rough], max_order=60)
    with pytest.raises(GroupError, match=r"so close to each other that tolerance=0\.3 cannot tell"):
        eq.groups.from_matrices([[[cmath.exp(2j * math.pi / 16)]]], tolerance=0.3)


@pytest.mark.parametrize("matrix", [[[cmath.exp(1j)]], [[1, 1j], [0, 1]]], ids=["turn", "shear"])
def test_complex_matrices_of_infinite_order(matrix: list[list[complex]]) -> None:
    with pytest.raises(GroupTooLargeError, match="more than max_order=60 elements"):
        eq.groups.from_matrices([matrix], max_order=60)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[2j]], r"determinant 0\+2j; .*absolute value 1"),
        ([[1j, 0], [0, 0]], "determinant 0.*a singular matrix has no inverse"),
        ([[complex(0, math.nan)]], "holds NaN or infinity"),
        ([[complex(1, math.inf)]], "holds NaN or infinity"),
        ([["a"]], "generator 'm' is not a matrix of numbers"),
        ([[1, 0], [0]], "generator 'm' is not a matrix of numbers"),
    ],
)
def test_matrices_that_are_refused(matrix: Any, message: str) -> None:
    with pytest.raises(GroupError, match=message):
        eq.groups.from_matrices({"m": matrix})


def test_a_determinant_on_the_unit_circle_is_that_of_a_finite_order() -> None:
    assert eq.groups.from_matrices([np.diag([1j, 1])]).order == 4


@pytest.mark.parametrize(
    "convert",
    [
        torch.tensor,
        lambda m: torch.tensor(m, dtype=torch.bfloat16),
        lambda m: torch.tensor(m, dtype=torch.float32, requires_grad=True),
        lambda m: torch.nn.Parameter(torch.tensor(m, dtype=torch.float64)),
        lambda m: torch.tensor(m, dtype=torch.complex64),
        lambda m: np.array(m, dtype=np.int8),
        lambda m: np.array(m, dtype=np.complex64),
        lambda m: [[Fraction(entry) for entry in row] for row in m],
        lambda m: tuple(map(tuple, m)),
    ],
)
def test_matrices_come_as_any_array(convert: Any) -> None:
    given = {"r": [[0, -1], [1, 0]], "s": [[1, 0], [0, -1]]}
    G = eq.groups.from_matrices({x: convert(m) for x, m in given.items()})
    assert eq.groups.from_matrices(given) == G
    # What has no imaginary part moves points of space.
    assert G.defining is not None
    assert all(G.defining[x].dtype == np.float64 and (G.defining[x] == given[x]).all() for x in given)
    assert eq.reps.defining(G).dim == 2


def test_complex_tensors_that_require_gradients() -> None:
    tensors = {x: torch.tensor(m, dtype=torch.complex64, requires_grad=True) for x, m in Q8.items()}
    assert eq.groups.from_matrices(tensors) == eq.groups.from_matrices(Q8)


def test_complex_matrices_are_no_motions() -> None:
    G = eq.groups.from_matrices(Q8)
    assert G.defining is None
    assert eq.groups.subgroup(G, ["j"]).group.defining is None
    with pytest.raises(RepresentationError, match=r"known neither as motions nor as permutations.*from_matrices"):
        eq.reps.defining(G)
    with pytest.raises(eq.errors.ActionError, match=r"not known as a group of motions of an image.*matrices="):
        eq.actions.image(G)
    assert eq.reps.from_matrices(G, Q8).character[G["i"]].abs() < 1e-12
