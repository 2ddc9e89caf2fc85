"""The task medmnist3d: its numbers as MedMNIST defines them, what is transformed, the losses, and the resizing."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.architecture import Resize
from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.data import ImageData
from equilatent.bench.harness.run import problems
from equilatent.bench.harness.system import System
from equilatent.bench.latents import latent_action
from equilatent.bench.systems.ordinary import resized_volume
from equilatent.bench.tasks import medmnist3d
from equilatent.bench.tasks.medmnist3d import Medmnist3dConfig, Medmnist3dProblem, accuracy, auc, group_of_volumes
from equilatent.errors import DataError

CPU = torch.device("cpu")
TASK = CATALOGUE["medmnist3d"]


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, seed: int) -> Tensor:
    return torch.randint(256, (count, 1, 28, 28, 28), generator=seeded(seed)).byte()


@pytest.fixture(scope="module")
def data() -> ImageData:
    y = torch.arange(24) % 2
    return ImageData("noise", 2, noise(24, 0), y, noise(6, 1), y[:6], noise(8, 2), y[:8], {"files": {}})


def make(data: ImageData, **fields: Any) -> tuple[Medmnist3dProblem, System]:
    torch.manual_seed(0)
    width = {"width": 1, "features": 48, **fields}
    config = dataclasses.replace(Medmnist3dConfig(**width), device="cpu").resolved()
    assert problems(TASK, config) == []
    problem = Medmnist3dProblem(config, CPU, data)
    return problem, TASK.systems[config.method](problem, TASK.architecture(config), config, 0)


# ------------------------------------------------------------------------------------------------------------------
# AUC and accuracy


def area(shares: Tensor, positive: Tensor) -> float:
    """How often one of the class has a larger share than one of the others; half of it if they are level."""
    pairs = [float(a > b) + float(a == b) / 2 for a, b in itertools.product(shares[positive], shares[~positive])]
    return sum(pairs) / len(pairs)


@pytest.mark.parametrize("classes", [2, 3, 11])
def test_auc_by_counting_pairs(classes: int) -> None:
    labels = torch.arange(66) % classes
    # Rounded, so that some are level.
    scores = (torch.randn(66, classes, generator=seeded()) + F.one_hot(labels, classes)).mul(2).round().double() / 2
    shares = scores.softmax(1)
    if classes == 2:
        expected = area(shares[:, 1], labels == 1)
    else:
        expected = sum(area(shares[:, label], labels == label) for label in range(classes)) / classes
    assert 0.55 < expected < 0.95
    assert auc(scores, labels) == pytest.approx(expected, abs=1e-12)


def test_shares_and_not_scores_are_compared_between_samples() -> None:
    """Adding a number to all scores of a sample says nothing of its class."""
    labels = torch.arange(30) % 3
    scores = torch.randn(30, 3, generator=seeded()).double()
    shifted = scores + 10 * torch.randn(30, 1, generator=seeded(4)).double()
    assert auc(shifted, labels) == pytest.approx(auc(scores, labels), abs=1e-12)


def test_accuracy_of_two_classes_is_by_the_threshold_of_one_half() -> None:
    scores = torch.tensor([[0.0, 0.1], [0.0, -0.1], [0.0, 0.0], [0.3, 0.3]]).double()
    above = scores.softmax(1)[:, 1] > 0.5
    for labels in itertools.product([0, 1], repeat=4):
        expected = float((above == torch.tensor(labels).bool()).double().mean())
        assert accuracy(scores, torch.tensor(labels)) == expected


def test_a_class_that_is_missing_is_named(data: ImageData) -> None:
    lacking = dataclasses.replace(data, val_y=torch.ones(8).long())
    with pytest.raises(DataError, match="validation split there is none of class 0"):
        make(lacking)


class Upright(nn.Module):
    """Tells the class from a bright voxel near a corner, if the other bright voxel is where it is put; else says the
    opposite."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = nn.Flatten(), nn.Sequential(nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        self.head(self.encoder(x))
        sign = torch.where(x[:, 0, 1, 2, 3] > 0, 1.0, -1.0)
        values = x[:, 0].flatten(1).sort(1).values[:, -2]  # the largest but the mark
        return torch.stack([-sign * values, sign * values], 1)


def marked(count: int) -> tuple[Tensor, Tensor]:
    """A mark, and a voxel in the middle that is bright in class 1."""
    y = torch.arange(count) % 2
    x = torch.zeros(count, 1, 28, 28, 28, dtype=torch.uint8)
    x[:, 0, 1, 2, 3] = 255
    x[:, 0, 14, 14, 14] = (100 + 50 * y + torch.arange(count)).byte()
    return x, y


def test_numbers_of_a_model_that_reads_upright_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ImageData("marked", 2, *marked(8), *marked(20), *marked(10), {"files": {}})
    problem, _ = make(data)
    monkeypatch.setattr(problem, "latent", None)
    found = problem.evaluate(Upright(), "validation")
    # Classes are ordered by the voxel's brightness, and a number is above one half from 128 on.
    upright = problem.elements["validation"] == 0
    right = (marked(10)[0][:, 0, 14, 14, 14] > 127) == marked(10)[1].bool()
    assert right.float().mean() > 0.5
    assert found["auc"] == 1.0
    assert found["accuracy"] == pytest.approx(float(right.float().mean()))
    assert found["accuracy_transformed"] == pytest.approx(float((right == upright).float().mean()))
    assert found["auc_transformed"] < 0.5
    final = problem.evaluate(Upright(), "test")
    right = (marked(20)[0][:, 0, 14, 14, 14] > 127) == marked(20)[1].bool()
    assert final["test_auc"] == 1.0 and final["test_accuracy"] == pytest.approx(float(right.float().mean()))
    # 23 of 24 turned volumes are read wrongly.
    assert final["test_auc_orbit"] == 0.0 and final["test_accuracy_orbit"] == pytest.approx(1 - final["test_accuracy"])
    assert final["consistency"] < 0.1
    assert set(final["output_centred_by_element"]) == set(problem.group.names)


# ------------------------------------------------------------------------------------------------------------------
# What is transformed, and the losses


@pytest.mark.parametrize("name", ["S4", "S4xC2"])
def test_the_group_is_that_of_the_cube(name: str) -> None:
    G = group_of_volumes(name)
    assert G is not None
    points = torch.zeros(1, 1, 5, 5, 5)
    points[0, 0, 3, 4, 2], points[0, 0, 1, 2, 0] = 1, 2
    every = eq.actions.volume(G)(points.expand(G.order, -1, -1, -1, -1), G.elements)
    rotations = Rotation.create_group("O").as_matrix().round()
    signs = [1] if name == "S4" else [1, -1]
    where = np.array([[1, 2, 0], [-1, 0, -2]])
    expected = {tuple((sign * where @ matrix.T).astype(int).flatten()) for matrix in rotations for sign in signs}
    found = {
        tuple(np.concatenate([np.argwhere(volume[0].numpy() == value)[0] - 2 for value in (1, 2)])) for volume in every
    }
    assert found == expected and len(found) == G.order
    assert (eq.groups.isomorphism(G, eq.groups.symmetric(4)) is not None) == (name == "S4")


def test_batches_are_normalised_and_not_transformed(data: ImageData) -> None:
    problem, _ = make(data)
    assert problem.train[0].dtype == torch.uint8 and not problem.transformed
    x, y = problem.batch(torch.tensor([3, 1]), seeded())
    torch.testing.assert_close(x, (data.train_x[[3, 1]].float() / 255 - 0.5) / 0.5)
    assert y.tolist() == [1, 1]


def test_a_limit_takes_the_first_training_volumes_alone(data: ImageData) -> None:
    problem, _ = make(data, limit=20)
    assert problem.samples == 20 and torch.equal(problem.train[0], data.train_x[:20])
    assert len(problem.volumes["test"][1]) == 6


@pytest.mark.parametrize("method", ["plain", "cnn"])
def test_the_cnn_trains_on_transformed_volumes_and_plain_on_them_as_they_are(method: str, data: ImageData) -> None:
    problem, system = make(data, method=method)
    model = system.model.eval()
    x, y = problem.batch(torch.arange(8), seeded())
    loss, _ = system.loss(x, y, seeded(5))
    g = problem.group.sample(8, generator=seeded(5))
    transformed = torch.stack([problem.input(x[i : i + 1], g[i : i + 1])[0] for i in range(8)])
    expected = F.cross_entropy(model(x if method == "plain" else transformed), y)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert not torch.equal(x, transformed)


@pytest.mark.parametrize("latent", ["regular", "reversed"])
def test_loss_of_ours_on_volumes(latent: str, data: ImageData) -> None:
    problem, system = make(data, latent=latent, strength=0.7)
    model: Any = system.model.eval()
    x, y = problem.batch(torch.arange(8), seeded(1))
    loss, _ = system.loss(x, y, seeded(5))
    G = problem.group
    g = G.sample(8, generator=seeded(5))
    z, transformed = model.encoder(x), problem.input(x, g)
    assert z.shape == (8, 48)
    rho = eq.reps.padded_regular(G, 48)
    matrices = torch.stack([rho.matrix(int(G.inverse(int(h)) if latent == "reversed" else h)) for h in g]).float()
    distance = F.mse_loss((matrices @ z[..., None])[..., 0], model.encoder(transformed))
    tasks = 0.5 * F.cross_entropy(model(x), y) + 0.5 * F.cross_entropy(model(transformed), y)
    assert loss.item() == pytest.approx((tasks + 0.7 * distance).item(), rel=1e-5)


def test_the_reversed_pairing_composes_in_the_wrong_order_and_leaves_two_dimensions_of_a_copy() -> None:
    G = eq.groups.octahedral()
    act = latent_action(G, "reversed", 24)
    assert act is not None
    eye = torch.eye(24, dtype=torch.float64)
    matrices = torch.stack([act(eye, torch.full((24,), g)).T for g in range(24)])
    g, h = G.elements.repeat_interleave(24), G.elements.repeat(24)
    products = matrices[g] @ matrices[h]
    wrong_order = products - matrices[G.product(h, g)]
    assert wrong_order.abs().max() == 0
    # A latent with f(gx) = ρ(g⁻¹) f(x) for all g has to be where both orders agree.
    both = (products - matrices[G.product(g, h)]).flatten(0, 1)
    assert 24 - int(torch.linalg.matrix_rank(both)) == 2
    agree = int((products == matrices[G.product(g, h)]).flatten(1).all(1).sum())
    assert agree == 120  # the commuting pairs


# ------------------------------------------------------------------------------------------------------------------
# Resizing, settings, sizes


@pytest.mark.parametrize(("interpolation", "commuting"), [("nearest", 3), ("linear", 24)])
def test_turns_that_commute_with_the_resizing(interpolation: Any, commuting: int) -> None:
    G = eq.groups.octahedral()
    act, resize = eq.actions.volume(G), resized_volume(Resize(29, interpolation))
    x = torch.randn(1, 1, 28, 28, 28, generator=seeded(), dtype=torch.float64)
    once = resize(x)
    differences = [
        float((resize(act(x, torch.tensor([g]))) - act(once, torch.tensor([g]))).abs().max()) for g in range(24)
    ]
    assert sum(difference < 1e-12 for difference in differences) == commuting


def test_settings_of_table_10_and_of_the_other_sets() -> None:
    def settings(**fields: Any) -> tuple[Any, ...]:
        config = Medmnist3dConfig(**fields).resolved()
        return config.rate, config.strength, config.epochs, config.width, config.features, config.resize

    assert settings() == (0.00005, 1, 150, 7, 56, "nearest")
    assert settings(dataset="synapse") == (0.0001, 1, 150, 7, 56, "nearest")
    assert settings(dataset="organ", method="cnn") == (0.0001, 2, 150, 7, 56, "nearest")
    assert settings(dataset="adrenal", strength=0.0)[:3] == (0.001, 0, 25)
    assert settings(resize="trilinear", width=6)[3:] == (6, 48, "trilinear")
    assert Medmnist3dConfig().resolved().batch == 32


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "lung"}, "--dataset 'lung' should be one of nodule"),
        ({"width": 2}, "--features 16 should be at least 24"),
        ({"width": 5, "group": "S4xC2", "latent": "reversed"}, "--features 40 should be at least 48"),
        ({"width": -1, "features": 48}, "--width -1"),
    ],
)
def test_settings_that_are_refused(fields: dict[str, Any], message: str) -> None:
    config = Medmnist3dConfig(**fields, device="cpu").resolved()
    assert any(message in problem for problem in problems(TASK, config))
    assert (
        problems(TASK, dataclasses.replace(Medmnist3dConfig(width=1, latent="trivial"), device="cpu").resolved()) == []
    )


@pytest.mark.parametrize(("dataset", "classes", "count"), [("nodule", 2, 191_942), ("organ", 11, 192_455)])
def test_the_network_has_the_parameters_of_table_5(dataset: Any, classes: int, count: int) -> None:
    """0.19 million; nine more classes are 9·57 weights more."""
    config = Medmnist3dConfig(dataset=dataset, method="cnn").resolved()
    model = TASK.systems["cnn"](None, TASK.architecture(config), config, 0).model  # type: ignore[arg-type]
    assert sum(weights.numel() for weights in model.parameters()) == count
    assert model(torch.zeros(2, 1, 28, 28, 28)).shape == (2, classes)


def test_table_5() -> None:
    assert TASK.published["ours", "S4", "organ"] == {"test_accuracy": "0.642 (0.056)", "parameters": "0.19 M"}
    assert TASK.published["pscnn", "S4xC2", "nodule"]["parameters"] == "3.51 M"
    assert {(method, group) for method, group, _ in TASK.published} >= {
        ("cnn", "S4"),
        ("plain", "S4"),
        ("rpp", "S4xC2"),
    }
    assert medmnist3d.MEDMNIST3D.quantities[0].name == "test_auc"


def test_which_data_are_loaded(data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    for name in ("brain", "medmnist3d"):
        monkeypatch.setattr(medmnist3d, name, lambda *of, name=name: asked.append((name, *of[:-1])) or data)
    for dataset in ("organ", "tissue", "hemisphere"):
        Medmnist3dProblem(Medmnist3dConfig(dataset=dataset).resolved(), CPU)  # type: ignore[arg-type]
    assert asked == [("medmnist3d", "organmnist3d", 28), ("brain", "tissue"), ("brain", "hemisphere")]


@pytest.mark.parametrize("group", ["S4", "S4xC2"])
@pytest.mark.parametrize("method", ["scnn", "rpp", "pscnn"])
def test_steerable_systems_train_on_volumes_as_they_are(method: str, group: str, data: ImageData) -> None:
    problem, system = make(data, method=method, group=group, features=8)
    model: Any = system.model.eval()
    assert system.latent is not None and problem.config.resize == "trilinear" and problem.config.rate == 0.001
    x, y = problem.batch(torch.arange(2), seeded())
    loss, terms = system.loss(x, y, seeded(5))
    expected = F.cross_entropy(model(x), y)
    assert float(terms["task"]) == pytest.approx(expected.item(), rel=1e-4)
    assert loss.item() == pytest.approx(expected.item() + float(terms["penalty"]), rel=1e-4)
    assert (float(terms["penalty"]) > 1e-4) == (method == "rpp")
    assert set(system.report().get("degrees", [])) == ({"block2", "block4", "block5"} if method == "pscnn" else set())


def test_nearest_resizing_is_refused_where_the_network_is_to_be_equivariant() -> None:
    config = dataclasses.replace(Medmnist3dConfig(method="scnn", resize="nearest"), device="cpu").resolved()
    assert any("--resize nearest is not equivariant" in problem for problem in problems(TASK, config))
    assert (config.width, config.features, config.epochs) == (6, 48, 150)
