"""Carrying out a run: training with Lightning, a folder that survives a kill at any moment, and the record at the end.

A run's folder holds ``config.json``, ``metrics.csv`` (one row an epoch), ``last.ckpt`` (all that is needed to resume, with
the weights of the best epoch) and, when it is finished, ``weights.safetensors`` (of the best epoch), ``figures.npz`` and
``record.json``. Every file is written to a temporary name and renamed. A finished run that is run again lives in the folder
``again`` inside until it is finished too; then it takes the place of the old one.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import os
import signal
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from filelock import FileLock, Timeout
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.callbacks import Checkpoint, TQDMProgressBar
from pytorch_lightning.utilities.exceptions import SIGTERMException
from safetensors.torch import save
from torch import Tensor

from equilatent._seeds import combined_seed
from equilatent.bench.allocator import keep_freed_memory
from equilatent.bench.config import RunConfig, pick_device
from equilatent.bench.processes import Worker, wait_for
from equilatent.bench.recipe import Experiment, Recipe
from equilatent.bench.record import make_record, peak_memory, replace_file, write_json, write_text
from equilatent.errors import EquilatentError, NonFiniteError

__all__ = ["RunBusyError", "check", "problems", "read_record", "run", "run_folder"]


class RunBusyError(EquilatentError):
    """Another process is carrying out this very run."""


def run_folder(experiment: Experiment, config: RunConfig, seed: int) -> Path:
    """Where a run lives: a name for people, and the digest of its configuration."""
    config = config.resolved()
    return config.out / f"{experiment.name}-{config.method}-{config.group}-seed{seed}-{config.digest}"


def run(experiment: Experiment, config: RunConfig, seed: int, *, progress: bool = True) -> dict[str, Any]:
    """Carry out one run, or go on with one that was cut off, or read the record of one that is finished.

    With several devices each has a process of its own, which this function starts (so that a program that calls it has
    to be guarded by ``if __name__ == "__main__"``), unless torchrun or srun has started them all. On several machines one
    of these two has to.

    Args:
        experiment: the experiment.
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
    check(experiment, config)
    folder = run_folder(experiment, config, seed)
    ranks = _ranks(config)
    if ranks is not None and ranks.global_rank() > 0:
        place = _place(folder, config)
        if place is not None:
            _carry_out(experiment, config, seed, place, False, ranks)
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
                _spread(experiment, config, seed, place, progress)
            else:
                _carry_out(experiment, config, seed, place, progress, ranks)
            _adopt(folder)
        return read_record(folder)
    finally:
        lock.release()


def problems(experiment: Experiment, config: RunConfig) -> list[str]:
    """What is wrong with a configuration for this experiment, in words; empty if nothing is."""
    wrong = config.problems()
    for field, value, known in (
        ("method", config.method, experiment.methods),
        ("group", config.group, experiment.groups),
    ):
        if value not in known:
            wrong.append(f"--{field} {value!r} should be one of {', '.join(known)}")
    return wrong


def check(experiment: Experiment, config: RunConfig) -> None:
    """Refuse a configuration that cannot be run, naming all that is wrong with it, before anything runs.

    Raises:
        EquilatentError: naming every field that is wrong.
    """
    wrong = problems(experiment, config)
    if wrong:
        raise EquilatentError(f"{experiment.name} cannot be run so: {'; '.join(wrong)}.")


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a finished run.

    Raises:
        EquilatentError: if it is missing or damaged.
    """
    path = folder / "record.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError(f"it holds a {type(record).__name__}")
    except (OSError, ValueError) as error:
        raise EquilatentError(f"{path} cannot be read ({error}). Remove it to carry out the run again.") from error
    return record


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
        return SLURMEnvironment(auto_requeue=False)
    if config.nodes > 1:
        raise EquilatentError(
            f"--nodes {config.nodes}: a run on several machines is started on each of them by torchrun or srun, with one "
            "process for each device."
        )
    return None


def _spread(experiment: Experiment, config: RunConfig, seed: int, folder: Path, progress: bool) -> None:
    """Carry out a run with a process for each device."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = max(1, torch.get_num_threads() // config.devices)
    workers: list[Worker] = []
    try:
        for rank in range(config.devices):
            environment = {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            arguments = (threads, experiment, config, seed, folder, progress and rank == 0)
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


def _as_rank(threads: int, experiment: Experiment, config: RunConfig, seed: int, folder: Path, progress: bool) -> None:
    torch.set_num_threads(threads)
    _carry_out(experiment, config, seed, folder, progress, LightningEnvironment())


def _carry_out(
    experiment: Experiment, config: RunConfig, seed: int, folder: Path, progress: bool, ranks: ClusterEnvironment
) -> None:
    """Train, then write the record."""
    device = pick_device(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda" and config.devices * config.nodes > 1:
        device = torch.device("cuda", ranks.local_rank())
        torch.cuda.set_device(device)
    torch.manual_seed(combined_seed(seed, 0))
    recipe = experiment.make(config, seed, device)
    state = _RunState(folder, recipe, config, experiment.criterion)
    module = _Module(recipe, seed, config.batch)
    checkpoint = folder / "last.ckpt"
    resumed = checkpoint.exists()
    if resumed:
        state.peek(checkpoint)
    if ranks.global_rank() == 0:
        write_json(folder / "config.json", {"experiment": experiment.name, "seed": seed, **_plain(config.identity)})
    if not state.is_done(config):
        state.name = f"{experiment.name}, seed {seed}" if progress and not sys.stderr.isatty() else ""
        bars = [_Bar(seed)] if progress and sys.stderr.isatty() else []
        with warnings.catch_warnings(), _quiet("pytorch_lightning", "lightning.pytorch.utilities.rank_zero"):
            # Lightning's advice on data loaders and loggers does not apply: batches are indices, logs are ours.
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
            warnings.filterwarnings("ignore", message=".*(isinstance|LeafSpec|treespec).*")
            trainer = _trainer(config, device, [state, *bars], ranks)
            with _interruptible():
                trainer.fit(
                    module,
                    train_dataloaders=module.batches,
                    ckpt_path=str(checkpoint) if resumed else None,
                    weights_only=True,
                )
        if not trainer.is_global_zero:
            return
    elif ranks.global_rank() > 0:
        return
    recipe.model.to(device)
    recipe.model.load_state_dict(state.best_weights)
    recipe.model.eval()
    replace_file(folder / "weights.safetensors", lambda path: path.write_bytes(save(state.best_weights)))
    parameters = sum(weights.numel() for weights in recipe.model.parameters())
    final = {**recipe.final(), "parameters": parameters, "epochs": len(state.rows), "best_epoch": state.best_epoch}
    arrays = {**state.observed(), **recipe.figures()}
    if arrays:
        replace_file(folder / "figures.npz", lambda path: _save_arrays(path, arrays))
    record = make_record(
        experiment=experiment.name,
        method=config.method,
        group=config.group,
        seed=seed,
        config=_plain(config.identity),
        final=final,
        seconds=state.seconds,
        device=device,
    )
    record["data"] = dict(recipe.provenance)
    record["curve"] = state.rows
    record["peak_memory"] = peak_memory(device)
    try:
        write_json(folder / "record.json", record)
    except ValueError as error:
        raise NonFiniteError(f"a final number of {experiment.name} is not finite: {final}. Lower --rate.") from error


class _Batches:
    """The batches of an epoch as indices of samples, in an order drawn from the seed and the epoch."""

    def __init__(self, module: _Module, samples: int, batch: int) -> None:
        self.module, self.samples, self.batch = module, samples, batch

    def __len__(self) -> int:
        return -(-self.samples // self.batch)

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(combined_seed(self.module.seed, 2 * self.module.current_epoch + 1))
        order = torch.randperm(self.samples, generator=generator)
        rank, ranks = self.module.global_rank, self.module.trainer.world_size
        for indices in order.split(self.batch):
            if len(indices) >= ranks:
                yield indices[rank::ranks]


class _Module(pl.LightningModule):
    """A recipe as Lightning wants it."""

    def __init__(self, recipe: Recipe, seed: int, batch: int) -> None:
        super().__init__()
        self.recipe, self.seed = recipe, seed
        self.model = recipe.model
        self.batches = _Batches(self, recipe.samples, batch)
        self.sums: dict[str, Tensor] = {}
        self.steps = 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.recipe.optimiser()

    def on_train_epoch_start(self) -> None:
        epoch = self.current_epoch
        torch.manual_seed(combined_seed(self.seed, 2 * epoch + 2))  # for dropout and the like
        generator = torch.Generator(device=self.device)
        generator.manual_seed(combined_seed(self.seed, 2 * epoch + 2, self.global_rank))
        self.recipe.start_epoch(generator)
        self.sums, self.steps = {}, 0

    def training_step(self, indices: Tensor, _: int) -> Tensor:
        loss, terms = self.recipe.loss(indices)
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.steps += 1
        return loss


class _RunState(Checkpoint):
    """Everything that a run has to know of its past: rows of metrics, the best epoch, time, and the files of its folder."""

    def __init__(self, folder: Path, recipe: Recipe, config: RunConfig, criterion: str) -> None:
        self.folder, self.recipe, self.config, self.criterion = folder, recipe, config, criterion
        self.rows: list[dict[str, float]] = []
        self.best = float("inf")
        self.best_epoch = -1
        self.waited = 0
        self.seconds = 0.0
        self.arrays: dict[str, list[Any]] = {}
        self.best_weights: dict[str, Tensor] = {}
        self.name = ""  # of the run, if each epoch is to be told in a line
        self._since = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "seconds": self.seconds,
            "arrays": self.arrays,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    def peek(self, checkpoint: Path) -> None:
        """Read this state alone from a checkpoint, before a trainer does."""
        try:
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)["callbacks"][self.state_key]
            self.load_state_dict({name: state[name] for name in self.state_dict()})
        except Exception as error:
            raise EquilatentError(
                f"{checkpoint} cannot be read ({type(error).__name__}: {error}). Remove it to start the run again."
            ) from error

    def is_done(self, config: RunConfig) -> bool:
        """Whether all epochs have been run, or no improvement is waited for any more."""
        return len(self.rows) >= config.epochs or self.waited >= config.patience

    def observed(self) -> dict[str, np.ndarray]:
        """What was kept after each epoch, stacked along a new first axis."""
        return {name: np.stack([np.asarray(value) for value in values]) for name, values in self.arrays.items()}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate, keep the best weights, then write everything that a resumed run needs."""
        assert isinstance(pl_module, _Module)
        training = self.recipe.model.training
        self.recipe.model.eval()
        with torch.no_grad():
            validation = self.recipe.validate()
        self.recipe.model.train(training)
        means = {name: value / pl_module.steps for name, value in pl_module.sums.items()}
        if trainer.world_size > 1:
            # All processes have to see the same numbers, so that they stop at the same epoch.
            means = {name: trainer.strategy.reduce(value.detach(), reduce_op="mean") for name, value in means.items()}
            validation = trainer.strategy.broadcast(validation)
        row = {"epoch": float(trainer.current_epoch)}
        row.update({f"train/{name}": float(value) for name, value in means.items()})
        row.update({f"val/{name}": float(value) for name, value in validation.items()})
        wrong = [name for name, value in row.items() if not np.isfinite(value)]
        if wrong:
            raise NonFiniteError(
                f"epoch {trainer.current_epoch}: what is not finite: {', '.join(wrong)}. Lower --rate, or use --precision "
                "32-true."
            )
        self.rows.append(row)
        for name, array in self.recipe.observe().items():
            self.arrays.setdefault(name, []).append(array.tolist())
        improved = validation[self.criterion] < self.best - self.config.min_change
        self.waited = 0 if improved else self.waited + 1
        if improved:
            self.best, self.best_epoch = validation[self.criterion], trainer.current_epoch
            # Kept in the checkpoint, so that they cannot be of another epoch than it says.
            self.best_weights = {
                name: value.detach().cpu().clone().contiguous()
                for name, value in self.recipe.model.state_dict().items()
            }
        self.seconds += time.perf_counter() - self._since
        if trainer.is_global_zero:
            write_text(self.folder / "metrics.csv", _as_csv(self.rows))
            replace_file(self.folder / "last.ckpt", trainer.save_checkpoint)
        else:
            trainer.save_checkpoint(self.folder / "last.ckpt")  # takes part in it, and writes nothing
        if self.name:
            print(
                f"{self.name}: epoch {len(self.rows)} of at most {self.config.epochs}, validation {self.criterion} "
                f"{row[f'val/{self.criterion}']:.4g}, {self.waited} of {self.config.patience} without improvement, "
                f"{self.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
        if self.is_done(self.config):
            trainer.should_stop = True


class _Bar(TQDMProgressBar):
    """Lightning's bar, with the seed and the latest number that selects."""

    def __init__(self, seed: int) -> None:
        super().__init__(refresh_rate=10)
        self.seed = seed

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        state = trainer.checkpoint_callback
        assert isinstance(state, _RunState)
        shown: dict[str, Any] = {"seed": self.seed}
        if state.rows:
            shown[f"val {state.criterion}"] = f"{state.rows[-1][f'val/{state.criterion}']:.4f}"
            shown["waited"] = f"{state.waited}/{state.config.patience}"
        return shown


def _trainer(
    config: RunConfig, device: torch.device, callbacks: list[pl.Callback], ranks: ClusterEnvironment
) -> pl.Trainer:
    alone = config.devices * config.nodes == 1
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=[device.index] if alone and device.type == "cuda" and device.index is not None else config.devices,
        num_nodes=config.nodes,
        strategy="auto" if alone else "ddp",
        plugins=[ranks],  # else Lightning takes a job of a scheduler, in which this may run, for its own
        precision=config.precision,
        max_epochs=config.epochs,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=any(isinstance(callback, _Bar) for callback in callbacks),
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Undo what Lightning makes of signals: it ends the process with status 1 after ctrl-C, and with 0 after SIGTERM."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException:
        raise SystemExit(128 + signal.SIGTERM) from None
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


@contextlib.contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Loggers tell of nothing less than warnings inside."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:  # given a name, numpy would add a suffix to it
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(config), default=str))
    return plain


def _as_csv(rows: list[dict[str, float]]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
