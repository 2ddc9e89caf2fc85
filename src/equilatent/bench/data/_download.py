"""Files from the net: resumed when the connection is cut, checked by digest, whole or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from equilatent.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["fetch", "file_digest", "only_here"]

_CHUNK = 1 << 16


class _CutError(Exception):
    """The connection ended early: what came is kept, and the rest may be asked for."""


class _RefusedError(Exception):
    """The server has no such file, or does not give it: asking again does not help."""


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file, as ``"md5:…"`` or ``"sha256:…"``."""
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def fetch(
    urls: Sequence[str],
    target: Path,
    digest: str,
    *,
    progress: bool = True,
    attempts: int = 4,
    pause: float = 0.5,
    timeout: float = 30.0,
) -> None:
    """Download one file, unless it is there already.

    What has come is kept in ``<target>.part`` when the connection is cut or the process is stopped, and the next call
    asks for the rest only. The file appears under its own name when it is whole and its digest is right. Of two
    processes that want the same file one downloads and the other waits.

    Args:
        urls: where the file is published; the later ones are asked if the earlier ones fail.
        target: the file to be made. Its folder is made too.
        digest: what the file has to have, ``"md5:…"`` or ``"sha256:…"``.
        progress: show a bar on the terminal.
        attempts: how often in a row a server may be asked without giving anything new.
        pause: seconds to wait before asking again; doubled from attempt to attempt.
        timeout: seconds of silence after which a connection counts as cut.

    Raises:
        DataError: if no server gives the file, if what it gives has another digest, or if the folder cannot be written.
            A file with a wrong digest is removed.
    """
    partial = target.with_name(f"{target.name}.part")
    algorithm = digest.partition(":")[0]
    problems: list[str] = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with only_here(target):
            if target.is_file() and file_digest(target, algorithm) == digest:
                return
            for url in urls:
                problem = _fetch_from(url, partial, digest, progress, attempts, pause, timeout)
                if problem is None:
                    os.replace(partial, target)
                    return
                problems.append(f"{url}: {problem}")
    except OSError as error:
        raise DataError(
            f"{target.name} cannot be kept in {target.parent}: {error}. Give a folder that can be written, with enough room."
        ) from error
    raise DataError(
        f"{target.name} could not be downloaded. " + "; ".join(problems) + f". Try again later (what came is kept), or "
        f"put the file into {target.parent} yourself."
    )


def only_here(target: Path) -> contextlib.AbstractContextManager[object]:
    """Held by one process at a time, of those that want to make the same file."""
    try:
        from filelock import FileLock
    except ImportError as error:
        raise _missing("filelock") from error
    return FileLock(target.with_name(f".{target.name}.lock"))


def _fetch_from(
    url: str, partial: Path, digest: str, progress: bool, attempts: int, pause: float, timeout: float
) -> str | None:
    """Bring `partial` to be the whole file, or tell what is wrong."""
    algorithm = digest.partition(":")[0]
    # A process that was stopped just before renaming leaves the whole file.
    if partial.is_file() and file_digest(partial, algorithm) == digest:
        return None
    begun = partial.is_file() and partial.stat().st_size > 0
    problem = _receive(url, partial, progress, attempts, pause, timeout)
    if problem is not None:
        return problem
    found = file_digest(partial, algorithm)
    if found == digest:
        return None
    partial.unlink()
    if begun:
        # What an earlier call had left may be of another file, or damaged: once more from the start.
        return _fetch_from(url, partial, digest, progress, attempts, pause, timeout)
    return f"its digest is {found}, not {digest}, so it was removed"


def _receive(url: str, partial: Path, progress: bool, attempts: int, pause: float, timeout: float) -> str | None:
    """Ask for the rest until the server says that there is none, or nothing new has come `attempts` times in a row."""
    most = partial.stat().st_size if partial.is_file() else 0
    failures = 0
    while True:
        try:
            _receive_rest(url, partial, progress, timeout)
            return None
        except _RefusedError as refusal:
            return str(refusal)
        except _CutError as cut:
            have = partial.stat().st_size if partial.is_file() else 0
            # A server that cuts again and again but gets further each time will be through in the end.
            failures = 0 if have > most else failures + 1
            most = max(most, have)
            if failures >= attempts:
                return f"{cut}, {have:,} bytes having come"
            time.sleep(min(60.0, pause * 2**failures))


def _receive_rest(url: str, partial: Path, progress: bool, timeout: float) -> None:
    have = partial.stat().st_size if partial.is_file() else 0
    # Some publishers turn away clients without a name; compressed transfer would make ranges meaningless.
    headers = {"User-Agent": "equilatent", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:
            # Nothing lies beyond what we have, so that is no part of this file.
            partial.unlink()
            raise _CutError("the server has no more than was there") from error
        if error.code >= 500 or error.code in (408, 429):
            raise _CutError(f"the server answers {error.code} {error.reason}") from error
        raise _RefusedError(f"the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"no connection ({getattr(error, 'reason', None) or error})") from error
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status == 206 and not resumed:
            raise _RefusedError(f"asked from byte {have}, the server sends {response.headers.get('Content-Range')!r}")
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        # A server without ranges sends the file from its beginning: "wb" drops what we had.
        with partial.open("ab" if resumed else "wb") as file, _bar(url, start, total, progress) as bar:
            while chunk := _read(response):
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if total is not None and partial.stat().st_size < total:
        raise _CutError("the connection was cut")


def _read(response: http.client.HTTPResponse) -> bytes:
    # Told apart from errors in writing, which asking again does not mend.
    try:
        return response.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"the connection was cut ({error})") from error


def _bar(url: str, start: int, total: int | None, progress: bool) -> tqdm[NoReturn]:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise _missing("tqdm") from error
    name = url.partition("?")[0].rpartition("/")[2]
    # None: no bar where the output is not a terminal.
    hidden = None if progress else True
    return tqdm(desc=name, initial=start, total=total, unit="B", unit_scale=True, dynamic_ncols=True, disable=hidden)


def _missing(package: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"making files of data needs {package}, which the library itself does not. Install it: pip install "
        "'equilatent[bench]'."
    )
