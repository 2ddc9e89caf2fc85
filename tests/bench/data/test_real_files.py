"""The real data sets, where EQUILATENT_DATA names a folder that has them."""

import time
from pathlib import Path

import pytest
import torch

from equilatent.bench.data import cifar10, data_command, medmnist3d, mnist
from equilatent.errors import DataError


def test_mnist(real_data: Path) -> None:
    began = time.process_time()
    data = mnist(real_data, download=False)
    assert time.process_time() - began < 2
    assert data.train_x.shape == (60000, 1, 28, 28)
    assert data.test_x.shape == (10000, 1, 28, 28)
    # The numbers of images of each class, and the mean and standard deviation by which everybody normalises.
    assert torch.bincount(data.train_y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(data.test_y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    pixels = data.train_x[::7].double() / 255
    assert float(pixels.mean()) == pytest.approx(0.1307, abs=1e-3)
    assert float(pixels.std()) == pytest.approx(0.3081, abs=1e-3)


def test_cifar10(real_data: Path) -> None:
    data = cifar10(real_data, download=False)
    assert data.provenance is not None
    if data.provenance["stand_in"] is not None:
        assert data.provenance["stand_in"] == "first 5,170 training and 1,017 test images"
        assert (len(data.train_x), len(data.test_x)) == (5170, 1017)
    assert data.train_x.shape[1:] == (3, 32, 32)
    # The first labels of data_batch_1: frog, truck, truck, deer, automobile; and of test_batch: cat, ship, ship, airplane.
    assert data.train_y[:5].tolist() == [6, 9, 9, 4, 1]
    assert data.test_y[:4].tolist() == [3, 8, 8, 0]
    # Natural images vary less between neighbours than between rows far apart, in every plane.
    images = data.train_x[:500].float()
    for axis in (2, 3):
        near = (images.diff(dim=axis) ** 2).mean((0, 2, 3))
        far = ((images - images.roll(16, axis)) ** 2).mean((0, 2, 3))
        assert (5 * near < far).all()


@pytest.mark.parametrize("size", [28, 64])
def test_adrenal_glands(real_data: Path, size: int) -> None:
    try:
        data = medmnist3d("adrenalmnist3d", size, real_data, download=False)
    except DataError as error:
        pytest.skip(str(error))
    assert {split: len(x) for split, (x, _) in data.splits().items()} == {"train": 1188, "val": 98, "test": 298}
    assert data.train_x.shape == (1188, 1, size, size, size)
    assert set(data.train_y.tolist()) == {0, 1}


def test_command(real_data: Path) -> None:
    table = data_command([], real_data)
    assert "mnist               verified" in table
