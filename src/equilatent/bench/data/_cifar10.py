"""CIFAR10, from its binary version."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equilatent.bench.data._files import Published, find_data_dir
from equilatent.bench.data._images import ImageData
from equilatent.errors import DataError

__all__ = ["CIFAR10_ARCHIVE", "CIFAR10_HEAD", "CIFAR10_SOURCE", "cifar10", "find_batches", "parse_records"]

CIFAR10_SOURCE = "Krizhevsky, Learning multiple layers of features from tiny images: CIFAR10, binary version"
CIFAR10_ARCHIVE = Published(
    "cifar-10-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    "md5:c32a1d4ab5d03f1284b67883e8d87530",
    ("cifar10",),
    170052171,
)
#: The beginnings of the first training batch and of the test batch.
CIFAR10_HEAD = (
    Published(
        "train.bin",
        (),
        "sha256:f93220a33b1f5aeeaa1a86865b996630608ed370803305d39e88e911595481d1",
        ("cifar10_head",),
        15887410,
    ),
    Published(
        "test.bin",
        (),
        "sha256:c77ad46116beb3508f55d38aa34893560beae9515f9aca4a4dd0ea3617ac289e",
        ("cifar10_head",),
        3125241,
    ),
)
_BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
_UNPACKED = "cifar-10-batches-bin"
_PER_BATCH = 10_000
_RECORD = 1 + 3 * 32 * 32


def cifar10(data: Path | None = None, *, download: bool = True, progress: bool = True) -> ImageData:
    """CIFAR10: 50,000 + 10,000 coloured images, uint8 [N, 3, 32, 32].

    Args:
        data: the data folder; by default that of `find_data_dir`. In it, or in ``cifar10/``, lies the publisher's
            ``cifar-10-binary.tar.gz``, or the folder ``cifar-10-batches-bin`` that it unpacks to. If neither is there but
            ``train.bin`` and ``test.bin`` are (directly or in ``cifar10_head/``), these, the first part of CIFAR10, stand
            in for the whole, and ``provenance["stand_in"]`` says so.
        download: fetch the archive (170 MB) if none of these is there.
        progress: show a bar for the download.

    Raises:
        DataError: for files that are missing, damaged or not those that were published.
    """
    folder = find_data_dir(data)
    batches = find_batches(folder)
    if CIFAR10_ARCHIVE.find(folder) is None:
        if batches is not None:
            return _from_batches(batches)
        if all(file.find(folder) for file in CIFAR10_HEAD):
            return _from_head(folder)
    return _from_archive(CIFAR10_ARCHIVE.get(folder, download=download, progress=progress))


def find_batches(folder: Path) -> Path | None:
    """The folder with all six unpacked batches, if there is one."""
    places = [folder / _UNPACKED, folder / "cifar10" / _UNPACKED, folder]
    return next((place for place in places if all((place / name).is_file() for name in _BATCHES)), None)


def parse_records(content: bytes, path: Path) -> tuple[Tensor, Tensor]:
    """Images, uint8 [N, 3, 32, 32], and classes, LongTensor [N], of records of one label byte and 3 · 32 · 32 bytes.

    Raises:
        DataError: for a length that is no multiple of 3073 bytes, or labels out of range.

    >>> images, labels = parse_records(bytes([7]) + bytes(3072), Path("batch.bin"))
    >>> images.shape, labels
    (torch.Size([1, 3, 32, 32]), tensor([7]))
    """
    if not content or len(content) % _RECORD:
        raise DataError(
            f"{path} is made of records of {_RECORD} bytes (one label, 3×32×32 pixels); its {len(content):,} bytes are no "
            "multiple of that, so it is damaged or another file."
        )
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].long()
    if int(labels.max()) > 9:
        number = int((labels > 9).nonzero()[0])
        raise DataError(f"{path}: the classes are 0 to 9; record {number} has label {int(labels[number])}.")
    return records[:, 1:].reshape(-1, 3, 32, 32), labels


def _from_archive(path: Path) -> ImageData:
    digest = CIFAR10_ARCHIVE.verify(path)
    contents: dict[str, bytes] = {}
    try:
        # Nothing is unpacked to disk.
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if name in _BATCHES and (file := archive.extractfile(member)) is not None:
                    contents[name] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is a damaged archive ({error}). Remove it, so that it is fetched again.") from error
    absent = [name for name in _BATCHES if name not in contents]
    if absent:
        raise DataError(f"{path} is not CIFAR10's binary version: it has no {', '.join(absent)}.")
    return _whole(contents, path, {path.name: {"digest": digest, "verified": True}})


def _from_batches(folder: Path) -> ImageData:
    contents = {name: (folder / name).read_bytes() for name in _BATCHES}
    # The publisher states the digest of the archive alone.
    files = {name: {"bytes": len(content), "verified": False} for name, content in contents.items()}
    return _whole(contents, folder, files)


def _whole(contents: dict[str, bytes], path: Path, files: dict[str, Any]) -> ImageData:
    batches = [parse_records(contents[name], path / name) for name in _BATCHES]
    for name, (_, labels) in zip(_BATCHES, batches, strict=True):
        if len(labels) != _PER_BATCH:
            raise DataError(f"{path / name} holds {len(labels):,} images instead of {_PER_BATCH:,}: it is cut off.")
    return ImageData(
        name="cifar10",
        classes=10,
        train_x=torch.cat([images for images, _ in batches[:5]]),
        train_y=torch.cat([labels for _, labels in batches[:5]]),
        test_x=batches[5][0],
        test_y=batches[5][1],
        provenance={"source": CIFAR10_SOURCE, "stand_in": None, "files": files},
    )


def _from_head(folder: Path) -> ImageData:
    files, parts = {}, []
    for file in CIFAR10_HEAD:
        path = file.get(folder, download=False, progress=False)
        parts.append(parse_records(path.read_bytes(), path))
        files[file.name] = {"digest": file.verify(path), "verified": True}
    (train_x, train_y), (test_x, test_y) = parts
    return ImageData(
        name="cifar10",
        classes=10,
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        provenance={
            "source": CIFAR10_SOURCE,
            "stand_in": f"first {len(train_y):,} training and {len(test_y):,} test images",
            "files": files,
        },
    )
