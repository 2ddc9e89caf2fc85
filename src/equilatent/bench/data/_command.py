"""What the command ``equilatent data`` does: lists the data sets, and fetches or makes those that are named."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from equilatent.bench.data._brain import BRAIN_FILES, BRAIN_SOURCE, find_template
from equilatent.bench.data._cifar10 import CIFAR10_ARCHIVE, CIFAR10_HEAD, CIFAR10_SOURCE, find_batches
from equilatent.bench.data._files import Published, content_digest, find_data_dir
from equilatent.bench.data._medmnist import MEDMNIST3D, MEDMNIST3D_SOURCE
from equilatent.bench.data._mnist import MNIST_FILES, MNIST_SOURCE, read_gzip
from equilatent.bench.data._smoke import (
    SMOKE_FOLDER,
    SMOKE_SOURCE,
    SmokeRecipe,
    find_smoke,
    paper_recipe,
    smoke,
    verify_smoke,
)
from equilatent.bench.data._tmnist import BAHIANITA, PLEX_PACKAGE, TMNIST_CSV, TMNIST_SOURCE, find_plex
from equilatent.errors import DataError

__all__ = ["DATA_SETS", "DataSet", "data_command"]


@dataclass(frozen=True)
class DataSet:
    """A data set as the command shows it: its files, none if it is made here, and whose it is."""

    files: tuple[Published, ...]
    source: str


#: Every data set by name.
DATA_SETS = {
    "mnist": DataSet(tuple(MNIST_FILES.values()), MNIST_SOURCE),
    "cifar10": DataSet((CIFAR10_ARCHIVE,), CIFAR10_SOURCE),
    "tmnist": DataSet((BAHIANITA,), TMNIST_SOURCE),
    **{
        (name if size == 28 else f"{name}_{size}"): DataSet((volumes.file(name, size),), MEDMNIST3D_SOURCE)
        for name, volumes in MEDMNIST3D.items()
        for size in volumes.digests
    },
    "brain": DataSet(tuple(BRAIN_FILES.values()), BRAIN_SOURCE),
    "smoke": DataSet((), SMOKE_SOURCE),
}


def data_command(
    names: Sequence[str] = (), data: Path | None = None, *, simulator: str = "torch", progress: bool = True
) -> str:
    """Fetch or make the data sets that are named, then tell of all where they are looked for and what is there.

    Args:
        names: of data sets, as in the list; none only lists.
        data: the data folder; by default that of `find_data_dir`.
        simulator: with which SMOKE is made, ``"torch"`` or ``"phiflow"``; the table tells of the one that is named.
        progress: show a bar for downloads and simulations.

    Returns:
        Lines of a table (name, state, size of what is there or else of what would be fetched or made, the publisher's
        host, whose data they are), then the folders that were looked into.

    Raises:
        DataError: for a name or simulator that there is not, before anything is fetched; if something cannot be fetched or
            made, after the others have been.
        MissingDependencyError: if PhiFlow is the simulator, SMOKE is to be made, and PhiFlow is not installed.
    """
    recipe = paper_recipe(simulator)
    unknown = [name for name in names if name not in DATA_SETS]
    if unknown:
        raise DataError(f"the data sets are {', '.join(DATA_SETS)}; got {', '.join(unknown)}.")
    folder = find_data_dir(data)
    problems = []
    for name in dict.fromkeys(names):
        try:
            if name == "smoke":
                smoke(folder, simulator=simulator, progress=progress)
            for file in DATA_SETS[name].files:
                if name == "brain" and find_template(file, folder) is not None:
                    continue
                if name == "cifar10" and find_batches(folder) is not None:
                    continue
                _verify(file, file.get(folder, download=True, progress=progress))
        except DataError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise DataError("\n".join(problems))
    rows = [("data set", "state", "size", "fetched from", "source")]
    for name, data_set in DATA_SETS.items():
        state = _smoke_state(recipe, folder) if name == "smoke" else _state(name, folder)
        rows.append((name, *state, _fetched_from(name, data_set), data_set.source))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    files = [file for data_set in DATA_SETS.values() for file in data_set.files]
    places = sorted({SMOKE_FOLDER, *(part for file in (*files, *CIFAR10_HEAD, TMNIST_CSV) for part in file.folders)})
    lines += ["", f"Looked for in {folder} and, inside it, in {', '.join(places)}."]
    return "\n".join(lines)


def _fetched_from(name: str, data_set: DataSet) -> str:
    if name == "brain":
        return "nilearn"
    return urllib.parse.urlsplit(data_set.files[0].urls[0]).hostname or "" if data_set.files else "made here"


def _state(name: str, folder: Path) -> tuple[str, str]:
    """Whether a data set is there and sound, and how large it is."""
    if name == "cifar10" and CIFAR10_ARCHIVE.find(folder) is None:
        if (batches := find_batches(folder)) is not None:
            return "present, not verified (unpacked)", _size(
                sum(f.stat().st_size for f in batches.glob("*_batch*.bin"))
            )
        if all(file.find(folder) for file in CIFAR10_HEAD):
            return _state_of("stand-in, verified (its first part)", CIFAR10_HEAD, folder)
    if name == "tmnist":
        if (table := TMNIST_CSV.find(folder)) is not None:
            return "present, not verified", _size(table.stat().st_size)
        here = "to be drawn" if find_plex() is not None else f"but {PLEX_PACKAGE} is not installed"
        return _state_of(f"typeface verified, {here}", DATA_SETS[name].files, folder)
    if name == "brain":
        return _state_of("verified", DATA_SETS[name].files, folder, find_template)
    return _state_of("verified", DATA_SETS[name].files, folder)


def _smoke_state(recipe: SmokeRecipe, folder: Path) -> tuple[str, str]:
    """The same for simulations."""
    path = find_smoke(recipe, folder)
    if path is None:
        return "missing", _size(recipe.bytes)
    try:
        verify_smoke(recipe, path)
    except DataError:
        return "damaged or another file", _size(path.stat().st_size)
    return f"verified, by {recipe.simulator}", _size(path.stat().st_size)


def _state_of(
    present: str,
    files: Sequence[Published],
    folder: Path,
    find: Callable[[Published, Path], Path | None] = Published.find,
) -> tuple[str, str]:
    paths = [find(file, folder) for file in files]
    there = [path for path in paths if path is not None]
    size = sum(path.stat().st_size for path in there)
    if len(there) < len(files):
        state = f"{len(there)} of {len(files)} files" if there else "missing"
        return state, _size(size or sum(file.size for file in files))
    try:
        for file, path in zip(files, there, strict=True):
            _verify(file, path)
    except DataError:
        return "damaged or another file", _size(size)
    return present, _size(size)


def _verify(file: Published, path: Path) -> None:
    if file.content:
        content_digest(read_gzip(path), path, file.content)
    else:
        file.verify(path)


def _size(count: int) -> str:
    if not count:
        return "?"
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
