"""The page and the printed tables: what stands where, what is asked for, and what damaged files do to them."""

import html.parser
import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.harness.task import Drawing, Task
from equilatent.bench.results import figures, page
from equilatent.bench.results.frame import load
from equilatent.bench.tasks.learned._figures import learned_figures
from equilatent.cli import main

Make = Callable[..., Any]


class _Reader(html.parser.HTMLParser):
    """Reads tables off a page, and everything by which it could ask for something."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.rows: list[list[str]] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._in_cell = True
            self.rows[-1].append("")
        self.targets += [
            v or "" for name, v in attrs if name in ("src", "href", "xlink:href", "data", "action", "srcset")
        ]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


def read_html(text: str) -> _Reader:
    reader = _Reader()
    reader.feed(text)
    return reader


@pytest.fixture
def frame(record: Make, read: Make) -> pd.DataFrame:
    final = {"error": 0.5, "errors": {"e": 0.0, "r": 0.5}, "degrees": {"a": 1.0}}
    ours = [record(seed=seed, final={"accuracy": 0.7 + seed / 10, **final}) for seed in range(3)]
    theirs = [record(seed=seed, method="cnn", final={"accuracy": 0.5 + seed / 9}) for seed in range(3)]
    old = {**record(final={"accuracy": 0.1}), "protocol": 1}
    counts = record("counts", final={"counts": {"1": 3}})
    counts["data"]["stand_in"] = "half of <it>"
    return read(*ours, *theirs, record(limit=100, final={"accuracy": 0.3}), old, counts)


def test_each_part_opens_with_its_verdict_then_the_table(frame: pd.DataFrame, tasks: dict[str, Task]) -> None:
    blocks = list(page.blocks_of(frame[frame["task"] == "toy"], tasks["toy"]))
    headings = [block.content for block in blocks if block.kind == "heading"]
    assert headings == ["The whole budget", "Limit = 100", "The whole budget, protocol 1, superseded by 2"]
    for number, block in enumerate(blocks):
        if block.kind == "heading":
            assert [b.kind for b in blocks[number + 1 : number + 3]] == ["verdict", "table"]
    titles = [block.title for block in blocks if block.kind == "table"]
    assert titles[:6] == [
        "Accuracy, mean ± deviation (number of seeds), beside the paper's mean (deviation)",
        "Controls that are still to be run",
        "C4: all configurations, mean ± deviation",
        "Degree of each layer",
        "What follows from the configuration",
        "How the numbers were made",
    ]
    assert titles.count("Controls that are still to be run") == 2, "nobody is asked to run the superseded protocol"
    assert [b.content.name for b in blocks if b.kind == "drawing"] == [
        *("toy-parameters", "toy-seconds", "toy-errors-C4", "toy-limit-100-parameters", "toy-limit-100-seconds"),
        *("toy-protocol-1-parameters", "toy-protocol-1-seconds"),
    ]


def test_runs_of_one_protocol_and_budget_only_are_in_a_table(frame: pd.DataFrame, tasks: dict[str, Task]) -> None:
    blocks = page.blocks_of(frame[frame["task"] == "toy"], tasks["toy"])
    tables = [block.content for block in blocks if block.title.startswith("Accuracy")]
    assert [table.loc["ours", "C4"] for table in tables] == ["0.800 ± 0.100 (3)", "0.300 (1)", "0.100 (1)"]


def test_the_page_has_every_table_and_asks_for_nothing(frame: pd.DataFrame, tasks: dict[str, Task]) -> None:
    frame.attrs["left_out"] = {"<b>damaged": "of <no> use"}
    text = page.as_page(frame, tasks)
    reader = read_html(text)
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in reader.targets)
    assert not re.findall(r"url\((?!#)|@import|<script", text)
    rows = [[cell.strip() for cell in row] for row in reader.rows]
    for name, runs in frame.groupby("task", sort=False):
        for block in page.blocks_of(runs, tasks[name]):
            if block.kind == "table":
                for row, cells in block.content.iterrows():
                    assert [each.replace("`", "") for each in (row, *cells)] in rows
    assert "half of &lt;it&gt;" in text and "<dt>&lt;b&gt;damaged</dt><dd>of &lt;no&gt; use</dd>" in text
    assert text.index('class="verdict"') < text.index("<table")
    assert "9 finished runs; 1 more entry is" in text
    assert ".." not in re.sub(r"<svg.*?</svg>|--seed \S+|<style>.*?</style>", "", text, flags=re.DOTALL)


def test_figures_follow_the_scheme_of_colours(frame: pd.DataFrame, tasks: dict[str, Task]) -> None:
    text = page.as_page(frame, tasks)
    assert "@media (prefers-color-scheme: dark)" in text
    svgs = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(svgs) > 5
    for svg in svgs:
        assert "currentColor" in svg and figures._INK not in svg
        # As wide as a telephone, with room at its sides, so that nothing in it is made smaller.
        assert float(ET.fromstring(svg).get("width", "").removesuffix("pt")) / 0.75 < 358


def test_markdown_is_a_table_whatever_is_in_it() -> None:
    table = pd.DataFrame({"<c>": ["x|y", ""]}, index=pd.Index(["a | b", "second"], name="row"))
    text = page.as_markdown([page.Block("table", table, "a | title")])
    assert text.splitlines() == [
        r"**a \| title**",
        "",
        "| row | &lt;c> |",
        "|:---|---:|",
        r"| a \| b | x\|y |",
        "| second | |",
    ]


def test_a_run_of_one_epoch_has_no_curves(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    short = record(final={"accuracy": 0.5})
    short["curve"] = short["curve"][:1]
    frame = read(short)
    assert figures.curves(frame, tasks["toy"]) is None
    assert list(page.portraits_of(frame, tasks["toy"], {})) == []
    assert "Learning" not in page.as_page(frame, tasks)


def test_epochs_are_whole_numbers(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    drawing = figures.curves(read(record(), record(seed=1)), tasks["toy"])
    assert drawing is not None and len(drawing.panels) == 1
    (svg,) = figures.as_svgs(drawing)
    (axis,) = (element for element in ET.fromstring(svg).iter() if element.get("id") == "matplotlib.axis_1")
    shown = [element.text for element in axis.iter()]
    assert [text for text in shown if text and text.strip()] == ["1", "2", "3", "epoch"]


def test_curves_are_those_on_record(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    from matplotlib.figure import Figure

    drawing = figures.curves(read(record(), record(seed=1)), tasks["toy"])
    assert drawing is not None
    axis = Figure().add_subplot()
    drawing.panels[0](axis)
    assert [line.get_xydata().tolist() for line in axis.lines[:2]] == [
        [[1, 1], [2, 0.5], [3, pytest.approx(1 / 3)]],
        [[2, 0.5]],  # the epoch that was kept
    ]


def test_a_product_of_groups_is_a_square(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    errors = {"e": 0.0, "r_2": 0.1, "r_1": 0.2, "r_1 r_2": 0.3, "r_1^2": 0.4, "r_1^2 r_2": 0.5}
    means = figures._as_table(list(errors), np.array(list(errors.values())))
    assert means.index.tolist() == ["e", "r", "r²"] and means.columns.tolist() == ["e", "r"]
    assert means.to_numpy().tolist() == [[0.0, 0.1], [0.2, 0.3], [0.4, 0.5]]
    assert figures._as_table(["e", "r", "r2"], np.arange(3.0)).shape == (1, 3)
    (drawing,) = figures.by_element(read(*(record(seed=s, final={"errors": errors}) for s in (0, 1))), tasks["toy"])
    assert len(drawing.panels) == 1 and drawing.title == "Error of each element, C4"


def test_a_drawing_is_the_same_whenever_it_is_made(frame: pd.DataFrame, tasks: dict[str, Task]) -> None:
    drawings = figures.scatters(frame[frame["task"] == "toy"], tasks["toy"])
    assert len(drawings) == 2
    for drawing in drawings:
        assert figures.as_svgs(drawing) == figures.as_svgs(drawing)
        assert figures.on_one_sheet(drawing) == figures.on_one_sheet(drawing)


def with_arrays(record: Make, tmp_path: Path, content: bytes | dict[str, Any]) -> Path:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(record("counts", final={"counts": {"1": 3}})), "utf-8")
    if isinstance(content, bytes):
        (folder / "figures.npz").write_bytes(content)
    else:
        np.savez(folder / "figures.npz", **content)
    return folder


def test_a_task_draws_its_own_figures_from_the_arrays_of_each_seed(
    record: Make, tasks: dict[str, Task], tmp_path: Path
) -> None:
    seen = {}

    def draw(arrays: Any, runs: pd.DataFrame) -> list[Drawing]:
        seen.update({seed: found["values"].tolist() for seed, found in arrays.items()})
        return [Drawing("own", f"Own, {runs['group'].iloc[0]}", "Of the task.", [lambda axis: axis.plot([0, 1])])]

    folder = with_arrays(record, tmp_path, {"values": np.arange(3.0), "odd": np.array([np.nan])})
    own = {"counts": replace(tasks["counts"], figures=draw)}
    text = page.as_page(load([folder], own), own)
    assert seen == {0: [0.0, 1.0, 2.0]} and "Own, C4" in text


@pytest.mark.parametrize(
    "content", [b"", b"no archive", b"PK\x03\x04 cut off", {"values": np.array([{}], dtype=object)}]
)
def test_damaged_arrays_are_told_and_never_unpickled(
    record: Make, tasks: dict[str, Task], tmp_path: Path, content: Any
) -> None:
    text = page.as_page(load([with_arrays(record, tmp_path, content)], tasks), tasks)
    assert re.search(r"figures.npz</dt><dd>damaged: cannot be read", text) and "<td>seed 0</td>" in text


@pytest.fixture
def learned() -> pd.DataFrame:
    return pd.DataFrame({"group": ["C4"], "seed": [0], "best_epoch": pd.Series([1], dtype="Int64")})


def test_the_figures_of_a_learned_representation(learned: pd.DataFrame) -> None:
    from matplotlib.figure import Figure

    turning = np.exp(2j * np.pi * np.arange(4) / 4) * np.linspace(0.5, 1, 3)[:, None]
    arrays = {
        "eigenvalues_r": np.stack([turning.real, turning.imag], axis=-1),
        "images": np.zeros((2, 1, 8, 8)),
        "decoded": np.zeros((2, 4, 1, 8, 8)),
        "latents": np.ones((5, 2, 6)),
        "samples": np.zeros((2, 10, 8, 8)),
    }
    both = pd.concat([learned, learned.assign(seed=1)])
    drawings = {drawing.name: drawing for drawing in learned_figures({0: arrays, 1: arrays}, both)}
    assert {name: len(drawing.panels) for name, drawing in drawings.items()} == {
        "eigenvalues": 3,
        "kept": 2,
        "decoded": 5,
        "latents": 4,
        "samples": 2,
    }
    axis = Figure().add_subplot()
    drawings["kept"].panels[0](axis)
    _, roots, values = (line.get_xydata() for line in axis.lines)
    assert len(roots) == 4 and np.allclose(np.hypot(*values.T), 0.75), "of the epoch that was kept"
    for drawing in drawings.values():
        assert all(svg.startswith("<svg") for svg in figures.as_svgs(drawing))


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"eigenvalues_r": np.zeros((0, 3, 2))},
        {"eigenvalues_r": np.zeros((2, 3))},
        {"decoded": np.zeros((2, 3, 4))},
        {"decoded": np.zeros((2, 6, 1, 8, 8)), "images": np.zeros((3, 1, 8, 8))},
        {"latents": np.zeros((0, 2, 5)), "samples": np.zeros((2, 2))},
    ],
)
def test_arrays_of_another_shape_are_left_out(learned: pd.DataFrame, arrays: dict[str, np.ndarray]) -> None:
    assert learned_figures({0: arrays}, learned) == []
    assert learned_figures({}, learned) == []


ARCHIVE = Path(__file__).parents[3] / "results" / "experiments"
SOME = sorted(map(str, ARCHIVE.glob("tmnist-learned-C2-seed*-106d57f3.json")))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "page.html"
    (tmp_path / "photographs").mkdir()
    assert main(["report", *SOME, str(tmp_path / "photographs"), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "| paper, mean of 5 | 21.40 ± 0.55 | 20.60 ± 0.55 | – | – |" in printed
    assert f"- {tmp_path / 'photographs'}: holds no run" in printed
    assert f"The page: {out.resolve()}" in printed and "3 finished runs; 1 more entry is" in out.read_text("utf-8")
    before = out.read_bytes()
    assert main(["report", str(tmp_path / "nowhere"), "--out", str(out)]) == 2
    assert main(["report", str(tmp_path / "photographs"), "--out", str(out)]) == 2
    errors = capsys.readouterr().err
    assert "nowhere is not there. Name a folder of runs" in errors
    assert "there is no finished run in" in errors and "photographs: holds no run" in errors
    assert ".." not in errors
    assert out.read_bytes() == before


def test_a_terminal_that_knows_ascii_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, printed = tmp_path / "page.html", io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii"))  # as PYTHONIOENCODING=ascii has it
    assert main(["report", SOME[0], "--out", str(out)]) == 0
    sys.stdout.flush()
    assert b"C2: all configurations, mean ? deviation" in printed.getvalue()
    assert "mean ± deviation" in out.read_text("utf-8")


def test_a_run_of_the_harness_is_read_with_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from equilatent.bench.catalogue import CATALOGUE
    from equilatent.bench.data import TypefaceData
    from equilatent.bench.harness.run import run
    from equilatent.bench.tasks.learned import _tmnist

    glyphs = torch.randint(256, (2, 10, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    monkeypatch.setattr(_tmnist, "tmnist", lambda _: TypefaceData(glyphs, ("one", "other"), {"source": "noise"}))
    monkeypatch.setattr(_tmnist, "_EVALUATION_VIEWS", 20)
    task = CATALOGUE["tmnist"]
    for method in ("learned", "control"):
        config = task.config(
            method=method, out=tmp_path / "runs", features=6, epochs=2, limit=20, batch=10, device="cpu"
        )
        written = run(task, config, 0, progress=False)
    frame = load([tmp_path / "runs"], CATALOGUE)
    assert frame["system"].tolist() == ["learned", "control"] and frame.attrs["left_out"] == {}
    assert frame["relator_loss"].iloc[1] == written["final"]["relator_loss"]
    assert frame["selected.loss"].iloc[1] == written["selected"]["loss"]
    portraits = [block.content for block in page.portraits_of(frame, task, {}) if block.kind == "drawing"]
    assert [drawing.title for drawing in portraits] == [
        *("Learning", "Eigenvalues during training", "Decoded", "Latents", "Samples"),
        *("Learning", "Eigenvalues during training", "Samples"),
    ]
    said = next(block.content for block in page.blocks_of(frame, task) if block.kind == "verdict")
    assert said.endswith("1 seed each).") and "too few seeds to tell it from the algebra loss alone" in said


def test_the_paper_has_numbers_of_its_own_for_each_data_set(record: Make, tmp_path: Path) -> None:
    task = CATALOGUE["medmnist3d"]
    chosen: list[dict[str, Any]] = [
        {"dataset": "organ"},
        {"dataset": "organ", "epochs": 3},
        {"dataset": "nodule", "method": "cnn"},
        {"dataset": "adrenal"},
    ]
    for number, fields in enumerate(chosen):
        config = task.config(**fields).resolved()
        final = {"test_auc": 0.75, "test_accuracy": 0.5, "parameters": 1}
        kept = {"config": config.identity, "final": final, "method": config.method, "protocol": 1}
        content = {**record(), **kept, "experiment": "medmnist3d", "group": "S4"}
        (tmp_path / f"{number}.json").write_text(json.dumps(content), "utf-8")
    runs = load([tmp_path], {"medmnist3d": task})
    assert runs.attrs["left_out"] == {}
    found = {}
    for budget, part in runs.groupby("budget"):
        blocks = page.blocks_of(part, task)
        tables = {block.title: block.content for block in blocks if block.kind == "table"}
        found[budget] = {
            title.split(",")[0]: table.loc["ours" if budget != "dataset = nodule" else "cnn"].to_dict()
            for title, table in tables.items()
            if title.startswith("Test")
        }
    assert found == {
        "dataset = organ": {
            "Test AUC": {"S4": "0.750 (1)"},
            "Test accuracy": {"S4": "0.500 (1)", "S4, paper": "0.642 (0.056)", "S4xC2": "–", "S4xC2, paper": "–"},
        },
        "dataset = organ, epochs = 3": {"Test AUC": {"S4": "0.750 (1)"}},
        "dataset = nodule": {
            "Test AUC": {"S4": "0.750 (1)"},
            "Test accuracy": {"S4": "0.500 (1)", "S4, paper": "0.879 (0.007)", "S4xC2": "–", "S4xC2, paper": "–"},
        },
        "dataset = adrenal": {"Test AUC": {"S4": "0.750 (1)"}},
    }
