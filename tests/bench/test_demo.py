"""The demo, end to end and tiny, through the command line."""

import html.parser
import json
import re
from pathlib import Path

import pytest
import torch

from equilatent.bench import demo, demo_report
from equilatent.bench.digits import Digits, load_digits, make_pairs, split_digits
from equilatent.bench.harness.record import write_text
from equilatent.cli import main

TINY = ["--epochs", "1", "--pairs", "60", "--batch", "30", "--features", "64", "--seed", "0,1", "--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    assert main(["demo", *TINY, "--out", str(out)]) == 0
    return out


class _Links(html.parser.HTMLParser):
    """Collects everything by which a page could ask for something."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.cells: list[str] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_cell = tag in ("td", "th")
        self.targets += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data", "action")
        ]

    def handle_data(self, data: str) -> None:
        if self._in_cell and data.strip():
            self.cells.append(data.strip())


def test_page_is_self_contained_and_holds_the_numbers_of_the_records(folder: Path) -> None:
    text = (folder / "report.html").read_text("utf-8")
    page = _Links()
    page.feed(text)
    assert all(target.startswith(("#", "data:")) for target in page.targets)
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)
    assert text.count("<svg") == 4
    records = json.loads((folder / "records.json").read_text("utf-8"))
    for method, name in demo.METHODS.items():
        mean = sum(r["final"]["test_accuracy"] for r in records if r["method"] == method) / 2
        row = page.cells[page.cells.index(name) :]
        assert row[1].startswith(f"{mean:.3f} ± ")


def test_records_have_the_keys_of_every_record(folder: Path) -> None:
    records = json.loads((folder / "records.json").read_text("utf-8"))
    assert [(r["seed"], r["method"]) for r in records] == [(s, m) for s in (0, 1) for m in demo.METHODS]
    for record in records:
        assert {
            "experiment",
            "method",
            "group",
            "seed",
            "config",
            "commit",
            "versions",
            "machine",
            "final",
            "seconds",
        } <= set(record)
        assert record["config"]["epochs"] == 1
        assert record["final"]["parameters"] > 0


def test_same_seed_gives_the_same_numbers(folder: Path, tmp_path: Path) -> None:
    assert main(["demo", *TINY, "--seed", "1", "--out", str(tmp_path)]) == 0
    again = {r["method"]: r["final"] for r in json.loads((tmp_path / "records.json").read_text("utf-8"))}
    first = json.loads((folder / "records.json").read_text("utf-8"))
    assert again == {r["method"]: r["final"] for r in first if r["seed"] == 1}


@pytest.mark.parametrize("group", ["C4", "D1"])
def test_other_groups_and_one_seed(group: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *TINY, "--seed", "0", "--group", group, "--out", str(tmp_path)]) == 0
    assert "one seed: no spread" in capsys.readouterr().out
    assert f"{group}×{group}" in (tmp_path / "report.html").read_text("utf-8")


def test_the_latent_term_lowers_the_latent_error() -> None:
    config = demo.DemoConfig(epochs=3, pairs=400, features=128, strength=1.0, group="D1")
    group, action = demo.pair_action("D1")
    data = demo.make_data(load_digits(), config, action, torch.device("cpu"))
    ours = demo.train("ours", 0, config, data, group, action)
    augmented = demo.train("augmented", 0, config, data, group, action)
    assert ours.final["latent_error"] < 0.7 * augmented.final["latent_error"]
    assert ours.final["parameters"] == augmented.final["parameters"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "one"], "names no seeds"),
        (["--seed", "3..1"], "names no seeds"),
        (["--seed", "0..2,1"], "names seed 1 more than once"),
        (["--epochs", "0"], "--epochs 0 should be at least 1"),
        (["--features", "10"], "cannot hold one regular representation of 64"),
        (["--batch", "0", "--pairs", "0"], "--pairs 0 should be at least 2"),
        (["--pairs", "61", "--batch", "30"], "leave a batch of one pair"),
        (["--device", "abacus"], "cannot be used here"),
    ],
)
def test_bad_settings_are_refused_before_anything_runs(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path / "new"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_told_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(demo, "train", lambda *_: pytest.fail("it trained first"))
    assert main(["demo", *TINY, "--out", str(tmp_path / "file" / "demo")]) == 1
    assert "Earlier results are as they were" in capsys.readouterr().err


def test_interrupting_leaves_earlier_results_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "report.html").read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "train", interrupted)
    assert main(["demo", *TINY, "--out", str(folder)]) == 130
    assert "stopped" in capsys.readouterr().err
    assert (folder / "report.html").read_bytes() == before


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    write_text(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text("utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_splits_share_no_digit_and_keep_the_classes_balanced() -> None:
    digits = load_digits()
    marked = Digits(torch.arange(len(digits.labels)).view(-1, 1, 1, 1), digits.labels, digits.source)
    parts = split_digits(marked)
    numbers = torch.cat([part.images.flatten() for part in parts])
    assert sorted(numbers.tolist()) == list(range(len(digits.labels)))
    for part in parts:
        counts = part.labels.bincount(minlength=10)
        assert counts.max() - counts.min() <= 3


def test_pairs_hold_both_digits_and_their_class() -> None:
    digits = Digits(torch.arange(10.0).view(10, 1, 1, 1).expand(10, 1, 14, 14), torch.arange(10), "numbers")
    pairs = make_pairs(digits, 50, None, seed=3)
    left, right = pairs.images[:, 0, 0, 0].long(), pairs.images[:, 0, 0, -1].long()
    assert torch.equal(pairs.labels, 10 * left + right)


def test_verdict_tells_a_difference_from_the_spread_of_the_seeds() -> None:
    def run(method: demo.Method, seed: int, value: float) -> demo.DemoRun:
        made = demo.DemoRun(method, seed, torch.nn.Identity())
        made.final = {"latent_error": value, "consistency": 0.5 + seed / 10, "test_accuracy": 0.5 + value * seed}
        return made

    runs = [
        run(m, s, v + 0.001 * s * (m == "ours"))
        for m, v in (("plain", 3), ("augmented", 2), ("ours", 1))
        for s in (0, 1)
    ]
    error, consistency, accuracy = demo_report.verdict(runs)
    assert "times the spread" in error
    assert "-1" in error
    assert "no difference is shown" in consistency
    assert "no difference is shown" in accuracy
