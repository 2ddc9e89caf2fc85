"""Vector fields against brute force: the grid turns, and the components turn with it."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from equilatent import actions, groups
from equilatent.groups import Group

C2, C4, D1, D4, V4, O = (  # noqa: E741
    groups.cyclic(2),
    groups.cyclic(4),
    groups.dihedral(1),
    groups.dihedral(4),
    groups.klein_four(),
    groups.octahedral(),
)


def numbers(*shape: int) -> Tensor:
    return torch.arange(1.0, 1.0 + float(np.prod(shape))).view(shape)


def linear_part(group: Group, element: int) -> np.ndarray:
    product = np.eye(len(next(iter(group.defining.values()))))
    for x, exponent in group.word(element):
        product = product @ np.linalg.matrix_power(group.defining[x], exponent)
    return np.rint(product)


def turned_by_loops(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A field [k, *grid] of vectors along the k axes: each point and the vector on it turn about the centre."""
    result = np.full_like(vectors, np.nan)
    grid = vectors.shape[1:]
    centre = (np.array(grid) - 1) / 2
    for point in itertools.product(*map(range, grid)):
        target = np.rint(matrix @ (np.array(point) - centre) + centre).astype(int)
        result[(slice(None), *target)] = matrix @ vectors[(slice(None), *point)]
    return result


@pytest.mark.parametrize(("group", "shape"), [(C4, (3, 3)), (D4, (4, 4)), (V4, (2, 3)), (C2, (3, 4)), (D1, (2, 3))])
def test_every_vector_is_carried_and_turned(group: Group, shape: tuple[int, int]) -> None:
    x = numbers(2, *shape)
    moved = actions.vector_field(group)(x.expand(group.order, 2, *shape), group.elements)
    for g in range(group.order):
        assert np.array_equal(moved[g].numpy(), turned_by_loops(x.numpy(), linear_part(group, g)))


def test_every_vector_of_a_volume_is_carried_and_turned() -> None:
    x = numbers(3, 3, 3, 3)
    moved = actions.vector_field(O, dims=3)(x.expand(24, 3, 3, 3, 3), O.elements)
    for g in range(24):
        assert np.array_equal(moved[g].numpy(), turned_by_loops(x.numpy(), linear_part(O, g)))


def test_components_may_come_in_another_order() -> None:
    x = numbers(2, 4, 4)  # the component along the columns comes first
    moved = actions.vector_field(D4, components=(1, 0))(x.expand(8, 2, 4, 4), D4.elements)
    for g in range(8):
        expected = turned_by_loops(x.numpy()[::-1], linear_part(D4, g))[::-1]
        assert np.array_equal(moved[g].numpy(), expected)


@pytest.mark.parametrize("components", [(None, 0, 1), (0, None, 1), (1, 0, None), (None, 1, 0, None)])
def test_scalars_among_the_components_are_carried_and_not_turned(components: tuple[int | None, ...]) -> None:
    x = numbers(len(components), 3, 3)
    moved = actions.vector_field(D4, components=components)(x.expand(8, *x.shape), D4.elements)
    rows, columns = components.index(0), components.index(1)
    for g in range(8):
        field = turned_by_loops(x.numpy()[[rows, columns]], linear_part(D4, g))
        assert np.array_equal(moved[g, [rows, columns]].numpy(), field)
    for number in (i for i, axis in enumerate(components) if axis is None):
        assert torch.equal(moved[:, number], actions.image(D4)(x[number].expand(8, 3, 3), D4.elements))


def test_several_vectors_follow_each_other_in_the_channels() -> None:
    x = numbers(8, 6, 3, 3)
    act = actions.vector_field(D4, components=(1, 0))
    moved = act(x, D4.elements)
    for start in (0, 2, 4):
        assert torch.equal(moved[:, start : start + 2], act(x[:, start : start + 2], D4.elements))


def test_channels_on_another_axis() -> None:
    x = numbers(8, 5, 2, 3, 3)  # [B, frames, components, H, W]
    moved = actions.vector_field(D4, axis=2)(x, D4.elements)
    assert torch.equal(moved, actions.vector_field(D4)(x.view(8, 10, 3, 3), D4.elements).view(x.shape))


def test_one_component_is_enough_for_a_group_that_turns_it_into_no_other() -> None:
    x = numbers(1, 2, 3)
    moved = actions.vector_field(V4, components=(1,))(x.expand(4, 1, 2, 3), V4.elements)
    assert torch.equal(moved[V4["a"]], x.flip(-2))
    assert torch.equal(moved[V4["b"]], -x.flip(-1))


def test_components_are_signed_permutations() -> None:
    rho = actions.image(D4).components([0, 1])
    expected = np.stack([linear_part(D4, g) for g in range(8)])
    assert np.array_equal(rho.matrix(D4.elements).numpy(), expected)
    assert actions.image(D4).components([None, None]).character.tolist() == [2.0] * 8


def test_given_matrices_turn_the_components_too() -> None:
    x = numbers(2, 3, 3)
    clockwise = np.array([[0.0, 1.0], [-1.0, 0.0]])
    moved = actions.vector_field(C4, matrices={"r": clockwise})(x[None], torch.tensor([1]))
    assert np.array_equal(moved[0].numpy(), turned_by_loops(x.numpy(), clockwise))
