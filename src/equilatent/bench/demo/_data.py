"""The demo's digits, and what is asked about those that no training has seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from equilatent.actions import Action
from equilatent.bench.demo._config import DemoConfig
from equilatent.bench.digits import Digits, load_digits, split_digits
from equilatent.bench.jitter import Jitter

__all__ = ["JITTER", "SEEN", "DemoData", "Questions", "chosen", "load_data", "make_questions"]

#: The digits 0 … 4 train the encoders; 5 … 9 are new to them.
SEEN = 5
#: By how much queries differ from the items that they show, in images of 14×14 pixels.
JITTER = Jitter(shift=0.5, scale=0.05, noise=0.05)


@dataclass(frozen=True)
class DemoData:
    """Digits of 28×28 pixels; none is in two of the three sets."""

    train: Digits
    validation: Digits
    test: Digits


@dataclass(frozen=True)
class Questions:
    """What every encoder is asked, in images of 14×14 pixels.

    Attributes:
        fit: training digits 0 … 4, upright, on which linear maps are fitted.
        few: a few training digits 5 … 9, upright, labelled 0 … 4, on which heads are trained.
        known: held-out digits 0 … 4, upright.
        new: held-out digits 5 … 9, upright, labelled 0 … 4.
        index: all held-out digits, upright, [N, 1, 14, 14].
        queries: the same, jittered, and then each transformed by its element.
        elements: these elements, LongTensor [N].
    """

    fit: Digits
    few: Digits
    known: Digits
    new: Digits
    index: Tensor
    queries: Tensor
    elements: Tensor


def load_data(device: torch.device, limit: int | None = None) -> DemoData:
    """60% of the digits for training, 20% for validation, 20% for test, with the same share of every class."""
    digits = load_digits(28)
    count = len(digits.labels)
    rows = torch.linspace(0, count - 1, min(limit or count, count)).long()
    return DemoData(
        *split_digits(Digits(digits.images[rows].to(device), digits.labels[rows].to(device), digits.source))
    )


def chosen(digits: Digits, *, new: bool) -> Digits:
    """The digits 0 … 4, or the new ones 5 … 9 labelled 0 … 4 as well; in 14×14 pixels, so that training takes seconds."""
    rows = (digits.labels >= SEEN) == new
    return Digits(F.avg_pool2d(digits.images[rows], 2), digits.labels[rows] - SEEN * new, digits.source)


def make_questions(train: Digits, held_out: Digits, act: Action, config: DemoConfig, seed: int) -> Questions:
    """Questions about held-out digits; the seed draws their poses, and the few images of new digits."""
    generator = torch.Generator().manual_seed(seed)
    pool, index = chosen(train, new=True), F.avg_pool2d(held_out.images, 2)
    order = torch.randperm(len(pool.labels), generator=generator).to(index.device)
    rows = torch.cat([order[pool.labels[order] == label][: config.examples] for label in range(SEEN)])
    few = Digits(pool.images[rows], pool.labels[rows], pool.source)
    known, new = chosen(held_out, new=False), chosen(held_out, new=True)
    elements = act.group.sample(len(index), generator=generator, device=index.device)
    queries = act(JITTER(index, generator), elements)
    return Questions(chosen(train, new=False), few, known, new, index, queries, elements)
