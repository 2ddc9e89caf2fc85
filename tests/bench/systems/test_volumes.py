"""Irreps of SO(3) and O(3), kernels and layers on volumes: against their laws, brute force, and the literature's counts."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.architecture import Conv, Pool, Residual, Resize, VolumeClassifier
from equilatent.bench.systems.penalised import PathwayBlock, SteerableNetwork
from equilatent.bench.systems.steerable import (
    AntialiasedPool3d,
    FieldNorm,
    GatedNonlinearity,
    PartialConv3d,
    RotationLikelihood,
    SphericalFields,
    SphericalIrrep,
    SteerableConv3d,
    alignment,
    coupling,
    divergence,
    harmonics,
    shell_filters,
    spherical_irreps,
    volume_kernel_basis,
    volume_kernel_parts,
)
from equilatent.bench.systems.volume_networks import (
    SteerableResidual,
    partial_residuals,
    pathway_residuals,
    steerable_volume_classifier,
    strict_residuals,
)
from equilatent.bench.tasks.medmnist3d import residual_network
from equilatent.errors import ActionError, GroupError, RepresentationError

CUBE = {False: eq.groups.octahedral(), True: eq.groups.octahedral(inversion=True)}
GROUPS = pytest.mark.parametrize("inversion", [False, True], ids=["SO(3)", "O(3)"])
KINDS = {"strict": strict_residuals, "pathways": pathway_residuals, "partial": partial_residuals}


def rotations(count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(Rotation.random(count, random_state=seed).as_matrix())


def fields_of(inversion: bool, frequency: int = 2, copies: int = 1) -> SphericalFields:
    return SphericalFields(spherical_irreps(frequency, inversion=inversion), copies)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# ------------------------------------------------------------------------------------------------------------------
# Irreps, harmonics, couplings


@pytest.mark.parametrize("frequency", range(7))
def test_an_irrep_is_a_homomorphism_with_the_character_of_its_frequency(frequency: int) -> None:
    irrep, turns = SphericalIrrep(frequency), rotations(6)
    matrices = irrep.matrices(turns)
    products = irrep.matrices(turns[:3] @ turns[3:])
    torch.testing.assert_close(matrices[:3] @ matrices[3:], products, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        matrices @ matrices.mT, torch.eye(irrep.dim).double().expand(6, -1, -1), rtol=0, atol=1e-12
    )
    half = torch.from_numpy(Rotation.from_matrix(turns.numpy()).magnitude()) / 2
    expected = torch.sin(irrep.dim * half) / torch.sin(half)
    torch.testing.assert_close(matrices.diagonal(dim1=1, dim2=2).sum(1), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("frequency", range(7))
def test_harmonics_obey_the_addition_theorem(frequency: int) -> None:
    """Σ Y(x) Y(y) is Legendre's polynomial of the cosine between x and y."""
    points = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).double()
    points[0] = torch.tensor([0.0, 0.0, -2.0])
    values = harmonics(frequency, points)
    directions = points / points.norm(dim=1, keepdim=True)
    cosines = (directions @ directions.T).numpy()
    expected = np.polynomial.legendre.legval(cosines, [0] * frequency + [1])
    np.testing.assert_allclose((values @ values.T).numpy(), expected, atol=1e-12)


def test_vectors_are_the_irrep_of_frequency_1() -> None:
    """Up to the order of the basis: the harmonics of frequency 1 are an orthogonal map of the direction."""
    points = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).double()
    points /= points.norm(dim=1, keepdim=True)
    to_harmonics = torch.linalg.pinv(points) @ harmonics(1, points)
    torch.testing.assert_close(to_harmonics @ to_harmonics.T, torch.eye(3).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(points @ to_harmonics, harmonics(1, points), rtol=0, atol=1e-12)
    # The invariant of three vectors is their determinant.
    triple = torch.einsum("ijk,ai,bj,ck->abc", coupling(1, 1, 1), to_harmonics, to_harmonics, to_harmonics)
    signs = torch.zeros(3, 3, 3).double()
    for order in itertools.permutations(range(3)):
        signs[order] = torch.linalg.det(torch.eye(3)[list(order)]).double()
    assert float((triple.abs() - signs.abs() / math.sqrt(6)).abs().max()) < 1e-12
    assert abs(abs(float((triple * signs).sum())) - math.sqrt(6)) < 1e-12


@pytest.mark.parametrize("frequencies", [(1, 2, 3), (3, 3, 2), (2, 2, 0), (0, 3, 3), (2, 3, 4)])
def test_couplings_are_invariant(frequencies: tuple[int, int, int]) -> None:
    vector = coupling(*frequencies)
    assert float(vector.norm()) == pytest.approx(1, abs=1e-12)
    turned = torch.einsum(
        "ijk,nai,nbj,nck->nabc", vector, *(SphericalIrrep(each).matrices(rotations(4)) for each in frequencies)
    )
    torch.testing.assert_close(turned, vector.expand(4, -1, -1, -1), rtol=0, atol=1e-11)
    with pytest.raises(RepresentationError, match="2, 2, 5"):
        coupling(2, 2, 5)


def test_parities() -> None:
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))[None]
    polar, axial = SphericalIrrep(1, -1), SphericalIrrep(1, 1)
    assert float(polar.matrices(mirror)[0].trace()) == pytest.approx(1)
    assert float(axial.matrices(mirror)[0].trace()) == pytest.approx(-1)
    with pytest.raises(RepresentationError, match="does not know mirrors"):
        SphericalIrrep(1).matrices(mirror)
    assert [irrep.label for irrep in polar.times(axial)] == ["0−", "1−", "2−"]
    with pytest.raises(RepresentationError, match="with and without a parity"):
        polar.times(SphericalIrrep(1))
    with pytest.raises(RepresentationError, match="got -1"):
        SphericalIrrep(-1)


# ------------------------------------------------------------------------------------------------------------------
# Kernels


@pytest.mark.parametrize(("size", "filters"), [(1, 1), (3, 10), (5, 19), (7, 35)])
def test_filters_turn_as_their_harmonics_do(size: int, filters: int) -> None:
    G = CUBE[False]
    act = eq.actions.volume(G)
    found = shell_filters(size)
    assert sum(len(each) for _, each in found) == filters
    for frequency, each in found:
        assert float(each.square().sum((1, 2, 3)).mean()) == pytest.approx(1)
        # At every voxel but the middle a multiple of the harmonics there, which depends on the distance alone.
        line = torch.arange(size).double() - size // 2
        points = torch.cartesian_prod(line, line, line).view(-1, 3)
        away = points.norm(dim=1) > 0
        at_points = each.flatten(1).T[away]
        if len(at_points):
            lengths = at_points.norm(dim=1, keepdim=True)
            torch.testing.assert_close(at_points, lengths * harmonics(frequency, points[away]), rtol=0, atol=1e-12)
        for matrix, g in zip(G.defining.values(), G.generators.values(), strict=True):  # type: ignore[union-attr]
            turned = act(each, torch.full((len(each),), g))
            irrep = SphericalIrrep(frequency).matrices(torch.tensor(matrix)[None])[0]
            # g·f has the values of f at g⁻¹x: the coefficients turn by D(g).
            torch.testing.assert_close(turned, torch.einsum("ab,axyz->bxyz", irrep, each), rtol=0, atol=1e-12)
    with pytest.raises(ActionError, match="size=4"):
        shell_filters(4)


@GROUPS
@pytest.mark.parametrize("size", [1, 3, 5])
def test_kernels_are_as_many_as_frequencies_fit(inversion: bool, size: int) -> None:
    of_filters = [frequency for frequency, _ in shell_filters(size)]
    for sigma, rho in itertools.product(spherical_irreps(2, inversion=inversion), repeat=2):
        low, high = abs(sigma.frequency - rho.frequency), sigma.frequency + rho.frequency
        fitting = [
            frequency
            for frequency in of_filters
            if low <= frequency <= high
            and (not inversion or (sigma.parity or 1) * (rho.parity or 1) == (-1) ** frequency)
        ]
        basis = volume_kernel_basis(sigma, rho, size)
        assert basis.shape == (len(fitting), sigma.dim, rho.dim, size, size, size)
        torch.testing.assert_close(basis.flatten(1).square().sum(1), torch.ones(len(fitting)).double())


@GROUPS
def test_kernels_transform_by_their_irrep(inversion: bool) -> None:
    G = CUBE[inversion]
    act = eq.actions.volume(G)
    irreps = spherical_irreps(2, inversion=inversion)
    sigma, rho = irreps[-1], irreps[-2]
    parts = volume_kernel_parts(sigma, rho, 3, 2)
    assert len(parts) > 2
    for matrix, g in zip(G.defining.values(), G.generators.values(), strict=True):  # type: ignore[union-attr]
        motion = torch.tensor(matrix, dtype=torch.float64)[None]
        for psi, basis in parts.items():
            moved = act(basis.flatten(0, 2), torch.full((len(basis) * sigma.dim * rho.dim,), g)).view(basis.shape)
            moved = torch.einsum("oa,naixyz,ji->nojxyz", sigma.matrices(motion)[0], moved, rho.matrices(motion)[0])
            spaces = basis.view(-1, psi.dim, *basis.shape[1:])
            expected = torch.einsum("ba,sboixyz->saoixyz", psi.matrices(motion)[0], spaces).flatten(0, 1)
            torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


# ------------------------------------------------------------------------------------------------------------------
# Layers


def check(layer: nn.Module, inputs: SphericalFields, outputs: SphericalFields, x: Tensor) -> None:
    """Equivariance to all 24 or 48 motions of the grid."""
    G = CUBE[inputs.inversion]
    with torch.no_grad():
        size = float(layer(x).abs().max())
    assert size > 0.1
    eq.testing.assert_equivariant(layer.double(), inputs.action(G), outputs.action(G), x, tolerance=1e-9)


@GROUPS
@pytest.mark.parametrize(("size", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2)])
def test_convolutions_of_volumes_are_equivariant(inversion: bool, size: int, stride: int, padding: int) -> None:
    fields = fields_of(inversion)
    layer = SteerableConv3d(fields, fields.gated(), size, stride=stride, padding=padding).double()
    nn.init.normal_(layer.bias.weight)  # type: ignore[union-attr, arg-type]
    check(layer, fields, fields.gated(), torch.randn(1, fields.dim, 5, 5, 5).double())


@GROUPS
def test_norm_gate_and_pool_of_volumes_are_equivariant(inversion: bool) -> None:
    fields = fields_of(inversion, copies=2)
    x = torch.randn(2, fields.gated().dim, 5, 5, 5).double()
    norm = FieldNorm(fields.gated()).double()
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.normal_()
    assert norm.running_mean.shape == (2 * len(fields.parts) + 2,)  # of the gates and of the trivial irrep
    check(norm.train(), fields.gated(), fields.gated(), x)
    check(norm.eval(), fields.gated(), fields.gated(), x)
    check(GatedNonlinearity(fields).double(), fields.gated(), fields, x)
    check(AntialiasedPool3d(3, stride=2, padding=1).double(), fields, fields, x[:, : fields.dim])


def test_the_pool_is_a_window_of_a_gaussian() -> None:
    x = torch.randn(1, 2, 7, 7, 7).double()
    pooled = AntialiasedPool3d(5, stride=2, padding=1).double()(x)
    distance = torch.arange(-2, 3).double()
    window = torch.exp(-(distance[:, None, None] ** 2 + distance[:, None] ** 2 + distance**2) / 2 / 0.66**2)
    expected = (x[0, 1, 1:6, 1:6, 1:6] * window / window.sum()).sum()
    assert pooled.shape == (1, 2, 3, 3, 3)
    torch.testing.assert_close(pooled[0, 1, 1, 1, 1], expected)


def test_outputs_start_as_large_as_inputs() -> None:
    fields = fields_of(False, copies=4)
    variances = []
    for _ in range(5):
        layer = SteerableConv3d(fields, fields, 5, bias=False)
        y = layer(torch.randn(16, fields.dim, 5, 5, 5)).detach()
        variances.append(float(y.square().mean()))
    assert 0.6 < sum(variances) / 5 < 1.6


@pytest.mark.parametrize("layer", [SteerableConv3d, "partial"])
def test_what_layers_refuse(layer: Any) -> None:
    so3, o3 = fields_of(False), fields_of(True)
    likelihood = RotationLikelihood(1, inversion=False)
    more = () if layer is SteerableConv3d else (likelihood,)
    make = SteerableConv3d if layer is SteerableConv3d else PartialConv3d
    with pytest.raises(RepresentationError, match=r"got SO\(3\) and O\(3\)"):
        make(so3, o3, 3, *more)
    with pytest.raises(ActionError, match="size=2"):
        make(so3, so3, 2, *more)
    conv = make(so3, so3, 3, *more, stride=2)
    with pytest.raises(ActionError, match=r"expected fields \[B, 9, D, H, W\]; got shape \[1, 9, 5, 5\]"):
        conv(torch.zeros(1, 9, 5, 5))
    with pytest.raises(ActionError, match="border of 6 voxels"):
        conv(torch.zeros(1, 9, 6, 6, 6))
    if more:
        with pytest.raises(RepresentationError, match="likelihood and the fields"):
            PartialConv3d(o3, o3, 3, likelihood)
    with pytest.raises(RepresentationError, match="of one group"):
        SphericalFields((SphericalIrrep(0), SphericalIrrep(1, 1)), 1)
    with pytest.raises(RepresentationError, match="copies=0"):
        SphericalFields((SphericalIrrep(0),), 0)


# ------------------------------------------------------------------------------------------------------------------
# Likelihoods and partial convolutions


@GROUPS
@torch.no_grad()
def test_means_over_the_group_are_exact(inversion: bool) -> None:
    likelihood = RotationLikelihood(2, inversion=inversion).double()
    functions = likelihood.functions.value
    # Entries of irreps are orthogonal (Schur), and each function has the mean square 1.
    gram = (functions.T * likelihood.measure) @ functions
    torch.testing.assert_close(gram, torch.eye(len(gram)).double(), rtol=0, atol=1e-12)
    assert torch.equal(likelihood.motions[0], torch.eye(3).double()) and likelihood.measure[0] == 0
    assert float(likelihood.log_values().abs().max()) < 1e-12
    assert float(likelihood.degree()) == pytest.approx(1)
    nn.init.normal_(likelihood.coefficients)
    values = likelihood.log_values().exp()
    assert float(likelihood.measure @ values) == pytest.approx(1)
    logs = values.log()
    assert float(likelihood.degree()) == pytest.approx(
        math.exp(-float(divergence(logs, torch.zeros_like(logs), likelihood.measure)))
    )
    assert float(alignment(logs)) == pytest.approx(float((logs - logs[0]).max()))


@torch.no_grad()
def test_a_likelihood_without_mirrors_is_half_of_the_group() -> None:
    likelihood = RotationLikelihood(1, inversion=True).double()
    with torch.no_grad():
        likelihood.coefficients[1] = 20  # of the function that is 1 for rotations and −1 for the others
    values = likelihood.log_values().exp()
    determinants = torch.linalg.det(likelihood.motions)
    torch.testing.assert_close(values, (1 + determinants).detach(), rtol=0, atol=1e-12)
    assert float(likelihood.degree()) == pytest.approx(0.5)


@GROUPS
def test_a_uniform_likelihood_leaves_equivariant_kernels_and_another_none(inversion: bool) -> None:
    fields = fields_of(inversion, 1)
    layer = PartialConv3d(fields, fields, 3, RotationLikelihood(2, inversion=inversion), padding=1).double()
    x = torch.randn(1, fields.dim, 5, 5, 5).double()
    check(layer, fields, fields, x)
    nn.init.normal_(layer.likelihood.coefficients)
    with pytest.raises(AssertionError, match="largest difference"):
        check(layer, fields, fields, x)


def test_a_likelihood_without_mirrors_keeps_rotations_alone() -> None:
    fields = fields_of(True, 1)
    layer = PartialConv3d(fields, fields, 3, RotationLikelihood(2, inversion=True), padding=1).double()
    with torch.no_grad():
        layer.likelihood.coefficients[1] = 20
    G, x = CUBE[True], torch.randn(1, fields.dim, 5, 5, 5).double()
    act = fields.action(G)
    with torch.no_grad():
        errors = torch.stack([(layer(act(x, g)) - act(layer(x), g)).abs().max() for g in G.elements.split(1)])
    rotations_of_cube = torch.tensor([np.linalg.det(matrix_of(G, g)) > 0 for g in range(48)])
    assert float(errors[rotations_of_cube].max()) < 1e-9 < 0.01 < float(errors[~rotations_of_cube].min())


def matrix_of(G: eq.groups.Group, g: int) -> np.ndarray:
    """The motion of an element, read off what it does to a volume."""
    points = torch.zeros(3, 1, 3, 3, 3)
    for axis in range(3):
        points[axis, 0, 1 + (axis == 0), 1 + (axis == 1), 1 + (axis == 2)] = 1
    moved = eq.actions.volume(G)(points, torch.full((3,), g))
    return np.stack([np.argwhere(each[0].numpy())[0] - 1 for each in moved], 1)


@GROUPS
def test_a_partial_kernel_is_the_mean_of_moved_kernels(inversion: bool) -> None:
    """Of the kernel that the weights make at the identity, moved by two motions of the grid."""
    fields = fields_of(inversion, 1, copies=2)
    layer = PartialConv3d(fields, fields, 3, RotationLikelihood(2, inversion=inversion), bias=False).double()

    def kernel(shares: dict[int, float]) -> Tensor:
        means = []
        for psi in spherical_irreps(2, inversion=inversion):
            motions = torch.from_numpy(np.stack([matrix_of(G, g) for g in shares])).double()
            means.append(
                (torch.tensor(list(shares.values())).double()[:, None, None] * psi.matrices(motions)).sum(0).flatten()
            )
        return layer.expansion.kernel(layer.averaged(torch.cat(means)), layer.bases.value).detach()

    G = CUBE[inversion]
    one, other = G["r"], G.order - 1
    start = kernel({0: 1.0})
    act, matrices = eq.actions.volume(G), {}
    for g in (one, other):
        motion = torch.from_numpy(matrix_of(G, g)).double()[None]
        matrices[g] = torch.block_diag(
            *(m for part, n in fields.blocks for m in part.matrices(motion).expand(n, -1, -1))
        )
    moved = {
        g: torch.einsum("oa,aixyz,ji->ojxyz", rho, act(start, torch.full((len(start),), g)), rho)
        for g, rho in matrices.items()
    }
    torch.testing.assert_close(kernel({one: 0.3, other: 0.7}), 0.3 * moved[one] + 0.7 * moved[other])
    assert float((moved[one] - start).abs().max()) > 0.1


def test_partial_weights_reach_all_kernels_of_the_frequencies_and_no_more() -> None:
    vector = SphericalFields((SphericalIrrep(1),), 1)
    layer = PartialConv3d(vector, vector, 3, RotationLikelihood(2, inversion=False), bias=False).double()
    # Kernels between vectors are 0 ⊕ 1 ⊕ 2; with filters 0, 0, 1, 2 each product holds some irreps up to 2.
    products = [(j, f) for j in (0, 1, 2) for f in (0, 0, 1, 2)]
    dims = sum(2 * psi + 1 for j, f in products for psi in range(abs(j - f), min(2, j + f) + 1))
    assert layer.weight.shape == (dims,)

    def rank() -> int:
        columns = torch.func.jacrev(lambda w: torch.func.functional_call(_Kernel(layer), {"layer.weight": w}, ()))(
            layer.weight
        )
        return int(torch.linalg.matrix_rank(columns.flatten(0, 4).detach(), rtol=1e-8))

    assert rank() == 4
    nn.init.normal_(layer.likelihood.coefficients)
    assert rank() == dims


class _Kernel(nn.Module):
    def __init__(self, layer: PartialConv3d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self) -> Tensor:
        return self.layer.kernel()


# ------------------------------------------------------------------------------------------------------------------
# Networks

#: Two small residual blocks with all that there is in the large ones.
SMALL = VolumeClassifier(
    (
        Resize(9, "linear"),
        Residual((Conv(1, 3, 1, 1, frequency=1), Pool(3, 2, 1), Conv(2, 3, 2, 1)), (Pool(5, 2, 0), Conv(2, 3, 1, 1))),
        Residual((Conv(2, 3, 1, 1, frequency=1), Pool(3, 1, 0), Conv(4, 1)), (Conv(4, 3),)),
    ),
    classes=2,
)
#: Millions of parameters of the paper's table 5 at width 6, and of the published code at smaller widths.
PUBLISHED = {
    ("strict", False): {1: 0.004, 2: 0.015, 3: 0.033, 6: 0.128},
    ("strict", True): {1: 0.006, 2: 0.022, 3: 0.049, 6: 0.193},
    ("pathways", False): {1: 0.52, 2: 2.05, 3: 4.59, 6: 18.26},
    ("pathways", True): {1: 0.83, 2: 3.28, 3: 7.35, 6: 29.29},
}


def small(kind: str, inversion: bool) -> SteerableNetwork:
    network = steerable_volume_classifier(SMALL, CUBE[inversion], KINDS[kind])
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("bias", "bias.weight")):
                parameter.normal_()
    return network


def orbit(network: SteerableNetwork, inversion: bool, x: Tensor) -> Tensor:
    G = CUBE[inversion]
    with torch.no_grad():
        return network.encoder(eq.actions.volume(G)(x.expand(G.order, *x.shape[1:]), G.elements))


@GROUPS
@pytest.mark.parametrize("kind", ["strict", "partial"])
def test_features_of_volumes_are_invariant_to_the_motions_of_the_grid(kind: str, inversion: bool) -> None:
    network = small(kind, inversion).double()
    network.encoder(torch.randn(4, 1, 8, 8, 8).double())  # statistics of norms
    features = orbit(network.eval(), inversion, torch.randn(1, 1, 8, 8, 8).double())
    assert features.shape == (CUBE[inversion].order, 4)
    assert float((features - features[0]).abs().max()) < 1e-9 * float(features.abs().max())


@GROUPS
@pytest.mark.parametrize("kind", ["pathways", "partial"])
def test_the_others_can_tell_motions(kind: str, inversion: bool) -> None:
    network = small(kind, inversion)
    for layer in network.modules():
        if isinstance(layer, RotationLikelihood):
            nn.init.normal_(layer.coefficients)
    features = orbit(network.eval(), inversion, torch.randn(1, 1, 8, 8, 8))
    assert float((features - features[0]).abs().max()) > 0.01


@pytest.mark.parametrize(("kind", "inversion"), PUBLISHED)
def test_the_parameters_are_as_many_as_published(kind: str, inversion: bool) -> None:
    for width, millions in PUBLISHED[kind, inversion].items():
        network = steerable_volume_classifier(residual_network(2, width), CUBE[inversion], KINDS[kind])
        assert round(count(network) / 1e6, 3 if kind == "strict" else 2) == millions


def test_partial_networks_have_the_published_parameters_without_duplicates() -> None:
    """At width 1, where nothing is large; at width 6 they have 1.594 million, and 3.51 for O(3)."""
    network = steerable_volume_classifier(residual_network(2, 1), CUBE[False], partial_residuals)
    likelihoods = {id(layer.likelihood) for layer in network.modules() if isinstance(layer, PartialConv3d)}
    assert len(likelihoods) == 3
    # By hand: strict first convolutions and the rest, and for the others the irreps up to 2 in J ⊗ f.
    shells = {size: [frequency for frequency, _ in shell_filters(size)] for size in (1, 3, 5, 7)}

    def irreps(frequency: int, *, gated: bool = False) -> list[int]:
        return [0] * (frequency + 1) * gated + list(range(frequency + 1))

    def strict(inputs: list[int], outputs: list[int], size: int) -> int:
        return sum(abs(o - i) <= f <= o + i for o in outputs for i in inputs for f in shells[size])

    def partial(inputs: list[int], outputs: list[int], size: int) -> int:
        return sum(
            2 * psi + 1
            for o in outputs
            for i in inputs
            for j in range(abs(o - i), o + i + 1)
            for f in shells[size]
            for psi in range(abs(j - f), min(2, j + f) + 1)
        )

    low, high, scalar = irreps(2), irreps(3), [0]
    gated_low, gated_high = irreps(2, gated=True), irreps(3, gated=True)
    weights = strict(scalar, gated_low, 7) + 2 * partial(low, gated_high, 5) + 2 * partial(scalar, gated_high, 7)
    weights += 8 * strict(high, gated_high, 3) + 24 * partial(high, gated_high, 3) + 12 * partial(high, gated_high, 3)
    weights += 36 * strict(high, gated_low, 3) + 48 * partial(low, scalar, 1) + 48 * partial(high, scalar, 3)
    # One bias for each gate and trivial irrep; norms have a scale more; skips no norm; the last convolution no bias.
    biases = 1 * 4 + 2 * 5 + 2 * 5 + 4 * 5 + 6 * 5 + 6 * 5 + 6 * 4 + 8
    norms = 1 * 5 + 2 * 6 + 4 * 6 + 6 * 6 + 6 * 5
    gates = 1 * 3 + 2 * 4 + 4 * 4 + 6 * 4 + 6 * 3
    assert count(network) == weights + biases + norms + gates + 3 * 35 + 2 * 8 + 2 * 9


def test_both_paths_of_a_block_go_through_one_gate() -> None:
    block = small("strict", False).encoder.block2  # type: ignore[union-attr]
    assert isinstance(block, SteerableResidual) and isinstance(block.gate, GatedNonlinearity)
    x = torch.randn(1, 1, 9, 9, 9)
    torch.testing.assert_close(block.eval()(x), block.gate(block.main(x)) + block.gate(block.skip(x)))
    thresholds = [name for name, _ in block.named_parameters() if name.endswith("threshold")]
    assert len(thresholds) == 2  # one in the middle of the main path, one at the end of both


def test_the_penalty_of_pathways_by_hand() -> None:
    network = small("pathways", False)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(3 if ".strict." in name else 2)
    strict, free = (
        sum(p.numel() for n, p in network.named_parameters() if f".{part}." in n) for part in ("strict", "free")
    )
    assert sum(isinstance(layer, PathwayBlock) for layer in network.modules()) == 2
    torch.testing.assert_close(network.penalty(), torch.tensor(1e-5 * 9 * strict + 1e-3 * 4 * free))


def test_the_penalty_of_likelihoods_on_volumes_by_hand() -> None:
    network = small("partial", True).double()
    assert network.penalty().item() == pytest.approx(0, abs=1e-6)
    likelihoods = list(network._likelihoods().values())
    assert len(likelihoods) == 2
    log = math.log(3) / 2
    with torch.no_grad():  # rotations are three times as likely, then the others
        likelihoods[0].coefficients[1] = log
        likelihoods[1].coefficients[1] = -log
    away = (1.5 * math.log(1.5) + 0.5 * math.log(0.5)) / 2
    between = (0.5 * math.log(0.5 / 1.5) + 1.5 * math.log(1.5 / 0.5)) / 2
    expected = (5 * math.log(3) + away + between) / 2
    assert network.penalty().item() == pytest.approx(expected, rel=1e-6)
    assert network.degrees() == pytest.approx({"block2": math.exp(-away), "block3": math.exp(-away)})


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_volumes_learn_and_can_be_stored(kind: str) -> None:
    torch.manual_seed(0)
    network = small(kind, False)
    x, y = torch.randn(8, 1, 8, 8, 8), torch.arange(8) % 2
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y) + network.penalty()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())
    other = small(kind, False)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.eval()(x), network.eval()(x))


@pytest.mark.parametrize("group", [eq.groups.cyclic(4), eq.groups.tetrahedral(), eq.groups.symmetric(4)])
def test_other_groups_are_refused(group: eq.groups.Group) -> None:
    with pytest.raises(GroupError, match=r"octahedral\(\), which stands for SO\(3\)"):
        steerable_volume_classifier(SMALL, group, strict_residuals)
