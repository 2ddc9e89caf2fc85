"""Table 3: a classifier of CIFAR10 with quarter turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.data import ImageData, cifar10, held_out
from equilatent.bench.experiments.learned import METHODS, LearnedConfig, LearnedRecipe
from equilatent.bench.recipe import Experiment

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


class Cifar10Recipe(LearnedRecipe):
    """Images as they are; the class stays when an image is turned."""

    def __init__(self, config: Cifar10Config, seed: int, device: torch.device, data: ImageData | None = None) -> None:
        data = data or cifar10(config.data)
        self.provenance = data.provenance or {}
        group = eq.groups.cyclic(4)
        encoder, decoder = classifier(config.features)
        super().__init__(
            config,
            seed,
            device,
            encoder=encoder,
            decoder=decoder,
            input=eq.actions.image(group),
            output=eq.actions.trivial(group),
            task_loss=F.cross_entropy,
        )
        images, classes = data.train_x[: config.limit].to(device), data.train_y[: config.limit].to(device)
        train, validation = held_out(len(images), device)
        self.train = images[train], classes[train]
        self.samples = len(self.train[0])
        self.evaluation = {
            "val": self._fixed(images[validation], classes[validation], 1),
            "test": self._fixed(data.test_x.to(device), data.test_y.to(device), 2),
        }

    def pairs(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images and their classes."""
        images, classes = self.train
        return _normalised(images[indices]), classes[indices]

    def final(self) -> dict[str, Any]:
        """Also the share of test images that are classified rightly, as they are and turned."""
        if self.config.method == "control":  # whose network is not trained
            return super().final()
        x, y, g = self.evaluation["test"]
        encoder, decoder = self._parts
        with torch.no_grad():
            plain, turned = (
                float(
                    (torch.cat([decoder(encoder(part)) for part in images.split(1024)]).argmax(1) == y).float().mean()
                )
                for images in (x, self.objective.input(x, g))
            )
        return {**super().final(), "test_accuracy": plain, "test_accuracy_turned": turned}

    def _fixed(self, images: Tensor, classes: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(number)
        g = self.objective.group.sample(len(images), generator=generator, device=images.device)
        return _normalised(images), classes, g


def _normalised(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


CIFAR10 = Experiment(
    name="cifar10",
    title="Classifier of CIFAR10",
    table="Table 3",
    config=Cifar10Config,
    methods=METHODS,
    groups={"C4": "quarter turns"},
    make=Cifar10Recipe,
    columns={
        "eigenvalue_counts.r.0": "1",
        "eigenvalue_counts.r.1": "i",
        "eigenvalue_counts.r.2": "−1",
        "eigenvalue_counts.r.3": "−i",
        "relator_loss": "algebra loss",
        "test_equivariance": "equivariance loss",
        "test_accuracy": "test accuracy",
    },
    published={
        ("learned", "C4"): {
            "eigenvalue_counts.r.0": ("16", "16", "15", "16", "16"),
            "eigenvalue_counts.r.1": ("16", "16", "17", "16", "15"),
            "eigenvalue_counts.r.2": ("16", "16", "15", "16", "18"),
            "eigenvalue_counts.r.3": ("16", "16", "17", "16", "15"),
        }
    },
)
