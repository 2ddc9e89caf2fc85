"""Grids moved by signed permutations of their axes and by periodic shifts: exact, without interpolation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from equilatent.actions._action import Action
from equilatent.actions._gather import PointGather
from equilatent.errors import ActionError
from equilatent.groups import Group, cyclic, direct_product, semidirect_product
from equilatent.groups._homomorphism import extend
from equilatent.groups._words import format_word
from equilatent.reps import PermutationRepresentation
from equilatent.reps._layout import along_axes

__all__ = ["GridAction"]


class GridAction(Action):
    """Moves the points of a grid; the values move along.

    Coordinates are array indices about the grid's centre: a point p goes to M p + t, where M is a signed permutation
    matrix of the axes and t a shift by a fraction of the period. Each axis of the result is then read along one axis of
    the input, so the flat index of every source point is a sum of one number for each axis; one gather does the rest.

    Args:
        group: the group G.
        matrices: a signed permutation matrix [k, k] for each generator.
        shifts: for each generator, the shift along each of the k axes as a fraction of its length; none by default.
        axes: which axes of the tensor the k axes of the grid are; the last k by default.
    """

    def __init__(
        self,
        group: Group,
        matrices: Mapping[str, npt.ArrayLike],
        *,
        shifts: Mapping[str, Sequence[Fraction | int]] | None = None,
        axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(group)
        if set(matrices) != set(group.generators):
            raise ActionError(
                f"the motions of {group.label} are given by its generators {', '.join(group.generators) or '(none)'}; "
                f"got {', '.join(matrices) or 'none'}."
            )
        signed = {x: _signed_permutation(x, value) for x, value in matrices.items()}
        dims = {len(matrix) for matrix in signed.values()} or {len(axes) if axes else 1}
        if len(dims) > 1:
            raise ActionError(f"the motions have different numbers of axes: {sorted(dims)}.")
        self.ndim = dims.pop()
        self.axes = tuple(range(-self.ndim, 0)) if axes is None else tuple(axes)
        if len(self.axes) != self.ndim:
            raise ActionError(f"the motions move {self.ndim} axes; got axes={self.axes}.")
        unknown = set(shifts or {}) - set(signed)
        if unknown:
            raise ActionError(f"shifts names {', '.join(sorted(unknown))}, which is no generator of {group.label}.")
        steps = {x: [Fraction(t) for t in (shifts or {}).get(x, [0] * self.ndim)] for x in signed}
        for x, step in steps.items():
            if len(step) != self.ndim:
                raise ActionError(
                    f"a shift has a fraction for each of {self.ndim} axes; {x!r} has {len(step)} of them."
                )
        self._period = math.lcm(1, *(t.denominator for step in steps.values() for t in step))
        generators = {x: self._affine(matrix, steps[x]) for x, matrix in signed.items()}
        identity = np.eye(self.ndim + 1, dtype=np.int64)
        self._check_relators(generators, identity)
        motions = extend(group, generators, self._multiply, identity)
        linear = motions[:, : self.ndim, : self.ndim]
        # Along axis a of the result the input is read along axis source[a], forwards or backwards.
        source = np.abs(linear).argmax(2)
        self.register_buffer("_source", torch.from_numpy(source), persistent=False)
        self.register_buffer("_sign", torch.from_numpy(linear.sum(2)), persistent=False)
        self.register_buffer("_shift", torch.from_numpy(motions[:, : self.ndim, self.ndim]), persistent=False)
        # What check_shape needs, as plain numbers: reading a tensor would stall a GPU and break a compiled graph.
        steps_of_axes = motions[:, : self.ndim, self.ndim].T
        self._divisors = tuple(self._period // math.gcd(self._period, *map(int, set(axis))) for axis in steps_of_axes)
        pairs = [(a, b) for a in range(self.ndim) for b in range(self.ndim) if a != b and (source[:, a] == b).any()]
        self._swaps = {(a, b): int((source[:, a] == b).argmax()) for a, b in pairs}
        self._gather = PointGather(group.order)

    _source: Tensor
    _sign: Tensor
    _shift: Tensor

    @property
    def is_trailing(self) -> bool:
        """Whether the grid's axes are the last axes of the tensor, in order."""
        return self.axes == tuple(range(-self.ndim, 0))

    def describe(self) -> str:
        """The action in words."""
        kind = {1: "sequence", 2: "image", 3: "volume"}.get(self.ndim, f"{self.ndim}-dimensional grid")
        return f"{kind} grid moved by {self.group.label}"

    def _affine(self, matrix: np.ndarray, shift: Sequence[Fraction]) -> np.ndarray:
        """(M, t) as one integer matrix; shifts count in units of 1/period."""
        affine = np.eye(self.ndim + 1, dtype=np.int64)
        affine[: self.ndim, : self.ndim] = matrix
        affine[: self.ndim, self.ndim] = [int(t * self._period) % self._period for t in shift]
        return affine

    def _multiply(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        product: np.ndarray = left @ right
        product[..., : self.ndim, self.ndim] %= self._period
        return product

    def _check_relators(self, generators: Mapping[str, np.ndarray], identity: np.ndarray) -> None:
        inverses = {x: self._inverse(affine) for x, affine in generators.items()}
        for word in self.group.relators:
            product = identity
            for x, exponent in word:
                for _ in range(abs(exponent)):
                    product = self._multiply(product, generators[x] if exponent > 0 else inverses[x])
            if (product != identity).any():
                raise ActionError(
                    f"these motions are no action of {self.group.label}: the relator {format_word(word)} does not leave "
                    "the grid in place."
                )

    def _inverse(self, affine: np.ndarray) -> np.ndarray:
        inverse = np.eye(self.ndim + 1, dtype=np.int64)
        linear = affine[: self.ndim, : self.ndim].T
        inverse[: self.ndim, : self.ndim] = linear
        inverse[: self.ndim, self.ndim] = -linear @ affine[: self.ndim, self.ndim] % self._period
        return inverse

    def with_translations(self, steps: int) -> GridAction:
        """The same motions of a periodic grid together with translations by 1/steps of each axis: see `periodic`."""
        if self._period > 1:
            raise ActionError(f"{self.describe()} shifts the grid already; start from one that fixes its centre.")
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
            raise ActionError(f"steps is the number of translations along an axis, an integer ≥ 2; got {steps!r}.")
        translations = cyclic(steps)
        names = {0: "r"}
        if self.ndim > 1:
            translations = direct_product(*[translations] * self.ndim)
            names = {axis: f"r_{axis + 1}" for axis in range(self.ndim)}
        linear = {x: self._linear(g) for x, g in self.group.generators.items()}
        # h t h⁻¹ is the translation by M t: a step along one axis becomes one along that to which M sends it.
        turned = {
            x: {names[a]: f"{names[int(m[:, a].nonzero()[0][0])]}^{m[:, a].sum()}" for a in names}
            for x, m in linear.items()
        }
        group = semidirect_product(translations, self.group, turned)
        step = {f"{names[a]}_1": [Fraction(int(b == a), steps) for b in names] for a in names}
        matrices = {x: np.eye(self.ndim, dtype=np.int64) for x in step} | {f"{x}_2": m for x, m in linear.items()}
        return GridAction(group, matrices, shifts=step, axes=self.axes)

    def _linear(self, g: int) -> np.ndarray:
        """The signed permutation matrix of an element."""
        matrix = np.zeros((self.ndim, self.ndim), dtype=np.int64)
        matrix[np.arange(self.ndim), self._source[g].cpu().numpy()] = self._sign[g].cpu().numpy()
        return matrix

    def components(self, along: Sequence[int | None], *, pseudo: bool = False) -> PermutationRepresentation:
        """The representation on vector components: for each, the grid axis along which it points, or None for a scalar.

        Args:
            along: the axis of each component.
            pseudo: whether all of them are multiplied by the determinant of the motion, so that they change their sign
                under mirrors once more: the components of pseudo-vectors, and pseudo-scalars.

        Raises:
            ActionError: if an element would turn a component into one that is not there.
        """
        source, sign = self._source, self._sign
        images = torch.zeros(self.group.order, len(along), dtype=torch.long)
        signs = torch.ones(self.group.order, len(along), dtype=torch.long)
        for number, axis in enumerate(along):
            if axis is None:
                images[:, number] = number
                continue
            if not 0 <= axis < self.ndim or along.count(axis) > 1:
                raise ActionError(f"components point along the axes 0 … {self.ndim - 1}, each once; got {list(along)}.")
            # M e_axis = ± e_target, where target is the row of M that reads this axis.
            target = (source == axis).long().argmax(1)
            signs[:, number] = sign.gather(1, target[:, None])[:, 0]
            for axis_to in target.unique().tolist():
                if axis_to not in along:
                    raise ActionError(
                        f"{self.group.label} turns the component along axis {axis} into one along axis {axis_to}, which "
                        f"components={list(along)} lack."
                    )
                images[target == axis_to, number] = list(along).index(axis_to)
        if pseudo:
            columns = torch.nn.functional.one_hot(source, self.ndim) * sign[..., None]
            signs *= torch.linalg.det(columns.double()).round().long()[:, None]
        label = "pseudo-vector components" if pseudo else "vector components"
        return PermutationRepresentation(self.group, images, signs=signs, label=label)

    def source_index(self, g: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The flat index of the point that each point of the moved grid is read from: LongTensor [len(g), prod(shape)].

        Args:
            g: elements, LongTensor [n]; not checked.
            shape: the lengths of the grid's axes.
        """
        device = g.device
        lengths = torch.tensor(shape, device=device)
        strides = torch.tensor([math.prod(shape[a + 1 :]) for a in range(self.ndim)], device=device)
        source, sign, shift = (table.to(device)[g] for table in (self._source, self._sign, self._shift))
        total: Tensor | None = None
        for axis, length in enumerate(shape):
            at = torch.arange(length, device=device)
            if self._period > 1:
                at = (at - shift[:, axis, None] * length // self._period) % length
            backwards = lengths[source[:, axis, None]] - 1 - at
            at = torch.where(sign[:, axis, None] > 0, at, backwards) * strides[source[:, axis, None]]
            at = at.view(len(g), *[length if a == axis else 1 for a in range(self.ndim)])
            total = at if total is None else total + at
        assert total is not None
        return total.reshape(len(g), -1)

    def move(self, x: Tensor, g: Tensor) -> Tensor:
        """The values at the source of every point."""
        if x.ndim <= self.ndim or any(not -x.ndim < axis < x.ndim or axis == 0 for axis in self.axes):
            raise ActionError(
                f"{self.describe()} expects a batch of at least {self.ndim + 1} axes; got shape {list(x.shape)}."
            )
        if len({axis % x.ndim for axis in self.axes}) < self.ndim:
            raise ActionError(f"axes={self.axes} name one axis of a tensor of shape {list(x.shape)} twice.")
        axes = [axis % x.ndim for axis in self.axes]
        shape = tuple(x.shape[axis] for axis in axes)
        self.check_shape(shape)
        return along_axes(x, axes, lambda points: self._gather(points, g, shape, self.source_index))

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuse a grid that the group does not map to itself."""
        for axis, (length, divisor) in enumerate(zip(shape, self._divisors, strict=True)):
            if length % divisor:
                raise ActionError(
                    f"{self.group.label} shifts axis {self.axes[axis]} by {Fraction(1, divisor)} of its length, which "
                    f"{length} entries cannot do. Use a length that {divisor} divides."
                )
        swapping = [g for (a, b), g in self._swaps.items() if shape[a] != shape[b]]
        if swapping:
            raise ActionError(
                f"{self.group.label} swaps axes of different length: element {self.group.name(min(swapping))!r} does not "
                f"map a grid of {'×'.join(map(str, shape))} to itself. Crop or pad it, or use a subgroup that swaps no "
                "axes, such as klein_four() or cyclic(2)."
            )


def _signed_permutation(name: str, value: npt.ArrayLike) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ActionError(f"the motion {name!r} is no square matrix: its shape is {array.shape}.")
    rounded = np.rint(array) if np.isfinite(array).all() else np.zeros_like(array)
    one_each = (np.abs(rounded).sum(0) == 1).all() and (np.abs(rounded).sum(1) == 1).all()
    if not one_each or np.abs(array - rounded).max() > 1e-6:
        raise ActionError(
            f"the motion {name!r} does not map the grid to itself: only signed permutation matrices do (quarter turns "
            f"and mirrors). It is {array.round(3).tolist()}."
        )
    return rounded.astype(np.int64)
