"""The group-structured systems of the paper's table 4, for pairs of MNIST digits."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from equilatent.bench.baselines._fields import FieldType
from equilatent.bench.baselines._kernels import GroupLikelihood, alignment, divergence
from equilatent.bench.baselines._layers import (
    AntialiasedPool,
    FieldNorm,
    GatedNonlinearity,
    PartialConv2d,
    ResidualPathwayConv2d,
    SoftDisc,
    SteerableConv2d,
)
from equilatent.bench.networks import classification_head
from equilatent.errors import GroupError
from equilatent.groups import Group, cyclic, dihedral
from equilatent.reps import Representation, defining, irreps, trivial

__all__ = ["BaselineClassifier", "ddmnist_pscnn", "ddmnist_restriction", "ddmnist_rpp", "ddmnist_scnn"]

_Convolution: TypeAlias = Callable[..., nn.Module]
#: Weights of the squares in the penalty of the residual pathways: Gaussian priors, the free one 100 times narrower.
_STRICT, _FREE = 1e-5, 1e-3
#: Weights of the alignment, of the divergence between layers, and of that of the first layer from uniform.
_ALIGNMENT, _BETWEEN, _FIRST = 5.0, 3.0, 3.0


class BaselineClassifier(nn.Module):
    """A classifier with an encoder and a head, and what its layers add to the loss.

    Attributes:
        encoder: images [B, 1, 56, 56] to features [B, features].
        head: features to class scores: batch norm, ELU, a linear layer.
    """

    def __init__(self, encoder: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Class scores [B, classes] of images [B, 1, 56, 56]."""
        scores: Tensor = self.head(self.encoder(x))
        return scores

    def penalty(self) -> Tensor:
        """What is added to the loss of the task, a scalar; 0 for systems of strict layers alone.

        Residual pathways: 10⁻⁵ times the sum of the squares of all strict weights and biases, and 10⁻³ times that of the
        free ones (Finzi et al. 2021; the weights are those of Wang, Walters & Yu 2022).

        Partial convolutions, with λₙ in layer n of N (Veefkind & Cesa 2024): 1/N times the sum of 5 (max log λₙ − log λₙ(e))
        and 3 KL(λₙ ‖ λₙ₋₁), in which λₙ₋₁ is held constant and λ₀ is uniform.
        """
        total = next(self.head.parameters()).new_zeros(())
        for layer in self.encoder.modules():
            if isinstance(layer, ResidualPathwayConv2d):
                total = total + _STRICT * _square(layer.strict) + _FREE * _square(layer.free)
        values = [likelihood.log_values() for likelihood in self._likelihoods().values()]
        if values:
            aligned = torch.stack([alignment(value) for value in values])
            first = divergence(values[0], torch.zeros_like(values[0]))
            between = [divergence(value, before.detach()) for before, value in itertools.pairwise(values)]
            total = total + (_ALIGNMENT * aligned.sum() + _FIRST * first + _BETWEEN * sum(between)) / len(values)
        return total

    def degrees(self) -> dict[str, float]:
        """How equivariant each layer with a learned likelihood is, by the name of its block; empty if there is none.

        The numbers are those of `GroupLikelihood.degree`: 1 for full equivariance, 0 for no constraint.
        """
        with torch.no_grad():
            return {name: float(likelihood.degree()) for name, likelihood in self._likelihoods().items()}

    def likelihoods(self) -> dict[str, Tensor]:
        """λ(g) of each layer that learns it, [order] with mean 1, by the name of its block; empty if there is none."""
        with torch.no_grad():
            return {name: likelihood.log_values().exp() for name, likelihood in self._likelihoods().items()}

    def _likelihoods(self) -> dict[str, GroupLikelihood]:
        blocks = self.encoder.named_children()
        return {
            name: layer.likelihood
            for name, block in blocks
            for layer in block.modules()
            if isinstance(layer, PartialConv2d)
        }


def ddmnist_scnn(group: Group, features: int = 66, classes: int = 100, *, width: int = 6) -> BaselineClassifier:
    """The steerable network: its features are exactly invariant to one motion of the whole image (Weiler & Cesa 2019).

    As Veefkind & Cesa (2024) apply it to DDMNIST: images are enlarged bilinearly to 57×57 and faded out to a disc; five
    blocks of convolution, norm and gate; a last 1×1 convolution to the features. The group is one copy of that which
    moves each of the two digits, so the symmetry that is imposed is that of the digits moving together.

    Args:
        group: cyclic(4), dihedral(1) or dihedral(4), acting by `actions.image`.
        features: width of the latent, the output of ``encoder``; 66 in the paper's text, 48 by the counts in its table.
        classes: number of classes.
        width: fields of the first layer; the others have 2, 4, 6 and 6 times as many.

    Raises:
        GroupError: for another group.

    >>> import equilatent as eq
    >>> network = ddmnist_scnn(eq.groups.cyclic(4), features=48)
    >>> sum(parameter.numel() for parameter in network.parameters())
    116632
    """
    return _classifier_of(group, SteerableConv2d, features, classes, width)


def ddmnist_restriction(group: Group, features: int = 66, classes: int = 100, *, width: int = 6) -> BaselineClassifier:
    """`ddmnist_scnn`, with no symmetry imposed on the last two convolutions.

    Behind the fourth block the fields are read as fields of the trivial group, under which every channel is invariant by
    itself; the kernels stay band-limited (restriction, Weiler & Cesa 2019).

    Args:
        group: as of `ddmnist_scnn`.
        features: as of `ddmnist_scnn`.
        classes: as of `ddmnist_scnn`.
        width: as of `ddmnist_scnn`.

    Raises:
        GroupError: as `ddmnist_scnn`.
    """
    return _classifier_of(group, SteerableConv2d, features, classes, width, restrict=True)


def ddmnist_rpp(group: Group, features: int = 66, classes: int = 100, *, width: int = 6) -> BaselineClassifier:
    """`ddmnist_scnn` with an ordinary convolution beside each strict one: residual pathway priors (Finzi et al. 2021).

    Both are added before norm and gate. `BaselineClassifier.penalty` prefers the strict path.

    Args:
        group: as of `ddmnist_scnn`.
        features: as of `ddmnist_scnn`.
        classes: as of `ddmnist_scnn`.
        width: as of `ddmnist_scnn`.

    Raises:
        GroupError: as `ddmnist_scnn`.
    """
    return _classifier_of(group, ResidualPathwayConv2d, features, classes, width)


def ddmnist_pscnn(group: Group, features: int = 66, classes: int = 100, *, width: int = 6) -> BaselineClassifier:
    """`ddmnist_scnn` in which each convolution learns how equivariant it is: a partial steerable network.

    After Veefkind & Cesa (2024), with a likelihood for each of the six convolutions; see `PartialConv2d`, and for what
    keeps them near equivariance `BaselineClassifier.penalty`. `BaselineClassifier.degrees` tells what they have learned.

    Args:
        group: as of `ddmnist_scnn`.
        features: as of `ddmnist_scnn`.
        classes: as of `ddmnist_scnn`.
        width: as of `ddmnist_scnn`.

    Raises:
        GroupError: as `ddmnist_scnn`.

    >>> import equilatent as eq
    >>> network = ddmnist_pscnn(eq.groups.dihedral(4), width=1)
    >>> network.degrees()["block1"], network.likelihoods()["block1"].shape
    (1.0, torch.Size([8]))
    """
    return _classifier_of(group, PartialConv2d, features, classes, width)


def _classifier_of(
    group: Group, convolution: _Convolution, features: int, classes: int, width: int, *, restrict: bool = False
) -> BaselineClassifier:
    """The architecture that the four systems share."""
    parts = _field_parts(group)
    scalar = trivial(group)

    def block(inputs: FieldType, outputs: FieldType, size: int, stride: int, padding: int) -> nn.Sequential:
        gated = outputs.gated()
        conv = convolution(inputs, gated, size, stride=stride, padding=padding)
        return nn.Sequential(OrderedDict(conv=conv, norm=FieldNorm(gated), gate=GatedNonlinearity(outputs)))

    fields = [FieldType((scalar,), 1)] + [FieldType(parts, width * times) for times in (1, 2, 4, 6)]
    fourth, fifth = fields[4], FieldType(parts, 6 * width)
    if restrict:
        # Under the trivial group every basis of the channels is one of invariants, so the channels stay as they are.
        scalar = trivial(cyclic(1))
        fourth, fifth = FieldType((scalar,), fourth.dim), FieldType((scalar,), 6 * width)
    encoder = nn.Sequential(
        OrderedDict(
            resize=nn.Upsample(size=(57, 57), mode="bilinear"),
            disc=SoftDisc(57),
            block1=block(fields[0], fields[1], 7, 1, 2),
            block2=block(fields[1], fields[2], 5, 1, 2),
            pool2=AntialiasedPool(5, stride=2, padding=1),
            block3=block(fields[2], fields[3], 3, 2, 2),
            pool3=AntialiasedPool(5, stride=2, padding=1),
            block4=block(fields[3], fields[4], 3, 2, 0),
            block5=block(fourth, fifth, 3, 1, 1),
            pool5=AntialiasedPool(5, stride=1, padding=1),
            block6=convolution(fifth, FieldType((scalar,), features), 1, bias=False),
            flatten=nn.Flatten(),
        )
    )
    return BaselineClassifier(encoder, classification_head(features, classes))


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
        f"the DDMNIST baselines are made for cyclic(4), dihedral(1) and dihedral(4), one copy of the group that moves the "
        f"whole image; got {group!r}."
    )


def _square(module: nn.Module) -> Tensor:
    """The sum of the squares of all parameters."""
    return torch.stack([parameter.square().sum() for parameter in module.parameters()]).sum()
