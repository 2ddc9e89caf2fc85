"""TMNIST: the ten digits in two typefaces, seen turned and scaled at random."""

from __future__ import annotations

import csv
import importlib.metadata
import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from equilatent.bench.data._download import file_digest
from equilatent.bench.data._files import Published, find_data_dir
from equilatent.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = [
    "BAHIANITA",
    "PLEX_PACKAGE",
    "TMNIST_CSV",
    "TMNIST_SOURCE",
    "TYPEFACES",
    "DigitViews",
    "TypefaceData",
    "draw_views",
    "find_plex",
    "random_views",
    "read_tmnist_csv",
    "tmnist",
    "tmnist_glyphs",
]

TMNIST_SOURCE = "Magre & Brown, Typography-MNIST (TMNIST)"
#: The two typefaces of the paper, in the order of their numbers (appendix B.1).
TYPEFACES = ("Bahianita-Regular", "IBMPlexSans-MediumItalic")
BAHIANITA = Published(
    "bahianita-latin-400-normal.woff",
    ("https://cdn.jsdelivr.net/npm/@fontsource/bahianita@5.3.0/files/bahianita-latin-400-normal.woff",),
    "sha256:54d776c9b55f532abbd991c9ffb5d1826c5ec3c5b305dbef85fb696064a3979c",
    ("fonts",),
    20644,
)
#: The data set's own images, which its publisher gives to registered users only and without a digest.
TMNIST_CSV = Published("TMNIST_Data.csv", (), "", ("tmnist",))
PLEX_PACKAGE = "fontpkg-ibm-plex-sans"
_PLEX_FILE = "IBMPlexSans-Italic[wdth,wght].ttf"

_SIDE = 28
#: Longer side of a glyph, in pixels: MNIST's digits fit into a box of this side too.
_BOX = 20
#: Glyphs are drawn so much larger, and averaged down.
_OVERSAMPLING = 16


@dataclass(frozen=True, eq=False)
class TypefaceData:
    """The ten digits in two typefaces.

    Attributes:
        glyphs: white on black, uint8 [2, 10, 28, 28]: typeface, digit.
        typefaces: the names of the two.
        provenance: for the record of a run, as in `ImageData`.
    """

    glyphs: Tensor
    typefaces: tuple[str, str]
    provenance: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class DigitViews:
    """Digits turned and scaled, each in both typefaces.

    Attributes:
        x: float32 [n, 1, 28, 28] in [0, 1].
        swapped: t·x for the non-trivial element t of C2: the same digit, angle and scale in the other typeface.
        digit: LongTensor [n], 0 to 9.
        font: the typeface of `x`, LongTensor [n], 0 or 1.
        angle: in degrees, counter-clockwise as displayed, float32 [n].
        scale: 1 leaves the size as it is, float32 [n].
    """

    x: Tensor
    swapped: Tensor
    digit: Tensor
    font: Tensor
    angle: Tensor
    scale: Tensor


def tmnist(data: Path | None = None, *, download: bool = True, progress: bool = True) -> TypefaceData:
    """The paper's 20 images of TMNIST: ten digits in Bahianita Regular and IBM Plex Sans Medium Italic (appendix B.1).

    They are read from the data set's own ``TMNIST_Data.csv`` if it is in the data folder or in ``tmnist/``. Else they are
    drawn from the typefaces themselves by `tmnist_glyphs`, and ``provenance["stand_in"]`` says so.

    Args:
        data: the data folder; by default that of `find_data_dir`.
        download: fetch the typeface that is not there (21 kB).
        progress: show a bar for the download.

    Raises:
        DataError: for files that are missing or damaged.
        MissingDependencyError: if the typefaces have to be drawn and Pillow or fontpkg-ibm-plex-sans is not installed.
    """
    folder = find_data_dir(data)
    table = TMNIST_CSV.find(folder)
    if table is not None:
        return TypefaceData(
            glyphs=read_tmnist_csv(table),
            typefaces=TYPEFACES,
            provenance={
                "source": TMNIST_SOURCE,
                "stand_in": None,
                "files": {table.name: {"digest": TMNIST_CSV.verify(table), "verified": False}},
            },
        )
    glyphs = tmnist_glyphs(folder, download=download, progress=progress)
    bahianita = BAHIANITA.get(folder, download=False, progress=False)
    return TypefaceData(
        glyphs=glyphs,
        typefaces=TYPEFACES,
        provenance={
            "source": TMNIST_SOURCE,
            "stand_in": "drawn from the two typefaces, not the data set's own images",
            "files": {
                BAHIANITA.name: {"digest": BAHIANITA.verify(bahianita), "verified": True},
                _PLEX_FILE: {"digest": file_digest(_plex_path(), "sha256"), "verified": False},
            },
            "versions": {name: importlib.metadata.version(name) for name in (PLEX_PACKAGE, "pillow")},
        },
    )


def tmnist_glyphs(data: Path | None = None, *, download: bool = True, progress: bool = True) -> Tensor:
    """The digits 0 to 9 drawn in the two typefaces of the paper, in the manner of MNIST.

    White on black; scaled, without stretching, so that the longer side of each glyph is 20 pixels; the middle of its
    box in the middle of 28×28 pixels.

    Args:
        data: the data folder, for Bahianita Regular (directly or in ``fonts/``); by default that of `find_data_dir`. IBM
            Plex Sans comes with the package fontpkg-ibm-plex-sans.
        download: fetch Bahianita Regular if it is not there (21 kB).
        progress: show a bar for the download.

    Returns:
        Images by typeface (in the order of ``TYPEFACES``) and digit, uint8 [2, 10, 28, 28].

    Raises:
        DataError: if Bahianita Regular is missing or damaged, or IBM Plex Sans has no Medium Italic.
        MissingDependencyError: if Pillow or fontpkg-ibm-plex-sans is not installed.
    """
    image_font = _image_font()
    plex_path = _plex_path()
    bahianita_path = BAHIANITA.get(find_data_dir(data), download=download, progress=progress)
    BAHIANITA.verify(bahianita_path)
    # Large enough that a digit, which is about 0.7 of the font's size in height, fills the box.
    size = round(_BOX * _OVERSAMPLING * 1.5)
    bahianita = image_font.truetype(str(bahianita_path), size)
    plex = image_font.truetype(str(plex_path), size)
    try:
        plex.set_variation_by_name("Medium Italic")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{_PLEX_FILE} of {PLEX_PACKAGE} has no named instance 'Medium Italic' ({error}).") from error
    return torch.from_numpy(np.stack([np.stack([_glyph(font, d) for d in "0123456789"]) for font in (bahianita, plex)]))


def _glyph(font: FreeTypeFont, character: str) -> np.ndarray:
    from PIL import Image, ImageDraw

    left, top, right, bottom = (round(edge) for edge in font.getbbox(character))
    drawn = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(drawn).text((-left, -top), character, font=font, fill=255)
    # The box that the font states has margins.
    box = drawn.getbbox()
    if box is None:
        raise DataError(f"{' '.join(map(str, font.getname()))} draws nothing for {character!r}.")
    drawn = drawn.crop(box)
    inner = _BOX * _OVERSAMPLING
    factor = inner / max(drawn.size)
    width, height = (max(1, round(side * factor)) for side in drawn.size)
    canvas = Image.new("L", (_SIDE * _OVERSAMPLING,) * 2)
    place = ((canvas.width - width) // 2, (canvas.height - height) // 2)
    canvas.paste(drawn.resize((width, height), Image.Resampling.BOX), place)
    return np.asarray(canvas.resize((_SIDE, _SIDE), Image.Resampling.BOX)).copy()


def _image_font() -> Any:
    try:
        from PIL import ImageFont
    except ImportError as error:
        raise MissingDependencyError(
            "typefaces are drawn with Pillow, which the library itself does not need. Install it: "
            "pip install 'equilatent[bench]'."
        ) from error
    return ImageFont


def find_plex() -> Path | None:
    """The file of IBM Plex Sans Italic in its package; None if that is not installed."""
    spec = importlib.util.find_spec(PLEX_PACKAGE.replace("-", "_"))
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(place) / "files" / _PLEX_FILE
        if path.is_file():
            return path
    return None


def _plex_path() -> Path:
    path = find_plex()
    if path is not None:
        return path
    raise MissingDependencyError(
        f"IBM Plex Sans Italic comes with the package {PLEX_PACKAGE}, which is not installed or has it no more. Install "
        "it: pip install 'equilatent[bench]'."
    )


def read_tmnist_csv(path: Path) -> Tensor:
    """The digits in the two typefaces of the paper from TMNIST's table: columns names, labels, 1 … 784.

    Returns:
        Images by typeface (in the order of ``TYPEFACES``) and digit, uint8 [2, 10, 28, 28].

    Raises:
        DataError: for other columns, for an image that is missing or there twice, or for pixels that are not 0 to 255.
    """
    header = ["names", "labels", *(str(number) for number in range(1, _SIDE * _SIDE + 1))]
    glyphs: dict[tuple[int, int], list[int]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            columns = next(csv.reader([file.readline()]), [])
            if columns != header:
                raise DataError(
                    f"{path} has the columns names, labels, 1 … 784; got {len(columns)}, which begin with {columns[:3]}."
                )
            # Of some 30,000 rows 20 are wanted, so that the others are not taken apart.
            rows = [line for line in file if line.lstrip('"').startswith(TYPEFACES)]
        for name, label, *pixels in csv.reader(rows):
            if name not in TYPEFACES:
                continue  # a typeface whose name begins like one of these
            key = (TYPEFACES.index(name), int(label))
            if key in glyphs or not 0 <= key[1] <= 9 or len(pixels) != _SIDE * _SIDE:
                raise DataError(
                    f"{path}: each digit 0 to 9 is there once in {name}, with {_SIDE * _SIDE} pixels; got label {label} "
                    f"{'again ' if key in glyphs else ''}with {len(pixels)}."
                )
            glyphs[key] = [int(pixel) for pixel in pixels]
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(f"{path} is no table of names and numbers, or is damaged ({error}).") from error
    wanted = [(font, digit) for font in range(2) for digit in range(10)]
    absent = [f"{digit} in {TYPEFACES[font]}" for font, digit in wanted if (font, digit) not in glyphs]
    if absent:
        raise DataError(f"{path} has no image of {', '.join(absent)}.")
    values = torch.tensor([glyphs[key] for key in wanted])
    if int(values.min()) < 0 or int(values.max()) > 255:
        raise DataError(f"{path}: pixels are 0 to 255; got {int(values.min())} to {int(values.max())}.")
    return values.to(torch.uint8).reshape(2, 10, _SIDE, _SIDE)


def random_views(
    glyphs: Tensor,
    n: int,
    generator: torch.Generator | None = None,
    *,
    angle: tuple[float, float] = (-90.0, 90.0),
    scale: tuple[float, float] = (0.8, 1.2),
) -> DigitViews:
    """Digits drawn uniformly, in a typeface drawn uniformly, turned and scaled at random about the centre (appendix B.1).

    Args:
        glyphs: uint8 [2, 10, H, W]: typeface, digit.
        n: how many, at least 1; the paper draws 10,000 an epoch.
        generator: for drawing; the global one by default. The views lie where `glyphs` do.
        angle: the range, in degrees.
        scale: the range.

    Raises:
        DataError: for glyphs of another shape, no views, or a range that is empty or not positive.

    >>> from equilatent.bench.data import random_views
    >>> glyphs = torch.randint(256, (2, 10, 28, 28), dtype=torch.uint8)
    >>> views = random_views(glyphs, 64, torch.Generator().manual_seed(0))
    >>> views.x.shape, views.swapped.shape, views.font[:4]
    (torch.Size([64, 1, 28, 28]), torch.Size([64, 1, 28, 28]), tensor([...]))
    """
    _check_glyphs(glyphs)
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise DataError(f"n is the number of views, an integer of at least 1; got {n!r}.")
    for what, (low, high) in (("angle", angle), ("scale", scale)):
        if not (math.isfinite(low) and math.isfinite(high) and low <= high and (what == "angle" or low > 0)):
            raise DataError(f"{what} is a range (low, high) of finite numbers, for scales above 0; got {(low, high)}.")
    # Drawn where the generator lives, so that its device plays no part in what is drawn for which glyphs.
    device = torch.device("cpu") if generator is None else generator.device
    font, digit = (torch.randint(bound, (n,), generator=generator, device=device) for bound in (2, 10))
    angles, scales = (
        low + (high - low) * torch.rand(n, generator=generator, device=device) for low, high in (angle, scale)
    )
    return draw_views(glyphs, digit, font, angles, scales)


def draw_views(glyphs: Tensor, digit: Tensor, font: Tensor, angle: Tensor, scale: Tensor) -> DigitViews:
    """Given digits in given typefaces, turned and scaled about the centre, bilinearly and all at once.

    Args:
        glyphs: uint8 [2, 10, H, W]: typeface, digit.
        digit: LongTensor [n], 0 to 9.
        font: LongTensor [n], 0 or 1.
        angle: degrees, counter-clockwise as displayed, floating [n].
        scale: above 0, floating [n].

    Raises:
        DataError: for other shapes or values.
    """
    _check_glyphs(glyphs)
    digit, font, angle, scale = (part.to(glyphs.device) for part in (digit, font, angle, scale))
    for what, part, bound in (("digit", digit, 10), ("font", font, 2)):
        if (
            part.dtype != torch.int64
            or part.ndim != 1
            or not len(part)
            or int(part.min()) < 0
            or int(part.max()) >= bound
        ):
            raise DataError(f"{what} is a LongTensor [n], n > 0, with entries 0 to {bound - 1}; got {_words(part)}.")
    for what, part in (("angle", angle), ("scale", scale)):
        if not part.is_floating_point() or not torch.isfinite(part).all():
            raise DataError(f"{what} is a tensor of finite floating numbers [n]; got {_words(part)}.")
    if not digit.shape == font.shape == angle.shape == scale.shape:
        raise DataError(
            f"digit, font, angle and scale are of one length; got {[list(p.shape) for p in (digit, font, angle, scale)]}."
        )
    if not (scale > 0).all():
        raise DataError(f"scale is above 0; got {float(scale.min()):g}.")
    height, width = glyphs.shape[-2:]
    angle, scale = angle.float(), scale.float()
    turn = torch.deg2rad(angle)
    cos, sin = torch.cos(turn) / scale, torch.sin(turn) / scale
    zero = torch.zeros_like(cos)
    # Where a pixel of the view came from, in (x, y) with y downwards; coordinates run from −1 to 1 along each side.
    ratio = height / width
    source = torch.stack([cos, -sin * ratio, zero, sin / ratio, cos, zero], dim=-1).reshape(-1, 2, 3)
    grid = F.affine_grid(source, [len(digit), 2, height, width], align_corners=False)
    both = torch.stack([glyphs[font, digit], glyphs[1 - font, digit]], dim=1).float() / 255
    moved = F.grid_sample(both, grid, mode="bilinear", padding_mode="zeros", align_corners=False).clamp(0, 1)
    return DigitViews(moved[:, :1], moved[:, 1:], digit, font, angle, scale)


def _check_glyphs(glyphs: Tensor) -> None:
    if glyphs.dtype != torch.uint8 or glyphs.ndim != 4 or glyphs.shape[:2] != (2, 10) or not glyphs.numel():
        raise DataError(f"glyphs are uint8 [2, 10, H, W], typeface and digit; got {_words(glyphs)}.")


def _words(tensor: Tensor) -> str:
    values = f" from {tensor.min().item():g} to {tensor.max().item():g}" if tensor.numel() else ""
    return f"{tensor.dtype} {list(tensor.shape)}{values}"
