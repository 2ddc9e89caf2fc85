"""Permutations of the items of a set, or of the nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from equilatent.actions._action import Action
from equilatent.errors import ActionError
from equilatent.groups import Group
from equilatent.reps import PermutationRepresentation
from equilatent.reps._constructors import Points, point_images

__all__ = ["NodesAction"]


class NodesAction(Action):
    """Permutes N nodes along one axis or several: the entry at i moves to g·i on each of them.

    Args:
        group: the group G.
        points: the images of the nodes, as `reps.permutation` takes them.
        axes: the axis that holds the nodes, or several.
    """

    def __init__(self, group: Group, points: Points | None, axes: int | Sequence[int]) -> None:
        super().__init__(group)
        self.rho = PermutationRepresentation(group, point_images(group, points), label="nodes")
        self.axes = (axes,) if isinstance(axes, int) else tuple(axes)
        if not self.axes or 0 in self.axes or len(set(self.axes)) < len(self.axes):
            raise ActionError(
                f"axes name the axes of the nodes, each once, none of them the batch axis 0; got {axes!r}."
            )

    def describe(self) -> str:
        """The action in words."""
        where = f"axis {self.axes[0]}" if len(self.axes) == 1 else f"axes {', '.join(map(str, self.axes))}"
        return f"permutation of {self.rho.dim} nodes by {self.group.label} along {where}"

    def move(self, x: Tensor, g: Tensor) -> Tensor:
        """The nodes of every axis, permuted alike."""
        axes = [axis if axis > 0 else x.ndim + axis for axis in self.axes]
        if any(not 0 < axis < x.ndim for axis in axes) or len(set(axes)) < len(axes):
            raise ActionError(
                f"{self.describe()}: a tensor of shape {list(x.shape)} has no such axes behind the batch."
            )
        for axis in axes:
            if x.shape[axis] != self.rho.dim:
                raise ActionError(
                    f"{self.describe()}: axis {axis} of a tensor of shape {list(x.shape)} holds {x.shape[axis]} entries. "
                    f"Say with axes= where the nodes are, or with points= how the generators permute {x.shape[axis]} nodes."
                )
        for axis in axes:
            x = self.rho(x, g, dim=axis)
        return x
