"""The report, of runs that were really carried out, tiny, and as a browser shows it."""

import dataclasses
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch

from equilatent.bench import _report_figures as drawn
from equilatent.bench.data import ImageData, TypefaceData
from equilatent.bench.experiments import EXPERIMENTS, cifar10, mnist, tmnist
from equilatent.bench.report import Report, make_report
from equilatent.bench.run import run
from equilatent.cli import main
from equilatent.errors import EquilatentError

RUNS = (("tmnist", "C2", (0, 1)), ("mnist", "D3", (0, 1)), ("mnist", "A4", (0,)), ("cifar10", "C4", (0,)))


def random_images(channels: int, size: int) -> ImageData:
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(256, (44, channels, size, size), generator=draw, dtype=torch.uint8)
    y = torch.randint(10, (44,), generator=draw)
    return ImageData("noise", 10, x[:32], y[:32], x[32:], y[32:], provenance={"source": "noise", "stand_in": "<noise>"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs of two epochs on noise, and beside them what is cut off, damaged and foreign."""
    out = tmp_path_factory.mktemp("runs")
    glyphs = random_images(1, 28).train_x[:20].view(2, 10, 28, 28)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tmnist, "tmnist", lambda _: TypefaceData(glyphs, ("one", "other"), {"source": "noise"}))
        patch.setattr(tmnist, "_EVALUATION_VIEWS", 20)
        patch.setattr(mnist, "mnist", lambda _: random_images(1, 28))
        patch.setattr(cifar10, "cifar10", lambda _: random_images(3, 32))
        for name, group, seeds in RUNS:
            experiment = EXPERIMENTS[name]
            config = experiment.config(group=group, out=out, epochs=2, limit=30, batch=15, device="cpu")
            for seed in seeds:
                run(experiment, config, seed, progress=False)
    (out / "photographs").mkdir()
    (out / "cut").mkdir()
    (out / "cut" / "config.json").write_text("{}")
    (out / "<b>damaged").mkdir()
    (out / "<b>damaged" / "record.json").write_text("{")
    return out


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    make_report([folder]).write(out)
    return out


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


def read(text: str) -> _Reader:
    reader = _Reader()
    reader.feed(text)
    return reader


def assert_asks_for_nothing(text: str) -> None:
    assert all(target.startswith(("#", "data:")) for target in read(text).targets)
    assert not re.findall(r"url\((?!#)", text)
    assert not re.findall(r"@import|fetch\(|XMLHttpRequest|import\(|WebSocket", text)


def test_the_page_has_every_table_and_asks_for_nothing(folder: Path, page: Path) -> None:
    text = page.read_text("utf-8")
    assert_asks_for_nothing(text)
    rows = read(text).rows
    for group in make_report([folder]).groups:
        for each in group.runs:
            counts = each.record["final"]["multiplicities_complex"]
            expected = [f"{value:.2f}" for value in counts.values() if value >= 1]
            assert any(row[0] == f"seed {each.seed}" and set(expected) <= set(row) for row in rows)
    assert [row[0] for row in rows].count("paper, mean of 5") == 3
    assert "STAND-IN: &lt;noise&gt;" in text and "<noise>" not in text
    assert "&lt;b&gt;damaged" in text and "<b>" not in text


def test_what_is_left_out_is_listed(folder: Path, page: Path) -> None:
    text = page.read_text("utf-8")
    for name, reason in (("photographs", "holds no run"), ("cut", "not finished: 0 epochs so far")):
        assert re.search(rf"<dt>{name}</dt><dd>{reason}</dd>", text)
    assert "6 finished runs; 3 more entries are" in text


def test_each_group_of_runs_has_its_figures(page: Path) -> None:
    sections = page.read_text("utf-8").split("<section>")[1:]
    titles = [[re.sub(r"<.*?>", "", title) for title in re.findall(r"<h4>(.*?)</h4>", text)] for text in sections]
    common = ["Learning", "Eigenvalues during training"]
    kept = "Eigenvalues that were kept"
    last = "How it was made"
    assert [[t for t in section if t in {*common, kept, "Decoded", "Latents", "Samples"}] for section in titles] == [
        [*common, kept, "Decoded", "Latents", "Samples"],
        [*common, kept, "Decoded"],
        [*common, "Decoded"],
        common,
    ]
    assert all(section[-1] == last for section in titles)
    assert [text.count('class="animation"') for text in sections] == [1, 1, 1, 1]


def test_animations_are_files_of_their_own(page: Path) -> None:
    files = sorted(page.parent.glob("report-*.svg"))
    assert len(files) == 4
    for file in files:
        root = ET.parse(file).getroot()
        dots = root.findall(".//{*}circle[@cx]")
        assert (
            len(dots)
            == {"tmnist": 42, "mnist-learned-D3": 60, "mnist-learned-A4": 72, "cifar10": 64}[
                next(
                    name for name in ("tmnist", "mnist-learned-D3", "mnist-learned-A4", "cifar10") if name in file.name
                )
            ]
        )
        assert all(len(dot.findall("{*}animate")) == 2 for dot in dots)


def test_an_animation_shows_each_eigenvalue_where_it_is() -> None:
    draw = np.random.default_rng(0)
    values = np.exp(2j * np.pi * draw.random((5, 7))) * draw.uniform(0.5, 1, (5, 7))
    root = ET.fromstring(drawn.animation({"r": values}, {"r": 3}, 'a "<name>"'))
    dots = root.findall(".//{*}circle[@cx]")
    moves = np.array(
        [[list(map(int, a.get("values", "").split(";"))) for a in dot.findall("{*}animate")] for dot in dots]
    )
    circle = next(c for c in root.iter("{http://www.w3.org/2000/svg}circle") if c.get("cx") is None)
    places = (moves[:, 0] - 1j * moves[:, 1]) / float(circle.get("r", ""))
    for epoch in range(5):
        assert np.allclose(
            np.sort_complex(places[:, epoch].round(1)), np.sort_complex(values[epoch].round(1)), atol=0.11
        )
    assert np.array_equal(places[:, 4], places[:, -1]), "it rests at the end"
    assert len(root.findall(".//{*}path")) == 3, "a cross for each root of unity"


def test_eigenvalues_are_followed_from_epoch_to_epoch() -> None:
    roots = np.exp(2j * np.pi * np.arange(5) / 5)
    shuffled = np.stack([roots * (1 + 0.05 * epoch) for epoch in range(4)])
    for epoch in range(1, 4):
        shuffled[epoch] = np.random.default_rng(epoch).permutation(shuffled[epoch])
    followed = drawn._tracked(shuffled)
    assert np.allclose(np.angle(followed), np.angle(followed[0]))


def without_curve(folder: Path, tmp_path: Path) -> Path:
    """A run's folder with nothing but its record, from which no figure is drawn."""
    source = next(folder.glob("tmnist-*-seed0-*"))
    record = json.loads((source / "record.json").read_text("utf-8"))
    target = tmp_path / source.name
    target.mkdir()
    (target / "record.json").write_text(json.dumps({**record, "curve": []}), "utf-8")
    return target


@pytest.mark.parametrize(
    "arrays",
    [
        {"eigenvalues_r": np.zeros((0, 3, 2))},
        {"eigenvalues_r": np.zeros((2, 3))},
        {"decoded": np.zeros((2, 3, 4))},
        {"decoded": np.zeros((2, 6, 1, 8, 8)), "images": np.zeros((3, 1, 8, 8))},
        {"latents": np.zeros((0, 2, 5)), "samples": np.zeros((2, 2))},
        {"decoded": np.full((2, 4, 8, 8), np.nan)},
    ],
)
def test_odd_arrays_are_left_out_of_the_figures(folder: Path, tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    target = without_curve(folder, tmp_path)
    np.savez(target / "figures.npz", **arrays)
    text = written(make_report([target]), tmp_path)
    assert "<td>seed 0</td>" in text and "<figure" not in text


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_damaged_arrays_are_told(folder: Path, tmp_path: Path, content: bytes) -> None:
    target = without_curve(folder, tmp_path)
    (target / "figures.npz").write_bytes(content)
    text = written(make_report([target]), tmp_path)
    assert "<dt>figures.npz</dt><dd>damaged: cannot be read" in text
    assert "seed 0" in text


def test_arrays_are_never_unpickled(folder: Path, tmp_path: Path) -> None:
    target = without_curve(folder, tmp_path)
    np.savez(target / "figures.npz", decoded=np.array([{}], dtype=object))
    assert "<dt>figures.npz</dt><dd>damaged" in written(make_report([target]), tmp_path)


def test_records_alone_make_a_page(folder: Path, tmp_path: Path) -> None:
    sources = sorted(folder.glob("tmnist-*"))
    for source in sources:
        shutil.copy(source / "record.json", tmp_path / f"{source.name}.json")
    report = make_report([tmp_path])
    assert report.left_out == []
    assert report.markdown() == make_report(sources).markdown()
    assert written(report, tmp_path / "page").count("Learning</h4>") == 1


def written(report: Report, folder: Path) -> str:
    (page, *_) = report.write(folder / "page.html")
    return page.read_text("utf-8")


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "page.html"
    shown = [folder / "photographs", *folder.glob("tmnist-*")]
    assert main(["report", *map(str, shown), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "| paper, mean of 5 | 21.40 ± 0.55 | 20.60 ± 0.55 |" in printed
    assert f"- {folder / 'photographs'}: holds no run" in printed
    assert f"The page: {out.resolve()}" in printed and out.exists()
    before = out.read_bytes()
    assert main(["report", str(tmp_path / "nowhere"), "--out", str(out)]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / "empty"), "--out", str(out)]) == 2
    errors = capsys.readouterr().err
    assert "nowhere is not there. Name a folder of runs" in errors
    assert "there is no finished run in" in errors and "empty: holds no run" in errors
    assert out.read_bytes() == before


def test_a_page_that_cannot_be_made_leaves_the_old_one(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text("old")
    report = make_report(sorted(folder.glob("tmnist-*")))
    broken = dataclasses.replace(report.groups[0], runs=())
    with pytest.raises(IndexError):
        dataclasses.replace(report, groups=[broken]).write(out)
    assert out.read_text() == "old" and list(tmp_path.iterdir()) == [out]


def test_only_unfinished_runs_are_an_error_that_lists_them(folder: Path) -> None:
    with pytest.raises(EquilatentError, match=r"no finished run in .*cut(.|\n)*cut: not finished: 0 epochs so far"):
        make_report([folder / "cut"])


@pytest.fixture(scope="module")
def browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"none of {', '.join(names)} is installed")
    return found


def in_browser(browser: str, page: Path, profile: Path) -> str:
    """The page after its scripts have run; names of other machines are not resolved."""
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", "--allow-file-access-from-files", "--virtual-time-budget=2000"),
        *("--dump-dom", page.as_uri()),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_browser_shows_it_without_overflow_on_narrow_and_wide_screens(
    browser: str, page: Path, tmp_path: Path
) -> None:
    # A window is never as narrow as a telephone, but a frame can be.
    frames = "".join(
        f'<iframe src="{page.as_uri()}" style="width: {w}px; height: 900px"></iframe>' for w in (390, 1440)
    )
    measure = """
      onload = () => setTimeout(() => {
        const pages = [...document.querySelectorAll("iframe")].map(frame => frame.contentDocument);
        const said = pages.map(page => ({
          over: page.documentElement.scrollWidth - page.documentElement.clientWidth,
          width: page.documentElement.clientWidth,
          rows: [...page.querySelectorAll("tr")].map(row => [...row.cells].map(cell => cell.innerText.trim())),
          asked: page.defaultView.performance.getEntriesByType("resource").map(entry => entry.name),
          small: [...page.querySelectorAll("p, li, td, dd")]
            .filter(element => parseFloat(getComputedStyle(element).fontSize) < 12).length,
          bars: [...page.querySelectorAll(".animation div")].filter(bar => !bar.hidden).length,
        }));
        document.body.innerHTML = "";
        document.body.append(JSON.stringify(said));
      }, 500);
    """
    wrapper = tmp_path / "frames.html"
    wrapper.write_text(f"<!doctype html><body>{frames}<script>{measure}</script></body>")
    dumped = in_browser(browser, wrapper, tmp_path / "profile")
    said = json.loads(html.unescape(re.sub(r"<[^>]*>", "", dumped[dumped.index("<body") :])))
    expected = [[cell.strip() for cell in row] for row in read(page.read_text("utf-8")).rows]
    assert len(said) == 2
    for shown, width in zip(said, (390, 1440), strict=True):
        assert shown["over"] <= 0
        assert width - 20 <= shown["width"] <= width
        assert shown["rows"] == expected
        assert [name for name in shown["asked"] if not name.startswith("data:")] == []
        assert shown["small"] == 0
        assert shown["bars"] == 4
