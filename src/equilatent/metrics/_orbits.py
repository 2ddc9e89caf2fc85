"""Running a model on samples moved by elements of a group, in batches of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from equilatent._layers import run_with_layers
from equilatent.actions import SupportsAction
from equilatent.errors import ActionError, EquilatentError, GroupTooLargeError, NonFiniteError

__all__ = ["Orbits"]

#: Without a choice of elements, groups up to this order are measured whole.
_WHOLE_GROUP = 4096


class Orbits:
    """What a model returns for samples and for the samples moved by each of some elements.

    Make and use it in evaluation mode and without gradients.

    Attributes:
        elements: the elements, LongTensor [n].
        plain: the output for the samples as they are, [N, …].
    """

    def __init__(
        self,
        model: Callable[[Tensor], Any],
        input: SupportsAction,
        x: Tensor,
        *,
        layer: str | None,
        elements: Tensor | None,
        batch_size: int,
    ) -> None:
        group = input.group
        if not isinstance(x, Tensor) or not len(x):
            raise ActionError("what is measured on an empty batch means nothing; give at least one sample.")
        if elements is None:
            if group.order > _WHOLE_GROUP:
                raise GroupTooLargeError(
                    f"{group.label} has {group.order} elements; measure some of them: elements=G.sample(256)."
                )
            elements = group.elements
        self.elements = group.check(elements).reshape(-1).to(x.device)
        if not len(self.elements):
            raise EquilatentError("no elements to measure: elements is empty.")
        self._model, self._input, self._x, self._layer, self._batch_size = model, input, x, layer, batch_size
        self.plain = torch.cat([self._run(samples, "x") for samples in x.split(batch_size)])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Every pair of an element and a sample, in batches: their two positions, and the output for the moved sample."""
        for pairs in torch.arange(len(self.elements) * len(self._x), device=self._x.device).split(self._batch_size):
            which, sample = pairs // len(self._x), pairs % len(self._x)
            yield which, sample, self._run(self._input(self._x[sample], self.elements[which]), "moved samples")

    def _run(self, samples: Tensor, what: str) -> Tensor:
        if self._layer is None:
            result = self._model(samples)
        else:
            result = run_with_layers(self._model, samples, [self._layer])[1][self._layer]  # type: ignore[arg-type]
        if not isinstance(result, Tensor) or not result.ndim or len(result) != len(samples):
            got = f"shape {list(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
            raise ActionError(f"the model should return a tensor [B, …] to be measured; got {got}.")
        if not torch.isfinite(result).all():
            raise NonFiniteError(f"the model's output on {what} holds NaN or infinity; it cannot be measured.")
        return result
