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
from equilatent.bench.systems.field_predictors import LiftedEncoder, vector_fields
from equilatent.bench.systems.penalised import SteerableNetwork
from equilatent.bench.systems.relaxed import RelaxedGroupConv2d, RelaxedSteerableConv2d
from equilatent.bench.systems.steerable import FieldNorm, PartialConv2d, ResidualPathwayConv2d
from equilatent.errors import RepresentationError

C4 = eq.groups.cyclic(4)
ACT = eq.actions.vector_field(C4, components=(1, 0))
#: The systems that train something of their own on fields.
KINDS = ("mlp", "plain", "e2cnn", "rpp", "lift", "rgroup", "rsteer", "pscnn")
STEERABLE = ("e2cnn", "rpp", "lift", "rgroup", "rsteer", "pscnn")
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
PUBLISHED = {"mlp": 8.325, "plain": 0.248, "e2cnn": 0.623, "rpp": 4.356, "rgroup": 1.875, "lift": 8.228}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_parameters_are_as_many_as_published(kind: str) -> None:
    assert round(count(network(kind, SMOKE)) / 1e6, 3) == PUBLISHED[kind]


@pytest.mark.parametrize(
    ("kind", "width", "millions"),
    [
        *(("mlp", 64, 5.79), ("plain", 64, 0.124), ("e2cnn", 32, 0.078), ("e2cnn", 48, 0.173), ("e2cnn", 64, 0.304)),
        *(("rpp", 32, 0.547), ("rpp", 48, 1.208), ("rpp", 64, 2.127)),
        *(("rgroup", 32, 0.237), ("rgroup", 48, 0.522), ("rgroup", 64, 0.917)),
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


@pytest.mark.parametrize(("width", "millions"), [(32, 0.999), (48, 1.561), (64, 2.163), (92, 3.315)])
def test_the_published_count_of_the_lifted_network_is_that_on_another_grid(width: int, millions: float) -> None:
    """The published encoder takes 62×23 points, and would refuse those of 64×64."""
    model = network("lift", replace(SMOKE, blocks=(Conv(width, 3, padding=1),) * 4))
    assert round((count(model) - 20 * (64 * 64 - 62 * 23) * width) / 1e6, 3) == millions


@pytest.mark.parametrize(("width", "millions"), [(32, 0.702), (48, 1.551), (64, 2.732), (92, 5.596)])
def test_the_published_count_of_relaxed_steerable_layers_has_norms_that_are_not_applied(
    width: int, millions: float
) -> None:
    """A scale and a shift for each field of the four hidden layers; here they are left out."""
    model = network("rsteer", replace(SMOKE, blocks=(Conv(width, 3, padding=1),) * 4))
    assert count(model) == 9 * (12 * 10 * width + 3 * 24 * width**2 + 12 * width) + 4 * 4 * width + 2
    assert round((count(model) + 4 * 2 * width) / 1e6, 3) == millions


def test_the_weights_of_relaxed_steerable_layers_are_more_than_their_kernels_have_dimensions() -> None:
    """At each position 24 (12) elements make matrices of 16 (8) entries, in the middle only those that are equivariant."""
    model = network("rsteer", SMOKE)
    layers = [layer for layer in model.modules() if isinstance(layer, RelaxedSteerableConv2d)]
    dimensions = []
    for layer in layers:
        elements = layer.basis.value.double().flatten(1, 2).unbind(-1)
        ranks = [int(torch.linalg.matrix_rank(at, atol=1e-6)) for at in elements]
        dimensions.append(sum(ranks) * layer.weight.shape[0] * layer.weight.shape[1])
    pairs = [10 * 92, 92**2, 92**2, 92**2, 92]
    assert dimensions == [n * pair for n, pair in zip((66, 132, 132, 132, 66), pairs, strict=True)]
    assert (sum(layer.weight.numel() for layer in layers), sum(dimensions)) == (5_593_968, 3_418_536)


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


@pytest.mark.parametrize("kind", ["rpp", "lift", "rgroup", "rsteer"])
def test_they_are_exactly_equivariant_once_the_relaxation_is_off(kind: str) -> None:
    model = scrambled(network(kind)).double().eval()
    if kind == "rgroup":  # equal at the start
        assert error(model, field()) < 1e-9
        for layer in model.modules():
            if isinstance(layer, RelaxedGroupConv2d):
                nn.init.normal_(layer.mixture)
    assert error(model, field()) > 0.01
    assert error(strict(model), field()) < 1e-9


def test_group_convolutions_start_exactly_equivariant() -> None:
    assert error(network("rgroup").double(), field()) < 1e-9


def strict(model: nn.Module) -> nn.Module:
    """Without what breaks the symmetry of each layer."""
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, ResidualPathwayConv2d):
                for parameter in layer.free.parameters():
                    parameter.zero_()
            elif isinstance(layer, LiftedEncoder):
                layer.lift[-1].weight.zero_()  # type: ignore[index, union-attr, operator]
                alike = layer.lift[-1].bias.view(-1, 4)  # type: ignore[index, union-attr, operator]
                alike.copy_(alike[:, :1].expand(-1, 4).clone())
            elif isinstance(layer, RelaxedGroupConv2d):
                layer.mixture.copy_(layer.mixture[:, :1].expand(-1, 4).clone())
            elif isinstance(layer, RelaxedSteerableConv2d):
                layer.weight.copy_(layer.weight[..., :1].expand(-1, -1, -1, 9).clone())
                if len(layer.bias) == 2:  # a vector
                    layer.bias.zero_()
                else:
                    layer.bias.copy_(layer.bias[::4].repeat_interleave(4))
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


def test_the_penalty_of_relaxed_steerable_layers_by_hand() -> None:
    model = network("rsteer")
    expected = 0.0
    for layer in model.modules():
        if isinstance(layer, RelaxedSteerableConv2d):
            weight = layer.weight.detach()
            steps = [float((weight[..., x] - weight[..., x + 1]).abs().mean()) for x in range(8)]
            expected += 1e-5 * sum(steps) / 8
    assert model.penalty().item() == pytest.approx(expected, rel=1e-5) and expected > 1e-6
    assert strict(model).penalty() == 0  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["e2cnn", "lift", "rgroup"])
def test_the_others_have_no_penalty(kind: str) -> None:
    assert network(kind).penalty() == 0


def test_features_of_the_ordinary_encoder_join_at_every_point() -> None:
    """The second half sees them behind the channels of the first, the same everywhere."""
    encoder, x = network("lift").eval().encoder, field().float()
    seen: list[Tensor] = []
    encoder.after.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    encoder(x)
    (joined,) = seen
    assert joined.shape == (3, 16 + 4, 6, 6)
    assert torch.equal(joined[:, :16], encoder.before(x))
    features = encoder.lift(x)
    assert features.std() > 0
    for row in range(6):
        for column in range(6):
            assert torch.equal(joined[:, 16:, row, column], features)


def test_features_that_are_no_regular_fields_are_refused() -> None:
    with pytest.raises(RepresentationError, match=r"the 6 features .* multiple of 4\. Change the channels of block 2"):
        network("lift", replace(SMALL, blocks=(Conv(6, 3, padding=1),) * 4))


# Without training


def test_zero_and_persistence() -> None:
    x = field().float()
    assert torch.equal(network("zero")(x), torch.zeros(3, 2, 6, 6))
    assert torch.equal(network("persistence")(x), x[:, 4:])
    assert not list(network("zero").parameters()) and not list(network("persistence").parameters())


def test_the_untrained_are_scored_by_the_task(tmp_path: Path) -> None:
    """Zero's error is the mean square of the targets, that of persistence their distance from the last frame."""
    problem = FieldProblem(FieldConfig(), torch.device("cpu"))
    x, y = problem.x[problem.samples :], problem.y[problem.samples :].unflatten(1, (-1, 2))
    expected = {
        "zero": y.square().mean((0, 2, 3, 4)).sum(),
        "persistence": (y - x[:, None, -2:]).square().mean((0, 2, 3, 4)).sum(),
    }
    for kind, value in expected.items():
        config = FieldConfig(method=kind, device="cpu", out=tmp_path, epochs=7)
        record = run(field_task(FIELD_SYSTEMS), config, 0, progress=False)
        assert record["final"]["test_error"] == pytest.approx(float(value), rel=1e-5)
        assert (record["final"]["parameters"], record["final"]["epochs"], record["final"]["best_epoch"]) == (0, 1, 0)


# Training


@pytest.mark.parametrize("kind", KINDS)
def test_steps_of_training_lower_the_loss(kind: str) -> None:
    config = FieldConfig()
    problem = FieldProblem(config, torch.device("cpu"))
    system = FIELD_SYSTEMS[kind](problem, table(config), config, 0)
    optimiser = torch.optim.Adam(system.model.parameters(), lr=0.01)
    x, y = problem.batch(torch.arange(8), torch.Generator())
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss, terms = system.loss(x, y, None)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        assert set(terms) >= {"loss", "task"}
    assert losses[-1] < 0.9 * losses[0]
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
def test_channels_that_come_last_in_memory_stay_last(kind: str) -> None:
    model = network(kind).to(memory_format=torch.channels_last)
    formats: list[bool] = []
    for layer in model.modules():
        if isinstance(layer, nn.ReLU):
            layer.register_forward_hook(
                lambda *given: (
                    formats.append(given[2].is_contiguous(memory_format=torch.channels_last))
                    if given[2].ndim == 4
                    else None
                )
            )
    model(field().float().contiguous(memory_format=torch.channels_last))
    assert formats == [True] * 4


@pytest.mark.parametrize("kind", STEERABLE)
def test_networks_of_layers_have_the_latent_in_the_middle(kind: str) -> None:
    model, x = network(kind), field().float()
    assert isinstance(model, SteerableNetwork)
    latent = model.encoder(x)
    assert latent.shape == (3, 16, 6, 6)
    assert model.head(latent).shape == (3, 2, 6, 6)
