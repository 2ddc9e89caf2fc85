"""Samples from files and loaders: an npz, a folder of arrays, a DataLoader."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from equilatent._seeds import combined_seed
from equilatent.errors import DataError

__all__ = ["Source", "read"]

#: Where samples come from: a file, a folder, or batches (x, y).
Source: TypeAlias = "str | Path | Iterable[Any]"

#: What inputs and targets are called in files.
_NAMES = (
    ("x", "y"),
    ("X", "y"),
    ("x_train", "y_train"),
    ("train_images", "train_labels"),
    ("images", "labels"),
    ("data", "target"),
    ("data", "targets"),
    ("data", "labels"),
)


def read(
    source: Source, *, x: str | None = None, y: str | None = None, limit: int | None = None, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Inputs and targets from a file, a folder or a loader, as two tensors; bytes become numbers in [0, 1].

    Args:
        source: an ``.npz`` file with two arrays; a folder with two ``.npy`` files, or with a folder of ``.npy`` files, one a
            sample, for each class; or an iterable of batches (x, y), such as a DataLoader. Pickled objects are never loaded.
        x: the name of the inputs in a file or folder; x, images, train_images or data by default.
        y: the name of the targets; y, labels, train_labels or target by default.
        limit: at most so many samples: drawn at random from files, the first ones of loaders.
        seed: of that drawing.

    Raises:
        DataError: if there is no such file, or it does not hold what is asked for.

    >>> import torch, equilatent as eq
    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> data = TensorDataset(torch.zeros(10, 3, dtype=torch.uint8), torch.arange(10))
    >>> [part.shape for part in eq.audit.read(DataLoader(data, 4), limit=9)]
    [torch.Size([9, 3]), torch.Size([9])]
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise DataError(f"limit is the largest number of samples, a whole number ≥ 1; got {limit!r}.")
    if not isinstance(source, str | Path):
        inputs, targets = _from_batches(source, limit)
    else:
        inputs, targets = _from_path(Path(source), x, y)
    if not inputs.ndim or not targets.ndim or len(inputs) != len(targets) or not len(inputs):
        raise DataError(
            f"there is one target for each input; the inputs are {list(inputs.shape)}, the targets {list(targets.shape)}. "
            "Name the right arrays with x= and y= (--x, --y)."
        )
    if limit is not None and len(inputs) > limit:
        generator = torch.Generator().manual_seed(combined_seed(seed, 6))
        some = torch.randperm(len(inputs), generator=generator)[:limit].sort().values
        inputs, targets = inputs[some], targets[some]
    if inputs.dtype == torch.uint8:
        inputs = inputs.float() / 255
    return inputs if inputs.is_complex() else inputs.float(), targets


def _from_batches(batches: Any, limit: int | None) -> tuple[Tensor, Tensor]:
    if isinstance(batches, Dataset) and not isinstance(batches, IterableDataset):
        raise DataError(
            f"a {type(batches).__name__} hands out single samples. Give batches: torch.utils.data.DataLoader(data, 64)."
        )
    if isinstance(batches, Mapping) or not isinstance(batches, Iterable):
        raise DataError(
            f"samples come as a tensor, a path, or an iterable of batches (x, y); got {type(batches).__name__}."
        )
    inputs: list[Tensor] = []
    targets: list[Tensor] = []
    count = 0
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) < 2 or not all(isinstance(a, Tensor) for a in batch[:2]):
            raise DataError(
                f"a batch is a pair of tensors (x, y); got {type(batch).__name__}. Pick them out: "
                "((batch['image'], batch['label']) for batch in loader)."
            )
        inputs.append(batch[0])
        targets.append(batch[1])
        count += len(batch[0])
        if limit is not None and count >= limit:
            break
    if not inputs:
        raise DataError("the loader holds no batches. Was it used up before?")
    try:
        return torch.cat(inputs)[:limit], torch.cat(targets)[:limit]
    except RuntimeError as error:
        raise DataError(f"the batches do not go together: {error}. Bring all samples to one size.") from error


def _from_path(path: Path, x: str | None, y: str | None) -> tuple[Tensor, Tensor]:
    if path.is_dir():
        names = {file.stem: file for file in sorted(path.glob("*.npy"))}
        folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and any(folder.glob("*.npy")))
        if not names and folders:
            return _from_classes(folders)
        inputs, targets = _chosen(str(path), list(names), x, y)
        return _tensor(names[inputs], _load(names[inputs])), _tensor(names[targets], _load(names[targets]))
    if not path.is_file():
        raise DataError(f"there is no file or folder {str(path)!r}.")
    found = _load(path)
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise DataError(
            f"{str(path)!r} holds one array; inputs and targets are needed. Save both: numpy.savez(path, x=x, y=y)."
        )
    with found:
        inputs, targets = _chosen(str(path), list(found.files), x, y)
        return _tensor(path, _read(path, found, inputs)), _tensor(path, _read(path, found, targets))


def _from_classes(folders: list[Path]) -> tuple[Tensor, Tensor]:
    """Samples in a folder for each class, in the order of their names."""
    samples, classes = [], []
    for number, folder in enumerate(folders):
        for file in sorted(folder.glob("*.npy")):
            samples.append(_tensor(file, _load(file)))
            classes.append(number)
            if samples[-1].shape != samples[0].shape:
                raise DataError(
                    f"{str(file)!r} holds {list(samples[-1].shape)}, but others {list(samples[0].shape)}. Bring all "
                    "samples to one size."
                )
    return torch.stack(samples), torch.tensor(classes)


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{str(path)!r} cannot be read: {error} It should be an .npz or .npy file of plain arrays; pickled ones are not "
            "loaded."
        ) from error


def _read(path: Path, found: Any, name: str) -> Any:
    try:
        return found[name]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{name!r} in {str(path)!r} cannot be read: {error} Pickled objects are not loaded.") from error


def _tensor(path: Path, array: Any) -> Tensor:
    if isinstance(array, np.lib.npyio.NpzFile):
        raise DataError(f"{str(path)!r} is an .npz file under the name of an .npy file.")
    if array.dtype.kind not in "biufc":
        raise DataError(f"{str(path)!r} holds {array.dtype}; arrays of numbers are needed.")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))


def _chosen(where: str, names: list[str], x: str | None, y: str | None) -> tuple[str, str]:
    for asked, option in ((x, "x"), (y, "y")):
        if asked is not None and asked not in names:
            raise DataError(f"{where!r} has no array {option}={asked!r}; it has {', '.join(names) or 'none'}.")
    for inputs, targets in _NAMES:
        inputs, targets = x or inputs, y or targets
        if inputs in names and targets in names:
            return inputs, targets
    raise DataError(
        f"it is not clear which arrays of {where!r} are inputs and targets; it has {', '.join(names) or 'none'}. Name them: "
        "x='…', y='…' (--x, --y)."
    )
