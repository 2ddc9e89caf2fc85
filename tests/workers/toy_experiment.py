"""A small task with a system, of the kind that a user adds; tests run them, also in processes of their own.

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
from equilatent.bench.harness.config import RunConfig
from equilatent.bench.harness.run import run
from equilatent.bench.harness.system import System
from equilatent.bench.harness.task import Problem, Quantity, Split, Task


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


class ToyProblem(Problem):
    """Whether the largest of three numbers exceeds the sum of the others."""

    def __init__(self, config: ToyConfig, device: torch.device) -> None:
        if config.fail == "start":
            raise eq.errors.DataError("there are no points")
        self.config, self.device = config, device
        self.samples = min(96, config.limit or 96)
        self.provenance = {"source": "drawn"}
        self.group = eq.groups.symmetric(3)
        self.input = eq.actions.channels(eq.reps.permutation(self.group)).to(device)
        self.output = eq.actions.trivial(self.group)
        points = torch.randn(self.samples + 64, 3, generator=torch.Generator().manual_seed(0))
        self.x, self.y = points.to(device), (2 * points.amax(1) > points.sum(1)).long().to(device)
        self.parts = {
            "validation": slice(self.samples, self.samples + 32),
            "test": slice(self.samples + 32, self.samples + 64),
        }
        self.epoch = 0

    def start_epoch(self, generator: torch.Generator) -> None:
        self.epoch += 1

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = self.x[indices]
        return x + 0.1 * torch.randn(x.shape, generator=generator, device=x.device), self.y[indices]

    def task_loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        part = self.parts[split]
        scores, y = model(self.x[part]), self.y[part]
        if split == "validation":
            return {"loss": float(F.cross_entropy(scores, y))}
        accuracy = float((scores.argmax(1) == y).float().mean())
        return {"test_accuracy": float("nan") if self.config.fail == "final" else accuracy}

    def observe(self, model: nn.Module) -> dict[str, np.ndarray]:
        return {"bias": model[-1].bias.cpu().numpy()}  # type: ignore[index]

    def figures(self, model: nn.Module) -> dict[str, np.ndarray]:
        return {"weight": model[0].weight.cpu().numpy()}  # type: ignore[index]


class ToySystem(System):
    """A network with a latent, a norm and dropout."""

    name = "fixed"
    title = "ours"
    builds = (int,)

    def __init__(self, problem: Problem, architecture: int, config: ToyConfig, seed: int) -> None:
        self.config, self.problem, self.width = config, problem, architecture
        self.model = nn.Sequential(
            nn.Linear(3, self.width), nn.BatchNorm1d(self.width), nn.Dropout(0.1), nn.Linear(self.width, 2)
        )
        self.objective = eq.Objective(
            problem.group,
            input=problem.input,
            output=problem.output,
            task_loss=problem.task_loss,
            strength=config.strength,
            layer="0",
        ).to(problem.device)

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        if self.config.pause:
            time.sleep(self.config.pause)
        if self.config.fail == "die" and self.problem.epoch == 2:  # type: ignore[attr-defined]
            sys.exit("dies")
        self.objective.generator = generator
        loss, terms = self.objective(self.model, x, y)
        if self.config.fail == "nan" and self.problem.epoch == 3:  # type: ignore[attr-defined]
            loss = loss * float("nan")
        return loss, {"loss": loss.detach(), "latent": sum(terms.equivariance.values()).detach()}

    def report(self) -> dict[str, Any]:
        return {"width": self.width}


def width(_: ToyConfig) -> int:
    """The toy's architecture: how many features the latent has."""
    return 6


TOY = Task(
    name="toy",
    title="Three numbers",
    table="none",
    config=ToyConfig,
    groups={"S3": "permutes the numbers"},
    load=ToyProblem,
    architecture=width,
    quantities=(Quantity("test_accuracy", "accuracy", "higher"),),
    systems={"fixed": ToySystem},
)


def main(out: str, *fields: str) -> None:
    torch.set_num_threads(1)
    values = {name: type(getattr(ToyConfig, name))(value) for name, value in (field.split("=") for field in fields)}
    run(TOY, replace(ToyConfig(out=Path(out), device="cpu"), **values), 0, progress=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
