"""Records as tables: statistics against hand computation, what is averaged and what is not, and the page on record."""

import copy
import json
import shlex
import statistics
from pathlib import Path
from typing import Any

import pytest
import tyro

from equilatent.bench import tables
from equilatent.bench._table import show, spread
from equilatent.bench.blocks import BlockError, blocks, replace_blocks
from equilatent.bench.experiments import EXPERIMENTS
from equilatent.bench.tables import LeftOut, Run, RunGroup, group_runs, read_runs
from equilatent.errors import EquilatentError

ROOT = Path(__file__).parents[2]


def a_record(experiment: str = "tmnist", seed: int = 0, group: str = "", **final: Any) -> dict[str, Any]:
    known = EXPERIMENTS[experiment]
    config = known.config(**({"group": group} if group else {})).resolved()
    return {
        "experiment": experiment,
        "method": config.method,
        "group": config.group,
        "seed": seed,
        "config": json.loads(json.dumps(config.identity)),
        "commit": "0123456789abcdef+",
        "versions": {"python": "3.11"},
        "machine": {"system": "Linux", "cores": 2},
        "final": {
            "eigenvalue_counts": {"r": [22, 20]},
            "multiplicities_complex": {"trivial": 21.5, "sign": 20.5},
            "multiplicities_real": {"trivial": 21.5, "sign": 20.5},
            "copies_of_regular": 21.0,
            "distance_from_regular": 0.5,
            "residual": 0.001,
            "relator_loss": 3e-6,
            "test_equivariance": 0.004,
            "epochs": 7,
            "best_epoch": 4,
        }
        | final,
        "seconds": 12.5,
        "data": {"source": "made up", "stand_in": None},
        "curve": [{"epoch": float(epoch), "val/loss": 1 / (epoch + 1)} for epoch in range(7)],
    }


def as_runs(*records: dict[str, Any]) -> list[Run]:
    return [Run(Path(f"run{number}"), record) for number, record in enumerate(records)]


def the_group(*records: dict[str, Any]) -> RunGroup:
    (runs,) = group_runs(as_runs(*records))
    return runs


def save(path: Path, record: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), "utf-8")


def cells_of(table: tables.Table) -> dict[str, list[str]]:
    return {row.cells[0]: list(row.cells[1:]) for row in table.rows}


def test_mean_and_deviation_by_hand() -> None:
    # Deviations from the mean 0.03 are −0.02, 0 and 0.02, so the variance is (4 + 0 + 4)·10⁻⁴ / (3 − 1).
    runs = the_group(*(a_record(seed=seed, test_equivariance=value) for seed, value in enumerate((0.01, 0.03, 0.05))))
    cells = cells_of(tables.result_table(runs))
    assert [cells[f"seed {seed}"][3] for seed in range(3)] == ["0.0100", "0.0300", "0.0500"]
    assert cells["mean of 3"][3] == "0.0300 ± 0.0200"
    assert cells["mean of 3"][2] == "3.0e−6 ± 0"


def test_one_seed_has_no_mean() -> None:
    table = tables.result_table(the_group(a_record()))
    assert [row.kind for row in table.rows] == ["run", *["paper"] * 5, "paper mean"]


def test_a_number_that_a_run_lacks_is_not_averaged() -> None:
    lacking = a_record(seed=1)
    del lacking["final"]["test_equivariance"]
    cells = cells_of(tables.result_table(the_group(a_record(), lacking)))
    assert cells["seed 1"][3] == cells["mean of 2"][3] == "–"
    assert cells["mean of 2"][0] == "22 ± 0"


@pytest.mark.parametrize(
    ("name", "group", "means"),
    [
        ("tmnist", "C2", ["21.40 ± 0.55", "20.60 ± 0.55"]),
        ("mnist", "D3", ["5.29 ± 0.66", "4.77 ± 0.34", "9.97 ± 0.36"]),
        ("cifar10", "C4", ["15.80 ± 0.45", "16.00 ± 0.71", "16.20 ± 1.10", "16.00 ± 0.71"]),
    ],
)
def test_the_papers_numbers_stand_beside_ours(name: str, group: str, means: list[str]) -> None:
    published = EXPERIMENTS[name].published["learned", group]
    counts = {"r": [0] * len(means)}
    irreps = {key.split(".")[1]: 0.0 for key in published if key.startswith("multiplicities")}
    record = a_record(name, eigenvalue_counts=counts, **({"multiplicities_complex": irreps} if irreps else {}))
    cells = cells_of(tables.result_table(the_group(record)))
    assert cells["paper, mean of 5"][: len(means)] == means
    for number in range(5):
        printed = [values[number] for values in published.values()]
        assert cells[f"paper, run {number + 1}"] == printed + ["–"] * (len(cells["seed 0"]) - len(printed))


@pytest.mark.parametrize(("name", "size"), [("tmnist", 42), ("mnist", 30), ("cifar10", 64)])
def test_the_papers_counts_fill_the_latent(name: str, size: int) -> None:
    (published,) = EXPERIMENTS[name].published.values()
    dimensions = {"multiplicities_complex.standard": 2}
    for number in range(5):
        total = sum(dimensions.get(key, 1) * float(values[number]) for key, values in published.items())
        assert total == pytest.approx(size, abs=0.02)


def test_other_configurations_and_other_data_are_never_averaged() -> None:
    faster, standing_in = a_record(seed=1), a_record(seed=2)
    faster["config"]["rate"] = 0.01
    standing_in["data"] = {"source": "made up", "stand_in": "half of it"}
    groups = group_runs(as_runs(faster, a_record(), standing_in))
    assert [len(runs.runs) for runs in groups] == [1, 1, 1]
    assert [runs.name for runs in groups] == ["learned, C2", "learned, C2", "learned, C2, rate = 0.01"]
    assert "STAND-IN: half of it" in {tables.provenance(runs)["data"].partition(". ")[2] for runs in groups}
    (summary,) = tables.summary_tables(groups)
    assert [row.cells[1] for row in summary.rows] == ["1", "1", "1"]


@pytest.mark.parametrize("start", ["orthogonal", "12 trivial"])
def test_the_command_makes_the_same_configuration(start: str) -> None:
    record = a_record("mnist", group="A4")
    record["config"] |= {"rate": 0.01, "limit": 100, "channels_last": True, "start": start}
    runs = the_group(record, {**record, "seed": 1}, {**record, "seed": 2}, {**record, "seed": 7})
    words = shlex.split(runs.command)
    assert words[:3] == ["equilatent", "run", "mnist"]
    config = tyro.cli(EXPERIMENTS["mnist"].config, args=words[3:]).resolved()
    assert config.identity == record["config"]
    assert config.seeds == [0, 1, 2, 7]
    assert config.digest == runs.digest
    assert "features" not in runs.changed, "36 is the default for A4"


def test_sentences() -> None:
    assert tables.sentence(as_runs(a_record(seed=3))[0]) == (
        "Seed 3: 21.0 × regular, each irrep within 0.500 copies: trivial 21.50, sign 20.50; algebra loss 3.0e−6; "
        "equivariance loss 0.00400."
    )
    assert "0.400 away from a representation" in tables.sentence(as_runs(a_record(residual=0.4))[0])
    assert (
        tables.sentence(Run(Path(), {**a_record(), "final": {"test_accuracy": 0.5}})) == "Seed 0: test accuracy 0.500."
    )


def test_real_irreps_have_their_type() -> None:
    counts = {"trivial": 16.0, "1b": 15.5, "1c": 15.5, "sign": 17.0}
    real = {"trivial": 16.0, "sign": 17.0, "2a": 15.5}
    record = a_record("cifar10", multiplicities_complex=counts, multiplicities_real=real)
    table = tables.multiplicity_table(the_group(record))
    assert table is not None
    assert list(table.headings) == [
        *["", "trivial", "1b", "1c", "sign", "real 2a (complex type)", "copies of regular", "distance from regular"]
    ]
    assert list(table.rows[0].cells) == ["seed 0", "16.00", "15.50", "15.50", "17.00", "15.50", "21.00", "0.500"]


def test_epochs_are_counted_from_one_in_the_details() -> None:
    table = tables.detail_table(the_group(a_record()))
    assert dict(zip(table.headings, table.rows[0].cells, strict=True))["best epoch"] == "5"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.0, "0"),
        (12345, "12,345"),
        (12345.6, "12,346"),
        (99.994, "99.99"),
        (1.0, "1.00"),
        (0.4567, "0.457"),
        (0.00123, "0.00123"),
        (1.234e-5, "1.2e−5"),
        (1e-12, "1.0e−12"),
        (-0.5, "−0.500"),
        (None, "–"),
        ("odd", "odd"),
    ],
)
def test_numbers_as_they_are_read(value: Any, shown: str) -> None:
    assert show(value) == shown


def test_markdown_is_a_table_whatever_is_in_it() -> None:
    table = tables.Table("a | b", ["", "<c>"], [tables.Row("mean", ["x|y", ""])])
    assert table.markdown().splitlines()[2:] == ["|  | &lt;c> |", "|---|--:|", r"| **x\|y** |  |"]


def test_all_that_lies_about_is_told(tmp_path: Path) -> None:
    save(tmp_path / "good" / "record.json", a_record())
    save(tmp_path / "again" / "record.json", a_record())
    save(tmp_path / "unfinished" / "config.json", {})
    (tmp_path / "unfinished" / "metrics.csv").write_text("epoch,val/loss\n0,1\n1,1\n")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "record.json").write_text('{"seed": 0, "fin')
    (tmp_path / "nan").mkdir()
    (tmp_path / "nan" / "record.json").write_text(json.dumps(a_record(relator_loss=float("nan"))))
    (tmp_path / "bytes").mkdir()
    (tmp_path / "bytes" / "record.json").write_bytes(b"\xff\x00")
    save(tmp_path / "list" / "record.json", [1])
    save(tmp_path / "other" / "record.json", {**a_record(), "experiment": "speed"})
    save(tmp_path / "short" / "record.json", {"experiment": "tmnist"})
    save(tmp_path / "sweep-01234567.json", {"experiment": "tmnist", "cells": []})
    save(tmp_path / "curve" / "record.json", {**a_record(), "curve": [{"epoch": "one"}]})
    (tmp_path / "photographs").mkdir()
    save(tmp_path / "group" / "inner" / "record.json", a_record(seed=1))
    save(tmp_path / "file.json", a_record(seed=2))
    (tmp_path / ".hidden").mkdir()
    runs, left_out = read_runs([tmp_path])
    assert sorted(run.seed for run in runs) == [0, 1, 2]
    reasons = {each.path.name: each.reason for each in left_out}
    assert reasons.pop("good").startswith("the same configuration and seed as")
    assert reasons.pop("unfinished") == "not finished: 2 epochs so far"
    assert reasons.pop("cut").startswith("damaged: record.json cannot be read (")
    assert reasons.pop("nan") == "damaged: record.json cannot be read (NaN is no number)"
    assert reasons.pop("bytes").startswith("damaged: record.json cannot be read (")
    assert reasons.pop("list") == "no record of a run: a list, not a mapping"
    assert reasons.pop("other") == f"no record of a run: experiment 'speed' is none of {', '.join(EXPERIMENTS)}"
    assert reasons.pop("short").endswith("method, group, seed, config, final, seconds missing or of the wrong kind")
    assert reasons.pop("curve") == "no record of a run: curve is not a list of rows of numbers"
    assert reasons.pop("sweep-01234567.json").startswith("no record of a run: the summary of a sweep")
    assert reasons.pop("photographs") == "holds no run"
    assert not reasons


def test_the_same_folder_named_twice_counts_once(tmp_path: Path) -> None:
    save(tmp_path / "good" / "record.json", a_record())
    runs, left_out = read_runs([tmp_path, tmp_path / "good"])
    assert (len(runs), left_out) == (1, [])


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EquilatentError, match=r"nowhere is not there. Name a folder of runs"):
        read_runs([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    "final",
    [
        {},
        {"multiplicities_complex": {"trivial": "much"}, "multiplicities_real": {}},
        {"multiplicities_complex": [1, 2], "multiplicities_real": 3},
        {"eigenvalue_counts": "odd", "copies_of_regular": None},
        {"multiplicities_complex": {"torus": 1.0}, "multiplicities_real": {"other": 1.0}},
    ],
)
def test_odd_numbers_never_break_a_table(final: dict[str, Any]) -> None:
    for name in EXPERIMENTS:
        record = {**a_record(name), "final": final, "group": "torus", "commit": None, "machine": None, "versions": []}
        block = tables.experiment_block([the_group(record)])
        assert "not a checkout" in block and "seed 0" in block


def test_slim_keeps_every_number() -> None:
    record = a_record()
    kept = tables.slim(record)
    assert {**kept, "curve": None} == {**record, "curve": None}
    assert [row["epoch"] for row in kept["curve"]] == [0, 5, 6]
    assert tables.slim({"seed": 0}) == {"seed": 0, "curve": []}
    assert tables.experiment_block([the_group(kept)]) == tables.experiment_block([the_group(record)])


def test_the_page_is_written_from_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, records = tmp_path / "page.md", tmp_path / "records"
    page.write_text(
        "above\n<!-- begin tmnist -->\n<!-- end tmnist -->\nbetween\n<!-- begin mnist -->\n<!-- end mnist -->\n"
    )
    for seed in range(2):
        save(tmp_path / "runs" / f"run{seed}" / "record.json", a_record(seed=seed))
    save(tmp_path / "runs" / "cut" / "config.json", {})
    arguments = [str(tmp_path / "runs"), "--records", str(records), "--pages", str(page)]
    assert tables._main(arguments) == 0
    assert sorted(path.name for path in records.iterdir()) == ["run0.json", "run1.json"]
    assert "cut: not finished: 0 epochs so far" in capsys.readouterr().err
    text = page.read_text("utf-8")
    shown = blocks(text)
    assert shown["tmnist"] == tables.experiment_block(group_runs(read_runs([records])[0]))
    assert "mean of 2" in shown["tmnist"] and shown["mnist"] == "*No runs on record.*"
    assert text.startswith("above\n") and "\nbetween\n" in text
    assert tables._main(arguments[1:]) == 0
    assert page.read_text("utf-8") == text
    save(records / "other.json", a_record("cifar10"))
    assert tables._main(arguments[1:]) == 2
    assert "there are records of 'cifar10' and no page has a place for them." in capsys.readouterr().err
    assert page.read_text("utf-8") == text


def test_a_place_that_is_there_twice_is_refused() -> None:
    place = "<!-- begin a -->\n<!-- end a -->\n"
    with pytest.raises(BlockError, match="has 2 places for 'a'"):
        replace_blocks(place * 2, {"a": "x"})


def test_each_experiment_may_have_a_page_of_its_own(tmp_path: Path) -> None:
    records, pages = tmp_path / "records", [tmp_path / "one.md", tmp_path / "two.md"]
    for name, page in zip(("tmnist", "cifar10"), pages, strict=True):
        page.write_text(f"<!-- begin {name} -->\n<!-- end {name} -->\n<!-- begin other -->\nkept\n<!-- end other -->\n")
    save(records / "a.json", a_record("tmnist"))
    save(records / "b.json", a_record("cifar10"))
    assert tables.write_pages(pages, records) == []
    one, two = (blocks(page.read_text("utf-8")) for page in pages)
    assert "Autoencoder of digits" in one["tmnist"] and "Classifier of CIFAR10" in two["cifar10"]
    assert one["other"] == two["other"] == "kept"


def test_the_documentation_shows_the_records(tmp_path: Path) -> None:
    pages = [ROOT / page for page in tables.PAGES]
    rewritten = [tmp_path / page.name for page in pages]
    for page, copied in zip(pages, rewritten, strict=True):
        copied.write_text(page.read_text("utf-8"), "utf-8")
    left_out: list[LeftOut] = tables.write_pages(rewritten, ROOT / "results" / "experiments")
    assert left_out == []
    assert {name for page in pages for name in blocks(page.read_text("utf-8"))} == set(EXPERIMENTS)
    for page, copied in zip(pages, rewritten, strict=True):
        assert page.read_text("utf-8") == copied.read_text("utf-8"), "run python -m equilatent.bench.tables"
    for drawing in (tmp_path / "images").glob("*.svg"):
        assert (ROOT / "docs" / "images" / drawing.name).is_file(), "run python -m equilatent.bench.tables"


def test_runs_are_left_as_they_are() -> None:
    record = a_record()
    before = copy.deepcopy(record)
    tables.experiment_block([the_group(record)])
    tables.slim(record)
    assert record == before


def test_the_deviation_is_that_of_a_sample() -> None:
    values = [5.017, 6.471, 5.004, 4.960, 5.021]
    assert spread(values) == f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"


def test_methods_and_groups_are_told_in_words() -> None:
    assert the_group(a_record()).description.startswith(
        "learned: representation learned with the network. C2: exchanges"
    )
    assert the_group({**a_record(), "method": "new", "group": "torus"}).description == ""
