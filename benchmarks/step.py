"""A training step with the objective, next to two plain steps and to the loss written the obvious way."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from benchmarks import plain
from benchmarks.actions import LEFT, RIGHT, TOP, two_digits
from benchmarks.page import Cell, Table
from benchmarks.timing import Options, median_ratio, paired_seconds
from equilatent.bench.networks import ddmnist_cnn, medmnist3d_cnn, smoke_cnn
from equilatent.objective import Passes

Move = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Case:
    """A network of the paper with a batch, the objective, and how one sample moves by other means.

    Attributes:
        name: the experiment, group and batch.
        network: its ``encoder`` gives the latent, its ``head`` the output.
        x: the inputs.
        y: the targets.
        g: an element for each sample.
        task_loss: the task loss.
        arguments: what `eq.Objective` is given besides.
        move_input, move_output, move_latent: one sample, target or latent vector moved by one element.
    """

    name: str
    network: nn.Sequential
    x: Tensor
    y: Tensor
    g: Tensor
    task_loss: Callable[[Any, Tensor], Tensor]
    arguments: dict[str, Any]
    move_input: Move
    move_output: Move
    move_latent: Move

    def finish(self, loss: Tensor) -> Tensor:
        """The backward pass."""
        self.network.zero_grad()
        loss.backward()
        return loss.detach()

    def two_plain_steps(self) -> None:
        """The batch twice, without the library."""
        for _ in range(2):
            self.finish(self.task_loss(self.network(self.x), self.y))

    def ours(self, passes: Passes) -> Tensor:
        """The objective."""
        objective = eq.Objective(**self.arguments, task_loss=self.task_loss, layer="encoder", passes=passes)
        return self.finish(objective(self.network, self.x, self.y, g=self.g)[0])

    def obvious(self) -> Tensor:
        """Samples, targets and latents moved one at a time."""
        elements = self.g.tolist()

        def one_at_a_time(move: Move, values: Tensor) -> Tensor:
            return torch.stack([move(value, element) for value, element in zip(values, elements, strict=True)])

        encoder, head = self.network.encoder, self.network.head
        latent, moved_latent = encoder(self.x), encoder(one_at_a_time(self.move_input, self.x))
        task = self.task_loss(head(latent), self.y) / 2
        shifted = self.task_loss(head(moved_latent), one_at_a_time(self.move_output, self.y)) / 2
        distance = F.mse_loss(one_at_a_time(self.move_latent, latent), moved_latent)
        return self.finish(task + shifted + distance)

    def ways(self) -> dict[str, Callable[[], object]]:
        """What is compared, by name."""
        return {
            "plain": self.two_plain_steps,
            "separate": lambda: self.ours("separate"),
            "joint": lambda: self.ours("joint"),
            "obvious": self.obvious,
        }


def _by_matrix(rho: eq.reps.Representation, device: torch.device) -> Move:
    matrices = rho.matrix(rho.group.elements).float().to(device)
    return lambda latent, element: matrices[element] @ latent


def _stay(target: Tensor, element: int) -> Tensor:
    return target


def ddmnist(quick: bool, device: torch.device, generator: torch.Generator) -> Case:
    batch = 4 if quick else 256
    act = two_digits()
    moves = plain.image_moves(mirrors=True)

    def move_input(image: Tensor, element: int) -> Tensor:
        result = image.clone()
        for window, component in zip((LEFT, RIGHT), act.group.split(element), strict=True):
            result[:, TOP, window] = moves[component](image[:, TOP, window])
        return result

    return Case(
        f"DDMNIST, D4×D4, {batch} images of 56²",
        ddmnist_cnn().to(device),
        torch.randn(batch, 1, 56, 56, generator=generator).to(device),
        torch.randint(100, (batch,), generator=generator).to(device),
        act.group.sample(batch, generator=generator).to(device),
        F.cross_entropy,
        {"group": act.group, "input": act, "output": eq.actions.trivial(act.group)},
        move_input,
        _stay,
        _by_matrix(eq.reps.padded_regular(act.group, 66), device),
    )


def medmnist3d(quick: bool, device: torch.device, generator: torch.Generator) -> Case:
    batch, width = (2, 3) if quick else (8, 6)
    group = eq.groups.octahedral()
    moves = plain.volume_moves(group)
    return Case(
        f"MedMNIST3D, octahedral, {batch} volumes of 29³",
        medmnist3d_cnn(width=width).to(device),
        torch.randn(batch, 1, 29, 29, 29, generator=generator).to(device),
        torch.randint(2, (batch,), generator=generator).to(device),
        group.sample(batch, generator=generator).to(device),
        F.cross_entropy,
        {"group": group, "input": eq.actions.volume(group), "output": eq.actions.trivial(group)},
        lambda volume, element: moves[element](volume),
        _stay,
        _by_matrix(eq.reps.padded_regular(group, 8 * width), device),
    )


def smoke(quick: bool, device: torch.device, generator: torch.Generator) -> Case:
    batch, side = (2, 16) if quick else (4, 64)
    group = eq.groups.cyclic(4)
    field, fields, images = eq.actions.vector_field(group), plain.field_moves(), plain.image_moves()

    def turn_field(frames: Tensor, element: int) -> Tensor:
        return fields[element](frames)

    return Case(
        f"SMOKE, C4, {batch} × 10 frames of {side}²",
        smoke_cnn().to(device),
        torch.randn(batch, 20, side, side, generator=generator).to(device),
        torch.randn(batch, 2, side, side, generator=generator).to(device),
        group.sample(batch, generator=generator).to(device),
        F.mse_loss,
        {"group": group, "input": field, "output": field, "latent": eq.actions.image(group)},
        turn_field,
        turn_field,
        lambda latent, element: images[element](latent),
    )


CASES = {"ddmnist": ddmnist, "medmnist3d": medmnist3d, "smoke": smoke}


def make(name: str, quick: bool, device: torch.device) -> Case:
    """One of the cases, always with the same numbers."""
    torch.manual_seed(0)
    return CASES[name](quick, device, torch.Generator().manual_seed(0))


def tables(options: Options) -> Iterator[Table]:
    rows: list[list[Cell]] = []
    for name in CASES:
        case = make(name, options.quick, options.device)
        # One loss however it is written; with joint passes batch norm sees other batches.
        torch.testing.assert_close(case.ours("separate"), case.obvious(), rtol=1e-4, atol=1e-6)
        seconds = paired_seconds(case.ways(), options.rounds(7), device=options.device)
        ratios = [median_ratio(seconds, way, "plain") for way in ("separate", "joint", "obvious")]
        rows.append([case.name, statistics.median(seconds["plain"]), *ratios])
    columns = (
        ("network and batch", "text"),
        ("two plain steps", "seconds"),
        ("the objective, separate passes", "ratio"),
        ("the objective, a joint pass", "ratio"),
        ("the obvious way", "ratio"),
    )
    yield Table("Forward and backward pass, relative to two plain steps", columns, rows)
