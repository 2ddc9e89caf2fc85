"""Each experiment of the paper end to end on tiny data, through the command line."""

import csv
import gzip
import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import equilatent as eq
from equilatent.bench.data import TYPEFACES, ImageData, _cifar10, _mnist
from equilatent.bench.experiments import EXPERIMENTS, cifar10, ddmnist, tmnist
from equilatent.bench.run import problems
from equilatent.cli import main

RNG = np.random.default_rng(0)


def write_tmnist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "TMNIST_Data.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["names", "labels", *range(1, 785)])
        for name in TYPEFACES:
            table.writerows([name, digit, *RNG.integers(256, size=784)] for digit in range(10))
    monkeypatch.setattr(tmnist, "_EVALUATION_VIEWS", 40)


def write_mnist(folder: Path, monkeypatch: pytest.MonkeyPatch, counts: tuple[int, int] = (60, 30)) -> None:
    for part, count in zip(("train", "test"), counts, strict=True):
        for axis, shape in (("x", (count, 28, 28)), ("y", (count,))):
            array = RNG.integers(10, size=shape, dtype=np.uint8)
            content = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *shape) + array.tobytes()
            file = _mnist.MNIST_FILES[f"{part}_{axis}"]
            digest = f"md5:{hashlib.md5(content).hexdigest()}"
            monkeypatch.setitem(_mnist.MNIST_FILES, f"{part}_{axis}", replace(file, content=digest))
            (folder / file.name).write_bytes(gzip.compress(content))


def write_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    for file, count in zip(_cifar10.CIFAR10_HEAD, (60, 30), strict=True):
        records = RNG.integers(256, size=(count, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (folder / file.name).write_bytes(records.tobytes())
        files.append(replace(file, digest=f"sha256:{hashlib.sha256(records.tobytes()).hexdigest()}"))
    monkeypatch.setattr(_cifar10, "CIFAR10_HEAD", tuple(files))


def write_ddmnist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(folder, monkeypatch, (2000, 200))  # so that every digit is among those held out
    for name in ("_TRAINING", "_VALIDATION", "_TEST"):
        monkeypatch.setattr(ddmnist, name, 1)
    monkeypatch.setattr(ddmnist, "_MEASURED", 8)


WRITERS: dict[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    "tmnist": write_tmnist,
    "mnist": write_mnist,
    "cifar10": write_cifar10,
    "ddmnist": write_ddmnist,
}
CASES = [(name, group) for name in WRITERS for group in EXPERIMENTS[name].groups]


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, (int, float)) else []


@pytest.mark.parametrize(("name", "group"), CASES)
def test_experiment_end_to_end(
    name: str, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    WRITERS[name](data, monkeypatch)
    command = ["run", name, "--group", group, "--limit", "50", "--epochs", "2", "--batch", "16", "--device", "cpu"]
    command += ["--data", str(data), "--out", str(tmp_path / "runs")]
    assert main(command) == 0
    (path,) = (tmp_path / "runs").rglob("record.json")
    assert str(path) in capsys.readouterr().out
    record = json.loads(path.read_text())
    assert (record["experiment"], record["group"], len(record["curve"])) == (name, group, 2)
    assert record["data"]["files"]
    assert np.isfinite(numbers(record["final"])).all()
    # What the table shows is there.
    for column in EXPERIMENTS[name].columns:
        value = record["final"]
        for part in column.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
    if "relator_loss" in EXPERIMENTS[name].columns:  # a learned representation
        figures = np.load(path.parent / "figures.npz")
        generators = {key for key in figures.files if key.startswith("eigenvalues_")}
        assert generators
        assert all(figures[key].shape[0] == 2 for key in generators)
    # The same again, elsewhere, is the same.
    assert main([*command, "--out", str(tmp_path / "other")]) == 0
    (other,) = (tmp_path / "other").rglob("record.json")
    for key in ("final", "curve"):
        assert json.loads(other.read_text())[key] == record[key]


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("60 trivial", "dimension 60, not --features 64"),
        ("64 magic", "no multiple of an irrep of C4"),
        ("64", "uniform, normal"),
    ],
)
def test_a_start_that_is_none(start: str, message: str) -> None:
    experiment = EXPERIMENTS["cifar10"]
    config = experiment.config(start=start, device="cpu")  # type: ignore[call-arg]
    assert any(message in each for each in problems(experiment, config))


def test_learning_starts_from_a_given_representation() -> None:
    pixels = torch.zeros(40, 3, 32, 32, dtype=torch.uint8)
    data = ImageData("black", 10, pixels, torch.zeros(40).long(), pixels, torch.zeros(40).long())
    config = cifar10.Cifar10Config(start="32 trivial + 16 2a", noise=0.0)
    rho = cifar10.Cifar10Recipe(config, 0, torch.device("cpu"), data).rho
    counts = eq.reps.multiplicities(rho.generator_matrices(), rho.group, field="real").as_floats()
    assert counts == pytest.approx({"trivial": 32, "sign": 0, "2a": 16}, abs=1e-5)


def test_every_experiment_has_a_tiny_version() -> None:
    assert set(EXPERIMENTS) == set(WRITERS)


def test_missing_data_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["run", "mnist", "--data", str(tmp_path / "file"), "--out", str(tmp_path / "runs")]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_sweep_of_an_experiment_whose_runs_are_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mnist(tmp_path, monkeypatch)
    common = ["mnist", "--limit", "50", "--epochs", "1", "--device", "cpu", "--data", str(tmp_path)]
    common += ["--out", str(tmp_path / "runs"), "--seed", "0..1"]
    for rate in ("0.001", "0.01"):
        assert main(["run", *common, "--rate", rate]) == 0
    capsys.readouterr()
    assert main(["sweep", *common, "--grid", "rate=0.001,0.01", "--jobs", "2"]) == 0
    told = capsys.readouterr().out
    (path,) = (tmp_path / "runs").glob("sweep-*.json")
    best = json.loads(path.read_text())["best"]["choice"]["rate"]
    assert f"Best on the validation samples: rate={best}" in told
    assert str(path) in told
