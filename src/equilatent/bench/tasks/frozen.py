"""What an equivariant latent is for: an encoder is trained on half of the classes and frozen, and its latents are asked.

Search in any orientation, relative pose, and a new task, which class and in which pose, for classes that the encoder has
not been trained on, from latents of upright images that were stored once.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent._statistics import effective_rank
from equilatent.actions import Action
from equilatent.bench.architecture import LAYERS, Block, Conv, WholeImageClassifier
from equilatent.bench.data import ImageData, cifar10, held_out, mnist
from equilatent.bench.group_names import group_of
from equilatent.bench.harness.task import Control, Problem, Quantity, Split, Task
from equilatent.bench.jitter import Jitter
from equilatent.bench.latent_questions import (
    Encode,
    HeadTraining,
    Way,
    fit_maps,
    head_accuracy,
    in_all_poses,
    mapped,
    pose_accuracy,
    recall,
    reencoded,
    represented,
    train_head,
)
from equilatent.bench.latent_term_config import LatentTermConfig
from equilatent.bench.latents import latent_action

__all__ = ["FROZEN", "FrozenConfig", "FrozenProblem", "Questions"]

#: The classes 0 … 4 train the encoder; 5 … 9 are new to it.
SEEN = 5
#: Images on which linear maps are fitted afterwards, and those on which the error of equivariance is measured.
_FITTED, _MEASURED = 2000, 200
#: The most queries, and the most images of new classes that a head is asked about in all poses.
_QUERIES: Mapping[Split, int] = {"validation": 1000, "test": 2000}
_POSED: Mapping[Split, int] = {"validation": 500, "test": 1000}
#: Images of each new class whose latents are stored, and how many such sets are drawn, with a head for each.
_EXAMPLES, _DRAWS = 20, 3
#: Images that are encoded at once.
_BLOCK = 500
#: Chosen on validation images of the new classes, with seeds that no table shows.
_HEAD, _RIDGE = HeadTraining(450), 1e-3


@dataclass(frozen=True)
class _Dataset:
    """A data set, and what is the same for all systems on it.

    Attributes:
        load: from a folder.
        network: the encoder's table, but for the last 1×1 convolution.
        features: of the latent.
        epochs, batch, rate: of the training.
        jitter: how much two pictures of one thing differ, by the name of the strength.
    """

    load: Callable[[Path | None], ImageData]
    network: tuple[Block, ...]
    channels: int
    side: int
    features: int
    epochs: int
    batch: int
    rate: float
    jitter: Mapping[str, Jitter]


_DATASETS = {
    "mnist": _Dataset(
        load=mnist,
        network=(Conv(32, 4, 2, 1), Conv(32, 4, 2, 1), Conv(32, 3), Conv(40, 5)),
        channels=1,
        side=28,
        features=80,
        epochs=3,
        batch=128,
        rate=0.003,
        jitter={
            "mild": Jitter(shift=1, scale=0.05, noise=0.05),
            "strong": Jitter(shift=2, scale=0.15, noise=0.1),
        },
    ),
    "cifar10": _Dataset(
        load=cifar10,
        network=(Conv(32, 4, 2, 1), Conv(48, 4, 2, 1), Conv(96, 4, 2, 1), Conv(152, 4)),
        channels=3,
        side=32,
        features=192,
        epochs=12,
        batch=64,
        rate=0.001,
        jitter={
            "mild": Jitter(crop=0.1, contrast=0.1, brightness=0.1, colour=0.05, noise=0.02),
            "strong": Jitter(crop=0.3, contrast=0.3, brightness=0.2, colour=0.15, noise=0.05),
        },
    ),
}


@dataclass(frozen=True)
class FrozenConfig(LatentTermConfig):
    """An encoder that is trained on half of the classes, frozen, and asked about its latents."""

    group: str = "D4"
    """What transforms the whole image: C4 or D4."""
    dataset: Literal["mnist", "cifar10"] = "mnist"
    """The images: all of MNIST, or CIFAR10."""
    jitter: Literal["none", "mild", "strong"] = "none"
    """How much two pictures of one thing differ besides the group: in training, and items from queries."""
    epochs: int = 0
    """Passes over the training samples, at most; 0 for those of the data set."""
    batch: int = 0
    """Samples in a batch; 0 for those of the data set."""
    rate: float = 0.0
    """Learning rate of Adam; 0 for that of the data set."""
    patience: int = 1000
    """Stop when the validation error has not improved for so many epochs; the schedule wants all of them."""
    min_change: float = 0.0
    """The least decrease of the validation error that counts as an improvement."""
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    """The learning rate over the run: constant, falling to 0 along half a cosine, or times 0.95 after every epoch."""
    channels_last: bool = True
    """Keep images with the channels last in memory, which is faster for convolutions on most processors."""
    features: int = 0
    """Features of the latent, copies of the regular representation; 0 for those of the data set."""
    strength: float = 1.0
    """λ, the weight of the latent term of ours."""
    layer: Literal["encoder", "norm"] = "norm"
    """The latent of ours: the output of the batch norm, which is what is asked, or of the encoder before it."""
    latent: Literal["regular", "trivial", "wrong"] = "regular"
    """The representation of ours on the latent; wrong is a permutation drawn for each element, which is none."""
    decorrelation: float = 3.0
    """The weight of the decorrelation of the latent of ours."""

    def resolved(self) -> Self:
        """With the settings of the data set."""
        names = ("epochs", "batch", "rate", "features")
        known = _DATASETS.get(self.dataset)
        return dataclasses.replace(
            self, **{name: getattr(self, name) or getattr(known, name) for name in names if known}
        )

    def problems(self) -> list[str]:
        """What is wrong with the fields, in words."""
        wrong = super().problems()
        for name, value, choices in (
            ("dataset", self.dataset, _DATASETS),
            ("jitter", self.jitter, ("none", "mild", "strong")),
        ):
            if value not in choices:
                wrong.append(f"--{name} {value!r} should be one of {', '.join(choices)}")
        group = group_of(self.group)
        if group is not None and (self.features < group.order or self.features % group.order):
            wrong.append(f"--features {self.features} should be a multiple of {group.order}, the order of {self.group}")
        return wrong


def network(config: FrozenConfig) -> WholeImageClassifier:
    """The classifier of the data set: 62,365 parameters of ordinary layers for MNIST, 365,021 for CIFAR10."""
    known = _DATASETS[config.dataset]
    return WholeImageClassifier(known.network, config.features, SEEN, known.channels, known.side)


@dataclass(frozen=True)
class Questions:
    """What latents are asked about the images of a split.

    Attributes:
        index: all of them, upright, each jittered, in an order of their own, [N, C, H, W].
        queries: the first of them, each jittered anew and then transformed by its element.
        elements: these elements, LongTensor [Q].
        new: images of new classes, upright, [M, C, H, W].
        labels: their classes, counted from 0, LongTensor [M].
    """

    index: Tensor
    queries: Tensor
    elements: Tensor
    new: Tensor
    labels: Tensor


class FrozenProblem(Problem):
    """Images of half of the classes to train on, and questions about all.

    Attributes:
        act: how the group acts on images, exactly; `input` jitters what it has transformed, unless there is no jitter.
        known: for each split held-out images of the seen classes, each transformed by an element drawn once, the same for
            all systems and seeds, and their classes.
        questions: for each split.
        few: for each draw a few training images of each new class, upright, and their classes, counted from 0.
        fitted: training images of seen classes, upright, on which maps are fitted.
    """

    def __init__(self, config: FrozenConfig, device: torch.device, data: ImageData | None = None) -> None:
        self.config, self.device = config, device
        data = data or _DATASETS[config.dataset].load(config.data)
        self.provenance = data.provenance or {}
        group = group_of(config.group)
        assert group is not None  # of a configuration that has been checked
        self.group = group
        self.act: Action = eq.actions.image(group).to(device)
        self.jitter = _DATASETS[config.dataset].jitter.get(config.jitter)
        self._generator = torch.Generator(device=device)
        self.input = eq.actions.function(group, self._transformed_and_jittered) if self.jitter else self.act
        self.output = eq.actions.trivial(group)
        self.latent = latent_action(group, config.latent, config.features)
        train, validation = held_out(len(data.train_x), torch.device("cpu"))
        parts: dict[Split, tuple[Tensor, Tensor]] = {
            "validation": (data.train_x[validation], data.train_y[validation]),
            "test": (data.test_x, data.test_y),
        }
        images, labels = data.train_x[train], data.train_y[train]
        seen = (labels < SEEN).nonzero()[: config.limit, 0]
        self.train = images[seen].to(device), labels[seen].to(device)
        self.samples = len(seen)
        self.fitted = _pixels(self.train[0][:_FITTED])
        self.few = [self._few(images, labels, 20 + draw) for draw in range(_DRAWS)]
        self.known = {split: self._known(*part, number) for number, (split, part) in enumerate(parts.items())}
        self.questions = {
            split: self._questions(split, *part, 10 + number) for number, (split, part) in enumerate(parts.items())
        }

    def start_epoch(self, generator: torch.Generator) -> None:
        """The jitter of second views is drawn from the epoch's generator too."""
        self._generator = generator

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images, each transformed by an element drawn anew and jittered, and their classes."""
        g = self.group.sample(len(indices), generator=generator, device=self.device)
        images = self._jittered(self.act(_pixels(self.train[0][indices]), g), generator)
        return images, self.train[1][indices]

    def task_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy."""
        return F.cross_entropy(output, target)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        """The share of transformed images of seen classes that are classified wrongly, and the task loss; no jitter.

        At the end accuracy instead, the error of equivariance and the effective rank of the latent, and what the latents
        answer in each of three ways: ρ(g)z, affine maps fitted afterwards, and |G| passes of the encoder. The same
        questions about validation images are answered too, under ``validation``: settings are chosen by these.
        """
        images, classes = self.known[split]
        scores = torch.cat([model(some) for some in images.split(_BLOCK)])
        error = float((scores.argmax(1) != classes).double().mean())
        task = float(F.cross_entropy(scores, classes))
        if split == "validation":
            return {"error": error, "task": task}
        latent = self.latent
        assert latent is not None  # of a configuration that has been checked
        norm = LAYERS["norm"]
        layers = nn.Sequential(model.get_submodule("encoder"), model.get_submodule(norm))

        def encode(images: Tensor) -> Tensor:
            return torch.cat([layers(some) for some in images.split(_BLOCK)])

        measured = images[:_MEASURED]
        errors = eq.metrics.equivariance_error(model, self.act, latent, measured, layer=norm, batch_size=_BLOCK)
        z = encode(images)
        ways = {
            "rho": represented(latent),
            "maps": mapped(self.group, fit_maps(in_all_poses(self.act, encode, self.fitted), _RIDGE)),
            "passes": reencoded(self.group),
        }
        trained = any(weights.numel() for weights in layers.parameters())
        answers = self._answers(ways, encode)
        return {
            "test_accuracy": 1 - error,
            "test_task": task,
            "latent_relative_error": errors.mean_relative,
            "latent_centred_error": errors.mean_centred,
            "latent_features": z.shape[1],
            "effective_rank": float(effective_rank(z)),
            **answers["test"],
            "encoder_passes": {name: way.passes * trained for name, way in ways.items()},
            "maps_fitting_passes": self.group.order * len(self.fitted) * trained,
            "validation": answers["validation"],
        }

    def _answers(self, ways: Mapping[str, Way], encode: Encode) -> dict[Split, dict[str, float]]:
        """The shares of questions that are answered correctly, for each split and in each way."""
        heads = {
            name: [
                train_head(way, way.encode(self.act, encode, images), classes, SEEN, _HEAD, draw)
                for draw, (images, classes) in enumerate(self.few)
            ]
            for name, way in ways.items()
        }
        found: dict[Split, dict[str, float]] = {}
        for split, asked in self.questions.items():
            items, new = encode(asked.index), in_all_poses(self.act, encode, asked.new)
            poses = in_all_poses(self.act, encode, asked.queries)
            answers = found[split] = {}
            for name, way in ways.items():
                queries = poses[:, 0] if way.passes == 1 else poses  # as Way.encode has it, from the same passes
                one, ten = recall(way, items, queries, (1, 10))
                shares = [head_accuracy(head, self.group, new, asked.labels) for head in heads[name]]
                answers |= {
                    f"{name}_search_1": one,
                    f"{name}_search_10": ten,
                    f"{name}_pose": pose_accuracy(way, items, queries, asked.elements),
                    f"{name}_head": statistics.fmean(shares),
                }
        return found

    def _jittered(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return self.jitter(images, generator) if self.jitter else images

    def _transformed_and_jittered(self, images: Tensor, g: Tensor) -> Tensor:
        return self._jittered(self.act(images, g), self._generator)

    def _few(self, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        rows = torch.cat([order[labels[order] == label][:_EXAMPLES] for label in range(SEEN, 2 * SEEN)])
        return _pixels(images[rows]).to(self.device), (labels[rows] - SEEN).to(self.device)

    def _known(self, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        seen = labels < SEEN
        g = self.group.sample(int(seen.sum()), generator=torch.Generator().manual_seed(seed))
        return self.act(_pixels(images[seen]).to(self.device), g.to(self.device)), labels[seen].to(self.device)

    def _questions(self, split: Split, images: Tensor, labels: Tensor, seed: int) -> Questions:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(labels), generator=generator)
        upright, labels = _pixels(images[order]), labels[order]
        queries = upright[: _QUERIES[split]]
        elements = self.group.sample(len(queries), generator=generator)
        new = (labels >= SEEN).nonzero()[: _POSED[split], 0]
        return Questions(
            index=self._jittered(upright, generator).to(self.device),
            queries=self.act(self._jittered(queries, generator).to(self.device), elements.to(self.device)),
            elements=elements.to(self.device),
            new=upright[new].to(self.device),
            labels=(labels[new] - SEEN).to(self.device),
        )


def _pixels(images: Tensor) -> Tensor:
    return images.float() / 255


def _three(key: str, heading: str) -> tuple[Quantity, ...]:
    """A number in each of the three ways."""
    ways = {"rho": "ρ(g)z", "maps": "maps fitted afterwards", "passes": "|G| passes"}
    return tuple(Quantity(f"{name}_{key}", f"{heading}, {way}", "higher", 3) for name, way in ways.items())


FROZEN = Task(
    name="frozen",
    title="Frozen encoder",
    table="What the latent term is for",
    config=FrozenConfig,
    groups={"C4": "quarter turns of the image", "D4": "quarter turns and mirrors of the image"},
    load=FrozenProblem,
    architecture=network,
    quantities=(
        *_three("search_1", "search, first"),
        *_three("search_10", "search, among ten"),
        *_three("pose", "relative pose"),
        *_three("head", "new task"),
        Quantity("encoder_passes", "passes"),
        Quantity("test_accuracy", "test accuracy", "higher", 3),
        Quantity("latent_centred_error", "latent, centred error", "lower"),
        Quantity("effective_rank", "effective rank", None, 1),
        Quantity("latent_features", "features"),
        Quantity("parameters", "parameters"),
    ),
    criterion="error",
    baseline="cnn",
    budget=("limit", "epochs", "batch"),
    settings=("dataset", "jitter"),
    controls=(
        Control("the same training without the latent term", "ours", {"strength": 0.0}),
        Control("without decorrelation", "ours", {"decorrelation": 0.0}),
        Control("consistent outputs instead", "ours", {"strength": 0.0, "consistency": 0.3}),
        Control("an invariant latent", "ours", {"latent": "trivial"}),
        Control("a wrong representation", "ours", {"latent": "wrong"}),
        Control("an exactly equivariant encoder", "exact"),
        Control("no encoder", "thumbnail"),
    ),
)
