"""Training in half precision: the loss in float32, finite gradients, and values close to those of float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq

C4 = eq.groups.cyclic(4)
HALF = [torch.bfloat16, torch.float16]


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 36, 16),
        nn.LayerNorm(16),
        nn.Linear(16, 3),
    )


def objective(**changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {
        "input": eq.actions.image(C4),
        "output": eq.actions.trivial(C4),
        "task_loss": nn.functional.cross_entropy,
        "layer": "3",
    }
    return eq.Objective(C4, **{**arguments, **changes})


def batch(size: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(size, 1, 6, 6, generator=generator)
    return x, torch.randint(3, (size,), generator=generator), C4.sample(size, generator=generator)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("distance", ["mse", "relative", "centred"])
@pytest.mark.parametrize("passes", ["separate", "joint"])
def test_the_loss_is_close_to_that_of_float32(dtype: torch.dtype, distance: str, passes: str) -> None:
    net, wanted = model(), objective(distance=distance, passes=passes)
    x, y, g = batch()
    expected, _ = wanted(net, x, y, g=g)
    with torch.autocast("cpu", dtype):
        loss, terms = wanted(net, x, y, g=g)
    assert loss.dtype == terms.equivariance["3"].dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=0.02)
    assert loss.item() != expected.item()
    half = torch.autograd.grad(loss, list(net.parameters()))
    single = torch.autograd.grad(expected, list(net.parameters()))
    assert all(gradient.dtype == torch.float32 and torch.isfinite(gradient).all() for gradient in half)
    rounded, exact = (torch.cat([g.flatten() for g in gradients]) for gradients in (half, single))
    assert (rounded - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize("dtype", HALF)
def test_the_model_alone_under_autocast(dtype: torch.dtype) -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model()

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype):
                return self.inner(x)

    x, y, g = batch()
    loss, _ = objective(layer="inner.3")(Half(), x, y, g=g)
    expected, _ = objective()(model(), x, y, g=g)
    assert loss.item() == pytest.approx(expected.item(), rel=0.02)


def test_gradient_scaling_takes_the_step_that_it_takes_without() -> None:
    x, y, g = batch()
    plain, scaled = model(), model()
    loss, _ = objective()(plain, x, y, g=g)
    loss.backward()
    torch.optim.SGD(plain.parameters(), lr=0.1).step()

    optimizer = torch.optim.SGD(scaled.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with torch.autocast("cpu", torch.float16):
        loss, _ = objective()(scaled, x, y, g=g)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    start = model()
    for after, expected, before in zip(scaled.parameters(), plain.parameters(), start.parameters(), strict=True):
        assert not torch.equal(after, before)
        torch.testing.assert_close(after, expected, rtol=0.02, atol=0.002)


def test_gradient_scaling_skips_a_step_that_overflows() -> None:
    x, y, g = batch()
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    with torch.autocast("cpu", torch.float16):
        loss, _ = objective()(net, x, y, g=g)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**39
    assert all(torch.equal(after, before) for after, before in zip(net.parameters(), model().parameters(), strict=True))
