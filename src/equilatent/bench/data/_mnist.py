"""MNIST, from its four IDX files."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from equilatent.bench.data._files import Published, content_digest, find_data_dir
from equilatent.bench.data._images import ImageData
from equilatent.errors import DataError

__all__ = ["MNIST_FILES", "MNIST_SOURCE", "mnist", "parse_idx", "read_gzip"]

MNIST_SOURCE = "LeCun, Cortes & Burges, The MNIST database of handwritten digits"
_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")


def _file(name: str, size: int, digest: str, content: str) -> Published:
    urls = tuple(mirror + name for mirror in _MIRRORS)
    return Published(name, urls, f"md5:{digest}", ("mnist", "MNIST/raw"), size, f"md5:{content}")


#: Digests of the files as published (those that torchvision states), and of what they unpack to.
MNIST_FILES = {
    "train_x": _file(
        "train-images-idx3-ubyte.gz", 9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"
    ),
    "train_y": _file(
        "train-labels-idx1-ubyte.gz", 28881, "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"
    ),
    "test_x": _file(
        "t10k-images-idx3-ubyte.gz", 1648877, "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"
    ),
    "test_y": _file(
        "t10k-labels-idx1-ubyte.gz", 4542, "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"
    ),
}


def mnist(data: Path | None = None, *, download: bool = True, progress: bool = True) -> ImageData:
    """MNIST: 60,000 + 10,000 handwritten digits, uint8 [N, 1, 28, 28].

    Args:
        data: the data folder; by default that of `find_data_dir`. The files lie in it, in ``mnist/`` or in
            ``MNIST/raw/``, as published, recompressed or unpacked.
        download: fetch files that are not there (12 MB in all).
        progress: show a bar for downloads.

    Raises:
        DataError: for files that are missing, damaged or not those that were published.
    """
    folder = find_data_dir(data)
    parts, files = {}, {}
    for part, file in MNIST_FILES.items():
        path = file.get(folder, download=download, progress=progress)
        content = read_gzip(path)
        # The unpacked bytes count: how they were compressed is no part of the data.
        files[file.name] = {"unpacked": content_digest(content, path, file.content), "verified": True}
        parts[part] = parse_idx(content, 3 if part.endswith("x") else 1, path)
    return ImageData(
        name="mnist",
        classes=10,
        train_x=parts["train_x"].unsqueeze(1),
        train_y=parts["train_y"].long(),
        test_x=parts["test_x"].unsqueeze(1),
        test_y=parts["test_y"].long(),
        provenance={"source": MNIST_SOURCE, "stand_in": None, "files": files},
    )


def read_gzip(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is a gzip file.

    Raises:
        DataError: if the gzip file is damaged or ends early.
    """
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error, struct.error) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}). Remove it, so that it is fetched again.") from error


def parse_idx(content: bytes, ndim: int, path: Path) -> Tensor:
    """The array of bytes in the IDX format: two zero bytes, the type (8: bytes), the number of axes, the length of each
    axis as a big-endian 32-bit integer, the entries.

    Args:
        content: the bytes of the file.
        ndim: how many axes it has to have.
        path: the file, for messages.

    Returns:
        uint8 with `ndim` axes.

    Raises:
        DataError: for another type or number of axes, and for too few or too many entries.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]), 1, Path("labels"))
    tensor([7, 8, 9], dtype=torch.uint8)
    """
    start = 4 + 4 * ndim
    magic = bytes([0, 0, 8, ndim])
    if content[:4] != magic:
        raise DataError(
            f"{path} is no IDX file of bytes with {ndim} axes: it begins with {content[:4].hex(' ') or 'nothing'}, not "
            f"{magic.hex(' ')}."
        )
    if len(content) < start:
        raise DataError(f"{path} ends within its header: {len(content)} bytes of {start}.")
    shape = struct.unpack(f">{ndim}I", content[4:start])
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{path} announces an array {list(shape)}, hence {expected:,} bytes, and has {len(content):,}: it is "
            f"{'cut off' if len(content) < expected else 'too long'}."
        )
    if not math.prod(shape):
        raise DataError(f"{path} holds an empty array {list(shape)}.")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).reshape(shape)
