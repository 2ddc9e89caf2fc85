"""The loss and its terms against values worked out by hand.

Throughout, C2 exchanges the two inputs, and for x = (x1, x2)

    latent  z = E x = (x1 + 2 x2,  x2,  x1 − x2)        ρ_Z(r) exchanges z1 and z2 and leaves the padding z3,
    output  D z = z1 − z2 + 2 z3                         invariant: ρ_Y is trivial.

The batch is x = [(1, 2), (3, 5)] with targets y = [2, 6]; r moves the first sample, e the second. So

    E x          = [(5, 2, −1), (13, 5, −2)]             D E x        = [5 − 2 − 2, 13 − 5 − 4] = [1, 4]
    ρ_X(g) x     = [(2, 1), (3, 5)]
    E ρ_X(g) x   = [(4, 1, 1), (13, 5, −2)]              D E ρ_X(g) x = [4 − 1 + 2, 4] = [5, 4]
    ρ_Z(g) E x   = [(2, 5, −1), (13, 5, −2)]
    difference   = [(−2, 4, −2), (0, 0, 0)]              its mean square = (4 + 16 + 4) / 6 = 4
    mean square of E ρ_X(g) x = (16 + 1 + 1 + 169 + 25 + 4) / 6 = 216 / 6 = 36, so the relative error is 4 / 36 = 1/9
    its mean over the batch is (8.5, 3, −0.5), from which it is (4.5, 2, 1.5) away, up and down: its variance is
        2 (20.25 + 4 + 2.25) / 6 = 53 / 6, and the centred error is 4 / (53 / 6) = 24/53
    task         = ((1 − 2)² + (4 − 6)²) / 2 = 2.5
    shifted task = ((5 − 2)² + (4 − 6)²) / 2 = 6.5
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import equilatent as eq

C2 = eq.groups.cyclic(2)
X = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
Y = torch.tensor([[2.0], [6.0]])
ENCODER = torch.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, -1.0]])
HEAD = torch.tensor([[1.0, -1.0, 2.0]])
FIRST_MOVES = torch.tensor([C2["r"], 0])


def linear(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight.clone()
    return layer


def two_layers() -> nn.Sequential:
    return nn.Sequential(linear(ENCODER), linear(HEAD))


def objective(**changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {
        "input": eq.reps.regular(C2),
        "output": eq.actions.trivial(C2),
        "task_loss": nn.functional.mse_loss,
        "layer": "0",
    }
    return eq.Objective(C2, **{**arguments, **changes})


def test_every_term_of_the_default_objective() -> None:
    loss, terms = objective()(two_layers(), X, Y, g=FIRST_MOVES)
    # 1/2 · 2.5 + 1/2 · 6.5 + 1 · 4
    assert loss.item() == pytest.approx(8.5)
    assert terms.as_floats() == pytest.approx(
        {
            "loss": 8.5,
            "task": 2.5,
            "transformed_task": 6.5,
            "equivariance": 4.0,
            "relative_error": 1 / 9,
            "centred_error": 24 / 53,
        }
    )


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        # 1 · 2.5 + 1/4 · 6.5 + 1/2 · 4 = 2.5 + 1.625 + 2
        ({"task_weight": 1.0, "transformed_task_weight": 0.25, "strength": 0.5}, 6.125),
        # 1 · 2.5 + 1/4 · 6.5 + 18 · 1/9 = 2.5 + 1.625 + 2
        ({"task_weight": 1.0, "transformed_task_weight": 0.25, "strength": 18.0, "distance": "relative"}, 6.125),
        # 1/2 · 2.5 + 1/2 · 6.5 + 1/9
        ({"distance": "relative"}, 4.5 + 1 / 9),
        # 1/2 · 2.5 + 1/2 · 6.5 + 2 · 24/53
        ({"distance": "centred", "strength": 2.0}, 4.5 + 48 / 53),
        # 2 · 6.5 alone
        ({"task_weight": 0.0, "transformed_task_weight": 2.0, "strength": 0.0}, 13.0),
        # 3 · 4 alone
        ({"task_weight": 0.0, "transformed_task_weight": 0.0, "strength": 3.0}, 12.0),
    ],
)
@pytest.mark.parametrize("passes", ["joint", "separate"])
def test_the_weights_multiply_their_own_terms(weights: dict[str, Any], expected: float, passes: str) -> None:
    loss, _ = objective(passes=passes, **weights)(two_layers(), X, Y, g=FIRST_MOVES)
    assert loss.item() == pytest.approx(expected)


def test_a_transformed_task_of_weight_zero_is_not_computed() -> None:
    calls = []

    def counted(output: Tensor, target: Tensor) -> Tensor:
        calls.append(output.detach())
        return nn.functional.mse_loss(output, target)

    _, terms = objective(task_loss=counted, transformed_task_weight=0.0)(two_layers(), X, Y, g=FIRST_MOVES)
    assert len(calls) == 1
    assert calls[0].flatten().tolist() == [1.0, 4.0]
    assert terms.transformed_task is None
    assert "transformed_task" not in terms.as_floats()


@pytest.mark.parametrize(("distance", "expected"), [("mse", 4.0), ("relative", 1 / 9), ("centred", 24 / 53)])
def test_both_ratios_are_recorded_whatever_the_distance(distance: str, expected: float) -> None:
    _, terms = objective(distance=distance)(two_layers(), X, Y, g=FIRST_MOVES)
    assert terms.equivariance["0"].item() == pytest.approx(expected)
    assert terms.relative_error["0"].item() == pytest.approx(1 / 9)
    assert terms.centred_error["0"].item() == pytest.approx(24 / 53)


def test_the_terms_are_detached_and_the_loss_is_not() -> None:
    loss, terms = objective()(two_layers(), X, Y, g=FIRST_MOVES)
    assert loss.requires_grad
    assert terms.transformed_task is not None
    parts = [terms.loss, terms.task, terms.transformed_task]
    for record in (terms.equivariance, terms.relative_error, terms.centred_error):
        parts += record.values()
    assert len(parts) == 6
    assert not any(part.requires_grad for part in parts)


def test_the_identity_costs_nothing() -> None:
    _, terms = objective()(two_layers(), X, Y, g=torch.zeros(2, dtype=torch.long))
    assert terms.equivariance["0"].item() == 0
    assert terms.transformed_task is not None
    assert terms.transformed_task.item() == terms.task.item()


@pytest.mark.parametrize("axis", [2, -1])
def test_features_on_another_axis(axis: int) -> None:
    # Two tokens each: the latent of the docstring above, and twice the same. All squares of the second are four times
    # as large: the mean square is 4 (1 + 4) / 2, and the ratio is what it was.
    model = (lambda x: torch.stack([x @ ENCODER.T, 2 * x @ ENCODER.T], dim=1), lambda z: z[:, 0] @ HEAD.T)
    _, terms = objective(layer=None, latent_axis=axis)(model, X, Y, g=FIRST_MOVES)
    assert terms.equivariance["latent"].item() == pytest.approx(10.0)
    assert terms.relative_error["latent"].item() == pytest.approx(1 / 9)


def test_targets_that_move_are_compared_where_they_went() -> None:
    # Outputs 2 z1 and z1 + z2: D E x = [(10, 7), (26, 18)]; of the moved batch [(8, 5), (26, 18)].
    # Targets [(9, 7), (26, 20)]; r exchanges the first pair: [(7, 9), (26, 20)].
    model = nn.Sequential(linear(ENCODER), linear(torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]])))
    targets = torch.tensor([[9.0, 7.0], [26.0, 20.0]])
    _, terms = objective(output=eq.reps.regular(C2))(model, X, targets, g=FIRST_MOVES)
    assert terms.task.item() == pytest.approx((1 + 0 + 0 + 4) / 4)
    assert terms.transformed_task is not None
    assert terms.transformed_task.item() == pytest.approx(((8 - 7) ** 2 + (5 - 9) ** 2 + 0 + 4) / 4)


def test_labels_that_move_are_compared_where_they_went() -> None:
    C3 = eq.groups.cyclic(3)
    # Three scores that are the three inputs; r takes class c to c + 1 and the entry c of x to c + 1.
    model = nn.Sequential(linear(torch.eye(3)), linear(torch.eye(3)))
    loss_of = nn.functional.cross_entropy
    wanted = eq.Objective(
        C3, input=eq.reps.regular(C3), output=eq.actions.labels(C3, {"r": [1, 2, 0]}), task_loss=loss_of, layer="0"
    )
    x = torch.tensor([[3.0, 0.0, 1.0], [0.0, 2.0, 5.0]])
    y = torch.tensor([0, 2])
    _, terms = wanted(model, x, y, g=torch.tensor([C3["r"], C3["r2"]]))
    # By r, (3, 0, 1) becomes (1, 3, 0) of class 1; by r2, (0, 2, 5) becomes (2, 5, 0) of class 1.
    moved = loss_of(torch.tensor([[1.0, 3.0, 0.0], [2.0, 5.0, 0.0]]), torch.tensor([1, 1]))
    assert terms.transformed_task is not None
    assert terms.transformed_task.item() == pytest.approx(moved.item())
    assert terms.transformed_task.item() == pytest.approx(terms.task.item())  # the model is equivariant
    assert terms.equivariance["0"].item() == 0


def test_a_gradient_by_hand() -> None:
    # z = (a x1, b x2) with a = 1, b = 3 and D = 0. For x = (1, 2) moved by r: ρ_Z z = (2b, a), E(2, 1) = (2a, b),
    # difference (2b − 2a, a − b) = (4, −2), mean square (16 + 4) / 2 = 10;
    # derivatives: by a, (−2·4 + −2) = −10; by b, (2·4 + 2) = 10 (the factor 2 of the square and the mean over 2 cancel).
    encoder = linear(torch.diag(torch.tensor([1.0, 3.0])))
    model = nn.Sequential(encoder, linear(torch.zeros(1, 2)))
    loss, terms = objective()(model, torch.tensor([[1.0, 2.0]]), torch.zeros(1, 1), g=torch.tensor([1]))
    loss.backward()
    assert terms.equivariance["0"].item() == pytest.approx(10.0)
    assert encoder.weight.grad is not None
    assert encoder.weight.grad.diagonal().tolist() == pytest.approx([-10.0, 10.0])


@settings(deadline=None, max_examples=30)
@given(scale=st.floats(0.01, 100.0))
def test_scaling_the_latent_changes_the_mean_square_and_not_the_ratios(scale: float) -> None:
    model = nn.Sequential(linear(scale * ENCODER), linear(HEAD / scale))
    _, terms = objective()(model, X, Y, g=FIRST_MOVES)
    assert terms.equivariance["0"].item() == pytest.approx(4.0 * scale**2, rel=1e-4)
    assert terms.relative_error["0"].item() == pytest.approx(1 / 9, rel=1e-4)
    assert terms.centred_error["0"].item() == pytest.approx(24 / 53, rel=1e-4)
    assert terms.task.item() == pytest.approx(2.5, rel=1e-3)


@settings(deadline=None, max_examples=30)
@given(shift=st.floats(0.0, 100.0))
def test_a_constant_in_the_latent_changes_the_relative_error_and_not_the_others(shift: float) -> None:
    encoder = nn.Linear(2, 3)
    encoder.weight.data, encoder.bias.data = ENCODER.clone(), torch.full((3,), shift)
    _, terms = objective()(nn.Sequential(encoder, linear(HEAD)), X, Y, g=FIRST_MOVES)
    # The entries of E ρ_X(g) x add up to 22, so their mean square becomes (216 + 2 · 22 shift + 6 shift²) / 6.
    assert terms.relative_error["0"].item() == pytest.approx(24 / (216 + 44 * shift + 6 * shift**2), rel=1e-4)
    assert terms.equivariance["0"].item() == pytest.approx(4.0, rel=1e-4)
    assert terms.centred_error["0"].item() == pytest.approx(24 / 53, rel=1e-4)


@pytest.mark.parametrize("distance", ["relative", "centred"])
def test_a_latent_of_zeros_has_no_error_and_finite_gradients(distance: str) -> None:
    model = nn.Sequential(linear(torch.zeros(3, 2)), linear(HEAD))
    loss, terms = objective(distance=distance)(model, X, Y, g=FIRST_MOVES)
    assert terms.relative_error["0"].item() == 0
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())  # type: ignore[arg-type]
