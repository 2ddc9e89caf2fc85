"""The task frozen: which images are for what, what is jittered, and answers of encoders for which they are known."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench import latent_questions
from equilatent.bench.architecture import LAYERS, Conv, Pool, Resize, WholeImageClassifier
from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.data import ImageData
from equilatent.bench.harness.run import problems, run
from equilatent.bench.harness.system import System
from equilatent.bench.jitter import Jitter
from equilatent.bench.latent_questions import HeadTraining, Way
from equilatent.bench.systems.group_convolutions import group_classifier
from equilatent.bench.systems.ordinary import ordinary_classifier
from equilatent.bench.systems.thumbnail import Thumbnail, thumbnail_representation
from equilatent.bench.tasks import frozen
from equilatent.bench.tasks.frozen import FrozenConfig, FrozenProblem
from equilatent.errors import ActionError, RepresentationError

CPU = torch.device("cpu")
FROZEN = CATALOGUE["frozen"]
G = eq.groups.dihedral(4)
ACT = eq.actions.image(G)


def numbered(count: int, first: int, channels: int = 1, side: int = 28) -> tuple[Tensor, Tensor]:
    """Random images, each with its number in the pixels of its first row."""
    generator = torch.Generator().manual_seed(first)
    images = torch.randint(256, (count, channels, side, side), generator=generator)
    images[:, 0, 0, :12] = (torch.arange(first, first + count)[:, None] >> torch.arange(12)) % 2
    return images.byte(), torch.arange(count) % 10


def numbers_of(images: Tensor) -> list[int]:
    return ((255 * images[:, 0, 0, :12]).round().long() << torch.arange(12)).sum(1).tolist()


@pytest.fixture
def data() -> ImageData:
    return ImageData("numbered", 10, *numbered(600, 0), *numbered(100, 600))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "_HEAD", HeadTraining(120))
    monkeypatch.setattr(frozen, "_DRAWS", 2)
    monkeypatch.setattr(frozen, "_FITTED", 60)


def make(data: ImageData, **fields: Any) -> tuple[FrozenProblem, System]:
    torch.manual_seed(0)
    config = dataclasses.replace(FrozenConfig(**fields), device="cpu").resolved()
    assert problems(FROZEN, config) == []
    problem = FrozenProblem(config, CPU, data)
    system = FROZEN.systems[config.method](problem, FROZEN.architecture(config), config, 0)
    problem.latent = system.latent or problem.latent
    return problem, system


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------------------------------------
# Which images are for what


def test_no_image_is_in_two_splits_and_the_encoder_sees_half_of_the_classes(data: ImageData) -> None:
    problem, _ = make(data)
    trained, fitted = numbers_of(problem.train[0].float() / 255), numbers_of(problem.fitted)
    few = [numbers_of(images) for images, _ in problem.few]
    splits = {split: numbers_of(asked.index) for split, asked in problem.questions.items()}
    assert sorted(splits["test"]) == list(range(600, 700))
    assert len(set(splits["validation"])) == 60 and max(splits["validation"]) < 600
    assert not set(splits["validation"]) & {*trained, *fitted, *few[0], *few[1]}
    assert all(number < 600 and number % 10 < 5 for number in (*trained, *fitted))
    assert (
        len(set(trained))
        == problem.samples
        == 600 - 60 - sum(len(set(range(5, 10)) & {n % 10}) for n in set(range(600)) - set(splits["validation"]))
    )
    assert problem.train[1].tolist() == [number % 10 for number in trained]
    assert set(fitted) <= set(trained)


def test_few_images_of_new_classes_are_stored_and_others_are_asked_about(data: ImageData) -> None:
    problem, _ = make(data)
    for images, labels in problem.few:
        numbers = numbers_of(images)
        assert labels.bincount().tolist() == [20] * 5 and len(set(numbers)) == 100
        assert [number % 10 - 5 for number in numbers] == labels.tolist()
    assert set(numbers_of(problem.few[0][0])) != set(numbers_of(problem.few[1][0]))
    for split, asked in problem.questions.items():
        assert [number % 10 - 5 for number in numbers_of(asked.new)] == asked.labels.tolist()
        assert set(numbers_of(asked.new)) == {number for number in numbers_of(asked.index) if number % 10 >= 5}
        assert len(problem.known[split][1]) == len(asked.index) - len(asked.new)


def test_a_limit_takes_the_first_training_images_and_leaves_the_rest(data: ImageData) -> None:
    whole, part = (make(data, limit=limit)[0] for limit in (None, 30))
    assert part.samples == 30 and torch.equal(part.train[0], whole.train[0][:30])
    assert torch.equal(part.few[0][0], whole.few[0][0])
    assert torch.equal(part.questions["test"].queries, whole.questions["test"].queries)


# ------------------------------------------------------------------------------------------------------------------
# Jitter


def test_without_jitter_both_views_and_queries_are_exact(data: ImageData) -> None:
    problem, _ = make(data)
    x, y = problem.batch(torch.arange(8), seeded())
    g = G.sample(8, generator=seeded())
    assert torch.equal(x, ACT(problem.train[0][:8].float() / 255, g))
    assert torch.equal(y, problem.train[1][:8])
    assert torch.equal(problem.input(x, g), ACT(x, g))
    asked = problem.questions["test"]
    assert torch.equal(asked.queries, ACT(asked.index[: len(asked.queries)], asked.elements))
    assert asked.elements.unique().tolist() == G.elements.tolist()


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_both_views_are_jittered_independently(dataset: str) -> None:
    channels, side = (1, 28) if dataset == "mnist" else (3, 32)
    data = ImageData("gray", 10, *numbered(600, 0, channels, side), *numbered(100, 600, channels, side))
    problem, _ = make(data, dataset=dataset, jitter="strong")
    assert problem.jitter is not None
    # Of gray images with brightness alone, what was added to each can be read off.
    problem.jitter = Jitter(brightness=0.2)
    problem.train = torch.full_like(problem.train[0], 102), problem.train[1]
    count = problem.samples
    problem.start_epoch(generator := seeded())
    x, _ = problem.batch(torch.arange(count), generator)
    second = problem.input(x, G.sample(count, generator=generator))
    first_added, second_added = x[:, 0, 0, 0] - 0.4, (second - x)[:, 0, 0, 0]
    for added in (first_added, second_added):
        assert added.abs().max() < 0.2 + 1e-6 and added.std() == pytest.approx(0.2 / 3**0.5, rel=0.15)
    assert torch.corrcoef(torch.stack([first_added, second_added]))[0, 1].abs() < 0.2
    assert not torch.equal(problem.input(x, torch.zeros(count, dtype=torch.long)), x)
    problem.start_epoch(generator := seeded())  # an epoch that is begun again draws the same
    again, _ = problem.batch(torch.arange(count), generator)
    assert torch.equal(again, x)
    assert torch.equal(problem.input(x, G.sample(count, generator=generator)), second)


def test_items_and_queries_are_jittered_apart_and_all_other_evaluation_is_exact(data: ImageData) -> None:
    plain, jittered = (make(data, jitter=jitter)[0] for jitter in ("none", "mild"))
    exact, asked = plain.questions["test"], jittered.questions["test"]
    upright = ACT(asked.queries, G.inverse(asked.elements))
    first = asked.index[: len(upright)]
    originals = exact.index[[numbers_of(exact.index).index(n) for n in numbers_of(exact.index)[: len(upright)]]]
    for one, other in ((first, originals), (upright, originals), (first, upright)):
        assert (one - other).abs().flatten(1).amax(1).min() > 0.01
    assert torch.equal(exact.new, asked.new)
    assert torch.equal(plain.fitted, jittered.fitted) and torch.equal(plain.few[1][0], jittered.few[1][0])
    for split in ("validation", "test"):
        assert torch.equal(plain.known[split][0], jittered.known[split][0])


def test_images_that_are_classified_are_exactly_transformed(data: ImageData) -> None:
    problem, _ = make(data, jitter="strong")
    images, classes = problem.known["test"]
    originals = {tuple(image.flatten().tolist()) for image in data.test_x.float() / 255}
    assert classes.tolist() == [n % 10 for n in range(100) if n % 10 < 5]
    for image in images[:5]:
        poses = ACT(image.expand(8, -1, -1, -1), G.elements)
        assert any(tuple(pose.flatten().tolist()) in originals for pose in poses)


def test_amounts_of_jitter() -> None:
    white = torch.ones(300, 3, 8, 8)
    assert torch.equal(Jitter()(white, seeded()), white)
    assert Jitter(crop=0.5)(white, seeded()).min() > 1 - 1e-5  # nothing comes in from outside
    shifted = Jitter(shift=1.0)(white, seeded())
    assert shifted[:, :, 1:-1, 1:-1].min() > 1 - 1e-5
    assert shifted[:, :, 0].min() < 0.1
    gray = torch.full((300, 3, 8, 8), 0.5)
    coloured = Jitter(colour=0.1)(gray, seeded())
    assert (coloured - 0.5).abs().max() <= 0.1 + 1e-6
    assert (coloured[:, 0] - coloured[:, 1]).abs().max() > 0.1
    assert torch.equal(coloured[:, :, :1, :1].expand_as(coloured), coloured)
    two = torch.tensor([0.25, 0.75]).repeat(300, 3, 8, 4)
    contrast = Jitter(contrast=0.2)(two, seeded())
    difference = contrast[..., 1] - contrast[..., 0]
    assert contrast.mean((1, 2, 3)).sub(0.5).abs().max() < 1e-6
    assert difference.min() == pytest.approx(0.4, abs=0.01) and difference.max() == pytest.approx(0.6, abs=0.01)
    noisy = Jitter(noise=0.05)(gray, seeded())
    assert (noisy - gray).std() == pytest.approx(0.05, rel=0.05)


# ------------------------------------------------------------------------------------------------------------------
# Answers, of encoders for which they are known

#: A pixel that D4 carries to eight different places.
MARK = (1, 5)


class ReadMark(nn.Module):
    """The class and the pose, one-hot [B, 80], read off the marked pixel: copies of the regular representation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.images = 0
        upright = torch.zeros(1, 1, 28, 28)
        upright[0, 0, MARK[0], MARK[1]] = 1
        self.places = ACT(upright.expand(8, 1, 28, 28), G.elements).flatten(1).argmax(1)
        assert len(self.places.unique()) == 8

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        value, place = images.flatten(1).max(1)
        pose = (place[:, None] == self.places).int().argmax(1)
        return nn.functional.one_hot(8 * ((25.5 * value).round().long() - 1) + pose, 80).float() * self.weight


def marks(test: int) -> ImageData:
    """Images whose marked pixel is as bright as the class."""
    labels = torch.arange(600) % 10
    images = torch.zeros(600, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, MARK[0], MARK[1]] = (10 * (labels + 1)).byte()
    return ImageData("marks", 10, images, labels, images[:test], labels[:test])


def reading() -> nn.Sequential:
    model = nn.Sequential()
    model.add_module("encoder", ReadMark())
    model.add_module("head", nn.Sequential(nn.Identity(), nn.Linear(80, 5)))
    return model.eval()


def evaluated(problem: FrozenProblem, model: nn.Module) -> dict[str, Any]:
    with torch.no_grad():
        return problem.evaluate(model.eval(), "test")


def test_an_encoder_that_reads_class_and_pose_answers_everything() -> None:
    problem, _ = make(marks(10))
    found = evaluated(problem, reading())
    for way in ("rho", "passes"):
        assert [found[f"{way}_{key}"] for key in ("search_1", "search_10", "pose", "head")] == [1.0] * 4
    # The maps have seen no feature of the new classes vary, so they answer for the items of the seen ones alone.
    assert found["maps_search_1"] == 0.5 and found["maps_head"] < 0.1
    assert found["latent_centred_error"] == 0
    assert found["latent_features"] == 80
    assert found["validation"]["rho_pose"] == found["validation"]["rho_head"] == 1.0
    # There are sixty validation images and ten latents; the right item is one of about six that are the nearest.
    assert found["validation"]["rho_search_1"] < 0.5 < found["validation"]["rho_search_10"]


def test_a_latent_that_is_transformed_by_the_wrong_elements_is_noticed() -> None:
    problem, _ = make(marks(200))
    regular = eq.reps.padded_regular(G, 80)
    problem.latent = eq.actions.function(G, lambda z, g: regular(z, G.inverse(g)))
    found = evaluated(problem, reading())
    elements = problem.questions["test"].elements
    assert found["rho_pose"] == pytest.approx(float((elements == G.inverse(elements)).float().mean()))
    assert 0 < found["rho_pose"] < 1
    assert found["rho_head"] == pytest.approx(6 / 8)  # r and r3 are exchanged
    assert found["passes_pose"] == found["passes_head"] == 1.0
    # r and r3, whose ρ(g)z has nothing in common with the latent of g·x: |ρ(g)z − E(gx)|² is 2, of |E|² = 1.
    assert found["latent_relative_error"] == pytest.approx(2 * 2 / 8)


def test_an_invariant_latent_has_no_pose() -> None:
    problem, _ = make(marks(200), latent="trivial")
    found = evaluated(problem, reading())
    identities = float((problem.questions["test"].elements == 0).float().mean())
    assert found["rho_pose"] == pytest.approx(identities)
    assert found["rho_head"] <= 1 / 8  # of a class, stored in one pose with the labels of all


def test_a_head_learns_from_nothing_but_what_was_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = make(marks(10))
    model, given = reading(), []

    def spy(way: Way, stored: Tensor, labels: Tensor, *rest: Any) -> nn.Module:
        given.append((way.passes, stored, labels))
        return latent_questions.train_head(way, stored, labels, *rest)

    monkeypatch.setattr(frozen, "train_head", spy)
    evaluated(problem, model)
    assert [passes for passes, *_ in given] == [1, 1, 1, 1, 8, 8]
    for (passes, stored, labels), draw in zip(given, [0, 1] * 3, strict=True):
        images, classes = problem.few[draw]
        upright = model.encoder(images)
        assert torch.equal(labels, classes)
        if passes == 1:
            assert torch.equal(stored, upright)
        else:
            assert stored.shape == (100, 8, 80) and torch.equal(stored[:, 0], upright)


def test_passes_are_those_that_the_encoder_makes() -> None:
    problem, _ = make(marks(10))
    found = evaluated(problem, reading())
    images = problem.few[0][0]
    ways = {
        "rho": latent_questions.represented(eq.reps.padded_regular(G, 80)),
        "maps": latent_questions.mapped(G, torch.zeros(8, 81, 80)),
        "passes": latent_questions.reencoded(G),
    }
    for name, way in ways.items():
        encoder = ReadMark()
        way.encode(ACT, encoder, images)
        assert encoder.images == found["encoder_passes"][name] * len(images)
    assert found["maps_fitting_passes"] == 8 * 60


def test_recall_counts_the_queries_whose_item_is_among_the_first() -> None:
    places = torch.tensor([[0, 1, 2], [2, 1, 0], [0, 1, 2], [0, 1, 2]])
    way = Way(ACT, lambda items, queries, k: places[:, :k], lambda items, queries: queries, passes=1)
    assert latent_questions.recall(way, torch.zeros(9, 2), torch.zeros(4, 2), (1, 2, 3)) == [0.25, 0.5, 0.75]


def test_ways_agree_with_a_loop_over_items_and_elements() -> None:
    """Items and queries at random, in blocks; the score is the largest cosine over the elements."""
    generator = seeded()
    items, poses = torch.randn(30, 16, generator=generator), torch.randn(12, 8, 16, generator=generator)
    maps = torch.randn(8, 17, 16, generator=generator)
    rho = eq.reps.padded_regular(G, 16)
    transformed = {
        "rho": lambda z, g: rho.matrix(g).float() @ z,
        "maps": lambda z, g: torch.cat([z, torch.ones(1)]) @ maps[g],
    }
    ways = {
        "rho": latent_questions.represented(rho),
        "maps": latent_questions.mapped(G, maps),
        "passes": latent_questions.reencoded(G),
    }
    cosine = nn.functional.cosine_similarity
    for name, way in ways.items():
        queries = poses if name == "passes" else poses[:, 0]
        scores = torch.tensor(
            [
                [
                    [
                        float(cosine(item, query[G.inverse(g)], 0))
                        if name == "passes"
                        else float(cosine(transformed[name](item, g), query, 0))
                        for g in range(8)
                    ]
                    for item in items
                ]
                for query in queries
            ]
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(latent_questions, "_ENTRIES", 30 * 8 * 5)  # five queries at once
            found = way.search(items, queries, 4)
        assert torch.equal(found, scores.amax(2).topk(4, dim=1).indices)
        assert torch.equal(way.match(items[:12], queries), scores.diagonal(dim1=0, dim2=1).argmax(0))


# ------------------------------------------------------------------------------------------------------------------
# Systems


def test_systems_that_the_task_offers() -> None:
    assert list(FROZEN.systems) == ["cnn", "ours", "exact", "thumbnail"]
    assert not {"exact", "thumbnail"} & set(CATALOGUE["ddmnist"].systems)
    assert {control.method for control in FROZEN.controls} <= set(FROZEN.systems)
    for control in FROZEN.controls:
        config = dataclasses.replace(FrozenConfig(device="cpu"), method=control.method, **control.fields)
        assert problems(FROZEN, config.resolved()) == []


@pytest.mark.parametrize(("dataset", "parameters"), [("mnist", 62_365), ("cifar10", 365_021)])
def test_networks_of_both_data_sets(dataset: Any, parameters: int) -> None:
    config = FrozenConfig(dataset=dataset).resolved()
    table = FROZEN.architecture(config)
    network = ordinary_classifier(table)
    x = torch.rand(2, table.channels, table.side, table.side)
    assert network(x).shape == (2, 5)
    assert sum(weights.numel() for weights in network.parameters()) == parameters


@pytest.mark.parametrize("group", ["C4", "D4"])
@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_latents_of_group_convolutions_are_exactly_equivariant(dataset: Any, group: str) -> None:
    table = FROZEN.architecture(FrozenConfig(dataset=dataset, group=group).resolved())
    own = eq.groups.cyclic(4) if group == "C4" else G
    torch.manual_seed(0)
    network = group_classifier(table, own)
    for _ in range(3):  # so that the norms know other statistics than 0 and 1
        network(torch.rand(8, table.channels, table.side, table.side))
    encode = nn.Sequential(network.encoder, network.get_submodule(LAYERS["norm"])).eval()
    x, g = torch.rand(8, table.channels, table.side, table.side), own.elements.repeat(8)[:8]
    with torch.no_grad():
        z, expected = encode(eq.actions.image(own)(x, g)), eq.reps.padded_regular(own, table.features)(encode(x), g)
    torch.testing.assert_close(z, expected, atol=1e-4, rtol=1e-4)
    assert z.std() > 0.01
    assert network.encoder[0].weight.shape[0] == -(-table.blocks[0].channels // own.order)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (WholeImageClassifier((Conv(8, 3, 2, 0),), 16, 5, side=8), ActionError, "leaves out 1 of the rows and columns"),
        (
            WholeImageClassifier((Pool(2, 2, 0), Resize(9)), 16, 5, side=8),
            ActionError,
            "neither convolution nor pooling",
        ),
        (WholeImageClassifier((Conv(8, 8),), 12, 5, side=8), RepresentationError, "features=12 .* a multiple of 8"),
    ],
)
def test_tables_that_cannot_be_exactly_equivariant_are_refused(
    table: WholeImageClassifier, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        group_classifier(table, G)


@pytest.mark.parametrize(("channels", "image", "side"), [(1, 28, 8), (3, 32, 8), (1, 9, 2)])
def test_the_group_acts_exactly_on_thumbnails(channels: int, image: int, side: int) -> None:
    rho, thumbnail = thumbnail_representation(G, channels, side), Thumbnail(side)
    assert rho.dim == channels * side**2
    assert eq.reps.is_representation(G, {name: rho.matrix(g) for name, g in G.generators.items()})
    x, g = torch.rand(40, channels, image, image), G.sample(40)
    torch.testing.assert_close(thumbnail(ACT(x, g)), rho(thumbnail(x), g), atol=1e-5, rtol=1e-5)


def test_exact_systems_answer_everything_without_jitter(data: ImageData) -> None:
    for method in ("exact", "thumbnail"):
        problem, system = make(data, method=method, latent="wrong")  # of ours alone
        for _ in range(3):
            system.model(problem.batch(torch.arange(64), seeded())[0])
        found = evaluated(problem, system.model)
        assert found["latent_centred_error"] < 1e-6
        assert [found[f"{way}_{key}"] for way in ("rho", "passes") for key in ("search_1", "pose")] == [1.0] * 4
        assert found["rho_head"] == pytest.approx(found["passes_head"], abs=0.02)
        passes = (
            {"rho": 1, "maps": 1, "passes": 8} if method == "exact" else dict.fromkeys(("rho", "maps", "passes"), 0)
        )
        assert found["encoder_passes"] == passes


def test_an_encoder_that_was_trained_on_nothing_is_not_equivariant(data: ImageData) -> None:
    problem, system = make(data, method="cnn")
    found = evaluated(problem, system.model)
    assert found["rho_pose"] < 0.5 < found["passes_pose"] == found["passes_search_1"] == 1.0


@pytest.mark.parametrize(
    ("fields", "weights"),
    [
        ({}, {"equivariance": True, "decorrelation": True}),
        ({"decorrelation": 0.0}, {"equivariance": True, "decorrelation": False}),
        ({"method": "exact"}, {"equivariance": True, "decorrelation": True}),
    ],
)
def test_losses_hold_the_terms_that_are_asked_for(
    data: ImageData, fields: Mapping[str, Any], weights: Mapping[str, bool]
) -> None:
    problem, system = make(data, **fields)
    problem.start_epoch(generator := seeded())
    x, y = problem.batch(torch.arange(32), generator)
    loss, terms = system.loss(x, y, generator)
    for name, there in weights.items():
        assert any(key.startswith(name) for key in terms) == there
    loss.backward()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in system.model.parameters())


# ------------------------------------------------------------------------------------------------------------------
# Configurations and whole runs


def test_settings_are_those_of_the_data_set_unless_they_are_given() -> None:
    small, large = (FrozenConfig(dataset=name).resolved() for name in ("mnist", "cifar10"))
    assert (small.features, large.features) == (80, 192)
    assert small.epochs < large.epochs
    given = FrozenConfig(dataset="cifar10", epochs=3, batch=7, rate=0.5, features=64)
    assert given.resolved() == given
    assert dataclasses.replace(large) == large.resolved()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": 84}, "--features 84 should be a multiple of 8"),
        ({"features": 4}, "--features 4 should be a multiple of 8"),
        ({"dataset": "photographs"}, "--dataset 'photographs' should be one of mnist, cifar10"),
        ({"jitter": "wild"}, "--jitter 'wild' should be one of none, mild, strong"),
        ({"group": "D6"}, "--group 'D6' should be one of C4, D4"),
        ({"shifted_weight": 2.0}, "--shifted-weight 2.0 should be from 0 to 1"),
        ({"method": "scnn"}, "--method 'scnn'"),
    ],
)
def test_refusals(fields: dict[str, Any], message: str) -> None:
    config = FrozenConfig(device="cpu", **fields).resolved()
    assert any(message in each for each in problems(FROZEN, config))


@pytest.mark.parametrize("method", ["cnn", "ours", "exact", "thumbnail"])
def test_a_run_leaves_a_record_with_every_number(
    method: str, data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {"mnist": dataclasses.replace(frozen._DATASETS["mnist"], load=lambda folder: data)}
    monkeypatch.setattr(frozen, "_DATASETS", sets)
    config = FrozenConfig(method=method, out=tmp_path, epochs=2, limit=60, jitter="mild", device="cpu")
    record = run(FROZEN, config, 0, progress=False)
    final = record["final"]
    for quantity in FROZEN.quantities:
        assert quantity.name in final
    assert len(record["curve"]) == 2
    assert record["selected"]["error"] == min(row["val/error"] for row in record["curve"])
    assert (final["latent_centred_error"] < 1e-6) == (method in ("exact", "thumbnail"))
    assert final["latent_features"] == (64 if method == "thumbnail" else 80)
    assert set(final["validation"]) == {
        f"{w}_{k}" for w in ("rho", "maps", "passes") for k in ("search_1", "search_10", "pose", "head")
    }
