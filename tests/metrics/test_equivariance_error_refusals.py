"""What `equivariance_error` refuses, and the message that says why and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.errors import (
    ActionError,
    EquilatentError,
    GroupError,
    GroupTooLargeError,
    LatentError,
    NonFiniteError,
)
from equilatent.metrics import equivariance_error

C2, C3 = eq.groups.cyclic(2), eq.groups.cyclic(3)
RHO = eq.reps.regular(C2)
X = torch.tensor([[1.0, 2.0], [3.0, 5.0], [0.0, 1.0]])


def refused(error: type[Exception], *parts: str) -> Any:
    """An expected error whose message holds all of these parts, in order."""
    return pytest.raises(error, match="(?s)" + ".*".join(re.escape(part) for part in parts))


def identity(x: Tensor) -> Tensor:
    return x


def test_an_empty_batch() -> None:
    with refused(ActionError, "empty batch", "at least one sample"):
        equivariance_error(identity, RHO, RHO, X[:0])


def test_samples_that_are_no_tensor() -> None:
    with pytest.raises(ActionError):
        equivariance_error(identity, RHO, RHO, X.tolist())


def test_actions_of_two_groups() -> None:
    with refused(ActionError, "input is moved by C2", "output by C3", "one group"):
        equivariance_error(identity, RHO, eq.actions.trivial(C3), X)


def test_groups_of_the_same_order_are_two_groups() -> None:
    with refused(ActionError, "input is moved by C2", "output by D1"):
        equivariance_error(identity, RHO, eq.reps.regular(eq.groups.dihedral(1)), X)


@pytest.mark.parametrize(
    ("model", "got"),
    [(lambda x: (x, x), "tuple"), (lambda x: x.tolist(), "list"), (lambda x: {"out": x}, "dict")],
    ids=["tuple", "list", "dict"],
)
def test_an_output_that_is_no_tensor(model: Callable[[Tensor], Any], got: str) -> None:
    with refused(ActionError, "should return a tensor [B, …]", f"got {got}"):
        equivariance_error(model, RHO, RHO, X)


@pytest.mark.parametrize("model", [lambda x: x[:1], lambda x: x.sum(), lambda x: torch.cat([x, x])])
def test_an_output_that_is_not_one_row_a_sample(model: Callable[[Tensor], Any]) -> None:
    with refused(ActionError, "should return a tensor [B, …]"):
        equivariance_error(model, RHO, eq.actions.trivial(C2), X)


def test_outputs_whose_shapes_differ() -> None:
    class Shrinking(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x if self.calls == 1 else x[:, :1]

    with refused(ActionError, "shapes [3, 2] and [3, 1]", "cannot be compared"):
        equivariance_error(Shrinking(), RHO, RHO, X, elements=torch.tensor([1]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_outputs_that_are_not_finite(value: float) -> None:
    with refused(NonFiniteError, "output on x", "NaN or infinity"):
        equivariance_error(lambda x: torch.where(x == 5, value, x), RHO, RHO, X)
    # Only the moved samples have a 5 in front.
    with refused(NonFiniteError, "moved samples", "NaN or infinity"):
        equivariance_error(lambda x: torch.where(x[:, :1] == 5, value, x), RHO, RHO, X)


def test_a_large_group_needs_chosen_elements() -> None:
    D4 = eq.groups.dihedral(4)
    large = eq.groups.direct_product(*[D4] * 5)
    act = eq.actions.parts(large, [eq.actions.image(D4)] * 5)
    x = torch.randn(2, 1, 2, 10, generator=torch.Generator().manual_seed(0))
    with refused(GroupTooLargeError, "32768 elements", "elements=G.sample"):
        equivariance_error(identity, act, act, x)
    chosen = large.sample(16, generator=torch.Generator().manual_seed(0))
    error = equivariance_error(nn.Tanh(), act, act, x, elements=chosen)
    assert error.elements.tolist() == chosen.tolist()
    assert error.relative.tolist() == [0.0] * 16
    assert equivariance_error(lambda x: x[..., 0], act, eq.actions.trivial(large), x, elements=chosen).mean_relative > 0


@pytest.mark.parametrize("elements", [torch.tensor([0, 2]), torch.tensor([-1]), torch.tensor([0.5]), [0, 1]])
def test_elements_of_another_group(elements: Any) -> None:
    with refused(GroupError, "elements of C2"):
        equivariance_error(identity, RHO, RHO, X, elements=elements)


def test_no_elements() -> None:
    with refused(EquilatentError, "no elements to measure"):
        equivariance_error(identity, RHO, RHO, X, elements=torch.zeros(0, dtype=torch.long))


def test_layers_that_cannot_be_read() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with refused(LatentError, "Sequential has no layer '7'", "'0'"):
        equivariance_error(model, RHO, RHO, X, layer="7")
    with refused(LatentError, "layer='0'", "nn.Module"):
        equivariance_error(identity, RHO, RHO, X, layer="0")


def test_an_input_that_cannot_be_moved() -> None:
    with refused(EquilatentError, "regular of C2", "2 entries"):
        equivariance_error(identity, RHO, RHO, torch.ones(3, 5))


@pytest.mark.parametrize("model", [lambda x: x, lambda x: x[:, :1]])
def test_a_single_sample_has_no_variance(model: Callable[[Tensor], Tensor]) -> None:
    # What one output is compared with tells nothing: the value is NaN, as it is in the terms of the objective.
    error = equivariance_error(model, RHO, eq.actions.trivial(C2), X[:1])
    assert error.relative[1] > 0
    assert torch.isnan(error.centred[1])
