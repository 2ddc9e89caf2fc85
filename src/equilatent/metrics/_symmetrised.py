"""A model made equivariant by averaging over the group, to compare with: exact, and |G| times the cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from equilatent._batches import check_batch_size
from equilatent.actions import SupportsAction
from equilatent.errors import ActionError, EquilatentError
from equilatent.metrics._orbits import check_same_group, chosen_elements

__all__ = ["Symmetrised"]


class Symmetrised(nn.Module):
    """The average of a model over the group, (1/|G|) Σ_g ρ_Y(g)⁻¹ f(ρ_X(g) x): exactly equivariant, whatever f is.

    Each call costs |G| forward passes. Without gradients its memory does not grow with |G|; with gradients autograd
    keeps what every pass computed, so that it does. The average is exactly equivariant if the model treats samples
    independently and always in the same way, as in evaluation mode: dropout and batch norm in training mode break it.

    Args:
        model: any callable that returns floating tensors [B, …]. The parameters of an nn.Module are trained as usual.
        input: how the group acts on x.
        output: how it acts on what the model returns.
        elements: LongTensor of the elements to average over; all of them by default. Those of a subgroup make the
            average exactly equivariant to that subgroup, others to nothing in particular.
        draws: average over so many elements, drawn uniformly and afresh for each sample and each call: an unbiased
            estimate of the average over the group, which is equivariant only on average over the draws.
        generator: the source of randomness for `draws`.
        batch_size: how many moved samples go through the model at once; at least one whole batch x does.

    Raises:
        ActionError: for actions of two groups or, when called, an empty batch or an output that cannot be averaged.
        GroupTooLargeError: if the group is too large to be averaged over whole, without `elements` and `draws`.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> act, still = eq.actions.image(G), eq.actions.trivial(G)
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 3)).double()
    >>> x = torch.randn(8, 1, 6, 6, dtype=torch.float64)
    >>> symmetrised = eq.metrics.Symmetrised(model, act, still)
    >>> symmetrised(x).shape
    torch.Size([8, 3])
    >>> eq.metrics.invariance_error(symmetrised, act, x).mean_relative < 1e-20
    True
    """

    def __init__(
        self,
        model: Callable[[Tensor], Any],
        input: SupportsAction,
        output: SupportsAction,
        *,
        elements: Tensor | None = None,
        draws: int | None = None,
        generator: torch.Generator | None = None,
        batch_size: int = 512,
    ) -> None:
        super().__init__()
        check_same_group(input, output)
        if draws is not None and elements is not None:
            raise EquilatentError("elements are given or drawn, not both: leave out elements or draws.")
        if draws is not None and (not isinstance(draws, int) or draws < 1):
            raise EquilatentError(f"draws is a whole number ≥ 1; got {draws!r}.")
        if draws is None and generator is not None:
            raise EquilatentError("generator is for drawn elements; say how many with draws=.")
        self.model, self.input, self.output = model, input, output
        self.draws, self.generator, self.batch_size = draws, generator, check_batch_size(batch_size)
        chosen = None if draws is not None else chosen_elements(input.group, elements)
        self.register_buffer("elements", chosen, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The average for samples [B, …], like what the model returns for them."""
        if not isinstance(x, Tensor) or not x.ndim or not len(x):
            raise ActionError("a model is averaged on a batch [B, …] of at least one sample.")
        total, dtype, count = None, None, 0
        for g in self._chunks(x):
            repeated = x.repeat(len(g), *[1] * (x.ndim - 1))
            result = self._back(self.model(self.input(repeated, g.reshape(-1))), g)
            dtype = result.dtype
            # Half-precision outputs are added up in float32.
            part = result.to(torch.promote_types(dtype, torch.float32)).sum(0)
            total, count = part if total is None else total + part, count + len(g)
        assert total is not None and dtype is not None
        return (total / count).to(dtype)

    def extra_repr(self) -> str:
        """One line for ``print``."""
        number = f"{self.draws} drawn" if self.draws is not None else f"{len(self.elements)}"  # type: ignore[arg-type]
        return f"over {number} elements of {self.input.group.label}"

    def _chunks(self, x: Tensor) -> Iterator[Tensor]:
        """The elements that move each sample, a few at a time: LongTensors [k, B]."""
        step = max(1, self.batch_size // len(x))
        if self.draws is not None:
            for start in range(0, self.draws, step):
                size = min(step, self.draws - start), len(x)
                yield self.input.group.sample(size, generator=self.generator, device=x.device)
            return
        elements: Tensor = self.elements  # type: ignore[assignment]
        for some in elements.to(x.device).split(step):
            yield some[:, None].expand(-1, len(x))

    def _back(self, result: Any, g: Tensor) -> Tensor:
        """What the model returned for the moved samples, moved back: [k, B, …]."""
        if not isinstance(result, Tensor) or not result.ndim or len(result) != g.numel():
            got = f"shape {list(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
            raise ActionError(f"the model should return a tensor [B, …] to be averaged; got {got}.")
        if not result.is_floating_point() and not result.is_complex():
            raise ActionError(
                f"only floating outputs have an average; got {result.dtype}. Average scores, and take argmax after."
            )
        return self.output(result, self.input.group.inverse(g.reshape(-1))).reshape(*g.shape, *result.shape[1:])
