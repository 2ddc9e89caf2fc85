"""Activation checkpointing: layers that run again in the backward pass are still read once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import equilatent as eq

C4 = eq.groups.cyclic(4)


class Net(nn.Module):
    def __init__(self, *, checkpointed: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.Tanh())
        self.middle = nn.Sequential(nn.Linear(12, 9), nn.Tanh())
        self.head = nn.Linear(9, 3)
        self.checkpointed = checkpointed
        self.calls = 0
        self.middle[0].register_forward_hook(self._count)

    def _count(self, *_arguments: Any) -> None:
        self.calls += 1

    def forward(self, x: Tensor) -> Any:
        run: Callable[..., Any] = self.middle
        latent = self.encoder(x)
        between = checkpoint(run, latent, use_reentrant=False) if self.checkpointed else run(latent)
        return self.head(between)


@pytest.mark.parametrize("layer", ["encoder", "middle.0", "middle", ["encoder.1", "middle.1"]])
@pytest.mark.parametrize("passes", ["separate", "joint"])
def test_gradients_are_the_same(layer: Any, passes: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(6, 1, 6, 6, generator=generator), torch.randint(3, (6,), generator=generator)
    g = C4.sample(6, generator=generator)
    objective = eq.Objective(
        C4,
        input=eq.actions.image(C4),
        output=eq.actions.trivial(C4),
        task_loss=nn.functional.cross_entropy,
        layer=layer,
        passes=passes,
    )
    results = []
    for checkpointed in (False, True):
        net = Net(checkpointed=checkpointed)
        loss, _ = objective(net, x, y, g=g)
        loss.backward()
        forward_passes = 2 if passes == "separate" else 1
        assert net.calls == forward_passes * (1 + checkpointed)  # the second time in the backward pass
        results.append([loss.detach(), *(parameter.grad for parameter in net.parameters())])
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
