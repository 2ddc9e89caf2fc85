"""What an action is, and the actions that are not about grids."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from equilatent.errors import ActionError
from equilatent.groups import Group
from equilatent.reps import PermutationRepresentation, Representation
from equilatent.reps._constructors import Points, point_images
from equilatent.reps._layout import along_axes

__all__ = [
    "Action",
    "ChannelsAction",
    "ComposedAction",
    "FunctionAction",
    "LabelsAction",
    "SupportsAction",
    "TrivialAction",
]


@runtime_checkable
class SupportsAction(Protocol):
    """Anything that moves tensors by a group: every `Action`, and every `Representation` (along axis 1)."""

    group: Group

    def __call__(self, x: Tensor, g: Tensor) -> Tensor:
        """Move x by g, each sample by its own element."""
        ...


class Action(nn.Module, ABC):
    """A left action of a finite group on batches of tensors: act(act(x, h), g) = act(x, gh), act(x, e) = x.

    Actions have no parameters. `equilatent.testing.assert_action` checks these laws on random input.

    Attributes:
        group: the group that acts.
    """

    def __init__(self, group: Group) -> None:
        super().__init__()
        if not isinstance(group, Group):
            raise ActionError(f"an action needs a group, such as eq.groups.dihedral(4); got {group!r}.")
        self.group = group

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    def describe(self) -> str:
        """The action in words, for messages and reports."""
        return f"of {self.group.label}"

    def forward(self, x: Tensor, g: Tensor) -> Tensor:
        """Move x by g, each sample by its own element.

        Args:
            x: [B, …].
            g: elements, LongTensor [B].

        Returns:
            A tensor like x, also in its memory format (such as channels last). Differentiable with respect to x.

        Raises:
            ActionError: if x cannot be acted on, or g is not one element a sample.
            GroupError: if g holds something that is no element of the group.
        """
        if not isinstance(x, Tensor) or x.ndim < 1:
            raise ActionError(
                f"an action moves a batch of tensors [B, …]; got {type(x).__name__}. Several tensors, in a dict, tuple or "
                "list, are moved by eq.actions.structured."
            )
        g = self.group.check(g, x.device)
        if g.ndim != 1 or len(g) != len(x):
            raise ActionError(f"g holds one element for each sample: expected shape [{len(x)}], got {list(g.shape)}.")
        return self.move(x, g)

    @abstractmethod
    def move(self, x: Tensor, g: Tensor) -> Tensor:
        """The action itself; g is known to be one element a sample."""


class TrivialAction(Action):
    """Nothing moves: the action on the outputs of an invariant task."""

    def describe(self) -> str:
        """The action in words."""
        return f"trivial action of {self.group.label}"

    def move(self, x: Tensor, g: Tensor) -> Tensor:
        """Return x itself."""
        return x


class LabelsAction(Action):
    """Permutes classes: integer targets are replaced, and class scores move along axis 1."""

    def __init__(self, group: Group, points: Points | None) -> None:
        super().__init__(group)
        self.rho = PermutationRepresentation(group, point_images(group, points), label="classes")

    def describe(self) -> str:
        """The action in words."""
        return f"permutation of {self.rho.dim} classes by {self.group.label}"

    def move(self, x: Tensor, g: Tensor) -> Tensor:
        """Class c becomes g·c; the score at g·c is the score that was at c."""
        classes = self.rho.dim
        if x.is_floating_point():
            if x.ndim < 2 or x.shape[1] != classes:
                raise ActionError(
                    f"scores of {classes} classes are expected along axis 1, [B, {classes}, …]; got {list(x.shape)}."
                )
            return along_axes(x, (1,), lambda blocks: self.rho.apply_blocks(blocks, g))
        if x.is_complex() or x.dtype == torch.bool:
            raise ActionError(f"classes are integers and scores are floating numbers; got {x.dtype}.")
        if not torch.compiler.is_compiling() and x.device.type == "cpu" and x.numel():
            low, high = x.aminmax()
            if low < 0 or high >= classes:
                raise ActionError(f"classes are 0 … {classes - 1}; got values from {int(low)} to {int(high)}.")
        flat = x.reshape(len(x), math.prod(x.shape[1:])).long()
        return torch.gather(self.rho.move(g), 1, flat).reshape(x.shape).to(x.dtype)


class ChannelsAction(Action):
    """A representation along one axis, repeated as often as it fits there."""

    def __init__(self, rho: Representation, axis: int = 1) -> None:
        super().__init__(rho.group)
        self.rho = rho
        self.axis = axis

    def describe(self) -> str:
        """The action in words."""
        return f"{self.rho.label} of {self.group.label} along axis {self.axis}"

    def move(self, x: Tensor, g: Tensor) -> Tensor:
        """ρ(g) on each run of ρ.dim channels."""
        axis = self.axis if self.axis >= 0 else x.ndim + self.axis
        if not 0 < axis < x.ndim or x.shape[axis] % self.rho.dim:
            raise ActionError(
                f"axis {self.axis} of a tensor of shape {list(x.shape)} should hold a multiple of {self.rho.dim} "
                f"channels, on which {self.rho.label} of {self.group.label} acts."
            )

        def apply(blocks: Tensor) -> Tensor:
            size, copies, channels, inner = blocks.shape
            runs = blocks.reshape(size, copies * channels // self.rho.dim, self.rho.dim, inner)
            return self.rho.apply_blocks(runs, g).reshape(blocks.shape)

        return along_axes(x, (axis,), apply)


class ComposedAction(Action):
    """Several commuting actions of one group, one after the other (a grid's and its channels', say)."""

    def __init__(self, actions: Sequence[SupportsAction]) -> None:
        if not actions:
            raise ActionError("compose needs at least one action.")
        super().__init__(actions[0].group)
        for action in actions:
            if action.group != self.group:
                raise ActionError(
                    f"compose joins actions of one group; got {self.group.label} and {action.group.label}. "
                    "For different groups on different parts use parts."
                )
        self.actions = nn.ModuleList(actions)  # type: ignore[arg-type]

    def describe(self) -> str:
        """The action in words."""
        return " and ".join(describe_action(action) for action in self.actions)  # type: ignore[arg-type]

    def move(self, x: Tensor, g: Tensor) -> Tensor:
        """All actions, the last one first."""
        for action in reversed(list(self.actions)):
            x = action(x, g)
        return x


class FunctionAction(Action):
    """One's own function as an action."""

    def __init__(self, group: Group, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(group)
        self.function = function

    def describe(self) -> str:
        """The action in words."""
        return f"{getattr(self.function, '__name__', 'a function')} of {self.group.label}"

    def move(self, x: Tensor, g: Tensor) -> Tensor:
        """What the function returns, which must be a tensor of the same shape."""
        moved = self.function(x, g)
        if not isinstance(moved, Tensor) or moved.shape != x.shape:
            got = list(moved.shape) if isinstance(moved, Tensor) else type(moved).__name__
            raise ActionError(f"{self.describe()} returned {got} for an input of shape {list(x.shape)}.")
        return moved


def describe_action(action: SupportsAction) -> str:
    """An action or representation in words."""
    if isinstance(action, Representation):
        return f"{action.label} of {action.group.label}"
    describe = getattr(action, "describe", None)
    return describe() if callable(describe) else repr(action)
