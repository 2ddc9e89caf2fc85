"""One of two processes that train together; `tests/objective/test_distributed.py` starts them and compares them."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import equilatent as eq

SIZE = 8
C4 = eq.groups.cyclic(4)
#: Arguments of DistributedDataParallel, of the objective, and of the model, by the name of the case.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "separate": ({}, {"passes": "separate"}, {}),
    "joint": ({}, {"passes": "joint"}, {}),
    "separate, unused": ({"find_unused_parameters": True}, {"passes": "separate"}, {}),
    "joint, static": ({"static_graph": True}, {"passes": "joint"}, {}),
    "separate, static": ({"static_graph": True}, {"passes": "separate"}, {}),
    "relative": ({}, {"distance": "relative"}, {}),
    "centred": ({}, {"distance": "centred"}, {}),
    "latent alone": ({}, {"transformed_task_weight": 0.0}, {}),
    "decorrelated": ({}, {"decorrelation": 5.0}, {}),
    "decorrelated, joint": ({}, {"decorrelation": 5.0, "passes": "joint"}, {}),
    "norm, separate": ({}, {"passes": "separate"}, {"norm": True}),
    "norm, separate, own buffers": ({"broadcast_buffers": False}, {"passes": "separate"}, {"norm": True}),
    "norm, joint": ({}, {"passes": "joint"}, {"norm": True}),
}
#: Cases in which a term is computed over all processes, so that the gradient is not the mean of those of the halves.
OVER_ALL = ("decorrelated", "decorrelated, joint")


def make_model(*, norm: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 10), nn.BatchNorm1d(10) if norm else nn.Tanh(), nn.Tanh(), nn.Linear(10, 3)
    )


def make_objective(**changes: Any) -> eq.Objective:
    return eq.Objective(
        C4,
        input=eq.actions.image(C4),
        output=eq.actions.trivial(C4),
        task_loss=nn.functional.cross_entropy,
        layer="1",
        **changes,
    )


def make_batch() -> tuple[Tensor, Tensor, Tensor]:
    """The batch of both processes together: the first half is for the first."""
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(SIZE, 1, 6, 6, generator=generator), torch.randint(3, (SIZE,), generator=generator)
    return x, y, C4.sample(SIZE, generator=generator)


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    # Its successor `forward_sync_buffers` is not there in older versions of PyTorch.
    warnings.filterwarnings("ignore", ".broadcast_buffers. is deprecated", FutureWarning)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'rendezvous'}", rank=rank, world_size=2)
    x, y, g = (part[rank * SIZE // 2 : (rank + 1) * SIZE // 2] for part in make_batch())
    results: dict[str, Any] = {}
    for name, (of_wrapper, of_objective, of_model) in CASES.items():
        model = DistributedDataParallel(make_model(**of_model), **of_wrapper)
        try:
            for _ in range(2):  # the second step shows whether the first left the wrapper in order
                model.zero_grad()
                loss, _ = make_objective(**of_objective)(model, x, y, g=g)
                loss.backward()
            results[name] = gradients(model)
        except RuntimeError as error:
            results[name] = str(error)
    generator = torch.Generator().manual_seed(1000 * 7 + rank)
    results["elements"] = C4.sample(100, generator=generator)
    torch.save(results, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
