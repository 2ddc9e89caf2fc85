"""The objective inside a compiled function: one full graph, with the values and gradients of eager execution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq

D4 = eq.groups.dihedral(4)
IMAGE = eq.actions.image(D4)


@pytest.fixture(autouse=True)
def _forget_compiled() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class Net(nn.Module):
    def __init__(self, *, returns_latent: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(36, 19), nn.Tanh())
        self.head = nn.Linear(19, 3)
        self.returns_latent = returns_latent

    def forward(self, x: Tensor) -> Any:
        latent = self.encoder(x)
        return (self.head(latent), latent) if self.returns_latent else self.head(latent)


class Breaks(Net):
    """Leaves the compiled graph in the middle, and raises there when told to."""

    fails = False

    def forward(self, x: Tensor) -> Tensor:
        latent = self.encoder(x)
        torch._dynamo.graph_break()
        if self.fails:
            raise RuntimeError("inside the model")
        return self.head(latent)


def objective(**changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {
        "input": IMAGE,
        "output": eq.actions.trivial(D4),
        "task_loss": nn.functional.cross_entropy,
    }
    return eq.Objective(D4, **{**arguments, **changes})


def batch(size: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(size, 1, 6, 6, generator=generator),
        torch.randint(3, (size,), generator=generator),
        D4.sample(size, generator=generator),
    )


def assert_same(compiled: Any, wanted: eq.Objective, model: Any, parameters: list[Tensor], size: int = 8) -> None:
    """Value, terms and gradients are those of eager execution, for two batches."""
    for seed in range(2):
        x, y, g = batch(size, seed)
        loss, terms = compiled(x, y, g)
        expected, expected_terms = wanted(model, x, y, g=g)
        torch.testing.assert_close(loss, expected)
        assert terms.as_floats() == pytest.approx(expected_terms.as_floats(), rel=1e-5)
        torch.testing.assert_close(torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters))


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "returns (output, latent)": ({"returns_latent": True}, {}),
    "returns (output, latent), joint": ({"returns_latent": True}, {"passes": "joint"}),
    "named layer": ({}, {"layer": "encoder.1"}),
    "two named layers, joint": ({}, {"layer": {"encoder.1": 0.5, "encoder": 2.0}, "passes": "joint"}),
    "centred": ({}, {"layer": "encoder", "distance": "centred"}),
    "given latent": ({}, {"layer": "encoder", "latent": eq.actions.trivial(D4), "distance": "relative"}),
}


@pytest.mark.parametrize(
    ("case", "model_is_compiled"),
    [*((case, False) for case in CASES), ("returns (output, latent)", True), ("named layer", True)],
)
def test_the_loss_is_one_full_graph(case: str, model_is_compiled: bool) -> None:
    of_model, of_objective = CASES[case]
    model, wanted = Net(**of_model), objective(**of_objective)
    inner: Any = torch.compile(model, backend="eager", fullgraph=True) if model_is_compiled else model
    step = torch.compile(lambda x, y, g: wanted(inner, x, y, g=g), backend="eager", fullgraph=True)
    assert_same(step, objective(**of_objective), model, list(model.parameters()))


def test_an_encoder_decoder_pair() -> None:
    model, wanted = Net(), objective()
    pair = (model.encoder, model.head)
    step = torch.compile(lambda x, y, g: wanted(pair, x, y, g=g), backend="eager", fullgraph=True)
    assert_same(step, objective(), pair, list(model.parameters()))


def test_a_compiled_model_in_an_objective_that_is_not_compiled() -> None:
    model, wanted = Net(returns_latent=True), objective()
    compiled: Any = torch.compile(model, backend="eager", fullgraph=True)
    assert_same(lambda x, y, g: wanted(compiled, x, y, g=g), wanted, model, list(model.parameters()))


def test_a_model_compiled_in_place() -> None:
    model, plain, wanted = Net(), Net(), objective(layer="encoder.1")
    model.compile(backend="eager", fullgraph=True)
    step = torch.compile(lambda x, y, g: wanted(model, x, y, g=g), backend="eager", fullgraph=True)
    x, y, g = batch()
    assert step(x, y, g)[1].as_floats() == pytest.approx(wanted(plain, x, y, g=g)[1].as_floats())


def test_gradients_that_are_traced_ahead_of_time() -> None:
    model, wanted = Net(), objective(layer="encoder.1")
    step = torch.compile(lambda x, y, g: wanted(model, x, y, g=g), backend="aot_eager", fullgraph=True)
    assert_same(step, objective(layer="encoder.1"), model, list(model.parameters()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of PyTorch's own, in its compiler
@pytest.mark.parametrize("layer", [None, "encoder.1"])
def test_with_the_default_backend(layer: str | None) -> None:
    model, wanted = Net(returns_latent=layer is None), objective(layer=layer)
    step = torch.compile(lambda x, y, g: wanted(model, x, y, g=g), fullgraph=True)
    assert_same(step, objective(layer=layer), model, list(model.parameters()))


def test_another_batch_size_is_the_same_graph_or_a_new_one() -> None:
    model, wanted = Net(), objective(layer="encoder.1")
    step = torch.compile(lambda x, y, g: wanted(model, x, y, g=g), backend="eager", fullgraph=True)
    for size in (8, 5):
        assert_same(step, wanted, model, list(model.parameters()), size)


def test_hooks_are_what_they_were() -> None:
    model, wanted = Net(), objective(layer="encoder.1")
    layer = model.encoder[1]
    handle = layer.register_forward_hook(lambda _m, _i, output: 2 * output)
    before = {name: part._forward_hooks for name, part in model.named_modules()}
    step = torch.compile(lambda x, y, g: wanted(model, x, y, g=g), backend="eager", fullgraph=True)
    assert_same(step, wanted, model, list(model.parameters()))
    assert all(part._forward_hooks is before[name] for name, part in model.named_modules())
    assert len(layer._forward_hooks) == 1
    handle.remove()
    assert not layer._forward_hooks
    assert_same(step, wanted, model, list(model.parameters()))


def test_the_graph_is_made_once() -> None:
    graphs: list[Any] = []

    def counting(graph: Any, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    model, wanted = Net(), objective(layer="encoder.1")
    step = torch.compile(lambda x, y, g: wanted(model, x, y, g=g), backend=counting, fullgraph=True)
    for seed in range(4):
        step(*batch(seed=seed))
    assert len(graphs) == 1


# Between its two graphs, PyTorch looks at the gradient of the latent, and warns of that itself.
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("fails", [False, True])
def test_a_model_that_breaks_the_graph(fails: bool) -> None:
    model, wanted = Breaks(), objective(layer="encoder.1")
    step = torch.compile(lambda x, y, g: wanted(model, x, y, g=g), backend="eager")
    if fails:
        model.fails = True
        with pytest.raises(RuntimeError, match="inside the model"):
            step(*batch())
    else:
        assert_same(step, objective(layer="encoder.1"), model, list(model.parameters()))
    assert not any(part._forward_hooks for part in model.modules())


DRAWN_INSIDE: dict[str, dict[str, Any]] = {
    "uniform": {"draw": "uniform"},
    "non-identity": {"draw": "non_identity"},
    "orbit": {"draw": "orbit"},
    "joint": {"passes": "joint"},
    "half of the pairs": {"pair_fraction": 0.5},
    "a third of the pairs, joint": {"pair_fraction": 1 / 3, "passes": "joint"},
}


@pytest.mark.parametrize("case", DRAWN_INSIDE)
def test_the_last_batch_may_be_smaller(case: str) -> None:
    model, wanted = Net(), objective(layer="encoder.1", **DRAWN_INSIDE[case])
    step = torch.compile(lambda x, y: wanted(model, x, y), backend="eager", fullgraph=True)
    for size in (8, 8, 5):
        x, y, _ = batch(size)
        torch.manual_seed(size)
        loss = step(x, y)[0]
        torch.manual_seed(size)
        torch.testing.assert_close(loss, wanted(model, x, y)[0])


TERMS: dict[str, list[eq.objective.Term]] = {
    "decoded": [eq.objective.Task(), eq.objective.DecodedTask("encoder")],
    "consistent outputs": [eq.objective.Task(), eq.objective.Equivariance("", 0.1, distance="kl")],
    "decorrelated": [eq.objective.Equivariance("encoder"), eq.objective.Decorrelation("encoder", 0.1)],
    "by element": [eq.objective.Task(), eq.objective.Equivariance("encoder", [0.5, *[1.0] * 7], detach="source")],
}


@pytest.mark.parametrize("terms", TERMS)
def test_other_terms(terms: str) -> None:
    model, wanted = Net(), objective(terms=TERMS[terms])
    step = torch.compile(lambda x, y, g: wanted(model, x, y, g=g), backend="eager", fullgraph=True)
    assert_same(step, wanted, model, list(model.encoder.parameters()))


# Between its graphs, PyTorch looks at the gradient of the latent, and warns of that itself.
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_labels_for_a_part_of_the_batch_break_the_graph_and_no_more() -> None:
    model, wanted = Net(), objective(layer="encoder.1")
    (x, y, g), labelled = batch(), torch.arange(8) < 3
    step = torch.compile(lambda: wanted(model, x, y, g=g, labelled=labelled)[0], backend="eager")
    torch.testing.assert_close(step(), wanted(model, x, y, g=g, labelled=labelled)[0])


def test_elements_can_be_drawn_inside_without_a_generator() -> None:
    model, wanted = Net(), objective(layer="encoder.1")
    x, y, _ = batch()
    step = torch.compile(lambda x, y: wanted(model, x, y)[0], backend="eager", fullgraph=True)
    torch.manual_seed(1)
    first, second = step(x, y), step(x, y)
    torch.manual_seed(1)
    assert first.item() == pytest.approx(wanted(model, x, y)[0].item())
    assert first.item() != second.item()


@pytest.mark.parametrize(
    "name", ["image D4", "vector field D4", "parts, halves", "labels, scores", "compose", "a representation"]
)
def test_actions_by_themselves(name: str) -> None:
    make, shape = eq.testing.ACTIONS[name]
    act: Any = make()
    x, g = torch.randn(4, *shape), act.group.sample(4, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(lambda x, g: act(x, g), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, g), act(x, g), rtol=0, atol=0)
