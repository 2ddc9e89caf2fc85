"""The terms of an objective: small values that say what is imposed where, and how strongly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from torch import Tensor

from equilatent.actions import SupportsAction
from equilatent.errors import LatentError, RepresentationError
from equilatent.objective._algebra import algebra_loss
from equilatent.objective._checks import Weight, checked_weight, checked_weights, choice, layer_name
from equilatent.objective._distances import Distance
from equilatent.reps import LearnedRepresentation

__all__ = [
    "OUTPUT",
    "Algebra",
    "DecodedTask",
    "Decorrelation",
    "Detach",
    "Equivariance",
    "Latent",
    "Task",
    "Term",
    "TransformedTask",
    "latent_label",
    "summary",
    "term_label",
]

#: Which side of an equivariance term is a constant target.
Detach: TypeAlias = Literal["source", "transformed"]
#: How the group acts on a latent: by the regular representation, padded to its size, or by a given one.
Latent: TypeAlias = "Literal['regular'] | SupportsAction"

#: The name of the model's own output among layers.
OUTPUT = ""


@dataclass(frozen=True)
class Task:
    """w · L(D E x, y): the task loss on the batch as it is.

    Attributes:
        weight: w, one number ≥ 0.
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", checked_weight("the weight of Task", self.weight))


@dataclass(frozen=True)
class TransformedTask:
    """w' · L(D E ρ_X(g)x, ρ_Y(g)y): the task loss on the transformed batch, which is augmentation with the group.

    Attributes:
        weight: w'; one number ≥ 0, or one for each element of the group.
    """

    weight: Weight = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", checked_weights("the weight of TransformedTask", self.weight))


@dataclass(frozen=True)
class DecodedTask:
    """w'' · L(D ρ_Z(g) E x, ρ_Y(g)y): the latent is transformed and decoded, without another pass of the encoder.

    The second term of section 4; of an autoencoder, the loss of EQ-VAE. With `TransformedTask` left out it is augmentation
    of the latents. The decoder D must be a function of the latent alone.

    Attributes:
        layer: the latent, by the dotted name of a layer; None for that of an (encoder, decoder) pair.
        weight: w''; one number ≥ 0, or one for each element of the group.
        action: ρ_Z, a representation or an action; ``"regular"`` is `reps.padded_regular`.
        axis: the feature axis of the latent.
    """

    layer: str | None = None
    weight: Weight = 1.0
    action: Latent = "regular"
    axis: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", layer_name(self.layer))
        object.__setattr__(self, "weight", checked_weights("the weight of DecodedTask", self.weight))
        if self.layer == OUTPUT:
            raise LatentError("DecodedTask decodes a latent; the model's output (layer='') is decoded already.")


@dataclass(frozen=True)
class Equivariance:
    """λ · distance(ρ_Z(g) E x, E ρ_X(g)x): the latent of the transformed input is the transformed latent.

    Attributes:
        layer: the layer, by its dotted name; ``""`` for the model's output, under ρ_Y; None for the latent of an
            (encoder, decoder) pair or of a model that returns (output, latent).
        weight: λ; one number ≥ 0, or one for each element of the group.
        action: how the group acts there. By default the padded regular representation on a latent (equation 5), and the
            objective's `output` action on the model's output.
        distance: how the two sides are compared; see `Objective`. ``"kl"`` compares scores along `axis`.
        detach: the side that is a constant target: ``"source"`` for ρ_Z(g) E x, ``"transformed"`` for E ρ_X(g)x. By
            default gradients flow through both.
        axis: the feature axis.
        part: of a layer or a model that returns several things, the one that is meant, by its key, field or position.
    """

    layer: str | None = None
    weight: Weight = 1.0
    action: Latent | None = None
    distance: Distance = "mse"
    detach: Detach | None = None
    axis: int = 1
    part: str | int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", layer_name(self.layer))
        object.__setattr__(self, "weight", checked_weights("the weight of Equivariance", self.weight))
        if self.action is None and self.layer != OUTPUT:
            object.__setattr__(self, "action", "regular")
        choice("distance", self.distance, get_args(Distance))
        choice("detach", self.detach, (None, *get_args(Detach)))


@dataclass(frozen=True)
class Decorrelation:
    """μ · the mean squared correlation of different features: keeps the latent from losing rank.

    The mean is over pairs of features i ≠ j of the squared Pearson correlation over samples, and over positions too where
    the latent is a map: 0 for uncorrelated features, 1 where all are one. It does not see the features' scales, so that
    shrinking the latent does not meet it. With several processes the correlation is that of the joint batch.

    Attributes:
        layer: as in `Equivariance`.
        weight: μ, one number ≥ 0. For a latent that one acts on, a fifth to a tenth of λ.
        axis: the feature axis.
    """

    layer: str | None = None
    weight: float = 1.0
    axis: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", layer_name(self.layer))
        object.__setattr__(self, "weight", checked_weight("the weight of Decorrelation", self.weight))


@dataclass(frozen=True)
class Algebra:
    """λ_A · A(ρ_Z): how far learned matrices are from a representation (section 4).

    Every `LearnedRepresentation` among the actions of an objective has this term, with weight 1 unless it is given.

    Attributes:
        rho: the learned representation.
        weight: λ_A, one number ≥ 0.
        loss: A, such as `algebra_loss` with other weights: ``partial(algebra_loss, inverse_weight=1.0)``.
    """

    rho: LearnedRepresentation
    weight: float = 1.0
    loss: Callable[[LearnedRepresentation], Tensor] = algebra_loss

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", checked_weight("the weight of Algebra", self.weight))
        if not isinstance(self.rho, LearnedRepresentation):
            raise RepresentationError(
                f"rho is the LearnedRepresentation to train; got {type(self.rho).__name__}. A fixed representation is "
                "imposed by eq.Objective(…, latent=rho)."
            )


#: Any term of an objective.
Term: TypeAlias = Task | TransformedTask | DecodedTask | Equivariance | Decorrelation | Algebra


def term_label(term: Equivariance | Decorrelation) -> str:
    """What a term's layer is called in records: with the part, where the model returns several."""
    label = latent_label(term.layer)
    return f"{label}[{term.part!r}]" if isinstance(term, Equivariance) and term.part is not None else label


def latent_label(layer: str | None) -> str:
    """What a layer is called in messages and records."""
    return "latent" if layer is None else layer or "output"


def summary(term: Term) -> str:
    """A term in a few characters: its kind, layer, weight, and distance if it is not the mean square."""
    parts: list[str] = []
    if isinstance(term, DecodedTask):
        parts.append(repr(latent_label(term.layer)))
    elif isinstance(term, Equivariance | Decorrelation):
        parts.append(repr(term_label(term)))
    parts.append("a weight for each element" if isinstance(term.weight, tuple) else f"{term.weight:g}")
    if isinstance(term, Equivariance) and term.distance != "mse":
        parts.append(term.distance)
    return f"{type(term).__name__}({', '.join(parts)})"
