"""Two small tasks that nothing knows by name, and records written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from equilatent.bench.harness.config import RunConfig, added
from equilatent.bench.harness.task import Control, Quantity, Task
from equilatent.bench.results.frame import load

Record = dict[str, Any]


@dataclass(frozen=True)
class ToyConfig(RunConfig):
    """A few fields of every kind."""

    method: str = "ours"
    group: str = "C4"
    epochs: int = 10
    strength: float = 1.0
    label: str = "plain"
    fast: bool = True
    later: float = added(0.5, was=0.0)


def twice(config: ToyConfig) -> int:
    return 2 * config.epochs


def nothing(*_: Any) -> Any:
    raise AssertionError("results load nothing and build nothing")


TOY = Task(
    name="toy",
    title="Toys",
    table="Table 0",
    config=ToyConfig,
    groups={"C4": "turns", "D4": "turns and mirrors"},
    load=nothing,
    architecture=nothing,
    quantities=(
        Quantity("accuracy", "accuracy", "higher", 3),
        Quantity("error", "error", "lower"),
        Quantity("parameters", "parameters", given=True),
        Quantity("config.batch", "samples in a batch", given=True),
    ),
    criterion="error",
    protocol=2,
    baseline="cnn",
    budget=("limit", "epochs"),
    controls=(
        Control("the same without the term", "ours", {"strength": 0.0}),
        Control("twice the epochs", "cnn", {"epochs": twice}),
    ),
    systems={"cnn": object, "scnn": object, "ours": object},  # type: ignore[dict-item]
    published={
        ("cnn", "C4"): {"accuracy": "0.900 (0.010)", "parameters": "0.1 M"},
        ("scnn", "C4"): {"accuracy": "0.800 (0.020)"},
    },
    by_element={"errors": "Error of each element"},
    by_layer={"degrees": "Degree of each layer"},
)
COUNTS = Task(
    name="counts",
    title="Counts",
    table="Table 9",
    config=ToyConfig,
    groups={"C4": "turns"},
    load=nothing,
    architecture=nothing,
    quantities=(Quantity("counts", "counts"), Quantity("loss", "loss", "lower")),
    details=(Quantity("residual", "residual", "lower"), Quantity("copies", "copies", given=True)),
    controls=(Control("the start alone", "control", keeps=("label",)),),
    systems={"ours": object, "control": object},  # type: ignore[dict-item]
    published={("ours", "C4"): {"counts.1": ("2", "4"), "counts.i": ("1", "2")}},
)
TASKS = {"toy": TOY, "counts": COUNTS}


def a_record(task: str = "toy", seed: int = 0, final: Mapping[str, Any] | None = None, **fields: Any) -> Record:
    """A record of the present schema; the fields are those of the configuration."""
    config = ToyConfig(**fields)
    return {
        "schema": 2,
        "experiment": task,
        "method": config.method,
        "group": config.group,
        "seed": seed,
        "protocol": TASKS[task].protocol,
        "config": config.identity,
        "commit": "0123456789abcdef",
        "versions": {"python": "3.11"},
        "machine": {"system": "Linux", "processor": "abacus", "threads": 1},
        "selected": {"epoch": 1, "error": 0.25},
        "final": {"parameters": 1200, "epochs": 3, "best_epoch": 1, **(final or {})},
        "seconds": 60.0,
        "peak_memory": 2_000_000,
        "data": {"source": "made up", "stand_in": None},
        "curve": [{"epoch": float(epoch), "val/error": 1 / (epoch + 1)} for epoch in range(3)],
    }


@pytest.fixture
def record() -> Callable[..., Record]:
    return a_record


@pytest.fixture
def tasks() -> dict[str, Task]:
    return TASKS


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., pd.DataFrame]:
    """The frame of some records."""

    def read(*records: Record) -> pd.DataFrame:
        folder = tmp_path / "records"
        folder.mkdir(exist_ok=True)
        for number, each in enumerate(records):
            (folder / f"{number:03}.json").write_text(json.dumps(each), "utf-8")
        frame = load([folder], TASKS)
        assert frame.attrs["left_out"] == {}
        return frame

    return read
