"""The objective of section 4 against its formula, written out sample by sample."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.errors import ActionError, GroupError, LatentError, NonFiniteError, RepresentationError
from equilatent.objective import Algebra, Objective, algebra_loss
from equilatent.reps import LearnedRepresentation

D3 = eq.groups.dihedral(3)
#: D3 permutes three numbers: r takes i to i + 1, s exchanges 1 and 2; the elements are e, r, r2, s, r s, r2 s.
MOVES = [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 2, 1], [1, 0, 2], [2, 1, 0]]
G = torch.tensor([0, 3, 4, 4, 5, 2])
mse = nn.functional.mse_loss


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def learned(dim: int = 4, dtype: torch.dtype = torch.float64) -> LearnedRepresentation:
    return LearnedRepresentation(D3, dim, noise=0.1, generator=seeded(), dtype=dtype)


def objective(**changes: Any) -> Objective:
    points = eq.reps.permutation(D3)
    arguments: dict[str, Any] = {"rho": learned(), "input": points, "output": points, "task_loss": mse}
    return Objective.learned(**{**arguments, **changes})


def rho_of(wanted: Objective) -> LearnedRepresentation:
    (term,) = (term for term in wanted.terms if isinstance(term, Algebra))
    return term.rho


class Net(nn.Module):
    """Three numbers, a latent of four, and `outputs` numbers; a part in between on which the group does not act."""

    def __init__(self, outputs: int = 3, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)).to(dtype)
        self.head = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, outputs)).to(dtype)

    @property
    def pair(self) -> tuple[nn.Module, nn.Module]:
        return self.encoder, self.head

    def forward(self, x: Tensor) -> Any:
        return self.head(self.encoder(x))


def moved_by_hand(x: Tensor, g: Tensor) -> Tensor:
    """Entry i of x goes to where g takes i."""
    result = torch.empty_like(x)
    for n, element in enumerate(g.tolist()):
        for i, j in enumerate(MOVES[element]):
            result[n, j] = x[n, i]
    return result


def matrices_by_hand(rho: LearnedRepresentation) -> list[Tensor]:
    """Of e, r, r2 and s; the other two elements have several shortest words."""
    r, s = rho.parameters()
    return [torch.eye(rho.dim, dtype=r.dtype), r, r.inverse(), s]


def terms_by_hand(
    wanted: Objective, net: Net, x: Tensor, y: Tensor, g: Tensor, moved_y: Tensor, task: Callable[..., Tensor]
) -> dict[str, Tensor]:
    table = [rho_of(wanted).matrix(element).to(x.dtype) for element in range(6)]
    latent, moved_latent = net.encoder(x), net.encoder(moved_by_hand(x, g))
    predicted = torch.stack([table[element] @ z for element, z in zip(g.tolist(), latent, strict=True)])
    squares = (predicted - moved_latent).square().sum() / predicted.numel()
    centred = moved_latent - moved_latent.sum(0) / len(x)
    r, s = rho_of(wanted).parameters()
    words = (r @ r @ r, s @ s, s @ r @ s @ r)
    one = torch.eye(4, dtype=r.dtype)
    return {
        "task": task(net.head(latent), y),
        "decoded_task": task(net.head(predicted), moved_y),
        "equivariance": squares,
        "algebra": torch.stack([(word - one).square().sum() / 16 for word in words]).sum(),
        "relative_error": squares / (moved_latent.square().sum() / moved_latent.numel()),
        "centred_error": squares / (centred.square().sum() / centred.numel()),
    }


def test_the_permutation_by_hand_is_the_library_s() -> None:
    x = random(6, 3)
    assert torch.equal(moved_by_hand(x, D3.elements), eq.reps.permutation(D3)(x, D3.elements))
    rho = learned()
    torch.testing.assert_close(rho.matrix(torch.arange(4)), torch.stack(matrices_by_hand(rho)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layer", [None, "encoder"])
@pytest.mark.parametrize("task", ["autoencoder", "classifier"])
def test_every_term_and_gradient_is_that_of_the_formula(task: str, layer: str | None, dtype: torch.dtype) -> None:
    x = random(6, 3, seed=1, dtype=dtype)
    weights = {"output_weight": 0.3, "latent_weight": 0.7, "algebra_weight": 0.9}
    if task == "autoencoder":
        net, y, moved_y, loss_of, output = Net(3, dtype), x, moved_by_hand(x, G), mse, eq.reps.permutation(D3)
    else:
        y = moved_y = torch.tensor([0, 1, 1, 0, 1, 0])
        net, loss_of, output = Net(2, dtype), nn.functional.cross_entropy, eq.actions.trivial(D3)
    wanted = objective(rho=learned(dtype=dtype), output=output, task_loss=loss_of, layer=layer, **weights)
    loss, terms = wanted(net if layer else net.pair, x, y, g=G)
    by_hand = terms_by_hand(wanted, net, x, y, G, moved_y, loss_of)
    expected = (
        by_hand["task"] + 0.3 * by_hand["decoded_task"] + 0.7 * by_hand["equivariance"] + 0.9 * by_hand["algebra"]
    )
    torch.testing.assert_close(loss, expected)
    floats = {"loss": expected.item(), **{name: value.item() for name, value in by_hand.items()}}
    assert terms.as_floats() == pytest.approx(floats, rel=1e-9 if dtype == torch.float64 else 1e-4)
    parameters = [*net.parameters(), *wanted.parameters()]
    assert len(parameters) == 8 + 2
    for found, right in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(found, right)


def test_the_default_weights() -> None:
    net, x = Net(), random(6, 3)
    loss, terms = objective()(net.pair, x, x, g=G)
    parts = terms.as_floats()
    assert parts.pop("loss") == pytest.approx(loss.item())
    total = parts["task"] + 0.25 * parts["decoded_task"] + 0.25 * parts["equivariance"] + parts["algebra"]
    assert loss.item() == pytest.approx(total)
    assert not any(value.requires_grad for value in terms.as_tensors().values())


def test_another_algebra() -> None:
    net, x = Net(), random(6, 3)
    regularised = functools.partial(algebra_loss, weights=0.5, mixed_damping=0.1, inverse_weight=1.0)
    wanted = objective(algebra=regularised, algebra_weight=2.0)
    loss, terms = wanted(net.pair, x, x, g=G)
    plain, _ = objective(rho=rho_of(wanted), algebra_weight=0.0)(net.pair, x, x, g=G)
    assert terms.algebra.item() == pytest.approx(regularised(rho_of(wanted)).item())
    assert (loss - plain).item() == pytest.approx(2 * terms.algebra.item())


@pytest.mark.parametrize("axis", [2, -1])
def test_features_on_another_axis(axis: int) -> None:
    # Two tokens, the latent and its double: the squares of the second are four times those of the first.
    net, x = Net(), random(6, 3)
    one = objective()(net.pair, x, x, g=G)[1]
    pair = (lambda x: torch.stack([net.encoder(x), 2 * net.encoder(x)], dim=1), lambda z: net.head(z[:, 0]))
    two = objective(latent_axis=axis)(pair, x, x, g=G)[1]
    assert two.equivariance["latent"].item() == pytest.approx(2.5 * one.equivariance["latent"].item())
    for name in ("task", "decoded_task", "relative_error"):
        assert two.as_floats()[name] == pytest.approx(one.as_floats()[name])


def test_an_exact_solution_costs_nothing() -> None:
    points = eq.reps.permutation(D3)
    wanted = objective(rho=LearnedRepresentation(D3, 3, start=points, dtype=torch.float64))
    x = random(6, 3)
    _, terms = wanted((lambda x: x, lambda z: z), x, x)
    assert all(abs(value) < 1e-20 for value in terms.as_floats().values())


def test_elements_are_drawn_from_the_generator() -> None:
    net, x = Net(), random(6, 3)
    values = [objective(generator=seeded(seed))(net.pair, x, x)[0].item() for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    drawn = D3.sample(6, generator=seeded(1))
    assert objective()(net.pair, x, x, g=drawn)[0].item() == values[0]
    one = objective(generator=seeded(1))
    assert one(net.pair, x, x)[0].item() != one(net.pair, x, x)[0].item()


def test_a_single_pair_has_no_variance() -> None:
    net, x = Net(), random(1, 3)
    loss, terms = objective()(net.pair, x, x, g=G[1:2])
    assert torch.isfinite(loss) and torch.isnan(terms.centred_error["latent"])


# Named layers


class ReturnsMore(Net):
    """The output is a pair, and so is that of the layer `both`."""

    def __init__(self, kind: type) -> None:
        super().__init__()
        self.both = Both(self.encoder, kind)

    def forward(self, x: Tensor) -> Any:
        latent, extra = self.both(x)
        return self.head(latent), extra


class Both(nn.Module):
    def __init__(self, encoder: nn.Module, kind: type) -> None:
        super().__init__()
        self.inner, self.kind = encoder, kind

    def forward(self, x: Tensor) -> Any:
        return self.kind([self.inner(x), torch.zeros(len(x))])


@pytest.mark.parametrize("kind", [tuple, list])
def test_layers_and_models_that_return_more_than_a_tensor(kind: type) -> None:
    x = random(6, 3)
    expected = objective()(Net().pair, x, x, g=G)[1].as_floats()
    wanted = objective(layer="both", task_loss=lambda output, y: mse(output[0], y))
    assert wanted(ReturnsMore(kind), x, x, g=G)[1].as_floats() == pytest.approx(expected)


def test_a_compiled_model() -> None:
    # A graph compiled before does not look at the hook by which the latent is replaced.
    net, x = Net(), random(6, 3)
    compiled: Any = torch.compile(net, backend="eager")
    compiled(x)
    wanted = objective(layer="encoder")
    expected = wanted(net, x, x, g=G)[1].as_floats()
    assert wanted(compiled, x, x, g=G)[1].as_floats() == pytest.approx(expected)


class Fails(Net):
    def forward(self, x: Tensor) -> Any:
        self.encoder(x)
        raise RuntimeError("inside the model")


def test_nothing_is_left_behind() -> None:
    x = random(6, 3)
    for net in (Net(), Fails()):
        before = copy.deepcopy(net.state_dict())
        if isinstance(net, Fails):
            with pytest.raises(RuntimeError, match="inside the model"):
                objective(layer="encoder")(net, x, x)
        else:
            objective(layer="encoder")(net, x, x)
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
        assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


# Training


def test_its_parameters_are_those_of_the_representation() -> None:
    wanted = objective()
    assert list(map(id, wanted.parameters())) == list(map(id, rho_of(wanted).parameters()))
    assert len(wanted.state_dict()) == len(list(wanted.parameters())) == 2
    assert "group=D3" in repr(wanted) and "Algebra(1)" in repr(wanted)


def test_autocast() -> None:
    net, x = Net(dtype=torch.float32), random(6, 3, dtype=torch.float32)
    wanted = objective(rho=learned(dtype=torch.float32))
    expected = wanted(net.pair, x, x, g=G)[1].as_floats()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, terms = wanted(net.pair, x, x, g=G)
    assert terms.as_floats() == pytest.approx(expected, rel=0.05)
    assert terms.algebra.item() == expected["algebra"]
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in wanted.parameters())


def test_a_group_of_one_element() -> None:
    C1 = eq.groups.cyclic(1)
    net, x = Net(), random(6, 3)
    same = eq.actions.trivial(C1)
    wanted = Objective.learned(LearnedRepresentation(C1, 4), input=same, output=same, task_loss=mse)
    loss, terms = wanted(net.pair, x, x)
    assert terms.equivariance["latent"].item() == terms.algebra.item() == 0
    assert loss.item() == pytest.approx(1.25 * terms.task.item())
    loss.backward()


# Refusals


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"rho": eq.reps.regular(D3)},
            RepresentationError,
            r"LearnedRepresentation to train; got Permutation.*Objective",
        ),
        ({"input": eq.actions.trivial(eq.groups.cyclic(3))}, ActionError, "input is one of C3, but .* imposes D3"),
        ({"output": eq.actions.trivial(eq.groups.cyclic(3))}, ActionError, "output is one of C3"),
        ({"output": "trivial"}, ActionError, "output should be an action or a representation.*got 'trivial'"),
        ({"output_weight": -1.0}, LatentError, r"output_weight is a finite number ≥ 0; got -1\.0"),
        ({"latent_weight": float("nan")}, LatentError, "latent_weight is a finite number"),
        ({"algebra_weight": float("inf")}, LatentError, "algebra_weight"),
    ],
)
def test_arguments_that_do_not_fit(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        objective(**changes)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": torch.zeros(0, 3), "y": torch.zeros(0, 3)}, ActionError, "0 samples and 0 targets"),
        ({"y": torch.zeros(5, 3)}, ActionError, "6 samples and 5 targets"),
        ({"g": torch.tensor([0, 1, 2, 3, 4, 6])}, GroupError, "elements of D3 are the integers 0 … 5"),
        ({"model": (lambda x: x, lambda z: z)}, LatentError, r"shape \[6, 3\] cannot carry .* 4 features"),
        ({"model": (lambda x: x[:, 0], lambda z: z)}, LatentError, r"the latent 'latent' should be \[6, features"),
        ({"model": Net()}, LatentError, r"is an \(encoder, decoder\) pair; Net returned Tensor. Name the layer"),
        ({"layer": "encoder", "model": Net().pair}, LatentError, r"for an \(encoder, decoder\) pair leave it out"),
        ({"layer": "middle", "model": Net()}, LatentError, "Net has no layer 'middle'"),
        ({"layer": "head", "model": Net()}, LatentError, r"shape \[6, 3\] cannot carry"),
        (
            {"task_loss": lambda output, y: output - y},
            ActionError,
            r"a scalar tensor.*one loss for each sample.*got shape \[6, 3\]",
        ),
    ],
)
def test_calls_that_do_not_fit(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    call: dict[str, Any] = {"model": Net().pair, "x": random(6, 3), "y": random(6, 3), "g": G}
    wanted = objective(**{name: value for name, value in changes.items() if name not in call})
    call.update({name: value for name, value in changes.items() if name in call})
    with pytest.raises(error, match=message):
        wanted(**call)


def test_nan_is_named() -> None:
    net, x, y = Net(), random(6, 3), random(6, 3)
    y[2, 1] = torch.nan
    with pytest.raises(NonFiniteError, match=r"the loss is nan: task is nan, decoded_task is nan\."):
        objective()(net.pair, x, y, g=G)
    assert torch.isnan(objective(check_finite=False)(net.pair, x, y, g=G)[0])
    wanted = objective(algebra=lambda rho: algebra_loss(rho) * torch.nan)
    with pytest.raises(NonFiniteError, match=r"the loss is nan: algebra is nan\."):
        wanted(net.pair, x, x, g=G)


def test_a_matrix_that_has_become_singular_is_named() -> None:
    wanted = objective()
    with torch.no_grad():
        rho_of(wanted).generator_matrices()["r"].zero_()
    x = random(6, 3)
    with pytest.raises(NonFiniteError, match="the matrix of 'r' has become singular"):
        wanted(Net().pair, x, x, g=G)
