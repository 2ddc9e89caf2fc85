"""Sets and graphs, permuted: against permutation matrices and against networkless graph theory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from equilatent import actions, groups, reps
from equilatent.errors import ActionError, RepresentationError

C1, C2, C6, D4, D6, S3, S4 = (
    groups.cyclic(1),
    groups.cyclic(2),
    groups.cyclic(6),
    groups.dihedral(4),
    groups.dihedral(6),
    groups.symmetric(3),
    groups.symmetric(4),
)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def matrices() -> Tensor:
    """P with P e_i = e_{g·i}, written down from the cycles of each element of S4."""
    result = torch.zeros(24, 4, 4, dtype=torch.float64)
    for g in range(24):
        images = list(range(4))
        for cycle in S4.name(g).strip("e()").replace(")(", ",").split(",") if g else ():
            points = [int(point) for point in cycle.split()]
            for i, point in enumerate(points):
                images[point] = points[(i + 1) % len(points)]
        result[g, images, range(4)] = 1.0
    return result


def test_items_move_as_permutation_matrices_say() -> None:
    x = noise(24, 4, 3)
    assert torch.equal(actions.nodes(S4)(x, S4.elements), matrices() @ x)


def test_adjacency_matrices_are_conjugated() -> None:
    a, p = noise(24, 4, 4), matrices()
    assert torch.equal(actions.nodes(S4, axes=(1, 2))(a, S4.elements), p @ a @ p.mT)


def test_edge_features_and_negative_axes() -> None:
    a = noise(24, 5, 4, 4)
    moved = actions.nodes(S4, axes=(-2, -1))(a, S4.elements)
    for feature in range(5):
        assert torch.equal(moved[:, feature], actions.nodes(S4, axes=(1, 2))(a[:, feature], S4.elements))
    last = actions.nodes(S4, axes=(1, 2))(a.movedim(1, -1), S4.elements)
    assert torch.equal(moved.movedim(1, -1), last)


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_the_entry_at_i_and_j_moves_to_the_images_of_both(data: st.DataObject) -> None:
    g = data.draw(st.integers(0, 23))
    i, j = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))
    images = actions.nodes(S4).rho.move(torch.tensor(g))
    a = noise(1, 4, 4)
    assert actions.nodes(S4, axes=(1, 2))(a, torch.tensor([g]))[0, images[i], images[j]] == a[0, i, j]


def test_the_benzene_ring_is_left_alone_by_its_own_symmetries_only() -> None:
    ring = torch.zeros(6, 6, dtype=torch.long)
    ring[range(6), [1, 2, 3, 4, 5, 0]] = 1
    ring = ring + ring.mT
    assert (actions.nodes(D6, axes=(1, 2))(ring.expand(12, 6, 6), D6.elements) == ring).all()
    S6 = groups.symmetric(6)
    kept = (actions.nodes(S6, axes=(1, 2))(ring.expand(720, 6, 6), S6.elements) == ring).flatten(1).all(1)
    assert int(kept.sum()) == 12


def test_counting_triangles_is_invariant_and_degrees_are_equivariant() -> None:
    a = (noise(24, 4, 4) > 0).long()
    moved = actions.nodes(S4, axes=(1, 2))(a, S4.elements)
    assert torch.equal(
        (moved @ moved @ moved).diagonal(dim1=1, dim2=2).sum(1), (a @ a @ a).diagonal(dim1=1, dim2=2).sum(1)
    )
    assert torch.equal(moved.sum(2), actions.nodes(S4)(a.sum(2), S4.elements))


def test_given_points_and_point_tables() -> None:
    by_name = actions.nodes(C2, {"r": [3, 2, 1, 0]})
    by_table = actions.nodes(C2, torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]]))
    x = noise(2, 4, 2)
    assert torch.equal(by_name(x, C2.elements), torch.stack([x[0], x[1].flip(0)]))
    assert torch.equal(by_table(x, C2.elements), by_name(x, C2.elements))


def test_agrees_with_channels_on_one_axis() -> None:
    x = noise(8, 4, 2, 3)
    channels = actions.channels(reps.permutation(D4))
    assert torch.equal(actions.nodes(D4)(x, D4.elements), channels(x, D4.elements))


def test_any_dtype_is_moved() -> None:
    mask = torch.tensor([[True, False, False]])
    assert actions.nodes(S3)(mask, torch.tensor([S3["(0 1)"]])).tolist() == [[False, True, False]]
    assert actions.nodes(S3)(torch.zeros(0, 3, 2), torch.zeros(0, dtype=torch.long)).shape == (0, 3, 2)


def test_a_group_of_one_element() -> None:
    x = noise(2, 1, 3)
    assert torch.equal(actions.nodes(C1)(x, torch.zeros(2, dtype=torch.long)), x)


@pytest.mark.parametrize(
    ("axes", "shape", "message"),
    [
        ((1,), (2, 8, 3), r"4 nodes by D4 along axis 1: axis 1 of .* \[2, 8, 3\] holds 8 entries.*axes=.*points="),
        ((1, 2), (2, 4, 3), r"along axes 1, 2: axis 2 of a tensor of shape \[2, 4, 3\] holds 3 entries"),
        ((1, 2), (2, 4), r"a tensor of shape \[2, 4\] has no such axes"),
        ((-2,), (2, 4), r"has no such axes"),
        ((1, -2), (2, 4, 4), r"has no such axes"),
    ],
)
def test_tensors_that_do_not_hold_the_nodes(axes: tuple[int, ...], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ActionError, match=message):
        actions.nodes(D4, axes=axes)(torch.zeros(shape), torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize("axes", [(), 0, (0,), (0, 1), (1, 1)], ids=str)
def test_axes_that_are_none(axes: int | tuple[int, ...]) -> None:
    with pytest.raises(ActionError, match=r"each once, none of them the batch axis 0"):
        actions.nodes(D4, axes=axes)


def test_points_that_are_no_action() -> None:
    with pytest.raises(RepresentationError, match=r"O is not naturally a group of permutations"):
        actions.nodes(groups.octahedral())
    with pytest.raises(RepresentationError, match=r"no action of C6: the relator"):
        actions.nodes(C6, {"r": [1, 2, 3, 0]})
