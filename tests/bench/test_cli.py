"""The commands `run` and `sweep`: their help, their refusals, ctrl-C."""

import dataclasses
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from toy_experiment import TOY, ToyConfig

from equilatent.bench import catalogue
from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.harness.run import run_folder
from equilatent.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.mark.parametrize("command", ["run", "sweep"])
@pytest.mark.parametrize("name", CATALOGUE)
def test_help_mentions_every_field(
    command: str, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        main([command, name, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for field in dataclasses.fields(CATALOGUE[name].config):
        assert f"--{field.name.replace('_', '-')}" in told
    assert ("--grid" in told) == (command == "sweep")


def test_list_shows_every_task_with_its_systems_and_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    expected = []
    for task in CATALOGUE.values():
        expected.append(f"{task.name}: {task.title} ({task.table})")
        expected += [f"--method {name} {system.title}" for name, system in task.systems.items()]
        expected += [f"--group {name} {words}" for name, words in task.groups.items()]
    assert lines == expected


def test_all_wrong_fields_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--method",
        "theirs",
        "--group",
        "D9",
        "--rate",
        "-1",
        "--start",
        "flat",
        "--out",
        str(tmp_path / "new"),
    ]
    assert main(["run", "mnist", *arguments]) == 2
    told = capsys.readouterr().err
    for words in (
        "--method 'theirs' should be one of learned",
        "--group 'D9' should be",
        "--rate -1.0",
        "--start 'flat' should be uniform",
    ):
        assert words in told
    assert "Traceback" not in told
    assert not (tmp_path / "new").exists()
    assert main(["sweep", "mnist", "--grid", "colour=red", "rate=fast", "--out", str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err
    assert "'colour' is none of the fields" in told
    assert "rate=fast should be a number" in told


def test_unknown_field_is_told_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "mnist", "--rat", "1"])
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert "--rate" in told.err + told.out


def test_out_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["run", "mnist", "--out", str(tmp_path / "file"), "--device", "cpu"]) == 1
    assert "Earlier results are as they were" in capsys.readouterr().err


def test_ctrl_c_ends_with_status_130_and_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogue, "CATALOGUE", {"toy": TOY, "mnist": CATALOGUE["mnist"]})
    command = ["run", "toy", "--pause", "0.1", "--epochs", "50", "--device", "cpu", "--out", str(tmp_path)]
    process = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(main(command)))
    process.start()
    config = ToyConfig(pause=0.1, epochs=50, out=tmp_path)
    deadline = time.monotonic() + 60
    while not (run_folder(TOY, config, 0) / "metrics.csv").exists():
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)  # type: ignore[arg-type]
    process.join(30)
    assert process.exitcode == 130
    told = capfd.readouterr().err
    assert "equilatent: stopped. What was finished before stays as it was." in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "0..9999999999"], "--seed '0..9999999999' names 10,000,000,000 seeds; at most 10,000"),
        (["--out", ""], "--out should name a folder"),
        (["--mixed-damping", "nan"], "--mixed-damping nan should be finite and not negative"),
        (["--relator-weight", "inf"], "--relator-weight inf should be finite and not negative"),
        (["--rate", "0"], "--rate 0.0 should be positive"),
        (["--batch", "2"], "--batch 2 should be at least 3"),
    ],
)
@pytest.mark.parametrize("command", ["run", "sweep"])
def test_values_that_make_no_run(
    command: str, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([command, "mnist", "--device", "cpu", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("equilatent: ") and words in told
    assert list(tmp_path.iterdir()) == []


def use_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams as Python makes them for PYTHONIOENCODING=ascii."""
    for name, errors in (("stdout", "strict"), ("stderr", "backslashreplace")):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors=errors, write_through=True)
        monkeypatch.setattr(sys, name, stream)


def written(stream: Any) -> str:
    return str(stream.buffer.getvalue().decode("ascii"))


def test_a_terminal_without_unicode_shows_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles hold °, the help holds λ, and messages and paths quote what was typed."""
    use_ascii(monkeypatch)
    monkeypatch.setattr(catalogue, "CATALOGUE", {"toy": TOY, "mnist": CATALOGUE["mnist"]})
    assert main(["list"]) == 0
    assert "turns by 120? and a mirror" in written(sys.stdout)
    with pytest.raises(SystemExit):
        main(["run", "mnist", "--help"])
    assert "?_A, the weight of the algebra loss" in written(sys.stdout)
    assert main(["run", "mnist", "--method", "λ", "--out", str(tmp_path)]) == 2
    assert "--method '\\u03bb' should be one of" in written(sys.stderr)
    assert main(["run", "toy", "--epochs", "1", "--device", "cpu", "--out", str(tmp_path / "λ")]) == 0
    assert f"{tmp_path}/?/toy-fixed-S3-seed0-" in written(sys.stdout)
    assert main(["sweep", "toy", "--epochs", "1", "--device", "cpu", "--out", str(tmp_path / "λ")]) == 0
    assert f"The choice: {tmp_path}/?/sweep-" in written(sys.stdout)


@pytest.mark.slow
def test_the_command_in_a_terminal_without_unicode() -> None:
    command = [sys.executable, "-c", "import sys; from equilatent.cli import main; sys.exit(main())", "list"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"turns by 120? and a mirror" in done.stdout
