"""A direct product that moves parts of the input independently."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from equilatent.actions._action import Action, SupportsAction
from equilatent.actions._gather import PointGather
from equilatent.actions._grid import GridAction
from equilatent.errors import ActionError
from equilatent.groups import Group
from equilatent.reps._layout import along_axes

__all__ = ["PartsAction"]

_Slice: TypeAlias = "slice[int | None, int | None, int | None]"


class PartsAction(Action):
    """A direct product moving parts of the input, each factor its own part.

    Where every part is a grid, all parts are moved by one gather.

    Args:
        group: a direct product.
        actions: one action for each factor.
        windows: for each part a slice for each of the last axes; None for equal parts along `axis`.
        axis: the axis that is cut into equal parts if there are no windows.
    """

    def __init__(
        self,
        group: Group,
        actions: Sequence[SupportsAction],
        *,
        windows: Sequence[Sequence[_Slice]] | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(group)
        if not actions or len(group.factors) != len(actions):
            raise ActionError(
                f"parts needs a direct product with a factor for each of its {len(actions)} actions; {group.label} has "
                f"{len(group.factors)} factors. Make one with eq.groups.direct_product(…)."
            )
        for number, (factor, action) in enumerate(zip(group.factors, actions, strict=True)):
            if action.group != factor:
                raise ActionError(
                    f"part {number} is moved by {action.group.label}, but factor {number} of {group.label} is "
                    f"{factor.label}."
                )
        self.actions = nn.ModuleList(actions)  # type: ignore[arg-type]
        self.windows = None if windows is None else tuple(tuple(window) for window in windows)
        if self.windows is not None:
            _check_windows(self.windows, len(actions))
        self.axis = axis
        self._gather = PointGather(group.order)

    def describe(self) -> str:
        """The action in words."""
        return f"{self.group.label} on {len(self.actions)} parts"

    def move(self, x: Tensor, g: Tensor) -> Tensor:
        """Each part moved by its component of g; what lies in no window stays."""
        windows = self._windows(tuple(x.shape))
        grids = [act for act in self.actions if isinstance(act, GridAction)]
        ndim = max(len(windows[0]), *(act.ndim for act in grids)) if grids else 0
        # An axis counted from the front cuts grids of one size differently in tensors with more or fewer axes.
        fixed = self.windows is not None or self.axis < 0
        if not fixed or len(grids) < len(self.actions) or x.ndim <= ndim or any(not act.is_trailing for act in grids):
            return self._move_one_by_one(x, g, windows)
        shape = tuple(x.shape[-ndim:])
        axes = range(x.ndim - ndim, x.ndim)
        return along_axes(x, axes, lambda points: self._gather(points, g, shape, self.source_index))

    def source_index(self, g: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The flat index that each point of the moved grid is read from: LongTensor [len(g), prod(shape)]."""
        points = torch.arange(math.prod(shape), device=g.device).view(shape)
        index = points.expand(len(g), *shape).clone()
        components = self.group.split(g)
        for act, window, component in zip(self.actions, self._windows((0, *shape)), components, strict=True):
            assert isinstance(act, GridAction)
            part = points[_at(window)]
            grid = tuple(part.shape[-act.ndim :])
            act.check_shape(grid)
            moved = act.source_index(component, grid)
            rows = part.reshape(-1, math.prod(grid))
            index[_at(window)] = rows[:, moved].transpose(0, 1).reshape(len(g), *part.shape)
        return index.view(len(g), -1)

    def _move_one_by_one(self, x: Tensor, g: Tensor, windows: Sequence[Sequence[_Slice]]) -> Tensor:
        result = x.clone()
        for act, window, component in zip(self.actions, windows, self.group.split(g), strict=True):
            result[_at(window)] = act(x[_at(window)], component)
        return result

    def _windows(self, shape: tuple[int, ...]) -> Sequence[Sequence[_Slice]]:
        """The window of each part in a tensor of this shape (its batch axis first)."""
        if self.windows is not None:
            sizes = shape[-len(self.windows[0]) :]
            if len(self.windows[0]) >= len(shape) or any(
                part.stop is not None and part.stop > size
                for window in self.windows
                for part, size in zip(window, sizes, strict=True)
            ):
                raise ActionError(f"the windows {self.windows} reach beyond a tensor of shape {list(shape)}.")
            return self.windows
        count = len(self.actions)
        axis = self.axis if self.axis < 0 else self.axis - len(shape)
        if not 0 < len(shape) + axis < len(shape) or shape[axis] % count:
            raise ActionError(
                f"axis {self.axis} of a tensor of shape {list(shape)} cannot be cut into {count} equal parts. Pass windows."
            )
        size = shape[axis] // count
        rest = [slice(None)] * (-axis - 1)
        return [[slice(number * size, (number + 1) * size), *rest] for number in range(count)]


def _check_windows(windows: Sequence[Sequence[_Slice]], count: int) -> None:
    if len(windows) != count:
        raise ActionError(f"{count} actions need {count} windows; got {len(windows)}.")
    for number, first in enumerate(windows):
        if not first:
            raise ActionError("a window has a slice for at least one of the last axes; got an empty one.")
        if any(part.step not in (None, 1) or (part.start or 0) < 0 or (part.stop or 0) < 0 for part in first):
            raise ActionError(f"windows are plain slices with bounds ≥ 0; got {tuple(first)}.")
        for second in windows[:number]:
            if len(first) != len(second):
                raise ActionError("every window needs a slice for each of the same axes.")
            if all(_ranges_meet(a, b) for a, b in zip(first, second, strict=True)):
                raise ActionError(
                    f"the windows {tuple(second)} and {tuple(first)} overlap; parts are moved independently."
                )


def _at(window: Sequence[_Slice]) -> Any:
    """The window as an index of the last axes."""
    return (..., *window)


def _ranges_meet(a: _Slice, b: _Slice) -> bool:
    ends = [math.inf if part.stop is None else part.stop for part in (a, b)]
    return max(a.start or 0, b.start or 0) < min(ends)
