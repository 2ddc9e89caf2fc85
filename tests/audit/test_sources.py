"""Files, folders and loaders; the command and its page."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import equilatent as eq
from equilatent.audit._page import picture
from equilatent.cli import main
from equilatent.errors import ActionError, DataError, GroupError

X, Y = np.arange(40 * 9, dtype=np.uint8).reshape(40, 3, 3) % 7, np.arange(40) % 2


def test_the_same_samples_from_everywhere(tmp_path: Path) -> None:
    np.savez(tmp_path / "named.npz", train_images=X, train_labels=Y[:, None], test_images=X[:3])
    folder = tmp_path / "folder"
    folder.mkdir()
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    classes = tmp_path / "classes"
    for number in range(40):
        (classes / "ab"[Y[number]]).mkdir(parents=True, exist_ok=True)
        np.save(classes / "ab"[Y[number]] / f"{number:02}.npy", X[number])
    loader = DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), 7)
    expected = torch.from_numpy(X).float() / 255
    for source in (tmp_path / "named.npz", str(folder), loader):
        x, y = eq.audit.read(source)
        assert torch.equal(x, expected)
        assert y.flatten().tolist() == Y.tolist()
    x, y = eq.audit.read(classes)
    assert torch.equal(x, torch.cat([expected[::2], expected[1::2]]))
    assert y.tolist() == [0] * 20 + [1] * 20


def test_a_limit_draws_pairs_from_everywhere_in_a_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.arange(100.0)[:, None], y=np.arange(100))
    x, y = eq.audit.read(tmp_path / "data.npz", limit=30, seed=1)
    assert x[:, 0].tolist() == y.tolist()
    assert len(set(y.tolist())) == 30
    assert int(y.max()) > 60
    assert torch.equal(eq.audit.read(tmp_path / "data.npz", limit=30, seed=1)[1], y)
    assert not torch.equal(eq.audit.read(tmp_path / "data.npz", limit=30, seed=2)[1], y)


def pickled(path: Path) -> None:
    np.savez(path, x=np.array([{}, {}], dtype=object), y=Y[:2])


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, "there is no file or folder"),
        (lambda path: path.write_bytes(b"nothing"), "cannot be read"),
        (pickled, "Pickled objects are not loaded"),
        (lambda path: np.savez(path, a=X, b=Y), "it has a, b. Name them"),
        (lambda path: np.savez(path, x=X, y=Y[:5]), "one target for each input"),
        (lambda path: np.savez(path, x=np.array(["a"]), y=Y[:1]), "arrays of numbers are needed"),
    ],
)
def test_files_that_hold_no_samples(
    write: Callable[[Path], Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "data.npz"
    write(path)
    with pytest.raises(DataError) as told:
        eq.audit.read(path)
    assert words in str(told.value)
    assert main(["audit", str(path), "--group", "C2", "--out", str(tmp_path / "page.html")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (TensorDataset(torch.zeros(3)), "single samples"),
        ([], "no batches"),
        ([torch.zeros(3)], "a pair of tensors"),
        ([(torch.zeros(3, 2), torch.zeros(3)), (torch.zeros(3, 3), torch.zeros(3))], "one size"),
        ({"x": 1}, "got dict"),
    ],
)
def test_loaders_that_hold_no_samples(source: Any, words: str) -> None:
    with pytest.raises(DataError) as told:
        eq.audit.read(source)
    assert words in str(told.value)


def test_groups_by_name_and_their_default_actions() -> None:
    for name, order in (
        ("C4", 4),
        ("d4", 8),
        ("cyclic(2)", 2),
        ("klein_four", 4),
        ("octahedral", 24),
        ("O+inversion", 48),
    ):
        assert eq.audit.named_group(name).order == order
    with pytest.raises(GroupError, match="'torus' is none of C2, C4"):
        eq.audit.named_group("torus")
    cube = eq.groups.octahedral()
    volumes = torch.randn(2, 3, 3, 3)
    act, x = eq.audit.default_action(cube, volumes)
    r = torch.full((2,), cube["r"])
    assert torch.equal(act(x, r)[:, 0], volumes.rot90(1, (-2, -1)))
    act, x = eq.audit.default_action(eq.groups.cyclic(4), torch.randn(2, 8))
    assert x.shape == (2, 1, 8)
    assert torch.equal(act(x, torch.tensor([1, 1])), x.roll(2, -1))
    with pytest.raises(ActionError, match=r"O acts on samples \[2, 3, 3\] as volumes"):
        eq.audit.default_action(cube, torch.randn(2, 3, 3))


def pixels(source: str) -> np.ndarray:
    """The grey values of a picture, from the only chunk of data of its PNG."""
    data = base64.b64decode(source.split(",", 1)[1])
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    start = data.index(b"IDAT")
    raw = zlib.decompress(data[start + 4 : start + 4 + int.from_bytes(data[start - 4 : start], "big")])
    return np.frombuffer(raw, np.uint8).reshape(height, width + 1)[:, 1:]


def test_pictures_are_the_image_or_the_middle_slices() -> None:
    image = torch.tensor([[[0.0, 1.0], [2.0, 4.0]]])
    assert pixels(picture(image, image)).tolist() == [[0, 64], [128, 255]]
    volume = torch.arange(27.0).view(1, 3, 3, 3)
    shown = pixels(picture(volume, volume))
    assert shown.shape == (3, 11)
    middles = [volume[0, 1], volume[0, :, 1], volume[0, :, :, 1]]
    for number, middle in enumerate(middles):
        assert shown[:, 4 * number : 4 * number + 3].tolist() == (middle / 26 * 255).round().tolist()
    assert picture(torch.zeros(5), torch.zeros(2, 5)) == ""


def test_the_command_prints_tables_and_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    x = random.random((200, 2, 2))
    np.savez(tmp_path / "data.npz", x=x, y=(x[:, :, 0].sum(1) > x[:, :, 1].sum(1)).astype(int))
    page = tmp_path / "new" / "audit.html"
    options = ["--steps", "20", "--folds", "2", "--subgroups", "s", "--out", str(page)]
    assert main(["audit", str(tmp_path / "data.npz"), "--group", "D1", *options]) == 0
    told = capsys.readouterr().out
    assert "200 samples, image grid moved by D1" in told
    assert "verdict" in told
    assert str(page) in told
    text = page.read_text("utf-8")
    assert "Does D1 act on this task?" in text
    assert text.count("data:image/png;base64,") == 2
    assert "http" not in text.replace("http://www.w3.org", "")
    wrong = ["--labels", "t=1,0"]
    assert main(["audit", str(tmp_path / "data.npz"), "--group", "D1", *wrong, *options]) == 2
    assert "should be a generator of D1 (s)" in capsys.readouterr().err
