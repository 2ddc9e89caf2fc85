"""Where samples come from: one tensor, or anything that hands them out in batches."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset

from equilatent._batches import progress_bar
from equilatent.errors import ActionError

__all__ = ["Samples", "batches", "check_batch", "pass_bar"]

#: Samples [N, …], or an iterable of batches, each a tensor [B, …] or a tuple or list that begins with one.
Samples: TypeAlias = "Tensor | Iterable[Any]"


def batches(x: Samples, batch_size: int) -> Iterator[Tensor]:
    """The samples, a batch at a time: a tensor in pieces of one size, the batches of an iterable as they come."""
    if isinstance(x, Tensor):
        yield from x.split(batch_size) if x.ndim else (x,)
        return
    if isinstance(x, Dataset) and not isinstance(x, IterableDataset):
        raise ActionError(
            f"x is a {type(x).__name__}, which hands out single samples. Give batches: torch.utils.data.DataLoader(x, 64)."
        )
    if isinstance(x, Mapping | str) or not isinstance(x, Iterable):
        raise ActionError(
            f"x is a tensor [N, …] or an iterable of batches, such as a DataLoader or a list of tensors; got "
            f"{type(x).__name__}."
        )
    empty = True
    for batch in x:
        empty = False
        if isinstance(batch, tuple | list) and batch:
            batch = batch[0]
        if not isinstance(batch, Tensor):
            raise ActionError(
                "a batch of x is a tensor [B, …], or a tuple or list whose first entry is one; got "
                f"{type(batch).__name__}. Pick the samples out: (batch['image'] for batch in loader)."
            )
        yield batch
    if empty:
        raise ActionError(
            "what is measured on an empty batch means nothing; x holds no batches. Was it used up before?"
        )


def check_batch(model: object, x: Any) -> Tensor:
    """The batch, on the device of the model's first parameter if there is one, refused if it holds no samples."""
    if not isinstance(x, Tensor) or not x.ndim or not len(x):
        raise ActionError(
            "what is measured on an empty batch means nothing; give at least one sample, as a tensor [B, …]. Drop "
            "empty batches in the loader."
        )
    first = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return x if first is None else x.to(first.device)


def pass_bar(
    x: Samples, batch_size: int, elements: int, shown: bool
) -> contextlib.AbstractContextManager[Callable[[int], object]]:
    """A function that is told how many more elements have moved a batch, and shows it if it is asked to."""
    count = -(-len(x) // batch_size) if isinstance(x, Tensor) and x.ndim else operator.length_hint(x)
    # A loader does not always know its length; then the bar has no end.
    return progress_bar(count * elements or None, "pass", shown)
