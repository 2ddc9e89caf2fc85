"""Latents in other dtypes: the terms are computed in at least single precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq

C2 = eq.groups.cyclic(2)
G = torch.tensor([1, 0, 1])


def objective(**changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {
        "input": eq.reps.regular(C2),
        "output": eq.actions.trivial(C2),
        "task_loss": nn.functional.mse_loss,
    }
    return eq.Objective(C2, **{**arguments, **changes})


def encoder_head(dtype: torch.dtype, scale: float = 1.0) -> tuple[Any, Any, Tensor, Tensor]:
    """Two functions that are a model, with an encoder that is exact in every dtype, and a batch."""
    weight = torch.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, -1.0]])
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0], [4.0, -1.0]])
    return (
        (lambda x: scale * (x @ weight.T.to(dtype)).to(dtype)),
        (lambda z: z.float().sum(1)),
        x.to(dtype),
        torch.zeros(3),
    )


# By hand as in test_value: latents of the moved batch (4, 1, 1), (13, 5, −2), (7, 4, −5); predicted (2, 5, −1),
# (13, 5, −2), (−1, 2, 5): differences (−2, 4, −2), 0, (−8, −2, 10), squares 24 + 168; power 18 + 198 + 90.
ERROR, POWER = 192 / 9, 306 / 9


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("passes", ["joint", "separate"])
def test_terms_in_every_floating_dtype(dtype: torch.dtype, passes: str) -> None:
    encoder, head, x, y = encoder_head(dtype)
    loss, terms = objective(passes=passes, task_weight=0.0, transformed_task_weight=0.0)((encoder, head), x, y, g=G)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert loss.dtype == terms.equivariance["latent"].dtype == terms.relative_error["latent"].dtype == wide
    assert terms.equivariance["latent"].item() == pytest.approx(ERROR, rel=1e-6)
    assert terms.relative_error["latent"].item() == pytest.approx(ERROR / POWER, rel=1e-6)


def test_double_precision_is_kept() -> None:
    encoder, head, x, y = encoder_head(torch.float64, scale=1 + 1e-12)
    _, terms = objective()((encoder, head), x, y, g=G)
    assert terms.equivariance["latent"].item() == pytest.approx(ERROR * (1 + 1e-12) ** 2, rel=1e-14)
    assert terms.equivariance["latent"].item() != pytest.approx(ERROR, rel=1e-13)


def test_squares_that_overflow_in_half_precision_do_not() -> None:
    encoder, head, x, y = encoder_head(torch.float16, scale=1024.0)
    _, terms = objective()((encoder, head), x, y, g=G)
    assert terms.equivariance["latent"].item() == pytest.approx(ERROR * 1024.0**2, rel=1e-6)


@pytest.mark.parametrize("distance", ["mse", "relative", "centred"])
def test_gradients_reach_a_bfloat16_model(distance: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1)).bfloat16()
    x, y = torch.randn(8, 2).bfloat16(), torch.randn(8, 1).bfloat16()
    wanted = objective(layer="0", distance=distance, task_weight=0.0, transformed_task_weight=0.0, draw="non_identity")
    loss, _ = wanted(model, x, y)
    loss.backward()
    gradient = model[0].weight.grad
    assert gradient is not None and gradient.dtype == torch.bfloat16
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_a_complex_latent_is_measured_by_its_absolute_value() -> None:
    encoder, head, x, y = encoder_head(torch.float32)
    pair = (lambda x: encoder(x) * (3.0 + 4.0j), lambda z: head(z.real))
    loss, terms = objective()(pair, x, y, g=G)
    assert not loss.is_complex()
    assert terms.equivariance["latent"].item() == pytest.approx(25 * ERROR, rel=1e-6)
    assert terms.relative_error["latent"].item() == pytest.approx(ERROR / POWER, rel=1e-6)


def test_autocast_is_supported() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1))
    x, y = torch.randn(8, 2), torch.randn(8, 1)
    g = torch.ones(8, dtype=torch.long)
    _, expected = objective(layer="0")(model, x, y, g=g)
    with torch.autocast("cpu", torch.bfloat16):
        loss, terms = objective(layer="0")(model, x, y, g=g)
    loss.backward()
    assert terms.equivariance["0"].dtype == torch.float32
    assert terms.equivariance["0"].item() == pytest.approx(expected.equivariance["0"].item(), rel=0.05)
    assert terms.equivariance["0"].item() != expected.equivariance["0"].item()
    assert model[0].weight.grad is not None and model[0].weight.grad.dtype == torch.float32
