"""What the channels of an image stand for: copies of one field."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from equilatent.actions import Action, channels, compose, image
from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.reps import DirectSumRepresentation, Representation, trivial

__all__ = ["FieldType", "is_trivial"]


@dataclass(frozen=True, eq=False)
class FieldType:
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
        if isinstance(self.copies, bool) or not isinstance(self.copies, int) or self.copies < 1:
            raise RepresentationError(f"there are a whole number of fields, at least 1; got copies={self.copies!r}.")

    @property
    def group(self) -> Group:
        """The group that acts."""
        return self.parts[0].group

    @property
    def dim(self) -> int:
        """The number of channels."""
        return self.copies * sum(part.dim for part in self.parts)

    @cached_property
    def blocks(self) -> tuple[tuple[Representation, int], ...]:
        """The representations and their multiplicities in the order of the channels, equal neighbours joined."""
        runs = [list(same) for _, same in itertools.groupby(self.parts, key=id)]
        return tuple((run[0], self.copies * len(run)) for run in runs)

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

    def field_of_channel(self) -> Tensor:
        """The field to which each channel belongs, LongTensor [dim]."""
        fields = torch.arange(self.copies)
        return torch.cat([fields.repeat_interleave(part.dim) for part in self.parts])

    def trivial_channels(self) -> Tensor:
        """Which channels no element changes, bool [dim]."""
        return torch.cat([torch.full((self.copies * part.dim,), is_trivial(part)) for part in self.parts])


def is_trivial(rho: Representation) -> bool:
    """Whether a representation is the trivial one, of dimension 1."""
    return rho.dim == 1 and bool((rho.character - 1).abs().max() < 1e-9)
