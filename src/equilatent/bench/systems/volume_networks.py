"""Steerable networks on volumes, for SO(3) and O(3): strict, with free paths beside, or with learned equivariance."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from torch import Tensor, nn

from equilatent.bench.architecture import Conv, Pool, Residual, Resize, VolumeClassifier
from equilatent.bench.systems.ordinary import classification_head, ordinary_residual, resized_volume
from equilatent.bench.systems.penalised import PathwayBlock, SteerableNetwork
from equilatent.bench.systems.steerable import (
    AntialiasedPool3d,
    FieldNorm,
    GatedNonlinearity,
    PartialConv3d,
    RotationLikelihood,
    SphericalFields,
    SteerableConv3d,
    spherical_irreps,
)
from equilatent.errors import GroupError
from equilatent.groups import Group

__all__ = [
    "ResidualMaker",
    "SteerableResidual",
    "partial_residuals",
    "pathway_residuals",
    "steerable_volume_classifier",
    "strict_residuals",
]

#: Makes a residual block of its table and the fields that come in; whether it is the last one.
ResidualMaker: TypeAlias = Callable[[Residual, SphericalFields, bool], nn.Module]
_Convolution: TypeAlias = Callable[..., nn.Module]
#: The highest frequency of SO(3) and of O(3), of a learned likelihood, and of the kernels that it weighs.
_FREQUENCY = {False: 3, True: 2}
_LIKELIHOOD, _KERNELS = 2, 2


def steerable_volume_classifier(
    architecture: VolumeClassifier, group: Group, residuals: Callable[[bool], ResidualMaker]
) -> SteerableNetwork:
    """A classifier of steerable layers on volumes (Weiler et al. 2018, as Veefkind & Cesa 2024 have it).

    The motions that map the grid to itself leave the features of a strict network alone exactly.

    Args:
        architecture: the table; its channels are fields here.
        group: octahedral(), for SO(3), or octahedral(inversion=True), for O(3).
        residuals: `strict_residuals`, `pathway_residuals` or `partial_residuals`.

    Raises:
        GroupError: for another group.

    >>> import torch, equilatent as eq
    >>> from equilatent.bench.architecture import Conv, Pool, Residual, VolumeClassifier
    >>> last = Residual((Conv(2, 3, padding=1), Pool(3, 1, 0), Conv(8, 1)), (Conv(8, 3),))
    >>> table = VolumeClassifier((Residual((Conv(1, 3),), (Conv(1, 3),)), last), classes=2)
    >>> network = steerable_volume_classifier(table, eq.groups.octahedral(), strict_residuals)
    >>> network(torch.zeros(3, 1, 5, 5, 5)).shape
    torch.Size([3, 2])
    """
    if group.order not in (24, 48) or set(group.generators) not in ({"r", "c"}, {"r", "c", "i"}):
        raise GroupError(
            "the steerable networks on volumes are made for octahedral(), which stands for SO(3), and "
            f"octahedral(inversion=True), for O(3); got {group!r}."
        )
    inversion = "i" in group.generators
    make = residuals(inversion)
    fields = _scalars(architecture.channels, inversion)
    layers: list[tuple[str, nn.Module]] = []
    for number, block in enumerate(architecture.blocks, 1):
        if isinstance(block, Resize):
            layers.append(("resize", resized_volume(block)))
        elif isinstance(block, Pool):
            layers.append((f"pool{number}", _pool(block)))
        else:
            last = number == len(architecture.blocks)
            layers.append((f"block{number}", make(block, fields, last)))
            fields = _fields(_last_convolution(block), inversion)
    encoder = nn.Sequential(OrderedDict([*layers, ("flatten", nn.Flatten())]))
    head = classification_head(architecture.features, architecture.classes)
    return SteerableNetwork(encoder, head, between=1.0, first=1.0)


class SteerableResidual(nn.Module):
    """The sum of two paths, behind each of which there is the same gate, with the same thresholds.

    Attributes:
        main: the longer path.
        skip: the shorter one.
        gate: what both go through; None if they lead to invariant features.
    """

    def __init__(self, main: nn.Module, skip: nn.Module, gate: nn.Module | None) -> None:
        super().__init__()
        self.main = main
        self.skip = skip
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        """Both paths of x [B, C, D, H, W]."""
        paths = self.main(x), self.skip(x)
        total: Tensor = sum(paths) if self.gate is None else self.gate(paths[0]) + self.gate(paths[1])
        return total


def strict_residuals(inversion: bool) -> ResidualMaker:
    """Residual blocks of strict convolutions."""
    return lambda table, fields, last: _residual(table, fields, last, SteerableConv3d)


def pathway_residuals(inversion: bool) -> ResidualMaker:
    """Blocks of strict convolutions beside blocks of ordinary ones, as wide as what comes out of the gates."""

    def make(table: Residual, fields: SphericalFields, last: bool) -> nn.Module:
        def widened(path: tuple[Conv | Pool, ...]) -> tuple[Conv | Pool, ...]:
            return tuple(
                replace(block, channels=_fields(block, inversion).dim)
                if isinstance(block, Conv) and not (last and number == len(path))
                else block
                for number, block in enumerate(path, 1)
            )

        free = ordinary_residual(
            Residual(widened(table.main), widened(table.skip)), fields.dim, last=last, skip=None if last else nn.ELU
        )
        return PathwayBlock(_residual(table, fields, last, SteerableConv3d), free)

    return make


def partial_residuals(inversion: bool) -> ResidualMaker:
    """Blocks in which the last convolution and that of the skip learn one likelihood, the others are strict."""

    def make(table: Residual, fields: SphericalFields, last: bool) -> nn.Module:
        likelihood = RotationLikelihood(_LIKELIHOOD, inversion=inversion)

        def convolution(inputs: SphericalFields, outputs: SphericalFields, size: int, **settings: Any) -> nn.Module:
            return PartialConv3d(inputs, outputs, size, likelihood, frequency=_KERNELS, **settings)

        return _residual(table, fields, last, convolution)

    return make


def _residual(table: Residual, fields: SphericalFields, last: bool, convolution: _Convolution) -> SteerableResidual:
    """A block whose last convolutions, of both paths, are made by `convolution`; the others are strict."""
    inversion = fields.inversion
    gate = None if last else GatedNonlinearity(_fields(_last_convolution(table), inversion))
    paths = []
    for path, normed in ((table.main, True), (table.skip, False)):
        layers: list[nn.Module] = []
        inputs = fields
        for number, block in enumerate(path, 1):
            if isinstance(block, Pool):
                layers.append(_pool(block))
                continue
            settings: dict[str, Any] = {"stride": block.stride, "padding": block.padding}
            ends = number == len(path)
            if ends and last:
                features = _scalars(block.channels, inversion)
                layers.append(convolution(inputs, features, block.kernel, **settings, bias=not normed))
                continue
            outputs = _fields(block, inversion)
            gated = outputs.gated()
            layers.append((convolution if ends else SteerableConv3d)(inputs, gated, block.kernel, **settings))
            if normed:
                layers.append(FieldNorm(gated))
            if not ends:
                layers.append(GatedNonlinearity(outputs))
            inputs = outputs
        paths.append(nn.Sequential(*layers))
    return SteerableResidual(paths[0], paths[1], gate)


def _fields(block: Conv, inversion: bool) -> SphericalFields:
    """The fields behind a gate."""
    highest = _FREQUENCY[inversion]
    frequency = highest if block.frequency is None else min(block.frequency, highest)
    return SphericalFields(spherical_irreps(frequency, inversion=inversion), block.channels)


def _scalars(count: int, inversion: bool) -> SphericalFields:
    return SphericalFields(spherical_irreps(0, inversion=inversion)[:1], count)


def _last_convolution(table: Residual) -> Conv:
    return [block for block in table.main if isinstance(block, Conv)][-1]


def _pool(block: Pool) -> AntialiasedPool3d:
    return AntialiasedPool3d(block.kernel, stride=block.stride, padding=block.padding)
