"""The training loop: batches, the statistics of norms, the schedule, what selects an epoch, compiled steps, ranks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric
from torch import Tensor, nn
from toy_experiment import TOY, ToyConfig, ToySystem

import equilatent as eq
from equilatent.bench.harness.loop import Progress, State, batches, refresh_statistics, train
from equilatent.bench.harness.run import run
from equilatent.bench.harness.system import System
from equilatent.bench.harness.task import Problem, Split, Task
from equilatent.bench.systems.steerable import FieldNorm, FieldType
from equilatent.errors import NonFiniteError

CPU = torch.device("cpu")


class Numbers(Problem):
    """The samples are the numbers 0, 1, …; what is evaluated is written down beforehand, one value for each epoch."""

    def __init__(self, samples: int = 10, values: Sequence[float] = (), noise: float = 0.0) -> None:
        self.device, self.samples, self.values, self.noise = CPU, samples, list(values), noise
        self.group = eq.groups.cyclic(1)
        self.input = self.output = eq.actions.trivial(self.group)
        self.provenance = {}
        self.asked: list[list[int]] = []
        self.drawn: list[float] = []
        self.evaluated: list[tuple[Split, bool, bool]] = []

    def start_epoch(self, generator: torch.Generator) -> None:
        self.drawn.append(float(torch.rand(1, generator=generator)))

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        self.asked.append(indices.tolist())
        x = indices.float()[:, None]
        return x + self.noise * torch.randn(x.shape, generator=generator), indices

    def task_loss(self, output: Tensor, target: Tensor) -> Tensor:
        return output.mean()

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        self.evaluated.append((split, model.training, torch.is_grad_enabled()))
        steps = float(model.steps)  # type: ignore[arg-type]
        if split == "test":
            return {"steps": steps}
        epoch = len(self.evaluated) - 1
        return {"loss": self.values[epoch] if self.values else steps}


class Falling(nn.Module):
    """A weight whose gradient is 1 in every step, so that Adam takes away the learning rate; and a count of the steps."""

    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight + 0 * x


class Fall(System):
    name, title, builds = "fall", "falls", (type(None),)

    def __init__(self, problem: Problem, architecture: Any, config: Any, seed: int) -> None:
        self.model = (architecture or Falling)()
        self.weights: list[float] = []

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        return self.model(x).mean(), {"index": y.double().mean(), "size": torch.tensor(float(len(y)))}

    def after_step(self) -> None:
        self.model.steps += 1
        self.weights.append(float(self.model.weight.detach()))  # type: ignore[arg-type]


@dataclass
class Told(Progress):
    """What was told while it ran."""

    started: list[tuple[int, int]] = field(default_factory=list)
    steps: int = 0
    epochs: list[int] = field(default_factory=list)

    def starts(self, state: State, steps: int) -> None:
        self.started.append((len(state.rows), steps))

    def step(self) -> None:
        self.steps += 1

    def epoch(self, state: State) -> None:
        self.epochs.append(len(state.rows))


class Apart:
    """A fabric that says it is one of several, without the others."""

    def __init__(self, fabric: Fabric, rank: int, ranks: int) -> None:
        self.fabric, self.global_rank, self.world_size = fabric, rank, ranks

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fabric, name)


NUMBERS = Task(
    name="numbers",
    title="Numbers",
    table="none",
    config=ToyConfig,
    groups={"S3": "nothing"},
    load=lambda config, device: Numbers(),
    architecture=lambda config: None,
    quantities=(),
    systems={"fixed": Fall},
)


@pytest.fixture
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture
def config(tmp_path: Path) -> ToyConfig:
    return ToyConfig(out=tmp_path, device="cpu", epochs=5, batch=4, patience=100, min_change=0.0)


def go(
    problem: Problem,
    config: ToyConfig,
    fabric: Any,
    *,
    system: System | None = None,
    task: Task = NUMBERS,
    seed: int = 0,
    told: Told | None = None,
) -> State:
    system = system or Fall(problem, None, config, 0)
    return train(task, problem, system, config, seed, fabric, config.out / "last.ckpt", told or Told())


# Batches


@given(st.integers(1, 500), st.integers(1, 100), st.integers(0, 5), st.integers(0, 5))
def test_batches_hold_every_sample_once_and_are_of_equal_sizes(samples: int, batch: int, seed: int, epoch: int) -> None:
    parts = batches(samples, batch, seed, epoch)
    assert sorted(torch.cat(parts).tolist()) == list(range(samples))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch
    assert len(sizes) == -(-samples // batch)


def test_batches_are_drawn_from_the_seed_and_the_epoch_alone() -> None:
    orders = {(seed, epoch): torch.cat(batches(100, 7, seed, epoch)).tolist() for seed in (0, 1) for epoch in (0, 1)}
    torch.rand(3)
    assert torch.cat(batches(100, 7, 1, 1)).tolist() == orders[1, 1]
    assert torch.cat(batches(100, 100, 1, 1)).tolist() == orders[1, 1]
    assert len(set(map(tuple, orders.values()))) == 4


def test_an_epoch_takes_every_sample_once_and_tells_means_over_batches(config: ToyConfig, fabric: Fabric) -> None:
    problem, told = Numbers(10), Told()
    rows = go(problem, replace(config, epochs=2), fabric, told=told).rows
    assert [len(part) for part in problem.asked] == [4, 3, 3] * 2
    epochs = [problem.asked[:3], problem.asked[3:]]
    assert [sorted(itertools.chain(*epoch)) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    assert [row["train/size"] for row in rows] == pytest.approx([10 / 3] * 2)
    assert [row["train/index"] for row in rows] == pytest.approx(
        [sum(sum(part) / len(part) for part in epoch) / 3 for epoch in epochs]
    )
    assert told == Told([(0, 3)], 6, [1, 2])
    # Of each epoch, with the network in evaluation mode and without gradients.
    assert problem.evaluated == [("validation", False, False)] * 2


# The schedule


def taken(system: Fall, start: float = 0.0) -> list[float]:
    """The learning rate of each step, of a weight that was there at the start."""
    return (-np.diff([start, *system.weights])).tolist()


class CutError(Exception):
    """Stands for a kill."""


@dataclass
class Cut(Told):
    """Cut off after two epochs."""

    def epoch(self, state: State) -> None:
        if len(state.rows) == 2:
            raise CutError


def test_the_rate_falls_with_every_step_along_half_a_cosine(config: ToyConfig, fabric: Fabric) -> None:
    config = replace(config, schedule="cosine", rate=0.01, epochs=5)
    expected = [0.005 * (1 + math.cos(math.pi * t / 15)) for t in range(15)]
    system = Fall(Numbers(10), None, config, 0)
    go(Numbers(10), config, fabric, system=system)
    assert taken(system) == pytest.approx(expected, rel=1e-3)
    # Cut off, it goes on where it was.
    (config.out / "last.ckpt").unlink()
    first, second = Fall(Numbers(10), None, config, 0), Fall(Numbers(10), None, config, 0)
    with pytest.raises(CutError):
        go(Numbers(10), config, fabric, system=first, told=Cut())
    go(Numbers(10), config, fabric, system=second)
    assert taken(first) + taken(second, first.weights[-1]) == pytest.approx(expected, rel=1e-3)


def test_the_rate_is_constant_by_default(config: ToyConfig, fabric: Fabric) -> None:
    problem = Numbers(10)
    system = Fall(problem, None, config, 0)
    go(problem, replace(config, rate=0.01), fabric, system=system)
    assert taken(system) == pytest.approx([0.01] * 15, rel=1e-3)


# What selects


@pytest.mark.parametrize(
    ("better", "min_change", "best"),
    [
        ("lower", 0.0, 3),
        ("higher", 0.0, 4),
        # From the first value on, an improvement has to be greater than that.
        ("lower", 0.25, 1),
        ("higher", 0.25, 4),
        ("higher", 5.0, 0),
    ],
)
def test_the_best_epoch_is_kept(config: ToyConfig, fabric: Fabric, better: Any, min_change: float, best: int) -> None:
    problem = Numbers(10, [0.5, 0.2, 0.4, 0.1, 0.9, 0.3])
    config = replace(config, epochs=6, min_change=min_change)
    state = go(problem, config, fabric, task=replace(NUMBERS, better=better))
    assert [row["val/loss"] for row in state.rows] == problem.values
    assert [row["epoch"] for row in state.rows] == list(range(6))
    assert state.best_epoch == best
    assert float(state.best_weights["steps"]) == 3 * (best + 1)


@pytest.mark.parametrize(
    ("values", "patience", "min_change", "epochs"),
    [
        ([3.0, 2.0, 1.0, 0.9, 0.8, 0.7], 2, 0.0, 6),
        ([3.0, 2.0, 1.0, 0.9, 0.8, 0.7], 2, 0.5, 5),
        ([3.0, 4.0, 2.0, 2.0, 3.0, 1.0], 2, 0.0, 5),
        ([3.0, 4.0, 2.0, 2.0, 3.0, 1.0], 1, 0.0, 2),
        ([3.0, 3.0, 3.0, 3.0, 3.0, 3.0], 3, 0.0, 4),
    ],
)
def test_patience_counts_epochs_without_improvement(
    config: ToyConfig, fabric: Fabric, values: list[float], patience: int, min_change: float, epochs: int
) -> None:
    config = replace(config, epochs=6, patience=patience, min_change=min_change)
    assert len(go(Numbers(10, values), config, fabric).rows) == epochs


@pytest.mark.parametrize(("better", "best"), [("lower", 1), ("higher", 2)])
def test_the_record_tells_the_selected_epoch_and_its_value(config: ToyConfig, better: Any, best: int) -> None:
    task = replace(
        NUMBERS,
        better=better,
        criterion="accuracy",
        load=lambda *_: Scored([0.3, 0.1, 0.8, 0.4]),
    )
    record = run(task, replace(config, epochs=4), 0, progress=False)
    assert record["selected"] == {"epoch": best, "accuracy": [0.3, 0.1, 0.8, 0.4][best]}
    assert record["final"]["best_epoch"] == best
    assert record["final"]["epochs"] == 4
    # The test samples are seen by the weights of that epoch.
    assert record["final"]["steps"] == 3 * (best + 1)


class Scored(Numbers):
    """Selected by another number than the loss, which says the opposite."""

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__(10, values)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        found = super().evaluate(model, split)
        return found if split == "test" else {"loss": -found["loss"], "accuracy": found["loss"]}


def test_what_is_not_finite_is_named(config: ToyConfig, fabric: Fabric) -> None:
    with pytest.raises(NonFiniteError, match=r"epoch 1: val/loss is not finite\. Lower --rate"):
        go(Numbers(10, [1.0, math.inf]), config, fabric)


# The statistics of norms


def by_hand(problem: Problem, batch: int, statistics: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Any:
    """The means, over batches of the samples that are taken, of their own means and variances."""
    order = torch.randperm(problem.samples, generator=torch.Generator().manual_seed(0))[:2048]
    generator = torch.Generator().manual_seed(0)
    found = [
        statistics(problem.batch(part, generator)[0])
        for part in np.array_split(order, math.ceil(len(order) / batch))  # type: ignore[arg-type]
    ]
    means, variances = zip(*found, strict=True)
    return torch.stack(means).mean(0), torch.stack(variances).mean(0)


class Images(Numbers):
    """Noisy images with a scale of their own in each of six channels."""

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, _ = super().batch(indices, generator)
        pixels = torch.randn(len(x), 6, 3, 3, generator=generator) + x[:, :, None, None] / 100
        return pixels * torch.arange(1.0, 7.0)[:, None, None], indices


D4 = eq.groups.dihedral(4)
FIELDS = FieldType((eq.reps.trivial(D4), eq.reps.defining(D4)), 2)


def of_batch_norm(x: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(x, dim=[axis for axis in range(x.ndim) if axis != 1], correction=1)
    return mean, variance


def of_field_norm(x: Tensor) -> tuple[Tensor, Tensor]:
    """Two trivial channels and two planes, of which each field has one of each; planes keep their mean."""
    square = x.square().mean((0, 2, 3))
    mean = x[:, :2].mean((0, 2, 3))
    centred = square[:2] - mean.square()
    return mean, (centred + square[2:].view(2, 2).sum(1)) / 3


NORMS: dict[str, tuple[Callable[[], nn.Module], Callable[[Tensor], tuple[Tensor, Tensor]]]] = {
    "BatchNorm2d": (lambda: nn.BatchNorm2d(6), of_batch_norm),
    "BatchNorm1d": (
        lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(54)),
        lambda x: of_batch_norm(x.flatten(1)),
    ),
    "FieldNorm": (lambda: FieldNorm(FIELDS), of_field_norm),
}


def norms_of(model: nn.Module) -> list[Any]:
    return [part for part in model.modules() if hasattr(part, "running_var")]


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize(("samples", "batch"), [(50, 16), (50, 50), (3000, 500)])
def test_statistics_are_means_over_batches(name: str, samples: int, batch: int) -> None:
    make, statistics = NORMS[name]
    model, problem = make(), Images(samples, noise=0.5)
    (norm,) = norms_of(model)
    norm.running_mean.fill_(7)  # what was there before is of no account
    norm.running_var.fill_(9)
    refresh_statistics(model, problem, batch, CPU)
    asked, problem.asked = problem.asked, []
    mean, variance = by_hand(problem, batch, statistics)
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, variance, rtol=1e-4, atol=1e-5)
    assert asked == problem.asked
    assert len(set(itertools.chain(*asked))) == min(samples, 2048)


def test_a_norm_behind_another_sees_what_that_makes_of_the_batch() -> None:
    """As in training; and as in evaluation, nothing is dropped."""
    model, problem = nn.Sequential(nn.BatchNorm2d(6), nn.Dropout(0.5), nn.ReLU(), nn.BatchNorm2d(6)), Images(40)

    def behind(x: Tensor) -> tuple[Tensor, Tensor]:
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0, keepdim=True)
        return of_batch_norm(((x - mean) / (variance + 1e-5).sqrt()).relu())

    refresh_statistics(model, problem, 8, CPU)
    mean, variance = by_hand(problem, 8, behind)
    torch.testing.assert_close(model[3].running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model[3].running_var, variance, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_else_of_the_model_is_changed(training: bool) -> None:
    frozen = nn.BatchNorm2d(6, momentum=None)
    model = nn.Sequential(frozen, nn.Dropout(0.5), FieldNorm(FIELDS, momentum=0.3), nn.BatchNorm2d(6, momentum=0.2))
    model.train(training)
    frozen.train(not training)  # as a user does who freezes a part
    weights = {name: value.clone() for name, value in model.named_parameters()}
    state = torch.get_rng_state()
    refresh_statistics(model, Images(40), 8, CPU)
    assert [part.momentum for part in norms_of(model)] == [None, 0.3, 0.2]
    assert [part.training for part in model] == [not training, training, training, training]
    assert model.training == training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())
    assert all(value.grad is None for value in model.parameters())


def test_a_model_without_running_statistics_asks_for_no_samples() -> None:
    problem = Images(40)
    refresh_statistics(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False)), problem, 8, CPU)
    assert problem.asked == []


class Normed(Falling):
    """With a norm in front of the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.norm(x))


class Seeing(Numbers):
    """Evaluates to the running statistics that the norm has then."""

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        norm: Any = model.norm
        return {"loss": float(norm.running_mean), "variance": float(norm.running_var)}


def test_statistics_are_those_of_the_training_samples_whenever_it_is_evaluated(
    config: ToyConfig, fabric: Fabric
) -> None:
    config, problem = replace(config, epochs=3, batch=10), Seeing(100, noise=0.1)
    state = go(problem, config, fabric, system=Fall(problem, Normed, config, 0))
    mean, variance = by_hand(problem, 10, of_batch_norm)
    for row in state.rows:
        assert row["val/loss"] == pytest.approx(float(mean), rel=1e-5)
        assert row["val/variance"] == pytest.approx(float(variance), rel=1e-5)
    # The weights that are kept are kept with them.
    assert float(state.best_weights["norm.running_mean"]) == pytest.approx(float(mean), rel=1e-5)


# Several processes


def test_ranks_share_each_batch_and_draw_apart(config: ToyConfig, fabric: Fabric) -> None:
    config = replace(config, epochs=2, batch=8)
    alone, *together = Numbers(20), Numbers(20), Numbers(20), Numbers(20)
    go(alone, config, fabric)
    for rank, problem in enumerate(together):
        (config.out / "last.ckpt").unlink()
        go(problem, config, Apart(fabric, rank, 3))
    for whole, *parts in zip(alone.asked, *(problem.asked for problem in together), strict=True):
        assert sorted(itertools.chain(*parts)) == sorted(whole)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert alone.drawn == together[0].drawn
    drawn = [tuple(problem.drawn) for problem in together]
    assert len(set(drawn)) == 3


# Compiled


@pytest.fixture
def _forget_compiled() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_forget_compiled")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_step_gives_the_numbers_of_eager(
    config: ToyConfig, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """Both draw from PyTorch's own generator; compiled to C++, a step would draw others, so then nothing is drawn."""
    compile_, compiled = torch.compile, []
    frozen = backend == "inductor"

    def with_backend(module: nn.Module, **_: Any) -> Any:
        compiled.append(module)
        return compile_(module, backend=backend)

    task = replace(TOY, systems={"fixed": Certain}) if frozen else TOY
    config = replace(config, compile=True, epochs=2, batch=32)
    monkeypatch.setattr(torch, "compile", with_backend)
    curve = run(task, config, 0, progress=False)["curve"]
    assert compiled
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    eager = run(task, replace(config, out=config.out / "eager"), 0, progress=False)["curve"]
    if frozen:
        plain = run(task, replace(config, compile=False), 0, progress=False)["curve"]
        assert plain == eager
    for row, expected in zip(curve, eager, strict=True):
        assert row == pytest.approx(expected, rel=1e-4)


class Certain(ToySystem):
    """Draws nothing."""

    def __init__(self, problem: Problem, architecture: Any, config: Any, seed: int) -> None:
        super().__init__(problem, architecture, config, seed)
        self.model[2] = nn.Identity()  # type: ignore[operator]

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss = self.problem.task_loss(self.model(x), y)
        return loss, {"loss": loss.detach()}


def test_a_step_that_is_not_compiled_draws_from_the_generator_of_the_epoch(config: ToyConfig) -> None:
    given_: list[torch.Generator | None] = []

    class Noting(ToySystem):
        def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
            given_.append(generator)
            return super().loss(x, y, generator)

    run(replace(TOY, systems={"fixed": Noting}), replace(config, epochs=2, batch=32), 0, progress=False)
    assert len(set(given_)) == 2 and None not in given_


# Nothing to train


class Still(System):
    """A model without parameters, or whose parameters are all frozen."""

    name, title, builds = "still", "does nothing", (type(None),)

    def __init__(self, problem: Problem, architecture: Any, config: Any, seed: int) -> None:
        self.model: nn.Module = Falling()
        if architecture == "frozen":
            self.model.requires_grad_(False)
        else:
            del self.model.weight

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        raise AssertionError("there is nothing to train")


@pytest.mark.parametrize("kind", ["frozen", "none"])
def test_a_model_with_nothing_to_train_is_evaluated_once(config: ToyConfig, fabric: Fabric, kind: str) -> None:
    problem, told = Numbers(10, [0.5, 0.2]), Told()
    state = go(problem, config, fabric, system=Still(problem, kind, config, 0), told=told)
    assert state.rows == [{"epoch": 0.0, "val/loss": 0.5}]
    assert problem.evaluated == [("validation", False, False)]
    assert problem.asked == []
    assert (state.best_epoch, state.best) == (0, 0.5)
    assert told == Told([(0, 0)], 0, [1])


def test_a_run_with_nothing_to_train_has_a_record(config: ToyConfig) -> None:
    task = replace(NUMBERS, systems={"fixed": Still}, load=lambda *_: Numbers(10, [0.5]))
    record = run(task, config, 0, progress=False)
    assert record["final"] == {"steps": 0.0, "parameters": 0, "epochs": 1, "best_epoch": 0}
    assert record["selected"] == {"epoch": 0, "loss": 0.5}
    assert run(task, config, 0, progress=False) == record


def test_what_is_not_finite_is_named_also_where_nothing_is_trained(config: ToyConfig, fabric: Fabric) -> None:
    problem = Numbers(10, [math.nan])
    with pytest.raises(NonFiniteError, match="epoch 0: val/loss is not finite"):
        go(problem, config, fabric, system=Still(problem, None, config, 0))
