"""The objective in PyTorch Lightning: what is logged, saved and resumed, in one process and in two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning_worker as worker
import pytest
import torch
from torch import Tensor, nn

import equilatent as eq

# Lightning warns of few workers, of short epochs, and of a folder for checkpoints that is not empty; none matters here.
pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
pl = pytest.importorskip("pytorch_lightning")
SECONDS = 120
TERMS = {"loss", "task", "transformed_task", "equivariance", "relative_error", "centred_error"}


def make_trainer(folder: Path, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "default_root_dir": folder,
    }
    return pl.Trainer(**{**arguments, **changes})


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_what_is_logged(tmp_path: Path) -> None:
    module, trainer = worker.make_module(), make_trainer(tmp_path)
    trainer.fit(module, worker.make_loader(), worker.make_loader())
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert set(logged) == {f"train/{name}" for name in TERMS} | {
        "val/task",
        "val/accuracy",
        "val/relative_error",
        "val/centred_error",
    }
    assert logged["train/loss"] == pytest.approx(
        (logged["train/task"] + logged["train/transformed_task"]) / 2 + logged["train/equivariance"], rel=1e-5
    )
    samples = next(iter(worker.make_loader()))[0]
    rho = eq.reps.padded_regular(worker.C4, 10)
    expected = eq.metrics.equivariance_error(module.model, module.objective.input, rho, samples, layer="1")
    assert logged["val/centred_error"] == pytest.approx(expected.mean_centred, rel=1e-5)
    assert logged["val/relative_error"] == pytest.approx(expected.mean_relative, rel=1e-5)
    x, y = worker.make_loader(size=32).dataset.tensors
    assert logged["val/accuracy"] == pytest.approx(float(worker.accuracy(module(x), y)))


def test_several_layers_are_told_apart(tmp_path: Path) -> None:
    module, trainer = worker.make_module(layer=["1", "2"]), make_trainer(tmp_path)
    trainer.fit(module, worker.make_loader(), worker.make_loader())
    assert {"train/equivariance/1", "train/equivariance/2", "val/centred_error/1", "val/centred_error/2"} <= set(
        trainer.callback_metrics
    )


def test_a_model_that_returns_its_latent(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = nn.Sequential(nn.Flatten(), nn.Linear(36, 10)), nn.Linear(10, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            latent = self.encoder(x)
            return self.head(latent), latent

    named = worker.make_module()
    module = eq.integrations.lightning.EquivariantModule(
        Two(),
        eq.Objective(
            worker.C4,
            input=named.objective.input,
            output=named.objective.output,
            task_loss=named.objective.task_loss,
        ),
        optimiser=torch.optim.SGD,
    )
    trainer = make_trainer(tmp_path)
    trainer.fit(module, worker.make_loader(), worker.make_loader())
    assert "val/centred_error" in trainer.callback_metrics
    assert module(torch.randn(2, 1, 6, 6)).shape == (2, 3)


def test_training_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    module, plain = worker.make_module(), worker.make_module()
    make_trainer(tmp_path).fit(module, worker.make_loader())
    optimiser = torch.optim.Adam(plain.model.parameters(), lr=1e-2)
    drawn = torch.cat(module.objective.input.drawn).split(8)
    plain.objective.generator = None
    for (x, y), g in zip(worker.make_loader(), drawn, strict=True):
        optimiser.zero_grad()
        plain.objective(plain.model, x, y, g=g)[0].backward()
        optimiser.step()
    assert same_weights(module.model, plain.model)


def test_the_elements_depend_on_the_seed_the_epoch_and_the_batch(tmp_path: Path) -> None:
    def drawn(seed: int) -> Tensor:
        torch.manual_seed(torch.seed())  # nothing depends on the global generator
        module = worker.make_module(seed=seed)
        make_trainer(tmp_path, max_epochs=2).fit(module, worker.make_loader())
        return torch.stack(module.objective.input.drawn)

    first, other = drawn(0), drawn(1)
    assert torch.equal(first, drawn(0)) and not torch.equal(first, other)
    assert len(first.unique(dim=0)) == len(first) == 8


def test_a_resumed_run_ends_as_one_that_was_not_interrupted(tmp_path: Path) -> None:
    whole = worker.make_module()
    make_trainer(tmp_path, max_epochs=3).fit(whole, worker.make_loader())

    first, path = worker.make_module(), tmp_path / "checkpoint.ckpt"
    stopped = make_trainer(tmp_path, max_epochs=1)
    stopped.fit(first, worker.make_loader())
    stopped.save_checkpoint(path)
    assert not same_weights(first.model, whole.model)

    resumed = worker.make_module()
    make_trainer(tmp_path, max_epochs=3).fit(resumed, worker.make_loader(), ckpt_path=path)
    assert same_weights(resumed.model, whole.model)


def test_a_run_resumed_within_an_epoch_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    whole, resumed = worker.make_module(), worker.make_module()
    saving = pl.callbacks.ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=6, save_top_k=-1)
    trainer = make_trainer(tmp_path, max_epochs=3, enable_checkpointing=True, callbacks=[saving])
    trainer.fit(whole, worker.make_loader())
    make_trainer(tmp_path, max_epochs=3).fit(resumed, worker.make_loader(), ckpt_path=tmp_path / "step=6.ckpt")
    assert torch.equal(torch.stack(resumed.objective.input.drawn), torch.stack(whole.objective.input.drawn[6:]))


def test_a_checkpoint_holds_the_weights_and_plain_values(tmp_path: Path) -> None:
    module, trainer = worker.make_module(hyperparameters={"width": 10}), make_trainer(tmp_path)
    trainer.fit(module, worker.make_loader())
    trainer.save_checkpoint(tmp_path / "checkpoint.ckpt")
    checkpoint = torch.load(tmp_path / "checkpoint.ckpt", weights_only=True)
    assert set(checkpoint["state_dict"]) == {f"model.{name}" for name in module.model.state_dict()}
    assert checkpoint["hyper_parameters"] == {
        "group": "C4",
        "terms": ["Task(0.5)", "TransformedTask(0.5)", "Equivariance('1', 1)"],
        "draw": "uniform",
        "passes": "separate",
        "seed": 0,
        "width": 10,
    }
    fresh = worker.make_module()
    again = type(fresh).load_from_checkpoint(
        tmp_path / "checkpoint.ckpt", model=fresh.model, objective=fresh.objective, optimiser=fresh.optimiser
    )
    assert same_weights(again.model, module.model)


def test_a_scheduler_is_stepped_once_an_epoch(tmp_path: Path) -> None:
    module = worker.make_module(scheduler=lambda optimiser: torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.5))
    trainer = make_trainer(tmp_path, max_epochs=2)
    trainer.fit(module, worker.make_loader())
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-2 / 4)


def test_a_large_group_is_measured_on_some_elements(tmp_path: Path) -> None:
    module, trainer = worker.make_module(error_elements=2), make_trainer(tmp_path)
    trainer.validate(module, worker.make_loader(), verbose=False)
    elements = worker.C4.sample(2, generator=torch.Generator().manual_seed(0), identity=False)
    samples = next(iter(worker.make_loader()))[0]
    expected = eq.metrics.equivariance_error(
        module.model, module.objective.input, module.objective.latent_action(), samples, layer="1", elements=elements
    )
    assert float(trainer.callback_metrics["val/centred_error"]) == pytest.approx(expected.mean_centred, rel=1e-5)


def test_a_pair_is_refused() -> None:
    pair: Any = (nn.Flatten(), nn.Linear(36, 3))
    module = worker.make_module()
    with pytest.raises(eq.errors.LatentError, match=r"one nn\.Module; got tuple"):
        eq.integrations.lightning.EquivariantModule(pair, module.objective, optimiser=torch.optim.SGD)


class Existing(pl.LightningModule):
    """A module that knows nothing of groups."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.BatchNorm1d(12), nn.Linear(12, 3))
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.modes.append(self.training)
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self(batch[0])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("layer", [None, "net.1"])
@pytest.mark.parametrize("batches", [1, 3])
def test_the_callback_measures_a_module_that_exists(tmp_path: Path, layer: str | None, batches: int) -> None:
    act = eq.actions.image(worker.C4)
    output = eq.actions.trivial(worker.C4) if layer is None else eq.reps.regular(worker.C4)
    output = output if layer is None else eq.reps.padded_regular(worker.C4, 12)
    callback = eq.integrations.lightning.EquivarianceCallback(act, output, layer=layer, batches=batches)
    module, trainer = Existing(), make_trainer(tmp_path, callbacks=[callback], max_epochs=2)
    trainer.fit(module, worker.make_loader(), worker.make_loader())
    samples = torch.cat([x for x, _ in list(worker.make_loader())[:batches]])
    expected = eq.metrics.equivariance_error(module, act, output, samples, layer=layer)
    for name, value in (("relative_error", expected.mean_relative), ("centred_error", expected.mean_centred)):
        assert float(trainer.callback_metrics[f"val/{name}"]) == pytest.approx(value, rel=1e-5)
    assert all(module.modes) and not any(part._forward_hooks for part in module.modules())


def test_the_callback_does_not_change_the_training(tmp_path: Path) -> None:
    act, trivial = eq.actions.image(worker.C4), eq.actions.trivial(worker.C4)
    modules = [Existing(), Existing()]
    for module, callbacks in zip(
        modules, ([eq.integrations.lightning.EquivarianceCallback(act, trivial)], []), strict=True
    ):
        make_trainer(tmp_path, callbacks=callbacks, max_epochs=2).fit(
            module, worker.make_loader(), worker.make_loader()
        )
    assert same_weights(*modules)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What both processes recorded, or their output if one fails or hangs."""
    folder = tmp_path_factory.mktemp("lightning")
    log = folder / "log"
    with log.open("w") as file:
        command = [sys.executable, worker.__file__, str(folder)]
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        code: int | None = process.wait(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        code = None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if code != 0:
        pytest.fail(f"exit code {code} within {SECONDS} seconds:\n{log.read_text()}")
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
def test_two_processes_train_one_model_with_elements_of_their_own(two_processes: list[dict[str, Any]]) -> None:
    first, second = two_processes
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name])
    assert len(first["elements"]) == len(second["elements"]) == 2 * 16
    assert not torch.equal(first["elements"], second["elements"])
    assert first["logged"]["val/centred_error"] == second["logged"]["val/centred_error"]
