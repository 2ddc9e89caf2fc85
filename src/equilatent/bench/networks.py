"""The networks of the paper's experiments, in its own PyTorch terms."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

__all__ = ["ddmnist_cnn"]


def ddmnist_cnn(features: int = 66, classes: int = 100) -> nn.Sequential:
    """The DDMNIST classifier of appendix C.1 for images [B, 1, 56, 56]; its latent is the output of ``encoder``.

    Args:
        features: width of the latent, the output of the last 1×1 convolution; 66 in the paper.
        classes: number of classes.

    >>> sum(parameter.numel() for parameter in ddmnist_cnn().parameters())
    33742
    """
    c = 6

    def block(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ELU())

    encoder = nn.Sequential(
        nn.Upsample(size=(57, 57)),
        block(1, c, 7, 1, 2),
        block(c, 2 * c, 5, 1, 2),
        nn.AvgPool2d(5, stride=2, padding=1),
        block(2 * c, 4 * c, 3, 2, 2),
        nn.AvgPool2d(5, stride=2, padding=1),
        block(4 * c, 6 * c, 3, 2, 0),
        block(6 * c, 6 * c, 3, 1, 1),
        nn.AvgPool2d(5, stride=1, padding=1),
        nn.Conv2d(6 * c, features, 1),
        nn.Flatten(),
    )
    head = nn.Sequential(nn.BatchNorm1d(features), nn.ELU(), nn.Linear(features, classes))
    return nn.Sequential(OrderedDict(encoder=encoder, head=head))
