"""How far a model, or one of its layers, is from being equivariant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equilatent._layers import evaluating
from equilatent.actions import SupportsAction
from equilatent.errors import ActionError
from equilatent.groups import Group
from equilatent.metrics._orbits import Orbits

__all__ = ["EquivarianceError", "equivariance_error"]


@dataclass(frozen=True)
class EquivarianceError:
    """Mean squares of ρ_Y(g) f(x) − f(ρ_X(g) x), for each element over all samples.

    Attributes:
        group: the group.
        elements: the elements that were measured, LongTensor [n].
        absolute: mean square of the difference, float64 [n], ≥ 0; 0 means exactly equivariant.
        relative: the same over the mean square of f(ρ_X(g) x), float64 [n]; 0 means exactly equivariant, 1 that the
            error is as large as the output itself, and about 2 is what two unrelated outputs of mean zero give.
        centred: the same over the variance of f(x) over the samples (the mean square of f(x) minus its mean), float64
            [n]; 0 means exactly equivariant, 1 as large as what the output tells samples apart by. A large constant in
            the output makes `relative` small, but not this one. NaN for a single sample.
    """

    group: Group
    elements: Tensor
    absolute: Tensor
    relative: Tensor
    centred: Tensor

    @property
    def mean_absolute(self) -> float:
        """Mean over the elements of `absolute`."""
        return float(self.absolute.mean())

    @property
    def mean_relative(self) -> float:
        """Mean over the elements of `relative`."""
        return float(self.relative.mean())

    @property
    def mean_centred(self) -> float:
        """Mean over the elements of `centred`."""
        return float(self.centred.mean())

    @property
    def worst(self) -> int:
        """The element of the largest relative error."""
        return int(self.elements[self.relative.argmax()])

    def __str__(self) -> str:
        return (
            f"equivariance error over {len(self.elements)} elements of {self.group.label}: relative "
            f"{self.mean_relative:.3g} (0: exactly equivariant, 1: as large as the output), centred "
            f"{self.mean_centred:.3g} (1: as large as the output's variance), absolute {self.mean_absolute:.3g}; worst "
            f"element {self.group.name(self.worst)!r} ({float(self.relative.max()):.3g})"
        )


def equivariance_error(
    model: Callable[[Tensor], Any],
    input: SupportsAction,
    output: SupportsAction,
    x: Tensor,
    *,
    layer: str | None = None,
    elements: Tensor | None = None,
    batch_size: int = 512,
) -> EquivarianceError:
    """The equivariance error of a model, or of one of its layers, between two actions.

    The model is run in evaluation mode without gradients, and left in the mode it was in.

    Args:
        model: any callable on tensors; an nn.Module if `layer` is given.
        input: how the group acts on x.
        output: how it acts on what the model (or the layer) returns.
        x: samples [N, …], N > 0.
        layer: dotted name of the layer to read instead of the model's output.
        elements: LongTensor of elements to measure; all of them by default.
        batch_size: how many samples go through the model at once.

    Raises:
        ActionError: for an empty batch, an output that is no tensor, or actions of two groups.
        GroupTooLargeError: if the group is too large to be measured whole and no elements are given.
        NonFiniteError: if an output holds NaN or infinity.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> act = eq.actions.image(G)
    >>> x = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> eq.metrics.equivariance_error(torch.nn.ReLU(), act, act, x).mean_relative
    0.0
    >>> first_row = lambda x: x[:, 0, 0]
    >>> error = eq.metrics.equivariance_error(first_row, act, eq.actions.trivial(G), x)
    >>> round(error.mean_relative, 1), error.relative[0].item()
    (1.6, 0.0)
    """
    group = input.group
    if output.group != group:
        raise ActionError(
            f"the input is moved by {group.label}, but the output by {output.group.label}. Use one group for both."
        )
    with evaluating(model, input, output):
        orbits = Orbits(model, input, x, layer=layer, elements=elements, batch_size=batch_size)
        elements = orbits.elements
        difference, power, entries = (
            torch.zeros(len(elements), dtype=torch.float64, device=x.device) for _ in range(3)
        )
        for which, sample, result in orbits:
            target, moved = _double(result), _double(output(orbits.plain[sample], elements[which]))
            if moved.shape != target.shape:
                raise ActionError(f"outputs of shapes {list(moved.shape)} and {list(target.shape)} cannot be compared.")
            rows = (len(target), -1)
            difference.index_add_(0, which, (moved - target).abs().square().reshape(rows).sum(1))
            power.index_add_(0, which, target.abs().square().reshape(rows).sum(1))
            entries.index_add_(0, which, torch.full_like(which, target[0].numel(), dtype=torch.float64))
        plain = _double(orbits.plain)
        variance = (plain - plain.mean(0)).abs().square().mean() if len(x) > 1 else torch.tensor(torch.nan)
    tiny = torch.finfo(torch.float64).tiny
    absolute = difference / entries
    relative = difference / power.clamp_min(tiny)
    centred = absolute / variance.clamp_min(tiny).to(absolute.device)
    return EquivarianceError(group, elements.cpu(), absolute.cpu(), relative.cpu(), centred.cpu())


def _double(x: Tensor) -> Tensor:
    return x.to(torch.complex128 if x.is_complex() else torch.float64)
