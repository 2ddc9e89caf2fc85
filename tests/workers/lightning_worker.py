"""Trains with Lightning in two processes; `tests/integrations/test_lightning.py` starts it and reads what it writes."""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import equilatent as eq

C4 = eq.groups.cyclic(4)


class Recording(eq.actions.Action):
    """Turns images, and keeps the elements that they were turned by in training."""

    def __init__(self) -> None:
        super().__init__(C4)
        self.act = eq.actions.image(C4)
        self.drawn: list[Tensor] = []

    def move(self, x: Tensor, g: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.drawn.append(g.clone())
        return self.act(x, g)


def make_loader(*, shuffle: bool = False, size: int = 32) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(size, 1, 6, 6, generator=generator), torch.randint(3, (size,), generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=8, shuffle=shuffle)


def accuracy(output: Tensor, y: Tensor) -> Tensor:
    return (output.argmax(1) == y).float().mean()


def make_module(**changes: Any) -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 10), nn.Tanh(), nn.Linear(10, 3))
    objective = eq.Objective(
        C4,
        input=Recording(),
        output=eq.actions.trivial(C4),
        task_loss=nn.functional.cross_entropy,
        layer=changes.pop("layer", "1"),
    )
    arguments: dict[str, Any] = {"optimiser": partial(torch.optim.Adam, lr=1e-2), "metrics": {"accuracy": accuracy}}
    return eq.integrations.lightning.EquivariantModule(model, objective, **{**arguments, **changes})


def main(folder: Path) -> None:
    import pytorch_lightning as pl

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    module = make_module()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=2,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module, make_loader(), make_loader())
    record = {
        "elements": torch.cat(module.objective.input.drawn),
        "weights": module.model.state_dict(),
        "logged": {name: float(value) for name, value in trainer.callback_metrics.items()},
    }
    torch.save(record, folder / f"{trainer.global_rank}.pt")
    trainer.strategy.barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
