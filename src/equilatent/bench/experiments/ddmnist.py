"""Table 4: two digits, each moved on its own (paper, section 6.1 and appendix C.1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import Action, SupportsAction
from equilatent.bench.baselines import ddmnist_pscnn, ddmnist_restriction, ddmnist_rpp, ddmnist_scnn
from equilatent.bench.comparison import Comparison
from equilatent.bench.config import RunConfig
from equilatent.bench.data import WINDOWS, DigitPairs, ImageData, digit_pairs, held_out, mnist
from equilatent.bench.group_names import group_of
from equilatent.bench.networks import ddmnist_cnn
from equilatent.bench.recipe import Experiment, Recipe
from equilatent.groups import Group
from equilatent.objective import Distance

__all__ = ["DDMNIST"]

#: How each group moves a digit; both are moved by the product of the group with itself.
_GROUPS = {
    "C4": "quarter turns of each digit",
    "D1": "mirror of each digit, left and right",
    "D4": "quarter turns and mirrors of each digit",
}
#: Table 9; the systems that are not there have the learning rate of Veefkind & Cesa.
_RATES = {("cnn", "D1"): 0.001, ("ours", "C4"): 0.001, ("ours", "D1"): 0.001}
_STRENGTHS = {"C4": 2.0, "D1": 1.0, "D4": 1.0}
_LAYERS = {"encoder": "encoder", "norm": "head.0"}
#: What the error of equivariance of each layer is called.
_ERROR_NAMES = {"": "output", _LAYERS["encoder"]: "latent", _LAYERS["norm"]: "norm"}
#: Pairs in each of the 100 classes, and how many of the test pairs the errors of equivariance are measured on.
_TRAINING, _VALIDATION, _TEST, _MEASURED = 100, 25, 50, 200
#: Images that are evaluated at once.
_BLOCK = 500


@dataclass(frozen=True)
class DdmnistConfig(RunConfig):
    """Pairs of digits in 100 classes, the network of appendix C.1, and Table 9."""

    method: str = "ours"
    """What is trained; `equilatent list` shows the methods of each experiment."""
    group: str = "D4"
    """What moves each digit on its own: C4, D1 or D4."""
    epochs: int = 50
    """Passes over the training samples, at most."""
    batch: int = 256
    """Samples in a batch."""
    rate: float = 0.0
    """Learning rate of Adam; 0 for the published one."""
    patience: int = 50
    """Stop when the validation error has not improved for so many epochs."""
    min_change: float = 0.0
    """The least decrease of the validation error that counts as an improvement."""
    channels_last: bool = True
    """Keep images with the channels last in memory, which is faster for convolutions on most processors."""
    features: int = 66
    """Features of the latent, the output of the last convolution."""
    strength: float | None = None
    """λ, the weight of the latent term of ours; none for the published one."""
    shifted_weight: float = 0.5
    """The weight w' of ours for the task loss on the moved images; that on the others has 1 − w'."""
    pair_fraction: float = 1.0
    """The part of each batch that ours moves a second time."""
    distance: Distance = "mse"
    """How the latent term measures: mse, relative or centred."""
    layer: Literal["encoder", "norm"] = "encoder"
    """The latent of ours: the output of the encoder, or that of the batch norm behind it, which the head reads."""
    latent: Literal["regular", "trivial", "defining", "wrong"] = "regular"
    """The representation of ours on the latent; wrong is a permutation drawn for each element, which is none."""

    def resolved(self) -> Self:
        """With the published learning rate and strength."""
        rate = self.rate or _RATES.get((self.method, self.group), 0.0005)
        strength = _STRENGTHS.get(self.group) if self.strength is None else self.strength
        return dataclasses.replace(self, rate=rate, strength=strength)

    def problems(self) -> list[str]:
        """What is wrong with the fields, in words."""
        wrong = super().problems()
        if self.strength is not None and not 0 <= self.strength < float("inf"):
            wrong.append(f"--strength {self.strength} should be finite and not negative")
        if not 0 <= self.shifted_weight <= 1:
            wrong.append(f"--shifted-weight {self.shifted_weight} should be from 0 to 1")
        if not 0 < self.pair_fraction <= 1:
            wrong.append(f"--pair-fraction {self.pair_fraction} should be above 0 and at most 1")
        group = group_of(self.group)
        # One copy of the representation: the regular one, or the two planes that the digits lie in.
        widths = {"regular": group.order**2 if group else 1, "defining": 4}
        least = widths.get(self.latent, 1) if self.method == "ours" else 1
        if self.features < least:
            wrong.append(f"--features {self.features} should be at least {least}")
        return wrong


class DdmnistRecipe(Recipe):
    """The pairs on the device, moved anew in every batch; one loss for all systems, and the latent term for ours."""

    def __init__(self, config: DdmnistConfig, seed: int, device: torch.device, data: ImageData | None = None) -> None:
        self.config, self.device = config, device
        data = data or mnist(config.data)
        self.provenance = data.provenance or {}
        digit_group = group_of(config.group)
        assert digit_group is not None  # of a configuration that has been checked
        self.group = eq.groups.direct_product(digit_group, digit_group)
        self.input = eq.actions.parts(self.group, [eq.actions.image(digit_group)] * 2, windows=WINDOWS).to(device)
        train, validation = held_out(len(data.train_x), torch.device("cpu"))
        images, labels = data.train_x, data.train_y
        self.train = self._pairs(images[train], labels[train], _TRAINING, 0, config.limit)
        self.samples = len(self.train.images)
        self.evaluation = {
            "val": self._moved(self._pairs(images[validation], labels[validation], _VALIDATION, 1), 11),
            "test_plain": (plain := self._pairs(data.test_x, data.test_y, _TEST, 2)),
            "test": self._moved(plain, 12),
        }
        self.model = _METHODS[config.method][1](digit_group, config.features).to(device)
        if config.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.latent = _latent(config.latent, self.group, config.features)
        self.objective = eq.Objective(
            self.group,
            input=self.input,
            output=eq.actions.trivial(self.group),
            task_loss=F.cross_entropy,
            layer=_LAYERS[config.layer],
            latent=self.latent or "regular",
            strength=config.strength or 0.0,
            task_weight=1 - config.shifted_weight,
            transformed_task_weight=config.shifted_weight,
            distance=config.distance,
            pair_fraction=config.pair_fraction,
        ).to(device)
        self.generator = torch.Generator(device=device)

    def optimiser(self) -> torch.optim.Optimizer:
        """Adam without weight decay."""
        return torch.optim.Adam(self.model.parameters(), lr=self.config.rate, fused=True)

    def start_epoch(self, generator: torch.Generator) -> None:
        """Keep the generator."""
        self.generator = self.objective.generator = generator

    def loss(self, indices: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Of a batch in which every pair is moved by an element drawn afresh; ours moves it by another one as well."""
        g = self.group.sample(len(indices), generator=self.generator, device=self.device)
        x, y = self.input(self.train.images[indices], g), self.train.classes[indices]
        if self.config.method == "ours":
            loss, terms = self.objective(self.model, x, y)
            return loss, terms.as_tensors()
        task = F.cross_entropy(self.model(x), y)
        penalty = getattr(self.model, "penalty", None)  # of a system that has one
        if penalty is None:
            return task, {"loss": task.detach(), "task": task.detach()}
        loss = task + (extra := penalty())
        return loss, {"loss": loss.detach(), "task": task.detach(), "penalty": extra.detach()}

    def validate(self) -> dict[str, float]:
        """The share of moved validation pairs that are classified wrongly, which selects; and the task loss."""
        return self._evaluate("val")

    def final(self) -> dict[str, Any]:
        """On the test pairs, moved and not: accuracy and loss; and the errors of equivariance on some of the moved ones."""
        with torch.no_grad():
            moved, plain = self._evaluate("test"), self._evaluate("test_plain")
            found: dict[str, Any] = {
                "test_accuracy": 1 - moved["error"],
                "test_accuracy_plain": 1 - plain["error"],
                "test_task": moved["task"],
            }
            x = self.evaluation["test"].images[:_MEASURED]
            same = eq.metrics.prediction_consistency(self.model, self.input, x, batch_size=_BLOCK)
            found["consistency"] = same.mean
            actions: dict[str, SupportsAction] = {"": eq.actions.trivial(self.group)}
            if self.latent is not None:
                actions |= dict.fromkeys(_LAYERS.values(), self.latent)
            errors = eq.metrics.equivariance_error(
                self.model, self.input, actions, x, layer=list(actions), batch_size=_BLOCK
            )
            for layer, error in errors.items():
                found |= _errors(_ERROR_NAMES[layer], error)
            # Of a system that learns how equivariant its layers are.
            degrees: dict[str, float] = getattr(self.model, "degrees", dict)()
            if degrees:
                found["degrees"] = degrees
        return found

    def _pairs(self, digits: Tensor, labels: Tensor, count: int, seed: int, limit: int | None = None) -> DigitPairs:
        # A mirror of a grid needs no interpolation, which leaves no traces to be covered.
        artefacts = self.config.group != "D1"
        pairs = digit_pairs(digits, labels, count, artefacts=artefacts, seed=seed, limit=limit)
        return DigitPairs(pairs.images.to(self.device), pairs.classes.to(self.device))

    def _moved(self, pairs: DigitPairs, seed: int) -> DigitPairs:
        """Each pair moved by an element drawn once, the same for all systems and seeds."""
        g = self.group.sample(len(pairs.images), generator=torch.Generator().manual_seed(seed), device=self.device)
        return DigitPairs(self.input(pairs.images, g), pairs.classes)

    def _evaluate(self, split: str) -> dict[str, float]:
        pairs = self.evaluation[split]
        scores = torch.cat([self.model(images) for images in pairs.images.split(_BLOCK)])
        wrong = (scores.argmax(1) != pairs.classes).double().mean()
        return {"error": float(wrong), "task": float(F.cross_entropy(scores, pairs.classes))}


def _latent(name: str, group: Group, features: int) -> SupportsAction | None:
    """The representation of that name on the latent; None if it is too narrow for it."""
    if name == "regular":
        return eq.reps.padded_regular(group, features) if features >= group.order else None
    if name == "trivial":
        return eq.actions.trivial(group)
    return _wrong(group, features) if name == "wrong" else _defining(group, features)


def _defining(group: Group, features: int) -> SupportsAction | None:
    """As many copies of the plane that each factor moves as fit, the rest trivial."""
    factors = [eq.reps.defining(factor) for factor in group.factors]
    images = {
        x: torch.block_diag(*(rho.matrix(h) for rho, h in zip(factors, group.split(g), strict=True)))
        for x, g in group.generators.items()
    }
    planes = eq.reps.from_matrices(group, images, label="defining")
    copies, rest = divmod(features, planes.dim)
    return eq.reps.direct_sum(*[planes] * copies, *[eq.reps.trivial(group)] * rest) if copies else None


def _wrong(group: Group, features: int) -> Action:
    """A permutation of the features drawn for each element but the identity: what no representation is."""
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(group.order, features, generator=generator).argsort(1)
    order[0] = torch.arange(features)

    def permutations_of_no_representation(latent: Tensor, g: Tensor) -> Tensor:
        return latent.gather(1, order.to(latent.device)[g])

    return eq.actions.function(group, permutations_of_no_representation)


def _errors(name: str, error: eq.metrics.EquivarianceError) -> dict[str, Any]:
    elements = map(error.group.name, error.elements.tolist())
    return {
        f"{name}_relative_error": error.mean_relative,
        f"{name}_centred_error": error.mean_centred,
        f"{name}_centred_by_element": dict(zip(elements, error.centred.tolist(), strict=True)),
    }


#: What each system is, and its network for the group of one digit and the features of the latent.
_METHODS: Mapping[str, tuple[str, Callable[[Group, int], nn.Module]]] = {
    "cnn": ("the CNN alone, on moved images", lambda group, features: ddmnist_cnn(features)),
    "scnn": ("steerable convolutions, invariant to the group of the whole image", ddmnist_scnn),
    "restriction": ("SCNN with no symmetry imposed behind the fourth block", ddmnist_restriction),
    "rpp": ("each layer an equivariant path and a free one, with a prior on both", ddmnist_rpp),
    "pscnn": ("each layer learns to which elements it is equivariant", ddmnist_pscnn),
    "ours": ("the CNN with a representation on its latent", lambda group, features: ddmnist_cnn(features)),
}


def _published() -> dict[tuple[str, str], dict[str, str | tuple[str, ...]]]:
    """Table 4: accuracy with its deviation, and millions of parameters."""
    table = {
        "cnn": ("0.907 (0.004)", "0.03", "0.938 (0.006)", "0.03", "0.800 (0.001)", "0.03"),
        "scnn": ("0.484 (0.008)", "0.12", "0.474 (0.003)", "0.03", "0.431 (0.010)", "0.15"),
        "restriction": ("0.914 (0.007)", "0.12", "0.890 (0.007)", "0.33", "0.837 (0.020)", "0.17"),
        "rpp": ("0.908 (0.022)", "0.79", "0.903 (0.009)", "0.08", "0.827 (0.020)", "1.73"),
        "pscnn": ("0.909 (0.007)", "0.51", "0.871 (0.016)", "0.04", "0.842 (0.011)", "1.23"),
        "ours": ("0.915 (0.004)", "0.03", "0.947 (0.004)", "0.03", "0.868 (0.002)", "0.03"),
    }
    return {
        (method, group): {"test_accuracy": row[2 * column], "parameters": f"{row[2 * column + 1]} M"}
        for method, row in table.items()
        for column, group in enumerate(_GROUPS)
    }


DDMNIST = Experiment(
    name="ddmnist",
    title="Two digits, each moved on its own",
    table="Table 4",
    config=DdmnistConfig,
    methods={name: words for name, (words, _) in _METHODS.items()},
    groups=_GROUPS,
    make=DdmnistRecipe,
    columns={
        "test_accuracy": "test accuracy",
        "test_accuracy_plain": "test accuracy, not moved",
        "parameters": "parameters",
        "output_centred_error": "output, centred error",
        "latent_relative_error": "latent, relative error",
        "norm_relative_error": "behind the norm, relative error",
        "consistency": "same answers",
    },
    published=_published(),
    criterion="error",
    comparison=Comparison(
        "test_accuracy",
        "ours",
        "cnn",
        {
            "output_centred_by_element": "Equivariance error of the output",
            "latent_centred_by_element": "Equivariance error of the latent",
        },
        {"degrees": "Degree of equivariance that each layer has learned (0: none, 1: full)"},
        budget=("limit", "epochs", "batch"),
    ),
)
