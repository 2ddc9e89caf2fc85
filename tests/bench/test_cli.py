"""The commands `run` and `sweep`: their help, their refusals, ctrl-C."""

import dataclasses
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from toy_experiment import TOY, ToyConfig

from equilatent.bench import experiments
from equilatent.bench.experiments import EXPERIMENTS
from equilatent.bench.run import run_folder
from equilatent.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.mark.parametrize("command", ["run", "sweep"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_help_mentions_every_field(
    command: str, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        main([command, name, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for field in dataclasses.fields(EXPERIMENTS[name].config):
        assert f"--{field.name.replace('_', '-')}" in told
    assert ("--grid" in told) == (command == "sweep")


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
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"toy": TOY, "mnist": EXPERIMENTS["mnist"]})
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
