"""Patches of a brain template, with one label that turns respect and one that mirrors swap."""

from __future__ import annotations

import importlib.util
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from equilatent.bench.data._files import Published, content_digest, find_data_dir
from equilatent.bench.data._images import ImageData
from equilatent.bench.data._mnist import read_gzip
from equilatent.errors import DataError, MissingDependencyError

__all__ = [
    "BRAIN_FILES",
    "BRAIN_SOURCE",
    "BrainLabel",
    "Patches",
    "brain",
    "cut_patches",
    "find_template",
    "read_nifti",
]

BRAIN_SOURCE = "MNI ICBM152 2009a, symmetric (Fonov et al. 2011; McConnell Brain Imaging Centre), from nilearn's wheel"
#: What nilearn holds: the T1-weighted template of the brain, and how much of each voxel is grey and white matter.
BRAIN_FILES = {
    name: Published(
        f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz", (), "", ("brain",), size, content=f"sha256:{digest}"
    )
    for name, size, digest in (
        ("t1", 1_617_531, "eeb8a792a93948c83462305c71db783800e95eb3f6ce35975a4dd0f374f79bff"),
        ("gm", 1_965_510, "9800242e730cec0d4ae97358d232904d09771bb0f10202ea4bf80eee50609b43"),
        ("wm", 1_553_010, "7c78a23ddd786979edbb50bdada52c86c405cf2986baee5df5791e0200d7ffeb"),
    )
}
BrainLabel = Literal["tissue", "hemisphere"]
#: The side of a patch, and voxels from one to the next.
_SIDE, _STRIDE = 28, 14
#: A patch has to be tissue in at least this part, and counts as white if white matter is more than this part of it.
_LEAST_TISSUE, _WHITE = 0.3, 0.375
#: Where patches begin, from the back to the front: those between the parts would overlap two of them.
_PARTS = {"train": range(71), "val": range(98, 99), "test": range(126, 10_000)}


@dataclass(frozen=True)
class Patches:
    """Patches in the order in which their corners come, the left one of mirror twins always followed by the right one.

    Attributes:
        volumes: uint8 [N, 1, side, side, side].
        corners: the voxel with the lowest indices, LongTensor [N, 3].
        white: the part of the tissue that is white matter, float64 [N].
        right: whether it is of the half with the higher indices, bool [N].
    """

    volumes: Tensor
    corners: Tensor
    white: Tensor
    right: Tensor


def brain(label: BrainLabel, data: Path | None = None) -> ImageData:
    """Patches of 28³ voxels of 1 mm of the symmetric MNI152 template, in two classes; uint8 [N, 1, 28, 28, 28].

    They are cut from both halves at a stride of 14 and are mirror images of each other, which stay in one split. The
    training patches are of the back of the brain, the test patches of its front, and the validation patches of a slice
    between; none overlaps with one of another split.

    Args:
        label: ``"tissue"``: 1 if more than three eighths of the tissue is white matter, which no motion changes; or
            ``"hemisphere"``: 1 if the patch is of the half with the higher indices along the first axis, which mirrors
            of that axis swap.
        data: the data folder; by default that of `find_data_dir`. The files lie in it or in ``brain/``, else they are
            those of the package nilearn.

    Raises:
        DataError: for another label, and for files that are damaged or not those that are known.
        MissingDependencyError: if the files are nowhere.
    """
    if label not in ("tissue", "hemisphere"):
        raise DataError(f"label is tissue or hemisphere; got {label!r}.")
    folder = find_data_dir(data)
    arrays, files = {}, {}
    for name, file in BRAIN_FILES.items():
        path = _path(file, folder)
        content = read_gzip(path)
        files[path.name] = {"digest": content_digest(content, path, file.content), "verified": True}
        arrays[name] = read_nifti(content, path)
    patches = cut_patches(arrays["t1"], arrays["gm"], arrays["wm"])
    labels = (patches.white > _WHITE if label == "tissue" else patches.right).long()
    parts: dict[str, Tensor] = {}
    for split, corners in _PARTS.items():
        inside = (patches.corners[:, 1] >= corners.start) & (patches.corners[:, 1] < corners.stop)
        parts |= {f"{split}_x": patches.volumes[inside], f"{split}_y": labels[inside]}
    return ImageData(
        name=f"brain {label}",
        classes=2,
        provenance={"source": BRAIN_SOURCE, "stand_in": None, "files": files},
        **parts,
    )


def cut_patches(template: np.ndarray, grey: np.ndarray, white: np.ndarray) -> Patches:
    """Cut patches out of both halves of a template, none across the middle, where there is enough tissue.

    Args:
        template: uint8 [D, H, W], symmetric under the mirror of its first axis.
        grey: how much of each voxel is grey matter, 255 for all of it; of the same shape.
        white: how much is white matter.

    Raises:
        DataError: if the template or the tissue is not symmetric.
    """
    for name, array in (("template", template), ("grey", grey), ("white", white)):
        if not np.array_equal(array, array[::-1]):
            raise DataError(f"the {name} is to be its own mirror image along the first axis; it is not.")
    length = template.shape[0]
    left = range(0, length // 2 - _SIDE + 1, _STRIDE)
    others = [range(0, size - _SIDE + 1, _STRIDE) for size in template.shape[1:]]
    corners = [(corner, y, z) for x in left for y in others[0] for z in others[1] for corner in (x, length - _SIDE - x)]
    kept, volumes, shares = [], [], []
    for corner in corners:
        at = tuple(slice(start, start + _SIDE) for start in corner)
        tissue = [float(array[at].mean()) / 255 for array in (grey, white)]
        if sum(tissue) > _LEAST_TISSUE:
            kept.append(corner)
            volumes.append(template[at])
            shares.append(tissue[1] / sum(tissue))
    at_corners = torch.tensor(kept)
    return Patches(
        torch.from_numpy(np.stack(volumes)).unsqueeze(1),
        at_corners,
        torch.tensor(shares, dtype=torch.float64),
        at_corners[:, 0] >= length // 2,
    )


def read_nifti(content: bytes, path: Path) -> np.ndarray:
    """The array of bytes in a NIfTI-1 file, in the order of its axes; of what the header has only the shape is used.

    Args:
        content: the unpacked bytes.
        path: the file, for messages.

    Raises:
        DataError: if it is no such file, or holds something other than bytes.
    """
    if len(content) < 352 or content[344:348] != b"n+1\0" or struct.unpack("<i", content[:4]) != (348,):
        raise DataError(f"{path} is no NIfTI-1 file with little-endian numbers.")
    dimensions = struct.unpack("<8h", content[40:56])
    kind, (offset,) = struct.unpack("<h", content[70:72])[0], struct.unpack("<f", content[108:112])
    shape = dimensions[1 : 1 + dimensions[0]]
    if kind != 2 or len(shape) != 3 or len(content) != int(offset) + int(np.prod(shape)):
        raise DataError(
            f"{path} should hold bytes in three axes (kind 2); it has kind {kind} in the shape {list(shape)} and "
            f"{len(content)} bytes."
        )
    return np.frombuffer(content, np.uint8, offset=int(offset)).reshape(shape, order="F")


def find_template(file: Published, folder: Path) -> Path | None:
    """Where a file of the template lies, in the data folder or in nilearn; None if it is in neither."""
    path = file.find(folder)
    spec = importlib.util.find_spec("nilearn")
    for place in (spec.submodule_search_locations or ()) if path is None and spec is not None else ():
        inside = Path(place) / "datasets" / "data" / file.name
        path = inside if inside.is_file() else None
    return path


def _path(file: Published, folder: Path) -> Path:
    path = find_template(file, folder)
    if path is None:
        raise MissingDependencyError(
            f"{file.name} comes with the package nilearn, which is not installed or has it no more, and is not in {folder} "
            "or its folder brain/ either. Install nilearn: pip install nilearn; or unpack its wheel and put the file there."
        )
    return path
