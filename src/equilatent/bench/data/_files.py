"""Where data sets lie, and how one of their files is found, verified and fetched."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from equilatent.bench.data._download import fetch, file_digest
from equilatent.errors import DataError, MissingDependencyError

__all__ = ["ENVIRONMENT", "Published", "content_digest", "find_data_dir"]

#: The environment variable that names the data folder.
ENVIRONMENT = "EQUILATENT_DATA"


def find_data_dir(option: Path | None = None) -> Path:
    """The folder in which data sets are looked for, and into which they are downloaded.

    Args:
        option: the folder that the user named, which goes before all else.

    Returns:
        `option`; else the folder that the environment variable ``EQUILATENT_DATA`` names; else the user's cache folder
        of this library, as is usual on the platform. It need not exist yet.

    Raises:
        DataError: if what was named is a file.

    >>> find_data_dir(Path("my_data")).name
    'my_data'
    """
    named = option if option is not None else os.environ.get(ENVIRONMENT) or None
    if named is None:
        try:
            from platformdirs import user_cache_path
        except ImportError as error:
            raise MissingDependencyError(
                f"the user's cache folder is found with platformdirs, which is not installed. Name a folder (--data or "
                f"{ENVIRONMENT}), or install it: pip install 'equilatent[bench]'."
            ) from error
        return user_cache_path("equilatent", appauthor=False)
    folder = Path(named).expanduser()
    if folder.exists() and not folder.is_dir():
        raise DataError(f"the data folder (--data or {ENVIRONMENT}) is a folder; {folder} is a file.")
    return folder


@dataclass(frozen=True)
class Published:
    """One file of a data set, as its publisher gives it.

    Args:
        name: the file's name.
        urls: where it is published; empty for a file that has to be put there by hand.
        digest: of the file, ``"md5:…"`` or ``"sha256:…"``; empty if its publisher states none.
        folders: the folders inside the data folder in which it may lie, beside the data folder itself; a download goes
            into the first.
        size: bytes, to be told to the user; 0 if not known.
        content: digest of the unpacked bytes of a gzip file, so that a recompressed one passes too; empty if the file
            is not unpacked.
    """

    name: str
    urls: tuple[str, ...]
    digest: str
    folders: tuple[str, ...]
    size: int = 0
    content: str = ""

    def find(self, folder: Path) -> Path | None:
        """Where the file lies in a data folder, unpacked or not; None if it is not there."""
        names = [self.name, self.name.removesuffix(".gz")] if self.content else [self.name]
        places = [folder / part / name for part in (*self.folders, ".") for name in names]
        return next((place for place in places if place.is_file()), None)

    def get(self, folder: Path, *, download: bool, progress: bool) -> Path:
        """Where the file lies in a data folder, after it has been downloaded if need be.

        Raises:
            DataError: if it is not there and not to be downloaded, or cannot be.
        """
        found = self.find(folder)
        if found is not None:
            return found
        target = folder / self.folders[0] / self.name
        if not download or not self.urls:
            how = "allow the download" if self.urls else "put it there"
            raise DataError(
                f"{self.name} is not in {folder}, neither directly nor in {', '.join(self.folders)}/. Name the folder "
                f"that holds it (--data or {ENVIRONMENT}), or {how}."
            )
        fetch(self.urls, target, self.digest, progress=progress)
        return target

    def verify(self, path: Path) -> str:
        """The digest of a file that is taken as it is.

        Raises:
            DataError: if it is not the one published.
        """
        found = file_digest(path, (self.digest or "sha256:").partition(":")[0])
        if self.digest and found != self.digest:
            raise wrong_digest(path, found, self.digest)
        return found


def content_digest(content: bytes, path: Path, expected: str) -> str:
    """The digest of unpacked bytes.

    Raises:
        DataError: if it is not the expected one.
    """
    algorithm = expected.partition(":")[0]
    found = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    if found != expected:
        raise wrong_digest(path, found, expected)
    return found


def wrong_digest(path: Path, found: str, expected: str) -> DataError:
    """The error for a file that is not the published one."""
    return DataError(
        f"{path} is not the file that was published, or is damaged: its digest is {found}, not {expected}. Remove it, "
        "so that it is fetched again."
    )
