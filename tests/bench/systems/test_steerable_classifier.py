"""The four steerable systems of DDMNIST: their sizes, their symmetry, their penalties, and that they learn."""

from __future__ import annotations

import copy
import math
import pickle
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from steerable_systems import KINDS, Kind, steerable, table
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.architecture import Conv
from equilatent.bench.systems.penalised import SteerableNetwork
from equilatent.bench.systems.steerable import PartialConv2d, ResidualPathwayConv2d
from equilatent.bench.systems.steerable_networks import (
    PartialSteerable,
    ResidualPathways,
    Restricted,
    Steerable,
)
from equilatent.bench.tasks.ddmnist import DdmnistConfig, network
from equilatent.errors import GroupError
from equilatent.groups import Group

#: Millions of parameters with 48 and with 66 features; the first are those of the paper's table 4.
PUBLISHED: dict[str, dict[Kind, tuple[float, float]]] = {
    "C4": {"scnn": (0.117, 0.119), "restriction": (0.124, 0.127), "rpp": (0.794, 0.799)},
    "D1": {"scnn": (0.028, 0.031), "restriction": (0.033, 0.036), "rpp": (0.078, 0.081)},
    "D4": {"scnn": (0.146, 0.148), "restriction": (0.170, 0.172), "rpp": (1.733, 1.740)},
}
#: The published counts of the partial networks, .509, .039 and 1.226 with 48 features, list kernels twice where an
#: irrep occurs in ρ_out ⊗ ρ_in more than once; these are without the duplicates.
PARTIAL = {"C4": (447_496, 451_924), "D1": (38_596, 41_080), "D4": (1_040_332, 1_046_056)}


#: The system of each kind.
SYSTEMS = {"scnn": Steerable, "restriction": Restricted, "rpp": ResidualPathways, "pscnn": PartialSteerable}


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def randomise(network: SteerableNetwork) -> SteerableNetwork:
    """Biases, norms and running statistics as after some training."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif name.endswith(("running_mean", "bias", "bias.weight", "norm.weight")):
                tensor.normal_(generator=generator)
    return network


def orbits(network: SteerableNetwork, G: Group, x: Tensor) -> Tensor:
    """The features of all motions of all images, [order, images, features]."""
    action = eq.actions.image(G)
    with torch.no_grad():
        return torch.stack([network.encoder(action(x, torch.full((len(x),), g))) for g in range(G.order)])


@pytest.mark.parametrize("features", [48, 66])
def test_the_parameters_are_as_many_as_published(G: Group, features: int) -> None:
    for kind, millions in PUBLISHED[G.label].items():
        assert round(count(steerable(kind, G, features)) / 1e6, 3) == millions[features == 66], kind
    assert count(steerable("pscnn", G, features)) == PARTIAL[G.label][features == 66]


def test_the_parameters_of_a_strict_network_by_hand() -> None:
    """C4, width 1, 48 features: trivial irreps, signs and planes in fields of 3 gates and one irrep of each kind.

    At 7×7 the frequencies 0, 1, 2, 3 are there 4, 3, 3 and 1 times; from scalars they reach 4 copies of the trivial irrep,
    3·2 of the sign and 4·2 endomorphisms of the plane. At 3×3 they are there 2, 1, 1 and 0 times.
    """

    def strict(constant: int, odd: int, even: int) -> tuple[int, int]:
        same, plane, sign = constant, 2 * odd, 2 * even
        from_scalar = [4 * same, sign, plane]
        # plane ⊗ plane is 2 trivial ⊕ 2 sign.
        from_all = [4 * (same + sign + plane), sign + same + plane, 2 * plane + 2 * (same + sign)]
        return sum(from_scalar), sum(from_all)

    seven, five, three = strict(4, 4, 3), strict(3, 2, 2), strict(2, 1, 1)
    fields = 1 + 2 + 4 + 6 + 6
    weights = seven[0] + 2 * five[1] + 8 * three[1] + 24 * three[1] + 36 * three[1] + 6 * 48
    biases, norms, gates = 4 * fields, 5 * fields, 3 * fields
    head = 2 * 48 + 100 * 49
    assert count(steerable("scnn", eq.groups.cyclic(4), 48, width=1)) == weights + biases + norms + gates + head


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_widths(kind: Kind) -> None:
    network = steerable(kind, eq.groups.cyclic(4), 10, 7, width=1)
    x = torch.randn(3, 1, 56, 56)
    z = network.encoder(x)
    assert z.shape == (3, 10)
    assert network.head(z).shape == network(x).shape == (3, 7)
    kinds = [type(layer) for layer in network.head]
    assert kinds == [nn.BatchNorm1d, nn.ELU, nn.Linear]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("kind", ["scnn", "pscnn"])
def test_features_are_invariant(kind: Kind, G: Group, dtype: torch.dtype, tolerance: float) -> None:
    network = randomise(steerable(kind, G, 12, width=1)).to(dtype)
    network(torch.randn(4, 1, 56, 56, dtype=dtype))
    x = torch.randn(2, 1, 56, 56, dtype=dtype)
    z = orbits(network.eval(), G, x)
    assert (z - z[0]).abs().max() < tolerance * z.abs().max()


@pytest.mark.parametrize("kind", ["restriction", "rpp", "pscnn"])
def test_the_others_break_the_symmetry(kind: Kind, G: Group) -> None:
    network = randomise(steerable(kind, G, 12, width=1)).eval()
    for layer in network.modules():
        if isinstance(layer, PartialConv2d):
            nn.init.normal_(layer.likelihood.coefficients)
    z = orbits(network, G, torch.randn(2, 1, 56, 56))
    # Motions change the features not much less than another image does.
    assert (z - z[0]).abs().max() > 0.1 * (z[0, 0] - z[0, 1]).abs().max()


def test_a_restricted_network_keeps_the_symmetry_up_to_the_fourth_block(G: Group) -> None:
    strict = randomise(steerable("scnn", G, 12, width=1))
    network = randomise(steerable("restriction", G, 12, width=1))
    fields = strict.encoder.block4.gate.fields
    image = eq.actions.image(G)
    until = network.encoder[: list(dict(network.encoder.named_children())).index("block4") + 1]
    eq.testing.assert_equivariant(until.double().eval(), image, fields.action(), torch.randn(1, 1, 56, 56).double())


def test_a_pathway_network_without_its_free_paths_is_the_strict_one(G: Group) -> None:
    strict, network = randomise(steerable("scnn", G, 12, width=1)), steerable("rpp", G, 12, width=1)
    renamed = {
        f"{name.replace('conv.', 'conv.strict.').replace('block6.', 'block6.strict.')}": value
        for name, value in strict.state_dict().items()
    }
    missing, unexpected = network.load_state_dict(renamed, strict=False)
    assert not unexpected and all(".free." in name for name in missing)
    for layer in network.modules():
        if isinstance(layer, ResidualPathwayConv2d):
            for parameter in layer.free.parameters():
                nn.init.zeros_(parameter)
    x = torch.randn(2, 1, 56, 56)
    torch.testing.assert_close(network.eval()(x), strict.eval()(x))
    squares = sum(p.square().sum() for name, p in strict.named_parameters() if "conv." in name or "block6" in name)
    torch.testing.assert_close(network.penalty(), 1e-5 * squares)


def test_the_penalty_of_free_paths_by_hand() -> None:
    network = steerable("rpp", eq.groups.dihedral(1), 12, width=1)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(0 if ".strict." in name else 2)
    free = [parameter for name, parameter in network.named_parameters() if ".free." in name]
    assert len(free) == 2 * 6 - 1  # six convolutions, the last one without a bias
    torch.testing.assert_close(network.penalty(), torch.tensor(1e-3 * 4 * sum(p.numel() for p in free)))


@pytest.mark.parametrize("kind", ["scnn", "restriction"])
def test_strict_systems_have_no_penalty_and_no_degrees(kind: Kind) -> None:
    network = steerable(kind, eq.groups.dihedral(1), 12, width=1)
    assert network.penalty().shape == () and network.penalty() == 0
    assert network.degrees() == {} and network.likelihoods() == {}


def test_the_penalty_of_likelihoods_by_hand() -> None:
    """D1: two layers prefer the mirror or the identity threefold, the other four are uniform."""
    network = steerable("pscnn", eq.groups.dihedral(1), 12, width=1)
    assert network.penalty().item() == pytest.approx(0, abs=1e-6)
    log = math.log(3) / 2
    with torch.no_grad():  # log λ = log/2 · (±1) up to a constant
        network.encoder.block2.conv.likelihood.coefficients[1] = log
        network.encoder.block4.conv.likelihood.coefficients[1] = -log
    assert network.likelihoods()["block2"].tolist() == pytest.approx([1.5, 0.5])
    assert network.likelihoods()["block4"].tolist() == pytest.approx([0.5, 1.5])
    # From (1.5, 0.5) to uniform, and from uniform to (1.5, 0.5), which is not the same; the first layer is uniform.
    away = (1.5 * math.log(1.5) + 0.5 * math.log(0.5)) / 2
    back = (math.log(1 / 1.5) + math.log(1 / 0.5)) / 2
    expected = (5 * math.log(3) + 3 * (0 + away + back + away + back)) / 6
    assert network.penalty().item() == pytest.approx(expected, rel=1e-5)
    degree = 1 - away / math.log(2)
    assert network.degrees() == pytest.approx(
        {"block1": 1, "block2": degree, "block3": 1, "block4": degree, "block5": 1, "block6": 1}
    )


def test_the_first_layer_is_held_to_uniform_and_the_layer_before_held_constant() -> None:
    network = steerable("pscnn", eq.groups.dihedral(1), 12, width=1)
    blocks = [block for name, block in network.encoder.named_children() if name.startswith("block")]
    convs = [layer for block in blocks for layer in block.modules() if isinstance(layer, PartialConv2d)]
    with torch.no_grad():
        convs[0].likelihood.coefficients[1] = 0.5
    network.penalty().backward()
    first = convs[0].likelihood.coefficients.grad
    # λ = 1 ± tanh ½; the derivative of mean λ log λ by the coefficient is ½ (1 − tanh² ½), times 3 and one of six layers.
    assert first is not None and first[1].item() == pytest.approx(3 / 6 * 0.5 * (1 - math.tanh(0.5) ** 2), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_each_system_learns_some_images_by_heart(kind: Kind) -> None:
    network = steerable(kind, eq.groups.dihedral(1), 16, 4, width=2)
    x, y = torch.randn(16, 1, 56, 56), torch.arange(16) % 4
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(30):
        optimiser.zero_grad()
        loss = F.cross_entropy(network(x), y) + network.penalty()
        loss.backward()
        optimiser.step()
    assert (network(x).argmax(1) == y).all()
    assert all(parameter.grad is not None for parameter in network.parameters())
    if kind == "pscnn":
        assert all(0 <= degree <= 1 for degree in network.degrees().values())
        assert min(network.degrees().values()) < 1


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_networks_can_be_stored(kind: Kind) -> None:
    C4 = eq.groups.cyclic(4)
    one, other = randomise(steerable(kind, C4, 8, 3, width=1)).eval(), steerable(kind, C4, 8, 3, width=1).eval()
    x = torch.randn(2, 1, 56, 56)
    state = one.state_dict()
    assert not any("bases" in name or "moved" in name or "window" in name for name in state)
    other.load_state_dict(state)
    assert torch.equal(one(x), other(x))
    assert torch.equal(pickle.loads(pickle.dumps(one))(x), one(x))
    assert torch.equal(copy.deepcopy(one)(x), one(x))


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_channels_in_memory_does_not_matter(kind: Kind) -> None:
    network = randomise(steerable(kind, eq.groups.dihedral(1), 8, 3, width=1)).double().eval()
    x = torch.randn(2, 2, 56, 56).double()[:, :1]
    plain = network(x.contiguous())
    last = network.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))  # type: ignore[call-overload]
    torch.testing.assert_close(last, plain)


@pytest.mark.parametrize("kind", KINDS)
def test_networks_run_under_autocast(kind: Kind) -> None:
    network = steerable(kind, eq.groups.dihedral(1), 8, 3, width=1)
    x = torch.randn(4, 1, 56, 56)
    plain = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(x)
    torch.testing.assert_close(rounded.float(), plain, atol=0.3, rtol=0.1)
    (rounded.float().square().mean() + network.penalty()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters() if parameter.grad is not None)


@pytest.mark.parametrize(
    "group",
    [
        eq.groups.cyclic(2),
        eq.groups.dihedral(2),
        eq.groups.cyclic(3),
        eq.groups.octahedral(),
        eq.groups.direct_product(eq.groups.cyclic(4), eq.groups.cyclic(4)),
    ],
    ids=lambda group: group.label,
)
@pytest.mark.parametrize("kind", KINDS)
def test_other_groups_are_refused(kind: Kind, group: Group) -> None:
    with pytest.raises(GroupError, match=r"cyclic\(4\), dihedral\(1\) and dihedral\(4\), one copy .*got Group"):
        steerable(kind, group)


@pytest.mark.parametrize("kind", KINDS)
def test_the_systems_build_these_networks(kind: Kind) -> None:
    """Of a group that acts on both digits, for the group that acts on the whole image."""
    C4 = eq.groups.cyclic(4)
    assert SYSTEMS[kind].name == kind
    for group in (C4, eq.groups.direct_product(C4, C4)):
        problem = SimpleNamespace(group=group)
        made = SYSTEMS[kind](problem, table(12, 7, width=1), None, 0).model  # type: ignore[arg-type]
        expected = steerable(kind, C4, 12, 7, width=1)
        assert (str(made), count(made)) == (str(expected), count(expected))


def test_the_table_is_that_of_appendix_c() -> None:
    assert table() == network(DdmnistConfig())
    assert [block.channels for block in table(width=1).blocks if isinstance(block, Conv)] == [1, 2, 4, 6, 6]
