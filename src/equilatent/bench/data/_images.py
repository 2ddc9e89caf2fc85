"""Images with their classes: what every loader returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equilatent.errors import DataError

__all__ = ["ImageData"]


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set of images or volumes, whole in memory.

    Attributes:
        name: of the data set.
        classes: number of classes.
        train_x: uint8 [N, C, H, W], or [N, 1, D, H, W] for volumes.
        train_y: classes 0 … `classes` − 1, LongTensor [N].
        test_x: as `train_x`.
        test_y: as `train_y`.
        val_x: the publisher's validation images; None if the publisher makes no such split.
        val_y: their classes.
        provenance: for the record of a run, made of what JSON holds: ``source``; ``files``, the digest of each and
            whether it is the published one; ``stand_in``, what this is if it is not the whole data set, else None.

    >>> from equilatent.bench.data import ImageData
    >>> x, y = torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 1, 0])
    >>> ImageData("squares", 2, x, y, x, y)
    ImageData('squares', 2 classes, [1, 2, 2]: 4 to train, 4 to test)
    """

    name: str
    classes: int
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    val_x: Tensor | None = None
    val_y: Tensor | None = None
    provenance: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if (self.val_x is None) != (self.val_y is None):
            raise DataError(f"{self.name}: val_x and val_y come together; got one of them.")
        for split, (x, y) in self.splits().items():
            if x.dtype != torch.uint8 or x.ndim not in (4, 5):
                raise DataError(
                    f"{self.name}: {split}_x is uint8 [N, C, H, W] or [N, C, D, H, W]; got {x.dtype} {list(x.shape)}."
                )
            if y.dtype != torch.int64 or y.shape != x.shape[:1]:
                raise DataError(
                    f"{self.name}: {split}_y is a LongTensor [{len(x)}], one class for each image; got {y.dtype} "
                    f"{list(y.shape)}."
                )
            if not len(x):
                raise DataError(f"{self.name}: there are no {split} images.")
            low, high = int(y.min()), int(y.max())
            if low < 0 or high >= self.classes:
                wrong = low if low < 0 else high
                raise DataError(f"{self.name}: the classes are 0 to {self.classes - 1}; {split}_y has a label {wrong}.")
            if x.shape[1:] != self.train_x.shape[1:]:
                expected, got = list(self.train_x.shape[1:]), list(x.shape[1:])
                raise DataError(f"{self.name}: all images are of shape {expected}, as in train_x; {split}_x has {got}.")

    def splits(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Images and classes by the name of the split: train, val if there is one, test."""
        val = {} if self.val_x is None or self.val_y is None else {"val": (self.val_x, self.val_y)}
        return {"train": (self.train_x, self.train_y), **val, "test": (self.test_x, self.test_y)}

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(x):,} to {split}" for split, (x, _) in self.splits().items())
        counts = counts.replace("to val", "to validate")
        return f"ImageData({self.name!r}, {self.classes} classes, {list(self.train_x.shape[1:])}: {counts})"
