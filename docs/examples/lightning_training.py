"""Train a small network with the objective in PyTorch Lightning."""

from functools import partial

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import equilatent as eq
from equilatent.integrations.lightning import EquivariantModule


def loader(size: int, seed: int) -> DataLoader:
    """Noisy patterns of five kinds."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.randint(5, (size,), generator=generator)
    return DataLoader(TensorDataset(patterns[y] + torch.randn(size, 1, 8, 8, generator=generator), y), batch_size=32)


def accuracy(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The part of the classes that are right."""
    return (output.argmax(1) == y).float().mean()


def main() -> dict[str, float]:
    """Train for three epochs; return what was logged last."""
    G = eq.groups.dihedral(4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5))
    objective = eq.Objective(
        G,
        input=eq.actions.image(G),
        output=eq.actions.trivial(G),
        task_loss=nn.functional.cross_entropy,
        layer="1",
    )
    module = EquivariantModule(
        model, objective, optimiser=partial(torch.optim.Adam, lr=3e-3), metrics={"accuracy": accuracy}, seed=0
    )
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(module, loader(512, 1), loader(128, 2))
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name}: {value:.3f}")
