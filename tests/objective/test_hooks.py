"""Reading a layer: wherever it is, and without leaving anything behind."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq

C2 = eq.groups.cyclic(2)
G = torch.tensor([1, 0, 1, 1])


def objective(layer: Any = "encoder.0", **changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {
        "input": eq.reps.regular(C2),
        "output": eq.actions.trivial(C2),
        "task_loss": nn.functional.mse_loss,
        "passes": "joint",
        "layer": layer,
    }
    return eq.Objective(C2, **{**arguments, **changes})


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5))
        self.blocks = nn.ModuleList([nn.ModuleDict({"inner": nn.Linear(5, 4)}), nn.Linear(4, 3)])
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(3, 1))

    def forward(self, x: Tensor) -> Tensor:
        first: Any = self.blocks[0]
        return self.head(self.blocks[1](first["inner"](self.encoder(x))))


class Fails(Net):
    """Raises behind the latent."""

    def forward(self, x: Tensor) -> Tensor:
        self.encoder(x)
        raise RuntimeError("inside the model")


class Wrapper(nn.Module):
    """Keeps its model in the attribute `module`, as DistributedDataParallel does."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Any:
        return self.module(x)


class Compiled(nn.Module):
    """Keeps its model in the attribute `_orig_mod`, as torch.compile does."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._orig_mod = module

    def forward(self, x: Tensor) -> Any:
        return self._orig_mod(x)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 2, generator=generator), torch.randn(4, 1, generator=generator)


def hooks(model: nn.Module) -> int:
    kept = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(part, name)) for part in model.modules() for name in kept)


def latent_error(model: Any, layer: str) -> float:
    _, terms = objective(layer)(model, *batch(), g=G)
    return terms.equivariance[layer].item()


@pytest.mark.parametrize("passes", ["joint", "separate"])
def test_no_hook_is_left_after_success(passes: str) -> None:
    model = Net()
    objective(["encoder.0", "blocks.1"], passes=passes)(model, *batch())
    objective().describe(model, batch()[0])
    assert hooks(model) == 0


def test_hooks_of_the_user_stay() -> None:
    model = Net()
    seen: list[int] = []
    model.encoder[0].register_forward_hook(lambda _, inputs, output: seen.append(len(output)))
    objective()(model, *batch())
    assert hooks(model) == 1
    model(batch()[0])
    assert seen == [8, 4]


@pytest.mark.parametrize("passes", ["joint", "separate"])
def test_no_hook_is_left_after_an_error_inside_the_model(passes: str) -> None:
    model = Fails()
    with pytest.raises(RuntimeError, match="inside the model"):
        objective(passes=passes)(model, *batch())
    assert hooks(model) == 0


def test_no_hook_is_left_after_an_error_in_the_task_loss() -> None:
    def fails(output: Tensor, target: Tensor) -> Tensor:
        raise RuntimeError("inside the task loss")

    model = Net()
    with pytest.raises(RuntimeError, match="inside the task loss"):
        objective(task_loss=fails)(model, *batch())
    assert hooks(model) == 0


def test_no_hook_is_left_when_one_of_the_layers_does_not_exist() -> None:
    model = Net()
    with pytest.raises(eq.errors.LatentError):
        objective(["encoder.0", "encoder.7"])(model, *batch())
    assert hooks(model) == 0


@pytest.mark.parametrize("layer", ["encoder", "encoder.0", "blocks.0.inner", "blocks.1"])
def test_layers_in_nested_modules(layer: str) -> None:
    model = Net().eval()
    x, _ = batch()
    moved = torch.where(G[:, None] == 1, x.flip(1), x)
    kept: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda _, inputs, output: kept.append(output.detach()))
    model(x), model(moved)
    handle.remove()
    plain, target = kept
    even = plain.shape[1] // 2 * 2  # the odd feature is the padding
    swapped = torch.cat([plain[:, :even].unflatten(1, (-1, 2)).flip(2).flatten(1), plain[:, even:]], 1)
    expected = nn.functional.mse_loss(torch.where(G[:, None] == 1, swapped, plain), target)
    assert latent_error(model, layer) == pytest.approx(expected.item(), rel=1e-5)


def test_of_a_layer_that_returns_a_tuple_the_first_entry_is_the_latent() -> None:
    class Two(nn.Linear):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
            return super().forward(x), torch.full((len(x), 3), torch.nan)

    class First(nn.Module):
        def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
            return pair[0]

    torch.manual_seed(0)
    model = nn.Sequential(Two(2, 4), First(), nn.Linear(4, 1))
    assert latent_error(model, "0") == pytest.approx(latent_error(model, "1"))


@pytest.mark.parametrize(
    "wrap",
    [Wrapper, Compiled, lambda model: Wrapper(Compiled(model)), lambda model: Compiled(Wrapper(model))],
    ids=["module", "_orig_mod", "module._orig_mod", "_orig_mod.module"],
)
def test_layers_of_a_wrapped_model_keep_their_names(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = Net().eval()
    expected = latent_error(model, "blocks.1")
    assert latent_error(wrap(model), "blocks.1") == expected


@pytest.fixture
def _forget_compiled() -> Iterator[None]:
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.usefixtures("_forget_compiled")
def test_a_compiled_model_that_also_runs_without_the_objective(in_place: bool) -> None:
    model = Net().eval()
    expected = latent_error(model, "encoder.0")
    compiled: Any = model if in_place else torch.compile(model, backend="eager")
    if in_place:
        model.compile(backend="eager")
    x, _ = batch()
    for _ in range(2):  # validation and training in turn
        compiled(torch.cat([x, x]))
        assert latent_error(compiled, "encoder.0") == pytest.approx(expected, rel=1e-5)


def test_the_model_is_unchanged() -> None:
    model = Net().eval()
    before, attributes = copy.deepcopy(model.state_dict()), set(vars(model))
    objective()(model, *batch())
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert set(vars(model)) == attributes
    assert not list(objective().parameters())


def test_an_objective_has_nothing_to_save() -> None:
    wanted = objective(latent=eq.reps.padded_regular(C2, 5))
    wanted(Net(), *batch())
    assert dict(wanted.state_dict()) == {}


@pytest.mark.parametrize("training", [True, False])
def test_describe_leaves_modes_and_statistics(training: bool) -> None:
    model = Net().train(training)
    model.encoder[1].train(not training)  # each part has its own mode
    modes = [part.training for part in model.modules()]
    before = copy.deepcopy(model.state_dict())
    objective().describe(model, batch()[0])
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_describe_restores_the_modes_after_an_error() -> None:
    model = Fails().train()
    with pytest.raises(RuntimeError, match="inside the model"):
        objective().describe(model, batch()[0])
    assert all(part.training for part in model.modules())
    assert hooks(model) == 0


def test_describe_runs_in_evaluation_mode_without_gradients() -> None:
    seen: list[tuple[bool, bool]] = []
    model = Net().train()
    model.head[0].register_forward_hook(lambda part, _, output: seen.append((part.training, output.requires_grad)))
    objective().describe(model, batch()[0])
    assert seen == [(False, False)]
    assert torch.is_grad_enabled()
