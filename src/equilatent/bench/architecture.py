"""Networks as tables: a task says what they are made of, a system builds its own kind of layers from that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import nn

__all__ = [
    "LAYERS",
    "Block",
    "Classifier",
    "Conv",
    "EncoderDecoder",
    "FieldPredictor",
    "Pool",
    "Residual",
    "Resize",
    "VolumeClassifier",
    "WholeImageClassifier",
]

#: Layers of every network that is built from a `Classifier`, by what they are called on the command line: the latent, and
#: the norm behind it, with which the head begins. The latent of a `FieldPredictor` is its encoder, too.
LAYERS = {"encoder": "encoder", "norm": "head.0"}


@dataclass(frozen=True)
class Resize:
    """Images or volumes enlarged to a size in pixels.

    Steerable networks of images interpolate linearly whatever is said here, since nearest is not equivariant.
    """

    size: int
    interpolation: Literal["nearest", "linear"] = "nearest"


@dataclass(frozen=True)
class Conv:
    """A convolution with norm and nonlinearity; of a steerable network, `channels` fields instead of channels.

    The frequency is the highest one in these fields, where the group has irreps of higher ones; None for all that the
    network uses.
    """

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    frequency: int | None = None


@dataclass(frozen=True)
class Pool:
    """A pooling: by the mean, or by a smooth window where that is needed for equivariance."""

    kernel: int
    stride: int
    padding: int


Block: TypeAlias = Resize | Conv | Pool


@dataclass(frozen=True)
class Residual:
    """The sum of two paths through the same input.

    Attributes:
        main: convolutions with norm and nonlinearity, and pools.
        skip: the same, but that its convolutions have no norm, and in an ordinary network no nonlinearity.
    """

    main: tuple[Conv | Pool, ...]
    skip: tuple[Conv | Pool, ...]


@dataclass(frozen=True)
class Classifier:
    """A classifier of images [B, channels, H, W].

    Its encoder is the blocks and a last 1×1 convolution to the features, the latent; its head is batch norm, ELU and a
    linear layer.

    Attributes:
        blocks: the table.
        features: width of the latent.
        classes: number of classes.
        channels: of an image.
    """

    blocks: tuple[Block, ...]
    features: int
    classes: int
    channels: int = 1


@dataclass(frozen=True)
class WholeImageClassifier(Classifier):
    """A `Classifier` of square images on which the group acts as a whole, so that an encoder can be exactly equivariant.

    Attributes:
        side: of an image, in pixels.
    """

    side: int = 28


@dataclass(frozen=True)
class VolumeClassifier:
    """A classifier of volumes [B, channels, D, H, W].

    Its encoder is the blocks, of which the last is residual and leads to the features, the latent: the last convolution of
    either path has neither norm nor nonlinearity, and leaves one voxel. Its head is batch norm, ELU and a linear layer.

    Attributes:
        blocks: the table.
        classes: number of classes.
        channels: of a volume.
    """

    blocks: tuple[Resize | Pool | Residual, ...]
    classes: int
    channels: int = 1

    @property
    def features(self) -> int:
        """Width of the latent."""
        last = self.blocks[-1]
        assert isinstance(last, Residual) and isinstance(last.main[-1], Conv)
        return last.main[-1].channels


@dataclass(frozen=True)
class FieldPredictor:
    """A network from several frames of a vector field, [B, 2·frames, side, side], to the next, [B, 2, side, side].

    Channels are the two components (x, y) of each frame in turn. Its encoder is the blocks, which keep the size of the grid,
    its head a last convolution; systems that have no such parts leave them out.

    Attributes:
        blocks: the hidden convolutions.
        head: kernel of the last one, which is padded to keep the size.
        frames: how many go in.
        side: points of the grid along each axis.
    """

    blocks: tuple[Conv, ...]
    head: int = 3
    frames: int = 10
    side: int = 64


@dataclass(frozen=True)
class EncoderDecoder:
    """A network in two parts, in plain PyTorch.

    Attributes:
        make: the encoder and the decoder, with their first weights.
    """

    make: Callable[[], tuple[nn.Module, nn.Module]]
