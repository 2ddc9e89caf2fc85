"""What one evaluation of an objective consisted of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from equilatent.errors import NonFiniteError

__all__ = ["Terms", "not_finite"]

#: The fields that hold a number for each layer.
_BY_LAYER = ("equivariance", "relative_error", "centred_error", "decorrelation", "effective_rank")
#: What is recorded without being a term of the loss.
_MEASURED = ("relative_error", "centred_error", "effective_rank")


@dataclass(frozen=True)
class Terms:
    """What one evaluation of the objective consisted of: detached scalars, on the device of the loss, and the output.

    Only `loss` is weighted. A term that the objective does not have, or that had nothing to work on, is None or missing.
    Layers are named as in the terms, ``"output"`` for the model's output and ``"latent"`` for a latent without a name.

    Attributes:
        loss: the weighted total.
        task: L(D E x, y).
        transformed_task: L(D E ρ_X(g)x, ρ_Y(g)y).
        decoded_task: L(D ρ_Z(g) E x, ρ_Y(g)y).
        equivariance: for each layer the distance between ρ_Z(g) E(x) and E(ρ_X(g)x).
        relative_error: for each of these layers, whatever its distance, the mean square of the difference over the mean
            square of E(ρ_X(g)x): 0 is exactly equivariant, 1 as large as the latent itself.
        centred_error: the same over the variance of E(ρ_X(g)x) over the batch (its mean square about the batch mean),
            which neither shrinking the latent nor adding a constant to it makes small; NaN for a single pair.
        decorrelation: for each layer with that term, the mean squared correlation of different features, in [0, 1].
        effective_rank: for the same layers (tr C)² / ‖C‖² of the covariance C of the features: from 1 to their number.
        algebra: A(ρ_Z), summed over the learned representations.
        output: the model's output on x as it came, with its graph, so that a loop of one's own can go on from it; None if
            no term asks for it. Copies and pickles leave it out.
    """

    loss: Tensor
    task: Tensor | None = None
    transformed_task: Tensor | None = None
    decoded_task: Tensor | None = None
    equivariance: Mapping[str, Tensor] = field(default_factory=dict)
    relative_error: Mapping[str, Tensor] = field(default_factory=dict)
    centred_error: Mapping[str, Tensor] = field(default_factory=dict)
    decorrelation: Mapping[str, Tensor] = field(default_factory=dict)
    effective_rank: Mapping[str, Tensor] = field(default_factory=dict)
    algebra: Tensor | None = None
    output: Any = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "output": None}

    def as_tensors(self) -> dict[str, Tensor]:
        """All numbers in one mapping; several layers are told apart as ``"name/layer"``. Does not wait for the device."""
        numbers: dict[str, Tensor] = {"loss": self.loss}
        for name in ("task", "transformed_task", "decoded_task"):
            numbers[name] = getattr(self, name)
        for name in _BY_LAYER:
            values: Mapping[str, Tensor] = getattr(self, name)
            for layer, value in values.items():
                numbers[name if len(values) == 1 else f"{name}/{layer}"] = value
        numbers["algebra"] = self.algebra  # type: ignore[assignment]
        return {name: value for name, value in numbers.items() if value is not None}

    def as_floats(self) -> dict[str, float]:
        """`as_tensors` as plain floats, ready for a logger. Waits for the device, as any ``.item()`` does."""
        return {name: float(value) for name, value in self.as_tensors().items()}


def not_finite(terms: Terms) -> NonFiniteError:
    """The error that names the terms of a loss that are NaN or infinite."""
    values = terms.as_floats()
    total = values.pop("loss")
    summands = {name: value for name, value in values.items() if name.split("/")[0] not in _MEASURED}
    wrong = [f"{name} is {value}" for name, value in summands.items() if not abs(value) < float("inf")]
    return NonFiniteError(
        f"the loss is {total}: {', '.join(wrong) or 'a weighted sum overflows'}. Look for NaN in the inputs of that term, "
        "a learning rate that is too high, or a half-precision overflow."
    )
