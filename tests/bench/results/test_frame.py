"""Records as one frame: every value where it belongs, and a reason for all that is not in it."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tyro

from equilatent.bench import load
from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.harness.config import digest_of
from equilatent.bench.harness.task import Task
from equilatent.bench.results import frame as frames
from equilatent.bench.results import tables
from equilatent.errors import EquilatentError, MissingDependencyError

ROOT = Path(__file__).parents[3]
ARCHIVE = [ROOT / "results" / "experiments", ROOT / "results" / "superseded"]
Make = Callable[..., Any]


def save(path: Path, record: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), "utf-8")
    return path


def test_every_value_of_a_record_is_in_its_row(record: Make, read: Make) -> None:
    final = {"accuracy": 0.75, "errors": {"e": 0.0, "r": 0.5}, "counts": {"r": [3, 5]}}
    (row,) = read(record(seed=4, final=final, epochs=4, strength=2.0)).to_dict("records")
    expected = {
        "task": "toy",
        "system": "ours",
        "group": "C4",
        "seed": 4,
        "protocol": 2,
        "changes": "strength = 2.0",
        "budget": "epochs = 4",
        "name": "ours, strength = 2.0",
        "accuracy": 0.75,
        "errors.e": 0.0,
        "errors.r": 0.5,
        "counts.r.0": 3,
        "counts.r.1": 5,
        "parameters": 1200,
        "config.epochs": 4,
        "config.strength": 2.0,
        "config.fast": True,
        "config.label": "plain",
        "config.later": 0.5,
        "commit": "0123456789abcdef",
        "seconds": 60.0,
        "peak_memory": 2_000_000,
        "version.python": "3.11",
        "machine.processor": "abacus",
        "selected.epoch": 1,
        "selected.error": 0.25,
        "data.source": "made up",
    }
    assert {name: row[name] for name in expected} == expected
    assert pd.isna(row["config.limit"]) and row["path"].endswith("000.json")


def test_a_column_of_whole_numbers_stays_whole_where_some_lack_it(record: Make, read: Make) -> None:
    frame = read(record(final={"count": 3}), record(seed=1))
    assert str(frame["count"].dtype) == "Int64" and frame["count"].isna().tolist() == [False, True]


def test_entries_of_a_mapping_stay_together(record: Make, read: Make) -> None:
    frame = read(record(final={"a": {"x": 1, "z": 2}, "b": 3}), record(seed=1, final={"a": {"x": 1, "y": 5, "z": 2}}))
    names = list(frame)
    assert names[names.index("a.x") :][:4] == ["a.x", "a.y", "a.z", "b"]


def test_rows_stand_in_the_order_of_tasks_groups_budgets_and_systems(record: Make, read: Make) -> None:
    shuffled = [
        record("counts"),
        record(method="new"),
        record(group="D4"),
        record(strength=0.0, label="odd"),
        record(strength=0.0),
        record(epochs=4),
        record(seed=1),
        record(method="cnn"),
        record(),
        {**record(), "protocol": 1},
    ]
    frame = read(*shuffled)
    rows = list(
        zip(
            frame["task"], frame["protocol"], frame["budget"], frame["group"], frame["name"], frame["seed"], strict=True
        )
    )
    assert rows == [
        ("toy", 2, "", "C4", "cnn", 0),
        ("toy", 2, "", "C4", "ours", 0),
        ("toy", 2, "", "C4", "ours", 1),
        ("toy", 2, "", "C4", "ours, strength = 0.0", 0),
        ("toy", 2, "", "C4", "ours, strength = 0.0, label = odd", 0),
        ("toy", 2, "", "C4", "new", 0),
        ("toy", 2, "", "D4", "ours", 0),
        ("toy", 2, "epochs = 4", "C4", "ours", 0),
        ("toy", 1, "", "C4", "ours", 0),
        ("counts", 1, "", "C4", "ours", 0),
    ]


def test_more_than_the_default_is_a_change_and_less_a_budget(record: Make, read: Make) -> None:
    frame = read(record(epochs=20), record(epochs=5), record(limit=100))
    assert sorted(zip(frame["changes"], frame["budget"], strict=True)) == [
        ("", "epochs = 5"),
        ("", "limit = 100"),
        ("epochs = 20", ""),
    ]


def test_runs_in_other_settings_are_apart_and_have_the_defaults_of_these(record: Make, tmp_path: Path) -> None:
    task = CATALOGUE["frozen"]
    chosen = [
        {"dataset": "mnist", "jitter": "none"},
        {"dataset": "cifar10", "jitter": "mild"},
        {"dataset": "cifar10", "jitter": "mild", "strength": 0.0, "epochs": 4},
    ]
    for number, fields in enumerate(chosen):
        config = task.config(**fields).resolved()
        kept = {"config": config.identity, "final": {"rho_search_1": 0.5}}
        save(tmp_path / f"{number}.json", {**record(), **kept, "experiment": "frozen", "group": "D4", "protocol": 1})
    runs = frames.load([tmp_path], {"frozen": task})
    assert runs.attrs["left_out"] == {}
    assert sorted(zip(runs["budget"], runs["name"], strict=True)) == [
        ("dataset = cifar10, jitter = mild", "ours"),
        ("dataset = cifar10, jitter = mild, epochs = 4", "ours, strength = 0.0"),
        ("dataset = mnist, jitter = none", "ours"),
    ]
    for fields, (_, run) in zip(chosen, runs.sort_values("path").iterrows(), strict=True):
        config = task.config(**fields).resolved()
        command = frames.command(frames.config_of(run), task, [0])
        assert tyro.cli(task.config, args=shlex.split(command)[3:]).resolved() == config
        # Controls are on the same data, with the same jitter and its settings.
        part = runs[runs["budget"] == run["budget"]]
        _, controls = tables.with_controls(part, runs, task)
        for control in controls[controls["seeds"].str.len() > 0].itertuples():
            made = tyro.cli(task.config, args=shlex.split(control.command)[3:]).resolved()
            shared = ("dataset", "jitter", "epochs", "batch", "rate", "features")
            assert [getattr(made, name) for name in shared] == [getattr(config, name) for name in shared]
            assert digest_of(task.config, made.identity, 1) == control.digest


def test_runs_on_other_data_have_another_name(record: Make, read: Make) -> None:
    other = record(seed=1)
    other["data"] = {"source": "made up", "stand_in": "half of it"}
    frame = read(record(), other)
    assert frame["name"].tolist() == [f"ours, data {digest}" for digest in frame["data.digest"]]
    assert frame["data.digest"].nunique() == 2


def test_configurations_that_are_told_apart_by_their_digests_alone(record: Make, read: Make) -> None:
    lacking = record(seed=1)
    del lacking["config"]["batch"]
    frame = read(record(), lacking)
    assert frame["name"].tolist() == [f"ours, digest {digest}" for digest in frame["digest"]]


def test_fields_that_older_records_lack_are_what_held_then(record: Make, read: Make) -> None:
    old = record(later=0.0, final={"test_moved_task": 0.125})
    for name in ("schema", "protocol", "selected"):
        del old[name]
    del old["config"]["later"]
    frame = read(old)
    (row,) = frame.to_dict("records")
    assert (row["config.later"], row["protocol"]) == (0.0, 1)
    assert row["test_decoded_task"] == 0.125 and "test_moved_task" not in frame


def test_every_layout_of_folders(record: Make, tasks: dict[str, Task], tmp_path: Path) -> None:
    run = save(tmp_path / "runs" / "first" / "record.json", record())
    save(tmp_path / "runs" / "sweep" / "second" / "record.json", record(seed=1))
    small = save(tmp_path / "small" / "third.json", record(seed=2))
    everything = frames.load([tmp_path / "runs", tmp_path / "small"], tasks)
    assert everything["seed"].tolist() == [0, 1, 2] and everything.attrs["left_out"] == {}
    for one, seeds in ((run.parent, [0]), (run, [0]), (small, [2]), (small.parent, [2])):
        assert frames.load([one], tasks)["seed"].tolist() == seeds
    twice = frames.load([run, run.parent, tmp_path / "runs"], tasks)
    assert twice["seed"].tolist() == [0, 1] and twice.attrs["left_out"] == {}


def test_all_that_is_left_out_is_told_with_the_reason(record: Make, tasks: dict[str, Task], tmp_path: Path) -> None:
    def wrong(**changes: Any) -> dict[str, Any]:
        return {**record(), **changes}

    bad = {
        "empty": ({}, "experiment, method, group, seed, config, final, seconds missing"),
        "list": ([1], "it holds a list"),
        "nan": (record(final={"accuracy": float("nan")}), "NaN is no number"),
        "seed": (wrong(seed="0"), "seed missing or of the wrong kind"),
        "fields": (wrong(config=[]), "config missing or of the wrong kind"),
        "curve": (wrong(curve=[{"epoch": "one"}]), "curve is not a list of rows of numbers"),
        "future": (wrong(schema=99), "written by a later version"),
        "foreign": (wrong(experiment="speed"), "'speed', which is none of toy, counts"),
        "text": (record(final={"accuracy": "much"}), "accuracy is 'much', no number"),
        "inner": (record(final={"errors": {"e": None}}), "errors.e is None, no number"),
        "epochs": (wrong(config={**record()["config"], "epochs": "many"}), "epochs of its configuration is 'many'"),
        "name": (record(final={"digest": 1}), "a final number is called digest"),
        "sweep": ({"experiment": "toy", "cells": []}, "the summary of a sweep"),
    }
    for name, (content, _) in bad.items():
        save(tmp_path / f"{name}.json", content)
    (tmp_path / "cut.json").write_text('{"seed": 0, "fin')
    (tmp_path / "bytes.json").write_bytes(b"\xff\x00")
    save(tmp_path / "unfinished" / "config.json", {})
    (tmp_path / "unfinished" / "metrics.csv").write_text("epoch,val/loss\n0,1\n1,1\n")
    (tmp_path / "photographs").mkdir()
    (tmp_path / ".hidden").mkdir()
    save(tmp_path / "a" / "b" / "c" / "record.json", record())
    save(tmp_path / "good" / "record.json", record(seed=7))
    save(tmp_path / "same" / "record.json", record(seed=7))
    frame = frames.load([tmp_path], tasks)
    assert frame["seed"].tolist() == [7]
    reasons = {Path(path).relative_to(tmp_path).as_posix(): said for path, said in frame.attrs["left_out"].items()}
    for name, (_, reason) in bad.items():
        assert reason in reasons.pop(f"{name}.json")
    assert "cannot be read" in reasons.pop("cut.json") and "cannot be read" in reasons.pop("bytes.json")
    assert reasons.pop("unfinished") == "not finished: 2 epochs so far"
    assert reasons.pop("photographs") == "holds no run"
    assert reasons.pop("a/b") == "not looked into: too deep"
    assert "good/record.json, which is shown" in reasons.pop("same/record.json")
    assert not reasons
    assert not any(
        ".." in said or str(tmp_path) in said.removesuffix(", which is shown")[:40] for said in reasons.values()
    )


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EquilatentError, match=r"nowhere is not there. Name a folder of runs"):
        load(tmp_path / "nowhere")


def test_no_runs_make_an_empty_frame(tmp_path: Path) -> None:
    frame = load(tmp_path)
    assert frame.empty and {"task", "seed", "digest", "name", "path"} <= set(frame)
    assert frame.attrs["left_out"] == {str(tmp_path): "holds no run"}
    assert load().empty


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"strength": 0.0, "fast": False, "compile": True},
        {"label": "two words, 'quoted'", "limit": 100, "later": 0.25, "group": "D4", "method": "cnn"},
    ],
)
def test_the_command_makes_the_same_configuration(
    record: Make, read: Make, tasks: dict[str, Task], changed: dict[str, Any]
) -> None:
    frame = read(*(record(seed=seed, **changed) for seed in (0, 1, 2, 7)))
    words = shlex.split(frames.command(frames.config_of(frame.iloc[0]), tasks["toy"], frame["seed"]))
    assert words[:3] == ["equilatent", "run", "toy"]
    config = tyro.cli(tasks["toy"].config, args=words[3:]).resolved()
    assert config.seeds == [0, 1, 2, 7]
    assert digest_of(type(config), config.identity, 2) == frame["digest"].iloc[0]


@pytest.fixture(scope="module")
def archive() -> pd.DataFrame:
    return load(*ARCHIVE)


def test_the_archive_loads_completely(archive: pd.DataFrame) -> None:
    files = [path for folder in ARCHIVE for path in folder.glob("*.json")]
    assert len(archive) == len(files) == 136
    assert archive.attrs["left_out"] == {}


def test_digests_are_those_that_the_runs_had(archive: pd.DataFrame) -> None:
    for path, digest in zip(archive["path"], archive["digest"], strict=True):
        assert path.endswith(f"-{digest}.json"), path


def test_records_lie_where_their_protocol_belongs(archive: pd.DataFrame) -> None:
    for _, run in archive.iterrows():
        superseded = run["protocol"] < CATALOGUE[run["task"]].protocol
        assert Path(run["path"]).parent.name == ("superseded" if superseded else "experiments")


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, equilatent.bench; print(sorted({'pandas', 'matplotlib', 'lightning_fabric'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert said.stdout.strip() == "[]"


def test_without_pandas_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.delitem(sys.modules, "equilatent.bench.results.frame")
    with pytest.raises(MissingDependencyError, match=re.escape("pip install 'equilatent[bench]'")):
        load()
