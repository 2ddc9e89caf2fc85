"""Copies, pickles and checkpoints: of the library's objects, and of models that hold them."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import equilatent as eq
from equilatent.testing import ACTIONS, GROUPS, REPRESENTATIONS

C4 = eq.groups.cyclic(4)

COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
}
copies = pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)


def objective(**changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {
        "input": eq.actions.image(C4),
        "output": eq.actions.trivial(C4),
        "task_loss": nn.functional.cross_entropy,
        "layer": "1",
    }
    return eq.Objective(C4, **{**arguments, **changes})


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 10), nn.Tanh(), nn.Linear(10, 3))


def elements(group: eq.groups.Group, size: int = 5) -> torch.Tensor:
    return group.sample(size, generator=torch.Generator().manual_seed(0))


@copies
@pytest.mark.parametrize("name", GROUPS)
def test_groups(name: str, duplicate: Callable[[Any], Any]) -> None:
    group = GROUPS[name]()
    again = duplicate(group)
    assert again == group and hash(again) == hash(group) and again.label == group.label
    a, b = elements(group), elements(group).flip(0)
    assert torch.equal(again.product(a, b), group.product(a, b))
    assert [again.name(g) for g in a.tolist()] == [group.name(g) for g in a.tolist()]


@copies
@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_representations(name: str, duplicate: Callable[[Any], Any]) -> None:
    rho = REPRESENTATIONS[name]()
    again = duplicate(rho)
    x, g = torch.randn(5, rho.dim), elements(rho.group)
    assert repr(again) == repr(rho) and torch.equal(again(x, g), rho(x, g))
    assert not rho.state_dict()


@copies
@pytest.mark.parametrize("name", ACTIONS)
def test_actions(name: str, duplicate: Callable[[Any], Any]) -> None:
    make, shape = ACTIONS[name]
    act: Any = make()
    x, g = torch.randn(5, *shape), elements(act.group)
    expected = act(x, g)
    again = duplicate(act)  # used already, so that whatever it keeps is copied too
    assert repr(again) == repr(act) and torch.equal(again(x, g), expected)
    assert not act.state_dict()


@copies
@pytest.mark.parametrize("used", [False, True])
def test_objectives(duplicate: Callable[[Any], Any], used: bool) -> None:
    wanted, net = objective(latent="regular", draw="non_identity"), model()
    x, y, g = torch.randn(5, 1, 6, 6), torch.randint(3, (5,)), elements(C4)
    if used:
        wanted(net, x, y)
    again = duplicate(wanted)
    assert repr(again) == repr(wanted)
    assert again(net, x, y, g=g)[1] is not None
    assert torch.equal(again(net, x, y, g=g)[0], wanted(net, x, y, g=g)[0])


@copies
def test_terms_of_a_step(duplicate: Callable[[Any], Any]) -> None:
    _, terms = objective()(model(), torch.randn(5, 1, 6, 6), torch.randint(3, (5,)))
    assert duplicate(terms).as_floats() == terms.as_floats()


def test_a_copy_draws_on_from_where_the_generator_was() -> None:
    wanted, net = objective(generator=torch.Generator().manual_seed(0)), model()
    x, y = torch.randn(50, 1, 6, 6), torch.randint(3, (50,))
    wanted(net, x, y)
    for again in (copy.deepcopy(wanted), pickle.loads(pickle.dumps(wanted))):
        expected = copy.deepcopy(wanted)(net, x, y)[0]
        assert torch.equal(again(net, x, y)[0], expected)


def test_a_model_that_holds_an_objective_has_the_checkpoint_of_one_that_does_not() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = model()
            self.objective = objective(latent=eq.reps.padded_regular(C4, 10))
            self.act = eq.actions.vector_field(C4)

    held = Both()
    held.objective(held.net, torch.randn(5, 1, 6, 6), torch.randint(3, (5,)))
    assert set(held.state_dict()) == {f"net.{name}" for name in held.net.state_dict()}
    file = io.BytesIO()
    torch.save(held.state_dict(), file)
    file.seek(0)
    weights = torch.load(file, weights_only=True)
    again = Both()
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.zero_()
    again.load_state_dict(weights)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), held.parameters(), strict=True))


def test_dtype_changes_do_not_spoil_the_tables() -> None:
    wanted, net = objective(latent=eq.reps.padded_regular(C4, 10)).half().float(), model()
    x, y, g = torch.randn(5, 1, 6, 6), torch.randint(3, (5,)), elements(C4)
    assert torch.equal(wanted(net, x, y, g=g)[0], objective()(net, x, y, g=g)[0])
