"""One pass over both batches, or two passes: what differs, and only with batch norm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq

C4 = eq.groups.cyclic(4)


def objective(**changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {
        "input": eq.actions.image(C4),
        "output": eq.actions.trivial(C4),
        "task_loss": nn.functional.cross_entropy,
        "layer": "encoder.1",
    }
    return eq.Objective(C4, **{**arguments, **changes})


class Net(nn.Module):
    def __init__(self, *, batch_norm: bool) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(9, 9))
        self.head = nn.Sequential(nn.BatchNorm1d(9) if batch_norm else nn.Tanh(), nn.Linear(9, 3))
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        return self.head(self.encoder(x))


def batch(size: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size, 1, 3, 3, generator=generator).double()
    return (
        x,
        torch.randint(3, (size,), generator=generator),
        torch.randint(4, (size,), generator=generator),
    )


def net(*, batch_norm: bool) -> Net:
    torch.manual_seed(1)
    return Net(batch_norm=batch_norm).double()


def test_without_batch_norm_both_are_the_same_numbers() -> None:
    x, y, g = batch()
    model = net(batch_norm=False)
    joint, joint_terms = objective(passes="joint")(model, x, y, g=g)
    separate, separate_terms = objective(passes="separate")(model, x, y, g=g)
    assert joint_terms.as_floats() == pytest.approx(separate_terms.as_floats(), rel=1e-12)
    parameters = list(model.parameters())
    torch.testing.assert_close(torch.autograd.grad(joint, parameters), torch.autograd.grad(separate, parameters))


def test_how_many_samples_go_through_the_model_at_once() -> None:
    x, y, g = batch()
    together, apart = net(batch_norm=False), net(batch_norm=False)
    objective(passes="joint")(together, x, y, g=g)
    objective(passes="separate")(apart, x, y, g=g)
    assert together.batches == [12]
    assert apart.batches == [6, 6]


def test_a_joint_pass_normalises_both_batches_by_their_common_statistics() -> None:
    x, y, g = batch()
    model = net(batch_norm=True)
    moved = objective().input(x, g)
    _, terms = objective(passes="joint")(model, x, y, g=g)
    norm = model.head[0]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.num_batches_tracked is not None and norm.num_batches_tracked.item() == 1
    latent = model.encoder(torch.cat([x, moved]))
    torch.testing.assert_close(norm.running_mean, 0.1 * latent.mean(0).detach())
    normalised = (latent - latent.mean(0)) / (latent.var(0, unbiased=False) + norm.eps).sqrt()
    expected = nn.functional.cross_entropy(model.head[1](normalised), torch.cat([y, y]))
    assert terms.transformed_task is not None
    assert (terms.task + terms.transformed_task).item() / 2 == pytest.approx(expected.item())


def test_separate_passes_normalise_each_batch_by_its_own_and_update_twice() -> None:
    x, y, g = batch()
    model = net(batch_norm=True)
    moved = objective().input(x, g)
    _, terms = objective(passes="separate")(model, x, y, g=g)
    norm = model.head[0]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.num_batches_tracked is not None and norm.num_batches_tracked.item() == 2
    first, second = model.encoder(x).mean(0).detach(), model.encoder(moved).mean(0).detach()
    torch.testing.assert_close(norm.running_mean, 0.9 * (0.1 * first) + 0.1 * second)
    assert terms.transformed_task is not None
    for samples, value in ((x, terms.task), (moved, terms.transformed_task)):
        latent = model.encoder(samples)
        normalised = (latent - latent.mean(0)) / (latent.var(0, unbiased=False) + norm.eps).sqrt()
        torch.testing.assert_close(value, nn.functional.cross_entropy(model.head[1](normalised), y).detach())


def test_with_batch_norm_the_two_differ() -> None:
    x, y, g = batch()
    _, joint = objective(passes="joint")(net(batch_norm=True), x, y, g=g)
    _, separate = objective(passes="separate")(net(batch_norm=True), x, y, g=g)
    assert abs(joint.task.item() - separate.task.item()) > 1e-3
    # The latent is read before the batch norm, and is the same.
    assert joint.equivariance["encoder.1"].item() == pytest.approx(separate.equivariance["encoder.1"].item())


def test_in_evaluation_mode_batch_norm_makes_no_difference() -> None:
    x, y, g = batch()
    model = net(batch_norm=True).eval()
    _, joint = objective(passes="joint")(model, x, y, g=g)
    _, separate = objective(passes="separate")(model, x, y, g=g)
    assert joint.as_floats() == pytest.approx(separate.as_floats(), rel=1e-12)


def test_separate_passes_take_a_model_whose_output_is_no_tensor() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net(batch_norm=False)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"scores": self.inner(x)}

    def loss_of(output: dict[str, Tensor], target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output["scores"], target)

    x, y, g = batch()
    model = Named()
    _, terms = objective(passes="separate", layer="inner.encoder.1", task_loss=loss_of)(model, x, y, g=g)
    _, expected = objective(passes="separate")(model.inner, x, y, g=g)
    assert terms.task.item() == expected.task.item()
    assert terms.equivariance["inner.encoder.1"].item() == expected.equivariance["encoder.1"].item()
