"""Ordinary layers from a task's table."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from equilatent.bench.architecture import (
    Classifier,
    Conv,
    FieldPredictor,
    Pool,
    Residual,
    Resize,
    VolumeClassifier,
)

__all__ = [
    "ResidualBlock",
    "classification_head",
    "ordinary_classifier",
    "ordinary_network",
    "ordinary_predictor",
    "ordinary_residual",
    "ordinary_volume_classifier",
    "perceptron",
]


def ordinary_network(architecture: Any) -> nn.Sequential:
    """The ordinary network of an architecture: ``encoder`` and ``head``."""
    if isinstance(architecture, Classifier):
        return ordinary_classifier(architecture)
    if isinstance(architecture, VolumeClassifier):
        return ordinary_volume_classifier(architecture)
    return ordinary_predictor(architecture)


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
            layers.append(_convolution(channels, block, nn.ELU()))
            channels = block.channels
    encoder = nn.Sequential(*layers, nn.Conv2d(channels, architecture.features, 1), nn.Flatten())
    head = classification_head(architecture.features, architecture.classes)
    return nn.Sequential(OrderedDict(encoder=encoder, head=head))


def ordinary_volume_classifier(architecture: VolumeClassifier) -> nn.Sequential:
    """Residual blocks of 3D convolutions with batch norm and ELU, pooling by the mean; ``encoder`` and ``head``.

    >>> import torch
    >>> from equilatent.bench.architecture import Conv, Residual, VolumeClassifier
    >>> table = VolumeClassifier((Residual((Conv(4, 3), Conv(8, 1)), (Conv(8, 3),)),), classes=2)
    >>> list(ordinary_volume_classifier(table)(torch.zeros(5, 1, 3, 3, 3)).shape)
    [5, 2]
    """
    layers: list[nn.Module] = []
    channels = architecture.channels
    for number, block in enumerate(architecture.blocks, 1):
        if isinstance(block, Resize):
            layers.append(resized_volume(block))
        elif isinstance(block, Pool):
            layers.append(_mean_of_voxels(block))
        else:
            layers.append(ordinary_residual(block, channels, last=number == len(architecture.blocks)))
            channels = _channels_behind(block)
    encoder = nn.Sequential(*layers, nn.Flatten())
    head = classification_head(architecture.features, architecture.classes)
    return nn.Sequential(OrderedDict(encoder=encoder, head=head))


def ordinary_residual(
    table: Residual, channels: int, *, last: bool, skip: type[nn.Module] | None = None
) -> ResidualBlock:
    """A residual block of ordinary 3D layers.

    Args:
        table: its two paths.
        channels: that come in.
        last: whether its last convolutions have neither norm nor nonlinearity.
        skip: the nonlinearity of its skip, if that has one.
    """
    paths = []
    for path, normed in ((table.main, True), (table.skip, False)):
        layers: list[nn.Module] = []
        width = channels
        for number, block in enumerate(path, 1):
            if isinstance(block, Pool):
                layers.append(_mean_of_voxels(block))
                continue
            convolution = nn.Conv3d(width, block.channels, block.kernel, stride=block.stride, padding=block.padding)
            width = block.channels
            if last and number == len(path):
                layers.append(convolution)
            elif normed:
                layers.append(nn.Sequential(convolution, nn.BatchNorm3d(width), nn.ELU()))
            else:
                layers += [convolution, skip()] if skip else [convolution]
        paths.append(nn.Sequential(*layers) if len(layers) > 1 else layers[0])
    return ResidualBlock(*paths)


def resized_volume(block: Resize) -> nn.Module:
    """Volumes enlarged to the size of the table."""
    if block.interpolation == "linear":
        return nn.Upsample(size=(block.size,) * 3, mode="trilinear")
    return nn.Upsample(size=(block.size,) * 3)


class ResidualBlock(nn.Module):
    """The sum of a block and its skip."""

    def __init__(self, block: nn.Module, skip: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """Both paths of x [B, C, D, H, W]."""
        total: Tensor = self.block(x) + self.skip(x)
        return total


def ordinary_predictor(architecture: FieldPredictor) -> nn.Sequential:
    """Convolutions with batch norm and ReLU, and a last one; ``encoder`` and ``head``.

    >>> import torch
    >>> from equilatent.bench.architecture import Conv, FieldPredictor
    >>> network = ordinary_predictor(FieldPredictor((Conv(8, 3, padding=1),), frames=2, side=16))
    >>> list(network(torch.zeros(5, 4, 16, 16)).shape)
    [5, 2, 16, 16]
    """
    layers: list[nn.Module] = []
    channels = 2 * architecture.frames
    for block in architecture.blocks:
        layers.append(_convolution(channels, block, nn.ReLU()))
        channels = block.channels
    head = nn.Conv2d(channels, 2, architecture.head, padding=architecture.head // 2)
    return nn.Sequential(OrderedDict(encoder=nn.Sequential(*layers), head=head))


def perceptron(architecture: FieldPredictor) -> nn.Sequential:
    """Linear layers on the flattened frames, as wide as the channels of the blocks; ``encoder`` and ``head``.

    Each but the last is followed by batch norm and ReLU.

    >>> import torch
    >>> from equilatent.bench.architecture import Conv, FieldPredictor
    >>> network = perceptron(FieldPredictor((Conv(8, 3, padding=1),), frames=2, side=16))
    >>> list(network.encoder(torch.zeros(5, 4, 16, 16)).shape), list(network(torch.zeros(5, 4, 16, 16)).shape)
    ([5, 8], [5, 2, 16, 16])
    """
    layers: list[nn.Module] = [nn.Flatten()]
    side = architecture.side
    width = 2 * architecture.frames * side**2
    for block in architecture.blocks:
        layers += [nn.Linear(width, block.channels), nn.BatchNorm1d(block.channels), nn.ReLU()]
        width = block.channels
    head = nn.Sequential(nn.Linear(width, 2 * side**2), nn.Unflatten(1, (2, side, side)))
    return nn.Sequential(OrderedDict(encoder=nn.Sequential(*layers), head=head))


def classification_head(features: int, classes: int) -> nn.Sequential:
    """Class scores from features [B, features]: batch norm, ELU, a linear layer."""
    return nn.Sequential(nn.BatchNorm1d(features), nn.ELU(), nn.Linear(features, classes))


def _mean_of_voxels(block: Pool) -> nn.Module:
    return nn.AvgPool3d(block.kernel, stride=block.stride, padding=block.padding)


def _channels_behind(block: Residual) -> int:
    return [each.channels for each in block.main if isinstance(each, Conv)][-1]


def _convolution(channels: int, block: Conv, nonlinearity: nn.Module) -> nn.Sequential:
    convolution = nn.Conv2d(channels, block.channels, block.kernel, stride=block.stride, padding=block.padding)
    return nn.Sequential(convolution, nn.BatchNorm2d(block.channels), nonlinearity)
