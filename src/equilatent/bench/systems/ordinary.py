"""Ordinary layers from a task's table."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from equilatent.bench.architecture import Classifier, Conv, Pool, Resize

__all__ = ["classification_head", "ordinary_classifier"]


def ordinary_classifier(architecture: Classifier) -> nn.Sequential:
    """Convolutions with batch norm and ELU, pooling by the mean; ``encoder`` and ``head``.

    >>> from equilatent.bench.architecture import Classifier, Conv
    >>> network = ordinary_classifier(Classifier((Conv(4, 3),), features=8, classes=2))
    >>> [name for name, _ in network.named_children()]
    ['encoder', 'head']
    """
    layers: list[nn.Module] = []
    channels = architecture.channels
    for block in architecture.blocks:
        if isinstance(block, Resize):
            layers.append(nn.Upsample(size=(block.size, block.size)))
        elif isinstance(block, Pool):
            layers.append(nn.AvgPool2d(block.kernel, stride=block.stride, padding=block.padding))
        else:
            layers.append(_convolution(channels, block))
            channels = block.channels
    encoder = nn.Sequential(*layers, nn.Conv2d(channels, architecture.features, 1), nn.Flatten())
    head = classification_head(architecture.features, architecture.classes)
    return nn.Sequential(OrderedDict(encoder=encoder, head=head))


def classification_head(features: int, classes: int) -> nn.Sequential:
    """Class scores from features [B, features]: batch norm, ELU, a linear layer."""
    return nn.Sequential(nn.BatchNorm1d(features), nn.ELU(), nn.Linear(features, classes))


def _convolution(channels: int, block: Conv) -> nn.Sequential:
    convolution = nn.Conv2d(channels, block.channels, block.kernel, stride=block.stride, padding=block.padding)
    return nn.Sequential(convolution, nn.BatchNorm2d(block.channels), nn.ELU())
