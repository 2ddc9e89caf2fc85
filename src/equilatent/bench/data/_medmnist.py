"""The volumes of MedMNIST."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from equilatent.bench.data._files import Published, find_data_dir
from equilatent.bench.data._images import ImageData
from equilatent.errors import DataError

__all__ = ["MEDMNIST3D", "MEDMNIST3D_SOURCE", "Volumes", "medmnist3d", "read_npz"]

MEDMNIST3D_SOURCE = "Yang et al., MedMNIST v2 (CC BY 4.0)"
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Volumes:
    """What the publisher states of one set: its classes, and the md5 digests of its files by side length."""

    classes: tuple[str, ...]
    digests: dict[int, str]

    def file(self, name: str, size: int) -> Published:
        """The file with volumes of the given side."""
        stem = name if size == 28 else f"{name}_{size}"
        url = f"https://zenodo.org/records/10519652/files/{stem}.npz?download=1"
        return Published(f"{stem}.npz", (url,), f"md5:{self.digests[size]}", ("medmnist",))


_ORGANS = (
    "liver",
    "kidney-right",
    "kidney-left",
    "femur-right",
    "femur-left",
    "bladder",
    "heart",
    "lung-right",
    "lung-left",
    "spleen",
    "pancreas",
)
_FRACTURES = ("buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture")

#: The sets of volumes by name.
MEDMNIST3D = {
    "organmnist3d": Volumes(_ORGANS, {28: "a0c5a1ff56af4f155c46d46fbb45a2fe", 64: "58a2205adf14a9d0a189cb06dc78bf10"}),
    "nodulemnist3d": Volumes(
        ("benign", "malignant"), {28: "8755a7e9e05a4d9ce80a24c3e7a256f3", 64: "c47c5b7d457bf6332200d2ea6d64ecd8"}
    ),
    "synapsemnist3d": Volumes(
        ("inhibitory synapse", "excitatory synapse"),
        {28: "1235b78a3cd6280881dd7850a78eadb6", 64: "43bd14ebf3af9d3dd072446fedc14d5e"},
    ),
    "adrenalmnist3d": Volumes(
        ("normal", "hyperplasia"), {28: "bbd3c5a5576322bc4cdfea780653b1ce", 64: "17721accfe9fb005146a47d33bc54b2f"}
    ),
    "fracturemnist3d": Volumes(
        _FRACTURES, {28: "6aa7b0143a6b42da40027a9dda61302f", 64: "f01d7e6316aedf4210da0da5b7437b42"}
    ),
    "vesselmnist3d": Volumes(
        ("vessel", "aneurysm"), {28: "b41fd4f7e7e2feedddb201585ecafa1b", 64: "6bb274a8846e1097066dcd64e2c4520f"}
    ),
}


def medmnist3d(
    name: str, size: int = 28, data: Path | None = None, *, download: bool = True, progress: bool = True
) -> ImageData:
    """One of MedMNIST's sets of volumes, uint8 [N, 1, size, size, size], with its validation split.

    Args:
        name: ``"organmnist3d"``, ``"nodulemnist3d"``, ``"synapsemnist3d"`` (those of the paper), ``"adrenalmnist3d"``,
            ``"fracturemnist3d"`` or ``"vesselmnist3d"``.
        size: side of the volumes, 28 or 64.
        data: the data folder; by default that of `find_data_dir`. The file lies in it or in ``medmnist/``.
        download: fetch the file if it is not there.
        progress: show a bar for the download.

    Raises:
        DataError: for a name or size that there is not, and for a file that is missing, damaged or not the published one.
    """
    if name not in MEDMNIST3D:
        raise DataError(f"MedMNIST's volumes are {', '.join(MEDMNIST3D)}; got {name!r}.")
    volumes = MEDMNIST3D[name]
    if size not in volumes.digests:
        raise DataError(f"size is one of {', '.join(map(str, volumes.digests))}; got {size!r}.")
    file = volumes.file(name, size)
    path = file.get(find_data_dir(data), download=download, progress=progress)
    digest = file.verify(path)
    arrays = read_npz(path, size)
    parts = {f"{split}_x": torch.from_numpy(arrays[f"{split}_images"]).unsqueeze(1) for split in _SPLITS}
    labels = {f"{split}_y": torch.from_numpy(arrays[f"{split}_labels"][:, 0].astype(np.int64)) for split in _SPLITS}
    return ImageData(
        name=path.stem,
        classes=len(volumes.classes),
        **parts,
        **labels,
        provenance={
            "source": MEDMNIST3D_SOURCE,
            "stand_in": None,
            "files": {path.name: {"digest": digest, "verified": True}},
        },
    )


def read_npz(path: Path, size: int) -> dict[str, np.ndarray]:
    """The six arrays of one of MedMNIST's files: images uint8 [N, size, size, size] and labels uint8 [N, 1] of each split.

    Nothing is unpickled.

    Raises:
        DataError: if the file is damaged, or has other arrays.
    """
    names = [f"{split}_{what}" for split in _SPLITS for what in ("images", "labels")]
    try:
        # Opened here, so that it is closed again whatever numpy finds in it.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            # A single array, saved without an archive, has no names.
            found = sorted(getattr(archive, "files", ()))
            arrays = {name: archive[name] for name in names if name in found}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no archive of arrays, or is damaged ({error}).") from error
    absent = [name for name in names if name not in arrays]
    if absent:
        raise DataError(f"{path} has no array {', '.join(absent)}; it has {', '.join(found) or 'none'}.")
    for split in _SPLITS:
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (size,) * 3:
            raise DataError(
                f"{path}: {split}_images is uint8 [N, {size}, {size}, {size}]; got {images.dtype} {list(images.shape)}."
            )
        if labels.dtype.kind not in "ui" or labels.shape != (len(images), 1):
            raise DataError(
                f"{path}: {split}_labels is of integers [{len(images)}, 1]; got {labels.dtype} {list(labels.shape)}."
            )
    return arrays
