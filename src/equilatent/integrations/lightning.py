"""PyTorch Lightning: a module that trains a model with an objective, and a callback that measures any module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from equilatent._seeds import combined_seed
from equilatent.actions import SupportsAction
from equilatent.errors import LatentError, MissingDependencyError
from equilatent.groups import Group
from equilatent.metrics import EquivarianceError, equivariance_error
from equilatent.objective import Objective
from equilatent.objective._terms import summary

try:
    import pytorch_lightning as pl
except ImportError as error:
    raise MissingDependencyError(
        "equilatent.integrations.lightning needs PyTorch Lightning. Install it: pip install 'pytorch-lightning>=2.6.6'."
    ) from error

__all__ = ["EquivarianceCallback", "EquivariantModule"]


class EquivariantModule(pl.LightningModule):
    """Trains a model with an `Objective`.

    Batches are pairs (x, y). Each training step logs the terms of the objective as ``train/loss``, ``train/task``,
    ``train/transformed_task``, ``train/equivariance``, ``train/relative_error`` and ``train/centred_error``. Each validation
    epoch logs ``val/task``, the given metrics, and the equivariance errors of the latents on the first batches of the
    epoch, as ``val/relative_error`` and ``val/centred_error`` (means over the elements; see
    `equilatent.metrics.EquivarianceError`). Several layers are told apart as ``val/relative_error/NAME``.

    The elements of a step depend on the seed, the process, the epoch and the number of the batch alone. So every
    process draws its own ones, and a run that is resumed from a checkpoint draws what it would have drawn.

    Args:
        model: an nn.Module that the objective can train: its latent is a named layer, or it returns (output, latent).
        objective: the objective. Its generator is replaced.
        optimiser: makes the optimiser of the model's parameters, such as ``partial(torch.optim.Adam, lr=1e-3)``.
        scheduler: makes its learning rate scheduler, which is stepped after every epoch.
        metrics: functions ``metric(output, y)`` that return the mean over a validation batch; logged as ``val/NAME``.
        error_batches: how many validation batches of each epoch the equivariance error is measured on; 0 for none.
        error_elements: on how many elements; drawn once for all epochs from a group that has more.
        seed: where the draw of the elements starts.
        hyperparameters: plain values to keep in checkpoints and to log, beside those of the objective.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        *,
        optimiser: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        scheduler: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler] | None = None,
        metrics: Mapping[str, Callable[[Any, Tensor], Tensor]] | None = None,
        error_batches: int = 1,
        error_elements: int = 64,
        seed: int = 0,
        hyperparameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise LatentError(
                f"EquivariantModule trains one nn.Module; got {type(model).__name__}. "
                "Put an encoder and a decoder into a module that returns (output, latent)."
            )
        self.model = model
        self.objective = objective
        self.objective.generator = torch.Generator()
        self.optimiser = optimiser
        self.scheduler = scheduler
        self.metrics = dict(metrics or {})
        self.error_batches = error_batches
        self.error_elements = error_elements
        self.seed = seed
        self._samples: list[Tensor] = []
        # Only plain values: a checkpoint that holds objects cannot be loaded with weights_only.
        self.save_hyperparameters(
            {
                "group": objective.group.label,
                "terms": [summary(term) for term in objective.terms],
                "draw": objective.draw,
                "passes": objective.passes,
                "seed": seed,
                **(hyperparameters or {}),
            }
        )

    def forward(self, x: Tensor) -> Any:
        """The output of the model."""
        returned = self.model(x)
        return returned[0] if None in self.objective.layers else returned

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch; logs its terms."""
        x, y = batch
        assert self.objective.generator is not None
        self.objective.generator.manual_seed(combined_seed(self.seed, self.global_rank, self.current_epoch, batch_idx))
        loss, terms = self.objective(self.model, x, y)
        self.log_dict({f"train/{name}": value for name, value in terms.as_tensors().items()}, batch_size=len(x))
        return loss  # type: ignore[no-any-return]

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the task loss and the metrics."""
        x, y = batch
        output = self(x)
        assert self.objective.task_loss is not None
        values = {"val/task": self.objective.task_loss(output, y).mean()}
        values.update({f"val/{name}": metric(output, y) for name, metric in self.metrics.items()})
        self.log_dict(values, batch_size=len(x), on_epoch=True, sync_dist=True)
        if batch_idx < self.error_batches:
            self._samples.append(x)

    def on_validation_epoch_end(self) -> None:
        """Log the equivariance errors of the latents."""
        if not self._samples:
            return
        x = torch.cat(self._samples)
        self._samples = []
        layers = self.objective.layers
        for layer in layers:
            error = equivariance_error(
                self.model if layer is not None else lambda x: self.model(x)[1],
                self.objective.input,
                self.objective.latent_action(layer),
                x,
                layer=layer,
                elements=_some_elements(self.objective.group, self.error_elements, x.device),
            )
            _log(self, error, "val/", f"/{layer}" if len(layers) > 1 else "")

    def configure_optimizers(self) -> Any:
        """The optimiser, and the scheduler if there is one."""
        optimiser = self.optimiser(self.model.parameters())
        return optimiser if self.scheduler is None else ([optimiser], [self.scheduler(optimiser)])


class EquivarianceCallback(pl.Callback):
    """Logs the equivariance error of a module that exists already, at the end of every validation epoch.

    It is measured on the first validation batches of the epoch, in evaluation mode without gradients, and logged as
    ``PREFIXrelative_error`` and ``PREFIXcentred_error`` (means over the elements; see
    `equilatent.metrics.EquivarianceError`).

    Args:
        input: how the group acts on x.
        output: how it acts on the module's output, or on the output of the layer.
        layer: dotted name of a layer of the module; None for the output of its ``forward``.
        samples: finds x in a validation batch; by default its first entry.
        batches: how many batches of each epoch.
        elements: on how many elements; drawn once for all epochs from a group that has more.
        prefix: what the logged names start with.
    """

    def __init__(
        self,
        input: SupportsAction,
        output: SupportsAction,
        *,
        layer: str | None = None,
        samples: Callable[[Any], Tensor] = lambda batch: batch[0],
        batches: int = 1,
        elements: int = 64,
        prefix: str = "val/",
    ) -> None:
        self.input = input
        self.output = output
        self.layer = layer
        self.samples = samples
        self.batches = batches
        self.elements = elements
        self.prefix = prefix
        self._samples: list[Tensor] = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the samples of the first batches."""
        if batch_idx < self.batches and not dataloader_idx:
            self._samples.append(self.samples(batch))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure and log."""
        if not self._samples:
            return
        x = torch.cat(self._samples)
        self._samples = []
        elements = _some_elements(self.input.group, self.elements, x.device)
        error = equivariance_error(pl_module, self.input, self.output, x, layer=self.layer, elements=elements)
        _log(pl_module, error, self.prefix, "")


def _some_elements(group: Group, count: int, device: torch.device) -> Tensor | None:
    """All elements of the group, or `count` of them that are always the same."""
    if group.order <= count:
        return None
    return group.sample(count, generator=torch.Generator().manual_seed(0), identity=False, device=device)


def _log(module: pl.LightningModule, error: EquivarianceError, prefix: str, suffix: str) -> None:
    values = {"relative_error": error.mean_relative, "centred_error": error.mean_centred}
    module.log_dict({f"{prefix}{name}{suffix}": value for name, value in values.items()}, sync_dist=True)
