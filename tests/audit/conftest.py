"""Small data with a symmetry that is known, and a probe that is fitted in a moment."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from audit_data import linear
from torch import Tensor


@pytest.fixture
def quick() -> dict[str, Any]:
    """A linear probe for images of 4 pixels, and a budget that suffices for it."""
    return {"probe": linear(4), "steps": 80, "rate": 0.1, "folds": 2}


@pytest.fixture
def sides() -> tuple[Tensor, Tensor]:
    """Images of 2×2 pixels; the label says whether the left side is the brighter one, which a mirror swaps."""
    x = torch.rand(600, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return x, (x[..., 0].sum((1, 2)) > x[..., 1].sum((1, 2))).long()


@pytest.fixture
def labelled_pixels() -> tuple[Tensor, Tensor]:
    """Images of 2×2 pixels with values 0 … 2, the first of which is the label in 9 of 10 images."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(3, (200, 1, 2, 2), generator=generator).float()
    y = x[:, 0, 0, 0].long()
    y[::10] = (y[::10] + 1) % 3
    return x, y
