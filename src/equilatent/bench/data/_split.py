"""Which samples are held out for validation."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["held_out"]


def held_out(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which of so many samples are for training, and the tenth that is for validation; the same for all seeds."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).to(device)
    size = max(1, count // 10)
    return order[size:], order[:size]
