"""Predictors of vector fields from layers that are equivariant, or nearly so."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from equilatent.actions import image
from equilatent.bench.architecture import Conv, FieldPredictor
from equilatent.bench.systems.penalised import SteerableNetwork
from equilatent.bench.systems.steerable import FieldNorm, FieldType
from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.reps import regular

__all__ = ["LiftedEncoder", "Norm", "channel_norm", "lifted_predictor", "steerable_predictor", "vector_fields"]

Norm: TypeAlias = Callable[[FieldType], nn.Module]


def vector_fields(group: Group, frames: int) -> FieldType:
    """The channels (x, y) of several frames: x points to the right, y downwards, as the rows of an array go.

    The group acts on them as ``eq.actions.vector_field(group, components=(1, 0))`` does.

    >>> import equilatent as eq
    >>> vector_fields(eq.groups.cyclic(4), 1).representation.matrix(1)   # a quarter turn: (x, y) becomes (y, -x)
    tensor([[ 0.,  1.],
            [-1.,  0.]], dtype=torch.float64)
    """
    return FieldType((image(group).components((1, 0)),), frames)


def channel_norm(fields: FieldType) -> nn.Module:
    """Ordinary batch norm, which treats each channel by itself and so is not equivariant."""
    return nn.BatchNorm2d(fields.dim)


def steerable_predictor(
    architecture: FieldPredictor, group: Group, convolution: Callable[..., nn.Module], norm: Norm | None = FieldNorm
) -> SteerableNetwork:
    """Convolutions with norm and ReLU on regular fields, and a last one to a vector field.

    ReLU acts on each channel by itself, which commutes with the permutations of a regular field. With `SteerableConv2d` and
    `FieldNorm` the whole is equivariant exactly, on a grid of any size.

    Args:
        architecture: the table; its channels are fields here, of as many channels each as the group has elements.
        group: one that acts by `actions.image`, such as cyclic(4).
        convolution: the kind of its convolutions.
        norm: the norm of fields, or None for no norm at all.

    >>> import equilatent as eq
    >>> from equilatent.bench.systems.steerable import SteerableConv2d
    >>> table = FieldPredictor((Conv(3, 3, padding=1),), frames=2, side=8)
    >>> network = steerable_predictor(table, eq.groups.cyclic(4), SteerableConv2d)
    >>> x = torch.zeros(5, 4, 8, 8)
    >>> list(network.encoder(x).shape), list(network(x).shape)
    ([5, 12, 8, 8], [5, 2, 8, 8])
    """
    blocks, fields = _blocks(architecture.blocks, vector_fields(group, architecture.frames), convolution, norm)
    return SteerableNetwork(nn.Sequential(OrderedDict(blocks)), _last(architecture, fields, convolution))


class LiftedEncoder(nn.Module):
    """Equivariant layers, and features of an ordinary encoder of the whole field between them (Wang, Walters & Yu 2022).

    Attributes:
        before: layers on the frames [B, 2·frames, H, W].
        lift: the same frames to features [B, d], which are repeated at each point behind the channels of `before`.
        after: layers on both.
    """

    def __init__(self, before: nn.Module, lift: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.before, self.lift, self.after = before, lift, after

    def forward(self, x: Tensor) -> Tensor:
        """The latent of frames [B, 2·frames, H, W]."""
        local = self.before(x)
        everywhere = self.lift(x)[:, :, None, None].expand(-1, -1, *local.shape[2:])
        # Joined to an expanded tensor, which has no memory format, channels that come last in memory would no longer do so.
        everywhere = everywhere.contiguous(memory_format=torch.channels_last)
        latent: Tensor = self.after(torch.cat([local, everywhere], 1))
        return latent


def lifted_predictor(
    architecture: FieldPredictor, group: Group, convolution: Callable[..., nn.Module], norm: Norm | None = FieldNorm
) -> SteerableNetwork:
    """`steerable_predictor` with a `LiftedEncoder`, whose ordinary part joins the second half of the blocks.

    That part is three linear layers, with batch norm and ReLU between them, as wide as the last block of the first half has
    fields. Its d features are taken for d/|G| regular fields, which they need not be.

    Args:
        architecture: as of `steerable_predictor`.
        group: as there.
        convolution: as there.
        norm: as there.

    Raises:
        RepresentationError: if d is no multiple of the order of the group.

    >>> import equilatent as eq
    >>> from equilatent.bench.systems.steerable import SteerableConv2d
    >>> table = FieldPredictor((Conv(8, 3, padding=1),) * 4, frames=2, side=8)
    >>> network = lifted_predictor(table, eq.groups.cyclic(4), SteerableConv2d)
    >>> list(network.encoder.lift(torch.zeros(5, 4, 8, 8)).shape), list(network(torch.zeros(5, 4, 8, 8)).shape)
    ([5, 8], [5, 2, 8, 8])
    """
    half = -(-len(architecture.blocks) // 2)
    before, fields = _blocks(architecture.blocks[:half], vector_fields(group, architecture.frames), convolution, norm)
    width = fields.copies
    if width % group.order:
        raise RepresentationError(
            f"the {width} features of the ordinary encoder should be regular fields of {group.label}, a multiple of "
            f"{group.order}. Change the channels of block {half}."
        )
    joined = FieldType(fields.parts, width + width // group.order)
    after, fields = _blocks(architecture.blocks[half:], joined, convolution, norm, first=half + 1)
    numbers = 2 * architecture.frames * architecture.side**2
    lift = nn.Sequential(
        *(nn.Flatten(), nn.Linear(numbers, width), nn.BatchNorm1d(width), nn.ReLU()),
        *(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width)),
    )
    encoder = LiftedEncoder(nn.Sequential(OrderedDict(before)), lift, nn.Sequential(OrderedDict(after)))
    return SteerableNetwork(encoder, _last(architecture, fields, convolution))


def _blocks(
    blocks: tuple[Conv, ...],
    fields: FieldType,
    convolution: Callable[..., nn.Module],
    norm: Norm | None,
    first: int = 1,
) -> tuple[dict[str, nn.Module], FieldType]:
    """Blocks by name, and the fields that come out of the last one."""
    made: dict[str, nn.Module] = {}
    rho = regular(fields.group)
    for number, block in enumerate(blocks, start=first):
        wanted = FieldType((rho,), block.channels)
        layers = {"conv": convolution(fields, wanted, block.kernel, stride=block.stride, padding=block.padding)}
        if norm is not None:
            layers["norm"] = norm(wanted)
        layers["relu"] = nn.ReLU()
        made[f"block{number}"] = nn.Sequential(OrderedDict(layers))
        fields = wanted
    return made, fields


def _last(architecture: FieldPredictor, fields: FieldType, convolution: Callable[..., nn.Module]) -> nn.Module:
    return convolution(fields, vector_fields(fields.group, 1), architecture.head, padding=architecture.head // 2)
