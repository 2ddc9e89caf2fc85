"""Training `ours` on DDMNIST with the library, next to the same method written the obvious way, and seeds side by side.

The obvious way is a data set that makes one pair of images after the other, a DataLoader, two passes through the network,
and a latent loss with one matrix for each sample, in a Python loop. Both compute the same numbers, which is checked.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

import equilatent as eq
from benchmarks import memory, plain
from benchmarks.actions import LEFT, RIGHT, TOP, two_digits
from benchmarks.page import Cell, Table, Unit
from benchmarks.timing import Options, median_ratio, paired_seconds
from equilatent.bench.networks import ddmnist_cnn

GOAL = 5
_PAIRS, _FEATURES, _RATE = 10_000, 66, 5e-4
_MEAN, _DEVIATION = 0.5 * 0.1307, math.sqrt(0.3081)

Item = tuple[Tensor, Tensor, int, int]
Step = Callable[[], object]


@dataclass(frozen=True)
class Digits:
    """Random digits, two for each image: what is in them plays no part in the time.

    Attributes:
        raw: in [0, 1], float32 [n, 2, 28, 28].
        turns: for each digit the matrices of a turn and of the turn back, [n, 2, 2, 2, 3].
        classes: [n].
        elements: of D4×D4, one for each pair, [n].
    """

    raw: Tensor
    turns: Tensor
    classes: Tensor
    elements: Tensor

    @cached_property
    def turned(self) -> Tensor:
        """The digits turned by an angle and back, which leaves traces of interpolation on them."""
        digits = self.raw.flatten(0, 1)[:, None]
        for turn in self.turns.flatten(0, 1).unbind(1):
            digits = plain.sample(digits, turn)
        return digits.view_as(self.raw)


def random_digits(count: int) -> Digits:
    draw = torch.Generator().manual_seed(0)
    raw = torch.randint(256, (count, 2, 28, 28), generator=draw) / 255
    angle = (2 * torch.rand(count, 2, 1, generator=draw) - 1) * math.pi * torch.tensor([1.0, -1.0])
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    turns = torch.stack([cos, -sin, zero, sin, cos, zero], -1).unflatten(-1, (2, 3))
    classes, elements = (torch.randint(n, (count,), generator=draw) for n in (100, 64))
    return Digits(raw, turns, classes, elements)


class ObviousPairs(Dataset[Item]):
    """One pair at a time: (x, gx, class, g), each digit moved by `torch.rot90` and `flip`, then put in its place."""

    def __init__(self, digits: Digits, *, artefacts: bool) -> None:
        self.digits, self.artefacts = digits, artefacts
        self.source = digits.raw if artefacts else digits.turned
        self.moves = plain.image_moves(mirrors=True)
        self.split = two_digits().group.split

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Item:
        pair, element = self.source[index], int(self.digits.elements[index])
        if self.artefacts:
            turns = self.digits.turns[index]
            pair = torch.stack([self._turned(digit, turn) for digit, turn in zip(pair, turns, strict=True)])
        moved = [self.moves[part](digit) for part, digit in zip(self.split(element), pair, strict=True)]
        return _picture(*pair), _picture(*moved), int(self.digits.classes[index]), element

    def _turned(self, digit: Tensor, turns: Tensor) -> Tensor:
        for turn in turns:
            digit = plain.sample(digit[None, None], turn[None])[0, 0]
        return digit


def _picture(left: Tensor, right: Tensor) -> Tensor:
    padded = [F.pad(digit[None], (0, 0, 14, 14)) for digit in (left, right)]
    return (torch.cat(padded, -1) - _MEAN) / _DEVIATION


@dataclass(frozen=True)
class Training:
    """A network in training.

    Attributes:
        network: its ``encoder`` gives the latent.
        optimiser: of its parameters.
        bf16: whether the network computes in bfloat16 where that is safe.
        channels_last: whether its weights lie so in memory.
    """

    network: nn.Sequential
    optimiser: torch.optim.Optimizer
    bf16: bool = False
    channels_last: bool = False

    @classmethod
    def start(cls, device: torch.device, *, fused: bool, bf16: bool = False, channels_last: bool = False) -> Training:
        """Always from the same weights."""
        torch.manual_seed(0)
        network = ddmnist_cnn(_FEATURES).to(device)
        if channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, torch.optim.Adam(network.parameters(), lr=_RATE, fused=fused), bf16, channels_last)

    def arithmetic(self, device: torch.device) -> contextlib.AbstractContextManager[object]:
        """In which the forward passes run."""
        return torch.autocast(device.type, torch.bfloat16) if self.bf16 else contextlib.nullcontext()

    def finish(self, loss: Tensor) -> Tensor:
        """The backward pass and the optimiser's step."""
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()


class Case:
    """Part of an epoch, in every way that is measured."""

    def __init__(self, quick: bool, device: torch.device) -> None:
        self.device = device
        self.batch, self.batches = (4, 1) if quick else (256, 2)
        self.digits = random_digits(16 if quick else _PAIRS)
        self.act = two_digits()
        self.objective = eq.Objective(
            self.act.group,
            input=self.act,
            output=eq.actions.trivial(self.act.group),
            task_loss=F.cross_entropy,
            layer="encoder",
        )
        # The whole set lies on the device.
        digits = (self.digits.turned - _MEAN) / _DEVIATION
        images = torch.full((len(digits), 1, 56, 56), -_MEAN / _DEVIATION)
        for window, digit in zip((LEFT, RIGHT), digits.unbind(1), strict=True):
            images[:, 0, TOP, window] = digit
        self.images, self.classes, self.elements = (
            tensor.to(device) for tensor in (images, self.digits.classes, self.digits.elements)
        )
        rho = eq.reps.padded_regular(self.act.group, _FEATURES)
        self.matrices = rho.matrix(rho.group.elements).float().to(device)

    @property
    def scale(self) -> float:
        """How many times what is measured makes an epoch."""
        return _PAIRS / (self.batch * self.batches)

    # The library's way.

    def our_batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images, classes and elements of these rows."""
        rows = rows.to(self.device)
        return self.images[rows], self.classes[rows], self.elements[rows]

    def our_loss(self, training: Training, rows: Tensor) -> Tensor:
        """The loss of one batch."""
        x, y, g = self.our_batch(rows)
        with training.arithmetic(self.device):
            loss: Tensor = self.objective(training.network, x, y, g=g)[0]
        return loss

    def our_epoch(self, training: Training) -> None:
        """As many batches as are measured."""
        order = torch.randperm(len(self.images))[: self.batch * self.batches]
        for rows in order.split(self.batch):
            training.finish(self.our_loss(training, rows))

    # The obvious way.

    def obvious_distance(self, latent: Tensor, moved: Tensor, elements: list[int]) -> Tensor:
        """The latent loss, a matrix times a vector for each sample."""
        shifted = [self.matrices[element] @ vector for element, vector in zip(elements, latent, strict=True)]
        return F.mse_loss(torch.stack(shifted), moved)

    def obvious_loss(self, training: Training, items: list[Tensor]) -> Tensor:
        """The loss of one batch that a loader has made."""
        x, moved_x, y, g = items
        x, moved_x, y = x.to(self.device), moved_x.to(self.device), y.to(self.device)
        encoder, head = training.network.encoder, training.network.head
        latent, moved = encoder(x), encoder(moved_x)
        task = F.cross_entropy(head(latent), y) / 2 + F.cross_entropy(head(moved), y) / 2
        return task + self.obvious_distance(latent, moved, g.tolist())

    def obvious_epoch(self, training: Training, data: Dataset[Item], workers: int) -> None:
        """As many batches as are measured, with the workers' start and end."""
        # No more than is measured, else workers go on making batches that nobody takes.
        part = Subset(data, torch.randperm(len(self.images))[: self.batch * self.batches].tolist())
        for items in DataLoader(part, self.batch, shuffle=True, num_workers=workers):
            training.finish(self.obvious_loss(training, items))

    # What is measured.

    def ours(self) -> dict[str, Step]:
        """The library's way, by arithmetic and memory format."""

        def epoch(bf16: bool, channels_last: bool) -> Step:
            training = Training.start(self.device, fused=True, bf16=bf16, channels_last=channels_last)
            return lambda: self.our_epoch(training)

        return {
            f"equilatent, {'bf16' if bf16 else 'float32'}, {'channels last' if last else 'contiguous'}": epoch(
                bf16, last
            )
            for bf16, last in itertools.product((False, True), repeat=2)
        }

    def obvious(self) -> dict[str, Step]:
        """The obvious way, by who makes the batches and what is made in them; float32, contiguous."""

        def epoch(artefacts: bool, workers: int) -> Step:
            data, training = ObviousPairs(self.digits, artefacts=artefacts), Training.start(self.device, fused=False)
            return lambda: self.obvious_epoch(training, data, workers)

        cores = os.cpu_count() or 1
        return {
            _OBVIOUS.format(f"{workers} workers") + _ARTEFACTS * artefacts: epoch(artefacts, workers)
            for artefacts in (False, True)
            for workers in (0, 2)[: 1 + (cores > 1)]
        }

    def check(self) -> None:
        """That both ways see the same images and come to the same loss and gradients, however the pairs are made."""
        rows = torch.arange(self.batch)
        ours = Training.start(self.device, fused=True)
        x, _, g = self.our_batch(rows)
        loss = self.our_loss(ours, rows)
        loss.backward()
        for artefacts in (False, True):
            pairs = ObviousPairs(self.digits, artefacts=artefacts)
            items = default_collate([pairs[row] for row in rows.tolist()])
            theirs = Training.start(self.device, fused=False)
            torch.testing.assert_close(items[0].to(self.device), x, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(items[1].to(self.device), self.act(x, g), rtol=1e-4, atol=1e-5)
            obvious = self.obvious_loss(theirs, items)
            torch.testing.assert_close(obvious, loss, rtol=1e-4, atol=1e-6)
            obvious.backward()
            theirs_grad, our_grad = (
                torch.cat(
                    [parameter.grad.flatten() for parameter in t.network.parameters() if parameter.grad is not None]
                )
                for t in (theirs, ours)
            )
            # Of biases in front of a batch norm the gradient is rounding error, so all are measured by the largest.
            torch.testing.assert_close(theirs_grad, our_grad, rtol=1e-3, atol=1e-3 * float(our_grad.abs().max()))


_OBVIOUS = "the obvious way, {}"
_BASE = _OBVIOUS.format("0 workers")
_ARTEFACTS = ", artefacts among the transforms"


def peak_bytes(way: str, quick: bool, device: torch.device, threads: int) -> float:
    """What one step adds to the memory at its height."""
    torch.set_num_threads(threads)
    case = Case(quick, device)
    case.batches = 1
    ways = case.ours() | case.obvious()
    small = Case(True, device)
    (small.ours() | small.obvious())[way]()  # what is set up at a first step is no part of it
    return memory.rise(ways[way], device)


def _peaks(names: list[str], options: Options) -> dict[str, float | None]:
    if options.device.type != "cuda" and not memory.RESET.exists():
        return dict.fromkeys(names)
    # A fresh process for every number; in quick runs one for all, since starting one takes seconds.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=None if options.quick else 1) as pool:
        fixed = (options.quick, options.device, torch.get_num_threads())
        return {name: pool.apply(peak_bytes, (name, *fixed)) for name in names}


def epochs(options: Options) -> Table:
    case = Case(options.quick, options.device)
    case.check()
    ways = case.obvious() | case.ours()
    seconds = paired_seconds(ways, options.rounds(3), device=options.device)
    # Workers hold memory of their own, and what the process that trains holds is the same with them.
    peaks = _peaks([name for name in ways if name == _BASE or name.startswith("equilatent")], options)
    rows: list[list[Cell]] = [
        [
            name,
            case.scale * statistics.median(seconds[name]),
            *(median_ratio(seconds, base, name) for base in (_BASE, _BASE + _ARTEFACTS)),
            peaks.get(name),
        ]
        for name in ways
    ]
    columns = (
        ("", "text"),
        (f"an epoch of {_PAIRS:,} pairs", "seconds"),
        ("the first row ÷ this", "ratio"),
        (f"the first row with artefacts ÷ this (goal: {GOAL})", "ratio"),
        ("peak memory of a step, above what was there before", "bytes"),
    )
    count = f"{case.batches} batch{'es' * (case.batches > 1)}"
    return Table(f"`ours`, D4×D4, batches of {case.batch}, data included, scaled up from {count}", columns, rows)


def _parts(case: Case) -> Mapping[str, Mapping[str, Step]]:
    """What a step consists of, in each way."""
    rows = torch.arange(case.batch)
    x, y, g = case.our_batch(rows)
    moved_x = case.act(x, g)
    plain_pairs, with_artefacts = (ObviousPairs(case.digits, artefacts=artefacts) for artefacts in (False, True))
    elements = g.tolist()
    generator = torch.Generator().manual_seed(0)
    latent, moved = (torch.randn(case.batch, _FEATURES, generator=generator).to(case.device) for _ in range(2))
    latent.requires_grad_()
    act_latent = eq.reps.padded_regular(case.act.group, _FEATURES)
    obvious = Training.start(case.device, fused=False)
    ours = Training.start(case.device, fused=True)
    last = Training.start(case.device, fused=True, channels_last=True)

    def passes(training: Training) -> Step:
        def run() -> None:
            with training.arithmetic(case.device):
                loss = F.cross_entropy(training.network(x), y) + F.cross_entropy(training.network(moved_x), y)
            training.optimiser.zero_grad()
            loss.backward()

        run()  # so that the optimiser has gradients
        return run

    def make(data: ObviousPairs) -> Step:
        return lambda: [items.to(case.device) for items in default_collate([data[row] for row in rows.tolist()])]

    def our_data() -> None:
        images, _, g = case.our_batch(rows)
        case.act(images, g)

    def our_distance() -> None:
        F.mse_loss(act_latent(latent, g), moved).backward()

    return {
        "making the batch": {
            "obvious": make(plain_pairs),
            "artefacts": make(with_artefacts),
            "ours": our_data,
            "last": our_data,
        },
        "the latent term": {
            "obvious": lambda: case.obvious_distance(latent, moved, elements).backward(),
            "ours": our_distance,
            "last": our_distance,
        },
        "two passes through the network and back": {
            "obvious": passes(obvious),
            "ours": passes(ours),
            "last": passes(last),
        },
        "Adam": {
            "obvious": lambda: obvious.optimiser.step(),
            "ours": lambda: ours.optimiser.step(),
            "last": lambda: last.optimiser.step(),
        },
    }


def shares(options: Options) -> Table:
    case = Case(options.quick, options.device)
    ways = ("artefacts", "obvious", "ours", "last")
    seconds: dict[str, list[float]] = {}
    for part, measured in _parts(case).items():
        found = paired_seconds(measured, options.rounds(7), device=options.device)
        seconds[part] = [statistics.median(found.get(way, found["obvious"])) for way in ways]
    total = [sum(column) for column in zip(*seconds.values(), strict=True)]
    rows: list[list[Cell]] = []
    for part, values in [*seconds.items(), ("together", total)]:
        shared = [value / whole for value, whole in zip(values, total, strict=True)]
        rows.append([part, *itertools.chain.from_iterable(zip(values, shared, strict=True))])
    headings = (
        f"the obvious way{_ARTEFACTS}",
        "the obvious way",
        "equilatent, float32, contiguous",
        "equilatent, float32, channels last",
    )
    columns: list[tuple[str, Unit]] = [("part of a step", "text")]
    for heading in headings:
        columns += [(heading, "seconds"), ("share", "ratio")]
    return Table(f"Where the time of a batch of {case.batch} goes, without workers", columns, rows)


class ManySeeds:
    """Networks of the same make with weights of their own, trained on batches of their own, as one program."""

    def __init__(self, networks: list[nn.Sequential]) -> None:
        self.parameters, self.buffers = torch.func.stack_module_state(networks)
        self.skeleton = copy.deepcopy(networks[0]).to("meta")
        self.optimiser = torch.optim.Adam(self.parameters.values(), lr=_RATE, fused=True)

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """The task loss of each, for inputs [seeds, B, …]."""

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(torch.func.functional_call(self.skeleton, (parameters, buffers), (x,)), y)

        losses: Tensor = torch.func.vmap(one)(self.parameters, self.buffers, x, y)
        return losses

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """One step of all."""
        losses = self.losses(x, y)
        self.optimiser.zero_grad()
        losses.sum().backward()
        self.optimiser.step()
        return losses.detach()


def _seeds(count: int, quick: bool, device: torch.device) -> dict[str, Step]:
    batch = 4 if quick else 256
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(count, batch, 1, 56, 56, generator=draw).to(device)
    y = torch.randint(100, (count, batch), generator=draw).to(device)
    networks = []
    for seed in range(count):
        torch.manual_seed(seed)
        networks.append(ddmnist_cnn(_FEATURES).to(device))
    together = ManySeeds(networks)
    apart = [Training(n, torch.optim.Adam(n.parameters(), lr=_RATE, fused=True)) for n in networks]

    def one_after_another() -> Tensor:
        return torch.stack([t.finish(F.cross_entropy(t.network(x[i]), y[i])) for i, t in enumerate(apart)])

    # The second step sees what the first one did to weights and running statistics.
    for _ in range(2):
        torch.testing.assert_close(together.step(x, y), one_after_another(), rtol=5e-3, atol=1e-3)
    return {"apart": one_after_another, "together": lambda: together.step(x, y)}


def many_seeds(options: Options) -> Table:
    rows: list[list[Cell]] = []
    for count in (2,) if options.quick else (3, 5):
        seconds = paired_seconds(_seeds(count, options.quick, options.device), options.rounds(3), device=options.device)
        apart, together = (statistics.median(seconds[way]) for way in ("apart", "together"))
        rows.append([count, apart, together, median_ratio(seconds, "apart", "together")])
    columns = (
        ("seeds", "count"),
        ("one after another", "seconds"),
        ("as one program", "seconds"),
        ("one after another ÷ as one program", "ratio"),
    )
    return Table("A step of the CNN for each of several seeds: `torch.func.vmap` over stacked weights", columns, rows)


def tables(options: Options) -> Iterator[Table]:
    yield epochs(options)
    yield shares(options)
    yield many_seeds(options)
