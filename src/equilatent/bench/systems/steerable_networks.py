"""Steerable networks: strict, restricted behind a layer, with a free path beside it, or with learned equivariance."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from equilatent.actions import trivial as trivial_action
from equilatent.bench.architecture import Classifier, Conv, FieldPredictor, Pool, Resize, VolumeClassifier
from equilatent.bench.harness.system import System
from equilatent.bench.harness.task import Problem
from equilatent.bench.latents import feature_map_action
from equilatent.bench.systems.field_predictors import Norm, channel_norm, lifted_predictor, steerable_predictor
from equilatent.bench.systems.ordinary import classification_head
from equilatent.bench.systems.penalised import SteerableNetwork
from equilatent.bench.systems.relaxed import RelaxedGroupConv2d, RelaxedSteerableConv2d
from equilatent.bench.systems.steerable import (
    AntialiasedPool,
    FieldNorm,
    FieldType,
    GatedNonlinearity,
    PartialConv2d,
    ResidualPathwayConv2d,
    SoftDisc,
    SteerableConv2d,
)
from equilatent.bench.systems.volume_networks import (
    ResidualMaker,
    partial_residuals,
    pathway_residuals,
    steerable_volume_classifier,
    strict_residuals,
)
from equilatent.errors import GroupError
from equilatent.groups import Group, cyclic, dihedral
from equilatent.reps import Representation, defining, irreps, trivial

__all__ = [
    "Lift",
    "PartialSteerable",
    "RelaxedGroup",
    "RelaxedSteerable",
    "ResidualPathways",
    "Restricted",
    "Steerable",
    "SteerablePrediction",
    "steerable_classifier",
]

_Convolution: TypeAlias = Callable[..., nn.Module]
#: Behind so many convolutions the restricted network imposes no symmetry.
_RESTRICTED = 4


def steerable_classifier(
    architecture: Classifier, group: Group, convolution: _Convolution, *, restricted: bool = False
) -> SteerableNetwork:
    """A classifier of steerable layers, equivariant to a motion of the whole image (Weiler & Cesa 2019).

    As Veefkind & Cesa (2024) have it: images are enlarged bilinearly and faded out to a disc; each convolution is followed
    by norm and gate; a last 1×1 convolution leads to invariant features.

    Args:
        architecture: the table; its channels are fields here.
        group: cyclic(4), dihedral(1) or dihedral(4), acting by `actions.image`.
        convolution: the kind of its convolutions.
        restricted: read the fields behind the fourth convolution as fields of the trivial group, under which every channel
            is invariant by itself; the kernels stay band-limited (restriction, Weiler & Cesa 2019).

    Raises:
        GroupError: for another group.

    >>> import equilatent as eq
    >>> from equilatent.bench.architecture import Classifier, Conv
    >>> table = Classifier((Conv(2, 3), Conv(4, 3)), features=8, classes=3)
    >>> network = steerable_classifier(table, eq.groups.cyclic(4), SteerableConv2d)
    >>> network(torch.zeros(2, 1, 5, 5)).shape
    torch.Size([2, 3])
    """
    parts, scalar = _field_parts(group), trivial(group)
    fields = FieldType((scalar,), architecture.channels)
    layers: list[tuple[str, nn.Module]] = []
    count = 0
    for block in architecture.blocks:
        if isinstance(block, Resize):
            layers += [
                ("resize", nn.Upsample(size=(block.size, block.size), mode="bilinear")),
                ("disc", SoftDisc(block.size)),
            ]
        elif isinstance(block, Pool):
            layers.append((f"pool{count}", AntialiasedPool(block.kernel, stride=block.stride, padding=block.padding)))
        else:
            count += 1
            wanted = FieldType(parts, block.channels)
            layers.append((f"block{count}", _block(convolution, fields, wanted, block)))
            fields = wanted
            if restricted and count == _RESTRICTED:
                # Under the trivial group every basis of the channels is one of invariants, so they stay as they are.
                scalar = trivial(cyclic(1))
                fields, parts = FieldType((scalar,), fields.dim), (scalar,)
    last = convolution(fields, FieldType((scalar,), architecture.features), 1, bias=False)
    encoder = nn.Sequential(OrderedDict([*layers, (f"block{count + 1}", last), ("flatten", nn.Flatten())]))
    return SteerableNetwork(encoder, classification_head(architecture.features, architecture.classes))


def _block(convolution: _Convolution, inputs: FieldType, outputs: FieldType, block: Conv) -> nn.Sequential:
    gated = outputs.gated()
    conv = convolution(inputs, gated, block.kernel, stride=block.stride, padding=block.padding)
    return nn.Sequential(OrderedDict(conv=conv, norm=FieldNorm(gated), gate=GatedNonlinearity(outputs)))


class Steerable(System):
    """The steerable network, whose features are exactly invariant (Weiler & Cesa 2019), on augmented samples.

    The symmetry that is imposed is that of the whole image: of a product that acts on parts of it, the first factor. On
    volumes it is that of all rotations, or of all rotations and mirrors if the group has these, and samples are as they are.
    """

    name = "scnn"
    title = "steerable convolutions, invariant to the group of the whole image"
    builds: ClassVar[tuple[type, ...]] = (Classifier, VolumeClassifier)
    convolution: ClassVar[_Convolution] = SteerableConv2d
    restricted: ClassVar[bool] = False
    #: The norm of a predictor of fields, if it has one, and what puts its layers together.
    norm: ClassVar[Norm | None] = FieldNorm
    predictor: ClassVar[Callable[..., SteerableNetwork]] = steerable_predictor
    #: What makes the residual blocks of a classifier of volumes.
    residuals: ClassVar[Callable[[bool], ResidualMaker]] = strict_residuals

    model: SteerableNetwork

    def __init__(self, problem: Problem, architecture: Any, config: Any, seed: int) -> None:
        self.problem = problem
        group = problem.group.factors[0] if problem.group.factors else problem.group
        kind = type(self)
        if isinstance(architecture, VolumeClassifier):
            self.model = steerable_volume_classifier(architecture, problem.group, kind.residuals)
            # Invariant features, which a strict network has and the others may have.
            self.latent = trivial_action(problem.group)
        elif isinstance(architecture, FieldPredictor):
            self.model = kind.predictor(architecture, group, kind.convolution, kind.norm)
            # Regular fields: their grid turns, and in each point what the field consists of is permuted.
            self.latent = feature_map_action(
                group, "both", group.order * architecture.blocks[-1].channels, architecture.side
            )
        else:
            self.model = steerable_classifier(architecture, group, kind.convolution, restricted=kind.restricted)

    def loss(self, x: Any, y: Any, generator: torch.Generator | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The task loss, and what the layers add to it."""
        task, penalty = self.problem.loss(self.model, x, y), self.model.penalty()
        loss = task + penalty
        return loss, {"loss": loss.detach(), "task": task.detach(), "penalty": penalty.detach()}

    def report(self) -> dict[str, Any]:
        """The degree of equivariance of each layer that has learned it."""
        degrees = self.model.degrees()
        return {"degrees": degrees} if degrees else {}


class Restricted(Steerable):
    """`Steerable`, with no symmetry imposed behind the fourth convolution."""

    name = "restriction"
    title = "SCNN with no symmetry imposed behind the fourth block"
    builds = (Classifier,)
    restricted = True


class SteerablePrediction(Steerable):
    """Steerable convolutions on vector fields, exactly equivariant: regular fields between them, norm and ReLU.

    The samples are as they are: transformed ones would give the same loss.
    """

    name = "e2cnn"
    title = "steerable convolutions, exactly equivariant"
    builds = (FieldPredictor,)


class ResidualPathways(Steerable):
    """`Steerable` with an ordinary convolution beside each strict one, and a prior on both (Finzi et al. 2021).

    A predictor of fields has ordinary batch norm, which breaks the symmetry too, as each channel has a scale of its own.
    """

    name = "rpp"
    title = "each layer an equivariant path and a free one, with a prior on both"
    builds = (Classifier, FieldPredictor, VolumeClassifier)
    convolution = ResidualPathwayConv2d
    norm = channel_norm
    residuals = pathway_residuals


class PartialSteerable(Steerable):
    """`Steerable` in which each convolution learns how equivariant it is (Veefkind & Cesa 2024)."""

    name = "pscnn"
    title = "each layer learns to which elements it is equivariant"
    builds = (Classifier, FieldPredictor, VolumeClassifier)
    convolution = PartialConv2d
    residuals = partial_residuals


class Lift(Steerable):
    """Strict layers, whose features of an ordinary encoder of the whole field are given to them half way.

    That part breaks the symmetry; where it is constant over the group, the rest is exactly equivariant.
    """

    name = "lift"
    title = "steerable convolutions, and an ordinary encoder of the whole field beside them"
    builds = (FieldPredictor,)
    predictor = lifted_predictor


class RelaxedGroup(Steerable):
    """Group convolutions in which each element mixes filters of its own (Wang, Walters & Yu 2022), and ReLU.

    It starts exactly equivariant. There is neither bias nor norm. The samples are as they are.
    """

    name = "rgroup"
    title = "group convolutions with filters mixed for each element"
    builds = (FieldPredictor,)
    convolution = RelaxedGroupConv2d
    norm = None


class RelaxedSteerable(Steerable):
    """Steerable convolutions with weights for each position (Wang, Walters & Yu 2022), ReLU, and a penalty on differences.

    There is no norm: in the source there are norms in the count of parameters, but not in the forward pass.
    """

    name = "rsteer"
    title = "steerable convolutions with weights for each position of the kernel"
    builds = (FieldPredictor,)
    convolution = RelaxedSteerableConv2d
    norm = None


def _field_parts(group: Group) -> tuple[Representation, ...]:
    """The irreps in one hidden field, the trivial one first.

    Those up to the highest frequency of Veefkind & Cesa: all of C4 and D4; of D1 the trivial one alone.
    """
    if group == dihedral(1):
        return (trivial(group),)
    if group == cyclic(4) or group == dihedral(4):
        # The defining representation is the irrep of dimension 2, in the same matrices on every machine.
        lines = [rho for rho in irreps(group, field="real") if rho.dim == 1]
        return (*lines, defining(group))
    raise GroupError(
        f"the steerable networks are made for cyclic(4), dihedral(1) and dihedral(4), one copy of the group that acts on "
        f"the whole image; got {group!r}."
    )
