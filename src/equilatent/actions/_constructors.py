"""Named actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

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
from equilatent.actions._nodes import NodesAction
from equilatent.actions._parts import PartsAction
from equilatent.actions._rotation import RotationAction
from equilatent.actions._structured import StructuredAction
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
    "nodes",
    "parts",
    "periodic",
    "rotation",
    "sequence",
    "sets",
    "structured",
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


def rotation(
    group: Group,
    *,
    matrices: Mapping[str, npt.ArrayLike] | None = None,
    mode: Literal["bilinear", "bicubic"] = "bilinear",
    padding: Literal["zeros", "border", "reflection"] = "zeros",
) -> RotationAction:
    """Turns of images [B, …, H, W] by any angle, by interpolation: C_n and D_n for every n.

    r turns by 360°/n counter-clockwise as displayed, s mirrors left and right; the images need not be square. It is an
    action only approximately: see `RotationAction`, its `RotationAction.mask` and its `RotationAction.error`. Where
    quarter turns and mirrors are enough, use `image`, which is exact.

    Images are floating; values are interpolated in float64 for float64 images and in float32 for all others.

    Args:
        group: cyclic(n), dihedral(n), or any group if `matrices` are given.
        matrices: an orthogonal matrix [2, 2] of (row, column) for each generator.
        mode: ``"bilinear"`` between four pixels, or ``"bicubic"`` between sixteen, which blurs less and overshoots at
            edges (PyTorch's kernel, with slope parameter −0.75).
        padding: what lies outside the image: zeros, its border pixels, or its reflection.

    Raises:
        ActionError: if the group has no motions of the plane, or they stretch it. When called: for integer images.
        RepresentationError: if the matrices break a relator.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(8)
    >>> act = eq.actions.rotation(G)
    >>> x = torch.randn(2, 3, 9, 9)
    >>> y = act(x, torch.tensor([G["r2"], G["r"]]))  # a quarter turn and an eighth
    >>> torch.allclose(y[0], x[0].rot90(1, (-2, -1)), atol=1e-5)
    True
    """
    return RotationAction(group, matrices, mode=mode, padding=padding)


def periodic(grid: GridAction, steps: int) -> GridAction:
    """The motions of a periodic grid: those of `grid` together with translations by 1/steps of every axis.

    The group is the semidirect product of the translations, C_m × C_m for m steps on an image, and the group P of
    `grid`; it is the ``group`` of what is returned. Its generators are r_1_1, a step along the first axis of the grid
    towards larger indices, r_2_1, a step along the second, … (for a sequence r_1 alone), and those of P with the suffix
    _2. With D4 on an image it is the wallpaper group p4m, up to m steps.

    Args:
        grid: the motions that fix the centre, such as ``image(dihedral(4))``.
        steps: m ≥ 2, which has to divide the length of every axis.

    Raises:
        ActionError: if `grid` is no grid action or shifts already, or for fewer than two steps. When called: if m does
            not divide an axis.

    >>> import torch, equilatent as eq
    >>> act = eq.actions.periodic(eq.actions.image(eq.groups.cyclic(4)), 2)
    >>> G = act.group
    >>> G.order, tuple(G.generators)
    (16, ('r_1_1', 'r_2_1', 'r_2'))
    >>> x = torch.randn(1, 1, 6, 6)
    >>> moved = act(x, torch.tensor([G["r_1_1 r_2"]]))  # first the turn, then three rows down
    >>> torch.equal(moved, x.rot90(1, (-2, -1)).roll(3, -2))
    True
    """
    if not isinstance(grid, GridAction):
        raise ActionError(f"periodic adds translations to a grid action, such as image(G); got {grid!r}.")
    return grid.with_translations(steps)


def vector_field(
    group: Group,
    *,
    components: Sequence[int | None] | None = None,
    matrices: Mapping[str, npt.ArrayLike] | None = None,
    dims: int = 2,
    axis: int = 1,
    pseudo: bool = False,
) -> Action:
    """Vector fields on images or volumes: the grid turns, and the components turn with it.

    With ``pseudo=True`` every component changes its sign under mirrors once more, as those of a magnetic field do. A
    pseudo-scalar field, such as the vorticity of a flow in the plane, is ``components=(None,), pseudo=True``.

    Args:
        group: as for `image` and `volume`.
        components: for each channel of one vector, which grid axis it points along (0 is the first of the spatial
            axes), or None for a scalar; ``(0, 1)`` by default: rows, then columns. Several vectors, such as the frames
            of a film, may follow each other in the channels.
        matrices: as for `image` and `volume`.
        dims: 2 for images [B, C, H, W], 3 for volumes [B, C, D, H, W].
        axis: the channel axis.
        pseudo: whether the components are multiplied by the determinant of the motion. For fields of both kinds side
            by side, join their `GridAction.components` with `reps.direct_sum`.

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
    return ComposedAction([grid, ChannelsAction(grid.components(along, pseudo=pseudo), axis)])


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


def sets(group: Group, points: Points | None = None, *, axis: int = 1) -> NodesAction:
    """Permutes the items of a set, [B, N, …]: what is at i moves to g·i. The same as `nodes` on one axis.

    Args:
        group: the group, such as ``symmetric(N)``.
        points: as for `nodes`.
        axis: the axis that holds the items; it has exactly N entries.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.symmetric(3)
    >>> eq.actions.sets(G)(torch.tensor([[[10.], [11.], [12.]]]), torch.tensor([G["(0 1)"]])).flatten()
    tensor([11., 10., 12.])
    """
    return nodes(group, points, axes=axis)


def nodes(group: Group, points: Points | None = None, *, axes: int | Sequence[int] = 1) -> NodesAction:
    """Permutes the nodes of a graph, [B, N, …]: what is at i moves to g·i.

    With two axes it moves adjacency matrices [B, N, N, …]: the entry (i, j) moves to (g·i, g·j).

    Args:
        group: the group.
        points: the images of the N nodes under each generator (or under each element, LongTensor [order, N]); by
            default the points by which the group is naturally known, for ``symmetric(N)`` all N.
        axes: the axis that holds the nodes, or several; each has exactly N entries.

    Raises:
        RepresentationError: if the images are no permutations, or a relator does not hold.
        ActionError: for axes that are none, or (when called) do not hold N entries.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(3)
    >>> on_features, on_edges = eq.actions.nodes(G), eq.actions.nodes(G, axes=(1, 2))
    >>> r = torch.tensor([G["r"]])
    >>> on_features(torch.tensor([[[10.], [11.], [12.]]]), r)[0, :, 0]
    tensor([12., 10., 11.])
    >>> on_edges(torch.tensor([[[0, 1, 0], [0, 0, 0], [0, 0, 0]]]), r)[0]  # the edge 0 → 1 becomes 1 → 2
    tensor([[0, 0, 0],
            [0, 0, 1],
            [0, 0, 0]])
    """
    return NodesAction(group, points, axes)


def compose(*actions: SupportsAction) -> ComposedAction:
    """Several actions of one group together, such as a grid's and its channels'. They must commute.

    >>> import equilatent as eq
    >>> G = eq.groups.cyclic(4)
    >>> both = eq.actions.compose(eq.actions.image(G), eq.actions.channels(eq.reps.regular(G)))
    """
    return ComposedAction(actions)


def structured(group: Group, parts: Mapping[Any, Any] | Sequence[Any]) -> StructuredAction:
    """Several tensors moved by one element: the parts of an input or a target, each by its own action.

    Args:
        group: the group that acts on every part.
        parts: an action for each part: a dict, for dicts with exactly these keys and dataclasses with these fields; or a
            tuple or list, for tuples and lists of this length. They may be nested. What the group leaves in place is named
            too, with `trivial`.

    Raises:
        ActionError: if a part has no action of this group, or there are none. When called: for missing and unnamed parts,
            and parts of different numbers of samples.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> grid = eq.actions.image(G)
    >>> act = eq.actions.structured(G, {"image": grid, "mask": grid, "label": eq.actions.trivial(G)})
    >>> act.describe()
    'image: image grid moved by D4, mask: image grid moved by D4, label: trivial action of D4'
    >>> x = {"image": torch.randn(2, 3, 8, 8), "mask": torch.rand(2, 8, 8) < 0.5, "label": torch.tensor([3, 5])}
    >>> y = act(x, torch.tensor([G["r"], G["s"]]))
    >>> torch.equal(y["image"][1], x["image"][1].flip(-1)), torch.equal(y["mask"][1], x["mask"][1].flip(-1)), y["label"]
    (True, True, tensor([3, 5]))
    """
    return StructuredAction(group, parts)


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
