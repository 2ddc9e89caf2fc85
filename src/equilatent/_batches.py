"""Going through data a batch at a time: the size of a batch, and a bar that shows how far it has come."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterator

from equilatent.errors import EquilatentError, MissingDependencyError

__all__ = ["check_batch_size", "progress_bar"]


def check_batch_size(batch_size: int) -> int:
    """The batch size, refused unless it is a whole number ≥ 1."""
    try:
        size = operator.index(batch_size)
    except TypeError:
        size = 0
    if size < 1:
        raise EquilatentError(f"batch_size is a whole number ≥ 1; got {batch_size!r}.")
    return size


@contextlib.contextmanager
def progress_bar(total: int | None, unit: str, shown: bool) -> Iterator[Callable[[int], object]]:
    """A function that is told how much more has been done, and shows it if it is asked to.

    Args:
        total: how much there is to do; None if that is not known, for a bar without an end.
        unit: what is counted.
        shown: whether there is a bar at all.

    Raises:
        MissingDependencyError: if a bar is asked for and tqdm is not installed.
    """
    if not shown:
        yield lambda done: None
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise MissingDependencyError(
            "progress=True draws its bar with tqdm, which is not installed. Install it: pip install tqdm."
        ) from error
    with tqdm(total=total, unit=unit, dynamic_ncols=True) as bar:
        yield bar.update
