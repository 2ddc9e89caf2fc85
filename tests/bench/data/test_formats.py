"""The readers of each format, on files made here, sound and faulty; and the folders in which files are found."""

import gzip
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from equilatent.bench.data import (
    ImageData,
    _cifar10,
    _command,
    _medmnist,
    _mnist,
    cifar10,
    data_command,
    find_data_dir,
    medmnist3d,
    mnist,
)
from equilatent.bench.data._cifar10 import parse_records
from equilatent.bench.data._files import Published
from equilatent.bench.data._medmnist import Volumes, read_npz
from equilatent.bench.data._mnist import parse_idx, read_gzip
from equilatent.errors import DataError, EquilatentError

PATH = Path("some.file")


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


# IDX and MNIST


def test_idx_is_read_in_row_major_order() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert torch.equal(parse_idx(idx(array), 3, PATH), torch.from_numpy(array))


SOUND = idx(np.zeros((2, 3, 4), dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with nothing"),
        (b"\x00\x00\x08\x01" + SOUND[4:], "begins with 00 00 08 01, not 00 00 08 03"),
        (b"\x00\x00\x0d\x03" + SOUND[4:], "begins with 00 00 0d 03"),
        (b"<html>404</html>", "begins with 3c 68 74 6d"),
        (SOUND[:10], "ends within its header: 10 bytes of 16"),
        (SOUND[:-1], r"array \[2, 3, 4\], hence 40 bytes, and has 39: it is cut off"),
        (SOUND + b"\x00", "has 41: it is too long"),
        (SOUND[:4] + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1), "cut off"),
        (idx(np.zeros((0, 3, 4), dtype=np.uint8)), r"empty array \[0, 3, 4\]"),
    ],
)
def test_faulty_idx(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_idx(content, 3, PATH)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-5],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:3],
        lambda packed: packed[:12] + bytes([packed[12] ^ 255]) + packed[13:],
        lambda packed: packed[:-8] + b"\x00\x00\x00\x00" + packed[-4:],
    ],
)
def test_damaged_gzip(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(spoil(gzip.compress(bytes(range(256)) * 20)))
    with pytest.raises(DataError, match="damaged gzip file"):
        read_gzip(path)


@pytest.fixture
def tiny_mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A tiny data set in MNIST's place."""
    rng = np.random.default_rng(0)
    arrays = {
        "train_x": rng.integers(256, size=(7, 28, 28), dtype=np.uint8),
        "train_y": np.arange(7, dtype=np.uint8),
        "test_x": rng.integers(256, size=(3, 28, 28), dtype=np.uint8),
        "test_y": np.array([9, 0, 1], dtype=np.uint8),
    }
    for part, array in arrays.items():
        changed = replace(_mnist.MNIST_FILES[part], content=md5(idx(array)))
        monkeypatch.setitem(_mnist.MNIST_FILES, part, changed)
    return arrays


def write_mnist(folder: Path, arrays: dict[str, np.ndarray], *, level: int = 9, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in arrays.items():
        name = _mnist.MNIST_FILES[part].name
        content = gzip.compress(idx(array), level) if packed else idx(array)
        (folder / (name if packed else name.removesuffix(".gz"))).write_bytes(content)


@pytest.mark.parametrize("part", [".", "mnist", "MNIST/raw"])
@pytest.mark.parametrize(("level", "packed"), [(9, True), (1, True), (0, False)])
def test_mnist_in_any_folder_and_however_packed(
    tmp_path: Path, tiny_mnist: dict[str, np.ndarray], part: str, level: int, packed: bool
) -> None:
    write_mnist(tmp_path / part, tiny_mnist, level=level, packed=packed)
    data = mnist(tmp_path, download=False)
    assert data.train_x.dtype == torch.uint8
    assert torch.equal(data.train_x, torch.from_numpy(tiny_mnist["train_x"])[:, None])
    assert torch.equal(data.test_y, torch.tensor([9, 0, 1]))
    assert data.val_x is None
    assert json.loads(json.dumps(data.provenance))["stand_in"] is None


def test_mnist_of_other_bytes_is_refused(tmp_path: Path, tiny_mnist: dict[str, np.ndarray]) -> None:
    write_mnist(tmp_path, {**tiny_mnist, "test_y": np.array([9, 0, 2], dtype=np.uint8)})
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz is not the file that was published"):
        mnist(tmp_path, download=False)


def test_labels_out_of_range_are_refused(
    tmp_path: Path, tiny_mnist: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = {**tiny_mnist, "test_y": np.array([9, 0, 10], dtype=np.uint8)}
    monkeypatch.setitem(
        _mnist.MNIST_FILES, "test_y", replace(_mnist.MNIST_FILES["test_y"], content=md5(idx(arrays["test_y"])))
    )
    write_mnist(tmp_path, arrays)
    with pytest.raises(DataError, match="the classes are 0 to 9; test_y has a label 10"):
        mnist(tmp_path, download=False)


def test_missing_files_are_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"train-images.* is not in .*mnist, MNIST/raw.*EQUILATENT_DATA.*allow the download"
    ):
        mnist(tmp_path, download=False)
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz is not in"):
        cifar10(tmp_path, download=False)
    with pytest.raises(DataError, match=r"organmnist3d_64\.npz is not in"):
        medmnist3d("organmnist3d", 64, tmp_path, download=False)


def test_a_data_error_is_both_of_ours_and_of_the_system() -> None:
    assert issubclass(DataError, EquilatentError)
    assert issubclass(DataError, OSError)
    assert str(DataError("what is wrong")) == "what is wrong"


def test_downloaded_files_are_read_and_kept(
    tmp_path: Path,
    tiny_mnist: dict[str, np.ndarray],
    serve: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    servers = []
    for part, array in tiny_mnist.items():
        server = serve()
        server.body, server.cuts = gzip.compress(idx(array)), [20]
        servers.append(server)
        changed = replace(_mnist.MNIST_FILES[part], urls=(server.url,), digest=md5(server.body))
        monkeypatch.setitem(_mnist.MNIST_FILES, part, changed)
    monkeypatch.setattr("equilatent.bench.data._download.time.sleep", lambda _: None)
    first = mnist(tmp_path / "new", progress=False)
    second = mnist(tmp_path / "new", download=False)
    assert torch.equal(first.train_x, second.train_x)
    assert [server.asked for server in servers] == [[0, 20]] * 4
    assert (tmp_path / "new" / "mnist" / "train-images-idx3-ubyte.gz").is_file()


# CIFAR10


def records(labels: list[int], seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(256, size=(len(labels), 3072), dtype=np.uint8)
    return np.concatenate([np.array(labels, dtype=np.uint8)[:, None], pixels], axis=1).tobytes()


def test_records_are_planes_in_row_major_order() -> None:
    pixels = np.arange(3072).astype(np.uint8).reshape(3, 32, 32)
    images, labels = parse_records(bytes([3]) + pixels.tobytes() + bytes([9]) + pixels[::-1].tobytes(), PATH)
    assert labels.tolist() == [3, 9]
    assert np.array_equal(images[0], pixels)
    assert np.array_equal(images[1], pixels[::-1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes are no multiple"),
        (records([1, 2])[:-1], "6,145 bytes are no multiple"),
        (records([1, 2, 10, 255]), "classes are 0 to 9; record 2 has label 10"),
    ],
)
def test_faulty_records(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_records(content, PATH)


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stand-in of 5 + 2 images."""
    contents = records([0, 1, 2, 3, 4]), records([5, 6], seed=1)
    files = tuple(
        replace(file, digest=sha256(content)) for file, content in zip(_cifar10.CIFAR10_HEAD, contents, strict=True)
    )
    monkeypatch.setattr(_cifar10, "CIFAR10_HEAD", files)
    monkeypatch.setattr(_command, "CIFAR10_HEAD", files)
    for file, content in zip(files, contents, strict=True):
        (tmp_path / file.name).write_bytes(content)
    return tmp_path


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The six batches, with two images each instead of 10,000."""
    monkeypatch.setattr(_cifar10, "_PER_BATCH", 2)
    return {name: records([number, 9], seed=number) for number, name in enumerate(_cifar10._BATCHES)}


def pack(contents: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def set_archive(monkeypatch: pytest.MonkeyPatch, packed: bytes, *urls: str) -> None:
    archive = replace(_cifar10.CIFAR10_ARCHIVE, digest=md5(packed), urls=urls or _cifar10.CIFAR10_ARCHIVE.urls)
    monkeypatch.setattr(_cifar10, "CIFAR10_ARCHIVE", archive)
    monkeypatch.setattr(_command, "CIFAR10_ARCHIVE", archive)
    monkeypatch.setitem(_command.DATA_SETS, "cifar10", replace(_command.DATA_SETS["cifar10"], files=(archive,)))


def test_stand_in_is_told_of(head: Path) -> None:
    data = cifar10(head)
    assert (len(data.train_x), len(data.test_x)) == (5, 2)
    assert data.provenance is not None
    assert data.provenance["stand_in"] == "first 5 training and 2 test images"
    assert data.test_y.tolist() == [5, 6]


def test_damaged_stand_in_is_refused(head: Path) -> None:
    (head / "test.bin").write_bytes(records([5, 7], seed=1))
    with pytest.raises(DataError, match=r"test\.bin is not the file that was published"):
        cifar10(head)


@pytest.mark.parametrize("part", [".", "cifar10"])
def test_archive_comes_before_the_stand_in(
    head: Path, batches: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    packed = pack({**batches, "readme.html": b""})
    set_archive(monkeypatch, packed)
    (head / part).mkdir(exist_ok=True)
    (head / part / "cifar-10-binary.tar.gz").write_bytes(packed)
    data = cifar10(head, download=False)
    assert data.train_y.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert data.test_y.tolist() == [5, 9]
    assert data.train_x[8, 0, 0, 0] == batches["data_batch_5.bin"][1]
    assert data.provenance is not None
    assert data.provenance["stand_in"] is None


@pytest.mark.parametrize("part", ["cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "."])
def test_unpacked_batches(tmp_path: Path, batches: dict[str, bytes], part: str) -> None:
    (tmp_path / part).mkdir(parents=True, exist_ok=True)
    for name, content in batches.items():
        (tmp_path / part / name).write_bytes(content)
    data = cifar10(tmp_path, download=False)
    assert data.train_y.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert data.provenance is not None
    assert not data.provenance["files"]["test_batch.bin"]["verified"]
    assert "present, not verified (unpacked)" in data_command([], tmp_path)
    (tmp_path / part / "data_batch_2.bin").write_bytes(records([1]))
    with pytest.raises(DataError, match=r"data_batch_2\.bin holds 1 images instead of 2: it is cut off"):
        cifar10(tmp_path, download=False)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda contents: pack(contents)[:-200], "damaged archive"),
        (lambda _: b"<html>", "damaged archive"),
        (lambda contents: pack({k: v for k, v in contents.items() if k != "data_batch_3.bin"}), "no data_batch_3.bin"),
    ],
)
def test_faulty_archive(
    tmp_path: Path,
    batches: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[dict[str, bytes]], bytes],
    message: str,
) -> None:
    packed = spoil(batches)
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(packed)
    with pytest.raises(DataError, match="is not the file that was published"):
        cifar10(tmp_path)
    set_archive(monkeypatch, packed)
    with pytest.raises(DataError, match=message):
        cifar10(tmp_path)


# MedMNIST


def volumes(size: int = 4, **changes: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 5), ("val", 2), ("test", 3)):
        arrays[f"{split}_images"] = rng.integers(256, size=(count, size, size, size), dtype=np.uint8)
        arrays[f"{split}_labels"] = rng.integers(2, size=(count, 1), dtype=np.uint8)
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


@pytest.mark.parametrize("part", [".", "medmnist"])
def test_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    arrays = volumes()
    path = tmp_path / part / "nodulemnist3d_4.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **arrays)
    digest = md5(path.read_bytes()).removeprefix("md5:")
    monkeypatch.setitem(_medmnist.MEDMNIST3D, "nodulemnist3d", Volumes(("benign", "malignant"), {4: digest}))
    data = medmnist3d("nodulemnist3d", 4, tmp_path, download=False)
    for split, (x, y) in data.splits().items():
        assert torch.equal(x, torch.from_numpy(arrays[f"{split}_images"])[:, None])
        assert y.tolist() == arrays[f"{split}_labels"][:, 0].tolist()
        assert y.dtype == torch.int64
    assert list(data.splits()) == ["train", "val", "test"]
    path.write_bytes(path.read_bytes() + b"\x00")
    with pytest.raises(DataError, match="is not the file that was published"):
        medmnist3d("nodulemnist3d", 4, tmp_path, download=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_labels": None}, "has no array val_labels; it has test_images, test_labels, train_images"),
        (
            {"train_images": np.zeros((5, 4, 4), dtype=np.uint8)},
            r"train_images is uint8 \[N, 4, 4, 4\]; got uint8 \[5, 4, 4\]",
        ),
        ({"train_images": np.zeros((5, 4, 4, 4))}, "got float64"),
        ({"test_labels": np.zeros((4, 1), dtype=np.uint8)}, r"test_labels is of integers \[3, 1\]; got uint8 \[4, 1\]"),
        ({"test_labels": np.zeros((3, 1))}, "got float64"),
        ({"test_labels": np.array([[{}], [{}], [{}]], dtype=object)}, "(?i)pickle"),
    ],
)
def test_faulty_volumes(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "x.npz", **volumes(**changes))
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "x.npz", 4)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)


@pytest.mark.parametrize("what", ["cut", "text", "empty", "one array", "pickle", "array in archive", "zip"])
def test_files_that_are_no_archives_of_arrays(tmp_path: Path, what: str) -> None:
    import pickle
    import zipfile

    path = tmp_path / "x.npz"
    np.savez(path, **volumes())
    if what == "cut":
        path.write_bytes(path.read_bytes()[:-300])
    elif what == "text":
        path.write_text("<html>")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "one array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif what == "pickle":
        path.write_bytes(pickle.dumps(_Bomb()))
    elif what == "array in archive":
        # If it were unpickled, this process would end here.
        np.savez(path, **volumes(train_images=np.array([_Bomb()], dtype=object)))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "no arrays")
    with pytest.raises(DataError, match=r"is no archive of arrays, or is damaged|has no array"):
        read_npz(path, 4)


def test_sets_and_sizes_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"volumes are organmnist3d, .*; got 'pathmnist'"):
        medmnist3d("pathmnist", 28, tmp_path)
    with pytest.raises(DataError, match="size is one of 28, 64; got 32"):
        medmnist3d("organmnist3d", 32, tmp_path)


# What loaders return


X, Y = torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_x": X.float()}, "train_x is uint8"),
        ({"train_x": X[:, 0]}, r"got torch.uint8 \[4, 2, 2\]"),
        ({"test_y": Y.int()}, r"test_y is a LongTensor \[4\]"),
        ({"test_y": Y[:3]}, r"one class for each image; got torch.int64 \[3\]"),
        ({"test_y": -Y}, "has a label -1"),
        ({"test_x": X[:0], "test_y": Y[:0]}, "there are no test images"),
        ({"test_x": X[..., :1]}, r"of shape \[1, 2, 2\], as in train_x; test_x has \[1, 2, 1\]"),
        ({"val_x": X}, "val_x and val_y come together"),
    ],
)
def test_data_that_does_not_hold_together(changes: dict[str, Any], message: str) -> None:
    sound = {"name": "n", "classes": 2, "train_x": X, "train_y": Y, "test_x": X, "test_y": Y}
    ImageData(**sound)
    with pytest.raises(DataError, match=message):
        ImageData(**{**sound, **changes})


# Folders and the command


def test_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUILATENT_DATA", str(tmp_path / "variable"))
    assert find_data_dir(tmp_path / "option") == tmp_path / "option"
    assert find_data_dir() == tmp_path / "variable"
    monkeypatch.setenv("EQUILATENT_DATA", "")
    assert find_data_dir().name == "equilatent"
    assert find_data_dir().is_absolute()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_data_dir(Path("~/data")) == tmp_path / "data"
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file is a file"):
        find_data_dir(tmp_path / "file")


def line_of(table: str, name: str) -> str:
    return next(line for line in table.splitlines() if line.split()[:1] == [name])


def test_command_lists_states(head: Path, tiny_mnist: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    files = tuple(_mnist.MNIST_FILES.values())
    monkeypatch.setitem(_command.DATA_SETS, "mnist", replace(_command.DATA_SETS["mnist"], files=files))
    write_mnist(head / "mnist", tiny_mnist)
    (head / "organmnist3d.npz").write_bytes(b"damaged")
    table = data_command([], head)
    assert "  verified  " in line_of(table, "mnist")
    assert "stand-in, verified" in line_of(table, "cifar10")
    assert "damaged or another file" in line_of(table, "organmnist3d")
    assert "missing" in line_of(table, "synapsemnist3d")
    assert "zenodo.org" in line_of(table, "synapsemnist3d")
    assert str(head) in table
    (head / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "3 of 4 files" in line_of(data_command([], head), "mnist")
    write_mnist(head / "mnist", {**tiny_mnist, "test_y": np.zeros(3, dtype=np.uint8)})
    assert "damaged or another file" in line_of(data_command([], head), "mnist")


def test_command_fetches_the_whole_where_a_stand_in_is(
    head: Path, batches: dict[str, bytes], serve: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    server.body = pack(batches)
    set_archive(monkeypatch, server.body, server.url)
    assert "  verified  " in line_of(data_command(["cifar10"], head, progress=False), "cifar10")
    assert cifar10(head).test_y.tolist() == [5, 9]


def test_command_fetches_what_it_can_and_tells_of_the_rest(
    tmp_path: Path, serve: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = serve(), serve()
    bad.statuses = [404]
    for name, server in (("organmnist3d", bad), ("vesselmnist3d", good)):
        file = Published(f"{name}.npz", (server.url,), md5(server.body), ("medmnist",))
        monkeypatch.setitem(_command.DATA_SETS, name, replace(_command.DATA_SETS[name], files=(file,)))
    with pytest.raises(DataError, match=r"organmnist3d: organmnist3d.npz could not be downloaded.*404"):
        data_command(["organmnist3d", "vesselmnist3d"], tmp_path, progress=False)
    assert "  verified  " in line_of(data_command([], tmp_path), "vesselmnist3d")


def test_command_refuses_unknown_names_before_it_fetches(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the data sets are mnist, cifar10, tmnist, .*; got imagenet"):
        data_command(["mnist", "imagenet"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_command_refuses_a_damaged_file_that_it_is_to_fetch(tmp_path: Path) -> None:
    (tmp_path / "organmnist3d.npz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"organmnist3d: .*Remove it, so that it is fetched again"):
        data_command(["organmnist3d"], tmp_path)


def test_import_brings_no_more_than_torch() -> None:
    code = (
        "import sys, torch, equilatent; before = set(sys.modules); import equilatent.bench.data\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new & {'PIL', 'tqdm', 'filelock', 'platformdirs', 'pandas', 'requests', 'scipy', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
