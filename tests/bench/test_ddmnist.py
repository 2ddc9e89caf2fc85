"""The protocol of DDMNIST: which digits, which pairs, how they are transformed, and the loss of each system."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.data import WINDOWS, ImageData, digit_pairs
from equilatent.bench.harness.run import problems
from equilatent.bench.harness.system import System
from equilatent.bench.latents import latent_action
from equilatent.bench.results.frame import changes
from equilatent.bench.tasks import ddmnist
from equilatent.bench.tasks.ddmnist import DdmnistConfig, DdmnistProblem
from equilatent.errors import DataError

CPU = torch.device("cpu")
DDMNIST = CATALOGUE["ddmnist"]


def numbered_digits(count: int, first: int) -> tuple[Tensor, Tensor]:
    """Images by whose constant value each digit can be told."""
    labels = torch.arange(count) % 10
    images = torch.zeros(count, 1, 28, 28, dtype=torch.uint8) + (first + torch.arange(count) % 100)[:, None, None, None]
    return images.byte(), labels


@pytest.fixture
def data() -> ImageData:
    return ImageData("numbered", 10, *numbered_digits(2000, 0), *numbered_digits(200, 100))


def make(data: ImageData, monkeypatch: pytest.MonkeyPatch, **fields: object) -> tuple[DdmnistProblem, System]:
    """The problem and the system, tiny."""
    for name in ("_TRAINING", "_VALIDATION", "_TEST"):
        monkeypatch.setattr(ddmnist, name, 1)
    for name in ("_MEASURED", "_ORBITS"):
        monkeypatch.setattr(ddmnist, name, 6)
    torch.manual_seed(0)
    config = dataclasses.replace(DdmnistConfig(**fields), device="cpu").resolved()  # type: ignore[arg-type]
    assert problems(DDMNIST, config) == []
    problem = DdmnistProblem(config, CPU, data)
    return problem, DDMNIST.systems[config.method](problem, DDMNIST.architecture(config), config, 0)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_pairs_lie_side_by_side_in_the_middle() -> None:
    images, labels = torch.randint(1, 256, (50, 1, 28, 28)).byte(), torch.arange(50) % 10
    pairs = digit_pairs(images, labels, 3, artefacts=False, seed=0)
    assert pairs.classes.bincount().tolist() == [3] * 100
    empty = float(pairs.images[0, 0, 0, 0])
    assert empty == pytest.approx(-0.5 * 0.1307 / np.sqrt(0.3081))
    raw = pairs.images * np.sqrt(0.3081) + 0.5 * 0.1307
    assert torch.all(pairs.images[:, :, :14] == empty) and torch.all(pairs.images[:, :, 42:] == empty)
    known = {
        tuple((image.float() / 255).flatten()[:20].mul(1000).round().tolist()): n for n, image in enumerate(images)
    }
    for image, label in zip(raw, pairs.classes.tolist(), strict=True):
        for window, digit in zip(WINDOWS, divmod(label, 10), strict=True):
            part = image[(slice(None), *window)].flatten()[:20]
            assert int(labels[known[tuple(part.mul(1000).round().tolist())]]) == digit


def test_artefacts_are_undone_and_a_limit_changes_no_pair() -> None:
    at = torch.linspace(-2, 2, 28)
    blob = (255 * torch.exp(-((at[:, None] - 0.3) ** 2 + at**2) * 2)).byte().expand(20, 1, 28, 28)
    labels = torch.arange(20) % 10
    plain, traced = (digit_pairs(blob, labels, 1, artefacts=artefacts, seed=0) for artefacts in (False, True))
    assert torch.equal(plain.classes, traced.classes)
    difference = (plain.images - traced.images).abs()
    assert 1e-4 < float(difference.max()) < 0.1  # traces of interpolation, and nothing turned
    some = digit_pairs(blob, labels, 1, artefacts=True, seed=0, limit=7)
    assert torch.equal(some.images, traced.images[:7])


def test_pairs_refuse_what_they_cannot_be_made_of() -> None:
    images = torch.zeros(9, 1, 28, 28, dtype=torch.uint8)
    with pytest.raises(DataError, match="there is no 9"):
        digit_pairs(images, torch.arange(9), 1, artefacts=False, seed=0)
    with pytest.raises(DataError, match="uint8"):
        digit_pairs(images.float(), torch.arange(9), 1, artefacts=False, seed=0)


def test_validation_digits_are_training_digits_that_are_not_trained_on(
    data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[bytes]] = []
    original = ddmnist.digit_pairs

    def spy(digits: Tensor, *rest: object, **settings: object) -> object:
        seen.append({image.numpy().tobytes() for image in digits})
        return original(digits, *rest, **settings)  # type: ignore[arg-type]

    # Each image once, so that a digit can be told by its content.
    unique = torch.arange(2200 * 784, dtype=torch.int64).mul(2654435761).remainder(256).byte().view(2200, 1, 28, 28)
    unique[:, 0, 0, :4] = torch.arange(2200)[:, None].bitwise_right_shift(torch.tensor([0, 4, 8, 12])).remainder(16)
    data = dataclasses.replace(data, train_x=unique[:2000], test_x=unique[2000:])
    monkeypatch.setattr(ddmnist, "digit_pairs", spy)
    make(data, monkeypatch)
    train, test, validation = seen
    assert (len(train), len(validation), len(test)) == (1800, 200, 200)
    assert not train & validation and not train & test and not validation & test
    assert train | validation == {image.numpy().tobytes() for image in data.train_x}


@pytest.mark.parametrize("group", ["C4", "D1", "D4"])
def test_both_digits_are_transformed_each_on_its_own(
    group: str, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, _ = make(data, monkeypatch, group=group)
    assert problem.group.order == {"C4": 16, "D1": 4, "D4": 64}[group]
    x = torch.randn(4, 1, 56, 56)
    g = problem.group.generators
    (turned,) = problem.input(x[:1], torch.tensor([next(iter(g.values()))]))
    expected = x[0].clone()
    left = expected[:, 14:42, :28]
    expected[:, 14:42, :28] = left.flip(-1) if group == "D1" else left.rot90(1, (-2, -1))
    assert torch.equal(turned, expected)


@pytest.mark.parametrize("group", ["C4", "D1", "D4"])
def test_traces_of_interpolation_are_on_what_is_turned_alone(
    group: str, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On C4's and D4's pairs, so that those that were transformed cannot be told by them; D1's are of a grid's values."""
    noise = torch.randint(256, (2000, 1, 28, 28), generator=seeded()).byte()
    data = dataclasses.replace(data, train_x=noise, test_x=noise[:200])
    problem, _ = make(data, monkeypatch, group=group)
    for pairs in (problem.train, problem.plain, *problem.evaluation.values()):
        values = (pairs.images[:, :, 14:42] * np.sqrt(0.3081) + 0.5 * 0.1307) * 255
        of_the_grid = ((values - values.round()).abs() < 1e-2).float().mean()
        assert (of_the_grid == 1) if group == "D1" else (of_the_grid < 0.2)


def test_a_batch_is_transformed_by_elements_drawn_anew(data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = make(data, monkeypatch, group="C4")
    problem.train.images[:] = torch.randn(problem.train.images.shape, generator=seeded(1))
    generator = seeded()
    batches = [problem.batch(torch.tensor([5, 2, 7, 2]), generator) for _ in range(2)]
    drawing = seeded()
    for x, y in batches:
        g = problem.group.sample(4, generator=drawing)
        assert torch.equal(x, problem.input(problem.train.images[[5, 2, 7, 2]], g))
        assert y.tolist() == problem.train.classes[[5, 2, 7, 2]].tolist()
    assert not torch.equal(batches[0][0], batches[1][0])


def test_loss_of_ours_is_that_of_the_paper(data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, system = make(data, monkeypatch, group="D1", strength=0.7)
    model: Any = system.model.eval()  # so that a norm does not mix the samples
    x, y = problem.batch(torch.arange(8), seeded(1))
    loss, terms = system.loss(x, y, seeded())
    g = problem.group.sample(8, generator=seeded())
    transformed = problem.input(x, g)
    z = model.encoder(x)
    rho = eq.reps.padded_regular(problem.group, 66)
    matrices = torch.stack([rho.matrix(int(element)) for element in g]).float()
    distance = F.mse_loss((matrices @ z[..., None])[..., 0], model.encoder(transformed))
    tasks = F.cross_entropy(model.head(z), y), F.cross_entropy(model(transformed), y)
    expected = 0.5 * tasks[0] + 0.5 * tasks[1] + 0.7 * distance
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert float(terms["equivariance"]) == pytest.approx(distance.item(), rel=1e-5)


def test_what_the_configuration_asks_for_is_in_the_loss_of_ours(
    data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(**fields: Any) -> tuple[DdmnistProblem, System]:
        """On noise, with the statistics of it in the norms, so that a network that is not trained tells images apart."""
        problem, system = make(data, monkeypatch, group="D1", shifted_weight=0.25, **fields)
        problem.train.images[:] = torch.randn(100, 1, 56, 56, generator=seeded(1))
        for norm in system.model.modules():
            if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
                norm.momentum = 1.0
        system.model(problem.train.images)
        system.model.eval()
        return problem, system

    def loss_of(strength: float = 0.0, **fields: Any) -> float:
        problem, system = made(strength=strength, **fields)
        return float(system.loss(*problem.batch(torch.arange(8), seeded(1)), seeded())[0].detach())

    problem, system = made()
    model: Any = system.model
    x, y = problem.batch(torch.arange(8), seeded(1))
    g = problem.group.sample(8, generator=seeded())
    with torch.no_grad():
        second = problem.input(x, g)
        plain = float(0.75 * F.cross_entropy(model(x), y) + 0.25 * F.cross_entropy(model(second), y))
        first, other = model(x).log_softmax(1), model(second).log_softmax(1)
        normed, normed_other = (model.head[0](model.encoder(images)) for images in (x, second))
    assert loss_of() == pytest.approx(plain, rel=1e-5)
    divergence = float((first.exp() * (first - other)).sum(1).mean())
    assert divergence > 0.01
    assert loss_of(consistency=3.0) - plain == pytest.approx(3 * divergence, rel=1e-2)
    rho = eq.reps.padded_regular(problem.group, 66)
    matrices = torch.stack([rho.matrix(int(element)) for element in g]).float()
    behind = float(F.mse_loss((matrices @ normed[..., None])[..., 0], normed_other))
    assert loss_of(2.0, layer="norm") - plain == pytest.approx(2 * behind, rel=1e-4)
    once, twice = loss_of(decorrelation=1.0) - plain, loss_of(decorrelation=2.0) - plain
    assert twice == pytest.approx(2 * once, rel=1e-4) and once > 0


def test_cnn_trains_on_transformed_images_alone(data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, system = make(data, monkeypatch, method="cnn", group="C4")
    model = system.model.eval()
    x, y = problem.batch(torch.arange(8), seeded())
    loss, terms = system.loss(x, y, seeded())
    assert loss.item() == pytest.approx(F.cross_entropy(model(x), y).item(), rel=1e-6)
    assert set(terms) == {"loss", "task"}


@pytest.mark.parametrize("method", ["cnn", "ours"])
def test_a_small_set_is_learned_by_heart(method: str, data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, system = make(data, monkeypatch, method=method, group="D1", rate=0.01, limit=20)
    few = torch.arange(8)
    problem.train.images[few] += torch.randn(8, 1, 56, 56, generator=seeded(1))
    optimiser, generator = torch.optim.Adam(system.model.parameters(), lr=problem.config.rate), seeded()
    for _ in range(60):
        optimiser.zero_grad()
        loss, terms = system.loss(*problem.batch(few, generator), generator)
        loss.backward()
        optimiser.step()
    # Transformed by elements drawn anew in every step, so all four images of each pair are known.
    assert terms["task"] < 0.1
    assert (system.model(problem.train.images[few]).argmax(1) == problem.train.classes[few]).all()


@pytest.mark.parametrize("method", ["scnn", "restriction", "rpp", "pscnn"])
def test_other_systems_train_on_the_same_loss_with_their_penalty(
    method: str, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, system = make(data, monkeypatch, method=method, group="D1")
    model: Any = system.model.eval()
    x, y = problem.batch(torch.arange(4), seeded())
    loss, terms = system.loss(x, y, seeded())
    task, penalty = F.cross_entropy(model(x), y), model.penalty()
    assert loss.item() == pytest.approx((task + penalty).item(), rel=1e-5)
    assert float(terms["task"]) == pytest.approx(task.item(), rel=1e-5)
    # At the start λ is uniform, of which its penalty wants nothing.
    assert (terms["penalty"].item() > 0) == (method == "rpp")
    loss.backward()
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in model.parameters())
    with torch.no_grad():
        final = problem.evaluate(model, "test")
    assert ("degrees" in system.report()) == (method == "pscnn")
    assert set(final["output_centred_by_element"]) == {problem.group.name(g) for g in range(4)}


def test_scnn_cannot_tell_a_mirror_of_the_whole_image(data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, system = make(data, monkeypatch, method="scnn", group="D1")
    model = system.model.eval()
    x = torch.randn(4, 1, 56, 56)
    torch.testing.assert_close(model(x.flip(-1)), model(x), rtol=1e-4, atol=1e-5)
    mirrored = problem.input(x, torch.full((4,), problem.group["s_1"]))
    assert not torch.allclose(model(mirrored), model(x), atol=1e-3)


def test_published_settings() -> None:
    rates = {
        (m, g): DdmnistConfig(method=m, group=g, rate=0.0).resolved().rate
        for m in ("cnn", "ours")
        for g in DDMNIST.groups
    }
    assert rates == {
        ("cnn", "C4"): 0.0005,
        ("cnn", "D1"): 0.001,
        ("cnn", "D4"): 0.0005,
        ("ours", "C4"): 0.001,
        ("ours", "D1"): 0.001,
        ("ours", "D4"): 0.0005,
    }
    assert [DdmnistConfig(group=g).resolved().strength for g in ("C4", "D1", "D4")] == [2, 1, 1]
    assert DdmnistConfig(strength=0.0).resolved().strength == 0
    assert DDMNIST.published["ours", "D4"]["test_accuracy"] == "0.868 (0.002)"


def test_what_was_usual_under_the_first_protocol_is_no_change_there() -> None:
    first = DdmnistConfig(method="cnn", group="D4", rate=0.0, schedule="constant").resolved().identity
    assert changes(first, DDMNIST, 1) == {}
    assert changes(first, DDMNIST) == {"rate": 0.0005, "schedule": "constant"}
    assert changes(DdmnistConfig(method="cnn", group="D4").resolved().identity, DDMNIST) == {}


@pytest.mark.parametrize("latent", ["regular", "trivial", "defining", "wrong"])
def test_latents_of_the_ablation(latent: str) -> None:
    group = eq.groups.direct_product(eq.groups.dihedral(4), eq.groups.dihedral(4))
    action = latent_action(group, latent, 66)
    assert action is not None
    z = torch.randn(64 * 64, 66, dtype=torch.float64)
    g, h = group.elements.repeat_interleave(64), group.elements.repeat(64)
    twice, once = action(action(z, h), g), action(z, group.product(g, h))
    holds = torch.allclose(twice, once)
    assert holds == (latent != "wrong")
    assert torch.equal(action(z, torch.zeros(len(z), dtype=torch.long)), z)
    if latent == "wrong":
        assert torch.equal(action(z, g).sort(1).values, z.sort(1).values)  # a permutation all the same
    if latent == "defining":
        counts = eq.reps.multiplicities(action)
        assert sum(count > 0.5 for count in counts.as_floats().values()) == 3  # two planes and the trivial one


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": 48}, "--features 48 should be at least 64"),
        ({"features": 3, "latent": "defining"}, "--features 3 should be at least 4"),
        ({"strength": -1.0}, "--strength -1.0"),
        ({"shifted_weight": 1.5}, "--shifted-weight 1.5"),
        ({"pair_fraction": 0.0}, "--pair-fraction 0.0"),
        ({"group": "C7"}, "--group 'C7' should be one of C4, D1, D4"),
        ({"method": "magic"}, "--method 'magic'"),
    ],
)
def test_refusals(fields: dict[str, object], message: str) -> None:
    config = DdmnistConfig(device="cpu", **fields).resolved()  # type: ignore[arg-type]
    assert any(message in each for each in problems(DDMNIST, config))


def test_a_narrow_network_is_trained_without_a_latent_to_measure(
    data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, system = make(data, monkeypatch, method="cnn", features=48)
    with torch.no_grad():
        final = problem.evaluate(system.model.eval(), "test")
    assert "latent_relative_error" not in final
    assert len(final["output_centred_by_element"]) == 64
