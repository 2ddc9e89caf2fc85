"""A small experiment, of the kind that a user adds; tests run it, also in processes of its own.

Run as a program: `toy_experiment.py OUT [FIELD=VALUE …]` carries out one run of it through `run`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.config import RunConfig
from equilatent.bench.recipe import Experiment, Recipe
from equilatent.bench.run import run


@dataclass(frozen=True)
class ToyConfig(RunConfig):
    """Points that the group permutes."""

    method: str = "fixed"
    group: str = "S3"
    epochs: int = 4
    batch: int = 32
    rate: float = 0.01
    strength: float = 1.0
    """Weight of the latent term."""
    pause: float = 0.0
    """Seconds that each batch takes longer."""
    fail: str = ""
    """Where to fail: start, nan, final, or die in an epoch."""


class ToyRecipe(Recipe):
    """Whether the largest of three numbers exceeds the sum of the others."""

    def __init__(self, config: ToyConfig, seed: int, device: torch.device) -> None:
        if config.fail == "start":
            raise eq.errors.DataError("there are no points")
        self.config = config
        self.samples = min(96, config.limit or 96)
        self.provenance = {"source": "drawn"}
        group = eq.groups.symmetric(3)
        self.model = nn.Sequential(nn.Linear(3, 6), nn.Dropout(0.1), nn.Linear(6, 2)).to(device)
        points = torch.randn(self.samples + 64, 3, generator=torch.Generator().manual_seed(0))
        self.x, self.y = points.to(device), (2 * points.amax(1) > points.sum(1)).long().to(device)
        self.objective = eq.Objective(
            group,
            input=eq.actions.channels(eq.reps.permutation(group)),
            output=eq.actions.trivial(group),
            task_loss=F.cross_entropy,
            strength=config.strength,
            layer="0",
        ).to(device)
        self.generator = torch.Generator()
        self.epoch = 0

    def optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.model.parameters(), lr=self.config.rate)

    def start_epoch(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.epoch += 1

    def loss(self, indices: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        time.sleep(self.config.pause)
        if self.config.fail == "die" and self.epoch == 2:
            sys.exit("dies")
        x = self.x[indices]
        x = x + 0.1 * torch.randn(x.shape, generator=self.generator, device=x.device)
        loss, terms = self.objective(self.model, x, self.y[indices])
        if self.config.fail == "nan" and self.epoch == 3:
            loss = loss * float("nan")
        return loss, {"loss": loss.detach(), "latent": sum(terms.equivariance.values()).detach()}

    def validate(self) -> dict[str, float]:
        x, y = self.x[-64:-32], self.y[-64:-32]
        return {"loss": float(F.cross_entropy(self.model(x), y))}

    def final(self) -> dict[str, Any]:
        with torch.no_grad():
            accuracy = float((self.model(self.x[-32:]).argmax(1) == self.y[-32:]).float().mean())
        return {"test_accuracy": float("nan") if self.config.fail == "final" else accuracy}

    def observe(self) -> dict[str, np.ndarray]:
        return {"bias": self.model[2].bias.detach().cpu().numpy()}

    def figures(self) -> dict[str, np.ndarray]:
        return {"weight": self.model[0].weight.detach().cpu().numpy()}


TOY = Experiment(
    name="toy",
    title="Three numbers",
    table="none",
    config=ToyConfig,
    methods={"fixed": "ours"},
    groups={"S3": "permutes the numbers"},
    make=ToyRecipe,
    columns={"test_accuracy": "accuracy"},
    published={},
)


def main(out: str, *fields: str) -> None:
    torch.set_num_threads(1)
    values = {name: type(getattr(ToyConfig, name))(value) for name, value in (field.split("=") for field in fields)}
    run(TOY, replace(ToyConfig(out=Path(out), device="cpu"), **values), 0, progress=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
