"""Carrying out a run: training with Lightning, a folder that survives a kill at any moment, and the record at the end.

A run's folder holds ``config.json``, ``metrics.csv`` (one row an epoch), ``last.ckpt`` (to resume from),
``weights.safetensors`` (of the best epoch), ``figures.npz`` and, when it is finished, ``record.json``. Every file is written
to a temporary name and renamed.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from filelock import FileLock, Timeout
from pytorch_lightning.callbacks import Checkpoint, TQDMProgressBar
from safetensors.torch import load_file, save_file
from torch import Tensor

from equilatent.bench.config import RunConfig, pick_device
from equilatent.bench.recipe import Experiment, Recipe
from equilatent.bench.record import make_record, replace_file, write_json, write_text
from equilatent.errors import EquilatentError, NonFiniteError

__all__ = ["RunBusyError", "check", "run", "run_folder"]


class RunBusyError(EquilatentError):
    """Another process is carrying out this very run."""


def run_folder(experiment: Experiment, config: RunConfig, seed: int) -> Path:
    """Where a run lives: a name for people, and the digest of its configuration."""
    return config.out / f"{experiment.name}-{config.method}-{config.group}-seed{seed}-{config.digest}"


def run(experiment: Experiment, config: RunConfig, seed: int, *, progress: bool = True) -> dict[str, Any]:
    """Carry out one run, or go on with one that was cut off, or read the record of one that is finished.

    Args:
        experiment: the experiment.
        config: its configuration; checked.
        seed: the seed.
        progress: show a bar.

    Returns:
        The record, as in ``record.json``.

    Raises:
        EquilatentError: if the configuration cannot be run, or the data are missing or damaged.
        RunBusyError: if another process is at this run.
    """
    config = config.resolved()
    check(experiment, config)
    folder = run_folder(experiment, config, seed)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunBusyError(
            f"another process is carrying out {folder.name}. Wait for it, or choose another seed or --out."
        ) from None
    try:
        finished = folder / "record.json"
        if finished.exists() and not config.again:
            record: dict[str, Any] = json.loads(finished.read_text())
            return record
        return _carry_out(experiment, config, seed, folder, progress)
    finally:
        lock.release()


def check(experiment: Experiment, config: RunConfig) -> None:
    """Refuse a configuration that cannot be run, naming all that is wrong with it, before anything runs.

    Raises:
        EquilatentError: naming every field that is wrong.
    """
    wrong = config.problems()
    for field, value, known in (
        ("method", config.method, experiment.methods),
        ("group", config.group, experiment.groups),
    ):
        if value not in known:
            wrong.append(f"--{field} {value!r} should be one of {', '.join(known)}")
    if wrong:
        raise EquilatentError(f"{experiment.name} cannot be run so: {'; '.join(wrong)}.")


def _carry_out(experiment: Experiment, config: RunConfig, seed: int, folder: Path, progress: bool) -> dict[str, Any]:
    device = pick_device(config.device)
    if config.again and (folder / "record.json").exists():
        # The finished record stays until the new one replaces it; only the way there is walked afresh.
        (folder / "last.ckpt").unlink(missing_ok=True)
    torch.manual_seed(_entropy(seed, 0))
    recipe = experiment.make(config, seed, device)
    write_json(folder / "config.json", {"experiment": experiment.name, "seed": seed, **_plain(config.identity)})
    state = _RunState(folder, recipe, config)
    module = _Module(recipe, seed, config.batch)
    checkpoint = folder / "last.ckpt"
    resumed = checkpoint.exists()
    if resumed:
        state.peek(checkpoint)
    if not state.is_done(config):
        with warnings.catch_warnings(), _quiet("pytorch_lightning", "lightning.pytorch.utilities.rank_zero"):
            # Lightning's advice on data loaders and loggers does not apply: batches are indices, logs are ours.
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
            warnings.filterwarnings("ignore", message=".*(isinstance|LeafSpec|treespec).*")
            trainer = _trainer(config, device, [state, *([_Bar(seed)] if progress else [])])
            trainer.fit(
                module,
                train_dataloaders=module.batches,
                ckpt_path=str(checkpoint) if resumed else None,
                weights_only=True,
            )
        if trainer.interrupted:
            raise KeyboardInterrupt
    recipe.model.to(device)
    recipe.model.load_state_dict(load_file(folder / "weights.safetensors", device=str(device)))
    recipe.model.eval()
    final = {**recipe.final(), "epochs": len(state.rows), "best_epoch": state.best_epoch}
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
    write_json(folder / "record.json", record)
    return record


class _Batches:
    """The batches of an epoch as indices of samples, in an order drawn from the seed and the epoch."""

    def __init__(self, module: _Module, samples: int, batch: int) -> None:
        self.module, self.samples, self.batch = module, samples, batch

    def __len__(self) -> int:
        return -(-self.samples // self.batch)

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(_entropy(self.module.seed, 2 * self.module.current_epoch + 1))
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
        torch.manual_seed(_entropy(self.seed, 2 * epoch + 2))  # for dropout and the like
        generator = torch.Generator(device=self.device)
        generator.manual_seed(_entropy(self.seed, 2 * epoch + 2, self.global_rank))
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

    def __init__(self, folder: Path, recipe: Recipe, config: RunConfig) -> None:
        self.folder, self.recipe, self.config = folder, recipe, config
        self.rows: list[dict[str, float]] = []
        self.best = float("inf")
        self.best_epoch = -1
        self.waited = 0
        self.seconds = 0.0
        self.arrays: dict[str, list[Any]] = {}
        self._since = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "seconds": self.seconds,
            "arrays": self.arrays,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    def peek(self, checkpoint: Path) -> None:
        """Read this state alone from a checkpoint, before a trainer does."""
        try:
            callbacks = torch.load(checkpoint, map_location="cpu", weights_only=True)["callbacks"]
        except Exception as error:
            raise EquilatentError(
                f"{checkpoint} cannot be read ({type(error).__name__}: {error}). Remove it to start the run again."
            ) from error
        self.load_state_dict(callbacks[self.state_key])

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
        row = {"epoch": float(trainer.current_epoch)}
        row.update({f"train/{name}": float(value) / pl_module.steps for name, value in pl_module.sums.items()})
        row.update({f"val/{name}": float(value) for name, value in validation.items()})
        wrong = [name for name, value in row.items() if not np.isfinite(value)]
        if wrong:
            raise NonFiniteError(f"epoch {trainer.current_epoch}: {', '.join(wrong)} is not finite. Lower --rate.")
        self.rows.append(row)
        for name, array in self.recipe.observe().items():
            self.arrays.setdefault(name, []).append(array.tolist())
        improved = validation["loss"] < self.best - self.config.min_change
        self.waited = 0 if improved else self.waited + 1
        if improved:
            self.best, self.best_epoch = validation["loss"], trainer.current_epoch
        self.seconds += time.perf_counter() - self._since
        if trainer.is_global_zero:
            if improved:
                weights = {name: value.contiguous() for name, value in self.recipe.model.state_dict().items()}
                replace_file(self.folder / "weights.safetensors", lambda path: save_file(weights, path))
            write_text(self.folder / "metrics.csv", _as_csv(self.rows))
            replace_file(self.folder / "last.ckpt", trainer.save_checkpoint)
        else:
            trainer.save_checkpoint(self.folder / "last.ckpt")  # takes part in it, and writes nothing
        if self.is_done(self.config):
            trainer.should_stop = True


class _Bar(TQDMProgressBar):
    """Lightning's bar, with the seed and the latest validation loss."""

    def __init__(self, seed: int) -> None:
        super().__init__(refresh_rate=10)
        self.seed = seed

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        state = trainer.checkpoint_callback
        assert isinstance(state, _RunState)
        shown: dict[str, Any] = {"seed": self.seed}
        if state.rows:
            shown["val loss"] = f"{state.rows[-1]['val/loss']:.4f}"
            shown["waited"] = f"{state.waited}/{state.config.patience}"
        return shown


def _trainer(config: RunConfig, device: torch.device, callbacks: list[pl.Callback]) -> pl.Trainer:
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=[device.index] if device.index is not None else config.devices,
        num_nodes=config.nodes,
        strategy="ddp" if config.devices * config.nodes > 1 else "auto",
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


def _entropy(*numbers: int) -> int:
    """One seed from several numbers, in which neighbours have nothing in common."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


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
