"""The demo's networks: a small classifier, the same built to be exactly equivariant, and an autoencoder."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.groups import Group

__all__ = ["COPIES", "GroupConv2d", "RegularNorm", "autoencoder", "classifier", "exact_classifier"]

#: Copies of the regular representation in the classifiers' latent: 80 features under D4.
COPIES = 10
#: The same in the autoencoders' latent.
AUTOENCODER_COPIES = 16
#: Hidden units on either side of it.
HIDDEN = 512


def classifier(group: Group, classes: int) -> nn.Module:
    """Images [B, 1, 14, 14] to scores: ``encoder``, ``norm``, whose output is the latent, and ``head``."""
    features = COPIES * group.order
    layers: list[nn.Module] = []
    convolutions = (nn.Conv2d(1, 24, 4, stride=2, padding=1), nn.Conv2d(24, 32, 3, padding=1), nn.Conv2d(32, 24, 3))
    for convolution in convolutions:
        layers += [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]
    layers += [nn.Flatten(), nn.Linear(24 * 5 * 5, features)]
    network = _with_head(nn.Sequential(*layers), nn.BatchNorm1d(features), features, classes)
    for convolution in convolutions:  # a third faster on most processors
        convolution.weight.data = convolution.weight.data.to(memory_format=torch.channels_last)
    return network


def exact_classifier(group: Group, classes: int) -> nn.Module:
    """The same in group convolutions: its latent is exactly copies of the regular representation, before any training.

    Cohen and Welling, "Group Equivariant Convolutional Networks" (2016). The last layer covers the whole map.
    """
    layers: list[nn.Module] = []
    convolutions = (
        GroupConv2d(group, 1, 4, 4, stride=2, padding=1, lifting=True),
        GroupConv2d(group, 4, 6, 3, padding=1),
    )
    for convolution in convolutions:
        layers += [convolution, RegularNorm(len(convolution.weight)), nn.ReLU()]
    layers += [GroupConv2d(group, 6, COPIES, 7), nn.Flatten()]
    return _with_head(nn.Sequential(*layers), RegularNorm(COPIES), COPIES * group.order, classes)


def autoencoder(group: Group, side: int) -> nn.Module:
    """Images [B, 1, side, side] to such images: ``encoder``, whose output is the latent, and ``decoder``."""
    features, hidden, pixels = AUTOENCODER_COPIES * group.order, HIDDEN, side * side
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, features))
    decoder = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, pixels), nn.Sigmoid())
    return nn.Sequential(OrderedDict(encoder=encoder, decoder=decoder.append(nn.Unflatten(1, (1, side, side)))))


class GroupConv2d(nn.Module):
    """Correlation with every transformed copy of each filter, [B, in·|G|, H, W] to [B, out·|G|, H', W'].

    The channel (o, h) is correlated with h times filter o. A lifting convolution takes plain channels, [B, in, H, W].
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


def _with_head(encoder: nn.Module, norm: nn.Module, features: int, classes: int) -> nn.Module:
    head = nn.Sequential(nn.ReLU(), nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, classes))
    return nn.Sequential(OrderedDict(encoder=encoder, norm=norm, head=head))
