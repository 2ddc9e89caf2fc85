"""Which samples are trained on, validated and tested: every image carries its number as its brightness."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.data import WINDOWS, ImageData, TypefaceData, held_out
from equilatent.bench.tasks import ddmnist
from equilatent.bench.tasks.ddmnist import DdmnistConfig, DdmnistProblem
from equilatent.bench.tasks.learned import _tmnist as tmnist_task
from equilatent.bench.tasks.learned._cifar10 import Cifar10Config, Cifar10Problem
from equilatent.bench.tasks.learned._mnist import MnistConfig, MnistProblem
from equilatent.bench.tasks.learned._tmnist import TmnistConfig, TmnistProblem

CPU = torch.device("cpu")


def numbered(train: int, test: int, *shape: int) -> ImageData:
    """Images of one brightness each: 0, 1, … those to train on, then those of the test file; any class is everywhere."""
    images = torch.arange(train + test).byte().view(-1, 1, 1, 1).expand(-1, *shape).clone()
    labels = torch.arange(train + test) % 10
    for part in held_out(train, CPU):
        labels[part] = torch.arange(len(part)) % 10
    return ImageData("numbered", 10, images[:train], labels[:train], images[train:], labels[train:])


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# The learned representations


def mnist_numbers(x: Tensor) -> Tensor:
    """The numbers of images that may be turned, or negative, [n, C]."""
    brightness = (x[:, :, x.shape[2] // 2, x.shape[3] // 2] * 255).round().long()
    return torch.minimum(brightness, 255 - brightness)


def cifar10_numbers(x: Tensor) -> Tensor:
    return ((x[:, :1, 0, 0] + 1) * 127.5).round().long()


CASES: dict[str, tuple[Any, Any, Any, tuple[int, ...]]] = {
    **{
        f"mnist {group}": (MnistProblem, MnistConfig(group=group).resolved(), mnist_numbers, (1, 28, 28))
        for group in CATALOGUE["mnist"].groups
    },
    "cifar10 C4": (Cifar10Problem, Cifar10Config(), cifar10_numbers, (3, 32, 32)),
}


@pytest.mark.parametrize("limit", [None, 40])
@pytest.mark.parametrize("name", CASES)
def test_a_tenth_of_the_training_file_validates_and_the_test_file_tests(name: str, limit: int | None) -> None:
    make, config, numbers, shape = CASES[name]
    data = numbered(100, 20, *shape)
    problem = make(replace(config, limit=limit), CPU, data)
    count = limit or 100
    assert problem.samples == count - count // 10
    train = numbers(problem.batch(torch.arange(problem.samples), seeded())[0])
    validation, test = (numbers(problem.evaluation[split][0]) for split in ("validation", "test"))
    # Each once, and none in two of them.
    assert len(validation) == count // 10
    assert sorted([*train[:, 0].tolist(), *validation[:, 0].tolist()]) == list(range(count))
    assert test[:, 0].tolist() == list(range(100, 120))
    # Where an image is made of several, they are of the same part.
    for part in (train, validation, test):
        assert set(part.flatten().tolist()) == set(part[:, 0].tolist())
    assert train.shape[1] == (4 if "A4" in name else 1)
    # The same whenever the problem is made, and a limit takes the first.
    again = make(replace(config, limit=limit), CPU, data)
    for split in ("validation", "test"):
        for one, other in zip(problem.evaluation[split], again.evaluation[split], strict=True):
            assert torch.equal(one, other)
    # Classes stay with their images.
    if "cifar10" in name:
        labels = torch.cat([data.train_y, data.test_y])
        for split, found in (("validation", validation), ("test", test)):
            assert torch.equal(problem.evaluation[split][1], labels[found[:, 0]])
        assert torch.equal(problem.batch(torch.arange(problem.samples), seeded())[1], labels[train[:, 0]])
    else:  # an autoencoder's target is its input
        assert all(torch.equal(x, y) for x, y, _ in problem.evaluation.values())


@pytest.mark.parametrize("name", CASES)
def test_evaluated_samples_have_an_element_each_drawn_once(name: str) -> None:
    make, config, _, shape = CASES[name]
    problem = make(config, CPU, numbered(100, 100, *shape))
    for x, _, g in problem.evaluation.values():
        assert g.shape == (len(x),)
        assert set(g.tolist()) <= set(range(problem.group.order))
    counts = problem.evaluation["test"][2].bincount(minlength=problem.group.order)
    assert counts.min() > 0
    assert counts.max() < 4 * 100 / problem.group.order


def test_views_of_typefaces_are_drawn_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tmnist_task, "_EVALUATION_VIEWS", 60)
    brightness = 100 * torch.arange(2)[:, None] + 10 * torch.arange(10) + 5
    glyphs = TypefaceData(brightness.byte()[:, :, None, None].expand(2, 10, 28, 28), ("one", "other"), {})
    problem = TmnistProblem(TmnistConfig(limit=50), CPU, glyphs)
    problem.start_epoch(seeded())
    assert problem.samples == 50
    views = {"train": problem.batch(torch.arange(50), seeded())[0]}
    views |= {split: problem.evaluation[split][0] for split in ("validation", "test")}
    assert [len(view) for view in views.values()] == [50, 60, 60]
    for view in views.values():
        here, there = (view[:, :, 14, 14] * 255).round().long().unbind(1)
        assert torch.equal(here % 100, there % 100)  # the same digit in the other typeface
        assert torch.equal(here // 100 + there // 100, torch.ones_like(here))
        assert len(set(here.tolist())) > 15
    # Each part has views of its own; those that are evaluated stay, those that are trained on do not.
    pictures = {name: {picture.numpy().tobytes() for picture in view[:, 0]} for name, view in views.items()}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not pictures[one] & pictures[other]
    problem.start_epoch(seeded(4))
    assert not torch.equal(problem.batch(torch.arange(50), seeded())[0], views["train"])
    again = TmnistProblem(TmnistConfig(), CPU, glyphs)
    assert torch.equal(again.evaluation["test"][0], views["test"])
    assert again.samples == 8000
    for x, y, g in problem.evaluation.values():
        assert torch.equal(x, y) and g.tolist() == [1] * len(x)


# Pairs of digits


def ddmnist_numbers(images: Tensor) -> Tensor:
    """The numbers of the left and the right digit, however they are transformed, [n, 2]."""
    raw = (images * math.sqrt(0.3081) + 0.5 * 0.1307) * 255
    return torch.stack([raw[(slice(None), 0, *window)][:, 13, 13] for window in WINDOWS], 1).round().long()


@pytest.mark.parametrize("group", CATALOGUE["ddmnist"].groups)
def test_pairs_are_made_of_the_digits_of_their_part(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("_TRAINING", 6), ("_VALIDATION", 2), ("_TEST", 3)):
        monkeypatch.setattr(ddmnist, name, count)
    data = numbered(200, 50, 1, 28, 28)
    labels = torch.cat([data.train_y, data.test_y])
    problem = DdmnistProblem(DdmnistConfig(group=group), CPU, data)
    assert problem.samples == 600
    pairs = {"train": problem.train, "plain": problem.plain, **problem.evaluation}
    numbers = {name: ddmnist_numbers(part.images) for name, part in pairs.items()}
    assert {name: len(part) for name, part in numbers.items()} == {
        "train": 600,
        "plain": 300,
        "validation": 200,
        "test": 300,
    }
    digits = {name: set(part.flatten().tolist()) for name, part in numbers.items()}
    # A tenth of the training file, without those that are trained on.
    assert digits["validation"] <= set(range(200)) and len(digits["validation"]) == 20
    assert digits["train"] <= set(range(200)) - digits["validation"] and len(digits["train"]) > 170
    assert digits["test"] <= set(range(200, 250)) and len(digits["test"]) > 40
    # The transformed test pairs are those as they are, and the class is that of both digits.
    assert torch.equal(numbers["test"], numbers["plain"])
    assert torch.equal(pairs["test"].classes, problem.plain.classes)
    for name, part in pairs.items():
        assert torch.equal(part.classes, 10 * labels[numbers[name][:, 0]] + labels[numbers[name][:, 1]])
        assert part.classes.bincount().tolist() == [len(part.classes) // 100] * 100
    x, y = problem.batch(torch.arange(600), seeded())
    assert torch.equal(ddmnist_numbers(x), numbers["train"])
    assert torch.equal(y, problem.train.classes)
    # A limit takes the first pairs to train on, and changes nothing else.
    some = DdmnistProblem(DdmnistConfig(group=group, limit=30), CPU, data)
    assert some.samples == 30
    assert torch.equal(some.train.images, problem.train.images[:30])
    for split in ("validation", "test"):
        assert torch.equal(some.evaluation[split].images, problem.evaluation[split].images)
