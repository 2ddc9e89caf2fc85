"""A network of steerable layers, and what they add to the loss."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from equilatent.bench.systems.relaxed import RelaxedSteerableConv2d
from equilatent.bench.systems.steerable import (
    GroupLikelihood,
    PartialConv2d,
    PartialConv3d,
    ResidualPathwayConv2d,
    RotationLikelihood,
    alignment,
    divergence,
)

__all__ = ["PathwayBlock", "SteerableNetwork"]

#: Weights of the squares in the penalty of the residual pathways: Gaussian priors, the free one 100 times narrower.
_STRICT, _FREE = 1e-5, 1e-3
#: Weight of the differences between positions in the penalty of relaxed steerable convolutions.
_VARIATION = 1e-5
#: Weights of the alignment, of the divergence between layers, and of that of the first layer from uniform.
_ALIGNMENT, _BETWEEN, _FIRST = 5.0, 3.0, 3.0


class PathwayBlock(nn.Module):
    """The sum of a block of strict layers and one of ordinary layers (residual pathway prior, Finzi et al. 2021).

    Attributes:
        strict: the equivariant one.
        free: the ordinary one, with outputs of the same shape.
    """

    def __init__(self, strict: nn.Module, free: nn.Module) -> None:
        super().__init__()
        self.strict = strict
        self.free = free

    def forward(self, x: Tensor) -> Tensor:
        """Both blocks of x."""
        total: Tensor = self.strict(x) + self.free(x)
        return total


class SteerableNetwork(nn.Module):
    """A network of an encoder and a head, and what its layers add to the loss.

    Attributes:
        encoder: images [B, channels, H, W], or volumes, to the latent.
        head: the latent to the output.
        between: the weight of the divergence between learned likelihoods of layers that follow each other.
        first: that of the first from uniform.
    """

    def __init__(
        self, encoder: nn.Module, head: nn.Module, *, between: float = _BETWEEN, first: float = _FIRST
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.between, self.first = between, first

    def forward(self, x: Tensor) -> Tensor:
        """The output of images [B, channels, H, W] or volumes."""
        output: Tensor = self.head(self.encoder(x))
        return output

    def penalty(self) -> Tensor:
        """What is added to the loss of the task, a scalar; 0 for systems of strict layers alone.

        Residual pathways, convolutions or each a `PathwayBlock`: 10⁻⁵ times the sum of the squares of all parameters of the
        strict path, and 10⁻³ times that of the free one (Finzi et al. 2021; the weights are those of Wang, Walters & Yu
        2022).

        Relaxed steerable convolutions: 10⁻⁵ times the sum over layers of their `variation` (Wang, Walters & Yu 2022; their
        code takes the square of this sum, about 10⁻¹⁰, which has no effect).

        Partial convolutions, with λₙ in layer n of N (Veefkind & Cesa 2024): 1/N times the sum of 5 (max log λₙ − log λₙ(e))
        and 3 KL(λₙ ‖ λₙ₋₁), in which λₙ₋₁ is held constant and λ₀ is uniform; on volumes 1 for 3, and λₙ of block n.
        """
        total = next(self.head.parameters()).new_zeros(())
        for layer in self.modules():
            if isinstance(layer, ResidualPathwayConv2d | PathwayBlock):
                total = total + _STRICT * _square(layer.strict) + _FREE * _square(layer.free)
            elif isinstance(layer, RelaxedSteerableConv2d):
                total = total + _VARIATION * layer.variation()
        likelihoods = list(self._likelihoods().values())
        if likelihoods:
            values, measure = [each.log_values() for each in likelihoods], likelihoods[0].measure
            aligned = torch.stack([alignment(value) for value in values])
            first = divergence(values[0], torch.zeros_like(values[0]), measure)
            between = [divergence(value, before.detach(), measure) for before, value in itertools.pairwise(values)]
            total = total + (_ALIGNMENT * aligned.sum() + self.first * first + self.between * sum(between)) / len(
                values
            )
        return total

    def degrees(self) -> dict[str, float]:
        """How equivariant each layer with a learned likelihood is, by the name of its block; empty if there is none.

        The head is called ``head``. The numbers are those of `GroupLikelihood.degree` or `RotationLikelihood.degree`: 1 for
        full equivariance, 0 for no constraint.
        """
        with torch.no_grad():
            return {name: float(likelihood.degree()) for name, likelihood in self._likelihoods().items()}

    def likelihoods(self) -> dict[str, Tensor]:
        """λ(g) of each layer that learns it, [order] with mean 1, by the name of its block; empty if there is none."""
        with torch.no_grad():
            return {name: likelihood.log_values().exp() for name, likelihood in self._likelihoods().items()}

    def _likelihoods(self) -> dict[str, GroupLikelihood | RotationLikelihood]:
        blocks = (*self.encoder.named_children(), ("head", self.head))
        return {
            name: layer.likelihood
            for name, block in blocks
            for layer in block.modules()
            if isinstance(layer, PartialConv2d | PartialConv3d)
        }


def _square(module: nn.Module) -> Tensor:
    """The sum of the squares of all parameters."""
    return torch.stack([parameter.square().sum() for parameter in module.parameters()]).sum()
