"""The demo: its questions and answers against encoders whose answers are known, and the whole of it, tiny."""

import dataclasses
import html
import html.parser
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import equilatent as eq
from equilatent.bench import latent_questions
from equilatent.bench.demo import DemoConfig, _data, _run
from equilatent.bench.demo._networks import classifier, exact_classifier
from equilatent.bench.demo._report import ROWS, encoder_table, sentences
from equilatent.bench.demo._tasks import answer
from equilatent.bench.demo._training import AUTOENCODERS, ENCODERS, encoder_terms, train_encoder
from equilatent.bench.digits import Digits, load_digits, split_digits
from equilatent.bench.harness.record import write_text
from equilatent.bench.latent_questions import Acting, Way, fit_maps, in_all_poses, mapped, reencoded, represented
from equilatent.cli import main
from equilatent.objective import Equivariance

TINY = ["--steps", "2", "--limit", "150", "--device", "cpu"]
G = eq.groups.dihedral(4)
ACT = eq.actions.image(G)
REGULAR = eq.reps.padded_regular(G, 80)


# ------------------------------------------------------------------------------------------------------------------
# What is asked


def numbered(count: int) -> Digits:
    """Digits whose pixels all hold their number, over 1000."""
    images = (torch.arange(count) / 1000).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    return Digits(images, torch.arange(count) % 10, "numbers")


def numbers_of(images: Tensor) -> list[int]:
    return (1000 * images[:, 0, 7, 7]).round().long().tolist()


def test_questions_are_about_held_out_digits_and_what_is_fitted_is_not() -> None:
    train, _, test = split_digits(numbered(500))
    asked = _data.make_questions(train, test, ACT, DemoConfig(examples=4), seed=3)
    held_out = set(numbers_of(test.images))
    assert numbers_of(asked.index) == numbers_of(test.images)
    assert sorted(numbers_of(asked.known.images) + numbers_of(asked.new.images)) == sorted(held_out)
    assert not held_out & {*numbers_of(asked.fit.images), *numbers_of(asked.few.images)}
    for digits, first in ((asked.known, 0), (asked.fit, 0), (asked.new, 5), (asked.few, 5)):
        assert [number % 10 - first for number in numbers_of(digits.images)] == digits.labels.tolist()
    assert asked.few.labels.bincount().tolist() == [4] * 5
    assert len(set(numbers_of(asked.few.images))) == 20


def test_queries_are_the_index_transformed_by_the_elements_and_a_little_off() -> None:
    train, _, test = split_digits(load_digits(28))
    asked = _data.make_questions(train, test, ACT, DemoConfig(), seed=0)
    back = ACT(asked.queries, G.inverse(asked.elements))
    difference = (back - asked.index).square().mean() / asked.index.var()
    assert 0.02 < difference < 0.3
    assert asked.elements.unique().tolist() == G.elements.tolist()


def test_jitter_is_small_and_keeps_the_pose() -> None:
    x = torch.zeros(200, 1, 14, 14)
    x[:, :, 3:7, 4:6] = 1
    moved = _data.JITTER(x, torch.Generator().manual_seed(0)) > 0.5
    rows, columns = torch.arange(14.0), torch.arange(14.0)
    mass = moved.float().sum((1, 2, 3))
    centre = (
        torch.stack([(moved.float().sum(3)[:, 0] * rows).sum(1), (moved.float().sum(2)[:, 0] * columns).sum(1)]) / mass
    )
    assert (centre - torch.tensor([[4.5], [4.5]])).abs().max() < 1
    assert moved.any(0).sum() > moved[0].sum()


def test_labels_of_transformed_digits_are_those_of_their_poses() -> None:
    labels = latent_questions.pose_labels(G, 5)
    r, s = G["r"], G["s"]
    assert labels(torch.tensor([8 * 3 + r]), torch.tensor([s])).tolist() == [8 * 3 + G.product(s, r)]
    eq.testing.assert_action(labels, torch.arange(40))


# ------------------------------------------------------------------------------------------------------------------
# Answers, of encoders for which they are known

#: A pixel that D4 carries to eight different places.
MARK = (0, 2)


def marked(labels: Tensor) -> Digits:
    """Images whose marked pixel, once halved to 14×14, is as bright as the class."""
    images = torch.zeros(len(labels), 1, 28, 28)
    rows, columns = (slice(2 * place, 2 * place + 2) for place in MARK)
    images[:, 0, rows, columns] = ((labels + 1) / 10).view(-1, 1, 1)
    return Digits(images, labels, "marks")


def read_mark(images: Tensor) -> Tensor:
    """Class and pose, one-hot [B, 80], read off the marked pixel: copies of the regular representation."""
    upright = torch.zeros(1, 1, 14, 14)
    upright[0, 0, MARK[0], MARK[1]] = 1
    places = ACT(upright.expand(8, 1, 14, 14), G.elements).flatten(1).argmax(1)
    assert len(places.unique()) == 8
    value, place = images.flatten(1).max(1)
    pose = (place[:, None] == places).int().argmax(1)
    return nn.functional.one_hot(8 * ((10 * value).round().long() - 1) + pose, 80).float()


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> _data.Questions:
    monkeypatch.setattr(_data, "JITTER", lambda images, generator: images)
    return _data.make_questions(marked(torch.arange(10)), marked(torch.arange(10)), ACT, DemoConfig(), seed=0)


def test_an_encoder_that_reads_class_and_pose_answers_everything(marks: _data.Questions) -> None:
    found = answer(represented(REGULAR), read_mark, marks, ACT, steps=300, seed=0)
    assert found == {"search": 1.0, "pose": 1.0, "head": 1.0}


def test_latents_transformed_by_the_wrong_elements_are_noticed(marks: _data.Questions) -> None:
    wrong = Acting(G, lambda z, g: REGULAR(z, G.inverse(g)))
    way = dataclasses.replace(represented(REGULAR), action=wrong)
    assert answer(way, read_mark, marks, ACT, 300, 0)["head"] == pytest.approx(6 / 8)  # r and r3 are exchanged


def pixels(images: Tensor) -> Tensor:
    return images.flatten(1)


def on_pixels(z: Tensor, g: Tensor) -> Tensor:
    return ACT(z.view(-1, 1, 14, 14), g).flatten(1)


@pytest.fixture(scope="module")
def asked() -> _data.Questions:
    data = _data.load_data(torch.device("cpu"), 700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_data, "JITTER", lambda images, generator: images)
        return _data.make_questions(data.train, data.test, ACT, DemoConfig(), seed=0)


def fitted() -> Way:
    images = torch.rand(300, 1, 14, 14, generator=torch.Generator().manual_seed(0))
    return mapped(G, fit_maps(in_all_poses(ACT, pixels, images)))


@pytest.mark.parametrize(
    "make",
    [lambda: represented(eq.actions.function(G, on_pixels)), lambda: reencoded(G), fitted],
    ids=["represented", "reencoded", "mapped"],
)
def test_every_way_finds_transformed_pixels(make: Callable[[], Way], asked: _data.Questions) -> None:
    way = make()
    items, queries = pixels(asked.index), way.encode(ACT, pixels, asked.queries)
    assert way.search(items, queries, 1)[:, 0].tolist() == list(range(len(asked.index)))
    assert way.match(items, queries).tolist() == asked.elements.tolist()
    z = way.action(way.encode(ACT, pixels, asked.index), asked.elements)
    torch.testing.assert_close(z, pixels(asked.queries), atol=0.1, rtol=0)


def test_an_exactly_equivariant_encoder_needs_no_second_pass(asked: _data.Questions) -> None:
    torch.manual_seed(0)
    network = exact_classifier(G, 5)
    for _ in range(30):  # so that the norms know their statistics
        network(asked.fit.images)
    encode = nn.Sequential(network.encoder, network.norm).eval()
    with torch.no_grad():
        z = encode(asked.index)
        torch.testing.assert_close(encode(asked.queries), REGULAR(z, asked.elements), atol=1e-5, rtol=1e-4)
        assert z.std() > 0.01
    ways = (represented(REGULAR), reencoded(G))
    once, often = (answer(way, encode, asked, ACT, steps=100, seed=0) for way in ways)
    assert once["search"] == once["pose"] == often["search"] == often["pose"] == 1.0
    assert once["head"] == pytest.approx(often["head"], abs=0.01)
    assert once["head"] > 0.2


def test_an_invariant_latent_cannot_tell_poses(asked: _data.Questions) -> None:
    trivial = eq.reps.multiple(eq.reps.trivial(G), 1)
    items, queries = (images.mean((1, 2, 3)).unsqueeze(1) + 1 for images in (asked.index, asked.queries))
    assert represented(trivial).match(items, queries).tolist() == [0] * len(asked.index)


# ------------------------------------------------------------------------------------------------------------------
# Training


def test_ours_and_lambda_zero_differ_in_the_latent_term_alone() -> None:
    config = DemoConfig()
    ours, zero = (encoder_terms(name, G, config) for name in ("term", "zero"))
    (more,) = [term for term in ours if term not in zero]
    assert more == Equivariance("norm", config.strength)
    assert [term for term in zero if term not in ours] == []
    networks = [classifier(G, 5) for _ in range(2)]
    assert len({sum(p.numel() for p in network.parameters()) for network in networks}) == 1


def test_the_latent_term_makes_the_latent_one_that_can_be_acted_on() -> None:
    data, config = _data.load_data(torch.device("cpu"), 2000), DemoConfig(steps=50)
    questions = _data.make_questions(data.train, data.validation, ACT, config, seed=0)
    right = {}
    for name in ("term", "zero"):
        network, _ = train_encoder(name, 0, config, data.train, ACT, lambda: None)
        encode = nn.Sequential(network.encoder, network.norm)
        with torch.no_grad():
            items, queries = encode(questions.index), encode(questions.queries)
        right[name] = latent_questions.pose_accuracy(represented(REGULAR), items, queries, questions.elements)
    assert right["term"] > 0.8
    assert right["zero"] < 0.4


# ------------------------------------------------------------------------------------------------------------------
# The whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    threads = torch.get_num_threads()
    assert main(["demo", *TINY, "--seed", "0,1", "--out", str(out)]) == 0
    assert torch.get_num_threads() == threads
    return out


def records_in(folder: Path) -> list[dict]:
    return json.loads((folder / "records.json").read_text("utf-8"))


class _Page(html.parser.HTMLParser):
    """Collects everything by which a page could ask for something, and its text by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.targets += [value or "" for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._tag, data.strip()))


def test_page_is_self_contained_and_holds_the_numbers_of_the_records(folder: Path) -> None:
    text = (folder / "report.html").read_text("utf-8")
    page, records = _Page(text), records_in(folder)
    assert page.targets and all(target.startswith("data:image/png;base64,") for target in page.targets)
    assert len(page.targets) == len(_run.SHOWN) * (1 + len(AUTOENCODERS))
    assert "@import" not in text and "url(" not in text
    shares = [words for tag, words in page.texts if tag == "b"]
    expected = []
    for task in ("search", "pose", "head"):
        for method, way, *_ in ROWS:
            first, second = (r["final"][f"{way}_{task}"] for r in records if r["method"] == method)
            deviation = abs(first - second) / 2**0.5
            expected.append(f"{50 * (first + second):.0f} ± {100 * deviation:.0f}%")
    assert shares == expected
    for row in encoder_table(records)[1:]:
        assert set(row) <= {words for tag, words in page.texts if tag == "td"}


def test_the_code_on_the_page_runs(folder: Path) -> None:
    text = html.unescape((folder / "report.html").read_text("utf-8"))
    (code,) = re.findall(r"<pre><code>(.*?)</code></pre>", text, re.DOTALL)
    model = classifier(G, 5)
    x, y = torch.rand(16, 1, 14, 14), torch.arange(16) % 5
    with torch.no_grad():
        z = model.norm(model.encoder(x))
    names = {
        "cross_entropy": cross_entropy,
        "batches": [(x, y)],
        "model": model,
        "optimizer": torch.optim.Adam(model.parameters()),
        "z": z,
        "query": REGULAR(z[:3], G.sample(3)),
        "output": eq.actions.trivial(G),
        "labels": y,
    }
    exec(code, names)
    assert names["found"].indices[:, 0].tolist() == [0, 1, 2]


def test_records_say_what_was_run_on_what(folder: Path) -> None:
    records = records_in(folder)
    methods = [*(f"autoencoder {name}" for name in AUTOENCODERS), *ENCODERS, "thumbnail"]
    assert [(r["seed"], r["method"]) for r in records] == [(seed, method) for seed in (0, 1) for method in methods]
    for record in records:
        assert {"experiment", "group", "commit", "versions", "machine", "final", "seconds"} <= set(record)
        config = record["config"]
        assert config["seed"] == record["seed"] and config["steps"] == 2 and config["batch"] == 100
        assert (config["train_digits"], config["validation_digits"], config["test_digits"]) == (90, 30, 30)
        assert config["head_digits"] == 45  # all there are, which is less than 20 of each
        assert record["machine"]["threads"] == 1
        assert all(isinstance(value, int | float) for value in record["final"].values())


def test_same_seed_gives_the_same_numbers(folder: Path, tmp_path: Path) -> None:
    assert main(["demo", *TINY, "--seed", "1", "--out", str(tmp_path)]) == 0
    again, first = ([(r["method"], r["final"]) for r in records_in(f) if r["seed"] == 1] for f in (tmp_path, folder))
    assert again == first
    assert "n = 1" in sentences(records_in(tmp_path))[-1]
    assert "2 seeds" in sentences(records_in(folder))[-1]


def test_the_picture_is_wide_and_on_white(folder: Path) -> None:
    from matplotlib.image import imread

    picture = imread(folder / "decoded.png")
    height, width, _ = picture.shape
    assert width >= 1500 and 3 < width / height < 8
    assert picture[0, 0].tolist() == [1, 1, 1, 1]


def test_help_teaches(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    told = capsys.readouterr().out
    for words in ("--seed", "--steps", "--strength", "--limit", "decoded", "records.json"):
        assert words in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "one"], "names no seeds"),
        (["--seed", "3..1"], "names no seeds"),
        (["--seed", "0..2,1"], "names seed 1 more than once"),
        (["--steps", "0"], "--steps 0 should be at least 1"),
        (
            ["--limit", "99", "--strength", "-1"],
            "--strength -1.0 should be at least 0 and finite; --limit 99 should be at least 100",
        ),
        (["--decorrelation", "nan"], "--decorrelation nan"),
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
    monkeypatch.setattr(_run, "train_autoencoder", lambda *_: pytest.fail("it trained first"))
    assert main(["demo", *TINY, "--out", str(tmp_path / "file" / "demo")]) == 1
    assert "Earlier results are as they were" in capsys.readouterr().err


def test_interrupting_leaves_earlier_results_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_run, "train_encoder", interrupted)
    threads = torch.get_num_threads()
    assert main(["demo", *TINY, "--out", str(folder)]) == 130
    assert "stopped" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert torch.get_num_threads() == threads


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


def test_both_sizes_are_of_the_same_digits() -> None:
    small, large = load_digits(14), load_digits(28)
    torch.testing.assert_close(nn.functional.avg_pool2d(large.images, 2), small.images)
    assert torch.equal(small.labels, large.labels)
