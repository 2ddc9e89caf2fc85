"""A small problem of vector fields, whose right answer is linear, with roll-outs of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.architecture import Conv, FieldPredictor
from equilatent.bench.harness.config import RunConfig
from equilatent.bench.harness.system import System
from equilatent.bench.harness.task import Problem, Quantity, Split, Task

#: How many predictions are rolled out.
STEPS = 3
FRAMES = 2


@dataclass(frozen=True)
class FieldConfig(RunConfig):
    """Four hidden layers on grids of six points a side."""

    method: str = "e2cnn"
    group: str = "C4"
    epochs: int = 2
    batch: int = 8
    rate: float = 0.003
    width: int = 4
    """Channels, or fields, of the hidden layers."""
    side: int = 6
    """Points of the grid along each axis."""


class FieldProblem(Problem):
    """From frames of a random field to those that follow: vectors that turn and decay, and drift by a point at a time."""

    transformed = False

    def __init__(self, config: FieldConfig, device: torch.device) -> None:
        self.device = device
        self.group = eq.groups.cyclic(4)
        self.input = self.output = eq.actions.vector_field(self.group, components=(1, 0)).to(device)
        self.provenance = {}
        self.samples = min(16, config.limit or 16)
        generator = torch.Generator().manual_seed(0)
        frames = [torch.randn(self.samples + 16, 2, config.side, config.side, generator=generator)]
        for _ in range(FRAMES + STEPS - 1):
            x, y = frames[-1].unbind(1)
            frames.append(0.9 * torch.stack([0.5 * y + x, -0.5 * x + y], 1).roll(1, -1))
        self.x = torch.cat(frames[:FRAMES], 1).to(device)
        self.y = torch.cat(frames[FRAMES:], 1).to(device)

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return self.x[indices], self.y[indices]

    def task_loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output, target[:, :2])

    def further_loss(self, model: nn.Module, x: Tensor, output: Tensor, y: Tensor) -> Tensor:
        total = output.new_zeros(())
        for step in range(1, STEPS):
            x = torch.cat([x[:, 2:], output], 1)
            output = model(x)
            total = total + F.mse_loss(output, y[:, 2 * step : 2 * step + 2])
        return total

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        error = float(self.loss(model, self.x[self.samples :], self.y[self.samples :]))
        return {"loss": error} if split == "validation" else {"test_error": error}


def table(config: FieldConfig) -> FieldPredictor:
    """The table of the hidden layers."""
    return FieldPredictor((Conv(config.width, 3, padding=1),) * 4, frames=FRAMES, side=config.side)


def field_task(systems: Mapping[str, type[System]]) -> Task:
    """The task, with systems by name."""
    return Task(
        name="fields",
        title="Fields",
        table="none",
        config=FieldConfig,
        groups={"C4": "quarter turns of grid and vectors"},
        load=FieldProblem,
        architecture=table,
        quantities=(Quantity("test_error", "error", "lower"),),
        systems=systems,
    )
