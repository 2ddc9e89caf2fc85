"""The training loop."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from equilatent._seeds import combined_seed
from equilatent.bench.harness.config import RunConfig
from equilatent.bench.harness.record import replace_file
from equilatent.bench.harness.system import System
from equilatent.bench.harness.task import Problem, Task
from equilatent.errors import EquilatentError, NonFiniteError

__all__ = ["Progress", "State", "batches", "refresh_statistics", "train"]

#: Training samples on which the statistics of norms are computed anew before each evaluation.
_STATISTICS_SAMPLES = 2048


@dataclass
class State:
    """What a run has to know of its past: rows of metrics, the best epoch with its weights, and time."""

    rows: list[dict[str, float]] = field(default_factory=list)
    best: float = math.inf
    best_epoch: int = -1
    waited: int = 0
    seconds: float = 0.0
    arrays: dict[str, list[Any]] = field(default_factory=dict)
    # Kept with the rest, so that they cannot be of another epoch than it says.
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def done(self, config: RunConfig) -> bool:
        """Whether all epochs have been run, or no improvement is waited for any more."""
        return len(self.rows) >= config.epochs or self.waited >= config.patience

    def note(self, row: dict[str, float], value: float, model: nn.Module, config: RunConfig) -> None:
        """Another epoch, and the number that selects, of which less is better."""
        self.rows.append(row)
        improved = value < self.best - config.min_change
        self.waited = 0 if improved else self.waited + 1
        if improved:
            self.best, self.best_epoch = value, len(self.rows) - 1
            self.best_weights = {k: v.detach().cpu().clone().contiguous() for k, v in model.state_dict().items()}


class Progress(ABC):
    """What is told of a training while it runs."""

    @abstractmethod
    def starts(self, state: State, steps: int) -> None:
        """Training goes on from this state, with so many steps an epoch."""

    @abstractmethod
    def step(self) -> None:
        """Another step is done."""

    @abstractmethod
    def epoch(self, state: State) -> None:
        """Another epoch is done and saved."""


class _Step(nn.Module):
    """A system's loss as the forward pass of a module, which is what mixed precision and several processes wrap."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system, self.model = system, system.model

    def forward(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        return self.system.loss(x, y, generator)


def train(
    task: Task,
    problem: Problem,
    system: System,
    config: RunConfig,
    seed: int,
    fabric: Fabric,
    checkpoint: Path,
    progress: Progress,
) -> State:
    """Train until the configuration is met; go on from the checkpoint if it is there, and write it after every epoch.

    A model with nothing to train is evaluated once, as after one epoch.
    """
    if not any(weights.requires_grad for weights in system.model.parameters()):
        return _untrained(task, problem, system, config, fabric, progress)
    step: Any = _Step(system)
    if config.compile:
        step = torch.compile(step)
    optimiser = torch.optim.Adam(
        system.model.parameters(), lr=config.rate, weight_decay=config.weight_decay, fused=True
    )
    step, optimiser = fabric.setup(step, optimiser)
    scheduler = _scheduler(optimiser, config, problem.samples)
    state = State()
    if checkpoint.exists():
        _restore(checkpoint, state, system.model, optimiser, scheduler)
    steps = math.ceil(problem.samples / config.batch)
    progress.starts(state, steps)
    while not state.done(config):
        epoch, since = len(state.rows), time.perf_counter()
        generator = _start_epoch(problem, fabric, seed, epoch)
        # A compiled step draws from PyTorch's own generator, which has been seeded alike: none other can be compiled.
        inside = None if config.compile else generator
        sums: dict[str, Tensor] = {}
        system.model.train()
        for indices in batches(problem.samples, config.batch, seed, epoch):
            x, y = problem.batch(indices[fabric.global_rank :: fabric.world_size].to(fabric.device), generator)
            loss, terms = step(x, y, inside)
            fabric.backward(loss)
            optimiser.step()
            optimiser.zero_grad()
            scheduler.step()
            system.after_step()
            progress.step()
            sums = {name: value.detach() + sums.get(name, 0.0) for name, value in terms.items()}
        refresh_statistics(system.model, problem, config.batch, fabric.device)
        means = {name: float(fabric.all_reduce(value / steps)) for name, value in sums.items()}  # type: ignore[arg-type]
        _evaluate(task, problem, system.model, config, fabric, state, means)
        state.seconds += time.perf_counter() - since
        if fabric.is_global_zero:
            saved = {
                "state": asdict(state),
                "model": system.model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "scheduler": scheduler.state_dict(),
            }
            replace_file(checkpoint, lambda path: torch.save(saved, path))  # noqa: B023
        progress.epoch(state)
    return state


def _untrained(
    task: Task, problem: Problem, system: System, config: RunConfig, fabric: Fabric, progress: Progress
) -> State:
    state, since = State(), time.perf_counter()
    progress.starts(state, 0)
    _evaluate(task, problem, system.model, config, fabric, state, {})
    state.seconds = time.perf_counter() - since
    progress.epoch(state)
    return state


def _evaluate(
    task: Task,
    problem: Problem,
    model: nn.Module,
    config: RunConfig,
    fabric: Fabric,
    state: State,
    means: Mapping[str, float],
) -> None:
    """Evaluate the model behind an epoch, and note the epoch with the means of its losses."""
    model.eval()
    with torch.no_grad():
        values = fabric.broadcast(problem.evaluate(model, "validation"))
        observed = problem.observe(model)
    row = {"epoch": float(len(state.rows)), **_prefixed("train", means), **_prefixed("val", values)}
    _check_finite(row)
    for name, array in observed.items():
        state.arrays.setdefault(name, []).append(array.tolist())
    sign = 1 if task.better == "lower" else -1
    state.note(row, sign * values[task.criterion], model, config)


def batches(samples: int, batch: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
    """Every sample once, in an order drawn from the seed and the epoch, in batches whose sizes differ by one at most.

    A last batch much smaller than the others would leave its own statistics in batch norm's running ones.
    """
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(combined_seed(seed, 2 * epoch + 1)))
    return order.tensor_split(max(1, math.ceil(samples / batch)))


@torch.no_grad()
def refresh_statistics(model: nn.Module, problem: Problem, batch: int, device: torch.device) -> None:
    """Compute the running statistics of all norms anew, as means over batches of augmented training samples.

    What training leaves in them lags behind the weights, and weighs the last batches most. The samples are the same in
    every epoch and for every system.
    """
    norms: list[Any] = [part for part in model.modules() if getattr(part, "running_var", None) is not None]
    if not norms:
        return
    momenta = [part.momentum for part in norms]
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    for part in norms:
        part.train()
    generator = torch.Generator(device=device).manual_seed(0)
    order = torch.randperm(problem.samples, generator=torch.Generator().manual_seed(0))[:_STATISTICS_SAMPLES]
    for number, indices in enumerate(order.tensor_split(math.ceil(len(order) / batch)), start=1):
        for part in norms:
            part.momentum = 1 / number  # the mean of what all batches so far had
        model(problem.batch(indices.to(device), generator)[0])
    for part, momentum in zip(norms, momenta, strict=True):
        part.momentum = momentum
    for part, training in modes:
        part.training = training


def _start_epoch(problem: Problem, fabric: Fabric, seed: int, epoch: int) -> torch.Generator:
    """Seed all that an epoch draws, so that a resumed run draws the same."""
    torch.manual_seed(combined_seed(seed, 2 * epoch + 2, fabric.global_rank))  # for dropout and the like
    generator = torch.Generator(device=fabric.device)
    generator.manual_seed(combined_seed(seed, 2 * epoch + 2, fabric.global_rank))
    problem.start_epoch(generator)
    return generator


def _scheduler(optimiser: Any, config: RunConfig, samples: int) -> torch.optim.lr_scheduler.LRScheduler:
    steps = math.ceil(samples / config.batch)
    if config.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs * steps)
    decay = 0.95 if config.schedule == "exponential" else 1.0
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: decay ** (step // steps))


def _restore(checkpoint: Path, state: State, model: nn.Module, optimiser: Any, scheduler: Any) -> None:
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        for name, value in saved["state"].items():
            if name not in state.__dict__:
                raise KeyError(name)
            setattr(state, name, value)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        scheduler.load_state_dict(saved["scheduler"])
    except Exception as error:
        raise EquilatentError(
            f"{checkpoint} cannot be read ({type(error).__name__}: {error}). Remove it to start the run again."
        ) from error


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, float]:
    return {f"{prefix}/{name}": float(value) for name, value in values.items()}


def _check_finite(row: Mapping[str, float]) -> None:
    wrong = [name for name, value in row.items() if not np.isfinite(value)]
    if wrong:
        raise NonFiniteError(
            f"epoch {row['epoch']:.0f}: {', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not finite. Lower --rate, "
            "or use --precision 32-true."
        )
