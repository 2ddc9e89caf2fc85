"""Which elements move which samples: uniform, without the identity, all of them, and on a part of the batch."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq

C3 = eq.groups.cyclic(3)
D3 = eq.groups.dihedral(3)


class Recorder:
    """The regular representation of a group as an action that remembers the elements it was asked to move by."""

    def __init__(self, group: eq.groups.Group) -> None:
        self.rho = eq.reps.regular(group)
        self.drawn: list[Tensor] = []
        self.action = eq.actions.function(group, self.move)

    def move(self, x: Tensor, g: Tensor) -> Tensor:
        self.drawn.append(g)
        return self.rho(x, g)


def objective(group: eq.groups.Group, **changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {
        "input": eq.reps.regular(group),
        "output": eq.actions.trivial(group),
        "task_loss": nn.functional.mse_loss,
        "layer": "0",
    }
    return eq.Objective(group, **{**arguments, **changes})


def setup(group: eq.groups.Group, batch: int) -> tuple[nn.Sequential, Tensor, Tensor]:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(group.order, group.order + 2), nn.Tanh(), nn.Linear(group.order + 2, 2)).double()
    return model, torch.randn(batch, group.order).double(), torch.randn(batch, 2).double()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_orbit_is_the_average_over_all_elements() -> None:
    model, x, y = setup(D3, 4)
    orbit, terms = objective(D3, draw="orbit")(model, x, y)
    each = [objective(D3)(model, x, y, g=torch.full((4,), g)) for g in range(D3.order)]
    torch.testing.assert_close(orbit, torch.stack([loss for loss, _ in each]).mean())
    errors = torch.stack([one.equivariance["0"] for _, one in each])
    powers = torch.stack([one.equivariance["0"] / one.relative_error["0"] for _, one in each[1:]])
    torch.testing.assert_close(terms.equivariance["0"], errors.mean())
    # Of the identity the relative error, 0, does not show the power; it is the mean square of the latent itself.
    power = (powers.sum() + model[0](x).square().mean().detach()) / D3.order
    torch.testing.assert_close(terms.relative_error["0"], errors.mean() / power)
    assert errors[0] == 0 and errors.max() > 0.01


def test_orbit_gradient_is_the_average_of_the_gradients() -> None:
    model, x, y = setup(C3, 2)
    parameters = list(model.parameters())
    orbit = torch.autograd.grad(objective(C3, draw="orbit")(model, x, y)[0], parameters)
    each = [torch.autograd.grad(objective(C3)(model, x, y, g=torch.full((2,), g))[0], parameters) for g in range(3)]
    torch.testing.assert_close(list(orbit), [torch.stack(parts).mean(0) for parts in zip(*each, strict=True)])


def test_orbit_moves_every_chosen_sample_by_every_element() -> None:
    model, x, y = setup(D3, 4)
    recorder = Recorder(D3)
    objective(D3, draw="orbit", input=recorder.action)(model, x, y)
    assert Counter(torch.cat(recorder.drawn).tolist()) == dict.fromkeys(range(6), 4)
    recorder.drawn.clear()
    objective(D3, draw="orbit", input=recorder.action, pair_fraction=0.5)(model, x, y)
    assert Counter(torch.cat(recorder.drawn).tolist()) == dict.fromkeys(range(6), 2)


def test_orbit_of_a_part_of_the_batch_is_the_average_over_its_samples() -> None:
    model, x, y = setup(C3, 2)
    _, terms = objective(C3, draw="orbit", pair_fraction=0.5, generator=seeded())(model, x, y)
    _, halves = zip(*(objective(C3, draw="orbit")(model, x[i : i + 1], y[i : i + 1]) for i in range(2)), strict=True)
    expected = [half.equivariance["0"].item() for half in halves]
    assert min(abs(terms.equivariance["0"].item() - value) for value in expected) < 1e-12
    assert abs(expected[0] - expected[1]) > 1e-3
    assert terms.task.item() == pytest.approx(nn.functional.mse_loss(model(x), y).item())


@pytest.mark.parametrize(("draw", "first"), [("uniform", 0), ("non_identity", 1)])
def test_elements_are_drawn_uniformly(draw: str, first: int) -> None:
    model, x, y = setup(D3, 3000)
    recorder = Recorder(D3)
    objective(D3, draw=draw, input=recorder.action, generator=seeded())(model, x, y)
    counts = Counter(torch.cat(recorder.drawn).tolist())
    assert set(counts) == set(range(first, 6))
    expected = 3000 / (6 - first)
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < 25  # six degrees of freedom at most: exceeded once in three thousand seeds


def test_input_output_and_latent_are_moved_by_the_same_elements() -> None:
    model, x, _ = setup(C3, 8)
    model[2] = nn.Linear(5, 3).double()
    moved_input, moved_output, moved_latent = Recorder(C3), Recorder(C3), []

    def latent(z: Tensor, g: Tensor) -> Tensor:
        moved_latent.append(g)
        return z

    objective(
        C3,
        input=moved_input.action,
        output=moved_output.action,
        latent=eq.actions.function(C3, latent),
        generator=seeded(),
    )(model, x, torch.randn(8, 3).double())
    assert len(set(moved_input.drawn[0].tolist())) > 1
    assert moved_input.drawn[0].tolist() == moved_output.drawn[0].tolist() == moved_latent[0].tolist()


@pytest.mark.parametrize("draw", ["uniform", "non_identity"])
@pytest.mark.parametrize("pair_fraction", [1.0, 0.5])
def test_a_seed_fixes_the_draws(draw: str, pair_fraction: float) -> None:
    model, x, y = setup(D3, 16)

    def terms(seed: int) -> dict[str, float]:
        wanted = objective(D3, draw=draw, pair_fraction=pair_fraction, generator=seeded(seed))
        return wanted(model, x, y)[1].as_floats()

    assert terms(5) == terms(5)
    assert terms(5)["equivariance"] != terms(6)["equivariance"]


def test_a_generator_leaves_the_global_randomness_alone() -> None:
    model, x, y = setup(D3, 8)
    state = torch.get_rng_state()
    objective(D3, pair_fraction=0.5, generator=seeded())(model, x, y)
    assert torch.equal(state, torch.get_rng_state())
    objective(D3)(model, x, y)  # without one, the global source is used
    assert not torch.equal(state, torch.get_rng_state())


def test_successive_calls_draw_afresh() -> None:
    model, x, y = setup(D3, 8)
    wanted = objective(D3, generator=seeded())
    assert wanted(model, x, y)[1].equivariance["0"] != wanted(model, x, y)[1].equivariance["0"]


@pytest.mark.parametrize(("fraction", "batch", "pairs"), [(1.0, 6, 6), (0.5, 6, 3), (0.25, 8, 2), (0.01, 6, 1)])
@pytest.mark.parametrize("passes", ["joint", "separate"])
def test_how_many_samples_get_a_second_pass(fraction: float, batch: int, pairs: int, passes: str) -> None:
    model, x, y = setup(C3, batch)
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    objective(C3, pair_fraction=fraction, passes=passes)(model, x, y)
    assert sizes == ([batch + pairs] if passes == "joint" else [batch, pairs])


@pytest.mark.parametrize("passes", ["joint", "separate"])
def test_a_part_of_the_batch_is_an_unbiased_estimate(passes: str) -> None:
    batch, pairs = 4, 2
    model, x, y = setup(C3, batch)
    g = torch.tensor([1, 2, 1, 0])
    _, full = objective(C3, passes=passes)(model, x, y, g=g)
    subsets = [list(rows) for rows in itertools.combinations(range(batch), pairs)]
    of_subset = [objective(C3, passes=passes)(model, x[rows], y[rows], g=g[rows])[1].as_floats() for rows in subsets]
    for name in ("transformed_task", "equivariance"):
        values = [terms[name] for terms in of_subset]
        assert sum(values) / len(subsets) == pytest.approx(full.as_floats()[name])
        assert max(values) - min(values) > 1e-2

    # Each call gives one of these values, and each of them comes up as often as the others.
    wanted = objective(C3, passes=passes, pair_fraction=pairs / batch, generator=seeded(1))
    found: Counter[int] = Counter()
    for _ in range(300):
        terms = wanted(model, x, y, g=g)[1].as_floats()
        distances = [abs(terms["equivariance"] - known["equivariance"]) for known in of_subset]
        nearest = distances.index(min(distances))
        assert terms["equivariance"] == pytest.approx(of_subset[nearest]["equivariance"])
        assert terms["transformed_task"] == pytest.approx(of_subset[nearest]["transformed_task"])
        assert terms["task"] == pytest.approx(full.task.item())
        found[nearest] += 1
    assert len(found) == 6
    assert sum((count - 50) ** 2 / 50 for count in found.values()) < 25
