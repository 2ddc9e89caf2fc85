"""A model averaged over the group against the average written out, and its exact equivariance."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import SupportsAction
from equilatent.errors import ActionError, EquilatentError, GroupError, GroupTooLargeError
from equilatent.metrics import Symmetrised, equivariance_error, invariance_error

D4, S3 = eq.groups.dihedral(4), eq.groups.symmetric(3)
IMAGE, STILL = eq.actions.image(D4), eq.actions.trivial(D4)
POINTS = eq.reps.permutation(S3)


def samples(count: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def make(name: str) -> tuple[nn.Module, SupportsAction, SupportsAction, Tensor]:
    """A model that is not equivariant, the two actions, and samples."""
    torch.manual_seed(0)
    convolution = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 2, 3, padding=1)).double()
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(50, 8), nn.Tanh(), nn.Linear(8, 8)).double()
    mixing = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    return {
        "images to images": (convolution, IMAGE, IMAGE, samples(4, 2, 5, 5)),
        "images to fields": (convolution, IMAGE, eq.actions.vector_field(D4), samples(4, 2, 5, 5)),
        "images to scores": (classifier, IMAGE, STILL, samples(4, 2, 5, 5)),
        "images to regular": (classifier, IMAGE, eq.reps.regular(D4), samples(4, 2, 5, 5)),
        "sets to sets": (mixing, POINTS, POINTS, samples(4, 3)),
    }[name]


CASES = ["images to images", "images to fields", "images to scores", "images to regular", "sets to sets"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("batch_size", [1, 12, 1000])
def test_it_is_exactly_equivariant_though_the_model_is_not(name: str, batch_size: int) -> None:
    model, input, output, x = make(name)
    symmetrised = Symmetrised(model, input, output, batch_size=batch_size)
    before, after = equivariance_error(model, input, output, x), equivariance_error(symmetrised, input, output, x)
    assert before.mean_relative > 1e-2
    assert symmetrised(x).abs().max() > 1e-3
    assert float(after.absolute.max()) < 1e-20  # entries differ by less than 1e-10
    twice = Symmetrised(symmetrised, input, output, batch_size=batch_size)
    torch.testing.assert_close(twice(x), symmetrised(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_it_agrees_with_the_sum_written_out(name: str) -> None:
    model, input, output, x = make(name)
    group = input.group
    total = torch.zeros_like(model(x))
    for g in range(group.order):
        moved = input(x, torch.full((len(x),), g))
        total = total + output(model(moved), torch.full((len(x),), group.inverse(g)))
    torch.testing.assert_close(Symmetrised(model, input, output, batch_size=9)(x), total / group.order)


def test_moves_by_torch_rot90() -> None:
    model, _, _, x = make("images to images")
    total: Any = 0
    for g in range(8):  # r^k s^j mirrors first; undone in the opposite order
        moved = (x.flip(-1) if g >= 4 else x).rot90(g % 4, (-2, -1))
        back = model(moved).rot90(-(g % 4), (-2, -1))
        total = total + (back.flip(-1) if g >= 4 else back)
    torch.testing.assert_close(Symmetrised(model, IMAGE, IMAGE)(x), total / 8)


def test_gradients_are_those_of_the_sum_written_out() -> None:
    model, input, output, x = make("sets to sets")
    x.requires_grad_()
    symmetrised = Symmetrised(model, input, output, batch_size=8)
    parameters = [x, *symmetrised.parameters()]
    assert len(parameters) == 5
    found = torch.autograd.grad(symmetrised(x).square().sum(), parameters)
    total: Any = 0
    for g in range(6):
        moved = input(x, torch.full((4,), g))
        total = total + output(model(moved), torch.full((4,), S3.inverse(g)))
    expected = torch.autograd.grad((total / 6).square().sum(), parameters)
    for first, second in zip(found, expected, strict=True):
        torch.testing.assert_close(first, second)


def test_it_can_be_trained_and_stays_equivariant() -> None:
    model, input, output, x = make("images to scores")
    symmetrised = Symmetrised(model, input, output)
    optimiser = torch.optim.SGD(symmetrised.parameters(), lr=0.1)
    losses = []
    for _ in range(5):
        loss = nn.functional.cross_entropy(symmetrised(x), torch.arange(4))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses == sorted(losses, reverse=True)
    assert float(invariance_error(symmetrised, input, x).absolute.max()) < 1e-20


def test_no_more_moved_samples_at_once_than_the_batch_size() -> None:
    model, input, output, x = make("images to scores")
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    Symmetrised(model, input, output, batch_size=12)(x)
    assert sizes == [12, 12, 8]
    sizes.clear()
    Symmetrised(model, input, output, batch_size=1)(x)
    assert sizes == [4] * 8


def test_a_subgroup_gives_equivariance_to_that_subgroup() -> None:
    model, input, output, x = make("images to images")
    turns = torch.arange(4)
    error = equivariance_error(Symmetrised(model, input, output, elements=turns), input, output, x)
    assert float(error.absolute[:4].max()) < 1e-20
    assert float(error.relative[4:].min()) > 1e-3


def test_drawn_elements_are_reproducible_and_their_mean_is_the_average() -> None:
    model, input, output, x = make("sets to sets")

    def drawn(count: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return Symmetrised(model, input, output, draws=count, generator=generator, batch_size=100)(x)

    with torch.no_grad():
        assert torch.equal(drawn(5, 0), drawn(5, 0))
        assert not torch.equal(drawn(5, 0), drawn(5, 1))
        average = Symmetrised(model, input, output)(x)
        # The deviation falls as 1/√draws; the spread of one draw is below 1 here.
        assert (drawn(40_000, 0) - average).abs().max() < 5 / 40_000**0.5
        # Each sample draws its own elements: the same sample has an answer for each element.
        doubled = Symmetrised(model, input, output, draws=1, generator=torch.Generator().manual_seed(0))
        assert len(doubled(x[:1].expand(50, 3)).round(decimals=6).unique(dim=0)) == 6


def test_a_large_group_is_averaged_over_drawn_elements() -> None:
    large = eq.groups.direct_product(*[D4] * 5)
    act = eq.actions.parts(large, [IMAGE] * 5)
    x = samples(2, 1, 2, 10)
    with pytest.raises(GroupTooLargeError, match="32768 elements"):
        Symmetrised(nn.Tanh(), act, act)
    result = Symmetrised(nn.Tanh(), act, act, draws=7, generator=torch.Generator().manual_seed(0))(x)
    torch.testing.assert_close(result, x.tanh())


def test_half_precision_is_added_up_in_float32() -> None:
    group = eq.groups.cyclic(3000)
    act = eq.actions.function(group, lambda x, g: x)
    x = torch.full((1, 2), 1.0, dtype=torch.bfloat16)
    result = Symmetrised(lambda x: x * 3, act, act, batch_size=64)(x)
    assert result.dtype == torch.bfloat16
    assert result.tolist() == [[3.0, 3.0]]  # a sum in bfloat16 would stop growing at 3 · 256


def test_it_is_a_module_like_any_other() -> None:
    model, input, output, x = make("images to scores")
    symmetrised = Symmetrised(model, input, output)
    assert set(symmetrised.state_dict()) == {f"model.{name}" for name in model.state_dict()}
    assert not symmetrised.eval().model.training
    assert "over 8 elements of D4" in repr(symmetrised)
    assert "over 3 drawn elements of D4" in repr(Symmetrised(model, input, output, draws=3))
    assert symmetrised.float()(x.float()).dtype == torch.float32


def test_refusals() -> None:
    x = samples(2, 1, 4, 4)
    with pytest.raises(ActionError, match="moved by D4, but the output by S3"):
        Symmetrised(nn.Tanh(), IMAGE, POINTS)
    with pytest.raises(ActionError, match="at least one sample"):
        Symmetrised(nn.Tanh(), IMAGE, IMAGE)(x[:0])
    with pytest.raises(ActionError, match="got tuple"):
        Symmetrised(lambda x: (x, x), IMAGE, IMAGE)(x)
    with pytest.raises(ActionError, match=r"got shape \[1, 1, 4, 4\]"):
        Symmetrised(lambda x: x[:1], IMAGE, IMAGE)(x)
    with pytest.raises(ActionError, match="floating outputs have an average"):
        Symmetrised(lambda x: x.flatten(1).argmax(1), IMAGE, STILL)(x)
    with pytest.raises(GroupError, match="elements of D4"):
        Symmetrised(nn.Tanh(), IMAGE, IMAGE, elements=torch.tensor([8]))
    with pytest.raises(EquilatentError, match="elements is empty"):
        Symmetrised(nn.Tanh(), IMAGE, IMAGE, elements=torch.zeros(0, dtype=torch.long))
    with pytest.raises(EquilatentError, match="leave out elements or draws"):
        Symmetrised(nn.Tanh(), IMAGE, IMAGE, elements=torch.tensor([0]), draws=2)
    for draws in (0, -1, 2.5):
        with pytest.raises(EquilatentError, match="draws is a whole number ≥ 1"):
            Symmetrised(nn.Tanh(), IMAGE, IMAGE, draws=draws)  # type: ignore[arg-type]
    with pytest.raises(EquilatentError, match="say how many with draws="):
        Symmetrised(nn.Tanh(), IMAGE, IMAGE, generator=torch.Generator())
    with pytest.raises(EquilatentError, match="batch_size is a whole number"):
        Symmetrised(nn.Tanh(), IMAGE, IMAGE, batch_size=0)
