"""Images, volumes and sequences against torch, numpy, scipy and brute force."""

import itertools
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import equilatent as eq
from equilatent import actions, groups
from equilatent.groups import Group
from equilatent.testing import ACTIONS

C2, C4, D3, D4, V4, O = (  # noqa: E741
    groups.cyclic(2),
    groups.cyclic(4),
    groups.dihedral(3),
    groups.dihedral(4),
    groups.klein_four(),
    groups.octahedral(),
)
CUBE = groups.from_matrices({**O.defining, "m": -np.eye(3)}, label="all 48 symmetries of the cube")
HALF_TURNS = {"a": np.diag([1, -1, -1]), "b": np.diag([-1, 1, -1])}


def numbers(*shape: int) -> Tensor:
    return torch.arange(float(np.prod(shape))).view(shape)


def every(group: Group, x: Tensor) -> tuple[Tensor, Tensor]:
    """The same sample for every element, and the elements."""
    return x.expand(group.order, *x.shape), group.elements


def linear_part(group: Group, element: int, images: Mapping[str, np.ndarray]) -> np.ndarray:
    product = np.eye(len(next(iter(images.values()))))
    for x, exponent in group.word(element):
        product = product @ np.linalg.matrix_power(images[x], exponent)
    return product


def moved_by_loops(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Each point of a grid, seen from the grid's centre, goes where the matrix takes it."""
    result = np.full_like(x, np.nan)
    centre = (np.array(x.shape) - 1) / 2
    for point in itertools.product(*map(range, x.shape)):
        target = np.rint(matrix @ (np.array(point) - centre) + centre).astype(int)
        result[tuple(target)] = x[point]
    return result


# Images


@pytest.mark.parametrize("size", [1, 2, 4, 5, 7, 8])
def test_d4_is_quarter_turns_after_a_mirror(size: int) -> None:
    x, g = every(D4, numbers(3, size, size))
    moved = actions.image(D4)(x, g)
    for turns, mirrored in itertools.product(range(4), range(2)):
        plain = x[0].flip(-1) if mirrored else x[0]
        assert torch.equal(moved[D4.product(D4["r"] * turns, D4["s"] * mirrored)], plain.rot90(turns, (-2, -1)))


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (5, 5), (1, 6)])
def test_groups_that_swap_no_axes_move_any_rectangle(shape: tuple[int, int]) -> None:
    x = numbers(2, *shape)
    turned = actions.image(C2)(*every(C2, x))
    assert torch.equal(turned[1], x.rot90(2, (-2, -1)))
    mirrored = actions.image(V4)(*every(V4, x))
    assert torch.equal(mirrored[V4["a"]], x.flip(-2))
    assert torch.equal(mirrored[V4["b"]], x.flip(-1))
    assert torch.equal(mirrored[V4["a b"]], x.flip(-2, -1))
    assert torch.equal(actions.image(groups.dihedral(1))(x[None], torch.tensor([1]))[0], x.flip(-1))


def test_given_matrices_decide_the_sense_of_the_turn() -> None:
    x, g = every(C4, numbers(1, 5, 5))
    clockwise = actions.image(C4, matrices={"r": [[0, 1], [-1, 0]]})(x, g)
    for turns in range(4):
        assert torch.equal(clockwise[turns], x[0].rot90(-turns, (-2, -1)))


@pytest.mark.parametrize("size", [4, 5])
def test_images_agree_with_scipy_without_interpolation(size: int) -> None:
    x = numbers(size, size)
    moved = actions.image(D4)(*every(D4, x))
    centre = np.full(2, (size - 1) / 2)
    for g in range(D4.order):
        back = np.rint(linear_part(D4, g, D4.defining)).T
        expected = scipy.ndimage.affine_transform(x.numpy(), back, centre - back @ centre, order=0)
        assert np.array_equal(moved[g].numpy(), expected)


@pytest.mark.parametrize("axes", [(1, 2), (-3, -2), (1, -2), (2, 1), (1, 3)])
def test_other_axes_than_the_last_two(axes: tuple[int, int]) -> None:
    x = numbers(4, 4, 4) if axes == (1, 3) else numbers(4, 4, 3)
    moved = actions.image(D4, axes=axes)(*every(D4, x))
    for g in range(D4.order):
        grid = x.movedim([axis - 1 if axis > 0 else axis for axis in axes], (-2, -1))
        expected = grid.flip(-1) if g >= 4 else grid
        back = expected.rot90(g % 4, (-2, -1)).movedim((-2, -1), [axis - 1 if axis > 0 else axis for axis in axes])
        assert torch.equal(moved[g], back)


def test_any_axes_between_batch_and_image_are_carried_along() -> None:
    x = numbers(8, 2, 3, 4, 4)
    moved = actions.image(D4)(x, D4.elements)
    for i, j in itertools.product(range(2), range(3)):
        assert torch.equal(moved[:, i, j], actions.image(D4)(x[:, i, j], D4.elements))


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(["D4", "C4", "V4", "cube", "half turns"]),
    sizes=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    channels=st.lists(st.integers(1, 3), max_size=2),
    data=st.data(),
)
def test_moving_twice_is_moving_by_the_product(
    kind: str, sizes: list[int], channels: list[int], data: st.DataObject
) -> None:
    act, shape = {
        "D4": (actions.image(D4), (sizes[0], sizes[0])),
        "C4": (actions.image(C4), (sizes[0], sizes[0])),
        "V4": (actions.image(V4), tuple(sizes[:2])),
        "cube": (actions.volume(CUBE), (sizes[0],) * 3),
        "half turns": (actions.volume(V4, matrices=HALF_TURNS), tuple(sizes)),
    }[kind]
    g, h = (torch.tensor([data.draw(st.integers(0, act.group.order - 1)) for _ in range(3)]) for _ in range(2))
    x = torch.randn(3, *channels, *shape, generator=torch.Generator().manual_seed(sum(sizes)))
    assert torch.equal(act(act(x, h), g), act(x, act.group.product(g, h)))


# Volumes


@pytest.mark.parametrize("group", [O, CUBE], ids=["24 rotations", "48 symmetries"])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_volumes_are_moved_as_by_brute_force(group: Group, size: int) -> None:
    x = numbers(size, size, size)
    moved = actions.volume(group)(*every(group, x))
    for g in range(group.order):
        assert np.array_equal(moved[g].numpy(), moved_by_loops(x.numpy(), linear_part(group, g, group.defining)))


def test_half_turns_move_a_box_of_three_lengths() -> None:
    x = numbers(2, 3, 4)
    moved = actions.volume(V4, matrices=HALF_TURNS)(*every(V4, x))
    assert torch.equal(moved[V4["a"]], x.flip(1, 2))
    assert torch.equal(moved[V4["b"]], x.flip(0, 2))
    assert torch.equal(moved[V4["a b"]], x.flip(0, 1))


def test_the_generators_of_the_octahedral_group() -> None:
    x = numbers(4, 4, 4)
    moved = actions.volume(O)(x.expand(2, 4, 4, 4), torch.tensor([O["r"], O["c"]]))
    assert torch.equal(moved[0], x.rot90(1, (-2, -1)))
    assert torch.equal(moved[1], x.permute(2, 0, 1))  # what lay along axis 0 lies along axis 1 now


# Sequences


@pytest.mark.parametrize(("n", "length"), [(1, 5), (2, 6), (3, 9), (4, 8), (5, 5), (6, 12)])
def test_sequences_are_rolled_and_reversed(n: int, length: int) -> None:
    x = np.arange(float(length))
    shifted = actions.sequence(groups.cyclic(n))(*every(groups.cyclic(n), torch.from_numpy(x)))
    for k in range(n):
        assert np.array_equal(shifted[k].numpy(), np.roll(x, k * length // n))
        wrapped = scipy.ndimage.shift(x, k * length // n, order=0, mode="grid-wrap")
        assert np.array_equal(shifted[k].numpy(), wrapped)
    G = groups.dihedral(n)
    moved = actions.sequence(G)(*every(G, torch.from_numpy(x)))
    for k in range(n):
        assert np.array_equal(moved[n + k].numpy(), np.roll(x[::-1], k * length // n))  # first s, then r^k


def test_sequences_along_another_axis() -> None:
    x = numbers(3, 6, 2)
    moved = actions.sequence(D3, axis=1)(x, torch.tensor([1, 3, 5]))
    for b, (shift, mirrored) in enumerate([(2, False), (0, True), (4, True)]):
        assert torch.equal(moved[b], (x[b].flip(0) if mirrored else x[b]).roll(shift, 0))


def test_given_shifts_and_reversals() -> None:
    act = actions.sequence(V4, matrices={"a": [[-1]], "b": [[1]]}, shifts={"b": Fraction(1, 2)})
    moved = act(*every(V4, numbers(6)))
    assert moved[V4["a"]].tolist() == [5, 4, 3, 2, 1, 0]
    assert moved[V4["b"]].tolist() == [3, 4, 5, 0, 1, 2]
    assert moved[V4["a b"]].tolist() == [2, 1, 0, 5, 4, 3]
    standing = actions.sequence(C4, shifts={"r": 0})
    assert torch.equal(standing(numbers(4, 5), C4.elements), numbers(4, 5))


# Index tables


@pytest.mark.parametrize("name", [name for name in ACTIONS if name.split()[0] in ("image", "volume", "sequence")])
def test_without_index_tables_the_result_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, shape = ACTIONS[name]
    x = torch.randn(16, *shape, generator=torch.Generator().manual_seed(0))
    g = make().group.sample(16, generator=torch.Generator().manual_seed(1))
    expected = make()(x, g)
    monkeypatch.setattr(eq.actions._gather, "_TABLE_ENTRIES", 0)
    assert torch.equal(make()(x, g), expected)


def test_a_grid_beyond_the_table_limit_is_moved_exactly() -> None:
    size = 725  # 8 · 725² is just more than 2²² entries
    x = torch.randn(3, 1, size, size, generator=torch.Generator().manual_seed(0))
    moved = actions.image(D4)(x, torch.tensor([D4["r"], D4["s"], D4["r2"]]))
    assert torch.equal(moved[0], x[0].rot90(1, (-2, -1)))
    assert torch.equal(moved[1], x[1].flip(-1))
    assert torch.equal(moved[2], x[2].rot90(2, (-2, -1)))


def test_one_action_serves_many_sizes_in_turn() -> None:
    act, r = actions.image(D4), torch.tensor([D4["r"]])
    for size in [*range(1, 9), 3, 8, 1]:
        x = numbers(1, size, size)
        assert torch.equal(act(x, r), x.rot90(1, (-2, -1)))


def test_descriptions_tell_the_kind_of_grid() -> None:
    assert repr(actions.image(D4)) == "GridAction(image grid moved by D4)"
    assert actions.volume(O).describe() == "volume grid moved by O"
    assert actions.sequence(C4).describe() == "sequence grid moved by C4"
