"""Data and probes for the tests of the audit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


def linear(features: int, classes: int = 2) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Flatten(), nn.Linear(features, classes))


def digits(*classes: int) -> tuple[Tensor, Tensor]:
    """Digits of scikit-learn, [N, 1, 8, 8], numbered in the order in which their classes are given."""
    data = pytest.importorskip("sklearn.datasets")
    images, targets = data.load_digits(return_X_y=True)
    y = torch.from_numpy(targets)
    x = torch.from_numpy(images).float().view(-1, 1, 8, 8) / 16
    kept = torch.isin(y, torch.tensor(classes))
    number = torch.full((10,), -1)
    number[list(classes)] = torch.arange(len(classes))
    return x[kept], number[y[kept]]


class PixelReader(nn.Module):
    """Says the class that the first pixel holds, with certainty given by a score; its one parameter does nothing."""

    def __init__(self, classes: int, score: float = 2.0) -> None:
        super().__init__()
        self.classes, self.score = classes, score
        self.idle = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        read = x[:, 0, 0, 0].round().long().clamp(0, self.classes - 1)
        return self.score * nn.functional.one_hot(read, self.classes).to(x.dtype) + 0 * self.idle
