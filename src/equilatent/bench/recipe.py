"""What an experiment is, and what the runner needs of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equilatent.bench.comparison import Comparison
from equilatent.bench.config import RunConfig

__all__ = ["Experiment", "Recipe"]


class Recipe(ABC):
    """One cell of an experiment, made ready: data on the device, a network with its first weights, and how to train it.

    Whatever is drawn comes from a generator that the runner seeds from the run's seed and the epoch, so that a run that is
    resumed after an epoch draws what it would have drawn.

    Attributes:
        model: everything that is trained and saved.
        samples: how many training samples an epoch has; a batch is given as their indices.
        provenance: which files the data come from, for the record.
    """

    model: nn.Module
    samples: int
    provenance: Mapping[str, Any]

    @abstractmethod
    def optimiser(self) -> torch.optim.Optimizer:
        """The optimiser of the model's parameters."""

    @abstractmethod
    def start_epoch(self, generator: torch.Generator) -> None:
        """Draw what lasts for a whole epoch; keep the generator for the batches."""

    @abstractmethod
    def loss(self, indices: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of a batch, a LongTensor of indices on the device, and its terms for the log."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Numbers on the validation samples; `Experiment.criterion` names the one that selects the epoch."""

    @abstractmethod
    def final(self) -> dict[str, Any]:
        """The numbers of the run, with the best weights in place: on the test samples, and about what was learned."""

    def observe(self) -> dict[str, np.ndarray]:
        """Small arrays to keep after each epoch, for figures."""
        return {}

    def figures(self) -> dict[str, np.ndarray]:
        """Arrays to keep at the end, with the best weights in place, for figures."""
        return {}


@dataclass(frozen=True)
class Experiment:
    """An experiment of the paper, or one beside it.

    Attributes:
        name: on the command line.
        title: in words.
        table: the paper's table or figure that it belongs to.
        config: its configuration with defaults.
        methods: what each method is, in the order of the table.
        groups: what each group is and how it acts.
        make: the recipe of a configuration and a seed, on a device. May load data; checks nothing twice.
        columns: the numbers of `Recipe.final` that the table shows, with their headings. A dotted name leads into a
            mapping or a list; a name of a mapping stands for all its entries, each under its own name.
        criterion: the number of `Recipe.validate` that selects: the weights of the epoch where it is least are kept, and
            a sweep chooses the configuration where it is least.
        comparison: how its systems are compared beside their own tables; None for experiments without a baseline.
        published: the paper's numbers: for each (method, group) and name of a number what is printed: a text for all
            runs together, or a tuple with one for each run.
    """

    name: str
    title: str
    table: str
    config: type[RunConfig]
    methods: Mapping[str, str]
    groups: Mapping[str, str]
    make: Callable[[Any, int, torch.device], Recipe]
    columns: Mapping[str, str]
    published: Mapping[tuple[str, str], Mapping[str, str | tuple[str, ...]]]
    criterion: str = "loss"
    comparison: Comparison | None = None
