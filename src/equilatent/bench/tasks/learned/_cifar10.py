"""Table 3: a classifier of CIFAR10 with quarter turns."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.architecture import EncoderDecoder
from equilatent.bench.data import ImageData, cifar10, held_out
from equilatent.bench.harness.task import Quantity, Split, Task
from equilatent.bench.tasks.learned._common import CONTROLS, DETAILS, LearnedConfig, LearnedProblem
from equilatent.bench.tasks.learned._figures import learned_figures

__all__ = ["CIFAR10"]


@dataclass(frozen=True)
class Cifar10Config(LearnedConfig):
    """The CIFAR10 classifier (appendix B.3, table 7)."""

    group: str = "C4"
    """The group: C4, quarter turns."""
    noise: float = 0.3
    """Deviation of the normal noise that is added to the start."""


def classifier(d: int) -> tuple[nn.Module, nn.Module]:
    """The encoder and the linear classifier of appendix B.3, with a latent of d features."""
    width = 32
    encoder = nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1, stride=2),
        nn.GELU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(width, 2 * width, 3, padding=1, stride=2),
        nn.GELU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1, stride=2),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(2 * 16 * width, d),
    )
    return encoder, nn.Linear(d, 10)


def network(config: Cifar10Config) -> EncoderDecoder:
    """Encoder and classifier."""
    return EncoderDecoder(functools.partial(classifier, config.features))


class Cifar10Problem(LearnedProblem):
    """Images as they are; the class stays when an image is turned."""

    def __init__(self, config: Cifar10Config, device: torch.device, data: ImageData | None = None) -> None:
        super().__init__(config, device)
        data = data or cifar10(config.data)
        self.provenance = data.provenance or {}
        self.group = eq.groups.cyclic(4)
        self.input, self.output = eq.actions.image(self.group).to(device), eq.actions.trivial(self.group)
        images, classes = data.train_x[: config.limit].to(device), data.train_y[: config.limit].to(device)
        train, validation = held_out(len(images), device)
        self.train = images[train], classes[train]
        self.samples = len(self.train[0])
        self.evaluation = {
            "validation": self._fixed(images[validation], classes[validation], 1),
            "test": self._fixed(data.test_x.to(device), data.test_y.to(device), 2),
        }

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images and their classes."""
        images, classes = self.train
        return _normalised(images[indices]), classes[indices]

    def task_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy."""
        return F.cross_entropy(output, target)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        """At the end also the share of test images that are classified rightly, as they are and turned."""
        found = super().evaluate(model, split)
        if split == "validation" or not hasattr(model, "encoder"):
            return found
        x, y, g = self.evaluation["test"]
        for name, images in (("test_accuracy", x), ("test_accuracy_turned", self.input(x, g))):
            scores = torch.cat([model.decoder(model.encoder(part)) for part in images.split(1024)])  # type: ignore[operator]
            found[name] = float((scores.argmax(1) == y).float().mean())
        return found

    def _fixed(self, images: Tensor, classes: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(number)
        g = self.group.sample(len(images), generator=generator, device=images.device)
        return _normalised(images), classes, g


def _normalised(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


CIFAR10 = Task(
    name="cifar10",
    title="Classifier of CIFAR10",
    table="Table 3",
    config=Cifar10Config,
    groups={"C4": "quarter turns"},
    load=Cifar10Problem,
    architecture=network,
    quantities=(
        Quantity("eigenvalue_counts.r.0", "1"),
        Quantity("eigenvalue_counts.r.1", "i"),
        Quantity("eigenvalue_counts.r.2", "−1"),
        Quantity("eigenvalue_counts.r.3", "−i"),
        Quantity("relator_loss", "algebra loss", "lower"),
        Quantity("test_equivariance", "equivariance loss", "lower"),
        Quantity("test_accuracy", "test accuracy", "higher", 3),
    ),
    details=DETAILS,
    controls=CONTROLS,
    figures=learned_figures,
    published={
        ("learned", "C4"): {
            "eigenvalue_counts.r.0": ("16", "16", "15", "16", "16"),
            "eigenvalue_counts.r.1": ("16", "16", "17", "16", "15"),
            "eigenvalue_counts.r.2": ("16", "16", "15", "16", "18"),
            "eigenvalue_counts.r.3": ("16", "16", "17", "16", "15"),
        }
    },
)
