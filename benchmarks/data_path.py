"""What making the batches takes of a training step, for the experiments whose data lie on the device as one tensor."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.page import Table
from benchmarks.timing import Options, median_ratio, paired_seconds
from equilatent.bench.data import ImageData, TypefaceData
from equilatent.bench.experiments.cifar10 import Cifar10Config, Cifar10Recipe
from equilatent.bench.experiments.learned import LearnedRecipe
from equilatent.bench.experiments.mnist import MnistConfig, MnistRecipe
from equilatent.bench.experiments.tmnist import TmnistConfig, TmnistRecipe

GOAL = 0.1
_BATCH = 64


def _images(count: int, *shape: int) -> ImageData:
    """Random images: what is in them plays no part in the time."""
    x, y = torch.randint(256, (count, *shape), dtype=torch.uint8), torch.randint(10, (count,))
    return ImageData("random", 10, x, y, x[:20], y[:20])


def _recipes(device: torch.device) -> Iterator[tuple[str, LearnedRecipe]]:
    glyphs = TypefaceData(torch.randint(256, (2, 10, 28, 28), dtype=torch.uint8), ("one", "other"), {})
    yield "TMNIST, C2", TmnistRecipe(TmnistConfig(), 0, device, glyphs)
    for group in ("D3", "A4", "C4xC2"):
        yield f"MNIST, {group}", MnistRecipe(MnistConfig(group=group).resolved(), 0, device, _images(5000, 1, 28, 28))
    yield "CIFAR10, C4", Cifar10Recipe(Cifar10Config(), 0, device, _images(5000, 3, 32, 32))


def _ways(recipe: LearnedRecipe, generator: torch.Generator, indices: Tensor) -> dict[str, Callable[[], object]]:
    optimiser = recipe.optimiser()

    def step() -> None:
        optimiser.zero_grad()
        recipe.loss(indices)[0].backward()
        optimiser.step()

    def data() -> None:
        x, y = recipe.pairs(indices, generator)
        g = recipe.objective.group.sample(len(x), generator=generator)
        recipe.objective.input(x, g)
        if y is not x:  # of an autoencoder, the input is its target
            recipe.objective.output(y, g)

    return {"step": step, "data": data, "epoch": lambda: recipe.start_epoch(generator)}


def tables(options: Options) -> Iterator[Table]:
    rows: list[list[Any]] = []
    for name, recipe in _recipes(options.device):
        generator = torch.Generator(device=options.device).manual_seed(0)
        recipe.start_epoch(generator)
        ways = _ways(recipe, generator, torch.arange(_BATCH, device=options.device))
        seconds = paired_seconds(ways, options.rounds(30), device=options.device)
        # What is drawn once for a whole epoch is shared by its steps.
        share = median_ratio(seconds, "data", "step") + median_ratio(seconds, "epoch", "step") * _BATCH / recipe.samples
        rows.append([name, statistics.median(seconds["step"]), statistics.median(seconds["data"]), share])
    columns = (
        ("experiment", "text"),
        ("a step", "seconds"),
        ("its data", "seconds"),
        (f"share of the step (goal: {GOAL})", "ratio"),
    )
    yield Table(f"Making a batch of {_BATCH}, next to the whole step", columns, rows)
