"""Runs of a small experiment: killed, interrupted, damaged, run again, two at once; and what a record holds."""

import errno
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file
from toy_experiment import TOY, ToyConfig

from equilatent.bench import record as record_module
from equilatent.bench.run import RunBusyError, read_record, run, run_folder
from equilatent.errors import DataError, EquilatentError, NonFiniteError

#: Seconds that each of the three batches of an epoch takes longer where a run is to be hit in an epoch.
PAUSE = 0.07

# A process for a test is a copy of this one, since importing everything anew takes seconds.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def config(tmp_path: Path) -> ToyConfig:
    return ToyConfig(out=tmp_path, device="cpu")


def go(config: ToyConfig, seed: int = 0) -> dict[str, Any]:
    return run(TOY, config, seed, progress=False)


def folder_of(config: ToyConfig, seed: int = 0) -> Path:
    return run_folder(TOY, config, seed)


def numbers(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("final", "curve", "seed")}


def epochs_of(folder: Path) -> int:
    path = folder / "metrics.csv"
    return path.read_text().count("\n") - 1 if path.exists() else 0


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".lock"]


@pytest.fixture
def apart() -> Iterator[Callable[..., multiprocessing.Process]]:
    """Calls a function in a process of its own; waits until it has got somewhere."""
    context = multiprocessing.get_context("fork")
    started: list[Any] = []

    def start(function: Callable[..., object], *arguments: Any, until: Callable[[], bool]) -> Any:
        process = context.Process(target=function, args=arguments)
        process.start()
        started.append(process)
        deadline = time.monotonic() + 30
        while not until():
            assert process.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def slowly(config: ToyConfig) -> ToyConfig:
    return replace(config, pause=PAUSE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[ToyConfig, dict[str, Any]]:
    """An uninterrupted run."""
    config = ToyConfig(out=tmp_path_factory.mktemp("whole"), device="cpu")
    return config, go(config)


# What a run leaves


def test_record_has_the_keys_of_every_record(whole: tuple[ToyConfig, dict[str, Any]]) -> None:
    config, record = whole
    assert set(record) == {
        *("experiment", "method", "group", "seed", "config", "commit", "versions", "machine", "final", "seconds"),
        *("data", "curve", "peak_memory"),
    }
    assert record == json.loads((folder_of(config) / "record.json").read_text())
    assert record["config"] == json.loads(json.dumps(config.identity))
    assert len(record["curve"]) == record["final"]["epochs"] == 4
    assert 10**7 < record["peak_memory"] < 10**11  # bytes; a process with torch holds more than ten million
    assert {"epoch", "train/loss", "train/latent", "val/loss"} == set(record["curve"][0])
    assert 0 < record["seconds"] < 10


def test_folder_holds_the_files_that_are_told(whole: tuple[ToyConfig, dict[str, Any]]) -> None:
    config, record = whole
    folder = folder_of(config)
    assert {path.name for path in folder.iterdir()} == {
        *(".lock", "config.json", "metrics.csv", "last.ckpt", "weights.safetensors", "figures.npz", "record.json")
    }
    assert json.loads((folder / "config.json").read_text())["seed"] == 0
    assert epochs_of(folder) == 4
    figures = np.load(folder / "figures.npz")
    assert figures["bias"].shape == (4, 2)
    weights = load_file(folder / "weights.safetensors")
    best = record["final"]["best_epoch"]
    np.testing.assert_allclose(figures["bias"][best], weights["2.bias"])
    np.testing.assert_allclose(figures["weight"], weights["0.weight"])
    assert best == int(np.argmin([row["val/loss"] for row in record["curve"]]))


def test_same_seed_same_numbers_and_another_seed_others(config: ToyConfig, tmp_path: Path) -> None:
    first = go(replace(config, epochs=2))
    torch.rand(3)  # what was drawn before is of no account
    assert numbers(go(replace(config, epochs=2, out=tmp_path / "other"))) == numbers(first)
    assert go(replace(config, epochs=2), 1)["curve"] != first["curve"]


def test_an_epoch_takes_every_sample_once_and_tells_means_over_batches(config: ToyConfig) -> None:
    seen: list[list[int]] = []

    class Counting(TOY.make):  # type: ignore[name-defined, misc]
        def start_epoch(self, generator: torch.Generator) -> None:
            super().start_epoch(generator)
            seen.append([])

        def loss(self, indices: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            seen[-1] += indices.tolist()
            return super().loss(indices)[0], {"index": indices.double().mean()}

    curve = run(replace(TOY, make=Counting), replace(config, epochs=2), 0, progress=False)["curve"]
    assert [sorted(epoch) for epoch in seen] == [list(range(96))] * 2
    assert seen[0] != seen[1]
    assert [row["train/index"] for row in curve] == pytest.approx([95 / 2] * 2)


def test_finished_run_is_not_run_again(config: ToyConfig) -> None:
    record = go(replace(config, epochs=1))
    broken = replace(TOY, make=lambda *_: pytest.fail("it is finished"))
    assert run(broken, replace(config, epochs=1), 0) == record


def test_limit_and_patience(config: ToyConfig) -> None:
    short = go(replace(config, limit=32, epochs=1))
    assert short["config"]["limit"] == 32
    early = go(replace(config, epochs=50, patience=2, min_change=100.0))
    # The first epoch improves on nothing; the next two do not improve by so much.
    assert early["final"]["epochs"] == 3
    assert early["final"]["best_epoch"] == 0


def test_bf16(config: ToyConfig) -> None:
    plain = go(replace(config, epochs=1))["curve"][0]["train/loss"]
    mixed = go(replace(config, epochs=1, precision="bf16-mixed"))["curve"][0]["train/loss"]
    assert mixed != plain
    assert mixed == pytest.approx(plain, rel=0.05)


def test_lines_tell_of_each_epoch_where_there_is_no_terminal(
    config: ToyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    run(TOY, replace(config, epochs=2), 0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "epoch 2 of at most 2, validation loss 0." in lines[1]


# Cut off


@pytest.mark.parametrize("epochs", [1, 3])
def test_killed_in_an_epoch_and_resumed(
    config: ToyConfig, whole: tuple[ToyConfig, dict[str, Any]], apart: Callable[..., Any], epochs: int
) -> None:
    config = slowly(config)
    folder = folder_of(config)
    process = apart(go, config, until=lambda: epochs_of(folder) >= epochs)
    time.sleep(PAUSE)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (folder / "record.json").exists()
    assert epochs <= epochs_of(folder) < 4
    record = go(config)
    assert numbers(record) == numbers(whole[1])
    # Time that counts is that of the epochs that were kept, before and after.
    assert 4 * 3 * PAUSE <= record["seconds"] < 4 * 3 * PAUSE + whole[1]["seconds"] + 2


def test_interrupted_and_resumed(
    config: ToyConfig, whole: tuple[ToyConfig, dict[str, Any]], apart: Callable[..., Any]
) -> None:
    config = slowly(config)

    def interrupted() -> None:
        handler = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            go(config)
        assert signal.getsignal(signal.SIGINT) is handler
        os._exit(7)

    process = apart(interrupted, until=lambda: epochs_of(folder_of(config)) >= 2)
    os.kill(process.pid, signal.SIGINT)
    process.join(20)
    assert process.exitcode == 7
    assert numbers(go(config)) == numbers(whole[1])


def test_terminated_is_no_success(config: ToyConfig, apart: Callable[..., Any]) -> None:
    config = slowly(config)
    process = apart(go, config, until=lambda: epochs_of(folder_of(config)) >= 1)
    process.terminate()
    process.join(20)
    assert process.exitcode == 128 + signal.SIGTERM
    assert not (folder_of(config) / "record.json").exists()


@pytest.mark.parametrize("name", ["last.ckpt", "weights.safetensors", "figures.npz", "record.json"])
def test_killed_between_two_files(
    config: ToyConfig, whole: tuple[ToyConfig, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """At the second time that the file is to get its name, or the first if there is only one; its temporary file stays."""
    original = os.replace
    seen = []

    class KilledError(BaseException):
        pass

    def replace_until(source: Path, target: Path) -> None:
        if Path(target).name == name:
            seen.append(target)
            if len(seen) == (2 if name == "last.ckpt" else 1):
                monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
                raise KilledError
        original(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(record_module.os, "replace", replace_until)
        with pytest.raises(KilledError):
            go(config)
    monkeypatch.undo()
    folder = folder_of(config)
    assert hidden(folder)
    assert epochs_of(folder) == (2 if name == "last.ckpt" else 4)
    assert numbers(go(config)) == numbers(whole[1])
    assert not hidden(folder)


@pytest.mark.parametrize("spoil", [b"", b"PK\x03\x04 no archive", None])
def test_damaged_checkpoint_is_told(config: ToyConfig, apart: Callable[..., Any], spoil: bytes | None) -> None:
    config = replace(config, epochs=2)
    go(config)
    folder = folder_of(config)
    (folder / "record.json").unlink()
    checkpoint = folder / "last.ckpt"
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: len(content) // 2] if spoil is None else spoil)
    with pytest.raises(EquilatentError, match=r"last\.ckpt cannot be read .*Remove it to start the run again"):
        go(config)
    checkpoint.unlink()
    assert go(config)["final"]["epochs"] == 2


def test_checkpoint_of_something_else_is_told(config: ToyConfig) -> None:
    folder = folder_of(config)
    folder.mkdir()
    torch.save({"callbacks": {}}, folder / "last.ckpt")
    with pytest.raises(EquilatentError, match=r"last\.ckpt cannot be read \(KeyError"):
        go(config)


@pytest.mark.parametrize("content", ["", '{"final": ', "[]", "\udcff"])
def test_damaged_record_is_told(config: ToyConfig, content: str) -> None:
    folder = folder_of(config)
    folder.mkdir()
    (folder / "record.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(EquilatentError, match=r"record\.json cannot be read .*Remove it to carry out the run again"):
        go(config)
    # Carried out again, it is whole, and takes the place of the damaged one.
    assert go(replace(config, epochs=4, again=True))["final"]["epochs"] == 4


def test_truncated_configuration_is_written_anew(config: ToyConfig) -> None:
    config = replace(config, epochs=1)
    folder = folder_of(config)
    folder.mkdir()
    (folder / "config.json").write_text('{"experiment": ')
    go(config)
    assert json.loads((folder / "config.json").read_text())["experiment"] == "toy"


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "last.ckpt", "weights.safetensors", "record.json"])
def test_full_disk_leaves_what_was(config: ToyConfig, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    config = replace(config, epochs=1)
    other = go(config, 1)
    original = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(record_module.os, "replace", full)
        with pytest.raises(OSError, match="No space left on device"):
            go(config)
    assert not hidden(folder_of(config))
    assert not (folder_of(config) / "record.json").exists()
    assert go(config, 1) == other
    assert go(config)["final"]["epochs"] == 1


# Again


def test_again_takes_the_place_of_the_finished_run(config: ToyConfig) -> None:
    config = replace(config, epochs=2)
    first = go(config)
    folder = folder_of(config)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != ".lock"}
    second = go(replace(config, again=True))
    assert numbers(second) == numbers(first)
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != ".lock"}
    assert set(after) == set(before)
    assert all(after[name] > before[name] for name in before)


def test_again_that_fails_leaves_everything_in_place(config: ToyConfig) -> None:
    config = replace(config, epochs=2)
    record = go(config)
    folder = folder_of(config)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    class Failing(TOY.make):  # type: ignore[name-defined, misc]
        def final(self) -> dict[str, Any]:
            raise OSError("no test samples")

    with pytest.raises(OSError, match="no test samples"):
        run(replace(TOY, make=Failing), replace(config, again=True), 0, progress=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert go(config) == record
    # The same command goes on with what was begun.
    assert epochs_of(folder / "again") == 2
    go(replace(config, again=True))
    assert not (folder / "again").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "record.json"])
def test_again_killed_while_it_takes_the_place(config: ToyConfig, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    config = replace(config, epochs=1)
    go(config)
    folder = folder_of(config)
    original = os.replace

    def stop(source: Path, target: Path) -> None:
        if Path(target) == folder / name:
            raise KeyboardInterrupt
        original(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(record_module.os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            go(replace(config, again=True))
    new = read_record(folder / "again")
    assert go(config) == new
    assert not (folder / "again").exists()
    np.testing.assert_allclose(
        np.load(folder / "figures.npz")["weight"], load_file(folder / "weights.safetensors")["0.weight"]
    )


# Two at once


def test_two_at_once(config: ToyConfig, apart: Callable[..., Any]) -> None:
    config = slowly(config)
    folder = folder_of(config)
    process = apart(go, config, until=lambda: epochs_of(folder) >= 1)
    with pytest.raises(RunBusyError, match=rf"another process is carrying out {folder.name}\. Wait for it"):
        go(config)
    assert go(replace(config, epochs=1), 1)["seed"] == 1  # another seed is another run
    process.join(30)
    assert process.exitcode == 0
    assert go(config)["final"]["epochs"] == 4


@pytest.mark.parametrize(
    ("fail", "error"), [("start", DataError), ("nan", NonFiniteError), ("final", NonFiniteError), ("die", SystemExit)]
)
def test_failure_is_told_and_frees_the_run(config: ToyConfig, fail: str, error: type[BaseException]) -> None:
    config = replace(config, fail=fail)
    with pytest.raises(error, match=r"there are no points|not finite|loss is nan|dies"):
        go(config)
    FileLock(folder_of(config) / ".lock").acquire(timeout=0).lock.release()
    assert not (folder_of(config) / "record.json").exists()
    assert epochs_of(folder_of(config)) == {"start": 0, "nan": 2, "final": 4, "die": 1}[fail]


# What is refused


def test_all_wrong_fields_are_named_at_once(config: ToyConfig) -> None:
    wrong = replace(config, method="theirs", group="D9", rate=-1.0, epochs=0, seed="x", limit=3, device="abacus")
    with pytest.raises(EquilatentError) as caught:
        go(wrong)
    for words in (
        "--method 'theirs' should be one of fixed",
        "--group 'D9' should be one of S3",
        "--rate -1.0 should be positive",
        "--epochs 0 should be at least 1",
        "--limit 3 should be at least 20",
        "--seed 'x' names no seeds",
        "--device 'abacus' cannot be used here",
    ):
        assert words in str(caught.value)
    assert not list(config.out.iterdir())


def test_several_machines_need_a_launcher(config: ToyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EquilatentError, match=r"--nodes 2: .* by torchrun or srun"):
        go(replace(config, nodes=2))


def test_a_job_of_a_scheduler_is_not_taken_for_the_run_s(config: ToyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "NTASKS": "4",
        "JOB_NAME": "x",
        "PROCID": "3",
        "LOCALID": "3",
        "JOB_ID": "5",
        "NODEID": "1",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert go(replace(config, epochs=1))["final"]["epochs"] == 1


# Several processes


@pytest.mark.slow
def test_two_processes_share_a_run(config: ToyConfig) -> None:
    config = replace(config, epochs=3, rate=0.001, devices=2)
    together = go(config)
    alone = go(replace(config, devices=1, out=config.out / "alone"))
    assert together["config"] == alone["config"]
    assert len(together["curve"]) == 3
    # Same samples and initial weights; noise and dropout differ between the processes.
    assert together["curve"][2]["val/loss"] == pytest.approx(alone["curve"][2]["val/loss"], rel=0.05)
    assert [path.name for path in config.out.rglob("record.json")] == ["record.json"] * 2
    with pytest.raises(NonFiniteError):
        go(replace(config, fail="nan"))
