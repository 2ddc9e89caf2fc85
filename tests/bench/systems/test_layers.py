"""The layers are equivariant, computed as described, differentiable and careful about what they are given."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.systems.steerable import (
    AntialiasedPool,
    FieldNorm,
    FieldType,
    GatedNonlinearity,
    GroupLikelihood,
    PartialConv2d,
    ResidualPathwayConv2d,
    SoftDisc,
    SteerableConv2d,
    kernel_basis,
)
from equilatent.errors import ActionError, RepresentationError
from equilatent.groups import Group

TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}


@pytest.fixture(params=TOLERANCES, ids=str)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """Both precisions; modules are made in float32 and converted."""
    return request.param


def check(layer: nn.Module, inputs: FieldType, outputs: FieldType, x: Tensor) -> None:
    layer = layer.to(x.dtype)
    with torch.no_grad():
        size = float(layer(x).abs().max())
    assert size > 0.1
    eq.testing.assert_equivariant(
        layer, inputs.action(), outputs.action(), x, tolerance=TOLERANCES[x.dtype] * max(1.0, size)
    )


def scrambled(layer: FieldNorm) -> FieldNorm:
    with torch.no_grad():
        for tensor in (layer.weight, layer.bias, layer.running_mean):
            tensor.normal_()
        layer.running_var.uniform_(0.5, 2)
    return layer


@pytest.mark.parametrize(("size", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (3, 2, 2), (5, 1, 2), (7, 2, 2)])
def test_steerable_convolutions_are_equivariant(
    fields: FieldType, dtype: torch.dtype, size: int, stride: int, padding: int
) -> None:
    layer = SteerableConv2d(fields, fields.gated(), size, stride=stride, padding=padding)
    nn.init.normal_(layer.bias.weight)  # type: ignore[union-attr, arg-type]
    check(layer, fields, fields.gated(), torch.randn(2, fields.dim, 9, 9, dtype=dtype))


def test_steerable_convolutions_of_regular_fields_are_equivariant(G: Group, dtype: torch.dtype) -> None:
    vector = FieldType((eq.reps.regular(G),), 3)
    layer = SteerableConv2d(vector, vector, 3, padding=1)
    nn.init.normal_(layer.bias.weight)  # type: ignore[union-attr, arg-type]
    assert layer.bias is not None and layer.bias.weight.shape == (3,)
    check(layer, vector, vector, torch.randn(2, vector.dim, 5, 5, dtype=dtype))


def test_partial_convolutions_are_equivariant_where_their_likelihood_is_uniform(
    fields: FieldType, dtype: torch.dtype
) -> None:
    layer = PartialConv2d(fields, fields, 5, padding=2)
    check(layer, fields, fields, torch.randn(2, fields.dim, 7, 7, dtype=dtype))


def test_partial_convolutions_are_not_equivariant_elsewhere(fields: FieldType) -> None:
    layer = PartialConv2d(fields, fields, 5, padding=2)
    nn.init.normal_(layer.likelihood.coefficients)
    x = torch.randn(2, fields.dim, 7, 7)
    with pytest.raises(AssertionError, match=r"largest difference is ([1-9]|0\.[1-9])"):
        check(layer, fields, fields, x)


def test_partial_convolutions_keep_the_subgroup_on_which_the_likelihood_is_constant() -> None:
    D4 = eq.groups.dihedral(4)
    fields = FieldType(eq.reps.irreps(D4, field="real"), 2)
    layer = PartialConv2d(fields, fields, 5, padding=2).double()
    functions = layer.likelihood.functions.value
    mirrored = torch.tensor([float("s" in name) for name in D4.names]).double()
    layer.likelihood.coefficients.data = functions.T @ mirrored / 8  # turns count e times less than mirrors
    x, action = torch.randn(1, fields.dim, 5, 5).double(), fields.action()
    with torch.no_grad():
        error = [float((layer(action(x, g)) - action(layer(x), g)).abs().max()) for g in torch.arange(8).split(1)]
    assert max(error[:4]) < 1e-10 and min(error[4:]) > 0.1


def test_a_partial_kernel_is_the_weighted_mean_of_moved_kernels(G: Group) -> None:
    """One copy of the regular representation; the kernel is moved pixel by pixel by the library's action."""
    rho = eq.reps.regular(G)
    fields = FieldType((rho,), 1)
    layer = PartialConv2d(fields, fields, 3, bias=False).double()
    logs = torch.randn(G.order).double()
    layer.likelihood.coefficients.data = layer.likelihood.functions.value.T @ logs / G.order
    weighted = logs.exp() / logs.exp().sum()
    from_identity = PartialConv2d(fields, fields, 3, bias=False).double()
    from_identity.weight = layer.weight
    at_identity = torch.full((G.order,), -60.0).double()
    at_identity[0] = 0
    from_identity.likelihood.coefficients.data = from_identity.likelihood.functions.value.T @ at_identity / G.order
    full = from_identity.kernel().detach()
    action = eq.actions.image(G)
    expected = torch.zeros_like(full)
    for g in range(G.order):
        pixels = action(full, torch.full((len(full),), g))
        turned = torch.einsum("ab,bcxy,dc->adxy", rho.matrix(g), pixels, rho.matrix(g))
        expected += weighted[g] * turned
    torch.testing.assert_close(layer.kernel().detach(), expected)


def test_a_partial_layer_reaches_all_kernels_of_the_band_and_a_uniform_one_the_equivariant_ones() -> None:
    rho = eq.reps.regular(eq.groups.cyclic(4))
    layer = PartialConv2d(FieldType((rho,), 1), FieldType((rho,), 1), 3, bias=False).double()
    assert layer.weight.shape == (96,)

    def rank() -> int:
        columns = torch.func.jacrev(lambda w: layer.expansion.kernel(w, shares() @ layer.moved.value))(layer.weight)
        return int(torch.linalg.matrix_rank(columns.flatten(0, 3).detach(), rtol=1e-8))

    def shares() -> Tensor:
        return layer.likelihood.log_values().exp() / 4

    assert rank() == 24
    nn.init.normal_(layer.likelihood.coefficients, generator=torch.Generator().manual_seed(0))
    assert rank() == 96


def test_weights_make_the_kernel_that_the_basis_says(G: Group) -> None:
    """One pair of irreps: the first weight of the second copy out and third copy in is the first basis element there."""
    sigma = eq.reps.irreps(G, field="real")[-1]
    inputs, outputs = FieldType((sigma,), 3), FieldType((sigma,), 2)
    layer = SteerableConv2d(inputs, outputs, 3).double()
    basis = kernel_basis(sigma, sigma, 3) * math.sqrt(sigma.dim)
    layer.weight.data.zero_()
    layer.weight.data.view(2, 3, len(basis))[1, 2, 0] = 1
    d = sigma.dim
    expected = torch.zeros(2 * d, 3 * d, 3, 3, dtype=torch.float64)
    expected[d:, 2 * d :] = basis[0]
    torch.testing.assert_close(layer.kernel().detach(), expected)


@pytest.mark.parametrize("make", [SteerableConv2d, PartialConv2d])
def test_outputs_start_with_variance_one(make: Callable[..., nn.Module], fields: FieldType) -> None:
    inputs, outputs = FieldType(fields.parts, 24), FieldType(fields.parts, 48)
    variance = make(inputs, outputs, 5)(torch.randn(4, inputs.dim, 12, 12)).var(dim=(0, 2, 3))
    start = 0
    for part, copies in outputs.blocks:
        mean = variance[start : start + copies * part.dim].mean().item()
        assert mean == pytest.approx(1, abs=0.15), part
        start += copies * part.dim


def test_a_free_path_of_zeros_leaves_the_strict_convolution(fields: FieldType) -> None:
    x = torch.randn(2, fields.dim, 5, 5)
    layer = ResidualPathwayConv2d(fields, fields, 3, padding=1)
    torch.testing.assert_close(layer(x), layer.strict(x) + layer.free(x), atol=1e-5, rtol=1e-5)
    for parameter in layer.free.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(layer(x), layer.strict(x))
    check(layer, fields, fields, x)


def test_the_gate_is_equivariant_and_does_what_it_says(fields: FieldType, dtype: torch.dtype) -> None:
    layer = GatedNonlinearity(fields)
    x = torch.randn(2, fields.gated().dim, 4, 4, dtype=dtype)
    check(layer, fields.gated(), fields, x)
    n, y = fields.copies, layer(x)
    channel = 0
    for number, part in enumerate(fields.parts):
        for copy in range(n):
            gate = torch.sigmoid(x[:, number * n + copy] - layer.threshold[number * n + copy])
            for _ in range(part.dim):
                torch.testing.assert_close(y[:, channel], x[:, layer.gates + channel] * gate)
                channel += 1
    assert channel == y.shape[1]


@pytest.mark.parametrize("training", [True, False])
def test_the_norm_is_equivariant(fields: FieldType, dtype: torch.dtype, training: bool) -> None:
    layer = scrambled(FieldNorm(fields.gated())).train(training)
    x = 3 * torch.randn(4, fields.gated().dim, 5, 5, dtype=dtype) + 1
    check(layer, fields.gated(), fields.gated(), x)


def test_the_norm_of_scalars_is_batch_norm(dtype: torch.dtype) -> None:
    scalars = FieldType((eq.reps.trivial(eq.groups.cyclic(4)),), 3)
    layer, known = FieldNorm(scalars).to(dtype), nn.BatchNorm2d(3).to(dtype)
    x = 2 * torch.randn(4, 3, 5, 5, dtype=dtype) + 5
    torch.testing.assert_close(layer(x), known(x))
    torch.testing.assert_close(layer.running_mean, known.running_mean)
    # Ours is the mean square, torch's divides by one less.
    torch.testing.assert_close(layer.running_var, 0.9 + 0.1 * x.var((0, 2, 3), correction=0))


def test_the_norm_of_a_field_by_hand(fields: FieldType) -> None:
    layer = FieldNorm(fields).double()
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = torch.randn(5, fields.dim, 3, 3, dtype=torch.float64) * 2 + 1
    y = layer(x)
    field, trivial = fields.field_of_channel(), fields.trivial_channels()
    centred = torch.where(trivial[:, None, None], x - x.mean((0, 2, 3))[:, None, None], x)
    for number in range(fields.copies):
        part = centred[:, field == number]
        expected = part / (part.square().mean() + layer.eps).sqrt() * layer.weight[number]
        # The trivial irrep comes first, so that it is the first channel of its field.
        expected[:, 0] = expected[:, 0] + layer.bias[number]
        torch.testing.assert_close(y[:, field == number], expected)


@pytest.mark.parametrize("training", [True, False])
def test_the_norm_of_regular_fields_is_batch_norm_with_common_statistics(
    G: Group, dtype: torch.dtype, training: bool
) -> None:
    regular = FieldType((eq.reps.regular(G),), 3)
    layer, known = scrambled(FieldNorm(regular)).to(dtype), nn.BatchNorm3d(3).to(dtype)
    known.load_state_dict(layer.state_dict(), strict=False)
    layer.train(training), known.train(training)
    x = 2 * torch.randn(4, regular.dim, 5, 5, dtype=dtype) + torch.arange(regular.dim)[:, None, None]
    torch.testing.assert_close(layer(x), known(x.unflatten(1, (3, G.order))).flatten(1, 2))
    torch.testing.assert_close(layer.running_mean, known.running_mean)
    check(layer, regular, regular, x)


def test_the_norm_shifts_along_the_invariant_vectors_of_a_part_alone() -> None:
    """Of the mirror of three channels the second stays, and the sum of the others; their difference keeps its mean."""
    D1 = eq.groups.dihedral(1)
    mirrored = FieldType((eq.reps.permutation(D1, {"s": [2, 1, 0]}),), 1)
    layer, x = FieldNorm(mirrored).double(), torch.randn(50, 3, 4, 4).double()
    x += torch.tensor([1.0, 5, 3])[:, None, None]
    mean = layer(x).mean((0, 2, 3))
    torch.testing.assert_close(mean[[0, 1]], -mean[[2, 1]])
    assert mean[0] < -0.1
    check(layer, mirrored, mirrored, x)


def test_the_pool_is_equivariant_and_keeps_constants(fields: FieldType, dtype: torch.dtype) -> None:
    x = torch.randn(2, fields.dim, 9, 9, dtype=dtype)
    check(AntialiasedPool(5, stride=2, padding=1), fields, fields, x)
    inside = AntialiasedPool(5, stride=1, padding=0)(torch.ones(1, 2, 5, 5))
    torch.testing.assert_close(inside, torch.ones(1, 2, 1, 1))
    window = AntialiasedPool(5, stride=1, padding=0).window.value
    assert float(window[2, 3] / window[2, 2]) == pytest.approx(math.exp(-1 / (2 * 0.66**2)))


def test_the_disc_by_hand() -> None:
    mask = SoftDisc(57)(torch.ones(1, 1, 57, 57))[0, 0]
    assert float(mask[28, 28]) == 1 and float(mask[28, 1]) == 1  # 27 pixels from the centre; the radius is 27.72
    assert float(mask[28, 0]) == pytest.approx(math.exp((27.72**2 - 28**2) / 4))
    assert float(mask[0, 0]) < 1e-80 or float(mask[0, 0]) == 0


@pytest.mark.parametrize("make", [SteerableConv2d, PartialConv2d, ResidualPathwayConv2d])
def test_gradients_reach_every_parameter_and_are_right(make: Callable[..., nn.Module]) -> None:
    C4 = eq.groups.cyclic(4)
    fields = FieldType((eq.reps.trivial(C4), eq.reps.defining(C4)), 1)
    layer = make(fields, fields, 3, padding=1).double()
    if isinstance(layer, PartialConv2d):
        nn.init.normal_(layer.likelihood.coefficients)
    names, start = zip(*layer.named_parameters(), strict=True)
    x = torch.randn(1, 3, 3, 3, dtype=torch.float64, requires_grad=True)

    def call(x: Tensor, *parameters: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), x)
        return output

    assert torch.autograd.gradcheck(call, (x, *start))


@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_norm_and_gate_are_right(training: bool) -> None:
    C4 = eq.groups.cyclic(4)
    fields = FieldType((eq.reps.trivial(C4), eq.reps.defining(C4)), 2)
    layer = nn.Sequential(scrambled(FieldNorm(fields.gated(), momentum=0.0)), GatedNonlinearity(fields)).double()
    layer.train(training)
    names, start = zip(*layer.named_parameters(), strict=True)
    x = torch.randn(2, fields.gated().dim, 2, 2, dtype=torch.float64, requires_grad=True)

    def call(x: Tensor, *parameters: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), x)
        return output

    assert torch.autograd.gradcheck(call, (x, *start))


@pytest.mark.parametrize("make", [SteerableConv2d, PartialConv2d, ResidualPathwayConv2d])
def test_layers_of_two_groups_are_refused(make: Callable[..., nn.Module]) -> None:
    scalars = [FieldType((eq.reps.trivial(group),), 1) for group in (eq.groups.cyclic(4), eq.groups.dihedral(4))]
    with pytest.raises(RepresentationError, match="one group; got C4 and D4"):
        make(*scalars, 3)


def test_unsuitable_images_are_refused(fields: FieldType) -> None:
    layer = SteerableConv2d(fields, fields, 3, stride=2)
    with pytest.raises(ActionError, match="does not end at the border of 6 pixels"):
        layer(torch.randn(1, fields.dim, 6, 6))
    with pytest.raises(ActionError, match="does not end at the border"):
        AntialiasedPool(5, stride=2, padding=1)(torch.randn(1, 2, 8, 8))
    with pytest.raises(ActionError, match=rf"\[B, {fields.dim}, H, W\]; got shape \[1, {fields.dim + 1}, 7, 7\]"):
        layer(torch.randn(1, fields.dim + 1, 7, 7))
    with pytest.raises(ActionError, match=r"expected fields"):
        GatedNonlinearity(fields)(torch.randn(1, fields.dim, 3, 3))
    with pytest.raises(ActionError, match="more than one value a channel"):
        FieldNorm(fields)(torch.randn(1, fields.dim, 1, 1))
    with pytest.raises(ActionError, match="more than one value a channel"):
        FieldNorm(fields)(torch.randn(0, fields.dim, 3, 3))


def test_unsuitable_fields_are_refused() -> None:
    C4, D4 = eq.groups.cyclic(4), eq.groups.dihedral(4)
    with pytest.raises(RepresentationError, match="representations of one group"):
        FieldType((eq.reps.trivial(C4), eq.reps.trivial(D4)), 1)
    with pytest.raises(RepresentationError, match="representations of one group"):
        FieldType((), 1)
    with pytest.raises(RepresentationError, match="copies=0"):
        FieldType((eq.reps.trivial(C4),), 0)
    with pytest.raises(RepresentationError, match="real orthogonal matrices"):
        FieldType(eq.reps.irreps(C4), 1)
    scalar, likelihood = FieldType((eq.reps.trivial(C4),), 1), GroupLikelihood(D4)
    with pytest.raises(RepresentationError, match="likelihood is one on D4"):
        PartialConv2d(scalar, scalar, 1, likelihood=likelihood)


@pytest.mark.parametrize("make", [SteerableConv2d, PartialConv2d, ResidualPathwayConv2d])
def test_what_has_no_invariant_direction_has_no_bias(make: Callable[..., nn.Module]) -> None:
    C4 = eq.groups.cyclic(4)
    arrows = FieldType((eq.reps.defining(C4),), 2)
    layer = make(arrows, arrows, 3, padding=1)
    assert all(parameter.numel() for parameter in layer.parameters())
    nothing = layer(torch.zeros(1, 4, 3, 3))
    if isinstance(layer, ResidualPathwayConv2d):  # the free path has its own
        assert torch.equal(nothing, layer.free(torch.zeros(1, 4, 3, 3))) and nothing.abs().min() > 0
    else:
        assert layer.bias is None and not nothing.any()


def test_layers_may_share_a_likelihood(fields: FieldType) -> None:
    likelihood = GroupLikelihood(fields.group)
    nn.init.normal_(likelihood.coefficients)
    before = likelihood.coefficients.detach().clone()
    layers = nn.ModuleList(PartialConv2d(fields, fields, 1, likelihood=likelihood) for _ in range(2))
    assert torch.equal(likelihood.coefficients, before)
    assert sum(name.endswith("coefficients") for name, _ in layers.named_parameters()) == 1


def test_an_empty_batch_passes_through_a_convolution(fields: FieldType) -> None:
    assert SteerableConv2d(fields, fields, 3)(torch.zeros(0, fields.dim, 5, 5)).shape == (0, fields.dim, 3, 3)


@pytest.mark.parametrize("make", [SteerableConv2d, PartialConv2d])
def test_kernels_are_not_rounded_by_autocast(make: Callable[..., nn.Module], fields: FieldType) -> None:
    layer = make(fields, fields, 3)
    exact = layer.kernel()  # type: ignore[operator]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.kernel(), exact)  # type: ignore[operator]
        assert layer(torch.randn(1, fields.dim, 3, 3)).dtype == torch.bfloat16


def test_tables_do_not_keep_the_rounding_of_a_lower_precision(fields: FieldType) -> None:
    layer = SteerableConv2d(fields, fields, 3)
    before = layer.double().bases.value
    assert torch.equal(layer.half().double().bases.value, before)
