"""What making the batches takes of a training step, for the tasks whose data lie on the device as one tensor."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.page import Table
from benchmarks.timing import Options, median_ratio, paired_seconds
from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.data import ImageData, TypefaceData
from equilatent.bench.harness.system import System
from equilatent.bench.tasks.learned._cifar10 import Cifar10Problem
from equilatent.bench.tasks.learned._common import LearnedProblem
from equilatent.bench.tasks.learned._mnist import MnistProblem
from equilatent.bench.tasks.learned._tmnist import TmnistProblem

GOAL = 0.1
_BATCH = 64


def _images(count: int, *shape: int) -> ImageData:
    """Random images: what is in them plays no part in the time."""
    x, y = torch.randint(256, (count, *shape), dtype=torch.uint8), torch.randint(10, (count,))
    return ImageData("random", 10, x, y, x[:20], y[:20])


def _trained(device: torch.device) -> Iterator[tuple[str, LearnedProblem, System]]:
    """The problems on random data, each with its system."""
    glyphs = TypefaceData(torch.randint(256, (2, 10, 28, 28), dtype=torch.uint8), ("one", "other"), {})
    cases: list[tuple[str, str, str, type[Any], Any]] = [
        ("TMNIST, C2", "tmnist", "C2", TmnistProblem, glyphs),
        *(
            (f"MNIST, {group}", "mnist", group, MnistProblem, _images(5000, 1, 28, 28))
            for group in ("D3", "A4", "C4xC2")
        ),
        ("CIFAR10, C4", "cifar10", "C4", Cifar10Problem, _images(5000, 3, 32, 32)),
    ]
    for title, name, group, problem_of, data in cases:
        task = CATALOGUE[name]
        config = task.config(group=group).resolved()
        problem = problem_of(config, device, data)
        system = task.systems["learned"](problem, task.architecture(config), config, 0)
        system.model.to(device)
        yield title, problem, system


def _ways(
    problem: LearnedProblem, system: System, generator: torch.Generator, indices: Tensor
) -> dict[str, Callable[[], object]]:
    optimiser = torch.optim.Adam(system.model.parameters(), lr=problem.config.rate, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        system.loss(*problem.batch(indices, generator), generator)[0].backward()
        optimiser.step()

    def data() -> None:
        x, y = problem.batch(indices, generator)
        g = problem.group.sample(len(x), generator=generator)
        problem.input(x, g)
        if y is not x:  # of an autoencoder, the input is its target
            problem.output(y, g)

    return {"step": step, "data": data, "epoch": lambda: problem.start_epoch(generator)}


def tables(options: Options) -> Iterator[Table]:
    rows: list[list[Any]] = []
    for name, problem, system in _trained(options.device):
        generator = torch.Generator(device=options.device).manual_seed(0)
        problem.start_epoch(generator)
        ways = _ways(problem, system, generator, torch.arange(_BATCH, device=options.device))
        seconds = paired_seconds(ways, options.rounds(30), device=options.device)
        # What is drawn once for a whole epoch is shared by its steps.
        share = (
            median_ratio(seconds, "data", "step") + median_ratio(seconds, "epoch", "step") * _BATCH / problem.samples
        )
        rows.append([name, statistics.median(seconds["step"]), statistics.median(seconds["data"]), share])
    columns = (
        ("experiment", "text"),
        ("a step", "seconds"),
        ("its data", "seconds"),
        (f"share of the step (goal: {GOAL})", "ratio"),
    )
    yield Table(f"Making a batch of {_BATCH}, next to the whole step", columns, rows)
