"""An autoencoder's target is its input: it is moved once, and the loss is the same as with a copy of it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq

C4 = eq.groups.cyclic(4)
TURN = eq.actions.image(C4)


@pytest.fixture
def calls() -> list[int]:
    return []


@pytest.fixture
def counted(calls: list[int]) -> eq.actions.Action:
    def turn(x: Tensor, g: Tensor) -> Tensor:
        calls.append(len(x))
        return TURN(x, g)

    return eq.actions.function(C4, turn)


def parts() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 8))
    return encoder, nn.Sequential(nn.Linear(8, 16), nn.Unflatten(1, (1, 4, 4)))


@pytest.mark.parametrize("pair_fraction", [1.0, 0.5])
def test_fixed_representation(pair_fraction: float, counted: eq.actions.Action, calls: list[int]) -> None:
    x = torch.randn(6, 1, 4, 4)
    losses = []
    for y in (x, x.clone()):
        objective = eq.Objective(
            C4,
            input=counted,
            output=counted,
            task_loss=F.mse_loss,
            pair_fraction=pair_fraction,
            generator=torch.Generator().manual_seed(0),
        )
        losses.append(objective(parts(), x, y)[0].item())
    moved = round(6 * pair_fraction)
    assert calls == [moved, moved, moved]  # once, and once each for the copy
    assert losses[0] == losses[1]


def test_learned_representation(counted: eq.actions.Action, calls: list[int]) -> None:
    x, g = torch.randn(6, 1, 4, 4), C4.sample(6)
    rho = eq.reps.LearnedRepresentation(C4, 8, generator=torch.Generator().manual_seed(0))
    objective = eq.Objective.learned(rho, input=counted, output=counted, task_loss=F.mse_loss)
    losses = [objective(parts(), x, y, g=g)[0].item() for y in (x, x.clone())]
    assert calls == [6, 6, 6]
    assert losses[0] == losses[1]


def test_two_actions_move_one_tensor_each_in_its_way(counted: eq.actions.Action) -> None:
    x, g = torch.randn(6, 1, 4, 4), torch.ones(6, dtype=torch.long)
    objective = eq.Objective(C4, input=counted, output=eq.actions.trivial(C4), task_loss=F.mse_loss, strength=0.0)
    model = parts()
    loss = objective(model, x, x, g=g)[0]
    plain, moved = (F.mse_loss(model[1](model[0](part)), x) for part in (x, TURN(x, g)))
    assert loss.item() == pytest.approx((0.5 * plain + 0.5 * moved).item(), rel=1e-6)
