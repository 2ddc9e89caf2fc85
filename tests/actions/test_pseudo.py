"""Pseudo-scalar and pseudo-vector fields: what the curl of a vector field is."""

import numpy as np
import pytest
import torch
from torch import Tensor

from equilatent import actions, groups, reps
from equilatent.groups import Group
from equilatent.testing import assert_equivariant, assert_representation

C4, D4, V4, O, Oh, Th = (  # noqa: E741
    groups.cyclic(4),
    groups.dihedral(4),
    groups.klein_four(),
    groups.octahedral(),
    groups.octahedral(inversion=True),
    groups.tetrahedral(inversion=True),
)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def difference(x: Tensor, axis: int) -> Tensor:
    """The central difference along an axis of a periodic grid."""
    return (x.roll(-1, axis) - x.roll(1, axis)) / 2


def vorticity(velocity: Tensor) -> Tensor:
    return (difference(velocity[:, 1], -2) - difference(velocity[:, 0], -1))[:, None]


def curl(field: Tensor) -> Tensor:
    pairs = [(1, 2), (2, 0), (0, 1)]
    return torch.stack([difference(field[:, b], a - 3) - difference(field[:, a], b - 3) for a, b in pairs], 1)


def divergence(field: Tensor) -> Tensor:
    return torch.stack([difference(field[:, a], a - 3) for a in range(3)]).sum(0)[:, None]


@pytest.mark.parametrize("group", [C4, D4, V4], ids=lambda group: group.label)
@pytest.mark.parametrize("size", [5, 6])
def test_the_vorticity_of_a_flow_is_a_pseudo_scalar_field(group: Group, size: int) -> None:
    flow, x = actions.vector_field(group), noise(3, 2, size, size)
    pseudo = actions.vector_field(group, components=(None,), pseudo=True)
    assert_equivariant(vorticity, flow, pseudo, x, tolerance=1e-12)


def test_the_vorticity_is_no_scalar_field() -> None:
    with pytest.raises(AssertionError, match=r"f\(g·x\) ≠ g·f\(x\) for g = .*s"):
        assert_equivariant(vorticity, actions.vector_field(D4), actions.image(D4), noise(3, 2, 6, 6))


@pytest.mark.parametrize("group", [O, Oh, Th], ids=lambda group: group.label)
def test_the_curl_of_a_vector_field_is_a_pseudo_vector_field(group: Group) -> None:
    vector = actions.vector_field(group, dims=3)
    pseudo = actions.vector_field(group, dims=3, pseudo=True)
    x = noise(2, 3, 4, 4, 4)
    assert_equivariant(curl, vector, pseudo, x, tolerance=1e-12)
    assert_equivariant(curl, pseudo, vector, x, tolerance=1e-12)


def test_the_curl_is_a_vector_field_for_rotations_only() -> None:
    x = noise(2, 3, 4, 4, 4)
    assert_equivariant(curl, actions.vector_field(O, dims=3), actions.vector_field(O, dims=3), x, tolerance=1e-12)
    with pytest.raises(AssertionError, match=r"f\(g·x\) ≠ g·f\(x\)"):
        assert_equivariant(curl, actions.vector_field(Oh, dims=3), actions.vector_field(Oh, dims=3), x)


def test_the_divergence_of_a_pseudo_vector_field_is_a_pseudo_scalar_field() -> None:
    x = noise(2, 3, 4, 4, 4)
    pseudo = actions.vector_field(Oh, dims=3, pseudo=True)
    pseudo_scalar = actions.vector_field(Oh, dims=3, components=(None,), pseudo=True)
    assert_equivariant(divergence, pseudo, pseudo_scalar, x, tolerance=1e-12)


@pytest.mark.parametrize(("group", "dims"), [(D4, 2), (V4, 2), (O, 3), (Oh, 3)], ids=str)
def test_pseudo_components_are_the_plain_ones_times_the_determinant(group: Group, dims: int) -> None:
    grid = (actions.image if dims == 2 else actions.volume)(group)
    motions = reps.from_matrices(group, group.defining).matrix(group.elements).numpy()
    determinant = torch.from_numpy(np.linalg.det(motions).round())
    plain, pseudo = (grid.components(range(dims), pseudo=flag) for flag in (False, True))
    expected = plain.matrix(group.elements) * determinant[:, None, None]
    assert torch.equal(pseudo.matrix(group.elements), expected)
    assert torch.equal(grid.components([None], pseudo=True).character, determinant)
    assert_representation(pseudo)


def test_on_a_sequence_a_pseudo_scalar_changes_sign_under_reversal() -> None:
    D3 = groups.dihedral(3)
    assert actions.sequence(D3).components([None], pseudo=True).character.tolist() == [1, 1, 1, -1, -1, -1]


def test_vectors_and_pseudo_vectors_side_by_side() -> None:
    grid = actions.volume(Oh)
    electric, magnetic = grid.components((0, 1, 2)), grid.components((0, 1, 2), pseudo=True)
    both = actions.compose(grid, actions.channels(reps.direct_sum(electric, magnetic)))
    x = noise(48, 6, 3, 3, 3)
    moved = both(x, Oh.elements)
    assert torch.equal(moved[:, :3], actions.vector_field(Oh, dims=3)(x[:, :3], Oh.elements))
    assert torch.equal(moved[:, 3:], actions.vector_field(Oh, dims=3, pseudo=True)(x[:, 3:], Oh.elements))
    assert "pseudo-vector components" in both.describe()
