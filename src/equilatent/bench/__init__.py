"""Experiments, run on real data and recorded so that every number can be made again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load"]


def load(*folders: str | Path) -> pd.DataFrame:
    """Finished runs as one frame of pandas: a row a run, a column for each setting and each number.

    Args:
        folders: run folders, folders of these, records, or folders of records.

    Returns:
        The frame; `equilatent.bench.results.frame.load` says which columns it has. ``attrs["left_out"]`` says of what else
        was found, by its path, why it is not in it.

    Raises:
        EquilatentError: for a folder that is not there.
        MissingDependencyError: if pandas is not installed.

    ```
    runs = equilatent.bench.load("runs")
    runs.groupby(["task", "name", "group"])["test_accuracy"].agg(["mean", "std", "count"])
    ```
    """
    try:
        from equilatent.bench.results.frame import load as load_with
    except ModuleNotFoundError as error:
        from equilatent.errors import MissingDependencyError

        raise MissingDependencyError(
            f"results are read with {error.name}, which is not installed. Install it: pip install 'equilatent[bench]'."
        ) from error
    from equilatent.bench.catalogue import CATALOGUE

    return load_with(folders, CATALOGUE)
