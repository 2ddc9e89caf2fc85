"""Many runs of one task: every choice of a grid with every seed, over local processes or over Slurm.

Each run is one of `run`: it has its folder, lock and record, so a sweep that is interrupted goes on where it was, and
nothing runs twice. The best choice is the one with the best mean of the number of the validation samples that the task
selects by; numbers of the test samples are never looked at.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import os
import shutil
import statistics
import sys
import time
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TextIO

import torch
import tyro

from equilatent.bench.harness.config import CIRCUMSTANCES, RunConfig, digest_of
from equilatent.bench.harness.processes import Worker, wait_for
from equilatent.bench.harness.record import read_record, write_json
from equilatent.bench.harness.run import RunBusyError, problems, run, run_folder
from equilatent.bench.harness.task import Task
from equilatent.errors import EquilatentError, MissingDependencyError

__all__ = [
    "Cell",
    "Executor",
    "Job",
    "LocalExecutor",
    "SlurmExecutor",
    "SweepConfig",
    "Work",
    "describe",
    "make_cells",
    "parse_grid",
    "selected_value",
    "slurm_executor",
    "sweep",
]


@dataclass(frozen=True)
class SweepConfig:
    """What a sweep is told on the command line, besides the fields of the task."""

    run: Annotated[RunConfig, tyro.conf.arg(name="")]
    """The task's fields."""
    grid: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FIELD=VALUE,VALUE,…")] = ()
    """Values of fields, such as rate=0.001,0.003 latent_weight=0.05,0.5; every choice is run with every seed."""
    jobs: int | None = None
    """Runs at once: by default 1 here, where they share the cores, and as many as it allows on Slurm."""
    slurm: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="[NAME=VALUE …]")] = None
    """Submit the runs to Slurm, with these parameters of Slurm or submitit, such as partition=gpu timeout_min=60."""


@dataclass(frozen=True)
class Cell:
    """One choice of the grid, and the configuration that it makes."""

    choice: Mapping[str, Any]
    config: RunConfig

    def __str__(self) -> str:
        return _words(self.choice)


@dataclass(frozen=True)
class Work:
    """One run, to be called in a process of its own."""

    task: Task
    config: RunConfig
    seed: int
    threads: int

    def __call__(self) -> None:
        """Carry it out, on so many threads; 0 leaves their number as it is."""
        if self.threads:
            torch.set_num_threads(self.threads)
        run(self.task, self.config, self.seed)

    def checkpoint(self) -> Any:
        """What submitit queues again when the time of a job is over: the same, since a run goes on where it was."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return run_folder(self.task, self.config, self.seed)


class Job(Protocol):
    """A run that was started."""

    @property
    def log(self) -> Path | None:
        """The file to which it prints."""

    def done(self) -> bool:
        """Whether it has ended."""

    def error(self) -> BaseException | None:
        """After its end, what went wrong."""

    def stop(self) -> None:
        """End it at once."""


class Executor(Protocol):
    """What starts runs."""

    #: How many may be started at once; infinite if something else queues them.
    capacity: float

    def start(self, works: Sequence[Work]) -> Sequence[Job]:
        """Start runs."""

    def wait(self, jobs: Sequence[Any]) -> None:
        """Wait for a second, or less if one of them ends."""


class LocalExecutor:
    """Processes on this machine."""

    def __init__(self, jobs: int) -> None:
        self.capacity: float = jobs

    def start(self, works: Sequence[Work]) -> list[Worker]:
        """Start a process for each run; what it prints goes to ``log.txt`` in its folder."""
        workers = []
        for work in works:
            work.folder.mkdir(parents=True, exist_ok=True)
            workers.append(Worker(work, log=work.folder / "log.txt"))
        return workers

    def wait(self, jobs: Sequence[Worker]) -> None:
        """Wait until one ends, a second at most."""
        wait_for(jobs, timeout=1)


class SlurmExecutor:
    """Jobs of submitit.

    Args:
        executor: one of submitit's.
        pause: seconds between two looks at the jobs.
    """

    def __init__(self, executor: Any, pause: float = 5.0) -> None:
        self.executor, self.pause = executor, pause
        self.capacity: float = math.inf

    def start(self, works: Sequence[Work]) -> list[_SlurmJob]:
        """Submit all runs as one array of jobs."""
        with self.executor.batch():
            jobs = [self.executor.submit(work) for work in works]
        return [_SlurmJob(job) for job in jobs]

    def wait(self, jobs: Sequence[_SlurmJob]) -> None:
        """Wait a while."""
        time.sleep(self.pause)


class _SlurmJob:
    def __init__(self, job: Any) -> None:
        self.job = job

    @property
    def log(self) -> Path | None:
        return Path(self.job.paths.stderr)

    def done(self) -> bool:
        return bool(self.job.done())

    def error(self) -> BaseException | None:
        try:
            error = self.job.exception()
        except Exception as lost:  # submitit raises if a job has left no result
            return lost
        return error if error is None or isinstance(error, BaseException) else EquilatentError(str(error))

    def stop(self) -> None:
        if not self.job.done():
            self.job.cancel()


def slurm_executor(parameters: Sequence[str], out: Path, jobs: int | None = None) -> SlurmExecutor:
    """An executor that submits to Slurm.

    Args:
        parameters: ``NAME=VALUE`` each: Slurm's own (partition, time, account, …) or submitit's (timeout_min, mem_gb,
            cpus_per_task, gpus_per_node, …).
        out: the folder of the runs; submitit keeps its files in ``slurm`` inside.
        jobs: how many run at once; by default as many as Slurm allows.

    Raises:
        MissingDependencyError: if submitit is not installed.
        EquilatentError: naming every parameter that is wrong, or if there is no Slurm here.
    """
    try:
        import submitit
    except ImportError as error:
        raise MissingDependencyError("--slurm needs submitit. Install it: pip install 'equilatent[slurm]'.") from error
    wrong = [text for text in parameters if not all(text.partition("="))]
    if wrong:
        raise EquilatentError(f"--slurm {' '.join(wrong)} should be NAME=VALUE, such as partition=gpu.")
    known = set(submitit.AutoExecutor._typed_parameters()) - {"name"}
    values: dict[str, Any] = {"name": "equilatent"}
    for text in parameters:
        name, _, value = text.partition("=")
        values[name if name in known else f"slurm_{name}"] = int(value) if value.isdigit() else value
    if jobs is not None:
        values["slurm_array_parallelism"] = jobs
    try:
        executor = submitit.AutoExecutor(folder=out / "slurm", cluster="slurm")
        executor.update_parameters(**values)
    except Exception as error:
        raise EquilatentError(f"--slurm: submitit refuses these parameters: {error}") from error
    return SlurmExecutor(executor)


def parse_grid(config: RunConfig, texts: Sequence[str]) -> dict[str, list[Any]]:
    """The values of each field of a grid, from ``FIELD=VALUE,VALUE,…``, as the configuration's types have it.

    Args:
        config: a configuration with these fields.
        texts: one for each field.

    Raises:
        EquilatentError: naming every field that is unknown, given twice or says only how a run is carried out, and every
            value of another type.

    >>> parse_grid(RunConfig(), ["rate=0.001,0.003", "limit=100,none", "channels-last=true"])
    {'rate': [0.001, 0.003], 'limit': [100, None], 'channels_last': [True]}
    """
    hints = typing.get_type_hints(type(config))
    grid: dict[str, list[Any]] = {}
    wrong = []
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not equals or not values:
            wrong.append(f"{text!r} should be FIELD=VALUE,VALUE,…")
        elif name in CIRCUMSTANCES:
            wrong.append(f"{name} is given by --{name}, not in the grid")
        elif name not in hints:
            wrong.append(f"{name!r} is none of the fields {', '.join(sorted(set(hints) - CIRCUMSTANCES))}")
        elif name in grid:
            wrong.append(f"{name} is there twice")
        else:
            grid[name] = []
            for value in values.split(","):
                try:
                    grid[name].append(_parse(value.strip(), hints[name]))
                except ValueError:
                    wrong.append(f"{name}={value} should be {_describe(hints[name])}")
    if wrong:
        raise EquilatentError(f"--grid: {'; '.join(wrong)}.")
    return grid


def _parse(text: str, kind: Any) -> Any:
    if kind is bool:
        return bool(("false", "true").index(text.lower()))
    if kind in (int, float, str):
        return kind(text)
    choices = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        return choices[choices.index(text)]  # ValueError if it is none of them, as for numbers
    if types.NoneType in choices and text.lower() == "none":
        return None
    return _parse(text, next(choice for choice in choices if choice is not types.NoneType))


def _describe(kind: Any) -> str:
    if kind is bool:
        return "true or false"
    choices = typing.get_args(kind)
    if choices:
        return " or ".join("none" if choice is types.NoneType else _describe(choice) for choice in choices)
    return {int: "an integer", float: "a number"}.get(kind, str(kind))


def make_cells(task: Task, config: RunConfig, grid: Mapping[str, Sequence[Any]]) -> list[Cell]:
    """Every choice of values; those that come to the same configuration are one.

    Raises:
        EquilatentError: if any of them cannot be run, naming all that is wrong.
    """
    cells: dict[str, Cell] = {}
    wrong: dict[str, None] = {}
    for values in itertools.product(*grid.values()):
        choice = dict(zip(grid, values, strict=True))
        changed = dataclasses.replace(config, **choice).resolved()
        wrong.update(dict.fromkeys(problems(task, changed)))
        cells.setdefault(_digest(task, changed), Cell(choice, changed))
    if wrong:
        raise EquilatentError(f"{task.name} cannot be swept: {'; '.join(wrong)}.")
    return list(cells.values())


def _digest(task: Task, config: RunConfig) -> str:
    return digest_of(type(config), config.identity, task.protocol)


def selected_value(record: Mapping[str, Any], task: Task) -> float:
    """The number of the validation samples that selected the epoch whose weights a run kept; never one of the test samples.

    Records of the first schema do not hold it; for them it is read off the curve.

    Raises:
        EquilatentError: if the record holds neither.
    """
    selected = record["selected"].get(task.criterion)
    if selected is not None:
        return float(selected)
    column, least = f"val/{task.criterion}", record["config"].get("min_change")
    if not record["curve"] or not all(column in row for row in record["curve"]) or not isinstance(least, int | float):
        raise EquilatentError(
            f"the record does not tell by which {task.criterion} of the validation samples it selected"
        )
    sign = 1 if task.better == "lower" else -1
    best = math.inf
    for row in record["curve"]:
        value = sign * row[column]
        if value < best - least:
            best = value
    return sign * best


@dataclass
class _Run:
    """Where one run of a sweep stands."""

    cell: Cell
    work: Work
    state: Literal["waiting", "running", "finished", "failed", "elsewhere"] = "waiting"
    loss: float = math.nan
    message: str = ""
    log: Path | None = None
    rows: int = 0  # epochs that were done when the sweep began

    @property
    def criterion(self) -> str:
        """What the loss is called that selects."""
        return self.work.task.criterion

    def epochs(self) -> int:
        """Epochs that are done, as its file of metrics says."""
        for folder in (self.work.folder / "again", self.work.folder):
            try:
                return max(0, (folder / "metrics.csv").read_text().count("\n") - 1)
            except OSError:
                continue
        return 0


@dataclass
class _Status:
    """The table that a sweep shows: written anew in its place on a terminal, else a line for each run that ends."""

    name: str
    runs: Sequence[_Run]
    stream: TextIO
    since: float = field(default_factory=time.monotonic)
    lines: int = 0

    def left(self) -> str:
        """The time that is left, if no run stops early."""
        waited = [run for run in self.runs if run.state in ("waiting", "running")]
        done = sum(run.epochs() - run.rows for run in self.runs if run.state in ("running", "finished"))
        if not waited or done <= 0:
            return ""
        ahead = sum(max(0, run.work.config.epochs - (run.epochs() if run.state == "running" else 0)) for run in waited)
        seconds = ahead * (time.monotonic() - self.since) / done
        return f", at most {seconds / 3600:.1f} h left" if seconds > 5400 else f", at most {seconds / 60:.0f} min left"

    def summary(self) -> str:
        counts = {
            state: sum(run.state == state for run in self.runs)
            for state in ("running", "waiting", "failed", "elsewhere")
        }
        rest = "".join(f", {count} {state}" for state, count in counts.items() if count)
        return f"{self.name}: {_count(self.runs)} of {len(self.runs)} runs finished{rest}{self.left()}"

    def told(self, run: _Run) -> None:
        """A run has ended."""
        if self.stream.isatty():
            return
        what = (
            f"validation {run.criterion} {run.loss:.4g}" if run.state == "finished" else f"{run.state}: {run.message}"
        )
        print(f"{run.cell}, seed {run.work.seed}: {what}\n{self.summary()}", file=self.stream, flush=True)

    def show(self) -> None:
        """Write the table anew, if this is a terminal."""
        if not self.stream.isatty():
            return
        size = shutil.get_terminal_size()
        rows = [self.summary(), *self._rows(size.lines - 3)]
        # Up to where the table begins, then each line with what was behind it removed.
        up = f"\x1b[{self.lines}F" if self.lines else ""
        self.stream.write(up + "".join(f"{row[: size.columns - 1]}\x1b[K\n" for row in rows) + "\x1b[J")
        self.stream.flush()
        self.lines = len(rows)

    def _rows(self, room: int) -> list[str]:
        cells = list(dict.fromkeys(map(str, (run.cell for run in self.runs))))
        width = max(map(len, cells))
        rows = []
        for name in cells:
            runs = [run for run in self.runs if str(run.cell) == name]
            losses = [run.loss for run in runs if run.state == "finished"]
            parts = [f"  {name.ljust(width)}  {len(losses)}/{len(runs)}"]
            parts += [f"validation {runs[0].criterion} {statistics.fmean(losses):.4g}"] if losses else []
            now = [run for run in runs if run.state == "running"]
            parts += [f"seed {run.work.seed}: epoch {run.epochs()}/{run.work.config.epochs}" for run in now]
            parts += [f"{sum(run.state == 'failed' for run in runs)} failed"] if _failed(runs) else []
            rows.append((bool(now), "  ".join(parts)))
        if len(rows) > room:  # those that run, if not all fit
            rows = [row for row in rows if row[0]][: max(0, room)]
        return [text for _, text in rows]


def sweep(
    task: Task,
    config: RunConfig,
    grid: Mapping[str, Sequence[Any]],
    *,
    jobs: int = 1,
    executor: Executor | None = None,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Carry out the runs of every choice of a grid with every seed, and choose the best on the validation samples.

    A run that fails does not stop the others. With processes of this machine, a program that calls this has to be guarded
    by ``if __name__ == "__main__"``.

    Args:
        task: the task.
        config: the configuration, with the seeds; the grid changes its fields.
        grid: values of each field, as `parse_grid` reads them; none for the seeds alone.
        jobs: processes at once, at least 1; they share the cores.
        executor: what starts the runs; by default processes on this machine.
        stream: where progress is shown; by default the standard error.

    Returns:
        What is written to ``sweep-DIGEST.json`` in the folder of the runs: ``cells``, for each choice its validation losses
        by seed, their mean and what failed; ``best``, the choice with the lowest mean among those of which all
        seeds are finished, or None; ``file``, where it was written.

    Raises:
        EquilatentError: if a configuration cannot be run, naming all that is wrong, before anything starts.
        KeyboardInterrupt: if it was interrupted. All that it started has been stopped; the same call goes on.
    """
    if jobs < 1:
        raise EquilatentError(f"--jobs {jobs} should be at least 1.")
    cells = make_cells(task, config, grid)
    local = executor is None
    threads = max(1, _cores() // jobs) if local else 0
    runs = [_Run(cell, Work(task, cell.config, seed, threads)) for cell in cells for seed in config.seeds]
    config.out.mkdir(parents=True, exist_ok=True)
    for one in runs:
        if (one.work.folder / "record.json").exists() and not config.again:
            _finish(one)
        else:
            one.rows = one.epochs()
    status = _Status(task.name, runs, stream or sys.stderr)
    try:
        _carry_out(runs, executor or LocalExecutor(jobs), status)
    except KeyboardInterrupt:
        print(
            f"\n{_count(runs)} of {len(runs)} runs are finished. The same command goes on with the others"
            f"{', without --again' if config.again else ''}.",
            file=status.stream,
        )
        raise
    return _conclude(task, config, grid, cells, runs)


def _carry_out(runs: Sequence[_Run], executor: Executor, status: _Status) -> None:
    waiting = [run for run in runs if run.state == "waiting"]
    running: list[tuple[_Run, Job]] = []
    try:
        while waiting or running:
            room = len(waiting) if math.isinf(executor.capacity) else int(executor.capacity) - len(running)
            if waiting and room:
                starting, waiting = waiting[:room], waiting[room:]
                jobs = executor.start([run.work for run in starting])
                for one, job in zip(starting, jobs, strict=True):
                    one.state, one.log = "running", job.log
                    running.append((one, job))
            status.show()
            executor.wait([job for _, job in running])
            for one, job in [pair for pair in running if pair[1].done()]:
                running.remove((one, job))
                error = job.error()
                if isinstance(error, KeyboardInterrupt):
                    raise error
                if error is None:
                    _finish(one)
                else:
                    one.state = "elsewhere" if isinstance(error, RunBusyError) else "failed"
                    one.message = _first_line(error)
                status.told(one)
        status.show()
    finally:
        for _, job in running:
            job.stop()


def _finish(one: _Run) -> None:
    try:
        one.loss = selected_value(read_record(one.work.folder / "record.json"), one.work.task)
        one.state = "finished"
    except EquilatentError as error:
        one.state, one.message = "failed", _first_line(error)


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip(" -")]
    # submitit quotes the traceback of a job, then says where its logs are: the error is the last line of the traceback.
    end = next((number for number, line in enumerate(lines) if line.startswith("You can check full logs")), 0)
    return lines[end - 1 if end else 0] if lines else repr(error)


def _conclude(
    task: Task,
    config: RunConfig,
    grid: Mapping[str, Sequence[Any]],
    cells: Iterable[Cell],
    runs: Sequence[_Run],
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for cell in cells:
        mine = [run for run in runs if run.cell is cell]
        losses = {str(run.work.seed): run.loss for run in mine if run.state == "finished"}
        complete = len(losses) == len(mine)
        rows.append(
            {
                "choice": dict(cell.choice),
                "digest": _digest(task, cell.config),
                "validation_loss": losses,
                "mean": statistics.fmean(losses.values()) if complete else None,
                "deviation": statistics.stdev(losses.values()) if complete and len(losses) > 1 else None,
                "not_finished": {
                    str(run.work.seed): {"state": run.state, "message": run.message, "log": str(run.log or "")}
                    for run in mine
                    if run.state != "finished"
                },
            }
        )
    ranked = [row for row in rows if row["mean"] is not None]
    summary = {
        "experiment": task.name,
        "criterion": task.criterion,
        "selected_by": f"{'lowest' if task.better == 'lower' else 'highest'} mean validation {task.criterion} over the "
        "seeds, at the epoch whose weights are kept",
        "seeds": config.seeds,
        "grid": {name: list(values) for name, values in grid.items()},
        "cells": rows,
        "best": (min if task.better == "lower" else max)(ranked, key=lambda row: row["mean"]) if ranked else None,
    }
    identity = json.dumps([task.name, config.seeds, sorted(row["digest"] for row in rows)])
    path = config.out / f"sweep-{hashlib.sha256(identity.encode()).hexdigest()[:8]}.json"
    write_json(path, summary)
    return {**summary, "file": str(path)}


def describe(summary: Mapping[str, Any]) -> str:
    """A sweep's outcome in words: each choice, the best, and what is not finished with its log."""
    lines = []
    for row in summary["cells"]:
        spread = f" ± {row['deviation']:.2g}" if row["deviation"] is not None else ""
        mean = (
            f"validation {summary['criterion']} {row['mean']:.4g}{spread}"
            if row["mean"] is not None
            else "not finished"
        )
        lines.append(f"{_words(row['choice'])}: {mean}")
    best = summary["best"]
    if best is None:
        lines.append("No choice is finished with all its seeds, so none is the best.")
    elif len(summary["cells"]) > 1:
        lines.append(f"Best on the validation samples: {_words(best['choice'])}")
    for row in summary["cells"]:
        for seed, what in row["not_finished"].items():
            log = f" (see {what['log']})" if what["log"] else ""
            lines.append(f"{what['state']}: {_words(row['choice'])}, seed {seed}: {what['message']}{log}")
    lines.append(f"The choice: {summary['file']}")
    return "\n".join(lines)


def _words(choice: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in choice.items()) or "as configured"


def _count(runs: Sequence[_Run]) -> int:
    return sum(run.state == "finished" for run in runs)


def _failed(runs: Sequence[_Run]) -> bool:
    return any(run.state == "failed" for run in runs)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
