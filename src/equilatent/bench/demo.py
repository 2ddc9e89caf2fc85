"""The demo: two handwritten digits, each turned and mirrored on its own, with and without the method."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.digits import SIDE, Digits, PairSplit, load_digits, make_pairs, split_digits
from equilatent.bench.harness.config import parse_seeds, pick_device
from equilatent.bench.harness.record import make_record
from equilatent.errors import EquilatentError
from equilatent.groups import Group
from equilatent.objective import Distance, Terms

__all__ = ["METHODS", "DemoConfig", "DemoRun", "pair_action", "run_demo", "train"]

Method = Literal["plain", "augmented", "ours"]

#: The methods, in the order of the table.
METHODS: dict[Method, str] = {
    "plain": "CNN, not augmented",
    "augmented": "CNN, augmented",
    "ours": "CNN, augmented, with the latent term",
}


@dataclass(frozen=True)
class DemoConfig:
    """What the demo trains, and for how long.

    The plain CNN sees each training pair twice a step, as it is; the augmented one and ours see it moved by two elements
    drawn afresh. All three take the same steps on the same number of images; ours differs from the augmented one in
    the latent term alone.
    """

    seed: str = "0..2"
    """Seeds of the runs: '0', '0,3' or '0..2' (both ends included)."""
    epochs: int = 18
    """Passes over the training pairs."""
    group: Literal["C4", "D1", "D4"] = "D4"
    """The group that moves each digit; the pair is moved by its product with itself."""
    device: str = "auto"
    """cpu, cuda, mps, or auto for the fastest one present."""
    out: Path = Path("demo")
    """The folder for report.html and the records."""
    pairs: int = 2000
    """Training pairs."""
    batch: int = 100
    """Pairs in a batch."""
    features: int = 512
    """Features of the latent."""
    strength: float = 0.3
    """λ, the weight of the latent term."""
    latent: Literal["norm", "encoder"] = "norm"
    """The layer that is the latent: the encoder's output, or that of the batch norm behind it, which the head reads."""
    distance: Distance = "mse"
    """How the latent term measures: mse, relative or centred (behind the norm all three are nearly the same)."""
    rate: float = 0.002
    """Peak learning rate of Adam (one cycle)."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in a pass over the training pairs; the last one may be smaller."""
        return -(-self.pairs // self.batch)

    def check(self) -> None:
        """Refuse what cannot be trained, all of it at once, before anything runs."""
        wrong = [
            f"--{name} {getattr(self, name)} should be at least {least}"
            for name, least in (
                ("epochs", 1),
                ("pairs", 2),
                ("batch", 2),
                ("features", 1),
                ("rate", 0),
                ("strength", 0),
            )
            if not getattr(self, name) >= least
        ]
        if self.pairs % max(self.batch, 1) == 1:
            wrong.append(
                f"--pairs {self.pairs} and --batch {self.batch} leave a batch of one pair, which has no spread"
            )
        order = pair_action(self.group)[0].order
        if self.features < order:
            wrong.append(f"--features {self.features} cannot hold one regular representation of {order} dimensions")
        parse_seeds(self.seed)
        pick_device(self.device)
        if wrong:
            raise EquilatentError("; ".join(wrong) + ".")


@dataclass
class DemoRun:
    """One trained network: its curves, its numbers, and its equivariance before and after."""

    method: Method
    seed: int
    network: nn.Module
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    final: dict[str, Any] = field(default_factory=dict)
    before: eq.metrics.EquivarianceError | None = None
    after: eq.metrics.EquivarianceError | None = None


@dataclass(frozen=True)
class DemoData:
    """Pairs for training, selection and test, made from disjoint sets of digits."""

    train: PairSplit
    validation: PairSplit
    test: PairSplit
    source: str


def pair_action(name: str) -> tuple[Group, eq.actions.Action]:
    """The product group that moves both digits, and how it moves a pair [B, 1, 14, 28]."""
    one = {"C4": lambda: eq.groups.cyclic(4), "D1": lambda: eq.groups.dihedral(1), "D4": lambda: eq.groups.dihedral(4)}
    digit = one[name]()
    group = eq.groups.direct_product(digit, digit)
    return group, eq.actions.parts(group, [eq.actions.image(digit), eq.actions.image(digit)])


def make_data(digits: Digits, config: DemoConfig, action: eq.actions.Action, device: torch.device) -> DemoData:
    """Pairs from disjoint digits: 60% for training, 20% for validation, 20% for test; every pair is moved once."""
    splits = []
    for number, part in enumerate(split_digits(digits)):
        pairs = make_pairs(part, (config.pairs, 1000, 2000)[number], action, seed=number)
        splits.append(PairSplit(((pairs.images - 0.13) / 0.28).to(device), pairs.labels.to(device)))
    return DemoData(splits[0], splits[1], splits[2], digits.source)


def make_network(features: int) -> nn.Module:
    """A small convolutional classifier of 100 classes: ``encoder``, ``norm`` and ``head``."""
    encoder = nn.Sequential()
    channels = 1
    widths = (12, 24, 48)
    for wider in widths:
        encoder.extend([nn.Conv2d(channels, wider, 3, padding=1), nn.BatchNorm2d(wider), nn.ReLU()])
        if wider < widths[-1]:
            encoder.append(nn.MaxPool2d(2))
        channels = wider
    encoder.extend([nn.Flatten(), nn.Linear(channels * (SIDE // 4) * (2 * SIDE // 4), features)])
    head = nn.Sequential(nn.ReLU(), nn.Linear(features, 256), nn.ReLU(), nn.Linear(256, 100))
    return nn.Sequential(OrderedDict(encoder=encoder, norm=nn.BatchNorm1d(features), head=head))


def train(
    method: Method,
    seed: int,
    config: DemoConfig,
    data: DemoData,
    group: Group,
    action: eq.actions.Action,
    on_step: Callable[[DemoRun], None] = lambda run: None,
) -> DemoRun:
    """Train one network and measure it."""
    device = data.train.images.device
    torch.manual_seed(seed)
    run = DemoRun(method, seed, make_network(config.features).to(device))
    latent = eq.reps.padded_regular(group, config.features).to(device)
    run.before = _latent_error(run.network, "norm", action, latent, data.test.images)
    generator = torch.Generator().manual_seed(seed)
    objective = eq.Objective(
        group,
        input=action,
        output=eq.actions.trivial(group),
        task_loss=F.cross_entropy,
        layer=config.latent,
        strength=config.strength if method == "ours" else 0.0,
        distance=config.distance,
        passes="joint",
        generator=generator,
    )
    optimiser = torch.optim.Adam(run.network.parameters(), config.rate)
    steps = config.epochs * config.steps_per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, total_steps=steps)
    start = time.perf_counter()
    for epoch in range(config.epochs):
        run.network.train()
        for x, y in _batches(data.train, config.batch, generator):
            if method == "plain":
                loss, terms = F.cross_entropy(run.network(torch.cat([x, x])), torch.cat([y, y])), None
            else:
                x = action(x, group.sample(len(x), generator=generator, device=device))
                loss, terms = objective(run.network, x, y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            on_step(run)
        run.seconds += time.perf_counter() - start
        run.curve.append(_point(epoch + 1, run, data, loss, terms))
        start = time.perf_counter()
    run.after = _latent_error(run.network, "norm", action, latent, data.test.images)
    at_encoder = _latent_error(run.network, "encoder", action, latent, data.test.images)
    run.final = {
        "test_accuracy": accuracy(run.network, data.test),
        "validation_accuracy": run.curve[-1]["validation_accuracy"] if run.curve else None,
        "train_accuracy": accuracy(run.network, data.train),
        "consistency": eq.metrics.prediction_consistency(run.network, action, data.test.images[:100]).mean,
        "latent_error": run.after.mean_centred,
        "latent_error_before": run.before.mean_centred,
        "encoder_relative_error": at_encoder.mean_relative,
        "encoder_centred_error": at_encoder.mean_centred,
        "parameters": sum(parameter.numel() for parameter in run.network.parameters()),
    }
    return run


def _batches(pairs: PairSplit, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.randperm(len(pairs.labels), generator=generator).to(pairs.labels.device)
    for rows in order.split(size):
        yield pairs.images[rows], pairs.labels[rows]


def _point(epoch: int, run: DemoRun, data: DemoData, loss: Tensor, terms: Terms | None) -> dict[str, float]:
    point = {
        "epoch": epoch,
        "validation_accuracy": accuracy(run.network, data.validation),
        "loss": float(loss.detach()),
    }
    if terms is not None:
        point |= {name: value for name, value in terms.as_floats().items() if name.endswith("_error")}
    return point


@torch.no_grad()
def accuracy(network: nn.Module, pairs: PairSplit) -> float:
    """The share of pairs that are classified correctly, in evaluation mode."""
    network.eval()
    answers = torch.cat([network(images).argmax(1) for images in pairs.images.split(500)])
    return float((answers == pairs.labels).float().mean())


def _latent_error(
    network: nn.Module, layer: str, action: eq.actions.Action, latent: eq.reps.Representation, images: Tensor
) -> eq.metrics.EquivarianceError:
    return eq.metrics.equivariance_error(network, action, latent, images[:32], layer=layer)


def run_demo(
    config: DemoConfig, on_step: Callable[[DemoRun], None] = lambda run: None
) -> tuple[list[DemoRun], DemoData]:
    """All methods with all seeds."""
    device = pick_device(config.device)
    group, action = pair_action(config.group)
    data = make_data(load_digits(), config, action, device)
    runs = [
        train(method, seed, config, data, group, action.to(device), on_step)
        for seed in parse_seeds(config.seed)
        for method in METHODS
    ]
    return runs, data


def records_of(runs: list[DemoRun], config: DemoConfig, data: DemoData) -> list[dict[str, Any]]:
    """A record for each run."""
    settings = {**asdict(config), "data": data.source}
    del settings["out"]  # where the results go says nothing about them
    return [
        make_record(
            experiment="demo",
            method=run.method,
            group=f"{config.group}×{config.group}",
            seed=run.seed,
            config={**settings, "seed": run.seed},
            final=run.final,
            seconds=run.seconds,
            device=data.train.images.device,
        )
        for run in runs
    ]
