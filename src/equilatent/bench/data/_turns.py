"""Images turned by any angle."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["turned"]


def turned(images: Tensor, angle: Tensor) -> Tensor:
    """Each image turned about its centre by bilinear interpolation; what comes from outside is zero.

    Args:
        images: real floating numbers [n, C, H, W].
        angle: in radians, [n].

    >>> turned(torch.eye(3)[None, None], torch.tensor([torch.pi / 2])).round().abs()[0, 0]
    tensor([[0., 0., 1.],
            [0., 1., 0.],
            [1., 0., 0.]])
    """
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    turns = torch.stack([cos, -sin, zero, sin, cos, zero], dim=-1).view(-1, 2, 3)
    grid = F.affine_grid(turns, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)
