"""Small random differences between two pictures of one thing, besides the group's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Jitter"]


@dataclass(frozen=True)
class Jitter:
    """How much images differ at most; each amount is drawn uniformly, anew for each image.

    Attributes:
        shift: pixels by which an image is shifted along each axis; what comes in is black.
        scale: the part by which it is made larger or smaller.
        crop: the part of its width and height that is cut away, before it is enlarged to its old size.
        contrast: the part by which differences from the image's mean are made larger or smaller.
        brightness: what is added to all pixels.
        colour: what is added to each channel besides.
        noise: the deviation of normal noise in each pixel.
    """

    shift: float = 0.0
    scale: float = 0.0
    crop: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    colour: float = 0.0
    noise: float = 0.0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images [B, C, H, W] from 0 to 1, each changed a little.

        >>> images = torch.rand(2, 3, 8, 8)
        >>> changed = Jitter(crop=0.1, colour=0.1)(images, torch.Generator().manual_seed(0))
        >>> changed.shape, bool((changed != images).any())
        (torch.Size([2, 3, 8, 8]), True)
        """

        def draw(*shape: int) -> Tensor:
            drawn = torch.rand(len(images), *shape, generator=generator, device=generator.device)
            return (2 * drawn - 1).to(images)

        if self.shift or self.scale or self.crop:
            amounts, maps = draw(3), images.new_zeros(len(images), 2, 3)
            part = 1 + self.scale * amounts[:, 0]
            maps[:, :, 2] = 2 * self.shift * amounts[:, 1:] / images.shape[-1]  # the image is 2 wide
            if self.crop:
                left = 1 - self.crop * draw(1).abs()
                part = part * left[:, 0]
                # As far as the centres of the outermost pixels, so that nothing comes in from outside.
                maps[:, :, 2] += (1 - left) * (1 - 1 / images.shape[-1]) * draw(2)
            maps[:, 0, 0] = maps[:, 1, 1] = part
            grid = F.affine_grid(maps, list(images.shape), align_corners=False)
            images = F.grid_sample(images, grid, align_corners=False)
        if self.contrast:
            mean = images.mean((1, 2, 3), keepdim=True)
            images = mean + (images - mean) * (1 + self.contrast * draw(1, 1, 1))
        if self.brightness or self.colour:
            images = images + self.brightness * draw(1, 1, 1) + self.colour * draw(images.shape[1], 1, 1)
        if self.noise:
            noise = torch.randn(images.shape, generator=generator, device=generator.device)
            images = images + self.noise * noise.to(images)
        return images.clamp(0, 1)
