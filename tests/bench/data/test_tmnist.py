"""TMNIST: its images, drawn or read, and random views of them."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from equilatent.bench.data import TYPEFACES, _tmnist, draw_views, random_views, tmnist, tmnist_glyphs
from equilatent.bench.data._tmnist import read_tmnist_csv
from equilatent.errors import DataError, MissingDependencyError

HEADER = ["names", "labels", *map(str, range(1, 785))]


@pytest.fixture
def glyphs() -> torch.Tensor:
    return torch.randint(256, (2, 10, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def smooth() -> torch.Tensor:
    """Blobs away from the border, another in each of the 20 images."""
    row, column = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    generator = torch.Generator().manual_seed(1)
    centre = 11 + 6 * torch.rand(2, 20, 1, 1, generator=generator)
    blobs = torch.exp(-((row - centre[0]) ** 2 + 2 * (column - centre[1]) ** 2) / 18)
    return (255 * blobs).round().to(torch.uint8).reshape(2, 10, 28, 28)


# The images drawn from the typefaces


def test_digits_are_drawn_like_those_of_mnist(real_data: Path) -> None:
    drawn = tmnist_glyphs(real_data, download=False)
    assert drawn.shape == (2, 10, 28, 28)
    assert drawn.dtype == torch.uint8
    ink = drawn > 32
    height, width = ink.any(-1).sum(-1), ink.any(-2).sum(-1)
    assert ((height >= 19) & (height <= 21)).all()
    assert (width <= 20).all()
    # Bahianita is narrow, IBM Plex Sans is not.
    assert (width[0] < width[1]).all()
    # Centred boxes: as much room above as below, and left as right, up to a pixel.
    for sides in (ink.any(-1), ink.any(-2)):
        before = sides.int().argmax(-1)
        after = sides.flip(-1).int().argmax(-1)
        assert ((before - after).abs() <= 1).all()
    assert (drawn.flatten(2).amax(-1) == 255).all()
    assert len({image.numpy().tobytes() for image in drawn.flatten(0, 1)}) == 20


def test_drawn_digits_are_upright(real_data: Path) -> None:
    seven, six, four = (tmnist_glyphs(real_data)[:, digit].float() for digit in (7, 6, 4))
    assert (seven[:, :9].sum((1, 2)) > 1.2 * seven[:, -9:].sum((1, 2))).all()  # the bar of 7 is above
    assert (six[:, 14:].sum((1, 2)) > six[:, :14].sum((1, 2))).all()  # the bowl of 6 is below
    assert (four[:, :, 14:].sum((1, 2)) > four[:, :, :14].sum((1, 2))).all()  # the stem of 4 is right


def test_slanted_typeface_is_the_second(real_data: Path) -> None:
    one = tmnist_glyphs(real_data)[:, 1].double()
    rows = torch.arange(28.0, dtype=torch.float64)
    middle = (one * rows).sum(-1)[:, 12:21] / one.sum(-1)[:, 12:21]
    drift = middle[:, 0] - middle[:, -1]
    assert abs(drift[0]) < 0.5
    assert drift[1] > 1  # italic: further right at the top


def test_drawn_images_are_told_to_be(real_data: Path) -> None:
    data = tmnist(real_data)
    assert data.typefaces == TYPEFACES == ("Bahianita-Regular", "IBMPlexSans-MediumItalic")
    assert data.provenance["stand_in"] == "drawn from the two typefaces, not the data set's own images"
    assert data.provenance["files"]["bahianita-latin-400-normal.woff"]["verified"]
    assert torch.equal(data.glyphs, tmnist_glyphs(real_data))


def test_missing_typefaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"bahianita-latin-400-normal\.woff is not in"):
        tmnist_glyphs(tmp_path, download=False)
    (tmp_path / "bahianita-latin-400-normal.woff").write_bytes(b"wOFF")
    with pytest.raises(DataError, match="is not the file that was published"):
        tmnist_glyphs(tmp_path, download=False)
    monkeypatch.setattr(_tmnist, "PLEX_PACKAGE", "no-such-package")
    with pytest.raises(MissingDependencyError, match="comes with the package no-such-package"):
        tmnist_glyphs(tmp_path, download=False)


# The images of the table


def write_table(path: Path, images: torch.Tensor, change: Callable[[list[list[str]]], None] | None = None) -> None:
    rows = [list(HEADER)]
    for digit in range(10):
        for font, name in enumerate(TYPEFACES):
            rows.append([name, str(digit), *map(str, images[font, digit].flatten().tolist())])
        # Names that begin like the ones that are wanted, or do not.
        rows.append([f"{TYPEFACES[0]}Extra", str(digit), *["7"] * 784])
        rows.append(["Abel-Regular", str(digit), *["9"] * 784])
    if change is not None:
        change(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize("part", [".", "tmnist"])
def test_table_comes_before_the_typefaces(tmp_path: Path, glyphs: torch.Tensor, part: str) -> None:
    (tmp_path / part).mkdir(exist_ok=True)
    write_table(tmp_path / part / "TMNIST_Data.csv", glyphs)
    data = tmnist(tmp_path, download=False)
    assert torch.equal(data.glyphs, glyphs)
    assert data.provenance["stand_in"] is None
    assert data.provenance["files"]["TMNIST_Data.csv"]["digest"].startswith("sha256:")


def set_cell(row: int, column: int, value: str) -> Callable[[list[list[str]]], None]:
    def change(rows: list[list[str]]) -> None:
        rows[row][column] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_cell(0, 0, "font"), "columns names, labels, 1 … 784; got 786, which begin with .'font'"),
        (lambda rows: rows.__delitem__(slice(None)), "got 0"),
        (lambda rows: rows.__delitem__(1), "no image of 0 in Bahianita-Regular"),
        (lambda rows: rows.append(rows[2]), "got label 0 again"),
        (lambda rows: rows[1].pop(), "with 783"),
        (set_cell(1, 1, "10"), "got label 10"),
        (set_cell(1, 1, "zero"), "no table of names and numbers"),
        (set_cell(1, 9, "256"), "pixels are 0 to 255; got 0 to 256"),
        (set_cell(1, 9, "-1"), "got -1 to 255"),
        (set_cell(1, 9, ""), "no table of names and numbers"),
    ],
)
def test_faulty_table(
    tmp_path: Path, glyphs: torch.Tensor, change: Callable[[list[list[str]]], None], message: str
) -> None:
    write_table(tmp_path / "x.csv", glyphs, change)
    with pytest.raises(DataError, match=message):
        read_tmnist_csv(tmp_path / "x.csv")


def test_table_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="no table of names and numbers, or is damaged"):
        read_tmnist_csv(tmp_path / "x.csv")


# Views


def one(value: float) -> torch.Tensor:
    return torch.tensor([value])


def view(glyphs: torch.Tensor, angle: float, scale: float, digit: int = 3, font: int = 1) -> Any:
    return draw_views(glyphs, torch.tensor([digit]), torch.tensor([font]), one(angle), one(scale))


@pytest.mark.parametrize("quarters", [-1, 0, 1, 2])
def test_quarter_turns_are_exact_and_counter_clockwise(glyphs: torch.Tensor, quarters: int) -> None:
    turned = view(glyphs, 90.0 * quarters, 1.0)
    expected = torch.rot90(glyphs.float() / 255, quarters, (-2, -1))
    torch.testing.assert_close(turned.x[0, 0], expected[1, 3], atol=2e-5, rtol=0)
    torch.testing.assert_close(turned.swapped[0, 0], expected[0, 3], atol=2e-5, rtol=0)


@pytest.mark.parametrize(("angle", "scale"), [(30.0, 1.0), (-75.0, 0.8), (12.5, 1.2)])
@pytest.mark.parametrize("shape", [(28, 28), (20, 33)])
def test_views_agree_with_scipy(smooth: torch.Tensor, angle: float, scale: float, shape: tuple[int, int]) -> None:
    glyphs = smooth[..., :20, :] if shape[0] == 20 else smooth
    glyphs = torch.nn.functional.pad(glyphs, (0, shape[1] - 28))
    height, width = shape
    row, column = np.mgrid[:height, :width].astype(float)
    row, column = row - (height - 1) / 2, column - (width - 1) / 2
    turn = math.radians(angle)
    # Counter-clockwise as displayed, rows running downwards: where each pixel came from.
    from_column = (math.cos(turn) * column - math.sin(turn) * row) / scale + (width - 1) / 2
    from_row = (math.sin(turn) * column + math.cos(turn) * row) / scale + (height - 1) / 2
    padded = np.pad(glyphs[1, 3].numpy() / 255, 1)
    expected = map_coordinates(padded, [from_row + 1, from_column + 1], order=1, cval=0.0)
    torch.testing.assert_close(
        view(glyphs, angle, scale).x[0, 0].double(), torch.from_numpy(expected), atol=1e-4, rtol=0
    )


def test_scale_scales_the_area(smooth: torch.Tensor) -> None:
    ink = smooth[1, 3].sum() / 255
    for scale in (0.8, 1.0, 1.2):
        assert float(view(smooth, 40.0, scale).x.sum() / ink) == pytest.approx(scale**2, rel=0.02)


def test_random_views_are_reproducible_and_within_range(glyphs: torch.Tensor) -> None:
    views = random_views(glyphs, 2000, torch.Generator().manual_seed(3))
    again = random_views(glyphs, 2000, torch.Generator().manual_seed(3))
    other = random_views(glyphs, 2000, torch.Generator().manual_seed(4))
    assert torch.equal(views.x, again.x)
    assert not torch.equal(views.x, other.x)
    assert views.x.shape == views.swapped.shape == (2000, 1, 28, 28)
    assert float(views.x.min()) >= 0
    assert float(views.x.max()) <= 1
    for values, low, high in ((views.angle, -90, 90), (views.scale, 0.8, 1.2)):
        assert low <= float(values.min()) < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < float(values.max()) <= high
    assert (torch.bincount(views.digit, minlength=10) > 150).all()
    assert (torch.bincount(views.font, minlength=2) > 900).all()


def test_swapping_twice_is_nothing(glyphs: torch.Tensor) -> None:
    views = random_views(glyphs, 50, torch.Generator().manual_seed(0))
    back = draw_views(glyphs, views.digit, 1 - views.font, views.angle, views.scale)
    assert torch.equal(back.x, views.swapped)
    assert torch.equal(back.swapped, views.x)
    alone = draw_views(glyphs.flip(0), views.digit, views.font, views.angle, views.scale)
    assert torch.equal(alone.x, views.swapped)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 0}, "at least 1; got 0"),
        ({"n": 2.0}, "got 2.0"),
        ({"n": True}, "got True"),
        ({"scale": (0.0, 1.0)}, "scale is a range"),
        ({"scale": (1.2, 0.8)}, "scale is a range"),
        ({"angle": (0.0, math.inf)}, "angle is a range"),
        ({"glyphs": torch.zeros(2, 10, 28, 28)}, r"glyphs are uint8 \[2, 10, H, W\]"),
        ({"glyphs": torch.zeros(2, 9, 28, 28, dtype=torch.uint8)}, r"got torch.uint8 \[2, 9, 28, 28\]"),
        ({"glyphs": torch.zeros(2, 10, 0, 28, dtype=torch.uint8)}, r"\[2, 10, 0, 28\]"),
    ],
)
def test_refused_random_views(glyphs: torch.Tensor, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        random_views(**{"glyphs": glyphs, "n": 4, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digit": torch.tensor([10])}, "digit is a LongTensor .* 0 to 9; got torch.int64 .* from 10 to 10"),
        ({"font": torch.tensor([-1])}, "font is a LongTensor .* 0 to 1"),
        ({"font": torch.tensor([0.0])}, "font is a LongTensor"),
        ({"digit": torch.tensor([], dtype=torch.int64)}, "n > 0"),
        ({"angle": one(math.nan)}, "angle is a tensor of finite"),
        ({"angle": torch.tensor([90])}, "angle is a tensor of finite floating"),
        ({"scale": one(0.0)}, "scale is above 0; got 0"),
        ({"scale": torch.ones(2)}, "of one length"),
    ],
)
def test_refused_views(glyphs: torch.Tensor, change: dict[str, Any], message: str) -> None:
    arguments = {"digit": torch.tensor([1]), "font": torch.tensor([0]), "angle": one(0.0), "scale": one(1.0)}
    draw_views(glyphs, **arguments)
    with pytest.raises(DataError, match=message):
        draw_views(glyphs, **{**arguments, **change})


def test_typeface_is_fetched(
    real_data: Path, tmp_path: Path, serve: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _tmnist.BAHIANITA.find(real_data)
    assert found is not None
    server = serve()
    server.body = found.read_bytes()
    monkeypatch.setattr(_tmnist, "BAHIANITA", replace(_tmnist.BAHIANITA, urls=(server.url,)))
    assert torch.equal(tmnist_glyphs(tmp_path, progress=False), tmnist_glyphs(real_data))
