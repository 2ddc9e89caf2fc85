"""The demo's networks: a small classifier, the same built to be exactly equivariant, and an autoencoder."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from equilatent.bench.systems.group_convolutions import GroupConv2d, RegularNorm
from equilatent.groups import Group

__all__ = ["COPIES", "autoencoder", "classifier", "exact_classifier"]

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

    The last layer covers the whole map.
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


def _with_head(encoder: nn.Module, norm: nn.Module, features: int, classes: int) -> nn.Module:
    head = nn.Sequential(nn.ReLU(), nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, classes))
    return nn.Sequential(OrderedDict(encoder=encoder, norm=norm, head=head))
