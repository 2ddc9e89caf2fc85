"""Table 5: volumes under the rotations of the cube (paper, section 6.2 and appendix C.2), and patches of a brain."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import SupportsAction
from equilatent.bench.architecture import LAYERS, Conv, Pool, Residual, Resize, VolumeClassifier
from equilatent.bench.data import ImageData, brain, medmnist3d
from equilatent.bench.harness.task import Control, Problem, Quantity, Split, Task
from equilatent.bench.latent_term_config import LatentTermConfig
from equilatent.bench.latents import latent_action
from equilatent.bench.tasks._common import equivariance_numbers, twice_the_epochs
from equilatent.errors import DataError

__all__ = ["MEDMNIST3D", "Medmnist3dConfig", "Medmnist3dProblem", "accuracy", "auc", "residual_network"]

#: What acts on a volume.
_GROUPS = {
    "S4": "the 24 rotations of the cube",
    "S4xC2": "the 48 symmetries of the cube, mirrors included",
}
#: Volumes whose equivariance is measured under every element, and those that are evaluated at once.
_MEASURED, _BLOCK = 100, 64
#: Systems whose hidden layers are fields; they have the width and the learning rate of Veefkind & Cesa.
_STEERABLE = frozenset({"scnn", "rpp", "pscnn"})
_STEERABLE_WIDTH, _STEERABLE_RATE = 6, 0.001


@dataclass(frozen=True)
class _Dataset:
    """A data set, and the settings on it.

    Attributes:
        rate, strength, epochs: of Table 10 for the sets of the paper; else the defaults of Veefkind & Cesa, and λ = 1.
    """

    classes: int = 2
    rate: float = 0.001
    strength: float = 1.0
    epochs: int = 25


_DATASETS = {
    "nodule": _Dataset(rate=0.00005, epochs=150),
    "synapse": _Dataset(rate=0.0001, epochs=150),
    "organ": _Dataset(classes=11, rate=0.0001, strength=2.0, epochs=150),
    "adrenal": _Dataset(),
    "vessel": _Dataset(),
    "fracture": _Dataset(classes=3),
    "tissue": _Dataset(),
    "hemisphere": _Dataset(),
}


@dataclass(frozen=True)
class Medmnist3dConfig(LatentTermConfig):
    """Volumes of 28³ voxels of MedMNIST or of a brain, the residual network of appendix C.2, and Table 10."""

    group: str = "S4"
    """What transforms a volume: S4, the rotations of the cube, or S4xC2, mirrors too."""
    dataset: Literal["nodule", "synapse", "organ", "adrenal", "vessel", "fracture", "tissue", "hemisphere"] = "nodule"
    """A set of MedMNIST, of which the first three are those of the paper, or patches of a brain with the label tissue, which
    no motion changes, or hemisphere, which mirrors swap."""
    epochs: int = 0
    """Passes over the training samples, at most; 0 for those of the data set."""
    batch: int = 32
    """Samples in a batch."""
    rate: float = 0.0
    """Learning rate of Adam; 0 for that of the data set."""
    patience: int = 1000
    """Stop when the validation AUC has not risen for so many epochs."""
    min_change: float = 0.0
    """The least rise of the validation AUC that counts as an improvement."""
    channels_last: bool = True
    """Keep volumes with the channels last in memory, which is faster for convolutions on most processors."""
    width: int = 0
    """Channels of the first convolution, fields of a steerable one; 0 for those of Table 5, 7 and 6."""
    features: int = 0
    """Features of the latent, the output of the last residual block; 0 for eight times the width."""
    resize: Literal["auto", "nearest", "trilinear"] = "auto"
    """How volumes are enlarged to 29³: nearest repeats voxels, which commutes with 3 of the 24 rotations, trilinear
    commutes with all; auto for nearest, trilinear in steerable networks, as the sources have it."""
    latent: Literal["regular", "reversed", "trivial", "wrong"] = "regular"
    """The representation of ours on the latent; reversed acts by that of g⁻¹, as the public code does, and wrong by a
    permutation drawn for each element: both are none."""

    def resolved(self) -> Self:
        """With the settings of the data set and of the system."""
        known, steerable = _DATASETS.get(self.dataset), self.method in _STEERABLE
        if known is None:
            return self
        width = self.width or (_STEERABLE_WIDTH if steerable else 7)
        usual: Literal["nearest", "trilinear"] = "trilinear" if steerable else "nearest"
        return dataclasses.replace(
            self,
            epochs=self.epochs or known.epochs,
            rate=self.rate or (_STEERABLE_RATE if steerable else known.rate),
            strength=known.strength if self.strength is None else self.strength,
            width=width,
            features=self.features or 8 * width,
            resize=usual if self.resize == "auto" else self.resize,
        )

    def problems(self) -> list[str]:
        """What is wrong with the fields, in words."""
        wrong = super().problems()
        if self.dataset not in _DATASETS:
            wrong.append(f"--dataset {self.dataset!r} should be one of {', '.join(_DATASETS)}")
        if self.width < 0:
            wrong.append(f"--width {self.width} should be at least 1")
        group = group_of_volumes(self.group)
        one_copy = group.order if group and self.latent in ("regular", "reversed") and self.method == "ours" else 1
        if self.features < one_copy:
            wrong.append(f"--features {self.features} should be at least {one_copy}")
        if self.method in _STEERABLE and self.resize == "nearest":
            wrong.append(f"--resize nearest is not equivariant; --method {self.method} takes trilinear")
        return wrong


def group_of_volumes(name: str) -> eq.groups.Group | None:
    """The group of that name, as a group of motions of a volume; None for other names.

    >>> group_of_volumes("S4").order, group_of_volumes("S4xC2").order
    (24, 48)
    """
    return eq.groups.octahedral(inversion=name == "S4xC2") if name in _GROUPS else None


def residual_network(
    classes: int, width: int, *, features: int = 0, interpolation: Literal["nearest", "linear"] = "nearest"
) -> VolumeClassifier:
    """The residual network of appendix C.2 for volumes of 28³.

    The last pooling is over the 3³ voxels that are there; Veefkind & Cesa have a window of 5³ with a padding of 1, which
    gives the same up to a factor.

    Args:
        classes: number of classes.
        width: c, the channels of the first convolution.
        features: of the latent; 0 for 8·c.
        interpolation: how volumes are enlarged.
    """
    c = width
    features = features or 8 * c
    return VolumeClassifier(
        (
            Resize(29, interpolation),
            Residual((Conv(c, 7, 1, 2, frequency=2), Conv(2 * c, 5, 1, 2)), (Conv(2 * c, 7, 1, 2),)),
            Pool(5, 2, 1),
            Residual((Conv(4 * c, 3, 2, 1), Pool(5, 2, 1), Conv(6 * c, 3, 2, 2)), (Pool(5, 2, 0), Conv(6 * c, 3))),
            Residual((Conv(6 * c, 3, 1, 1, frequency=2), Pool(3, 1, 0), Conv(features, 1)), (Conv(features, 3),)),
        ),
        classes,
    )


def network(config: Medmnist3dConfig) -> VolumeClassifier:
    """The network of the data set: 191,942 parameters of ordinary layers at width 7, for two classes."""
    interpolation: Literal["nearest", "linear"] = "linear" if config.resize == "trilinear" else "nearest"
    classes = _DATASETS[config.dataset].classes
    return residual_network(classes, config.width, features=config.features, interpolation=interpolation)


class Medmnist3dProblem(Problem):
    """Volumes as bytes on the device, normalised in batches.

    Attributes:
        train: training volumes, uint8 [N, 1, 28, 28, 28], and their classes.
        volumes: those of each split.
        elements: for each volume of a split an element drawn once, the same for all systems and seeds.
    """

    transformed = False

    def __init__(self, config: Medmnist3dConfig, device: torch.device, data: ImageData | None = None) -> None:
        self.config, self.device = config, device
        data = data or _load(config)
        self.provenance = data.provenance or {}
        group = group_of_volumes(config.group)
        assert group is not None and data.val_x is not None and data.val_y is not None
        self.group = group
        self.input = eq.actions.volume(group).to(device)
        self.output = eq.actions.trivial(group)
        self.latent = latent_action(group, config.latent, config.features)
        self.train = data.train_x[: config.limit].to(device), data.train_y[: config.limit].to(device)
        self.samples = len(self.train[1])
        parts: dict[Split, tuple[Tensor, Tensor]] = {
            "validation": (data.val_x, data.val_y),
            "test": (data.test_x, data.test_y),
        }
        for split, (_, classes) in parts.items():
            absent = set(range(data.classes)) - set(classes.tolist())
            if absent:
                raise DataError(
                    f"{data.name}: an AUC needs volumes of every class; among those of the {split} split there is none of "
                    f"class {min(absent)}."
                )
        self.volumes = {split: (x.to(device), y.to(device)) for split, (x, y) in parts.items()}
        self.elements = {
            split: group.sample(len(y), generator=torch.Generator().manual_seed(10 + number)).to(device)
            for number, (split, (_, y)) in enumerate(parts.items())
        }

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Volumes as they are, and their classes."""
        x, y = self.train
        return normalised(x[indices]), y[indices]

    def task_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy."""
        return F.cross_entropy(output, target)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        """AUC and accuracy, as MedMNIST defines them, and the task loss, on volumes as they are and on transformed ones.

        On the test samples also those of the model averaged over the orbit, and of a part of them the errors of
        equivariance and the consistency of the answers.
        """
        x, y = self.volumes[split]
        found = self._scored(model, x, y)
        transformed = self._scored(model, self.input(x, self.elements[split]), y)
        found |= {f"{name}_transformed": value for name, value in transformed.items()}
        if split == "validation":
            return found
        averaged = eq.metrics.Symmetrised(model, self.input, self.output, batch_size=_BLOCK)
        found |= {f"{name}_orbit": value for name, value in self._scored(averaged, x, y, 8).items() if name != "task"}
        found = {f"test_{name}": value for name, value in found.items()}
        measured = normalised(x[:_MEASURED])
        found["consistency"] = eq.metrics.prediction_consistency(model, self.input, measured, batch_size=_BLOCK).mean
        actions: dict[str, SupportsAction] = {"": self.output}
        names = {"": "output"}
        if self.latent is not None:
            actions |= dict.fromkeys(LAYERS.values(), self.latent)
            names |= {LAYERS["encoder"]: "latent", LAYERS["norm"]: "norm"}
        errors = eq.metrics.equivariance_error(
            model, self.input, actions, measured, layer=list(actions), batch_size=_BLOCK
        )
        for layer, error in errors.items():
            found |= equivariance_numbers(names[layer], error)
        return found

    def _scored(self, model: nn.Module, x: Tensor, y: Tensor, block: int = _BLOCK) -> dict[str, float]:
        scores = torch.cat([model(normalised(some)) for some in x.split(block)]).double()
        return {"auc": auc(scores, y), "accuracy": accuracy(scores, y), "task": float(F.cross_entropy(scores, y))}


def normalised(x: Tensor) -> Tensor:
    """Bytes to numbers from −1 to 1.

    >>> normalised(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    return x.float() / 127.5 - 1


def auc(scores: Tensor, classes: Tensor) -> float:
    """The area under the ROC curve as MedMNIST's evaluator has it (Yang et al. 2023).

    Of two classes that of the probability of class 1; of more the mean over the classes, each against all others, by its
    probability. The probabilities are the soft-max of the scores.

    Args:
        scores: floating [N, classes].
        classes: 0 … classes − 1, LongTensor [N], in which every class has to be there.

    >>> auc(torch.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 2.0]]), torch.tensor([0, 1, 1]))
    1.0
    """
    from sklearn.metrics import roc_auc_score

    shares, labels = scores.softmax(1).cpu().numpy(), classes.cpu().numpy()
    if shares.shape[1] == 2:
        return float(roc_auc_score(labels == 1, shares[:, 1]))
    areas = [roc_auc_score(labels == label, share) for label, share in enumerate(shares.T)]
    return float(sum(areas) / len(areas))


def accuracy(scores: Tensor, classes: Tensor) -> float:
    """The share of samples whose class has the largest score; where two classes are level, class 0 is the answer.

    Of two classes this is MedMNIST's rule that class 1 has to have a probability above one half.

    Args:
        scores: floating [N, classes].
        classes: LongTensor [N].
    """
    return float((scores.argmax(1) == classes).double().mean())


def _load(config: Medmnist3dConfig) -> ImageData:
    if config.dataset in ("tissue", "hemisphere"):
        return brain(config.dataset, config.data)
    return medmnist3d(f"{config.dataset}mnist3d", 28, config.data)


def _published() -> dict[tuple[Any, ...], dict[str, str | tuple[str, ...]]]:
    """Table 5: accuracy with its deviation, and millions of parameters; SO(3) stands at S4, O(3) at S4xC2."""
    table = {
        ("plain", "S4"): ("0.873 (0.005)", "0.716 (0.008)", "0.920 (0.003)", "0.19"),
        ("cnn", "S4"): ("0.879 (0.007)", "0.761 (0.008)", "0.632 (0.005)", "0.19"),
        ("scnn", "S4"): ("0.873 (0.002)", "0.738 (0.009)", "0.607 (0.006)", "0.13"),
        ("rpp", "S4"): ("0.801 (0.003)", "0.695 (0.037)", "0.936 (0.002)", "18.30"),
        ("pscnn", "S4"): ("0.871 (0.001)", "0.770 (0.030)", "0.902 (0.006)", "4.17"),
        ("scnn", "S4xC2"): ("0.868 (0.009)", "0.743 (0.004)", "0.902 (0.006)", "0.19"),
        ("rpp", "S4xC2"): ("0.810 (0.013)", "0.722 (0.023)", "0.940 (0.006)", "29.30"),
        ("pscnn", "S4xC2"): ("0.873 (0.008)", "0.769 (0.005)", "0.905 (0.004)", "3.51"),
        ("ours", "S4"): ("0.887 (0.005)", "0.770 (0.002)", "0.642 (0.056)", "0.19"),
    }
    return {
        (method, group, dataset): {"test_accuracy": row[column], "parameters": f"{row[-1]} M"}
        for (method, group), row in table.items()
        for column, dataset in enumerate(("nodule", "synapse", "organ"))
    }


MEDMNIST3D = Task(
    name="medmnist3d",
    title="MedMNIST3D",
    table="Table 5",
    config=Medmnist3dConfig,
    groups=_GROUPS,
    load=Medmnist3dProblem,
    architecture=network,
    quantities=(
        # The majority class of some sets is three quarters of the test volumes, so that accuracy says little.
        Quantity("test_auc", "test AUC", "higher", 3),
        Quantity("test_accuracy", "test accuracy", "higher", 3),
        Quantity("test_auc_transformed", "test AUC, transformed", "higher", 3),
        Quantity("test_accuracy_transformed", "test accuracy, transformed", "higher", 3),
        Quantity("parameters", "parameters", given=True),
        Quantity("config.features", "latent width", given=True),
        Quantity("output_centred_error", "output, centred error", "lower"),
        Quantity("latent_relative_error", "latent, relative error", "lower"),
        Quantity("norm_relative_error", "behind the norm, relative error", "lower"),
        Quantity("consistency", "same answers", "higher", 3),
        Quantity("test_auc_orbit", "test AUC, orbit average", "higher", 3),
        Quantity("test_accuracy_orbit", "test accuracy, orbit average", "higher", 3),
    ),
    criterion="auc",
    better="higher",
    baseline="cnn",
    budget=("limit", "epochs", "batch"),
    settings=("dataset",),
    controls=(
        Control("the same volumes without augmentation", "plain"),
        Control("the same training without the latent term", "ours", {"strength": 0.0}),
        Control("as many volumes seen by the baseline", "cnn", {"epochs": twice_the_epochs}),
        Control("the reversed pairing", "ours", {"latent": "reversed"}),
        Control("a wrong representation", "ours", {"latent": "wrong"}),
    ),
    published=_published(),
    by_element={
        "output_centred_by_element": "Equivariance error of the output",
        "latent_centred_by_element": "Equivariance error of the latent",
    },
    by_layer={"degrees": "Share of the group to which each block has learned to be equivariant"},
)
