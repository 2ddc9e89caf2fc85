"""A network of steerable layers, and what they add to the loss."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from equilatent.bench.systems.relaxed import RelaxedSteerableConv2d
from equilatent.bench.systems.steerable import (
    GroupLikelihood,
    PartialConv2d,
    ResidualPathwayConv2d,
    alignment,
    divergence,
)

__all__ = ["SteerableNetwork"]

#: Weights of the squares in the penalty of the residual pathways: Gaussian priors, the free one 100 times narrower.
_STRICT, _FREE = 1e-5, 1e-3
#: Weight of the differences between positions in the penalty of relaxed steerable convolutions.
_VARIATION = 1e-5
#: Weights of the alignment, of the divergence between layers, and of that of the first layer from uniform.
_ALIGNMENT, _BETWEEN, _FIRST = 5.0, 3.0, 3.0


class SteerableNetwork(nn.Module):
    """A network of an encoder and a head, and what its layers add to the loss.

    Attributes:
        encoder: images [B, channels, H, W] to the latent.
        head: the latent to the output.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """The output of images [B, channels, H, W]."""
        output: Tensor = self.head(self.encoder(x))
        return output

    def penalty(self) -> Tensor:
        """What is added to the loss of the task, a scalar; 0 for systems of strict layers alone.

        Residual pathways: 10⁻⁵ times the sum of the squares of all strict weights and biases, and 10⁻³ times that of the
        free ones (Finzi et al. 2021; the weights are those of Wang, Walters & Yu 2022).

        Relaxed steerable convolutions: 10⁻⁵ times the sum over layers of their `variation` (Wang, Walters & Yu 2022; their
        code takes the square of this sum, about 10⁻¹⁰, which has no effect).

        Partial convolutions, with λₙ in layer n of N (Veefkind & Cesa 2024): 1/N times the sum of 5 (max log λₙ − log λₙ(e))
        and 3 KL(λₙ ‖ λₙ₋₁), in which λₙ₋₁ is held constant and λ₀ is uniform.
        """
        total = next(self.head.parameters()).new_zeros(())
        for layer in self.modules():
            if isinstance(layer, ResidualPathwayConv2d):
                total = total + _STRICT * _square(layer.strict) + _FREE * _square(layer.free)
            elif isinstance(layer, RelaxedSteerableConv2d):
                total = total + _VARIATION * layer.variation()
        values = [likelihood.log_values() for likelihood in self._likelihoods().values()]
        if values:
            aligned = torch.stack([alignment(value) for value in values])
            first = divergence(values[0], torch.zeros_like(values[0]))
            between = [divergence(value, before.detach()) for before, value in itertools.pairwise(values)]
            total = total + (_ALIGNMENT * aligned.sum() + _FIRST * first + _BETWEEN * sum(between)) / len(values)
        return total

    def degrees(self) -> dict[str, float]:
        """How equivariant each layer with a learned likelihood is, by the name of its block; empty if there is none.

        The head is called ``head``. The numbers are those of `GroupLikelihood.degree`: 1 for full equivariance, 0 for no
        constraint.
        """
        with torch.no_grad():
            return {name: float(likelihood.degree()) for name, likelihood in self._likelihoods().items()}

    def likelihoods(self) -> dict[str, Tensor]:
        """λ(g) of each layer that learns it, [order] with mean 1, by the name of its block; empty if there is none."""
        with torch.no_grad():
            return {name: likelihood.log_values().exp() for name, likelihood in self._likelihoods().items()}

    def _likelihoods(self) -> dict[str, GroupLikelihood]:
        blocks = (*self.encoder.named_children(), ("head", self.head))
        return {
            name: layer.likelihood
            for name, block in blocks
            for layer in block.modules()
            if isinstance(layer, PartialConv2d)
        }


def _square(module: nn.Module) -> Tensor:
    """The sum of the squares of all parameters."""
    return torch.stack([parameter.square().sum() for parameter in module.parameters()]).sum()
