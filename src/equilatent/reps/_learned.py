"""Representations that are learned: one matrix of parameters for each generator."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal as orthogonal_parametrisation

from equilatent.errors import NonFiniteError, RepresentationError
from equilatent.groups import Group
from equilatent.reps._representation import Representation

__all__ = ["LearnedRepresentation", "Start"]

Start: TypeAlias = Literal["uniform", "normal", "orthogonal"]


class _Matrix(nn.Module):
    """One matrix of parameters, in a module of its own so that it can be parametrised."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(start)


class LearnedRepresentation(nn.Module):
    """Matrices of parameters for the generators, multiplied out along words for all other elements (paper, section 4).

    It is a representation only so far as `objective.algebra_loss` has made it one. Call it as a `Representation`:
    ``rho(x, g)`` applies ρ(gᵢ) to the i-th sample. The matrices of the elements that occur are made level by level along a
    spanning tree of the group, so that words share their beginnings; inverses of generators are linear solves. All of it
    happens in the parameters' own precision, under autocast too.

    Args:
        group: any group that can be listed.
        dim: the dimension d.
        start: the matrices to start from: ``"uniform"`` in [0, 1), ``"normal"``, ``"orthogonal"``, or a representation of
            dimension `dim`.
        noise: the deviation of normal noise that is added to the start.
        orthogonal: keep the matrices orthogonal while they are trained (`torch.nn.utils.parametrizations.orthogonal`);
            the start is rounded to the nearest orthogonal matrices.
        inverses: whether words may use inverses of generators; without, r⁻¹ is a positive power.
        generator: the source of randomness.
        dtype: of the parameters; float32 or float64, which linear solves need.

    Raises:
        RepresentationError: for a start that is none, or a representation of another group or dimension; for a dimension,
            noise or dtype that is none.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(3)
    >>> rho = eq.reps.LearnedRepresentation(G, 30, generator=torch.Generator().manual_seed(0))
    >>> rho(torch.randn(8, 30), G.sample(8)).shape
    torch.Size([8, 30])
    >>> [(name, tuple(p.shape)) for name, p in rho.named_parameters()]
    [('matrices.0.weight', (30, 30)), ('matrices.1.weight', (30, 30))]
    """

    _identity: Tensor

    def __init__(
        self,
        group: Group,
        dim: int,
        *,
        start: Start | Representation = "orthogonal",
        noise: float = 0.0,
        orthogonal: bool = False,
        inverses: bool = True,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if not isinstance(group, Group):
            raise RepresentationError(f"a representation needs a group, such as eq.groups.dihedral(4); got {group!r}.")
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
            raise RepresentationError(f"dim is the number of features, an integer ≥ 1; got {dim!r}.")
        if dtype not in (torch.float32, torch.float64):
            raise RepresentationError(f"learned matrices are of torch.float32 or torch.float64; got {dtype}.")
        if not 0 <= noise < float("inf"):
            raise RepresentationError(f"noise is a deviation ≥ 0; got {noise!r}.")
        self.group = group
        self.dim = dim
        self.inverses = inverses
        # Also tells the dtype and the device of a group without generators.
        self.register_buffer("_identity", torch.eye(dim, dtype=dtype), persistent=False)
        self.matrices = nn.ModuleList()
        for g in group.generators.values():
            matrix = _start(group, dim, start, g, generator)
            if noise:
                matrix = matrix + noise * torch.randn(dim, dim, generator=generator, dtype=torch.float64)
            if orthogonal:
                left, _, right = torch.linalg.svd(matrix)
                matrix = left @ right
            module = _Matrix(matrix.to(dtype))
            self.matrices.append(orthogonal_parametrisation(module) if orthogonal else module)

    def extra_repr(self) -> str:
        """One line for ``print``."""
        return f"group={self.group.label}, dim={self.dim}"

    def generator_matrices(self) -> dict[str, Tensor]:
        """The matrix of each generator, [dim, dim]; differentiable."""
        parts: list[_Matrix] = list(self.matrices)  # type: ignore[arg-type]
        with self.own_precision():
            return {x: part.weight for x, part in zip(self.group.generators, parts, strict=True)}

    def own_precision(self) -> torch.autocast:
        """A context without autocast: in half precision, products would break relators by more than training leaves."""
        return torch.autocast(self.device.type, enabled=False)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return self._identity.dtype

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self._identity.device

    def inverse_matrix(self, name: str) -> Tensor:
        """The inverse of a generator's matrix, by a linear solve; differentiable.

        Raises:
            NonFiniteError: if the matrix is singular.
        """
        return _divide(self._identity, self.generator_matrices()[name], name)

    def matrix(self, g: int | Tensor) -> Tensor:
        """The matrices of elements, [*g.shape, dim, dim]; differentiable.

        Args:
            g: an element, or a LongTensor of any shape.

        Raises:
            NonFiniteError: if the inverse of a singular matrix is needed.
        """
        g = self.group.check(g if isinstance(g, Tensor) else torch.tensor(self.group.power(g, 1)))
        distinct, index = torch.unique(g, return_inverse=True)
        with self.own_precision():
            return self._distinct_matrices(distinct.cpu())[index]

    def forward(self, x: Tensor, g: Tensor, dim: int = 1) -> Tensor:
        """ρ(g)x, each sample with its own element.

        Args:
            x: [B, …, dim, …], floating.
            g: elements, LongTensor [B].
            dim: the axis of x along which ρ acts; not the batch axis 0.

        Raises:
            RepresentationError: if x is no tensor or holds integers, the axis does not have `dim` entries, or g is not one
                element a sample.
            GroupError: if g holds something that is no element.
            NonFiniteError: if the inverse of a singular matrix is needed.
        """
        if not isinstance(x, Tensor):
            raise RepresentationError(f"ρ acts on a batch of vectors, a tensor [B, …]; got {type(x).__name__}.")
        axis = dim if dim >= 0 else x.ndim + dim
        if not 0 < axis < x.ndim or x.shape[axis] != self.dim:
            raise RepresentationError(
                f"this representation acts on {self.dim} features behind the batch axis; axis {dim} of a tensor of shape "
                f"{list(x.shape)} does not hold them."
            )
        if not x.is_floating_point() and not x.is_complex():
            raise RepresentationError(f"learned matrices act on floating numbers; the dtype of x is {x.dtype}.")
        g = self.group.check(g, x.device)
        if g.ndim != 1 or len(g) != len(x):
            raise RepresentationError(
                f"g holds one element for each sample: expected shape [{len(x)}], got {list(g.shape)}."
            )
        rows = x.movedim(axis, -1)
        matrices = self.matrix(g).to(x.device, x.dtype)
        moved = rows.reshape(len(x), math.prod(rows.shape[1:-1]), self.dim) @ matrices.mT
        return moved.reshape(rows.shape).movedim(-1, axis)

    def _distinct_matrices(self, elements: Tensor) -> Tensor:
        """The matrices of distinct elements, [n, dim, dim], multiplied out level by level along the spanning tree."""
        tree = self.group.spanning_tree_with_inverses if self.inverses else self.group.spanning_tree
        wanted = torch.zeros(self.group.order, dtype=torch.bool)
        wanted[elements] = True
        levels = [torch.from_numpy(level) for level in tree.levels()]
        parent, letter = torch.from_numpy(tree.parent), torch.from_numpy(tree.generator)
        for level in reversed(levels):
            wanted[parent[level[wanted[level]]]] = True
        generators = self.generator_matrices()
        made = self._identity[None]
        place = torch.zeros(self.group.order, dtype=torch.long)  # the row of `made` that belongs to each element
        for level in levels:
            grown = []
            for number, (x, exponent) in enumerate(zip(tree.generators, tree.exponents, strict=True)):
                children = level[wanted[level] & (letter[level] == number)]
                if not len(children):
                    continue
                before = made[place[parent[children]]]
                grown.append(before @ generators[x] if exponent > 0 else _divide(before, generators[x], x))
                place[children] = len(made) + sum(map(len, grown[:-1])) + torch.arange(len(children))
            made = torch.cat([made, *grown]) if grown else made
        return made[place[elements]]


def _divide(left: Tensor, right: Tensor, name: str) -> Tensor:
    """Left · right⁻¹, by a linear solve."""
    try:
        quotient: Tensor = torch.linalg.solve(right, left, left=False)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise NonFiniteError(
            f"the matrix of {name!r} has become singular, so it has no inverse. Start from other matrices, or use "
            "orthogonal=True, or inverses=False."
        ) from error
    return quotient


def _start(group: Group, dim: int, start: Start | Representation, g: int, generator: torch.Generator | None) -> Tensor:
    if isinstance(start, Representation):
        if start.group != group or start.dim != dim:
            raise RepresentationError(
                f"the start is a representation of {start.group.label} of dimension {start.dim}; expected one of "
                f"{group.label} of dimension {dim}."
            )
        matrix = start.matrix(g).cpu().clone()  # it may be a view of the representation's own table
        if matrix.is_complex():
            raise RepresentationError(f"learned matrices are real; {start.label} has complex ones.")
        return matrix
    if start == "uniform":
        return torch.rand(dim, dim, generator=generator, dtype=torch.float64)
    normal = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    if start == "normal":
        return normal
    if start == "orthogonal":
        q, r = torch.linalg.qr(normal)
        # The signs make q uniform among orthogonal matrices (Mezzadri, 2007).
        uniform: Tensor = q * r.diagonal().sign()
        return uniform
    raise RepresentationError(f"start is 'uniform', 'normal', 'orthogonal' or a representation; got {start!r}.")
