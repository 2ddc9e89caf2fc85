"""The predictors of vector fields: their sizes, their symmetry, that they learn, and that the harness runs them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from field_problem import FieldConfig, FieldProblem, field_task, table
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.architecture import Conv, FieldPredictor
from equilatent.bench.harness.run import run
from equilatent.bench.harness.system import System
from equilatent.bench.systems import SYSTEMS
from equilatent.bench.systems.field_predictors import vector_fields
from equilatent.bench.systems.penalised import SteerableNetwork
from equilatent.bench.systems.steerable import FieldNorm, PartialConv2d, ResidualPathwayConv2d

C4 = eq.groups.cyclic(4)
ACT = eq.actions.vector_field(C4, components=(1, 0))
#: The systems that train something of their own on fields.
KINDS = ("mlp", "plain", "e2cnn", "rpp", "pscnn")
STEERABLE = ("e2cnn", "rpp", "pscnn")
FIELD_SYSTEMS = {system.name: system for system in SYSTEMS if FieldPredictor in system.builds}
SMOKE = FieldPredictor((Conv(92, 3, padding=1),) * 4, frames=10, side=64)
SMALL = FieldPredictor((Conv(4, 3, padding=1),) * 4, frames=3, side=6)


def made(kind: str, architecture: FieldPredictor = SMALL) -> System:
    problem: Any = SimpleNamespace(group=C4)
    return FIELD_SYSTEMS[kind](problem, architecture, None, 0)


def network(kind: str, architecture: FieldPredictor = SMALL) -> Any:
    return made(kind, architecture).model


def count(model: nn.Module, kind: type[nn.Module] = nn.Module) -> int:
    """The parameters of a network, or of its parts of one kind."""
    return sum(p.numel() for part in model.modules() if isinstance(part, kind) for p in part.parameters(recurse=False))


def scrambled(model: nn.Module) -> nn.Module:
    """Biases, norms and running statistics as after some training; of ordinary norms alike in every channel of a field."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in model.modules():
            ordinary = isinstance(part, nn.BatchNorm2d)
            for name, tensor in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
                if not ordinary and not isinstance(part, FieldNorm):
                    if type(part).__name__ == "InvariantBias":
                        tensor.normal_(generator=generator)
                    continue
                shape = (len(tensor) // 4, 1) if ordinary and tensor.ndim else tensor.shape
                drawn = torch.rand(shape, generator=generator) + 0.5
                if name in ("bias", "running_mean"):
                    drawn = drawn - 1
                if tensor.is_floating_point() and "averages" not in name:
                    tensor.copy_(drawn.expand(-1, 4).flatten() if ordinary else drawn)
    return model


def error(model: nn.Module, x: Tensor) -> float:
    """The largest relative difference between predicting and turning in either order, all four turns."""
    with torch.no_grad():
        y = model(x)
        turned = [ACT(y, torch.full((len(x),), g)) - model(ACT(x, torch.full((len(x),), g))) for g in range(C4.order)]
    return float(torch.stack(turned).abs().max() / y.abs().max())


def field(architecture: FieldPredictor = SMALL, batch: int = 3) -> Tensor:
    side = architecture.side
    return torch.randn(batch, 2 * architecture.frames, side, side, dtype=torch.float64)


# Sizes

#: Millions of parameters as the sources count them, at 92 fields on grids of 64 points a side.
PUBLISHED = {"mlp": 8.325, "plain": 0.248, "e2cnn": 0.623, "rpp": 4.356}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_parameters_are_as_many_as_published(kind: str) -> None:
    assert round(count(network(kind, SMOKE)) / 1e6, 3) == PUBLISHED[kind]


@pytest.mark.parametrize(
    ("kind", "width", "millions"),
    [
        *(("mlp", 64, 5.79), ("plain", 64, 0.124), ("e2cnn", 32, 0.078), ("e2cnn", 48, 0.173), ("e2cnn", 64, 0.304)),
        *(("rpp", 32, 0.547), ("rpp", 48, 1.208), ("rpp", 64, 2.127)),
    ],
)
def test_other_widths_have_the_parameters_of_the_source(kind: str, width: int, millions: float) -> None:
    blocks = (Conv(width, 3, padding=1),) * 4
    model = network(kind, replace(SMOKE, blocks=blocks))
    assert round(count(model) / 1e6, len(str(millions)) - 2) == millions


def test_the_parameters_of_the_strict_network_by_hand() -> None:
    """Kernels of 12 elements from or to vectors and of 24 between regular fields; a bias, scale and shift a field."""
    convolutions = 12 * 10 * 92 + 3 * 24 * 92**2 + 12 * 92
    assert count(network("e2cnn", SMOKE)) == convolutions + 4 * 3 * 92


def test_the_published_count_of_the_partial_network_lists_kernels_twice() -> None:
    """Between two planes trivial and sign irreps join the harmonics alike, so that all 2·2·6 kernels are listed twice.

    Each field, regular or a vector, has one plane; all 24 kernels are there for each pair of fields.
    """
    model = network("pscnn", SMOKE)
    pairs = 10 * 92 + 3 * 92**2 + 92
    assert count(model) == 2_487_332
    assert round((count(model) + 2 * 2 * 6 * pairs) / 1e6, 3) == 3.121
    assert count(model) == 48 * 10 * 92 + 96 * 3 * 92**2 + 48 * 92 + 4 * 3 * 92 + 5 * 4


# Symmetry


def test_channels_transform_as_vector_fields_do() -> None:
    """The fields of the layers and `actions.vector_field` agree; a quarter turn takes (x, y) to (y, −x)."""
    x = field()
    turn = torch.full((len(x),), C4["r"])
    turned = x.rot90(1, (-2, -1))
    by_hand = torch.stack([turned[:, 1::2], -turned[:, ::2]], 2).flatten(1, 2)
    assert torch.equal(ACT(x, turn), by_hand)
    torch.testing.assert_close(vector_fields(C4, 3).action()(x, turn), by_hand)


@pytest.mark.parametrize("side", [6, 7])
@pytest.mark.parametrize("kind", ["e2cnn", "pscnn"])
@pytest.mark.parametrize("training", [False, True])
def test_they_are_exactly_equivariant(kind: str, side: int, training: bool) -> None:
    """Also as after some training, for which the likelihoods of the partial layers are uniform still."""
    architecture = replace(SMALL, side=side)
    model = scrambled(network(kind, architecture)).double().train(training)
    assert error(model, field(architecture)) < 1e-9


@pytest.mark.parametrize("kind", ["rpp"])
def test_they_are_exactly_equivariant_once_the_relaxation_is_off(kind: str) -> None:
    model = scrambled(network(kind)).double().eval()
    assert error(model, field()) > 0.01
    assert error(strict(model), field()) < 1e-9


def strict(model: nn.Module) -> nn.Module:
    """Without what breaks the symmetry of each layer."""
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, ResidualPathwayConv2d):
                for parameter in layer.free.parameters():
                    parameter.zero_()
    return model


def test_a_learned_likelihood_breaks_the_symmetry_of_the_partial_network() -> None:
    model = scrambled(network("pscnn")).double().eval()
    nn.init.normal_(model.head.likelihood.coefficients)  # type: ignore[union-attr, arg-type]
    assert error(model, field()) > 0.01


@pytest.mark.parametrize("kind", ["mlp", "plain"])
def test_ordinary_networks_are_not_equivariant(kind: str) -> None:
    assert error(network(kind).double().eval(), field()) > 0.01


def test_a_pathway_network_without_its_free_paths_is_the_strict_one() -> None:
    model, exact = strict(network("rpp")).eval(), network("e2cnn").eval()
    renamed = {
        name.replace("conv.", "conv.strict.").replace("head.", "head.strict."): value
        for name, value in exact.state_dict().items()
        if ".norm." not in name
    }
    missing, unexpected = model.load_state_dict(renamed, strict=False)
    assert not unexpected and all(".free." in name or ".norm." in name for name in missing)
    x = field().float()
    torch.testing.assert_close(model(x), exact(x))
    squares = sum(p.square().sum() for name, p in exact.named_parameters() if ".norm." not in name)
    torch.testing.assert_close(model.penalty(), 1e-5 * squares)


def test_the_penalty_of_the_partial_network_counts_the_last_layer() -> None:
    model = network("pscnn")
    assert model.penalty().item() == pytest.approx(0, abs=1e-6)
    assert list(model.degrees()) == ["block1", "block2", "block3", "block4", "head"]
    with torch.no_grad():
        model.head.likelihood.coefficients[1:].normal_()
    values = model.head.likelihood.log_values().detach()
    expected = (5 * (values.max() - values[0]) + 3 * (values.exp() * values).mean()) / 5
    torch.testing.assert_close(model.penalty(), expected)
    assert len([layer for layer in model.modules() if isinstance(layer, PartialConv2d)]) == 5


# Training


@pytest.mark.parametrize("kind", KINDS)
def test_steps_of_training_lower_the_loss(kind: str) -> None:
    config = FieldConfig()
    problem = FieldProblem(config, torch.device("cpu"))
    system = FIELD_SYSTEMS[kind](problem, table(config), config, 0)
    optimiser = torch.optim.Adam(system.model.parameters(), lr=0.01)
    x, y = problem.batch(torch.arange(8), torch.Generator())
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss, terms = system.loss(x, y, None)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        assert set(terms) >= {"loss", "task"}
    assert losses[-1] < 0.8 * losses[0]
    assert all(parameter.grad is not None for parameter in system.model.parameters())


@pytest.mark.parametrize("kind", sorted(FIELD_SYSTEMS.keys() - {"ours"}))  # ours has fields in its configuration
def test_the_harness_runs_every_system(kind: str, tmp_path: Path) -> None:
    config = FieldConfig(method=kind, device="cpu", out=tmp_path, channels_last=True, schedule="exponential")
    record = run(field_task(FIELD_SYSTEMS), config, 0, progress=False)
    trained = record["final"]["parameters"] > 0
    assert record["final"]["test_error"] > 0
    assert record["final"]["epochs"] == (2 if trained else 1)
    assert ("degrees" in record["final"]) == (kind == "pscnn")


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_networks_can_be_stored(kind: str) -> None:
    one, other = scrambled(network(kind)).eval(), network(kind).eval()
    x = field().float()
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x))
    assert torch.equal(pickle.loads(pickle.dumps(one))(x), one(x))
    assert torch.equal(copy.deepcopy(one)(x), one(x))


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_channels_in_memory_does_not_matter(kind: str) -> None:
    model = network(kind).double()
    x = field()
    plain = model(x)
    last = model.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, plain)


@pytest.mark.parametrize("kind", STEERABLE)
def test_networks_of_layers_have_the_latent_in_the_middle(kind: str) -> None:
    model, x = network(kind), field().float()
    assert isinstance(model, SteerableNetwork)
    latent = model.encoder(x)
    assert latent.shape == (3, 16, 6, 6)
    assert model.head(latent).shape == (3, 2, 6, 6)
