"""A rival that is equivariant by construction: group convolutions from the table of the task, and an equivariant latent."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.architecture import Block, Conv, Pool, WholeImageClassifier
from equilatent.bench.harness.task import Problem
from equilatent.bench.systems.latent_term import LatentTerm, two_views
from equilatent.errors import ActionError, RepresentationError
from equilatent.groups import Group

__all__ = ["GroupConv2d", "GroupConvolutions", "RegularNorm", "group_classifier"]


class GroupConv2d(nn.Module):
    """Correlation with every transformed copy of each filter, [B, in·|G|, H, W] to [B, out·|G|, H', W'].

    The channel (o, h) is correlated with h times filter o. A lifting convolution takes plain channels, [B, in, H, W].
    Cohen and Welling, "Group Equivariant Convolutional Networks" (2016).
    """

    def __init__(
        self,
        group: Group,
        inputs: int,
        outputs: int,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        lifting: bool = False,
    ) -> None:
        super().__init__()
        image = eq.actions.image(group)
        channels = inputs if lifting else inputs * group.order
        self.act = image if lifting else eq.actions.compose(image, eq.reps.padded_regular(group, channels))
        self.weight = nn.Parameter(torch.empty(outputs, channels, size, size))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.register_buffer("elements", group.elements, persistent=False)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """The correlations; channels of one filter stand together."""
        elements = self.get_buffer("elements")
        copies = self.weight.repeat_interleave(len(elements), 0)
        filters = self.act(copies, elements.repeat(len(self.weight)))
        return F.conv2d(x, filters, stride=self.stride, padding=self.padding)


class RegularNorm(nn.BatchNorm1d):
    """Batch norm of [B, copies·|G|, …] with common statistics and weights for a copy, so that it commutes with ρ."""

    def forward(self, x: Tensor) -> Tensor:
        """Each copy, normalised over samples, elements and positions."""
        return super().forward(x.reshape(len(x), self.num_features, -1)).view(x.shape)


def group_classifier(architecture: WholeImageClassifier, group: Group) -> nn.Sequential:
    """The table in group convolutions: as many channels in every layer, |G| times fewer weights; ``encoder`` and ``head``.

    The latent, the output of the head's norm, is exactly copies of the regular representation, before any training.

    Args:
        architecture: the table. Channels are rounded up to whole copies of the regular representation.
        group: cyclic(4), dihedral(4), or another group that acts by `actions.image`.

    Raises:
        RepresentationError: if the features are no whole number of copies.
        ActionError: for a block that does not cover its input evenly, or that is neither convolution nor pooling.

    >>> import equilatent as eq
    >>> table = WholeImageClassifier((Conv(16, 4, 2, 1), Conv(16, 4)), features=80, classes=5, side=8)
    >>> network = group_classifier(table, eq.groups.dihedral(4))
    >>> network(torch.zeros(2, 1, 8, 8)).shape, sum(weights.numel() for weights in network.encoder.parameters())
    (torch.Size([2, 5]), 712)
    """
    if architecture.features % group.order:
        raise RepresentationError(
            f"features={architecture.features} should be copies of the regular representation of {group.label}, a multiple "
            f"of {group.order}."
        )
    copies = architecture.features // group.order
    layers: list[nn.Module] = []
    side, channels, lifting = architecture.side, architecture.channels, True
    for block in architecture.blocks:
        side = _covered(block, side)
        if isinstance(block, Pool):
            layers.append(nn.AvgPool2d(block.kernel, stride=block.stride, padding=block.padding))
        elif isinstance(block, Conv):
            fields = -(-block.channels // group.order)
            sizes = {"stride": block.stride, "padding": block.padding}
            convolution = GroupConv2d(group, channels, fields, block.kernel, lifting=lifting, **sizes)
            layers += [convolution, RegularNorm(fields), nn.ELU()]
            channels, lifting = fields, False
    encoder = nn.Sequential(*layers, GroupConv2d(group, channels, copies, 1, lifting=lifting), nn.Flatten())
    head = nn.Sequential(RegularNorm(copies), nn.ELU(), nn.Linear(architecture.features, architecture.classes))
    return nn.Sequential(OrderedDict(encoder=encoder, head=head))


def _covered(block: Block, side: int) -> int:
    """The side of what a block makes of images of that side, refused if it does not cover them evenly."""
    if not isinstance(block, Conv | Pool):
        raise ActionError(f"{block} is neither convolution nor pooling; group convolutions are made of these.")
    steps, rest = divmod(side + 2 * block.padding - block.kernel, block.stride)
    if rest:
        raise ActionError(
            f"{block} leaves out {rest} of the rows and columns at one end of {side}×{side} pixels, so that it does not "
            "commute with turns. Change its kernel, stride or padding."
        )
    return steps + 1


class GroupConvolutions(LatentTerm):
    """Group convolutions on two views of every sample, with the terms of `ours` but for the latent term, which they meet."""

    name = "exact"
    title = "group convolutions, whose latent is exactly copies of the regular representation"
    builds = (WholeImageClassifier,)

    def __init__(self, problem: Problem, architecture: WholeImageClassifier, config: Any, seed: int) -> None:
        self.problem = problem
        self.model = group_classifier(architecture, problem.group)
        self.latent = eq.reps.padded_regular(problem.group, architecture.features).to(problem.device)
        self.objective = two_views(problem, config, self.latent, 0.0)
