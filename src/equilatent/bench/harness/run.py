"""Carrying out a run: a folder that survives a kill at any moment, and the record at the end.

A run's folder holds ``config.json``, ``metrics.csv`` (one row an epoch), ``last.ckpt`` (all that is needed to resume, with
the weights of the best epoch) and, when it is finished, ``weights.safetensors`` (of the best epoch), ``figures.npz`` and
``record.json``. Every file is written to a temporary name and renamed. A finished run that is run again lives in the folder
``again`` inside until it is finished too; then it takes the place of the old one.
"""

from __future__ import annotations

import csv
import io
import os
import socket
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from safetensors.torch import save
from torch import nn
from tqdm import tqdm

from equilatent._seeds import combined_seed
from equilatent.bench.harness.allocator import keep_freed_memory
from equilatent.bench.harness.config import RunConfig, digest_of, pick_device
from equilatent.bench.harness.loop import Progress, State, train
from equilatent.bench.harness.processes import Worker, wait_for
from equilatent.bench.harness.record import (
    make_record,
    peak_memory,
    read_record,
    replace_file,
    write_json,
    write_text,
)
from equilatent.bench.harness.task import Task
from equilatent.errors import EquilatentError, NonFiniteError

__all__ = ["RunBusyError", "check", "problems", "run", "run_folder"]


class RunBusyError(EquilatentError):
    """Another process is carrying out this very run."""


def run_folder(task: Task, config: RunConfig, seed: int) -> Path:
    """Where a run lives: a name for people, and the digest of its configuration."""
    config = config.resolved()
    digest = digest_of(type(config), config.identity, task.protocol)
    return config.out / f"{task.name}-{config.method}-{config.group}-seed{seed}-{digest}"


def run(task: Task, config: RunConfig, seed: int, *, progress: bool = True) -> dict[str, Any]:
    """Carry out one run, or go on with one that was cut off, or read the record of one that is finished.

    With several devices each has a process of its own, which this function starts (so that a program that calls it has
    to be guarded by ``if __name__ == "__main__"``), unless torchrun or srun has started them all. On several machines one
    of these two has to.

    Args:
        task: the task.
        config: its configuration; checked.
        seed: the seed.
        progress: show a bar on a terminal, else one line an epoch, on the standard error.

    Returns:
        The record, as in ``record.json``. Empty in the processes of higher rank that torchrun or srun started.

    Raises:
        EquilatentError: if the configuration cannot be run, the data are missing or damaged, or a file of the run's
            folder cannot be read.
        NonFiniteError: if a loss is not finite.
        RunBusyError: if another process is at this run.
        KeyboardInterrupt: if it was interrupted; the same call goes on after the last epoch that was finished.
    """
    config = config.resolved()
    check(task, config)
    folder = run_folder(task, config, seed)
    ranks = _ranks(config)
    if ranks is not None and ranks.global_rank() > 0:
        place = _place(folder, config)
        if place is not None:
            _carry_out(task, config, seed, place, False, ranks)
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunBusyError(
            f"another process is carrying out {folder.name}. Wait for it, or choose another seed or --out."
        ) from None
    try:
        _adopt(folder)
        place = _place(folder, config)
        if place is not None:
            place.mkdir(exist_ok=True)
            for leftover in place.glob(".*.*"):  # temporary files of a process that was killed
                leftover.unlink()
            if ranks is None:
                _spread(task, config, seed, place, progress)
            else:
                _carry_out(task, config, seed, place, progress, ranks)
            _adopt(folder)
        return read_record(folder / "record.json")
    finally:
        lock.release()


def problems(task: Task, config: RunConfig) -> list[str]:
    """What is wrong with a configuration for this task, in words; empty if nothing is."""
    wrong = config.problems()
    for field, value, known in (
        ("method", config.method, task.systems),
        ("group", config.group, task.groups),
    ):
        if value not in known:
            wrong.append(f"--{field} {value!r} should be one of {', '.join(known)}")
    return wrong


def check(task: Task, config: RunConfig) -> None:
    """Refuse a configuration that cannot be run, naming all that is wrong with it, before anything runs.

    Raises:
        EquilatentError: naming every field that is wrong.
    """
    wrong = problems(task, config)
    if wrong:
        raise EquilatentError(f"{task.name} cannot be run: {'; '.join(wrong)}.")


def _place(folder: Path, config: RunConfig) -> Path | None:
    """Where a run is to be carried out; None if it is finished."""
    if not (folder / "record.json").exists():
        return folder
    return folder / "again" if config.again else None


def _adopt(folder: Path) -> None:
    """Let a run that was carried out again and is finished take the place of the old one."""
    again = folder / "again"
    # Its record is what makes it finished, so it goes last: cut off in between, this is done again.
    if (again / "record.json").exists():
        for path in sorted(again.iterdir(), key=lambda path: path.name == "record.json"):
            os.replace(path, folder / path.name)
        again.rmdir()


def _ranks(config: RunConfig) -> ClusterEnvironment | None:
    """How the processes of a run find each other; None if they are yet to be started."""
    if config.devices * config.nodes == 1:
        return LightningEnvironment()
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if SLURMEnvironment.detect() and int(os.environ["SLURM_NTASKS"]) > 1:
        try:
            return SLURMEnvironment(auto_requeue=False)
        except RuntimeError as error:
            raise EquilatentError(f"--devices {config.devices}: this job of Slurm cannot be used: {error}") from error
    if config.nodes > 1:
        raise EquilatentError(
            f"--nodes {config.nodes}: a run on several machines is started on each of them by torchrun or srun, with one "
            "process for each device."
        )
    return None


def _spread(task: Task, config: RunConfig, seed: int, folder: Path, progress: bool) -> None:
    """Carry out a run with a process for each device."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = max(1, torch.get_num_threads() // config.devices)
    workers: list[Worker] = []
    try:
        for rank in range(config.devices):
            environment = {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            arguments = (threads, task, config, seed, folder, progress and rank == 0)
            workers.append(Worker(_as_rank, *arguments, environment=environment))
        running = list(workers)
        while running:
            for worker in wait_for(running):
                running.remove(worker)
                error = worker.error()
                if error is not None:
                    raise error
    finally:
        # One that has failed leaves the others waiting for it.
        for worker in workers:
            worker.stop()


def _as_rank(threads: int, task: Task, config: RunConfig, seed: int, folder: Path, progress: bool) -> None:
    torch.set_num_threads(threads)
    _carry_out(task, config, seed, folder, progress, LightningEnvironment())


def _carry_out(
    task: Task, config: RunConfig, seed: int, folder: Path, progress: bool, ranks: ClusterEnvironment
) -> None:
    """Train, then write the record."""
    device = pick_device(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    fabric = _fabric(config, device, ranks)
    device = fabric.device
    torch.manual_seed(combined_seed(seed, 0))
    problem = task.load(config, device)
    system = task.systems[config.method](problem, task.architecture(config), config, seed)
    system.model.to(device)
    if system.latent is not None:
        problem.latent = system.latent
    if config.channels_last:
        _channels_last(system.model)
    if fabric.is_global_zero:
        write_json(
            folder / "config.json",
            {"experiment": task.name, "seed": seed, "protocol": task.protocol, **config.identity},
        )
    shown = progress and fabric.is_global_zero
    with _Shown(task, config, seed, folder if fabric.is_global_zero else None, shown) as progressing:
        state = train(task, problem, system, config, seed, fabric, folder / "last.ckpt", progressing)
    if not fabric.is_global_zero:
        return
    system.model.load_state_dict(state.best_weights)
    system.model.eval()
    replace_file(folder / "weights.safetensors", lambda path: path.write_bytes(save(state.best_weights)))
    with torch.no_grad():
        final = {
            **problem.evaluate(system.model, "test"),
            **system.report(),
            "parameters": sum(weights.numel() for weights in system.model.parameters()),
            "epochs": len(state.rows),
            "best_epoch": state.best_epoch,
        }
        arrays = {name: np.stack([np.asarray(value) for value in values]) for name, values in state.arrays.items()}
        arrays |= problem.figures(system.model)
    if arrays:
        replace_file(folder / "figures.npz", lambda path: _save_arrays(path, arrays))
    record = make_record(
        experiment=task.name,
        method=config.method,
        group=config.group,
        seed=seed,
        config=config.identity,
        final=final,
        seconds=state.seconds,
        device=device,
        protocol=task.protocol,
        selected={"epoch": state.best_epoch, task.criterion: state.rows[state.best_epoch][f"val/{task.criterion}"]},
    )
    record |= {"data": dict(problem.provenance), "curve": state.rows, "peak_memory": peak_memory(device)}
    try:
        write_json(folder / "record.json", record)
    except ValueError as error:
        raise NonFiniteError(f"a final number of {task.name} is not finite: {final}. Lower --rate.") from error


def _channels_last(model: nn.Module) -> None:
    """Keep kernels with the channels last in memory; what they convolve follows."""
    for weights in model.parameters():
        if weights.ndim in (4, 5):
            memory_format = torch.channels_last if weights.ndim == 4 else torch.channels_last_3d
            weights.data = weights.data.to(memory_format=memory_format)


def _fabric(config: RunConfig, device: torch.device, ranks: ClusterEnvironment) -> Fabric:
    alone = config.devices * config.nodes == 1
    index = [device.index] if alone and device.type == "cuda" and device.index is not None else config.devices
    plugin: Any = None if alone else DDPStrategy(cluster_environment=ranks)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning_fabric")
        fabric = Fabric(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=index,
            num_nodes=config.nodes,
            strategy=plugin or "auto",
            plugins=[] if plugin else [ranks],  # else a job of a scheduler, in which this may run, is taken for its own
            precision=config.precision,
        )
        fabric.launch()
    return fabric


class _Shown(Progress):
    """Progress as a bar on a terminal, else as a line for each epoch; and the file of metrics."""

    def __init__(self, task: Task, config: RunConfig, seed: int, folder: Path | None, shown: bool) -> None:
        self.task, self.config, self.folder, self.lines = task, config, folder, shown and not sys.stderr.isatty()
        self.name = f"{task.name}, seed {seed}"
        self.bar = tqdm(unit="step", dynamic_ncols=True, desc=self.name, disable=not shown or self.lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def starts(self, state: State, steps: int) -> None:
        self.bar.reset(total=self.config.epochs * steps)
        self.bar.update(len(state.rows) * steps)
        if state.rows:  # the last row is missing if the process was killed as soon as the checkpoint had its name
            self._write(state)

    def step(self) -> None:
        self.bar.update()

    def epoch(self, state: State) -> None:
        self._write(state)
        value = f"validation {self.task.criterion} {state.rows[-1][f'val/{self.task.criterion}']:.4g}"
        waited = f"{state.waited} of {self.config.patience} without improvement"
        self.bar.set_postfix_str(f"{value}, {waited}", refresh=False)
        if self.lines:
            epochs = f"epoch {len(state.rows)} of at most {self.config.epochs}"
            print(f"{self.name}: {epochs}, {value}, {waited}, {state.seconds:.0f} s", file=sys.stderr, flush=True)

    def _write(self, state: State) -> None:
        if self.folder is not None:
            write_text(self.folder / "metrics.csv", _as_csv(state.rows))


def _save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:  # given a name, numpy would add a suffix to it
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _as_csv(rows: list[dict[str, float]]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
