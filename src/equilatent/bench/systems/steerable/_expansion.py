"""From the weights of a steerable convolution to the kernel of the ordinary convolution that it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equilatent.bench.systems.steerable._fields import Fields

__all__ = ["Expansion"]


@dataclass(frozen=True, eq=False)
class Expansion:
    """The kernels between two kinds of fields, one space of kernels for each pair of their blocks.

    A pair of blocks, n copies of ρ and m copies of σ, has n·m weights for each element of a basis of kernels from ρ to σ.
    All weights are one vector: by outgoing block, incoming block, outgoing copy, incoming copy, element. All bases are one
    vector too: by outgoing block, incoming block, element, then the entries of the kernel.

    Attributes:
        inputs: the fields that come in.
        outputs: the fields that go out.
        size: the side of the kernels in pixels, along each axis of the grid.
        elements: the number of basis elements for each outgoing and each incoming block.
    """

    inputs: Fields
    outputs: Fields
    size: int
    elements: Sequence[Sequence[int]]

    def pairs(self) -> Iterator[tuple[Any, int, Any, int, int]]:
        """σ and its copies, ρ and its copies, and the elements of the pair, in the order of the weights."""
        for (sigma, going), counts in zip(self.outputs.blocks, self.elements, strict=True):
            for (rho, coming), count in zip(self.inputs.blocks, counts, strict=True):
                yield sigma, going, rho, coming, count

    def weights(self) -> list[int]:
        """The number of weights of each pair."""
        return [going * coming * count for _, going, _, coming, count in self.pairs()]

    def deviations(self, counted: Sequence[Sequence[int]] | None = None) -> Tensor:
        """For each weight 1/√(incoming blocks that reach the outgoing one × elements from all copies of the block).

        With elements of norm √dim σ, independent inputs of variance 1 give outputs of variance 1 (Weiler & Cesa 2019,
        after He et al. 2015).

        Args:
            counted: the elements to count instead of `elements`; where there are none of them, the pair's own count.
        """
        counted = self.elements if counted is None else counted
        numbers = [(max(1, sum(n > 0 for n in row)), n) for row in counted for n in row]
        deviations = [
            torch.full((weights,), 1 / math.sqrt(reaching * coming * (number or max(1, count))))
            for weights, (reaching, number), (*_, coming, count) in zip(
                self.weights(), numbers, self.pairs(), strict=True
            )
        ]
        return torch.cat(deviations)

    def kernel(self, weight: Tensor, bases: Tensor) -> Tensor:
        """The dense kernel, [outputs.dim, inputs.dim, size, …]: one matrix product for each pair of blocks.

        Args:
            weight: all weights.
            bases: all bases, in the dtype of the weights.
        """
        pairs = list(self.pairs())
        axes = self.inputs.axes
        pixels = self.size**axes
        lengths = [count * sigma.dim * rho.dim * pixels for sigma, _, rho, _, count in pairs]
        dense = []
        for (sigma, going, rho, coming, count), part, basis in zip(
            pairs, weight.split(self.weights()), bases.split(lengths), strict=True
        ):
            block = part.view(going * coming, count) @ basis.view(count, sigma.dim * rho.dim * pixels)
            block = block.view(going, coming, sigma.dim, rho.dim, pixels).transpose(1, 2)
            dense.append(block.reshape(going * sigma.dim, coming * rho.dim, pixels))
        columns = len(self.inputs.blocks)
        rows = [torch.cat(dense[start : start + columns], dim=1) for start in range(0, len(dense), columns)]
        return torch.cat(rows).view(self.outputs.dim, self.inputs.dim, *[self.size] * axes)
