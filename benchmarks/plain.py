"""The same motions without the library: what is compared with it, in timing and in value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

import equilatent as eq
from equilatent.groups import Group

#: What each element does to a tensor, by its number.
Moves = Sequence[Callable[[Tensor], Tensor]]


def by_element(moves: Moves, x: Tensor, g: Tensor) -> Tensor:
    """One call for each element, on its share of the batch."""
    result = torch.empty_like(x)
    for element, move in enumerate(moves):
        rows = (g == element).nonzero()[:, 0]
        result[rows] = move(x[rows])
    return result


def image_moves(turns: int = 4, *, mirrors: bool = False) -> Moves:
    """torch.rot90 and flip: r^i of C4, or r^i s^j of D4, which first mirrors, then turns."""

    def move(mirrored: bool, quarter: int) -> Callable[[Tensor], Tensor]:
        return lambda x: (x.flip(-1) if mirrored else x).rot90(quarter, (-2, -1))

    return [move(mirrored, quarter) for mirrored in (False, True)[: 1 + mirrors] for quarter in range(turns)]


def field_moves() -> Moves:
    """C4 on vector fields [..., C, H, W] whose channels are pairs (row, column): the pixels turn and the vectors too."""

    def move(quarter: int) -> Callable[[Tensor], Tensor]:
        def turn(x: Tensor) -> Tensor:
            row, column = x[..., 0::2, :, :], x[..., 1::2, :, :]
            for _ in range(quarter):  # down turns to the right, right turns up
                row, column = -column, row
            return torch.stack([row, column], -3).flatten(-4, -3).rot90(quarter, (-2, -1))

        return turn

    return [move(quarter) for quarter in range(4)]


def volume_moves(group: Group) -> Moves:
    """Permuted and flipped axes of volumes [..., D, H, W]."""

    def move(matrix: Tensor) -> Callable[[Tensor], Tensor]:
        source = (matrix.abs().argmax(1) - 3).tolist()
        backwards = [axis - 3 for axis in range(3) if matrix[axis].sum() < 0]

        def turn(x: Tensor) -> Tensor:
            lead = range(x.ndim - 3)
            return x.permute(*lead, *(x.ndim + axis for axis in source)).flip(backwards)

        return turn

    return [move(matrix) for matrix in plane_or_space(group)]


def sequence_moves(turns: int) -> Moves:
    """torch.flip and roll: r^i s^j of a dihedral group, which first reverses, then shifts by i/turns of the length."""

    def move(reverse: bool, steps: int) -> Callable[[Tensor], Tensor]:
        return lambda x: (x.flip(-1) if reverse else x).roll(steps * x.shape[-1] // turns, -1)

    return [move(reverse, steps) for reverse in (False, True) for steps in range(turns)]


def plane_or_space(group: Group) -> Tensor:
    """The matrices of all elements, in (row, column) or in the three axes; float64 [order, n, n]."""
    return eq.reps.from_matrices(group, group.defining or {}).matrix(group.elements)


def sampling_table(group: Group) -> Tensor:
    """For each element what F.affine_grid takes: where a point of the result comes from, in (x, y) or (x, y, z)."""
    inverse = plane_or_space(group).mT.flip(1, 2)
    return torch.cat([inverse, torch.zeros(*inverse.shape[:2], 1)], 2).float()


def sample(x: Tensor, theta: Tensor) -> Tensor:
    """Grid sampling with one matrix for each sample."""
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)
