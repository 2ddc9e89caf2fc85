"""Each task end to end on tiny data, through the command line, with its systems."""

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
from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.data import TYPEFACES, ImageData, SmokeData, _cifar10, _medmnist, _mnist, smoke_windows
from equilatent.bench.harness.run import problems
from equilatent.bench.latent_questions import HeadTraining
from equilatent.bench.tasks import ddmnist, frozen, medmnist3d, smoke
from equilatent.bench.tasks.learned import _cifar10 as cifar10_task
from equilatent.bench.tasks.learned import _tmnist as tmnist_task
from equilatent.cli import main

RNG = np.random.default_rng(0)


def write_tmnist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "TMNIST_Data.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["names", "labels", *range(1, 785)])
        for name in TYPEFACES:
            table.writerows([name, digit, *RNG.integers(256, size=784)] for digit in range(10))
    monkeypatch.setattr(tmnist_task, "_EVALUATION_VIEWS", 40)


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
    for name in ("_MEASURED", "_ORBITS"):
        monkeypatch.setattr(ddmnist, name, 8)


def write_frozen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(folder, monkeypatch, (2000, 400))
    for name, value in {"_HEAD": HeadTraining(20), "_DRAWS": 1, "_FITTED": 100, "_MEASURED": 8}.items():
        monkeypatch.setattr(frozen, name, value)


def write_medmnist3d(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "nodulemnist3d", classes: int = 2
) -> None:
    """A file as the publisher's, of tiny splits."""
    arrays: dict[str, np.ndarray] = {}
    for split, count in (("train", 20), ("val", 2 * classes), ("test", classes)):
        arrays[f"{split}_images"] = RNG.integers(256, size=(count, 28, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count, dtype=np.uint8) % classes)[:, None]
    path = folder / f"{name}.npz"
    np.savez_compressed(path, allow_pickle=False, **arrays)
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    known = _medmnist.MEDMNIST3D[name]
    monkeypatch.setitem(_medmnist.MEDMNIST3D, name, replace(known, digests={28: digest}))
    monkeypatch.setattr(medmnist3d, "_MEASURED", 2)


def write_smoke(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = torch.from_numpy(RNG.normal(size=(1, 309, 2, 32, 32)).astype(np.float32))
    files = {"smoke.npy": {"digest": "sha256:0", "verified": True}}
    data = SmokeData(frames.expand(36, -1, -1, -1, -1), torch.arange(1.0, 37.0), torch.arange(36) % 4, {"files": files})
    monkeypatch.setattr(smoke, "simulations", lambda *_: data)
    windows = {name: part[:20] for name, part in smoke_windows().items()}
    monkeypatch.setattr(smoke, "smoke_windows", lambda *_, **__: dict(windows))
    for name, value in {"_MEASURED": (10,), "_STARTS": (3,), "_EVERY": 4, "_BACKGROUNDS": {"0 %": 0.0}}.items():
        monkeypatch.setattr(smoke, name, value)


WRITERS: dict[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    "tmnist": write_tmnist,
    "mnist": write_mnist,
    "cifar10": write_cifar10,
    "ddmnist": write_ddmnist,
    "medmnist3d": write_medmnist3d,
    "smoke": write_smoke,
    "frozen": write_frozen,
}
#: What is said besides on the command line, so that networks are small.
SMALL = {"medmnist3d": ["--width", "1", "--features", "48"]}
#: Systems whose convolutions of volumes take long on a processor.
STEERABLE = ("scnn", "rpp", "pscnn")
#: Each group with the system that is the default, and every other system with one group.
CASES = [(name, group, CATALOGUE[name].config().method) for name in WRITERS for group in CATALOGUE[name].groups]
CASES += [
    ("mnist", "D3", "control"),
    *(("ddmnist", "D1", name) for name in ("cnn", "scnn", "restriction", "rpp", "pscnn")),
    *(("medmnist3d", "S4", name) for name in ("plain", "cnn")),
    *(pytest.param("medmnist3d", "S4", name, marks=pytest.mark.slow) for name in STEERABLE),
    *(("smoke", "C4", name) for name in CATALOGUE["smoke"].systems if name != "ours"),
    *(("frozen", "C4", name) for name in ("cnn", "exact", "thumbnail")),
]
#: What there is not to be measured of a system: no equivariance is learned, or there is no latent.
LACKING = {"control": ["test_equivariance"]} | {
    name: ["latent_relative_error"] for name in ("zero", "persistence", "mlp")
}


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, (int, float)) else []


def holds(final: Any, name: str) -> bool:
    """Whether a dotted name leads to something."""
    try:
        for part in name.split("."):
            final = final[int(part)] if isinstance(final, list) else final[part]
    except (KeyError, IndexError):
        return False
    return True


@pytest.mark.parametrize(("name", "group", "method"), CASES)
def test_task_end_to_end(
    name: str,
    group: str,
    method: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    WRITERS[name](data, monkeypatch)
    command = ["run", name, "--group", group, "--method", method, "--limit", "50", "--epochs", "2", "--batch", "16"]
    command += ["--device", "cpu", "--data", str(data), "--out", str(tmp_path / "runs"), *SMALL.get(name, [])]
    assert main(command) == 0
    (path,) = (tmp_path / "runs").rglob("record.json")
    assert str(path) in capsys.readouterr().out
    record = json.loads(path.read_text())
    task = CATALOGUE[name]
    assert (record["experiment"], record["group"], record["method"]) == (name, group, method)
    assert len(record["curve"]) == (1 if method in ("zero", "persistence") else 2)
    assert record["protocol"] == task.protocol
    assert record["data"]["files"]
    assert record["selected"][task.criterion] == record["curve"][record["selected"]["epoch"]][f"val/{task.criterion}"]
    assert np.isfinite(numbers(record["final"])).all()
    # What tables show is there, and nothing else that would be shown as a number of the network where there is none.
    shown = [each.name for each in task.quantities if not each.name.startswith("config.")]
    missing = [name for name in shown if not holds(record["final"], name)]
    assert missing == LACKING.get(method, [])
    for number in [*task.by_element, *(task.by_layer if method == "pscnn" else [])]:
        assert numbers(record["final"].get(number)) or (number.startswith("latent") and method in LACKING)
    if "relator_loss" in record["final"]:  # a learned representation
        figures = np.load(path.parent / "figures.npz")
        generators = {key for key in figures.files if key.startswith("eigenvalues_")}
        assert generators
        assert all(figures[key].shape[0] == 2 for key in generators)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("tmnist", "C2"),
        ("mnist", "A4"),
        ("mnist", "C4xC2"),
        ("cifar10", "C4"),
        ("ddmnist", "D1"),
        ("frozen", "C4"),
        ("medmnist3d", "S4"),
    ],
)
def test_the_same_again_is_the_same(name: str, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WRITERS[name](tmp_path, monkeypatch)
    command = ["run", name, "--group", group, "--limit", "50", "--epochs", "2", "--batch", "16", "--device", "cpu"]
    command += SMALL.get(name, [])
    for out in ("one", "other"):
        assert main([*command, "--data", str(tmp_path), "--out", str(tmp_path / out)]) == 0
    first, second = (json.loads(path.read_text()) for path in sorted(tmp_path.rglob("record.json")))
    assert (first["final"], first["curve"]) == (second["final"], second["curve"])


@pytest.mark.parametrize(("dataset", "classes"), [("synapse", 2), ("organ", 11)])
def test_sets_of_medmnist_end_to_end(
    dataset: str, classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows of table 5, of files in the format of the publisher."""
    write_medmnist3d(tmp_path, monkeypatch, f"{dataset}mnist3d", classes)
    command = ["run", "medmnist3d", "--dataset", dataset, "--epochs", "1", "--width", "3"]
    assert main([*command, "--device", "cpu", "--data", str(tmp_path), "--out", str(tmp_path / "runs")]) == 0
    (path,) = (tmp_path / "runs").rglob("record.json")
    record = json.loads(path.read_text())
    assert (record["config"]["dataset"], record["config"]["features"]) == (dataset, 24)
    assert list(record["data"]["files"]) == [f"{dataset}mnist3d.npz"]
    assert 0 <= record["final"]["test_auc"] <= 1


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("60 trivial", "dimension 60, not --features 64"),
        ("64 magic", "no multiple of an irrep of C4"),
        ("64", "uniform, normal"),
    ],
)
def test_a_start_that_is_none(start: str, message: str) -> None:
    task = CATALOGUE["cifar10"]
    config = task.config(start=start, device="cpu")  # type: ignore[call-arg]
    assert any(message in each for each in problems(task, config))


def black(count: int = 40) -> ImageData:
    pixels = torch.zeros(count, 3, 32, 32, dtype=torch.uint8)
    return ImageData("black", 10, pixels, torch.zeros(count).long(), pixels, torch.zeros(count).long())


@pytest.mark.parametrize("method", ["learned", "control"])
def test_learning_starts_from_a_given_representation(method: str) -> None:
    config = cifar10_task.Cifar10Config(start="32 trivial + 16 2a", noise=0.0)
    problem = cifar10_task.Cifar10Problem(config, torch.device("cpu"), black())
    task = CATALOGUE["cifar10"]
    model: Any = task.systems[method](problem, task.architecture(config), config, 0).model
    counts = eq.reps.multiplicities(model.rho.generator_matrices(), problem.group, field="real").as_floats()
    assert counts == pytest.approx({"trivial": 32, "sign": 0, "2a": 16}, abs=1e-5)


def test_the_start_is_drawn_from_the_seed_alone_and_is_that_of_the_control() -> None:
    config = cifar10_task.Cifar10Config(features=4)
    problem = cifar10_task.Cifar10Problem(config, torch.device("cpu"), black())
    task = CATALOGUE["cifar10"]

    def start(method: str, seed: int) -> torch.Tensor:
        model: Any = task.systems[method](problem, task.architecture(config), config, seed).model
        return model.rho.generator_matrices()["r"].detach()

    first = start("learned", 0)
    assert torch.equal(start("control", 0), first)
    assert torch.equal(start("learned", 0), first)
    assert not torch.equal(start("learned", 1), first)


def test_the_control_runs_for_all_epochs() -> None:
    """What it is compared with may; it is to take as many steps."""
    for name in ("tmnist", "mnist", "cifar10"):
        config = CATALOGUE[name].config
        assert config(method="control", epochs=7, patience=2).resolved().patience == 7
        assert config(method="learned", epochs=7, patience=2).resolved().patience == 2
        assert config(method="control").resolved().patience == config().epochs


def test_every_task_has_a_tiny_version() -> None:
    assert set(CATALOGUE) == set(WRITERS)
    whole = ("mnist", "ddmnist", "medmnist3d", "smoke", "frozen")
    cases = [getattr(case, "values", case) for case in CASES]
    assert {(name, method) for name in whole for method in CATALOGUE[name].systems} <= {
        (name, method) for name, _, method in cases
    }


@pytest.mark.parametrize("method", ["learned", "control"])
def test_patience_of_the_control_is_not_heard(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path, monkeypatch)
    command = ["run", "mnist", "--method", method, "--limit", "50", "--epochs", "5"]
    command += ["--patience", "2", "--min-change", "1e9"]
    assert main([*command, "--device", "cpu", "--data", str(tmp_path), "--out", str(tmp_path / "runs")]) == 0
    (path,) = (tmp_path / "runs").rglob("record.json")
    assert json.loads(path.read_text())["final"]["epochs"] == (5 if method == "control" else 3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # which PyTorch would hide
@pytest.mark.parametrize(("name", "method"), [("ddmnist", "ours"), ("ddmnist", "cnn"), ("mnist", "learned")])
def test_a_compiled_step_gives_the_numbers_of_eager(
    name: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PyTorch traces the step; its compilation to C++ takes minutes."""
    WRITERS[name](tmp_path, monkeypatch)
    command = ["run", name, "--method", method, "--limit", "50", "--epochs", "2", "--batch", "16", "--device", "cpu"]
    compile_ = torch.compile
    for out, traced in (
        ("eager", lambda step, **_: step),
        ("traced", lambda step, **_: compile_(step, backend="eager")),
    ):
        torch.compiler.reset()
        monkeypatch.setattr(torch, "compile", traced)
        assert main([*command, "--compile", "--data", str(tmp_path), "--out", str(tmp_path / out)]) == 0
    eager, compiled = (json.loads(path.read_text()) for path in sorted(tmp_path.rglob("record.json")))
    for row, expected in zip(compiled["curve"], eager["curve"], strict=True):
        assert row == pytest.approx(expected, rel=1e-3)


def test_missing_data_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["run", "mnist", "--data", str(tmp_path / "file"), "--out", str(tmp_path / "runs")]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_sweep_of_a_task_whose_runs_are_finished(
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
