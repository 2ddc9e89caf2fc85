"""Named actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy.typing as npt
from torch import Tensor

from equilatent.actions._action import (
    Action,
    ChannelsAction,
    ComposedAction,
    FunctionAction,
    LabelsAction,
    SupportsAction,
    TrivialAction,
)
from equilatent.actions._grid import GridAction
from equilatent.actions._parts import PartsAction
from equilatent.errors import ActionError
from equilatent.groups import Group
from equilatent.reps import Representation
from equilatent.reps._constructors import Points

__all__ = [
    "channels",
    "compose",
    "function",
    "image",
    "labels",
    "parts",
    "sequence",
    "trivial",
    "vector_field",
    "volume",
]


def _grid(group: Group, matrices: Mapping[str, npt.ArrayLike] | None, axes: Sequence[int], what: str) -> GridAction:
    if matrices is None:
        if group.defining is None:
            raise ActionError(
                f"{group.label} is not known as a group of motions of {what}. Say how its generators "
                f"({', '.join(group.generators)}) map the axes, with matrices={{name: signed permutation matrix}}."
            )
        matrices = group.defining
        sizes = {len(matrix) for matrix in matrices.values()}
        if sizes and sizes != {len(axes)}:
            raise ActionError(
                f"{group.label} is known by {sizes.pop()}-dimensional motions, but {what} has {len(axes)} axes. Pass "
                "matrices={name: signed permutation matrix} for its generators, or axes= naming the ones it moves."
            )
    return GridAction(group, matrices, axes=axes)


def image(
    group: Group, *, matrices: Mapping[str, npt.ArrayLike] | None = None, axes: Sequence[int] = (-2, -1)
) -> GridAction:
    """Quarter turns and mirrors of images [B, …, H, W]: any subgroup of D4.

    r of `cyclic` and `dihedral` turns counter-clockwise as displayed (torch.rot90 over the last two axes), s mirrors
    left and right.

    Args:
        group: cyclic(1, 2, 4), dihedral(1, 2, 4), klein_four(), or any group if `matrices` are given.
        matrices: a signed permutation matrix [2, 2] of (row, column) for each generator.
        axes: the row axis and the column axis.

    Raises:
        ActionError: if a generator does not map the pixel grid to itself , or a
            relator does not hold. When called: if an element swaps axes of different length.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> act = eq.actions.image(G)
    >>> x = torch.randn(2, 3, 5, 5)
    >>> y = act(x, torch.tensor([G["r"], G["s"]]))
    >>> torch.equal(y[0], x[0].rot90(1, (-2, -1))), torch.equal(y[1], x[1].flip(-1))
    (True, True)
    """
    return _grid(group, matrices, axes, "an image")


def volume(
    group: Group, *, matrices: Mapping[str, npt.ArrayLike] | None = None, axes: Sequence[int] = (-3, -2, -1)
) -> GridAction:
    """Quarter turns and mirrors of volumes [B, …, D, H, W]: any subgroup of the 48 symmetries of the cube.

    Args:
        group: octahedral(), or any group if `matrices` are given.
        matrices: a signed permutation matrix [3, 3] of the axes for each generator.
        axes: the three axes. To turn every slice of a volume in its plane use `image`.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.octahedral()
    >>> x = torch.randn(1, 1, 4, 4, 4)
    >>> torch.equal(eq.actions.volume(G)(x, torch.tensor([G["r"]])), x.rot90(1, (-2, -1)))
    True
    """
    return _grid(group, matrices, axes, "a volume")


def sequence(
    group: Group,
    *,
    matrices: Mapping[str, npt.ArrayLike] | None = None,
    shifts: Mapping[str, Fraction | int] | None = None,
    axis: int = -1,
) -> GridAction:
    """Cyclic shifts and reversal of sequences [B, …, L].

    r of cyclic(n) and dihedral(n) shifts a periodic sequence by L/n steps towards larger indices (so n divides L);
    s of dihedral(n) reverses it. dihedral(1) is reversal alone.

    Args:
        group: cyclic(n), dihedral(n), or any group if `matrices` are given.
        matrices: ``[[1]]`` or ``[[-1]]`` for each generator: whether it reverses.
        shifts: for each generator, the shift as a fraction of the length.
        axis: the axis of the sequence.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(4)
    >>> eq.actions.sequence(G)(torch.arange(8.)[None], torch.tensor([G["r"]]))
    tensor([[6., 7., 0., 1., 2., 3., 4., 5.]])
    """
    if matrices is None:
        if not set(group.generators) <= {"r", "s"} or group.defining is None:
            raise ActionError(
                f"{group.label} is not known as a group of motions of a sequence. Pass matrices={{name: [[±1]]}} and "
                f"shifts={{name: fraction}} for its generators ({', '.join(group.generators)})."
            )
        matrices = {x: [[-1 if x == "s" else 1]] for x in group.generators}
        if shifts is None and "r" in group.generators:
            shifts = {"r": Fraction(1, group.element_order(group["r"]))}
    steps = {x: [Fraction(t)] for x, t in (shifts or {}).items()}
    return GridAction(group, matrices, shifts=steps, axes=(axis,))


def vector_field(
    group: Group,
    *,
    components: Sequence[int | None] | None = None,
    matrices: Mapping[str, npt.ArrayLike] | None = None,
    dims: int = 2,
    axis: int = 1,
) -> Action:
    """Vector fields on images or volumes: the grid turns, and the components turn with it.

    Args:
        group: as for `image` and `volume`.
        components: for each channel of one vector, which grid axis it points along (0 is the first of the spatial
            axes), or None for a scalar; ``(0, 1)`` by default: rows, then columns. Several vectors, such as the frames
            of a film, may follow each other in the channels.
        matrices: as for `image` and `volume`.
        dims: 2 for images [B, C, H, W], 3 for volumes [B, C, D, H, W].
        axis: the channel axis.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(4)
    >>> act = eq.actions.vector_field(G)
    >>> downwards = torch.zeros(1, 2, 3, 3); downwards[:, 0] = 1.0   # along the rows' axis
    >>> act(downwards, torch.tensor([G["r"]]))[0, 1, 0, 0]           # a quarter turn: to the right
    tensor(1.)
    """
    if dims not in (2, 3):
        raise ActionError(f"vector fields live on images (dims=2) or volumes (dims=3); got dims={dims!r}.")
    grid = image(group, matrices=matrices) if dims == 2 else volume(group, matrices=matrices)
    along = tuple(range(dims)) if components is None else tuple(components)
    return ComposedAction([grid, ChannelsAction(grid.components(along), axis)])


def channels(rho: Representation, *, axis: int = 1) -> ChannelsAction:
    """A representation along one axis, repeated as often as it fits there.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(2)
    >>> swap = eq.actions.channels(eq.reps.regular(G))
    >>> swap(torch.arange(4.)[None], torch.tensor([G["r"]]))
    tensor([[1., 0., 3., 2.]])
    """
    return ChannelsAction(rho, axis)


def parts(
    group: Group,
    actions: Sequence[SupportsAction],
    *,
    windows: Sequence[Sequence[slice]] | None = None,
    axis: int = -1,
) -> PartsAction:
    """A direct product that moves parts of the input independently, each factor its own part.

    Args:
        group: a direct product with one factor for each action.
        actions: the action of each factor on its part.
        windows: for each part, a slice for each of the last axes; what lies in no window stays where it is. By default
            the axis `axis` is cut into equal parts.
        axis: the axis to cut.

    >>> import torch, equilatent as eq
    >>> D4 = eq.groups.dihedral(4)
    >>> G = eq.groups.direct_product(D4, D4)
    >>> two_digits = eq.actions.parts(G, [eq.actions.image(D4)] * 2)
    >>> x = torch.randn(1, 1, 28, 56)
    >>> y = two_digits(x, torch.tensor([G["r_1"]]))
    >>> torch.equal(y[..., :28], x[..., :28].rot90(1, (-2, -1))), torch.equal(y[..., 28:], x[..., 28:])
    (True, True)
    """
    return PartsAction(group, actions, windows=windows, axis=axis)


def trivial(group: Group) -> TrivialAction:
    """Nothing moves; on the outputs, this asks for an invariant task.

    >>> import torch, equilatent as eq
    >>> eq.actions.trivial(eq.groups.cyclic(4))(torch.tensor([7]), torch.tensor([3]))
    tensor([7])
    """
    return TrivialAction(group)


def labels(group: Group, points: Points | None = None) -> LabelsAction:
    """Permutes classes: integer targets [B, …] are replaced, class scores [B, classes, …] move along axis 1.

    Args:
        group: the group.
        points: the images of the classes under each generator (or under each element, LongTensor [order, classes]); by
            default the points by which the group is naturally known.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(3)
    >>> act = eq.actions.labels(G, {"r": [1, 2, 0]})
    >>> act(torch.tensor([0, 2]), torch.tensor([G["r"], G["r"]]))
    tensor([1, 0])
    """
    return LabelsAction(group, points)


def compose(*actions: SupportsAction) -> ComposedAction:
    """Several actions of one group together, such as a grid's and its channels'. They must commute.

    >>> import equilatent as eq
    >>> G = eq.groups.cyclic(4)
    >>> both = eq.actions.compose(eq.actions.image(G), eq.actions.channels(eq.reps.regular(G)))
    """
    return ComposedAction(actions)


def function(group: Group, moves: Callable[[Tensor, Tensor], Tensor]) -> FunctionAction:
    """One's own function ``moves(x, g)`` as an action, for x [B, …] and g LongTensor [B].

    Check that it is an action, on random input, with `equilatent.testing.assert_action`.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(2)
    >>> negate = eq.actions.function(G, lambda x, g: torch.where(g[:, None] == 1, -x, x))
    >>> negate(torch.ones(2, 1), torch.tensor([0, 1])).flatten().tolist()
    [1.0, -1.0]
    """
    return FunctionAction(group, moves)
