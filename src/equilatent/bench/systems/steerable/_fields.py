"""What the channels of an image or a volume stand for: copies of one field."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from equilatent.actions import Action, channels, compose, image, volume
from equilatent.bench.systems.steerable._kernels import invariant_vectors
from equilatent.bench.systems.steerable._spherical import SphericalIrrep
from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.reps import DirectSumRepresentation, Representation, from_matrices, trivial

__all__ = ["FieldType", "Fields", "SphericalFields", "is_trivial"]


class Fields(ABC):
    """Several copies of one field, which is made of parts on which a group acts.

    The channels are ordered by part, then by copy: all copies of the first part, then all of the second, …

    Attributes:
        parts: what one field is made of; each has a dimension, ``dim``, and a ``label``.
        copies: how many such fields there are.
        axes: of the grid on which they are.
    """

    parts: Any
    copies: int
    axes: ClassVar[int]

    @abstractmethod
    def gated(self) -> Fields:
        """The same fields with a trivial gate for each part in front, as `GatedNonlinearity` takes them."""

    @abstractmethod
    def invariants(self, part: Any) -> Tensor:
        """An orthonormal basis of the vectors of a part that the group leaves alone, float64 [vectors, dim]."""

    @property
    def dim(self) -> int:
        """The number of channels."""
        return self.copies * sum(int(part.dim) for part in self.parts)

    @cached_property
    def blocks(self) -> tuple[tuple[Any, int], ...]:
        """The parts and their multiplicities in the order of the channels, equal neighbours joined."""
        runs = [list(same) for _, same in itertools.groupby(self.parts)]
        return tuple((run[0], self.copies * len(run)) for run in runs)

    @property
    def label(self) -> str:
        """The parts and how often they are there."""
        return " ⊕ ".join(f"{count} {part.label}" for part, count in self.blocks)

    def field_of_channel(self) -> Tensor:
        """The field to which each channel belongs, LongTensor [dim]."""
        fields = torch.arange(self.copies)
        return torch.cat([fields.repeat_interleave(part.dim) for part in self.parts])

    def along_blocks(self, *, scaled: bool = False) -> Tensor:
        """The invariant vectors of every copy of every part in all channels, [vectors, dim], by part, then by copy.

        Args:
            scaled: of norm √dim of the part, so that their coefficients are in the units of the channels; else of norm 1.
        """
        blocks: Tensor = torch.block_diag(
            *(
                torch.kron(torch.eye(n).double(), self.invariants(part) * (part.dim**0.5 if scaled else 1))
                for part, n in self.blocks
            )
        )
        return blocks


@dataclass(frozen=True, eq=False)
class FieldType(Fields):
    """Several copies of one field, whose fibre is a sum of representations of a group.

    The channels are ordered by part, then by copy: all copies of the first part, then all of the second, … A group
    element moves the pixels by `actions.image` and the channels by `representation`: see `action`.

    Attributes:
        parts: the representations that make up one field, real and orthogonal, of one group.
        copies: how many such fields there are.

    >>> import equilatent as eq
    >>> G = eq.groups.cyclic(4)
    >>> FieldType((eq.reps.trivial(G), eq.reps.sign(G), eq.reps.defining(G)), 6).representation.label
    '6 trivial ⊕ 6 sign ⊕ 6 defining'
    """

    parts: tuple[Representation, ...]
    copies: int
    axes: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not self.parts or len({part.group for part in self.parts}) > 1:
            raise RepresentationError(
                f"a field is made of representations of one group; got {[repr(part) for part in self.parts]}."
            )
        for part, _ in self.blocks:
            images = part.matrix(torch.tensor([0, *part.group.generators.values()]))
            if images.is_complex() or (images @ images.mT - torch.eye(part.dim)).abs().max() > 1e-9:
                raise RepresentationError(
                    f"the parts of a field have real orthogonal matrices; those of {part.label} are not. Take "
                    "eq.reps.irreps(G, field='real'), or regular(G)."
                )
        _check_copies(self.copies)

    @property
    def group(self) -> Group:
        """The group that acts."""
        return self.parts[0].group

    @property
    def representation(self) -> DirectSumRepresentation:
        """How the group acts on the channels."""
        return DirectSumRepresentation(self.blocks)

    def action(self) -> Action:
        """How the group moves such fields, [B, dim, H, W]."""
        return compose(image(self.group), channels(self.representation))

    def gated(self) -> FieldType:
        """The same fields with a trivial gate for each part in front, as `GatedNonlinearity` takes them."""
        first = self.parts[0]
        gate = first if is_trivial(first) else trivial(self.group)
        return FieldType((gate,) * len(self.parts) + self.parts, self.copies)

    def invariants(self, part: Representation) -> Tensor:
        """An orthonormal basis of the vectors of a part that the group leaves alone, float64 [vectors, dim]."""
        return invariant_vectors(part)

    def trivial_channels(self) -> Tensor:
        """Which channels no element changes, bool [dim]."""
        return torch.cat([torch.full((self.copies * part.dim,), is_trivial(part)) for part in self.parts])


@dataclass(frozen=True, eq=False)
class SphericalFields(Fields):
    """Several copies of one field of irreps of SO(3), or of O(3), on a volume.

    A motion moves the points of the volume, and the channels by the irreps. On a grid of voxels this can be seen of those
    motions that map it to itself: see `action`.

    Attributes:
        parts: the irreps that make up one field, all of one group.
        copies: how many such fields there are.

    >>> from equilatent.bench.systems.steerable import spherical_irreps
    >>> fields = SphericalFields(spherical_irreps(2, inversion=False), 6)
    >>> fields.dim, fields.label, fields.gated().dim
    (54, '6 0 ⊕ 6 1 ⊕ 6 2', 72)
    """

    parts: tuple[SphericalIrrep, ...]
    copies: int
    axes: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if not self.parts or len({part.parity is None for part in self.parts}) > 1:
            raise RepresentationError(
                f"a field is made of irreps of one group; got {[part.label for part in self.parts]}."
            )
        _check_copies(self.copies)

    @property
    def inversion(self) -> bool:
        """Whether the group is O(3)."""
        return self.parts[0].parity is not None

    def gated(self) -> SphericalFields:
        """The same fields with a trivial gate for each part in front, as `GatedNonlinearity` takes them."""
        gate = SphericalIrrep(0, 1 if self.inversion else None)
        return SphericalFields((gate,) * len(self.parts) + self.parts, self.copies)

    def invariants(self, part: SphericalIrrep) -> Tensor:
        """An orthonormal basis of the vectors of a part that the group leaves alone, float64 [vectors, dim]."""
        return torch.eye(part.dim, dtype=torch.float64)[: int(part.is_trivial)]

    def action(self, group: Group) -> Action:
        """How a group of motions of the cube moves such fields, [B, dim, D, H, W].

        Args:
            group: octahedral(), or octahedral(inversion=True) for irreps with a parity.
        """
        motions = {x: torch.tensor(matrix, dtype=torch.float64)[None] for x, matrix in (group.defining or {}).items()}
        images = {
            x: torch.block_diag(
                *(matrix for part, n in self.blocks for matrix in part.matrices(motion).expand(n, -1, -1))
            )
            for x, motion in motions.items()
        }
        return compose(volume(group), channels(from_matrices(group, images, label=self.label)))


def _check_copies(copies: object) -> None:
    if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
        raise RepresentationError(f"there are a whole number of fields, at least 1; got copies={copies!r}.")


def is_trivial(rho: Representation) -> bool:
    """Whether a representation is the trivial one, of dimension 1."""
    return rho.dim == 1 and bool((rho.character - 1).abs().max() < 1e-9)
