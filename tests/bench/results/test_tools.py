"""The pages of this repository say what the records say."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from equilatent.bench.catalogue import CATALOGUE

ROOT = Path(__file__).parents[3]
PLACE = "<!-- begin {0} -->\n<!-- end {0} -->\n"


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("tools.pages")


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("tools.blocks")


def a_record(task: str, seed: int = 0, **final: Any) -> dict[str, Any]:
    config = CATALOGUE[task].config().resolved()
    return {
        "schema": 2,
        "experiment": task,
        "method": config.method,
        "group": config.group,
        "seed": seed,
        "protocol": CATALOGUE[task].protocol,
        "config": config.identity,
        "final": {"parameters": 1, "epochs": 7, "best_epoch": 4, **final},
        "seconds": 1.0,
        "data": {"source": "made up"},
        "curve": [{"epoch": float(epoch), "val/loss": 1 / (epoch + 3)} for epoch in range(7)],
    }


def save(path: Path, record: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), "utf-8")


@pytest.fixture
def write(tmp_path: Path, pages: ModuleType) -> Callable[..., int]:
    """The command, on a page and records of its own."""

    def write(*runs: Path) -> int:
        where = ["--results", str(tmp_path / "results"), "--pages", str(tmp_path / "page.md")]
        return pages.main([*map(str, runs), *where])  # type: ignore[no-any-return]

    return write


def test_small_records_keep_every_number(pages: ModuleType) -> None:
    record = a_record("tmnist")
    kept = pages.slim(record)
    assert {**kept, "curve": None} == {**record, "curve": None}
    assert [row["epoch"] for row in kept["curve"]] == [0, 5, 6]
    assert kept["curve"][0] == {"epoch": 0.0, "val/loss": 0.3333}
    assert pages.slim({"seed": 0}) == {"seed": 0, "curve": []}


def test_records_are_kept_and_the_page_is_written_from_them(
    write: Callable[..., int], blocks: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, results = tmp_path / "page.md", tmp_path / "results"
    places = [PLACE.format(name) for name in ("tmnist", "ddmnist", "ddmnist_superseded", "other")]
    page.write_text("above\n" + "between\n".join(places).replace("<!-- end other", "kept\n<!-- end other"))
    counts = {"eigenvalue_counts": {"r": [22, 20]}}
    for seed in range(2):
        save(tmp_path / "runs" / f"run{seed}" / "record.json", a_record("tmnist", seed, **counts))
    save(tmp_path / "runs" / "old" / "record.json", {**a_record("ddmnist", test_accuracy=0.25), "protocol": 1})
    save(tmp_path / "runs" / "cut" / "config.json", {})
    assert write(tmp_path / "runs") == 0
    assert sorted(path.relative_to(results).as_posix() for path in results.rglob("*.json")) == [
        *("experiments/run0.json", "experiments/run1.json", "superseded/old.json"),
    ]
    assert "cut: not finished: 0 epochs so far" in capsys.readouterr().err
    text = page.read_text("utf-8")
    shown = blocks.blocks(text)
    assert "| mean of 2 | 22 ± 0 | 20 ± 0 |" in shown["tmnist"]
    assert shown["ddmnist"] == "*No runs on record.*" and shown["other"] == "kept"
    assert "protocol 1, superseded by 2" in shown["ddmnist_superseded"] and "0.250 (1)" in shown["ddmnist_superseded"]
    assert text.startswith("above\n") and "\nbetween\n" in text
    figures = {path.name for path in (tmp_path / "images").iterdir()}
    assert figures == {"ddmnist-protocol-1-parameters.svg", "ddmnist-protocol-1-seconds.svg"}
    (tmp_path / "images" / "ddmnist-stale.svg").write_text("")
    assert write() == 0
    assert page.read_text("utf-8") == text
    assert {path.name for path in (tmp_path / "images").iterdir()} == figures


def test_frozen_encoders_have_a_folder_and_tables_of_their_own(
    write: Callable[..., int], blocks: ModuleType, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PLACE.format("frozen"))
    shares = {
        "ours": ({}, [(0.5, 0.6, 0.9), (0.7, 0.7, 0.9)]),
        "control": ({"strength": 0.0}, [(0.1, 0.4, 0.9), (0.2, 0.6, 0.9)]),
        "other": ({"strength": 0.0, "jitter": "strong"}, [(0.25, 0.5, 0.75)]),
        "own": ({"method": "exact", "decorrelation": 0.7}, [(0.8, 0.8, 0.8)]),
    }
    for name, (fields, numbers) in shares.items():
        for seed, found in enumerate(numbers):
            config = CATALOGUE["frozen"].config(**{"jitter": "mild", **fields}).resolved()
            final = {
                f"{way}_{key}": share
                for way, share in zip(("rho", "maps", "passes"), found, strict=True)
                for key in ("search_1", "search_10", "pose", "head")
            }
            made = a_record("frozen", seed, **final, test_accuracy=0.96, effective_rank=9.0, latent_features=80)
            made["final"]["latent_centred_error"] = 1e-13 if name == "own" else 0.25
            save(tmp_path / "runs" / f"{name}{seed}.json", {**made, "method": config.method, "config": config.identity})
    assert write(tmp_path / "runs") == 0
    assert {path.parent.name for path in (tmp_path / "results").rglob("*.json")} == {"frozen"}
    shown = blocks.blocks(page.read_text("utf-8"))["frozen"]
    rows = [line.split(" | ") for line in shown.splitlines()]
    latent, zero, exact = (
        next(r for r in rows if r[0] == f"| {name}") for name in ("latent term", "λ = 0", "group convolutions")
    )
    assert latent[1:4] == ["60.0 ± 14.1", "65.0 ± 7.1", "90.0 ± 0.0"]
    assert zero[1:4] == ["15.0 ± 7.1", "50.0 ± 14.1", "90.0 ± 0.0"]
    assert exact[1:4] == ["80.0 (1)"] * 3
    assert ["| λ = 0, strong jitter", "25.0 (1)", "50.0 (1)", "75.0 (1)"] in [row[:4] for row in rows]
    # 0.5 − 0.1 and 0.7 − 0.2; and 0.5 − 0.8 of the seed that both have.
    above = {row[0]: row[1] for row in rows if len(row) == 7}
    assert above["| λ = 0, ρ(g)z"].startswith("+45.0 ± 7.1 (0.07")
    assert above["| group convolutions, ρ(g)z"] == "−30.0"
    assert "0 but for rounding" in shown and "--strength 0.0" in shown
    text = page.read_text("utf-8")
    assert write() == 0 and page.read_text("utf-8") == text


def test_records_without_a_place_are_refused(
    write: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PLACE.format("tmnist"))
    save(tmp_path / "results" / "experiments" / "a.json", a_record("cifar10"))
    assert write() == 2
    assert "there are records of 'cifar10' and no page has a place for them." in capsys.readouterr().err
    assert page.read_text() == PLACE.format("tmnist")


def test_a_place_that_is_there_twice_is_refused(blocks: ModuleType) -> None:
    with pytest.raises(blocks.BlockError, match="has 2 places for 'a'"):
        blocks.replace_blocks(PLACE.format("a") * 2, {"a": "x"})


def test_a_damaged_record_stops_the_pages(
    write: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text(PLACE.format("tmnist"))
    save(tmp_path / "results" / "experiments" / "a.json", {})
    assert write() == 2
    assert "a.json: is no record of a run: experiment, method" in capsys.readouterr().err


def test_the_documentation_shows_the_records(pages: ModuleType, blocks: ModuleType) -> None:
    documents = [ROOT / page for page in pages.PAGES]
    names = {name for page in documents for name in blocks.blocks(page.read_text("utf-8"))}
    assert {name.removesuffix("_superseded") for name in names} <= set(CATALOGUE)
    texts, drawings = pages.rendered(documents, ROOT / "results")
    for page in documents:
        assert texts[page] == page.read_text("utf-8"), "run python -m tools.pages"
    kept = {path for path in (ROOT / "docs" / "images").glob("*-*.svg") if path.name.split("-")[0] in CATALOGUE}
    assert set(drawings) == kept, "run python -m tools.pages"
