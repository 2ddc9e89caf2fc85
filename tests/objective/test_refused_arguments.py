"""What the objective refuses when it is made, and non-finite terms, by message."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.errors import ActionError, EquilatentError, LatentError, NonFiniteError

C2, C3 = eq.groups.cyclic(2), eq.groups.cyclic(3)
X, Y = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 1)


def objective(**changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {
        "input": eq.reps.regular(C2),
        "output": eq.actions.trivial(C2),
        "task_loss": nn.functional.mse_loss,
        "layer": "0",
    }
    return eq.Objective(C2, **{**arguments, **changes})


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1))


def refused(error: type[Exception], *parts: str) -> Any:
    """An expected error whose message holds all of these parts, in order."""
    return pytest.raises(error, match="(?s)" + ".*".join(re.escape(part) for part in parts))


#: What the latent's action is called in messages.
LABELS = {"latent": "the action of Equivariance('0', 1)"}


@pytest.mark.parametrize("name", ["input", "output", "latent"])
@pytest.mark.parametrize("other", [eq.actions.trivial(C3), eq.reps.regular(C3)])
def test_actions_of_another_group(name: str, other: Any) -> None:
    with refused(ActionError, LABELS.get(name, name), "is one of C3", "imposes C2", "same group"):
        objective(**{name: other})


def test_a_group_of_the_same_order_is_another_group() -> None:
    with refused(ActionError, "input is one of D1", "imposes C2"):
        objective(input=eq.reps.regular(eq.groups.dihedral(1)))


def test_a_latent_of_another_group_for_one_of_the_layers() -> None:
    with refused(ActionError, "the action of Equivariance('1', 1) is one of C3", "imposes C2"):
        objective(layer=["0", "1"], latent={"0": "regular", "1": eq.reps.regular(C3)})


@pytest.mark.parametrize("name", ["input", "output", "latent"])
@pytest.mark.parametrize(
    "value", [lambda x, g: x, "regulr", None, torch.eye(2)], ids=["function", "text", "None", "tensor"]
)
def test_what_is_no_action(name: str, value: Any) -> None:
    with refused(
        EquilatentError, LABELS.get(name, name) if value is not None else name, "an action or a representation"
    ):
        objective(**{name: value})


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("distance", ["'mse'", "'relative'"]),
        ("draw", ["'uniform'", "'non_identity'", "'orbit'"]),
        ("passes", ["'joint'", "'separate'"]),
    ],
)
@pytest.mark.parametrize("value", ["other", "", None])
def test_choices_that_do_not_exist(name: str, choices: list[str], value: Any) -> None:
    with refused(LatentError, f"{name} is one of", *choices, f"got {value!r}"):
        objective(**{name: value})


@pytest.mark.parametrize("name", ["task_weight", "transformed_task_weight", "strength"])
@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_weights_that_are_no_weights(name: str, value: float) -> None:
    where = "the strength of '0'" if name == "strength" else name
    with refused(LatentError, where, "finite number ≥ 0", f"got {value!r}"):
        objective(**{name: value})


def test_strengths_of_layers_that_are_no_weights() -> None:
    with refused(LatentError, "the strength of '1'", "got -2.0"):
        objective(layer={"0": 1.0, "1": -2.0})


@pytest.mark.parametrize("value", [0.0, -0.5, 1.01, float("nan")])
def test_fractions_that_are_no_fractions(value: float) -> None:
    with refused(LatentError, "pair_fraction", "(0, 1]", f"got {value!r}"):
        objective(pair_fraction=value)


@pytest.mark.parametrize("layer", [[], (), {}])
def test_no_layers(layer: Any) -> None:
    with refused(LatentError, "layer names no layer"):
        objective(layer=layer)


@pytest.mark.parametrize("latent", [{}, {"1": "regular"}, {"0": "regular", "1": "regular"}])
def test_a_latent_mapping_with_other_names(latent: dict[str, Any]) -> None:
    with refused(LatentError, f"latent is given for {sorted(latent)}", "['0']"):
        objective(latent=latent)


def test_a_latent_mapping_without_layers() -> None:
    with refused(LatentError, "latent is given for ['0']", "['latent']"):
        objective(layer=None, latent={"0": "regular"})


# Terms that are not finite


class NanAt:
    """A task loss that is NaN in one of its calls."""

    def __init__(self, call: int, value: float = float("nan")) -> None:
        self.calls, self.call, self.value = 0, call, value

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        loss = nn.functional.mse_loss(output, target)
        return loss * self.value if self.calls == self.call else loss


def message(wanted: eq.Objective, model: Any) -> str:
    with pytest.raises(NonFiniteError) as caught:
        wanted(model, X, Y, g=torch.ones(4, dtype=torch.long))
    return str(caught.value)


@pytest.mark.parametrize(("value", "text"), [(float("nan"), "nan"), (float("inf"), "inf")])
@pytest.mark.parametrize("call", [1, 2])
def test_the_message_names_the_task_loss_that_is_not_finite(call: int, value: float, text: str) -> None:
    said = message(objective(task_loss=NanAt(call, value)), net())
    named = ("task", "transformed_task")[call - 1]
    assert said.startswith(f"the loss is {text}: {named} is {text}.")


@pytest.mark.parametrize("bad", ["bad", "bad_error"])
def test_the_message_names_the_equivariance_of_the_layer(bad: str) -> None:
    class Nan(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.full_like(z, torch.nan, requires_grad=True)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.good, self.head = nn.Linear(2, 4), nn.Linear(4, 1)
            self.add_module(bad, Nan())

        def forward(self, x: Tensor) -> Tensor:
            latent = self.good(x)
            self.get_submodule(bad)(latent)
            return self.head(latent)

    said = message(objective(layer=["good", bad]), Net())
    assert f"equivariance/{bad} is nan" in said
    assert "good" not in said
    assert "task is" not in said
    assert "equivariance is nan" in message(objective(layer=bad), Net())


def test_a_sum_that_overflows_although_its_terms_do_not() -> None:
    model = net()
    model[0].weight.data *= 100
    said = message(objective(strength=3e38), model)
    assert "the loss is inf" in said and "weighted sum overflows" in said


def test_a_single_pair_is_not_blamed_for_having_no_variance() -> None:
    with pytest.raises(NonFiniteError) as caught:
        objective(task_loss=NanAt(1))(net(), X[:1], Y[:1])
    assert "task is nan" in str(caught.value)
    assert "centred_error" not in str(caught.value)


def test_one_may_ask_for_no_check() -> None:
    loss, terms = objective(task_loss=NanAt(1), check_finite=False)(net(), X, Y)
    assert torch.isnan(loss) and torch.isnan(terms.task)
    assert terms.transformed_task is not None and torch.isfinite(terms.transformed_task)
