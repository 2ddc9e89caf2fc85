"""The library's own steerable kernels and networks are those of escnn, an independent implementation.

Runs in the environment of ``make baselines``; elsewhere it is skipped.
"""

import functools
import itertools
import warnings
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("escnn", reason="escnn has an environment of its own: make baselines")

from escnn_networks import escnn_restriction, escnn_scnn
from steerable_systems import steerable

import equilatent as eq
from equilatent.bench.systems.steerable import (
    FieldNorm,
    FieldType,
    SteerableConv2d,
    band_limited_filters,
    kernel_basis,
)
from equilatent.groups import Group, cyclic, dihedral
from equilatent.reps import Representation, irreps

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*py3nj")
    import escnn.group
    import escnn.gspaces
    import escnn.nn

NAMES = ("C4", "D1", "D4")
REFERENCES = {"SCNN": escnn_scnn, "Restriction": escnn_restriction}
OURS = {
    "SCNN": functools.partial(steerable, "scnn"),
    "Restriction": functools.partial(steerable, "restriction"),
}
#: Millions of parameters with 48 and 66 features: those with 48 are in table 1 of Veefkind & Cesa (2024).
MILLIONS = {
    ("SCNN", "C4"): (0.117, 0.119),
    ("SCNN", "D1"): (0.028, 0.031),
    ("SCNN", "D4"): (0.146, 0.148),
    ("Restriction", "C4"): (0.124, 0.127),
    ("Restriction", "D1"): (0.033, 0.036),
    ("Restriction", "D4"): (0.170, 0.172),
}


class Pair(NamedTuple):
    """An irrep of escnn, ours that is equivalent to it, and the orthogonal T with ours(g) T = T theirs(g)."""

    theirs: Any
    ours: Representation
    change: Tensor


def group(name: str) -> Group:
    return {"C1": cyclic(1), "C4": cyclic(4), "D1": dihedral(1), "D4": dihedral(4)}[name]


@functools.cache
def space(name: str) -> Any:
    make = {
        "C1": escnn.gspaces.trivialOnR2,
        "C4": lambda: escnn.gspaces.rot2dOnR2(4),
        "D1": lambda: escnn.gspaces.flip2dOnR2(axis=torch.pi / 2),
        "D4": lambda: escnn.gspaces.flipRot2dOnR2(4, axis=torch.pi / 2),
    }
    return make[name]()


@functools.cache
def elements(name: str) -> list[tuple[Any, int]]:
    """escnn's elements, each with ours that moves an image in the same way."""
    G, x = group(name), torch.arange(25.0).reshape(1, 1, 5, 5)
    moved = eq.actions.image(G)(x.expand(G.order, -1, -1, -1), G.elements)
    scalar = escnn.nn.FieldType(space(name), [space(name).trivial_repr])
    found = []
    for theirs in space(name).fibergroup.elements:
        same = torch.isclose(torch.as_tensor(scalar.transform(x, theirs)), moved, atol=1e-3).flatten(1).all(1)
        (ours,) = same.nonzero()[:, 0].tolist()
        found.append((theirs, ours))
    return found


def pair(name: str, ours: Representation) -> Pair:
    """The irrep of escnn that is equivalent to ours."""
    for theirs in space(name).fibergroup.irreps():
        matrices = [(ours.matrix(g), torch.as_tensor(theirs(h)).double()) for h, g in elements(name)]
        if all(torch.isclose(a.trace(), b.trace(), atol=1e-6) for a, b in matrices):
            start = torch.arange(1.0, 1 + ours.dim**2).double().reshape(ours.dim, ours.dim)
            change = sum((a @ start @ b.T for a, b in matrices), torch.zeros(ours.dim, ours.dim).double())
            return Pair(theirs, ours, change / change.norm() * ours.dim**0.5)
    raise AssertionError(f"escnn has no irrep like {ours}")


@functools.cache
def pairs(name: str) -> list[Pair]:
    return [pair(name, ours) for ours in irreps(group(name), field="real")]


def kernels_of(layer: Any) -> Tensor:
    """The kernels that the weights of escnn's convolution multiply, float64 [weights, out, in, pixels]."""
    return torch.stack([layer.basisexpansion(unit) for unit in torch.eye(len(layer.weights))]).double()


def change_basis(kernels: Tensor, outputs: Tensor, inputs: Tensor) -> Tensor:
    """Kernels [..., out, in, pixels] between theirs as kernels between ours."""
    return torch.einsum("ao,...oip,bi->...abp", outputs, kernels, inputs)


def basis_of_theirs(name: str, first: Pair, second: Pair, size: int) -> Tensor:
    """escnn's basis of the kernels from one irrep to another, in the matrices of ours, [elements, out, in, pixels]."""
    inputs, outputs = (escnn.nn.FieldType(space(name), [pair.theirs]) for pair in (first, second))
    try:
        layer = escnn.nn.R2Conv(inputs, outputs, size, bias=False, initialize=False)
    except ValueError as error:  # its way to say that there is none
        assert "basis for the steerable filter is empty" in str(error)  # noqa: PT017
        return torch.zeros(0, second.ours.dim, first.ours.dim, size**2).double()
    return change_basis(kernels_of(layer), second.change, first.change)


def outside(vectors: Tensor, span: Tensor) -> float:
    """The largest part of a row of `vectors` that is orthogonal to all rows of `span`, against the row's norm."""
    if not len(vectors):
        return 0.0
    q = torch.linalg.qr(span.T).Q
    return float(((vectors - (vectors @ q) @ q.T).norm(dim=1) / vectors.norm(dim=1)).max())


@pytest.mark.parametrize("name", [*NAMES, "C1"])
def test_the_irreps_are_equivalent(name: str) -> None:
    assert len({pair.theirs.id for pair in pairs(name)}) == len(space(name).fibergroup.irreps())
    for (theirs_irrep, ours_irrep, change), (theirs, ours) in itertools.product(pairs(name), elements(name)):
        matrix = torch.as_tensor(theirs_irrep(theirs)).double()
        torch.testing.assert_close(ours_irrep.matrix(ours) @ change, change @ matrix, atol=1e-6, rtol=0)
        torch.testing.assert_close(change @ change.T, torch.eye(len(change)).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("size", "count"), [(1, 1), (3, 6), (5, 11), (7, 18)])
def test_the_filters_are_the_same(size: int, count: int) -> None:
    (scalar,) = pairs("C1")
    theirs, ours = basis_of_theirs("C1", scalar, scalar, size).flatten(1), band_limited_filters(size).flatten(1)
    assert len(theirs) == len(ours) == torch.linalg.matrix_rank(theirs, rtol=1e-4) == count
    assert outside(ours, theirs) < 1e-6
    # Not the span alone: each filter is one of theirs up to its sign, both being of norm 1.
    torch.testing.assert_close((ours @ theirs.T).abs().amax(1), torch.ones(count).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("name", NAMES)
def test_the_kernels_between_irreps_span_the_same(name: str, size: int) -> None:
    for first, second in itertools.product(pairs(name), repeat=2):
        theirs = basis_of_theirs(name, first, second, size).flatten(1)
        ours = kernel_basis(second.ours, first.ours, size).flatten(1)
        assert len(theirs) == len(ours)
        assert not len(theirs) or torch.linalg.matrix_rank(theirs, rtol=1e-4) == len(ours)
        assert outside(ours, theirs) < 1e-6
        # escnn's elements have norm 1 for each outgoing channel.
        squares = theirs.square().sum(1)
        torch.testing.assert_close(squares, torch.full_like(squares, second.ours.dim), rtol=1e-5, atol=0)


def parts(name: str) -> tuple[Representation, ...]:
    """What the fields of our hidden layers are made of."""
    network = OURS["SCNN"](group(name), 1, 1, width=1)
    return network.encoder.block1.gate.fields.parts


def gated_fields(name: str, copies: int) -> Any:
    """The fields of escnn's hidden layers, with their gates."""
    irreps_of_theirs = [irrep for irrep in space(name).fibergroup.irreps() if name != "D1" or irrep.is_trivial()]
    gates = [space(name).trivial_repr] * len(irreps_of_theirs)
    return escnn.nn.FieldType(space(name), [escnn.group.directsum(gates + irreps_of_theirs, name="gated")] * copies)


def channels(name: str, parts: tuple[Representation, ...], copies: int, *, gates: int = 0) -> Tensor:
    """Q with ours = Q theirs for the channels of several fields: theirs are field by field, ours part by part."""
    matched = [pair(name, part) for part in parts]
    order = sorted(range(len(parts)), key=lambda i: list(space(name).fibergroup.irreps()).index(matched[i].theirs))
    of_one = torch.block_diag(torch.eye(gates), *(matched[i].change for i in order)).double()
    theirs = torch.kron(torch.eye(copies).double(), of_one).unflatten(1, (copies, -1)).unflatten(0, (copies, -1))
    dims = [parts[i].dim for i in order]
    starts = dict(zip(order, itertools.accumulate(dims, initial=gates), strict=False))
    rows = [theirs[:, order.index(i)] for i in range(gates)]
    blocks = [theirs[:, starts[i] : starts[i] + part.dim].flatten(0, 1) for i, part in enumerate(parts)]
    return torch.cat([*rows, *blocks]).flatten(1)


@pytest.mark.parametrize(("name", "size"), [("C4", 1), ("C4", 3), ("D1", 3), ("D4", 1), ("D4", 3)])
def test_the_weights_start_from_the_same_distribution(name: str, size: int) -> None:
    """The dense kernels have the same covariance: weights are independent, so it is that of the scaled elements."""
    of_ours = FieldType(parts(name), 2)
    fields = [gated_fields(name, copies) for copies in (2, 1)]
    theirs = escnn.nn.R2Conv(*fields, size, bias=False)
    ours = SteerableConv2d(of_ours.gated(), FieldType(of_ours.parts, 1).gated(), size, bias=False)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = torch.zeros_like(theirs.weights)
        escnn.nn.init.generalized_he_init(drawn, theirs.basisexpansion)
        torch.manual_seed(0)
        deviations = (drawn / torch.randn_like(drawn)).double()
    q_in, q_out = (channels(name, of_ours.parts, copies, gates=len(of_ours.parts)) for copies in (2, 1))
    scaled = change_basis(kernels_of(theirs) * deviations[:, None, None, None], q_out, q_in).flatten(1)
    units = torch.eye(len(ours.weight)).double()
    bases = ours.double().bases.value
    scaled_ours = torch.stack([ours.expansion.kernel(unit, bases) for unit in units]).flatten(1)
    scaled_ours = scaled_ours * ours.expansion.deviations().double()[:, None]
    torch.testing.assert_close(scaled_ours.T @ scaled_ours, scaled.T @ scaled, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_norms_differ_in_training_by_the_correction_of_the_variance_alone(name: str) -> None:
    """escnn divides by n − 1. It also centres the variance of channels that are not trivial; here their mean is 0."""
    fields = FieldType(parts(name), 3)
    theirs, ours = escnn.nn.IIDBatchNorm2d(gated_fields(name, 3)), FieldNorm(fields.gated())
    q = channels(name, fields.parts, 3, gates=len(fields.parts))
    x = torch.randn(2, len(q), 4, 4, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 1 + len(q)).view(
        -1, 1, 1
    )
    x = x - x.mean((0, 2, 3), keepdim=True)
    x = x + 5 * (q.T @ fields.gated().trivial_channels().double()).float().view(-1, 1, 1)
    n = x.numel() / len(q)
    y = ours(torch.einsum("ab,nbhw->nahw", q.float(), x))
    expected = torch.einsum("ab,nbhw->nahw", q.float(), theirs(theirs.in_type(x)).tensor)
    torch.testing.assert_close(y * ((n - 1) / n) ** 0.5, expected, atol=1e-5, rtol=1e-4)
    (variance,) = (buffer[:, 0] for key, buffer in theirs.named_buffers() if key.endswith("running_var"))
    torch.testing.assert_close((ours.running_var - 0.9) * n / (n - 1), variance - 0.9, atol=1e-4, rtol=1e-4)


def images(count: int) -> Tensor:
    """Smooth random images."""
    coarse = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(count))
    return nn.functional.interpolate(coarse, size=(56, 56), mode="bicubic")


@functools.cache
def reference(kind: str, name: str, features: int) -> nn.Sequential:
    """A network of escnn in evaluation mode, with statistics and norms of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = REFERENCES[kind](name, features)
        for layer in network.modules():
            if isinstance(layer, (escnn.nn.IIDBatchNorm2d, nn.BatchNorm1d)):
                layer.momentum = 1.0  # the statistics are those of the one batch below
                for key, parameter in layer.named_parameters():
                    nn.init.normal_(parameter, mean=1.0 if key.endswith("weight") else 0.0, std=0.3)
            if isinstance(layer, escnn.nn.R2Conv) and layer.bias is not None:
                nn.init.normal_(layer.bias)
        with torch.no_grad():
            network(images(8))
    return network.eval()


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("kind", "name"), MILLIONS)
def test_the_parameters_are_those_of_the_table(kind: str, name: str) -> None:
    for features, millions in zip((48, 66), MILLIONS[kind, name], strict=True):
        parameters = count(reference(kind, name, features))
        assert round(parameters / 1e6, 3) == millions
        assert count(OURS[kind](group(name), features)) == parameters


def test_classes_and_width_are_free() -> None:
    network = escnn_scnn("D1", features=5, classes=3, width=2)
    assert network.encoder(torch.rand(2, 1, 56, 56)).shape == (2, 5)
    assert network(torch.rand(2, 1, 56, 56)).shape == (2, 3)
    assert [type(layer) for layer in network.head] == [nn.BatchNorm1d, nn.ELU, nn.Linear]


def turned(x: Tensor) -> Tensor:
    return torch.rot90(x, dims=(2, 3))


def mirrored(x: Tensor) -> Tensor:
    return x.flip(3)


def turned_and_mirrored(x: Tensor) -> Tensor:
    return mirrored(turned(x))


@pytest.mark.parametrize(
    ("name", "symmetries", "others"),
    [
        ("C4", [turned], [mirrored, turned_and_mirrored]),
        ("D1", [mirrored], [turned, turned_and_mirrored]),
        ("D4", [turned, mirrored, turned_and_mirrored], []),
    ],
)
def test_the_encoder_is_invariant_under_its_group_alone(name: str, symmetries: list[Any], others: list[Any]) -> None:
    x = images(4)

    @torch.no_grad()
    def change(kind: str, move: Any) -> float:
        encoder = reference(kind, name, 48).encoder
        z = encoder(x)
        return float((encoder(move(x)) - z).abs().max() / (z - z.mean(0)).abs().max())

    for move in symmetries:
        assert change("SCNN", move) < 1e-5
        assert change("Restriction", move) > 1e-2
    for move in others:
        assert change("SCNN", move) > 1e-2


def copy_convolution(theirs: Any, ours: SteerableConv2d, q_out: Tensor, q_in: Tensor) -> None:
    """Give ours the kernel and the bias of theirs: the least squares solution, by conjugate gradients."""
    target = change_basis(theirs.filter.double().flatten(2), q_out, q_in).unflatten(2, (ours.expansion.size,) * 2)
    weight = torch.zeros_like(ours.weight)

    def adjoint(kernel: Tensor) -> Tensor:
        return torch.autograd.grad(ours.kernel(), ours.weight, kernel)[0]

    residual = adjoint(target)
    direction, square = residual, residual.square().sum()
    for _ in range(60):
        with torch.no_grad():
            ours.weight.copy_(direction)
        image = adjoint(ours.kernel().detach())
        step = square / (direction @ image)
        weight, residual = weight + step * direction, residual - step * image
        before, square = square, residual.square().sum()
        if square < 1e-24:
            break
        direction = residual + square / before * direction
    with torch.no_grad():
        ours.weight.copy_(weight)
        torch.testing.assert_close(ours.kernel(), target, atol=1e-5, rtol=0)
        if ours.bias is not None:
            bias = q_out @ theirs.expanded_bias.double()
            ours.bias.weight.copy_(torch.linalg.lstsq(ours.bias.directions.value.T, bias[:, None]).solution[:, 0])
            torch.testing.assert_close(ours.bias(), bias)


@torch.no_grad()
def copy_norm(theirs: Any, ours: FieldNorm, q: Tensor) -> None:
    (kind,) = {field.name for field in theirs.in_type.representations}
    trivial = ours.fields.trivial_channels()
    shift = getattr(theirs, f"{kind}_bias") @ getattr(theirs, f"{kind}_change_of_basis").T
    ours.weight.copy_(getattr(theirs, f"{kind}_weight")[:, 0])
    ours.bias.copy_((q @ shift.double().flatten())[trivial])
    ours.running_var.copy_(getattr(theirs, f"{kind}_running_var")[:, 0])
    ours.running_mean.copy_((q @ getattr(theirs, f"{kind}_running_mean").double().flatten())[trivial])


@torch.no_grad()
def copy_gate(name: str, theirs: Any, ours: Any) -> None:
    """Theirs has the thresholds of the irreps of dimension 1 first, field by field; ours part by part."""
    matched = [pair(name, part) for part in ours.fields.parts]
    order = sorted(range(len(matched)), key=lambda i: list(space(name).fibergroup.irreps()).index(matched[i].theirs))
    places = sorted(itertools.product(range(ours.fields.copies), order), key=lambda place: matched[place[1]].ours.dim)
    for threshold, (copy, part) in zip(theirs.bias[0], places, strict=True):
        ours.threshold[part * ours.fields.copies + copy] = threshold


def copied(kind: str, name: str, features: int) -> nn.Module:
    """Our network with the numbers of escnn's."""
    theirs, ours = reference(kind, name, features), OURS[kind](group(name), features).double().eval()
    encoder = ours.encoder
    q_in = torch.ones(1, 1).double()
    blocks = [(1, encoder.block1), (2, encoder.block2), (4, encoder.block3), (6, encoder.block4), (8, encoder.block5)]
    for place, block in blocks:
        block_of_theirs, fields = theirs.encoder[place], block.gate.fields
        tail = "C1" if kind == "Restriction" and place == 8 else name
        q_gated = channels(tail, fields.parts, fields.copies, gates=len(fields.parts))
        copy_convolution(block_of_theirs.convolution, block.conv, q_gated, q_in)
        copy_norm(block_of_theirs.norm, block.norm, q_gated)
        copy_gate(tail, block_of_theirs.gate, block.gate)
        q_in = channels(tail, fields.parts, fields.copies)
    copy_convolution(theirs.encoder[10], encoder.block6, torch.eye(features).double(), q_in)
    ours.head.load_state_dict(theirs.head.state_dict())
    return ours.float()


@pytest.mark.parametrize(("kind", "name"), MILLIONS)
def test_the_networks_are_the_same_function(kind: str, name: str) -> None:
    theirs, ours = reference(kind, name, 48), copied(kind, name, 48)
    x = images(4)
    with torch.no_grad():
        for expected, actual in ((theirs.encoder(x), ours.encoder(x)), (theirs(x), ours(x))):
            # Against what tells the images apart.
            scale = float((expected - expected.mean(0)).abs().max())
            torch.testing.assert_close(actual, expected, atol=1e-4 * scale, rtol=0)
