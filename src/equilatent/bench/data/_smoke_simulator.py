"""Smoke that rises in a closed box, a batch of simulations at once, in PyTorch."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from equilatent.errors import DataError, NonFiniteError

__all__ = ["SmokeSimulator", "quarter_turns"]


class SmokeSimulator:
    """Simulations of smoke in a closed square box of `size` × `size` cells, as the data set has it.

    The smoke lives in the middle of the cells, the velocity on their faces (a staggered grid), in cells a frame. A step
    is one frame long: the smoke is advected by MacCormack's scheme, with its values limited to those around, and flows in
    within a disc near one side; the velocity advects itself by the semi-Lagrangian scheme and is driven by the smoke; then
    the pressure makes it free of divergence. These are the schemes of PhiFlow, but the pressure is solved exactly,
    by the discrete cosine transform as two products with a matrix.

    Arrays have rows along y and columns along x. The walls have no velocity across them.

    - A quarter turn of the start, the forces and the inflow (side 0 → 3 → 2 → 1) is a quarter turn of all frames.
    - The velocity is free of divergence after every step.

    Args:
        forces: acceleration (x, y) of a cell that holds smoke 1, [B, 2].
        sides: near which side smoke flows in, LongTensor [B]: 0 is at the first row, 1 at the last column, 2 at the last
            row, 3 at the first column.
        size: cells along each axis, N.
        start: the first velocity in the layout of `velocity`; at rest by default. It is made free of divergence.
        dtype: of all that is computed.
        device: where it is computed.

    Raises:
        DataError: for shapes that do not belong together, or another side.

    >>> simulator = SmokeSimulator(torch.tensor([[0.0, 0.01]]), torch.tensor([0]), size=16)
    >>> simulator.step()
    >>> list(simulator.velocity.shape), list(simulator.smoke.shape)
    ([1, 2, 16, 16], [1, 16, 16])
    """

    def __init__(
        self,
        forces: Tensor,
        sides: Tensor,
        *,
        size: int = 64,
        start: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        runs = len(sides)
        if sides.dtype != torch.int64 or sides.ndim != 1 or not runs or not bool(((sides >= 0) & (sides < 4)).all()):
            raise DataError(
                f"sides is a LongTensor [B] with entries 0 to 3; got {sides.dtype} {list(sides.shape)}"
                + (f" with {sides.unique().tolist()}." if sides.ndim == 1 and runs else ".")
            )
        if forces.shape != (runs, 2) or not bool(torch.isfinite(forces).all()):
            raise DataError(f"forces are finite numbers [{runs}, 2], one pair for each side; got {list(forces.shape)}.")
        if size < 4:
            raise DataError(f"size is the number of cells along an axis, at least 4; got {size}.")
        if start is not None and start.shape != (runs, 2, size, size):
            raise DataError(f"start is a velocity [{runs}, 2, {size}, {size}]; got {list(start.shape)}.")
        place: dict[str, Any] = {"dtype": dtype, "device": torch.device(device)}
        self.size = size
        self._force_x, self._force_y = (part[:, None, None] for part in forces.to(**place).unbind(1))
        self._inflow = _inflow(sides, size).to(**place)
        self._row = torch.arange(size, **place)[:, None]
        self._column = torch.arange(size, **place)
        # Tables in float64, whatever is computed with them.
        self._cosines = _cosines(size).to(**place)
        self._inverse_laplacian = _inverse_laplacian(size).to(**place)
        #: Smoke in each cell, [B, N, N].
        self.smoke = torch.zeros(runs, size, size, **place)
        # Only the faces inside: those in the walls are always zero. u: [B, N, N−1], v: [B, N−1, N].
        velocity = torch.zeros(runs, 2, size, size, **place) if start is None else start.to(**place)
        self._u, self._v = self._without_divergence(velocity[:, 0, :, 1:], velocity[:, 1, 1:])

    @property
    def velocity(self) -> Tensor:
        """The velocity on the faces, [B, 2, N, N]: (u_x, u_y) on the face before each cell along x, and along y.

        The first column of u_x and the first row of u_y are those in the walls, zero; those in the walls opposite are
        left out.
        """
        return torch.stack([F.pad(self._u, (1, 0)), F.pad(self._v, (0, 0, 1, 0))], dim=1)

    def step(self) -> None:
        """Go on by one frame.

        Raises:
            NonFiniteError: if the velocity has grown beyond the largest number.
        """
        u, v = F.pad(self._u, (1, 1)), F.pad(self._v, (0, 0, 1, 1))
        self.smoke = self._advected_smoke(u, v) + self._inflow
        # The velocity across, at the faces: the mean of the four faces around.
        v_at_u = (v[:, 1:, 1:] + v[:, :-1, 1:] + v[:, 1:, :-1] + v[:, :-1, :-1]) / 4
        u_at_v = (u[:, 1:, 1:] + u[:, :-1, 1:] + u[:, 1:, :-1] + u[:, :-1, :-1]) / 4
        row, column, smoke = self._row, self._column, self.smoke
        new_u = _interpolate(_around(self._u, row - v_at_u, column[:-1] - self._u, outside="zero"))
        new_v = _interpolate(_around(self._v, row[:-1] - self._v, column - u_at_v, outside="zero"))
        new_u = new_u + self._force_x * (smoke[:, :, 1:] + smoke[:, :, :-1]) / 2
        new_v = new_v + self._force_y * (smoke[:, 1:] + smoke[:, :-1]) / 2
        self._u, self._v = self._without_divergence(new_u, new_v)
        # The places that the next step looks at are indices, which a NaN cannot be.
        if not bool(torch.isfinite(self._u).all() & torch.isfinite(self._v).all()):
            raise NonFiniteError("the velocity of the smoke has grown beyond the largest number: give smaller forces.")

    def _advected_smoke(self, u: Tensor, v: Tensor) -> Tensor:
        row, column = self._row, self._column
        u, v = (u[:, :, 1:] + u[:, :, :-1]) / 2, (v[:, 1:] + v[:, :-1]) / 2
        around = _around(self.smoke, row - v, column - u, outside="nearest")
        forwards = _interpolate(around)
        back = _interpolate(_around(forwards, row + v, column + u, outside="nearest"))
        # What there and back leaves is twice the error of first order.
        corrected = forwards + (self.smoke - back) / 2
        low, high = torch.stack(around[0]).aminmax(dim=0)
        return torch.minimum(torch.maximum(corrected, low), high)

    def _without_divergence(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        divergence = F.pad(u, (1, 1)).diff(dim=2) + F.pad(v, (0, 0, 1, 1)).diff(dim=1)
        cosines = self._cosines
        pressure = cosines.T @ ((cosines @ divergence @ cosines.T) * self._inverse_laplacian) @ cosines
        return u - pressure.diff(dim=2), v - pressure.diff(dim=1)


def quarter_turns(velocity: Tensor, turns: Tensor) -> Tensor:
    """Velocities in the layout of `SmokeSimulator.velocity`, turned counter-clockwise as displayed, about the box's middle.

    Args:
        velocity: zero in the walls, [B, 2, N, N].
        turns: how many quarter turns for each, [B].

    >>> down = torch.zeros(1, 2, 3, 3); down[0, 1, 2, 0] = 1.0  # at the left, from the second row to the third
    >>> quarter_turns(down, torch.tensor([1]))[0, 0]  # below, from the second column to the third
    tensor([[0., 0., 0.],
            [0., 0., 0.],
            [0., 0., 1.]])
    """
    faces = F.pad(velocity[:, 0, :, 1:], (1, 1)), F.pad(velocity[:, 1, 1:], (0, 0, 1, 1))
    turned = [velocity]
    for _ in range(3):
        faces = faces[1].rot90(1, (1, 2)), -faces[0].rot90(1, (1, 2))
        turned.append(torch.stack([faces[0][:, :, :-1], faces[1][:, :-1]], dim=1))
    return torch.stack(turned)[turns % 4, torch.arange(len(velocity))]


def _inflow(sides: Tensor, size: int) -> Tensor:
    """1 in the cells whose middle is within the disc where smoke flows in, [B, N, N]."""
    near, middle, far = 5 * size / 64, size / 2, size - 5 * size / 64
    centres = torch.tensor([(middle, near), (far, middle), (middle, far), (near, middle)], dtype=torch.float64)
    x, y = centres[sides.cpu(), :, None, None].unbind(1)
    along = torch.arange(size, dtype=torch.float64) + 0.5
    return ((along[:, None] - y) ** 2 + (along - x) ** 2 <= near**2).double()


def _cosines(size: int) -> Tensor:
    """The orthogonal matrix of the discrete cosine transform, DCT-II: eigenvectors of the Laplacian with walls around."""
    order = torch.arange(size, dtype=torch.float64)[:, None]
    place = torch.arange(size, dtype=torch.float64) + 0.5
    matrix = torch.cos(math.pi * order * place / size) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix


def _inverse_laplacian(size: int) -> Tensor:
    """One over the eigenvalues of the Laplacian; 0 for the constant, which the pressure is given up to."""
    along = 2 * torch.cos(math.pi * torch.arange(size, dtype=torch.float64) / size) - 2
    values = along[:, None] + along
    values[0, 0] = torch.inf
    return 1 / values


def _around(field: Tensor, row: Tensor, column: Tensor, *, outside: str) -> tuple[list[Tensor], Tensor, Tensor]:
    """What bilinear interpolation at the given places takes.

    Args:
        field: [B, H, W].
        row: places in array indices, [B, H, W].
        column: the same.
        outside: ``"zero"``, or ``"nearest"`` for the value at the border.

    Returns:
        The values at the four grid points around each place (upper left, upper right, lower left, lower right), each
        [B, H, W], and how far the place is down and right of the first, 0 to 1.
    """
    height, width = field.shape[1:]
    upper, left = row.floor(), column.floor()
    padded = F.pad(field[:, None], (1, 1, 1, 1), mode="constant" if outside == "zero" else "replicate").flatten(1)
    # A border of one point stands for all that is outside.
    rows = [(upper + one).clamp(0, height + 1).long() * (width + 2) for one in (1, 2)]
    columns = [(left + one).clamp(0, width + 1).long() for one in (1, 2)]
    values = [padded.gather(1, (r + c).flatten(1)).view_as(field) for r in rows for c in columns]
    return values, row - upper, column - left


def _interpolate(around: tuple[list[Tensor], Tensor, Tensor]) -> Tensor:
    (upper_left, upper_right, lower_left, lower_right), down, right = around
    upper = upper_left * (1 - right) + upper_right * right
    lower = lower_left * (1 - right) + lower_right * right
    return upper * (1 - down) + lower * down
