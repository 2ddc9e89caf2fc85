"""Direct products that move parts of the input independently."""

import itertools

import pytest
import torch
from torch import Tensor

import equilatent as eq
from equilatent import actions, groups, reps
from equilatent.groups import Group
from equilatent.testing import ACTIONS, assert_action

C2, C4, D4, V4 = groups.cyclic(2), groups.cyclic(4), groups.dihedral(4), groups.klein_four()
TWO = groups.direct_product(D4, D4)
CORNERS = [(slice(1, 4), slice(0, 3)), (slice(4, 8), slice(4, 8))]


def numbers(*shape: int) -> Tensor:
    return torch.arange(float(torch.Size(shape).numel())).view(shape)


def not_a_grid(group: Group, act: actions.Action) -> actions.Action:
    """The same action, of which `parts` cannot know that it is a gather."""
    return actions.function(group, act)


def test_halves_are_moved_by_their_own_factor() -> None:
    x = numbers(64, 1, 3, 6)
    moved = actions.parts(TWO, [actions.image(D4)] * 2)(x, TWO.elements)
    first, second = TWO.split(TWO.elements)
    assert torch.equal(moved[..., :3], actions.image(D4)(x[..., :3], first))
    assert torch.equal(moved[..., 3:], actions.image(D4)(x[..., 3:], second))


def test_windows_are_moved_and_the_rest_stays() -> None:
    x = numbers(64, 2, 8, 9)
    moved = actions.parts(TWO, [actions.image(D4)] * 2, windows=CORNERS)(x, TWO.elements)
    outside = torch.ones(8, 9, dtype=torch.bool)
    for window, component in zip(CORNERS, TWO.split(TWO.elements), strict=True):
        at = (..., *window)
        assert torch.equal(moved[at], actions.image(D4)(x[at], component))
        outside[window] = False
    assert torch.equal(moved[..., outside], x[..., outside])
    assert int(outside.sum()) == 72 - 9 - 16


def test_open_windows_reach_to_the_ends() -> None:
    G = groups.direct_product(C2, V4)
    windows = [(slice(None, 2), slice(None)), (slice(2, None), slice(1, None))]
    x = numbers(1, 5, 4)
    moved = actions.parts(G, [actions.image(C2), actions.image(V4)], windows=windows)(x, torch.tensor([G["r_1 a_2"]]))
    assert torch.equal(moved[0, :2], x[0, :2].rot90(2))
    assert torch.equal(moved[0, 2:, 1:], x[0, 2:, 1:].flip(0))
    assert torch.equal(moved[0, 2:, 0], x[0, 2:, 0])


@pytest.mark.parametrize(("axis", "shape"), [(-1, (3, 9)), (-2, (9, 3))])
def test_three_parts_along_either_axis(axis: int, shape: tuple[int, int]) -> None:
    G = groups.direct_product(C4, D4, C4)
    images = [actions.image(factor) for factor in G.factors]
    g = G.sample(20, generator=torch.Generator().manual_seed(0))
    x = numbers(20, 2, *shape)
    expected = [act(part, h) for act, part, h in zip(images, x.chunk(3, axis), G.split(g), strict=True)]
    assert torch.equal(actions.parts(G, images, axis=axis)(x, g), torch.cat(expected, axis))


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_the_axis_to_cut_may_be_counted_from_the_front(axis: int) -> None:
    G = groups.direct_product(C2, C2)
    act = [actions.image(C2)] * 2
    x = numbers(4, 2, 4, 4)
    expected = actions.parts(G, act, axis=axis - 4)(x, G.elements)
    assert torch.equal(actions.parts(G, act, axis=axis)(x, G.elements), expected)


def test_channels_may_be_cut_and_grids_kept_whole() -> None:
    x = numbers(64, 6, 4, 4)
    moved = actions.parts(TWO, [actions.image(D4)] * 2, axis=-3)(x, TWO.elements)
    first, second = TWO.split(TWO.elements)
    assert torch.equal(moved[:, :3], actions.image(D4)(x[:, :3], first))
    assert torch.equal(moved[:, 3:], actions.image(D4)(x[:, 3:], second))


@pytest.mark.parametrize("windows", [None, CORNERS])
def test_grids_moved_by_one_gather_or_one_by_one_agree(windows: list[tuple[slice, slice]] | None) -> None:
    images = [actions.image(D4)] * 2
    wrapped = [not_a_grid(D4, act) for act in images]
    x = numbers(64, 2, 8, 8) if windows else numbers(64, 2, 4, 8)
    together = actions.parts(TWO, images, windows=windows)(x, TWO.elements)
    assert torch.equal(together, actions.parts(TWO, wrapped, windows=windows)(x, TWO.elements))


def test_grids_of_different_dimension_share_one_tensor() -> None:
    G = groups.direct_product(groups.cyclic(3), D4)
    acts = [actions.sequence(groups.cyclic(3)), actions.image(D4)]
    windows = [(slice(0, 1), slice(0, 6)), (slice(2, 6), slice(1, 5))]
    x = numbers(24, 2, 6, 6)
    moved = actions.parts(G, acts, windows=windows)(x, G.elements)
    for number, (window, component) in enumerate(zip(windows, G.split(G.elements), strict=True)):
        assert torch.equal(moved[(..., *window)], acts[number](x[(..., *window)], component))


def test_products_of_products_are_moved_by_nested_parts() -> None:
    G = groups.direct_product(TWO, D4)
    inner = actions.parts(TWO, [actions.image(D4)] * 2, axis=-2)
    act = actions.parts(G, [inner, actions.image(D4)], windows=[(slice(0, 4), slice(0, 2)), (slice(0, 4), slice(2, 6))])
    assert_action(act, (1, 4, 6))
    x = numbers(1, 1, 4, 6)
    moved = act(x, torch.tensor([G["r_1_1 s_2_1 s_2"]]))[0, 0]
    assert torch.equal(moved[:2, :2], x[0, 0, :2, :2].rot90(1))
    assert torch.equal(moved[2:, :2], x[0, 0, 2:, :2].flip(-1))
    assert torch.equal(moved[:, 2:], x[0, 0, :, 2:].flip(-1))


def test_parts_that_are_no_grids() -> None:
    G = groups.direct_product(C4, C2)
    act = actions.parts(G, [reps.regular(C4), actions.function(C2, negated)], axis=1)
    x = numbers(8, 8)
    moved = act(x, G.elements)
    for g, (turns, sign) in enumerate(itertools.product(range(4), range(2))):
        assert torch.equal(moved[g, :4], x[g, :4].roll(turns))
        assert torch.equal(moved[g, 4:], -x[g, 4:] if sign else x[g, 4:])


def negated(x: Tensor, g: Tensor) -> Tensor:
    return torch.where(g.view(-1, *[1] * (x.ndim - 1)) == 1, -x, x)


def test_a_product_of_one_factor_has_one_part() -> None:
    G = groups.direct_product(D4)
    x = numbers(8, 4, 4)
    assert torch.equal(actions.parts(G, [actions.image(D4)])(x, G.elements), actions.image(D4)(x, D4.elements))


@pytest.mark.parametrize("name", [name for name in ACTIONS if name.startswith("parts")])
def test_without_index_tables_the_result_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, shape = ACTIONS[name]
    x = torch.randn(16, *shape, generator=torch.Generator().manual_seed(0))
    g = make().group.sample(16, generator=torch.Generator().manual_seed(1))
    expected = make()(x, g)
    monkeypatch.setattr(eq.actions._gather, "_TABLE_ENTRIES", 0)
    assert torch.equal(make()(x, g), expected)


def test_six_parts_of_a_group_too_large_for_any_table() -> None:
    G = groups.direct_product(*[D4] * 6)
    act = actions.parts(G, [actions.image(D4)] * 6)
    assert act.describe() == "D4×D4×D4×D4×D4×D4 on 6 parts"
    x, g = numbers(5, 1, 5, 30), G.sample(5, generator=torch.Generator().manual_seed(0))
    expected = [actions.image(D4)(part, h) for part, h in zip(x.chunk(6, -1), G.split(g), strict=True)]
    assert torch.equal(act(x, g), torch.cat(expected, -1))
