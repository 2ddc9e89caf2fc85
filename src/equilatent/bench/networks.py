"""The networks of the paper's experiments as plain PyTorch modules."""

from __future__ import annotations

import itertools
from collections import OrderedDict

from torch import nn

from equilatent.bench.systems.ordinary import ordinary_classifier, ordinary_volume_classifier
from equilatent.bench.tasks.ddmnist import DdmnistConfig, network
from equilatent.bench.tasks.medmnist3d import residual_network

__all__ = ["ddmnist_cnn", "medmnist3d_cnn", "smoke_cnn"]


def ddmnist_cnn(features: int = 66) -> nn.Sequential:
    """The DDMNIST classifier of appendix C.1 for images [B, 1, 56, 56]; its latent is the output of ``encoder``.

    Args:
        features: width of the latent, the output of the last 1×1 convolution; 66 in the paper.

    >>> sum(parameter.numel() for parameter in ddmnist_cnn().parameters())
    33742
    """
    return ordinary_classifier(network(DdmnistConfig(features=features)))


def medmnist3d_cnn(classes: int = 2, *, width: int = 6) -> nn.Sequential:
    """The MedMNIST3D classifier of appendix C.2 for volumes [B, 1, 28, 28, 28]; its latent is the output of ``encoder``.

    Three residual blocks whose skips are bare convolutions, the second behind an average pooling. The latent has
    8·`width` features, before the batch norm of the head. The appendix gives width 6, which has 141,998 parameters for
    two classes; the 0.19 million of the paper's table 5 are those of width 7. As in the appendix, volumes are enlarged
    to 29³ by repeating voxels (the text of Veefkind & Cesa interpolates trilinearly), and the last pooling is over the
    3³ voxels that are there (theirs takes 5³ with padding 1, and so divides the same sum by 125).

    Args:
        classes: number of classes; 2 for Nodule3D and Synapse3D, 11 for Organ3D.
        width: c, the channels of the first convolution.

    >>> sum(parameter.numel() for parameter in medmnist3d_cnn().parameters())
    141998
    """
    return ordinary_volume_classifier(residual_network(classes, width))


def smoke_cnn(frames: int = 10, *, width: int = 92) -> nn.Sequential:
    """The SMOKE network of appendix C.3: velocities [B, 2·frames, H, W] to the next frame [B, 2, H, W].

    Five 3×3 convolutions; the first four, each with batch norm and ReLU, are the ``encoder``, whose output
    [B, width, H, W] is the latent. The paper's table 6 gives 0.25 million parameters.

    Args:
        frames: how many frames go in, two velocity components each.
        width: channels of the hidden layers.

    >>> sum(parameter.numel() for parameter in smoke_cnn().parameters())
    247850
    """
    channels = [2 * frames] + [width] * 4
    blocks = [
        nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())
        for inputs, outputs in itertools.pairwise(channels)
    ]
    return nn.Sequential(OrderedDict(encoder=nn.Sequential(*blocks), head=nn.Conv2d(width, 2, 3, padding=1)))
