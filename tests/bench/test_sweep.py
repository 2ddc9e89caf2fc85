"""Sweeps: what they run, what they choose, and how they end."""

import contextlib
import io
import json
import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from toy_experiment import TOY, ToyConfig, ToyProblem

from equilatent.bench.harness.config import RunConfig
from equilatent.bench.harness.run import RunBusyError, run_folder
from equilatent.bench.harness.sweep import (
    SlurmExecutor,
    Work,
    describe,
    make_cells,
    parse_grid,
    selected_value,
    slurm_executor,
    sweep,
)
from equilatent.bench.harness.task import Split
from equilatent.errors import EquilatentError

FORK = multiprocessing.get_context("fork")
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@dataclass
class Here:
    """Starts runs in this process, and remembers them."""

    capacity: float = 2
    interrupt_at: int = -1
    busy: bool = False

    def __post_init__(self) -> None:
        self.started: list[Work] = []
        self.stopped = 0

    def start(self, works: Sequence[Work]) -> list[Any]:
        jobs = []
        for work in works:
            assert len(works) <= self.capacity
            self.started.append(work)
            jobs.append(self._job(work))
        return jobs

    def wait(self, jobs: Sequence[Any]) -> None:
        if len(self.started) > self.interrupt_at >= 0:
            raise KeyboardInterrupt

    def _job(self, work: Work) -> Any:
        here = self

        class Job:
            log = work.folder / "log.txt"
            problem: BaseException | None = None

            def done(self) -> bool:
                return True

            def error(self) -> BaseException | None:
                try:
                    if here.busy:
                        raise RunBusyError("another process is at it")
                    work()
                except Exception as error:
                    return error
                return None

            def stop(self) -> None:
                here.stopped += 1

        return Job()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def config(tmp_path: Path) -> ToyConfig:
    return ToyConfig(out=tmp_path, device="cpu", epochs=2, seed="0..1")


def go(config: RunConfig, grid: dict[str, Any], executor: Any = None, task: Any = TOY, **keywords: Any) -> Any:
    keywords.setdefault("stream", io.StringIO())
    return sweep(task, config, grid, executor=executor or Here(), **keywords)


GRID = {"rate": [0.003, 0.03], "strength": [0.0, 1.0]}


# Grids


def test_values_have_the_types_of_their_fields() -> None:
    texts = ["rate=1,0.003", "batch=8", "limit=none,50", "channels-last=true,False", "precision=32-true", "fail=,x"]
    assert parse_grid(ToyConfig(), texts) == {
        "rate": [1.0, 0.003],
        "batch": [8],
        "limit": [None, 50],
        "channels_last": [True, False],
        "precision": ["32-true"],
        "fail": ["", "x"],
    }


@given(st.lists(st.floats(1e-9, 1e9), min_size=1), st.lists(st.integers(1, 10**9), min_size=1))
def test_numbers_are_read_back(rates: list[float], batches: list[int]) -> None:
    texts = [f"rate={','.join(map(repr, rates))}", f"batch={','.join(map(str, batches))}"]
    assert parse_grid(ToyConfig(), texts) == {"rate": rates, "batch": batches}


def test_all_wrong_parts_of_a_grid_are_named_at_once() -> None:
    texts = ["rate=fast,0.1", "colour=red", "seed=1", "out=x", "batch", "epochs=", "batch=1.5", "strength=1"]
    texts += ["strength=2", "precision=8", "channels_last=maybe", "limit=few"]
    with pytest.raises(EquilatentError) as caught:
        parse_grid(ToyConfig(), texts)
    for words in (
        "rate=fast should be a number",
        "'colour' is none of the fields batch,",
        "seed is given by --seed, not in the grid",
        "out is given by --out",
        "'batch' should be FIELD=VALUE,VALUE,…",
        "'epochs=' should be FIELD=",
        "batch=1.5 should be an integer",
        "strength is there twice",
        "precision=8 should be 32-true or bf16-mixed or 16-mixed",
        "channels_last=maybe should be true or false",
        "limit=few should be an integer or none",
    ):
        assert words in str(caught.value)


def test_cells_are_all_choices_and_the_same_configuration_is_one(config: ToyConfig) -> None:
    cells = make_cells(TOY, config, {"rate": [0.1, 0.2, 0.1], "strength": [0.0, 1.0]})
    assert [dict(cell.choice) for cell in cells] == [
        {"rate": rate, "strength": strength} for rate in (0.1, 0.2) for strength in (0.0, 1.0)
    ]
    assert all(getattr(cell.config, name) == value for cell in cells for name, value in cell.choice.items())
    assert str(make_cells(TOY, config, {})[0]) == "as configured"


def test_cells_that_cannot_be_run_are_told_before_anything_starts(config: ToyConfig) -> None:
    executor = Here()
    with pytest.raises(EquilatentError) as caught:
        go(replace(config, epochs=0), {"rate": [0.1, -1.0], "group": ["S3", "D9"]}, executor)
    for words in ("--rate -1.0 should be", "--group 'D9' should be one of S3", "--epochs 0 should be"):
        assert str(caught.value).count(words) == 1
    with pytest.raises(EquilatentError, match="--jobs 0 should be at least 1"):
        go(config, {}, executor, jobs=0)
    assert executor.started == []
    assert not list(config.out.iterdir())


# What is run and chosen


def test_every_choice_with_every_seed_runs_once_and_goes_on(config: ToyConfig) -> None:
    first = Here(interrupt_at=2)
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        go(config, GRID, first, stream=stream)
    assert first.stopped == 2
    assert "2 of 8 runs are finished. The same command goes on" in stream.getvalue()
    second = Here()
    summary = go(config, GRID, second)
    assert len(second.started) == 6
    third = Here()
    assert go(config, GRID, third) == summary
    assert third.started == []
    assert len({path.parent for path in config.out.rglob("record.json")}) == 8
    # A larger grid takes over what is there.
    go(config, {**GRID, "strength": [0.0, 1.0, 2.0]}, third)
    assert len(third.started) == 4


def test_best_is_the_lowest_mean_over_seeds_as_the_file_says(config: ToyConfig) -> None:
    summary = go(config, GRID)
    means = []
    for row in summary["cells"]:
        losses = []
        for seed in (0, 1):
            folder = run_folder(TOY, replace(config, **row["choice"]), seed)
            curve = json.loads((folder / "record.json").read_text())["curve"]
            losses.append(min(point["val/loss"] for point in curve))
        assert list(row["validation_loss"].values()) == pytest.approx(losses, abs=config.min_change)
        means.append(sum(row["validation_loss"].values()) / 2)
        assert row["mean"] == pytest.approx(means[-1])
    assert summary["best"] == summary["cells"][means.index(min(means))]
    stored = json.loads(Path(summary["file"]).read_text())
    assert stored == {name: value for name, value in summary.items() if name != "file"}
    assert f"Best on the validation samples: rate={summary['best']['choice']['rate']}" in describe(summary)


class Perverse(ToyProblem):
    """Of two choices the one that is better on the validation samples is far worse on the test samples."""

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        strength = self.config.strength
        if split == "validation":
            return {"loss": strength, "accuracy": strength}
        return {"test_accuracy": strength, "test_loss": -strength, "loss": 0.0}


class Deadly(ToyProblem):
    """Killed by the system, if its strength is 1."""

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        if self.config.strength == 1.0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(model, split)


def test_test_numbers_play_no_part_in_the_choice(config: ToyConfig) -> None:
    task = replace(TOY, load=Perverse)
    grid = {"strength": [3.0, 1.0, 2.0]}
    summary = go(config, grid, task=task)
    assert summary["best"]["choice"] == {"strength": 1.0}
    # Not even read: without them, and with others, everything is the same.
    for final in ({}, {"test_accuracy": math.pi}, {"validation_loss": -1.0, "best_epoch": 99}):
        for path in config.out.rglob("record.json"):
            path.write_text(json.dumps({**json.loads(path.read_text()), "final": final}))
        executor = Here()
        assert go(config, grid, executor, task=task) == summary
        assert executor.started == []


def test_the_highest_is_the_best_where_more_is_better(config: ToyConfig) -> None:
    task = replace(TOY, load=Perverse, criterion="accuracy", better="higher")
    summary = go(config, {"strength": [2.0, 3.0, 1.0]}, task=task)
    assert summary["best"]["choice"] == {"strength": 3.0}
    assert [row["mean"] for row in summary["cells"]] == [2.0, 3.0, 1.0]
    assert summary["criterion"] == "accuracy"
    assert summary["selected_by"].startswith("highest mean validation accuracy")


def record(values: Sequence[float], min_change: Any, **more: Any) -> dict[str, Any]:
    curve = [{"val/loss": value, "val/accuracy": -value} for value in values]
    return {"curve": curve, "config": {"min_change": min_change}, "selected": {}, **more}


def test_value_is_that_of_the_weights_that_are_kept() -> None:
    """Of records that do not say it."""
    values = [1.0, 0.95, 0.8, 0.75, 0.9]
    higher = replace(TOY, criterion="accuracy", better="higher")
    for min_change, kept in ((0.0, 0.75), (0.1, 0.8), (10.0, 1.0)):
        assert selected_value(record(values, min_change), TOY) == kept
        assert selected_value(record(values, min_change), higher) == -kept
    # What is recorded holds.
    assert selected_value(record(values, 0.0, selected={"epoch": 2, "loss": 0.8}), TOY) == 0.8


@pytest.mark.parametrize(
    "found", [record([], 0.0), record([1.0], None), {**record([1.0], 0.0), "curve": [{"val/error": 1.0}]}]
)
def test_value_that_is_not_recorded_is_not_made_up(config: ToyConfig, found: dict[str, Any]) -> None:
    with pytest.raises(EquilatentError, match="does not tell by which loss"):
        selected_value(found, TOY)
    config = replace(config, seed="0")
    go(config, {})
    path = run_folder(TOY, config, 0) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **found}))
    assert "does not tell by which loss" in describe(go(config, {}))


def test_failures_stop_nothing_and_are_told_with_their_log(config: ToyConfig) -> None:
    stream = io.StringIO()
    summary = go(config, {"fail": ["", "start"]}, stream=stream)
    good, bad = summary["cells"]
    assert bad["mean"] is None
    assert bad["validation_loss"] == {}
    assert summary["best"] == good
    words = describe(summary)
    assert words.count("failed: fail=start, seed ") == 2
    log = run_folder(TOY, replace(config, fail="start"), 1) / "log.txt"
    assert f"seed 1: there are no points (see {log})" in words
    assert "2 failed" in stream.getvalue()
    nothing = go(config, {"fail": ["start"]})
    assert nothing["best"] is None
    assert "none is the best" in describe(nothing)


def test_choice_with_a_seed_missing_is_not_the_best(config: ToyConfig) -> None:
    summary = go(config, GRID)
    best = summary["best"]
    worse = max(best["validation_loss"], key=best["validation_loss"].get)  # without it, its mean would be lower yet
    (run_folder(TOY, replace(config, **best["choice"]), int(worse)) / "record.json").write_text("{")
    second = go(config, GRID)
    (row,) = [row for row in second["cells"] if row["choice"] == best["choice"]]
    assert (row["mean"], len(row["validation_loss"])) == (None, 1)
    assert second["best"]["choice"] != best["choice"]
    assert "record.json cannot be read" in describe(second)


def test_run_that_goes_on_elsewhere_is_no_failure(config: ToyConfig) -> None:
    summary = go(config, {}, Here(busy=True))
    assert {what["state"] for what in summary["cells"][0]["not_finished"].values()} == {"elsewhere"}


# What is shown


def test_lines_where_there_is_no_terminal(config: ToyConfig) -> None:
    stream = io.StringIO()
    go(replace(config, seed="0"), {"rate": [0.01, 0.02]}, stream=stream)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("rate=0.01, seed 0: validation loss 0.")
    assert lines[3] == "toy: 2 of 2 runs finished"
    assert "\x1b" not in stream.getvalue()


def test_table_is_written_in_its_place_on_a_terminal(config: ToyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "24")
    stream = Terminal()
    go(replace(config, seed="0..1"), {"rate": [0.01, 0.02]}, Here(capacity=1), stream=stream)
    tables = stream.getvalue().split("\x1b[3F")
    assert len(tables) == 5  # at each start and at the end, each of three lines
    assert all(table.count("\n") == 3 for table in tables)
    assert "seed 1: epoch 0/2" in tables[1]
    assert "at most" in tables[1]
    assert "2/2" in tables[4]
    assert all(len(line) < 60 + 4 for table in tables for line in table.splitlines())


# Processes


@pytest.fixture(params=["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How processes start: as they do, which takes long, or as copies of this one, whose output pytest takes."""
    context = multiprocessing.get_context(request.param)
    monkeypatch.setattr("equilatent.bench.harness.processes.multiprocessing.get_context", lambda _: context)
    return str(request.param)


def test_process_that_is_killed_fails_alone(config: ToyConfig, processes: str) -> None:
    config = replace(config, seed="0")
    stream = io.StringIO()
    summary = sweep(replace(TOY, load=Deadly), config, {"strength": [0.0, 1.0]}, jobs=2, stream=stream)
    good, bad = summary["cells"]
    assert good == summary["best"]
    assert "its process was ended by signal 9" in bad["not_finished"]["0"]["message"]
    if processes == "spawn":
        assert "epoch 2 of at most 2" in (run_folder(TOY, replace(config, strength=0.0), 0) / "log.txt").read_text()


def test_ctrl_c_stops_all_that_was_started(config: ToyConfig, processes: str) -> None:
    config = replace(config, seed="0", pause=0.2, epochs=50)

    def interrupted() -> None:
        try:
            sweep(TOY, config, {"rate": [0.01, 0.02], "fail": ["", "start"]}, jobs=4)
        except KeyboardInterrupt:
            os._exit(7)

    process = FORK.Process(target=interrupted)
    process.start()
    folders = {
        (rate, fail): run_folder(TOY, replace(config, rate=rate, fail=fail), 0)
        for rate in (0.01, 0.02)
        for fail in ("", "start")
    }
    running = [folders[rate, ""] / "metrics.csv" for rate in (0.01, 0.02)]
    logs = [folders[rate, "start"] / "log.txt" for rate in (0.01, 0.02)]
    deadline = time.monotonic() + 120
    while not all(map(Path.exists, [*running, *logs])):
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)  # type: ignore[arg-type]
    process.join(30)
    assert process.exitcode == 7
    time.sleep(0.3)
    rows = [path.read_text() for path in running]
    time.sleep(0.8)
    assert [path.read_text() for path in running] == rows  # nothing runs any more
    if processes == "spawn":
        assert all("there are no points" in log.read_text() for log in logs)


@pytest.mark.usefixtures("processes")
def test_processes_end_with_the_one_that_started_them(config: ToyConfig) -> None:
    config = replace(config, seed="0", pause=0.2, epochs=50)
    process = FORK.Process(target=sweep, args=(TOY, config, {}))
    process.start()
    metrics = run_folder(TOY, config, 0) / "metrics.csv"
    deadline = time.monotonic() + 120
    while not metrics.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.join()
    time.sleep(0.5)
    rows = metrics.read_text()
    time.sleep(1)
    assert metrics.read_text() == rows


# Slurm


class Submitting:
    """Has what submitit's executors have, and calls what is submitted at once."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        self.batches.append(0)
        yield

    def submit(self, work: Work) -> Any:
        self.batches[-1] += 1
        try:
            outcome = work()
        except Exception as error:
            outcome = error
        paths = SimpleNamespace(stderr=f"{work.seed}.err")
        return SimpleNamespace(paths=paths, done=lambda: True, exception=lambda: outcome, cancel=None)


def test_all_runs_are_submitted_as_one_array(config: ToyConfig) -> None:
    executor = Submitting()
    summary = go(config, {"fail": ["", "start"]}, SlurmExecutor(executor, pause=0.0))
    assert executor.batches == [4]
    good, bad = summary["cells"]
    assert set(good["validation_loss"]) == {"0", "1"}
    assert bad["not_finished"]["1"] == {"state": "failed", "message": "there are no points", "log": "1.err"}


@pytest.mark.slow
def test_jobs_of_submitit(config: ToyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    submitit = pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", str(Path(sys.modules["toy_experiment"].__file__ or "").parent))
    executor = submitit.AutoExecutor(folder=config.out / "slurm", cluster="local")
    executor.update_parameters(timeout_min=5)
    summary = go(replace(config, seed="0"), {"fail": ["", "start"]}, SlurmExecutor(executor, pause=0.2))
    good, bad = summary["cells"]
    assert set(good["validation_loss"]) == {"0"}
    assert "there are no points" in bad["not_finished"]["0"]["message"]
    assert "there are no points" in Path(bad["not_finished"]["0"]["log"]).read_text()


def test_job_whose_time_is_over_is_queued_again_as_it_is(config: ToyConfig) -> None:
    submitit = pytest.importorskip("submitit")
    work = Work(TOY, config, 0, 1)
    delayed = work.checkpoint()
    assert isinstance(delayed, submitit.helpers.DelayedSubmission)
    assert delayed.function == work
    delayed.function()
    assert (work.folder / "record.json").exists()


def test_parameters_of_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitit = pytest.importorskip("submitit")
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", classmethod(lambda _: 1))
    executor = slurm_executor(["partition=gpu", "timeout_min=60", "gpus_per_node=1", "qos=low"], tmp_path, 3)
    given = executor.executor._executor.parameters
    assert given["partition"] == "gpu"
    assert given["time"] == 60
    assert given["qos"] == "low"
    assert given["array_parallelism"] == 3
    with pytest.raises(EquilatentError, match=r"--slurm partition =gpu should be NAME=VALUE"):
        slurm_executor(["partition", "=gpu", "x=1"], tmp_path)
    with pytest.raises(EquilatentError, match=r"--slurm: submitit refuses these parameters: .*colour"):
        slurm_executor(["colour=red"], tmp_path)


def test_machine_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitit = pytest.importorskip("submitit")
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", classmethod(lambda _: -1))
    with pytest.raises(EquilatentError, match=r"--slurm: submitit refuses these parameters: .*srun"):
        slurm_executor(["partition=gpu"], tmp_path)
