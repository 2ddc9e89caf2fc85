"""Translations of periodic grids together with their rotations: against torch.roll and rot90."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from equilatent import actions, groups
from equilatent.errors import ActionError
from equilatent.groups import Group
from equilatent.testing import assert_action, assert_equivariant, assert_group

C2, C4, D1, D4, V4 = (
    groups.cyclic(2),
    groups.cyclic(4),
    groups.dihedral(1),
    groups.dihedral(4),
    groups.klein_four(),
)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("group", [groups.cyclic(1), C2, C4, D1, D4, V4], ids=lambda group: group.label)
@pytest.mark.parametrize(("steps", "size"), [(2, 4), (2, 6), (3, 3), (3, 9), (4, 8), (5, 5)])
def test_it_is_exactly_an_action_on_even_and_odd_sizes(group: Group, steps: int, size: int) -> None:
    act = actions.periodic(actions.image(group), steps)
    assert act.group.order == steps**2 * group.order
    assert_action(act, (1, size, size))


@pytest.mark.parametrize(("steps", "size"), [(2, 6), (3, 9), (4, 4), (5, 5)])
def test_every_element_turns_about_the_centre_and_then_rolls(steps: int, size: int) -> None:
    act = actions.periodic(actions.image(D4), steps)
    group, step, x = act.group, size // steps, noise(1, 2, size, size)
    for down in range(steps):
        for right in range(steps):
            for quarter in range(4):
                for mirror in range(2):
                    g = group[f"r_1_1^{down} r_2_1^{right} r_2^{quarter} s_2^{mirror}"]
                    expected = (
                        (x.flip(-1) if mirror else x)
                        .rot90(quarter, (-2, -1))
                        .roll((down * step, right * step), (-2, -1))
                    )
                    assert torch.equal(act(x, torch.tensor([g])), expected)


def test_all_elements_move_an_image_without_symmetry_differently() -> None:
    act = actions.periodic(actions.image(D4), 3)
    x = torch.arange(36.0).view(1, 1, 6, 6).expand(72, 1, 6, 6)
    assert len(act(x, act.group.elements).flatten(1).unique(dim=0)) == 72


def test_images_that_are_not_square() -> None:
    act = actions.periodic(actions.image(V4), 2)
    x, G = noise(1, 1, 4, 6), act.group
    moved = act(x, torch.tensor([G["r_1_1 r_2_1 a_2"]]))
    assert torch.equal(moved, x.flip(-2).roll((2, 3), (-2, -1)))
    with pytest.raises(ActionError, match=r"swaps axes of different length"):
        actions.periodic(actions.image(D4), 2)(x, torch.tensor([0]))


def test_other_axes_and_given_matrices() -> None:
    clockwise = actions.image(C4, matrices={"r": [[0, 1], [-1, 0]]}, axes=(1, 2))
    act = actions.periodic(clockwise, 3)
    x = noise(1, 6, 6, 2)
    assert torch.equal(act(x, torch.tensor([act.group["r_2"]])), x.rot90(-1, (1, 2)))
    assert torch.equal(act(x, torch.tensor([act.group["r_2_1"]])), x.roll(2, 2))
    assert_action(act, (6, 6, 2))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_sequence_gets_the_dihedral_group(n: int) -> None:
    act, known = actions.periodic(actions.sequence(D1), n), actions.sequence(groups.dihedral(n))
    assert act.group.order == 2 * n
    x = noise(1, 2, 2 * n)
    for i in range(n):
        for j in range(2):
            ours, theirs = act.group[f"r_1^{i} s_2^{j}"], known.group[f"r^{i} s^{j}"]
            assert torch.equal(act(x, torch.tensor([ours])), known(x, torch.tensor([theirs])))


def test_volumes() -> None:
    act = actions.periodic(actions.volume(groups.octahedral(inversion=True)), 2)
    assert act.group.order == 8 * 48
    assert_group(act.group)
    assert_action(act, (4, 4, 4))
    x = noise(1, 4, 4, 4)
    assert torch.equal(act(x, torch.tensor([act.group["r_3_1"]])), x.roll(2, -1))


def test_vector_fields_on_a_torus() -> None:
    grid = actions.periodic(actions.image(D4), 2)
    act = actions.compose(grid, actions.channels(grid.components((0, 1))))
    assert_action(act, (2, 6, 6))
    x, g = noise(1, 2, 6, 6), torch.tensor([grid.group["r_2_1"]])
    assert torch.equal(act(x, g), x.roll(3, -1))  # a translation turns no vectors


def test_a_circular_convolution_is_equivariant_and_a_padded_one_is_not() -> None:
    grid = actions.periodic(actions.image(C4), 3)
    x = noise(2, 1, 6, 6)
    for padding_mode, holds in (("circular", True), ("zeros", False)):
        layer = torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode=padding_mode)
        kernel = noise(1, 1, 3, 3)
        layer.weight = torch.nn.Parameter(sum(kernel.rot90(k, (-2, -1)) for k in range(4)))
        if holds:
            assert_equivariant(layer, grid, grid, x)
        else:
            with pytest.raises(AssertionError, match=r"f\(g·x\) ≠ g·f\(x\)"):
                assert_equivariant(layer, grid, grid, x)


def test_lengths_that_the_steps_do_not_divide() -> None:
    with pytest.raises(
        ActionError, match=r"by 1/4 of its length, which 6 entries cannot do. Use a length that 4 divides"
    ):
        actions.periodic(actions.image(D4), 4)(torch.zeros(1, 6, 6), torch.tensor([0]))


@pytest.mark.parametrize("steps", [1, 0, -2, True, 2.0, "2", (2, 2)])
def test_steps_that_are_none(steps: object) -> None:
    with pytest.raises(ActionError, match=r"steps is the number of translations along an axis, an integer ≥ 2"):
        actions.periodic(actions.image(D4), steps)


def test_what_is_no_grid_that_fixes_its_centre() -> None:
    with pytest.raises(ActionError, match=r"translations to a grid action, such as image\(G\); got TrivialAction"):
        actions.periodic(actions.trivial(D4), 2)
    with pytest.raises(ActionError, match=r"sequence grid moved by C4 shifts the grid already"):
        actions.periodic(actions.sequence(C4), 2)


def test_each_axis_needs_a_length_for_its_own_shifts() -> None:
    group = groups.direct_product(groups.cyclic(2), groups.cyclic(3))
    one = [[1, 0], [0, 1]]
    act = actions.GridAction(
        group, {"r_1": one, "r_2": one}, shifts={"r_1": [Fraction(1, 2), 0], "r_2": [0, Fraction(1, 3)]}
    )
    assert_action(act, (4, 9))
    with pytest.raises(ActionError, match=r"shifts axis -1 by 1/3 of its length, which 4 entries cannot do"):
        act(torch.zeros(1, 4, 4), torch.tensor([0]))


def test_compiled_without_a_break_in_the_graph() -> None:
    act = actions.periodic(actions.image(V4), 2)
    x, g = noise(5, 2, 4, 6), act.group.sample(5, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(act, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x, g), act(x, g))
