"""The tables of the demo page say what the records say."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from equilatent.bench.demo._report import ROWS
from equilatent.bench.demo._training import AUTOENCODERS, ENCODERS

ROOT = Path(__file__).parents[2]
RECORDS: list[dict[str, Any]] = json.loads((ROOT / "results" / "demo" / "records.json").read_text("utf-8"))
LINES = (ROOT / "docs" / "demo.md").read_text("utf-8").splitlines()


def spread(method: str, key: str, scale: float, digits: int) -> str:
    records = [record for record in RECORDS if record["method"] == method]
    assert [record["seed"] for record in records] == [0, 1, 2]
    values = [scale * record["final"][key] for record in records]
    return f"{statistics.fmean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


@pytest.mark.parametrize(("method", "way", "label", "passes"), ROWS)
def test_the_page_shows_the_answers(method: str, way: str, label: str, passes: str) -> None:
    shares = [f"{spread(method, f'{way}_{task}', 100, 0)}%" for task in ("search", "pose", "head")]
    assert f"| {label} | {passes} | {' | '.join(shares)} |" in LINES


@pytest.mark.parametrize(("method", "label"), ENCODERS.items())
def test_the_page_shows_the_encoders(method: str, label: str) -> None:
    shares = [f"{spread(method, key, 100, 1)}%" for key in ("accuracy", "consistency")]
    assert f"| {label} | {' | '.join(shares)} | {spread(method, 'latent_error', 1, 2)} |" in LINES


@pytest.mark.parametrize(("method", "label"), AUTOENCODERS.items())
def test_the_page_shows_the_autoencoders(method: str, label: str) -> None:
    errors = [
        spread(f"autoencoder {method}", key, 1, 2) for key in ("decoded_error", "maps_error", "reconstruction_error")
    ]
    assert f"| {label} | {' | '.join(errors)} |" in LINES


def test_the_records_are_of_one_committed_state() -> None:
    (commit,) = {record["commit"] for record in RECORDS}
    assert not commit.endswith("+")
