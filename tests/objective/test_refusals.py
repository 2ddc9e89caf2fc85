"""What the objective refuses when it is called, and the message that says why and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.errors import ActionError, EquilatentError, GroupError, LatentError, NonFiniteError

C2 = eq.groups.cyclic(2)
X, Y = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 1)


def objective(**changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {
        "input": eq.reps.regular(C2),
        "output": eq.actions.trivial(C2),
        "task_loss": nn.functional.mse_loss,
        "passes": "joint",
        "layer": "encoder.0",
    }
    return eq.Objective(C2, **{**arguments, **changes})


class Net(nn.Module):
    """An encoder of the given width, followed by whatever function is given for the latent."""

    def __init__(self, width: int = 4, change: Callable[[Tensor], Any] = lambda z: z) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2, width), _Apply(change))
        self.decoder = nn.Linear(width, 1)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        first = self.encoder[0](x)
        self.encoder[1](first)
        return self.decoder(first)


class _Apply(nn.Module):
    def __init__(self, change: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.change = change

    def forward(self, z: Tensor) -> Any:
        return self.change(z)


def refused(error: type[Exception], *parts: str) -> Any:
    """An expected error whose message holds all of these parts, in order."""
    return pytest.raises(error, match="(?s)" + ".*".join(re.escape(part) for part in parts))


@pytest.mark.parametrize("call", ["forward", "describe"])
def test_a_latent_too_narrow_for_one_copy(call: str) -> None:
    wanted, model = objective(), Net(1)
    with refused(LatentError, "'encoder.0' of shape [4, 1] is too narrow", "1 features", "C2", "at least 2 features"):
        wanted(model, X, Y) if call == "forward" else wanted.describe(model, X)


def test_an_unknown_layer_lists_the_nearest_names() -> None:
    with refused(LatentError, "Net has no layer 'encoder.9'", "'encoder.0'", "named_modules"):
        objective(layer="encoder.9")(Net(), X, Y)
    with refused(LatentError, "no layer 'decodr'", "'decoder'"):
        objective(layer="decodr")(Net(), X, Y)


def test_an_unknown_layer_of_a_model_without_layers() -> None:
    with refused(LatentError, "Identity has no layer 'encoder'", "(none)"):
        objective(layer="encoder")(nn.Identity(), X, Y)


def test_a_layer_that_runs_twice_or_never() -> None:
    class Twice(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + super().forward(-x)

    with refused(LatentError, "'encoder.0' ran 2 times", "runs once"):
        objective()(Twice(), X, Y)
    with refused(LatentError, "'unused' ran 0 times"):
        objective(layer="unused")(Net(), X, Y)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda z: {}, ["'encoder.1' should be a tensor", "got dict"]),
        (lambda z: (), ["'encoder.1' should be a tensor", "got tuple"]),
        (lambda z: ("a", z), ["'encoder.1' should be a tensor", "got str"]),
        (lambda z: z[1:], ["'encoder.1' should be [8, features, …]", "[7, 4]"]),
        (lambda z: z[:, 0], ["'encoder.1' should be [8, features, …]", "[8]"]),
        (lambda z: z.mean(), ["'encoder.1' should be [8, features, …]", "[]"]),
        (lambda z: z.round().long(), ["'encoder.1' should hold floating numbers", "torch.int64"]),
        (lambda z: z > 0, ["'encoder.1' should hold floating numbers", "torch.bool"]),
    ],
)
def test_a_layer_that_gives_no_latent(change: Callable[[Tensor], Any], parts: list[str]) -> None:
    with refused(LatentError, *parts):
        objective(layer="encoder.1")(Net(change=change), X, Y)


@pytest.mark.parametrize("style", ["pair", "returns both"])
def test_a_latent_that_is_no_latent_without_a_layer(style: str) -> None:
    model: Any = (lambda x: x.long(), lambda z: z[:, :1].float())
    if style == "returns both":
        model = _Apply(lambda x: (x[:, :1], x.long()))
    with refused(LatentError, "'latent' should hold floating numbers", "torch.int64"):
        objective(layer=None)(model, X, Y)


@pytest.mark.parametrize("call", ["forward", "describe"])
@pytest.mark.parametrize(
    "latent", [eq.reps.padded_regular(C2, 3), eq.actions.image(C2), eq.actions.channels(eq.reps.padded_regular(C2, 3))]
)
def test_a_latent_that_cannot_carry_the_representation(latent: Any, call: str) -> None:
    wanted = objective(latent=latent)
    with refused(LatentError, "'encoder.0'", "cannot carry"):
        wanted(Net(), X, Y) if call == "forward" else wanted.describe(Net(), X)


@pytest.mark.parametrize("axis", [0, 2, -3])
@pytest.mark.parametrize("latent", ["regular", eq.reps.padded_regular(C2, 4)])
def test_a_feature_axis_that_is_not_there(axis: int, latent: Any) -> None:
    with refused(LatentError, "'encoder.0'"):
        objective(latent=latent, latent_axis=axis)(Net(), X, Y)


@pytest.mark.parametrize("g", [[0, 1, 2, 0], [0, -1, 0, 0]])
@pytest.mark.parametrize("passes", ["joint", "separate"])
def test_elements_out_of_range(g: list[int], passes: str) -> None:
    with refused(GroupError, "C2", "0 … 1", str(2 if 2 in g else -1)):
        objective(passes=passes)(Net(), X, Y, g=torch.tensor(g))


def test_elements_that_are_no_integers() -> None:
    with refused(GroupError, "C2", "torch.float32"):
        objective()(Net(), X, Y, g=torch.zeros(4))
    with refused(EquilatentError, "list"):
        objective()(Net(), X, Y, g=[0, 1, 0, 1])  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3,), (5,), (4, 1), (), (1,)])
@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_elements_of_a_wrong_shape(shape: tuple[int, ...], fraction: float) -> None:
    with refused(ActionError, "one element for each sample", "[4]", str(list(shape))):
        objective(pair_fraction=fraction)(Net(), X, Y, g=torch.zeros(shape, dtype=torch.long))


def test_elements_together_with_orbit() -> None:
    with refused(ActionError, "draw='orbit'", "every element"):
        objective(draw="orbit")(Net(), X, Y, g=torch.zeros(4, dtype=torch.long))


def test_no_other_element_than_the_identity() -> None:
    C1 = eq.groups.cyclic(1)
    trivial = eq.actions.trivial(C1)
    wanted = eq.Objective(
        C1, input=trivial, output=trivial, task_loss=nn.MSELoss(), layer="encoder.0", draw="non_identity"
    )
    with refused(GroupError, "C1", "no element but the identity"):
        wanted(Net(), X, Y)


@pytest.mark.parametrize(("samples", "targets"), [(0, 0), (4, 3), (3, 4), (0, 4)])
def test_batches_that_are_empty_or_do_not_match(samples: int, targets: int) -> None:
    with refused(ActionError, f"{samples} samples and {targets} targets", "empty batches"):
        objective()(Net(), X[:samples], Y[:targets])


def test_describing_an_empty_batch() -> None:
    with refused(ActionError, "at least one sample"):
        objective().describe(Net(), X[:0])


@pytest.mark.parametrize(
    ("x", "y", "parts"),
    [
        (X.numpy(), Y, ["x should be a tensor [B, …]", "got ndarray"]),
        (X, Y.tolist(), ["y[0][0] should be a tensor [B, …]", "got float"]),
        (X, {"labels": Y, "names": "abcd"}, ["y['names'] should be a tensor", "got str"]),
        (X, {"labels": Y, "weights": Y[:3]}, ["parts of y", "4 in y['labels'], 3 in y['weights']"]),
        ((X, torch.tensor(1.0)), Y, ["x[1]", "a single number", "batch axis"]),
        ({}, Y, ["x should be a tensor", "got dict"]),
    ],
)
def test_samples_and_targets_that_are_no_batch(x: Any, y: Any, parts: list[str]) -> None:
    with refused(ActionError, *parts):
        objective()(Net(), x, y)


@pytest.mark.parametrize("number", [torch.tensor(1.0), torch.tensor(2)])
def test_a_number_is_no_batch(number: Tensor) -> None:
    with pytest.raises(EquilatentError):
        objective()(Net(), number, Y)


@pytest.mark.parametrize(
    ("value", "got"),
    [(torch.ones(3), "shape [3]"), (torch.ones(1), "shape [1]"), (1.0, "float"), (None, "NoneType")],
)
def test_a_task_loss_that_is_neither_a_scalar_nor_one_for_each_sample(value: Any, got: str) -> None:
    with refused(ActionError, "task_loss should return a scalar", "one loss for each sample", got):
        objective(task_loss=lambda output, target: value)(Net(), X, Y)


def test_a_pair_of_three_or_with_a_layer() -> None:
    model: Any = (nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 1))
    with refused(LatentError, "(encoder, decoder) pair", "3 parts"):
        objective(layer=None)(model, X, Y)
    with refused(LatentError, "layer names a layer of one module", "leave it out"):
        objective()(model[:2], X, Y)


@pytest.mark.parametrize("returned", [lambda x: x, lambda x: (x,), lambda x: (x, x, x), lambda x: {"z": x}])
def test_a_model_that_does_not_return_output_and_latent(returned: Callable[[Tensor], Any]) -> None:
    kind = type(returned(X)).__name__
    with refused(LatentError, "returns (output, latent)", f"_Apply returned {kind}", "Name the layer"):
        objective(layer=None)(_Apply(returned), X, Y)


def test_an_output_that_a_joint_pass_cannot_split() -> None:
    class Named(Net):
        def forward(self, x: Tensor) -> Any:
            return {"out": super().forward(x), "count": len(x)}

    with refused(ActionError, "passes='joint'", "['count'] has int", "passes='separate'"):
        objective(task_loss=lambda output, y: nn.functional.mse_loss(output["out"], y))(Named(), X, Y)


def test_a_layer_name_needs_a_module() -> None:
    with refused(LatentError, "layer='encoder.0'", "nn.Module", "function"):
        objective()(lambda x: x, X, Y)  # type: ignore[arg-type]


def test_a_single_pair_has_no_variance() -> None:
    with refused(LatentError, "distance='centred'", "two"):
        objective(distance="centred")(Net(), X[:1], Y[:1])


def test_non_finite_errors_are_caught_as_arithmetic_errors() -> None:
    with pytest.raises(ArithmeticError):
        objective(task_loss=lambda output, target: output.mean() * torch.nan)(Net(), X, Y)
    assert issubclass(NonFiniteError, EquilatentError)
