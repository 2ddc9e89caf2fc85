"""The benchmarks run, and the page shows what is on record."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _benchmarks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)


def module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{name}")


def a_part(**changes: Any) -> dict[str, Any]:
    table = {
        "title": "Widgets",
        "columns": [["", "text"], ["time", "seconds"], ["held", "bytes"], ["copies", "ratio"], ["order", "count"]],
        "rows": [["one", 0.00123, 2.5e6, 3.14159, 7920], ["two", 12.0, 0.0, None, 2.0]],
    }
    part = {
        "date": "2000-01-01",
        "commit": "0123456789+",
        "versions": {"python": "3.11", "torch": "2.0"},
        "machine": {"system": "Linux x86_64", "cores": 2, "threads": 1},
        "seconds": 1.0,
        "tables": [table],
    }
    return part | changes


def test_the_page_shows_the_record() -> None:
    page = module("page")
    parts = page.load()
    shown = page.blocks(page.PAGE.read_text("utf-8"))
    assert set(shown) == set(parts) == set(module("__main__").PARTS)
    assert shown == {name: page.render_block(part) for name, part in parts.items()}


@pytest.mark.parametrize(
    "part", ["groups", "actions", "representations", "latent", "step", "data", "ddmnist", "memory", "imports"]
)
def test_a_quick_run_prints_tables_and_writes_nothing(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    page, threads = module("page"), torch.get_num_threads()
    before = page.PAGE.read_bytes(), page.RECORD.read_bytes()
    module("__main__").main(["--quick", part])
    assert f"[1/1] {part}: " in capsys.readouterr().out
    assert (page.PAGE.read_bytes(), page.RECORD.read_bytes()) == before
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speed"], "there is no part 'speed'; choose from groups, actions"),
        (["--device", "toaster"], "invalid choice: 'toaster'"),
        (["--device", "cuda", "--write"], "--write is for full runs on the CPU"),
        (["--quick", "--write"], "--write is for full runs on the CPU"),
    ],
)
def test_refusals(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        module("__main__").main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "write"),
    [([], True), (["step"], False), (["--quick"], False), (["step", "--write"], True), (["--no-write"], False)],
)
def test_the_page_is_written_by_full_runs_or_on_request(arguments: list[str], write: bool) -> None:
    assert module("__main__").parse(arguments).write is write


def test_a_block_says_what_was_measured_on_what() -> None:
    assert module("page").render_block(a_part()).splitlines() == [
        "*2000-01-01, Linux x86_64, 2 cores, 1 thread, python 3.11, torch 2.0, commit 01234567+.*",
        "",
        "**Widgets**",
        "",
        "|  | time | held | copies | order |",
        "|---|--:|--:|--:|--:|",
        "| one | 1.23 ms | 2.50 MB | 3.14 | 7,920 |",
        "| two | 12.0 s | 0 B | – | 2 |",
    ]


def test_writing_replaces_one_block_and_keeps_all_else(tmp_path: Path) -> None:
    page, path, record = module("page"), tmp_path / "page.md", tmp_path / "speed.json"
    path.write_text("before\n<!-- begin a -->\nold\n<!-- end a -->\nbetween\n<!-- begin b -->\n<!-- end b -->\nafter\n")
    page.write({"a": a_part()}, record=record, page=path)
    page.write({"b": a_part(date="2001-02-03")}, record=record, page=path)
    text = path.read_text()
    assert "old" not in text
    assert [text.index(word) for word in ("before", "between", "after")] == sorted(
        text.index(word) for word in ("before", "between", "after")
    )
    assert page.blocks(text) == {name: page.render_block(part) for name, part in page.load(record).items()}
    assert json.loads(record.read_text())["parts"]["b"]["date"] == "2001-02-03"
    page.write({"a": a_part()}, record=record, page=path)
    assert path.read_text() == text


def test_a_page_without_the_place_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    page, path, record = module("page"), tmp_path / "page.md", tmp_path / "speed.json"
    path.write_text("no marks\n")
    with pytest.raises(ValueError, match=r"has 0 places for 'a'; it needs one"):
        page.write({"a": a_part()}, record=record, page=path)
    assert path.read_text() == "no marks\n" and not record.exists()


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 columns, but a row of 1 cells"):
        module("page").Table("t", [("a", "text"), ("b", "ratio")], [["x"]])


def test_bytes_that_are_held_are_counted_once() -> None:
    held = module("memory").held_bytes
    numbers = torch.zeros(100, dtype=torch.float64)
    assert held([numbers, numbers[:3], {"again": numbers.numpy()}]) == 800
    layer = torch.nn.Linear(3, 4)
    assert held(torch.nn.Sequential(layer, layer)) == 4 * (3 * 4 + 4)


def test_a_ratio_is_the_median_of_paired_rounds() -> None:
    ratio = module("timing").median_ratio({"a": [1.0, 10.0, 6.0], "b": [1.0, 5.0, 1.0]}, "a", "b")
    assert ratio == 2.0
