"""The tables of the demo page say what the records say."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RECORDS = {path.stem: json.loads(path.read_text("utf-8")) for path in (ROOT / "results" / "demo").glob("*.json")}
METHODS = {"plain": "not augmented", "augmented": "augmented", "ours": "with the latent term"}


def spread(records: list[dict[str, Any]], key: str) -> str:
    values = [record["final"][key] for record in records]
    return f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"


def row_of(name: str, method: str) -> str:
    records = [record for record in RECORDS[name] if record["method"] == method]
    assert [record["seed"] for record in records] == [0, 1, 2]
    keys = ("test_accuracy", "consistency", "latent_error")
    seconds = statistics.fmean(record["seconds"] for record in records)
    cells = [METHODS[method], *(spread(records, key) for key in keys), f"{records[0]['final']['parameters']:,}"]
    return f"| {' | '.join(cells)} | {seconds:.1f} |"


def distance_of(name: str) -> str:
    records = [record for record in RECORDS[name] if record["method"] == "ours"]
    config = records[0]["config"]
    keys = ("test_accuracy", "encoder_relative_error", "encoder_centred_error", "latent_error")
    place = {"encoder": "before the norm", "norm": "behind the norm"}[config["latent"]]
    return f"| {place} | `{config['distance']}` | {' | '.join(spread(records, key) for key in keys)} |"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        *((lambda method=method: row_of("norm-mse", method), f"norm-mse {method}") for method in METHODS),
        *((lambda name=name: distance_of(name), name) for name in sorted(RECORDS)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_page_shows_the_records(line: Callable[[], str], name: str) -> None:
    assert line() in (ROOT / "docs" / "demo.md").read_text("utf-8").splitlines(), f"{name}: expected {line()}"


def test_the_records_are_of_committed_code() -> None:
    for records in RECORDS.values():
        assert len({record["commit"] for record in records}) == 1
