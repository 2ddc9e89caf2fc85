"""Runs of a small experiment: killed, interrupted, damaged, run again, two at once; and what a record holds."""

import errno
import json
import multiprocessing
import os
import signal
import socket
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
from torch import nn
from toy_experiment import TOY, ToyConfig, ToyProblem

from equilatent.bench.harness import record as record_module
from equilatent.bench.harness.record import read_record
from equilatent.bench.harness.run import RunBusyError, run, run_folder
from equilatent.bench.harness.task import Split
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
        *("schema", "protocol", "selected", "data", "curve", "peak_memory"),
    }
    assert (record["schema"], record["protocol"]) == (2, 1)
    assert record == json.loads((folder_of(config) / "record.json").read_text())
    assert record["config"] == json.loads(json.dumps(config.identity))
    assert len(record["curve"]) == record["final"]["epochs"] == 4
    assert record["final"]["width"] == 6  # what the system says of itself
    assert record["final"]["parameters"] == 3 * 6 + 6 + 2 * 6 + 6 * 2 + 2
    assert record["data"] == {"source": "drawn"}
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
    np.testing.assert_allclose(figures["bias"][best], weights["3.bias"])
    np.testing.assert_allclose(figures["weight"], weights["0.weight"])


def test_same_seed_same_numbers_and_another_seed_others(config: ToyConfig, tmp_path: Path) -> None:
    first = go(replace(config, epochs=2))
    torch.rand(3)  # what was drawn before is of no account
    assert numbers(go(replace(config, epochs=2, out=tmp_path / "other"))) == numbers(first)
    assert go(replace(config, epochs=2), 1)["curve"] != first["curve"]


def test_finished_run_is_not_run_again(config: ToyConfig) -> None:
    record = go(replace(config, epochs=1))
    broken = replace(TOY, load=lambda *_: pytest.fail("it is finished"))
    assert run(broken, replace(config, epochs=1), 0) == record


def test_configuration_reaches_the_problem(config: ToyConfig) -> None:
    short = go(replace(config, limit=32, epochs=1))
    assert short["config"]["limit"] == 32
    assert short["curve"] != go(replace(config, epochs=1))["curve"]


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
    assert process.exitcode == -signal.SIGTERM
    assert not (folder_of(config) / "record.json").exists()


@pytest.mark.parametrize(
    ("name", "count", "epochs"),
    [
        ("last.ckpt", 2, 1),
        ("metrics.csv", 2, 1),
        ("metrics.csv", 4, 3),
        ("weights.safetensors", 1, 4),
        ("figures.npz", 1, 4),
        ("record.json", 1, 4),
    ],
)
def test_killed_between_two_files(
    config: ToyConfig,
    whole: tuple[ToyConfig, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    count: int,
    epochs: int,
) -> None:
    """When the file is to get its name for the so many-th time; its temporary file stays."""
    original = os.replace
    seen = []

    class KilledError(BaseException):
        pass

    def replace_until(source: Path, target: Path) -> None:
        if Path(target).name == name:
            seen.append(target)
            if len(seen) == count:
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
    assert epochs_of(folder) == epochs
    assert numbers(go(config)) == numbers(whole[1])
    assert epochs_of(folder) == 4
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
    for content in ({"callbacks": {}}, {"state": {"colour": "red"}}, [1, 2]):
        torch.save(content, folder / "last.ckpt")
        with pytest.raises(EquilatentError, match=r"last\.ckpt cannot be read \(.*Remove it to start the run again"):
            go(config)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "cannot be read"),
        ('{"final": ', "cannot be read"),
        ("\udcff", "cannot be read"),
        ('{"seconds": NaN}', "NaN is no number"),
        ("[]", "it holds a list"),
        ("{}", "experiment, method, group, seed, config, final, seconds missing"),
    ],
)
def test_damaged_record_is_told(config: ToyConfig, content: str, why: str) -> None:
    folder = folder_of(config)
    folder.mkdir()
    (folder / "record.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(
        EquilatentError, match=rf"{folder.name}/record\.json .*{why}.*Remove it to carry out the run again"
    ):
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

    class Failing(ToyProblem):
        def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
            if split == "test":
                raise OSError("no test samples")
            return super().evaluate(model, split)

    with pytest.raises(OSError, match="no test samples"):
        run(replace(TOY, load=Failing), replace(config, again=True), 0, progress=False)
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
    new = read_record(folder / "again" / "record.json")
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
        "--rate -1.0 should be finite and not negative",
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


def test_a_job_of_slurm_that_cannot_be_used_is_told(config: ToyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning takes --ntasks-per-node alone."""
    for name, value in {"NTASKS": "2", "JOB_NAME": "x", "PROCID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(EquilatentError, match=r"--devices 2: .*--ntasks-per-node=2"):
        go(replace(config, devices=2))


# Several processes


@pytest.fixture(params=["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def _processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How processes start: as they do, which takes long, or as copies of this one."""
    context = multiprocessing.get_context(request.param)
    monkeypatch.setattr("equilatent.bench.harness.processes.multiprocessing.get_context", lambda _: context)


@pytest.mark.usefixtures("_processes")
def test_two_processes_share_a_run(config: ToyConfig) -> None:
    config = replace(config, epochs=3, rate=0.001, devices=2)
    together = go(config)
    alone = go(replace(config, devices=1, out=config.out / "alone"))
    assert together["config"] == alone["config"]
    assert len(together["curve"]) == 3
    # Same samples and initial weights; noise and dropout differ between the processes.
    assert together["curve"][2]["val/loss"] != alone["curve"][2]["val/loss"]
    assert together["curve"][2]["val/loss"] == pytest.approx(alone["curve"][2]["val/loss"], rel=0.05)
    assert [path.name for path in config.out.rglob("record.json")] == ["record.json"] * 2
    with pytest.raises(NonFiniteError):
        go(replace(config, fail="nan"))


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def as_torchrun(rank: int, port: str) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "TORCHELASTIC_RUN_ID": "none",
    }


def as_srun(rank: int, port: str) -> dict[str, str]:
    return {
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
        "SLURM_NODEID": "0",
        "SLURM_JOB_NAME": "digits",
        "SLURM_JOB_ID": "5",
        "SLURM_NODELIST": "localhost",
        "MASTER_PORT": port,
    }


@pytest.mark.parametrize("launched", [as_torchrun, as_srun])
def test_processes_of_a_launcher_share_a_run(
    config: ToyConfig, apart: Callable[..., Any], launched: Callable[[int, str], dict[str, str]]
) -> None:
    """Each of them calls `run`; the first writes the record, and the other is told nothing."""
    config = replace(config, epochs=2, devices=2)
    port = free_port()

    def rank(number: int) -> None:
        for name in [name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC_"))]:
            del os.environ[name]
        os.environ |= launched(number, port)
        record = go(config)
        (config.out / f"{number}.json").write_text(json.dumps(record))

    processes = [apart(rank, number, until=lambda: True) for number in range(2)]
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = (json.loads((config.out / f"{number}.json").read_text()) for number in range(2))
    assert second == {}
    assert first == read_record(folder_of(config) / "record.json")
    assert len(first["curve"]) == 2
