"""Representations as modules: what they are, and how each kind acts on a batch of vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from equilatent.errors import GroupError, GroupTooLargeError, RepresentationError
from equilatent.groups import Group, Subgroup
from equilatent.reps._layout import along_axes

__all__ = [
    "DirectSumRepresentation",
    "InducedRepresentation",
    "MatrixRepresentation",
    "PermutationRepresentation",
    "PulledBackRepresentation",
    "Representation",
    "TensorRepresentation",
    "TrivialRepresentation",
]

#: A regular representation keeps a table of |G|² indices up to this many (32 MB); beyond, it multiplies in G instead.
_TABLE_ENTRIES = 1 << 22
#: Dense matrices are made up to so many entries at once (1 GiB of float64).
_MATRIX_ENTRIES = 1 << 27


class Representation(nn.Module, ABC):
    """A linear representation ρ of a finite group: ρ(gh) = ρ(g)ρ(h), ρ(e) = 1.

    Call it to apply ρ(gᵢ) to the i-th sample of a batch. Representations have no parameters; their tables are
    non-persistent buffers, so that ``.to(device)`` moves them and a ``state_dict`` stays as it was. As all modules, two of
    them are equal only if they are one object (but see `Irrep`); `is_isomorphic` compares up to a change of basis.

    Attributes:
        group: the group that is represented.
        dim: the dimension of the space it acts on.
        label: how the representation is printed, such as ``"4 regular ⊕ 2 trivial"``.
    """

    def __init__(self, group: Group, dim: int, label: str) -> None:
        super().__init__()
        if not isinstance(group, Group):
            raise RepresentationError(f"a representation needs a group, such as eq.groups.dihedral(4); got {group!r}.")
        self.group = group
        self.dim = dim
        self.label = label

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label} of {self.group.label}, dim={self.dim})"

    def forward(self, x: Tensor, g: Tensor, dim: int = 1) -> Tensor:
        """ρ(g)x, each sample with its own element.

        Args:
            x: [B, …, dim, …] of any dtype and device; a permutation only moves the entries.
            g: elements, LongTensor [B].
            dim: the axis of x along which ρ acts; not the batch axis 0.

        Returns:
            A tensor like x, also in its memory format. Differentiable with respect to x.

        Raises:
            RepresentationError: if x is no tensor, the axis does not have `dim` entries, or g is not one element a sample.
            GroupError: if g holds something that is no element.
        """
        if not isinstance(x, Tensor):
            raise RepresentationError(f"ρ acts on a batch of vectors, a tensor [B, …]; got {type(x).__name__}.")
        axis = dim if dim >= 0 else x.ndim + dim
        if not 0 < axis < x.ndim:
            raise RepresentationError(
                f"ρ acts along one axis behind the batch axis; dim={dim} is none of a tensor of shape {tuple(x.shape)}."
            )
        if x.shape[axis] != self.dim:
            raise RepresentationError(
                f"{self.label} of {self.group.label} acts on vectors of {self.dim} entries; axis {dim} of x has "
                f"{x.shape[axis]} (shape {tuple(x.shape)}). Choose the axis with dim=, or a representation of that size."
            )
        g = self.group.check(g, x.device)
        if g.ndim != 1 or len(g) != len(x):
            raise RepresentationError(
                f"g holds one element for each sample: expected shape [{len(x)}], got {list(g.shape)}."
            )
        return along_axes(x, (axis,), lambda blocks: self.apply_blocks(blocks, g))

    @abstractmethod
    def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        """ρ(g) along axis 2 of x, [B, k, dim, m]: k copies of ρ on m columns each. Nothing is checked."""

    def matrix(self, g: int | Tensor) -> Tensor:
        """ρ(g) as a dense matrix.

        Args:
            g: an element, or a LongTensor of them.

        Returns:
            [dim, dim], or [*g.shape, dim, dim] for a LongTensor; complex128 if `is_complex`, else float64.

        Raises:
            GroupTooLargeError: if the matrices would have more than 2²⁷ entries (1 GiB).
            GroupError: if g holds something that is no element.
        """
        if isinstance(g, str):
            raise GroupError(f"ρ.matrix takes elements as integers; look {g!r} up first: rho.matrix(G[{g!r}]).")
        elements = self.group.check(g if isinstance(g, Tensor) else torch.tensor(int(g)))
        check_size(
            self.group,
            self.dim,
            elements.numel(),
            remedy="Act on vectors with rho(x, g), which makes no matrix, or ask for the matrices of fewer elements.",
        )
        return self.make_matrices(elements)

    @abstractmethod
    def make_matrices(self, g: Tensor) -> Tensor:
        """What `matrix` returns for a LongTensor. Nothing is checked."""

    @property
    @abstractmethod
    def is_complex(self) -> bool:
        """Whether the matrices are complex128, and not float64."""

    @property
    @abstractmethod
    def character(self) -> Tensor:
        """χ(g) = tr ρ(g) for each element, float64 (or complex128) [order], on the CPU."""


class TrivialRepresentation(Representation):
    """Every element acts as the identity of a one-dimensional space."""

    def __init__(self, group: Group) -> None:
        super().__init__(group, 1, "trivial")

    def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        """Return x itself."""
        return x

    def make_matrices(self, g: Tensor) -> Tensor:
        """The 1×1 identity for each element."""
        return torch.ones(*g.shape, 1, 1, dtype=torch.float64, device=g.device)

    @property
    def is_complex(self) -> bool:
        """No: the matrices are ones."""
        return False

    @property
    def character(self) -> Tensor:
        """Ones."""
        return torch.ones_like(self.group.elements, dtype=torch.float64)


class PermutationRepresentation(Representation):
    """ρ(g) sends the basis vector e_i to ± e_{g·i}: one gather, whatever the batch of elements.

    Args:
        group: the group G.
        images: LongTensor [order, points] with g·i, a left action of G; None for G itself under left multiplication.
        signs: ±1 for each g and i, [order, points]; None if there are none.
        label: how the representation is printed.
    """

    _source: Tensor | None
    _sign: Tensor | None

    def __init__(self, group: Group, images: Tensor | None, *, signs: Tensor | None = None, label: str) -> None:
        super().__init__(group, group.order if images is None else images.shape[1], label)
        if images is None and group.order**2 <= _TABLE_ENTRIES:
            images = group.table()
        # What a vector is moved by is kept in the form that moving reads: for each entry of ρ(g)x, the entry of x it is
        # (that is g⁻¹·j), and its sign.
        source = None if images is None else images[group.inverse(group.elements)]
        sign = None if signs is None or source is None else signs.gather(1, source).to(torch.int8)
        self.register_buffer("_source", source, persistent=False)
        self.register_buffer("_sign", sign, persistent=False)

    def move(self, g: Tensor) -> Tensor:
        """g·i for every point i: LongTensor [*g.shape, dim]."""
        return self._sources(self.group.inverse(g))

    def _sources(self, g: Tensor) -> Tensor:
        """g⁻¹·j for every point j: LongTensor [*g.shape, dim]."""
        if self._source is None:
            return self.group.product(self.group.inverse(g)[..., None], torch.arange(self.dim, device=g.device))
        return self._source.to(g.device)[g]

    def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        """Entry j of ρ(g)x is the entry g⁻¹·j of x, times its sign."""
        source = self._sources(g)
        size, copies, _, inner = x.shape
        if inner == 1:
            # Along the last axis torch.gather is three times faster than along one before an axis of one entry.
            moved = torch.gather(x.squeeze(3), 2, source[:, None].expand(x.shape[:3])).unsqueeze(3)
        else:
            # Whole rows move together: selecting rows is several times faster than gathering numbers.
            first = torch.arange(size * copies, device=x.device).view(size, copies, 1) * self.dim
            rows = (first + source[:, None]).reshape(-1)
            moved = x.reshape(size * copies * self.dim, inner).index_select(0, rows).view(x.shape)
        if self._sign is None:
            return moved
        if x.dtype in (torch.bool, torch.uint8):
            raise RepresentationError(f"{self.label} of {self.group.label} changes signs; {x.dtype} vectors have none.")
        return moved * self._sign.to(g.device)[g].to(x.dtype)[:, None, :, None]

    def make_matrices(self, g: Tensor) -> Tensor:
        """The (signed) permutation matrices of the elements."""
        source = self._sources(g)
        matrix = torch.zeros(*g.shape, self.dim, self.dim, dtype=torch.float64, device=g.device)
        values = torch.ones((), dtype=torch.float64, device=g.device).expand(source.shape)
        if self._sign is not None:
            values = self._sign.to(g.device)[g].double()
        return matrix.scatter(-1, source[..., None], values[..., None])

    @property
    def is_complex(self) -> bool:
        """No: the entries are 0, 1 and −1."""
        return False

    @property
    def character(self) -> Tensor:
        """The number of fixed points of each element, each with its sign."""
        if self._source is None:
            character = torch.zeros_like(self.group.elements, dtype=torch.float64)
            character[0] = self.group.order
            return character
        fixed = self._source.cpu() == torch.arange(self.dim)
        return (fixed.double() if self._sign is None else fixed * self._sign.cpu().double()).sum(1)


class MatrixRepresentation(Representation):
    """A representation by dense matrices: one batched matrix product.

    Args:
        group: the group G.
        matrices: float64 or complex128 [order, dim, dim].
        label: how the representation is printed.
    """

    matrices: Tensor

    def __init__(self, group: Group, matrices: Tensor, *, label: str) -> None:
        super().__init__(group, matrices.shape[-1], label)
        self.register_buffer("matrices", matrices, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> MatrixRepresentation:
        # Modules are moved and cast by one function for all buffers; the matrices follow the device but stay exact.
        matrices = self._buffers.pop("matrices")
        try:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        finally:
            self._buffers["matrices"] = matrices
        assert matrices is not None
        self._buffers["matrices"] = matrices.to(fn(torch.zeros(0, dtype=torch.long, device=matrices.device)).device)
        return self

    def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        """The matrix of each sample's element times its vectors."""
        if not (x.is_floating_point() or x.is_complex()):
            raise RepresentationError(
                f"{self.label} acts by matrices on floating vectors; got {x.dtype}. Convert the vectors first."
            )
        if self.matrices.is_complex() and not x.is_complex():
            raise RepresentationError(f"{self.label} has complex matrices; got real vectors ({x.dtype}).")
        # Round the smaller of table and batch to the dtype of x.
        table = self.matrices.to(x.device)
        if len(table) <= len(g):
            table = table.to(x.dtype)
        matrices = table[g].to(x.dtype)
        if x.shape[-1] == 1:
            return torch.bmm(x.squeeze(3), matrices.mT).unsqueeze(3)
        return torch.matmul(matrices[:, None], x)

    def make_matrices(self, g: Tensor) -> Tensor:
        """The matrices of the elements."""
        return self.matrices.to(g.device)[g]

    @property
    def is_complex(self) -> bool:
        """Whether the given matrices are."""
        return self.matrices.is_complex()

    @property
    def character(self) -> Tensor:
        """The traces."""
        return self.matrices.diagonal(dim1=-2, dim2=-1).sum(-1).cpu()


class DirectSumRepresentation(Representation):
    """Blocks side by side: ``n₁ρ₁ ⊕ n₂ρ₂ ⊕ …``; the copies of one block follow each other.

    Args:
        blocks: (ρ, multiplicity) pairs over one group.
        label: how the representation is printed; put together from the blocks if not given.
    """

    def __init__(self, blocks: Sequence[tuple[Representation, int]], *, label: str | None = None) -> None:
        if not blocks:
            raise RepresentationError("a direct sum needs at least one representation.")
        group = blocks[0][0].group
        for rho, multiplicity in blocks:
            if rho.group != group:
                raise RepresentationError(
                    f"a direct sum is over one group; got representations of {group.label} and of {rho.group.label}."
                )
            if isinstance(multiplicity, bool) or int(multiplicity) != multiplicity or multiplicity < 0:
                raise RepresentationError(f"a multiplicity is an integer ≥ 0; got {multiplicity!r} of {rho.label}.")
        if label is None:
            parts = [rho.label if count == 1 else f"{count} {_operand(rho.label)}" for rho, count in blocks if count]
            label = " ⊕ ".join(parts) or "0"
        super().__init__(group, sum(rho.dim * count for rho, count in blocks), label)
        self.parts = nn.ModuleList(rho for rho, _ in blocks)
        self.multiplicities = tuple(int(count) for _, count in blocks)

    @property
    def blocks(self) -> list[tuple[Representation, int]]:
        """The (ρ, multiplicity) pairs."""
        return list(zip(self.parts, self.multiplicities, strict=True))  # type: ignore[arg-type]

    def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        """Each block on its own entries."""
        size, copies, _, inner = x.shape
        pieces = x.split([rho.dim * count for rho, count in self.blocks], dim=2)
        moved = [
            rho.apply_blocks(piece.reshape(size, copies * count, rho.dim, inner), g).reshape(piece.shape)
            for (rho, count), piece in zip(self.blocks, pieces, strict=True)
            if count
        ]
        if not moved:
            return x
        return moved[0] if len(moved) == 1 else torch.cat(moved, dim=2)

    def make_matrices(self, g: Tensor) -> Tensor:
        """The block-diagonal matrices of the elements."""
        dtype = torch.complex128 if self.is_complex else torch.float64
        matrix = torch.zeros(*g.shape, self.dim, self.dim, dtype=dtype, device=g.device)
        start = 0
        for rho, count in self.blocks:
            if not count:
                continue
            block = rho.make_matrices(g)
            for _ in range(count):
                end = start + rho.dim
                matrix[..., start:end, start:end] = block
                start = end
        return matrix

    @property
    def is_complex(self) -> bool:
        """Whether a block that occurs is."""
        return any(rho.is_complex for rho, count in self.blocks if count)

    @property
    def character(self) -> Tensor:
        """The sum of the blocks' characters."""
        total = torch.zeros_like(self.group.elements, dtype=torch.float64)
        for rho, count in self.blocks:
            total = total + count * rho.character
        return total


class TensorRepresentation(Representation):
    """ρ ⊗ σ: the entry (i, j) is number i·dim σ + j.

    Args:
        left: ρ.
        right: σ, of the same group.
    """

    def __init__(self, left: Representation, right: Representation) -> None:
        if left.group != right.group:
            raise RepresentationError(
                f"a tensor product is over one group; got representations of {left.group.label} and of "
                f"{right.group.label}."
            )
        super().__init__(left.group, left.dim * right.dim, f"{_operand(left.label)} ⊗ {_operand(right.label)}")
        self.left = left
        self.right = right

    def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        """σ along the second index, then ρ along the first."""
        size, copies, _, inner = x.shape
        moved = self.right.apply_blocks(x.reshape(size, copies * self.left.dim, self.right.dim, inner), g)
        blocks = moved.reshape(size, copies, self.left.dim, self.right.dim * inner)
        return self.left.apply_blocks(blocks, g).reshape(x.shape)

    def make_matrices(self, g: Tensor) -> Tensor:
        """The Kronecker products of the matrices."""
        left, right = self.left.make_matrices(g), self.right.make_matrices(g)
        dtype = torch.promote_types(left.dtype, right.dtype)
        product = left.to(dtype)[..., :, None, :, None] * right.to(dtype)[..., None, :, None, :]
        return product.reshape(*g.shape, self.dim, self.dim)

    @property
    def is_complex(self) -> bool:
        """Whether a factor is."""
        return self.left.is_complex or self.right.is_complex

    @property
    def character(self) -> Tensor:
        """The product of the characters."""
        return self.left.character * self.right.character


class PulledBackRepresentation(Representation):
    """ρ through a homomorphism φ into its group: g acts by ρ(φ(g)).

    Args:
        rho: a representation of the target.
        group: the source.
        images: φ(g) for each g, LongTensor [order]; a homomorphism, which is not checked.
        label: how the representation is printed.
    """

    images: Tensor

    def __init__(self, rho: Representation, group: Group, images: Tensor, *, label: str) -> None:
        super().__init__(group, rho.dim, label)
        self.rho = rho
        self.register_buffer("images", images, persistent=False)

    def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        """ρ of the images."""
        return self.rho.apply_blocks(x, self.images.to(g.device)[g])

    def make_matrices(self, g: Tensor) -> Tensor:
        """The matrices of the images."""
        return self.rho.make_matrices(self.images.to(g.device)[g])

    @property
    def is_complex(self) -> bool:
        """Whether ρ is."""
        return self.rho.is_complex

    @property
    def character(self) -> Tensor:
        """The character at the images."""
        return self.rho.character[self.images.cpu()]


class InducedRepresentation(Representation):
    """Blocks on the left cosets of a subgroup, which move like the cosets while the subgroup acts inside each.

    Args:
        rho: a representation of ``subgroup.group``.
        subgroup: H in G.
    """

    def __init__(self, rho: Representation, subgroup: Subgroup) -> None:
        super().__init__(
            subgroup.parent, rho.dim * subgroup.index, f"{_operand(rho.label)} induced from {subgroup.label}"
        )
        self.rho = rho
        self.subgroup = subgroup

    def _steps(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """Where g takes each coset tH, and the h of H with g t = t′ h; both LongTensor [*g.shape, index]."""
        group, cosets = self.group, self.subgroup.cosets
        representatives = cosets.representatives.to(g.device)
        moved = group.product(g[..., None], representatives)
        target = cosets.index.to(g.device)[moved]
        return target, self.subgroup.numbers(group.product(group.inverse(representatives[target]), moved))

    def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        """ρ(h) inside each block, then the blocks where g takes them."""
        size, copies, _, inner = x.shape
        target, h = self._steps(g)
        count = target.shape[1]
        blocks = x.reshape(size, copies, count, self.rho.dim, inner).transpose(1, 2)
        moved = self.rho.apply_blocks(blocks.reshape(size * count, copies, self.rho.dim, inner), h.reshape(-1))
        rows = target.argsort(1) + count * torch.arange(size, device=g.device)[:, None]
        placed = moved.index_select(0, rows.reshape(-1)).view(size, count, copies, self.rho.dim, inner)
        return placed.transpose(1, 2).reshape(x.shape)

    def make_matrices(self, g: Tensor) -> Tensor:
        """The block-permutation matrices of the elements."""
        target, h = self._steps(g)
        blocks = self.rho.make_matrices(h)
        count, dim = target.shape[-1], self.rho.dim
        matrix = torch.zeros(*g.shape, count, dim, count, dim, dtype=blocks.dtype, device=g.device)
        place = target[..., None, :, None, None].expand(*g.shape, 1, count, dim, dim)
        permuted = matrix.movedim(-2, -3)  # [..., to, from, dim, dim]
        permuted.scatter_(-4, place, blocks[..., None, :, :, :])
        return matrix.reshape(*g.shape, self.dim, self.dim)

    @property
    def is_complex(self) -> bool:
        """Whether ρ is."""
        return self.rho.is_complex

    @property
    def character(self) -> Tensor:
        """The sum over the fixed cosets of the character of h."""
        target, h = self._steps(self.group.elements)
        fixed = target == torch.arange(target.shape[1])
        return (self.rho.character[h] * fixed).sum(1)


def _operand(label: str) -> str:
    """A label in brackets, if it consists of several words."""
    return f"({label})" if " " in label else label


def check_size(
    group: Group,
    dim: int,
    count: int | None = None,
    *,
    remedy: str = "Use a permutation representation, or a smaller group.",
) -> None:
    """Refuse to make dense matrices that would take more than a gigabyte.

    Args:
        group: the group.
        dim: the size of a matrix.
        count: how many matrices; one for each element if not given.
        remedy: what to do instead, for the message.
    """
    count = group.order if count is None else count
    if count * dim * dim > _MATRIX_ENTRIES:
        many = f"{count} matrices of {dim}×{dim}" if count != 1 else f"a matrix of {dim}×{dim}"
        raise GroupTooLargeError(
            f"{many} for {group.label} would take {count * dim * dim * 8 / 2**30:.1f} GiB. {remedy}"
        )
