"""DDMNIST: two digits side by side, each of which may be transformed on its own (paper, section 6.1 and appendix C.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from equilatent.bench.data._turns import turned
from equilatent.errors import DataError

__all__ = ["WINDOWS", "DigitPairs", "digit_pairs"]

#: Where the two digits are in an image of 56×56: slices of its rows and columns.
WINDOWS = ((slice(14, 42), slice(0, 28)), (slice(14, 42), slice(28, 56)))
#: What the images are normalised by (Veefkind & Cesa): of MNIST, where half of the image is empty.
_MEAN, _DEVIATION = 0.5 * 0.1307, math.sqrt(0.3081)
#: Images that are turned at once.
_BLOCK = 2048


@dataclass(frozen=True, eq=False)
class DigitPairs:
    """Pairs of digits.

    Attributes:
        images: normalised, float32 [N, 1, 56, 56], with the digits in ``WINDOWS``.
        classes: 10·left + right, LongTensor [N].
    """

    images: Tensor
    classes: Tensor


def digit_pairs(
    digits: Tensor, labels: Tensor, per_class: int, *, artefacts: bool, seed: int, limit: int | None = None
) -> DigitPairs:
    """Pairs of digits drawn uniformly, as many of each of the 100 classes, in random order.

    Args:
        digits: uint8 [n, 1, 28, 28].
        labels: 0 … 9, LongTensor [n].
        per_class: pairs in each class.
        artefacts: turn each digit by an angle from −180° to 180° and back, so that every image carries the traces of
            interpolation, and they do not tell which were transformed.
        seed: of what is drawn.
        limit: only the first so many pairs.

    Raises:
        DataError: if a digit from 0 to 9 is missing.

    >>> images, labels = torch.randint(256, (40, 1, 28, 28)).byte(), torch.arange(10).repeat(4)
    >>> pairs = digit_pairs(images, labels, 2, artefacts=True, seed=0)
    >>> list(pairs.images.shape), pairs.classes.bincount().unique().tolist()
    ([200, 1, 56, 56], [2])
    """
    if digits.dtype != torch.uint8 or digits.shape[1:] != (1, 28, 28) or len(labels) != len(digits):
        raise DataError(
            f"pairs are made of digits uint8 [n, 1, 28, 28] with n labels; got {digits.dtype} {list(digits.shape)} with "
            f"{len(labels)} labels."
        )
    missing = [digit for digit in range(10) if not (labels == digit).any()]
    if missing:
        raise DataError(f"pairs need every digit from 0 to 9; among {len(labels)} there is no {missing[0]}.")
    generator = torch.Generator().manual_seed(seed)
    members = [(labels == digit).nonzero()[:, 0].cpu() for digit in range(10)]
    classes = torch.arange(100).repeat_interleave(per_class)
    sides = []
    for side in (classes // 10, classes % 10):
        chosen = torch.empty(len(classes), dtype=torch.long)
        for digit, of_this in enumerate(members):
            of_digit = side == digit
            drawn = torch.randint(len(of_this), (int(of_digit.sum()),), generator=generator)
            chosen[of_digit] = of_this[drawn]
        sides.append(chosen)
    order = torch.randperm(len(classes), generator=generator)[:limit]
    # Drawn for all pairs, so that a limit changes no pair.
    angles = (2 * torch.rand(2, len(classes), generator=generator) - 1) * math.pi
    images = torch.full((len(order), 1, 56, 56), -_MEAN / _DEVIATION)
    for window, chosen, angle in zip(WINDOWS, sides, angles, strict=True):
        for block in torch.arange(len(order)).split(_BLOCK):
            rows = order[block]
            part = digits[chosen[rows]].float() / 255
            if artefacts:
                part = turned(turned(part, angle[rows]), -angle[rows])
            images[(block, slice(None), *window)] = (part - _MEAN) / _DEVIATION
    return DigitPairs(images, classes[order])
