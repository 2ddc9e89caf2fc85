"""Running a model on samples moved by elements of a group, in batches of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from equilatent._batches import check_batch_size
from equilatent._layers import run_with_layers
from equilatent.actions import SupportsAction
from equilatent.errors import ActionError, EquilatentError, GroupTooLargeError, NonFiniteError
from equilatent.groups import Group

__all__ = ["OUTPUT", "Orbits", "check_same_group", "chosen_elements"]

#: The name of the model's own output among what is read from it.
OUTPUT = ""

#: Without a choice of elements, groups up to this order are measured whole.
_WHOLE_GROUP = 4096


def chosen_elements(group: Group, elements: Tensor | None) -> Tensor:
    """The elements to measure, LongTensor [n], n > 0; the whole group if none are given."""
    if elements is None:
        if group.order > _WHOLE_GROUP:
            raise GroupTooLargeError(
                f"{group.label} has {group.order} elements; measure some of them: elements=G.sample(256)."
            )
        elements = group.elements
    elements = group.check(elements).reshape(-1)
    if not len(elements):
        raise EquilatentError("no elements to measure: elements is empty.")
    return elements


def check_same_group(input: SupportsAction, output: SupportsAction, what: str = "the output") -> None:
    """Refuse actions of two groups."""
    if output.group != input.group:
        raise ActionError(
            f"the input is moved by {input.group.label}, but {what} by {output.group.label}. Use one group for both."
        )


class Orbits:
    """What a model returns for batches of samples and for these samples moved by each of some elements.

    Use it in evaluation mode and without gradients. It keeps nothing of the batches it has seen.

    Args:
        input: how the group acts on samples.
        layers: the names of the layers to read; none to read the model's output, under the name `OUTPUT`.
        elements: LongTensor of elements; all of them if None.
        batch_size: how many samples go through the model at once.
    """

    def __init__(
        self, input: SupportsAction, *, layers: Sequence[str], elements: Tensor | None, batch_size: int
    ) -> None:
        self.elements = chosen_elements(input.group, elements)
        self._input, self._layers, self._batch_size = input, list(layers), check_batch_size(batch_size)

    def plain(self, model: Callable[[Tensor], Any], x: Tensor) -> dict[str, Tensor]:
        """What is read for the samples [B, …] as they are: a tensor [B, …] for each name."""
        pieces = [self._run(model, samples, "x") for samples in x.split(self._batch_size)]
        return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}

    def moved(
        self, model: Callable[[Tensor], Any], x: Tensor, passes: Callable[[int], object] = lambda number: None
    ) -> Iterator[tuple[Tensor, Tensor, dict[str, Tensor]]]:
        """Every pair of an element and a sample, in batches: their two positions, and what is read for the moved sample.

        `passes` is told each time how many more elements have moved the last of the samples.
        """
        elements, count = self.elements.to(x.device), len(x)
        for start in range(0, len(elements) * count, self._batch_size):
            end = min(start + self._batch_size, len(elements) * count)
            pairs = torch.arange(start, end, device=x.device)
            which, sample = pairs // count, pairs % count
            yield which, sample, self._run(model, self._input(x[sample], elements[which]), "moved samples")
            passes(end // count - start // count)

    def _run(self, model: Callable[[Tensor], Any], samples: Tensor, what: str) -> dict[str, Tensor]:
        if self._layers:
            results = run_with_layers(model, samples, self._layers)[1]  # type: ignore[arg-type]
        else:
            results = {OUTPUT: model(samples)}
        for name, result in results.items():
            if not isinstance(result, Tensor) or not result.ndim or len(result) != len(samples):
                got = f"shape {list(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
                raise ActionError(f"the model should return a tensor [B, …] to be measured; got {got}.")
            source = f"the output of layer {name!r}" if name else "the model's output"
            if not result.numel():
                raise ActionError(f"{source} has no entries to be measured: its shape is {list(result.shape)}.")
            if not torch.isfinite(result).all():
                raise NonFiniteError(f"{source} on {what} holds NaN or infinity; it cannot be measured.")
        return results
