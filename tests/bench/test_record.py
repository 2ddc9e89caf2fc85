"""Records: what one reader takes, of every schema, and what it refuses; files that are whole or as they were."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from equilatent.bench.harness.record import SCHEMA, make_record, read_record, write_json
from equilatent.errors import EquilatentError

RECORDS = sorted((Path(__file__).parents[2] / "results" / "experiments").glob("*.json"))

#: The least that a record of the first schema held.
FIRST: dict[str, Any] = {
    "experiment": "toy",
    "method": "fixed",
    "group": "S3",
    "seed": 0,
    "config": {"epochs": 2},
    "final": {"test_accuracy": 0.5, "best_epoch": 1},
    "seconds": 3,
}


def read(path: Path, record: Any) -> dict[str, Any]:
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return read_record(path)


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    made = make_record(**FIRST, device=torch.device("cpu"), protocol=2, selected={"epoch": 1, "error": 0.25})
    made["curve"] = [{"epoch": 0.0, "val/error": 0.5}]
    write_json(tmp_path / "record.json", made)
    assert read_record(tmp_path / "record.json") == {**made, "data": {}}
    assert (made["schema"], made["protocol"], made["selected"]) == (SCHEMA, 2, {"epoch": 1, "error": 0.25})
    assert made["machine"]["device"] == "cpu"
    assert set(made["versions"]) == {"python", "equilatent", "torch", "numpy"}


def test_the_first_schema_is_filled_up(tmp_path: Path) -> None:
    found = read(tmp_path / "record.json", FIRST)
    assert found == {
        **FIRST,
        "schema": 1,
        "protocol": 1,
        "selected": {},
        "curve": [],
        "data": {},
        "machine": {},
        "versions": {},
    }


@pytest.mark.parametrize("path", RECORDS[::10], ids=lambda path: path.stem)
def test_records_of_earlier_versions_can_be_read(path: Path) -> None:
    found = read_record(path)
    assert (found["schema"], found["protocol"]) == (1, 1)
    assert found["curve"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"seconds": Infinity}', "Infinity is no number"),
        ("[]", "it holds a list, not a mapping"),
        ("3", "it holds a int"),
        ("null", "it holds a NoneType"),
        ("{}", "experiment, method, group, seed, config, final, seconds missing or of the wrong kind"),
        ({**FIRST, "cells": []}, "it is the summary of a sweep"),
    ],
)
def test_what_is_no_record_is_told(tmp_path: Path, content: Any, why: str) -> None:
    path = tmp_path / "record.json"
    with pytest.raises(EquilatentError) as caught:
        read(path, content)
    for words in (str(path), why, "Remove it to carry out the run again"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(name, None) for name in FIRST],
        ("experiment", 3),
        ("seed", "0"),
        ("seed", True),
        ("seed", 0.5),
        ("config", []),
        ("final", [1]),
        ("final", {"best_epoch": "1"}),
        ("final", {"best_epoch": 1.5}),
        ("seconds", "long"),
        ("seconds", True),
        ("seconds", 1e999),
        ("schema", "2"),
        ("protocol", 1.5),
        ("selected", [0.5]),
        ("selected", {"loss": "low"}),
        ("data", 3),
        ("machine", []),
        ("versions", "2.0"),
        ("curve", {}),
        ("curve", [3]),
        ("curve", [{"val/loss": "low"}]),
        ("curve", [{"val/loss": None}]),
        ("curve", [{"val/loss": True}]),
    ],
)
def test_a_field_of_the_wrong_kind_is_told_by_its_name(tmp_path: Path, field: str, value: Any) -> None:
    path = tmp_path / "record.json"
    text = json.dumps({**FIRST, field: value}).replace("Infinity", "1e999")
    named = "best_epoch" if field == "final" and isinstance(value, dict) else field
    with pytest.raises(EquilatentError, match=rf"record\.json is no record of a run: {named}\b.*Remove it"):
        read(path, text)


def test_a_record_of_a_later_version_is_told(tmp_path: Path) -> None:
    with pytest.raises(EquilatentError, match=rf"written by a later version \(schema {SCHEMA + 1}.*Update equilatent"):
        read(tmp_path / "record.json", {**FIRST, "schema": SCHEMA + 1})


def test_a_missing_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(EquilatentError, match=r"record\.json cannot be read"):
        read_record(tmp_path / "record.json")
    with pytest.raises(EquilatentError, match="cannot be read"):
        read_record(tmp_path)


def test_numbers_that_json_has_not_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["record.json"]
    assert path.stat().st_mode & 0o777 == 0o644
