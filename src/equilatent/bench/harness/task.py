"""What a task is: data, actions, a task loss, and the evaluation of whatever was trained on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from equilatent.actions import SupportsAction
from equilatent.bench.harness.config import RunConfig
from equilatent.groups import Group

if TYPE_CHECKING:
    from equilatent.bench.harness.system import System

__all__ = ["Better", "Control", "Drawing", "Problem", "Quantity", "Split", "Task"]

Better = Literal["higher", "lower"]
Split = Literal["validation", "test"]


@dataclass(frozen=True)
class Quantity:
    """A number of a run's record, as tables show it.

    Attributes:
        name: its key among the final numbers; a dotted name leads into a mapping or a list, and the name of a mapping stands
            for all its entries.
        heading: what it is called.
        better: which values are better; None if it only describes.
        digits: decimal places; None for as many as suit the number, at least three significant figures of most.
        given: whether it follows from the configuration, as the number of parameters does, and is not measured. A name
            with ``config.`` in front is that of a field.
    """

    name: str
    heading: str
    better: Better | None = None
    digits: int | None = None
    given: bool = False


@dataclass(frozen=True)
class Control:
    """A run that has to stand beside a system that adds something to the loss.

    Attributes:
        title: what it decides.
        method: the system.
        fields: how its configuration differs from the default one on the same group and budget; a function makes the value
            from that configuration.
        keeps: fields that it has in common with the run beside which it stands, besides the group and the budget.
    """

    title: str
    method: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    keeps: Sequence[str] = ()


@dataclass(frozen=True)
class Drawing:
    """A figure of several panels, which stand beside each other or below, as there is room.

    Attributes:
        name: of a file, without its suffix.
        title: what it shows.
        caption: how to read it.
        panels: each draws on the axes of matplotlib that it is given; of an animation, also given the number of the frame.
        size: of the axes of a panel, in inches.
        framed: whether the axes have numbers or names beside them, which need room.
        frames: how many pictures an animation has; 0 for a figure that stands still.
    """

    name: str
    title: str
    caption: str
    panels: Sequence[Callable[..., None]]
    size: tuple[float, float] = (2.5, 2.0)
    framed: bool = True
    frames: int = 0


class Problem(ABC):
    """A task made ready for one configuration: data on the device, actions, loss and evaluation.

    It knows no system. Whatever is drawn while training comes from a generator that is seeded from the run's seed and the
    epoch, so that a run that is resumed after an epoch draws what it would have drawn.

    Attributes:
        device: where everything lives.
        group: the group that acts.
        input: how it acts on inputs.
        output: how it acts on targets.
        samples: how many training samples an epoch has; a batch is given as their indices.
        transformed: whether every training sample comes transformed by an element drawn anew; where they come as they are,
            a system may transform them.
        provenance: which files the data come from, for the record.
        latent: how the group acts on the latent: what the configuration names, or None if nothing can act there; where a
            system is built so that its latent transforms in another way, the harness puts `System.latent` here.
    """

    device: torch.device
    group: Group
    input: SupportsAction
    output: SupportsAction
    samples: int
    transformed: bool = True
    provenance: Mapping[str, Any]
    latent: SupportsAction | None = None

    def start_epoch(self, generator: torch.Generator) -> None:
        """Draw what lasts for a whole epoch."""
        return

    @abstractmethod
    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Any, Any]:
        """Training samples (x, y)."""

    @abstractmethod
    def task_loss(self, output: Any, target: Any) -> Tensor:
        """The loss of the model's output that is trained on, a mean over the batch."""

    def further_loss(self, model: nn.Module, x: Any, output: Any, y: Any) -> Tensor | None:
        """What the loss has besides that of the model's first output, where it goes on from its own outputs, as a roll-out.

        Args:
            model: what is trained.
            x: inputs.
            output: the first output, with its graph.
            y: targets.
        """
        return None

    def loss(self, model: nn.Module, x: Any, y: Any) -> Tensor:
        """The loss of a model on a batch, that of its further outputs included."""
        output = model(x)
        first, further = self.task_loss(output, y), self.further_loss(model, x, output, y)
        return first if further is None else first + further

    @abstractmethod
    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        """Numbers on the samples of a split. The model is in evaluation mode, and there are no gradients."""

    def observe(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Small arrays to keep after each epoch, for figures."""
        return {}

    def figures(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Arrays to keep at the end, for figures."""
        return {}


@dataclass(frozen=True)
class Task:
    """An experiment of the paper, or one beside it.

    Attributes:
        name: on the command line.
        title: in words.
        table: the paper's table or figure that it belongs to.
        config: its configuration with defaults.
        groups: what each group is and how it acts.
        load: the problem of a configuration, on a device. May load data.
        architecture: the network of a configuration, in the form that its systems build from.
        quantities: what tables show of a run, in their order; the first is what systems are compared by.
        details: numbers that the tables of single runs show besides.
        criterion: the number of the validation samples that selects the epoch, and the configuration in a sweep.
        better: which values of the criterion are better.
        protocol: counts changes after which runs are no longer comparable; it is part of what a run is.
        usual: the defaults of fields that were others under an earlier protocol, by its number.
        baseline: the system that others are compared with.
        budget: fields of which less than the default is a smaller budget; only runs on one budget are compared.
        settings: fields that make another problem of it, such as the data set, and on which other defaults may depend; only
            runs in which they are the same are compared.
        controls: runs that have to stand beside those of its own system, the one that its configuration has by default.
        systems: by name, those that can be trained on it, in the order of the table; filled in where both are known.
        published: the paper's numbers: for each (method, group), followed by the values of the settings, and name of a
            quantity what is printed: a text for all runs together, or a tuple with one for each run.
        by_element: numbers that map the name of each group element to an error, with their titles.
        by_layer: numbers that map the name of each layer to a number, with their titles.
        figures: the figures of runs that differ in their seed alone, from the arrays of each seed that `Problem.observe`
            and `Problem.figures` kept, and from their rows of the frame of results.
    """

    name: str
    title: str
    table: str
    config: type[RunConfig]
    groups: Mapping[str, str]
    load: Callable[[Any, torch.device], Problem]
    architecture: Callable[[Any], Any]
    quantities: Sequence[Quantity]
    details: Sequence[Quantity] = ()
    criterion: str = "loss"
    better: Better = "lower"
    protocol: int = 1
    usual: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    baseline: str | None = None
    budget: Sequence[str] = ("limit",)
    settings: Sequence[str] = ()
    controls: Sequence[Control] = ()
    systems: Mapping[str, type[System]] = field(default_factory=dict)
    published: Mapping[tuple[Any, ...], Mapping[str, str | tuple[str, ...]]] = field(default_factory=dict)
    by_element: Mapping[str, str] = field(default_factory=dict)
    by_layer: Mapping[str, str] = field(default_factory=dict)
    figures: Callable[[Mapping[int, Mapping[str, np.ndarray]], Any], Sequence[Drawing]] | None = None
