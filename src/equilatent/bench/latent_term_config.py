"""The fields of a configuration that say what the latent term imposes, and the terms beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from equilatent.bench.harness.config import RunConfig, added
from equilatent.objective import Distance

__all__ = ["LatentTermConfig"]


@dataclass(frozen=True)
class LatentTermConfig(RunConfig):
    """The fields of the system `ours`; other systems of a task may read some of them.

    A task adds `latent`, by the names of the representations that can act on the latent of its network.
    """

    method: str = "ours"
    """What is trained; `equilatent list` shows the methods of each task."""
    features: int = 66
    """Features of the latent, the output of the last convolution."""
    strength: float | None = None
    """λ, the weight of the latent term of ours; none for the published one."""
    shifted_weight: float = 0.5
    """The weight w' of ours for the task loss on the second view; that on the first has 1 − w'."""
    pair_fraction: float = 1.0
    """The part of each batch that has a second view."""
    distance: Distance = "mse"
    """How the latent term measures: mse, relative or centred."""
    layer: Literal["encoder", "norm"] = "encoder"
    """The latent of ours: the output of the encoder, or that of the batch norm behind it, which the head reads."""
    decorrelation: float = added(0.0)
    """The weight of the decorrelation of the latent of ours."""
    consistency: float = added(0.0)
    """The weight of the consistency of the outputs of ours, the divergence between both views."""

    def problems(self) -> list[str]:
        """What is wrong with the fields, in words."""
        wrong = super().problems()
        if not 0 <= self.shifted_weight <= 1:
            wrong.append(f"--shifted-weight {self.shifted_weight} should be from 0 to 1")
        if not 0 < self.pair_fraction <= 1:
            wrong.append(f"--pair-fraction {self.pair_fraction} should be above 0 and at most 1")
        return wrong
