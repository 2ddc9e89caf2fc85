"""Patches of a brain: read from files as nilearn has them, symmetric, apart, and with the labels that are meant."""

import gzip
import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from equilatent.bench.data import _brain, _command, brain, data_command
from equilatent.bench.data._brain import BRAIN_FILES, cut_patches, read_nifti
from equilatent.errors import DataError, MissingDependencyError

SHAPE = (197, 233, 189)


def nifti(array: np.ndarray) -> bytes:
    header = bytearray(352)
    header[:4] = struct.pack("<i", 348)
    header[40:56] = struct.pack("<8h", array.ndim, *array.shape, *[1] * (7 - array.ndim))
    header[70:74] = struct.pack("<2h", 2, 8)
    header[108:112] = struct.pack("<f", 352)
    header[344:348] = b"n+1\0"
    return bytes(header) + array.tobytes(order="F")


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """A symmetric template: every voxel tells its place along the second axis; white matter above, grey below."""
    noise = np.random.default_rng(0).integers(1, 256, SHAPE, dtype=np.uint8)
    t1 = np.where(np.arange(SHAPE[0])[:, None, None] < 98, noise, noise[::-1])
    t1[:, :, 0] = np.arange(SHAPE[1])
    grey, white = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    grey[:, 30:, :80], white[:, 30:, 80:] = 255, 255
    return {"t1": t1, "gm": grey, "wm": white}


@pytest.fixture
def folder(arrays: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "brain").mkdir()
    for name, file in BRAIN_FILES.items():
        content = nifti(arrays[name])
        (tmp_path / "brain" / file.name).write_bytes(gzip.compress(content, 1))
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        monkeypatch.setitem(_brain.BRAIN_FILES, name, replace(file, content=digest))
    known = replace(_command.DATA_SETS["brain"], files=tuple(BRAIN_FILES.values()))
    monkeypatch.setitem(_command.DATA_SETS, "brain", known)
    return tmp_path


def test_patches_are_where_their_corners_say_and_come_in_mirror_twins(arrays: dict[str, np.ndarray]) -> None:
    patches = cut_patches(arrays["t1"], arrays["gm"], arrays["wm"])
    count = len(patches.corners)
    assert count % 2 == 0 and patches.volumes.shape == (count, 1, 28, 28, 28)
    for number in (0, 1, count // 2, count - 1):
        x, y, z = patches.corners[number].tolist()
        expected = arrays["t1"][x : x + 28, y : y + 28, z : z + 28]
        assert np.array_equal(patches.volumes[number, 0].numpy(), expected)
    left, right = patches.corners[::2], patches.corners[1::2]
    assert torch.equal(left[:, 1:], right[:, 1:]) and torch.equal(
        left[:, 0] + right[:, 0], torch.full((count // 2,), 169)
    )
    assert torch.equal(patches.volumes[::2].flip(2), patches.volumes[1::2])
    assert torch.equal(patches.white[::2], patches.white[1::2])
    assert patches.right.tolist() == [False, True] * (count // 2)
    assert int(left[:, 0].max()) + 27 < 98 <= int(right[:, 0].min())
    strides = {int(step) for axis in (1, 2) for step in left[:, axis].unique().diff()}
    assert strides == {14}


def test_patches_without_tissue_are_left_out_and_the_share_of_white_matter_is_right(
    arrays: dict[str, np.ndarray],
) -> None:
    patches = cut_patches(arrays["t1"], arrays["gm"], arrays["wm"])
    corners = patches.corners
    # Of the slices from 14 on 12 of 28 are tissue, of those before none.
    assert int(corners[:, 1].min()) == 14
    white = (corners[:, 2] + 28 - 80).clamp(0, 28).double() / 28
    torch.testing.assert_close(patches.white, white)


def test_splits_do_not_overlap_and_have_both_labels_of_all(folder: Path) -> None:
    places, labels = {}, {}
    for label in ("tissue", "hemisphere"):
        data = brain(label, folder)  # type: ignore[arg-type]
        for split, (x, y) in data.splits().items():
            assert x.dtype == torch.uint8 and set(y.tolist()) == {0, 1}
            labels[label, split] = y
            if label == "tissue":
                # The lowest layer tells the place along the second axis.
                lowest = x[(x[:, 0, 0, :, 0].long().diff(dim=1) == 1).all(1)][:, 0, 0, :, 0]
                places[split] = set(lowest.flatten().tolist())
    assert all(not places[one] & places[other] for one, other in (("train", "val"), ("train", "test"), ("val", "test")))
    assert max(places["train"]) < min(places["val"]) and max(places["val"]) < min(places["test"])
    for split in ("train", "val", "test"):
        twins = labels["hemisphere", split]
        assert twins.tolist() == [0, 1] * (len(twins) // 2)
        assert torch.equal(labels["tissue", split][::2], labels["tissue", split][1::2])
    assert brain("tissue", folder).provenance["files"][BRAIN_FILES["t1"].name]["verified"]  # type: ignore[index]


def test_a_template_that_is_not_symmetric_is_refused(arrays: dict[str, np.ndarray]) -> None:
    skew = arrays["gm"].copy()
    skew[3, 40, 2] = 1
    with pytest.raises(DataError, match="the grey is to be its own mirror image"):
        cut_patches(arrays["t1"], skew, arrays["wm"])


def test_another_label_and_missing_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_brain.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataError, match="tissue or hemisphere; got 'age'"):
        brain("age", tmp_path)  # type: ignore[arg-type]
    with pytest.raises(
        MissingDependencyError, match=r"mni_icbm152_t1.* comes with the package nilearn.*pip install nilearn"
    ):
        brain("tissue", tmp_path)


def test_files_are_found_in_nilearn(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "nilearn"
    (package / "datasets").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('is not to be imported')")
    (folder / "brain").rename(package / "datasets" / "data")
    monkeypatch.syspath_prepend(str(package.parent))
    assert len(brain("hemisphere", tmp_path / "elsewhere").train_y)
    (line,) = (row for row in data_command(["brain"], tmp_path / "elsewhere").splitlines() if row.startswith("brain"))
    assert "nilearn" in line and "  verified" in line


def test_files_that_are_not_the_known_ones_are_refused(folder: Path) -> None:
    path = folder / "brain" / BRAIN_FILES["wm"].name
    path.write_bytes(gzip.compress(nifti(np.zeros(SHAPE, np.uint8)), 1))
    with pytest.raises(DataError, match=r"wm.*is not the file that was published"):
        brain("tissue", folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"short", "is no NIfTI-1 file"),
        (nifti(np.zeros((2, 2, 2), np.uint8)).replace(b"n+1\0", b"ni1\0"), "is no NIfTI-1 file"),
        (nifti(np.zeros((2, 2, 2), np.uint8))[:-1], r"shape \[2, 2, 2\] and 359 bytes"),
        (nifti(np.zeros((2, 2), np.uint8)), r"three axes \(kind 2\); it has kind 2 in the shape \[2, 2\]"),
    ],
)
def test_files_that_are_none_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_nifti(content, tmp_path)
